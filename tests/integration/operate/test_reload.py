"""Settings that change while the sensor runs: SIGHUP during traffic, what needs a restart, what is refused."""
import os
import re
import shutil
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support.programs import COLLECTOR, SENSOR, Program, delta_packets, json_lines, main, make_traffic, sensor, wait_until

BASE = """\
capture:
  pace: true
flow:
  idle_timeout: {idle}
  max_flows: {flows}
log:
  level: info
analysis:
  anomalies:
    syn_flood:
      mode: {mode}
      exempt_sources: [{exempt}]
"""


class Reload(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(self.directory.cleanup)
        self.settings = os.path.join(self.directory.name, "sensor.yaml")
        self.records = os.path.join(self.directory.name, "flows.jsonl")

    def write(self, text=None, idle="60s", flows=65536, mode="alert", exempt=""):
        text = BASE.format(idle=idle, flows=flows, mode=mode, exempt=exempt) if text is None else text
        with open(self.settings, "w", encoding="utf-8") as out:
            out.write(text)

    def start(self, capture, *more):
        environment = {"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}
        program = Program(SENSOR, "--config", self.settings, "--read-pcap", capture, "--quiet", *more,
                          environment=environment)
        self.addCleanup(program.__exit__)
        wait_until("it runs", lambda: "msg=confined" in program.text())
        return program

    def reload(self, program):
        """The lines that it wrote about it."""
        seen = len(program.text())
        program.process.send_signal(signal.SIGHUP)
        wait_until("it has read its settings again", lambda: re.search(r"part=config .*\n", program.text()[seen:]))
        return [line for line in program.text()[seen:].splitlines() if "part=config" in line][0]

    def spread(self, packets, seconds):
        """A capture of so many packets over so many seconds."""
        path, facts = make_traffic(self.directory.name, "mix", packets=packets)
        return path, facts

    def test_no_packet_is_lost_by_reloads_during_traffic(self):
        for shards in (1, 2):
            with self.subTest(shards=shards):
                self.write()
                path, _ = make_traffic(self.directory.name, "mix", packets=200_000)
                whole = sensor("--read-pcap", path, "--quiet")
                packets = int(re.search(r"packets captured: (\d+)", whole.stdout).group(1))
                program = self.start(path, "--flows-jsonl", self.records, "--shards", shards)
                reloads = 0
                while program.is_running() and reloads < 40:
                    self.write(idle=f"{10 + reloads % 7}s", mode="learn" if reloads % 2 else "alert",
                               exempt=f"10.0.{reloads}.0/24")
                    program.process.send_signal(signal.SIGHUP)
                    reloads += 1
                    try:
                        program.process.wait(timeout=0.05)
                    except Exception:  # it still runs
                        pass
                self.assertEqual(program.process.wait(timeout=60), 0, program.text()[-2000:])
                done = program.text().count('msg="settings read again"')
                self.assertGreater(done, 2, program.text()[-2000:])
                self.assertEqual(int(re.search(r"packets captured: (\d+)", program.text()).group(1)), packets)
                self.assertIn("dispatch drops: 0", program.text())
                self.assertEqual(sum(delta_packets(record) for record in json_lines(self.records)), packets)

    def test_hot_keys_change_and_others_are_named(self):
        self.write()
        path, _ = make_traffic(self.directory.name, "mix", packets=200_000)
        program = self.start(path)
        before = re.search(r"config_hash=(\w+)", self.reload(program)).group(1)
        self.write(idle="20s", flows=1000, mode="log")
        line = self.reload(program)
        self.assertIn("applied=flow.idle_timeout,analysis.anomalies.syn_flood.mode ", line)
        self.assertIn("needs_restart=flow.max_flows ", line)
        self.assertNotEqual(re.search(r"config_hash=(\w+)", line).group(1), before)
        # What waits for a restart is named each time; what is in force is not named again.
        line = self.reload(program)
        self.assertIn("applied=none needs_restart=flow.max_flows", line)

    def test_each_setting_that_was_not_taken_is_told_with_both_values(self):
        self.write()
        path, _ = make_traffic(self.directory.name, "mix", packets=200_000)
        program = self.start(path)
        detectors = {"port_scan": "60s", "syn_flood": "10s", "dns_tunnel": "300s"}
        with open(self.settings, encoding="utf-8") as file:
            text = file.read().replace("      mode: alert", "      mode: learn\n      enabled: false\n      window: 33s")
        text += "".join(f"    {kind}:\n      enabled: false\n      window: 44s\n" for kind in detectors if kind != "syn_flood")
        with open(self.settings, "w", encoding="utf-8") as out:
            out.write(text.replace("max_flows: 65536", "max_flows: 2000") + "kafka:\n  brokers: broker.example:9092\n")
        line = self.reload(program)
        self.assertIn("applied=analysis.anomalies.syn_flood.mode ", line)
        named = set(re.search(r"needs_restart=(\S+)", line).group(1).split(","))
        told = wait_until("a line for each", lambda: (lambda found: found if len(found) >= len(named) else None)(
            re.findall(r'msg="a changed setting is not taken: it needs a restart" key=(\S+) in_force=(\S+) wanted=(\S+)',
                       program.text())))
        self.assertEqual({key for key, _, _ in told}, named)
        values = {key: (before, wanted) for key, before, wanted in told}
        for kind in detectors:
            key = f"analysis.anomalies.{kind}"
            self.assertEqual(values[f"{key}.enabled"], ("true", "false"))
            self.assertEqual(values[f"{key}.window"][1], "33s" if kind == "syn_flood" else "44s")
        self.assertEqual(values["flow.max_flows"], ("65536", "2000"))
        self.assertEqual(values["kafka.brokers"][1], "broker.example:9092")
        self.assertNotIn("analysis.anomalies.syn_flood.mode", values)

    def test_the_collector_knows_the_hash_of_the_settings_in_force_by_statistics_and_by_hello(self):
        if not os.access(COLLECTOR, os.X_OK):
            self.skipTest("netscope-collector is not built")
        folder = os.path.join(self.directory.name, "collector")
        os.mkdir(folder)
        collector = Collector(folder)
        self.addCleanup(collector.close)
        self.write()
        with open(self.settings, "a", encoding="utf-8") as out:
            out.write(f"collector:\n  address: 127.0.0.1:{collector.ingest}\n  backoff_max: 500ms\nsensor:\n  id: reloaded\n")
        path, _ = make_traffic(self.directory.name, "mix", packets=200_000)
        program = self.start(path, "--loop")

        def known():
            return collector.sensors().get("reloaded", {}).get("config_hash")
        before = wait_until("the sensor's hello", known)
        with open(self.settings, encoding="utf-8") as file:
            text = file.read().replace("idle_timeout: 60s", "idle_timeout: 20s")
        with open(self.settings, "w", encoding="utf-8") as out:
            out.write(text)
        after = re.search(r"config_hash=(\w+)", self.reload(program)).group(1)
        self.assertNotEqual(after, before)
        wait_until("statistics", lambda: known() == after)
        # A collector that begins anew knows what the next Hello says.
        self.assertEqual(collector.program.stop(), 0)
        shutil.rmtree(os.path.join(folder, "store"))
        collector.start()
        self.assertEqual(wait_until("the next hello", known), after)

    def test_a_wrong_file_changes_nothing_and_is_named_with_its_line(self):
        self.write()
        path, _ = make_traffic(self.directory.name, "mix", packets=200_000)
        program = self.start(path)
        for text, wanted in (("flow:\n  idle_timeout: 10s\n  idle_timout: 5s\n",
                              "sensor.yaml:3: unknown key 'flow.idle_timout'"),
                             ("flow: {idle_timeout: 12}\nlog: [\n", "sensor.yaml:"),
                             ("analysis:\n  anomalies:\n    syn_flood:\n      exempt_sources: [10.0.0.0/99]\n",
                              "sensor.yaml:4: analysis.anomalies.syn_flood.exempt_sources: '10.0.0.0/99' is no network"),
                             ("log:\n  level: loud\n", "sensor.yaml:2: 'log.level' must be")):
            with self.subTest(wanted=wanted):
                self.write(text)
                line = self.reload(program)
                self.assertIn("level=error", line)
                self.assertIn("those before stay in force", line)
                self.assertIn(wanted, line)
        os.unlink(self.settings)
        self.assertIn("No such file", self.reload(program))
        self.write()
        self.assertIn("applied=none needs_restart=none", self.reload(program))

    def test_the_form_of_the_log_changes_at_once(self):
        self.write()
        path, _ = make_traffic(self.directory.name, "mix", packets=200_000)
        program = self.start(path)
        self.write(BASE.format(idle="60s", flows=65536, mode="alert", exempt="") + "kafka: {}\n")
        with open(self.settings, encoding="utf-8") as file:
            text = file.read().replace("level: info", "level: warn\n  format: json")
        self.write(text)
        program.process.send_signal(signal.SIGHUP)
        line = wait_until("a line of JSON", lambda: json_lines(program.text(), is_growing=True))[0]
        self.assertEqual(line["msg"], "settings read again")
        self.assertEqual(line["applied"], "log.level,log.format")


class Signals(unittest.TestCase):
    def test_the_counters_are_told_on_sigusr1(self):
        with tempfile.TemporaryDirectory(prefix="netscope-") as directory:
            path, _ = make_traffic(directory, "mix", packets=200_000)
            with Program(SENSOR, "--read-pcap", path, "--pace", "--quiet", "-v",
                         environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}) as program:
                wait_until("it runs", lambda: "msg=confined" in program.text())
                program.process.send_signal(signal.SIGUSR1)
                wait_until("the counters", lambda: "part=counters msg=process" in program.text())
                text = program.text()
                self.assertRegex(text, r"part=counters msg=capture packets=\d+ ")
                self.assertRegex(text, r"part=counters msg=flows active=\d+ ")
                self.assertTrue(program.is_running())


if __name__ == "__main__":
    main()
