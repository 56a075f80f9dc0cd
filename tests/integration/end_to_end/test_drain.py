"""What a collector asks of its sensors, all of them real: to go to another collector, and to send less.

NETSCOPE_INGEST_PROBE feeds synthetic records through the sensor's own sink, at a known rate and with known numbers.
"""
import os
import re
import signal
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "faults"), HERE]
from fleet import Collector, in_store
from probes import ProbeSensor
from support.programs import PATIENCE, SENSOR, Program, answers, free_port, main, make_traffic, metrics, wait_until

PROBE = os.environ["NETSCOPE_INGEST_PROBE"]
RATE = int(4000 / PATIENCE)
BOUND = 500


class Place(Collector):
    """A collector with a file of settings."""

    def __init__(self, folder):
        os.makedirs(folder)
        self.settings = os.path.join(folder, "collector.yaml")
        self.write()
        super().__init__(folder, arguments=["--config", self.settings, "-v"])

    def write(self, ingest=""):
        with open(self.settings, "w", encoding="utf-8") as file:
            file.write(f"ingest: {{{ingest}}}\n")

    def reload(self, ingest):
        self.write(ingest)
        seen = len(self.program.text())
        self.program.process.send_signal(signal.SIGHUP)
        wait_until("it has read its settings again", lambda: "settings read again" in self.program.text()[seen:])

    def figure(self, name):
        return metrics(f"http://127.0.0.1:{self.http}/metrics")[f"netscope_collector_{name}"]


class Drain(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def place(self, name):
        place = Place(os.path.join(self.folder, name))
        self.addCleanup(place.close)
        return place

    def probe(self, name, place, rate, *settings, **start):
        sensor = ProbeSensor(PROBE, name, self.folder, place.ingest, rate, *settings)
        sensor.start(**start)
        self.addCleanup(lambda: sensor.process.poll() is None and sensor.kill())
        return sensor

    def sensor(self, place, **settings):
        """The real one, and its figures."""
        capture, _ = make_traffic(self.folder, "mix", packets=20_000)
        port = free_port()
        program = Program(SENSOR, "--read-pcap", capture, "--pace", "--loop", "--quiet", "-v", environment={
            "NETSCOPE_COLLECTOR__ADDRESS": f"127.0.0.1:{place.ingest}", "NETSCOPE_SENSOR__ID": "real",
            "NETSCOPE_SPOOL__DIRECTORY": os.path.join(self.folder, "spool-real"), "NETSCOPE_HTTP__PORT": str(port),
            "NETSCOPE_GRPC__ENABLED": "off", **settings})
        self.addCleanup(program.__exit__)
        wait_until("its figures", lambda: answers(f"http://127.0.0.1:{port}/healthz"))

        def figure(name):
            return metrics(f"http://127.0.0.1:{port}/metrics")[f'netscope_stream_{name}{{sink="collector"}}']
        return program, figure

    def stored(self, places, table):
        """{boot: numbers}, each place's own rows after each other."""
        found = {}
        for place in places:
            for boot, numbers in in_store(place.folder, table).items():
                found.setdefault(boot, []).extend(numbers)
        return found

    def check(self, places, told):
        """Each record of each process is in one of the stores, once."""
        for place in places:
            self.assertEqual(place.program.stop(), 0, place.program.text()[-2000:])
        for table in ("flows", "stats"):
            found = self.stored(places, table)
            for boot, numbers in found.items():
                self.assertEqual(len(numbers), len(set(numbers)), f"{table} of {boot}: twice")
                self.assertEqual(sorted(numbers), list(range(1, max(numbers) + 1)), f"{table} of {boot}: holes")
            for row in told:
                self.assertEqual(len(found.get(row["boot"], [])), row[table], (table, row))
        return found

    def test_a_collector_is_emptied_by_a_reload_and_each_record_is_in_one_of_the_stores(self):
        first, second = self.place("first"), self.place("second")
        real, figure = self.sensor(first)
        probes = [self.probe(f"probe-{i}", first, RATE) for i in range(2)]
        wait_until("all three report", lambda: first.figure("connections") == 3)
        wait_until("records of the load", lambda: first.figure("ingest_records_total") > 2 * RATE)
        first.reload(f"redirect_to: 127.0.0.1:{second.ingest}")
        wait_until("they have moved", lambda: first.figure("connections") == 0 and second.figure("connections") == 3)
        came = second.figure("ingest_records_total")
        wait_until("they go on there", lambda: second.figure("ingest_records_total") > came + 2 * RATE)
        self.assertEqual((first.figure("ingest_draining"), first.figure("ingest_redirects_total")), (1, 3))
        self.assertEqual((figure("redirects_total"), figure("redirects_refused_total")), (1, 0))
        self.assertIn("going to another collector", real.text())
        self.assertRegex(first.program.text(), r'part=audit msg=Redirect .*"redirect_to=127\.0\.0\.1:\d+ sensors=3"')
        # Whoever comes now is told by the answer to its hello.
        late = self.probe("late", first, 0, records=5000)
        told = [late.end()]
        self.assertEqual(first.figure("ingest_redirects_total"), 4)
        told += [probe.stop() for probe in probes]
        for row in told:
            self.assertEqual((row["owed"], row["lost"], row["unacked"]), (0, 0, 0), row)
        self.assertEqual(real.stop(), 0, real.text()[-2000:])
        self.assertEqual(second.figure("ingest_gap_records_total"), 0)
        self.assertGreater(second.figure("ingest_elsewhere_records_total"), 0)
        self.check((first, second), told)
        self.assertEqual(in_store(first.folder, "flows").get(told[0]["boot"], []), [])
        for table in ("flows", "stats"):
            self.assertEqual(len(self.stored((first, second), table)), 4)  # a boot each

    def test_a_throttled_sensor_keeps_below_the_rate_loses_nothing_and_catches_up(self):
        place = self.place("only")
        place.reload(f"max_record_rate: {BOUND}")
        begin = time.monotonic()
        sensor = self.probe("probe", place, 4 * BOUND, records=8 * BOUND, environment={"PROBE_FLOWS": "typical"})
        most = 0
        while time.monotonic() < begin + 4:
            arrived = place.figure("ingest_records_total")
            # What the time allows, and a burst of a tenth of a second and one batch.
            self.assertLessEqual(arrived, BOUND * (time.monotonic() - begin) + BOUND // 10 + 512)
            most = max(most, arrived)
            time.sleep(0.1)
        self.assertGreater(most, 0)
        self.assertLess(most, 8 * BOUND)
        self.assertEqual(place.figure("ingest_throttles_total"), 3)
        place.reload("max_record_rate: 0")
        told = sensor.end()
        self.assertEqual((told["owed"], told["lost"], told["unacked"]), (0, 0, 0), told)
        self.assertGreaterEqual(told["flows"], 8 * BOUND)
        self.check((place,), [{**told, "stats": 0}])

    def test_a_real_sensor_shows_the_rate_in_force(self):
        place = self.place("only")
        _, figure = self.sensor(place)
        wait_until("it reports", lambda: place.figure("connections") == 1)
        self.assertEqual(figure("max_rate"), 0)
        place.reload("max_record_rate: 300")
        wait_until("the rate", lambda: figure("max_rate") == 300)
        place.reload("max_record_rate: 0")
        wait_until("none", lambda: figure("max_rate") == 0)
        self.assertEqual(figure("throttles_total"), 6)

    def test_a_sensor_that_may_not_follow_stays_and_tells(self):
        first, second = self.place("first"), self.place("second")
        real, figure = self.sensor(first, NETSCOPE_COLLECTOR__FOLLOW_REDIRECTS="off")
        wait_until("it reports", lambda: first.figure("connections") == 1)
        first.reload(f"redirect_to: 127.0.0.1:{second.ingest}")
        wait_until("it has refused", lambda: figure("redirects_refused_total") == 1)
        self.assertRegex(real.text(), r'msg="the collector sends us elsewhere: not followed" .*reason="collector\.follow_redirects is off"')
        came = first.figure("ingest_records_total")
        wait_until("it goes on where it is", lambda: first.figure("ingest_records_total") > came)
        self.assertEqual((first.figure("connections"), second.figure("connections")), (1, 0))
        self.assertEqual(real.stop(), 0)
        self.check((first, second), [])

    def test_an_address_that_is_none_is_refused_by_the_reload(self):
        place = self.place("only")
        place.write("redirect_to: elsewhere")
        place.program.process.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda: re.search(r"the new settings are refused.*no host:port", place.program.text()))
        self.assertEqual(place.figure("ingest_draining"), 0)


main()
