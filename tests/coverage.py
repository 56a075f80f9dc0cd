#!/usr/bin/env python3
"""Line coverage of sensor/wire by the shared captures and the first inputs of the fuzz targets.

Builds the preset "coverage" (gcov), runs decode_corpus over the captures and each fuzz target over its first inputs
(committed, made out of the captures, built by the unit tests, made by the target), and prints a line a file and the
sum. What the unit tests themselves run does not count. Standard library only.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ = ROOT / "tests" / "fuzz"
FOLDER = "sensor/wire/"


def run(*command, **more):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command[:3]))}: exit {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def build(folder, jobs):
    """The fuzz targets of the room and what makes first inputs; nothing else."""
    run("cmake", "--preset", "coverage", cwd=ROOT)
    listed = run("ninja", "-C", folder, "-t", "targets", "all").splitlines()
    targets = sorted({line.split(":")[0] for line in listed if line.startswith("fuzz/fuzz_wire_")})
    tests = sorted({line.split(":")[0] for line in listed if line.startswith("tests/test_wire_")})
    run("ninja", "-C", folder, "-j", jobs, *targets, *tests, "bin/fuzz_seeds", "bin/decode_corpus")
    return [folder / target for target in targets], [folder / test for test in tests]


def run_all(folder, targets, tests, captures):
    for old in folder.glob("**/*.gcda"):
        old.unlink()
    run(folder / "bin" / "fuzz_seeds", FUZZ / "seeds.txt", folder / "seeds", *captures)
    for test in tests:
        run(test, env={**os.environ, "NETSCOPE_SEEDS": str(folder / "seeds")})
    for old in folder.glob("**/*.gcda"):  # what made the seeds does not count
        old.unlink()
    # One after the other: they add to the same counters. decode_corpus prints a line a capture.
    print(f"{len(captures)} captures, " + ", ".join(
        f"{target.name}: {run_target(folder, target)}" for target in targets))
    run(folder / "bin" / "decode_corpus", *captures)


def run_target(folder, target):
    inputs = [p for p in (FUZZ / "inputs" / target.name, folder / "seeds" / target.name) if p.is_dir()]
    return run(target, *inputs).strip()


def count_lines(folder, jobs):
    """{file: {line: how often}} over all objects of the room; a header's line counts where any object ran it."""
    objects = sorted((folder / FOLDER).glob("**/*.gcno"))

    def read(notes):
        done = subprocess.run(["gcov", "--json-format", "--stdout", str(notes)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True, cwd=folder)
        return json.loads(done.stdout)

    counts = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for report in pool.map(read, objects):
            for file in report["files"]:
                path = os.path.relpath(os.path.join(report["current_working_directory"], file["file"]), ROOT)
                if path.startswith(FOLDER):
                    lines = counts.setdefault(path, {})
                    for line in file["lines"]:
                        number = line["line_number"]
                        lines[number] = max(lines.get(number, 0), line["count"])
    return counts


def ranges(numbers):
    """[3, 4, 5, 9] as "3-5 9"."""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def main():
    parser = argparse.ArgumentParser(prog="./netscope coverage", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=pathlib.Path, default=ROOT.parent / "shared" / "corpus")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--least", type=float, default=90.0, metavar="PERCENT", help="exit 1 below it (90)")
    parser.add_argument("--lines", action="store_true", help="also print the lines that nothing reaches")
    arguments = parser.parse_args()

    folder = ROOT / "build" / "coverage"
    captures = sorted(p.resolve() for p in arguments.corpus.glob("*.pcap*") if p.is_file())
    targets, tests = build(folder, arguments.jobs)
    run_all(folder, targets, tests, captures)
    counts = count_lines(folder, arguments.jobs)
    all_lines = all_run = 0
    for path in sorted(counts):
        missed = [line for line, count in counts[path].items() if count == 0]
        lines = len(counts[path])
        all_lines += lines
        all_run += lines - len(missed)
        print(f"  {path:40} {lines:6} lines {100 * (lines - len(missed)) / max(lines, 1):6.1f} %" +
              (f"  not: {ranges(missed)}" if arguments.lines and missed else ""))
    percent = 100 * all_run / max(all_lines, 1)
    print(f"sensor/wire: {all_run} of {all_lines} lines, {percent:.1f} % (at least {arguments.least:g} %)"
          + ("" if captures else "; without captures"))
    return 0 if percent >= arguments.least else 1


if __name__ == "__main__":
    sys.exit(main())
