"""Captures that the collector keeps in files, asked for by REST: they hold what the sensor gives, are listed, ended and
deleted, survive a restart, and are bounded in size, number and room.
"""
import contextlib
import glob
import json
import os
import re
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import PATIENCE, SKIPPED, main, metrics, udp, wait_until

try:
    import grpc
    from support.captures import Capture, read_pcapng
    from support.grpc_client import Client
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)
from end_to_end.fleet import Collector
from test_captures import START_NS, record, traffic
from test_collector_captures import LOOKER, OPERATOR, Sensor

SETTINGS = "captures:\n  at_once: 3\n  answer_timeout: 4s\n  file_size: 1MiB\n  total_size: 3MiB\n  files_max: 4\n  readers_max: 2\n"


class KeptCase(unittest.TestCase):
    """A collector of its own for each test, and its captures by REST."""
    settings = SETTINGS

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="netscope-kept-captures-")
        self.addCleanup(self.folder.cleanup)
        tokens, config = (os.path.join(self.folder.name, name) for name in ("tokens", "collector.yaml"))
        with open(tokens, "w", encoding="utf-8") as out:
            out.write(f"looker flows {LOOKER}\nops packets {OPERATOR}\n")
        os.chmod(tokens, 0o600)
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  token_file: {tokens}\nstore:\n  commit_interval: 100ms\n{self.settings}"
                      f"security:\n  audit_file: {self.folder.name}/audit.log\n")
        self.collector = Collector(self.folder.name, arguments=("--config", config))
        self.addCleanup(self.end)

    def end(self):
        status, text = self.collector.program.stop(), self.collector.program.text()
        self.collector.close()
        self.assertEqual(status, 0, text[-3000:])

    def ask(self, method, path, body=None, token=OPERATOR, changes=True):
        """(status, JSON or bytes, headers)"""
        headers = {"X-NetScope": "1"} if changes and method != "GET" else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.collector.http}{path}", method=method, headers=headers,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                data = answer.read()
                kind = answer.headers["Content-Type"]
                return answer.status, json.loads(data) if kind == "application/json" else data, answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), error.headers

    def start(self, sensor, **asked):
        status, answer, _ = self.ask("POST", "/v1/captures", {"sensor_id": sensor, **asked})
        self.assertEqual(status, 200, answer)
        return answer["capture"]

    def look(self, capture):
        return self.ask("GET", f"/v1/captures/{capture['capture_id']}")[1]["capture"]

    def await_end(self, capture):
        def is_over():
            now = self.look(capture)
            return now if now["state"] != "CAPTURE_STATE_RUNNING" else None
        return wait_until("the end of the capture", is_over)

    def file(self, capture):
        status, data, headers = self.ask("GET", f"/v1/captures/{capture['capture_id']}.pcapng")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-pcapng"))
        self.assertRegex(headers["Content-Disposition"], r'^attachment; filename="[\w.-]+\.pcapng"$')
        return data

    def page(self):
        return metrics(f"http://127.0.0.1:{self.collector.http}/metrics")

    def on_disk(self):
        return sorted(os.path.basename(path) for path in glob.glob(f"{self.folder.name}/store/captures/*"))


class Kept(KeptCase):
    def test_a_kept_file_is_the_one_that_the_sensor_itself_gives(self):
        with Sensor(self.collector, "edge-1") as sensor:
            own = Capture(sensor.socket, bpf="tcp").start()
            capture = self.start("edge-1", bpf="tcp", max_duration="60s")
            self.assertEqual((capture["state"], capture["requester"], capture["bpf"], capture["max_duration"]),
                             ("CAPTURE_STATE_RUNNING", "ops", "tcp", "60s"))
            self.assertEqual(int(capture["max_bytes"]), 1 << 20)
            sensor.write(b"".join(record(*one) for one in traffic(1000)))
            sensor.close()
            summary = own.wait()
            ended = self.await_end(capture)
        self.assertEqual(ended["state"], "CAPTURE_STATE_ENDED", ended)
        self.assertEqual((int(ended["summary"]["packets"]), ended["summary"]["reason"], int(ended["bytes"])),
                         (summary.packets, "input_ended", len(own.file)))
        self.assertEqual(self.file(capture), own.file)
        listed = self.ask("GET", "/v1/captures")[1]["captures"]
        self.assertEqual(listed, [ended])
        self.assertEqual(self.ask("GET", "/v1/captures?sensor_id=nobody")[1], {})
        by_grpc = Client(self.collector.ingest, OPERATOR).ask("CaptureService/ListCaptures")["captures"]
        self.assertEqual([one["summary"]["bytes"] for one in by_grpc], [ended["summary"]["bytes"]])
        self.assertEqual(self.on_disk(), [f"{capture['capture_id']}.{kind}" for kind in ("capture", "pcapng")])
        with open(f"{self.folder.name}/audit.log", encoding="utf-8") as lines:
            text = lines.read()
        for line in (r'"who":"ops".*StartCapture.*"started".*sensor=edge-1', r'"who":"ops".*captures.download'):
            self.assertRegex(text, line)
        # It is there after a restart; what was broken off by a kill is not.
        with open(f"{self.folder.name}/store/captures/{'0' * 32}.pcapng", "wb") as out:
            out.write(b"half of it")
        self.assertEqual(self.collector.program.stop(), 0)
        self.collector.close()
        self.collector.start()
        self.assertEqual(self.ask("GET", "/v1/captures")[1]["captures"], listed)
        self.assertEqual(self.file(capture), own.file)
        self.assertEqual(self.ask("DELETE", f"/v1/captures/{capture['capture_id']}")[0], 200)
        self.assertEqual(self.ask("GET", "/v1/captures")[1], {})
        wait_until("no file", lambda: self.on_disk() == [])
        self.assertEqual(self.ask("DELETE", f"/v1/captures/{capture['capture_id']}")[1]["reason"], "NO_SUCH_CAPTURE")

    def test_a_capture_is_seen_as_it_grows_and_ends_in_order_when_it_is_cancelled(self):
        with Sensor(self.collector, "edge") as sensor:
            capture = self.start("edge", bpf="udp")
            sensor.write(b"".join(record(*one) for one in traffic(300)))
            wait_until("bytes", lambda: len(read_pcapng(self.file(capture))[1]) == 100)
            self.assertEqual(self.look(capture)["state"], "CAPTURE_STATE_RUNNING")
            status, answer, _ = self.ask("POST", f"/v1/captures/{capture['capture_id']}:cancel")
            self.assertEqual((status, answer["capture"]["capture_id"]), (200, capture["capture_id"]))
            ended = self.await_end(capture)
            self.assertEqual((ended["state"], ended["summary"]["reason"], int(ended["summary"]["packets"])),
                             ("CAPTURE_STATE_ENDED", "cancelled", 100))
            self.assertEqual(len(read_pcapng(self.file(capture))[1]), 100)
            # And a capture that runs can be deleted.
            second = self.start("edge")
            self.assertEqual(self.ask("DELETE", f"/v1/captures/{second['capture_id']}")[0], 200)
            wait_until("no capture at the sensor", lambda: sensor.metrics()["netscope_packet_captures"] == 0)
            wait_until("one file", lambda: len(self.on_disk()) == 2)

    def test_what_is_refused_says_why(self):
        with Sensor(self.collector, "edge") as sensor, Sensor(self.collector, "no", captures="off"):
            for body, status, reason, words in (
                    ({"sensor_id": "edge", "bpf": "tcp and ("}, 400, "INVALID_FILTER", "syntax error"),
                    ({"sensor_id": "edge", "include_history": True}, 400, "NO_HISTORY", "include_history"),
                    ({"sensor_id": "no"}, 400, "CAPTURE_OFF", "sensor 'no': .*collector.captures"),
                    ({"sensor_id": "nobody"}, 404, "NO_SUCH_SENSOR", "nobody"),
                    ({}, 400, "MISSING_FIELD", "sensor_id"),
                    ({"sensor_id": "edge", "max_duration": "-1s"}, 400, "OUT_OF_BOUNDS", "max_duration"),
                    ({"sensor_id": "edge", "filter": "x"}, 400, "BAD_MESSAGE", "filter")):
                with self.subTest(**body):
                    code, answer, _ = self.ask("POST", "/v1/captures", body)
                    self.assertEqual((code, answer["reason"]), (status, reason), answer)
                    self.assertRegex(answer["detail"], words)
            self.assertEqual(self.ask("GET", "/v1/captures")[1], {})
            body = {"sensor_id": "edge"}
            for token, changes, status in ((None, True, 401), (LOOKER, True, 403), (OPERATOR, False, 403)):
                self.assertEqual(self.ask("POST", "/v1/captures", body, token, changes)[0], status)
            capture = self.start("edge")
            for path in ("", f"/{capture['capture_id']}", f"/{capture['capture_id']}.pcapng"):
                self.assertEqual(self.ask("GET", f"/v1/captures{path}", token=None)[0], 401)
                self.assertEqual(self.ask("GET", f"/v1/captures{path}", token=LOOKER)[0], 403)
            for method, path in (("DELETE", ""), ("POST", ":cancel")):
                self.assertEqual(self.ask(method, f"/v1/captures/{capture['capture_id']}{path}", changes=False)[0], 403)
            self.assertEqual(self.ask("GET", "/v1/captures/passwd.pcapng")[1]["reason"], "NO_SUCH_CAPTURE")
            self.assertEqual(sensor.metrics()["netscope_packet_captures"], 1)
            self.assertEqual(self.on_disk(), [f"{capture['capture_id']}.pcapng"])

    def test_size_number_and_room_are_bounded(self):
        with Sensor(self.collector, "edge") as sensor:
            large = self.start("edge", bpf="udp port 2000", max_bytes=str(1 << 40))
            frames = b"".join(record(START_NS + i, udp("10.0.0.1", 1000, "10.0.0.2", 2000, b"%6d" % i + b"x" * 1000))
                              for i in range(1500))
            sensor.write(frames)
            ended = self.await_end(large)
            self.assertEqual((ended["state"], ended["summary"]["reason"]), ("CAPTURE_STATE_ENDED", "max_bytes"))
            self.assertTrue((1 << 20) - 2000 < int(ended["bytes"]) <= 1 << 20, ended)
            # Three that run may fill the room: the one that is over goes.
            running = [self.start("edge", bpf="icmp") for _ in range(3)]
            self.assertEqual({one["capture_id"] for one in self.ask("GET", "/v1/captures")[1]["captures"]},
                             {one["capture_id"] for one in running})
            self.assertEqual(self.page()['netscope_collector_capture_files_removed_total{reason="room"}'], 1)
            code, answer, headers = self.ask("POST", "/v1/captures", {"sensor_id": "edge"})
            self.assertEqual((code, answer["reason"], "Retry-After" in headers), (429, "NO_ROOM", True))
            for one in running:
                self.ask("POST", f"/v1/captures/{one['capture_id']}:cancel")
                self.await_end(one)
            small = [self.start("edge", bpf="icmp", max_bytes="65536", max_packets="1") for _ in range(2)]
            code, answer, _ = self.ask("POST", "/v1/captures", {"sensor_id": "edge", "max_bytes": "65536"})
            self.assertEqual(code, 200)
            self.assertEqual(len(self.ask("GET", "/v1/captures")[1]["captures"]), 4, "captures.files_max")
            code, answer, _ = self.ask("POST", "/v1/captures", {"sensor_id": "edge", "max_bytes": "65536"})
            self.assertEqual((code, answer["reason"]), (429, "TOO_MANY_CAPTURES"))
            self.assertEqual(len(small), 2)

    def test_a_sensor_that_is_killed_leaves_what_had_come(self):
        sensor = Sensor(self.collector, "edge")
        with contextlib.ExitStack() as stack:
            for end in (sensor.folder.cleanup, sensor.program.__exit__, sensor.pipe.close):
                stack.callback(end)
            capture = self.start("edge")
            sensor.write(b"".join(record(*one) for one in traffic(50)))
            wait_until("packets", lambda: len(read_pcapng(self.file(capture))[1]) == 50)
            sensor.program.process.kill()
            ended = self.await_end(capture)
        self.assertEqual(ended["state"], "CAPTURE_STATE_FAILED")
        self.assertTrue(re.search("sensor 'edge'", ended["error"]), ended)
        self.assertEqual(len(read_pcapng(self.file(capture))[1]), 50)

    def test_a_stopped_collector_keeps_what_had_come(self):
        with Sensor(self.collector, "edge") as sensor:
            capture = self.start("edge")
            sensor.write(b"".join(record(*one) for one in traffic(50)))
            wait_until("packets", lambda: len(read_pcapng(self.file(capture))[1]) == 50)
            self.assertEqual(self.collector.program.stop(), 0)
            self.collector.close()
            self.collector.start()
            ended = self.look(capture)
            self.assertEqual(ended["state"], "CAPTURE_STATE_FAILED")
            self.assertEqual(len(read_pcapng(self.file(capture))[1]), 50)

    def read(self, method, capture, **more):
        """(the bytes, the last message) of a stream of CaptureService."""
        data, last = b"", None
        for message in Client(self.collector.ingest, OPERATOR).stream(f"CaptureService/{method}",
                                                                      {"capture_id": capture["capture_id"], **more}):
            self.assertIsNone(last, "a message behind the last one")
            if message.WhichOneof("item") == "capture":
                last = Client.plain(message.capture)
            else:
                self.assertLessEqual(len(message.chunk), 128 * 1024)
                data += message.chunk
        return data, last

    def test_a_client_reads_the_file_from_its_beginning_while_it_grows(self):
        with Sensor(self.collector, "edge") as sensor, Sensor(self.collector, "core") as core:
            capture = self.ask("POST", "/v1/captures", {"sensor_selector": {"sensor_ids": ["edge", "core"]}})[1]["capture"]
            for one in (sensor, core):
                one.write(b"".join(record(*frame) for frame in traffic(300)))
            wait_until("packets", lambda: len(read_pcapng(self.file(capture))[1]) == 600)
            before, seen, ends, ready = self.file(capture), {}, {}, threading.Event()

            def follow(name):
                call = Client(self.collector.ingest, OPERATOR).stream("CaptureService/StreamCapture",
                                                                      {"capture_id": capture["capture_id"]}, 60)
                seen[name] = b""
                for message in call:
                    if message.WhichOneof("item") == "capture":
                        ends[name] = Client.plain(message.capture)
                    seen[name] += message.chunk
                    if len(seen) == 2 and all(one == before for one in seen.values()):
                        ready.set()

            readers = [threading.Thread(target=follow, args=(name,), daemon=True) for name in ("one", "two")]
            for reader in readers:
                reader.start()
            self.assertTrue(ready.wait(20), "what had come before")
            self.assertEqual(ends, {})
            sensor.write(b"".join(record(START_NS + 9 * 10**9 + i, udp("10.0.0.1", 1, "10.0.0.2", 2, b"x" * 1400)) for i in range(400)))
            for one in (sensor, core):
                one.close()
            for reader in readers:
                reader.join(30)
            ended = self.await_end(capture)
            whole = self.file(capture)
        self.assertEqual(len(read_pcapng(whole)[1]), 1000)
        self.assertGreater(len(whole), 3 * 128 * 1024)
        for name in ("one", "two"):
            self.assertEqual(seen[name], whole)
            self.assertEqual((ends[name]["state"], ends[name]["bytes"]), ("CAPTURE_STATE_ENDED", ended["bytes"]))
        # One that is over is sent, too; a download may begin anywhere.
        for method, asked, wanted in (("StreamCapture", {}, whole), ("DownloadCapture", {}, whole),
                                      ("DownloadCapture", {"offset": 5000}, whole[5000:]),
                                      ("DownloadCapture", {"offset": len(whole)}, b"")):
            data, last = self.read(method, capture, **asked)
            self.assertEqual((data, last["capture_id"], int(last["bytes"])), (wanted, capture["capture_id"], len(whole)))

    def test_a_download_ends_where_the_file_did_and_a_stream_with_its_capture(self):
        with Sensor(self.collector, "edge") as sensor:
            capture = self.start("edge", bpf="udp")
            sensor.write(b"".join(record(*one) for one in traffic(300)))
            wait_until("packets", lambda: len(read_pcapng(self.file(capture))[1]) == 100)
            data, last = self.read("DownloadCapture", capture)
            self.assertEqual((len(read_pcapng(data)[1]), last["state"]), (100, "CAPTURE_STATE_RUNNING"))
            calls = [Client(self.collector.ingest, OPERATOR).stream("CaptureService/StreamCapture",
                                                                    {"capture_id": capture["capture_id"]}, 60) for _ in range(2)]
            for call in calls:
                self.assertGreater(len(next(call).chunk), 0)
            for method, asked, token, code in (("StreamCapture", {}, OPERATOR, "RESOURCE_EXHAUSTED"),
                                               ("DownloadCapture", {}, OPERATOR, "RESOURCE_EXHAUSTED"),
                                               ("StreamCapture", {"capture_id": "0" * 32}, OPERATOR, "NOT_FOUND"),
                                               ("StreamCapture", {"capture_id": ""}, OPERATOR, "NOT_FOUND"),
                                               ("DownloadCapture", {"offset": 1 << 40}, OPERATOR, "OUT_OF_RANGE"),
                                               ("DownloadCapture", {}, LOOKER, "PERMISSION_DENIED"),
                                               ("StreamCapture", {}, None, "UNAUTHENTICATED")):
                with self.subTest(method=method, code=code), self.assertRaises(grpc.RpcError) as caught:
                    list(Client(self.collector.ingest, token).stream(f"CaptureService/{method}",
                                                                     {"capture_id": capture["capture_id"], **asked}))
                self.assertEqual(caught.exception.code().name, code)
            calls[0].cancel()
            wait_until("its place", lambda: self.reads(capture))
            self.assertEqual(self.ask("DELETE", f"/v1/captures/{capture['capture_id']}")[0], 200)
            with self.assertRaises(grpc.RpcError) as caught:
                list(calls[1])
            self.assertEqual(caught.exception.code().name, "ABORTED")
            self.assertIn("deleted", caught.exception.details())
        with open(f"{self.folder.name}/audit.log", encoding="utf-8") as lines:
            self.assertRegex(lines.read(), r'"who":"ops".*CaptureService/StreamCapture.*"ok"')

    def reads(self, capture):
        try:
            return self.read("DownloadCapture", capture)[1]["capture_id"] == capture["capture_id"]
        except grpc.RpcError:
            return False


if __name__ == "__main__":
    main()
