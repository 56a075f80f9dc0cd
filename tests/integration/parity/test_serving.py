"""What the seed served: the eight names of /metrics, /api/health, the dashboard, the feed, and the flags of its server. Where
figures are compared, the capture has come to rest: one packet is due long after the others."""
import base64
import json
import os
import ssl
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support.live_client import LiveClient
from support.programs import (ACK, COLLECTOR, PATIENCE, ROOT, SENSOR, SYN, Program, answers, free_port, get, get_json, main, metrics,
                              run, tcp, udp, wait_until, write_pcap)
from support.service import capture

COUNTERS = ("netscope_capture_bytes_total", "netscope_capture_packets_total", "netscope_dispatch_drops_total",
            "netscope_kernel_drops_total", "netscope_kernel_if_drops_total")
GAUGES = ("netscope_build_info", "netscope_uptime_seconds", "netscope_active_flows")


def resting():
    """Three flows of seven packets within half a second, and one packet ten minutes later."""
    frames = [(0.0, tcp("10.0.0.1", 1000, "10.0.0.9", 80, SYN, 1)), (0.1, tcp("10.0.0.9", 80, "10.0.0.1", 1000, SYN | ACK, 1, 2)),
              (0.2, tcp("10.0.0.1", 1000, "10.0.0.9", 80, ACK, 2, 2))]
    frames += [(0.2 + i / 20, udp("10.0.0.2", 2000 + i // 2, "10.0.0.9", 9, b"x" * 100)) for i in range(4)]
    return frames + [(600.0, udp("10.0.0.2", 1, "10.0.0.9", 9))]


def family(url, name):
    """Sum over the labels."""
    found = [value for key, value in metrics(url).items() if key.split("{")[0] == name]
    assert found, f"{name} is not at {url}"
    return sum(found)


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-serving-")
        cls.frames = resting()
        pcap = write_pcap(os.path.join(cls.folder.name, "x.pcap"), cls.frames)
        cls.collector = Collector(cls.folder.name)
        port = free_port()
        cls.sensor = Program(SENSOR, "--read-pcap", pcap, "--pace", "--quiet", "--sensor-id", "edge-1", "--collector",
                             f"127.0.0.1:{cls.collector.ingest}",
                             environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "on",
                                          "NETSCOPE_HTTP__PORT": str(port), "NETSCOPE_FLOW__IDLE_TIMEOUT": "1h"})
        cls.urls = {"sensor": f"http://127.0.0.1:{port}", "collector": f"http://127.0.0.1:{cls.collector.http}"}
        cls.captured = cls.frames[:-1]
        for url in cls.urls.values():
            wait_until(f"all packets at {url}", lambda: answers(f"{url}/healthz") and
                       family(f"{url}/metrics", "netscope_capture_packets_total") == len(cls.captured), 30)

    @classmethod
    def tearDownClass(cls):
        cls.sensor.stop()
        cls.sensor.__exit__()
        cls.collector.program.stop()
        cls.collector.close()
        cls.folder.cleanup()

    def test_the_eight_names_are_of_the_kind_that_they_were(self):
        for who, url in self.urls.items():
            page = get(f"{url}/metrics")
            for names, kind in ((COUNTERS, "counter"), (GAUGES, "gauge")):
                for name in names:
                    self.assertIn(f"# TYPE {name} {kind}\n", page, who)
                    self.assertRegex(page, rf"(?m)^{name}(\{{.*\}})? [0-9]", who)

    def test_packets_and_bytes_are_those_of_the_capture(self):
        for who, url in self.urls.items():
            self.assertEqual(family(f"{url}/metrics", "netscope_capture_packets_total"), len(self.captured), who)
            self.assertEqual(family(f"{url}/metrics", "netscope_capture_bytes_total"), sum(len(f) for _, f in self.captured), who)

    def test_nothing_was_dropped_and_time_goes_by(self):
        for who, url in self.urls.items():
            for name in COUNTERS[2:]:
                self.assertEqual(family(f"{url}/metrics", name), 0, (who, name))
            before = family(f"{url}/metrics", "netscope_uptime_seconds")
            wait_until("later", lambda: before < family(f"{url}/metrics", "netscope_uptime_seconds") < before + 60 * PATIENCE)

    def test_active_flows_are_those_alive(self):
        for who, url in self.urls.items():
            wait_until(f"the three flows at the {who}", lambda: family(f"{url}/metrics", "netscope_active_flows") == 3)

    def test_the_version_is_a_label(self):
        version = run(SENSOR, "--version").stdout.split()[1]
        for who, url in self.urls.items():
            found = [key for key, value in metrics(f"{url}/metrics").items() if key.startswith("netscope_build_info") and value == 1]
            self.assertEqual(len(found), 1, who)
            self.assertIn(f'version="{version}"', found[0])

    def test_api_health_says_what_healthz_says(self):
        for who, url in self.urls.items():
            self.assertEqual(get(f"{url}/api/health"), get(f"{url}/healthz"), who)
            self.assertEqual(get_json(f"{url}/api/health"), {"status": "ok"}, who)

    def test_the_dashboard_is_at_the_root_of_the_collector(self):
        self.assertIn("<title>NetScope</title>", get(self.urls["collector"] + "/"))

    def test_who_connects_gets_a_frame_and_each_client_its_own_numbers(self):
        for _ in range(2):
            client = LiveClient(self.collector.http)
            try:
                client.say(t="sub", topics={"totals": {}})
                message = client.message()
                while message["t"] != "frame":
                    message = client.message()
                self.assertEqual(message["seq"], 1)
                self.assertEqual(message["totals"]["cum"]["packets"], len(self.captured))
                later = client.message()
                while later["t"] != "frame":
                    later = client.message()
                self.assertEqual(later["seq"], 2)
            finally:
                client.close()


TOKEN = "of-a-machine-0123456789"  # the fleet's API gives packets to whoever has one


class Feed(unittest.TestCase):
    """web.tick_ms, top_n, packet_buffer, payload_bytes and sample_rate do what they say."""

    def fleet_packet(self, collector, packet):
        request = urllib.request.Request(f"http://127.0.0.1:{collector.http}/v1/fleet/packets/{packet}",
                                         headers={"Authorization": f"Bearer {TOKEN}"})
        return json.loads(get(request))["packet"]

    def start(self, settings):
        temporary = tempfile.TemporaryDirectory(prefix="netscope-feed-")
        self.addCleanup(temporary.cleanup)
        tokens = os.path.join(temporary.name, "tokens")
        with open(tokens, "w", encoding="utf-8") as out:
            out.write(f"machine all {TOKEN}\n")
        os.chmod(tokens, 0o600)
        config = os.path.join(temporary.name, "collector.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write("web:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()) + "store:\n  commit_interval: 100ms\n"
                      f"grpc:\n  token_file: {tokens}\n")
        collector = Collector(temporary.name, arguments=("--config", config))
        self.addCleanup(collector.close)
        sensor = Program(SENSOR, "--read-pcap", write_pcap(os.path.join(temporary.name, "x.pcap"), capture()), "--pace", "--loop",
                         "--quiet", "--collector", f"127.0.0.1:{collector.ingest}",
                         environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"})
        self.addCleanup(sensor.__exit__)
        return collector

    def frames(self, collector, topics, wanted):
        """(hello, the first frame that is wanted of the next hundred)."""
        client, hello = LiveClient(collector.http), None
        self.addCleanup(client.close)
        client.say(t="sub", rate_hz=30, topics=topics)
        for _ in range(100):
            message = client.message()
            hello = message if message["t"] == "hello" else hello
            if message["t"] == "frame":
                client.say(t="ack", seq=message["seq"])
            if message["t"] == "frame" and wanted(message):
                return hello, message
        self.fail("no such frame among a hundred messages")

    def test_settings_of_the_feed_and_of_packets(self):
        collector = self.start({"tick_ms": 100, "top_n": 2, "packet_buffer": 5, "payload_bytes": 20})
        hello, frame = self.frames(collector, {"totals": {}, "flows": {}},
                                   lambda frame: frame["win_ms"] < 500 and len(frame["flows"]["id"]) == 2)
        self.assertEqual((hello["tick_ms"], hello["min_tick_ms"], hello["caps"]["packets"]), (100, 100, True))
        self.assertEqual(len(frame["flows"]["bps"]), 2)
        url = f"http://127.0.0.1:{collector.http}/v1/packets"
        listed = wait_until("more samples than are kept", lambda: (lambda page: page if page["received"] > 5 else None)(
            get_json(f"{url}?limit=2000")))
        self.assertTrue(1 <= len(listed["packets"]) <= 5, len(listed["packets"]))

        def shown(packet):
            one = get_json(f"{url}/{packet}")
            return one.get("packet", one)

        def longest(of):
            """Of samples that are whole; those that have left the buffer meanwhile are left out."""
            sizes = []
            for packet in get_json(f"{url}?limit=5")["packets"]:
                try:
                    sizes.append(len(base64.b64decode(of(packet["id"])["data"])))
                except urllib.error.HTTPError:
                    continue
            return max(sizes, default=0)

        self.assertEqual(wait_until("a sample", lambda: longest(shown)), 20)
        self.assertEqual(wait_until("one of the fleet's API", lambda: longest(lambda id: self.fleet_packet(collector, id))), 20)

    def test_a_sample_rate_of_0_is_no_packet_feed(self):
        collector = self.start({"sample_rate": 0})
        hello, _ = self.frames(collector, {"totals": {}}, lambda frame: True)
        self.assertFalse(hello["caps"]["packets"])
        for ask in (lambda: get(f"http://127.0.0.1:{collector.http}/v1/packets"), lambda: self.fleet_packet(collector, "x")):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                ask()
            with refused.exception as answer:
                self.assertEqual((answer.code, json.loads(answer.read())["reason"]), (404, "SWITCHED_OFF"))


class Verbosity(unittest.TestCase):
    """-v, -vv and -vvv of the sensor: info, debug, trace. Requests that are refused are told by debug, all by trace."""

    def levels(self, *flags):
        with tempfile.TemporaryDirectory(prefix="netscope-verbosity-") as folder:
            pcap = write_pcap(os.path.join(folder, "x.pcap"), resting())
            port = free_port()
            with Program(SENSOR, "--read-pcap", pcap, "--pace", "--quiet", *flags,
                         environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "on",
                                      "NETSCOPE_HTTP__PORT": str(port)}) as program:
                wait_until("health", lambda: answers(f"http://127.0.0.1:{port}/healthz"))
                with self.assertRaises(urllib.error.HTTPError):
                    get(f"http://127.0.0.1:{port}/no/such?secret=1")
                self.assertEqual(program.stop(), 0, program.text())
                text = program.text()
        self.assertNotIn("secret", text)
        return {level: f"level={level} " in text for level in ("info", "debug", "trace")}, text

    def test_each_v_tells_one_level_more(self):
        found = [self.levels(*flags)[0] for flags in ((), ("-v",), ("-vv",), ("-vvv",))]
        self.assertEqual([list(levels.values()) for levels in found],
                         [[False, False, False], [True, False, False], [True, True, False], [True, True, True]])

    def test_requests_are_told_with_path_and_status(self):
        text = self.levels("-vvv")[1]
        self.assertRegex(text, r'level=debug part=http msg="a request is refused" method=GET path=/no/such status=404 bytes=\d+ peer=127\.')
        self.assertRegex(text, r'level=trace part=http msg="a request is answered" method=GET path=/healthz status=200 bytes=16 peer=127\.')


class Flags(unittest.TestCase):
    """netscope-collector --bind --port --tls-cert --tls-key --auth-user --auth-pass-file."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="netscope-flags-")
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.port = free_port()

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *arguments, bind="127.0.0.1"):
        program = Program(COLLECTOR, "--bind", bind, "--port", self.port, "--ingest-listen", f"127.0.0.1:{free_port()}",
                          "--data-dir", self.path("store"), *arguments)
        self.addCleanup(program.__exit__)
        wait_until("the dashboard", lambda: "dashboard:" in program.text() or not program.is_running())
        self.assertTrue(program.is_running(), program.text())
        return program

    def status(self, url, word=None, context=None):
        head = {} if word is None else {"Authorization": "Basic " + base64.b64encode(f"ann:{word}".encode()).decode()}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=head), timeout=20 * PATIENCE, context=context) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def password(self):
        with open(self.path("password"), "w", encoding="utf-8") as out:
            out.write("correct horse\n")
        os.chmod(self.path("password"), 0o600)
        return self.path("password")

    def test_bind_and_port_are_where_it_serves(self):
        self.start(bind="127.0.0.2")
        self.assertEqual(self.status(f"http://127.0.0.2:{self.port}/v1/sensors"), 200)
        with self.assertRaises(urllib.error.URLError):
            self.status(f"http://127.0.0.1:{self.port}/v1/sensors")

    def test_auth_flags_ask_for_the_password_as_curl_u_sends_it(self):
        self.start("--auth-user", "ann", "--auth-pass-file", self.password())
        url = f"http://127.0.0.1:{self.port}"
        self.assertEqual([self.status(f"{url}/v1/sensors", word) for word in (None, "wrong", "correct horse")], [401, 401, 200])
        self.assertEqual(self.status(f"{url}/metrics"), 401)
        self.assertEqual(self.status(f"{url}/api/health"), 200, "health asks nobody")

    def test_one_of_two_flags_is_told_what_is_missing(self):
        for flags, missing in ((("--auth-user", "ann"), "--auth-pass-file"), (("--tls-cert", self.path("x.pem")), "tls.key_path")):
            done = run(COLLECTOR, "--port", self.port, "--data-dir", self.path("store"), "--check-config", *flags)
            self.assertEqual(done.returncode, 2, (flags, done.stdout, done.stderr))
            self.assertIn(missing, done.stderr)

    def test_tls_flags_serve_https(self):
        subprocess.run(["sh", os.path.join(ROOT, "tests", "support", "certs.sh"), self.folder], check=True, capture_output=True)
        self.start("--tls-cert", self.path("server.pem"), "--tls-key", self.path("server.key"), "--auth-user", "ann",
                   "--auth-pass-file", self.password())
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        url = f"https://127.0.0.1:{self.port}"
        self.assertEqual(self.status(f"{url}/v1/sensors", "correct horse", context), 200)
        self.assertEqual(self.status(f"{url}/v1/sensors", None, context), 401)
        with self.assertRaises(OSError):
            self.status(f"http://127.0.0.1:{self.port}/v1/sensors", "correct horse")


if __name__ == "__main__":
    main()
