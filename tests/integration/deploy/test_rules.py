"""Alert rules for Prometheus and boards for Grafana: well formed, and every metric and label that they ask for is on a page."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support.programs import COLLECTOR, PATIENCE, ROOT, SENSOR, Program, free_port, main, wait_until, write_pcap
from support.service import capture

RULES = os.path.join(ROOT, "deploy", "prometheus", "netscope.rules.yaml")


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20 * PATIENCE) as answer:
        return answer.read().decode()


def read_pages():
    """Of a sensor and a collector that hear of each other."""
    with tempfile.TemporaryDirectory(prefix="netscope-rules-") as folder:
        # With a receiver and a ClickHouse, which hear nothing: pages have their rows where there are any.
        subprocess.run([COLLECTOR, "enroll", "edge-1", "--dir", folder], check=True, stdout=subprocess.DEVNULL)
        ways = {"NETSCOPE_COLLECTOR_RECEIVERS__LOCAL__URL": f"unix:{folder}/nobody",
                "NETSCOPE_COLLECTOR_CLICKHOUSE__URL": f"http://127.0.0.1:{free_port()}",
                "NETSCOPE_COLLECTOR_INGEST__TLS_CERTIFICATE": f"{folder}/collector.pem",
                "NETSCOPE_COLLECTOR_INGEST__TLS_KEY": f"{folder}/collector.key"}
        collector, port = Collector(folder, environment=ways), free_port()
        try:
            services = {"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__PORT": str(port),
                        "NETSCOPE_COLLECTOR__CA": f"{folder}/ca.pem"}
            pcap = write_pcap(os.path.join(folder, "x.pcap"), capture())
            with Program(SENSOR, "--read-pcap", pcap, "--pace", "--loop", "--quiet", "--sensor-id", "edge-1",
                         "--collector", f"127.0.0.1:{collector.ingest}", environment=services) as sensor:
                wait_until("the sensor is known", lambda: 'sensor="edge-1"' in page(collector.http))
                wait_until("a second is decided", lambda: "netscope_detector_saturated{" in page(port))
                pages = {"netscope-sensor": page(port), "netscope-collector": page(collector.http)}
                sensor.stop()
        finally:
            collector.close()
    return pages


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            import yaml
        except ImportError:
            raise unittest.SkipTest("no python3-yaml") from None
        with open(RULES, encoding="utf-8") as file:
            cls.groups = yaml.safe_load(file)["groups"]
        cls.pages = read_pages()

    def test_each_rule_says_what_and_how_bad(self):
        rules = [rule for group in self.groups for rule in group["rules"]]
        self.assertEqual(len({rule["alert"] for rule in rules}), len(rules))
        for rule in rules:
            self.assertLessEqual(set(rule), {"alert", "expr", "for", "labels", "annotations"}, rule["alert"])
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"), rule["alert"])
            self.assertEqual(set(rule["annotations"]), {"summary", "description"}, rule["alert"])
            self.assertRegex(rule["alert"], "^NetScope[A-Za-z]+$")

    def test_each_metric_and_label_is_on_a_page(self):
        for group in self.groups:
            text = self.pages[group["name"]]
            for rule in group["rules"]:
                for name in re.findall(r"netscope_\w+", rule["expr"]):
                    asked = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
                    asked |= set(re.findall(r'(\w+)!?="', rule["expr"]))
                    self.assert_on(text, name, asked, rule["alert"], needs_rows=True)

    def test_each_panel_asks_for_what_is_on_a_page(self):
        boards = sorted(glob.glob(os.path.join(ROOT, "deploy", "grafana", "*.json")))
        self.assertEqual(len(boards), 2)
        for path in boards:
            with open(path, encoding="utf-8") as file:
                board = json.load(file)
            text = self.pages["netscope-sensor" if board["uid"] == "netscope-sensor" else "netscope-collector"]
            panels = [panel for panel in board["panels"] if panel["type"] != "row"]
            self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
            self.assertEqual(len({panel["title"] for panel in panels}), len(panels))
            for panel in panels:
                self.assertTrue(panel["description"] and panel["targets"], panel["title"])
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                for target in panel["targets"]:
                    names = re.findall(r"netscope_\w+", target["expr"])
                    self.assertTrue(names, panel["title"])
                    asked = set(re.findall(r'(\w+)!?=~?"', target["expr"]))
                    asked |= {label for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in by.split(", ")}
                    self.assertLessEqual(set(re.findall(r"{{(\w+)}}", target["legendFormat"])),
                                         {label for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in by.split(", ")}, panel["title"])
                    for name in names:
                        self.assert_on(text, name, asked, (panel["title"], target["expr"]))
            for variable in board["templating"]["list"][1:]:
                name, label = re.fullmatch(r"label_values\((netscope_\w+)(?:{[^}]*})?, (\w+)\)", variable["definition"]).groups()
                self.assert_on(text, name, {label}, variable["name"])
            self.assert_no_overlap(board["panels"])

    def assert_on(self, text, name, asked, what, needs_rows=False):
        """`instance` is Prometheus' own; a family without rows yet has labels that nobody can know."""
        self.assertRegex(text, rf"(?m)^# TYPE {name} ", what)
        rows = re.findall(rf"(?m)^{name}(\{{.*\}})? ", text)
        labels = set(re.findall(r'(\w+)="', "".join(rows))) | {"instance"}
        if rows or needs_rows:
            self.assertLessEqual(asked, labels, (what, name))

    def assert_no_overlap(self, panels):
        taken = set()
        for panel in panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


if __name__ == "__main__":
    main()
