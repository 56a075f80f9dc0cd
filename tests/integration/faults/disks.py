"""The disk of the sensor's spool and of the collector's log fails: full, read-only, gone, damaged; and the clock steps.

Needs root: small file systems are mounted in a mount namespace of the test's own (unshare -m). argv: ingest_probe.
Exit status 77: not root, or namespaces are not allowed.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from probes import ProbeCollector, ProbeSensor
from support.programs import PATIENCE

PROBE = sys.argv[1]
INSIDE = "NETSCOPE_TEST_NAMESPACE"


def enter_namespace():
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        print("SKIP: needs root and a mount namespace")
        sys.exit(77)
    os.execvpe("unshare", ["unshare", "-m", sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


class Disks(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)

    def mount(self, *options, at=None):
        at = at or self.disk
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "netscope-test", at], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"mount: {done.stderr}")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", at], check=False))

    def remount(self, *options):
        subprocess.run(["mount", "-o", ",".join(["remount", *options]), self.disk], check=True)

    def collector(self, folder=None, **options):
        collector = ProbeCollector(PROBE, folder or os.path.join(self.folder, "log"), **options)
        self.addCleanup(lambda: collector.process.poll() is None and collector.kill())
        return collector

    def sensor(self, port, *settings, rate=20_000):
        sensor = ProbeSensor(PROBE, "sensor", self.folder, port, rate / PATIENCE, f"spool.directory={self.disk}/spool",
                             "spool.memory=1MiB", *settings)
        self.addCleanup(lambda: sensor.process.poll() is None and sensor.kill())
        return sensor

    def check(self, collector, *runs):
        """Each number of each process is in the log or in a told gap."""
        collector.stop()
        sums, boots = collector.scan()
        self.assertEqual((sums["missing"], sums["duplicates"], sums["undecodable"]), (0, 0, 0), sums)
        for told in runs:
            row = boots[told["boot"]]
            self.assertEqual(row["records"] + row["gap_records"], told["flows"] + told["alerts"] + told["stats"], (row, told))
        return sums

    def test_a_full_disk_of_the_spool_costs_the_oldest_and_the_sensor_goes_on(self):
        self.mount("size=6m")
        collector = self.collector()
        collector.kill()
        sensor = self.sensor(collector.port, "spool.bytes=64MiB")
        sensor.start(records=100_000)
        time.sleep(4 * PATIENCE)  # 16 MB for a disk of 6
        collector.start()
        told = sensor.end()
        self.assertIn("the spool dropped its oldest records", sensor.said)
        self.assertIn("the spool's disk fails", sensor.said)
        self.assertIn("No space left on device", sensor.said)
        self.assertEqual((told["owed"], told["unacked"]), (0, 0))
        self.assertGreater(told["lost"], 0)
        sums = self.check(collector, told)
        self.assertEqual(sums["gap_records"], told["lost"])

    def test_a_disk_that_others_fill_is_told_and_used_again_when_there_is_room(self):
        self.mount("size=48m")
        collector = self.collector()
        collector.kill()
        sensor = self.sensor(collector.port)
        sensor.start(records=150_000)
        time.sleep(1.5)
        other = os.path.join(self.disk, "other")
        with open(other, "wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 16)):
                    pass
            except OSError:
                pass
        time.sleep(1.5)
        os.unlink(other)
        time.sleep(3)

        def bytes_there():
            return sum(entry.stat().st_size for entry in os.scandir(f"{self.disk}/spool/collector/flows"))
        self.assertGreater(bytes_there(), 4 << 20)  # it writes again
        collector.start()
        told = sensor.end()
        self.assertIn("the spool's disk fails", sensor.said)
        self.assertEqual((told["owed"], told["unacked"]), (0, 0))
        sums = self.check(collector, told)
        self.assertEqual(sums["gap_records"], told["lost"])

    def test_a_read_only_disk_at_the_start_leaves_the_spool_in_memory_and_says_so(self):
        self.mount("size=4m")
        self.remount("ro")
        collector = self.collector()
        sensor = self.sensor(collector.port)
        sensor.start(records=20_000)
        told = sensor.end()
        self.assertIn("the spool cannot be on disk", sensor.said)
        self.assertIn("Read-only file system", sensor.said)
        self.assertEqual((told["unacked"], told["lost"]), (0, 0))
        self.check(collector, told)

    def test_a_damaged_segment_costs_its_own_records_and_is_told_with_its_range(self):
        self.mount("size=64m")
        collector = self.collector()
        collector.kill()
        sensor = self.sensor(collector.port, "spool.bytes=8MiB", "spool.write=always")
        sensor.start(records=30_000, flush_seconds=1)
        first = sensor.end()
        flows = f"{self.disk}/spool/collector/flows"
        names = sorted(name for name in os.listdir(flows) if name.endswith(".log"))
        self.assertGreater(len(names), 2)
        with open(os.path.join(flows, names[1]), "r+b") as file:  # in the middle of the second of them
            file.seek(os.path.getsize(file.name) // 2)
            file.write(os.urandom(200))
        with open(os.path.join(flows, names[-1]), "r+b") as file:  # and a torn end
            file.truncate(os.path.getsize(file.name) - 7)
        collector.start()
        sensor.start(records=1000)
        second = sensor.end()
        self.assertIn("damaged frame", sensor.said)
        self.assertIn("cut off what a crash left unfinished", sensor.said)
        sums = self.check(collector, first, second)
        self.assertGreater(sums["gap_records"], 0)
        self.assertLess(sums["gap_records"], 15_000)

    def test_a_full_disk_of_the_collector_acknowledges_nothing_that_is_not_there(self):
        self.mount("size=3m")
        collector = self.collector(folder=os.path.join(self.disk, "log"), settings=("log_segment=1MiB",))
        sensor = ProbeSensor(PROBE, "full", self.folder, collector.port, 20_000 / PATIENCE)
        self.addCleanup(lambda: sensor.process.poll() is None and sensor.kill())
        sensor.start(records=40_000)
        time.sleep(3 * PATIENCE)  # 7 MB for a disk of 3
        self.remount("size=64m")
        told = sensor.end()
        self.assertEqual((told["owed"], told["unacked"], told["lost"]), (0, 0, 0), sensor.said)
        sums = self.check(collector, told)
        self.assertEqual(sums["gap_records"], 0)

    def test_a_step_of_the_clock_changes_ages_and_offsets_and_no_record(self):
        """Wall clocks say when records were taken and nothing more: an hour back and forth loses nothing."""
        if not os.path.exists("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"):
            self.skipTest("libfaketime is not installed")
        if PATIENCE > 1:
            self.skipTest("a sanitizer's build takes no library before its own")
        collector = self.collector()
        steps = os.path.join(self.folder, "clock")
        with open(steps, "w", encoding="ascii") as file:
            file.write("+0")
        sensor = self.sensor(collector.port, rate=5000)
        sensor.start(records=20_000, environment={
            "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "FAKETIME_TIMESTAMP_FILE": steps,
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        for step in ("+3600", "-3600", "+86400"):
            time.sleep(0.8)
            with open(steps, "w", encoding="ascii") as file:
                file.write(step)
        told = sensor.end()
        self.assertEqual((told["owed"], told["unacked"], told["lost"]), (0, 0, 0), sensor.said)
        self.check(collector, told)


if __name__ == "__main__":
    enter_namespace()
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
