#!/usr/bin/env python3
"""Who is who on the links of the fleet: what sensors find out by ARP, neighbour discovery and DHCP is known to the
collector, as each sensor says it, by gRPC and REST; it outlasts sensors and the collector's restart, and a sensor that
sends rubbish changes nothing of it. Real programs on captures of the corpus.

Without python3-grpcio and the corpus: 77.
"""
import json
import os
import signal
import struct
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]

from support.programs import CORPUS, SENSOR, SKIPPED, Program, ethernet, free_port, main, metrics, udp, wait_until, write_pcap

try:
    import grpc
    from support.foreign_stream import WELCOME, Stream, hello, number, text
    from support.grpc_client import Client
except ImportError as error:
    print(f"SKIP: {error}")
    sys.exit(SKIPPED)
CAPTURES = ("dhcp--dhcp-4pkts.pcapng", "dhcp--dhcpv6.pcap", "app--mixed-26flows.pcap")
if not all(os.path.exists(os.path.join(CORPUS, name)) for name in CAPTURES):
    print("SKIP: NETSCOPE_CORPUS has no captures with DHCP")
    sys.exit(SKIPPED)

from fleet import Collector


def arp(mac, address, target, operation=2):
    octets = bytes.fromhex(mac.replace(":", ""))
    packed = [bytes(map(int, one.split("."))) for one in (address, target)]
    return ethernet(struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + octets + packed[0] + bytes(6) + packed[1], 0x0806)


def plain(asset):
    """Without what differs from one moment or place to the next."""
    return {key: value for key, value in asset.items()
            if key not in ("sensor_id", "first_time", "last_time", "sightings") and value not in ("", False, 0, "0")}


class Assets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.collector = Collector(self.folder)
        self.addCleanup(self.collector.close)

    def sensor(self, name, *captures, arguments=(), **environment):
        program = Program(SENSOR, "--read-pcap", ",".join(captures), "--quiet", "--sensor-id", name, *arguments,
                          "--collector", f"127.0.0.1:{self.collector.ingest}",
                          environment={"NETSCOPE_COLLECTOR__ASSETS_INTERVAL": "1s", "NETSCOPE_GRPC__LISTEN": "127.0.0.1:0",
                                       "NETSCOPE_HTTP__PORT": "0", **environment})
        self.addCleanup(program.__exit__)
        return program

    def replay(self, name, *captures):
        """To its end."""
        program = self.sensor(name, *captures)
        self.assertEqual(program.process.wait(timeout=60), 0, program.text()[-2000:])

    def ask(self, **fields):
        return self.collector.fetch(f"/v1/assets?{urllib.parse.urlencode(fields)}")

    def all(self, **fields):
        """Every page."""
        rows, token = [], ""
        while True:
            answer = self.ask(**fields, **({"page_token": token} if token else {}))
            rows += answer.get("assets", [])
            token = answer.get("next_page_token", "")
            if not token:
                self.assertEqual(answer["total"], len(rows))
                return rows

    def metric(self, name):
        return metrics(f"http://127.0.0.1:{self.collector.http}/metrics")[f"netscope_collector_{name}"]

    def test_what_the_sensor_says_is_what_the_collector_says(self):
        port = free_port()
        own = []
        for i, name in enumerate(CAPTURES[:2]):  # the third takes hours at its own speed
            capture = os.path.join(CORPUS, name)
            self.replay(f"edge-{i}", capture)
            shown = Program(SENSOR, "--read-pcap", capture, "--quiet", "--sensor-id", "x", "--pace", "--loop",
                            environment={"NETSCOPE_HTTP__PORT": str(port), "NETSCOPE_GRPC__LISTEN": "127.0.0.1:0"})
            with shown:
                def told():
                    try:
                        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/assets?page_size=1000", timeout=5) as answer:
                            return [plain(asset) for asset in json.load(answer).get("assets", [])]
                    except (urllib.error.URLError, OSError):
                        return []
                wanted = [plain(asset) for asset in self.all(**{"sensor_selector.sensor_ids": f"edge-{i}"})]
                self.assertGreater(len(wanted), 0)
                self.assertEqual(wait_until("what the sensor says", lambda: told() == wanted and wanted, 30), wanted)
                own.append(wanted)
        self.assertTrue(any(asset.get("is_dhcp_server") for asset in own[0]), own[0])
        self.assertTrue(any("ASSET_SOURCE_DHCPV6" in asset["sources"] for asset in own[1]), own[1])
        self.replay("edge-2", os.path.join(CORPUS, CAPTURES[2]))
        rows = self.all()
        self.assertTrue(any(row["host_name"] and row["ip"] for row in rows), rows)
        self.assertEqual({row["sensor_id"] for row in rows}, {"edge-0", "edge-1", "edge-2"})
        for row in rows:
            self.assertTrue(row["first_time"] <= row["last_time"])
        # by gRPC the same as by REST
        client = Client(self.collector.ingest)
        by_grpc = client.ask("SensorService/ListAssets", {"page_size": 1000})
        self.assertEqual([plain(asset) for asset in by_grpc["assets"]], [plain(row) for row in rows])
        self.assertEqual(by_grpc["coverage"]["sensors_asked"], 3)

    def test_pages_addresses_and_words(self):
        frames = [(i * 0.01, arp(f"02:00:00:00:01:{i:02x}", f"10.1.0.{i + 1}", "10.1.0.254")) for i in range(9)]
        frames += [(1, arp("02:00:00:00:02:07", "10.1.0.7", "10.1.0.254"))]  # another MAC for one address
        self.replay("a", write_pcap(f"{self.folder}/a.pcap", frames))
        self.replay("b", write_pcap(f"{self.folder}/b.pcap", [(0, arp("02:00:00:00:01:06", "10.1.0.7", "10.1.0.254"))]))
        self.replay("c", os.path.join(CORPUS, CAPTURES[2]))
        rows = self.all(page_size=3)
        self.assertEqual(rows, self.all(page_size=1000))
        self.assertEqual([row["sensor_id"] for row in rows], sorted(row["sensor_id"] for row in rows))
        self.assertEqual(sum(row["sensor_id"] == "a" for row in rows), 10)
        seven = self.all(address="10.1.0.7")
        self.assertEqual([(row["sensor_id"], row["mac"]) for row in seven],
                         [("a", "02:00:00:00:01:06"), ("a", "02:00:00:00:02:07"), ("b", "02:00:00:00:01:06")])
        self.assertEqual([row["sensor_id"] for row in self.all(address="02:00:00:00:01:06")], ["a", "b"])
        self.assertEqual(len(self.all(search="00:01:0")), 10)
        name = next(row["host_name"] for row in rows if row.get("host_name"))
        found = self.all(search=name[1:-1].upper())
        self.assertEqual({row["host_name"] for row in found}, {name})
        self.assertEqual(self.all(search="nothing like it"), [])
        for wrong in ({"address": "10.1.0"}, {"page_token": "x"}, {"search": "x" * 65}, {"page_size": 1001},
                      {"page_token": "f" * 63}):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.ask(**wrong)
            self.assertEqual(refused.exception.code, 400)
            refused.exception.close()
        self.assertEqual(self.ask(page_token="f" * 64).get("assets", []), [])  # of nobody

    def test_news_of_a_running_sensor_and_a_restart_of_the_collector(self):
        frames = [(0, arp("02:00:00:00:01:01", "10.1.0.1", "10.1.0.254"))]
        frames += [(0.2 * i, udp("10.1.0.1", 4000, "10.1.0.2", 514, b"x")) for i in range(1, 15)]
        frames += [(3.5, arp("02:00:00:00:01:02", "10.1.0.2", "10.1.0.254"))]
        frames += [(4 + 0.2 * i, udp("10.1.0.1", 4000, "10.1.0.2", 514, b"x")) for i in range(1000)]
        sensor = self.sensor("live", write_pcap(f"{self.folder}/slow.pcap", frames), arguments=("--pace",))
        wait_until("the first one", lambda: len(self.all()) == 1, 30)
        wait_until("the second one", lambda: len(self.all()) == 2, 30)
        before = [plain(row) for row in self.all()]
        sensor.stop(signal.SIGKILL)
        self.assertEqual(self.collector.program.stop(), 0)
        self.collector.start()
        self.assertEqual([plain(row) for row in self.all()], before)  # though no sensor is there
        self.assertEqual(self.collector.program.stop(), 0)
        with open(f"{self.folder}/store/assets", "r+b") as file:
            file.truncate(os.path.getsize(file.name) - 3)
        self.collector.start()
        self.assertEqual(self.all(), [])
        self.assertTrue(os.path.exists(f"{self.folder}/store/assets.damaged"))

    def test_a_stream_that_breaks_is_told_all_again(self):
        frames = [(i * 0.01, arp(f"02:00:00:00:01:{i:02x}", f"10.1.0.{i + 1}", "10.1.0.254")) for i in range(200)]
        frames += [(2 + 0.2 * i, udp("10.1.0.1", 4000, "10.1.0.2", 514, b"x")) for i in range(1000)]
        self.sensor("live", write_pcap(f"{self.folder}/many.pcap", frames), arguments=("--pace",))
        wait_until("all", lambda: self.ask()["total"] == 200, 30)
        self.collector.program.stop(signal.SIGKILL)  # its file is not written
        self.collector.start()
        wait_until("all again", lambda: self.ask()["total"] == 200, 60)

    def test_a_sensor_is_not_trusted(self):
        asset = text(4, "02:00:00:00:01:01") + text(3, "10.1.0.1") + text(1, "eth0") + number(13, 1)
        bad = [text(4, "02:00"), text(3, "10.1.0.1"), asset + text(5, "x" * 65), asset + text(5, b"\xff"),
               asset + text(5, "a\x1b[31m"), text(4, "02:00:00:00:01:01") + text(3, "10.1.0.1.2"), asset + number(2, 4096),
               asset + number(5, 1), b"\x0a\xff"]
        stream = Stream(self.collector.ingest).send(hello("evil"))
        self.addCleanup(stream.close)
        welcome = dict(stream.receive(WELCOME))
        self.assertEqual(welcome[8], 1)
        for one in bad:
            stream.send(text(10, text(1, one)))
        stream.send(text(10, b"\x0a\xff\x01"))
        wait_until("all of it", lambda: self.metric("assets_malformed_total") == len(bad) + 1)
        self.assertEqual(self.ask()["total"], 0)
        stream.send(text(10, text(1, asset + text(5, "<script>") + text(14, "somebody else") + text(99, "later"))))
        wait_until("what is right", lambda: self.ask()["total"] == 1)
        row = self.ask()["assets"][0]
        self.assertEqual((row["sensor_id"], row["host_name"]), ("evil", "<script>"))

    def test_limits(self):
        self.collector.program.stop()
        self.collector.environment = {"NETSCOPE_COLLECTOR_ASSETS__MAX": "20", "NETSCOPE_COLLECTOR_ASSETS__SENSOR_MAX": "15"}
        self.collector.start()
        frames = [(i * 0.01, arp(f"02:00:00:00:01:{i:02x}", f"10.1.0.{i + 1}", "10.1.0.254")) for i in range(50)]
        capture = write_pcap(f"{self.folder}/many.pcap", frames)
        self.replay("greedy", capture)
        self.assertEqual(self.ask()["total"], 15)
        self.assertEqual(self.metric("assets_replaced_total"), 35)
        self.replay("small", write_pcap(f"{self.folder}/few.pcap", frames[:10]))
        rows = self.all()
        self.assertEqual(len(rows), 20)
        self.assertEqual(sum(row["sensor_id"] == "small" for row in rows), 10)  # the greedy one made room
        self.collector.program.stop()
        self.collector.environment = {"NETSCOPE_COLLECTOR_ASSETS__MAX": "0"}
        self.collector.start()
        self.replay("small", capture)
        self.assertEqual(self.all(), [])


if __name__ == "__main__":
    main()
