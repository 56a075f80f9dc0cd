"""Breaks on the way: the collector is killed, the sensor is told to stop. Nothing lost, nothing twice."""
import os
import signal
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from fleet import Collector
from support.programs import (COLLECTOR, SENSOR, Program, delta_packets, free_port, json_lines, main, make_traffic, metrics,
                              run, wait_until)


@unittest.skipUnless(os.access(COLLECTOR, os.X_OK), "netscope-collector is not built")
class Breaks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.demo, cls.truth = make_traffic(cls.folder.name, "demo", flows=600)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def start(self, folder, collector, *more):
        http = free_port()
        program = Program(SENSOR, "--read-pcap", self.demo, "--quiet", "--pace", "--sensor-id", "one", "--collector",
                          f"127.0.0.1:{collector.ingest}", "--grpc-listen", f"127.0.0.1:{free_port()}", "--flows-jsonl",
                          os.path.join(folder, "flows.jsonl"), *more,
                          environment={"NETSCOPE_HTTP__PORT": str(http), "NETSCOPE_COLLECTOR__BACKOFF_MAX": "1s"})
        self.addCleanup(program.__exit__)
        self.metrics = f"http://127.0.0.1:{http}/metrics"
        return program

    def test_a_collector_killed_twice_during_a_run_loses_nothing_and_counts_nothing_twice(self):
        with tempfile.TemporaryDirectory() as folder:
            collector = Collector(folder)
            self.addCleanup(collector.close)
            sensor = self.start(folder, collector)
            for _ in range(2):
                time.sleep(3)
                collector.program.stop(signal.SIGKILL)
                time.sleep(1.5)
                self.assertTrue(sensor.is_running(), sensor.text())
                collector.start()
            time.sleep(3)
            self.assertEqual(sensor.stop(), 0, sensor.text())
            self.assertNotIn("lost{shutdown}", sensor.text())
            records = json_lines(os.path.join(folder, "flows.jsonl"))
            sent = sum(map(delta_packets, records))
            self.assertGreater(sent, 500)
            wait_until("the store", lambda: collector.flow_packets() >= sent, 20)
            self.assertEqual(collector.flow_packets(), sent)
            self.assertEqual(len(collector.flows()), len({r["flow_id"] for r in records}))

    def test_a_sensor_told_to_stop_reports_everything_that_it_captured(self):
        with tempfile.TemporaryDirectory() as folder:
            collector = Collector(folder)
            self.addCleanup(collector.close)
            sensor = self.start(folder, collector)
            time.sleep(4)
            self.assertEqual(sensor.stop(), 0, sensor.text())
            import re
            captured = int(re.search(r"packets captured: (\d+)", sensor.text()).group(1))
            self.assertGreater(captured, 100)
            self.assertEqual(sum(map(delta_packets, json_lines(os.path.join(folder, "flows.jsonl")))), captured)
            wait_until("the store", lambda: collector.flow_packets() >= captured, 20)
            self.assertEqual(collector.flow_packets(), captured)

    def test_a_file_whose_records_nobody_takes_ends_with_status_1_unless_they_wait_on_disk(self):
        with tempfile.TemporaryDirectory() as folder:
            nobody = ("--read-pcap", self.demo, "--quiet", "--collector", f"127.0.0.1:{free_port()}")
            soon = {"NETSCOPE_PIPELINE__FLUSH_TIMEOUT": "300ms"}
            lost = run(SENSOR, *nobody, environment=soon)
            self.assertEqual(lost.returncode, 1, lost.stderr)
            self.assertRegex(lost.stdout + lost.stderr, r"lost\{shutdown\}\): [1-9]")
            self.assertRegex(lost.stderr, r"[1-9]\d* records of this run were not delivered.*spool\.directory")
            kept = run(SENSOR, *nobody, environment={**soon, "NETSCOPE_SPOOL__DIRECTORY": os.path.join(folder, "spool")})
            self.assertEqual((kept.returncode, kept.stderr.count("not delivered")), (0, 0), kept.stderr)


if __name__ == "__main__":
    main()
