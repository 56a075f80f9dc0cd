"""Captures on request of a sensor that reads a file: the pcapng that comes out holds the packets that tcpdump finds in
the file by the same filter, at the same times; limits, quota, refusals, slow clients and the end are told.

The file is a pipe: what stands in it when the capture begins is known.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support import grpcurl as tool
from support.programs import ACK, SENSOR, SKIPPED, SYN, Program, main, metrics, tcp, udp, wait_until

try:
    import grpc
    from support.captures import Capture, read_pcapng
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)

START_NS = 1_700_000_000_000_000_000
HEAD = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
MARK = udp("10.9.9.9", 9, "10.9.9.8", 9)  # what the pipe holds before a capture begins


def record(at_ns, frame):
    return struct.pack("<IIII", at_ns // 10**9, at_ns % 10**9, len(frame), len(frame)) + frame


def traffic(count):
    """TCP and UDP of many flows, 1234 ns apart."""
    for i in range(count):
        client, port = f"10.0.{i % 7}.{i % 50 + 1}", 1024 + i % 500
        frame = (udp(client, port, "192.0.2.53", 53, b"q" * (i % 300)) if i % 3 == 0 else
                 tcp(client, port, "192.0.2.80", 80 if i % 2 else 443, ACK if i % 5 else SYN, i, i, b"d" * (i % 1200)))
        yield START_NS + 10**9 + i * 1234, frame


def pcapng(interfaces, packets):
    """A file of several interfaces: (name, link type); (number, time, bytes)."""
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for name, link_type in interfaces:
        name = name.encode()
        out += block(1, struct.pack("<HHI", link_type, 0, 65535) + struct.pack("<HH", 2, len(name)) + name +
                     b"\0" * (-len(name) % 4) + struct.pack("<HHBxxx", 9, 1, 9) + struct.pack("<HH", 0, 0))
    for number, at, data in packets:
        out += block(6, struct.pack("<IIIII", number, at >> 32, at & 0xFFFFFFFF, len(data), len(data)) + data)
    return out


class Piped:
    """A sensor that reads a pipe: `write` gives it bytes, `close` ends them."""

    def __init__(self, head, *arguments, more="", token=False):
        self.folder = tempfile.TemporaryDirectory(prefix="netscope-captures-")
        self.socket = f"unix:{self.folder.name}/sensor.sock"
        pipe, config = (os.path.join(self.folder.name, name) for name in ("pipe", "sensor.yaml"))
        os.mkfifo(pipe)
        extra = ""
        if token:
            path = os.path.join(self.folder.name, "token")
            with open(path, "w", encoding="utf-8") as out:
                out.write("looker flows look-but-do-not-touch\nops packets packets-for-the-operators\n")
            os.chmod(path, 0o600)
            extra = f"  token_file: {path}\n"
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  enabled: on\n  listen: 127.0.0.1:0\n  unix_socket: {self.folder.name}/sensor.sock\n{extra}"
                      f"http:\n  enabled: on\n  port: 0\n{more}")
        self.program = Program(SENSOR, "--config", config, "--read-pcap", pipe, "--quiet", "-v", *arguments)
        # Not to write alone: the sensor looks at it before it reads it.
        self.pipe = open(os.open(pipe, os.O_RDWR), "wb")  # pylint: disable=consider-using-with
        self.write(head)
        self.grpc = "127.0.0.1:" + self.port(r"grpc msg=serving port=(\d+)")
        self.http = self.port(r"part=http .*port=(\d+)")

    def port(self, pattern):
        return wait_until(pattern, lambda: re.search(pattern, self.program.text())).group(1)

    def write(self, data):
        self.pipe.write(data)
        self.pipe.flush()

    def close(self):
        self.pipe.close()

    def metrics(self):
        return metrics(f"http://127.0.0.1:{self.http}/metrics")

    def processed(self):
        return sum(value for name, value in self.metrics().items() if name.startswith("netscope_shard_packets_total"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pipe.close()
        status, text = self.program.stop(), self.program.text()
        self.program.__exit__()
        self.folder.cleanup()
        assert status == 0, f"the sensor ended with {status}:\n{text[-3000:]}"


def code_of(capture):
    return capture.error.code().name if capture.error else "OK"


class Captures(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def save(self, name, data):
        with open(self.path(name), "wb") as out:
            out.write(data)
        return self.path(name)

    def by_tcpdump(self, file, *words):
        """What tcpdump finds in the file: (time, length, bytes)."""
        if shutil.which("tcpdump") is None:
            self.skipTest("tcpdump is not installed")
        done = subprocess.run(["tcpdump", "-r", file, "--nano", "-w", self.path("found.pcap"), *words], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("found.pcap"), "rb") as found:
            data = found.read()
        at, packets = 24, []
        while at < len(data):
            seconds, nanos, captured, wire = struct.unpack_from("<IIII", data, at)
            packets.append((seconds * 10**9 + nanos, wire, data[at + 16:at + 16 + captured]))
            at += 16 + captured
        return packets

    def check_equals_tcpdump(self, bpf, count, *arguments, more=""):
        whole = HEAD + record(START_NS, MARK) + b"".join(record(*one) for one in traffic(count))
        with Piped(HEAD + record(START_NS, MARK), *arguments, more=more) as sensor:
            capture = Capture(sensor.socket, bpf=bpf).start()
            sensor.write(b"".join(record(*one) for one in traffic(count)))
            sensor.close()
            summary = capture.wait()
        self.assertIsNone(capture.error)
        interfaces, packets = read_pcapng(capture.file)
        expected = [one for one in self.by_tcpdump(self.save("whole.pcap", whole), bpf) if one[2] != MARK]
        found = [(one.time_ns, one.length, one.data) for one in packets]
        self.assertEqual(len(found) + summary.dropped, len(expected), summary)
        self.assertEqual((summary.dropped, summary.packets, summary.bytes, summary.reason),
                         (0, len(expected), len(capture.file), "input_ended"))
        self.assertEqual([interface[1] for interface in interfaces], [1])
        return found, expected, capture

    def test_a_capture_holds_what_tcpdump_finds_in_the_file(self):
        for bpf in ("", "tcp port 80", "udp and src net 10.0.3.0/24", "tcp[tcpflags] & tcp-syn != 0"):
            with self.subTest(bpf=bpf):
                found, expected, capture = self.check_equals_tcpdump(bpf, 3000)
                self.assertGreater(len(expected), 50)
                self.assertEqual(found, expected)
        file = self.save("capture.pcapng", capture.file)
        for program in ("capinfos", "tshark"):
            if shutil.which(program):
                done = subprocess.run([program, *(["-r"] if program == "tshark" else []), file], capture_output=True,
                                      text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                lines = done.stdout.splitlines()
                if program == "tshark":
                    self.assertEqual(len(lines), len(expected))
                else:
                    self.assertRegex(done.stdout, rf"Number of packets: *{len(expected)}\n")

    def test_several_shards_lose_and_repeat_nothing(self):
        found, expected, _ = self.check_equals_tcpdump("tcp", 4000, "--shards", "3")
        self.assertEqual(sorted(found), sorted(expected))

    def test_interfaces_of_a_file_keep_their_names_and_link_types(self):
        frames = list(traffic(400))
        packets = [(i % 2, at, frame if i % 2 == 0 else frame[14:]) for i, (at, frame) in enumerate(frames)]
        head = pcapng([("lan0", 1), ("tun7", 101)], [(0, START_NS, MARK)])
        behind = pcapng([("lan0", 1), ("tun7", 101)], packets)[len(pcapng([("lan0", 1), ("tun7", 101)], [])):]
        for name in ("", "tun7"):
            with self.subTest(interface=name), Piped(head) as sensor:
                capture = Capture(sensor.socket, bpf="tcp", interface=name).start()
                sensor.write(behind)
                sensor.close()
                summary = capture.wait()
                interfaces, got = read_pcapng(capture.file)
                wanted = [(("lan0", "tun7")[number], at, data) for number, at, data in packets
                          if data[9 if number else 23] == 6 and name in ("", ("lan0", "tun7")[number])]
                self.assertEqual([(one.interface, one.time_ns, one.data) for one in got], wanted)
                self.assertEqual(summary.dropped, 0)
                self.assertEqual({one[:2] for one in interfaces},
                                 {("tun7", 101)} if name else {("lan0", 1), ("tun7", 101)})

    def test_limits_are_kept_and_told(self):
        data = b"".join(record(*one) for one in traffic(2000))
        more = "packets:\n  capture_max_packets: 700\n  capture_snaplen: 100B\n  capture_max_duration: 3s\n"
        for fields, reason, check in (
                ({"max_packets": 10}, "max_packets", lambda file, packets: len(packets) == 10),
                ({"max_packets": 9999}, "packets.capture_max_packets", lambda file, packets: len(packets) == 700),
                ({"max_bytes": 5000}, "max_bytes", lambda file, packets: 4800 < len(file) <= 5000),
                ({"max_bytes": 20}, "max_bytes", lambda file, packets: packets == []),
                ({"snaplen": 60, "max_packets": 300}, "max_packets",
                 lambda file, packets: max(len(one.data) for one in packets) == 60
                 and max(one.length for one in packets) > 300),
                ({"snaplen": 99999, "max_packets": 300}, "max_packets",
                 lambda file, packets: max(len(one.data) for one in packets) == 100),
                ({"bpf": "host 9.9.9.9", "seconds": 0.5}, "max_duration", lambda file, packets: packets == []),
                ({"bpf": "host 9.9.9.9"}, "packets.capture_max_duration", lambda file, packets: packets == [])):
            with self.subTest(**fields), Piped(HEAD + record(START_NS, MARK), more=more) as sensor:
                capture = Capture(sensor.socket, **fields).start()
                began = time.monotonic()
                sensor.write(data)
                summary = capture.wait()
                _, packets = read_pcapng(capture.file)
                self.assertEqual(summary.reason, reason)
                self.assertTrue(check(capture.file, packets), f"{len(capture.file)} bytes, {len(packets)} packets")
                self.assertEqual((summary.packets, summary.bytes), (len(packets), len(capture.file)))
                if "duration" in reason:
                    self.assertLess(abs(time.monotonic() - began - fields.get("seconds", 3)), 1.5)

    def test_a_capture_of_headers_holds_no_payload(self):
        with Piped(HEAD + record(START_NS, MARK), more="packets:\n  capture: headers\n") as sensor:
            capture = Capture(sensor.socket).start()
            arp = b"\xff" * 6 + b"\2" * 6 + b"\x08\x06" + b"\x77" * 100
            sensor.write(b"".join(record(*one) for one in traffic(300)) + record(START_NS + 2 * 10**9, arp))
            sensor.close()
            capture.wait()
        packets = read_pcapng(capture.file)[1]
        self.assertEqual(len(packets), 301)
        self.assertEqual({len(one.data) for one in packets[:-1]}, {42, 54})
        self.assertEqual((len(packets[-1].data), packets[-1].length), (64, 114))

    def test_refusals(self):
        for more, fields, code, words in (
                ("", {"bpf": "tcp and ("}, "INVALID_ARGUMENT", "syntax error"),
                ("", {"bpf": "frobnicate 7"}, "INVALID_ARGUMENT", "frobnicate"),
                ("", {"bpf": "ip " + "or ip " * 1000}, "INVALID_ARGUMENT", "at most 4096"),
                ("", {"include_history": True}, "FAILED_PRECONDITION", "include_history"),
                ("packets:\n  capture: off\n", {}, "FAILED_PRECONDITION", "packets.capture")):
            with self.subTest(**fields), Piped(HEAD + record(START_NS, MARK), more=more) as sensor:
                capture = Capture(sensor.socket, **fields).start()
                capture.wait()
                self.assertEqual(code_of(capture), code)
                self.assertIn(words, capture.error.details())
                self.assertEqual(capture.file, b"")
                self.assertRegex(sensor.program.text(), "who=unix .*result=refused")
                wait_until("no capture", lambda: sensor.metrics()["netscope_packet_captures"] == 0)

    def test_packet_bytes_need_a_proof(self):
        with Piped(HEAD + record(START_NS, MARK)) as sensor:
            capture = Capture(sensor.grpc).start()
            self.assertEqual(code_of(capture), "PERMISSION_DENIED")
        with Piped(HEAD + record(START_NS, MARK), token=True) as sensor:
            for token, code in ((None, "UNAUTHENTICATED"), ("look-but-do-not-touch", "PERMISSION_DENIED")):
                self.assertEqual(code_of(Capture(sensor.grpc, token=token).start()), code)
            capture = Capture(sensor.grpc, token="packets-for-the-operators", bpf="udp port 53").start()
            sensor.write(b"".join(record(*one) for one in traffic(30)))
            sensor.close()
            self.assertEqual(capture.wait().packets, 10)
            text = sensor.program.text()
            self.assertRegex(text, r"who=ops .*result=started .*udp port 53")
            self.assertRegex(text, r"who=ops .*result=ended .*packets=10 .*dropped=0 .*reason=input_ended")

    def test_a_capture_more_than_may_run_is_refused_and_a_cancel_frees_a_place(self):
        with Piped(HEAD + record(START_NS, MARK), more="packets:\n  capture_at_once: 2\n") as sensor:
            captures = [Capture(sensor.socket, bpf="icmp").start() for _ in range(2)]
            third = Capture(sensor.socket).start()
            self.assertEqual(code_of(third), "RESOURCE_EXHAUSTED")
            self.assertIn("packets.capture_at_once", third.error.details())
            page = sensor.metrics()
            self.assertEqual((page["netscope_packet_captures"], page["netscope_packet_captures_refused_total"]), (2, 1))
            captures[0].cancel()
            wait_until("a free place", lambda: sensor.metrics()["netscope_packet_captures"] == 1)
            third = Capture(sensor.socket, bpf="tcp").start()
            sensor.write(b"".join(record(*one) for one in traffic(30)))
            sensor.close()
            self.assertEqual((third.wait().packets, captures[1].wait().packets), (20, 0))
            self.assertIn("reason=client_left", sensor.program.text())

    def test_a_slow_client_loses_packets_and_is_told_how_many(self):
        more = "packets:\n  capture_queue: 1MiB\n"
        count, size = 30000, 1000
        frames = b"".join(record(START_NS + i, udp("10.0.0.1", 1000, "10.0.0.2", 2000, b"%6d" % i + b"x" * size))
                          for i in range(count))
        with Piped(HEAD + record(START_NS, MARK), more=more) as sensor:
            capture = Capture(sensor.socket, bpf="udp port 2000")
            capture.file = next(iter(capture.call)).chunk  # the head of the file; nothing more is read for now
            began = time.monotonic()
            sensor.write(frames)
            wait_until("dropped packets", lambda: sensor.metrics()["netscope_packet_capture_dropped_total"] > count / 4)
            wait_until("all frames", lambda: sensor.processed() == count + 1)
            self.assertLess(time.monotonic() - began, 20, "the sensor waits for nobody")
            capture.start()  # what is kept for it is read while the sensor runs: at its end it waits 2 s for nobody
            wait_until("all that was kept", lambda: len(capture.file) == sensor.metrics()["netscope_packet_capture_bytes_total"])
            sensor.close()
            summary = capture.wait()
        self.assertEqual(summary.packets + summary.dropped, count)
        self.assertGreater(summary.dropped, count / 4)

    def test_a_stopped_sensor_ends_a_capture_in_order(self):
        with Piped(HEAD + record(START_NS, MARK)) as sensor:
            capture = Capture(sensor.socket).start()
            sensor.write(b"".join(record(*one) for one in traffic(100)))
            wait_until("packets", lambda: sensor.metrics()["netscope_packet_capture_packets_total"] == 100)
            self.assertEqual(sensor.program.stop(), 0)  # its input has not ended
        self.assertEqual(capture.wait().packets, 100)
        self.assertEqual(capture.summary.reason, "sensor_stopped")
        self.assertEqual(len(read_pcapng(capture.file)[1]), 100)

    def test_a_pipe_of_grpcurl_and_jq_makes_a_file(self):
        grpcurl = tool.find()
        if grpcurl is None or shutil.which("jq") is None:
            self.skipTest("grpcurl or jq is not installed")
        with Piped(HEAD + record(START_NS, MARK)) as sensor:
            flags, target = tool.unix(grpcurl, sensor.socket.removeprefix("unix:"))
            command = (f"{grpcurl} -plaintext {' '.join(flags)} -d "
                       f"""'{json.dumps({"bpf": "tcp port 80", "max_duration": "20s"})}' {target} """
                       "netscope.v1.PacketService/CapturePackets | "
                       f"tee {self.path('x.json')} | jq -r --unbuffered '.chunk // empty' | base64 -d > {self.path('x.pcapng')}; "
                       f"jq .summary {self.path('x.json')}")
            with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shell:
                wait_until("a capture", lambda: sensor.metrics()["netscope_packet_captures"] == 1)
                wait_until("its start", lambda: "result=started" in sensor.program.text())
                time.sleep(0.2)
                sensor.write(b"".join(record(*one) for one in traffic(600)))
                sensor.close()
                out, errors = shell.communicate(timeout=60)
                self.assertEqual((shell.returncode, errors), (0, ""))
                self.assertIn('"packets": "200"', out)
        with open(self.path("x.pcapng"), "rb") as file:
            self.assertEqual(len(read_pcapng(file.read())[1]), 200)


if __name__ == "__main__":
    main()
