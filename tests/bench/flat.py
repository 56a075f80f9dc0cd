"""Rows on memory, and on load that grows: what must not grow with it. Standard library only."""
import json
import os
import struct
import subprocess

from memory import touch_memory

SCAN_PORTS = (22, 80, 443, 3389)


def write_scan(path, hosts, packets):
    """SYNs of one source to `hosts` addresses, `packets` of them, 10,000 a second."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i in range(packets):
            ip = struct.pack(">BBHHHBBHII", 0x45, 0, 40, i & 0xffff, 0, 64, 6, 0, 0x0a000001,
                             0x0b000000 + i % hosts)
            tcp = struct.pack(">HHIIBBHHH", 40000 + i // hosts % 20000, SCAN_PORTS[i // hosts % 4], i, 0, 0x50, 2,
                              1024, 0, 0)
            frame = bytes.fromhex("020000000001020000000002" "0800") + ip + tcp
            out.write(struct.pack("<IIII", 1_700_000_000 + i // 10_000, i % 10_000 * 100, len(frame), len(frame)))
            out.write(frame)


def cost(command, packets):
    """CPU ns a packet and peak KiB of one run."""
    touch_memory()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) / packets * 1e9, usage.ru_maxrss


def compare(short, long, runs):
    """Medians of the ratios long by short, run in turns: CPU a packet, peak memory."""
    pairs = [(cost(*short), cost(*long)) for _ in range(runs)]
    middle = len(pairs) // 2
    return (sorted(b[0] / a[0] for a, b in pairs)[middle], sorted(b[1] / a[1] for a, b in pairs)[middle])


def generate(build, path, *arguments):
    """Packets in a file of netscope-traffic, made where it is not there."""
    truth = path + ".json"
    if not os.path.exists(truth):
        told = subprocess.run([f"{build}/bin/netscope-traffic", arguments[0], path, *arguments[1:]],
                              stderr=subprocess.PIPE, text=True, check=True).stderr
        with open(truth, "w", encoding="utf-8") as out:
            out.write(told)
    with open(truth, encoding="utf-8") as told:
        return json.load(told)["packets"]


def memory_of_flows(build, small, flows):
    """Bytes a flow: full by what the sensor grows with room for them, compact as --synthetic-flows tells."""
    sensor = f"{build}/bin/netscope-sensor"
    figures = {}
    if small is not None:
        run = [sensor, "--read-pcap", small, "--quiet", "--no-anomalies", "--max-flows"]
        figures["flow_bytes"] = (cost(run + [str(flows)], 1)[1] - cost(run + ["1024"], 1)[1]) * 1024 / flows
    told = subprocess.run([sensor, "--synthetic-flows", str(flows)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    for word, following in zip(told.split(), told.split()[1:]):
        if following.startswith("bytes") and word.replace(".", "").isdigit():
            figures["compact_bytes"] = float(word)
            break
    return figures


def growing_load(build, directory, packets, runs):
    """A SYN flood of a quarter of `packets` and of all of them; scans of 8,192 and 65,536 hosts. Detection on.

    100,000 a second: a million of them last as long as the windows of floods and scans, which fill in that time once.
    """
    sensor = f"{build}/bin/netscope-sensor"
    os.makedirs(directory, exist_ok=True)
    files = []
    for count in (packets // 4, packets):
        path = os.path.join(directory, f"slow-flood-{count}.pcap")
        there = generate(build, path, "flood", "-n", str(count), "-r", "100000")
        files.append(([sensor, "--read-pcap", path, "--quiet", "--max-flows", "65536"], there))
    figures = dict(zip(("flood_cpu", "flood_memory"), compare(*files, runs)))
    scans = []
    for hosts in (8_192, 65_536):
        path = os.path.join(directory, f"scan-{hosts}.pcap")
        if not os.path.exists(path):
            write_scan(path, hosts, 4 * 65_536)
        scans.append(([sensor, "--read-pcap", path, "--quiet", "--max-flows", "65536"], 4 * 65_536))
    figures.update(zip(("scan_cpu", "scan_memory"), compare(*scans, runs)))
    return figures


def many_flows(build, directory, small, runs):
    """6.8 M live flows by the 1 M of small; {} where the machine has less than 8 GiB free."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    if free < 8 << 20:
        print("  SKIP: 6.8 M flows need 8 GiB of free memory")
        return {}
    path = os.path.join(directory, "small-6800000.pcap")
    there = generate(build, path, "small", "-n", "15000000", "-f", "6800000")
    run = [f"{build}/bin/netscope-sensor", "--quiet", "--no-anomalies", "--max-flows", "8000000", "--read-pcap"]
    return {"many_flows": compare((run + [small[0]], small[1]), (run + [path], there), runs)[0]}
