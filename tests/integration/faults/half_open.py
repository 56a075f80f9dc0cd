"""A link that dies in silence between a sensor and its collector, each in a network namespace of its own: no reset, no
carrier that goes, nothing that either kernel could tell. Both find out by their keepalive, and nothing is lost.

    namespace s: up0 --veth-- port_s of a bridge in namespace m --veth-- up0 of namespace c

Cut, the bridge has lost one of its ports. Root only (77 else). argv: ingest_probe.
"""
import os
import re
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from probes import ProbeCollector, ProbeSensor
from support.netns import command, inside, plain_link, remove
from support.programs import PATIENCE, SKIPPED, wait_until

PROBE = sys.argv[1]
PREFIX = f"nshalf{os.getpid()}"
SENSOR, COLLECTOR = "10.78.0.1", "10.78.0.2"
# Longest that an end may take: its interval, its timeout, and a second to see it.
SENSOR_KEEPALIVE, COLLECTOR_KEEPALIVE = (10, 4), (5, 3)


def within(name):
    return inside(f"{PREFIX}{name}")


def build_network():
    for name in "msc":
        command("ip", "netns", "add", f"{PREFIX}{name}")
        command(*within(name), "ip", "link", "set", "lo", "up")
    command(*within("m"), "ip", "link", "add", "br0", "type", "bridge")
    plain_link(f"{PREFIX}m", "br0")
    for name, address in (("s", SENSOR), ("c", COLLECTOR)):
        command(*within(name), "ip", "link", "add", "up0", "type", "veth", "peer", "name", f"port_{name}", "netns",
                f"{PREFIX}m")
        command(*within(name), "ip", "addr", "add", f"{address}/24", "dev", "up0")
        plain_link(f"{PREFIX}{name}", "up0")
        plain_link(f"{PREFIX}m", f"port_{name}")
        command(*within("m"), "ip", "link", "set", f"port_{name}", "master", "br0")


def connections(name, port):
    """Established ones of the stream, as this end's kernel sees them."""
    end = "dport" if name == "s" else "sport"
    listed = command(*within(name), "ss", "-Htn", "state", "established", f"{end} = :{port}")
    return sorted(re.findall(r"\S+:\d+", listed))


class HalfOpen(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: it makes network namespaces")
        for name in "msc":
            cls.addClassCleanup(remove, f"{PREFIX}{name}")
        try:
            build_network()
            command(*within("s"), "ss", "-Htn")
        except (AssertionError, FileNotFoundError) as error:
            raise unittest.SkipTest(f"network namespaces, a bridge or ss are not to be had here: {error}") from error

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)

    def cut(self):
        command(*within("m"), "ip", "link", "set", "port_c", "nomaster")

    def heal(self):
        command(*within("m"), "ip", "link", "set", "port_c", "master", "br0")

    def test_both_ends_find_out_in_time_and_nothing_is_lost_or_stored_twice(self):
        interval, timeout = COLLECTOR_KEEPALIVE
        collector = ProbeCollector(PROBE, os.path.join(self.temporary.name, "log"), f"{COLLECTOR}:0", prefix=within("c"),
                                   settings=("insecure=true", f"keepalive_interval={interval}s",
                                             f"keepalive_timeout={timeout}s"))
        self.addCleanup(lambda: collector.process.poll() is None and collector.kill())
        interval, timeout = SENSOR_KEEPALIVE
        sensor = ProbeSensor(PROBE, "cut", self.temporary.name, collector.port, 2000 / PATIENCE, "insecure=true",
                             f"keepalive_interval={interval}s", f"keepalive_timeout={timeout}s", host=COLLECTOR,
                             prefix=within("s"))
        self.addCleanup(lambda: sensor.process.poll() is None and sensor.kill())
        sensor.start()
        wait_until("the stream", lambda: sensor.numbered() > 2000)
        old = {name: connections(name, collector.port) for name in "sc"}
        self.assertEqual([len(ends) for ends in old.values()], [2, 2])  # one connection: both its ends
        for turn in range(2):
            old = {name: connections(name, collector.port) for name in "sc"}
            began, taken = time.monotonic(), {}
            numbered = sensor.numbered()
            self.cut()
            while len(taken) < 2 and time.monotonic() - began < 60:
                for name in "sc":
                    if name not in taken and not set(old[name]) <= set(connections(name, collector.port)):
                        taken[name] = time.monotonic() - began
                time.sleep(0.1)
            self.assertEqual(set(taken), {"s", "c"}, "an end that still believes in it after a minute")
            self.assertLess(taken["s"], sum(SENSOR_KEEPALIVE) + PATIENCE)
            self.assertLess(taken["c"], sum(COLLECTOR_KEEPALIVE) + PATIENCE)
            self.assertGreater(taken["s"], 1)  # nobody has told it
            self.assertGreater(sensor.numbered(), numbered + 1000 * min(taken.values()) / PATIENCE, "the sensor was held up")
            self.heal()
            after = sensor.numbered()
            wait_until("another connection", lambda: len(connections("c", collector.port)) == 2, seconds=30)
            wait_until("what came before to be acknowledged, and more", lambda: sensor.acked() > after + 2000 / PATIENCE,
                       seconds=60)
            print(f"    cut {turn + 1}: the sensor found out after {taken['s']:.1f} s, the collector after {taken['c']:.1f} s")
        told = sensor.stop()
        self.assertEqual((told["owed"], told["lost"], told["unacked"]), (0, 0, 0), sensor.said[-2000:])
        self.assertGreaterEqual(sensor.said.count("not connected; records wait in the spool"), 2, sensor.said)
        collector.stop()
        sums, boots = collector.scan()
        self.assertEqual((sums["missing"], sums["duplicates"], sums["gap_records"], sums["undecodable"]), (0, 0, 0, 0))
        self.assertEqual(boots[told["boot"]]["records"], told["flows"] + told["alerts"] + told["stats"])


if __name__ == "__main__":
    program = unittest.main(argv=sys.argv[:1] + sys.argv[2:], exit=False, verbosity=2)
    if program.result.skipped and len(program.result.skipped) >= max(program.result.testsRun, 1):
        print(f"SKIP: {program.result.skipped[0][1]}")
        sys.exit(SKIPPED)
    sys.exit(0 if program.result.wasSuccessful() else 1)
