#!/usr/bin/env python3
"""What tshark says of the connections of a capture, and how far the sensor agrees, quantity by quantity.

    tshark_flows.py SENSOR CAPTURE... [--show QUANTITY] [--json]

For captures of anybody. Prints how many connections tell a quantity on either side, and in how many both say the same; --show lists
those in which they do not. TCP connections are tshark's streams, UDP ones its streams, too, by the innermost addresses and ports, in the
order of their first packets. docs/accuracy.md says where the two are different things by definition. Exit 77 without tshark.
"""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys

FRAME = ("frame.number", "frame.time_epoch", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.stream", "udp.stream",
         "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport", "tcp.len", "udp.length", "tcp.flags", "tcp.seq_raw", "tcp.ack_raw",
         "vlan.id", "tcp.window_size_value", "icmp.type", "icmpv6.type")
ANALYSIS = ("retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "duplicate_ack", "zero_window",
            "keep_alive", "lost_segment", "ack_lost_segment", "window_full", "zero_window_probe", "initial_rtt", "reused_ports",
            "ack_rtt")
SYN, ACK, RST, FIN = 2, 16, 4, 1


def tshark(capture, fields, options=()):
    """Rows of a list for each field, last occurrence of a header first where a tunnel has several."""
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "separator=/t", "-E", "aggregator=\x1f", *options]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, check=False)
    for line in done.stdout.decode("utf-8", "replace").split("\n"):
        if line:
            yield {field: text.split("\x1f") if text else [] for field, text in zip(fields, line.split("\t"))}


def last(row, *fields):
    for field in fields:
        if row[field]:
            return row[field][-1]
    return ""


class Connection:
    """One connection; sides are 0 (client) and 1 (server)."""

    def __init__(self, protocol, first, second):
        self.protocol, self.ends = protocol, [first, second]
        self.packets, self.bytes, self.payload = [0, 0], [0, 0], [0, 0]
        self.analysis = [collections.Counter(), collections.Counter()]
        self.names = collections.defaultdict(set)
        self.first = self.last = self.handshake = None
        self.flags = [0, 0]
        self.samples = [[], []]
        self.client_is_known = self.was_answered = False

    def turn(self):
        for pair in (self.ends, self.packets, self.bytes, self.payload, self.analysis, self.flags, self.samples):
            pair.reverse()


def note_tcp(connection, row, side):
    flags = int(last(row, "tcp.flags") or "0", 16)
    connection.payload[side] += int(last(row, "tcp.len") or 0)
    connection.flags[side] |= flags
    if flags & SYN and not connection.client_is_known:
        connection.client_is_known = True
        if bool(flags & ACK) == (side == 0):
            connection.turn()
            side = 1 - side
    counts = connection.analysis[side]
    for name in ANALYSIS[:-3]:
        if row["tcp.analysis." + name]:
            counts[name] += 1
    if any(row["tcp.analysis." + name] for name in ANALYSIS[:3]):
        counts["retransmissions"] += 1
    connection.was_answered |= flags & (SYN | ACK) == SYN | ACK
    if row["tcp.analysis.initial_rtt"] and connection.handshake is None and connection.was_answered:  # a RST is no handshake
        connection.handshake = float(row["tcp.analysis.initial_rtt"][0])
    if row["tcp.analysis.ack_rtt"] and not flags & RST:
        connection.samples[1 - side].append(float(row["tcp.analysis.ack_rtt"][0]))


def connections_of(capture, options=()):
    """[Connection] in order of their first packets."""
    found = {}
    fields = FRAME + tuple("tcp.analysis." + name for name in ANALYSIS)
    for row in tshark(capture, fields, ("-o", "tcp.desegment_tcp_streams:false", *options)):
        protocol = "tcp" if row["tcp.stream"] else "udp" if row["udp.stream"] else None
        if protocol is None or row["icmp.type"] or row["icmpv6.type"]:
            continue
        source = (last(row, "ip.src", "ipv6.src"), int(last(row, protocol + ".srcport")))
        target = (last(row, "ip.dst", "ipv6.dst"), int(last(row, protocol + ".dstport")))
        key = protocol, last(row, protocol + ".stream")
        connection = found.get(key)
        if connection is None:
            connection = found[key] = Connection(protocol, source, target)
            connection.first = float(last(row, "frame.time_epoch"))
        side = 0 if source == connection.ends[0] else 1
        connection.packets[side] += 1
        connection.bytes[side] += int(last(row, "frame.len"))
        connection.last = float(last(row, "frame.time_epoch"))
        if protocol == "tcp":
            note_tcp(connection, row, side)
        else:
            connection.payload[side] += max(0, int(last(row, "udp.length") or 8) - 8)
    return list(found.values())


# ---- the sensor ----


def seconds(text):
    return float(text.rstrip("s"))


def flows_of(sensor, capture, *more):
    """End records of TCP and UDP, in order of their first packets."""
    done = subprocess.run([sensor, "--read-pcap", str(capture), "--quiet", "--no-anomalies", "--flows-jsonl", "-", "--flow-timeout-s",
                           "3600", *more], capture_output=True, check=False)
    records = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    ended = [r for r in records if r["event"] == "FLOW_EVENT_END" and r["ip_protocol"] in (6, 17)]
    return sorted(ended, key=lambda record: record["start_time"])


def key_of(protocol, first, second):
    return (protocol, *sorted((first, second)))


def pairs(connections, flows):
    """(connection, flow) that are the same; and what is left over on both sides. The n-th of a tuple is the n-th."""
    ours = collections.defaultdict(list)
    for flow in flows:
        ends = [(flow[side]["ip"], flow[side]["port"]) for side in ("client", "server")]
        ours[key_of("tcp" if flow["ip_protocol"] == 6 else "udp", *ends)].append(flow)
    theirs = collections.defaultdict(list)
    for connection in connections:
        theirs[key_of(connection.protocol, *connection.ends)].append(connection)
    both, odd = [], []
    for key in theirs.keys() | ours.keys():
        if len(theirs[key]) == len(ours[key]):
            both += zip(theirs[key], ours[key])
        else:
            odd.append((key, len(theirs[key]), len(ours[key])))
    return both, odd


def total(flow, name):
    return [int(flow.get(side, {}).get("total_" + name, 0)) for side in ("forward", "reverse")]


def counted(flow, *names):
    return [sum(int(flow["tcp"].get(side, {}).get(name, 0)) for name in names) for side in ("forward", "reverse")]


def analysed(connection, *names):
    return [sum(side[name] for name in names) for side in connection.analysis]


def least_of(flow, side):
    rtt = flow["tcp"].get(side)
    return seconds(rtt["min"]) if rtt and rtt.get("samples") else None


def near(share, floor):
    """Both are numbers, or lists of them, as near as this."""
    def compare(theirs, ours):
        if isinstance(theirs, list):
            return all(compare(a, b) for a, b in zip(theirs, ours))
        return abs(theirs - ours) <= max(share * max(abs(theirs), abs(ours)), floor)
    return compare


def same(theirs, ours):
    return theirs == ours


# quantity: (of tshark, of the sensor, are they equal); None or zeros on both sides: not told, and not counted
TCP = {
    "client": (lambda c: c.ends[0] if c.client_is_known else None,
               lambda f: (f["client"]["ip"], f["client"]["port"]) if f["initiator"] == "INITIATOR_SYN" else None, same),
    "retransmissions": (lambda c: analysed(c, "retransmissions"),
                        lambda f: counted(f, "retransmitted_segments", "duplicate_packets"), near(0.2, 1)),
    "retransmissions or out of order": (lambda c: analysed(c, "retransmissions", "out_of_order"),
                                        lambda f: counted(f, "retransmitted_segments", "duplicate_packets",
                                                          "out_of_order_segments"), near(0, 0)),
    "out of order": (lambda c: analysed(c, "out_of_order"), lambda f: counted(f, "out_of_order_segments"), near(0.2, 1)),
    "spurious retransmissions": (lambda c: analysed(c, "spurious_retransmission"),
                                 lambda f: counted(f, "spurious_retransmissions"), near(0.2, 1)),
    "fast retransmissions": (lambda c: analysed(c, "fast_retransmission"), lambda f: counted(f, "fast_retransmissions"),
                             near(0.2, 1)),
    "duplicate ACKs": (lambda c: analysed(c, "duplicate_ack"), lambda f: counted(f, "duplicate_acks"), near(0.2, 1)),
    "keep-alives": (lambda c: analysed(c, "keep_alive"), lambda f: counted(f, "keepalives"), near(0, 0)),
    "lost segments": (lambda c: analysed(c, "lost_segment"), lambda f: counted(f, "sequence_gaps"), near(0.2, 1)),
    "window full": (lambda c: analysed(c, "window_full"), lambda f: counted(f, "window_full_events"), near(0.1, 1)),
    "window probes": (lambda c: analysed(c, "zero_window_probe"), lambda f: counted(f, "zero_window_probes"), near(0, 0)),
    "any zero window": (lambda c: [min(n, 1) for n in analysed(c, "zero_window")],
                        lambda f: [min(n, 1) for n in counted(f, "zero_window_events")], same),
    "handshake": (lambda c: c.handshake, lambda f: seconds(f["tcp"]["handshake_time"]) if "handshake_time" in f["tcp"] else None,
                  near(0.01, 2e-6)),
    "least client round trip": (lambda c: min(c.samples[1], default=None), lambda f: least_of(f, "client_rtt"), near(0.1, 1e-3)),
    "least server round trip": (lambda c: min(c.samples[0], default=None), lambda f: least_of(f, "server_rtt"), near(0.1, 1e-3)),
    "flags": (lambda c: [flags & 0xff for flags in c.flags], lambda f: counted(f, "flags"), same),
}
BOTH = {
    "packets": (lambda c: c.packets, lambda f: total(f, "packets"), same),
    "bytes": (lambda c: c.bytes, lambda f: total(f, "bytes"), same),
    "payload": (lambda c: c.payload, lambda f: total(f, "payload_bytes"), same),
}


class Agreement:
    """Of one quantity."""

    def __init__(self):
        self.told, self.same, self.differ = 0, 0, []

    def share(self):
        return self.same / self.told if self.told else 1.0


def turned(value, flow, connection):
    """Of a pair of sides, where the sensor has the other one for the client."""
    is_same = (flow["client"]["ip"], flow["client"]["port"]) == connection.ends[0]
    return value[::-1] if isinstance(value, list) and not is_same else value


def compare(connections, flows):
    """{quantity: Agreement}"""
    both, odd = pairs(connections, flows)
    found = collections.defaultdict(Agreement)
    found["connections"].told = len(connections)
    found["connections"].same = len(both)
    found["connections"].differ = odd
    for connection, flow in both:
        for name, (theirs_of, ours_of, is_same) in {**BOTH, **(TCP if connection.protocol == "tcp" else {})}.items():
            theirs, ours = theirs_of(connection), turned(ours_of(flow), flow, connection)
            empty = (None, [0, 0])
            if theirs in empty and ours in empty:
                continue
            agreement = found[name]
            agreement.told += 1
            if theirs is not None and ours is not None and is_same(theirs, ours):
                agreement.same += 1
            else:
                agreement.differ.append((connection.ends, theirs, ours))
    return found


def add(sums, found):
    for name, agreement in found.items():
        sums[name].told += agreement.told
        sums[name].same += agreement.same
        sums[name].differ += agreement.differ


def report(sums):
    for name, agreement in sums.items():
        print(f"{name:38} {agreement.same:6} of {agreement.told:6}  {agreement.share():7.2%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sensor")
    parser.add_argument("captures", nargs="+")
    parser.add_argument("--show", default="")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if shutil.which("tshark") is None:
        print("SKIP: tshark is not installed")
        return 77
    sums = collections.defaultdict(Agreement)
    for capture in args.captures:
        add(sums, compare(connections_of(capture), flows_of(args.sensor, capture)))
    if args.json:
        print(json.dumps({name: [agreement.same, agreement.told] for name, agreement in sums.items()}))
        return 0
    report(sums)
    for row in sums[args.show].differ if args.show in sums else []:
        print(*row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
