"""Two hosts, each a network namespace with the kernel's own stack, and between them a third with the wire emulator and captures of
both its sides. Root only.

    near ---- left [emulator] right ---- far        10.9.0.1, fd09::1        10.9.0.2, fd09::2
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

from support.netns import command, inside, plain_link, remove

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
FAR = {4: "10.9.0.2", 6: "fd09::2"}


def need(*programs):
    """Skips the tests where namespaces or one of the programs are missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root: it makes network namespaces")
    for program in ("ip", "ethtool", "sysctl", "tcpdump", "tshark", *programs):
        if shutil.which(program) is None:
            raise unittest.SkipTest(f"{program} is not installed")
    probe = subprocess.run(["ip", "netns", "add", f"nsprobe{os.getpid()}"], capture_output=True, text=True, check=False)
    remove(f"nsprobe{os.getpid()}")
    if probe.returncode != 0:
        raise unittest.SkipTest(f"network namespaces are not allowed here: {probe.stderr.strip()}")


class TwoHosts:
    """faults: those of wire_emulator.py, and "offload": True to leave segmentation to the links, "sysctl": [...] of both hosts."""

    def __init__(self, folder, faults):
        self.folder, self.faults, self.programs = folder, faults, []
        self.near, self.wire, self.far = (f"ns{part}{os.getpid()}" for part in ("near", "wire", "far"))

    def __enter__(self):
        try:
            self.lay()
        except BaseException:
            self.__exit__()
            raise
        return self

    def lay(self):
        for name in (self.near, self.wire, self.far):
            command("ip", "netns", "add", name)
            command("ip", "-n", name, "link", "set", "lo", "up")
        for host, number, inner in ((self.near, 1, "left"), (self.far, 2, "right")):
            command("ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", inner, "netns", self.wire)
            for name, link in ((host, "eth0"), (self.wire, inner)):
                if self.faults.get("offload"):
                    command("ip", "-n", name, "link", "set", link, "up")
                else:
                    plain_link(name, link)
            command(*inside(host), "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0", check=False)
            command("ip", "-n", host, "addr", "add", f"10.9.0.{number}/24", "dev", "eth0")
            command("ip", "-n", host, "addr", "add", f"fd09::{number}/64", "dev", "eth0", "nodad", check=False)
            for setting in ("net.ipv4.tcp_fastopen=1027", *self.faults.get("sysctl", ())):
                command(*inside(host), "sysctl", "-qw", setting, check=False)
        self.start(self.wire, PYTHON, os.path.join(HERE, "wire_emulator.py"), "left", "right", json.dumps(self.faults))

    def start(self, host, *words, ready="stdout"):
        """A program of the host that says a line when it is ready; it ends with its input."""
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, ready: subprocess.PIPE}
        program = subprocess.Popen([*inside(host), *words], text=True, **streams)
        self.programs.append(program)
        if not getattr(program, ready).readline():
            raise AssertionError(f"{' '.join(words)}: did not start")
        return program

    def capture(self, side):
        """tcpdump on "left" or "right" of the emulator; ended by end_captures(). Returns the path."""
        path = os.path.join(self.folder, f"{side}.pcap")
        program = self.start(self.wire, "tcpdump", "-i", side, "-w", path, "-B", "65536", "-s", "262144", "-Z", "root",
                             "--time-stamp-precision=nano", ready="stderr")
        program.is_capture = True
        return path

    def end_captures(self):
        for program in self.programs:
            if getattr(program, "is_capture", False):
                program.send_signal(signal.SIGINT)
                said = program.communicate(timeout=30)[1]
                if "\n0 packets dropped by kernel" not in said:
                    raise unittest.SkipTest(f"tcpdump lost packets, so there is no truth: {said}")

    def talk(self, orders, version=4):
        """tcp_peers.py: ([what clients told], [what the server told])."""
        peers, report = os.path.join(HERE, "tcp_peers.py"), os.path.join(self.folder, "server.json")
        self.start(self.far, PYTHON, peers, "serve", FAR[version], report)
        done = subprocess.run([*inside(self.near), PYTHON, peers, "talk", FAR[version]], input=json.dumps(orders),
                              capture_output=True, text=True, check=False, timeout=300)
        if done.returncode != 0:
            raise AssertionError(done.stderr[-2000:])
        time.sleep(1)  # last retransmissions and what the server tells
        with open(report, encoding="ascii") as lines:
            return [json.loads(line) for line in done.stdout.splitlines()], [json.loads(line) for line in lines]

    def __exit__(self, *_):
        for program in self.programs:
            if program.poll() is None:
                program.kill()
                program.wait()
            for stream in (program.stdin, program.stdout, program.stderr):
                if stream is not None:
                    stream.close()
        for name in (self.near, self.wire, self.far):
            remove(name)
