#!/usr/bin/env python3
"""CPU per packet of the sensor beside other tools, in one run on one machine. Standard library only.

Each tool reads each workload N times, in turns (tool A, tool B, ..., tool A, ...), so that all meet the same
machine. The figure is CPU (user and system, of the process and its children) per packet, the median of the runs;
ratios are medians of the ratios within one turn. Absolute figures of different runs are not comparable.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import flat
import goals
from memory import touch_memory
from stream import run_stream

WORKLOADS = {  # name: (packets, packets with --quick)
    "small": (10_000_000, 500_000),
    "mix": (3_500_000, 300_000),
    "flood": (5_000_000, 300_000),
}
QUICK_FLOWS = {"small": 50_000, "mix": 20_000, "flood": 0}
COMPACT = ["NETSCOPE_ANALYSIS__RTT=false", "NETSCOPE_ANALYSIS__RETRANS=false",
           "NETSCOPE_ANALYSIS__OUT_OF_ORDER=false"]
REFERENCE = "libpcap alone"
MAX_FLOWS = 6_000_000  # more than any workload has: nobody may save work by dropping flows


def fail(text):
    sys.exit(f"bench: {text}")


class Tool:
    def __init__(self, name, command, environment=(), absent=None, remark=""):
        self.name, self.command, self.absent, self.remark = name, command, absent, remark
        self.environment = dict(pair.split("=", 1) for pair in environment)


def find(program):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    return found, None if found else f"{program} is not installed"


def tools(build, scratch, file):
    sensor = [f"{build}/bin/netscope-sensor", "--read-pcap", file, "--quiet", "--max-flows", str(MAX_FLOWS)]
    tcpdump, no_tcpdump = find("tcpdump")
    softflowd, no_softflowd = find("softflowd")
    nfpcapd, no_nfpcapd = find("nfpcapd")
    detection_off = "--no-anomalies"
    no_sensor = None if os.access(sensor[0], os.X_OK) else "netscope-sensor is not built"
    out = os.path.join(scratch, "nfpcapd")
    os.makedirs(out, exist_ok=True)
    return [
        Tool(REFERENCE, [f"{build}/bin/pcap_loop", file]),
        Tool("netscope, 1 shard", sensor + [detection_off], absent=no_sensor, remark="flows, TCP, DNS, SNI; records made"),
        Tool("netscope, detection on", sensor, absent=no_sensor),
        Tool("netscope, flows to JSON", sensor + [detection_off, "--flows-jsonl", "/dev/null"], absent=no_sensor),
        Tool("netscope, 2 shards", sensor + [detection_off, "--shards", "2"], absent=no_sensor),
        Tool("netscope, compact", sensor + [detection_off], COMPACT, absent=no_sensor, remark="counters, TCP state"),
        Tool("tcpdump -w /dev/null", [tcpdump, "-r", file, "-w", "/dev/null"], absent=no_tcpdump, remark="a copy, no flows"),
        Tool("softflowd", [softflowd, "-r", file, "-m", str(MAX_FLOWS), "-d", "-6", "-T", "vlan"], absent=no_softflowd, remark="no export; -6 -T vlan, else it skips a fifth of mix"),
        Tool("nfpcapd", [nfpcapd, "-r", file, "-l", out], absent=no_nfpcapd, remark="one-way flows, writes a file"),
    ]


def measure(tool):
    """CPU seconds, peak memory (KiB) and seconds of one run."""
    touch_memory()
    start = time.monotonic()
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(tool.command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages,
                                   env={**os.environ, **tool.environment})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            messages.seek(0)
            fail(f"{' '.join(tool.command)}: exit {process.returncode}\n{messages.read()[-2000:].decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss, time.monotonic() - start


def make_workload(name, directory, build, quick):
    """The file's path and how many packets it has."""
    ready = os.environ.get("NETSCOPE_BENCH_DIR")
    if ready:
        for candidate in (f"{name}.pcap", {"small": "w1", "mix": "w2", "flood": "w3"}[name] + ".pcap"):
            if os.path.exists(os.path.join(ready, candidate)):
                return os.path.join(ready, candidate), None
        fail(f"NETSCOPE_BENCH_DIR={ready}: there is no {name}.pcap")
    os.makedirs(directory, exist_ok=True)
    file = os.path.join(directory, f"{name}{'-quick' if quick else ''}.pcap")
    truth = file + ".json"
    generator = f"{build}/bin/netscope-traffic"
    if not os.path.exists(truth) or os.path.getmtime(truth) < os.path.getmtime(generator):
        print(f"making {file}", flush=True)
        command = [generator, name, file, "-n", str(WORKLOADS[name][1 if quick else 0])]
        if quick and QUICK_FLOWS[name]:
            command += ["-f", str(QUICK_FLOWS[name])]
        result = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            fail(result.stderr.strip())
        with open(truth, "w", encoding="utf-8") as out:
            out.write(result.stderr)
    return file, json.load(open(truth, encoding="utf-8"))["packets"]


def count_packets(build, file):
    return int(subprocess.run([f"{build}/bin/pcap_loop", file], stdout=subprocess.PIPE, check=True, text=True).stdout.split()[0])


def run_workload(name, file, packets, build, scratch, runs):
    todo = tools(build, scratch, file)
    present = [tool for tool in todo if tool.absent is None]
    for tool in present[:1]:
        measure(tool)  # the file into the page cache
    cpu = {tool.name: [] for tool in present}
    wall = {tool.name: [] for tool in present}
    memory = {tool.name: 0 for tool in present}
    for _ in range(runs):
        for tool in present:
            seconds, peak, passed = measure(tool)
            cpu[tool.name].append(seconds)
            wall[tool.name].append(passed)
            memory[tool.name] = max(memory[tool.name], peak)
    print(f"\n{name}: {packets:,} packets, {os.path.getsize(file) / 1e6:.0f} MB, {runs} runs in turns, medians")
    print(f"  {'':26} {'ns/packet':>9} {'x libpcap':>9} {'x netscope':>10} {'peak MiB':>9}")
    results = {}
    for tool in todo:
        if tool.absent:
            print(f"  {tool.name:26} SKIP: {tool.absent}")
            continue
        ns = statistics.median(cpu[tool.name]) / packets * 1e9
        to_reference = statistics.median(a / b for a, b in zip(cpu[tool.name], cpu[REFERENCE]))
        ours = cpu.get("netscope, 1 shard")
        to_ours = statistics.median(a / b for a, b in zip(cpu[tool.name], ours)) if ours else float("nan")
        print(f"  {tool.name:26} {ns:9.0f} {to_reference:9.2f} {to_ours:10.2f} {memory[tool.name] / 1024:9.0f}  {tool.remark}")
        results[tool.name] = {"ns_per_packet": ns, "ratio_to_libpcap": to_reference, "ratio_to_netscope": to_ours,
                              "peak_kib": memory[tool.name], "cpu": cpu[tool.name], "wall": wall[tool.name]}
    return results


# Bench programs of the rooms: their lines are shown as they are.
PROGRAMS = [
    ("wire_bench", "decode: the plain walk and tunnels"),
    ("reader_bench", "capture files: own readers beside libpcap"),
    ("flow_table_bench", "flow table"),
    ("codec_bench", "records: encode and decode"),
    ("grpc_bench", "gRPC records"),
    ("tls_bench", "TLS and QUIC handshakes"),
    ("store_bench", "the collector's store: records into it"),
]
KAFKA_RECORDS, KAFKA_RATE = 1_000_000, 200_000


def run_programs(build, printed):
    """`printed` takes the output of each, by its name."""
    for program, title in PROGRAMS:
        path = f"{build}/bin/{program}"
        print(f"\n{title} ({program})")
        if not os.access(path, os.X_OK):
            print("  SKIP: not built")
            continue
        result = subprocess.run([path],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=600)
        printed[program] = result.stdout
        for line in result.stdout.splitlines():
            print(f"  {line}")
        if result.returncode != 0:
            fail(f"{program}: exit {result.returncode}")


def run_instructions(build, printed):
    """Instructions a packet, on short workloads (instructions.py)."""
    print("\ninstructions a packet (callgrind)")
    result = subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "instructions.py"),
                             f"{build}/bin/netscope-sensor", f"{build}/bin/netscope-traffic"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=1200)
    printed["instructions"] = result.stdout
    print("\n".join(f"  {line}" for line in result.stdout.splitlines()))
    if result.returncode not in (0, 77):
        fail(f"instructions.py: exit {result.returncode}")


def run_flat(build, directory, small, arguments, runs):
    """Memory of flows, and load that grows (flat.py): single figures by name."""
    print("\nmemory of flows, and load that grows (flat.py)", flush=True)
    quick = arguments.quick
    extras = flat.memory_of_flows(build, small[0] if small else None, QUICK_FLOWS["small"] if quick else 1_000_000)
    packets = 200_000 if quick else 10_000_000 if arguments.large else 4_000_000
    extras.update(flat.growing_load(build, directory, packets, 1 if quick else min(runs, 3)))
    if arguments.large and small and not quick:
        extras.update(flat.many_flows(build, directory, small, 1))
    for name, value in extras.items():
        print(f"  {name:16} {value:.2f}")
    return extras


def run_inspect(build, file, printed):
    """What the applications' parsers cost on this workload."""
    program = f"{build}/bin/inspect_bench"
    print("\napplication parsers, with and without (inspect_bench)")
    if file is None or not os.access(program, os.X_OK):
        print("  SKIP: not built, or the workload mix was not asked for")
        return
    result = subprocess.run([program, file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=600)
    printed["inspect_bench"] = result.stdout
    print(f"  {result.stdout.strip()}")
    if result.returncode != 0:
        fail(f"inspect_bench: exit {result.returncode}")


def run_kafka(build):
    """Records to a cluster of three mock brokers in another process; librdkafka alone in the same run."""
    bench, mock = f"{build}/bin/kafka_bench", f"{build}/tests/kafka-mock"
    print("\nrecords to Kafka (kafka_bench)")
    if not os.access(bench, os.X_OK) or not os.access(mock, os.X_OK):
        print("  SKIP: not built")
        return
    cluster = subprocess.Popen([mock, "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    brokers = cluster.stdout.readline().strip()
    for layout in ("flows", "flowrows", "flows-packed", "flowrows-packed"):
        cluster.stdin.write(f"topic netscope.{layout}.v1 6\n")
        cluster.stdout.readline()
    result = subprocess.run([bench, brokers, str(KAFKA_RECORDS), str(KAFKA_RATE)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    cluster.stdin.close()
    cluster.wait(timeout=30)
    print(result.stdout, end="")
    if result.returncode != 0:
        fail(f"kafka_bench: exit {result.returncode}")


def run_live(build):
    """Live capture in a network namespace of its own; says why where it cannot."""
    subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "live.py"), build])


def run_evidence(build, files, runs):
    """What it costs to keep packets for alerts: the sensor with its servers on, without and with them."""
    for name in ("mix", "flood"):
        if name not in files or not os.access(f"{build}/bin/netscope-sensor", os.X_OK):
            continue
        command = [f"{build}/bin/netscope-sensor", "--read-pcap", files[name][0], "--quiet", "--max-flows", str(MAX_FLOWS)]
        serving = ["NETSCOPE_GRPC__ENABLED=on", "NETSCOPE_GRPC__LISTEN=127.0.0.1:0", "NETSCOPE_GRPC__UNIX_SOCKET="]
        off = Tool("off", command, serving + ["NETSCOPE_PACKETS__EVIDENCE_BUFFER=0"])
        on = Tool("on", command, serving)
        ratios = [1 / (measure(off)[0] / measure(on)[0]) for _ in range(runs)]
        print(f"packets kept for alerts, {name}: {statistics.median(ratios):.3f}x of none kept (detection on)")


def main():
    parser = argparse.ArgumentParser(prog="./netscope bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="short workloads: does the bench work at all?")
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="turns (5, quick: 3)")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write all figures here")
    parser.add_argument("--no-programs", action="store_true", help="only the tools, not the rooms' own programs")
    parser.add_argument("--large", action="store_true", help="10 M SYNs and 6.8 M live flows too (8 GiB, minutes)")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    arguments = parser.parse_args()

    sys.stdout.reconfigure(line_buffering=True)
    runs = arguments.runs or (3 if arguments.quick else 5)
    build = arguments.build
    directory = os.environ.get("NETSCOPE_BENCH_DIR") or os.path.join(os.path.dirname(build) or ".", "bench")
    results, files, printed, extras = {}, {}, {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.workload or WORKLOADS:
            file, packets = make_workload(name, directory, build, arguments.quick)
            packets = packets or count_packets(build, file)
            files[name] = (file, packets)
            results[name] = run_workload(name, file, packets, build, scratch, runs)
    if not arguments.no_programs:
        run_programs(build, printed)
        run_inspect(build, files["mix"][0] if "mix" in files else None, printed)
        run_instructions(build, printed)
        extras = run_flat(build, directory, files.get("small"), arguments, runs)
        run_stream(build, arguments.quick)
        run_kafka(build)
        run_evidence(build, files, runs)
        run_live(build)
    table = goals.judge(results, printed, extras)
    table.show()
    if arguments.quick:
        print("short workloads: starting the programs is most of it, so these verdicts say nothing about speed")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as out:
            json.dump({"tools": results, "extras": extras, "goals": table.rows}, out, indent=1)
    return 0 if table.missed == 0 or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
