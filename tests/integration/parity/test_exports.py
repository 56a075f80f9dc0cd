"""Exports of captures that mean ill: names with quotes, controls and no UTF-8, times of 1970 and 2106, every kind of IPv6
address. JSON, CSV and JSONL say the same, and what reads them strictly reads them."""
import csv
import ipaddress
import json
import os
import re
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import ACK, PSH, SYN, dns_query, ethernet, main, sensor, tcp, udp

NAMES = [b'a"b.example', b"a\nb.example", b"a\rb.example", b"a\0b.example", b"a\x1b[31mb.example", b"\xff\xfe\x80.example",
         b"a,b.example", b"'=1+1", b"=cmd|'/c calc'!A0", b"\xe2\x80\xae.example", b"<script>x</script>", b"\\u0041.example",
         b"\xed\xa0\x80.example", b"b\xc3\xa9.example", b"+1.example", b"@SUM(A1)", b"x" * 60 + b".example", b"plain.example"]
ADDRESSES = ["fe80::1", "::", "ff02::1", "::ffff:1.2.3.4", "2001:db8:0:0:1:0:0:1", "::1", "64:ff9b::102:304", "2001:db8::",
             "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]")


def client_hello(name):
    names = struct.pack("!BH", 0, len(name)) + name
    listed = struct.pack("!H", len(names)) + names
    extension = struct.pack("!HH", 0, len(listed)) + listed
    body = (b"\x03\x03" + bytes(32) + b"\0" + struct.pack("!H", 2) + b"\x13\x01" + b"\x01\0" +
            struct.pack("!H", len(extension)) + extension)
    handshake = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def question(name):
    return struct.pack("!HHHHHH", 1, 0x0100, 1, 0, 0, 0) + bytes([min(len(name), 63)]) + name[:63] + b"\0" + struct.pack("!HH", 1, 1)


def connection(at, server, port, data):
    client = ("10.0.0.1", 1024 + int(at * 10 % 60000))
    return [(at, tcp(*client, server, port, SYN, 1)), (at + 0.01, tcp(server, port, *client, SYN | ACK, 1, 2)),
            (at + 0.02, tcp(*client, server, port, ACK, 2, 2)), (at + 0.03, tcp(*client, server, port, ACK | PSH, 2, 2, data))]


def udp6(source, source_port, target, target_port):
    datagram = struct.pack("!HHHH", source_port, target_port, 12, 0) + b"data"
    header = struct.pack("!IHBB", 0x60000000, len(datagram), 17, 64)
    return ethernet(header + ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed + datagram, 0x86DD)


class Exports(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="netscope-exports-")
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def capture(self, frames):
        """frames: (seconds since 1970, bytes)."""
        with open(self.path("x.pcap"), "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for at, frame in frames:
                microseconds = round(at * 1_000_000)
                out.write(struct.pack("<IIII", microseconds // 1_000_000, microseconds % 1_000_000, len(frame), len(frame)) + frame)
        return self.path("x.pcap")

    def lines(self, name):
        with open(self.path(name), encoding="utf-8", newline="") as file:
            return [json.loads(line) for line in file.read().split("\n") if line]

    def run_over(self, frames):
        """(flows of the JSON, records, DNS transactions); the CSV and the ended flows say what the JSON does."""
        done = sensor("--read-pcap", self.capture(frames), "--quiet", "--export-json", self.path("a.json"), "--export-csv",
                      self.path("a.csv"), "--expired-flows-jsonl", self.path("ended"), "--flows-jsonl", self.path("flows"),
                      "--dns-jsonl", self.path("dns"), "--alerts-jsonl", self.path("alerts"))
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("a.json"), encoding="utf-8") as file:
            flows = json.load(file)
        with open(self.path("a.csv"), encoding="utf-8", newline="") as file:
            rows = {row["flow_id"]: row for row in csv.DictReader(file, strict=True)}
        ended = {row["flow_id"]: row for row in self.lines("ended")}
        self.assertEqual(len(rows), len(flows))
        self.assertEqual(set(ended), set(rows))
        for flow in flows:
            self.assertEqual({key: value for key, value in ended[flow["flow_id"]].items() if key not in ("ts", "reason")}, flow)
            for key, value in flow.items():
                if isinstance(value, dict):
                    self.assertEqual((rows[flow["flow_id"]][key + "_ip"], int(rows[flow["flow_id"]][key + "_port"])),
                                     (value["ip"], value["port"]))
                    continue
                cell = rows[flow["flow_id"]][key]
                if value is None:
                    self.assertEqual(cell, "", key)
                elif isinstance(value, (int, float)):
                    self.assertEqual(float(cell), value, key)
                else:
                    self.assertEqual(cell, value, key)
        return flows, self.lines("flows"), self.lines("dns")

    def test_names_of_strangers_break_no_file_and_stay_readable(self):
        frames = []
        for i, name in enumerate(NAMES):
            frames += connection(1.7e9 + i, f"10.0.1.{i + 1}", 443, client_hello(name))
            frames += connection(1.7e9 + i + 0.2, f"10.0.2.{i + 1}", 80,
                                 b"GET / HTTP/1.1\r\nHost: " + name + b"\r\nUser-Agent: " + name + b"\r\n\r\n")
            frames.append((1.7e9 + i + 0.5, udp("10.0.0.1", 3000 + i, f"10.0.3.{i + 1}", 53, question(name))))
        flows, records, transactions = self.run_over(sorted(frames, key=lambda pair: pair[0]))
        self.assertEqual(len(flows), 3 * len(NAMES))
        said = {record["server"]["ip"]: record["tls"]["sni"] for record in records if "tls" in record}
        self.assertEqual(len(set(said.values())), len(NAMES), "different names stay different")
        self.assertEqual(said["10.0.1.2"], "a\\x0ab.example")
        self.assertEqual(said["10.0.1.6"], "\\xff\\xfe\\x80.example")
        self.assertEqual(said["10.0.1.12"], "\\\\u0041.example")
        self.assertEqual(len(transactions), len(NAMES))
        for one in flows + records + transactions:
            self.assertNotRegex(json.dumps(one, ensure_ascii=False), CONTROLS)
        # What is no host name is kept, but no flow is called by it.
        named = {flow["server_name"] for flow in flows if flow["server_name"] is not None}
        self.assertEqual(named, {"plain.example", "x" * 60 + ".example", "a"})

    def test_times_of_1970_and_2106_are_times(self):
        for start, iso in ((0, "1970-01-01T00:00:00Z"), (4294967290, "2106-02-07T06:28:10Z")):
            frames = [(start + at, udp("10.0.0.1", 1000, "10.0.0.2", 53, dns_query("a.example"))) for at in (0, 0.5, 1.25)]
            flows, records, transactions = self.run_over(frames)
            self.assertEqual([(f["first_seen"], f["last_seen"], f["duration_secs"]) for f in flows], [(start, start + 1.25, 1.25)])
            self.assertEqual(records[0]["start_time"], iso)
            self.assertEqual(transactions[0]["time"], iso)
            self.assertEqual(sum(int(record["forward"]["delta_packets"]) for record in records), 3)

    def test_a_capture_without_times_is_at_the_epoch(self):
        flows, records, transactions = self.run_over([(0, udp("10.0.0.1", 1000 + i, "10.0.0.2", 53, dns_query("a.example")))
                                                      for i in range(3)])
        self.assertEqual({(f["first_seen"], f["last_seen"]) for f in flows}, {(0, 0)})
        epoch = "1970-01-01T00:00:00Z"
        self.assertEqual({(r["start_time"], r["end_time"]) for r in records}, {(epoch, epoch)})
        self.assertEqual({t["time"] for t in transactions}, {epoch})

    def test_ipv6_endpoints_are_written_as_rfc_5952_says(self):
        frames = [(1.7e9 + i, udp6(address, 1000 + i, "2001:db8::7", 7)) for i, address in enumerate(ADDRESSES)]
        flows, records, _ = self.run_over(frames)
        got = {end["ip"] for flow in flows for end in (flow["endpoint_a"], flow["endpoint_b"])}
        self.assertEqual({ipaddress.ip_address(one) for one in got},
                         {ipaddress.ip_address(one) for one in (*ADDRESSES, "2001:db8::7")})
        self.assertIn("2001:db8::1:0:0:1", got)
        self.assertIn("fe80::1", got)
        self.assertNotRegex(" ".join(got), "[A-F%]")
        for flow in flows:  # the smaller address is a
            a, b = (ipaddress.ip_address(flow[end]["ip"]).packed for end in ("endpoint_a", "endpoint_b"))
            self.assertLessEqual(a, b)
        self.assertEqual(len({record["flow_id"] for record in records}), len(ADDRESSES))


if __name__ == "__main__":
    main()
