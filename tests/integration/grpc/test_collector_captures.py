"""Captures asked for at the collector: the file that comes through it is the one that the sensor itself gives, the
sensor's own settings decide what may be captured, and a slow reader holds up no record.

The sensors read pipes: what stands in one when the capture begins is known.
"""
import os
import re
import signal
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import PATIENCE, SKIPPED, main, metrics, udp, wait_until

try:
    import grpc
    from support.captures import Capture, read_pcapng
    from support.foreign_stream import CONNECT, fields, hello
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)
import test_captures as piped
from end_to_end.fleet import Collector
from test_captures import HEAD, MARK, START_NS, code_of, record, traffic

OPERATOR, LOOKER = "operator-token-0123456789", "looker-token-0123456789"


class Sensor(piped.Piped):
    """A sensor at a pipe that reports to the collector and captures as `captures` says."""

    def __init__(self, collector, name, captures="full", more="", head=HEAD + record(START_NS, MARK)):
        self.name, self.collector = name, collector
        section = f"  captures: {captures}\n" if captures else ""
        super().__init__(head, "--sensor-id", name, more=f"collector:\n  address: 127.0.0.1:{collector.ingest}\n"
                         f"  backoff_max: 500ms\n{section}{more}")
        try:
            wait_until("the sensor is there", self.is_there)
            wait_until("what stood in the pipe", lambda: self.processed() == 1)
        except AssertionError:
            self.__exit__()
            raise

    def is_there(self):
        return self.collector.sensors().get(self.name, {}).get("state") == "LIVE"


class CollectorCaptures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-fleet-captures-")
        folder = cls.folder.name
        tokens, config = os.path.join(folder, "tokens"), os.path.join(folder, "collector.yaml")
        with open(tokens, "w", encoding="utf-8") as out:
            out.write(f"looker flows {LOOKER}\nops packets {OPERATOR}\n")
        os.chmod(tokens, 0o600)
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  token_file: {tokens}\nstore:\n  commit_interval: 100ms\ncaptures:\n  at_once: 3\n"
                      f"  answer_timeout: 4s\nsecurity:\n  audit_file: {folder}/audit.log\n")
        cls.collector = Collector(folder, arguments=("--config", config))

    @classmethod
    def tearDownClass(cls):
        status, text = cls.collector.program.stop(), cls.collector.program.text()
        cls.collector.close()
        cls.folder.cleanup()
        assert status == 0, text[-3000:]

    def capture(self, sensor, token=OPERATOR, **fields_of):
        return Capture(f"127.0.0.1:{self.collector.ingest}", token=token, sensor_selector={"sensor_ids": [sensor]},
                       **fields_of)

    def page(self):
        return metrics(f"http://127.0.0.1:{self.collector.http}/metrics")

    def audit(self):
        with open(os.path.join(self.folder.name, "audit.log"), encoding="utf-8") as lines:
            return lines.read()

    def test_the_file_is_the_one_that_the_sensor_itself_gives(self):
        for bpf in ("", "tcp port 80", "udp and src net 10.0.3.0/24"):
            with self.subTest(bpf=bpf), Sensor(self.collector, "same") as sensor:
                own = Capture(sensor.socket, bpf=bpf).start()
                through = self.capture("same", bpf=bpf).start()
                frames = list(traffic(3000))
                sensor.write(b"".join(record(*one) for one in frames))
                sensor.close()
                summary = through.wait()
                self.assertIsNone(through.error)
                self.assertEqual(summary, own.wait())
                self.assertEqual((summary.dropped, summary.reason), (0, "input_ended"))
                self.assertEqual(through.file, own.file)
                self.assertEqual(summary.bytes, len(through.file))
                packets = read_pcapng(through.file)[1]
                if bpf == "":
                    self.assertEqual([(one.time_ns, one.data) for one in packets], frames)
                self.assertGreater(len(packets), 50)
                self.assertRegex(sensor.program.text(), r"msg=collector.capture who=collector:ops .*result=started .*packets=whole")
                wait_until("its end", lambda: re.search(r"msg=collector.capture who=collector:ops .*result=ended .*reason=input_ended",
                                                        sensor.program.text()))
        lines = self.audit()
        self.assertRegex(lines, r'"who":"ops".*CapturePackets.*"started".*sensor=same bpf=\'tcp port 80\'')
        self.assertRegex(lines, r'"who":"ops".*"ended".*dropped=0 reason=input_ended')

    def test_without_a_word_of_the_sensor_no_payload_leaves_it(self):
        with Sensor(self.collector, "careful", captures=None) as sensor:
            through = self.capture("careful").start()
            sensor.write(b"".join(record(*one) for one in traffic(300)))
            sensor.close()
            through.wait()
            self.assertIn("packets=headers", sensor.program.text())
        packets = read_pcapng(through.file)[1]
        self.assertEqual((len(packets), {len(one.data) for one in packets}), (300, {42, 54}))

    def test_refusals(self):
        for captures, more, asked, code, words in (
                ("off", "", {}, "FAILED_PRECONDITION", "sensor 'no': .*collector.captures"),
                ("full", "packets:\n  capture: off\n", {}, "FAILED_PRECONDITION", "sensor 'no': .*packets.capture"),
                ("full", "", {"bpf": "tcp and ("}, "INVALID_ARGUMENT", "sensor 'no': .*syntax error"),
                ("full", "", {"bpf": "ip " + "or ip " * 1000}, "INVALID_ARGUMENT", "at most 4096"),
                ("full", "", {"include_history": True}, "FAILED_PRECONDITION", "include_history")):
            with self.subTest(captures=captures, words=words), Sensor(self.collector, "no", captures, more):
                capture = self.capture("no", **asked).start()
                capture.wait()
                self.assertEqual(code_of(capture), code)
                self.assertRegex(capture.error.details(), words)
                self.assertEqual(capture.file, b"")
        self.assertRegex(self.audit(), r'"result":"refused".*collector.captures')
        wait_until("it is not connected", lambda: self.collector.sensors()["no"]["state"] != "LIVE")
        for sensor, token, code, words in (("no", OPERATOR, "UNAVAILABLE", "sensor 'no' is not connected"),
                                           ("nobody", OPERATOR, "NOT_FOUND", "no sensor 'nobody' is known"),
                                           ("no*", OPERATOR, "INVALID_ARGUMENT", "sensor_selector"),
                                           ("", OPERATOR, "INVALID_ARGUMENT", "sensor_selector"),
                                           ("no", LOOKER, "PERMISSION_DENIED", "packets"),
                                           ("no", None, "UNAUTHENTICATED", "token")):
            with self.subTest(sensor=sensor, token=token):
                capture = self.capture(sensor, token).start()
                self.assertEqual(code_of(capture), code)
                self.assertIn(words, capture.error.details())

    def test_a_sensor_that_does_not_say_that_it_can_is_not_asked(self):
        with grpc.insecure_channel(f"127.0.0.1:{self.collector.ingest}") as channel:
            ended = threading.Event()

            def requests():
                yield hello("old")
                ended.wait(60)
            call = channel.stream_stream(CONNECT, lambda data: data, lambda data: data)(requests())
            self.assertEqual(fields(next(call))[0][0], 1)
            capture = self.capture("old").start()
            self.assertEqual((code_of(capture), "too old" in capture.error.details()), ("FAILED_PRECONDITION", True))
            ended.set()
            call.cancel()

    def test_only_the_sensor_that_was_asked_may_send_the_file(self):
        with grpc.insecure_channel(f"127.0.0.1:{self.collector.ingest}") as channel:
            upload = channel.stream_unary("/netscope.v1.IngestService/UploadCapture", lambda data: data, lambda data: data)
            for message, code in ((b"\x0a\x03abc\x12\x01x", "NOT_FOUND"), (b"\xff\xff", "INVALID_ARGUMENT")):
                with self.assertRaises(grpc.RpcError) as refused:
                    upload(iter([message]), timeout=20 * PATIENCE)
                self.assertEqual(refused.exception.code().name, code)

    def test_places_are_few_and_a_reader_that_leaves_frees_one(self):
        with Sensor(self.collector, "busy", more="packets:\n  capture_at_once: 2\n") as sensor:
            captures = [self.capture("busy", bpf="icmp").start() for _ in range(2)]
            third = self.capture("busy").start()
            self.assertEqual(code_of(third), "RESOURCE_EXHAUSTED")
            self.assertIn("packets.capture_at_once", third.error.details())
            with Sensor(self.collector, "second") as second:
                other = self.capture("second").start()
                self.assertIsNone(other.error)
                fourth = self.capture("second").start()
                self.assertEqual(code_of(fourth), "RESOURCE_EXHAUSTED")
                self.assertIn("captures.at_once", fourth.error.details())
                second.close()
                self.assertEqual(other.wait().reason, "input_ended")
            captures[0].cancel()
            wait_until("a free place", lambda: sensor.metrics()["netscope_packet_captures"] == 1)
            third = self.capture("busy", bpf="tcp").start()
            sensor.write(b"".join(record(*one) for one in traffic(30)))
            sensor.close()
            self.assertEqual((third.wait().packets, captures[1].wait().packets), (20, 0))
        self.assertIn("reason=client_left", self.audit())

    def test_a_slow_reader_holds_up_no_record(self):
        count, size = 60000, 1000
        frames = b"".join(record(START_NS + i * 1000, udp("10.0.0.1", 1000 + i % 500, "10.0.0.2", 2000,
                                                          b"%6d" % i + b"x" * size)) for i in range(count))
        with Sensor(self.collector, "slow", more="packets:\n  capture_queue: 1MiB\n") as sensor:
            capture = self.capture("slow", bpf="udp port 2000")
            next(iter(capture.call))  # the head of the file; nothing more is read for now
            sensor.write(frames)
            wait_until("dropped packets", lambda: sensor.metrics()["netscope_packet_capture_dropped_total"] > count / 4)
            wait_until("all frames", lambda: sensor.processed() == count + 1)
            # An hour later all flows have ended: their records come on the same connection while the file is stuck.
            sensor.write(record(START_NS + 3600 * 10**9, MARK) + record(START_NS + 3601 * 10**9, MARK))
            wait_until("the flows of all frames", lambda: self.collector.flow_packets("slow") >= count)
            self.assertEqual(sensor.metrics()["netscope_packet_captures"], 1)
            sensor.close()
            summary = capture.wait()
            self.assertEqual(summary.packets + summary.dropped, count)
            self.assertGreater(summary.dropped, count / 4)

    def test_a_stopped_sensor_ends_a_capture_in_order(self):
        with Sensor(self.collector, "stopped") as sensor:
            capture = self.capture("stopped").start()
            sensor.write(b"".join(record(*one) for one in traffic(100)))
            wait_until("packets", lambda: sensor.metrics()["netscope_packet_capture_packets_total"] == 100)
            self.assertEqual(sensor.program.stop(), 0)
        self.assertEqual(capture.wait().packets, 100)
        self.assertEqual(capture.summary.reason, "sensor_stopped")
        self.assertEqual(len(read_pcapng(capture.file)[1]), 100)

    def test_a_killed_sensor_ends_a_capture_with_its_name(self):
        sensor = Sensor(self.collector, "killed")
        try:
            capture = self.capture("killed").start()
            sensor.program.process.kill()
            capture.wait()
            self.assertEqual(code_of(capture), "UNAVAILABLE")
            self.assertIn("sensor 'killed'", capture.error.details())
        finally:
            sensor.pipe.close()
            sensor.program.__exit__()
            sensor.folder.cleanup()

    def test_a_stopped_collector_ends_a_capture_and_the_sensor_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            tokens = os.path.join(folder, "tokens")
            with open(tokens, "w", encoding="utf-8") as out:
                out.write(f"{OPERATOR}\n")
            os.chmod(tokens, 0o600)
            collector = Collector(folder, environment={"NETSCOPE_COLLECTOR_GRPC__TOKEN_FILE": tokens})
            with Sensor(collector, "stays") as sensor:
                capture = Capture(f"127.0.0.1:{collector.ingest}", token=OPERATOR,
                                  sensor_selector={"sensor_ids": ["stays"]}).start()
                self.assertEqual(collector.program.stop(), 0)
                capture.wait()
                self.assertEqual(code_of(capture), "UNAVAILABLE")
                wait_until("no capture", lambda: sensor.metrics()["netscope_packet_captures"] == 0)
                self.assertRegex(sensor.program.text(), "result=ended .*reason=collector_")
                collector.close()
                collector.start()
                wait_until("the sensor is back", sensor.is_there)
                capture = Capture(f"127.0.0.1:{collector.ingest}", token=OPERATOR, bpf="udp",
                                  sensor_selector={"sensor_ids": ["stays"]}).start()
                sensor.write(b"".join(record(*one) for one in traffic(30)))
                sensor.close()
                self.assertEqual(capture.wait().packets, 10)
            self.assertEqual(collector.program.stop(), 0)
            collector.close()

    def test_a_capture_ends_with_its_token(self):
        with tempfile.TemporaryDirectory() as folder:
            tokens = os.path.join(folder, "tokens")

            def write(*lines):
                with open(tokens, "w", encoding="utf-8") as out:
                    out.write("".join(f"{line}\n" for line in lines))
                os.chmod(tokens, 0o600)

            def capture(sensor, token, port):
                return Capture(f"127.0.0.1:{port}", token=token, sensor_selector={"sensor_ids": [sensor]}).start()
            write(f"gone packets {OPERATOR}", f"less packets {LOOKER}", "stays packets other-token-0123456789")
            collector = Collector(folder, environment={"NETSCOPE_COLLECTOR_GRPC__TOKEN_FILE": tokens,
                                                       "NETSCOPE_COLLECTOR_SECURITY__AUDIT_FILE": f"{folder}/audit.log"})
            with Sensor(collector, "watched", more="packets:\n  capture_at_once: 3\n") as sensor:
                gone, less, stays = (capture("watched", token, collector.ingest)
                                     for token in (OPERATOR, LOOKER, "other-token-0123456789"))
                wait_until("three captures", lambda: sensor.metrics()["netscope_packet_captures"] == 3)
                write(f"less flows {LOOKER}", "stays packets other-token-0123456789")
                collector.program.process.send_signal(signal.SIGHUP)
                for ended, code in ((gone, "UNAUTHENTICATED"), (less, "PERMISSION_DENIED")):
                    ended.wait()
                    self.assertEqual(code_of(ended), code)
                wait_until("the sensor captures for one", lambda: sensor.metrics()["netscope_packet_captures"] == 1)
                sensor.write(b"".join(record(*one) for one in traffic(30)))
                sensor.close()
                self.assertEqual(stays.wait().packets, 30)
                with open(f"{folder}/audit.log", encoding="utf-8") as lines:
                    ended = [line for line in lines if "CapturePackets" in line and '"ended"' in line and "reason=" not in line]
                self.assertEqual(len(ended), 2, ended)
            self.assertEqual(collector.program.stop(), 0)
            collector.close()


if __name__ == "__main__":
    main()
