"""The sensor's IPFIX: what collectors get is what the records say, however the way there is.

Peers: a collector that knows RFC 7011 alone (collector.py), tshark, nfcapd. Their own tests are skipped without them.
"""
import calendar
import collections
import glob
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from collector import Datagrams, Stream
from support.programs import PATIENCE, SENSOR, TRAFFIC, Program, clean_environment, free_port, udp, wait_until, write_pcap

ENTERPRISE = 424242
REASONS = {None: 2, "FLOW_END_REASON_IDLE_TIMEOUT": 1, "FLOW_END_REASON_ACTIVE_TIMEOUT": 2, "FLOW_END_REASON_END_OF_FLOW": 3,
           "FLOW_END_REASON_FORCED": 4, "FLOW_END_REASON_LACK_OF_RESOURCES": 5}


def directions(record):
    """(source, target, counters) of those with packets."""
    for side, source, target in (("forward", "client", "server"), ("reverse", "server", "client")):
        counters = record.get(side, {})
        if int(counters.get("delta_packets", 0)):
            yield record[source], record[target], counters


def told(record):
    """What a record of ours must be as IPFIX: a tuple for each direction."""
    for source, target, counters in directions(record):
        ports = (source.get("port", 0), target.get("port", 0)) if record["ip_protocol"] in (6, 17, 132) else (None, None)
        yield (int(record["flow_id"], 16), source["ip"], target["ip"], *ports, record["ip_protocol"],
               int(counters["delta_packets"]), int(counters["delta_ip_bytes"]), int(counters["delta_bytes"]),
               record.get("app", {}).get("protocol", ""))


def got(flow):
    return (flow["flow_id"], flow["source"], flow["target"], flow.get("source_port"), flow.get("target_port"), flow["protocol"],
            flow["packets"], flow["octets"], flow["frame_octets"], flow["app"])


class Ipfix(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.capture = os.path.join(cls.temporary.name, "mix.pcap")
        subprocess.run([TRAFFIC, "mix", cls.capture, "-n", "6000"], check=True, capture_output=True, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=self.temporary.name)
        self.lines = os.path.join(self.folder, "flows.jsonl")

    def sense(self, *arguments, settings=None, status=0):
        """The sensor over the capture; its records as JSON has them, and what it said on stderr."""
        environment = {f"NETSCOPE_IPFIX__{key.upper()}": str(value) for key, value in (settings or {}).items()}
        done = subprocess.run([SENSOR, "--read-pcap", self.capture, "--quiet", "--lossless", "--flows-jsonl", self.lines,
                               *arguments], capture_output=True, text=True, env=clean_environment(environment),
                              timeout=60 * PATIENCE)
        self.assertEqual(done.returncode, status, done.stderr)
        with open(self.lines, encoding="utf-8") as file:
            return [json.loads(line) for line in file], done.stderr

    def paced(self, port, **settings):
        """A sensor that goes on making records."""
        pcap = write_pcap(os.path.join(self.folder, "paced.pcap"),
                          [(i / 200, udp("10.0.0.1", 2000 + i % 100, "10.0.0.2", 9, b"x")) for i in range(400)])
        return Program(SENSOR, "--read-pcap", pcap, "--pace", "--loop", "--quiet", "--ipfix", f"127.0.0.1:{port}",
                       environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off", "NETSCOPE_FLOW__FIRST_UPDATE": "500ms",
                                    "NETSCOPE_FLOW__ACTIVE_TIMEOUT": "1s",
                                    **{f"NETSCOPE_IPFIX__{key}": value for key, value in settings.items()}})

    def same(self, flows, records):
        wanted = collections.Counter(row for record in records for row in told(record))
        self.assertGreater(len(wanted), 500)
        self.assertEqual(collections.Counter(map(got, flows)) - wanted, {})
        self.assertEqual(wanted - collections.Counter(map(got, flows)), {})

    # ---- by the RFC ----

    def test_each_direction_of_each_record_is_a_data_record_with_its_deltas(self):
        with Datagrams() as collector:
            records, _ = self.sense("--ipfix", f"127.0.0.1:{collector.port}", settings={"observation_domain": 9})
        session = collector.session
        self.same(session.flows, records)
        self.assertEqual((session.missing, session.domain), (0, 9))
        self.assertLessEqual(max(session.sizes), 1400)
        by_flow = {int(record["flow_id"], 16): record for record in records}
        for flow in session.flows:
            self.assertLessEqual(flow["start_ms"], flow["end_ms"])
            self.assertIn(flow["end_reason"], (1, 2, 3, 4, 5))
            if "icmp" in flow:
                self.assertIn("icmp", by_flow[flow["flow_id"]])
        names = {row["interface"]: row["interface_name"] for row in session.options if "interface_name" in row}
        self.assertEqual({flow["interface"] for flow in session.flows}, set(names))
        self.assertEqual(set(names.values()), {record["interface"] for record in records})

    def test_a_biflow_tells_both_directions_and_the_elements_of_an_enterprise_explain_themselves(self):
        with Datagrams() as collector:
            records, _ = self.sense("--ipfix", f"127.0.0.1:{collector.port}",
                                    settings={"biflow": "true", "enterprise": ENTERPRISE})
        session = collector.session
        told_of = [record for record in records if list(directions(record))]
        self.assertEqual(len(session.flows), len(told_of))
        self.assertEqual(sum(flow["packets"] + flow["reverse_packets"] for flow in session.flows),
                         sum(int(side[2]["delta_packets"]) for record in records for side in directions(record)))
        rows = {(flow["flow_id"], flow["end_ms"]): flow for flow in session.flows}
        named = 0
        for record in told_of:
            millis = int(time_ns(record["end_time"]) // 1_000_000)
            flow = rows[(int(record["flow_id"], 16), millis)]
            self.assertEqual(flow["communityId"], record["community_id"])
            self.assertEqual(flow["serverName"], record["server"].get("name", "")[:64])
            named += flow["serverName"] != ""
            if "tcp" in record:
                tcp = record["tcp"]
                self.assertEqual(flow["connectionState"], tcp["conn_state"])
                self.assertEqual(flow["retransmittedSegmentTotalCount"], int(tcp["forward"].get("retransmitted_segments", 0)))
                self.assertEqual(flow["reverseRetransmittedSegmentTotalCount"],
                                 int(tcp.get("reverse", {}).get("retransmitted_segments", 0)))
        self.assertGreater(named, 50)

    def test_templates_are_told_again_over_udp(self):
        with Datagrams() as collector:
            service = self.paced(collector.port, TEMPLATE_INTERVAL="1s")
            with service:
                wait_until("a session", lambda: collector.sessions)
                wait_until("templates, three times", lambda: min(collector.session.told.values()) >= 3)
        counts = [row["exported_flows"] for row in collector.session.options if "exported_flows" in row]
        self.assertGreaterEqual(len(counts), 3)
        self.assertEqual(counts, sorted(counts))

    def test_a_filter_chooses_and_two_collectors_get_the_same(self):
        with Datagrams() as one, Datagrams() as two:
            records, _ = self.sense("--ipfix", f"127.0.0.1:{one.port},127.0.0.1:{two.port}", settings={"filter": "app = dns"})
        chosen = [record for record in records if record.get("app", {}).get("protocol") == "dns"]
        for collector in (one, two):
            self.assertEqual(sorted(map(got, collector.session.flows)), sorted(row for record in chosen for row in told(record)))

    def test_datagrams_are_not_sent_faster_than_the_rate(self):
        begin = time.monotonic()
        with Datagrams() as collector:
            records, _ = self.sense("--ipfix", f"127.0.0.1:{collector.port}", settings={"rate": 400})
        sent = sum(1 for record in records if list(directions(record)))
        self.assertGreater(sent, 500)
        self.assertGreaterEqual(time.monotonic() - begin, sent / 400 - 0.2)
        self.same(collector.session.flows, records)

    # ---- streams ----

    def test_a_stream_gives_the_same_records_in_messages_of_any_size(self):
        for size in ("1KiB", "65535B"):
            with self.subTest(size=size), Stream() as collector:
                records, _ = self.sense("--ipfix", f"127.0.0.1:{collector.port}",
                                        settings={"transport": "tcp", "message_bytes": size})
                wait_until("the end", lambda: collector.sessions)
            (session,) = collector.sessions
            self.same(session.flows, records)
            self.assertEqual(session.missing, 0)

    def test_each_connection_begins_with_templates_and_nothing_comes_twice(self):
        with Stream(1, 4, 0, 3) as collector, self.paced(collector.port, TRANSPORT="tcp", BACKOFF_MAX="100ms") as service:
            wait_until("connections that are hung up on", lambda: len(collector.sessions) > 4 and collector.sessions[-1].flows)
            self.assertEqual(service.stop(), 0, service.text())
            self.assertIn("the collector is lost", service.text())
        flows = [flow for session in collector.sessions for flow in session.flows]
        for session in collector.sessions:
            self.assertEqual(session.missing, 0)  # each counts from 0, and knows by itself how to be read
        seen = collections.Counter((flow["flow_id"], flow["source"], flow["start_ms"], flow["end_ms"]) for flow in flows)
        self.assertEqual([row for row, times in seen.items() if times > 1], [])

    def test_records_wait_for_a_collector_that_comes_later(self):
        port = free_port()
        service = Program(SENSOR, "--read-pcap", self.capture, "--quiet", "--lossless", "--flows-jsonl", self.lines, "--ipfix",
                          f"127.0.0.1:{port}", environment={"NETSCOPE_IPFIX__TRANSPORT": "tcp", "NETSCOPE_IPFIX__BACKOFF_MAX": "200ms"})
        with service:
            wait_until("it says so", lambda: "no collector" in service.text())
            with Stream(port=port) as collector:
                self.assertEqual(service.process.wait(timeout=60 * PATIENCE), 0, service.text())
        with open(self.lines, encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        self.same(collector.sessions[-1].flows, records)

    # ---- trouble ----

    def test_refused_datagrams_are_counted_and_told(self):
        _, said = self.sense("--ipfix", f"127.0.0.1:{free_port()}")
        self.assertIn("nobody listens there", said)
        failed = int(re.search(r"failed=(\d+)", said).group(1))
        sent = int(re.search(r"sent=(\d+)", said).group(1))
        self.assertGreater(failed, sent)

    def test_an_end_does_not_wait_for_a_collector_that_is_not_there(self):
        begin = time.monotonic()
        done = subprocess.run([SENSOR, "--read-pcap", self.capture, "--quiet", "--ipfix", f"127.0.0.1:{free_port()}"],
                              capture_output=True, text=True, timeout=60 * PATIENCE,
                              env=clean_environment({"NETSCOPE_IPFIX__TRANSPORT": "tcp", "NETSCOPE_PIPELINE__FLUSH_TIMEOUT": "1s"}))
        self.assertLess(time.monotonic() - begin, 20 * PATIENCE)
        self.assertIn("records not delivered", done.stderr)
        self.assertIn("refused", done.stderr)

    def test_settings_that_make_no_sense_are_refused_by_name(self):
        for settings, words in (({"collectors": "10.0.0.1"}, "write host:4739"),
                                ({"collectors": "a:1,b:1,c:1,d:1,e:1"}, "at most 4"),
                                ({"collectors": "a:1,a:1"}, "twice"),
                                ({"collectors": "a:70000"}, "no address"),
                                ({"message_bytes": "1000B"}, "message_bytes"),
                                ({"message_bytes": "65535B"}, "65507"),
                                ({"filter": "app ="}, "ipfix.filter: column 6: expected"),
                                ({"transport": "sctp"}, "udp")):
            with self.subTest(settings=settings):
                done = subprocess.run([SENSOR, "--check-config"], capture_output=True, text=True, timeout=60,
                                      env=clean_environment({f"NETSCOPE_IPFIX__{key.upper()}": value for key, value in
                                                             settings.items()}))
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(words, done.stderr)

    # ---- other collectors ----

    def test_tshark_reads_every_field(self):
        if shutil.which("tshark") is None:
            self.skipTest("tshark is not installed")
        for biflow in ("false", "true"):
            with self.subTest(biflow=biflow), Datagrams() as collector:
                self.sense("--ipfix", f"127.0.0.1:{collector.port}", settings={"biflow": biflow})
            session = collector.session
            shown = self.tshark(session.messages, "-T", "fields", "-E", "aggregator=,", "-e", "cflow.packets", "-e", "cflow.octets",
                                "-e", "_ws.malformed", "-e", "_ws.expert.severity", "-e", "cflow.sequence")
            packets = [int(n, 0) for line in shown for n in line.split("\t")[0].split(",") if n]
            octets = [int(n, 0) for line in shown for n in line.split("\t")[1].split(",") if n]
            kinds = ("packets", "reverse_packets") if biflow == "true" else ("packets",)
            self.assertEqual(sum(packets), sum(flow[kind] for flow in session.flows for kind in kinds))
            self.assertEqual(len(octets), len(packets))
            for line in shown:
                self.assertEqual(line.split("\t")[2:4], ["", ""], line)
        names = " ".join(self.tshark(session.messages[:3], "-V"))
        for words in ("observationDomainId", "FlowEndReason", "ApplicationName", "Layer2OctetDeltaCount", "http"):
            self.assertIn(words.lower(), names.lower())
        self.assertNotIn("unknown", names.lower())

    def tshark(self, messages, *arguments):
        path = os.path.join(self.folder, "ipfix.pcap")
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
            for message in messages:
                udp = struct.pack("!HHHH", 40000, 4739, 8 + len(message), 0) + message
                ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1") + udp
                file.write(struct.pack("<IIII", 1, 0, len(ip), len(ip)) + ip)
        done = subprocess.run(["tshark", "-r", path, "-o", "udp.check_checksum:FALSE", "-o", "ip.check_checksum:FALSE",
                               "-d", "udp.port==4739,cflow", *arguments], capture_output=True, text=True, timeout=120 * PATIENCE,
                              env={**os.environ, "HOME": self.folder})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_nfcapd_stores_the_same_flows_packets_and_bytes(self):
        if shutil.which("nfcapd") is None or shutil.which("nfdump") is None:
            self.skipTest("nfdump is not installed")
        store = os.path.join(self.folder, "nf")
        os.mkdir(store)
        port = free_port()
        with Program("nfcapd", "-w", store, "-p", port, "-b", "127.0.0.1", "-t", "3600") as nfcapd:
            wait_until("nfcapd", lambda: "Startup" in nfcapd.text() or glob.glob(os.path.join(store, "nfcapd*")))
            time.sleep(0.5)
            records, said = self.sense("--ipfix", f"127.0.0.1:{port}", settings={"rate": 5000})
            self.assertNotIn("nobody listens", said)
            time.sleep(0.5)
            nfcapd.stop()
        shown = subprocess.run(["nfdump", "-R", store, "-I"], capture_output=True, text=True, timeout=60, check=True).stdout
        sums = {key: int(value) for key, value in re.findall(r"^(\w+): (\d+)$", shown, re.M)}
        rows = [row for record in records for row in told(record)]
        self.assertEqual((sums["Flows"], sums["Packets"], sums["Bytes"]),
                         (len(rows), sum(row[6] for row in rows), sum(row[7] for row in rows)))
        self.assertEqual(sums["Packets_tcp"], sum(row[6] for row in rows if row[5] == 6))
        self.assertEqual(sums["Flows_udp"], sum(1 for row in rows if row[5] == 17))


def time_ns(text):
    """RFC 3339 with up to nine digits."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0") or 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
