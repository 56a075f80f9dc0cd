"""captures of netscopectl: started, followed, downloaded, stopped and deleted at a real collector with real sensors."""
import datetime
import json
import os
import re
import shutil
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import background, ctl, rows, shell
from place import READER, Place
from support.programs import main, wait_until

PCAPNG = b"\x0a\x0d\x0d\x0a"


class KeptCaptures(Place):
    collector_settings = "captures:\n  at_once: 4\n  answer_timeout: 4s\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(cls.path("sensor.yaml"), encoding="utf-8") as file:
            cls.write("second.yaml", file.read().replace("edge.sock", "second.sock")
                      + f"output:\n  write_pcap: {cls.path('ring.pcapng')}\n  write_pcap_keep: 10m\n  write_pcap_max_size: 64MiB\n")
        cls.second = cls.start_sensor("edge-2", "second.yaml")
        cls.addClassCleanup(cls.second.__exit__)
        wait_until("both", lambda: len(cls.collector.sensors()) == 2)

    def tearDown(self):
        for capture in rows(self.good("captures", *self.server, "-o", "jsonl")):
            self.good("captures", "delete", capture["capture_id"], *self.server)

    def start(self, *arguments):
        done = self.good("captures", "start", *self.server, *arguments)
        self.assertRegex(done.stdout, r"^\S+\n$")
        return done.stdout.strip()

    def look(self, capture):
        return json.loads(self.good("captures", "show", capture, *self.server, "-o", "json").stdout)

    def await_end(self, capture):
        return wait_until("its end", lambda: (lambda now: now if now["state"] != "CAPTURE_STATE_RUNNING" else None)(self.look(capture)))

    def packets(self, path):
        done = shell(f"tcpdump -nr {path} | wc -l")
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    @unittest.skipUnless(shutil.which("tcpdump"), "tcpdump is not installed")
    def test_a_capture_is_started_listed_downloaded_and_deleted(self):
        path = self.path("kept.pcapng")
        capture = self.start("--sensor", "edge-1", "--filter", "tcp port 80", "--max-packets", "25")
        self.await_end(capture)
        listed = rows(self.good("captures", *self.server, "-o", "jsonl"))
        self.assertEqual([(row["capture_id"], row["bpf"]) for row in listed], [(capture, "tcp port 80")])
        self.assertEqual(rows(self.good("captures", *self.server, "--sensor", "edge-2", "-o", "jsonl")), [])
        table = self.good("captures", *self.server).stdout
        self.assertRegex(table, rf"(?m)^{capture} +ended +edge-1 +\S+Z +\S+ +25 +full +tcp port 80 +max_packets$")
        shown = self.good("captures", "show", capture, *self.server).stdout
        self.assertRegex(shown, r"(?m)^filter +tcp port 80\nsensor +edge-1: ended, ")
        done = self.good("captures", "download", capture, *self.server, "-w", path)
        self.assertRegex(done.stderr, r"netscopectl: 25 packets, \S+iB to \S+kept\.pcapng; ended: max_packets")
        self.assertEqual(self.packets(path), 25)
        self.assertEqual(os.path.getsize(path), int(self.look(capture)["bytes"]))
        piped = shell(f"$CTL captures download {capture} {' '.join(self.server)} | tcpdump -nr - | wc -l")
        self.assertEqual((piped.returncode, piped.stdout.strip()), (0, "25"), piped.stderr)
        self.good("captures", "delete", capture, *self.server)
        self.assertIn(capture, self.refused(1, "NOT_FOUND", "captures", "show", capture, *self.server))
        before = os.path.getsize(path)
        self.refused(1, "NOT_FOUND", "captures", "download", capture, *self.server, "-w", path)
        self.assertEqual(os.path.getsize(path), before)

    @unittest.skipUnless(shutil.which("tcpdump"), "tcpdump is not installed")
    def test_several_sensors_come_into_one_file_that_is_followed(self):
        path = self.path("both.pcapng")
        done = self.good("captures", "start", "--sensor", "edge-*", "--filter", "udp", "--sensor-max-packets", "10", "--follow",
                         "-w", path, *self.server)
        self.assertRegex(done.stderr, r"netscopectl: capture \S+\nnetscopectl: 20 packets, ")
        self.assertEqual(self.packets(path), 20)
        with open(path, "rb") as file:
            content = file.read()
        self.assertTrue(b"edge-1:" in content and b"edge-2:" in content)
        capture = rows(self.good("captures", *self.server, "-o", "jsonl"))[0]
        self.assertEqual([row["packets"] for row in capture["sensors"]], ["10", "10"])
        again = shell(f"$CTL captures follow {capture['capture_id']} {' '.join(self.server)} | tcpdump -nr - | wc -l")
        self.assertEqual(again.stdout.strip(), "20", again.stderr)

    def test_a_flow_and_an_alert_are_captured_by_their_ids(self):
        alert = rows(self.good("alerts", *self.server, "--kind", "syn_flood", "-n", "1", "-o", "jsonl"))[0]["alert_id"]
        flow = rows(self.good("flows", *self.server, "--filter", "app = http AND sensor = edge-1", "-n", "1", "-o", "jsonl"))[0]["flow_id"]
        for flag, wanted in (("--alert", alert), ("--flow", flow)):
            capture = self.start(flag, wanted, "--duration", "2s")
            shown = self.look(capture)
            self.assertEqual(shown[flag[2:] + "_id"], wanted)
            self.assertTrue(shown["bpf"])
            self.assertIn(f"{flag[2:]} {wanted}", self.good("captures", "show", capture, *self.server).stdout)
            self.good("captures", "stop", capture, *self.server)
            self.assertEqual(self.await_end(capture)["state"], "CAPTURE_STATE_ENDED")

    @unittest.skipUnless(shutil.which("tcpdump"), "tcpdump is not installed")
    def test_packets_of_a_time_are_those_that_the_sensor_has_kept(self):
        path = self.path("time.pcapng")
        begin = time.time()
        time.sleep(2)
        end = time.time()
        stamp = lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()
        self.good("captures", "start", "--sensor", "edge-2", "--since", stamp(begin), "--until", stamp(end), "--follow", "-w", path, *self.server)
        times = [float(line.split()[0]) for line in shell(f"tcpdump -tt -nr {path}").stdout.splitlines()]
        self.assertGreater(len(times), 10)
        self.assertTrue(all(begin <= each < end for each in times), (begin, end, times[0], times[-1]))
        self.refused(1, "FAILED_PRECONDITION.*edge-1", "captures", "start", "--sensor", "edge-1", "--since", "1m", *self.server)
        self.refused(2, "--until is not after --since", "captures", "start", "--sensor", "edge-1", "--since", "1m", "--until", "2m", *self.server)

    def test_an_interrupt_leaves_the_capture_and_stop_ends_it(self):
        path = self.path("interrupted.pcapng")
        client = background("captures", "start", "--sensor", "edge-1", "--follow", "-w", path, *self.server)
        self.addCleanup(client.__exit__)
        wait_until("packets", lambda: os.path.exists(path) and os.path.getsize(path) > 5000)
        self.assertEqual(client.stop(signal.SIGINT), 0, client.text())
        capture = re.search(r"netscopectl captures stop (\S+)", client.text()).group(1)
        with open(path, "rb") as file:
            self.assertEqual(file.read(4), PCAPNG)
        self.assertEqual(self.look(capture)["state"], "CAPTURE_STATE_RUNNING")
        part = self.good("captures", "download", capture, *self.server, "-w", path)
        self.assertIn("the capture goes on", part.stderr)
        self.good("captures", "stop", capture, *self.server)
        over = self.await_end(capture)
        self.assertEqual((over["state"], over["summary"]["reason"]), ("CAPTURE_STATE_ENDED", "cancelled"))
        gone = shell(f"$CTL captures follow {capture} {' '.join(self.server)} | head -c 100 | wc -c")
        self.assertEqual((gone.returncode, gone.stdout.strip()), (0, "100"), gone.stderr)

    def test_what_cannot_be_captured_is_refused_plainly(self):
        reader = ("-s", f"127.0.0.1:{self.collector.ingest}", "--token-file", self.write("reader", READER + "\n"))
        start = ("captures", "start", *self.server)
        for status, words, arguments in (
                (2, "who captures", start),
                (2, "exclude each other", (*start, "--flow", "1", "--filter", "udp")),
                (2, "goes with --follow", (*start, "--sensor", "edge-1", "-w", "x")),
                (1, "NOT_FOUND.*gone-1", (*start, "--sensor", "gone-1")),
                (2, "syntax error", (*start, "--sensor", "edge-1", "--filter", "tcp prot 80")),
                (2, "ID: it is missing", ("captures", "download", *self.server)),
                (2, "did you mean captures stop", ("captures", "stpo", *self.server)),
                (4, "refuses: .*'packets'", ("captures", *reader)),
                (4, "refuses: .*'packets'", ("captures", "start", "--sensor", "edge-1", *reader)),
                (1, "is a sensor", ("captures", *self.sensor_flags))):
            with self.subTest(arguments):
                self.refused(status, words, *arguments)
        self.refused(2, "/nowhere: No such file", "captures", "download", "x", *self.server, "-w", "/nowhere/x")


if __name__ == "__main__":
    main()
