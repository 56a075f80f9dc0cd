"""Two live sensors and their collector: one capture of both is one file that tshark counts by interface, and the capture
of an alert begins with the packets from before it, which the sensor has kept.

Root only (77 else). One namespace with this process' id in its name; the test runs again inside it.
"""
import calendar
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.netns import command, inside, lay_wire, plain_link, remove
from support.programs import COLLECTOR, PATIENCE, SENSOR, SKIPPED, SYN, Program, main, tcp, wait_until

try:
    from support.captures import read_pcapng
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)
from end_to_end.fleet import Collector

GENERATOR = os.environ.get("NETSCOPE_VETH_GEN", "")
PREFIX = f"nscaptured{os.getpid()}"
TOKEN = "operator-token-0123456789"
SCANNER, VICTIM = "198.51.100.7", "10.7.0.9"


def ns(text):
    """Of a time as JSON has it: "2026-11-30T21:00:00.123456789Z"."""
    whole, _, part = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(part.ljust(9, "0") or 0)


def timestamp(at_ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ns // 10**9)) + f".{at_ns % 10**9:09d}Z"


def send(link, count):
    return int(command(GENERATOR, "-i", link, "-n", count, "-r", 5000, "-f", 50))


class CapturedFleet(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="netscope-captured-")
        self.addCleanup(self.folder.cleanup)
        config = f"{self.folder.name}/collector.yaml"
        self.write("tokens", f"ops all {TOKEN}\n")
        self.write("collector.yaml", f"grpc:\n  token_file: {self.folder.name}/tokens\nstore:\n  commit_interval: 100ms\n")
        self.collector = Collector(self.folder.name, arguments=("--config", config))
        self.addCleanup(self.collector.close)
        self.sensors = [self.start("edge", "cap0"), self.start("core", "cap1")]
        wait_until("both sensors", lambda: {one["sensor_id"] for one in self.ask("/v1/sensors")["sensors"]
                                            if one["state"] == "LIVE"} == {"edge", "core"})

    def write(self, name, text):
        with open(f"{self.folder.name}/{name}", "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(out.name, 0o600)
        return out.name

    def start(self, name, link):
        config = self.write(f"{name}.yaml", f"sensor:\n  id: {name}\ncapture:\n  direction: in\n"
                            f"output:\n  write_pcap: {self.folder.name}/{name}.pcapng\n  write_pcap_keep: 10m\n  write_pcap_max_size: 64MiB\n"
                            f"collector:\n  address: 127.0.0.1:{self.collector.ingest}\n  captures: full\nhttp:\n  port: 0\n")
        sensor = Program(SENSOR, "-i", link, "--config", config, "--quiet", "-v", "--grpc-listen", "", awaited=True)
        self.addCleanup(sensor.__exit__)
        return sensor

    def ask(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.collector.http}{path}", data=None if body is None else json.dumps(body).encode(),
                                         headers={"X-NetScope": "1", "Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                data = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        return data if path.endswith(".pcapng") else json.loads(data)

    def look(self, capture):
        return self.ask(f"/v1/captures/{capture['capture_id']}")["capture"]

    def end(self, capture):
        self.ask(f"/v1/captures/{capture['capture_id']}:cancel", {})
        wait_until("its end", lambda: self.look(capture)["state"] != "CAPTURE_STATE_RUNNING")
        return self.look(capture), self.ask(f"/v1/captures/{capture['capture_id']}.pcapng")

    def packets_of(self, capture):
        return {one["sensor_id"]: int(one["packets"]) for one in self.look(capture)["sensors"]}

    def test_one_capture_of_both_is_counted_by_interface(self):
        capture = self.ask("/v1/captures", {"sensor_selector": {"sensor_ids": ["*"]}, "bpf": "udp"})["capture"]
        sent = {"edge": send("gen0", 3000), "core": send("gen1", 1000)}
        wait_until("all packets", lambda: self.packets_of(capture) == sent)
        ended, data = self.end(capture)
        self.assertEqual((ended["state"], int(ended["summary"]["packets"]), int(ended["summary"]["dropped"])),
                         ("CAPTURE_STATE_ENDED", sum(sent.values()), 0))
        statistics = []
        interfaces, packets = read_pcapng(data, statistics)
        self.assertEqual(len(packets), sum(sent.values()))
        wanted = {"edge:cap0": sent["edge"], "core:cap1": sent["core"]}
        self.assertEqual(({name for name, _, _ in interfaces}, sorted(statistics)),
                         (set(wanted), sorted((name, count, 0) for name, count in wanted.items())))
        if shutil.which("tshark") is None:
            return
        path = f"{self.folder.name}/both.pcapng"
        with open(path, "wb") as out:
            out.write(data)
        names = command("tshark", "-r", path, "-T", "fields", "-e", "frame.interface_name").split()
        self.assertEqual({name: names.count(name) for name in set(names)}, wanted)

    def test_the_capture_of_an_alert_begins_with_the_packets_from_before_it(self):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(wire.close)
        wire.bind(("gen0", 0))
        tried = []

        def raised():
            for _ in range(30):
                tried.append(1000 + len(tried))
                wire.send(tcp(SCANNER, 40000, VICTIM, tried[-1], SYN, 1))
            send("gen0", 50)  # what it is not about
            found = [one for one in self.ask("/v1/alerts?state=all&from=0")["alerts"] if one["kind"] == "ALERT_KIND_PORT_SCAN_VERTICAL"]
            return found[0] if found else None
        alert = wait_until("the alert", raised, 40)
        before_ns = time.time_ns()
        capture = self.ask("/v1/captures", {"alert_id": alert["alert_id"], "include_history": True})["capture"]
        self.assertEqual([one["sensor_id"] for one in capture["sensors"]], ["edge"])
        later = [60000 + n for n in range(20)]
        for port in later:
            wire.send(tcp(SCANNER, 40000, VICTIM, port, SYN, 1))

        def packets():
            return read_pcapng(self.ask(f"/v1/captures/{capture['capture_id']}.pcapng"))[1]
        wait_until("all of them", lambda: len(packets()) >= len(tried) + len(later))
        ended, data = self.end(capture)
        found = read_pcapng(data)[1]
        self.assertEqual([int.from_bytes(one.data[36:38], "big") for one in found], tried + later)
        self.assertEqual(sum(one.time_ns < before_ns for one in found), len(tried))
        self.assertEqual((ended["alert_id"], ended["include_history"]), (alert["alert_id"], True))
        self.assertEqual(ns(ended["packets_from"]), ns(alert["first_time"]) - 10 * 10**9)  # captures.alert_margin
        self.check_a_time_of_it(alert, found[len(tried) // 2].time_ns, before_ns, found)

    def check_a_time_of_it(self, alert, from_ns, until_ns, all_packets):
        """A time that has passed is read from what was kept, and the capture ends behind it."""
        capture = self.ask("/v1/captures", {"alert_id": alert["alert_id"], "include_history": True,
                                            "packets_from": timestamp(from_ns), "packets_until": timestamp(until_ns)})["capture"]
        wait_until("its end", lambda: self.look(capture)["state"] == "CAPTURE_STATE_ENDED")
        found = read_pcapng(self.ask(f"/v1/captures/{capture['capture_id']}.pcapng"))[1]
        self.assertEqual([one.data for one in found], [one.data for one in all_packets if from_ns <= one.time_ns < until_ns])
        self.assertGreater(len(found), 0)
        self.assertEqual(self.look(capture)["summary"]["reason"], "packets_until")


def run_inside():
    """The same program again, in a namespace with two wires. Its exit status."""
    for program in ("ip", "ethtool"):
        if shutil.which(program) is None:
            print(f"SKIP: {program} is not installed")
            return SKIPPED
    if os.geteuid() != 0 or not os.access(COLLECTOR, os.X_OK) or not os.access(GENERATOR, os.X_OK):
        print("SKIP: needs root, netscope-collector and veth_gen")
        return SKIPPED
    try:
        lay_wire(PREFIX)
        command(*inside(PREFIX), "ip", "link", "add", "cap1", "type", "veth", "peer", "name", "gen1")
        for link in ("cap1", "gen1"):
            plain_link(PREFIX, link)
    except AssertionError as error:
        remove(PREFIX)
        print(f"SKIP: network namespaces are not allowed here: {error}")
        return SKIPPED
    try:
        return subprocess.run([*inside(PREFIX), sys.executable, os.path.abspath(__file__), *sys.argv[1:]], check=False,
                              env={**os.environ, "NETSCOPE_TEST_INSIDE": "1"}).returncode
    finally:
        remove(PREFIX)


if __name__ == "__main__":
    if "NETSCOPE_TEST_INSIDE" in os.environ:
        main()
    else:
        sys.exit(run_inside())
