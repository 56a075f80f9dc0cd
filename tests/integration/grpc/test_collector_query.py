"""QueryService of a collector by gRPC, grpcurl and REST: sums over any grouping and step are those of the records, of
which QueryFlows has each once, and of the sensors' ledgers; bounds that are met are told.

    NETSCOPE_DESCRIPTORS   the FileDescriptorSet of the build
    NETSCOPE_CORPUS        folder of captures; without it made-up traffic stands in
    NETSCOPE_TOOLS         folder where grpcurl may be
"""
import datetime
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from end_to_end.fleet import Collector, in_store
from support import grpcurl as tool
from support.programs import CORPUS, PATIENCE, SENSOR, Program, delta_packets, main, make_traffic, wait_until
from test_collector_api import Client

CAPTURES = ("mix--emix-688flows.pcap", "dns--464pkts-219flows.pcap")
GROUPS = ("application", "sensor", "client", "server", "server_port", "server_name", "server_label", "ip_protocol", "ip_version",
          "vlan", "direction")
FIELDS = {"bytes_forward": ("forward", "delta_bytes"), "bytes_reverse": ("reverse", "delta_bytes")}


def stamp(ns):
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def nanoseconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    at = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(at.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def number(record, *path):
    for name in path:
        record = record.get(name, {})
    return int(record or 0)


def captures(folder):
    found = [os.path.join(CORPUS, name) for name in CAPTURES]
    if all(os.path.exists(path) for path in found):
        return found
    return [make_traffic(folder, "mix", packets=20000, flows=900, seed=n)[0] for n in (1, 2)]


def report(name, collector, path, held=0):
    """Sends a capture; returns how many records the collector holds then, `held` before. What the sensor wrote into
    a file besides says how many they are."""
    lines = os.path.join(collector.folder, f"{name}.jsonl")
    with Program(SENSOR, "--read-pcap", path, "--quiet", "--sensor-id", name, "--flows-jsonl", lines, "--collector",
                 f"127.0.0.1:{collector.ingest}") as sensor:
        assert sensor.process.wait(timeout=120) == 0, sensor.text()
    with open(lines, encoding="utf-8") as records:
        held += sum(1 for _ in records)
    wait_until("all is stored", lambda: sum(map(len, in_store(collector.folder, "flows").values())) == held)
    return held


class Query(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-query-")
        config = os.path.join(cls.folder.name, "collector.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write("store:\n  commit_interval: 200ms\n")
        cls.collector = Collector(cls.folder.name, arguments=("--config", config))
        cls.client = Client(cls.collector.ingest, None)
        held = 0
        for at, path in enumerate(captures(cls.folder.name)):
            held = report(f"edge-{at + 1}", cls.collector, path, held)
        cls.records = cls.pages({"from": stamp(0), "page_size": 1000})
        assert len(cls.records) == held, (len(cls.records), held)
        cls.begin = min(nanoseconds(one.get("delta_start_time", one["end_time"])) for one in cls.records)
        cls.end = max(nanoseconds(one["end_time"]) for one in cls.records) + 1
        cls.range = {"from": stamp(cls.begin), "to": stamp(cls.end)}

    @classmethod
    def tearDownClass(cls):
        status = cls.collector.program.stop()
        text = cls.collector.program.text()
        cls.collector.close()
        cls.folder.cleanup()
        assert status == 0, text[-3000:]

    @classmethod
    def pages(cls, request):
        seen, token = [], ""
        while True:
            answer = cls.client.ask("QueryService/QueryFlows", {**request, "page_token": token})
            seen += answer.get("flows", [])
            assert int(answer["matched"]) >= len(seen)
            token = answer.get("next_page_token", "")
            if not token:
                assert int(answer["matched"]) == len(seen)
                return seen

    def aggregate(self, **request):
        return self.client.ask("QueryService/Aggregate", {**self.range, **request})

    def expect_sums(self, rows, records, what):
        for name, path in FIELDS.items():
            self.assertEqual(sum(number(row, name) for row in rows), sum(number(one, *path) for one in records),
                             (what, name))
        self.assertEqual(sum(number(row, "packets") for row in rows), sum(map(delta_packets, records)), what)
        self.assertEqual(sum(number(row, "records") for row in rows), len(records), what)

    # ---- records ----

    def test_pages_hold_each_record_once_in_either_order(self):
        keys = [(one["sensor_id"], one["boot_id"], one["record_seq"]) for one in self.records]
        self.assertEqual(len(keys), len(set(keys)))
        ends = [nanoseconds(one["end_time"]) for one in self.records]
        self.assertEqual(ends, sorted(ends, reverse=True))
        for order in ("QUERY_ORDER_UNSPECIFIED", "QUERY_ORDER_BYTES"):
            some = self.pages({**self.range, "order_by": order, "page_size": 137})
            self.assertEqual({(one["sensor_id"], one["boot_id"], one["record_seq"]) for one in some}, set(keys), order)
        sizes = [number(one, "forward", "delta_bytes") + number(one, "reverse", "delta_bytes") for one in some]
        self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_a_filter_sensors_and_a_range_choose_records(self):
        some = self.pages({**self.range, "filter": "server.port = 53", "sensor_selector": {"sensor_ids": ["edge-2"]}})
        wanted = [one for one in self.records if one["sensor_id"] == "edge-2" and one["server"].get("port") == 53]
        self.assertTrue(wanted)
        self.assertEqual(len(some), len(wanted))
        middle = sorted(nanoseconds(one["end_time"]) for one in self.records)[len(self.records) // 2]
        late = self.pages({"from": stamp(middle), "to": self.range["to"], "page_size": 500})
        self.assertEqual(len(late), sum(nanoseconds(one["end_time"]) >= middle for one in self.records))

    def test_a_page_token_belongs_to_its_question(self):
        first = self.client.ask("QueryService/QueryFlows", {**self.range, "page_size": 1})
        token = first["next_page_token"]
        for other in ({"filter": "app = dns"}, {"order_by": "QUERY_ORDER_BYTES"},
                      {"sensor_selector": {"sensor_ids": ["edge-1"]}}):
            self.assertEqual(self.client.refused("QueryService/QueryFlows", {"page_token": token, **other}),
                             ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"), other)
        self.assertEqual(self.client.refused("QueryService/QueryFlows", {"page_token": "x"})[1], "INVALID_PAGE_TOKEN")
        # The range is the token's, whatever is said besides.
        again = self.client.ask("QueryService/QueryFlows", {"page_token": token, "page_size": 1})
        self.assertEqual(again["to"], first["to"])
        self.assertNotEqual(again["flows"][0]["record_seq"], first["flows"][0]["record_seq"])

    def test_the_answer_tells_range_cost_and_coverage(self):
        answer = self.client.ask("QueryService/QueryFlows", {**self.range, "page_size": 1})
        self.assertEqual(nanoseconds(answer["from"]), self.begin)
        self.assertEqual(int(answer["matched"]), len(self.records))
        self.assertGreaterEqual(int(answer["scanned"]), len(self.records))
        self.assertIn("took", answer)
        self.assertNotIn("truncated", answer)
        self.assertEqual(answer["coverage"]["sensors_asked"], 2)
        self.assertEqual(sorted(answer["coverage"]["missing_sensor_ids"]), ["edge-1", "edge-2"])  # both have ended

    # ---- sums ----

    def test_sums_over_any_grouping_are_those_of_the_records_and_of_the_ledger(self):
        choices = [[]] + [[one] for one in GROUPS] + [list(pair) for pair in itertools.combinations(GROUPS[:5], 2)]
        for by in [*choices, ["application", "client", "server", "direction"]]:
            for limit in (1, 1000):
                answer = self.aggregate(group_by=by, limit=limit)
                self.expect_sums(answer["rows"], self.records, by)
                self.assertEqual(int(answer["matched"]), len(self.records))
                self.assertNotIn("truncated", answer)
                self.assertTrue(all(len(row.get("key", [])) == len(by) for row in answer["rows"]))
        rows = self.aggregate(group_by=["sensor"])["rows"]
        ledger = self.collector.fetch("/v1/ledger")
        for one in ledger["sensors"]:
            taken = [int(row["in"]) for row in one["rows"] if row["stage"].endswith("_FLOW")]
            mine = [number(row, "packets") for row in rows if row["key"] == [one["sensor_id"]]]
            self.assertEqual(mine, taken, one["sensor_id"])

    def test_sums_over_any_step_are_those_of_the_records(self):
        for name in ("edge-1", "edge-2"):
            records = [one for one in self.records if one["sensor_id"] == name]
            last = max(nanoseconds(one["end_time"]) for one in records)
            begin = min(nanoseconds(one.get("delta_start_time", one["end_time"])) for one in records
                        if nanoseconds(one["end_time"]) > last - 86400 * 10**9)
            records = [one for one in records if nanoseconds(one["end_time"]) >= begin]
            for step in ("60s", "300s", "3600s", "86400s"):
                answer = self.client.ask("QueryService/Aggregate", {
                    "from": stamp(begin), "to": stamp(last + 1), "step": step, "limit": 3,
                    "group_by": ["application"], "sensor_selector": {"sensor_ids": [name]}})
                self.expect_sums(answer["rows"], records, (name, step))
                times = [nanoseconds(row["time"]) for row in answer["rows"]]
                self.assertEqual(times, sorted(times))
                self.assertTrue(all(at % (int(step[:-1]) * 10**9) == 0 for at in times))
                self.assertEqual(answer["step"], step)

    def test_groups_are_what_a_filter_of_their_value_chooses(self):
        for name, field in (("application", "app"), ("server_port", "server.port"), ("ip_protocol", "protocol"),
                            ("client", "client.ip"), ("server_name", "server.name"), ("sensor", "sensor")):
            row = next(row for row in self.aggregate(group_by=[name])["rows"] if row["key"] != [""])
            records = self.pages({**self.range, "filter": f'{field} = "{row["key"][0]}"', "page_size": 1000})
            self.expect_sums([row], records, name)

    def test_what_cannot_be_asked_is_refused_with_what_can(self):
        ask = "QueryService/Aggregate"
        with self.assertRaises(Exception) as caught:
            self.aggregate(group_by=["country"])
        self.assertRegex(caught.exception.details(), "'country' is none of application, sensor, .*direction")
        self.assertEqual(self.client.refused(ask, {"group_by": ["country"]}),
                         ("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "group_by"))
        for wrong, field in (({"group_by": list(GROUPS[:5])}, "group_by"), ({"group_by": ["sensor", "sensor"]}, "group_by"),
                             ({"limit": 1001}, "limit"), ({"from": stamp(self.end), "to": stamp(self.begin)}, "from"),
                             ({"step": "0s"}, "step"), ({"filter": "app ="}, "filter")):
            self.assertEqual(self.client.refused(ask, wrong)[::2], ("INVALID_ARGUMENT", field), wrong)
        with self.assertRaises(Exception) as caught:
            self.client.ask(ask, {"from": stamp(0), "step": "1s"})
        step = re.search(r"a step of ([0-9.]+s) would do", caught.exception.details()).group(1)
        self.assertTrue(self.client.ask(ask, {"from": stamp(0), "step": step})["rows"])

    def test_whoever_goes_leaves_the_collector_well(self):
        for _ in range(20):
            path, message, read = self.client._method("QueryService/Aggregate", self.range)
            call = self.client.channel.unary_unary(path, type(message).SerializeToString, read).future(message, timeout=20 * PATIENCE)
            call.cancel()
        self.assertTrue(self.aggregate()["rows"])

    # ---- the map ----

    @staticmethod
    def has_failed(record):
        tcp, dns, http = (record.get(name, {}) for name in ("tcp", "dns", "http"))
        codes = dns.get("rcode_counts", [])
        return (tcp.get("conn_state") in ("S0", "REJ", "RSTR", "RSTOS0", "RSTRH")
                or dns.get("query_count", 0) > 0 and (not dns.get("response_count")
                                                      or sum(codes) > sum(codes[code] for code in (0, 3) if code < len(codes)))
                or http.get("status", 0) >= 500)

    def test_a_map_holds_all_traffic_and_says_what_went_wrong(self):
        ended = [one for one in self.records if one["event"] == "FLOW_EVENT_END"]
        failed = sum(map(self.has_failed, ended))
        self.assertGreater(failed, 0)
        retransmits = sum(number(one, "tcp", way, "retransmitted_segments") for one in ended for way in ("forward", "reverse"))
        for by, kinds in (("", {"host"}), ("application", {"host", "application"}),
                          ("server_name", {"host", "server_name"})):
            for most in ({}, {"max_nodes": 5, "max_edges": 4}, {"max_nodes": 500, "max_edges": 2000}):
                answer = self.client.ask("QueryService/GetServiceMap", {**self.range, "group_by": by, **most})
                edges, nodes = answer["edges"], answer["nodes"]
                self.expect_sums(edges, self.records, (by, most))
                self.assertLessEqual(len(nodes), most.get("max_nodes", 60))
                self.assertLessEqual(len(edges), most.get("max_edges", 200))
                self.assertLessEqual({one["kind"] for one in nodes}, kinds)
                ids = [one["id"] for one in nodes]
                self.assertEqual(len(ids), len(set(ids)))
                self.assertLessEqual({edge[end] for edge in edges for end in ("client", "server")}, set(ids))
                self.assertEqual(sum(number(edge, "ended_flows") for edge in edges), len(ended))
                self.assertEqual(sum(number(edge, "failed_flows") for edge in edges), failed)
                self.assertEqual(sum(number(edge, "retransmits") for edge in edges), retransmits)
                whole = sum(number(one, way, "delta_bytes") for one in self.records for way in ("forward", "reverse"))
                self.assertEqual(sum(number(node, "bytes_sent") for node in nodes), whole)
                self.assertEqual(sum(number(node, "bytes_received") for node in nodes), whole)
                self.assertTrue(any("rtt" in edge for edge in edges))
        ends = {(one["client"]["ip"], one["server"]["ip"]) for one in self.records}
        whole = self.client.ask("QueryService/GetServiceMap", self.range)
        self.assertEqual((whole["edges_total"], whole["nodes_total"]), (len(ends), len({ip for pair in ends for ip in pair})))
        self.assertIn("other:host", {one["id"] for one in whole["nodes"]})

    def test_an_edge_is_what_a_filter_of_its_ends_chooses(self):
        answer = self.client.ask("QueryService/GetServiceMap", {**self.range, "group_by": "application"})
        edge = next(edge for edge in answer["edges"] if "other" not in edge and edge["server"] != "application:")
        client, app = edge["client"].split(":", 1)[1], edge["server"].split(":", 1)[1]
        records = self.pages({**self.range, "filter": f'client.ip = "{client}" AND app = "{app}"', "page_size": 1000})
        self.expect_sums([edge], records, edge)
        for wrong, field in (({"group_by": "site"}, "group_by"), ({"max_nodes": 501}, "max_nodes"),
                             ({"max_edges": 1}, "max_edges"), ({"filter": "app ="}, "filter")):
            self.assertEqual(self.client.refused("QueryService/GetServiceMap", wrong)[::2], ("INVALID_ARGUMENT", field))

    # ---- hosts and services ----

    @staticmethod
    def side(records, address):
        """What the records say of a host: sent, received, flows, served, peers."""
        told = {"bytes_sent": 0, "bytes_received": 0, "packets": 0}
        flows, served, peers = set(), set(), set()
        for one in records:
            ends = one["client"]["ip"], one["server"]["ip"]
            if address not in ends:
                continue
            sent, received = (number(one, way, "delta_bytes") for way in ("forward", "reverse"))
            if ends[1] == address:
                sent, received = received, sent
                served.add((one["sensor_id"], one["flow_id"]))
            told["bytes_sent"] += sent + (received if ends[0] == ends[1] else 0)
            told["bytes_received"] += received + (sent if ends[0] == ends[1] else 0)
            told["packets"] += delta_packets(one)
            flows.add((one["sensor_id"], one["flow_id"]))
            peers.add(ends[0] if ends[1] == address else ends[1])
        return {**told, "flows": len(flows), "flows_served": len(served), "peers": len(peers)}

    def test_hosts_are_what_the_records_say(self):
        addresses = {one[end]["ip"] for one in self.records for end in ("client", "server")}
        answer = self.client.ask("QueryService/ListHosts", {**self.range, "limit": 1000})
        self.assertEqual((answer["found"], answer["groups"], int(answer["matched"])),
                         (len(addresses), len(addresses), len(self.records)))
        self.assertEqual(number(answer, "bytes"), sum(number(one, way, "delta_bytes") for one in self.records
                                                      for way in ("forward", "reverse")))
        hosts = answer["hosts"]
        self.assertEqual(len(hosts), min(1000, len(addresses)))
        sizes = [number(host, "bytes_sent") + number(host, "bytes_received") for host in hosts]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        for host in hosts[:40]:
            told = self.side(self.records, host["address"])
            self.assertEqual({name: number(host, name) for name in told}, told, host["address"])
            self.assertLess(nanoseconds(host["first_time"]), nanoseconds(host["last_time"]))
        self.assertTrue(any("rtt" in host for host in hosts))

    def test_the_peers_of_a_host_are_those_it_met(self):
        whole = self.client.ask("QueryService/ListHosts", {**self.range, "limit": 1, "order_by": "PARTY_ORDER_PEERS"})
        host = whole["hosts"][0]
        answer = self.client.ask("QueryService/ListHosts", {**self.range, "peer_of": host["address"], "limit": 1000})
        self.assertEqual(answer["self"], host)
        peers = {peer["address"]: peer for peer in answer["hosts"]}
        self.assertEqual((len(peers), answer["found"]), (number(host, "peers"), number(host, "peers")))
        self.assertEqual(sum(number(peer, "bytes_sent") for peer in peers.values()), number(host, "bytes_received"))
        self.assertEqual(sum(number(peer, "bytes_received") for peer in peers.values()), number(host, "bytes_sent"))
        one = next(iter(peers))
        found = self.client.ask("QueryService/ListHosts", {**self.range, "peer_of": host["address"], "search": one[:-1]})
        self.assertEqual({peer["address"] for peer in found["hosts"]}, {name for name in peers if one[:-1] in name})
        nobody = self.client.ask("QueryService/ListHosts", {**self.range, "peer_of": "203.0.113.254"})
        self.assertEqual(("self" in nobody, nobody.get("hosts", [])), (False, []))

    def test_services_are_what_the_records_say(self):
        answer = self.client.ask("QueryService/ListServices", {**self.range, "limit": 1000})
        told = {}
        for one in self.records:
            key = (one["server"]["ip"], one["server"].get("port", 0), one.get("app", {}).get("protocol", ""))
            told.setdefault(key, []).append(one)
        rows = {}
        for row in answer["services"]:
            rows.setdefault((row["address"], row.get("port", 0), row.get("application", "")), []).append(row)
        if len(told) <= 1000:
            self.assertEqual(set(rows), set(told))
        for key, some in rows.items():
            self.assertEqual(sum(number(row, "bytes_sent") for row in some),
                             sum(number(one, "reverse", "delta_bytes") for one in told[key]), key)
            self.assertEqual(sum(number(row, "records") for row in some), len(told[key]), key)
            if len(some) == 1:
                self.assertEqual(number(some[0], "peers"), len({one["client"]["ip"] for one in told[key]}), key)
        port = next(iter(rows))[1]
        found = self.client.ask("QueryService/ListServices", {**self.range, "search": str(port), "limit": 1000})
        self.assertTrue(all(row.get("port", 0) == port or str(port) in row["address"] + row.get("name", "")
                            for row in found["services"]))

    def test_hosts_and_services_refuse_what_they_do_not_understand(self):
        for wrong, field in (({"peer_of": "10.0.0.256"}, "peer_of"), ({"limit": 1001}, "limit"), ({"filter": "app ="}, "filter"),
                             ({"search": "x" * 132}, "search"), ({"order_by": 99}, "order_by"),
                             ({"from": stamp(2), "to": stamp(1)}, "from")):
            self.assertEqual(self.client.refused("QueryService/ListHosts", wrong)[::2], ("INVALID_ARGUMENT", field), wrong)
        self.assertEqual(self.client.refused("QueryService/ListServices", {"order_by": 99})[::2],
                         ("INVALID_ARGUMENT", "order_by"))

    # ---- the same by other ways ----

    def rest(self, path, body=None, **query):
        url = f"http://127.0.0.1:{self.collector.http}{path}" + ("?" + urllib.parse.urlencode(query, True) if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def test_rest_gives_the_same_answers(self):
        asked = {**self.range, "group_by": ["application", "server_port"], "limit": 7}
        own = self.aggregate(group_by=asked["group_by"], limit=7)["rows"]
        for path in ("/v1/query:aggregate", "/v1/fleet/query:aggregate"):
            for status, answer in (self.rest(path, **asked), self.rest(path, body=asked)):
                self.assertEqual(status, 200, answer)
                self.assertEqual([(row["key"], row["bytes_forward"]) for row in answer["rows"]],
                                 [(row["key"], row.get("bytes_forward", "0")) for row in own])
                self.assertEqual(answer["rows"][-1]["other"], True)
        status, answer = self.rest("/v1/fleet/flows:query", page_size=3, **self.range)
        self.assertEqual((status, len(answer["flows"]), int(answer["matched"])), (200, 3, len(self.records)))
        own = self.client.ask("QueryService/GetServiceMap", self.range)
        for path in ("/v1/map", "/v1/fleet/map"):
            status, answer = self.rest(path, **self.range)
            self.assertEqual((status, [edge["bytes_forward"] for edge in answer["edges"]]),
                             (200, [edge.get("bytes_forward", "0") for edge in own["edges"]]))
        own = self.client.ask("QueryService/ListHosts", {**self.range, "limit": 9, "order_by": "PARTY_ORDER_FLOWS"})
        for path in ("/v1/hosts", "/v1/fleet/hosts"):
            status, answer = self.rest(path, limit=9, order_by="PARTY_ORDER_FLOWS", **self.range)
            self.assertEqual((status, [(host["address"], host["peers"]) for host in answer["hosts"]]),
                             (200, [(host["address"], host["peers"]) for host in own["hosts"]]))
        own = self.client.ask("QueryService/ListServices", {**self.range, "limit": 9, "search": "dns"})
        status, answer = self.rest("/v1/services", limit=9, search="dns", **self.range)
        found = [(row["address"], row["port"], row["application"]) for row in answer["services"]]
        self.assertEqual((status, found), (200, [(row["address"], row["port"], row["application"]) for row in own["services"]]))
        self.assertTrue(found and all("dns" in application for _, _, application in found), found)
        status, problem = self.rest("/v1/query:aggregate", filter="server.port =")
        self.assertEqual((status, problem["reason"], problem["pos"]), (400, "INVALID_FILTER", 13))
        status, problem = self.rest("/v1/query:aggregate", group_by="country")
        self.assertEqual((status, problem["reason"]), (400, "OUT_OF_BOUNDS"))
        self.assertLessEqual({"/v1/query:aggregate", "/v1/fleet/flows:query"},
                             set(self.rest("/v1/openapi.json")[1]["paths"]))

    def test_series_of_a_filter_hold_what_aggregate_tells(self):
        last = max(nanoseconds(one["end_time"]) for one in self.records if one["sensor_id"] == "edge-1")
        begin = last // 60_000_000_000 * 60_000 - 30 * 60_000
        span = {"from": begin, "to": begin + 31 * 60_000}
        wide = {"from": stamp(span["from"] * 10**6), "to": stamp(span["to"] * 10**6), "filter": "protocol = udp"}
        for by, group in (("none", []), ("app", ["application"]), ("sensor", ["sensor"])):
            status, answer = self.rest("/v1/timeseries", metric="bps", by=by, step=60000, filter=wide["filter"], **span)
            self.assertEqual((status, answer["step_ms"], answer["quality"]), (200, 60000, "exact"))
            rows = self.client.ask("QueryService/Aggregate", {**wide, "group_by": group, "limit": 1000})["rows"]
            told = {one["key"]: sum((value or 0) * 60 / 8 for way in ("in", "out") for value in one[way])
                    for one in answer["series"]}
            if len(told) <= 20:
                self.assertEqual(set(told), {row["key"][0] if group else "total" for row in rows})
            whole = sum(number(row, "bytes_forward") + number(row, "bytes_reverse") for row in rows)
            self.assertGreater(whole, 0)
            self.assertAlmostEqual(sum(told.values()), whole, delta=1e-6 * whole)

    def test_grpcurl_asks_without_a_proto_file(self):
        found = tool.find()
        if found is None:
            self.skipTest("grpcurl is not to be had")
        target = f"127.0.0.1:{self.collector.ingest}"
        listed = subprocess.run([found, "-plaintext", target, "list"], capture_output=True, text=True, timeout=30)
        self.assertIn("netscope.v1.QueryService", listed.stdout, listed.stderr)
        asked = subprocess.run([found, "-plaintext", "-d", json.dumps({**self.range, "group_by": ["application"]}), target,
                                "netscope.v1.QueryService/Aggregate"], capture_output=True, text=True, timeout=30)
        rows = json.loads(asked.stdout)["rows"]
        self.assertEqual(sum(int(row.get("packets", 0)) for row in rows), sum(map(delta_packets, self.records)))


class Bounds(unittest.TestCase):
    def test_a_bound_that_is_met_is_told(self):
        with tempfile.TemporaryDirectory(prefix="netscope-query-bounds-") as folder:
            config = os.path.join(folder, "collector.yaml")
            with open(config, "w", encoding="utf-8") as out:
                out.write("store:\n  commit_interval: 200ms\n  query_groups: 16\n  query_rows: 1000\n")
            collector = Collector(folder, arguments=("--config", config))
            try:
                path, _ = make_traffic(folder, "mix", packets=6000, flows=300)
                held = report("edge-1", collector, path)
                self.meet_groups(Client(collector.ingest, None))
                path, _ = make_traffic(folder, "mix", packets=30000, flows=3000, seed=2)
                report("edge-2", collector, path, held)
                self.meet_rows(Client(collector.ingest, None))
            finally:
                collector.program.stop()
                collector.close()

    def meet_groups(self, client):
        asked = {"from": stamp(0), "group_by": ["client", "server_port", "server"], "limit": 1000}
        answer = client.ask("QueryService/Aggregate", asked)
        self.assertEqual((answer["truncated"], answer["groups"], answer["groups_max"]), (True, 16, 16))
        self.assertIn("store.query_groups", answer["truncated_reason"])
        self.assertNotIn("complete", answer["coverage"])
        whole = client.ask("QueryService/Aggregate", {"from": stamp(0)})
        self.assertNotIn("truncated", whole)
        self.assertEqual(sum(number(row, "packets") for row in answer["rows"]),
                         sum(number(row, "packets") for row in whole["rows"]))  # "other" has what found no room
        self.assertTrue(answer["rows"][-1]["other"])

    def meet_rows(self, client):
        for method, more in (("QueryService/Aggregate", {}), ("QueryService/QueryFlows", {"page_size": 10})):
            answer = client.ask(method, {"from": stamp(0), **more})
            self.assertTrue(answer["truncated"], method)
            self.assertIn("store.query_rows", answer["truncated_reason"])
            self.assertEqual(int(answer["matched"]), 1000)
            self.assertNotIn("complete", answer["coverage"])


if __name__ == "__main__":
    main()
