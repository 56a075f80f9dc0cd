"""One flow seen by several sensors: three that read the same traffic, one of them with packets missing, report to one
collector. Merged sums are those of one sensor, ALL has them all, and what only looks alike stays apart.

    NETSCOPE_DESCRIPTORS   the FileDescriptorSet of the build
"""
import json
import os
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from end_to_end.fleet import Collector
from support.programs import (ACK, FIN, PATIENCE, PSH, START, SYN, delta_packets, json_lines, main, make_traffic,
                              read_pcap, tcp, udp, write_pcap)
from test_collector_api import Client
from test_collector_query import number, report, stamp

CLIENT, SERVER, TENANT = "10.9.0.1", "10.9.0.2", "10.9.1.1"
SENSORS = ("core", "twin", "edge")  # edge lacks packets


def connection(at, port, payload, step=0.01):
    """A whole TCP connection of 8 packets, `step` seconds from one to the next."""
    down, up = (CLIENT, port, SERVER, 80), (SERVER, 80, CLIENT, port)
    frames = [tcp(*down, SYN, 100), tcp(*up, SYN | ACK, 500, 101), tcp(*down, ACK, 101, 501),
              tcp(*down, PSH | ACK, 101, 501, payload), tcp(*up, ACK, 501, 101 + len(payload)),
              tcp(*down, FIN | ACK, 101 + len(payload), 501), tcp(*up, FIN | ACK, 501, 102 + len(payload)),
              tcp(*down, ACK, 102 + len(payload), 502)]
    return [(at + n * step, frame) for n, frame in enumerate(frames)]


def tagged(frame, vlan):
    """The same Ethernet frame in a VLAN."""
    return frame[:12] + bytes.fromhex("8100") + vlan.to_bytes(2, "big") + frame[12:]


def is_later(frame, seen):
    """Whether its flow began before; of IPv4 alone."""
    addresses, ports = frame[26:34], frame[34:38]
    key = frozenset((addresses[:4] + ports[:2], addresses[4:] + ports[2:]))
    was_seen = frame[12:14] == b"\x08\x00" and key in seen
    seen.add(key)
    return was_seen


def make_captures(folder):
    """What each sensor has on its wire."""
    mix, _ = make_traffic(folder, "mix", packets=6000, flows=300)
    shared = [(seconds + fraction / 1e6 - START, data) for seconds, fraction, _, data in read_pcap(mix)]
    begin = min(at for at, _ in shared)
    shared += connection(begin + 1, 40000, b"first") + connection(begin + 4, 40000, b"port used again")
    shared.sort(key=lambda one: one[0])
    seen, thinned, later = set(), [], 0
    for at, frame in shared:
        later += is_later(frame, seen)
        if later % 10 == 9 and is_later(frame, seen):
            later += 1
            continue
        thinned.append((at, frame))
    tenants = [[(begin + 2 + n / 10, tagged(udp(TENANT, 1000, SERVER, 2000, b"x" * 40), vlan)) for n in range(count)]
               for vlan, count in ((10, 3), (20, 5))]
    alone = [(begin + 3 + n / 10, udp("10.9.2.1", 7000, SERVER, 7001, b"only here")) for n in range(4)]
    frames = {"core": shared + tenants[0], "twin": shared, "edge": thinned + tenants[1] + alone}
    return {name: write_pcap(os.path.join(folder, f"{name}.pcap"), sorted(some, key=lambda one: one[0]))
            for name, some in frames.items()}


class Merged(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-merged-")
        config = os.path.join(cls.folder.name, "collector.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write("store:\n  commit_interval: 200ms\n")
        cls.collector = Collector(cls.folder.name, arguments=("--config", config))
        cls.client = Client(cls.collector.ingest, None)
        held = 0
        for name, path in make_captures(cls.folder.name).items():
            held = report(name, cls.collector, path, held)
        cls.own = {name: json_lines(os.path.join(cls.folder.name, f"{name}.jsonl")) for name in SENSORS}
        cls.packets = {name: sum(map(delta_packets, records)) for name, records in cls.own.items()}
        cls.range = {"from": stamp((int(START) - 60) * 10**9), "to": stamp((int(START) + 3600) * 10**9)}
        cls.whole = cls.packets["core"] + 5 + 4  # the other tenant's, and the flow that edge alone saw

    @classmethod
    def tearDownClass(cls):
        status = cls.collector.program.stop()
        text = cls.collector.program.text()
        cls.collector.close()
        cls.folder.cleanup()
        assert status == 0, text[-3000:]

    def aggregate(self, **request):
        answer = self.client.ask("QueryService/Aggregate", {**self.range, **request})
        return sum(number(row, "packets") for row in answer.get("rows", [])), answer

    def flows(self, **query):
        url = (f"http://127.0.0.1:{self.collector.http}/v1/flows?"
               + urllib.parse.urlencode({"from": 0, "page_size": 1000, **query}))
        try:
            with urllib.request.urlopen(url, timeout=20 * PATIENCE) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    # ---- sums ----

    def test_the_traffic_is_what_the_test_means(self):
        self.assertEqual(self.packets["core"], self.packets["twin"] + 3)
        self.assertLess(self.packets["edge"], self.packets["twin"] - 100)

    def test_merged_sums_are_those_of_one_sensor(self):
        packets, answer = self.aggregate()
        self.assertEqual(packets, self.whole)
        self.assertEqual(answer["dedup"], "DEDUP_MERGED")
        packets, answer = self.aggregate(dedup="DEDUP_ALL")
        self.assertEqual(packets, sum(self.packets.values()))
        self.assertEqual(answer["dedup"], "DEDUP_ALL")

    def test_parts_are_the_whole(self):
        for text in ("protocol = udp", "server.port > 1000", "rtt > 1ms", "app = tls", "packets > 5"):
            some, _ = self.aggregate(filter=text)
            rest, _ = self.aggregate(filter=f"NOT {text}")
            self.assertEqual(some + rest, self.whole, text)
        for request in ({"group_by": ["client", "server_port"], "limit": 3}, {"step": "1s"},
                        {"group_by": ["application"], "step": "60s", "limit": 100}):
            self.assertEqual(self.aggregate(**request)[0], self.whole, request)

    def test_a_sensor_has_what_it_saw(self):
        _, answer = self.aggregate(group_by=["sensor"])
        self.assertEqual({row["key"][0]: number(row, "packets") for row in answer["rows"]}, self.packets)
        self.assertEqual(answer["dedup"], "DEDUP_ALL")
        for name in SENSORS:
            self.assertEqual(self.aggregate(filter=f"sensor = {name}")[0], self.packets[name])
            self.assertEqual(self.aggregate(sensor_selector={"sensor_ids": [name]})[0], self.packets[name])
        self.assertEqual(self.aggregate(sensor_selector={"sensor_ids": ["core", "twin"]})[0], self.packets["core"])

    def test_a_map_and_records_count_once(self):
        answer = self.client.ask("QueryService/GetServiceMap", {**self.range, "max_edges": 2000, "max_nodes": 500})
        self.assertEqual(sum(number(edge, "packets") for edge in answer["edges"]), self.whole)
        self.assertEqual(answer["dedup"], "DEDUP_MERGED")
        for dedup, packets in (("DEDUP_MERGED", self.whole), ("DEDUP_ALL", sum(self.packets.values()))):
            records, token = [], ""
            while True:
                page = self.client.ask("QueryService/QueryFlows", {**self.range, "page_size": 300, "page_token": token,
                                                                   "dedup": dedup})
                records += page["flows"]
                token = page.get("next_page_token", "")
                if not token:
                    break
            self.assertEqual((sum(map(delta_packets, records)), page["dedup"]), (packets, dedup))

    def test_series_of_a_filter_count_once(self):
        last = max(row["end_time"] for row in self.own["core"])
        begin = int(START) // 60 * 60_000 - 60_000
        sums = {}
        for dedup in ("MERGED", "ALL"):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.collector.http}/v1/timeseries?" + urllib.parse.urlencode(
                    {"filter": "protocol = udp", "metric": "pps", "step": 60000, "from": begin, "to": begin + 3_600_000,
                     "dedup": dedup}), timeout=20 * PATIENCE) as answer:
                answer = json.loads(answer.read())
            self.assertEqual(answer["dedup"], dedup, last)
            sums[dedup] = round(sum((value or 0) * 60 for one in answer["series"] for value in one["in"]))
        self.assertEqual(sums["MERGED"], self.aggregate(filter="protocol = udp")[0])
        self.assertEqual(sums["ALL"], self.aggregate(filter="protocol = udp", dedup="DEDUP_ALL")[0])

    # ---- flows ----

    def test_a_list_has_a_flow_once_with_all_who_saw_it(self):
        answer = self.flows(filter="port = 40000")
        self.assertEqual((answer["matched"], answer["dedup"]), (2, "MERGED"))  # the port was used again
        for flow in answer["flows"]:
            seen = flow["observers"]
            self.assertEqual({one["sensor_id"] for one in seen}, set(SENSORS))
            self.assertEqual([one.get("primary", False) for one in seen], [True, False, False])
            self.assertEqual((seen[0]["sensor_id"], seen[0]["flow_id"]), (flow["sensor_id"], flow["flow_id"]))
            self.assertEqual(int(seen[0]["total_packets"]), 8)
            self.assertTrue(all(int(one["total_bytes"]) > 0 and one["first_time"] for one in seen))
            self.assertEqual(flow["sensor_id"], "core")  # as good as twin's: by name
        answer = self.flows(filter="port = 40000", dedup="ALL")
        self.assertEqual((answer["matched"], answer["dedup"]), (6, "ALL"))
        self.assertFalse(any("observers" in flow for flow in answer["flows"]))

    def test_one_flow_names_all_whichever_is_asked_for(self):
        flow = self.flows(filter="port = 40000")["flows"][0]
        for one in flow["observers"]:
            url = f"http://127.0.0.1:{self.collector.http}/v1/flows/{one['flow_id']}?sensor_id={one['sensor_id']}"
            with urllib.request.urlopen(url, timeout=20 * PATIENCE) as answer:
                own = json.loads(answer.read())
            self.assertEqual(own["sensor_id"], one["sensor_id"])
            self.assertEqual(own["observers"], flow["observers"])
            own = self.client.ask("FlowService/GetFlow", {"flow_id": one["flow_id"], "sensor_selector": {
                "sensor_ids": [one["sensor_id"]]}})["flow"]
            self.assertEqual([(seen["sensor_id"], seen["flow_id"]) for seen in own["observers"]],
                             [(seen["sensor_id"], seen["flow_id"]) for seen in flow["observers"]])

    def test_what_one_sensor_alone_saw_stays(self):
        answer = self.flows(filter="port = 7000")
        self.assertEqual([flow["sensor_id"] for flow in answer["flows"]], ["edge"])
        self.assertNotIn("observers", answer["flows"][0])

    def test_tenants_with_equal_addresses_stay_two(self):
        answer = self.flows(filter=f"ip = {TENANT}")
        self.assertEqual(sorted((flow["sensor_id"], flow["vlan_id"]) for flow in answer["flows"]),
                         [("core", 10), ("edge", 20)])
        self.assertEqual(len({flow["community_id"] for flow in answer["flows"]}), 1)

    def test_one_that_lacks_packets_does_not_count(self):
        primaries = {flow["sensor_id"] for flow in self.flows(order_by="bytes desc")["flows"] if "observers" in flow}
        self.assertEqual(primaries, {"core"})

    def test_facets_of_sensors_have_all(self):
        url = f"http://127.0.0.1:{self.collector.http}/v1/facets?from=0&filter=port%3D40000"
        with urllib.request.urlopen(url, timeout=20 * PATIENCE) as answer:
            facets = json.loads(answer.read())
        self.assertEqual((facets["matched"], {one["value"] for one in facets["sensor"]}), (2, set(SENSORS)))

    def test_what_is_neither_is_refused(self):
        problem = self.flows(dedup="SOME")
        self.assertEqual((problem["status"], problem["reason"]), (400, "BAD_PARAMETER"))
        self.assertIn("MERGED, ALL", problem["detail"])
        self.assertEqual(self.client.refused("QueryService/Aggregate", {"dedup": 7})[:2],
                         ("INVALID_ARGUMENT", "OUT_OF_BOUNDS"))


class Restarted(unittest.TestCase):
    """A sensor that is started again in the middle of connections which another one sees whole."""

    def test_what_it_took_up_in_the_middle_counts_no_second_time(self):
        with tempfile.TemporaryDirectory(prefix="netscope-merged-") as folder:
            frames = sorted(one for n in range(20) for one in connection(n / 20, 41000 + n, b"x" * 100, step=0.5))
            parts = {"core": [frames], "edge": [[one for one in frames if one[0] < 2], [one for one in frames if one[0] >= 2]]}
            collector, held = Collector(folder), 0
            try:
                for name, captures in parts.items():
                    for number_of, some in enumerate(captures):
                        path = write_pcap(os.path.join(folder, f"{name}-{number_of}.pcap"), some)
                        held = report(name, collector, path, held)
                client = Client(collector.ingest, None)
                asked = {"from": stamp((int(START) - 60) * 10**9), "to": stamp((int(START) + 60) * 10**9)}
                sums = {dedup: sum(number(row, "packets") for row in client.ask(
                    "QueryService/Aggregate", {**asked, "dedup": dedup})["rows"]) for dedup in ("DEDUP_MERGED", "DEDUP_ALL")}
                self.assertEqual(sums, {"DEDUP_MERGED": 160, "DEDUP_ALL": 320})
                flows = client.ask("QueryService/QueryFlows", asked)["flows"]
                self.assertEqual({flow["sensor_id"] for flow in flows}, {"core"})
                self.assertEqual(collector.program.stop(), 0, collector.program.text()[-3000:])
            finally:
                collector.close()


if __name__ == "__main__":
    main()
