"""Capture files as people have them: many, packed, of several interfaces, cut."""
import gzip
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import (SENSOR, Program, clean_environment, delta_packets, json_lines, main, read_pcap, sensor, udp,
                              wait_until, write_pcap)

ETHERNET, RAW = 1, 101


def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def option(code, value):
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section():
    return block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(link_type, name=b"", more=b""):
    return block(1, struct.pack("<HHI", link_type, 0, 0) + (option(2, name) if name else b"") + more)


def packet(number, second, frame):
    units = second * 1_000_000
    return block(6, struct.pack("<IIIII", number, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame)) + frame)


def statistics(number, by_interface, by_system):
    drops = option(5, struct.pack("<Q", by_interface)) + option(7, struct.pack("<Q", by_system))
    return block(5, struct.pack("<III", number, 0, 0) + drops)


def frame_of(port, payload=b"x"):
    return udp("10.0.0.1", port, "10.0.0.2", 2000, payload)


class CaptureFiles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, *names):
        return os.path.join(self.folder.name, *names)

    def write(self, name, data):
        with open(self.path(name), "wb") as out:
            out.write(data)
        return self.path(name)

    def ports_in_order(self, *arguments, **more):
        """The source ports as the packet lines have them."""
        done = sensor(*arguments, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [int(line.split("UDP ")[1].split()[0]) for line in done.stdout.splitlines() if "UDP " in line]

    def make_three(self):
        """Three files that overlap: packets of second n have port 1000 + n."""
        os.makedirs(self.path("days"), exist_ok=True)
        for name, seconds in (("b.pcap", (0, 3, 6)), ("a.pcap", (1, 4, 7)), ("c.pcap", (2, 5, 8, 9))):
            write_pcap(self.path("days", name), [(second, frame_of(1000 + second)) for second in seconds])
        return [self.path("days", name) for name in ("a.pcap", "b.pcap", "c.pcap")]

    def test_several_files_are_one_capture_in_the_order_of_time(self):
        a, b, c = self.make_three()
        wanted = list(range(1000, 1010))
        self.assertEqual(self.ports_in_order("--read-pcap", c, "--read-pcap", a, "--read-pcap", b), wanted)
        self.assertEqual(self.ports_in_order("--read-pcap", self.path("days")), wanted)
        self.assertEqual(self.ports_in_order("--read-pcap", self.path("days", "[abc].pcap")), wanted)
        self.assertEqual(self.ports_in_order("--read-pcap", a, b, c), wanted)  # as the shell expands *.pcap
        self.assertEqual(self.ports_in_order("--read-pcap", self.path("days"), "-c", 4), wanted[:4])
        self.assertEqual(self.ports_in_order("--read-pcap", self.path("days"), "-f", "udp src portrange 1003-1005"),
                         wanted[3:6])

    def test_several_files_come_from_settings_too(self):
        a, b, c = self.make_three()
        settings = self.write("s.yaml", f"capture:\n  read_pcap: [{a}, {b}, {c}]\n".encode())
        self.assertEqual(len(self.ports_in_order("--config", settings)), 10)
        settings = self.write("one.yaml", f"capture:\n  read_pcap: {a}\n".encode())
        self.assertEqual(len(self.ports_in_order("--config", settings)), 3)

    def test_a_name_with_a_comma_is_one_file_on_the_command_line(self):
        file = write_pcap(self.path("a,b.pcap"), [(0, frame_of(1000))])
        self.assertEqual(self.ports_in_order("--read-pcap", file), [1000])

    def test_the_result_does_not_depend_on_shards(self):
        self.make_three()
        results = []
        for shards in (1, 3):
            done = sensor("--read-pcap", self.path("days"), "--quiet", "--shards", shards, "--flows-jsonl", "-")
            self.assertEqual(done.returncode, 0, done.stderr)
            results.append(sorted((record["flow_id"], delta_packets(record)) for record in json_lines(done.stdout)))
        self.assertEqual([count for _, count in results[0]], [count for _, count in results[1]])

    def test_one_broken_file_does_not_end_the_others(self):
        a, b, c = self.make_three()
        with open(c, "r+b") as file:
            file.truncate(os.path.getsize(c) - 1)
        self.write("text", b"no capture, a text of some length")
        done = sensor("--read-pcap", a, "--read-pcap", self.path("text"), "--read-pcap", b, "--read-pcap", c,
                      "--read-pcap", self.path("nowhere"), "--quiet")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"packets captured: 9\b")
        for fault in (r"text: not a capture file", r"c\.pcap: truncated after 3 packets", r"nowhere: No such file"):
            self.assertRegex(done.stderr, fault)

    def test_an_output_over_the_capture_that_is_read_is_refused(self):
        a, _, _ = self.make_three()
        link = self.path("link.pcap")
        os.symlink(a, link)
        with open(a, "rb") as file:
            before = file.read()
        for source in (a, self.path("days"), link, "-"):
            for flag in ("--write-pcap", "--export-json", "--flows-jsonl", "--alerts-jsonl"):
                target = self.path("days", "..", "days", "a.pcap")
                with open(a, "rb") as stdin:
                    done = subprocess.run([SENSOR, "--read-pcap", source, "--quiet", flag, target], stdin=stdin,
                                          capture_output=True, text=True, env=clean_environment(), timeout=60)
                self.assertEqual(done.returncode, 2, (source, flag, done.stderr))
                self.assertRegex(done.stderr, r"a\.pcap is what capture\.read_pcap reads, and would be overwritten")
                with open(a, "rb") as file:
                    self.assertEqual(file.read(), before, (source, flag))
        for _ in range(2):  # then it is there, and is no input all the same
            self.assertEqual(sensor("--read-pcap", a, "--quiet", "--write-pcap", self.path("new.pcap")).returncode, 0)

    def test_segments_over_the_captures_that_are_read_are_refused(self):
        self.make_three()
        os.rename(self.path("days", "b.pcap"), self.path("days", "ring.000007.pcap"))
        ring = ("--write-pcap-rotate-mb", 1, "--write-pcap-max-files", 9, "--quiet")
        before = sorted(os.listdir(self.path("days")))
        done = sensor("--read-pcap", self.path("days"), "--write-pcap", self.path("days", "ring.pcap"), *ring)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("would be overwritten", done.stderr)
        self.assertEqual(sorted(os.listdir(self.path("days"))), before)
        for good in (self.path("days", "other.pcap"), self.path("ring.pcap"), self.path("days", "a.pcap")):
            done = sensor("--read-pcap", self.path("days"), "--write-pcap", good, *ring)
            self.assertEqual(done.returncode, 0, (good, done.stderr))
            os.remove(good.replace(".pcap", ".000001.pcap"))

    def test_a_gap_of_a_paced_file_is_told(self):
        file = write_pcap(self.path("gap.pcap"), [(0, frame_of(1000)), (7200, frame_of(1001)), (7201, frame_of(1002))])
        services = {"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}
        with Program(SENSOR, "--read-pcap", file, "--pace", "--quiet", environment=services) as program:
            wait_until("the gap is told", lambda: "is due much later" in program.text())
            self.assertRegex(program.text(), r"in_seconds=(7200|719\d)\b")
            program.stop()
            self.assertEqual(program.text().count("is due much later"), 1)

    def test_one_file_by_two_names_is_no_two_outputs(self):
        a, _, _ = self.make_three()
        self.write("there", b"")
        os.symlink(self.path("there"), self.path("link"))
        for one, other in ((self.path("out"), self.path("days", "..", "out")), (self.path("there"), self.path("link"))):
            done = sensor("--read-pcap", a, "--quiet", "--flows-jsonl", one, "--alerts-jsonl", other)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, "both write to")
        done = sensor("--read-pcap", a, "--quiet", "--flows-jsonl", "/dev/null", "--alerts-jsonl", "/dev/null")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_packed_files_are_read_through(self):
        a, _, _ = self.make_three()
        with open(a, "rb") as file:
            packed = gzip.compress(file.read())
        file = self.write("a.pcap.gz", packed)
        self.assertEqual(self.ports_in_order("--read-pcap", file), [1001, 1004, 1007])
        self.assertEqual(self.ports_in_order("--read-pcap", "-", input_bytes=packed), [1001, 1004, 1007])
        done = sensor("--read-pcap", self.write("cut.gz", packed[:-5]), "--quiet")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"cut\.gz: the compressed data is cut off after 3 packets")
        done = sensor("--read-pcap", self.write("x.lz4", b"\x04\x22\x4d\x18" + b"x" * 40), "--quiet")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"x\.lz4: compressed with lz4, which is not read here")

    def make_mixed(self):
        """Two link types, named interfaces, drops."""
        return self.write("mixed.pcapng", section() + interface(ETHERNET, b"en0") + interface(RAW, b"utun1") +
                          packet(0, 5, frame_of(1000)) + packet(1, 6, frame_of(1001)[14:]) +
                          statistics(0, 3, 40) + packet(1, 7, frame_of(1002)[14:]) + statistics(0, 3, 41) +
                          statistics(1, 1, 0))

    def test_interfaces_of_different_link_types_are_told_apart(self):
        done = sensor("--read-pcap", self.make_mixed(), "--quiet", "--flows-jsonl", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        names = {min(record["client"]["port"], record["server"]["port"]): record["interface"]
                 for record in json_lines(done.stdout)}
        self.assertEqual(names, {1000: "en0", 1001: "utun1", 1002: "utun1"})

    def test_the_filter_is_asked_for_each_link_type(self):
        for shards in (1, 2):
            ports = self.ports_in_order("--read-pcap", self.make_mixed(), "--shards", shards, "-f",
                                        "udp src port 1000 or udp src port 1002")
            self.assertEqual(ports if shards == 1 else sorted(ports), [1000, 1002])  # lines of shards come as they are ready
        done = sensor("--read-pcap", self.make_mixed(), "--quiet", "-f", "not ether host 1:2:3:4:5:6")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"packets captured: 1\b")
        self.assertRegex(done.stderr, r'mixed\.pcapng: packet 2: Enhanced Packet Block at offset \d+: filter "not ether')

    def unread(self, done):
        """(number, name, interface) of each link type that the log says is not read."""
        return re.findall(r'msg="a link type that is not read: .*docs/protocols\.md.*" link_type=(\d+) name=("[^"]*"|\S+) '
                          r"interface=(\S+)", done.stderr)

    def test_a_link_type_that_is_not_read_is_named_once(self):
        slip, radio, unnamed = 102, 195, 9999
        data = section() + interface(ETHERNET, b"en0") + interface(slip, b"sl0") + interface(radio, b"wpan0") + interface(unnamed)
        for second in range(1, 40):
            data += packet(0, second, frame_of(1000)) + packet(1, second, bytes(40)) + packet(2, second, bytes(40))
        file = self.write("unread.pcapng", data + packet(3, 40, bytes(40)))
        for shards in (1, 3):
            done = sensor("--read-pcap", file, "--quiet", "--shards", shards)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"flows: 1\b.*(?s:.)*link type unknown 79\b")
            self.assertEqual(sorted(self.unread(done)), [("102", '"BSD/OS SLIP"', "sl0"), ("195", '"IEEE 802.15.4 with FCS"', "wpan0"),
                                                         ("9999", "unknown", "unread.pcapng")])
        for name, link_type, more in (("read", ETHERNET, {}), ("off", RAW, {"NETSCOPE_DECODE__DISABLED_LAYERS": "raw"})):
            file = write_pcap(self.path(f"{name}.pcap"), [(0, frame_of(1000)[14 * (link_type == RAW):])], link_type=link_type)
            done = sensor("--read-pcap", file, "--quiet", environment=more)
            self.assertEqual((done.returncode, self.unread(done)), (0, []), done.stderr)

    def test_drops_that_the_file_tells_of_are_counted(self):
        done = sensor("--read-pcap", self.make_mixed(), "--quiet")
        self.assertRegex(done.stdout, r"kernel drops: 41, interface drops: 4\b")

    def test_a_packet_without_a_time_has_that_of_the_one_before_it(self):
        frame = frame_of(1000)
        simple = block(3, struct.pack("<I", len(frame)) + frame)
        file = self.write("simple.pcapng", section() + interface(ETHERNET) + simple + packet(0, 5, frame) + simple +
                          packet(0, 6, frame))
        done = sensor("--read-pcap", file)
        self.assertEqual([line.split()[1] for line in done.stdout.splitlines()[:4]],
                         ["00:00:00.000000", "00:00:05.000000", "00:00:05.000000", "00:00:06.000000"])
        for shards in (1, 2):
            done = sensor("--read-pcap", file, "--quiet", "--shards", shards, "--flows-jsonl", "-")
            self.assertEqual(sum(map(delta_packets, json_lines(done.stdout))), 4)

    def test_a_pcap_of_mixed_packets_is_not_written_in_silence(self):
        out = self.path("out.pcap")
        done = sensor("--read-pcap", self.make_mixed(), "--quiet", "--write-pcap", out)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"out\.pcap: a pcap file has one link type: 2 packets")
        self.assertEqual([len(frame[3]) for frame in read_pcap(out)], [len(frame_of(1000))])

    def test_a_cut_pcapng_keeps_what_was_read_and_ends_with_1(self):
        with open(self.make_mixed(), "rb") as file:
            data = file.read()
        done = sensor("--read-pcap", self.write("cut.pcapng", data[:-1]), "--quiet")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"packets captured: 3\b")
        self.assertRegex(done.stderr, r"cut\.pcapng: truncated after 3 packets \(in the block at offset \d+\)")

    def test_an_unknown_version_is_refused_by_name_place_and_block(self):
        done = sensor("--read-pcap", self.write("new.pcapng", section()[:12] + struct.pack("<HH", 7, 0) + section()[16:]))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"new\.pcapng: .*Section Header Block at offset 0: pcapng version 7\.0 is unknown")


if __name__ == "__main__":
    main()
