"""Connections of the kernel's own stack over a wire with faults: what the sensor says of each, against the kernel's own count of what
it sent again (TCP_INFO), against what the programs sent, and against tshark.

    accuracy.py [--connections 320] [--profiles loss1,loss5] [--keep FOLDER]    the long run: about 20 s for each profile

test_accuracy.py runs a part of it. docs/accuracy.md has the figures of the long run. Root only.
"""
import argparse
import collections
import os
import random
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "replay")]
import tshark_flows
from support.programs import SENSOR
from support.two_hosts import TwoHosts, need

PROFILES = {
    "clean": {},
    "delay": {"delay_ms": 10},
    "loss1": {"delay_ms": 5, "loss": 0.01},
    "loss5": {"delay_ms": 5, "loss": 0.05},
    "reorder": {"delay_ms": 8, "reorder": 0.03},
    "copies": {"delay_ms": 5, "duplicate": 0.02},
    "rate": {"delay_ms": 5, "rate_mbit": 20, "queue": 20},
    "jitter": {"delay_ms": 10, "jitter_ms": 10},
    "all": {"delay_ms": 15, "jitter_ms": 5, "loss": 0.02, "duplicate": 0.01, "reorder": 0.02},
    "no-timestamps": {"delay_ms": 10, "loss": 0.02, "sysctl": ["net.ipv4.tcp_timestamps=0"]},
    "no-sack": {"delay_ms": 10, "loss": 0.02, "sysctl": ["net.ipv4.tcp_sack=0"]},
    "no-scale": {"delay_ms": 10, "loss": 0.02, "sysctl": ["net.ipv4.tcp_window_scaling=0"]},
    "ecn": {"delay_ms": 5, "loss": 0.01, "sysctl": ["net.ipv4.tcp_ecn=1"]},
    "offload": {"delay_ms": 5, "loss": 0.01, "offload": True},
    "ipv6": {"delay_ms": 7, "loss": 0.02, "reorder": 0.01, "ip": 6},
    "cubic": {"delay_ms": 10, "loss": 0.02, "reorder": 0.01, "sysctl": ["net.ipv4.tcp_congestion_control=cubic"]},
    "reno": {"delay_ms": 10, "loss": 0.02, "sysctl": ["net.ipv4.tcp_congestion_control=reno"]},
}
# Least share of connections that agree. Not among them, for tshark means something else (docs/accuracy.md): fast retransmissions, out of
# order apart from retransmissions, duplicate ACKs.
BOUNDS = {"connections": 0.97, "packets": 1.0, "bytes": 1.0, "payload": 1.0, "client": 1.0, "flags": 1.0, "handshake": 0.99,
          "least client round trip": 0.95, "least server round trip": 0.95, "keep-alives": 0.97, "any zero window": 0.97,
          "lost segments": 0.97, "retransmissions or out of order": 0.9, "spurious retransmissions": 0.9, "window full": 0.9,
          "sent again, by the kernel": 0.97, "bytes, by the program": 1.0, "round trip above the delay": 0.97}


def simple(choose, kind):
    size = choose.randint(20000, 400000)
    return {
        "request": {"send": 300, "read": 4000, "rounds": 5, "server": {"read": 300, "send": 4000, "rounds": 5}},
        "down": {"read": size, "server": {"send": size}},
        "up": {"send": size, "server": {"read": size}},
        "both": {"send": 30000, "read": 30000, "rounds": 3, "server": {"read": 30000, "send": 30000, "rounds": 3}},
        "small": {"send": 1200, "chunk": 40, "pause": 0.004, "server": {"read": 1200}},
        "slow reader": {"read": 60000, "read_chunk": 2000, "read_pause": 0.05, "receive_buffer": 4096, "wait": 0.8,
                        "server": {"send": 60000}},
        "slow server": {"send": 40000, "server_port": 7002,
                        "server": {"read": 40000, "wait": 1.2, "read_chunk": 3000, "read_pause": 0.02}},
        "client aborts": {"send": 500, "read": 3000, "end": "rst", "server": {"read": 500, "send": 3000}},
        "server aborts": {"send": 500, "server": {"read": 500, "send": 200, "end": "rst"}},
        "refused": {"server_port": 7999},
        "half closed": {"send": 3000, "server": {"read": 3000, "wait": 0.2}},
        "keep-alive": {"send": 100, "read": 100, "keepalive": True, "rest": 2.5, "server": {"read": 100, "send": 100}},
        "fast open": {"send": 100, "read": 5000, "fast_open": True, "server": {"read": 100, "send": 5000}},
        "wrap": {"send": 60000, "read": 30000, "initial_seq": 2**32 - choose.randint(1, 40000),
                 "server": {"read": 60000, "send": 30000}},
        "server closes": {"send": 100, "end": "server", "server": {"read": 100, "send": 20000, "end": "fin"}},
    }[kind]


KINDS = ("request", "down", "up", "both", "small", "slow reader", "slow server", "client aborts", "server aborts", "refused",
         "half closed", "keep-alive", "fast open", "wrap", "server closes")


def orders_of(count, seed):
    choose = random.Random(seed)
    return [{"kind": KINDS[i % len(KINDS)], **simple(choose, KINDS[i % len(KINDS)])} for i in range(count)]


def note(found, name, ends, theirs, ours, is_same):
    agreement = found[name]
    agreement.told += 1
    agreement.same += bool(is_same)
    if not is_same:
        agreement.differ.append((ends, theirs, ours))


def told_once(both):
    """TCP pairs whose ports no other connection had."""
    times = collections.Counter((flow["client"]["port"], flow["server"]["port"]) for _, flow in both)
    return [(connection, flow) for connection, flow in both
            if connection.protocol == "tcp" and times[flow["client"]["port"], flow["server"]["port"]] == 1]


def compare_kernel(found, both, told, side):
    """Retransmissions of one side, captured where it sends: every one of them is in the capture."""
    kernel = {(entry["port"], entry["server_port"]): entry["tcp"]["retransmitted"] for entry in told if "tcp" in entry}
    for connection, flow in both:
        key = flow["client"]["port"], flow["server"]["port"]
        ours = tshark_flows.counted(flow, "retransmitted_segments")[side]
        if key in kernel and (kernel[key] or ours):
            note(found, "sent again, by the kernel", connection.ends, kernel[key], ours, kernel[key] == ours)
            theirs = tshark_flows.analysed(connection, "retransmissions")[side]
            note(found, "the same, says tshark", connection.ends, kernel[key], theirs, kernel[key] == theirs)


def compare_programs(found, both, told, faults):
    """Bytes that the client sent (payload, less what was sent again), and the handshake against the wire's delay."""
    sent = {(entry["port"], entry["server_port"]): entry["sent"] for entry in told if "error" not in entry}
    least = 2 * faults.get("delay_ms", 0) / 1e3
    for connection, flow in both:
        theirs = sent.get((flow["client"]["port"], flow["server"]["port"]))
        if theirs is None:
            continue
        ours = tshark_flows.total(flow, "payload_bytes")[0] - tshark_flows.counted(flow, "retransmitted_bytes")[0]
        note(found, "bytes, by the program", connection.ends, theirs, ours, theirs == ours)
        # a SYN sent again: since the last one, whichever of them was answered
        if least and "handshake_time" in flow["tcp"] and tshark_flows.counted(flow, "syn_count") == [1, 1]:
            ours = tshark_flows.seconds(flow["tcp"]["handshake_time"])
            note(found, "round trip above the delay", connection.ends, least, ours, least * 0.98 <= ours)


def measure(folder, name, connections, seed=1):
    """{quantity: Agreement} of one profile."""
    faults = {"seed": seed, **PROFILES[name]}
    with TwoHosts(folder, faults) as hosts:
        captures = [hosts.capture(side) for side in ("left", "right")]
        clients, server = hosts.talk(orders_of(connections, seed), faults.get("ip", 4))
        hosts.end_captures()
    found = collections.defaultdict(tshark_flows.Agreement)
    for side, (capture, told) in enumerate(zip(captures, (clients, server))):
        theirs, ours = tshark_flows.connections_of(capture), tshark_flows.flows_of(SENSOR, capture)
        tshark_flows.add(found, tshark_flows.compare(theirs, ours))
        both = told_once(tshark_flows.pairs(theirs, ours)[0])
        if not faults.get("offload"):  # the kernel counts what the link cuts
            compare_kernel(found, both, told, side)
        if side == 0:
            compare_programs(found, both, clients, faults)
    return found


def faults_of(found):
    """What is below its bound; few connections allow one that differs."""
    return [f"{name}: {found[name].same} of {found[name].told}, bound {bound:.0%}: {found[name].differ[:5]}"
            for name, bound in BOUNDS.items() if found[name].same + (bound < 1) < bound * found[name].told]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=320)
    parser.add_argument("--profiles", default=",".join(PROFILES))
    parser.add_argument("--keep", help="folder for captures")
    args = parser.parse_args()
    need()
    sums = collections.defaultdict(tshark_flows.Agreement)
    with tempfile.TemporaryDirectory(prefix="netscope-accuracy-") as temporary:
        for name in args.profiles.split(","):
            folder = os.path.join(args.keep or temporary, name)
            os.makedirs(folder, exist_ok=True)
            found = measure(folder, name, args.connections)
            tshark_flows.add(sums, found)
            print(f"{name}: {'; '.join(faults_of(found)) or 'all bounds hold'}", flush=True)
    tshark_flows.report(sums)
    return 1 if faults_of(sums) else 0


if __name__ == "__main__":
    sys.exit(main())
