"""The fields of exported flows: one test a field, on a connection whose every figure is known."""
import csv
import io
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import ACK, FIN, PSH, RST, START, SYN, main, sensor, tcp, udp, write_pcap

FIELDS = ["protocol", "endpoint_a", "endpoint_b", "first_seen", "last_seen", "duration_secs", "packets_a_to_b",
          "packets_b_to_a", "bytes_a_to_b", "bytes_b_to_a", "packets_total", "bytes_total", "avg_bps", "tcp_state", "client",
          "retransmissions", "out_of_order", "rtt_last_ms", "rtt_min_ms", "rtt_ewma_ms", "rtt_samples"]
COMPACT = {"NETSCOPE_ANALYSIS__RTT": "false", "NETSCOPE_ANALYSIS__RETRANS": "false",
           "NETSCOPE_ANALYSIS__OUT_OF_ORDER": "false"}
# The server has the smaller address, so the client is endpoint b.
CLIENT, SERVER = ("10.0.0.9", 40000), ("10.0.0.2", 80)
DATA = b"d" * 100


def connection():
    up, down = (*CLIENT, *SERVER), (*SERVER, *CLIENT)
    return [
        (0.000, tcp(*up, SYN, 1000)),
        (0.010, tcp(*down, SYN | ACK, 5000, 1001)),
        (0.011, tcp(*up, ACK, 1001, 5001)),
        (0.100, tcp(*up, PSH | ACK, 1001, 5001, DATA)),
        (0.110, tcp(*down, ACK, 5001, 1101)),
        (0.200, tcp(*down, ACK, 5001, 1101, DATA)),
        (0.2001, tcp(*down, ACK, 5201, 1101, DATA)),  # 5101 is late:
        (0.2002, tcp(*down, ACK, 5101, 1101, DATA)),
        (0.202, tcp(*up, ACK, 1101, 5301)),
        (1.200, tcp(*down, ACK, 5201, 1101, DATA)),  # once more, long after
        (1.300, tcp(*up, FIN | ACK, 1101, 5301)),
        (1.310, tcp(*down, FIN | ACK, 5301, 1102)),
        (1.311, tcp(*up, ACK, 1102, 5302)),
    ]


class FlowFields(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.frames = connection()
        cls.file = write_pcap(os.path.join(cls.folder.name, "c.pcap"), cls.frames)
        cls.flow = cls.export(cls.file)[0]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def export(cls, file, **options):
        done = sensor("--read-pcap", file, "--quiet", "--export-json", "-", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def flow_of(self, frames, **options):
        return self.export(write_pcap(os.path.join(self.folder.name, "x.pcap"), frames), **options)[0]

    def of_client(self, from_client):
        return sum(len(f) for _, f in self.frames if (f[26:30] == bytes([10, 0, 0, 9])) == from_client)

    def test_fields_are_in_the_seed_s_order_and_ours_after_them(self):
        self.assertEqual(list(self.flow)[:len(FIELDS)], FIELDS)
        self.assertIn("community_id", list(self.flow)[len(FIELDS):])

    def test_protocol(self):
        self.assertEqual(self.flow["protocol"], "TCP")

    def test_endpoint_a_is_the_smaller_address(self):
        self.assertEqual(self.flow["endpoint_a"], {"ip": SERVER[0], "port": SERVER[1]})

    def test_endpoint_b(self):
        self.assertEqual(self.flow["endpoint_b"], {"ip": CLIENT[0], "port": CLIENT[1]})

    def test_first_seen(self):
        self.assertAlmostEqual(self.flow["first_seen"], START, places=6)

    def test_last_seen(self):
        self.assertAlmostEqual(self.flow["last_seen"], START + 1.311, places=6)

    def test_duration_secs(self):
        self.assertAlmostEqual(self.flow["duration_secs"], 1.311, places=3)

    def test_packets_a_to_b(self):
        self.assertEqual(self.flow["packets_a_to_b"], 7)

    def test_packets_b_to_a(self):
        self.assertEqual(self.flow["packets_b_to_a"], 6)

    def test_bytes_a_to_b(self):
        self.assertEqual(self.flow["bytes_a_to_b"], self.of_client(False))

    def test_bytes_b_to_a(self):
        self.assertEqual(self.flow["bytes_b_to_a"], self.of_client(True))

    def test_packets_total(self):
        self.assertEqual(self.flow["packets_total"], len(self.frames))

    def test_bytes_total(self):
        self.assertEqual(self.flow["bytes_total"], sum(len(f) for _, f in self.frames))

    def test_avg_bps(self):
        self.assertAlmostEqual(self.flow["avg_bps"], self.flow["bytes_total"] * 8 / 1.311, delta=1)

    def test_tcp_state_closed(self):
        self.assertEqual(self.flow["tcp_state"], "closed")

    def test_tcp_state_names_each_step(self):
        for count, name in ((1, "syn_sent"), (2, "syn_ack"), (3, "established"), (11, "fin_wait")):
            self.assertEqual(self.flow_of(self.frames[:count])["tcp_state"], name)
        reset = self.frames[:3] + [(0.5, tcp(*SERVER, *CLIENT, RST, 5001))]
        self.assertEqual(self.flow_of(reset)["tcp_state"], "reset")
        self.assertEqual(self.flow_of([(0, udp("10.0.0.1", 1, "10.0.0.2", 2))])["tcp_state"], "unknown")

    def test_client(self):
        self.assertEqual(self.flow["client"], "b_to_a")
        self.assertEqual(self.flow_of([(0, tcp(*SERVER, *CLIENT, SYN, 1))])["client"], "a_to_b")

    def test_retransmissions(self):
        self.assertEqual(self.flow["retransmissions"], 1)

    def test_out_of_order(self):
        self.assertEqual(self.flow["out_of_order"], 1)

    def test_rtt_last_ms(self):
        self.assertGreater(self.flow["rtt_last_ms"], 0)

    def test_rtt_min_ms_is_that_of_both_sides(self):
        self.assertAlmostEqual(self.flow["rtt_min_ms"], 11, delta=1.1)  # 10 to the server, 1 to the client

    def test_rtt_ewma_ms(self):
        self.assertTrue(self.flow["rtt_min_ms"] <= self.flow["rtt_ewma_ms"] < 20)

    def test_rtt_samples(self):
        self.assertGreaterEqual(self.flow["rtt_samples"], 3)

    def test_what_compact_flows_do_not_measure_is_null(self):
        flow = self.export(self.file, environment=COMPACT)[0]
        for name in ("retransmissions", "out_of_order", "rtt_last_ms", "rtt_min_ms", "rtt_ewma_ms", "rtt_samples"):
            self.assertIsNone(flow[name], name)
        self.assertEqual(flow["packets_total"], len(self.frames))
        self.assertEqual(flow["tcp_state"], "closed")

    def test_csv_has_the_same_columns_and_figures(self):
        done = sensor("--read-pcap", self.file, "--quiet", "--export-csv", "-")
        row = next(csv.DictReader(io.StringIO(done.stdout)))
        for name in FIELDS:
            if name.startswith("endpoint"):
                self.assertEqual(row[name + "_ip"], self.flow[name]["ip"])
                self.assertEqual(int(row[name + "_port"]), self.flow[name]["port"])
            elif isinstance(self.flow[name], str):
                self.assertEqual(row[name], self.flow[name])
            else:
                self.assertAlmostEqual(float(row[name]), self.flow[name], places=3)

    def test_csv_lines_end_as_rfc_4180_says(self):
        done = sensor("--read-pcap", self.file, "--quiet", "--export-csv", "-")
        self.assertTrue(done.stdout_bytes.endswith(b"\r\n"))
        self.assertEqual(done.stdout_bytes.count(b"\r\n"), 2)

    def test_vlan_flows_are_counted_as_they_are(self):
        frames = [(0, tcp(*CLIENT, *SERVER, SYN, 1))]
        frames = [(t, f[:12] + b"\x81\x00\x00\x07" + f[12:]) for t, f in frames]
        self.assertEqual(self.flow_of(frames)["vlan_id"], 7)


if __name__ == "__main__":
    main()
