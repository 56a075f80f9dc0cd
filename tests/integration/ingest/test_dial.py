#!/usr/bin/env python3
"""Sensors that the collector dials: every record once, or told as lost, whoever is killed in between."""
import errno
import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end")]

from fleet import Collector, in_store
from support.programs import (COLLECTOR, PATIENCE, ROOT, SENSOR, START, SYN, Program, ethernet, free_port, metrics, run, tcp, udp,
                              wait_until, write_pcap)

METRIC = "netscope_collector_dial_"
INSIDE = "NETSCOPE_TEST_MOUNTS"  # set in a mount namespace of our own
SENSOR_YAML = """
flow: {idle_timeout: 1s}
grpc:
  history_records: %d
"""


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def conversation(number):
    """Of one packet: one record, when it has been idle."""
    return udp(f"10.0.{number // 250 % 250}.{number % 250 + 1}", 1024 + number % 60000, "192.0.2.80", 9000, b"x")


def flood(count):
    return [tcp(f"198.51.100.{i % 200 + 1}", 1024 + i, "10.0.0.99", 443, SYN, 1) for i in range(count)]


class Tap:
    """A sensor that reads what the test writes, as it comes; its records are in a file as well."""

    def __init__(self, folder, name="tap", history=65536, port=None, more="", arguments=()):
        self.folder = os.path.join(folder, f"{name}-{time.monotonic_ns()}")
        os.makedirs(self.folder)
        self.pipe, self.port = self.path("pipe"), port or free_port()
        os.mkfifo(self.pipe)
        config = write(self.path("sensor.yaml"), SENSOR_YAML % history + more)
        self.program = Program(SENSOR, "--config", config, "--read-pcap", self.pipe, "--pace", "--quiet", "--sensor-id", name,
                               "--flows-jsonl", self.path("flows"), "--grpc-listen", f"127.0.0.1:{self.port}", *arguments,
                               environment={"NETSCOPE_HTTP__PORT": "0", "NETSCOPE_ANALYSIS__ALERTS_JSONL": self.path("alerts")})
        self.out = os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK)  # to read as well: the sensor may open it twice
        self.began, self.flows, self.is_open = time.monotonic(), 0, True
        with open(write_pcap(self.path("header"), []), "rb") as file:
            self.write(file.read())

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, data):
        while data:
            self.fail_if_over()
            try:
                data = data[os.write(self.out, data):]
            except BlockingIOError:
                time.sleep(0.01)

    def send(self, frames):
        """All of the same time, a moment ago, so that the sensor does not wait for it to come."""
        microseconds, data = round((START + max(0, time.monotonic() - self.began - 1)) * 1_000_000), b""
        for frame in frames:
            data += struct.pack("<IIII", microseconds // 1_000_000, microseconds % 1_000_000, len(frame), len(frame)) + frame
        self.write(data)

    def tick(self):
        """Frames of no flow, as many as readers gather before they hand on: time goes on. True."""
        self.send([ethernet(b"", 0x88CC)] * 64)
        return True

    def talk(self, count):
        """So many flows; returns when the sensor has written their records."""
        begin = self.flows
        self.flows += count
        self.send([conversation(number) for number in range(begin, self.flows)])
        wait_until("records of the sensor", lambda: self.tick() and len(self.records()) >= self.flows, 60)

    def fail_if_over(self):
        if not self.program.is_running():
            raise AssertionError(self.program.text())

    def lines(self, name):
        """Of a file that it writes, as far as they are whole."""
        if not os.path.exists(self.path(name)):
            return []
        with open(self.path(name), encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("}\n")]

    def records(self):
        return {(line["boot_id"], int(line["record_seq"])): line for line in self.lines("flows")}

    def is_serving(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.program.stop(signal.SIGKILL)
        self.close()

    def close(self):
        self.program.__exit__()
        if self.is_open:
            os.close(self.out)
            self.is_open = False


class Dial(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, *names):
        return os.path.join(self.folder.name, *names)

    def tap(self, *arguments, **options):
        tap = Tap(self.folder.name, *arguments, **options)
        self.addCleanup(tap.close)
        return tap

    def settings(self, more="", **dials):
        """Writes the collector's file: a section for each name."""
        text = "dial:\n" + "".join(f"  {name}: {{reconnect_min: 100ms, reconnect_max: 500ms, {what}}}\n"
                                   for name, what in dials.items()) if dials else ""
        return write(self.path("collector.yaml"), text + more)

    def collector(self, environment=None, **dials):
        collector = Collector(self.folder.name, arguments=("--config", self.settings(**dials)), environment=environment)
        self.addCleanup(collector.close)
        return collector

    def at(self, tap, more=""):
        return f"address: '127.0.0.1:{tap.port}'{more}"

    def fate(self, collector):
        return {result: self.figure(collector, "records_total", result=result) for result in ("taken", "lost")}

    def figure(self, collector, name, dial="edge", **labels):
        wanted = "".join(f',{key}="{value}"' for key, value in labels.items())
        return int(metrics(f"http://127.0.0.1:{collector.http}/metrics").get(f'{METRIC}{name}{{dial="{dial}"{wanted}}}', 0))

    def stored(self, collector):
        try:
            found = [(boot, seq) for boot, numbers in in_store(collector.folder, "flows").items() for seq in numbers]
        except sqlite3.OperationalError:  # a file that is just being made
            return set()
        self.assertEqual(len(found), len(set(found)), "a record is stored twice")
        return set(found)

    def await_stored(self, collector, *taps):
        def wanted():
            return set().union(*(tap.records() for tap in taps))

        def is_there():
            return all(tap.tick() for tap in taps if tap.is_open) and self.stored(collector) == wanted() != set()
        try:
            wait_until("the sensor's records in the store", is_there, 60)
        except AssertionError as error:
            missing, more = wanted() - self.stored(collector), self.stored(collector) - wanted()
            raise AssertionError(f"{error}\n{len(missing)} missing {sorted(missing)[:5]}, {len(more)} more\n"
                                 f"{collector.program.text()[-3000:]}") from None

    def await_connected(self, collector, sensor="tap", state="LIVE", ticks=()):
        def found():
            row = collector.sensors().get(sensor, {})
            return all(tap.tick() for tap in ticks) and row.get("state") == state and row
        return wait_until(f"{sensor} {state}", found, 30)

    def assert_balanced(self, collector, lost=0):
        def right():
            ledger = collector.fetch("/v1/ledger")
            rows = {(row["stage"], row["name"]): row for row in ledger["rows"]}
            wire = rows["LEDGER_STAGE_WIRE", "dial edge"]
            told = {entry["reason"]: int(entry["count"]) for entry in wire["lost"]}
            ingest = {entry["reason"]: int(entry["count"]) for entry in rows["LEDGER_STAGE_INGEST", ""]["lost"]}
            return ledger["balanced"] and told["told_lost"] == lost and ingest["told_lost"] == lost
        wait_until(f"a ledger that balances with {lost} lost", right)

    def alerts(self, collector):
        return collector.fetch("/v1/alerts?state=all&from=0&to=4000000000000")["alerts"]

    def incidents(self, collector):
        return [alert["state"] for alert in self.alerts(collector) if alert["kind"] == "ALERT_KIND_SENSOR_SILENT"]

    # ---- what arrives ----

    def test_flows_alerts_and_statistics_are_those_of_the_sensor(self):
        tap = self.tap()
        collector = self.collector(edge=self.at(tap))
        shown = self.await_connected(collector)
        self.assertEqual(shown["version"], run(SENSOR, "--version").stdout.split()[1])
        self.assertEqual(shown["peer"], f"dial edge 127.0.0.1:{tap.port}")
        tap.talk(300)
        tap.send(flood(2000))
        wait_until("an alert of the sensor", lambda: tap.tick() and tap.lines("alerts"), 60)
        self.await_stored(collector, tap)
        wait_until("its alerts", lambda: {alert["alert_id"] for alert in self.alerts(collector)} ==
                   {alert["alert_id"] for alert in tap.lines("alerts")}, 60)
        wait_until("its statistics", lambda: tap.tick() and (collector.sensors()["tap"]["packets_total"] or 0) >= 300 + 2000)
        packets = sum(int(record.get(way, {}).get("delta_packets", 0)) for record in tap.records().values()
                      for way in ("forward", "reverse"))
        self.assertEqual(collector.flow_packets("tap"), packets)
        self.assertEqual(self.figure(collector, "records_total", result="lost"), 0)
        self.assertEqual(self.figure(collector, "connected", sensor="tap"), 1)
        self.assert_balanced(collector)

    def test_only_the_streams_that_are_chosen_are_asked_for(self):
        tap = self.tap()
        collector = self.collector(edge=self.at(tap, ", streams: [stats]"))
        self.await_connected(collector)
        tap.talk(50)
        wait_until("its statistics", lambda: tap.tick() and (collector.sensors()["tap"]["packets_total"] or 0) >= 50)
        self.assertEqual(self.stored(collector), set())

    # ---- who dies ----

    def test_a_killed_sensor_is_missed_and_its_next_process_is_another(self):
        tap = self.tap()
        collector = self.collector({"NETSCOPE_COLLECTOR_FLEET__SILENT_AFTER": f"{int(5000 * PATIENCE)}ms",
                                    "NETSCOPE_COLLECTOR_INGEST__HEARTBEAT": "1s"}, edge=self.at(tap))
        self.await_connected(collector)
        tap.talk(100)
        self.await_stored(collector, tap)
        tap.kill()
        self.await_connected(collector, state="OFFLINE")
        wait_until("an incident", lambda: "ALERT_STATE_OPEN" in self.incidents(collector), 30)
        again = self.tap(port=tap.port)
        again.talk(80)
        self.await_connected(collector)
        self.await_stored(collector, tap, again)
        wait_until("its end", lambda: again.tick() and set(self.incidents(collector)) == {"ALERT_STATE_CLOSE"}, 30)
        self.assertEqual(len({boot for boot, _ in self.stored(collector)}), 2)
        self.assert_balanced(collector)
        self.assertEqual(self.figure(collector, "disconnections_total"), 1)

    def test_a_killed_collector_goes_on_behind_what_it_has(self):
        tap = self.tap()
        collector = self.collector(edge=self.at(tap))
        for _ in range(4):
            tap.talk(120)
            wait_until("some records", lambda: self.figure(collector, "records_total", result="taken") > 0, 30)
            collector.program.stop(signal.SIGKILL)
            tap.talk(60)
            collector.start()
        self.await_stored(collector, tap)
        self.assertEqual(self.figure(collector, "records_total", result="lost"), 0)
        self.assertEqual(self.figure(collector, "records_total", result="duplicate"), 0)  # they were not even asked for
        self.assert_balanced(collector)

    def test_what_the_history_no_longer_holds_is_told_as_lost(self):
        tap = self.tap(history=50)
        collector = self.collector(edge=self.at(tap, ", streams: [flows]"))
        self.await_connected(collector)
        tap.talk(40)
        self.await_stored(collector, tap)
        collector.program.stop(signal.SIGKILL)
        tap.talk(400)
        last = max(seq for _, seq in tap.records())
        collector.start()
        wait_until("the rest of the history", lambda: 40 + sum(self.fate(collector).values()) >= last, 30)
        fate = self.fate(collector)
        self.assertEqual(fate, {"taken": 50, "lost": last - 40 - 50})
        wait_until("the fleet to know", lambda: collector.sensors()["tap"]["records_lost"] == fate["lost"])
        self.assert_balanced(collector, fate["lost"])
        self.assertIn("a dialed sensor lost records", collector.program.text())
        wait_until("what is left in the store", lambda: len(self.stored(collector)) == 40 + fate["taken"])
        self.assertTrue(self.stored(collector) <= set(tap.records()))

    def test_a_collector_that_stands_still_is_told_what_it_missed(self):
        tap = self.tap(history=50, more="  queue_messages: 1\n")
        collector = self.collector(edge=self.at(tap, ", streams: [flows], keepalive_interval: 10m"))
        self.await_connected(collector)
        collector.program.process.send_signal(signal.SIGSTOP)
        try:
            tap.talk(5000)  # beyond what sockets and windows hold
        finally:
            collector.program.process.send_signal(signal.SIGCONT)
        tap.talk(1)
        last = max(seq for _, seq in tap.records())
        wait_until("all records, or their loss", lambda: sum(self.fate(collector).values()) >= last, 60)
        fate = self.fate(collector)
        self.assertEqual(sum(fate.values()), last)
        self.assertGreater(fate["lost"], 0)
        self.assertEqual(self.figure(collector, "disconnections_total"), 0)
        self.assert_balanced(collector, fate["lost"])

    def test_records_that_a_full_disk_did_not_take_are_asked_for_again(self):
        if INSIDE not in os.environ:
            self.skipTest("needs root and a mount namespace")
        log, filler = self.path("store", "log"), self.path("store", "log", "filler")
        os.makedirs(log)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "netscope-test", log], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(done.stderr)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", log], check=False))
        tap = self.tap()
        collector = self.collector(edge=self.at(tap))
        self.await_connected(collector)
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(b"0" * 65536) > 0:
                    pass
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
        tap.talk(200)
        wait_until("trouble told", lambda: "log took nothing" in collector.program.text(), 60)
        os.remove(filler)
        self.await_stored(collector, tap)
        self.assertEqual(self.figure(collector, "records_total", result="lost"), 0)

    # ---- by several ways ----

    def test_a_sensor_with_a_stream_of_its_own_counts_once(self):
        collector = self.collector()
        tap = self.tap(arguments=("--collector", f"127.0.0.1:{collector.ingest}"))
        self.await_connected(collector)
        tap.talk(100)
        self.settings(edge=self.at(tap))
        collector.program.process.send_signal(signal.SIGHUP)
        wait_until("an attempt", lambda: self.figure(collector, "attempts_total") >= 2, 30)
        tap.talk(100)
        self.await_stored(collector, tap)
        self.assertEqual(self.figure(collector, "records_total", result="taken"), 0)
        self.assertFalse(self.await_connected(collector)["peer"].startswith("dial"))

    def test_a_stream_that_begins_later_goes_on_behind_what_was_dialed(self):
        port = free_port()
        tap = self.tap(arguments=("--collector", f"127.0.0.1:{port}"))
        collector = Collector.__new__(Collector)
        collector.folder, collector.prefix, collector.environment = self.folder.name, (), None
        collector.http, collector.ingest, collector.host = free_port(), free_port(), "127.0.0.1"
        collector.arguments = ["--config", self.settings(edge=self.at(tap))]
        collector.start()  # the sensor finds nothing at its collector's port
        self.addCleanup(collector.close)
        self.await_connected(collector)
        tap.talk(150)
        self.await_stored(collector, tap)
        self.assertEqual(collector.program.stop(), 0)
        collector.ingest = port
        collector.start()
        def has_stream():
            return collector.sensors().get("tap", {}).get("peer", "").startswith("ipv4:")
        try:
            wait_until("its stream", has_stream, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{collector.sensors()}\n{collector.program.text()}\n{tap.program.text()}") from None
        tap.talk(150)
        self.await_stored(collector, tap)

    # ---- settings, credentials ----

    def test_a_wrong_authority_is_named_and_the_right_one_is_taken_up_by_a_reload(self):
        certs = self.path("certs")
        os.makedirs(certs)
        subprocess.run(["sh", os.path.join(ROOT, "tests", "support", "certs.sh"), certs], check=True, capture_output=True)
        token = write(self.path("token"), "a-token-of-the-test\n")
        secure = (f"  tls_certificate: {certs}/server.pem\n  tls_key: {certs}/server.key\n  token_file: {token}\n")
        os.chmod(f"{certs}/server.key", 0o600)
        tap = self.tap(more=secure)
        tap.talk(50)
        collector = self.collector(edge=self.at(tap))
        wait_until("the want of TLS", lambda: "wants TLS: set dial.edge.tls or ca_file" in collector.program.text(), 30)
        self.settings(edge=self.at(tap, f", ca_file: {certs}/other-ca.pem, token_file: {token}"))
        collector.program.process.send_signal(signal.SIGHUP)
        wait_until("the reason", lambda: "not signed by dial.edge.ca_file" in collector.program.text(), 30)
        self.assertIn("dial=edge", collector.program.text())
        self.settings(edge=self.at(tap, f", ca_file: {certs}/ca.pem"))
        collector.program.process.send_signal(signal.SIGHUP)
        wait_until("the want of a token", lambda: "see dial.edge.token_file" in collector.program.text(), 30)
        self.settings(edge=self.at(tap, f", ca_file: {certs}/ca.pem, server_name: elsewhere.example, token_file: {token}"))
        collector.program.process.send_signal(signal.SIGHUP)
        wait_until("the other name", lambda: "dial.edge.server_name" in collector.program.text(), 30)
        self.assertEqual(self.stored(collector), set())
        self.settings(edge=self.at(tap, f", ca_file: {certs}/ca.pem, token_file: {token}"))
        collector.program.process.send_signal(signal.SIGHUP)
        self.await_stored(collector, tap)

    def test_a_reload_adds_and_removes_and_nobody_misses_who_is_removed(self):
        one, two = self.tap("one"), self.tap("two")
        collector = self.collector({"NETSCOPE_COLLECTOR_FLEET__SILENT_AFTER": f"{int(5000 * PATIENCE)}ms",
                                    "NETSCOPE_COLLECTOR_INGEST__HEARTBEAT": "1s"}, one=self.at(one))
        self.await_connected(collector, "one", ticks=(one, two))
        self.settings(one=self.at(one), two=self.at(two))
        collector.program.process.send_signal(signal.SIGHUP)
        self.await_connected(collector, "two", ticks=(one, two))
        self.assertEqual(self.figure(collector, "connections_total", dial="one"), 1)  # it went on
        self.settings(two=self.at(two))
        collector.program.process.send_signal(signal.SIGHUP)
        self.await_connected(collector, "one", "OFFLINE", ticks=(one, two))
        one.send([conversation(number) for number in range(30)])
        two.talk(30)
        self.await_stored(collector, two)
        end = time.monotonic() + 8 * PATIENCE
        wait_until("the end of its time", lambda: two.tick() and time.monotonic() > end)
        self.assertEqual(self.incidents(collector), [])
        write(self.path("collector.yaml"), "dial: {two: {address: nowhere}}\n")
        collector.program.process.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda: "dial.two.address: 'nowhere' is neither" in collector.program.text())
        self.await_connected(collector, "two")

    def test_who_is_not_meant_is_not_heard(self):
        tap = self.tap("other")
        tap.talk(10)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            collector = self.collector(edge=self.at(tap, ", sensor_id: 'edge-*'"), twice=self.at(tap), again=self.at(tap),
                                       odd=f"address: '127.0.0.1:{silent.getsockname()[1]}'", gone="address: '127.0.0.1:1'")
            self.await_connected(collector, "other")
            for words in ("sensor 'other' answers, but dial.edge.sensor_id is 'edge-*'", "nothing listens at dial.gone.address",
                          "another section of dial reaches this sensor already"):
                wait_until(words, lambda: words in collector.program.text(), 30)
            self.await_stored(collector, tap)
            self.assertEqual(collector.program.stop(), 0)  # also while some do not answer

    def test_doctor_looks_at_each(self):
        tap = self.tap()
        wait_until("its port", tap.is_serving)
        config = self.settings(edge=self.at(tap), gone="address: '127.0.0.1:1'")
        done = run(COLLECTOR, "doctor", "--format", "json", "--config", config, "--data-dir", self.path("store"), "--port", free_port(),
                   "--ingest-listen", f"127.0.0.1:{free_port()}")
        found = {finding["message"].split()[0].rstrip(":"): finding for finding in json.loads(done.stdout)["findings"]
                 if "dial." in finding["message"]}
        self.assertEqual({key: finding["level"] for key, finding in found.items()},
                         {"dial.edge.address": "ok", "dial.gone.address": "failure"}, done.stdout)

    def test_settings_that_cannot_be_stop_the_start(self):
        config = write(self.path("wrong.yaml"), "dial: {edge: {address: '192.0.2.1:50051'}}\n")
        done = run(COLLECTOR, "--config", config, "--data-dir", self.path("store"), "--port", free_port())
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("dial.edge.address: 192.0.2.1:50051 is not loopback", done.stderr)


if __name__ == "__main__":
    if INSIDE not in os.environ and os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0:
        os.execvpe("unshare", ["unshare", "-m", sys.executable, os.path.abspath(__file__), *sys.argv[1:]], {**os.environ, INSIDE: "1"})
    unittest.main()
