"""netscopectl observe: the same records from a sensor, from a collector and from a file, by the same filter."""
import json
import os
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import background, ctl, key, rows, shell
from end_to_end.fleet import Collector
from support.programs import (CORPUS, ACK, PSH, SENSOR, SYN, Program, json_lines, main, make_traffic, run, tcp, wait_until, write_pcap)
from support.service import Service, capture

CAPTURES = ("app--mixed-26flows.pcap", "dns--464pkts-219flows.pcap", "anomaly--webattack-797conns.pcap")

FILTERS = ("", "app = dns", "ip_protocol = tcp AND tcp.retransmits > 0", "server.port = 80 OR server.port = 443",
           "NOT protocol = udp", "tcp.state = established", "bytes > 1KiB", "event = end", "example")


def captures(folder):
    found = [os.path.join(CORPUS, name) for name in CAPTURES]
    if all(os.path.exists(path) for path in found):
        return found
    return [make_traffic(folder, "mix", packets=4000, flows=200)[0], write_pcap(os.path.join(folder, "own.pcap"), capture())]


def is_filter(text):
    return ctl("observe", "--print-filter", "--filter", text).returncode == 0


class Observe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="netscope-ctl-")
        cls.folder = cls.directory.name

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_a_collector_and_the_file_of_the_sensor_give_the_same_rows(self):
        collector = Collector(self.folder)
        self.addCleanup(collector.close)
        server = f"127.0.0.1:{collector.ingest}"
        files = []
        for number, pcap in enumerate(captures(self.folder)):
            files.append(self.path(f"flows-{number}.jsonl"))
            done = run(SENSOR, "--read-pcap", pcap, "--quiet", "--sensor-id", f"edge-{number}", "--flows-jsonl", files[-1],
                       "--collector", server)
            self.assertEqual(done.returncode, 0, done.stderr)
        written = [record for path in files for record in json_lines(path)]
        self.assertGreater(len(written), 100)

        def shown():
            done = ctl("observe", "-s", server, "--all", "-o", "jsonl")
            self.assertEqual(done.returncode, 0, done.stderr)
            return rows(done)

        wait_until("all records", lambda: len(shown()) == len(written))
        self.assertEqual({key(record) for record in shown()}, {key(record) for record in written})
        all_files = self.path("all.jsonl")
        with open(all_files, "w", encoding="utf-8") as out:
            for path in files:
                with open(path, encoding="utf-8") as lines:
                    out.write(lines.read())
        asked = [text for text in FILTERS if is_filter(text)]
        self.assertGreaterEqual(len(asked), 7)
        for text in asked:
            there = ctl("observe", "-s", server, "--all", "--filter", text, "-o", "jsonl")
            here = ctl("observe", "--input-file", all_files, "--filter", text, "-o", "jsonl")
            self.assertEqual((there.returncode, here.returncode), (0, 0), text)
            self.assertEqual(sorted(map(key, rows(there))), sorted(map(key, rows(here))), text)
        # Of which sensors, and in which time.
        there = ctl("observe", "-s", server, "--all", "--sensor", "edge-1,none-*", "-o", "jsonl")
        here = ctl("observe", "--input-file", all_files, "--sensor", "edge-1,none-*", "-o", "jsonl")
        self.assertEqual({row["sensor_id"] for row in rows(there)}, {"edge-1"})
        self.assertEqual(sorted(map(key, rows(there))), sorted(map(key, rows(here))))
        middle = sorted(record["end_time"] for record in written)[len(written) // 2]
        for flag in ("--since", "--until"):
            there = ctl("observe", "-s", server, flag, middle, "-o", "jsonl")
            here = ctl("observe", "--input-file", all_files, flag, middle, "-o", "jsonl")
            self.assertEqual(there.returncode, 0, there.stderr)
            self.assertGreater(len(rows(there)), 0)
            self.assertEqual(sorted(map(key, rows(there))), sorted(map(key, rows(here))), flag)
        # The last ones, and the twenty that are the default.
        self.assertEqual(len(rows(ctl("observe", "-s", server, "--last", "7", "-o", "jsonl"))), 7)
        self.assertEqual(len(ctl("observe", "-s", server).stdout.splitlines()), 20)
        self.assertEqual(len(rows(ctl("observe", "-s", server, "--first", "3", "-o", "jsonl"))), 3)
        last = rows(ctl("observe", "--input-file", all_files, "--last", "3", "-o", "jsonl"))
        self.assertEqual(list(map(key, last)), list(map(key, written))[-3:])
        # One list of JSON.
        one = ctl("observe", "-s", server, "--all", "-o", "json")
        self.assertEqual(len(json.loads(one.stdout)), len(written))
        # A reader that goes is no error; one that stays gets all.
        some = shell(f"$CTL observe -s {server} --all | head -2")
        self.assertEqual((some.returncode, len(some.stdout.splitlines()), some.stderr), (0, 2, ""))
        some = shell(f"$CTL observe --input-file - -o table < {all_files} | head -3")
        self.assertEqual((some.returncode, len(some.stdout.splitlines()), some.stderr), (0, 3, ""))
        self.assertTrue(some.stdout.startswith("TIME "))
        piped = shell(f"cat {all_files} | $CTL observe --input-file - | wc -l")
        self.assertEqual(int(piped.stdout), len(written))

    def test_following_a_sensor_gives_what_it_writes_until_it_ends(self):
        written = self.path("live.jsonl")
        socket = self.path("live.sock")
        config = self.path("live.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  enabled: on\n  listen: 127.0.0.1:0\n  unix_socket: {socket}\nhttp:\n  enabled: off\n")
        pcap = write_pcap(self.path("live.pcap"), capture())
        sensor = Program(SENSOR, "--config", config, "--read-pcap", pcap, "--pace", "--quiet", "--sensor-id", "live",
                         "--flows-jsonl", written, awaited=True)
        self.addCleanup(sensor.__exit__)
        done = ctl("observe", "-s", f"unix:{socket}", "--all", "--follow", "-o", "jsonl")
        self.assertEqual(sensor.stop(), 0)
        wanted = json_lines(written)
        self.assertGreater(len(wanted), 600)
        self.assertEqual(list(map(key, rows(done))), list(map(key, wanted)), done.stderr)
        self.assertEqual(rows(done), wanted)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"netscopectl: 650 flow records of unix:\S+\nnetscopectl: unix:\S+ broke off: server shutting down\n$")

    def test_an_interrupt_ends_it_with_a_summary(self):
        with Service() as sensor:
            client = background("observe", "-s", f"unix:{sensor.socket}", "--follow", "-o", "json")
            self.addCleanup(client.__exit__)
            wait_until("records", lambda: client.text().count("\n") > 5)
            self.assertEqual(client.stop(signal.SIGINT), 0)
            text = client.text()
            self.assertRegex(text, r"netscopectl: \d+ flow records of unix:\S+, stopped by a signal\n")
            listed = "\n".join(line for line in text.splitlines() if not line.startswith("netscopectl: "))
            self.assertGreater(len(json.loads(listed)), 0)

    def test_names_from_the_wire_do_not_reach_the_terminal(self):
        client, server = "10.0.0.1", "192.0.2.80"
        request = b"GET / HTTP/1.1\r\nHost: \x1b]0;owned\x07\x1b[31mevil\r\n\r\n"
        frames = [(0, tcp(client, 40000, server, 80, SYN, 1)), (0.01, tcp(server, 80, client, 40000, SYN | ACK, 1, 2)),
                  (0.02, tcp(client, 40000, server, 80, ACK | PSH, 2, 2, request))]
        written = self.path("hostile.jsonl")
        run(SENSOR, "--read-pcap", write_pcap(self.path("hostile.pcap"), frames), "--quiet", "--flows-jsonl", written)
        records = json_lines(written)
        for record in records:  # and were the sensor to let it through
            record["server"]["name"] = "\x1b]0;owned\x07\x1b[31mevil\u202e"
        forged = self.path("forged.jsonl")
        with open(forged, "w", encoding="utf-8") as out:
            for record in records:
                out.write(json.dumps(record) + "\n")
        for path in (written, forged):
            for form in ("compact", "table", "wide", "jsonl", "json"):
                done = ctl("observe", "--input-file", path, "-o", form)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertGreater(len(done.stdout), 0)
                self.assertNotRegex(done.stdout, "[\x00-\x09\x0b-\x1f\x7f\u202e]", form)
        self.assertIn(r"\x1b]0;owned\x07\x1b[31mevil\u{202e}", ctl("observe", "--input-file", forged).stdout)
        coloured = ctl("observe", "--input-file", forged, "--color", "always").stdout
        self.assertIn("\x1b[36m\\x1b]0;owned", coloured)
        for environment, flags in (({"NO_COLOR": "1"}, ()), ({}, ()), ({}, ("--color", "never"))):
            self.assertNotIn("\x1b", ctl("observe", "--input-file", forged, *flags, environment=environment).stdout)

    def test_lines_that_are_no_records_are_told(self):
        path = self.path("mixed.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.write('{"flow_id":"0000000000000001","event":"FLOW_EVENT_END"}\n\nnonsense\n{"colour":"red"}\n')
        done = ctl("observe", "--input-file", path, "-o", "jsonl")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(rows(done)), 1)
        self.assertRegex(done.stderr, r"2 lines are no flow records \(the first: line 3: ")
        done = ctl("observe", "--input-file", self.path("not-there"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file", done.stderr)

    def test_what_is_wrong_is_said_and_told_by_the_status(self):
        done = ctl("observe", "--filter", "server.port = http")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"netscopectl: server.port = http\n +\^\nnetscopectl: --filter: column 15")
        done = ctl("observe", "-s", "127.0.0.1:1", "--timeout", "5s")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, "127.0.0.1:1 cannot be asked: nothing listens there .*; netscopectl doctor --server 127.0.0.1:1")
        done = ctl("observe", "-s", f"unix:{self.path('no.sock')}")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(ctl("observe", "-s", "nowhere").returncode, 2)
        full = shell("$CTL --help > /dev/full; $CTL observe --print-filter --filter 'app = dns' > /dev/full")
        self.assertEqual(full.returncode, 1)
        self.assertIn("No space left on device", full.stderr)


if __name__ == "__main__":
    main()
