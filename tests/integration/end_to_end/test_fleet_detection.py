"""Detection over a fleet of live processes: what no site sees alone is seen over all, an alert of the fleet links the
sensors' alerts that it explains, and seconds of another seed are refused and counted.

Thirty sensors (NETSCOPE_TEST_SITES), each a process, each fed its own site's packets as they happen through its
standard input, report to one collector; no root, no network but loopback.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from fleet import Collector
from support.programs import BIN, PATIENCE, SENSOR, clean_environment, main, metrics, run, tcp, udp, wait_until

SITES = int(os.environ.get("NETSCOPE_TEST_SITES", "30"))
PROBE = os.environ.get("NETSCOPE_INGEST_PROBE", "")
SCANNER = "93.184.216.34"
SYN = 0x02


class Site:
    """A sensor and its packets. What it is told to send goes out with the time of now."""

    def __init__(self, number, collector, folder):
        self.name = f"site-{number}"
        self.host = f"10.{number}.0.5"
        self.errors = open(os.path.join(folder, f"{self.name}.log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [SENSOR, "--read-pcap", "-", "--quiet", "--sensor-id", self.name, "--collector",
             f"127.0.0.1:{collector.ingest}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self.errors,
            env=clean_environment({"NETSCOPE_FLOW__MAX_FLOWS": "1024", "NETSCOPE_SPOOL__DIRECTORY": "memory"}))
        self.lock = threading.Lock()
        self.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 65535, 1))

    def write(self, data):
        with self.lock:
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def send(self, *frames):
        now = time.time_ns()
        self.write(b"".join(struct.pack("<IIII", now // 10**9, now % 10**9, len(frame), len(frame)) + frame
                            for frame in frames))

    def breathe(self):
        """Ordinary traffic, so that time goes on."""
        self.send(udp(self.host, 40000, f"{self.host[:-1]}9", 514, b"x"))

    def probe(self, target, port, scanner=SCANNER):
        self.send(tcp(scanner, 40000 + port % 20000, target, port, SYN, 1))

    def text(self):
        self.errors.seek(0)
        return self.errors.read()

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(timeout=30 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()


class FleetDetection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.collector = Collector(cls.temporary.name)
        cls.addClassCleanup(cls.collector.close)
        cls.sites = [Site(number, cls.collector, cls.temporary.name) for number in range(SITES)]
        cls.is_over = threading.Event()
        cls.breath = threading.Thread(target=cls.breathe_all)
        cls.breath.start()
        cls.addClassCleanup(cls.end)
        wait_until("all sensors", lambda: len(cls.collector.sensors()) >= SITES, 60)
        # Each has taken the fleet's seed over when the collector has merged a second of each.
        wait_until("a second of each", lambda: cls.figure("netscope_collector_fleet_sensors") >= SITES, 60)

        # Nothing opens in the collector's warm-up of ten seconds.
        wait_until("the warm-up", lambda: cls.figure("netscope_collector_fleet_seconds_decided_total") >= 13, 60)

    @classmethod
    def breathe_all(cls):
        while not cls.is_over.wait(0.5):
            for site in cls.sites:
                try:
                    site.breathe()
                except OSError:
                    pass

    @classmethod
    def end(cls):
        cls.is_over.set()
        cls.breath.join()
        for site in cls.sites:
            site.close()

    @classmethod
    def figure(cls, name, labels=""):
        return metrics(f"http://127.0.0.1:{cls.collector.http}/metrics").get(name + labels, 0)

    def alerts(self):
        return self.collector.fetch("/v1/alerts?page_size=500")["alerts"]

    def of(self, kind, scope):
        """The newest record of each incident."""
        newest = {}
        for alert in self.alerts():
            if alert["kind"].endswith(kind) and alert["scope"].endswith(scope):
                newest[alert["alert_id"]] = alert
        return list(newest.values())

    def test_1_one_port_at_each_site_is_seen_by_the_fleet_alone(self):
        for site in self.sites:  # within a few seconds
            site.probe(site.host, 445)
        found = wait_until("the fleet's alert", lambda: self.of("PORT_SCAN_HORIZONTAL", "FLEET"), 30)
        self.assertEqual(len(found), 1, found)
        alert = found[0]
        self.assertEqual([a["ip"] for a in alert["attackers"]], [SCANNER])
        self.assertGreaterEqual(alert["observed"], 25)
        self.assertGreaterEqual(len(alert["sensor_ids"]), 16)
        self.assertEqual(alert.get("explains_alert_ids", []), [])
        self.assertEqual(self.of("PORT_SCAN_HORIZONTAL", "SENSOR"), [])
        self.assertEqual(self.of("PORT_SCAN_VERTICAL", "SENSOR"), [])

    def test_2_an_alert_of_the_fleet_links_those_that_it_explains(self):
        victim = "10.200.0.1"
        for i in range(40):  # both see the same scanner at the same host, each its half
            self.sites[0].probe(victim, 1000 + i, "198.51.100.7")
            self.sites[1].probe(victim, 3000 + i, "198.51.100.7")
        own = wait_until("both sensors' alerts",
                         lambda: len(self.of("PORT_SCAN_VERTICAL", "SENSOR")) >= 2 and self.of("PORT_SCAN_VERTICAL", "SENSOR"), 30)
        wait_until("the fleet's alert with its links",
                   lambda: any(len(a.get("explains_alert_ids", [])) == 2 for a in self.of("PORT_SCAN_VERTICAL", "FLEET")), 60)
        fleet = self.of("PORT_SCAN_VERTICAL", "FLEET")
        self.assertEqual(len(fleet), 1, fleet)
        self.assertEqual(sorted(fleet[0]["explains_alert_ids"]), sorted(a["alert_id"] for a in own))
        self.assertEqual(sorted(fleet[0]["sensor_ids"]), ["site-0", "site-1"])
        self.assertEqual({a["alert_key"] for a in own}, {own[0]["alert_key"]})  # the same, of the same
        self.assertEqual(len({a["alert_id"] for a in own}), 2)

    def test_3_seconds_of_another_seed_are_refused_and_counted(self):
        if not os.access(PROBE, os.X_OK):
            self.skipTest("ingest_probe is not built")
        label = '{verdict="%s"}'
        before = {name: self.figure("netscope_collector_sketch_frames_total", label % name)
                  for name in ("other_seed", "malformed", "ahead", "taken")}
        done = run(PROBE, "sensor", f"127.0.0.1:{self.collector.ingest}", "10", "0",
                   environment={"PROBE_BAD_SKETCHES": "1", "PROBE_SENSOR_ID": "stranger"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for name in ("other_seed", "malformed", "ahead"):
            wait_until(f"a frame counted as {name}", lambda name=name: self.figure(
                "netscope_collector_sketch_frames_total", label % name) == before[name] + 1)
        wait_until("frames of the others", lambda: self.figure("netscope_collector_sketch_frames_total", label % "taken") >
                   before["taken"])

    def test_4_the_collector_tells_its_detectors(self):
        scan = '{detector="port_scan"}'
        self.assertGreater(self.figure("netscope_collector_fleet_seconds_decided_total"), 3)
        self.assertGreater(self.figure("netscope_detectors_memory_bytes"), 1 << 20)
        self.assertGreater(self.figure("netscope_detector_key_capacity", scan), 1000)
        self.assertGreater(self.figure("netscope_detector_tracked_keys", scan), 0)
        self.assertEqual(self.figure("netscope_detector_saturated", scan), 0)
        self.assertEqual(self.figure("netscope_detector_alerts_total", scan), 2)
        self.assertEqual(self.figure("netscope_collector_fleet_alerts_total"), 2)

    def test_5_alerts_of_the_fleet_are_told_by_grpc(self):
        grpcurl = os.path.join(os.path.dirname(BIN), "tools", "grpcurl")
        grpcurl = grpcurl if os.access(grpcurl, os.X_OK) else shutil.which("grpcurl")
        if not grpcurl:
            self.skipTest("grpcurl is not installed")
        done = subprocess.run([grpcurl, "-plaintext", "-d", "{}", f"127.0.0.1:{self.collector.ingest}",
                               "netscope.v1.AlertService/ListAlerts"], capture_output=True, text=True, timeout=30 * PATIENCE)
        if "Unimplemented" in done.stderr or "does not expose service" in done.stderr:
            self.skipTest("the collector has no AlertService so far")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("FLEET", done.stdout)


if __name__ == "__main__":
    main()
