#!/usr/bin/env python3
"""A sensor that falls silent is missed; one that was stopped is not. Real processes, kill -9."""
import os
import signal
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]

from fleet import Collector
from support.programs import PATIENCE, SENSOR, Program, free_port, make_traffic, wait_until

SILENT_AFTER_S = 2 * PATIENCE


class Silent(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.capture, _ = make_traffic(self.folder.name, "demo")
        self.collector = Collector(self.folder.name, environment={
            "NETSCOPE_COLLECTOR_FLEET__SILENT_AFTER": f"{int(1000 * SILENT_AFTER_S)}ms",
            "NETSCOPE_COLLECTOR_INGEST__HEARTBEAT": "1s"})
        self.addCleanup(self.collector.close)

    def sensor(self):
        port = self.collector.ingest
        program = Program(SENSOR, "--read-pcap", self.capture, "--quiet", "--pace", "--loop", "--sensor-id", "tap",
                          "--collector", f"127.0.0.1:{port}", "--grpc-listen", f"127.0.0.1:{free_port()}",
                          environment={"NETSCOPE_HTTP__PORT": "0"})
        self.addCleanup(program.__exit__)
        wait_until("the sensor", lambda: self.collector.sensors().get("tap", {}).get("state") == "LIVE", 30)
        return program

    def incidents(self):
        """Those of this kind, by state."""
        alerts = self.collector.fetch("/v1/alerts?state=all&from=0&to=4000000000000")["alerts"]
        return [(alert["state"], alert["alert_id"]) for alert in alerts if alert["kind"] == "ALERT_KIND_SENSOR_SILENT"]

    def test_a_killed_sensor_is_missed_until_it_is_back(self):
        sensor = self.sensor()
        os.kill(sensor.process.pid, signal.SIGKILL)
        wait_until("an incident", lambda: [state for state, _ in self.incidents()] == ["ALERT_STATE_OPEN"], 30)
        opened = self.incidents()[0][1]
        self.sensor()
        wait_until("its end", lambda: self.incidents() == [("ALERT_STATE_CLOSE", opened)], 30)

    def test_a_stopped_sensor_is_not_missed(self):
        sensor = self.sensor()
        os.kill(sensor.process.pid, signal.SIGTERM)
        wait_until("its end", lambda: not sensor.is_running(), 30)
        time.sleep(2 * SILENT_AFTER_S)
        self.assertEqual(self.incidents(), [])

    def test_one_that_vanished_while_the_collector_was_down_is_missed(self):
        sensor = self.sensor()
        time.sleep(1.5)  # who is expected is written down each second
        os.kill(self.collector.program.process.pid, signal.SIGKILL)
        wait_until("the collector's end", lambda: not self.collector.program.is_running(), 30)
        os.kill(sensor.process.pid, signal.SIGKILL)
        self.collector.start()
        wait_until("an incident", lambda: [state for state, _ in self.incidents()] == ["ALERT_STATE_OPEN"], 30)


if __name__ == "__main__":
    unittest.main()
