"""What the fleet's detectors have learnt outlasts the collector: after a stop, a kill or a damaged file, what two sensors
saw before is known (or learnt anew, and that is told), and only the rest is news.

The first collector learns for an hour; the next one for no time at all. Two live sensors see the same connections, since
the fleet tells of what two at least have seen. No root, no network but loopback.
"""
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from fleet import Collector
from support.programs import ACK, FIN, PATIENCE, PSH, SENSOR, SYN, clean_environment, main, metrics, tcp, wait_until

KNOWN = [("10.0.0.5", "10.0.0.9", 443), ("10.0.0.6", "10.0.0.9", 443)]
FRESH = ("10.0.0.77", "10.0.0.9", 443)
KNOWN_SUBJECTS = 3  # two clients and a service
DETECTOR = '{detector="new_host"}'


def environment(learning, **more):
    path = "NETSCOPE_COLLECTOR_ANALYSIS__ANOMALIES__"
    return {f"{path}WARM_UP": "0s", f"{path}NEW_HOST__MODE": "alert", f"{path}NEW_HOST__LEARNING": learning,
            "NETSCOPE_COLLECTOR_ANALYSIS__LEARNT_INTERVAL": "1s", "NETSCOPE_COLLECTOR_LOG__LEVEL": "info", **more}


class Site:
    """A sensor that is told on its standard input, as a capture, what passes it now."""

    def __init__(self, name, ingest, folder):
        self.errors = open(os.path.join(folder, f"{name}.log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [SENSOR, "--read-pcap", "-", "--quiet", "--sensor-id", name, "--collector", f"127.0.0.1:{ingest}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self.errors,
            env=clean_environment({"NETSCOPE_FLOW__MAX_FLOWS": "1024", "NETSCOPE_SPOOL__DIRECTORY": "memory"}))
        self.process.stdin.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 65535, 1))
        self.process.stdin.flush()

    def send(self, frames):
        now = time.time_ns()
        self.process.stdin.write(b"".join(
            struct.pack("<IIII", now // 10**9, now % 10**9, len(frame), len(frame)) + frame for frame in frames))
        self.process.stdin.flush()

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


class FleetLearnt(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.port = folder.name, 20000
        self.file = os.path.join(self.folder, "store", "learnt")
        self.collector = Collector(self.folder, environment=environment("1h"))
        self.addCleanup(lambda: self.collector.close())
        self.sites = [Site(f"site-{i}", self.collector.ingest, self.folder) for i in range(2)]
        for site in self.sites:
            self.addCleanup(site.close)

    def figure(self, name):
        return metrics(f"http://127.0.0.1:{self.collector.http}/metrics").get(name, 0)

    def keys(self):
        return self.figure("netscope_detector_tracked_keys" + DETECTOR)

    def send(self, *connections):
        """Each whole one past both sensors, from its SYN to both FIN."""
        frames = []
        for client, server, port in connections:
            self.port += 1
            c, s = (client, self.port, server, port), (server, port, client, self.port)
            frames += [tcp(*c, SYN, 1), tcp(*s, SYN | ACK, 1, 2), tcp(*c, ACK, 2, 2), tcp(*c, PSH | ACK, 2, 2, b"hello"),
                       tcp(*s, PSH | ACK, 2, 7, b"world"), tcp(*c, FIN | ACK, 7, 7), tcp(*s, FIN | ACK, 7, 8),
                       tcp(*c, ACK, 8, 8)]
        for site in self.sites:
            site.send(frames)

    def send_until(self, what, condition, *connections):
        """Again and again: seconds go to the collector once a sensor has its seed, and while time goes on."""
        def step():
            self.send(*connections)
            time.sleep(0.2)
            return condition()
        wait_until(what, step, 60)

    def told(self):
        """(kind, whose) of what the fleet told of."""
        rows = self.collector.fetch("/v1/alerts?page_size=500")["alerts"]
        return {(row["kind"].removeprefix("ALERT_KIND_"), row["victims"][0]["ip"]) for row in rows
                if row["scope"].endswith("FLEET")}

    def learn(self):
        self.send_until("the fleet has seen them", lambda: self.keys() == KNOWN_SUBJECTS, *KNOWN)

    def restart(self, learning, number=signal.SIGTERM, **more):
        process = self.collector.program.process
        process.send_signal(number)
        process.wait(timeout=60 * PATIENCE)
        self.collector.close()
        self.collector.environment = environment(learning, **more)
        self.collector.start()

    def check_that_only_the_fresh_is_told(self):
        self.send_until("they are seen again", lambda: self.keys() >= KNOWN_SUBJECTS, *KNOWN)
        self.send_until("the fresh one is told", self.told, *KNOWN, FRESH)
        self.assertEqual(self.told(), {("NEW_HOST", FRESH[0])})

    def test_a_stop_and_a_start(self):
        self.learn()
        self.restart("0s")
        self.assertEqual(self.told(), set())
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        self.assertIn("what was learnt before is known", self.collector.program.text())
        self.assertEqual(self.figure("netscope_learnt_subjects_read"), KNOWN_SUBJECTS)
        self.check_that_only_the_fresh_is_told()

    def test_a_kill(self):
        self.learn()
        saves = self.figure("netscope_learnt_saves_total")
        self.send_until("it is written", lambda: self.figure("netscope_learnt_saves_total") >= saves + 2, *KNOWN)
        self.restart("0s", signal.SIGKILL)
        self.check_that_only_the_fresh_is_told()

    def test_a_damaged_file_is_told_and_learning_begins_anew(self):
        self.learn()
        process = self.collector.program.process
        process.terminate()
        process.wait(timeout=60 * PATIENCE)
        os.truncate(self.file, os.path.getsize(self.file) // 2)
        self.restart("1h")
        self.assertIn("what was learnt before is not used: learning begins anew", self.collector.program.text())
        self.assertEqual(self.figure("netscope_learnt_refused_total"), 1)
        self.assertTrue(os.path.exists(f"{self.file}.refused"))
        self.learn()
        self.restart("0s")
        self.check_that_only_the_fresh_is_told()

    def test_without_the_setting_the_file_is_neither_read_nor_written(self):
        self.learn()
        off = {"NETSCOPE_COLLECTOR_ANALYSIS__KEEP_LEARNT": "false"}
        self.restart("1h", **off)
        before = os.stat(self.file).st_mtime_ns
        self.learn()
        self.assertNotIn("netscope_learnt_subjects_read", metrics(f"http://127.0.0.1:{self.collector.http}/metrics"))
        self.restart("1h", **off)
        self.assertEqual(os.stat(self.file).st_mtime_ns, before)


if __name__ == "__main__":
    main()
