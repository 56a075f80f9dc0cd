#!/usr/bin/env python3
"""Alerts of the collector to Kafka, read back by kcat in a process of its own.

    test_kafka.py FOLDER_OF_TEST_PROGRAMS

77 where kcat is missing.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.abspath(sys.argv.pop(1))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end"), os.path.join(HERE, "..", "kafka")]

from fleet import Collector
from kafka_tools import Cluster, has_kcat
from support.programs import COLLECTOR, PATIENCE, SENSOR, SKIPPED, free_port, make_traffic, wait_until

TOPIC = "fleet.alerts"
SEVERITIES = [f"SEVERITY_{name}" for name in ("UNSPECIFIED", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL")]


def settings(folder, text):
    path = os.path.join(folder, "collector.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def send(collector, capture):
    """A sensor that reads a capture to its end and gives the collector all it found."""
    subprocess.run([SENSOR, "--read-pcap", capture, "--quiet", "--sensor-id", "demo", "--collector",
                    f"127.0.0.1:{collector.ingest}", "--grpc-listen", f"127.0.0.1:{free_port()}"],
                   env={**os.environ, "NETSCOPE_HTTP__PORT": "0"}, check=True, capture_output=True, timeout=120)


def alerts(collector):
    return {alert["alert_id"]: alert for alert in collector.fetch("/v1/alerts?state=all&from=0&to=4000000000000")["alerts"]}


class Kafka(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.capture, _ = make_traffic(self.folder.name, "demo")

    def start(self, text):
        collector = Collector(self.folder.name, arguments=("--config", settings(self.folder.name, text)))
        self.addCleanup(collector.close)
        return collector

    def cluster(self):
        cluster = Cluster(TOOLS, topics=False)
        self.addCleanup(cluster.__exit__)
        cluster.say(f"topic {TOPIC} 3")
        return cluster

    def test_each_incident_arrives_as_json_with_its_key(self):
        cluster = self.cluster()
        collector = self.start(f"receivers:\n  lake:\n    url: kafka://{cluster.brokers}/{TOPIC}\n    format: json\n")
        reader = cluster.kcat(TOPIC, "%k %s\\n")
        send(collector, self.capture)
        wait_until("closed incidents in the store", lambda: alerts(collector) and all(
            alert["state"] == "ALERT_STATE_CLOSE" for alert in alerts(collector).values()), 60)
        known = alerts(collector)
        wait_until("the end of all", lambda: sum("ALERT_STATE_CLOSE" in line for line in reader.lines()) == len(known), 60)
        told = {}
        for line in reader.lines():
            key, value = line.rstrip("\n").split(" ", 1)
            alert = json.loads(value)
            self.assertEqual(key, known[alert["alert_id"]]["alert_key"])
            told.setdefault(alert["alert_id"], []).append((alert["state"], SEVERITIES.index(alert["severity"])))
        self.assertEqual(set(told), set(known))
        for said in told.values():
            states, severities = zip(*said)
            self.assertEqual((states[0], states[-1]), ("ALERT_STATE_OPEN", "ALERT_STATE_CLOSE"))
            self.assertEqual(set(states[1:-1]) | {"ALERT_STATE_UPDATE"}, {"ALERT_STATE_UPDATE"})
            self.assertEqual(sorted(set(severities[:-1])), list(severities[:-1]), "an update between is told where it is worse")

    def test_alerts_wait_for_a_broker_and_are_counted_meanwhile(self):
        port = free_port()
        collector = self.start(f"receivers:\n  lake:\n    url: kafka://127.0.0.1:{port}/{TOPIC}\n    timeout: 1s\n")
        send(collector, self.capture)
        wait_until("a try that failed", lambda: 'netscope_collector_receiver_up{receiver="lake"} 0' in metrics(collector), 60)
        wait_until("it is told", lambda: "a receiver takes no alerts" in collector.program.text(), 20)
        waiting = [row for row in collector.fetch("/v1/ledger")["rows"] if row["name"] == "receiver lake"]
        self.assertGreater(int(waiting[0]["held"]), 0)
        self.assertEqual(waiting[0]["out"], "0")

    def test_a_test_alert_is_delivered_and_settings_are_judged(self):
        cluster = self.cluster()
        good = settings(self.folder.name, f"receivers:\n  lake:\n    url: kafka://{cluster.brokers}/{TOPIC}\n")
        done = subprocess.run([COLLECTOR, "test-receivers", "--config", good], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout.split()), (0, ["lake", "delivered"]), done.stderr)
        for text, words in (("kafka://127.0.0.1:9092", "receivers.lake: url: behind the brokers comes /TOPIC"),
                            ("kafka:///topic", "receivers.lake: url: after kafka:// come the brokers"),
                            ("kafka://u:p@127.0.0.1/topic", "receivers.lake: url: after kafka:// come the brokers"),
                            ("kafka://127.0.0.1/t\n    format: slack", "receivers.lake: format: slack is no form for Kafka"),
                            ("kafka://127.0.0.1/t\n    properties:\n      sasl.password: x",
                             "receivers.lake: properties: sasl.password is not set here: it comes from token_file"),
                            ("kafka://127.0.0.1/t\n    properties:\n      no.such: x", "receivers.lake: property no.such"),
                            ("http://127.0.0.1/\n    properties:\n      a.b: x", "receivers.lake: properties: they are for kafka")):
            bad = settings(self.folder.name, f"receivers:\n  lake:\n    url: {text}\n")
            done = subprocess.run([COLLECTOR, "--check-config", "--config", bad], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, text)
            self.assertIn(words, done.stderr)


def metrics(collector):
    import urllib.request
    with urllib.request.urlopen(f"http://127.0.0.1:{collector.http}/metrics", timeout=20 * PATIENCE) as answer:
        return answer.read().decode()


if __name__ == "__main__":
    if not has_kcat():
        print("SKIP: kcat is not installed")
        sys.exit(SKIPPED)
    unittest.main()
