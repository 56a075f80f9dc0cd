"""Logs as Zeek writes them, read back as zeek-cut does: by their own heads. Standard library only."""
import collections
import glob
import ipaddress
import json
import os
import re
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import SENSOR, Program, main, make_traffic, sensor, udp, wait_until, write_pcap


def unescaped(text):
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m.group(1), 16)]), text.encode())
    return raw.decode(errors="replace")


def value_of(text, kind):
    """By the type that the head says; None is unset."""
    if text == "-":
        return None
    inner = re.fullmatch(r"(?:vector|set)\[(\w+)\]", kind)
    if inner:
        return [] if text == "(empty)" else [value_of(part, inner.group(1)) for part in text.split(",")]
    if kind in ("count", "port", "int"):
        return int(text)
    if kind in ("time", "interval"):
        assert re.fullmatch(r"\d+\.\d{6}", text), text
        return float(text)
    if kind == "bool":
        return {"T": True, "F": False}[text]
    if kind == "addr":
        return str(ipaddress.ip_address(text))
    return "" if text == "(empty)" else unescaped(text)


def read_log(path):
    rows, fields, types, is_closed = [], None, None, False
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file.read().split("\n")[:-1]:
            if line.startswith("#"):
                word, _, rest = line[1:].partition("\t")
                fields = rest.split("\t") if word == "fields" else fields
                types = rest.split("\t") if word == "types" else types
                is_closed = is_closed or word == "close"
                continue
            assert not is_closed, "a line behind the end"
            parts = line.split("\t")
            assert len(parts) == len(fields) == len(types), (path, line)
            rows.append({name: value_of(text, kind) for name, kind, text in zip(fields, types, parts)})
    return rows, is_closed


class Zeek(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="netscope-zeek-")
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        self.logs = os.path.join(self.folder, "logs")
        self.capture, _ = make_traffic(self.folder, "mix", packets=8000)

    def sense(self, **environment):
        lines, dns = os.path.join(self.folder, "flows.jsonl"), os.path.join(self.folder, "dns.jsonl")
        done = sensor("--read-pcap", self.capture, "--quiet", "--zeek-logs", self.logs, "--flows-jsonl", lines, "--dns-jsonl", dns,
                      environment=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(lines, encoding="utf-8") as flows, open(dns, encoding="utf-8") as transactions:
            return ([flow for flow in map(json.loads, flows) if flow["event"] == "FLOW_EVENT_END"],
                    [json.loads(line) for line in transactions])

    def log(self, name):
        rows, is_closed = read_log(os.path.join(self.logs, f"{name}.log"))
        self.assertTrue(is_closed)
        return rows

    def test_each_ended_flow_is_a_line_with_its_sums(self):
        flows, _ = self.sense()
        rows = self.log("conn")
        self.assertGreater(len(rows), 300)

        def totals(flow, side):
            counters = flow.get(side, {})
            return int(counters.get("total_packets", 0)), int(counters.get("total_ip_bytes", 0))
        wanted = collections.Counter((flow["client"]["ip"], flow["server"]["ip"], flow["community_id"], *totals(flow, "forward"),
                                      *totals(flow, "reverse")) for flow in flows)
        got = collections.Counter((row["id.orig_h"], row["id.resp_h"], row["community_id"], row["orig_pkts"], row["orig_ip_bytes"],
                                   row["resp_pkts"], row["resp_ip_bytes"]) for row in rows)
        self.assertEqual(got, wanted)
        self.assertEqual(len({row["uid"] for row in rows}), len(rows))
        states = {flow["community_id"]: flow["tcp"]["conn_state"] for flow in flows if "tcp" in flow}
        for row in rows:
            self.assertIn(row["proto"], ("tcp", "udp", "icmp"))
            if row["proto"] == "tcp":
                self.assertRegex(row["conn_state"], "^(S0|S1|SF|REJ|S2|S3|RSTO|RSTR|RSTOS0|RSTRH|SH|SHR|OTH)$")
        self.assertLess(len(set(states.values()) - {row["conn_state"] for row in rows}), 1)
        self.assertLessEqual({"ssl", "dns"}, {row["service"] for row in rows})

    def test_queries_and_hellos_are_lines_that_their_connections_uid_joins(self):
        flows, transactions = self.sense()
        uids = {row["uid"]: row for row in self.log("conn")}
        rows = self.log("dns")
        self.assertEqual(collections.Counter(row["query"] for row in rows), collections.Counter(dns["name"] for dns in transactions))
        self.assertEqual(sum(len(row["answers"] or []) for row in rows), sum(len(dns.get("answers", [])) for dns in transactions))
        for row in rows:
            self.assertIn(row["uid"], uids)
            self.assertEqual(row["id.orig_p"], uids[row["uid"]]["id.orig_p"])
            self.assertEqual(row["qtype_name"], {1: "A", 28: "AAAA", 12: "PTR", 15: "MX", 16: "TXT"}.get(row["qtype"], row["qtype_name"]))
        hellos = self.log("ssl")
        self.assertEqual(collections.Counter(row["server_name"] for row in hellos),
                         collections.Counter(flow["tls"].get("sni") or None for flow in flows if "tls" in flow))
        for row in hellos:
            self.assertIn(row["uid"], uids)

    def test_json_says_the_same_without_what_is_unset(self):
        self.sense()
        rows = self.log("conn")
        self.sense(NETSCOPE_OUTPUT__ZEEK_FORMAT="json")
        with open(os.path.join(self.logs, "conn.log"), encoding="utf-8") as file:
            objects = [json.loads(line) for line in file]
        self.assertEqual(objects, [{key: value for key, value in row.items() if value is not None} for row in rows])

    def test_a_log_is_rotated_by_its_age_and_nothing_of_it_is_lost(self):
        slow = write_pcap(os.path.join(self.folder, "slow.pcap"),
                          [(i / 100, udp("10.0.0.1", 2000 + i, "10.0.0.2", 9, b"x")) for i in range(300)])
        service = Program(SENSOR, "--read-pcap", slow, "--pace", "--loop", "--quiet", "--zeek-logs", self.logs,
                          environment={"NETSCOPE_OUTPUT__ZEEK_ROTATE": "1s", "NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off",
                                       "NETSCOPE_FLOW__IDLE_TIMEOUT": "500ms"})
        with service:
            wait_until("two kept logs", lambda: len(glob.glob(os.path.join(self.logs, "conn-*.log"))) >= 2)
            self.assertEqual(service.stop(), 0, service.text())
            ended = int(re.search(r"flows: (\d+)", service.text()).group(1))
        kept = sorted(glob.glob(os.path.join(self.logs, "conn-*.log")))
        self.assertRegex(os.path.basename(kept[0]), r"^conn-\d\d-\d\d-\d\d_\d\d\.\d\d\.\d\d(-\d+)?\.log$")
        rows = [row for path in [*kept, os.path.join(self.logs, "conn.log")] for row in read_log(path)[0]]
        self.assertEqual(len(rows), ended)
        # What stood there at the end is not overwritten by the next start.
        before = len(kept)
        self.assertEqual(sensor("--read-pcap", self.capture, "--quiet", "--zeek-logs", self.logs,
                                environment={"NETSCOPE_OUTPUT__ZEEK_ROTATE": "1h"}).returncode, 0)
        self.assertEqual(len(glob.glob(os.path.join(self.logs, "conn-*.log"))), before + 1)

    def test_a_place_that_cannot_be_written_ends_the_start(self):
        path = os.path.join(self.folder, "file")
        with open(path, "w", encoding="utf-8"):
            pass
        for place, words in ((path, "is no directory"), (os.path.join(self.folder, "a", "b"), "No such file")):
            done = sensor("--read-pcap", self.capture, "--quiet", "--zeek-logs", place)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("zeek_logs", done.stderr)
            self.assertIn(words.lower(), done.stderr.lower())


if __name__ == "__main__":
    main()
