"""The packets behind an alert: a SYN flood and a scan in a replayed capture open alerts whose packet ids GetPacket answers, on the
sensor and on its collector, with one shard and with four.
"""
import os
import sys
import tempfile
import unittest
import urllib.error

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end")]
from fleet import Collector
from support.programs import ACK, PSH, SYN, main, metrics, tcp, wait_until
from support.service import Service

FLOOD, SCANNER, SCANNED, SECRET = "10.0.0.99", "203.0.113.66", "10.0.0.50", b"not-for-samples"


def capture():
    """Four seconds: a busy server all the time, 600 SYNs at one host in the second and third, a scan of 80 ports beside it."""
    frames = []
    for i in range(2000):
        client = f"10.1.{i % 7}.{i % 200 + 1}"
        frames.append((i * 0.002, tcp(client, 20000 + i, "10.0.0.1", 443, ACK | PSH, i, 1, SECRET)))
    for i in range(600):
        frames.append((1 + i * 0.003, tcp(f"198.51.100.{i % 200 + 1}", 1024 + i, FLOOD, 443, SYN, 1)))
    for i in range(80):
        frames.append((1.2 + i * 0.02, tcp(SCANNER, 40000, SCANNED, 1000 + i, SYN, 1)))
    frames.append((6, tcp("10.1.0.1", 1, "10.0.0.1", 443, ACK, 1, 1)))
    return sorted(frames)


class Evidence(unittest.TestCase):
    def alerts(self, service):
        found = {}
        for alert in service.json("/v1/alerts").get("alerts", []):
            found[alert["kind_name"]] = alert
        return found if {"syn_flood", "port_scan_vertical"} <= set(found) else None

    def check(self, service, packet_of):
        alerts = wait_until("both alerts", lambda: self.alerts(service), 30)
        for kind, ends in (("syn_flood", {FLOOD}), ("port_scan_vertical", {SCANNER, SCANNED})):
            ids = alerts[kind]["evidence"]["packet_sample_ids"]
            self.assertGreaterEqual(len(ids), 5, f"{kind}: {ids}")
            self.assertLessEqual(len(ids), 16)
            self.assertEqual(len(set(ids)), len(ids))
            times = []
            for identifier in ids:
                packet = packet_of(identifier)
                self.assertEqual(packet["reason"], "SAMPLE_REASON_ALERT_EVIDENCE")
                self.assertEqual(packet["alert_id"], alerts[kind]["alert_id"])
                self.assertTrue(any(end in packet["summary"] for end in ends), packet)
                if kind == "port_scan_vertical":
                    self.assertTrue(all(end in packet["summary"] for end in ends), "both ends are known")
                self.assertIn("SYN", packet["summary"])
                self.assertRegex(packet["community_id"], "^1:")
                self.assertNotEqual(packet.get("flow_id", ""), "")
                times.append(packet["time"])
            self.assertGreater(len(set(times)), 1, "spread over time")

    def start(self, shards, more=""):
        service = Service(has_token=True, frames=capture(), arguments=("--pace", "--loop", "--shards", str(shards)), more=more)
        self.addCleanup(service.__exit__)
        return service

    def from_sensor(self, shards):
        service = self.start(shards)
        self.check(service, lambda identifier: service.json(f"/v1/packets/{identifier}")["packet"])
        values = metrics(service.url + "/metrics")
        self.assertEqual(values["netscope_evidence_alerts_total"], 2)
        self.assertGreater(values["netscope_evidence_packets_total"], 9)
        self.assertEqual(values["netscope_evidence_memory_bytes"], shards * 4 * 1024 * 1024)
        for shard in range(shards):  # each tells how much of a processor it takes: something, and not more than there is
            self.assertTrue(0 < values[f'netscope_shard_cpu_ratio{{shard="{shard}"}}'] <= 1.1, values)
        wait_until("a second with TCP", lambda: ["TCP"] in [
            [item["key"] for item in top["items"]] for top in service.json("/v1/stats")["stats"].get("top", [])
            if top["dimension"] == "protocol"])
        return service

    def test_get_packet_has_the_packets_of_an_alert(self):
        service = self.from_sensor(1)
        identifier = self.alerts(service)["syn_flood"]["evidence"]["packet_sample_ids"][0]
        packet = service.json(f"/v1/packets/{identifier}")["packet"]
        self.assertEqual([layer["name"] for layer in packet["layers"]][-1].lower(), "tcp")

    def test_four_shards_pin_packets_of_the_same_subjects(self):
        self.from_sensor(4)

    def test_switched_off_there_are_none(self):
        service = self.start(1, more="packets:\n  evidence_buffer: 0\n")
        alerts = wait_until("both alerts", lambda: self.alerts(service), 30)
        for alert in alerts.values():
            self.assertEqual(alert["evidence"].get("packet_sample_ids", []), [])
        self.assertEqual(metrics(service.url + "/metrics")["netscope_evidence_packets_total"], 0)

    def test_the_collector_answers_with_them_too(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        collector = Collector(folder.name)
        self.addCleanup(collector.close)
        service = self.start(2, more=f"collector:\n  address: 127.0.0.1:{collector.ingest}\n  insecure: true\n")

        def fetched(identifier):
            path = f"/v1/packets/{identifier}?sensor_id=service-sensor"
            return wait_until(f"packet {identifier}", lambda: self.one(collector, path), 20)

        self.check(service, fetched)
        rows = [row for row in collector.fetch("/v1/packets?limit=2000")["packets"] if row["alert_id"]]
        self.assertGreaterEqual(len(rows), 10)

    def one(self, collector, path):
        try:
            answer = collector.fetch(path)
        except urllib.error.HTTPError as error:
            self.assertEqual(error.code, 404)
            return None
        return answer.get("packet", answer)


if __name__ == "__main__":
    main()
