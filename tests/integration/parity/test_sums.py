"""Sums of records against packets, and input whose clock or file misbehaves: every packet is told once.

The sum of `delta_packets` and `delta_bytes` over START, UPDATE and END is what entered; the sensor checks the packets
itself at its end (status 1 with a line, were it not so), and tells them on SIGUSR1.
"""
import collections
import csv
import json
import os
import re
import signal
import struct
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import (ACK, FIN, PATIENCE, PSH, SENSOR, START, SYN, Program, json_lines, main, make_traffic, sensor, tcp, udp,
                              wait_until, write_pcap)

OFF = {"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}
FRAME = udp("10.0.0.1", 1000, "10.0.0.2", 53, b"x" * 20)


def header():
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def packet(seconds, microseconds, frame=FRAME, wire=None):
    return struct.pack("<IIII", seconds, microseconds, len(frame), len(frame) if wire is None else wire) + frame


def sums(records):
    packets = size = 0
    for record in records:
        for way in ("forward", "reverse"):
            packets += int(record.get(way, {}).get("delta_packets", 0))
            size += int(record.get(way, {}).get("delta_bytes", 0))
    return packets, size


class Case(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="netscope-sums-")
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def flows(self, capture, *arguments, status=0, environment=None):
        done = sensor("--read-pcap", capture, "--quiet", "--flows-jsonl", "-", *arguments,
                      environment={**OFF, **(environment or {})})
        self.assertEqual(done.returncode, status, done.stderr[-1000:])
        self.assertNotIn("packets in records", done.stderr)
        return json_lines(done.stdout)


class Sums(Case):
    def test_start_update_and_end_add_up_with_any_number_of_shards(self):
        capture, made = make_traffic(self.folder, "mix", packets=40_000)
        for shards in (1, 3):
            for start in ("true", "false"):
                records = self.flows(capture, "--shards", shards, environment={
                    "NETSCOPE_FLOW__EMIT_START": start, "NETSCOPE_FLOW__ACTIVE_TIMEOUT": "1s",
                    "NETSCOPE_FLOW__FIRST_UPDATE": "1s"})
                kinds = collections.Counter(record["event"] for record in records)
                packets, size = sums(records)
                self.assertEqual(packets, made["packets"])
                self.assertEqual(size, made["bytes"])
                self.assertEqual(kinds["FLOW_EVENT_START"], kinds["FLOW_EVENT_END"] if start == "true" else 0)
                self.assertGreater(kinds["FLOW_EVENT_END"], 0)
                last = {}
                for record in records:
                    last[record["flow_id"]] = record
                    self.assertLessEqual(int(record["forward"].get("delta_packets", 0)),
                                         int(record["forward"].get("total_packets", 0)))
                total = sum(int(r.get(way, {}).get("total_packets", 0)) for r in last.values() if
                            r["event"] == "FLOW_EVENT_END" for way in ("forward", "reverse"))
                self.assertEqual(total, made["packets"])

    def test_exports_have_every_flow_of_the_run_and_all_columns(self):
        capture, made = make_traffic(self.folder, "mix", packets=5_000)
        as_json, as_csv = self.path("flows.json"), self.path("flows.csv")
        self.flows(capture, "--export-json", as_json, "--export-csv", as_csv)
        with open(as_json, encoding="utf-8") as file:
            flows = json.load(file)
        flows = flows["flows"] if isinstance(flows, dict) else flows
        with open(as_csv, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(sum(flow["packets_total"] for flow in flows), made["packets"])
        self.assertEqual(sum(int(row["packets_total"]) for row in rows), made["packets"])
        with open(os.path.join(os.path.dirname(__file__), "..", "..", "..", "docs", "flow-export.md"), encoding="utf-8") as file:
            documented = set(re.findall(r"`([a-z_]+)`", file.read()))
        for name in flows[0]:
            self.assertIn(name, documented)
        plain = {name.removesuffix("_ip").removesuffix("_port") for name in rows[0]}
        self.assertEqual(plain, set(flows[0]))

    def test_sigusr1_tells_packets_that_entered_and_those_in_records(self):
        capture, _ = make_traffic(self.folder, "mix", packets=200_000)
        with Program(SENSOR, "--read-pcap", capture, "--pace", "--quiet", "-v", environment=OFF) as program:
            wait_until("it runs", lambda: "msg=confined" in program.text())
            time.sleep(0.5 * PATIENCE)
            program.process.send_signal(signal.SIGUSR1)
            line = wait_until("the counters", lambda: re.search(
                r"msg=flows active=(\d+) .*packets=(\d+) reported_packets=(\d+) held_packets=(\d+)", program.text()))
            _, packets, reported, held = map(int, line.groups())
            self.assertEqual(packets, reported + held)
            self.assertGreater(held, 0)
            self.assertEqual(program.stop(signal.SIGINT), 0)


class Clock(Case):
    def capture(self, times):
        path = self.path("clock.pcap")
        with open(path, "wb") as out:
            out.write(header())
            for seconds, microseconds in times:
                out.write(packet(seconds, microseconds))
        return path

    def check(self, times, **more):
        records = self.flows(self.capture(times), **more)
        self.assertEqual(sums(records), (len(times), len(times) * len(FRAME)))
        return records

    def test_backwards_by_a_little_is_one_flow_and_by_much_two(self):
        records = self.check([(1000, 0), (1005, 0), (1001, 0), (1006, 0)])
        self.assertEqual(len({record["flow_id"] for record in records}), 1)
        records = self.check([(5000, 0), (5001, 0), (1000, 0), (1001, 0)])
        self.assertEqual(len({record["flow_id"] for record in records}), 2)
        self.assertTrue(any("FLOW_FLAG_CLOCK_STEP" in record.get("flags", []) for record in records))

    def test_packets_of_1970_and_2106(self):
        records = self.check([(0, 1), (0, 2), (1, 0)])
        self.assertTrue(records[0]["start_time"].startswith("1970-01-01T00:00:00"))
        records = self.check([(0xFFFFFFFE, 0), (0xFFFFFFFF, 999999)])
        self.assertTrue(records[-1]["end_time"].startswith("2106-02-07T06:28:15.999999"))

    def test_times_a_century_apart_are_quick_and_two_flows(self):
        begin = time.monotonic()
        records = self.check([(0, 0), (0xFFFFFFFF, 0), (0, 0), (0xFFFFFFFF, 0)])
        self.assertLess(time.monotonic() - begin, 20 * PATIENCE)
        self.assertGreaterEqual(len({record["flow_id"] for record in records}), 2)


class Files(Case):
    def test_packets_of_no_length_are_counted_and_in_no_flow(self):
        path = self.path("empty.pcap")
        with open(path, "wb") as out:
            out.write(header() + packet(1, 0) + packet(1, 1, b"", 0) + packet(1, 2, b"", 60) + packet(1, 3))
        done = sensor("--read-pcap", path, "--quiet", "--flows-jsonl", "-", environment=OFF)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sums(json_lines(done.stdout)), (2, 2 * len(FRAME)))
        self.assertIn("packets captured: 4", done.stderr)

    def paced(self, name, count):
        """A sensor that reads `count` packets of 20 ms each at their own pace."""
        path = self.path(name)
        with open(path, "wb") as out:
            out.write(header())
            for i in range(count):
                out.write(packet(int(START), i * 20_000, FRAME + bytes(1000)))
        lines = self.path("flows.jsonl")
        program = Program(SENSOR, "--read-pcap", path, "--pace", "--quiet", "--flows-jsonl", lines, environment=OFF)
        self.addCleanup(program.__exit__)
        return path, lines, program

    def test_a_file_that_grows_while_it_is_read_is_no_harm(self):
        path, lines, program = self.paced("grows.pcap", 45)
        time.sleep(0.3 * PATIENCE)
        with open(path, "ab") as out:
            out.write(packet(int(START), 999_000, FRAME + bytes(1000)) * 3 + packet(int(START), 999_500)[:20])
        status = program.process.wait(timeout=30 * PATIENCE)
        self.assertIn(status, (0, 1), program.text())  # 1: the last packet is not whole
        packets, _ = sums(json_lines(lines))
        self.assertIn(packets, (45, 48))

    def test_a_file_that_is_cut_while_it_is_read_ends_with_what_was_read(self):
        path, lines, program = self.paced("cut.pcap", 45)
        time.sleep(0.3 * PATIENCE)
        os.truncate(path, 24 + 10 * (16 + len(FRAME) + 1000) + 30)
        status = program.process.wait(timeout=30 * PATIENCE)
        self.assertIn(status, (0, 1), program.text())
        packets, _ = sums(json_lines(lines))
        self.assertGreaterEqual(packets, 1)
        self.assertLessEqual(packets, 45)

    def test_one_flow_of_all_packets_keeps_its_sums(self):
        frames = [(0, tcp("10.0.0.1", 4000, "10.0.0.2", 80, SYN, 1))]
        frames += [(i * 0.001, tcp("10.0.0.1", 4000, "10.0.0.2", 80, PSH | ACK, 2 + i * 100, 1, bytes(100))) for i in range(20000)]
        frames += [(20.1, tcp("10.0.0.1", 4000, "10.0.0.2", 80, FIN | ACK, 2 + 2000000, 1))]
        records = self.flows(write_pcap(self.path("one.pcap"), frames), environment={"NETSCOPE_FLOW__ACTIVE_TIMEOUT": "1s"})
        self.assertEqual(sums(records)[0], len(frames))
        self.assertEqual(int(records[-1]["forward"]["total_packets"]), len(frames))
        self.assertGreater(len(records), 10)


if __name__ == "__main__":
    main()
