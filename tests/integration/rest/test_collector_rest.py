"""REST of the collector: the OpenAPI document of its methods, and what is made from it."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from rest.fuzzed import Fuzzed
from support.programs import SENSOR, Program, main, wait_until, write_pcap
from support.service import Asked, capture

TOKEN = "full-token-0123456789"


class Fleet(Asked):
    """A collector that wants a token, and one sensor that reports to it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="netscope-fleet-rest-")
        folder, self.token = self.folder.name, TOKEN
        tokens = os.path.join(folder, "tokens")
        with open(tokens, "w", encoding="utf-8") as out:
            out.write(f"full all {TOKEN}\n")
        os.chmod(tokens, 0o600)
        config = os.path.join(folder, "collector.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  token_file: {tokens}\nstore:\n  commit_interval: 200ms\n")
        self.collector = Collector(folder, arguments=("--config", config))
        self.program = self.collector.program
        self.url = f"http://127.0.0.1:{self.collector.http}"
        pcap = write_pcap(os.path.join(folder, "x.pcap"), capture())
        self.sensor = Program(SENSOR, "--read-pcap", pcap, "--pace", "--loop", "--quiet", "--sensor-id", "edge-1",
                              "--collector", f"127.0.0.1:{self.collector.ingest}",
                              environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"})

    def __exit__(self, *_):
        self.sensor.stop()
        self.sensor.__exit__()
        status = self.program.stop()
        text = self.program.text()
        self.collector.close()
        self.folder.cleanup()
        assert status == 0, f"the collector ended with {status}:\n{text[-3000:]}"


class CollectorRest(Fuzzed, unittest.TestCase):
    FLOW_PATH = "/v1/fleet/flows/{flow_id}"

    @classmethod
    def setUpClass(cls):
        cls.served = Fleet()
        wait_until("flows", lambda: cls.served.json("/v1/fleet/flows").get("flows"))
        cls.document = cls.served.json("/v1/openapi.json")

    @classmethod
    def tearDownClass(cls):
        cls.served.__exit__()

    def test_data_needs_the_token_and_the_document_does_not(self):
        for path in ("/v1/fleet/sensors", "/v1/fleet/flows", "/v1/fleet/packets/x"):
            self.assertEqual(self.served.ask(path, headers={"Authorization": "Bearer wrong"})[0], 401, path)
        self.assertEqual(self.served.ask("/v1/openapi.json", headers={"Authorization": "Bearer wrong"})[0], 200)

    def test_a_parameter_that_no_page_has_is_refused(self):
        pages = [path for path, methods in self.document["paths"].items()
                 if "get" in methods and path.startswith("/v1/") and not path.startswith(("/v1/fleet/", "/v1/schema/"))]
        self.assertGreater(len(pages), 10)
        for path in pages:
            status, _, problem = self.served.ask(path.replace("{id}", "0123456789abcdef") + "?fliter=x")
            self.assertEqual(status, 400, path)
            self.assertEqual(json.loads(problem)["reason"], "UNKNOWN_PARAMETER", path)
        for path in ("/v1/flows?filter=server.port%3D53&page_size=1&from=0", "/v1/packets?sensor_id=edge-1&limit=1",
                     "/v1/summary?from=0&to=10", "/v1/timeseries?metric=bps&by=app&step=1000", "/v1/alerts?state=open"):
            self.assertEqual(self.served.ask(path)[0], 200, path)

    def test_a_parameter_that_is_given_twice_or_is_no_text_is_refused(self):
        for path in ("/v1/flows?page_size=1&page_size=2", "/v1/flows?filter=%ff", "/v1/packets?limit=1&limit=1",
                     "/v1/alerts?state=open&state=all", "/v1/hosts?limit=1&limit=2", "/v1/map?filter=%c3%28",
                     "/v1/fleet/flows?dedup=9", "/v1/fleet/sensors?states=99"):
            status, _, text = self.served.ask(path)
            self.assertEqual((status, json.loads(text)["reason"]), (400, "BAD_PARAMETER"), path)
            name = path.split("?")[1].split("=")[0]
            self.assertEqual(json.loads(text)["field_violations"][0]["field"], name, path)
            self.assertIn(f"'{name}'", json.loads(text)["detail"], path)
        two = "/v1/fleet/flows?sensor_selector.sensor_ids=edge-1&sensor_selector.sensor_ids=edge-2&page_size=1"
        self.assertEqual(self.served.ask(two)[0], 200)

    def test_pages_name_the_parameter_that_is_wrong(self):
        for query in ("flows?page_size=0", "flows?from=x", "flows?from=5&to=4", "flows?dedup=TWICE", "flows?filter=server.port+%3D",
                      "flows?order_by=colour", "flows?page_token=x", "alerts?state=ajar", "alerts?silenced=maybe",
                      "alerts?page_token=x", "packets?flow_id=zz", "packets?limit=0", "timeseries?metric=colour",
                      "timeseries?by=colour&metric=bps", "facets?filter=(", "filter:check?filter=a+%3D"):
            status, kind, text = self.served.ask(f"/v1/{query}")
            problem, name = json.loads(text), query.split("?")[1].split("=")[0]
            self.assertEqual((status, kind.split(";")[0], problem["code"]), (400, "application/problem+json", "INVALID_ARGUMENT"), query)
            self.assertEqual([one["field"] for one in problem["field_violations"]], [name], query)
            self.assertRegex(problem["detail"], rf"^{name}: ", query)
            self.assertEqual(problem["instance"], "/v1/" + query.split("?")[0])
        self.assertEqual(json.loads(self.served.ask("/v1/flows?filter=server.port+%3D")[2])["pos"], 13)

    def test_a_filter_goes_with_figures_of_flow_records(self):
        for query in ("", "&metric=pps&by=app", "&metric=new_flows&by=sensor", "&by=direction"):
            status, _, body = self.served.ask("/v1/timeseries?filter=server.port%3D53" + query)
            self.assertEqual(status, 200, query)
            self.assertTrue(all(len(one["in"]) == len(json.loads(body)["t"]) for one in json.loads(body)["series"]))
        for metric in ("rtt", "loss", "flows"):
            status, _, problem = self.served.ask(f"/v1/timeseries?filter=server.port%3D53&metric={metric}")
            self.assertEqual((status, json.loads(problem)["reason"]), (400, "BAD_PARAMETER"))
            self.assertIn("bps, pps and new_flows", json.loads(problem)["detail"])

    def test_figures_of_one_sensor_and_as_many_series_as_asked(self):
        def series(query):
            return {one["key"]: one["in"] for one in self.served.json("/v1/timeseries?metric=bps&step=1000" + query)["series"]}

        def total(columns):
            return sum(value or 0 for column in columns.values() for value in column)

        wait_until("figures", lambda: total(series("&sensor=edge-1")) > 0)
        self.assertEqual(list(series("&sensor=edge-1")), ["total"])
        self.assertEqual(total(series("&sensor=edge-2")), 0)
        by_app = series("&by=app")
        self.assertGreater(len(by_app), 2)
        self.assertEqual(list(series("&by=app&top=1")), [list(by_app)[0], "other"])
        for wrong in ("&sensor=edge-1&filter=server.port%3D53", "&top=0", "&top=128", "&sensor=" + 300 * "x"):
            status, _, problem = self.served.ask("/v1/timeseries?metric=bps" + wrong)
            self.assertEqual((status, json.loads(problem)["reason"]), (400, "BAD_PARAMETER"), wrong)


if __name__ == "__main__":
    main()
