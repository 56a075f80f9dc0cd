"""Five sensors in five network namespaces report to one collector by mutual TLS: every packet sent is accounted for.

Root only (77 else). Namespaces have a prefix with this process' id; they and all programs are removed at the end, by id.

    sensor namespace k:   gen0 --veth-- cap0 (captured)      up0 --veth-- port k of a bridge in the hub's namespace
    hub namespace:        the bridge with 10.77.0.1, and the collector
"""
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end")]
from fleet import Collector
from support.netns import command, inside, plain_link
from support.programs import COLLECTOR, PATIENCE, SENSOR, SKIPPED, Program, delta_packets, json_lines, main, run, wait_until

GENERATOR = os.environ.get("NETSCOPE_VETH_GEN", "")
SENSORS = 5
FRAMES = 20000
RATE = 4000
PREFIX = f"nsfleet{os.getpid()}"
HUB_ADDRESS = "10.77.0.1"


def within(name):
    return inside(f"{PREFIX}{name}")


def build_network():
    command("ip", "netns", "add", f"{PREFIX}hub")
    command(*within("hub"), "ip", "link", "set", "lo", "up")
    command(*within("hub"), "ip", "link", "add", "br0", "type", "bridge")
    command(*within("hub"), "ip", "addr", "add", f"{HUB_ADDRESS}/24", "dev", "br0")
    plain_link(f"{PREFIX}hub", "br0")
    for k in range(SENSORS):
        command("ip", "netns", "add", f"{PREFIX}{k}")
        command(*within(k), "ip", "link", "set", "lo", "up")
        command(*within(k), "ip", "link", "add", "up0", "type", "veth", "peer", "name", f"port{k}", "netns", f"{PREFIX}hub")
        command(*within(k), "ip", "link", "add", "cap0", "type", "veth", "peer", "name", "gen0")
        command(*within(k), "ip", "addr", "add", f"10.77.0.{10 + k}/24", "dev", "up0")
        command(*within("hub"), "ip", "link", "set", f"port{k}", "master", "br0")
        plain_link(f"{PREFIX}hub", f"port{k}")
        for link in ("up0", "cap0", "gen0"):
            plain_link(f"{PREFIX}{k}", link)


def remove_network():
    for name in ["hub", *range(SENSORS)]:
        command("ip", "netns", "del", f"{PREFIX}{name}", check=False)


class Fleet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: it makes network namespaces")
        for program in ("ip", "ethtool", "curl"):
            if shutil.which(program) is None:
                raise unittest.SkipTest(f"{program} is not installed")
        if not os.access(COLLECTOR, os.X_OK) or not os.access(GENERATOR, os.X_OK):
            raise unittest.SkipTest("netscope-collector or veth_gen is not built")
        cls.addClassCleanup(remove_network)
        try:
            build_network()
        except AssertionError as error:
            raise unittest.SkipTest(f"network namespaces are not allowed here: {error}") from error

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name

    def enroll(self):
        for k in range(SENSORS):
            done = run(COLLECTOR, "enroll", f"s{k}", "--dir", f"{self.folder}/s{k}", "--ca-dir", f"{self.folder}/ca",
                       "--host", HUB_ADDRESS)
            self.assertEqual(done.returncode, 0, done.stderr)
        return {"NETSCOPE_COLLECTOR_INGEST__TLS_CERTIFICATE": f"{self.folder}/ca/collector.pem",
                "NETSCOPE_COLLECTOR_INGEST__TLS_KEY": f"{self.folder}/ca/collector.key",
                "NETSCOPE_COLLECTOR_INGEST__TLS_CLIENT_CA": f"{self.folder}/ca/ca.pem"}

    def start_sensor(self, k, collector):
        own = f"{self.folder}/s{k}"
        return Program(SENSOR, "-i", "cap0", "--quiet", "--sensor-id", f"s{k}", "--flows-jsonl", f"{own}/flows.jsonl",
                       "--collector", f"{HUB_ADDRESS}:{collector.ingest}", prefix=within(k), awaited=True,
                       environment={"NETSCOPE_COLLECTOR__CA": f"{own}/ca.pem",
                                    "NETSCOPE_COLLECTOR__CERTIFICATE": f"{own}/s{k}.pem",
                                    "NETSCOPE_COLLECTOR__KEY": f"{own}/s{k}.key",
                                    "NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_COLLECTOR__BACKOFF_MAX": "1s"})

    def send(self):
        """All five at once, each its frames at its pace."""
        return [Program(GENERATOR, "-i", "gen0", "-n", FRAMES + 100 * k, "-r", RATE, "-f", 300, "-t", "-b", prefix=within(k))
                for k in range(SENSORS)]

    def begin(self):
        environment = self.enroll()
        collector = Collector(self.folder, host=HUB_ADDRESS, environment=environment, prefix=within("hub"))
        self.addCleanup(collector.close)
        sensors = [self.start_sensor(k, collector) for k in range(SENSORS)]
        for sensor in sensors:
            self.addCleanup(sensor.__exit__)
        wait_until("five sensors", lambda: len(collector.sensors()) == SENSORS, 60)
        return collector, sensors

    def finish(self, collector, sensors, generators):
        for generator in generators:
            self.assertEqual(generator.process.wait(timeout=60 * PATIENCE), 0, generator.text())
            generator.__exit__()
        time.sleep(0.5)  # the last block of the ring
        for sensor in sensors:
            self.assertEqual(sensor.stop(), 0, sensor.text())
        for k, sensor in enumerate(sensors):
            wanted = FRAMES + 100 * k
            self.assertEqual(int(re.search(r"packets captured: (\d+)", sensor.text()).group(1)), wanted, sensor.text())
            self.assertIn("kernel drops: 0, interface drops: 0", sensor.text())
            self.assertNotIn("lost{shutdown}", sensor.text())
            self.assertEqual(sum(map(delta_packets, json_lines(f"{self.folder}/s{k}/flows.jsonl"))), wanted)
        total = sum(FRAMES + 100 * k for k in range(SENSORS))
        wait_until("all packets in the store", lambda: collector.flow_packets() >= total, 30)
        flows = collector.flows()
        for k in range(SENSORS):
            packets = sum(int(f.get(way, {}).get("total_packets", 0)) for f in flows if f["sensor_id"] == f"s{k}"
                          for way in ("forward", "reverse"))
            self.assertEqual(packets, FRAMES + 100 * k, f"s{k}")

    def test_five_sensors_one_collector_every_packet_is_accounted_for(self):
        collector, sensors = self.begin()
        self.finish(collector, sensors, self.send())

    def test_a_collector_killed_while_five_sensors_report_loses_nothing(self):
        collector, sensors = self.begin()
        generators = self.send()
        time.sleep(2)
        collector.program.stop(signal.SIGKILL)
        time.sleep(1)
        collector.start()
        self.finish(collector, sensors, generators)

    def test_a_sensor_without_a_certificate_is_refused(self):
        environment = self.enroll()
        collector = Collector(self.folder, host=HUB_ADDRESS, environment=environment, prefix=within("hub"))
        self.addCleanup(collector.close)
        sensor = Program(SENSOR, "-i", "cap0", "--quiet", "--sensor-id", "stranger", "--collector",
                         f"{HUB_ADDRESS}:{collector.ingest}", prefix=within(0),
                         environment={"NETSCOPE_COLLECTOR__CA": f"{self.folder}/s0/ca.pem"})
        self.addCleanup(sensor.__exit__)
        time.sleep(3)
        self.assertNotIn("stranger", collector.sensors())


if __name__ == "__main__":
    main()
