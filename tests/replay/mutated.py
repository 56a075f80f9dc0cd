#!/usr/bin/env python3
"""Copies of the shared captures with what captures suffer from, through the sensor at several numbers of shards, packed and in two
files, and against tshark.

    mutated.py SENSOR REPOSITORY [--every N] [--seed N] [--shards 1,2,16] [--show]

Of every copy: records are the same for all numbers of shards, from a packed file, and, where its times go up, from two files; the sums of
packets and bytes of its TCP and UDP connections are tshark's, those with fragments left out, which tshark counts in no connection. Every N-th capture of a folder is taken, the offset by the seed. Exit 77 without captures or tshark.
"""
import argparse
import collections
import gzip
import os
import pathlib
import random
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
import capture_edit
import shards_agree
import tshark_flows

PACKETS_MAX = 3000  # of each capture


def shuffled(packets, chance):
    """Each packet up to 5 ms later."""
    return sorted(packets, key=lambda packet: packet[1] + chance.randrange(5000))


def with_shuffled_times(packets, chance):
    """In the order of the file, times up to 5 ms off."""
    return [(link, time + chance.randrange(5000), wire, data) for link, time, wire, data in packets]


def dropped(packets, chance):
    return [packet for packet in packets if chance.random() >= 0.01]


def doubled(packets, chance):
    return [copy for packet in packets for copy in [packet] * (1 + (chance.random() < 0.01))]


def seen_twice(packets, _):
    """A switch that shows both ways of a port."""
    return [(link, time + step, wire, data) for link, time, wire, data in packets for step in (0, 20)]


def cut(packets, chance):
    length = chance.choice((60, 96, 128))
    return [(link, time, wire, data[:length]) for link, time, wire, data in packets]


def clock_set_back(packets, _):
    """By three seconds, in the middle."""
    half = len(packets) // 2
    return packets[:half] + [(link, time - 3000000, wire, data) for link, time, wire, data in packets[half:]]


def from_the_middle(packets, _):
    return packets[len(packets) // 3:]


def one_way(packets, _):
    """Packets whose IP addresses stand in this order, where there are some."""
    def is_kept(link, data):
        at = capture_edit.ip_of(link, data)
        if at is None or len(data) < at + 40:
            return True
        first, size = (at + 12, 4) if data[at] >> 4 == 4 else (at + 8, 16)
        return data[first:first + size] < data[first + size:first + 2 * size]
    return [packet for packet in packets if is_kept(packet[0], packet[3])]


MUTATIONS = (shuffled, with_shuffled_times, dropped, doubled, seen_twice, cut, clock_set_back, from_the_middle, one_way)


# Files are merged by the times in them, so these are in another order in two files.
OUT_OF_TIME = (shuffled, with_shuffled_times, clock_set_back)


def packed(path):
    """The same packed with gzip: read by other code, and without a place to go back to."""
    target = path.with_suffix(".pcap.gz")
    with gzip.open(target, "wb", compresslevel=1) as file:
        file.write(path.read_bytes())
    return target


def self_faults(sensor, path, shard_counts):
    status, rows, complaint = shards_agree.records(sensor, path, shard_counts[0])
    faults = []
    if status not in (0, 1) or "runtime error:" in complaint or "AddressSanitizer" in complaint:
        return [f"exit {status}: {complaint[-500:]}"]
    for shards in shard_counts[1:]:
        if shards_agree.records(sensor, path, shards)[:2] != (status, rows):
            faults.append(f"--shards {shards}: other records than --shards {shard_counts[0]}")
    again = [row.replace(".pcap.gz", ".pcap") for row in shards_agree.records(sensor, packed(path), shard_counts[0])[1]]
    if sorted(again) != rows:
        faults.append("packed: other records than plain")
    return faults


def whole_and_halves(sensor, path, packets, folder):
    """Records of a capture in two files, one behind the other, are those of the whole."""
    half = len(packets) // 2
    parts = [folder / "part-1.pcap", folder / "part-2.pcap"]
    for part, some in zip(parts, (packets[:half], packets[half:])):
        capture_edit.write(part, packets[0][0], [(time, wire, data) for _, time, wire, data in some])
    sums = []
    for files in ([path], parts):
        flows = tshark_flows.flows_of(sensor, files[0], *(["--read-pcap", files[1]] if files[1:] else []))
        sums.append(sorted((flow["flow_id"], tshark_flows.total(flow, "packets"), flow.get("tcp", {}).get("history", "")) for flow in flows))
    return [] if sums[0] == sums[1] else ["in two files: other flows than in one"]


def tuple_sums(connections):
    """{(protocol, end, end): [packets, bytes]}: port reuse and idle times cut connections in other ways."""
    sums = collections.defaultdict(lambda: [0, 0])
    for key, packets, size in connections:
        sums[key][0] += packets
        sums[key][1] += size
    return dict(sums)


def tuple_of(flow):
    ends = [(flow[side]["ip"], flow[side]["port"]) for side in ("client", "server")]
    return tshark_flows.key_of("tcp" if flow["ip_protocol"] == 6 else "udp", *ends)


def compare_tshark(sensor, path, found):
    flows = tshark_flows.flows_of(sensor, path)
    fragmented = {tuple_of(flow) for flow in flows if "FLOW_FLAG_FRAGMENTS_SEEN" in flow.get("flags", ())}
    theirs = tuple_sums((tshark_flows.key_of(c.protocol, *c.ends), sum(c.packets), sum(c.bytes))
                        for c in tshark_flows.connections_of(path))
    ours = tuple_sums((tuple_of(f), sum(tshark_flows.total(f, "packets")), sum(tshark_flows.total(f, "bytes"))) for f in flows)
    for key, value in theirs.items():
        if key in fragmented:
            continue
        found["connections"].told += 1
        found["connections"].same += key in ours
        if key not in ours:
            found["connections"].differ.append((path.name, key, value))
        else:
            found["packets and bytes"].told += 1
            found["packets and bytes"].same += ours[key] == value
            if ours[key] != value:
                found["packets and bytes"].differ.append((path.name, key, value, ours[key]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sensor")
    parser.add_argument("repository")
    parser.add_argument("--every", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", default="1,2,16")
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", pathlib.Path(args.repository).resolve().parent / "shared" / "corpus"))
    captures = sorted(corpus.glob("*.pcap*"))[args.seed % args.every::args.every]
    if not captures or shutil.which("tshark") is None:
        print(f"SKIP: {'tshark is not installed' if captures else f'no captures in {corpus}; set NETSCOPE_CORPUS'}")
        return 77
    counts = [int(text) for text in args.shards.split(",")]
    faults, copies, found = [], 0, collections.defaultdict(tshark_flows.Agreement)
    with tempfile.TemporaryDirectory(prefix="netscope-mutated-") as temporary:
        folder = pathlib.Path(temporary)
        for capture in captures:
            original = capture_edit.read(capture)[:PACKETS_MAX]
            if len({packet[0] for packet in original}) != 1:
                continue
            for mutation in MUTATIONS:
                chance = random.Random(f"{args.seed} {capture.name} {mutation.__name__}")
                packets = [packet for packet in mutation(original, chance) if packet[1] >= 0]
                path = folder / f"{capture.stem}--{mutation.__name__}.pcap"
                capture_edit.write(path, original[0][0], [(time, wire, data) for _, time, wire, data in packets])
                faults += [f"{path.name}: {fault}" for fault in self_faults(args.sensor, path, counts)]
                if packets and mutation not in OUT_OF_TIME:
                    faults += [f"{path.name}: {fault}" for fault in whole_and_halves(args.sensor, path, packets, folder)]
                compare_tshark(args.sensor, path, found)
                copies += 1
    tshark_flows.report(found)
    for name, agreement in found.items():
        if agreement.share() < 0.97:
            faults.append(f"{name}: {agreement.share():.2%} agree")
        for row in agreement.differ if args.show else []:
            print(name, *row)
    print("\n".join(faults))
    print(f"{len(captures)} captures, {copies} copies, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
