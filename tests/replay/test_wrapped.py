#!/usr/bin/env python3
"""What a sensor tells of a conversation does not depend on how its packets came.

Usage: test_wrapped.py SENSOR REPOSITORY [WAYS]. The small captures of NETSCOPE_CORPUS (../shared/corpus beside the repository; without
it the test is skipped, 77) are written anew by capture_wrap.py:
- in another link or tunnel, where all records must stay the same but for what names the way (MACs, VLANs, tunnel, bytes of frames);
- in other segments and in fragments, where applications, names, TLS, HTTP, SSH and DNS of each conversation must stay the same, and no
  conversation may come or go.
Each capture takes WAYS (2) of the links and tunnels and one rewrite, others by its number; WAYS 0: all of both.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import capture_wrap

PACKETS_MAX = 120
# What the frame alone decides, and what is new in each run.
WAY = {"sensor_id", "boot_id", "record_seq", "flow_id", "interface", "tunnel", "vlan_id", "outer_vlan_id", "mac", "delta_bytes", "total_bytes"}
TOLD = ("tls", "http", "ssh", "dns", "quic")
# Packets with headers that lie: what is around them may keep what they lose.
UNSOUND = ("malformed--", "quic--decrypt-crash")
# A certificate of SSL 2.0 is hashed where one segment has it whole.
EXCEPT = {("tls--sslv2.pcap", "in_halves", "tls"), ("tls--sslv2.pcap", "halves_swapped", "tls")}


def records_of(sensor, path, state):
    done = subprocess.run([sensor, "--read-pcap", path, "--quiet", "--no-anomalies", "--flows-jsonl", "-"], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "NETSCOPE_SENSOR__STATE_DIRECTORY": state}, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{path}: exit {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def without_way(value):
    if isinstance(value, dict):
        return {key: without_way(part) for key, part in value.items() if key not in WAY}
    return [without_way(part) for part in value] if isinstance(value, list) else value


def plain(records):
    return sorted(json.dumps(without_way(record), sort_keys=True) for record in records)


def facts_of(records):
    """Of each conversation what it said, of its last record that says it."""
    flows = {}
    for record in records:
        ends = sorted(((side["ip"], side.get("port", 0)) for side in (record["client"], record["server"])))
        flow = flows.setdefault((record["ip_protocol"], *ends), {})
        app = (record.get("app") or {}).get("protocol")
        if app:
            flow["app"] = app
        if record["server"].get("name"):
            flow["name"] = record["server"]["name"]
        for part in TOLD:
            if record.get(part):
                flow[part] = {key: value for key, value in record[part].items() if "time" not in key and "latency" not in key}
    return flows


def check_wrap(run, packets, base, name):
    link, wrap = capture_wrap.WRAPS[name]
    capture_wrap.write_frames(run["path"], packets, link, wrap)
    got = plain(records_of(run["sensor"], run["path"], run["state"]))
    return [] if got == base else [f"{len(base)} records became {len(got)}, of which {len(set(got) - set(base))} are others: "
                                   f"{next(iter(sorted(set(got) - set(base))), 'none')[:400]}"]


def check_rewrite(run, capture, packets, base, name):
    capture_wrap.write_frames(run["path"], capture_wrap.REWRITES[name](packets))
    got = facts_of(records_of(run["sensor"], run["path"], run["state"]))
    faults = [f"a conversation came or went: {key}" for key in sorted(set(base) ^ set(got), key=str)]
    for key in base.keys() & got.keys():
        for part in sorted(base[key].keys() | got[key].keys()):
            if base[key].get(part) != got[key].get(part) and (capture, name, part) not in EXCEPT:
                faults.append(f"{key} {part}: {base[key].get(part)} became {got[key].get(part)}")
    return faults


def some(names, number, count):
    names = sorted(names)
    return names if count == 0 else [names[(number * count + i) % len(names)] for i in range(count)]


def check_capture(run, path, number, ways):
    packets = capture_wrap.packets_of(path)
    if not 0 < len(packets) <= PACKETS_MAX or path.name.startswith(UNSOUND):
        return 0, []
    capture_wrap.write_frames(run["path"], packets)
    records = records_of(run["sensor"], run["path"], run["state"])
    base, facts = plain(records), facts_of(records)
    wraps = some(capture_wrap.WRAPS, number, ways)
    # Bytes that are not in the capture cannot be cut, and what a tunnel has inside is told by its first fragment alone.
    is_whole = not any(missing for _, _, missing in packets) and not any(record.get("tunnel") for record in records)
    rewrites = some(capture_wrap.REWRITES, number, 1 if ways else 0) if is_whole else []
    faults = [f"{name}: {fault}" for name in wraps for fault in check_wrap(run, packets, base, name)]
    for name in rewrites:
        faults += [f"{name}: {fault}" for fault in check_rewrite(run, path.name, packets, facts, name)]
    return len(wraps) + len(rewrites), faults


def main():
    sensor, repository = sys.argv[1], pathlib.Path(sys.argv[2])
    ways = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", repository / "../shared/corpus"))
    if not corpus.is_dir():
        print(f"SKIP: no captures at {corpus}")
        return 77
    runs, faults = 0, 0
    with tempfile.TemporaryDirectory() as directory:
        run = {"sensor": sensor, "path": pathlib.Path(directory, "capture.pcap"), "state": directory}
        for number, path in enumerate(sorted(corpus.glob("*.pcap*"))):
            count, found = check_capture(run, path, number, ways)
            runs += count
            faults += len(found)
            for fault in found:
                print(f"{path.name} {fault}")
    print(f"{runs} captures written anew, {faults} faults")
    return 1 if faults or runs < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
