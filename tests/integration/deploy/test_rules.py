"""The alert rules for Prometheus: well formed, and every metric and label that they ask for is on a page."""
import os
import re
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support.programs import PATIENCE, ROOT, SENSOR, Program, free_port, main, wait_until, write_pcap
from support.service import capture

RULES = os.path.join(ROOT, "deploy", "prometheus", "netscope.rules.yaml")


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20 * PATIENCE) as answer:
        return answer.read().decode()


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            import yaml
        except ImportError:
            raise unittest.SkipTest("no python3-yaml") from None
        with open(RULES, encoding="utf-8") as file:
            cls.groups = yaml.safe_load(file)["groups"]

    def test_each_rule_says_what_and_how_bad(self):
        rules = [rule for group in self.groups for rule in group["rules"]]
        self.assertEqual(len({rule["alert"] for rule in rules}), len(rules))
        for rule in rules:
            self.assertLessEqual(set(rule), {"alert", "expr", "for", "labels", "annotations"}, rule["alert"])
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"), rule["alert"])
            self.assertEqual(set(rule["annotations"]), {"summary", "description"}, rule["alert"])
            self.assertRegex(rule["alert"], "^NetScope[A-Za-z]+$")

    def test_each_metric_and_label_is_on_a_page(self):
        with tempfile.TemporaryDirectory(prefix="netscope-rules-") as folder:
            # With a receiver and a ClickHouse, which hear nothing: pages have their rows where there are any.
            ways = {"NETSCOPE_COLLECTOR_RECEIVERS__LOCAL__URL": f"unix:{folder}/nobody",
                    "NETSCOPE_COLLECTOR_CLICKHOUSE__URL": f"http://127.0.0.1:{free_port()}"}
            collector, port = Collector(folder, environment=ways), free_port()
            try:
                services = {"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__PORT": str(port)}
                pcap = write_pcap(os.path.join(folder, "x.pcap"), capture())
                with Program(SENSOR, "--read-pcap", pcap, "--pace", "--loop", "--quiet", "--sensor-id", "edge-1",
                             "--collector", f"127.0.0.1:{collector.ingest}", environment=services) as sensor:
                    wait_until("the sensor is known", lambda: 'sensor="edge-1"' in page(collector.http))
                    wait_until("a second is decided", lambda: "netscope_detector_saturated{" in page(port))
                    pages = {"netscope-sensor": page(port), "netscope-collector": page(collector.http)}
                    sensor.stop()
            finally:
                collector.close()
        for group in self.groups:
            text = pages[group["name"]]
            for rule in group["rules"]:
                for name in re.findall(r"netscope_\w+", rule["expr"]):
                    self.assertRegex(text, rf"(?m)^# TYPE {name} ", rule["alert"])
                    labels = set(re.findall(r'(\w+)="', "".join(re.findall(rf"(?m)^{name}\{{.*", text)))) | {"instance"}
                    asked = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
                    asked |= set(re.findall(r'(\w+)!?="', rule["expr"]))
                    self.assertLessEqual(asked, labels, (rule["alert"], name))


if __name__ == "__main__":
    main()
