"""What the sensor prints for people."""
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import SENSOR, ACK, SYN, clean_environment, dns_query, echo, main, make_traffic, sensor, tcp, udp, write_pcap


class Terminal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.demo, cls.truth = make_traffic(cls.folder.name, "demo")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def line_of(self, frame):
        file = write_pcap(os.path.join(self.folder.name, "one.pcap"), [(0.123456, frame)])
        done = sensor("--read-pcap", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()[0]

    def test_packet_line_has_index_time_and_layers(self):
        line = self.line_of(udp("10.0.0.1", 1000, "10.0.0.2", 2000, b"x"))
        self.assertRegex(line, r"^1 22:13:20\.123456 [^|]+ \| [^|]+ \| [^|]+$")

    def test_packet_line_of_tcp_has_ports_flags_numbers_and_length(self):
        line = self.line_of(tcp("10.0.0.1", 1000, "10.0.0.2", 80, SYN | ACK, 77, 88))
        self.assertRegex(line, r"10\.0\.0\.1 > 10\.0\.0\.2")
        self.assertRegex(line, r"TCP 1000 > 80 \[SYN,ACK\] seq=77 ack=88 .*len=0")

    def test_packet_line_of_icmp_has_the_type(self):
        self.assertRegex(self.line_of(echo("10.0.0.1", "10.0.0.2")), r"(?i)ICMP .*echo")

    def test_packet_line_of_dns_has_the_name(self):
        line = self.line_of(udp("10.0.0.1", 1000, "10.0.0.2", 53, dns_query("www.example.com")))
        self.assertRegex(line, r"\| DNS .*www\.example\.com")

    def test_packet_line_of_tls_has_the_server_name(self):
        out = sensor("--read-pcap", self.demo, "-f", "tcp dst port 443", "-c", 300).stdout
        self.assertRegex(out, r"TLS ClientHello sni=[a-z]+\.site-\d+\.example\.(com|net|org)")

    def test_stats_line_has_rates_flows_and_drops(self):
        out = sensor("--read-pcap", self.demo, "--quiet", "--stats").stdout
        self.assertRegex(out, r"(?m)^\[stats\] \d+\.\d\d Mbps \| \d+ pps \| \d+ flows \| drops=\d+ \(total=\d+\) \| "
                              r"kdrop=\d+ \(total=\d+\) ifdrop=\d+ \(total=\d+\)$")

    def test_alert_line(self):
        self.assertRegex(sensor("--read-pcap", self.demo, "--quiet").stdout, r"(?m)^\[alert\] \S")

    def test_summary_at_the_end(self):
        out = sensor("--read-pcap", self.demo, "--quiet").stdout
        self.assertRegex(out, rf"(?m)^packets captured: {self.truth['packets']}\b")
        self.assertRegex(out, r"(?m)^dispatch drops: 0$")
        self.assertRegex(out, r"(?m)^kernel drops: 0, interface drops: 0$")
        self.assertRegex(out, r"(?m)^parse errors: 0\b")

    def test_human_text_leaves_stdout_to_an_output_that_wants_it(self):
        done = sensor("--read-pcap", self.demo, "--quiet", "--stats", "--flows-jsonl", "-")
        self.assertTrue(all(line.startswith("{") for line in done.stdout.splitlines()))
        self.assertIn("packets captured", done.stderr)

    def test_a_wrong_header_checksum_is_a_mark_and_never_a_drop(self):
        line = self.line_of(tcp("10.0.0.1", 1, "10.0.0.2", 2, SYN, 1, broken_checksum=True))
        self.assertRegex(line, r"(?i)checksum|cksum")
        self.assertIn("TCP 1 > 2", line)

    def test_bytes_in_names_cannot_reach_the_terminal(self):
        name = "a\x1b[31m.example"
        line = self.line_of(udp("10.0.0.1", 1000, "10.0.0.2", 53, dns_query(name)))
        self.assertFalse(re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line), repr(line))

    def progress_of(self, *arguments):
        """What stderr shows, as a terminal, of a run whose packet lines nobody takes for a while."""
        ours, theirs = pty.openpty()
        with subprocess.Popen([SENSOR, "--read-pcap", self.demo, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=theirs, env=clean_environment()) as process:
            os.close(theirs)
            shown, until = b"", time.monotonic() + 1.5
            while time.monotonic() < until and process.poll() is None:
                if select.select([ours], [], [], 0.1)[0]:
                    shown += os.read(ours, 4096)
            process.stdout.read()
            self.assertEqual(process.wait(60), 0)
        while select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 4096)
            except OSError:
                break
        os.close(ours)
        return shown.decode()

    def test_reading_a_file_shows_share_rate_and_time_left_on_a_terminal(self):
        shown = self.progress_of()
        self.assertRegex(shown, r"\r *\d+ %  [\d.]+ ?[kM]? ?packets/s  [\d.]+ [kMG]?B/s")
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown[-40:]))

    def test_quiet_shows_no_progress(self):
        self.assertNotIn("packets/s", self.progress_of("--quiet", "--flows-jsonl", "-"))


if __name__ == "__main__":
    main()
