"""alerts, top, sensors, stats, ledger and capture of netscopectl: what they show is what REST and the sensor say."""
import csv
import io
import json
import os
import pty
import re
import shutil
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import CTL, background, ctl, rows, shell
from place import READER, Place
from support.programs import PATIENCE, clean_environment, main, wait_until


class Commands(Place):
    # ---- alerts ----

    def test_alerts_are_those_of_rest(self):
        wanted = {alert["alert_id"] for alert in self.collector.fetch("/v1/alerts")["alerts"]}
        shown = {alert["alert_id"] for alert in rows(self.good("alerts", *self.server, "--all", "-o", "jsonl"))}
        self.assertLessEqual(wanted, shown)
        line = self.good("alerts", *self.server, "--kind", "syn_flood", "--subject", "10.0.0.99").stdout.splitlines()[0]
        self.assertRegex(line, r"^\S+Z (open|update|close) +\w+ +syn_flood 198\.51\.100\.\d+, .* and \d+ more -> 10\.0\.0\.99: .* @edge-1 \S+$")
        self.assertEqual(self.good("alerts", *self.server, "--kind", "dga", "-o", "json").stdout, "[]\n")
        self.assertEqual(self.good("alerts", *self.server, "--subject", "203.0.113.0/24").stdout, "")
        self.assertTrue(self.good("alerts", *self.sensor_flags, "--severity", "low").stdout)
        for flags, words in ((("--kind", "nonsense"), "--kind nonsense"), (("--since", "5m"), "--follow")):
            done = ctl("alerts", *self.server, *flags)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)

    def test_alerts_are_followed(self):
        text = self.until_interrupted(r"syn_flood", "alerts", *self.server, "--follow")
        self.assertRegex(text, r"netscopectl: \d+ alerts of ")

    # ---- top ----

    def test_top_adds_up_what_the_history_has(self):
        asked = ("--by", "client,application", "--since", "1h", "-n", "1000")
        table = wait_until("sums", lambda: (lambda text: text if "http" in text else "")(self.good("top", *self.server, *asked).stdout))
        self.assertRegex(table, r"^CLIENT +APPLICATION +BYTES +SHARE +UP +DOWN +PACKETS +NEW FLOWS\n")
        self.assertRegex(table, r"(?m)^10\.0\.0\.1 +http +\d")
        # Rows of one server add up to all.
        one = rows(self.good("top", *self.server, "--by", "sensor", "-o", "jsonl", "--filter", "server.port = 80"))
        self.assertEqual([row["key"] for row in one], [["edge-1"]])
        done = ctl("top", *self.server, "--filter", "nonsense = 1")
        self.assertEqual(done.returncode, 2)
        self.assertIn("^\n", done.stderr)
        self.assertEqual(ctl("top", *self.server, "--by", "nonsense").returncode, 2)

    def test_a_sensor_ranks_what_it_holds_and_says_so(self):
        done = self.good("top", *self.sensor_flags, "--by", "client")
        self.assertRegex(done.stdout, r"^CLIENT +BYTES +SHARE +PACKETS +FLOWS\n10\.0\.0\.\d ")
        self.assertIn("is a sensor: it adds up the flows that it holds", done.stderr)
        done = ctl("top", *self.sensor_flags, "--by", "server_label")
        self.assertEqual(done.returncode, 2)
        self.assertIn("a collector knows more", done.stderr)

    # ---- sensors, stats, ledger ----

    def test_sensors_are_those_of_the_fleet(self):
        table = self.good("sensors", *self.server).stdout
        self.assertRegex(table, r"(?m)^SENSOR +STATE +SEEN .*\nedge-1 +live +")
        header, row = table.splitlines()
        self.assertLess(max(len(header), len(row)), 130)  # as wide as what is in it
        listed = rows(self.good("sensors", *self.server, "-o", "jsonl"))
        self.assertEqual([row["sensor_id"] for row in listed], ["edge-1"])
        self.assertEqual(self.good("sensors", *self.server, "--state", "offline", "-o", "jsonl").stdout, "")
        self.assertEqual(rows(self.good("sensors", *self.server, "--sensor", "edge-*,x", "-o", "jsonl"))[0]["sensor_id"], "edge-1")
        done = ctl("sensors", *self.sensor_flags)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is a sensor: sensors are asked of a collector", done.stderr)

    def test_statistics_once_and_each_second(self):
        for server in (self.server, self.sensor_flags):
            wait_until("a second", lambda: "edge-1" in self.good("stats", *server).stdout)
            self.assertEqual(rows(self.good("stats", *server, "-o", "jsonl"))[0]["sensor_id"], "edge-1")
            text = self.until_interrupted(r"(?s)edge-1.*edge-1", "stats", *server, "--follow")
            self.assertRegex(text, r"^TIME +SENSOR +PACKETS/S ")

    def test_the_ledger_adds_up(self):
        for server in (self.server, self.sensor_flags):
            wait_until("a ledger", lambda: "capture" in self.good("ledger", *server).stdout)
            table = self.good("ledger", *server).stdout
            self.assertRegex(table, r"(?m)^edge-1\nSTAGE +UNIT +IN +OUT +HELD +LOST +WHY\ncapture +packets +\d+ ")
            ledger = json.loads(self.good("ledger", *server, "-o", "json").stdout)
            self.assertEqual([one["sensor_id"] for one in ledger if "sensor_id" in one], ["edge-1"])
            for row in (row for one in ledger for row in one["rows"]):
                lost = sum(int(each["count"]) for each in row.get("lost", []))
                self.assertEqual(int(row["in"]), int(row["out"]) + lost + int(row["held"]), row)
        # A collector's own stages come first, unless some sensors alone are asked for.
        own = self.server[self.server.index("-s") + 1]
        self.assertRegex(self.good("ledger", *self.server).stdout, rf"^{re.escape(own)}\nSTAGE .*\ningest +records +\d+ .*\nstore +records +\d+ .*\nfeed ")
        first = json.loads(self.good("ledger", *self.server, "-o", "json").stdout)[0]
        self.assertEqual((first["collector"], [row["stage"] for row in first["rows"]][:3]),
                         (own, ["LEDGER_STAGE_INGEST", "LEDGER_STAGE_STORE", "LEDGER_STAGE_FEED"]))
        self.assertGreater(int(first["rows"][0]["in"]), 0)
        chosen = json.loads(self.good("ledger", *self.server, "--sensor", "edge-*", "-o", "json").stdout)
        self.assertEqual([one.get("sensor_id") for one in chosen], ["edge-1"])
        self.good("ledger", *self.sensor_flags, "--since", "10s")
        self.assertEqual(ctl("ledger", *self.server, "--since", "10s").returncode, 2)

    # ---- CSV ----

    def lines(self, *arguments):
        return list(csv.DictReader(io.StringIO(self.good(*arguments, "-o", "csv").stdout, newline="")))

    def test_csv_has_what_json_has(self):
        state = {row["alert_id"]: row for row in rows(self.good("alerts", *self.server, "--all", "-o", "jsonl"))}
        listed = self.lines("alerts", *self.server, "--all")
        self.assertGreaterEqual(len(listed), 1)
        for line in listed:
            alert = state.get(line["alert_id"])
            if alert is not None:
                self.assertEqual((line["kind_name"], line["first_time"]), (alert["kind_name"], alert["first_time"]))
                self.assertEqual(line["victims.ip"].split(), [end["ip"] for end in alert["victims"]])
        self.assertEqual(self.good("alerts", *self.server, "--kind", "dga", "-o", "csv").stdout.count("\n"), 1)  # the names alone
        one, = self.lines("sensors", *self.server)
        self.assertEqual((one["sensor_id"], one["state"]), ("edge-1", "SENSOR_STATE_LIVE"))
        self.assertGreater(int(one["records_received"]), 0)
        for server in (self.server, self.sensor_flags):
            self.assertEqual([line["sensor_id"] for line in self.lines("stats", *server)], ["edge-1"])
            flows = self.lines("observe", *server, "--first", "5", "--columns", "end_time,client.ip,forward.delta_bytes")
            shown = rows(self.good("observe", *server, "--first", "5", "-o", "jsonl"))
            self.assertEqual(set(flows[0]), {"end_time", "client.ip", "forward.delta_bytes"})
            self.assertTrue(all(line["client.ip"].count(".") == 3 or ":" in line["client.ip"] for line in flows))
            self.assertEqual((len(flows), len(shown)), (5, 5))

    def test_csv_of_a_file_is_that_of_the_server(self):
        records = self.good("observe", *self.server, "--first", "20", "-o", "jsonl").stdout
        path = self.write("flows.jsonl", records)
        wanted = [(row["flow_id"], row["record_seq"], row["client"]["ip"]) for row in map(json.loads, records.splitlines())]
        for choice in ((), ("--last", "20")):
            found = list(csv.DictReader(io.StringIO(self.good(
                "observe", "--input-file", path, *choice, "-o", "csv", "--columns", "flow_id,record_seq,client.ip").stdout, newline="")))
            self.assertEqual([(line["flow_id"], line["record_seq"], line["client.ip"]) for line in found], wanted)

    # ---- capture ----

    def packets(self, path):
        """Packets that tcpdump finds; it says so when the file is cut."""
        done = shell(f"tcpdump -nr {path} | wc -l")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("truncated", done.stderr)
        return int(done.stdout)

    @unittest.skipUnless(shutil.which("tcpdump"), "tcpdump is not installed")
    def test_packets_come_as_a_file_that_others_read(self):
        path = self.path("edge.pcapng")
        for flags in ((*self.server, "--sensor", "edge-1"), self.sensor_flags):
            done = self.good("capture", *flags, "--filter", "tcp port 80", "--max-packets", "30", "-w", path)
            self.assertRegex(done.stderr, r"netscopectl: 30 packets, \S+iB to \S+; ended by max_packets")
            self.assertEqual(self.packets(path), 30)
            piped = shell(f"$CTL capture {' '.join(flags)} -c 20 --filter udp | tcpdump -nr - | grep -c ' IP 10.0.0.1.'")
            self.assertEqual((piped.returncode, piped.stdout.strip()), (0, "20"), piped.stderr)
        # A reader that goes ends it, without a word.
        gone = shell(f"$CTL capture {' '.join(self.sensor_flags)} | head -c 100 | wc -c")
        self.assertEqual((gone.returncode, gone.stdout.strip()), (0, "100"), gone.stderr)

    @unittest.skipUnless(shutil.which("tcpdump"), "tcpdump is not installed")
    def test_an_interrupt_leaves_a_whole_file(self):
        path = self.path("interrupted.pcapng")
        client = background("capture", *self.sensor_flags, "-w", path)
        self.addCleanup(client.__exit__)
        wait_until("packets", lambda: os.path.exists(path) and os.path.getsize(path) > 5000)
        self.assertEqual(client.stop(signal.SIGINT), 0)
        self.assertRegex(client.text(), r"netscopectl: \S+iB to \S+interrupted.pcapng, stopped by a signal")
        self.assertGreater(self.packets(path), 10)

    def test_what_may_not_be_captured_is_refused(self):
        path = self.write("older.pcapng", "an older file")
        reader = self.write("reader", READER + "\n")
        server = f"127.0.0.1:{self.collector.ingest}"
        refusals = (((), 4, "refuses"), (("--token-file", reader), 4, "refuses"),
                    (("--token-file", self.token), 2, "sensor"),
                    (("--token-file", self.token, "--sensor", "edge-1", "--filter", "tcp prot 80"), 2, "syntax error"))
        for flags, status, words in refusals:
            done = ctl("capture", "-s", server, *flags, "-w", path, "--duration", "1s")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(words, done.stderr)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "an older file")
        done = ctl("capture", *self.sensor_flags, "-c", "1", "-w", "/nowhere/x")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nowhere/x: /nowhere: No such file", done.stderr)

    # ---- the terminal ----

    def terminal(self, *arguments, environment=None):
        """What a terminal would get on standard output, and the status."""
        keeper, end = pty.openpty()
        import subprocess
        process = subprocess.Popen([CTL, *arguments], stdin=subprocess.DEVNULL, stdout=end, stderr=subprocess.PIPE,
                                   env=clean_environment({"HOME": "/nonexistent", "TERM": "xterm", **(environment or {})}))
        os.close(end)
        shown = b""
        while True:
            try:
                piece = os.read(keeper, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        errors = process.communicate(timeout=30 * PATIENCE)[1]
        os.close(keeper)
        return shown.decode(), errors.decode(), process.returncode

    def test_a_terminal_gets_colour_and_no_packets(self):
        self.assertIn("\x1b[32m", self.terminal("sensors", *self.server)[0])
        self.assertNotIn("\x1b", self.terminal("sensors", *self.server, environment={"NO_COLOR": "1"})[0])
        self.assertNotIn("\x1b", self.terminal("sensors", *self.server, environment={"TERM": "dumb"})[0])
        shown, errors, status = self.terminal("capture", *self.sensor_flags)
        self.assertEqual((shown, status), ("", 2))
        self.assertIn("wireshark -k -i -", errors)


if __name__ == "__main__":
    main()
