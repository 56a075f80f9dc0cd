"""Sites: the label "site" of sensors, in the list of sensors, in time series and in the live feed."""
import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support.live_client import LiveClient
from support.programs import SENSOR, Program, main, wait_until, write_pcap
from support.service import capture

SITES = {"b-1": "Berlin", "b-2": "Berlin", "r-1": "Rome", "somewhere": ""}


class Sites(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-sites-")
        cls.collector = Collector(cls.folder.name, environment={"NETSCOPE_COLLECTOR_STORE__COMMIT_INTERVAL": "200ms"})
        pcap = write_pcap(os.path.join(cls.folder.name, "x.pcap"), capture())
        cls.sensors = [cls.sensor(name, site, pcap) for name, site in SITES.items()]
        wait_until("seconds of all four", lambda: len(cls.series("sensor")) == 4)

    @classmethod
    def sensor(cls, name, site, pcap):
        config = os.path.join(cls.folder.name, f"{name}.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"sensor:\n  labels: {{site: {site}}}\n" if site else "sensor: {}\n")
        return Program(SENSOR, "--config", config, "--read-pcap", pcap, "--pace", "--loop", "--quiet", "--sensor-id", name,
                       "--collector", f"127.0.0.1:{cls.collector.ingest}",
                       environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"})

    @classmethod
    def tearDownClass(cls):
        for one in cls.sensors:
            one.stop()
            one.__exit__()
        cls.collector.close()
        cls.folder.cleanup()

    @classmethod
    def series(cls, by, **query):
        """{key: column in} over a time that is over, with what it is of."""
        now = int(time.time()) * 1000
        text = "".join(f"&{key}={value}" for key, value in {"from": now - 60_000, "to": now - 2000, **query}.items())
        answer = cls.collector.fetch(f"/v1/timeseries?metric=bps&by={by}&step=1000{text}")
        return {one["key"]: one["in"] for one in answer["series"]}

    def test_the_list_of_sensors_has_them(self):
        self.assertEqual({name: row["site"] for name, row in self.collector.sensors().items()}, SITES)

    def test_a_site_is_the_sum_of_its_sensors(self):
        def both():
            """Of the same time, and of the same records: none has come in between."""
            now = int(time.time()) * 1000
            until = {"from": now - 60_000, "to": now - 1000}
            sensors, sites = self.series("sensor", **until), self.series("site", **until)
            same = sensors == self.series("sensor", **until)
            return (sensors, sites) if same and set(sites) == set(SITES.values()) else None
        sensors, sites = wait_until("sums of all sites", both)
        for site in sites:
            for at, value in enumerate(sites[site]):
                parts = [sensors[name][at] for name in SITES if SITES[name] == site]
                told = [part for part in parts if part is not None]
                self.assertEqual(value is None, not told, (site, at))
                self.assertAlmostEqual(value or 0, sum(told), places=3)
        self.assertTrue(any(value for value in sites["Berlin"]))

    def test_it_goes_with_a_filter_and_with_a_number_of_them(self):
        wait_until("flows of all sites", lambda: set(self.series("site", filter="server.port%3E0", dedup="ALL")) == set(SITES.values()))
        few = self.series("site", top=1)
        self.assertEqual(list(few)[1:], ["other"])

    def test_a_frame_is_split_by_them(self):
        client = LiveClient(self.collector.http)
        self.addCleanup(client.close)
        client.say(t="sub", rate_hz=1, topics={"by": {"dim": "site", "top": 7}})
        names, seen = [], set()
        for _ in range(60):
            message = client.message()
            if message["t"] == "dict":
                names = message["site"]
                stand = {row[0]: row[2] for row in message["sensor"]}
            if message["t"] == "frame":
                client.say(t="ack", seq=message["seq"])
                self.assertEqual(message["by"]["dim"], "site")
                seen |= {names[k] for k in message["by"]["k"]}
            if seen == set(SITES.values()):
                break
        self.assertEqual(seen, set(SITES.values()))
        self.assertEqual(stand, SITES)


if __name__ == "__main__":
    main()
