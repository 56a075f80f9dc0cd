"""Live capture by the whole sensor in a network namespace: the ledger closes to the packet, rings are told by interface
and shard, threads are pinned where the settings say.

Root only (77 else). One namespace with this process' id in its name; what was started is ended by id.
"""
import calendar
import json
import os
import re
import signal
import struct
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.netns import command, inside, plain_link, wire_for
from support.programs import PATIENCE, SENSOR, Program, delta_packets, json_lines, main, run

GENERATOR = os.environ.get("NETSCOPE_VETH_GEN", "")
PREFIX = f"nscapture{os.getpid()}"
INSIDE = inside(PREFIX)


def send(*options):
    return int(command(*INSIDE, GENERATOR, "-i", "gen0", *options))


class Rings:
    """The page of /metrics, by name and labels."""

    def __init__(self, port):
        page = command(*INSIDE, "curl", "-sf", f"http://127.0.0.1:{port}/metrics")
        self.values = {}
        for line in page.splitlines():
            if line and line[0] != "#":
                name, _, value = line.rpartition(" ")
                self.values[name] = float(value)

    def of(self, name):
        """By label text: the samples of one family."""
        found = {}
        for key, value in self.values.items():
            if key == name or key.startswith(name + "{"):
                found[key[len(name):]] = value
        return found

    def sum(self, name):
        return sum(self.of(name).values())


class Capture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.access(GENERATOR, os.X_OK):
            raise unittest.SkipTest("veth_gen is not built")
        wire_for(cls, PREFIX, "curl")

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.flows = f"{self.temporary.name}/flows.jsonl"

    def start(self, *options, interface="cap0", **environment):
        named = ["-i", interface] if interface else []
        sensor = Program(SENSOR, *named, "--quiet", "-v", "--no-anomalies", "-t", "10", "--flows-jsonl", self.flows,
                         "--grpc-listen", "127.0.0.1:0", *options, prefix=INSIDE,
                         environment={"NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_HTTP__PORT": "0", **environment})
        self.addCleanup(sensor.__exit__)
        end = time.monotonic() + 20 * PATIENCE
        while "serving metrics" not in sensor.text() or "confined" not in sensor.text():
            self.assertLess(time.monotonic(), end, sensor.text())
            self.assertTrue(sensor.is_running(), sensor.text())
            time.sleep(0.05)
        self.port = re.search(r"serving metrics and health.*port=(\d+)", sensor.text()).group(1)
        return sensor

    def ledger(self):
        """After a second: what the kernel is asked for once a second has then been asked for."""
        time.sleep(1.3 * PATIENCE)
        page = Rings(self.port)
        for label in page.of("netscope_capture_ring_received_total"):
            received, *parts = (page.of(f"netscope_capture_ring_{name}")[label] for name in (
                "received_total", "processed_total", "precut_total", "dropped_total", "held"))
            self.assertEqual(received, sum(parts), f"received = processed + precut + dropped + held of {label}: {parts}")
        return page

    def end(self, sensor):
        self.assertEqual(sensor.stop(signal.SIGINT), 0, sensor.text())
        return sum(map(delta_packets, json_lines(self.flows)))

    def counted(self):
        return int(command(*INSIDE, "cat", "/sys/class/net/cap0/statistics/rx_packets"))

    def check_chain(self, shards):
        before = self.counted()
        sensor = self.start("--shards", shards)
        sent = send("-n", 30000, "-r", 30000, "-f", 300, "-b") + send("-n", 500, "-r", 20000, "-s", 1514)
        page = self.ledger()
        self.assertEqual(page.sum("netscope_capture_ring_received_total"), sent)
        self.assertEqual(self.counted() - before, sent, "the interface's own counter")
        self.assertEqual(page.sum("netscope_capture_ring_processed_total"), sent)
        self.assertEqual(page.sum("netscope_shard_packets_total"), sent)
        self.assertEqual(len(page.of("netscope_capture_ring_received_total")), shards)
        self.assertEqual(page.sum("netscope_dropped_packets_total"), 0)
        self.assertEqual(page.sum("netscope_capture_truncated_total"), 0)
        for stall in page.of("netscope_capture_stall_tolerance_seconds").values():
            self.assertGreater(stall, 0.5)
        self.assertGreater(max(page.of("netscope_capture_ring_batch_max").values()), 1)
        self.assertGreaterEqual(max(page.of("netscope_shard_batches_high_water").values()), 0)
        self.assertEqual(self.end(sensor), sent, "packets in flow records")

    def test_interface_to_flow_is_exact_with_one_shard(self):
        self.check_chain(1)

    def test_interface_to_flow_is_exact_with_four_shards(self):
        self.check_chain(4)

    def test_a_stalled_sensor_with_a_small_ring_tells_every_packet_it_lost(self):
        sensor = self.start(NETSCOPE_CAPTURE__BUFFER_SIZE="1MiB")
        sensor.process.send_signal(signal.SIGSTOP)
        sent = send("-n", 60000)
        sensor.process.send_signal(signal.SIGCONT)
        page = self.ledger()
        dropped = page.sum("netscope_capture_ring_dropped_total")
        self.assertGreater(dropped, 10000)
        self.assertEqual(page.sum("netscope_kernel_drops_total"), dropped)
        self.assertEqual(page.values['netscope_dropped_packets_total{stage="kernel",name="cap0",reason="ring_full"}'], dropped)
        self.assertEqual(page.sum("netscope_shard_packets_total") + dropped, sent)
        ledger = json.loads(command(*INSIDE, "curl", "-sf", f"http://127.0.0.1:{self.port}/v1/ledger"))
        rows = {row["stage"].removeprefix("LEDGER_STAGE_"): row for row in ledger["rows"]}
        self.assertTrue(ledger["balanced"])
        self.assertEqual(rows["KERNEL"]["lost"][0], {"reason": "ring_full", "count": str(int(dropped))})
        self.assertEqual(int(rows["KERNEL"]["in"]), sent)
        self.assertEqual(int(rows["KERNEL"]["out"]), int(rows["CAPTURE"]["in"]))
        self.assertEqual(int(rows["FLOW"]["in"]), sent - int(dropped))
        self.assertGreater(page.sum("netscope_capture_ring_batch_max"), 100)
        self.assertEqual(self.end(sensor) + dropped, sent, "packets in flow records and dropped ones")
        self.assertIn(f"kernel drops: {int(dropped)}", sensor.text())

    def test_what_waited_in_the_ring_while_the_sensor_stood_still_is_not_late(self):
        sensor = self.start()
        sent = send("-n", 1000, "-r", 10000)
        time.sleep(0.5)
        sensor.process.send_signal(signal.SIGSTOP)
        sent += send("-n", 20000, "-r", 40000)
        time.sleep(3)
        sensor.process.send_signal(signal.SIGCONT)
        page = self.ledger()
        self.assertEqual(page.sum("netscope_shard_packets_total"), sent)
        self.assertEqual(page.values['netscope_packet_verdicts_total{verdict="late"}'], 0)
        self.assertEqual(self.end(sensor), sent)

    def now_of_the_last_second(self):
        """Of the statistics: how far its end lies from this machine's clock, in seconds."""
        stats = json.loads(command(*INSIDE, "curl", "-sf", f"http://127.0.0.1:{self.port}/v1/stats"))["stats"]
        return calendar.timegm(time.strptime(stats["end_time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.time()

    def check_clock(self, *options, shards):
        """Set back to before the sensor's start, then to where it was: seconds go on each time, and no packet is lost or late."""
        if PATIENCE > 1:
            self.skipTest("a sanitizer's build takes no library before its own")
        clock = f"{self.temporary.name}/clock"

        def step(seconds):
            with open(clock, "r+b" if os.path.exists(clock) else "wb") as file:
                file.write(struct.pack("=q", seconds))

        step(0)
        sensor = self.start("--shards", shards, LD_PRELOAD=os.environ["NETSCOPE_STEPPED_CLOCK"], NETSCOPE_TEST_CLOCK=clock)
        sent = 0
        for offset in (0, -3600, 0, -7200):
            step(offset)
            sent += send("-n", 6000, "-r", 3000, "-f", 50, "-b", *options)
            end = time.monotonic() + 10 * PATIENCE
            while abs(self.now_of_the_last_second() - offset) > 4:
                self.assertLess(time.monotonic(), end, f"no second since the clock was set by {offset} s\n{sensor.text()}")
                time.sleep(0.2)
        page = self.ledger()
        self.assertEqual(page.sum("netscope_capture_ring_precut_total"), 0)
        self.assertEqual(page.sum("netscope_shard_packets_total"), sent)
        self.assertEqual(sensor.text().count("the clock was set back"), 2, sensor.text())
        self.assertEqual(self.end(sensor), sent, "packets in flow records")
        self.assertTrue(any("FLOW_FLAG_CLOCK_STEP" in flow["flags"] for flow in json_lines(self.flows)))

    def test_a_clock_that_is_set_back_blinds_no_shard(self):
        self.check_clock(shards=1)

    def test_a_clock_that_is_set_back_blinds_none_of_four_shards(self):
        self.check_clock("-g", shards=4)  # in a tunnel: most packets are handed over

    def test_on_any_interface_flows_have_their_vlans(self):
        sensor = self.start("-i", "any")
        tags = {(None, 10): ["-v", 10], (None, 20): ["-6", "-v", 20], (10, 30): ["-t", "-v", 10, "-v", 30]}
        for options in tags.values():
            send("-n", 300, "-r", 5000, "-f", 10, *options)
        self.ledger()
        self.end(sensor)
        packets = {}
        for flow in json_lines(self.flows):
            key = (flow.get("outer_vlan_id"), flow.get("vlan_id"))
            packets[key] = packets.get(key, 0) + delta_packets(flow)
        self.assertEqual({key: packets.get(key) for key in tags}, dict.fromkeys(tags, 300), packets)

    def test_what_the_snaplen_cuts_and_the_filter_keeps_out_is_told(self):
        sensor = self.start("--snaplen", "96", "--filter", "udp src port 1030")
        send("-n", 2560, "-r", 20000, "-s", 1514)
        page = self.ledger()
        self.assertEqual(page.sum("netscope_capture_ring_received_total"), 10)
        self.assertEqual(page.sum("netscope_capture_truncated_total"), 10)
        self.assertEqual(self.end(sensor), 10)

    def test_headers_only_keeps_256_bytes_and_counts_all(self):
        sensor = self.start(NETSCOPE_CAPTURE__HEADERS_ONLY="true")
        send("-n", 100, "-r", 20000, "-s", 256)
        send("-n", 50, "-r", 20000, "-s", 257)
        page = self.ledger()
        self.assertEqual(page.sum("netscope_capture_truncated_total"), 50)
        self.assertEqual(page.sum("netscope_capture_bytes_total"), 100 * 256 + 50 * 257)
        self.assertEqual(self.end(sensor), 150)

    def test_a_count_live_is_exact_and_what_lies_beyond_is_told(self):
        sensor = self.start("--count", "1000", "--shards", "2")
        try:
            send("-n", 20000, "-r", 100000, "-b")
        finally:
            self.assertEqual(sensor.process.wait(timeout=20 * PATIENCE), 0, sensor.text())
        self.assertEqual(sum(map(delta_packets, json_lines(self.flows))), 1000)

    def test_the_ring_is_told_at_the_start_and_shards_are_pinned(self):
        cpus = sorted(os.sched_getaffinity(0))
        chosen = [cpus[0], cpus[-1]] if len(cpus) > 1 else cpus
        sensor = self.start("--shards", "2", NETSCOPE_PIPELINE__CPUS=",".join(map(str, chosen)))
        self.assertRegex(sensor.text(), r"bytes=33554432 blocks=128 stall_max_ms=1280 packets_60B=\d+ packets_1514B=\d+")
        tasks = f"/proc/{self.sensor_pid(sensor)}/task"
        pinned = []
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status", encoding="ascii") as status:
                allowed = re.search(r"Cpus_allowed_list:\s*(\S+)", status.read()).group(1)
            pinned += [int(allowed)] if allowed.isdigit() else []
        if len(cpus) > 1:
            self.assertEqual(sorted(pinned), sorted(chosen))
        self.end(sensor)

    def sensor_pid(self, sensor):
        return sensor.process.pid  # `ip netns exec` becomes the program

    def test_nothing_is_changed_but_promiscuous_mode_and_a_killed_sensor_leaves_not_even_that(self):
        def look():
            link = command(*INSIDE, "ip", "-d", "-o", "link", "show", "cap0")
            count = re.search(r"promiscuity (\d+)", link)
            rest = link.replace(count.group(0), "") + "".join(
                command(*INSIDE, "tc", kind, "show", "dev", "cap0", *where) for kind, where in
                (("qdisc", []), ("filter", ["ingress"]), ("filter", ["egress"])))
            return int(count.group(1)), rest

        before = look()
        sensor = self.start("--shards", 2)
        send("-n", 100, "-r", 5000)
        folder = f"/proc/{sensor.process.pid}/fd"
        opened = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
        self.assertEqual([name for name in opened if "bpf" in name], [], "programs and maps of eBPF")
        promiscuity, rest = look()
        self.assertGreater(promiscuity, before[0])
        self.assertEqual(rest, before[1])
        sensor.process.kill()
        sensor.process.wait(timeout=20 * PATIENCE)
        self.assertEqual(look(), before)

    def test_an_interface_that_is_deleted_is_waited_for_by_name_while_the_others_are_read(self):
        """On a wire of its own: the next test needs the other one."""
        def lay():
            command(*INSIDE, "ip", "link", "add", "cap1", "type", "veth", "peer", "name", "gen1")
            for link in ("cap1", "gen1"):
                plain_link(PREFIX, link)

        def until(what, seen):
            end = time.monotonic() + 20 * PATIENCE
            while not seen():
                self.assertLess(time.monotonic(), end, what + "\n" + sensor.text())
                time.sleep(0.1)

        def ready():
            return json.loads(command(*INSIDE, "curl", "-s", f"http://127.0.0.1:{self.port}/readyz"))

        def send_both():
            return send("-n", 500, "-r", 5000) + int(command(*INSIDE, GENERATOR, "-i", "gen1", "-n", 500, "-r", 5000))

        self.addCleanup(command, *INSIDE, "ip", "link", "del", "cap1", check=False)
        lay()
        sensor = self.start(NETSCOPE_CAPTURE__INTERFACE="cap0,cap1", interface=None)
        sent = send_both()
        command(*INSIDE, "ip", "link", "del", "cap1")
        until("it is told as gone", lambda: ready()["reasons"] == ["interface cap1 is down or gone"])
        sent += send("-n", 500, "-r", 5000)
        lay()
        until("it is read again", lambda: ready()["status"] == "ready")
        sent += send_both()
        self.assertEqual(self.ledger().sum("netscope_capture_ring_processed_total"), sent)
        self.assertEqual(self.end(sensor), sent)
        told = [line for line in sensor.text().splitlines() if "part=capture" in line and "interface=" in line]
        self.assertEqual([line.rpartition("interface=")[2] for line in told if "waiting for it" in line], ["cap1"])
        self.assertEqual([line.rpartition("interface=")[2] for line in told if "up again" in line], ["cap1"])

    def test_an_interface_without_a_clock_of_its_own_says_so_and_has_the_kernels_time(self):
        before = time.time()
        sensor = self.start(NETSCOPE_CAPTURE__TIMESTAMPS="adapter")
        sent = send("-n", 100, "-r", 5000)
        self.ledger()
        self.assertIn("cap0: it cannot give packets the time as capture.timestamps says (adapter)", sensor.text())
        self.assertEqual(self.end(sensor), sent)
        for flow in json_lines(self.flows):
            at = calendar.timegm(time.strptime(flow["start_time"][:19], "%Y-%m-%dT%H:%M:%S"))
            self.assertTrue(before - 2 < at < time.time() + 1, flow["start_time"])

    def test_a_cpu_that_is_not_there_ends_the_start(self):
        done = run(SENSOR, "-i", "lo", environment={"NETSCOPE_PIPELINE__CPUS": "1000"})
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"pipeline.cpus: CPU 1000 is not there, or not allowed to this process \(it has [\d, -]+\)")


if __name__ == "__main__":
    main()
