"""What a live sensor has learnt outlasts it: after a stop, a kill and another run, what was there is known and only the
rest is told. The first run learns for an hour; the next one for no time at all, so that whatever it does not know is news
at once.

Root only (77 else). One namespace with this process' id in its name; what was started is ended by id.
"""
import os
import re
import signal
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.netns import command, inside, send_frames, wire_for
from support.programs import (ACK, FIN, PSH, SENSOR, SYN, Program, free_port, json_lines, main, sensor, tcp, wait_until,
                              write_pcap)

PREFIX = f"nslearnt{os.getpid()}"
INSIDE = inside(PREFIX)
KNOWN = [("10.0.0.5", "10.0.0.9", 22), ("10.0.0.6", "10.0.0.9", 443)]
FRESH = ("10.0.0.77", "10.0.0.9", 22)


def connection(client, server, port, at, client_port):
    """A whole one, from its SYN to both FIN."""
    c, s = (client, client_port, server, port), (server, port, client, client_port)
    steps = [(c, SYN, 1, 0, b""), (s, SYN | ACK, 1, 2, b""), (c, ACK, 2, 2, b""), (c, PSH | ACK, 2, 2, b"hello"),
             (s, PSH | ACK, 2, 7, b"world"), (c, FIN | ACK, 7, 7, b""), (s, FIN | ACK, 7, 8, b""), (c, ACK, 8, 8, b"")]
    return [(at + i * 0.002, tcp(*ends, flags, seq, ack, data)) for i, (ends, flags, seq, ack, data) in enumerate(steps)]


class Learnt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        wire_for(cls, PREFIX)
        cls.ports = 20000

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.runs = 0

    def start(self, learning, **more):
        """A sensor; `learning`: how long its detectors learn."""
        self.runs += 1
        self.alerts = f"{self.folder}/alerts-{self.runs}.jsonl"
        self.port = free_port()
        environment = {"NETSCOPE_SENSOR__STATE_DIRECTORY": self.folder, "NETSCOPE_CAPTURE__DIRECTION": "in",
                       "NETSCOPE_CAPTURE__BUFFER_SIZE": "4MiB", "NETSCOPE_ANALYSIS__ANOMALIES__WARM_UP": "0s",
                       "NETSCOPE_ANALYSIS__LEARNT_INTERVAL": "1s", "NETSCOPE_LOG__LEVEL": "info",
                       "NETSCOPE_HTTP__PORT": str(self.port)}
        for name in ("NEW_HOST", "LATERAL_MOVEMENT"):
            environment[f"NETSCOPE_ANALYSIS__ANOMALIES__{name}__MODE"] = "alert"
            environment[f"NETSCOPE_ANALYSIS__ANOMALIES__{name}__LEARNING"] = learning
        program = Program(SENSOR, "-i", "cap0", "--quiet", "--sensor-id", "one", "--shards", 2, "--alerts-jsonl", self.alerts,
                          "--grpc-listen", "127.0.0.1:0", prefix=INSIDE,
                          awaited=True, environment={**environment, **more})
        self.addCleanup(program.__exit__)
        return program

    def send(self, *connections):
        frames = []
        for i, ends in enumerate(connections):
            type(self).ports += 1
            frames += connection(*ends, 0.01 + i * 0.05, self.ports)
        send_frames(PREFIX, frames)

    def metrics(self):
        """Of the sensor in its namespace."""
        page = command(*INSIDE, "/usr/bin/python3", "-c",
                       f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{self.port}/metrics').read().decode())")
        return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", page, re.MULTILINE) if name[0] != "#"}

    def told(self):
        """(kind, whose) of what was opened."""
        rows = json_lines(self.alerts, is_growing=True) if os.path.exists(self.alerts) else []
        return sorted((row["detail"], (row["attackers"] or row["victims"])[0]) for row in rows if row["state"] == "open")

    def keys(self):
        values = self.metrics()
        return values.get('netscope_detector_tracked_keys{detector="new_host"}', 0)

    def learn(self):
        """Until all of KNOWN is decided: two clients, and two services."""
        program = self.start("1h")
        self.send(*KNOWN)
        wait_until("the detector has seen them", lambda: self.keys() == 4)
        return program

    def check_that_only_the_fresh_is_told(self, program):
        self.send(*KNOWN)
        wait_until("they are seen again", lambda: self.keys() >= 4)
        self.send(*KNOWN, FRESH)
        fresh = [("lateral_movement", FRESH[0]), ("new_host", FRESH[0])]
        wait_until("the fresh one is told", lambda: set(fresh) <= set(self.told()))
        self.assertEqual(program.stop(), 0, program.text()[-2000:])
        self.assertEqual(self.told(), fresh)

    def test_a_stop_and_a_start(self):
        self.assertEqual(self.learn().stop(), 0)
        self.assertEqual(self.told(), [])
        self.assertEqual(os.stat(f"{self.folder}/learnt").st_mode & 0o777, 0o600)
        program = self.start("0s")
        self.assertIn("what was learnt before is known", program.text())
        self.assertEqual(self.metrics()["netscope_learnt_subjects_read"], 4)
        self.check_that_only_the_fresh_is_told(program)
        program = self.start("0s")  # what was told is known, too
        self.send(FRESH)
        wait_until("it is seen", lambda: self.keys() >= 5)
        self.assertEqual(program.stop(), 0)
        self.assertEqual(self.told(), [])

    def test_a_kill(self):
        program = self.learn()
        saves = self.metrics()["netscope_learnt_saves_total"]
        wait_until("it is written", lambda: self.metrics()["netscope_learnt_saves_total"] >= saves + 2)
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
        self.check_that_only_the_fresh_is_told(self.start("0s"))

    def test_a_damaged_file_is_set_aside_and_the_sensor_goes_on(self):
        self.assertEqual(self.learn().stop(), 0)
        with open(f"{self.folder}/learnt", "r+b") as file:
            file.truncate(os.path.getsize(file.name) // 2)
        program = self.start("1h")
        self.assertIn("what was learnt before is not used: learning begins anew", program.text())
        self.assertEqual(self.metrics()["netscope_learnt_refused_total"], 1)
        self.assertTrue(os.path.exists(f"{self.folder}/learnt.refused"))
        self.send(*KNOWN)
        wait_until("it learns again", lambda: self.keys() == 4)
        self.assertEqual(program.stop(), 0)
        self.check_that_only_the_fresh_is_told(self.start("0s"))

    def test_without_the_setting_all_is_news(self):
        off = {"NETSCOPE_ANALYSIS__KEEP_LEARNT": "false"}
        self.assertEqual(self.learn().stop(), 0)
        before = os.stat(f"{self.folder}/learnt").st_mtime_ns
        program = self.start("0s", **off)
        self.send(*KNOWN)
        wait_until("all is told", lambda: len(self.told()) == 5)
        self.assertEqual(program.stop(), 0)
        self.assertEqual(os.stat(f"{self.folder}/learnt").st_mtime_ns, before)

    def test_a_file_of_packets_gives_the_same_on_every_run(self):
        self.assertEqual(self.learn().stop(), 0)
        frames = connection(*KNOWN[0], 0, 1000) + connection(*FRESH, 7200, 1001)
        path = write_pcap(f"{self.folder}/trace.pcap", frames)
        answers = []
        for directory in (self.folder, f"{self.folder}", None):
            environment = {"NETSCOPE_ANALYSIS__ANOMALIES__NEW_HOST__MODE": "alert",
                           "NETSCOPE_ANALYSIS__ANOMALIES__NEW_HOST__LEARNING": "1h"}
            if directory:
                environment["NETSCOPE_SENSOR__STATE_DIRECTORY"] = directory
            done = sensor("--read-pcap", path, "--quiet", "--sensor-id", "one", "--alerts-jsonl", "-", environment=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            answers.append([(row["detail"], row["description"]) for row in json_lines(done.stdout)])
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0], answers[2])
        self.assertTrue(answers[0])


if __name__ == "__main__":
    main()
