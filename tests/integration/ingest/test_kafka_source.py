#!/usr/bin/env python3
"""What sensors write to Kafka, read by collectors: every record once, whoever is killed in between.

    test_kafka_source.py FOLDER_OF_TEST_PROGRAMS
"""
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.abspath(sys.argv.pop(1))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end"), os.path.join(HERE, "..", "kafka")]

from fleet import Collector, in_store
from kafka_tools import ALERTS, FLOWS, STATS, Cluster
from support.programs import (COLLECTOR, PATIENCE, SENSOR, TRAFFIC, Program, ethernet, free_port, make_traffic, run, wait_until,
                              write_pcap)

PACKED = "netscope.flows-packed.v1"
ASSETS = "netscope.assets.v1"
INSIDE = "NETSCOPE_TEST_MOUNTS"  # set in a mount namespace of our own
METRIC = "netscope_collector_kafka_source_"


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def arp(mac, address):
    octets, own = bytes.fromhex(mac.replace(":", "")), bytes(map(int, address.split(".")))
    return ethernet(struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + octets + own + bytes(6) + bytes([10, 1, 0, 254]), 0x0806)


def metrics(collector):
    with urllib.request.urlopen(f"http://127.0.0.1:{collector.http}/metrics", timeout=20 * PATIENCE) as answer:
        rows = [line.split() for line in answer.read().decode().splitlines() if line.startswith(METRIC)]
    return {row[0][len(METRIC):]: int(float(row[1])) for row in rows}


class KafkaSource(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cluster = Cluster(TOOLS)
        self.addCleanup(self.cluster.__exit__)
        self.cluster.say(f"topic {PACKED} 3")

    def path(self, *names):
        return os.path.join(self.folder.name, *names)

    def start(self, name="one", more="", stream_too=False):
        os.makedirs(self.path(name), exist_ok=True)
        text = f"kafka_source:\n  brokers: {self.cluster.brokers}\n  flows_topics: [{FLOWS}, {PACKED}]\n{more}"
        config = write(self.path(name, "collector.yaml"), text)
        collector = Collector(self.path(name), arguments=("--config", config))
        self.addCleanup(collector.close)
        return collector

    def capture(self, flows=400):
        path = self.path(f"mix{flows}.pcap")
        subprocess.run([TRAFFIC, "mix", path, "-f", str(flows)], check=True, capture_output=True)
        return path

    def send(self, capture, sensor="east", text="", arguments=()):
        """A sensor reads a capture into Kafka; its flow records as it wrote them to a file."""
        lines = self.path(f"{sensor}.jsonl")
        config = write(self.path(f"{sensor}.yaml"), f"kafka:\n  brokers: {self.cluster.brokers}\n{text}")
        done = run(SENSOR, "--config", config, "--read-pcap", capture, "--quiet", "--lossless", "--sensor-id", sensor,
                   "--flows-jsonl", lines, "--grpc-listen", f"127.0.0.1:{free_port()}", *arguments,
                   environment={"NETSCOPE_HTTP__PORT": "0"}, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(lines, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def wait_for(self, collector, key, count):
        try:
            wait_until(f"{count} {key}", lambda: metrics(collector).get(key, 0) >= count, seconds=60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{metrics(collector)}\n{collector.program.text()[-3000:]}") from None

    def stored(self, *collectors):
        """{(boot, seq)} of the flow records in the stores, each of which ends in order first; none may be there twice."""
        found = []
        for collector in collectors:
            self.assertEqual(collector.program.stop(), 0, collector.program.text())
            for boot, numbers in in_store(collector.folder, "flows").items():
                found += [(boot, number) for number in numbers]
        self.assertEqual(len(found), len(set(found)))
        return set(found)

    def in_store(self, collector):
        return [number for numbers in in_store(collector.folder, "flows").values() for number in numbers]

    def wanted(self, records):
        return {(record["boot_id"], int(record["record_seq"])) for record in records}

    def await_records(self, records, *collectors, key="taken_total"):
        def flows():
            return sum(metrics(collector).get(key, 0) for collector in collectors)
        wait_until("all records", lambda: flows() >= len(records), seconds=60)
        wait_until("no lag", lambda: all(metrics(collector).get("lag_messages") == 0 for collector in collectors), seconds=30)

    def test_every_record_of_every_form_is_stored_once(self):
        forms = {"protobuf": "", "json": "  value: json\n", "packed": "  packed: true\n",
                 "framed": "  schema_ids: {flows: 17}\n"}
        collector, records = self.start(), []
        for name, text in forms.items():
            records += self.send(self.capture(), name, text)
        self.await_records(records, collector)
        sensors = collector.sensors()
        self.assertEqual(set(sensors), set(forms))
        for name in forms:
            mine = [record for record in records if record["sensor_id"] == name]
            packets = sum(int(record.get(way, {}).get("delta_packets", 0)) for record in mine for way in ("forward", "reverse"))
            wait_until(f"packets of {name}", lambda: collector.flow_packets(name) >= packets)
            self.assertEqual(collector.flow_packets(name), packets, name)
            self.assertTrue(sensors[name]["peer"].startswith("kafka netscope."), sensors[name])
        figures = metrics(collector)
        self.assertEqual([figures[key] for key in ("undecodable_total", "refused_total", "duplicates_total", "commits_failed_total")],
                         [0, 0, 0, 0])
        self.assertEqual(figures["records_total"], figures["taken_total"])
        self.assertEqual(self.stored(collector), self.wanted(records))

    def test_alerts_and_statistics_arrive_too(self):
        collector = self.start()
        capture, _ = make_traffic(self.folder.name, "demo")
        self.send(capture, "alerting")
        found = wait_until("alerts", lambda: collector.fetch("/v1/alerts?state=all&from=0&to=4000000000000")["alerts"])
        self.assertTrue(all(alert["sensor_id"] == "alerting" for alert in found), found)
        wait_until("packets counted", lambda: collector.sensors()["alerting"].get("packets_total", 0))

    def test_assets_are_those_that_a_sensor_tells_by_its_stream(self):
        """In each form; what is none changes nothing; who comes later has them too."""
        self.cluster.say(f"topic {ASSETS} 2")
        os.mkdir(self.path("stream"))
        by_stream = Collector(self.path("stream"))
        self.addCleanup(by_stream.close)
        by_kafka = self.start("assets", f"  assets_topics: [{ASSETS}]\n")
        frames = [(i * 0.01, arp(f"02:00:00:00:01:{i:02x}", f"10.1.0.{i + 1}")) for i in range(150)]
        frames += [(2, arp("02:00:00:00:02:07", "10.1.0.7"))]  # another MAC for one address
        capture = write_pcap(self.path("arp.pcap"), frames)
        forms = {"plain": "", "json": "  value: json\n", "framed": "  protobuf_framing: varint\n  headers: cloudevents\n"}
        for name, text in forms.items():
            self.send(capture, name, f"  assets: true\n{text}", arguments=("--collector", f"127.0.0.1:{by_stream.ingest}"))

        def listed(collector):
            found, token = [], ""
            while True:
                answer = collector.fetch(f"/v1/assets?page_size=1000{token}")
                found += answer.get("assets", [])
                if not answer.get("next_page_token"):
                    return found
                token = f"&page_token={answer['next_page_token']}"

        wanted = listed(by_stream)
        self.assertEqual(len(wanted), 151 * len(forms))
        try:
            wait_until("the same assets", lambda: listed(by_kafka) == wanted, 60)
        except AssertionError:
            self.assertEqual(listed(by_kafka), wanted)
        self.wait_for(by_kafka, "assets_total", len(wanted))
        for value in (b"nothing", b'{"mac":"x"}', b"\x22\x1102:00:00:00:01:01"):  # the last names no sensor
            subprocess.run(["kcat", "-P", "-b", self.cluster.brokers, "-t", ASSETS], input=value, check=True, timeout=60)
        self.wait_for(by_kafka, "undecodable_total", 3)
        self.assertEqual(listed(by_kafka), wanted)
        again = self.start("another", f"  assets_topics: [{ASSETS}]\n  group: another\n")  # reads what is kept
        wait_until("the same assets", lambda: listed(again) == wanted, 60)

    def test_assets_that_no_broker_took_are_told_again(self):
        self.cluster.say(f"topic {ASSETS} 2")
        collector = self.start("late", f"  assets_topics: [{ASSETS}]\n")
        capture = write_pcap(self.path("arp.pcap"), [(i * 0.01, arp(f"02:00:00:00:01:{i:02x}", f"10.1.0.{i + 1}")) for i in range(20)])
        config = write(self.path("late.yaml"), f"kafka:\n  brokers: {self.cluster.brokers}\n  assets: true\n  flows: false\n  alerts: false\n"
                       "  stats: false\n  assets_interval: 1s\n  message_timeout: 1s\n")
        self.cluster.say("down 0")
        with Program(SENSOR, "--config", config, "--read-pcap", capture, "--quiet", "--sensor-id", "late", "--pace", "--loop",
                     environment={"NETSCOPE_HTTP__PORT": "0", "NETSCOPE_GRPC__LISTEN": "127.0.0.1:0"}) as program:
            wait_until("some were not delivered", lambda: "could not be delivered" in program.text(), 60)
            self.cluster.say("up 0")
            try:
                wait_until("all assets", lambda: int(collector.fetch("/v1/assets").get("total", 0)) == 20, 60)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{program.text()[-2000:]}") from None

    def test_a_collector_that_is_killed_goes_on_where_it_was(self):
        records, capture = [], self.capture(2000)
        collector = self.start(more="  batch_records: 100\n  session_timeout: 6s\n")
        for round_number in range(3):
            records += self.send(capture, f"kill{round_number}")
            self.wait_for(collector, "taken_total", 200)
            collector.program.stop(signal.SIGKILL)
            collector.start()
        self.wait_for(collector, "partitions", 9)
        wait_until("no lag", lambda: metrics(collector).get("lag_messages") == 0, seconds=60)
        packets = sum(int(record.get(way, {}).get("delta_packets", 0)) for record in records for way in ("forward", "reverse"))
        wait_until("all packets", lambda: collector.flow_packets() == packets, seconds=60)
        self.assertEqual(self.stored(collector), self.wanted(records))

    def test_messages_that_come_again_are_known_by_their_numbers(self):
        collector = self.start()
        records = self.send(self.capture(), "again")
        self.await_records(records, collector)
        collector.program.stop()
        write(self.path("one", "collector.yaml"),
              f"kafka_source:\n  brokers: {self.cluster.brokers}\n  group: another\n")
        collector.start()
        self.wait_for(collector, "duplicates_total", len(records))
        self.assertEqual(metrics(collector)["taken_total"], 0)
        self.assertEqual(self.stored(collector), self.wanted(records))

    def test_collectors_of_a_group_share_the_load(self):
        one, two = self.start("one"), self.start("two")
        wait_until("partitions for both", lambda: all(metrics(collector).get("partitions", 0) > 0 for collector in (one, two)),
                   seconds=60)
        records = self.send(self.capture(2000), "shared")
        self.await_records(records, one, two)
        self.assertGreater(metrics(one)["taken_total"], 0)
        self.assertGreater(metrics(two)["taken_total"], 0)
        self.assertEqual(self.stored(one, two), self.wanted(records))

    def test_a_sensor_that_reports_by_its_own_stream_counts_once(self):
        collector = self.start()
        records = self.send(self.capture(), "both", arguments=("--collector", f"127.0.0.1:{collector.ingest}"))
        wait_until("all messages", lambda: metrics(collector).get("records_total", 0) >= len(records), seconds=60)
        wait_until("no lag", lambda: metrics(collector).get("lag_messages") == 0, seconds=30)
        packets = sum(int(record.get(way, {}).get("delta_packets", 0)) for record in records for way in ("forward", "reverse"))
        wait_until("all packets", lambda: collector.flow_packets() >= packets)
        self.assertEqual(collector.flow_packets(), packets)

    def test_messages_that_a_full_disk_did_not_take_are_read_again(self):
        if INSIDE not in os.environ:
            self.skipTest("needs root and a mount namespace")
        log, filler = self.path("one", "store", "log"), self.path("one", "store", "log", "filler")
        os.makedirs(log)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "netscope-test", log], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(done.stderr)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", log], check=False))
        collector = self.start()
        wait_until("partitions", lambda: metrics(collector).get("partitions", 0) > 0, seconds=60)
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(b"0" * 65536) > 0:
                    pass
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
        records = self.send(self.capture(), "full")
        self.wait_for(collector, "again_total", 1)
        os.remove(filler)
        wait_until("all records", lambda: metrics(collector)["again_total"] >= 1 and len(self.in_store(collector)) >= len(records),
                   seconds=90)
        self.assertIn("the log took nothing", collector.program.text())
        self.assertEqual(self.stored(collector), self.wanted(records))

    def test_what_is_no_record_is_counted_and_passed_over(self):
        collector = self.start()
        wait_until("partitions", lambda: metrics(collector).get("partitions", 0) > 0, seconds=60)
        for line in ("nonsense", "{\"sensor_id\": \"a\"}", "{", "\x00\x00", "\n\x01x"):
            subprocess.run(["kcat", "-P", "-b", self.cluster.brokers, "-t", FLOWS, "-D", "\x01\x02"], input=line.encode(), check=True,
                           timeout=60)
        self.wait_for(collector, "undecodable_total", 5)
        records = self.send(self.capture(), "behind")
        self.await_records(records, collector)
        self.assertEqual(metrics(collector)["undecodable_total"], 5)
        self.assertIn("none of netscope-sensor's is passed over", collector.program.text())
        self.assertEqual(self.stored(collector), self.wanted(records))

    def test_brokers_that_come_late_are_waited_for(self):
        self.cluster.say("down 0")
        collector = self.start()
        wait_until("trouble told", lambda: metrics(collector).get("errors_total", 0) > 0)
        self.cluster.say("up 0")
        records = self.send(self.capture(), "late")
        self.await_records(records, collector)
        self.assertEqual(self.stored(collector), self.wanted(records))

    def test_settings_that_cannot_be_are_refused_with_their_names(self):
        wrong = {"brokers: 'kafka:x'": "kafka_source.brokers",
                 "brokers: b:9092\n  flows_topics: ['a b']": "kafka_source.flows_topics",
                 "brokers: b:9092\n  alerts_topics: netscope.flows.v1": "named more than once",
                 "brokers: b:9092\n  flows_topics: []\n  alerts_topics: []\n  stats_topics: []": "without a topic",
                 "brokers: b:9092\n  tls_ca: /nowhere/ca.pem": "kafka_source.tls_ca: open /nowhere/ca.pem",
                 "brokers: b:9092\n  security_protocol: sasl_ssl": "kafka_source.sasl_mechanism",
                 "brokers: b:9092\n  properties: {enable.auto.commit: true}": "enable.auto.commit is not allowed here",
                 "brokers: b:9092\n  properties: {no.such.thing: 1}": "no.such.thing"}
        for text, message in wrong.items():
            config = write(self.path("wrong.yaml"), f"kafka_source:\n  {text}\n")
            done = run(COLLECTOR, "--config", config, "--check-config")
            self.assertEqual(done.returncode, 2, (text, done.stdout, done.stderr))
            self.assertIn(message, done.stderr)


if __name__ == "__main__":
    if INSIDE not in os.environ and os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0:
        os.execvpe("unshare", ["unshare", "-m", sys.executable, os.path.abspath(__file__), TOOLS, *sys.argv[1:]], {**os.environ, INSIDE: "1"})
    unittest.main()
