"""Every capture of the corpus with 1, 2, 3, 8 and 16 shards: the same records, order aside, and no fault of the program.

usage: shards_agree.py --bin SENSOR [--corpus DIR] [--shards 1,2,3,8,16] [--jobs 2]

Left out of the comparison: record_seq, boot_id. With a sanitized program one number of shards is enough: --shards 1.
Exit 0: all agree; 1: some do not; 77: no corpus.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

LEFT_OUT = ("record_seq", "boot_id")


def records(program, path, shards):
    run = subprocess.run([program, "--read-pcap", str(path), "--quiet", "--shards", str(shards), "--flows-jsonl", "-"],
                         capture_output=True, timeout=600, check=False)
    rows = []
    for line in run.stdout.splitlines():
        record = json.loads(line)
        for name in LEFT_OUT:
            record.pop(name, None)
        rows.append(json.dumps(record, sort_keys=True))
    return run.returncode, sorted(rows), run.stderr.decode(errors="replace")


def check(program, path, shard_counts):
    """(name, fault or None, was compared)"""
    first = None
    is_compared = len(shard_counts) > 1
    for shards in shard_counts:
        status, rows, complaint = records(program, path, shards)
        if status not in (0, 1) or "ERROR: AddressSanitizer" in complaint or "runtime error:" in complaint:
            return path.name, f"--shards {shards}: exit {status}: {complaint[-2000:]}", is_compared
        if first is None:
            first = (status, rows)
        elif is_compared and (status, rows) != first:
            other = len(set(rows) ^ set(first[1]))
            return path.name, f"--shards {shards}: {other} records differ from those of --shards {shard_counts[0]}", True
    return path.name, None, is_compared


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--corpus", default=os.environ.get("NETSCOPE_CORPUS", "../shared/corpus"))
    parser.add_argument("--shards", default="1,2,3,8,16")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    captures = sorted(path for path in pathlib.Path(args.corpus).glob("*.pcap*"))
    counts = [int(text) for text in args.shards.split(",")]

    if not captures:
        print("SKIP: no captures")
        return 77
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda path: check(args.bin, path, counts), captures))
    faults = [(name, fault) for name, fault, _ in results if fault]
    for name, fault in faults:
        print(f"{name}: {fault}")
    print(f"{len(results)} captures, {sum(compared for _, _, compared in results)} compared, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
