"""The configuration keys of the parity table: each is read from YAML, printed again, and refused when wrong.

One test a key, made from the rows below: (key, value, what --print-config says, a value that must be refused).
"""
import os
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import COLLECTOR, SENSOR, json_lines, main, make_traffic, run, sensor, udp, write_pcap

ROWS = [
    ("capture.interface", "lo", "lo", None),
    ("capture.read_pcap", "some.pcap", "[some.pcap]", None),
    ("capture.promiscuous", "false", "false", "maybe"),
    ("capture.snaplen", "256", "256", "1"),
    ("capture.timeout_ms", "50", "timeout: 50ms", "-1"),
    ("capture.buffer_size_mb", "64", "buffer_size: 64MiB", "many"),
    ("capture.immediate_mode", "true", "true", "2"),
    ("capture.headers_only", "true", "true", "2"),
    ("capture.filter", "tcp port 80", "tcp port 80", None),
    ("run.count", "7", "7", "-7"),
    ("output.write_pcap", "w.pcap", "w.pcap", None),
    ("output.write_pcap_rotate_mb", "5", "write_pcap_rotate: 5000000B", "x"),
    ("output.write_pcap_max_files", "4", "4", "x"),
    ("output.export_json", "a.json", "a.json", None),
    ("output.export_csv", "a.csv", "a.csv", None),
    ("output.expired_flows_jsonl", "e.jsonl", "e.jsonl", None),
    ("output.hex_dump", "true", "true", "x"),
    ("output.quiet", "true", "true", "x"),
    ("flow.timeout_secs", "30.5", "idle_timeout: 30500ms", "x"),
    ("flow.max_flows", "1000", "1000", "x"),
    ("stats.enabled", "true", "true", "x"),
    ("stats.interval_ms", "500", "interval: 500ms", "0"),
    ("stats.top_flows", "5", "5", "1000"),
    ("analysis.rtt", "false", "false", "x"),
    ("analysis.retrans", "false", "false", "x"),
    ("analysis.out_of_order", "false", "false", "x"),
    ("analysis.alerts_jsonl", "al.jsonl", "al.jsonl", None),
    ("analysis.anomalies.enabled", "false", "false", "x"),
    ("analysis.anomalies.syn_flood.enabled", "false", "false", "x"),
    ("analysis.anomalies.syn_flood.window_secs", "6", "window: 6s", "0"),
    ("analysis.anomalies.syn_flood.syn_threshold", "300", "300", "0"),
    ("analysis.anomalies.syn_flood.unique_src_threshold", "60", "60", "0"),
    ("analysis.anomalies.syn_flood.cooldown_secs", "20", "cooldown: 20s", "0"),
    ("analysis.anomalies.port_scan.enabled", "false", "false", "x"),
    ("analysis.anomalies.port_scan.window_secs", "12", "window: 12s", "0"),
    ("analysis.anomalies.port_scan.unique_ports_threshold", "30", "30", "1"),
    ("analysis.anomalies.port_scan.unique_hosts_threshold", "12", "12", "1"),
    ("analysis.anomalies.port_scan.cooldown_secs", "40", "cooldown: 40s", "0"),
    ("pipeline.enabled", "true", "true", "x"),
    ("pipeline.workers", "3", "3", "9"),
    ("pipeline.channel_capacity", "8192", "8192", "1"),
]
COLLECTOR_ROWS = [
    ("web.bind", "127.0.0.2", "127.0.0.2", None),
    ("web.port", "8090", "8090", "70000"),
    ("web.tick_ms", "500", "tick: 500ms", "15"),
    ("web.top_n", "20", "20", "x"),
    ("web.packet_buffer", "3000", "3000", "x"),
    ("web.sample_rate", "0", "0", "x"),
    ("web.payload_bytes", "64", "64", "257"),
    ("web.tls.enabled", "false", "false", "x"),
    ("web.tls.cert_path", "c.pem", "c.pem", None),
    ("web.tls.key_path", "k.pem", "k.pem", None),
    ("web.auth.enabled", "false", "false", "x"),
    ("web.auth.username", "admin", "admin", None),
    ("web.auth.password_file", "p.txt", "p.txt", None),
]
DEFAULTS = {
    "analysis.anomalies.syn_flood": {"window": "5s", "syn_threshold": "200", "unique_src_threshold": "50", "cooldown": "10s"},
    "analysis.anomalies.port_scan": {"window": "10s", "unique_ports_threshold": "25", "cooldown": "30s"},
    "pipeline": {"channel_capacity": "4096"},
    "analysis": {"rtt": "true", "retrans": "true", "out_of_order": "true"},
}


def yaml_of(key, value):
    parts = key.split(".")
    lines = [f"{'  ' * depth}{part}:" for depth, part in enumerate(parts)]
    lines[-1] += f" {value}"
    return "\n".join(lines) + "\n"


def printed(text, key):
    """`name: value` lines of the section of `key`."""
    path, found = [], []
    for line in text.splitlines():
        match = re.match(r"( *)([a-z0-9_]+):(.*)$", line.split(" #")[0].rstrip())
        if not match:
            continue
        path = [p for p in path if p[0] < len(match.group(1))] + [(len(match.group(1)), match.group(2))]
        if ".".join(p[1] for p in path[:-1]) == key.rsplit(".", 1)[0]:
            found.append(f"{match.group(2)}:{match.group(3)}".replace('"', "").replace("'", ""))
    return found


class Keys(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = os.path.join(self.folder.name, "settings.yaml")

    def tearDown(self):
        self.folder.cleanup()

    def print_config(self, program, text, **options):
        with open(self.file, "w", encoding="utf-8") as out:
            out.write(text)
        return run(program, "--config", self.file, "--print-config", **options)

    def check(self, program, key, value, shown, wrong):
        done = self.print_config(program, yaml_of(key, value))
        self.assertEqual(done.returncode, 0, done.stderr)
        wanted = shown if ": " in shown else f"{key.rsplit('.', 1)[1]}: {shown}"
        self.assertIn(wanted, printed(done.stdout, key))
        if wrong is not None:
            done = self.print_config(program, yaml_of(key, wrong))
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertRegex(done.stderr, rf"settings\.yaml:{key.count('.') + 1}\b")

    def test_unknown_key_is_refused_with_place_and_nearest_name(self):
        done = self.print_config(SENSOR, "capture:\n  snaplan: 100\n")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"settings\.yaml:2\b")
        self.assertIn("snaplan", done.stderr)
        self.assertIn("snaplen", done.stderr)

    def test_defaults_are_the_table_s(self):
        text = sensor("--print-config").stdout
        for section, values in DEFAULTS.items():
            lines = printed(text, section + ".x")
            for name, value in values.items():
                self.assertIn(f"{name}: {value}", lines, section)

    def test_defaults_of_the_collector_are_the_table_s(self):
        lines = printed(run(COLLECTOR, "--print-config").stdout, "web.x")
        for value in ("port: 8080", "tick: 1s", "top_n: 10", "packet_buffer: 2000", "sample_rate: 1",
                      "payload_bytes: 256"):
            self.assertIn(value, lines)

    def test_the_smallest_tick_is_that_of_60_frames_a_second(self):
        done = self.print_config(COLLECTOR, "web:\n  tick_ms: 16\n")
        self.assertIn("tick: 16ms", printed(done.stdout, "web.x"), done.stderr)

    def test_units_are_read_in_both_forms(self):
        for text in ("capture:\n  timeout: 50ms\n", "capture:\n  timeout_ms: 50\n"):
            self.assertIn("timeout: 50ms", printed(self.print_config(SENSOR, text).stdout, "capture.x"))
        for text in ("flow:\n  idle_timeout: 30s\n", "flow:\n  timeout_secs: 30\n"):
            self.assertIn("idle_timeout: 30s", printed(self.print_config(SENSOR, text).stdout, "flow.x"))

    def test_keys_of_anomalies_decide_which_are_told(self):
        demo, _ = make_traffic(self.folder.name, "demo")
        both = {"syn_flood", "port_scan"}
        for keys, wanted in (({}, both), ({"syn_flood.enabled": "false"}, {"port_scan"}), ({"port_scan.enabled": "false"}, {"syn_flood"}),
                             ({"syn_flood.syn_threshold": "1000000"}, {"port_scan"}), ({"enabled": "false"}, set()),
                             ({"port_scan.unique_ports_threshold": "60000", "port_scan.slow_ports_threshold": "60000"}, {"syn_flood"})):
            environment = {f"NETSCOPE_ANALYSIS__ANOMALIES__{key.upper().replace('.', '__')}": value for key, value in keys.items()}
            done = sensor("--read-pcap", demo, "--quiet", "--alerts-jsonl", "-", environment=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual({row["kind"] for row in json_lines(done.stdout)} & both, wanted, keys)

    def test_check_config_says_valid_and_runs_nothing(self):
        with open(self.file, "w", encoding="utf-8") as out:
            out.write("capture:\n  interface: lo\n")
        done = sensor("--config", self.file, "--check-config")
        self.assertEqual((done.returncode, done.stdout), (0, "settings are valid\n"))

    def test_check_config_refuses_addresses_that_would_stop_the_start(self):
        for arguments, reason in ((("--collector", "nocolon"), "neither host:port"),
                                  (("--collector", "far.example:50052"), "would be plaintext"),
                                  (("--grpc-listen", "127.0.0.1"), "grpc.listen"),
                                  (("--grpc-listen", "0.0.0.0:50051"), "needs TLS")):
            done = sensor(*arguments, "--check-config")
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(reason, done.stderr)
        self.assertEqual(sensor("--grpc-listen", "0.0.0.0:50051", "--read-pcap", "x", "--check-config").returncode, 0,
                         "a file is read without a server")

    def test_the_start_refuses_an_open_address_as_wrong_settings(self):
        file = write_pcap(os.path.join(self.folder.name, "x.pcap"), [(0, udp("10.0.0.1", 1, "10.0.0.2", 2, b"x"))])
        for key, value in (("NETSCOPE_GRPC__LISTEN", "0.0.0.0:0"), ("NETSCOPE_HTTP__BIND", "0.0.0.0")):
            done = sensor("--read-pcap", file, "--quiet", environment={
                "NETSCOPE_GRPC__ENABLED": "on", "NETSCOPE_GRPC__LISTEN": "127.0.0.1:0", "NETSCOPE_HTTP__ENABLED": "on",
                "NETSCOPE_GRPC__UNIX_SOCKET": "", "NETSCOPE_HTTP__PORT": "0", key: value})
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("other than loopback needs TLS", done.stderr)
        done = run(COLLECTOR, "--bind", "0.0.0.0", "--ingest-listen", "127.0.0.1:0", "--data-dir", os.path.join(self.folder.name, "data"))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("needs TLS and a login", done.stderr)

    def test_printed_settings_are_read_again(self):
        first = sensor("--print-config").stdout
        self.assertEqual(self.print_config(SENSOR, first).stdout, first)

    def test_inline_password_is_refused_and_said_why(self):
        if not os.access(COLLECTOR, os.X_OK):
            self.skipTest("netscope-collector is not built")
        done = self.print_config(COLLECTOR, "web:\n  auth:\n    password: secret\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn("password_file", done.stderr)
        self.assertNotIn("secret", done.stderr)


def add_tests(program, rows):
    def make(row):
        def test(self):
            if not os.access(program, os.X_OK):
                self.skipTest(f"{program} is not built")
            self.check(program, *row)
        return test
    for row in rows:
        setattr(Keys, f"test_key_{row[0].replace('.', '_')}", make(row))


add_tests(SENSOR, ROWS)
add_tests(COLLECTOR, COLLECTOR_ROWS)

if __name__ == "__main__":
    main()
