"""What netscopectl does where a reader stalls, and where nobody has named a server."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import CTL
from support import netns
from support.programs import COLLECTOR, PATIENCE, SENSOR, Program, clean_environment, dns_query, main, metrics, udp, wait_until, write_pcap
from support.service import Service, capture

MEMORY_KIB = 64 << 10


def many_flows():
    """Four thousand flows in a second, which end in the next half."""
    frames = [(i / 4000, udp(f"10.{i % 200}.0.1", 2000 + i, "192.0.2.53", 53, dns_query(f"name-that-is-long-{i}.example", i)))
              for i in range(4000)]
    return frames + [(1.6, udp("10.9.9.9", 1, "10.9.9.8", 9, b"x"))]


class Stalled(unittest.TestCase):
    def test_a_stalled_reader_fills_no_memory_and_is_told_each_record_that_it_missed(self):
        with tempfile.TemporaryFile("w+") as errors, Service(
                frames=many_flows(), grpc="  history_records: 1000\n  queue_messages: 1\n", more="flow:\n  idle_timeout: 500ms\n") as sensor:
            client = subprocess.Popen(
                [CTL, "observe", "-s", f"unix:{sensor.socket}", "--follow", "-o", "jsonl"], stdout=subprocess.PIPE, stderr=errors,
                text=True, env=clean_environment({"HOME": "/nonexistent"}))
            self.addCleanup(client.wait)
            self.addCleanup(client.kill)

            def told():
                errors.seek(0)
                return re.findall(r"(\d+) flow records are missing here \(record_seq (\d+) to (\d+)\): this reader was too slow", errors.read())

            dropped = "netscope_grpc_records_dropped_total"
            wait_until("records that found no room", lambda: metrics(sensor.url + "/metrics")[dropped] > 2000, 60)
            with open(f"/proc/{client.pid}/status", encoding="utf-8") as lines:
                resident = int(re.search(r"VmHWM:\s+(\d+)", lines.read()).group(1))
            if PATIENCE == 1:  # sanitizers take more
                self.assertLess(resident, MEMORY_KIB)
            seqs = []
            while not told():
                seqs.append(int(re.search(r'"record_seq":"(\d+)"', client.stdout.readline()).group(1)))
            missing = told()[0]
            for _ in range(50):
                seqs.append(int(re.search(r'"record_seq":"(\d+)"', client.stdout.readline()).group(1)))
            client.terminate()
            seqs += [int(number) for number in re.findall(r'"record_seq":"(\d+)"', client.stdout.read())]
            self.assertEqual(client.wait(timeout=30 * PATIENCE), 0)
            notices = told()
            self.assertGreaterEqual(int(missing[0]), 1)
            gone = {seq for _, first, last in notices for seq in range(int(first), int(last) + 1)}
            self.assertEqual(sum(int(count) for count, _, _ in notices), len(gone))
            self.assertEqual(sorted(set(seqs) | gone), list(range(seqs[0], max(seqs[-1], max(gone)) + 1)))
            self.assertEqual(set(seqs) & gone, set())
            client.stdout.close()


class Defaults(unittest.TestCase):
    namespace = f"netscope-ctl-{os.getpid()}"

    @classmethod
    def setUpClass(cls):
        netns.wire_for(cls, cls.namespace)
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-ctl-")
        cls.addClassCleanup(cls.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def ctl(self, *arguments):
        return subprocess.run([*netns.inside(self.namespace), CTL, *arguments], capture_output=True, text=True,
                              env=clean_environment({"HOME": "/nonexistent"}), timeout=60 * PATIENCE)

    def test_without_a_name_the_collector_of_this_machine_is_taken_and_then_the_sensor(self):
        prefix = netns.inside(self.namespace)
        done = self.ctl("status")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("neither 127.0.0.1:50052 (a collector) nor 127.0.0.1:50051 (a sensor) answers", done.stderr)
        with open(self.path("sensor.yaml"), "w", encoding="utf-8") as out:
            out.write("grpc:\n  enabled: on\nhttp:\n  enabled: off\n")
        sensor = Program(SENSOR, "--config", self.path("sensor.yaml"), "--read-pcap", write_pcap(self.path("x.pcap"), capture()), "--pace",
                         "--loop", "--quiet", prefix=prefix, awaited=True)
        self.addCleanup(sensor.__exit__)
        done = self.ctl("observe", "-n", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no --server is given: 127.0.0.1:50051 answers", done.stderr)
        done = self.ctl("doctor")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"(?m)^warn  peer .*127\.0\.0\.1:50052: nothing listens there")
        collector = Program(COLLECTOR, "--data-dir", self.path("store"), prefix=prefix, awaited=True)
        self.addCleanup(collector.__exit__)
        done = self.ctl("status")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no --server is given: 127.0.0.1:50052 answers", done.stderr)
        self.assertRegex(done.stdout, r"(?m)^collector ")


if __name__ == "__main__":
    main()
