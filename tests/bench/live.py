#!/usr/bin/env python3
"""CPU per packet of live capture, in a network namespace of its own (root). Standard library only.

    live.py BUILD [--runs N]

1. The drained ring: the receiver is stopped, its ring filled, the receiver continued; what it then takes is its own cost
   without the kernel's, for counting alone and for the whole sensor.
2. The same burst of packets of 16384 flows, both ways, to the sensor, nfpcapd and softflowd as they capture. A peer that loses
   packets looks cheaper than it is.

Turns alternate between the tools; ratios are medians of the ratios within a turn. CPU is what the scheduler counted
(/proc/PID/task/*/schedstat). Bounded: under a minute with 3 runs. Exit 77 with the reason where it cannot run.
"""
import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from support.netns import command, inside, lay_wire, remove

PREFIX = f"nsbench{os.getpid()}"
INSIDE = inside(PREFIX)
WARM = 40_000
DRAINED = 300_000
BURST = 150_000
FLOWS = 16384
GOALS = {"drained ring, the sensor / counting alone": 2.5, "16 k flows, the sensor / nfpcapd": 0.5,
         "16 k flows, the sensor / softflowd": 0.3}


def skip(text):
    print(f"SKIP live: {text}")
    sys.exit(77)


def find(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


class Receiver:
    """A program that captures cap0; its CPU in ns."""

    def __init__(self, name, words, environment=None):
        self.name = name
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(INSIDE + words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, **(environment or {})})
        time.sleep(1)
        if self.process.poll() is not None:
            self.log.seek(0)
            raise RuntimeError(f"{name}: {self.log.read().decode(errors='replace')[-500:]}")

    def cpu_ns(self):
        total = 0
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0])
        return total

    def settled_ns(self):
        """When it has taken all that is there: no work worth speaking of for a fifth of a second."""
        last = self.cpu_ns()
        for _ in range(40):
            time.sleep(0.2)
            now = self.cpu_ns()
            if now - last < 2_000_000:
                return now
            last = now
        return last

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def send(build, count, first=0):
    command(*INSIDE, f"{build}/tests/veth_gen", "-i", "gen0", "-n", count, "-f", FLOWS, "-b", "-t", "-k", first)


def drained(build, receiver):
    """ns a packet."""
    send(build, WARM)  # its memory, its flows
    before = receiver.settled_ns()
    receiver.process.send_signal(signal.SIGSTOP)
    send(build, DRAINED, WARM)
    receiver.process.send_signal(signal.SIGCONT)
    return (receiver.settled_ns() - before) / DRAINED


def burst(build, receiver):
    send(build, WARM)
    before = receiver.settled_ns()
    send(build, BURST, WARM)
    return (receiver.settled_ns() - before) / BURST


def sensor(build, folder, buffer="128MiB"):
    return ["netscope", [f"{build}/bin/netscope-sensor", "-i", "cap0", "--quiet", "--no-anomalies"],
            {"NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_CAPTURE__BUFFER_SIZE": buffer, "NETSCOPE_GRPC__ENABLED": "off",
             "NETSCOPE_HTTP__ENABLED": "off", "NETSCOPE_SENSOR__STATE_DIRECTORY": folder}]


def tools(build, folder):
    """(name, method, start) of each row."""
    probe = [f"{build}/tests/live_probe", "cap0", "timeout_ms=100", "buffer_kib=131072", "direction=in", "count_only=1"]
    rows = [("counting alone, drained", drained, ["probe", probe, None]),
            ("sensor, drained", drained, sensor(build, folder)),
            ("sensor, burst", burst, sensor(build, folder, "32MiB"))]
    nfpcapd, softflowd = find("nfpcapd"), find("softflowd")
    if nfpcapd:
        rows.append(("nfpcapd, burst", burst, ["nfpcapd", [nfpcapd, "-i", "cap0", "-l", folder], None]))
    if softflowd:
        rows.append(("softflowd, burst", burst, ["softflowd", [softflowd, "-i", "cap0", "-d", "-m", "100000", "-n", "127.0.0.1:9"], None]))
    return rows


def prepare():
    if os.geteuid() != 0:
        skip("needs root: it makes a network namespace")
    for program in ("ip", "ethtool"):
        if find(program) is None:
            skip(f"{program} is not installed")
    try:
        lay_wire(PREFIX)
    except AssertionError as error:
        remove(PREFIX)
        skip(f"network namespaces are not allowed here: {error}")


def measure(build, folder, runs):
    found = {}
    for _ in range(runs):
        for name, method, start in tools(build, folder):
            receiver = Receiver(*start)
            try:
                found.setdefault(name, []).append(method(build, receiver))
            finally:
                receiver.stop()
    return found


def report(found):
    print("\nlive capture, 60 byte TCP packets of 16384 flows both ways, CPU of the receiver")
    for name, values in found.items():
        print(f"  {name:28} {statistics.median(values):8.0f} ns/packet   ({min(values):.0f} .. {max(values):.0f})")
    pairs = {"drained ring, the sensor / counting alone": ("sensor, drained", "counting alone, drained"),
             "16 k flows, the sensor / nfpcapd": ("sensor, burst", "nfpcapd, burst"),
             "16 k flows, the sensor / softflowd": ("sensor, burst", "softflowd, burst")}
    for title, (ours, theirs) in pairs.items():
        if theirs not in found:
            print(f"  {title:44} -      {theirs.split(',')[0]} is not installed")
            continue
        ratio = statistics.median(a / b for a, b in zip(found[ours], found[theirs]))
        print(f"  {title:44} {ratio:5.2f}x  goal {GOALS[title]}x  {'met' if ratio <= GOALS[title] else 'NOT MET'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    build = os.path.abspath(asked.build)
    for program in ("bin/netscope-sensor", "tests/veth_gen", "tests/live_probe"):
        if not os.access(f"{build}/{program}", os.X_OK):
            skip(f"{build}/{program} is not built")
    prepare()
    try:
        with tempfile.TemporaryDirectory() as folder:
            report(measure(build, folder, asked.runs))
    finally:
        remove(PREFIX)


if __name__ == "__main__":
    main()
