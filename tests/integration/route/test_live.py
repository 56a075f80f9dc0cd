"""Incidents that go on: an alert of the fleet goes to receivers like one of a sensor, what lasts is told again, also after
a restart, and what the collector closes as it ends is told before it has ended."""
import os
import sys
import threading
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from end_to_end.test_fleet_detection import Site
from receivers import Routing
from support.programs import PATIENCE, main, wait_until
from test_webhooks import check_alertmanager_element, is_firing

VICTIM, SCANNER = "10.200.0.1", "198.51.100.7"
OPEN, CLOSE = ("ALERT_STATE_OPEN", "ALERT_STATE_UPDATE"), "ALERT_STATE_CLOSE"


class Live(Routing):
    def sites(self, count):
        self.all = [Site(number, self.collector, self.folder) for number in range(count)]
        self.is_scanned, is_over = False, threading.Event()

        def breathe():
            port = 1000
            while not is_over.wait(0.3):
                for site in self.all:
                    try:
                        site.breathe()
                        for _ in range(10 if self.is_scanned else 0):  # both see one scanner at one host, each its part
                            port += 1
                            site.probe(VICTIM, port, SCANNER)
                    except OSError:
                        pass

        thread = threading.Thread(target=breathe, daemon=True)
        thread.start()

        def end():
            is_over.set()
            thread.join()
            for site in self.all:
                site.close()

        self.addCleanup(end)
        wait_until("all sensors", lambda: len(self.collector.sensors()) >= count, 60)
        figure = "netscope_collector_fleet_seconds_decided_total"
        wait_until("detection over all", lambda: self.metrics().get(figure, 0) >= 1, 60)

    def of(self, hook, scope):
        return [record for record in hook.records() if record["scope"] == f"ALERT_SCOPE_{scope}"]

    def test_alerts_of_the_fleet_and_what_lasts(self):
        plain, again, mine, manager = self.hook(), self.hook(), self.hook(), self.hook()
        self.start({"plain": {"url": plain.url()}, "again": {"url": again.url(), "repeat_interval": "2s"},
                    "mine": {"url": mine.url(), "sensors": ["site-1"]},
                    "manager": {"url": manager.url(), "format": "alertmanager"}},
                   {"analysis": {"anomalies": "{warm_up: 0s}"}})
        self.watch_ledger()
        self.sites(2)
        self.is_scanned = True
        wait_until("both sensors' alerts and the fleet's", lambda: len({
            record["alert_id"] for record in plain.records()}) >= 3, 60)
        own, fleet = self.of(plain, "SENSOR"), self.of(plain, "FLEET")
        self.assertEqual({record["sensor_id"] for record in own}, {"site-0", "site-1"})
        self.assertEqual({tuple(sorted(record["sensor_ids"])) for record in fleet}, {("site-0", "site-1")})
        self.assertEqual({record["kind_name"] for record in own + fleet}, {"port_scan_vertical"})
        fleet_id = fleet[0]["alert_id"]

        # Whoever wants one sensor's alerts gets the fleet's too, where it took part.
        wait_until("the fleet's alert at one sensor's receiver", lambda: self.of(mine, "FLEET"))
        self.assertEqual({record["sensor_id"] for record in self.of(mine, "SENSOR")}, {"site-1"})
        wait_until("it at Alertmanager", lambda: [element for request in manager.taken() for element in request.json()
                                                  if element["labels"]["scope"] == "fleet" and is_firing(element)])
        for request in manager.taken():
            for element in request.json():
                check_alertmanager_element(self, element)
                self.assertEqual("sensor" in element["labels"], element["labels"]["scope"] == "sensor")

        # What goes on is told again to whoever wants that, each in its turn, with no news in between, and to nobody else.
        def tellings():
            """{(incident, severity): messages}"""
            return Counter((record["alert_id"], record["severity"]) for record in again.records())

        wait_until("each is told again", lambda: all(
            max((count for (told, _), count in tellings().items() if told == alert_id), default=0) >= 3
            for alert_id in {record["alert_id"] for record in plain.records()}), 30)
        for alert_id in {record["alert_id"] for record in plain.records()}:
            times = [(request.at, request.json()["severity"]) for request in again.taken()
                     if request.json()["alert_id"] == alert_id]
            for (before, severity), (after, next_severity) in zip(times, times[1:]):
                if severity == next_severity:
                    self.assertGreaterEqual(after - before, 1.5)
        for record in plain.records():
            same = [other["severity"] for other in plain.records() if other["alert_id"] == record["alert_id"]
                    and other["state"] in OPEN]
            self.assertEqual(len(same), len(set(same)))  # news each time

        # As the collector ends, so do its incidents: whoever was told of them hears it before the end.
        self.assertEqual(self.collector.program.stop(), 0)
        for hook in (plain, again, mine):
            self.assertEqual([record["state"] for record in self.of(hook, "FLEET")][-1], CLOSE)
        last = [request.json() for request in manager.taken() if fleet_id in request.body.decode()][-1]
        self.assertFalse([element for element in last if is_firing(element)])

        # A sensor's incident goes on without the collector, and so does telling of it.
        before = len(again.taken())
        self.collector.start()
        wait_until("a sensor's incident is told again", lambda: [
            record for record in again.records()[before:] if record["scope"] == "ALERT_SCOPE_SENSOR"], 30)
        time.sleep(0.5 * PATIENCE)
        told = [(record["alert_id"], record["state"], record["severity"]) for record in plain.records()]
        self.assertEqual(len(told), len(set(told)))


if __name__ == "__main__":
    main()
