#!/usr/bin/env python3
"""Scans of many kinds, and what only looks like one, as captures made here: the whole sensor alerts on each of the first
and on none of the others, with 1, 2, 4 and 16 shards alike.

    test_made_scans.py SENSOR PROJECT
"""
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

START = 1_700_000_000
SCANNER, HOST, RESOLVER = "192.0.2.9", "10.0.0.1", "10.0.0.53"
SCANNER6, HOST6 = "2001:db8::9", "2001:db8:1::1"
TCP, UDP, SCTP = 6, 17, 132
INIT, INIT_ACK, ABORT, HEARTBEAT = 1, 2, 6, 4
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def frame(source, target, protocol, payload, ttl=64, identity=0, offset=0, has_more=False):
    """An Ethernet frame; fragments are of IPv4."""
    if ":" in source:
        header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl)
        return bytes(12) + b"\x86\xdd" + header + packed(source) + packed(target) + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), identity, has_more << 13 | offset // 8, ttl, protocol, 0)
    return bytes(12) + b"\x08\x00" + header + packed(source) + packed(target) + payload


def tcp_header(source_port, target_port, flags):
    return struct.pack("!HHIIBBHHH", source_port, target_port, 1, 0, 0x50, flags, 1024, 0, 0)


def tcp(source, source_port, target, target_port, flags):
    return frame(source, target, TCP, tcp_header(source_port, target_port, flags))


def udp(source, source_port, target, target_port, payload, ttl=64):
    return frame(source, target, UDP, struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload, ttl)


def answer(client, number, address):
    """A question of the client, and the answer that leads to `address`."""
    kind = 28 if ":" in address else 1
    name = b"".join(bytes([len(label)]) + label for label in (b"h%d" % number, b"example", b"org")) + b"\0"
    question = name + struct.pack("!HH", kind, 1)
    data = packed(address)
    record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 300, len(data)) + data
    port = 30000 + number
    return [udp(client, port, RESOLVER, 53, struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question),
            udp(RESOLVER, 53, client, port, struct.pack("!HHHHHH", number, 0x8180, 1, 1, 0, 0) + question + record)]


def ports(flags, scanner=SCANNER, host=HOST, closed=RST | ACK):
    """A hundred ports of one host; every other one says that it is closed."""
    for port in range(1, 101):
        yield [tcp(scanner, 40000, host, port, flags)] + ([tcp(host, port, scanner, 40000, closed)] if port % 2 else [])


def pieces():
    """SYN whose headers are in three fragments."""
    for port in range(1, 101):
        header = tcp_header(40000, port, SYN)
        yield [frame(SCANNER, HOST, TCP, header[at:at + 8], identity=port, offset=at, has_more=at < 16) for at in (0, 8, 16)]


def hosts(scanner, target, is_named, client=None):
    """Forty hosts that do not answer at one port, after an answer of DNS or without."""
    for number in range(1, 41):
        address = target % number
        yield (answer(client or scanner, number, address) if is_named else []) + [tcp(scanner, 40000 + number, address, 443, SYN)]


def traces(first, ttl):
    for number in range(90):
        yield [udp("10.0.0.5", 50000, "198.51.100.7", first + number, bytes(32), ttl or number // 3 + 1)]


def ends():
    """Connections of before, as they end: a client's to many servers, a server's to a client that is gone, resets."""
    for number in range(1, 101):
        yield [tcp("10.0.0.5", 40000 + number, f"198.51.100.{number}", 443, FIN | ACK),
               tcp("198.51.100.200", 8443, "10.0.0.6", 50000 + number, FIN | ACK),
               tcp("10.0.0.7", 40000, "198.51.100.7", number, RST)]


def goes_on():
    """Connections of before to many services of one host, which is there: a balancer asks whether they live."""
    for port in range(30001, 30101):
        yield [tcp("10.0.0.5", 40000, HOST, port, ACK), tcp(HOST, port, "10.0.0.5", 40000, ACK)]


def sctp(source, source_port, target, target_port, chunk):
    return frame(source, target, SCTP, struct.pack("!HHIIBBH", source_port, target_port, 7, 0, chunk, 0, 8) + bytes(4))


def sctp_ports(answered):
    """INIT to a hundred ports, of which every other one refuses; or all accept."""
    for port in range(2901, 3001):
        reply = INIT_ACK if answered else ABORT
        yield [sctp(SCANNER, 40000, HOST, port, INIT)] + (
            [sctp(HOST, port, SCANNER, 40000, reply)] if answered or port % 2 else [])


def sctp_paths():
    """Associations of before, whose peers are silent."""
    for port in range(2901, 3001):
        yield [sctp("10.0.0.5", 2905, HOST, port, HEARTBEAT)]


def protocols(first, last, answered=()):
    """Packets of many IP protocols to one host."""
    for number in range(first, last):
        if number not in (1, 4, 6, 17, 41, 58):
            yield [frame(SCANNER, HOST, number, bytes(20))] + (
                [frame(HOST, SCANNER, number, bytes(20))] if number in answered else [])


def discovers(clients, sender, relay="0.0.0.0"):
    """DHCPDISCOVER in the name of many clients; `sender`: of their frames, None: each its own."""
    for number in range(clients):
        client = bytes((2, 0, 0, 0, number >> 8, number & 0xff))
        message = struct.pack("!BBBBIHH", 1, 1, 6, 0, number, 0, 0) + bytes(12) + packed(relay) + client + bytes(202)
        packet = udp(relay, 68, "255.255.255.255" if relay == "0.0.0.0" else HOST, 67,
                     message + b"\x63\x82\x53\x63\x35\x01\x01\xff")
        yield [bytes([255]) * 6 + (sender or client) + packet[12:]]


def offer(router):
    """A DHCP server's answer that names the router of the network."""
    message = struct.pack("!BBBBIHH", 2, 1, 6, 0, 7, 0, 0) + bytes(16) + b"\2\0\0\0\0\7" + bytes(202)
    return udp("10.0.0.2", 67, "10.0.0.77", 68,
               message + b"\x63\x82\x53\x63\x35\x01\x05\x36\x04" + packed("10.0.0.2") + b"\x03\x04" + packed(router) + b"\xff")


def arp(asker, asked):
    return bytes([255]) * 6 + b"\2\0\0\0\0\1\x08\x06\0\1\x08\0\6\4\0\1" + b"\2\0\0\0\0\1" + packed(asker) + bytes(6) + packed(asked)


def asks_for_all(asker):
    """Who is named as a router, and somebody who asks for a whole network, of which nobody answers."""
    yield [offer("10.0.0.1")]
    for number in range(20, 80):
        yield [arp(asker, f"10.0.0.{number}")]


def reverse(client, names):
    """Questions for the names of addresses, of which every third has none."""
    for number, name in enumerate(names):
        wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        question = wire + struct.pack("!HH", 12, 1)
        answers = b"" if number % 3 == 0 else b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 300, 4) + b"\x01h\xc0\x0c"
        port = 30000 + number
        yield [udp(client, port, RESOLVER, 53, struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question),
               udp(RESOLVER, 53, client, port,
                   struct.pack("!HHHHHH", number, 0x8180 if answers else 0x8183, 1, bool(answers), 0, 0) + question + answers)]


# what, packets of each 50 ms, kind of the one incident (None: silence)
CASES = [
    ("SYN scan", ports(SYN), "port_scan_vertical"),
    ("SYN scan with ECN", ports(SYN | 0xc0), "port_scan_vertical"),
    ("SYN scan of IPv6", ports(SYN, SCANNER6, HOST6), "port_scan_vertical"),
    ("FIN scan", ports(FIN), "port_scan_vertical"),
    ("FIN scan of IPv6", ports(FIN, SCANNER6, HOST6), "port_scan_vertical"),
    ("null scan", ports(0), "port_scan_vertical"),
    ("Xmas scan", ports(FIN | PSH | URG), "port_scan_vertical"),
    ("SYN scan in fragments", pieces(), "port_scan_vertical"),
    ("hosts outside", hosts("10.0.0.5", "198.51.100.%d", False), "port_scan_horizontal"),
    ("hosts outside, IPv6", hosts(SCANNER6, "2001:db8:5::%x", False), "port_scan_horizontal"),
    ("hosts inside that DNS knows", hosts("10.0.0.5", "10.0.9.%d", True), "port_scan_horizontal"),
    ("dead hosts of a web page", hosts("10.0.0.5", "198.51.100.%d", True), None),
    ("IPv6 that leads nowhere", hosts("2001:db8:a::5", "2001:db8:5::%x", True, "10.0.0.5"), None),
    ("traceroute", traces(33434, 0), None),
    ("tracepath", traces(44444, 0), None),
    ("the ports of traceroute", traces(33434, 64), "port_scan_vertical"),
    ("connections that end", ends(), None),
    ("ACK scan", ports(ACK, closed=RST), "port_scan_vertical"),
    ("ACK scan of IPv6", ports(ACK, SCANNER6, HOST6, RST), "port_scan_vertical"),
    ("Maimon scan", ports(FIN | ACK, closed=RST), "port_scan_vertical"),
    ("SCTP INIT scan", sctp_ports(False), "port_scan_vertical"),
    ("IP protocol scan", protocols(100, 250), "port_scan_vertical"),
    ("connections that go on", goes_on(), None),
    ("SCTP associations", sctp_ports(True), None),
    ("SCTP associations of before", sctp_paths(), None),
    ("DHCP starvation by one sender", discovers(60, b"\x02\xff\0\0\0\1"), "dhcp_starvation"),
    ("DHCP starvation by many", discovers(300, None), "dhcp_starvation"),
    ("a class that comes in", discovers(60, None), None),
    ("the network of a relay", discovers(60, b"\x02\xff\0\0\0\1", "10.1.0.1"), None),
    ("PTR sweep", reverse("10.0.0.5", [f"{host}.7.0.10.in-addr.arpa" for host in range(1, 255)]), "ptr_sweep"),
    ("PTR sweep of IPv6", reverse("10.0.0.5", [f"{n % 16:x}.{n // 16:x}.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
                                               for n in range(250)]), "ptr_sweep"),
    ("names of who comes to a mail server", reverse("10.0.0.5", [f"{n}.{n * 7 % 251}.0.203.in-addr.arpa" for n in range(250)]),
     None),
    ("ARP sweep", asks_for_all("10.0.0.66"), "host_sweep"),
    ("a router that looks for whom others try", asks_for_all("10.0.0.1"), None),
    ("a DHCP server that looks for free addresses", asks_for_all("10.0.0.2"), None),
    ("protocols of a router", protocols(88, 110, (89, 103, 108)), None),
]


def write(path, seconds):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number, packets in enumerate(seconds):
            for place, packet in enumerate(packets):
                micros = number * 50_000 + place * 1000
                out.write(struct.pack("<IIII", START + micros // 1_000_000, micros % 1_000_000, len(packet), len(packet)) + packet)


def opened(sensor, capture, shards):
    modes = {f"NETSCOPE_ANALYSIS__ANOMALIES__{name}__MODE": "alert" for name in ("PTR_SWEEP", "DHCP_STARVATION")}
    run = subprocess.run([sensor, "--read-pcap", str(capture), "--quiet", "--shards", str(shards), "--alerts-jsonl", "-"],
                         capture_output=True, text=True, timeout=120, env={**os.environ, **modes})
    if run.returncode != 0:
        sys.exit(f"{capture.name}: exit status {run.returncode}: {run.stderr[-400:]}")
    alerts = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return [(alert["detail"], alert["description"]) for alert in alerts if alert["state"] == "open"]


def main():
    sensor, faults = sys.argv[1], []
    with tempfile.TemporaryDirectory() as folder:
        for what, packets, kind in CASES:
            capture = pathlib.Path(folder) / "made.pcap"
            write(capture, packets)
            one = opened(sensor, capture, 1)
            if [detail for detail, _ in one] != ([kind] if kind else []):
                faults.append(f"{what}: {one or 'silence'}, and not {kind or 'silence'}")
            for shards in (2, 4, 16):
                if opened(sensor, capture, shards) != one:
                    faults.append(f"{what}: {shards} shards say another thing than one")
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"made_scans: {len(CASES)} captures with 1, 2, 4 and 16 shards, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
