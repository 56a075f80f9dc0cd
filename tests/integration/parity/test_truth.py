"""What the sensor finds in made-up traffic is what its maker put there: flows, names, handshakes, repeats."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import TRAFFIC, delta_packets, json_lines, main, make_traffic, run, sensor


class Truth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.made = {}
        for workload, packets, flows in (("demo", 0, 0), ("mix", 0, 3000), ("small", 20000, 2000), ("flood", 20000, 0)):
            path, truth = make_traffic(cls.folder.name, workload, packets, flows, seed=5)
            done = sensor("--read-pcap", path, "--quiet", "--flows-jsonl", "-")
            assert done.returncode == 0, done.stderr
            cls.made[workload] = (truth, json_lines(done.stdout))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_the_same_arguments_give_the_same_bytes(self):
        for workload in ("demo", "small", "mix", "flood"):
            first, second, other = (run(TRAFFIC, workload, "-", "-n", 3000, "-f", 200, "-s", seed).stdout_bytes
                                    for seed in (3, 3, 4))
            self.assertEqual(first, second, workload)
            self.assertNotEqual(first, other, workload)

    def test_no_packet_is_missing_and_none_is_counted_twice(self):
        for workload, (truth, records) in self.made.items():
            self.assertEqual(sum(map(delta_packets, records)), truth["packets"], workload)

    def test_bytes_are_those_on_the_wire(self):
        for workload, (truth, records) in self.made.items():
            total = sum(int(r.get(way, {}).get("delta_bytes", 0)) for r in records for way in ("forward", "reverse"))
            self.assertEqual(total, truth["bytes"], workload)

    def test_flows_are_those_that_were_made(self):
        for workload, (truth, records) in self.made.items():
            self.assertEqual(len({r["flow_id"] for r in records}), truth["flows"], workload)

    def test_server_names_are_found(self):
        for workload in ("demo", "mix"):
            truth, records = self.made[workload]
            named = {r["flow_id"] for r in records if r.get("tls", {}).get("sni")}
            self.assertEqual(len(named), truth["server_names"], workload)

    def test_repeated_and_late_segments_are_found(self):
        """Together: a late one that comes a round trip later cannot be told from a repeated one."""
        for workload in ("demo", "mix"):
            truth, records = self.made[workload]
            last = {r["flow_id"]: r for r in records}
            found = sum(int(r["tcp"][way][name]) for r in last.values() if "tcp" in r
                        for way in ("forward", "reverse") if way in r["tcp"]
                        for name in ("retransmitted_segments", "out_of_order_segments"))
            self.assertEqual(found, truth["retransmitted"] + truth["reordered"], workload)


if __name__ == "__main__":
    main()
