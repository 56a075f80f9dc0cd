"""One flow, one shard, live: a flow of whole and fragmented packets, and an inner flow of VXLAN whose outer ports
change, is one record at 1, 2 and 16 shards, with exact packets and bytes; by either kind of fanout.

Root only (77 else). One namespace with this process' id in its name; what was started is ended by id.
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.netns import command, inside, wire_for
from support.programs import PATIENCE, SENSOR, Program, delta_packets, json_lines, main, wait_until

PREFIX = f"nsshards{os.getpid()}"
ROUNDS = 300  # of each kind of traffic
FLOWS = 8


INSIDE = inside(PREFIX)


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(payload, ethertype=0x0800):
    return bytes.fromhex("020000000002020000000001") + struct.pack("!H", ethertype) + payload


def ipv4(source, target, protocol, payload, number=0, offset=0, more=False):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, (0x2000 if more else 0) | offset // 8, 64,
                       protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, target, protocol, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64, socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, target)) + payload


def udp(source, target, payload):
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def pieces(datagram, number, source, target, order):
    """The frames of a datagram cut at each 64 bytes, in `order` of its pieces."""
    cuts = [(at, datagram[at:at + 64]) for at in range(0, len(datagram), 64)]
    return [ethernet(ipv4(source, target, 17, cuts[k][1], number, cuts[k][0], k < len(cuts) - 1)) for k in order]


def pieces_v6(datagram, number, source, target, order):
    cuts = [(at, datagram[at:at + 64]) for at in range(0, len(datagram), 64)]
    return [ethernet(ipv6(source, target, 44, struct.pack("!BBHI", 17, 0, cuts[k][0] | (k < len(cuts) - 1), number)
                          + cuts[k][1]), 0x86dd) for k in order]


class Traffic:
    """Frames in order, and what each flow (client, client port, server, server port) must come to."""

    def __init__(self):
        self.frames = []
        self.expected = {}
        for turn in range(ROUNDS):
            for k in range(FLOWS):
                self.whole_and_fragmented(turn, k)
                self.fragmented_v6(turn, k)
                self.inside_vxlan(turn, k)
                self.inside_gre(turn, k)

    def add(self, flow, frames):
        packets, size = self.expected.get(flow, (0, 0))
        self.frames += frames
        self.expected[flow] = packets + len(frames), size + sum(map(len, frames))

    def whole_and_fragmented(self, turn, k):
        client, server = f"10.1.0.{k + 1}", "10.1.1.1"
        flow = client, 4000 + k, server, 9000
        self.add(flow, [ethernet(ipv4(client, server, 17, udp(4000 + k, 9000, b"w" * 40)))])
        order = [(0, 1, 2), (2, 1, 0), (1, 2, 0)][turn % 3]  # the first one comes first, or last
        self.add(flow, pieces(udp(4000 + k, 9000, b"f" * 150), turn, client, server, order))

    def fragmented_v6(self, turn, k):
        client, server = f"2001:db8::{k + 1:x}", "2001:db8:1::1"
        flow = client, 5000 + k, server, 9000
        self.add(flow, [ethernet(ipv6(client, server, 17, udp(5000 + k, 9000, b"w" * 40)), 0x86dd)])
        self.add(flow, pieces_v6(udp(5000 + k, 9000, b"f" * 100), turn, client, server, [(0, 1), (1, 0)][turn % 2]))

    def inside_vxlan(self, turn, k):
        client, server = f"10.2.0.{k + 1}", "10.2.1.1"
        inner = ethernet(ipv4(client, server, 17, udp(6000 + k, 9000, b"v" * 40)))
        outer = udp(20000 + (turn * 7 + k) % 20000, 4789, bytes.fromhex("0800000000002a00") + inner)
        self.add((client, 6000 + k, server, 9000), [ethernet(ipv4("192.0.2.1", "192.0.2.2", 17, outer))])

    def inside_gre(self, turn, k):
        client, server = f"10.3.0.{k + 1}", "10.3.1.1"
        inner = ipv4(client, server, 17, udp(7000 + k, 9000, b"g" * 40))
        self.add((client, 7000 + k, server, 9000),
                 [ethernet(ipv4(f"198.51.100.{turn % 200 + 1}", "192.0.2.2", 47, b"\0\0\x08\0" + inner))])


def send(frames):
    """From a thread of its own process inside the namespace; paced, so that no ring runs over."""
    code = ("import socket, sys, time\n"
            "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('gen0', 0))\n"
            "data = sys.stdin.buffer.read()\nat = count = 0\n"
            "while at < len(data):\n"
            "    size = int.from_bytes(data[at:at + 2], 'big')\n"
            "    s.send(data[at + 2:at + 2 + size])\n    at += 2 + size\n    count += 1\n"
            "    if count % 200 == 0: time.sleep(0.01)\n")
    data = b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)
    done = subprocess.run([*INSIDE, "/usr/bin/python3", "-c", code], input=data, capture_output=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode())


class Shards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        wire_for(cls, PREFIX)
        cls.traffic = Traffic()

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)

    def run_sensor(self, shards, fanout):
        path = f"{self.temporary.name}/{shards}-{fanout}.jsonl"
        sensor = Program(SENSOR, "-i", "cap0", "--quiet", "--no-anomalies", "--shards", shards, "--flows-jsonl", path,
                         "--grpc-listen", "127.0.0.1:0", "-t", "10", prefix=INSIDE, awaited=True,
                         environment={"NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_CAPTURE__FANOUT": fanout,
                                      "NETSCOPE_CAPTURE__BUFFER_SIZE": "8MiB"})
        self.addCleanup(sensor.stop)
        send(self.traffic.frames)
        time.sleep(PATIENCE)
        sensor.stop(signal.SIGINT)
        return sensor, json_lines(path)

    def sums(self, records):
        """By flow: packets, bytes, how many flows there were."""
        found = {}
        for record in records:
            client, server = record["client"], record["server"]
            flow = client["ip"], client.get("port", 0), server["ip"], server.get("port", 0)
            entry = found.setdefault(flow, [0, 0, set()])
            for side in ("forward", "reverse"):
                entry[0] += int(record.get(side, {}).get("delta_packets", 0))
                entry[1] += int(record.get(side, {}).get("delta_bytes", 0))
            entry[2].add(record["flow_id"])
        return found

    def check(self, shards, fanout):
        sensor, records = self.run_sensor(shards, fanout)
        found = self.sums(records)
        wrong = []
        for flow, (packets, size) in self.traffic.expected.items():
            got = found.pop(flow, [0, 0, set()])
            if (got[0], got[1], len(got[2])) != (packets, size, 1):
                wrong.append(f"{flow}: {got[0]} packets, {got[1]} bytes in {len(got[2])} flows, not {packets}, {size} in 1")
        self.assertEqual(wrong, [], f"{shards} shards by {fanout}: {wrong[:4]}; {sensor.text()[-2000:]}")
        self.assertEqual(list(found), [], f"{shards} shards by {fanout}: flows that nobody sent")

    def test_one_shard(self):
        self.check(1, "cbpf")

    def test_two_shards(self):
        self.check(2, "cbpf")

    def test_sixteen_shards(self):
        self.check(16, "cbpf")

    def test_three_shards_by_the_kernels_own_hash(self):
        self.check(3, "hash")

    def test_packets_that_find_no_room_on_the_way_to_their_shard_are_told_to_the_packet(self):
        """All come by one tunnel, so to one shard; half of the inner flows belong to the other one, which sleeps while
        the first one reads what the kernel has kept for it: both are on one CPU."""
        path, port = f"{self.temporary.name}/handover.jsonl", 18080
        cpu = str(min(os.sched_getaffinity(0)))
        sensor = Program(SENSOR, "-i", "cap0", "--quiet", "--no-anomalies", "--shards", 2, "--flows-jsonl", path,
                         "--grpc-listen", "127.0.0.1:0", "-t", "10", "-v", prefix=INSIDE,
                         environment={"NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_CAPTURE__FANOUT": "hash",
                                      "NETSCOPE_PIPELINE__HANDOVER_BUFFER": "0", "NETSCOPE_PIPELINE__CPUS": cpu,
                                      "NETSCOPE_HTTP__PORT": str(port)})
        self.addCleanup(sensor.stop)

        def ledger():
            return json.loads(command(*INSIDE, "curl", "-sf", f"http://127.0.0.1:{port}/v1/ledger", check=False) or "{}")
        wait_until("the sensor", ledger)
        inner = [ipv4(f"10.4.0.{k + 1}", "10.4.1.1", 17, udp(8000 + k, 9000, b"h" * 900)) for k in range(32)]
        frames = [ethernet(ipv4("198.51.100.1", "192.0.2.2", 47, b"\0\0\x08\0" + inner[k % 32])) for k in range(8000)]
        sensor.process.send_signal(signal.SIGSTOP)
        send(frames)
        sensor.process.send_signal(signal.SIGCONT)

        def row(found, stage):
            return next(row for row in found["rows"] if row["stage"] == f"LEDGER_STAGE_{stage}")

        def lost(row, reason=None):
            return sum(int(one["count"]) for one in row.get("lost", []) if reason in (None, one["reason"]))

        def at_rest():
            found = ledger()
            decode = row(found, "DECODE")
            return found if int(decode["in"]) == len(frames) and int(decode["held"]) == 0 else None
        found = wait_until("all packets", at_rest)
        decode, flow = row(found, "DECODE"), row(found, "FLOW")
        self.assertTrue(found["balanced"])
        self.assertEqual(lost(row(found, "KERNEL")), 0)
        self.assertGreater(lost(decode, "handover_full"), 100)
        self.assertEqual(lost(decode), lost(decode, "handover_full"))
        self.assertEqual(int(decode["out"]) + lost(decode), len(frames))
        self.assertEqual(int(flow["in"]), int(decode["out"]))
        page = command(*INSIDE, "curl", "-sf", f"http://127.0.0.1:{port}/metrics")
        told = int(re.search(r"^netscope_handover_dropped_total (\d+)", page, re.M).group(1))
        self.assertEqual(told, lost(decode, "handover_full"))
        self.assertEqual(sensor.stop(signal.SIGINT), 0, sensor.text())
        packets = sum(map(delta_packets, json_lines(path)))
        self.assertEqual(packets + told, len(frames), "packets in flow records and those that were lost")


if __name__ == "__main__":
    main()
