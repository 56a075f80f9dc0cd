#!/usr/bin/env python3
"""What happens to the segments of real captures, against tshark's analysis in the truth files, and conn_state and history
against Zeek's logs where the captures' projects keep such.

    tcp_analysis.py SENSOR REPOSITORY

Reads the shared captures from NETSCOPE_CORPUS (../shared/corpus by default); exit 77 where they are not there.
docs/accuracy.md says where the two are different things by definition.
"""
import collections
import json
import os
import pathlib
import subprocess
import sys

# tshark's name: our field, the share by which the sums over all captures may differ, captures left out with the reason
SAME = "the same connections twice, with the clock set back between: two flows here"
COUNTS = {
    "keep_alive": ("keepalives", 0.0, {}),
    "spurious_retransmission": ("spurious_retransmissions", 0.15, {"tls--206pkts-29flows-snaplen": SAME}),
    "fast_retransmission": ("fast_retransmissions", 0.4, {
        "tcp--wireshark-retrans": "every packet is there three times: copies of ACKs, and no data under way",
        "tcp--zero-window-206-ranges": "its holes are told by SACK; tshark takes what fills them for out of order",
        "tcp--whatsapp-files-620pkts": "the same"}),
    "window_full": ("window_full_events", 0.0, {}),
    "zero_window_probe": ("zero_window_probes", 0.0, {}),
}


def flows_of(sensor, capture):
    result = subprocess.run([sensor, "--read-pcap", str(capture), "--quiet", "--flows-jsonl", "-", "--flow-timeout-s", "3600"],
                            capture_output=True, timeout=120, check=False)
    records = (json.loads(line) for line in result.stdout.decode("utf-8").splitlines())
    return [record for record in records if record["event"] == "FLOW_EVENT_END" and "tcp" in record]


def add_counts(flows, truth, name, sums):
    for key, (field, _, without) in COUNTS.items():
        if name in without:
            continue
        sums[key][0] += (truth["summary"].get("tcp_analysis") or {}).get(key, 0)
        sums[key][1] += sum(int(flow["tcp"].get(side, {}).get(field, 0)) for flow in flows for side in ("forward", "reverse"))


def compare_zeek(flows, truth, seen):
    """Of connections that Zeek and we cut alike: equal number of packets on both sides."""
    by_ends = collections.defaultdict(list)
    for flow in flows:
        by_ends[flow["client"]["ip"], str(flow["client"]["port"]), flow["server"]["ip"], str(flow["server"]["port"])].append(flow)
    for log in (truth.get("peers") or {}).get("zeek", []):
        for connection in log.get("conn", []):
            if connection.get("proto") != "tcp":
                continue
            ends = tuple(connection[key] for key in ("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"))
            packets = (connection.get("orig_pkts"), connection.get("resp_pkts"))
            for flow in by_ends[ends]:
                if packets == tuple(flow.get(side, {}).get("total_packets", "0") for side in ("forward", "reverse")):
                    seen["compared"] += 1
                    seen["conn_state"] += flow["tcp"]["conn_state"] == connection.get("conn_state")
                    seen["history"] += flow["tcp"]["history"] == connection.get("history", "")
                    break


def main():
    sensor, repository = sys.argv[1:3]
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", pathlib.Path(repository).parent / "shared" / "corpus"))
    if not (corpus / "truth").is_dir():
        print(f"SKIP: no captures in {corpus}; set NETSCOPE_CORPUS to the folder of the shared test data")
        return 77
    sums, seen, faults = collections.defaultdict(lambda: [0, 0]), collections.Counter(), []
    for path in sorted((corpus / "truth").glob("*.json")):
        truth = json.loads(path.read_text(encoding="utf-8"))
        captures = list(corpus.glob(path.stem + ".pcap*"))
        if captures and truth["summary"].get("tcp_conversations"):
            flows = flows_of(sensor, captures[0])
            add_counts(flows, truth, path.stem, sums)
            compare_zeek(flows, truth, seen)
    for key, (_, share, _) in COUNTS.items():
        theirs, ours = sums[key]
        print(f"{key}: tshark {theirs}, sensor {ours}")
        if abs(ours - theirs) > share * max(theirs, 1) + 0.5:
            faults.append(f"{key}: {ours} is not within {share:.0%} of {theirs}")
    print(f"Zeek: {seen['compared']} connections, conn_state equal in {seen['conn_state']}, history in {seen['history']}")
    if seen["compared"] < 10 or seen["conn_state"] < seen["compared"] or seen["history"] < seen["compared"]:
        faults.append("conn_state or history are not as Zeek has them")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
