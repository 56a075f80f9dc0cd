"""The command line of netscope-sensor: one test a row of the parity table."""
import json
import os
import re
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import (ACK, FIN, PSH, SYN, dns_query, json_lines, main, make_traffic, read_pcap, sensor, tcp, udp,
                              write_pcap)


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.demo, cls.truth = make_traffic(cls.folder.name, "demo")
        cls.small, cls.small_truth = make_traffic(cls.folder.name, "small", packets=20000, flows=2000)
        cls.ten = write_pcap(cls.path("ten.pcap"), [(i, udp("10.0.0.1", 1000 + i, "10.0.0.2", 53, dns_query("a.example")))
                                                    for i in range(10)])

        cls.seconds = write_pcap(cls.path("seconds.pcap"), [(i / 50, udp("10.0.0.1", 1000, "10.0.0.2", 53)) for i in range(101)])

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def good(self, *arguments, **options):
        done = sensor(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, *arguments, status=2, **options):
        done = sensor(*arguments, **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn("netscope-sensor:", done.stderr)
        return done.stderr

    def setting(self, key, *arguments, **options):
        """The value of `section.key` in --print-config."""
        section, name = key.rsplit(".", 1)
        indent, current, path = {}, "", []
        for line in self.good("--print-config", *arguments, **options).stdout.splitlines():
            match = re.match(r"( *)([a-z0-9_]+):(?: (.*))?$", line.split(" #")[0].rstrip())
            if not match:
                continue
            depth = len(match.group(1))
            path = [p for p in path if p[0] < depth] + [(depth, match.group(2))]
            if ".".join(p[1] for p in path) == key:
                return (match.group(3) or "").strip().strip('"')
        self.fail(f"{key} is not printed")

    def captured(self, done):
        return int(re.search(r"packets captured: (\d+)", done.stdout + done.stderr).group(1))

    def flows(self, *arguments):
        return json_lines(self.good(*arguments, "--flows-jsonl", "-").stdout)

    # -- where packets come from

    def test_interface_names_the_live_source(self):
        for flag in ("-i", "--interface"):
            self.assertEqual(self.setting("capture.interface", flag, "lo"), "lo")

    def test_interface_and_read_pcap_exclude_each_other(self):
        self.assertIn("--interface", self.refused("-i", "lo", "--read-pcap", self.ten))

    def test_read_pcap_reads_a_file(self):
        self.assertEqual(self.captured(self.good("--read-pcap", self.ten, "--quiet")), 10)

    def test_read_pcap_dash_is_stdin(self):
        with open(self.ten, "rb") as file:
            done = self.good("--read-pcap", "-", "--quiet", input_bytes=file.read())
        self.assertEqual(self.captured(done), 10)

    def test_read_pcap_and_promiscuous_exclude_each_other(self):
        for flag in ("-p", "--promiscuous", "--no-promiscuous"):
            self.refused("--read-pcap", self.ten, flag)

    def test_filter_applies_to_files(self):
        for flag in ("-f", "--filter"):
            done = self.good("--read-pcap", self.ten, "--quiet", flag, "udp src port 1003")
            self.assertEqual(self.captured(done), 1)

    def test_count_ends_the_run(self):
        for flag in ("-c", "--count"):
            self.assertEqual(self.captured(self.good("--read-pcap", self.ten, "--quiet", flag, 4)), 4)

    def test_count_zero_is_all(self):
        self.assertEqual(self.captured(self.good("--read-pcap", self.ten, "--quiet", "-c", 0)), 10)

    def test_promiscuous_is_on_unless_told(self):
        self.assertEqual(self.setting("capture.promiscuous"), "true")
        self.assertEqual(self.setting("capture.promiscuous", "--no-promiscuous"), "false")
        self.assertEqual(self.setting("capture.promiscuous", "-p"), "true")

    def test_snaplen(self):
        self.assertEqual(self.setting("capture.snaplen"), "65535")
        self.assertEqual(self.setting("capture.snaplen", "-s", 128), "128")
        self.assertEqual(self.setting("capture.snaplen", "--snaplen", 96), "96")

    def test_timeout_is_in_milliseconds(self):
        self.assertEqual(self.setting("capture.timeout"), "100ms")
        self.assertEqual(self.setting("capture.timeout", "-t", 250), "250ms")
        self.assertEqual(self.setting("capture.timeout", "--timeout-ms", 20), "20ms")

    def test_list_interfaces_names_loopback_and_its_address(self):
        for flag in ("-l", "--list-interfaces"):
            out = self.good(flag).stdout
            self.assertRegex(out, r"(?m)^lo ")
            self.assertIn("127.0.0.1", out)

    def test_list_interfaces_works_with_a_broken_configuration(self):
        broken = self.path("broken.yaml")
        with open(broken, "w", encoding="utf-8") as file:
            file.write("capture: [\n")
        self.assertRegex(self.good("-l", "--config", broken).stdout, r"(?m)^lo ")

    # -- terminal

    def test_hex_dump_shows_tree_and_bytes(self):
        out = self.good("--read-pcap", self.ten, "-c", 1, "--hex-dump").stdout
        self.assertIn("source_port: 1000", out)
        self.assertRegex(out, r"0000  02 00 00 00 00 02")

    def test_no_hex_dump_is_the_default(self):
        self.assertEqual(self.good("--read-pcap", self.ten, "-c", 1).stdout,
                         self.good("--read-pcap", self.ten, "-c", 1, "--no-hex-dump").stdout)
        self.refused("--hex-dump", "--no-hex-dump")

    def test_two_v_switch_the_detailed_view_on(self):
        self.assertRegex(self.good("--read-pcap", self.ten, "-c", 1, "-vv").stdout, r"0000  02 00")
        self.assertNotRegex(self.good("--read-pcap", self.ten, "-c", 1, "-v").stdout, r"0000  02 00")

    def test_quiet_prints_no_line_a_packet(self):
        self.assertRegex(self.good("--read-pcap", self.ten).stdout, r"(?m)^10 22:13:29")
        self.assertNotRegex(self.good("--read-pcap", self.ten, "--quiet").stdout, r"(?m)^\d+ 22:")
        self.assertRegex(self.good("--read-pcap", self.ten, "--no-quiet").stdout, r"(?m)^1 22:13:20")
        self.refused("--quiet", "--no-quiet")

    def test_v_raises_the_log_level(self):
        """Debug and trace: test_serving."""
        self.assertNotIn("level=info", self.good("--read-pcap", self.ten, "--quiet").stderr)
        for flag in ("-v", "--verbose", "-vvv"):
            self.assertIn("level=info", self.good("--read-pcap", self.ten, "--quiet", flag).stderr, flag)

    # -- packets to files

    def test_write_pcap_with_filter_and_count_is_lossless(self):
        out = self.path("written.pcap")
        self.good("--read-pcap", self.demo, "--quiet", "-f", "tcp", "-c", 500, "--write-pcap", out)
        wanted = [p for p in read_pcap(self.demo) if self.is_plain_tcp(p[3])][:500]
        self.assertEqual(read_pcap(out), wanted)

    @staticmethod
    def is_plain_tcp(frame):
        """What the filter `tcp` takes: no VLAN before IP."""
        if frame[12:14] == b"\x08\x00":
            return frame[23] == 6
        return frame[12:14] == b"\x86\xdd" and frame[20] == 6

    def test_write_pcap_rotates_by_size_and_keeps_so_many_files(self):
        folder = self.path("rotate")
        os.mkdir(folder)
        self.good("--read-pcap", self.demo, "--quiet", "--write-pcap", f"{folder}/capture.pcap",
                  "--write-pcap-rotate-mb", 2, "--write-pcap-max-files", 3)
        names = sorted(os.listdir(folder))
        self.assertEqual(len(names), 3, names)
        for name in names:
            self.assertRegex(name, r"^capture\.\d{6}\.pcap$")
            self.assertLessEqual(os.path.getsize(f"{folder}/{name}"), 2_200_000)
        self.assertEqual(read_pcap(f"{folder}/{names[-1]}")[-1], read_pcap(self.demo)[-1])

    def test_rotation_wants_both_flags(self):
        for flags in (["--write-pcap-rotate-mb", 2], ["--write-pcap-max-files", 3]):
            self.refused("--read-pcap", self.ten, "--quiet", "--write-pcap", self.path("r.pcap"), *flags)

    def test_check_config_knows_what_rotation_wants(self):
        file = self.path("r.pcap")
        for flags in (["--write-pcap-rotate-mb", 2], ["--write-pcap-max-files", 3]):
            self.refused("--check-config", "--write-pcap", file, *flags)
        both = ["--write-pcap-rotate-mb", 2, "--write-pcap-max-files", 3]
        self.assertEqual(self.good("--check-config", "--write-pcap", file, *both).stderr, "")
        self.assertIn("missing=output.write_pcap", self.good("--check-config", *both).stderr)
        self.assertIn("missing=output.write_pcap", self.good("--read-pcap", self.ten, "--quiet", *both).stderr)
        self.assertFalse(os.path.exists(file))

    def test_an_empty_path_is_no_capture_file(self):
        self.assertIn("an empty path names no file", self.refused("--read-pcap", "", "--quiet"))

    def test_a_failed_write_ends_the_run_with_1(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        message = self.refused("--read-pcap", self.demo, "--quiet", "--write-pcap", "/dev/full", status=1)
        self.assertIn("/dev/full", message)

    # -- flows to files

    def test_export_json_has_every_flow_sorted_by_bytes(self):
        out = self.path("flows.json")
        self.good("--read-pcap", self.demo, "--quiet", "--export-json", out)
        with open(out, encoding="utf-8") as file:
            flows = json.load(file)
        self.assertEqual(sum(f["packets_total"] for f in flows), self.truth["packets"])
        sizes = [f["bytes_total"] for f in flows]
        self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_export_csv_has_every_flow_sorted_by_bytes(self):
        out = self.path("flows.csv")
        self.good("--read-pcap", self.demo, "--quiet", "--export-csv", out)
        import csv
        with open(out, newline="", encoding="utf-8") as file:
            flows = list(csv.DictReader(file))
        self.assertEqual(sum(int(f["packets_total"]) for f in flows), self.truth["packets"])
        sizes = [int(f["bytes_total"]) for f in flows]
        self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_expired_flows_jsonl_says_when_and_why(self):
        client, server = ("10.0.0.1", 40000), ("10.0.0.2", 80)
        frames = [(0.0, tcp(*client, *server, SYN, 1)), (0.1, tcp(*server, *client, SYN | ACK, 9, 2)),
                  (0.2, tcp(*client, *server, ACK, 2, 10)), (0.3, tcp(*client, *server, FIN | ACK, 2, 10)),
                  (0.4, tcp(*server, *client, FIN | ACK, 10, 3)), (0.5, tcp(*client, *server, ACK, 3, 11)),
                  (1.0, udp("10.0.0.3", 1, "10.0.0.4", 2)), (200.0, udp("10.0.0.5", 1, "10.0.0.6", 2))]
        file = write_pcap(self.path("ended.pcap"), frames)
        rows = json_lines(self.good("--read-pcap", file, "--quiet", "--expired-flows-jsonl", "-").stdout)
        reasons = {row["protocol"]: row["reason"] for row in reversed(rows)}
        self.assertEqual(reasons["TCP"], "end")
        self.assertEqual(reasons["UDP"], "timeout")
        self.assertTrue(all(isinstance(row["ts"], float) for row in rows))

    def test_expired_flows_jsonl_calls_a_full_table_eviction(self):
        rows = json_lines(self.good("--read-pcap", self.small, "--quiet", "--max-flows", 100,
                                    "--expired-flows-jsonl", "-").stdout)
        self.assertIn("eviction", {row["reason"] for row in rows})

    # -- statistics

    def test_stats_prints_its_line(self):
        out = self.good("--read-pcap", self.demo, "--quiet", "--stats").stdout
        self.assertRegex(out, r"(?m)^\[stats\] ")
        self.assertNotIn("[stats]", self.good("--read-pcap", self.demo, "--quiet", "--no-stats").stdout)
        self.assertNotIn("[stats]", self.good("--read-pcap", self.demo, "--quiet").stdout)
        self.refused("--stats", "--no-stats")

    def test_stats_interval(self):
        self.assertEqual(self.setting("stats.interval"), "1s")
        self.assertEqual(self.setting("stats.interval", "--stats-interval-ms", 250), "250ms")

    def test_top_flows_follow_the_stats_line(self):
        out = self.good("--read-pcap", self.demo, "--quiet", "--stats", "--top-flows", 3).stdout
        # A line a second of the clock: what the last one sees may be less than three flows.
        rows = [len(re.findall(r"^\s+\d+\. ", block, re.MULTILINE)) for block in out.split("[stats]")[1:]]
        self.assertEqual(max(rows), 3, out)

    # -- the flow table

    def test_flow_timeout_splits_a_flow_that_was_silent(self):
        file = write_pcap(self.path("silent.pcap"), [(at, udp("10.0.0.1", 1, "10.0.0.2", 2)) for at in (0, 30, 95)])
        ends = lambda *flags: len({f["flow_id"] for f in self.flows("--read-pcap", file, "--quiet", *flags)})
        self.assertEqual(ends(), 2)  # 60 s by default
        self.assertEqual(ends("--flow-timeout-s", 20), 3)
        self.assertEqual(ends("--flow-timeout-s", "100.0"), 1)

    def test_flow_timeout_zero_is_never(self):
        file = write_pcap(self.path("hours.pcap"), [(at, udp("10.0.0.1", 1, "10.0.0.2", 2)) for at in (0, 7200)])
        self.assertEqual(len({f["flow_id"] for f in self.flows("--read-pcap", file, "--quiet", "--flow-timeout-s", 0)}), 1)

    def test_max_flows_bounds_the_whole_sensor(self):
        self.assertEqual(self.setting("flow.max_flows"), "1048576")
        done = self.good("--read-pcap", self.small, "--quiet", "--max-flows", 500, "--flows-jsonl", "-")
        total = sum(int(f.get(way, {}).get("delta_packets", 0)) for f in json_lines(done.stdout) for way in ("forward", "reverse"))
        self.assertEqual(total, self.small_truth["packets"])  # a full table loses no packet

    def test_max_flows_zero_is_told_what_fits(self):
        self.assertRegex(self.good("--read-pcap", self.ten, "--quiet", "--max-flows", 0, "-v").stderr, r"flows_max=\d+")

    # -- detection

    def test_anomalies_are_on_unless_told(self):
        on = self.good("--read-pcap", self.demo, "--quiet").stdout
        off = self.good("--read-pcap", self.demo, "--quiet", "--no-anomalies").stdout
        self.assertIn("[alert]", on)
        self.assertNotIn("[alert]", off)
        self.refused("--anomalies", "--no-anomalies")

    def test_alerts_jsonl_has_time_kind_and_description(self):
        rows = json_lines(self.good("--read-pcap", self.demo, "--quiet", "--alerts-jsonl", "-").stdout)
        self.assertEqual({row["kind"] for row in rows} & {"syn_flood", "port_scan"}, {"syn_flood", "port_scan"})
        for row in rows:
            self.assertEqual(list(row)[:3], ["ts", "kind", "description"])
            self.assertTrue(1_700_000_000 < row["ts"] < 1_700_000_200, row["ts"])

    # -- threads

    def test_stats_interval_is_kept(self):
        """Two seconds at their own speed: twenty lines each 100 ms, two or three by default."""
        lines = lambda *flags: len(re.findall(r"(?m)^\[stats\] ", self.good(
            "--read-pcap", self.seconds, "--pace", "--quiet", "--stats", *flags).stdout))
        slow = lines()
        self.assertGreater(slow, 1)
        self.assertGreater(lines("--stats-interval-ms", 100), 2 * slow)

    def test_pipeline_takes_half_the_cpus(self):
        self.assertEqual(self.setting("pipeline.enabled", "--pipeline"), "true")
        self.assertEqual(self.captured(self.good("--read-pcap", self.small, "--quiet", "--pipeline")), 20000)

    def test_workers_and_shards_give_the_same_flows(self):
        def key(flow):
            return {k: v for k, v in flow.items() if k not in ("record_seq", "boot_id")}
        one = sorted(json.dumps(key(f), sort_keys=True) for f in self.flows("--read-pcap", self.demo, "--quiet"))
        for flags in (["--workers", 2], ["--shards", 3]):
            many = sorted(json.dumps(key(f), sort_keys=True) for f in self.flows("--read-pcap", self.demo, "--quiet", *flags))
            self.assertEqual(one, many, flags)

    def test_workers_are_at_most_8(self):
        self.refused("--workers", 9)

    # -- settings

    def test_config_reads_yaml(self):
        file = self.path("c.yaml")
        with open(file, "w", encoding="utf-8") as out:
            out.write("capture:\n  snaplen: 200\n")
        self.assertEqual(self.setting("capture.snaplen", "--config", file), "200")

    def test_flag_beats_environment_beats_file_beats_default(self):
        file = self.path("order.yaml")
        with open(file, "w", encoding="utf-8") as out:
            out.write("capture:\n  snaplen: 200\n")
        environment = {"NETSCOPE_CAPTURE__SNAPLEN": "300"}
        self.assertEqual(self.setting("capture.snaplen"), "65535")
        self.assertEqual(self.setting("capture.snaplen", "--config", file), "200")
        self.assertEqual(self.setting("capture.snaplen", "--config", file, environment=environment), "300")
        self.assertEqual(self.setting("capture.snaplen", "--config", file, "-s", 400, environment=environment), "400")

    def test_an_empty_path_is_off(self):
        file = self.path("empty.yaml")
        with open(file, "w", encoding="utf-8") as out:
            out.write('output:\n  export_json: ""\n  write_pcap: ""\n')
        self.good("--config", file, "--read-pcap", self.ten, "--quiet")

    def test_synthetic_flows_prints_time_bytes_and_memory(self):
        out = self.good("--synthetic-flows", 50000).stdout
        self.assertRegex(out, r"50000 inserted")
        self.assertRegex(out, r"insert time: ")
        self.assertRegex(out, r"bytes per flow")
        self.assertRegex(out, r"rss: \d+")

    def test_web_flags_point_to_the_collector(self):
        for flag in ("--web", "--web-port=80", "--web-bind=0.0.0.0"):
            message = self.refused(flag)
            self.assertIn("netscope-collector", message)
            self.assertIn("./netscope up", message)

    def test_help_and_version(self):
        for flag in ("-h", "--help"):
            self.assertIn("--read-pcap PATH", self.good(flag).stdout)
        for flag in ("-V", "--version"):
            self.assertRegex(self.good(flag).stdout, r"^netscope-sensor \d+\.\d+\.\d+\n$")

    def test_every_flag_of_the_table_is_in_the_help(self):
        text = self.good("--help").stdout
        for flag in ("interface read-pcap filter count promiscuous no-promiscuous snaplen timeout-ms list-interfaces hex-dump "
                     "no-hex-dump quiet no-quiet write-pcap write-pcap-rotate-mb write-pcap-max-files export-json export-csv "
                     "expired-flows-jsonl stats no-stats stats-interval-ms top-flows flow-timeout-s max-flows anomalies "
                     "no-anomalies alerts-jsonl pipeline workers config synthetic-flows help version").split():
            self.assertRegex(text, rf"--{flag}\b", flag)


if __name__ == "__main__":
    main()
