#!/usr/bin/env python3
"""Midnight (UTC) goes by while a sensor reports: the history begins another file, and no answer shows where.

Both programs run by a clock that stands some seconds before the next midnight (libfaketime); intervals are true.
"""
import glob
import os
import sys
import tempfile
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]

from fleet import Collector, in_store
from support.programs import PATIENCE, SENSOR, Program, free_port, make_traffic, wait_until

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
DAY = 86400
BEFORE = 14  # seconds until midnight when the programs start
BEHIND = 9


class Midnight(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(LIBRARY):
            raise unittest.SkipTest("libfaketime is not installed")
        if PATIENCE > 1:
            raise unittest.SkipTest("a sanitizer's build takes no library before its own")

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        now = time.time()
        self.midnight = (now // DAY + 1) * DAY
        self.ahead = self.midnight - BEFORE - now
        self.clock = {"LD_PRELOAD": LIBRARY, "FAKETIME": f"{self.ahead:+.3f}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def now(self):
        """The programs' time."""
        return time.time() + self.ahead

    def pass_midnight(self):
        """Returns the packets that the sensor saw."""
        capture, _ = make_traffic(self.folder, "demo")
        with Program(SENSOR, "--read-pcap", capture, "--quiet", "--pace", "--loop", "--sensor-id", "tap", "--collector",
                     f"127.0.0.1:{self.collector.ingest}", "--grpc-listen", f"127.0.0.1:{free_port()}",
                     environment={**self.clock, "NETSCOPE_HTTP__PORT": "0", "NETSCOPE_FLOW__ACTIVE_TIMEOUT": "3s",
                                  "NETSCOPE_FLOW__FIRST_UPDATE": "1s"}) as sensor:
            wait_until("records of the first day", lambda: self.collector.stored_packets() > 0)
            self.assertLess(self.now(), self.midnight, "started too late to see midnight")
            time.sleep(self.midnight + BEHIND - self.now())
            self.assertEqual(sensor.stop(), 0, sensor.text())
            return int(sensor.text().split("packets captured: ")[1].split()[0].rstrip(","))

    def page(self, path, **query):
        return self.collector.fetch(f"{path}?{urllib.parse.urlencode(query)}")

    def sums(self, begin, end):
        """Packets of the time by the records, and how many records they are."""
        answer = self.page("/v1/query:aggregate", **{"from": iso(begin), "to": iso(end), "group_by": "sensor"})
        self.assertFalse(answer.get("truncated"), answer)
        return sum(int(row["packets"]) for row in answer["rows"])

    def test_no_answer_shows_where_the_day_ended(self):
        self.collector = Collector(self.folder, environment=self.clock)
        self.addCleanup(self.collector.close)
        captured = self.pass_midnight()
        wait_until("all packets in the store", lambda: self.collector.stored_packets() == captured, 30)

        days = sorted(os.path.basename(name) for name in glob.glob(f"{self.folder}/store/history/day-*.db"))
        self.assertEqual(days, [f"day-{iso(at)[:10]}.db" for at in (self.midnight - 1, self.midnight)])
        for boot, seqs in in_store(self.folder, "flows").items():
            self.assertEqual(sorted(seqs), list(range(1, len(seqs) + 1)), boot)

        begin, end = self.midnight - 60, self.midnight + 60
        self.assertEqual(self.sums(begin, end), captured)
        first, second = self.sums(begin, self.midnight), self.sums(self.midnight, end)
        self.assertGreater(first, 0)
        self.assertGreater(second, 0)
        self.assertEqual(first + second, captured)
        self.assertEqual(self.collector.flow_packets(), captured, "each flow once, whichever day its records are of")
        self.each_second_has_traffic()

    def each_second_has_traffic(self):
        around = {"from": int(1000 * (self.midnight - 5)), "to": int(1000 * (self.midnight + 5))}
        answer = self.page("/v1/timeseries", metric="pps", by="none", step=1000, **around)
        self.assertEqual(answer["step_ms"], 1000, answer)
        (line,) = answer["series"]
        self.assertEqual(len(line["in"]), 10, answer)
        self.assertTrue(all(line["in"]), answer)


def iso(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


if __name__ == "__main__":
    unittest.main(verbosity=2)
