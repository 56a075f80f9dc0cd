#!/usr/bin/env python3
"""Replays all first inputs of every fuzz target, then fuzzes; the parsers that changed last come first.

First inputs are those committed (tests/fuzz/inputs/TARGET), those made out of the shared captures (seeds.txt), what
the unit tests build, what earlier runs found (BUILD/corpus/TARGET), and those that a target makes itself. A crash is made small, shown, and ends
the run with 1 after all targets had their turn; tests/fuzz/README.md says what to do with it. Standard library only.
"""
import argparse
import base64
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Of one input; fuzz_bounds.c asserts finer bounds in CPU time and memory.
LIMITS = ["-timeout=10", "-rss_limit_mb=1024", "-malloc_limit_mb=512", "-max_len=4096"]
MINIMISE_SECONDS = 30
SHOWN_BYTES = 512


class Target:
    def __init__(self, program, build):
        self.program, self.name = program, program.name
        self.corpus = build / "corpus" / self.name
        self.corpus.mkdir(parents=True, exist_ok=True)
        self.inputs = [p for p in (HERE / "inputs" / self.name, build / "seeds" / self.name) if p.is_dir()]
        self.artifacts = build / "artifacts"
        self.changed = last_change(self.name)

    def run(self, *arguments, seconds):
        # libFuzzer keeps what it finds in the first folder.
        command = [self.program, *LIMITS, f"-artifact_prefix={self.artifacts}/{self.name}-", "-print_final_stats=1",
                   *arguments, self.corpus, *self.inputs]
        return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds)


def sources_of(name):
    """The target's own file and the parsers whose headers it includes."""
    files = []
    for cmake in HERE.glob("**/CMakeLists.txt"):
        for source in cmake.parent.glob("fuzz_*.c"):
            stem = source.stem.removeprefix("fuzz_")
            if name == source.stem or re.fullmatch(rf"fuzz_\w*_?{re.escape(stem)}", name):
                files.append(source)
                for header in re.findall(r'#include "((?:base|proto|sensor)/[\w/]+)\.h"', source.read_text()):
                    files += [p for p in (ROOT / f"{header}.c", ROOT / f"{header}.h") if p.exists()]
    return files


def last_change(name):
    """Unix time of the last commit to the target's files; 0 where nobody knows."""
    files = list(map(str, sources_of(name)))
    if not files:
        return 0
    done = subprocess.run(["git", "-C", str(ROOT), "log", "-1", "--format=%ct", "--", *files], capture_output=True,
                          text=True, check=False)
    return int(done.stdout.strip() or 0)


def make_seeds(build, corpus):
    for test in sorted((build / "tests").glob("test_wire_*")):  # what they build is kept
        subprocess.run([str(test)], capture_output=True, check=False,
                       env={**os.environ, "NETSCOPE_SEEDS": str(build / "seeds")})
    captures = sorted(p for p in corpus.glob("*.pcap*") if p.is_file())
    if not captures:
        print(f"no captures at {corpus}: only committed and made first inputs", flush=True)
        return
    done = subprocess.run([str(build / "bin" / "fuzz_seeds"), str(HERE / "seeds.txt"), str(build / "seeds"),
                           *map(str, captures)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"fuzz_seeds failed: {done.stderr}")
    sums = {}
    for line in done.stdout.splitlines():
        name, count = line.split()
        sums[name] = sums.get(name, 0) + int(count)
    print("out of captures: " + ", ".join(f"{name} {count}" for name, count in sums.items()), flush=True)


def show_crash(target, output):
    """Makes the input small and prints it as bytes to be built again."""
    found = re.search(r"Test unit written to (\S+)", output)
    print(f"\n{target.name}: FAILED\n" + "\n".join(output.splitlines()[-45:]), flush=True)
    if not found:
        return
    crash = pathlib.Path(found.group(1))
    small = crash.with_name(crash.name + ".small")
    try:
        subprocess.run([str(target.program), *LIMITS, "-minimize_crash=1", f"-max_total_time={MINIMISE_SECONDS}",
                        f"-exact_artifact_path={small}", str(crash)], capture_output=True, check=False,
                       timeout=MINIMISE_SECONDS * 4)
    except subprocess.TimeoutExpired:
        pass  # as small as it has become
    best = small if small.exists() else crash
    data = best.read_bytes()
    print(f"{target.name}: {best} ({len(data)} bytes); tests/fuzz/README.md says how it becomes a test")
    for at in range(0, min(len(data), SHOWN_BYTES), 16):
        print("    " + "".join(f"0x{byte:02x}, " for byte in data[at:at + 16]))
    print("    base64 " + base64.b64encode(data[:SHOWN_BYTES]).decode(), flush=True)


def in_turn(targets, jobs, work):
    """Runs `work` over the targets in order, some at once; the targets that failed."""
    failed = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for target, done in zip(targets, pool.map(work, targets)):
            if done.returncode != 0:
                failed.append((target, done.stdout))
    return failed


def share(targets, seconds):
    """Seconds of each: the third that changed last gets twice as much."""
    weights = [2 if i < (len(targets) + 2) // 3 else 1 for i in range(len(targets))]
    return {target.name: max(2, seconds * weight // sum(weights)) for target, weight in zip(targets, weights)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--corpus", type=pathlib.Path, default=ROOT.parent / "shared" / "corpus")
    parser.add_argument("--seconds", type=int, default=300, help="of fuzzing, summed over the targets")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="targets whose name matches")
    arguments = parser.parse_args()

    build = arguments.build.resolve()
    (build / "artifacts").mkdir(exist_ok=True)
    make_seeds(build, arguments.corpus)
    programs = sorted(p for p in (build / "fuzz").glob("fuzz_*") if os.access(p, os.X_OK) and
                      re.search(arguments.only, p.name))
    targets = sorted((Target(p, build) for p in programs), key=lambda target: -target.changed)
    if not targets:
        sys.exit("no fuzz targets")

    begun = time.monotonic()
    failed = in_turn(targets, arguments.jobs, lambda target: target.run("-runs=0", seconds=1800))
    print(f"replay: all first inputs of {len(targets)} targets in {time.monotonic() - begun:.0f} s, "
          f"{len(failed)} failed", flush=True)
    broken = {target.name for target, _ in failed}

    fuzzed = [target for target in targets if target.name not in broken]
    seconds = share(fuzzed, arguments.seconds) if fuzzed else {}
    begun = time.monotonic()
    failed += in_turn(fuzzed, arguments.jobs,
                      lambda target: target.run(f"-max_total_time={seconds[target.name]}",
                                                seconds=seconds[target.name] + 600))
    print(f"fuzzing: {time.monotonic() - begun:.0f} s; in this order: " +
          ", ".join(f"{target.name} {seconds[target.name]} s" for target in fuzzed), flush=True)
    for target, output in failed:
        show_crash(target, output)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
