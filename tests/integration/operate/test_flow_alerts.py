"""Records of flows name the alerts that they belong to, and alerts say what to do: a scan and a flood in a made capture."""
import os
import sys
import tempfile
import unittest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")]
from support.programs import ACK, PSH, SYN, json_lines, main, sensor, tcp, write_pcap

START = 1_700_000_000
SCANNER, SCANNED, FLOODED, SERVER = "203.0.113.66", "10.0.0.50", "10.0.0.99", "10.0.0.1"
SETTINGS = """
analysis:
  anomalies:
    runbooks: ["* https://wiki.example.com/netscope/{kind}", "syn_flood https://wiki.example.com/ddos?a={alert_id}"]
    labels: ["* team=network", 'port_scan_vertical team=security owner="On call"']
"""


def capture():
    """A scan of 200 ports over 20 s, 3000 SYNs at one service, and a busy server beside them; then a minute and more with little."""
    frames = [(START + i * 0.1, tcp(SCANNER, 40000, SCANNED, 1000 + i, SYN, 1)) for i in range(200)]
    frames += [(START + 5 + i * 0.002, tcp(f"198.51.100.{i % 200 + 1}", 1024 + i, FLOODED, 443, SYN, 1)) for i in range(3000)]
    frames += [(START + i * 0.05, tcp(f"10.1.{i % 7}.{i % 200 + 1}", 20000 + i, SERVER, 443, ACK | PSH, i, 1, b"busy")) for i in range(400)]
    frames += [(START + 12, tcp("10.1.0.9", 5000, FLOODED, 22, SYN, 1))]  # another service of the one that is flooded
    frames += [(START + 12, tcp(SCANNER, 5000, SERVER, 443, SYN, 1))]  # the scanner elsewhere
    frames += [(START + 20 + i, tcp("10.1.0.1", 1, SERVER, 443, ACK, 1, 1)) for i in range(80)]
    return sorted(frames)


class FlowAlerts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.capture = os.path.join(self.folder, "made.pcap")
        write_pcap(self.capture, capture())

    def play(self, *more):
        flows, alerts, settings = (os.path.join(self.folder, name) for name in ("flows.jsonl", "alerts.jsonl", "sensor.yaml"))
        with open(settings, "w", encoding="utf-8") as out:
            out.write(SETTINGS)
        done = sensor("--config", settings, "--read-pcap", self.capture, "--quiet", "--flows-jsonl", flows, "--alerts-jsonl", alerts, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json_lines(flows), json_lines(alerts)

    def test_flows_of_a_scan_and_of_a_flood_name_it_and_others_do_not(self):
        flows, alerts = self.play()
        opened = {alert["detail"]: alert for alert in alerts if alert["state"] == "open"}
        self.assertLessEqual({"port_scan_vertical", "syn_flood"}, set(opened))
        ids = {alert["alert_id"] for alert in alerts}
        seen = {"scan": 0, "flood": 0, "others": 0}
        for flow in flows:
            named, ends = flow.get("alert_ids", []), (flow["client"]["ip"], flow["server"]["ip"])
            self.assertLessEqual(set(named), ids)
            self.assertEqual(bool(named), flow["risk_score"] > 0, flow)
            scan, flood = (opened[kind]["alert_id"] in named for kind in ("port_scan_vertical", "syn_flood"))
            if ends == (SCANNER, SCANNED):
                self.assertFalse(flood)
                if flow["end_reason"] == "FLOW_END_REASON_IDLE":  # long after the alert
                    self.assertTrue(scan, flow)
                    self.assertGreaterEqual(flow["risk_score"], 50)
                seen["scan"] += scan
            elif ends[1] == FLOODED and flow["server"]["port"] == 443:
                self.assertFalse(scan)
                if flow["end_reason"] == "FLOW_END_REASON_IDLE":
                    self.assertTrue(flood, flow)
                seen["flood"] += flood
            else:
                self.assertFalse(scan or flood, flow)
                seen["others"] += 1
        self.assertGreaterEqual(seen["scan"], 200)
        self.assertGreaterEqual(seen["flood"], 3000)
        self.assertGreater(seen["others"], 400)

    def test_any_number_of_shards_gives_the_same(self):
        one, four = (sorted((flow["flow_id"], flow["update_index"], flow["event"], flow["risk_score"], flow.get("alert_ids", []))
                            for flow in self.play("--shards", shards)[0]) for shards in ("1", "4"))
        self.assertEqual(one, four)

    def test_alerts_say_what_to_do_and_whose_they_are(self):
        for alert in self.play()[1]:
            if alert["detail"] == "syn_flood":
                self.assertEqual(alert["runbook_url"], f"https://wiki.example.com/ddos?a={alert['alert_id']}")
            else:
                self.assertEqual(alert["runbook_url"], f"https://wiki.example.com/netscope/{alert['detail']}")
            self.assertEqual(alert["labels"], {"team": "security", "owner": "On call"} if alert["detail"] == "port_scan_vertical"
                             else {"team": "network"})


if __name__ == "__main__":
    main()
