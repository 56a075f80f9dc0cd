#!/usr/bin/env python3
"""Instructions a packet by callgrind: the figure that repeats where nanoseconds do not. Standard library only.

Each workload is read twice, short and long; what the start and the end of the program take is in both and falls
out of the difference. With --gate the figures are held to the bounds below: they are what was measured, with some
room, so that a change that costs more has to raise them, and say why. Without valgrind it is skipped (exit 77).
The goals of the design are for other sizes (300,000 packets and more, release build): see docs/performance.md.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
OFF = ["--no-anomalies"]
# name: (workload, packets short and long, flows short and long, options, instructions a packet at most in --gate)
ROWS = {
    "small": ("small", (5_000, 30_000), (500, 3_000), OFF, 2_250),
    "mix": ("mix", (5_000, 30_000), (300, 1_800), OFF, 2_360),
    "flood": ("flood", (5_000, 15_000), (0, 0), OFF, 4_950),
    "mix, detection on": ("mix", (5_000, 30_000), (300, 1_800), [], 3_110),
    "flood, detection on": ("flood", (5_000, 15_000), (0, 0), [], 7_360),
}


def make(generator, place, workload, packets, flows):
    """A file of that many packets; how many they really are."""
    file = os.path.join(place, f"{workload}-{packets}.pcap")
    command = [generator, workload, file, "-n", str(packets)] + (["-f", str(flows)] if flows else [])
    told = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True).stderr
    return file, int(re.search(r'"packets":(\d+)', told).group(1))


def count(sensor, place, file, options):
    """Instructions of one run, all threads."""
    out = os.path.join(place, "callgrind.out")
    result = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sensor, "--read-pcap", file, "--quiet",
         "--shards", "1", "--max-flows", "65536", *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        env={**os.environ, "NETSCOPE_SENSOR__STATE_DIRECTORY": place})
    if result.returncode != 0:
        sys.exit(f"instructions: {' '.join(result.args)}: exit {result.returncode}\n{result.stdout[-2000:]}")
    with open(out, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith(("totals:", "summary:")):
                total = int(line.split()[1])
    os.unlink(out)
    return total


def measure(sensor, generator, row):
    workload, packets, flows, options, _ = row
    with tempfile.TemporaryDirectory() as place:
        sums = []
        for i in range(2):
            file, there = make(generator, place, workload, packets[i], flows[i])
            sums.append((count(sensor, place, file, options), there))
    return (sums[1][0] - sums[0][0]) / (sums[1][1] - sums[0][1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sensor")
    parser.add_argument("generator")
    parser.add_argument("--gate", action="store_true", help="exit 1 where a bound is passed")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("SKIP: valgrind is not installed")
        return SKIPPED
    passed = True
    for name, row in ROWS.items():
        found = measure(arguments.sensor, arguments.generator, row)
        holds = found <= row[4]
        print(f"{name:22} {found:8.0f} instructions a packet" +
              (f"  (at most {row[4]}{'' if holds else ': TOO MANY'})" if arguments.gate else ""), flush=True)
        passed &= holds
    return 0 if passed or not arguments.gate else 1


if __name__ == "__main__":
    sys.exit(main())
