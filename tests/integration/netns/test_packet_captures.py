"""Captures on request of a live sensor with two interfaces and several shards: what comes out is what tcpdump finds by
the same filter in the file that the sensor writes beside it, in the order of time, and its time ends it.

Root only (77 else). One namespace with this process' id in its name.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.netns import command, inside, plain_link, wire_for
from support.programs import PATIENCE, SENSOR, SKIPPED, Program, main, wait_until

try:
    from support.captures import Capture, read_pcapng
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)

GENERATOR = os.environ.get("NETSCOPE_VETH_GEN", "")
PREFIX = f"nspackets{os.getpid()}"
INSIDE = inside(PREFIX)


def send(link, *options):
    return int(command(*INSIDE, GENERATOR, "-i", link, *options))


class Captures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.access(GENERATOR, os.X_OK):
            raise unittest.SkipTest("veth_gen is not built")
        wire_for(cls, PREFIX, "tcpdump", "curl")
        command(*INSIDE, "ip", "link", "add", "cap1", "type", "veth", "peer", "name", "gen1")
        for link in ("cap1", "gen1"):
            plain_link(PREFIX, link)

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.written = f"{self.temporary.name}/all.pcapng"
        self.socket = f"{self.temporary.name}/sensor.sock"

    def start(self, *options, **environment):
        sensor = Program(SENSOR, "-i", "cap0,cap1", "--quiet", "-v", "--write-pcap", self.written,
                         "--grpc-listen", "", *options, prefix=INSIDE, awaited=True,
                         environment={"NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_GRPC__UNIX_SOCKET": self.socket,
                                      **environment})
        self.addCleanup(sensor.__exit__)
        wait_until("the socket", lambda: os.path.exists(self.socket))
        return sensor

    def by_tcpdump(self, bpf, file=None):
        """What is in the written file: (time, bytes), by the time."""
        done = subprocess.run(["tcpdump", "-r", file or self.written, "--nano", "-w", "-", bpf], capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        data, at, packets = done.stdout, 24, []
        while at < len(data):
            seconds, nanos, captured, _ = (int.from_bytes(data[at + 4 * i:at + 4 * i + 4], "little") for i in range(4))
            packets.append((seconds * 10**9 + nanos, data[at + 16:at + 16 + captured]))
            at += 16 + captured
        return sorted(packets)

    def check_equals_tcpdump(self, bpf, links, **fields):
        sensor = self.start("--shards", "2")
        capture = Capture(f"unix:{self.socket}", bpf=bpf, seconds=4 * PATIENCE, **fields).start()
        for size in (60, 1000):
            for link in ("gen0", "gen1"):
                send(link, "-n", 4000, "-r", 20000, "-f", 100, "-b", "-s", size)
        summary = capture.wait()
        self.assertIsNone(capture.error)
        send("gen0", "-n", 100)
        self.assertEqual(sensor.stop(), 0, sensor.text())
        interfaces, packets = read_pcapng(capture.file)
        self.assertEqual(interfaces, [(link, 1, 262144) for link in links])
        self.assertEqual((summary.dropped, summary.reason, summary.packets), (0, "max_duration", len(packets)))
        found = [(one.time_ns, one.data) for one in packets]
        self.assertEqual([one[0] for one in found], sorted(one[0] for one in found), "by time")
        self.assertEqual({one.interface for one in packets}, set(links))
        return sorted(found)

    def test_a_live_capture_is_what_tcpdump_finds(self):
        found = self.check_equals_tcpdump("udp src port 1030 or udp dst port 1030", ["cap0", "cap1"])
        wanted = self.by_tcpdump("udp src port 1030 or udp dst port 1030")
        last = found[-1][0]
        self.assertEqual(found, [one for one in wanted if one[0] <= last])
        self.assertGreater(len(found), 100)

    def test_history_comes_first_and_no_packet_twice_at_the_seam(self):
        for name, options in (("named.pcapng", ()), ("plain.pcap", ()), ("ring.pcapng", ("NETSCOPE_OUTPUT__WRITE_PCAP_KEEP=1h",))):
            with self.subTest(name):
                self.check_history(name, *options)

    def check_history(self, name, *settings):
        self.written = f"{self.temporary.name}/{name}"
        more = dict(one.split("=") for one in settings)
        if more:
            more |= {"NETSCOPE_OUTPUT__WRITE_PCAP_ROTATE": "200KB", "NETSCOPE_OUTPUT__WRITE_PCAP_MAX_SIZE": "1GB"}
        sensor = self.start("--shards", "2", **more)
        before = send("gen0", "-n", 3000, "-f", 100, "-s", 300) + send("gen1", "-n", 1000, "-f", 100)
        time.sleep(0.5)
        sender = subprocess.Popen([*INSIDE, GENERATOR, "-i", "gen0", "-n", "12000", "-r", "6000", "-f", "100"],
                                  stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        capture = Capture(f"unix:{self.socket}", include_history=True, bpf="udp", seconds=4 * PATIENCE).start()
        self.assertEqual(sender.wait(30), 0)
        summary = capture.wait()
        self.assertIsNone(capture.error)
        self.assertEqual(sensor.stop(), 0, sensor.text())
        interfaces, packets = read_pcapng(capture.file)
        wanted = sorted(one for file in sorted(os.listdir(self.temporary.name)) if file.startswith(name.split(".")[0])
                        for one in self.by_tcpdump("udp", f"{self.temporary.name}/{file}"))
        self.assertEqual((summary.dropped, summary.packets, len(wanted)), (0, before + 12000, before + 12000))
        self.assertEqual(sorted((one.time_ns, one.data) for one in packets), wanted)
        self.assertEqual([one[0] for one in interfaces], ["cap0", "cap1"] + ([""] if name.endswith("pcap") else []))

    def test_one_interface_alone(self):
        found = self.check_equals_tcpdump("", ["cap1"], interface="cap1")
        self.assertEqual(len(found), 8000)

    def test_no_such_interface(self):
        sensor = self.start()
        capture = Capture(f"unix:{self.socket}", interface="eth7").start()
        self.assertEqual(capture.error.code().name, "INVALID_ARGUMENT")
        self.assertIn("cap0, cap1", capture.error.details())
        self.assertEqual(sensor.stop(), 0)

    def test_packets_from_before_the_start_and_behind_the_end_are_not_in_it(self):
        sensor = self.start()
        send("gen0", "-n", 500)
        time.sleep(0.5)
        capture = Capture(f"unix:{self.socket}", seconds=1).start()
        time.sleep(0.2)
        self.assertEqual(send("gen0", "-n", 300, "-r", 3000), 300)
        time.sleep(1.2)
        send("gen0", "-n", 500)
        self.assertEqual(capture.wait().packets, 300)
        self.assertEqual(sensor.stop(), 0)


if __name__ == "__main__":
    main()
