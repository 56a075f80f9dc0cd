"""Packets written to files: tcpdump and tshark read them as our own reader does, and a full disk costs packets, never the run.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.programs import SENSOR, clean_environment, main, make_traffic, read_pcap, sensor


def tool(*words):
    """What a foreign reader says of a file, one line a packet; it must be silent about faults."""
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "HOME": "/tmp"}, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"{words[0]}: {done.stderr}")
    for wrong in ("truncated", "damaged", "cut short", "appears"):
        if wrong in done.stderr:
            raise AssertionError(f"{words[0]}: {done.stderr}")
    return done.stdout.splitlines()


class PcapWriting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="netscope-pcap-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.input, _ = make_traffic(cls.folder, "mix", packets=6000)
        cls.packets = read_pcap(cls.input)

    def setUp(self):
        self.out = tempfile.mkdtemp(dir=self.folder)

    def write(self, name, *flags, **output):
        settings = {f"NETSCOPE_OUTPUT__{key.upper()}": str(value) for key, value in output.items()}
        done = sensor("--read-pcap", self.input, "--quiet", "--no-anomalies", "--write-pcap", f"{self.out}/{name}", *flags,
                      environment=settings)
        self.assertEqual(done.returncode, 0, done.stderr)
        stem, suffix = name.split(".")
        return sorted(glob.glob(f"{self.out}/{stem}*.{suffix}"))

    def readers(self):
        found = []
        if shutil.which("tcpdump"):
            found.append(lambda path: tool("tcpdump", "-r", path, "-nn", "-tt", "--nano"))
        if shutil.which("tshark"):
            found.append(lambda path: tool("tshark", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len"))
        if not found:
            self.skipTest("neither tcpdump nor tshark is installed")
        return found

    def check(self, paths, wanted):
        for reader in self.readers():
            self.assertEqual(sum(len(reader(path)) for path in paths), wanted)
        if shutil.which("tshark"):
            lengths = [int(line.split()[1]) for path in paths for line in self.readers()[-1](path)]
            self.assertEqual(lengths, [p[2] for p in self.packets][-wanted:])
        done = sensor("--read-pcap", *paths, "--quiet", "--no-anomalies") if len(paths) == 1 else None
        if done is not None:
            self.assertIn(f"packets captured: {wanted} ", done.stdout + done.stderr)

    def test_one_file_of_each_kind(self):
        for name in ("all.pcap", "all.pcapng"):
            self.check(self.write(name), len(self.packets))

    def test_the_format_can_be_told(self):
        path, = self.write("told.pcap", write_pcap_format="pcapng")
        with open(path, "rb") as file:
            self.assertEqual(file.read(4), b"\x0a\x0d\x0d\x0a")
        self.check([path], len(self.packets))

    def test_segments_by_packets_in_both_formats(self):
        for suffix in ("pcap", "pcapng"):
            paths = self.write(f"seg.{suffix}", write_pcap_rotate_packets=1000, write_pcap_max_files=3)
            self.assertEqual([os.path.basename(p) for p in paths], [f"seg.00000{n}.{suffix}" for n in (4, 5, 6)])
            self.check(paths, 3000)

    def test_segments_by_time_hold_what_their_time_says(self):
        paths = self.write("time.pcap", write_pcap_rotate_time="50ms", write_pcap_max_files=10000)
        self.assertGreater(len(paths), 1)
        self.assertEqual([p for path in paths for p in read_pcap(path)], self.packets)
        for path in paths:
            with open(path, "rb") as file:
                unit = 1e9 if file.read(4) == b"\x4d\x3c\xb2\xa1" else 1e6
            times = [p[0] + p[1] / unit for p in read_pcap(path)]
            self.assertLess(times[-1] - times[0], 0.05)

    def test_several_shards_write_every_packet_once(self):
        path, = self.write("four.pcap", "--shards", "4")
        written = read_pcap(path)
        self.assertEqual(len(written), len(self.packets))
        self.assertEqual(sorted(written), sorted(self.packets))

    def test_segments_without_a_bound_are_refused(self):
        for settings in ({"ROTATE_TIME": "1s"}, {"KEEP": "10m"}, {"MAX_SIZE": "1GB"}, {"MAX_FILES": "3"}):
            done = sensor("--read-pcap", self.input, "--quiet", "--write-pcap", f"{self.out}/no.pcap",
                          environment={f"NETSCOPE_OUTPUT__WRITE_PCAP_{k}": v for k, v in settings.items()})
            self.assertNotEqual(done.returncode, 0, settings)
            self.assertRegex(done.stderr, "write.pcap")
            self.assertEqual(os.listdir(self.out), [])


class FullDisk(unittest.TestCase):
    """A small file system of its own, in a mount namespace of its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="netscope-full-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.disk = f"{self.folder}/disk"
        os.mkdir(self.disk)
        probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.disk], capture_output=True)
        if probe.returncode != 0:
            self.skipTest("no file system can be mounted here (needs root)")
        self.input, _ = make_traffic(self.folder, "mix", packets=20000)
        self.count = len(read_pcap(self.input))

    def run_inside(self, environment, before="true"):
        script = (f"mount -t tmpfs -o size=2m tmpfs {self.disk} && {before} && "
                  f"{SENSOR} -v --read-pcap {self.input} --quiet --no-anomalies --write-pcap {self.disk}/x.pcap; "
                  f"code=$?; rm -f {self.disk}/filler; cp {self.disk}/x* {self.folder}; exit $code")
        return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=120,
                              env=clean_environment(environment))

    def test_the_oldest_segments_make_room(self):
        done = self.run_inside({"NETSCOPE_OUTPUT__WRITE_PCAP_ROTATE": "100KB", "NETSCOPE_OUTPUT__WRITE_PCAP_MAX_FILES": "1000"})
        self.assertEqual(done.returncode, 0, done.stderr)
        paths = sorted(glob.glob(f"{self.folder}/x.*.pcap"))
        self.assertGreater(len(paths), 5)
        written = [p for path in paths for p in read_pcap(path)]
        self.assertEqual(written, read_pcap(self.input)[-len(written):], "what is left is the newest, without a hole")

    def test_with_nothing_to_delete_packets_are_lost_and_told_and_the_file_stays_whole(self):
        before = f"dd if=/dev/zero of={self.disk}/filler bs=1k count=1948 2>/dev/null"
        done = self.run_inside({"NETSCOPE_OUTPUT__WRITE_PCAP_ROTATE": "100MB", "NETSCOPE_OUTPUT__WRITE_PCAP_MAX_FILES": "10"}, before)
        self.assertEqual(done.returncode, 1, done.stderr)
        lost = re.search(r"the disk was full: (\d+) packets were not written", done.stderr)
        self.assertTrue(lost, done.stderr)
        self.assertIn(f"packets captured: {self.count} ", done.stdout + done.stderr, "the flows have them all")
        left = sum(len(read_pcap(path)) for path in glob.glob(f"{self.folder}/x.*.pcap"))
        self.assertEqual(left + int(lost.group(1)), self.count)

    def test_one_file_on_a_full_disk_does_not_end_the_run_and_stays_whole(self):
        for suffix in ("pcap", "pcapng"):
            with self.subTest(suffix=suffix):
                done = self.run_inside({"NETSCOPE_OUTPUT__WRITE_PCAP_FORMAT": suffix})
                self.assertEqual(done.returncode, 1, done.stderr)
                lost = re.search(r"the disk was full: (\d+) packets were not written", done.stderr)
                self.assertTrue(lost, done.stderr)
                self.assertIn(f"packets captured: {self.count} ", done.stdout + done.stderr, "the flows have them all")
                if suffix == "pcap":
                    written, whole = read_pcap(f"{self.folder}/x.pcap"), iter(read_pcap(self.input))
                    self.assertGreater(len(written), 0)
                    self.assertTrue(all(packet in whole for packet in written), "those that are there are in order")
                    self.assertEqual(len(written) + int(lost.group(1)), self.count)


if __name__ == "__main__":
    main()
