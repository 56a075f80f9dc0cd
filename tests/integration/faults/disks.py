"""The disk of the sensor's spool and of the collector's log fails: full, read-only, gone, damaged; and the clock steps.

Needs root: small file systems are mounted in a mount namespace of the test's own (unshare -m). A disk that turns
read-only under a program is made by a library before libc (tests/support/readonly_disk.c), since the kernel refuses to
remount while files are open for writing. argv: ingest_probe, that library (may be missing).
Exit status 77: not root, or namespaces are not allowed.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from probes import ProbeCollector, ProbeSensor
from end_to_end.fleet import Collector
from support.programs import COLLECTOR, PATIENCE, SENSOR, Program, free_port, make_traffic, metrics, wait_until

PROBE, READ_ONLY = [*sys.argv[1:3], ""][:2]
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
        sensor.start(records=160_000)  # still at it when the collector is back: nobody waits for one that was never seen
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

    # ---- a disk that turns read-only under a program ----

    def read_only_disk(self, size="96m"):
        """What a program needs in its environment; `turn(True)` makes the disk read-only for it."""
        if PATIENCE > 1 or not os.path.exists(READ_ONLY):
            self.skipTest("a sanitizer's build takes no library before its own")
        self.mount(f"size={size}")
        self.state = os.path.join(self.folder, "state")
        with open(self.state, "wb") as file:
            file.write(b"0")
        return {"LD_PRELOAD": READ_ONLY, "NETSCOPE_TEST_DISK": self.disk, "NETSCOPE_TEST_DISK_STATE": self.state}

    def turn(self, is_read_only):
        with open(self.state, "r+b") as file:
            file.write(b"1" if is_read_only else b"0")

    def test_a_spool_s_disk_that_turns_read_only_is_told_and_used_again_when_it_is_writable(self):
        environment = self.read_only_disk()
        collector = self.collector()
        collector.kill()
        sensor = self.sensor(collector.port, "spool.bytes=64MiB")
        sensor.start(records=220_000, environment=environment)
        flows = f"{self.disk}/spool/collector/flows"

        def bytes_there():
            return sum(entry.stat().st_size for entry in os.scandir(flows)) if os.path.isdir(flows) else 0
        wait_until("it writes", lambda: bytes_there() > 2 << 20)
        self.turn(True)
        time.sleep(0.5)
        before = bytes_there()
        time.sleep(2)
        self.assertEqual(bytes_there(), before)
        self.assertGreater(sensor.numbered(), 0)
        self.turn(False)
        wait_until("it writes again", lambda: bytes_there() > before + (2 << 20), seconds=30)
        collector.start()
        told = sensor.end()
        self.assertIn("the spool's disk fails", sensor.said)
        self.assertIn("Read-only file system", sensor.said)
        self.assertEqual((told["owed"], told["unacked"]), (0, 0))
        sums = self.check(collector, told)
        self.assertEqual(sums["gap_records"], told["lost"])

    def test_a_collector_s_log_on_a_disk_that_turns_read_only_acknowledges_nothing_and_goes_on_by_itself(self):
        environment = self.read_only_disk()
        collector = self.collector(folder=os.path.join(self.disk, "log"), environment=environment)
        sensor = ProbeSensor(PROBE, "writer", self.folder, collector.port, 20_000)
        self.addCleanup(lambda: sensor.process.poll() is None and sensor.kill())
        sensor.start(records=100_000)
        wait_until("the stream", lambda: sensor.numbered() > 10_000)
        for _ in range(2):
            self.turn(True)
            time.sleep(1.2)
            self.turn(False)
            time.sleep(1.2)
        told = sensor.end()
        self.assertEqual((told["owed"], told["unacked"], told["lost"]), (0, 0, 0), sensor.said)
        counts, said = collector.stop()
        self.assertGreater(counts["log_errors"], 0)
        self.assertIn("the log cannot be written: sensors keep what they have", said)
        self.assertIn("Read-only file system", said)
        self.assertIn("the log can be written again", said)
        self.assertIn("the collector cannot write its log", sensor.said)
        sums, boots = collector.scan()
        self.assertEqual((sums["missing"], sums["duplicates"], sums["undecodable"], sums["gap_records"]), (0, 0, 0, 0), sums)
        self.assertEqual(boots[told["boot"]]["records"], told["flows"] + told["alerts"] + told["stats"])

    def test_a_collector_whose_store_turns_read_only_ends_with_words_and_has_all_after_its_restart(self):
        if not os.access(COLLECTOR, os.X_OK):
            self.skipTest("netscope-collector is not built")
        environment = self.read_only_disk()
        collector = Collector(self.disk, environment=environment)
        self.addCleanup(collector.close)
        sensor = ProbeSensor(PROBE, "writer", self.folder, collector.ingest, 5000)
        self.addCleanup(lambda: sensor.process.poll() is None and sensor.kill())
        sensor.start()

        def flows_stored():
            return metrics(f"http://127.0.0.1:{collector.http}/metrics")["netscope_collector_records_stored_total"]
        wait_until("records in the store", lambda: flows_stored() > 2000)
        self.turn(True)
        process = collector.program.process
        try:  # with a transaction under way its commit fails, and a service manager starts the program again
            self.assertEqual(process.wait(timeout=5), 1)
            self.assertRegex(collector.program.text(), r"day-[\d-]+\.db: disk I/O error .*read-only")
            with Program(*collector.program.command, environment=environment) as again:
                self.assertNotEqual(again.process.wait(timeout=30), 0)
                self.assertIn("Read-only file system", again.text())
        except subprocess.TimeoutExpired:  # nothing was to be committed
            self.assertIn("the log cannot be written", collector.program.text())
        self.turn(False)
        if process.poll() is not None:
            collector.program.__exit__()
            collector.start()
        sensor_at = sensor.numbered()
        wait_until("the stream goes on", lambda: sensor.numbered() > sensor_at + 10_000)
        wait_until("it is taken", lambda: flows_stored() > 5000)
        told = sensor.stop()
        self.assertEqual((told["owed"], told["unacked"], told["lost"]), (0, 0, 0), sensor.said)
        page = metrics(f"http://127.0.0.1:{collector.http}/metrics")
        self.assertEqual(page["netscope_collector_ingest_gap_records_total"], 0)

        def rows():
            ledger = collector.fetch("/v1/ledger")
            self.assertTrue(ledger["balanced"])
            return {row["stage"].removeprefix("LEDGER_STAGE_"): row for row in ledger["rows"]}
        wait_until("all is stored", lambda: int(rows()["STORE"]["held"]) == 0)
        if process.poll() is None:  # what the log did not take came again, and counts once
            returned = [int(one["count"]) for one in rows()["INGEST"]["lost"] if one["reason"] == "returned"]
            self.assertGreater(returned[0], 0)
        lost = {one["reason"]: int(one["count"]) for one in rows()["STORE"]["lost"] if int(one["count"])}
        self.assertEqual(set(lost) - {"duplicate"}, set())
        self.assertEqual(collector.program.stop(), 0, collector.program.text()[-2000:])

    def test_files_of_records_on_a_disk_that_turns_read_only_are_told_and_the_sensor_goes_on(self):
        if not os.access(SENSOR, os.X_OK):
            self.skipTest("netscope-sensor is not built")
        environment = self.read_only_disk()
        capture, _ = make_traffic(self.folder, "mix", packets=100_000)
        port, flows = free_port(), os.path.join(self.disk, "flows.jsonl")
        sensor = Program(SENSOR, "--read-pcap", capture, "--pace", "--loop", "--quiet", "-v", "-t", "2", "--flows-jsonl", flows,
                         environment={**environment, "NETSCOPE_HTTP__PORT": str(port), "NETSCOPE_GRPC__ENABLED": "off"})
        self.addCleanup(sensor.__exit__)

        def figure(pattern):
            page = metrics(f"http://127.0.0.1:{port}/metrics")
            return sum(value for name, value in page.items() if pattern in name)
        wait_until("records in the file", lambda: os.path.exists(flows) and os.path.getsize(flows) > 10_000)
        self.turn(True)
        row = 'stage="sink",name="flows_jsonl",reason='
        wait_until("lost records", lambda: figure(row + '"refused"') > 0 and figure(row + '"write_failed"') > 0, seconds=40)
        self.assertRegex(sensor.text(), r'msg="a file cannot be written.*flows\.jsonl reason="Read-only file system"')
        before = figure("netscope_capture_packets_total")
        wait_until("it goes on", lambda: figure("netscope_capture_packets_total") > before + 100)
        cut = os.path.getsize(flows)
        self.turn(False)
        wait_until("records in the file again", lambda: os.path.getsize(flows) > cut + 10_000)
        lost = {reason: figure(f'{row}"{reason}"') for reason in ("write_failed", "refused")}
        self.assertRegex(sensor.text(), r'msg="a file is written again" path=\S+flows\.jsonl records_lost=[1-9]')
        self.assertEqual(sensor.stop(), 1)  # something is missing
        self.assertIn("flows.jsonl: Read-only file system", sensor.text())
        with open(flows, encoding="utf-8") as file:  # all lines are whole, also where it was cut
            rows = [json.loads(line) for line in file]
        numbers = [int(row["record_seq"]) for row in rows]
        self.assertEqual(numbers, sorted(set(numbers)))
        holes = numbers[-1] - len(numbers)
        self.assertGreaterEqual(holes, lost["write_failed"])
        self.assertLessEqual(holes, sum(lost.values()))  # "refused" counts all that stood in a batch

    def test_a_pcap_file_on_a_disk_that_turns_read_only_is_told_and_the_sensor_goes_on(self):
        if not os.access(SENSOR, os.X_OK):
            self.skipTest("netscope-sensor is not built")
        environment = self.read_only_disk()
        capture, _ = make_traffic(self.folder, "mix", packets=100_000)
        for name, more in (("one.pcap", {}), ("many.pcapng", {"ROTATE_PACKETS": "1000000", "MAX_FILES": "10"})):
            with self.subTest(name=name):
                port, path = free_port(), os.path.join(self.disk, name)
                sensor = Program(SENSOR, "--read-pcap", capture, "--pace", "--loop", "--quiet", "-v", "--write-pcap", path, environment={
                    **environment, "NETSCOPE_HTTP__PORT": str(port), "NETSCOPE_GRPC__ENABLED": "off",
                    **{f"NETSCOPE_OUTPUT__WRITE_PCAP_{key}": value for key, value in more.items()}})
                self.addCleanup(sensor.__exit__)

                def figure(pattern):
                    page = metrics(f"http://127.0.0.1:{port}/metrics")
                    return sum(value for name, value in page.items() if pattern in name)
                file = path if not more else path.replace(".pcapng", ".000001.pcapng")
                wait_until("packets in the file", lambda: os.path.exists(file) and os.path.getsize(file) > 20_000)
                self.turn(True)
                lost = 'netscope_pcap_dropped_total{reason="failed"}'
                wait_until("lost packets", lambda: figure(lost) > 0)
                wait_until("the log says so", lambda: re.search(
                    r'msg="packets cannot be written.*reason="Read-only file system"', sensor.text()))
                before = figure("netscope_capture_packets_total")
                wait_until("it goes on", lambda: figure("netscope_capture_packets_total") > before + 100)
                cut = os.path.getsize(file)
                self.turn(False)
                wait_until("packets in the file again", lambda: os.path.getsize(file) > cut + 20_000)
                wait_until("the log says so", lambda: 'msg="packets are written again"' in sensor.text())
                self.assertEqual(sensor.text().count('msg="packets cannot be written'), 1)
                self.assertEqual(sensor.stop(), 1)  # something is missing
                told = re.search(r"Read-only file system: (\d+) packets were not written", sensor.text())
                self.assertGreater(int(told.group(1)), 0, sensor.text()[-2000:])
                read = Program(SENSOR, "--read-pcap", file, "--quiet", environment={"NETSCOPE_GRPC__ENABLED": "off"})
                self.assertEqual(read.process.wait(timeout=60), 0, read.text()[-2000:])  # each packet in it is whole
                read.__exit__()

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
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
