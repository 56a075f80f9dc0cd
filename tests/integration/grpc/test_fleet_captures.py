"""One capture of several sensors: one pcapng file whose interfaces are those of all of them, read by tshark and capinfos
as well; a sensor that refuses or goes does not end the others; limits hold for the file and for each sensor.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import SKIPPED, main, udp, wait_until

try:
    from support.captures import read_pcapng
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)
from test_captures import START_NS, pcapng, record, traffic
from test_collector_captures import Sensor
from test_kept_captures import KeptCase

SECOND = 10**9
SETTINGS = "captures:\n  at_once: 4\n  sensors_max: 3\n  answer_timeout: 4s\n  file_size: 1MiB\n  total_size: 4MiB\n"


def tool(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Fleet(KeptCase):
    settings = SETTINGS

    def of(self, capture):
        return {one["sensor_id"]: one for one in capture["sensors"]}

    def sensors(self, *names, **more):
        for name in names:
            sensor = Sensor(self.collector, name, **more)
            self.addCleanup(self.leave, sensor)
            yield sensor

    @staticmethod
    def leave(sensor):
        if sensor.program.process.poll() is None:
            sensor.__exit__()
            return
        for end in (sensor.pipe.close, sensor.program.__exit__, sensor.folder.cleanup):  # it was killed
            end()

    def start_of(self, *ids, **asked):
        status, answer, _ = self.ask("POST", "/v1/captures", {"sensor_selector": {"sensor_ids": ids}, **asked})
        self.assertEqual(status, 200, answer)
        return answer["capture"]

    def test_one_file_has_the_packets_of_all_by_their_interfaces(self):
        frames = {"edge": list(traffic(700)), "core": [(at + 500, frame) for at, frame in traffic(400)]}
        edge, core = self.sensors("edge", "core")
        capture = self.start_of("edge", "core", bpf="udp", max_duration="60s")
        self.assertEqual((capture["state"], capture["sensor_id"]), ("CAPTURE_STATE_RUNNING", "edge"))
        self.assertEqual({name: one["state"] for name, one in self.of(capture).items()},
                         {"edge": "CAPTURE_STATE_RUNNING", "core": "CAPTURE_STATE_RUNNING"})
        edge.write(b"".join(record(*one) for one in frames["edge"]))
        core.write(b"".join(record(*one) for one in frames["core"]))
        edge.close()
        wait_until("the end of one", lambda: self.of(self.look(capture))["edge"]["state"] == "CAPTURE_STATE_ENDED")
        self.assertEqual(self.look(capture)["state"], "CAPTURE_STATE_RUNNING")
        core.close()
        ended = self.await_end(capture)
        wanted = {name: [one for one in sent if one[1][23] == 17] for name, sent in frames.items()}
        self.assertEqual((ended["state"], ended["summary"]["reason"], int(ended["summary"]["packets"])),
                         ("CAPTURE_STATE_ENDED", "input_ended", sum(len(sent) for sent in wanted.values())))
        self.assertEqual({name: int(one["packets"]) for name, one in self.of(ended).items()},
                         {name: len(sent) for name, sent in wanted.items()})
        data, statistics = self.file(capture), []
        self.assertEqual(int(ended["bytes"]), len(data))
        interfaces, packets = read_pcapng(data, statistics)
        self.assertEqual({name.split(":")[0] for name, _, _ in interfaces}, {"edge", "core"})
        for name, sent in wanted.items():
            self.assertEqual([(one.time_ns, one.data) for one in packets if one.interface.startswith(f"{name}:")], sent)
        self.assertEqual(sorted(statistics), sorted((name, len(wanted[name.split(":")[0]]), 0) for name, _, _ in interfaces))
        self.assertEqual(self.ask("GET", "/v1/captures?sensor_id=core")[1]["captures"], [ended])
        self.check_by_tools(data, {name: len(wanted[name.split(":")[0]]) for name, _, _ in interfaces})
        # And it is the same after a restart.
        self.assertEqual(self.collector.program.stop(), 0)
        self.collector.close()
        self.collector.start()
        self.assertEqual(self.look(capture), ended)
        self.assertEqual(self.file(capture), data)

    def check_by_tools(self, data, counts):
        path = os.path.join(self.folder.name, "merged.pcapng")
        with open(path, "wb") as out:
            out.write(data)
        if shutil.which("tshark") is None or shutil.which("capinfos") is None:
            return
        names = tool("tshark", "-r", path, "-T", "fields", "-e", "frame.interface_name").splitlines()
        self.assertEqual({name: names.count(name) for name in set(names)}, counts)
        text = tool("capinfos", "-M", path)
        self.assertRegex(text, rf"Number of interfaces in file: *{len(counts)}\b")
        self.assertRegex(text, rf"Number of packets: *{sum(counts.values())}\b")
        for name, count in counts.items():
            self.assertRegex(text, rf"Name = {name}(?s:.)*?Number of packets = {count}\b")

    def test_interfaces_of_one_sensor_stay_apart(self):
        kinds = [("left", 1), ("right", 101)]
        frame = udp("10.0.0.1", 1, "10.0.0.2", 2, b"x")
        edge = Sensor(self.collector, "edge", head=pcapng(kinds, [(0, START_NS, frame)]))
        self.addCleanup(self.leave, edge)
        core, = self.sensors("core")
        capture = self.start_of("edge", "core")
        whole = pcapng(kinds, [(i % 2, START_NS + SECOND + i, frame[14 * (i % 2):]) for i in range(100)])
        head = len(pcapng(kinds, []))
        edge.write(whole[head:])
        core.write(record(START_NS + SECOND, frame))
        edge.close()
        core.close()
        self.assertEqual(self.await_end(capture)["state"], "CAPTURE_STATE_ENDED")
        interfaces, packets = read_pcapng(self.file(capture))
        self.assertEqual({(name, kind) for name, kind, _ in interfaces if name.startswith("edge:")},
                         {("edge:left", 1), ("edge:right", 101)})
        self.assertEqual([sum(one.interface == name for one in packets) for name in ("edge:left", "edge:right")], [50, 50])

    def test_one_that_refuses_or_goes_does_not_end_the_others(self):
        edge, core = self.sensors("edge", "core")
        list(self.sensors("shy", captures="off"))
        capture = self.start_of("edge", "shy", "core")
        of = self.of(capture)
        self.assertEqual({name: one["state"] for name, one in of.items()},
                         {"edge": "CAPTURE_STATE_RUNNING", "core": "CAPTURE_STATE_RUNNING", "shy": "CAPTURE_STATE_FAILED"})
        self.assertRegex(of["shy"]["error"], "sensor 'shy': .*collector.captures")
        edge.write(b"".join(record(*one) for one in traffic(30)))
        core.write(b"".join(record(*one) for one in traffic(50)))
        wait_until("packets", lambda: len(read_pcapng(self.file(capture))[1]) == 80)
        edge.program.process.kill()
        wait_until("it is told", lambda: self.of(self.look(capture))["edge"]["state"] == "CAPTURE_STATE_FAILED")
        core.write(b"".join(record(at + SECOND, frame) for at, frame in traffic(20)))
        core.close()
        ended = self.await_end(capture)
        self.assertEqual((ended["state"], int(ended["summary"]["packets"]), ended["error"]), ("CAPTURE_STATE_ENDED", 100, ""))
        self.assertRegex(self.of(ended)["edge"]["error"], "sensor 'edge'")
        self.assertEqual(len(read_pcapng(self.file(capture))[1]), 100)

    def test_limits_hold_for_the_file_and_for_each(self):
        edge, core = self.sensors("edge", "core")
        whole = self.start_of("edge", "core", max_packets="50")
        each = self.start_of("edge", "core", sensor_max_packets="20", max_packets="1000")
        for sensor in (edge, core):
            sensor.write(b"".join(record(*one) for one in traffic(200)))
        ended = self.await_end(each)
        self.assertEqual({name: int(one["packets"]) for name, one in self.of(ended).items()}, {"edge": 20, "core": 20})
        self.assertEqual(ended["summary"]["reason"], "max_packets")
        ended = self.await_end(whole)
        self.assertEqual((int(ended["summary"]["packets"]), ended["summary"]["reason"]), (50, "max_packets"))
        self.assertEqual(len(read_pcapng(self.file(whole))[1]), 50)
        small = self.start_of("edge", "core", max_bytes="65536")
        frames = b"".join(record(START_NS + 9 * SECOND + i, udp("10.0.0.1", 1000, "10.0.0.2", 2000, b"%6d" % i + b"x" * 1000))
                          for i in range(60))
        for sensor in (edge, core):
            sensor.write(frames)
        ended = self.await_end(small)
        self.assertEqual((ended["state"], ended["summary"]["reason"]), ("CAPTURE_STATE_ENDED", "max_bytes"))
        self.assertTrue(65536 - 2000 < int(ended["bytes"]) <= 65536, ended)
        self.assertGreater(len(read_pcapng(self.file(small))[1]), 50)

    def test_who_is_asked(self):
        list(self.sensors("edge-1", "edge-2"))
        list(self.sensors("shy-1", "shy-2", captures="off"))
        capture = self.start_of("edge-*", "edge-1")
        self.assertEqual([one["sensor_id"] for one in capture["sensors"]], ["edge-1", "edge-2"])
        self.ask("POST", f"/v1/captures/{capture['capture_id']}:cancel")
        ended = self.await_end(capture)
        self.assertEqual((ended["state"], ended["summary"]["reason"]), ("CAPTURE_STATE_ENDED", "cancelled"))
        for body, status, reason, words in (
                ({"sensor_selector": {"sensor_ids": ["edge-1", "nobody"]}}, 404, "NO_SUCH_SENSOR", "nobody"),
                ({"sensor_selector": {"sensor_ids": ["far-*"]}}, 404, "NO_SUCH_SENSOR", r"far-\*"),
                ({"sensor_selector": {"labels": "role=none"}}, 404, "NO_SUCH_SENSOR", "role=none"),
                ({"sensor_selector": {"labels": "a>b"}}, 400, "BAD_LABELS", "key=value"),
                ({"sensor_selector": {"labels": "!role"}, "sensor_id": "edge-2"}, 400, "TWO_CHOICES", "not by both"),
                ({"sensor_selector": {"labels": "!role"}}, 400, "TOO_MANY_SENSORS", "captures.sensors_max"),
                ({"sensor_selector": {"labels": "!role", "sensor_ids": ["shy-*"]}}, 400, "CAPTURE_OFF", "'shy-1'.*'shy-2'"),
                ({"sensor_selector": {"sensor_ids": ["*"]}}, 400, "TOO_MANY_SENSORS", "captures.sensors_max"),
                ({"sensor_selector": {"sensor_ids": ["edge-1"]}, "sensor_id": "edge-2"}, 400, "TWO_CHOICES", "not by both"),
                ({"sensor_selector": {"sensor_ids": ["shy-*"]}}, 400, "CAPTURE_OFF", "'shy-1'.*'shy-2'"),
                ({"sensor_selector": {"sensor_ids": ["edge-*"]}, "bpf": "("}, 400, "INVALID_FILTER", "'edge-1'.*'edge-2'")):
            with self.subTest(**body):
                code, answer, _ = self.ask("POST", "/v1/captures", body)
                self.assertEqual((code, answer["reason"]), (status, reason), answer)
                self.assertRegex(answer["detail"], words)
        self.assertEqual(len(self.ask("GET", "/v1/captures")[1]["captures"]), 1)
        running = self.start_of("edge-*")
        self.assertEqual(self.ask("DELETE", f"/v1/captures/{running['capture_id']}")[0], 200)
        wait_until("no file of it", lambda: len(self.on_disk()) == 2)
        wait_until("no capture runs", lambda: self.page()["netscope_collector_captures"] == 0)


if __name__ == "__main__":
    main()
