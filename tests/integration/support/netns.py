"""Network namespaces for tests of live capture. Standard library only; root."""
import os
import shutil
import subprocess
import unittest


def command(*words, check=True):
    """What it prints; AssertionError with its complaint where it fails."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def inside(namespace):
    """What stands before a command that runs in it; None: where this program is."""
    return ["ip", "netns", "exec", namespace] if namespace is not None else []


def plain_link(namespace, link):
    """Up; nothing sends by itself there, and no offload changes a frame."""
    within = inside(namespace)
    command(*within, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1", check=False)
    command(*within, "ethtool", "-K", link, "tx", "off", "tso", "off", "gso", "off", "gro", "off", check=False)
    command(*within, "ip", "link", "set", link, "up")


def lay_wire(namespace):
    """Makes the namespace, unless it is None, and in it cap0 and gen0, the plain ends of one wire."""
    if namespace is not None:
        command("ip", "netns", "add", namespace)
    within = inside(namespace)
    command(*within, "ip", "link", "set", "lo", "up")
    command(*within, "ip", "link", "add", "cap0", "type", "veth", "peer", "name", "gen0")
    for link in ("cap0", "gen0"):
        plain_link(namespace, link)


def send_frames(namespace, frames):
    """[(seconds from now, bytes)] onto its end gen0 of the wire."""
    code = ("import socket, sys, time\n"
            "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('gen0', 0))\n"
            "data = sys.stdin.buffer.read()\nat = 0\nstart = time.monotonic()\n"
            "while at < len(data):\n"
            "    size = int.from_bytes(data[at:at + 2], 'big')\n"
            "    due = start + int.from_bytes(data[at + 2:at + 10], 'big') / 1e9\n"
            "    while time.monotonic() < due: time.sleep(max(0, min(0.01, due - time.monotonic())))\n"
            "    s.send(data[at + 10:at + 10 + size])\n    at += 10 + size\n")
    data = b"".join(len(frame).to_bytes(2, "big") + int(at * 1e9).to_bytes(8, "big") + frame for at, frame in frames)
    done = subprocess.run([*inside(namespace), "/usr/bin/python3", "-c", code], input=data, capture_output=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode())


def remove(namespace):
    command("ip", "netns", "del", namespace, check=False)


def wire_for(test_class, namespace, *programs):
    """lay_wire for a class of tests, which are skipped where it cannot be; removed behind them."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root: it makes a network namespace")
    for program in ("ip", "ethtool", *programs):
        if shutil.which(program) is None:
            raise unittest.SkipTest(f"{program} is not installed")
    test_class.addClassCleanup(remove, namespace)
    try:
        lay_wire(namespace)
    except AssertionError as error:
        raise unittest.SkipTest(f"network namespaces are not allowed here: {error}") from error
