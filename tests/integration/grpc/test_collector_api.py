"""The fleet by gRPC and REST: a collector with two live sensors and one that has gone, asked by python grpcio without
generated code, by grpcurl (reflection alone) and by REST.

    NETSCOPE_DESCRIPTORS   the FileDescriptorSet of the build
    NETSCOPE_TOOLS         folder where grpcurl may be, or be put; without it that part is left out
"""
import contextlib
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support import grpcurl as tool
from support.programs import PATIENCE, SENSOR, SKIPPED, Program, main, make_traffic, metrics, wait_until, write_pcap
from support.service import capture

try:
    import grpc
    from support.grpc_client import Client as AnyClient
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)

READER, FULL = "reader-token-0123456789", "full-token-0123456789"


class Client(AnyClient):
    def __init__(self, port, token=READER):
        super().__init__(port, token)


def sensor(folder, name, collector, pcap, *arguments):
    config = os.path.join(folder, f"{name}.yaml")
    with open(config, "w", encoding="utf-8") as out:
        out.write("packets:\n  samples_per_second: 20\ngrpc:\n  enabled: off\nhttp:\n  enabled: off\n")
    return Program(SENSOR, "--config", config, "--read-pcap", pcap, "--quiet", "--sensor-id", name, "--collector",
                   f"127.0.0.1:{collector.ingest}", *arguments)


class CollectorApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-fleet-api-")
        folder = cls.folder.name
        tokens = os.path.join(folder, "tokens")
        with open(tokens, "w", encoding="utf-8") as out:
            out.write(f"reader flows {READER}\nfull all {FULL}\n")
        os.chmod(tokens, 0o600)
        config = os.path.join(folder, "collector.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  token_file: {tokens}\ningest:\n  heartbeat: 1s\nstore:\n  commit_interval: 200ms\n"
                      f"security:\n  audit_file: {folder}/audit.log\n")
        cls.collector = Collector(folder, arguments=("--config", config))
        cls.client = Client(cls.collector.ingest)
        cls.full = Client(cls.collector.ingest, FULL)
        mix, _ = make_traffic(folder, "mix", packets=4000, flows=200)
        own = write_pcap(os.path.join(folder, "own.pcap"), capture())
        gone = sensor(folder, "gone-1", cls.collector, own, "--pace")
        cls.sensors = [sensor(folder, "edge-1", cls.collector, own, "--pace", "--loop"),
                       sensor(folder, "edge-2", cls.collector, mix, "--pace", "--loop")]
        assert gone.process.wait(timeout=60) == 0, gone.text()
        gone.__exit__()
        wait_until("flows of all three", lambda: {"edge-1", "edge-2", "gone-1"} <= {
            flow["sensor_id"] for flow in cls.collector.flows()})
        wait_until("statistics", lambda: len(cls.client.ask("StatsService/GetStats").get("sensors", [])) == 3)

    @classmethod
    def tearDownClass(cls):
        for one in cls.sensors:
            one.stop()
            one.__exit__()
        status = cls.collector.program.stop()
        text = cls.collector.program.text()
        cls.collector.close()
        cls.folder.cleanup()
        assert status == 0, text[-3000:]

    # ---- the fleet ----

    def test_sensors_are_listed_with_state_settings_and_statistics(self):
        answer = self.client.ask("FleetService/ListSensors")
        found = {one["sensor_id"]: one for one in answer["sensors"]}
        self.assertEqual(list(found), ["edge-1", "edge-2", "gone-1"])
        self.assertEqual([one["state"] for one in found.values()],
                         ["SENSOR_STATE_LIVE", "SENSOR_STATE_LIVE", "SENSOR_STATE_OFFLINE"])
        one = found["edge-1"]
        for field in ("version", "boot_id", "host_name", "peer", "config_hash", "connected_time", "last_seen_time"):
            self.assertTrue(one[field], field)
        self.assertEqual(one["stats"]["sensor_id"], "edge-1")
        self.assertGreater(int(one["records_received"]), 0)
        self.assertEqual(int(answer["total_size"]), 3)
        self.assertEqual(self.client.ask("FleetService/GetSensor", {"sensor_id": "edge-2"})["sensor"]["sensor_id"],
                         "edge-2")
        self.assertEqual(self.client.refused("FleetService/GetSensor", {"sensor_id": "none"}),
                         ("NOT_FOUND", "NO_SUCH_SENSOR", ""))

    def test_the_one_that_is_absent_stands_in_the_coverage(self):
        coverage = self.client.ask("FlowService/ListActiveFlows")["coverage"]
        self.assertEqual((coverage["sensors_asked"], coverage["sensors_answered"], coverage["missing_sensor_ids"]),
                         (3, 2, ["gone-1"]))
        self.assertNotIn("complete", coverage)
        chosen = self.client.ask("AlertService/ListAlerts", {"sensor_selector": {"sensor_ids": ["edge-*"]}})["coverage"]
        self.assertEqual((chosen["sensors_asked"], chosen["sensors_answered"], chosen["complete"]), (2, 2, True))
        unknown = self.client.ask("StatsService/GetStats", {"sensor_selector": {"sensor_ids": ["nobody"]}})["coverage"]
        self.assertEqual((unknown["sensors_asked"], unknown["missing_sensor_ids"]), (1, ["nobody"]))

    def test_the_ledger_is_the_collectors_own_and_that_of_each_sensor(self):
        answer = self.client.ask("SensorService/GetLossLedger")
        self.assertTrue(answer["balanced"])
        self.assertEqual([row["stage"].removeprefix("LEDGER_STAGE_") for row in answer["rows"]][:3], ["INGEST", "STORE", "FEED"])
        self.assertGreater(int(answer["rows"][0]["in"]), 0)
        self.assertEqual([one["sensor_id"] for one in answer["sensors"]], ["edge-1", "edge-2", "gone-1"])
        self.assertEqual(answer["coverage"]["missing_sensor_ids"], ["gone-1"])
        for row in (row for one in (answer, *answer["sensors"]) for row in one["rows"]):
            lost = sum(int(each.get("count", 0)) for each in row.get("lost", []))
            self.assertEqual(int(row.get("in", 0)), int(row.get("out", 0)) + lost + int(row.get("held", 0)), row)
        # The one that has gone counts no further: it is what the dashboard is told, too.
        gone = next(one for one in self.collector.fetch("/v1/ledger")["sensors"] if one["sensor_id"] == "gone-1")
        mine = answer["sensors"][2]
        self.assertEqual([(row["stage"], int(row.get("out", 0))) for row in mine["rows"]],
                         [(row["stage"], int(row["out"])) for row in gone["rows"]])
        chosen = self.client.ask("SensorService/GetLossLedger", {"sensor_selector": {"sensor_ids": ["edge-*"]}})
        self.assertEqual([one["sensor_id"] for one in chosen["sensors"]], ["edge-1", "edge-2"])
        status, rest = self.rest("/v1/fleet/ledger", **{"sensor_selector.sensor_ids": "gone-1"})
        self.assertEqual((status, [one["sensor_id"] for one in rest["sensors"]]), (200, ["gone-1"]))
        self.assertEqual(self.client.refused("SensorService/GetLossLedger", {"since": "2026-01-01T00:00:00Z"}),
                         ("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "since"))

    def test_sensors_come_by_pages_and_by_state(self):
        seen, token = [], ""
        while True:
            page = self.client.ask("FleetService/ListSensors", {"page_size": 1, "page_token": token})
            seen += [one["sensor_id"] for one in page["sensors"]]
            token = page.get("next_page_token", "")
            if not token:
                break
        self.assertEqual(seen, ["edge-1", "edge-2", "gone-1"])
        away = self.client.ask("FleetService/ListSensors", {"states": ["SENSOR_STATE_OFFLINE"]})["sensors"]
        self.assertEqual([one["sensor_id"] for one in away], ["gone-1"])

    def test_watchers_have_all_sensors_and_then_what_changes(self):  # the last one: "late-1" stays known
        own = os.path.join(self.folder.name, "own.pcap")
        call = self.client.stream("FleetService/WatchSensors", {"sensor_selector": {"sensor_ids": ["e*", "late-*"]}}, 60)
        first = [self.client.plain(next(call))["sensor"] for _ in range(2)]
        self.assertEqual([one["sensor_id"] for one in first], ["edge-1", "edge-2"])
        late = sensor(self.folder.name, "late-1", self.collector, own, "--pace", "--loop")
        states = []
        try:
            for answer in call:
                news = self.client.plain(answer).get("sensor")
                if news and news["sensor_id"] == "late-1":
                    states.append(news["state"])
                    if news["state"] == "SENSOR_STATE_LIVE":
                        late.stop()
                    if news["state"] == "SENSOR_STATE_OFFLINE":
                        break
            self.assertEqual(states, ["SENSOR_STATE_LIVE", "SENSOR_STATE_OFFLINE"])
        finally:
            call.cancel()
            late.__exit__()

    # ---- flows ----

    def test_pages_of_flows_hold_each_flow_once_and_only_those_chosen(self):
        request = {"page_size": 7, "filter": "server.port = 80", "order_by": "FLOW_ORDER_BYTES",
                   "sensor_selector": {"sensor_ids": ["edge-1"]}}
        seen, token = [], ""
        first = self.client.ask("FlowService/ListActiveFlows", request)["next_page_token"]
        for other in ({"filter": "server.port = 443"}, {"dedup": "DEDUP_ALL"}, {"sensor_selector": {"sensor_ids": ["edge-*"]}}):
            self.assertEqual(self.client.refused("FlowService/ListActiveFlows", {**request, **other, "page_token": first}),
                             ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"), other)
        while True:
            page = self.client.ask("FlowService/ListActiveFlows", {**request, "page_token": token})
            seen += [(flow["sensor_id"], flow["flow_id"]) for flow in page.get("flows", [])]
            self.assertTrue(all(flow["server"]["port"] == 80 for flow in page.get("flows", [])))
            token = page.get("next_page_token", "")
            if not token:
                break
        self.assertGreaterEqual(len(seen), 8)
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual({name for name, _ in seen}, {"edge-1"})
        for method in ("FlowService/ListActiveFlows", "FleetService/ListSensors", "AlertService/ListAlerts"):
            self.assertEqual(self.client.refused(method, {"page_token": "x"}),
                             ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"), method)
        self.assertEqual(self.client.refused("FlowService/ListActiveFlows", {"filter": "server.port ="}),
                         ("INVALID_ARGUMENT", "INVALID_FILTER", "filter"))
        self.assertEqual(self.client.refused("FlowService/ListActiveFlows", {"page_size": 5000}),
                         ("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "page_size"))

    def test_one_flow_is_found_by_either_id(self):
        flow = self.client.ask("FlowService/ListActiveFlows", {"page_size": 1})["flows"][0]
        chosen = {"sensor_selector": {"sensor_ids": [flow["sensor_id"]]}}
        for key in ("flow_id", "community_id"):
            found = self.client.ask("FlowService/GetFlow", {key: flow[key], **chosen})
            self.assertEqual(found["flow"]["community_id"], flow["community_id"], key)
            self.assertIn("coverage", found)
        self.assertEqual(self.client.refused("FlowService/GetFlow", {"flow_id": "0" * 16}),
                         ("NOT_FOUND", "NO_SUCH_FLOW", ""))
        self.assertEqual(self.client.refused("FlowService/GetFlow"), ("INVALID_ARGUMENT", "MISSING_FIELD", "flow_id"))

    def test_top_groups_are_the_sums_of_their_flows(self):
        by_sensor = self.client.ask("FlowService/GetTopFlows", {"group_by": "sensor", "limit": 10})
        groups = {one["key"]: one for one in by_sensor["groups"]}
        self.assertLessEqual({"edge-1", "edge-2", "gone-1"}, set(groups))
        self.assertIn("from_time", by_sensor)
        # What has gone changes no more: its groups by port and its flows add up to its sum.
        chosen = {"limit": 1000, "sensor_selector": {"sensor_ids": ["gone-1"]}}
        ports = self.client.ask("FlowService/GetTopFlows", {"group_by": "server_port", **chosen})["groups"]
        self.assertEqual(sum(int(one["bytes"]) for one in ports), int(groups["gone-1"]["bytes"]))
        self.assertEqual(sum(int(one["flows"]) for one in ports), int(groups["gone-1"]["flows"]))
        flows = self.client.ask("FlowService/GetTopFlows", chosen)
        self.assertEqual(sum(int(one["bytes"]) for one in flows["groups"]), int(groups["gone-1"]["bytes"]))
        self.assertEqual([one["flow_id"] for one in flows["flows"]], [one["key"] for one in flows["groups"]])
        self.assertEqual(len(flows["flows"]), int(groups["gone-1"]["flows"]))
        sizes = [int(one["bytes"]) for one in flows["groups"]]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertTrue(self.client.ask("FlowService/GetTopFlows", {"by": "FLOW_ORDER_RTT", "limit": 3})["flows"])

    def test_live_flows_come_from_the_ring_and_then_live_of_those_chosen(self):
        seen = self.client.until("FlowService/ObserveFlows",
                                 {"last": 5, "follow": True, "sensor_selector": {"sensor_ids": ["edge-2"]},
                                  "max_batch": 1}, lambda _, seen=[]: seen.append(1) or len(seen) >= 8, 60)
        records = [flow for message in seen for flow in message.get("flows", {}).get("flows", [])]
        self.assertEqual({flow["sensor_id"] for flow in records}, {"edge-2"})
        numbers = [int(flow["record_seq"]) for flow in records]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        some = list(self.client.stream("FlowService/ObserveFlows", {"last": 3, "filter": "server.port = 80",
                                                                     "field_mask": "sensorId,server.port"}))
        flows = [flow for message in some for flow in self.client.plain(message).get("flows", {}).get("flows", [])]
        self.assertEqual([set(flow) for flow in flows], [{"sensor_id", "server"}] * 3)

    def test_a_rate_is_kept_and_what_it_costs_is_told(self):
        seen = self.client.until("FlowService/ObserveFlows", {"follow": True, "max_rate": 1},
                                 lambda message: "loss_notice" in message, 60)
        notice = seen[-1]["loss_notice"]
        self.assertEqual(notice["reason"], "max_rate")
        self.assertGreater(int(notice["count"]), 0)

    # ---- alerts, statistics, packets ----

    def test_alerts_by_list_id_choice_and_stream(self):
        found = wait_until("an alert of edge-1", lambda: self.client.ask(
            "AlertService/ListAlerts", {"kinds": ["ALERT_KIND_SYN_FLOOD"],
                                        "sensor_selector": {"sensor_ids": ["edge-1"]}}).get("alerts"))
        self.assertEqual({one["kind"] for one in found}, {"ALERT_KIND_SYN_FLOOD"})
        one = self.client.ask("AlertService/GetAlert", {"alert_id": found[0]["alert_id"]})
        self.assertEqual(one["alert"]["alert_id"], found[0]["alert_id"])
        self.assertEqual(self.client.refused("AlertService/GetAlert", {"alert_id": "none"}),
                         ("NOT_FOUND", "NO_SUCH_ALERT", ""))
        none = self.client.ask("AlertService/ListAlerts", {"subject": ["203.0.113.0/24"]})
        self.assertNotIn("alerts", none)
        seen, token = [], ""
        while True:
            page = self.client.ask("AlertService/ListAlerts", {"page_size": 1, "page_token": token})
            seen += [one["alert_id"] for one in page.get("alerts", [])]
            token = page.get("next_page_token", "")
            if not token:
                break
        self.assertEqual(len(seen), len(set(seen)))
        self.assertIn(found[0]["alert_id"], seen)
        first = wait_until("a second alert", lambda: self.client.ask("AlertService/ListAlerts", {"page_size": 1}).get("next_page_token"))
        for other in ({"kinds": ["ALERT_KIND_SYN_FLOOD"]}, {"min_severity": "SEVERITY_LOW"}, {"subject": ["10.0.0.0/8"]},
                      {"silenced": "ALERT_INCLUSION_EXCLUDE"}, {"sensor_selector": {"sensor_ids": ["edge-1"]}}):
            self.assertEqual(self.client.refused("AlertService/ListAlerts", {"page_token": first, **other}),
                             ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"), other)
        listed = self.collector.fetch("/v1/alerts?page_size=1")
        token = listed["next_page_token"]
        following = self.collector.fetch(f"/v1/alerts?page_size=1&page_token={token}")
        self.assertEqual(len({one["alert_id"] for page in (listed, following) for one in page["alerts"]}), 2)
        for other in ({"state": "open"}, {"silenced": "exclude"}):
            status, answer = self.rest("/v1/alerts", token=None, page_token=token, **other)
            self.assertEqual((status, answer["reason"]), (400, "INVALID_PAGE_TOKEN"), other)
        stream = self.client.until("AlertService/ObserveAlerts", {"follow": True}, lambda one: "alerts" in one)
        self.assertTrue(stream[-1]["alerts"]["alerts"][0]["sensor_id"])

    def test_statistics_of_each_sensor_and_as_they_come(self):
        answer = self.client.ask("StatsService/GetStats", {"sensor_selector": {"sensor_ids": ["edge-*"]}})
        self.assertEqual([one["sensor_id"] for one in answer["sensors"]], ["edge-1", "edge-2"])
        self.assertIn(answer["stats"]["sensor_id"], ("edge-1", "edge-2"))
        seen = set()
        self.client.until("StatsService/WatchStats", {}, lambda message: seen.update(
            one["sensor_id"] for one in message.get("stats", {}).get("stats", [])) or {"edge-1", "edge-2"} <= seen)

    def test_packets_need_the_scope_that_the_token_lacks(self):
        self.assertEqual(self.client.refused("PacketService/ObservePackets"),
                         ("PERMISSION_DENIED", "PERMISSION_DENIED", ""))
        self.assertEqual(self.client.refused("PacketService/GetPacket", {"id": "x"})[0], "PERMISSION_DENIED")
        nobody = Client(self.collector.ingest, None)
        self.assertEqual(nobody.refused("FleetService/ListSensors"), ("UNAUTHENTICATED", "UNAUTHENTICATED", ""))
        seen = self.full.until("PacketService/ObservePackets", {"last": 1, "follow": True, "layers": True},
                               lambda one: "packets" in one)
        sample = seen[-1]["packets"]["packets"][0]
        self.assertTrue(sample["layers"])
        found = self.full.ask("PacketService/GetPacket", {"id": sample["id"]})["packet"]
        self.assertEqual(found["data"], sample["data"])
        self.assertEqual(self.full.refused("PacketService/GetPacket", {"id": "none"}),
                         ("NOT_FOUND", "NO_SUCH_PACKET", ""))
        with open(os.path.join(self.folder.name, "audit.log"), encoding="utf-8") as log:
            lines = log.read()
        self.assertIn("reader", lines)
        self.assertIn("PERMISSION_DENIED", lines)

    def test_questions_to_the_history_want_a_token_and_tell_who_is_absent(self):
        nobody = Client(self.collector.ingest, None)
        for method in ("QueryFlows", "Aggregate", "GetServiceMap"):
            self.assertEqual(nobody.refused(f"QueryService/{method}")[0], "UNAUTHENTICATED", method)
            coverage = self.client.ask(f"QueryService/{method}")["coverage"]
            self.assertIn("gone-1", coverage["missing_sensor_ids"], method)
            self.assertNotIn("complete", coverage)
        for path in ("/v1/fleet/map", "/v1/fleet/query:aggregate", "/v1/fleet/flows:query"):
            self.assertEqual(self.rest(path, token=None)[0], 401, path)
            self.assertEqual(self.rest(path)[0], 200, path)
        for path in ("/v1/map", "/v1/query:aggregate"):  # the dashboard's: its login, and here it has none
            self.assertEqual(self.rest(path, token=None)[0], 200, path)
        live = {"sensor_selector": {"sensor_ids": ["edge-*"]}, "group_by": ["sensor"]}
        rows = self.client.ask("QueryService/Aggregate", live)["rows"]
        self.assertEqual({row["key"][0] for row in rows}, {"edge-1", "edge-2"})

    def test_samples_are_chosen_by_the_flow_they_are_of(self):
        def ends(sample):
            """(protocol, addresses, ports) by the innermost headers of its tree."""
            protocol, ips, ports = None, (), ()
            for layer in sample.get("layers", []):
                values = {field["name"]: field["value"] for field in layer.get("fields", [])}
                if layer["name"] in ("IPv4", "IPv6"):
                    protocol, ports = values.get("protocol", values.get("next_header")).split()[0], ()
                    ips = (values["source"], values["target"])
                elif layer["name"] in ("TCP", "UDP") and ips and not ports:
                    ports = (int(values["source_port"]), int(values["target_port"]))
            return protocol, ips, ports

        def samples(include, last):
            found = self.full.stream("PacketService/ObservePackets", {"last": last, "layers": True, "include": include})
            return [one for message in found for one in self.full.plain(message).get("packets", {}).get("packets", [])]
        wait_until("samples", lambda: any(ends(one)[2] for one in samples([], 500)))
        all_of_them = [one for one in samples([], 500) if ends(one)[2]]
        protocol, ips, ports = ends(all_of_them[-1])
        server = ports[0] if all_of_them[-1].get("direction") == "PACKET_DIRECTION_REVERSE" else ports[1]
        for what, include, agrees in (
                ("port", {"port": [ports[0]]}, lambda one: ports[0] in ends(one)[2]),
                ("ip", {"ip": [ips[1]]}, lambda one: ips[1] in ends(one)[1]),
                ("server_port", {"server_port": [server]}, lambda one: server in ends(one)[2]),
                ("both", {"ip": [ips[0]], "port": [server]}, lambda one: ips[0] in ends(one)[1] and server in ends(one)[2]),
                ("protocol", {"protocol": ["tcp"]}, lambda one: ends(one)[0] == "6")):
            with self.subTest(what):
                chosen = samples([include], 100_000)
                self.assertTrue(all(agrees(one) for one in chosen), [ends(one) for one in chosen][:5])
                if what != "server_port":  # of that the direction decides, which this test does not judge
                    wanted = {one["id"] for one in all_of_them if agrees(one)}
                    self.assertLessEqual(wanted, {one["id"] for one in chosen})
        self.assertEqual(samples([{"ip": ["203.0.113.254"]}], 100_000), [])
        self.assertEqual(self.full.refused("PacketService/ObservePackets", {"include": [{"ip": ["nonsense"]}]})[0], "INVALID_ARGUMENT")

    # ---- REST, from the same table ----

    def rest(self, path, token=READER, **query):
        url = f"http://127.0.0.1:{self.collector.http}{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def test_rest_gives_the_same_answers(self):
        status, answer = self.rest("/v1/fleet/sensors", page_size=2)
        self.assertEqual((status, [one["sensor_id"] for one in answer["sensors"]]), (200, ["edge-1", "edge-2"]))
        status, answer = self.rest("/v1/fleet/flows", **{"sensor_selector.sensor_ids": "edge-2", "page_size": 3})
        self.assertEqual((status, {flow["sensor_id"] for flow in answer["flows"]}), (200, {"edge-2"}))
        self.assertEqual(self.rest("/v1/fleet/flows:top", group_by="sensor")[1]["groups"][0]["key"][:5], "edge-")
        self.assertEqual(self.rest("/v1/fleet/sensors/none")[1]["reason"], "NO_SUCH_SENSOR")
        self.assertEqual(self.rest("/v1/fleet/flows", filter="server.port =")[1]["pos"], 13)
        self.assertEqual(self.rest("/v1/fleet/sensors", token="wrong")[0], 401)
        self.assertEqual(self.rest("/v1/fleet/packets/x")[0], 403)
        self.assertEqual(self.rest("/v1/fleet/packets/x", token=FULL)[0], 404)

    def test_the_collector_tells_how_it_fares(self):
        before = self.client.ask("CollectorService/GetCollectorStatus")
        self.client.ask("QueryService/Aggregate")
        wait_until("the question in its figures, and records", lambda: self.has_grown(before))
        status = self.client.ask("CollectorService/GetCollectorStatus")
        self.assertEqual((status["boot_id"], status["start_time"]), (before["boot_id"], before["start_time"]))
        self.assertEqual(int(status["ingest"]["connections"]), 2)
        self.assertGreater(int(status["process"]["resident_bytes"]), 1 << 20)
        self.assertRegex(status["process"]["cpu_time"], r"^\d+(\.\d+)?s$")
        store = status["store"]
        self.assertEqual(int(store["bytes"]), sum(int(day["bytes"]) for day in store["days"]))
        self.assertEqual([row["name"] for row in store["streams"]], ["flows", "alerts", "stats", "packets"])
        self.assertGreater(int(store["streams"][0]["rows"]), 0)
        self.assertEqual([sums["step"] for sums in store["sums"]], ["1s", "60s", "3600s"])
        queries = status["queries"]
        self.assertGreater(queries["measured"], 0)
        self.assertLessEqual(float(queries["p50"][:-1]), float(queries["longest"][:-1]))
        code, answer = self.rest("/v1/fleet/status")
        self.assertEqual((code, answer["boot_id"]), (200, status["boot_id"]))

    def has_grown(self, before):
        now = self.client.ask("CollectorService/GetCollectorStatus")
        return (int(now["queries"]["total"]) > int(before["queries"].get("total", 0)) and
                int(now["ingest"]["records"]) > int(before["ingest"]["records"]))

    def test_the_openapi_document_names_every_method_with_one_answer(self):
        document = self.rest("/v1/openapi.json", token=None)[1]
        self.assertEqual((document["openapi"], document["info"]["title"]), ("3.1.0", "netscope-collector"))
        self.assertLessEqual({"/v1/fleet/sensors", "/v1/fleet/sensors/{sensor_id}", "/v1/fleet/flows",
                              "/v1/fleet/flows/{flow_id}", "/v1/fleet/flows:find", "/v1/fleet/flows:top",
                              "/v1/fleet/alerts", "/v1/fleet/alerts/{alert_id}", "/v1/fleet/stats",
                              "/v1/fleet/packets/{id}"}, set(document["paths"]))
        schemas = document["components"]["schemas"]
        for part in json.dumps(document).split('"#/components/schemas/')[1:]:
            self.assertIn(part.split('"')[0], schemas)

    def test_metrics_count_streams_and_records(self):
        page = metrics(f"http://127.0.0.1:{self.collector.http}/metrics")
        self.assertGreater(page["netscope_collector_grpc_records_taken_total"], 0)
        self.assertIn("netscope_collector_grpc_streams", page)
        self.assertEqual(page["netscope_collector_grpc_records_unfed_total"], 0)

    # ---- reflection ----

    def grpcurl(self):
        found = tool.find(makes_it=True)
        if found is None:
            self.skipTest("grpcurl is not to be had")
        return [found, "-plaintext", "-H", f"authorization: Bearer {READER}"]

    def test_reflection_lists_the_services_and_grpcurl_asks_them(self):
        target = f"127.0.0.1:{self.collector.ingest}"
        listed = subprocess.run([*self.grpcurl(), target, "list"], capture_output=True, text=True, timeout=30)
        for name in ("Fleet", "Flow", "Alert", "Stats", "Packet", "Dns", "Query", "Ingest"):
            self.assertIn(f"netscope.v1.{name}Service", listed.stdout, listed.stderr)
        asked = subprocess.run([*self.grpcurl(), "-d", '{"page_size": 1}', target, "netscope.v1.FleetService/ListSensors"],
                               capture_output=True, text=True, timeout=30)
        self.assertEqual(json.loads(asked.stdout)["sensors"][0]["sensorId"], "edge-1", asked.stderr)
        health = subprocess.run([*self.grpcurl(), "-d", '{"service": "netscope.v1.FleetService"}', target,
                                 "grpc.health.v1.Health/Check"], capture_output=True, text=True, timeout=30)
        self.assertIn("SERVING", health.stdout, health.stderr)


class SlowReader(unittest.TestCase):
    def test_a_reader_that_does_not_keep_up_has_each_record_or_is_told_that_it_is_lost(self):
        with tempfile.TemporaryDirectory(prefix="netscope-fleet-slow-") as folder:
            config = os.path.join(folder, "collector.yaml")
            with open(config, "w", encoding="utf-8") as out:
                out.write("grpc:\n  history_records: 500\n  queue_messages: 1\n")
            collector = Collector(folder, arguments=("--config", config))
            try:
                self.read_late(folder, collector)
            finally:
                status = collector.program.stop()
                collector.close()
            self.assertEqual(status, 0)

    def read_late(self, folder, collector):
        client = Client(collector.ingest, None)
        call = client.stream("FlowService/ObserveFlows", {"follow": True}, 180)
        wait_until("the stream", lambda: metrics(f"http://127.0.0.1:{collector.http}/metrics").get(
            "netscope_collector_grpc_streams") == 1)
        pcap, _ = make_traffic(folder, "mix", packets=60000, flows=8000)
        records = os.path.join(folder, "flows.jsonl")
        with sensor(folder, "burst", collector, pcap, "--flows-jsonl", records) as burst:
            self.assertEqual(burst.process.wait(timeout=120), 0, burst.text())
        with open(records, encoding="utf-8") as lines:
            total = sum(1 for _ in lines)
        wait_until("all is stored", lambda: self.is_quiet(collector))
        received, lost = 0, 0
        for answer in call:
            message = client.plain(answer)
            received += len(message.get("flows", {}).get("flows", []))
            lost += int(message.get("loss_notice", {}).get("count", 0))
            if received + lost >= total:
                break
        call.cancel()
        self.assertEqual(received + lost, total)
        self.assertGreater(lost, 0)
        page = metrics(f"http://127.0.0.1:{collector.http}/metrics")
        self.assertEqual(page["netscope_collector_grpc_records_dropped_total"], lost)

    @staticmethod
    def is_quiet(collector):
        """All that came is stored."""
        page = metrics(f"http://127.0.0.1:{collector.http}/metrics")
        return page["netscope_collector_records_total"] == page["netscope_collector_records_stored_total"] + page[
            "netscope_collector_records_not_kept_total"] and page["netscope_collector_connections"] == 0


class Windows(unittest.TestCase):
    def test_flows_of_a_killed_sensor_are_active_for_the_age_that_is_set(self):
        with tempfile.TemporaryDirectory(prefix="netscope-fleet-windows-") as folder:
            config = os.path.join(folder, "collector.yaml")
            with open(config, "w", encoding="utf-8") as out:
                out.write("grpc:\n  flow_age: 8s\n  top_window: 2h\nstore:\n  commit_interval: 200ms\n")
            with contextlib.closing(Collector(folder, arguments=("--config", config))) as collector:
                client = Client(collector.ingest, token=None)
                mix, _ = make_traffic(folder, "mix", packets=4000, flows=200)
                with sensor(folder, "edge-1", collector, mix, "--pace", "--loop") as edge:
                    wait_until("active flows", lambda: client.ask("FlowService/ListActiveFlows").get("flows"))
                    edge.process.kill()
                    edge.process.wait()
                wait_until("none active", lambda: not client.ask("FlowService/ListActiveFlows").get("flows"))
                asked = time.time()
                begin = client.ask("FlowService/GetTopFlows")["from_time"]
                self.assertTrue(collector.flows(), "they are in the history")
                begin = datetime.datetime.fromisoformat(begin.replace("Z", "+00:00")[:19] + "+00:00").timestamp()
                self.assertAlmostEqual(asked - begin, 7200, delta=60)


if __name__ == "__main__":
    main()
