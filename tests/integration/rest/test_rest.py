"""REST of the sensor: every method with one answer, both name forms, problems, the OpenAPI document and a fuzzer that
is driven by it."""
import gzip
import json
import os
import socket
import struct
import sys
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rest.fuzzed import Fuzzed
from support.programs import ACK, PATIENCE, PSH, SYN, dns_query, main, metrics, tcp, udp, wait_until
from support.service import Service


class Rest(Fuzzed, unittest.TestCase):
    STATUSES = (*Fuzzed.STATUSES, 409)  # settings are applied to those that the caller knows

    @classmethod
    def setUpClass(cls):
        cls.sensor = cls.served = Service(has_token=True)
        wait_until("statistics", lambda: cls.sensor.json("/v1/stats").get("stats"))
        cls.document = cls.sensor.json("/v1/openapi.json")

    @classmethod
    def tearDownClass(cls):
        cls.sensor.__exit__()

    def problem(self, path, status, reason, **more):
        got, kind, text = self.sensor.ask(path, **more)
        self.assertEqual((got, kind.split(";")[0]), (status, "application/problem+json"), text)
        body = json.loads(text)
        self.assertEqual((body["status"], body["reason"]), (status, reason), text)
        return body

    def test_every_unary_method_has_its_path(self):
        info = self.sensor.json("/v1/info")
        self.assertEqual(info["sensor_id"], "service-sensor")
        self.assertEqual(self.sensor.json("/v1/status")["ready"], True)
        stages = {row["stage"] for row in self.sensor.json("/v1/ledger")["rows"]}
        self.assertLessEqual({"LEDGER_STAGE_CAPTURE", "LEDGER_STAGE_DECODE", "LEDGER_STAGE_FLOW",
                              "LEDGER_STAGE_PUBLISH", "LEDGER_STAGE_SINK"}, stages)
        self.assertIn("total", self.sensor.json("/v1/assets", page_size=3))
        flows = self.sensor.json("/v1/flows", filter="server.port = 80", page_size=5)
        self.assertEqual(len(flows["flows"]), 5)
        self.assertTrue(flows["next_page_token"])
        flow = flows["flows"][0]
        self.assertEqual(self.sensor.json(f"/v1/flows/{flow['flow_id']}")["flow"]["flow_id"], flow["flow_id"])
        found = self.sensor.json("/v1/flows:find", community_id=flow["community_id"])
        self.assertEqual(found["flow"]["community_id"], flow["community_id"])
        groups = self.sensor.json("/v1/flows:top", group_by="server_port", limit=2)["groups"]
        self.assertEqual({group["key"] for group in groups} & {"80", "443"}, {"80", "443"})
        alert = wait_until("an alert", lambda: self.sensor.json("/v1/alerts", page_size=1).get("alerts"))[0]
        self.assertEqual(self.sensor.json(f"/v1/alerts/{alert['alert_id']}")["alert"]["alert_id"], alert["alert_id"])

    def test_pages_hold_each_flow_once(self):
        seen, token = [], ""
        while True:
            page = self.sensor.json("/v1/flows", page_size=17, page_token=token, filter="server.port = 80")
            seen += [flow["flow_id"] for flow in page.get("flows", [])]
            token = page["next_page_token"]
            if not token:
                break
        self.assertEqual(len(seen), len(set(seen)))
        self.assertGreaterEqual(len(seen), 30)
        token = self.sensor.json("/v1/flows", page_size=1, filter="server.port = 80")["next_page_token"]
        self.problem(f"/v1/flows?page_size=1&page_token={token}", 400, "INVALID_PAGE_TOKEN")
        self.problem(f"/v1/flows?page_size=1&filter=server.port%3D443&page_token={token}", 400, "INVALID_PAGE_TOKEN")

    def test_a_filter_asks_for_the_sensor_as_at_a_collector(self):
        own = self.sensor.json("/v1/info")["sensor_id"]
        for condition, is_any in ((f'sensor = "{own}"', True), (f'sensor = "{own[:4]}*"', True),
                                  (f'NOT sensor = "{own}"', False), ('sensor = "another"', False)):
            self.assertEqual(self.sensor.json("/v1/flows", filter=condition)["total_size"] != "0", is_any, condition)
            for window in ({}, {"window": "3600s"}):
                top = self.sensor.json("/v1/flows:top", filter=condition, limit=1, **window)
                self.assertEqual("flows" in top, is_any, (condition, window))

    def test_both_name_forms_are_read_in_query_and_body(self):
        for form in ({"page_size": 2}, {"pageSize": 2}):
            self.assertEqual(len(self.sensor.json("/v1/flows", **form)["flows"]), 2)
            status, _, text = self.sensor.ask("/v1/flows", body=form)
            self.assertEqual((status, len(json.loads(text)["flows"])), (200, 2))
        status, _, text = self.sensor.ask("/v1/flows", body={"pageSize": "2", "orderBy": "FLOW_ORDER_PACKETS"})
        self.assertEqual((status, len(json.loads(text)["flows"])), (200, 2))

    def test_refusals_are_problems_with_the_reason_of_the_error_info(self):
        self.assertEqual(self.problem("/v1/flows?filter=server.port+%3D", 400, "INVALID_FILTER")["pos"], 13)
        self.assertEqual(self.problem("/v1/flows?page_size=2000", 400, "OUT_OF_BOUNDS")["field_violations"][0]["field"],
                         "page_size")
        self.problem("/v1/flows?pagesize=2", 400, "UNKNOWN_PARAMETER")
        self.problem("/v1/flows?page_size=many", 400, "BAD_PARAMETER")
        for query, field in (("page_size=1&page_size=2", "page_size"), ("page_size=1&pageSize=2", "pageSize"),
                             ("filter=%ff", "filter"), ("dedup=9", "dedup"), ("order_by=1000", "order_by"),
                             ("order_by=-1", "order_by")):
            problem = self.problem(f"/v1/flows?{query}", 400, "BAD_PARAMETER")
            self.assertEqual(problem["field_violations"][0]["field"], field)
            self.assertIn(f"'{field}'", problem["detail"])
        self.problem("/v1/flows?%ff=1", 400, "BAD_PARAMETER")
        self.problem("/v1/alerts?kinds=1&kinds=2&kinds=99", 400, "BAD_PARAMETER")
        for path, field in (("/v1/flows", "order_by"), ("/v1/flows:top", "by")):
            problem = self.problem(path, 400, "OUT_OF_BOUNDS", body={field: 1000})
            self.assertEqual(problem["field_violations"][0]["field"], field)
        self.problem("/v1/flows?page_token=nonsense", 400, "INVALID_PAGE_TOKEN")
        self.problem("/v1/flows/xyz", 400, "BAD_ID")
        self.problem("/v1/flows:find", 400, "MISSING_FIELD")
        self.problem("/v1/flows/0000000000000000", 404, "NO_SUCH_FLOW")
        self.problem("/v1/alerts/none", 404, "NO_SUCH_ALERT")
        self.problem("/v1/packets/none", 404, "NO_SUCH_PACKET")
        self.problem("/v1/flows", 400, "BAD_MESSAGE", body=b"{\"page_size\":")
        self.problem("/v1/flows", 400, "BAD_MESSAGE", body={"no_such_field": 1})
        self.problem("/v1/config:apply", 400, "MISSING_FIELD", body={}, headers={"X-NetScope": "1"})
        self.problem("/v1/config:apply", 409, "HASH_CHANGED", body={"yaml": "x", "expected_hash": "0" * 16},
                     headers={"X-NetScope": "1"})
        self.problem("/v1/nothing", 404, "NO_SUCH_PATH")

    def test_data_needs_the_token_and_health_does_not(self):
        for path in ("/v1/info", "/v1/flows", "/v1/packets/x"):
            status, _, _ = self.sensor.ask(path, headers={"Authorization": "Bearer wrong"})
            self.assertEqual(status, 401, path)
        for path in ("/healthz", "/readyz", "/metrics", "/v1/openapi.json"):
            status, _, _ = self.sensor.ask(path, headers={"Authorization": "Bearer wrong"})
            self.assertEqual(status, 200, path)

    def test_long_answers_come_in_gzip_to_who_takes_it(self):
        for path, word in (("/metrics", "netscope_build_info"), ("/v1/flows", "service-sensor"), ("/v1/openapi.json", "openapi")):
            request = urllib.request.Request(self.sensor.url + path, headers={
                "Authorization": f"Bearer {self.sensor.token}", "Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                self.assertEqual(answer.headers["Content-Encoding"], "gzip", path)
                packed = answer.read()
            text = gzip.decompress(packed).decode()
            self.assertLess(len(packed), len(text) / 3, path)
            self.assertTrue(word in text, path)

    METRICS = ("netscope_build_info", "netscope_sensor_up", "netscope_capture_packets_total", "netscope_capture_bytes_total",
               "netscope_dropped_packets_total", "netscope_dropped_records_total", "netscope_missed_bytes_total",
               "netscope_flows_active", "netscope_flow_records_total", "netscope_flow_table_memory_bytes",
               "netscope_alerts_total", "netscope_detector_memory_bytes", "netscope_detector_saturated",
               "netscope_export_records_total", "netscope_tcp_rtt_seconds_bucket", "netscope_tcp_rtt_seconds_sum",
               "netscope_tcp_retransmitted_segments_total", "netscope_dns_response_seconds_count")

    def test_metrics_have_the_agreed_names_and_types(self):
        page = self.sensor.ask("/metrics")[2]
        names = {line.split("{")[0].split(" ")[0] for line in page.splitlines() if not line.startswith("#")}
        self.assertEqual([name for name in self.METRICS if name not in names], [])
        self.assertIn("# TYPE netscope_tcp_rtt_seconds histogram", page)
        values = metrics(self.sensor.url + "/metrics")
        buckets = [v for k, v in values.items() if k.startswith("netscope_tcp_rtt_seconds_bucket")]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], values["netscope_tcp_rtt_seconds_count"])
        self.assertGreater(buckets[-1], 0)


def dns_answer(name, address, identifier=1):
    """The answer to dns_query: one address, for five minutes."""
    question = dns_query(name, identifier)[12:]
    return (struct.pack("!HHHHHH", identifier, 0x8180, 1, 1, 0, 0) + question +
            struct.pack("!HHHIH", 0xC00C, 1, 1, 300, 4) + socket.inet_aton(address))


def named_capture():
    """10.0.0.5 opens a connection, is told a name of its server, opens another one and one that says a name itself."""
    def opened(at, port, data):
        return [(at, tcp("10.0.0.5", port, "192.0.2.77", 9999, SYN, 1)),
                (at + 0.01, tcp("192.0.2.77", 9999, "10.0.0.5", port, SYN | ACK, 1, 2)),
                (at + 0.02, tcp("10.0.0.5", port, "192.0.2.77", 9999, ACK | PSH, 2, 2, data))]

    return (opened(0.0, 41000, b"\x91\xb6\xdb\x77\x25\x4a") +
            [(0.10, udp("10.0.0.5", 30000, "192.0.2.53", 53, dns_query("named.example"))),
             (0.11, udp("192.0.2.53", 53, "10.0.0.5", 30000, dns_answer("named.example", "192.0.2.77")))] +
            opened(0.2, 41001, b"\x91\xb6\xdb\x77\x25\x4a") +
            opened(0.3, 41002, b"GET / HTTP/1.1\r\nHost: said.example\r\n\r\n") +
            # Time that passes: an answer counts when every shard is behind it.
            [(i / 10, udp(f"198.51.100.{i % 250}", 2000, "198.51.100.250", 2000)) for i in range(4, 400)])


class Names(unittest.TestCase):
    def check_dns_figures(self, sensor):
        """One answer, without an error, after 10 ms."""
        page = sensor.url + "/metrics"
        wait_until("the second of the answer", lambda: metrics(page)["netscope_dns_response_seconds_count"] == 1)
        values = metrics(page)
        self.assertAlmostEqual(values["netscope_dns_response_seconds_sum"], 0.01, places=6)
        buckets = {bound: values[f'netscope_dns_response_seconds_bucket{{le="{bound}"}}'] for bound in ("0.005", "0.02", "+Inf")}
        self.assertEqual(buckets, {"0.005": 0, "0.02": 1, "+Inf": 1})
        self.assertEqual(values['netscope_dns_responses_total{rcode="NOERROR"}'], 1)
        self.assertEqual(values['netscope_dns_responses_total{rcode="other"}'], 0)

    def check(self, shards):
        with Service(frames=named_capture(), arguments=("--pace", "--shards", str(shards))) as sensor:
            def listed():
                flows = sensor.json("/v1/flows", filter="server.port = 9999").get("flows", [])
                # Until its request comes, the flow that says a name itself has the answer's.
                is_said = any(flow["server"]["name_source"] == "NAME_SOURCE_HTTP_HOST" for flow in flows)
                return flows if is_said and sum(flow["server"]["name"] != "" for flow in flows) == 2 else None

            flows = {flow["client"]["port"]: flow for flow in wait_until("two flows with names", listed)}
            self.assertEqual(len(flows), 3)
            ends = {port: (flow["server"]["name"], flow["server"]["name_source"]) for port, flow in flows.items()}
            self.assertEqual(ends[41000][0], "")  # it began before the answer
            self.assertEqual(ends[41001], ("named.example", "NAME_SOURCE_DNS_ANSWER"))
            self.assertEqual(ends[41002], ("said.example", "NAME_SOURCE_HTTP_HOST"))
            one = sensor.json(f"/v1/flows/{flows[41001]['flow_id']}")["flow"]
            self.assertEqual((one["server"]["name"], one["server"]["ip"]), ("named.example", "192.0.2.77"))
            self.check_dns_figures(sensor)
            top = sensor.json("/v1/flows:top", by="FLOW_ORDER_PACKETS", filter="server.port = 9999")["flows"]
            self.assertEqual({flow["client"]["port"]: flow["server"]["name"] for flow in top},
                             {port: name for port, (name, _) in ends.items()})

    def test_flows_that_are_alive_have_the_names_that_answers_gave_them(self):
        self.check(1)

    def test_so_they_do_with_several_shards(self):
        self.check(3)


class Windows(unittest.TestCase):
    """A capture that has come to rest: its last packet is long after the others, so that every figure is exact."""

    def test_a_window_counts_what_is_in_it_and_tells_what_may_be_before(self):
        def datagrams(client, times, size):
            return [(at, udp(client, 1000, "192.0.2.9", 9, bytes(size))) for at in times]

        early = datagrams("10.0.0.1", [0.0, 0.1, 0.2], 100)
        late = datagrams("10.0.0.2", [3.7, 3.8, 3.9], 200)
        across = datagrams("10.0.0.3", [0.1, 3.85], 300)
        ticks = datagrams("10.0.0.4", [4.0 + k for k in range(4)], 20)  # seconds are decided, and the clock goes on
        frames = sorted(early + late + across + ticks, key=lambda pair: pair[0]) + datagrams("10.0.0.5", [90.0], 20)
        bytes_of = {name: sum(len(frame) for _, frame in part) for name, part in
                    (("10.0.0.1", early), ("10.0.0.2", late), ("10.0.0.3", across))}
        more = "flow:\n  first_update: 0s\n  active_timeout: 60s\n"
        with Service(frames=frames, arguments=("--pace",), more=more) as sensor:
            wait_until("all packets", lambda: int(sensor.json("/v1/info")["interfaces"][0]["received_packets"]) ==
                       len(frames) - 1, seconds=30)
            end = wait_until("the last second", lambda: (lambda one: one if one.get("stats", {}).get("end_time", "") else
                                                         None)(sensor.json("/v1/stats")))["stats"]["end_time"]
            whole = sensor.json("/v1/flows:top", window="3600s", group_by="client", limit=100)
            got = {one["key"]: one for one in whole["groups"]}
            for client, size in bytes_of.items():
                self.assertEqual((int(got[client]["bytes"]), int(got[client]["max_overcount"])), (size, 0), got)
            # 3.5 s before the end of the last decided second: what was early is not there, what reaches across is told.
            part = sensor.json("/v1/flows:top", window="3.4s", group_by="client", limit=100)
            got = {one["key"]: one for one in part["groups"]}
            self.assertNotIn("10.0.0.1", got, end)
            self.assertEqual((int(got["10.0.0.2"]["bytes"]), int(got["10.0.0.2"]["max_overcount"])),
                             (bytes_of["10.0.0.2"], 0))
            self.assertEqual((int(got["10.0.0.3"]["bytes"]), int(got["10.0.0.3"]["max_overcount"])),
                             (bytes_of["10.0.0.3"], bytes_of["10.0.0.3"]))
            # Without groups: the flows themselves, with the same figures beside them.
            flows = sensor.json("/v1/flows:top", window="3600s", limit=2, by="FLOW_ORDER_BYTES")
            self.assertEqual([flow["flow_id"] for flow in flows["flows"]], [one["key"] for one in flows["groups"]])
            self.assertEqual(int(flows["groups"][0]["bytes"]), max(bytes_of.values()))
            self.assertFalse(flows["truncated"])


if __name__ == "__main__":
    main()
