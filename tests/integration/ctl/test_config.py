"""config of netscopectl: settings of one sensor, and settings pushed to a fleet, at real sensors and collectors."""
import json
import os
import re
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import background, ctl, rows, shell
from end_to_end.test_push import GOOD, OPERATOR, READER, Place, Sensor
from support.programs import main, make_traffic, wait_until


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="netscope-ctl-")
        cls.addClassCleanup(cls.shared.cleanup)
        cls.capture, _ = make_traffic(cls.shared.name, "mix", packets=20_000)

    def setUp(self):
        self.work = tempfile.TemporaryDirectory(prefix="netscope-ctl-")
        self.addCleanup(self.work.cleanup)

    def path(self, name):
        return os.path.join(self.work.name, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def ctl(self, status, *arguments):
        done = ctl(*arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done


class OfOneSensor(Case):
    """Asked by its unix socket, where whoever may open it has all rights."""

    def sensor(self, mode="run"):
        sensor = Sensor("web-1", self.work.name, self.capture, 1,
                        f"grpc:\n  apply_config: {mode}\n  unix_socket: {self.path('s.sock')}\n")
        self.addCleanup(sensor.close)
        self.server = ("-s", f"unix:{self.path('s.sock')}")
        wait_until("the socket", lambda: os.path.exists(self.path("s.sock")))
        return sensor

    def changed(self, idle="31s", more=""):
        """The settings in force with another idle_timeout, in a file."""
        yaml = self.ctl(0, "config", "show", *self.server).stdout
        return self.write("changed.yaml", re.sub(r"(?m)^( *idle_timeout: )\S+", rf"\g<1>{idle}", yaml) + more)

    def test_what_is_shown_is_what_rest_says(self):
        sensor = self.sensor()
        done = self.ctl(0, "config", "show", *self.server)
        self.assertEqual(done.stdout, sensor.config()["yaml"])
        self.assertIn(f"hash {sensor.config()['config_hash']}", done.stderr)
        whole = json.loads(self.ctl(0, "config", "show", *self.server, "-o", "json").stdout)
        self.assertEqual(whole, sensor.config())

    def test_a_file_is_checked_applied_and_confirmed(self):
        sensor = self.sensor()
        file, before = self.changed(), sensor.config()["config_hash"]
        self.assertEqual(self.ctl(0, "config", "check", file, *self.server).stdout, "flow.idle_timeout: would change at once\n")
        done = self.ctl(0, "config", "apply", file, "--dry-run", *self.server)
        self.assertEqual((done.stdout, sensor.idle()), ("flow.idle_timeout: would change at once\n", "1m"))
        self.assertIn("other", self.ctl(1, "config", "apply", file, "--if-hash", "0" * 16, *self.server).stderr)
        self.assertEqual(sensor.idle(), "1m")
        done = self.ctl(0, "config", "apply", file, "--confirm-timeout", "60s", "--if-hash", before, *self.server)
        self.assertEqual((done.stdout, sensor.idle()), ("flow.idle_timeout: in force\n", "31s"))
        self.assertIn("on trial", self.ctl(0, "config", "show", *self.server).stderr)
        confirm = re.search(r"netscopectl (config confirm \w+)", done.stderr).group(1).split()
        self.ctl(1, *confirm[:2], "0" * 16, *self.server)
        self.assertIn("they stay until", self.ctl(0, *confirm, *self.server).stderr)
        self.assertIn("nothing", self.ctl(1, *confirm, *self.server).stderr.lower())
        self.assertEqual(sensor.idle(), "31s")
        # From standard input, and back by what the file has.
        piped = shell(f"sed 's/idle_timeout: 31s/idle_timeout: 32s/' {file} | $CTL config apply - {' '.join(self.server)}")
        self.assertEqual((piped.returncode, sensor.idle()), (0, "32s"), piped.stderr)
        self.assertEqual(self.ctl(0, "config", "reload", *self.server).stdout, "flow.idle_timeout: in force\n")
        self.assertEqual(sensor.idle(), "1m")
        self.assertIn("nothing has changed", self.ctl(0, "config", "reload", *self.server).stderr)

    def test_what_nobody_confirms_goes_back(self):
        sensor = self.sensor()
        self.ctl(0, "config", "apply", self.changed(), "--confirm-timeout", "1s", *self.server)
        self.assertEqual(sensor.idle(), "31s")
        wait_until("it has gone back", lambda: sensor.idle() == "1m")

    def test_a_wrong_file_is_refused_with_its_line_as_compilers_do(self):
        sensor = self.sensor()
        file = self.write("wrong.yaml", "flow:\n  idle_timout: 3s\n")
        for command in (("check",), ("apply",), ("apply", "--dry-run")):
            done = self.ctl(5, "config", command[0], file, *command[1:], *self.server)
            self.assertRegex(done.stderr, rf"netscopectl: {re.escape(file)}:2: flow\.idle_timeout?: .*idle_timeout")
            self.assertRegex(done.stderr, "refused: nothing (has changed|would change)")
        self.assertEqual(sensor.idle(), "1m")
        self.assertIn("No such file", self.ctl(2, "config", "apply", self.path("none"), *self.server).stderr)
        self.assertIn("it is empty", self.ctl(2, "config", "apply", "/dev/null", *self.server).stderr)
        self.assertIn("FILE: it is missing", self.ctl(2, "config", "apply", *self.server).stderr)

    def test_a_sensor_that_takes_none_and_one_without_the_right_say_so(self):
        sensor = self.sensor("off")
        self.assertIn("grpc.apply_config", self.ctl(1, "config", "apply", self.changed(), *self.server).stderr)
        address = re.search(r'(?m)^ *listen: "?(127\.0\.0\.1:\d+)', sensor.config()["yaml"]).group(1)
        reader = self.write("reader", READER + "\n")
        self.assertIn("refuses (no --token-file is given)", self.ctl(4, "config", "show", "-s", address).stderr)
        self.assertIn("refuses: ", self.ctl(4, "config", "show", "-s", address, "--token-file", reader).stderr)


class OfAFleet(Case):
    def setUp(self):
        super().setUp()
        self.place = Place(self.path("collector"))
        self.addCleanup(self.place.close)
        self.token = self.write("ops", OPERATOR + "\n")
        self.server = ("-s", f"127.0.0.1:{self.place.ingest}", "--token-file", self.token)
        self.good = self.write("good.yaml", GOOD)

    def sensor(self, name, labels="", **settings):
        sensor = Sensor(name, self.work.name, self.capture, self.place.ingest, labels, **settings)
        self.addCleanup(sensor.close)
        wait_until("it is connected", lambda: self.place.sensors().get(name, {}).get("state") == "LIVE")
        return sensor

    def push(self, status, *arguments):
        return self.ctl(status, "config", "push", *arguments, *self.server)

    def test_settings_are_pushed_waited_for_listed_and_cleared(self):
        sensors = [self.sensor("web-1"), self.sensor("web-2"), self.sensor("db-1")]
        done = self.push(0, self.good, "--sensor", "web-*", "--dry-run")
        self.assertEqual(done.stdout, "")
        self.assertIn("2 sensors known now would be concerned: web-1, web-2", done.stderr)
        self.assertEqual(self.place.status().get("desired_configs", []), [])
        done = self.push(0, self.good, "--sensor", "web-*", "--wait")
        config_id = done.stdout.strip()
        self.assertEqual([sensor.idle() for sensor in sensors], ["31s", "31s", "1m"])
        for name in ("web-1", "web-2"):
            self.assertIn(f"netscopectl: {name}: applied", done.stderr)
        self.assertIn("2 in force, 0 need a restart, 0 failed, 0 rolled back, 0 pending", done.stderr)
        self.assertNotIn("db-1", done.stderr)
        states = {row["sensor_id"]: row for row in rows(self.ctl(0, "config", "status", *self.server, "-o", "jsonl"))}
        self.assertEqual({name: row["state"] for name, row in states.items()},
                         {"web-1": "CONFIG_STATE_APPLIED", "web-2": "CONFIG_STATE_APPLIED", "db-1": "CONFIG_STATE_UNSET"})
        table = self.ctl(0, "config", "status", *self.server, "--state", "applied", "--sensor", "web-1").stdout
        self.assertRegex(table, rf"^SENSOR +STATE +CONFIG .*\nweb-1 +applied +{config_id} +- +\S+Z +yes +-\n$")
        wanted = rows(self.ctl(0, "config", "list", *self.server, "-o", "jsonl"))
        self.assertEqual([(row["config_id"], row["yaml"]) for row in wanted], [(config_id, GOOD)])
        self.assertRegex(self.ctl(0, "config", "list", *self.server).stdout, rf"(?m)^{config_id} +all +web-\* ")
        self.ctl(0, "config", "clear", config_id, *self.server)
        wait_until("their own settings", lambda: [sensor.idle() for sensor in sensors] == ["1m"] * 3)
        self.assertIn(config_id, self.ctl(1, "config", "clear", config_id, *self.server).stderr)

    def test_what_is_refused_ends_the_waiting_with_its_reason(self):
        self.sensor("web-1", locked_keys="[flow]")
        done = self.push(5, self.good, "--all", "--wait")
        self.assertRegex(done.stderr, r"web-1: failed: flow\.idle_timeout: .*locked.* \(line 2\)")
        self.assertIn("the roll-out has stopped", done.stderr)
        self.assertIn("1 failed", done.stderr)
        table = self.ctl(0, "config", "status", *self.server).stdout
        self.assertRegex(table, r"(?m)^web-1 +failed .* flow\.idle_timeout: ")

    def test_what_needs_a_restart_is_done_and_said(self):
        self.sensor("web-1")
        file = self.write("restart.yaml", "flow:\n  idle_timeout: 31s\n  max_flows: 4096\n")
        done = self.push(0, file, "--sensor", "web-1", "--wait")
        self.assertRegex(done.stderr, r"web-1: needs restart.*flow\.max_flows")

    def test_a_sensor_that_goes_back_is_status_6(self):
        sensor = self.sensor("web-1", apply_hold="3s", apply_timeout="4s")
        client = background("config", "push", self.good, "--all", "--wait", "--deadline", "2m", *self.server)
        self.addCleanup(client.__exit__)
        wait_until("it is on trial", lambda: "web-1: applying" in client.text())
        self.place.program.stop(signal.SIGKILL)
        wait_until("it has gone back", lambda: sensor.idle() == "1m")
        self.place.start()
        self.assertEqual(client.process.wait(timeout=120), 6, client.text())
        self.assertIn("it is waited for", client.text())
        self.assertRegex(client.text(), "web-1: rolled back: .*did not hold")

    def test_the_first_come_first_and_the_rest_follows(self):
        sensors = [self.sensor("web-1", "sensor:\n  labels: {role: lab}\n"), self.sensor("web-2")]
        done = self.push(0, self.good, "--all", "--canary-labels", "role=lab", "--dry-run")
        self.assertIn("of these first: web-1", done.stderr)
        done = self.push(7, self.good, "--all", "--canary", "1", "--hold", "1h", "--wait", "--deadline", "3s")
        self.assertIn("1 in force, 0 need a restart, 0 failed, 0 rolled back, 1 pending", done.stderr)
        self.assertIn("--deadline is over, the roll-out goes on", done.stderr)
        self.assertEqual([sensor.idle() for sensor in sensors], ["31s", "1m"])
        file = self.write("next.yaml", "flow:\n  idle_timeout: 33s\n")
        done = self.push(0, file, "--all", "--canary-labels", "role=lab", "--hold", "1s", "--wait")
        self.assertLess(done.stderr.index("web-1: applied"), done.stderr.index("web-2: applied"))
        self.assertEqual([sensor.idle() for sensor in sensors], ["33s", "33s"])

    def test_labels_are_set_shown_taken_away_and_chosen_by(self):
        self.sensor("web-1", "sensor:\n  labels: {role: lab}\n")
        self.sensor("web-2")

        def label(*changes):
            return sorted(self.ctl(0, "sensors", "label", "web-1", *changes, *self.server).stdout.splitlines())
        self.assertEqual(label(), ["role=lab (its own)"])
        self.assertEqual(label("site=berlin", "old=x"), ["old=x", "role=lab (its own)", "site=berlin"])
        self.assertEqual(label("old-", "role=edge"), ["role=edge", "site=berlin"])
        self.assertIn("1 sensor known now would be concerned: web-1",
                      self.push(0, self.good, "--labels", "site=berlin,role=edge", "--dry-run").stderr)
        whole = json.loads(label("role-", "-o", "json")[0])
        self.assertEqual((whole["labels"], whole["set_labels"]), ({"role": "lab", "site": "berlin"}, {"site": "berlin"}))
        self.assertEqual(label("site-"), ["role=lab (its own)"])
        self.assertIn("give KEY=VALUE", self.ctl(2, "sensors", "label", "web-1", "site", *self.server).stderr)
        self.assertIn("labels", self.ctl(2, "sensors", "label", "web-1", "a b=c", *self.server).stderr)
        self.assertIn("NOT_FOUND", self.ctl(1, "sensors", "label", "gone-1", "a=b", *self.server).stderr)

    def test_an_interrupt_ends_the_waiting_and_not_the_roll_out(self):
        self.sensor("web-1")
        self.sensor("web-2")
        client = background("config", "push", self.good, "--all", "--canary", "1", "--hold", "1h", "--wait", *self.server)
        self.addCleanup(client.__exit__)
        wait_until("it is in force", lambda: "web-1: applied" in client.text())
        self.assertEqual(client.stop(signal.SIGINT), 130, client.text())
        self.assertIn("the roll-out goes on", client.text())
        self.assertEqual(len(self.place.status()["desired_configs"]), 1)

    def test_a_collectors_own_settings_are_shown_checked_and_read_again(self):
        shown = self.ctl(0, "config", "show", *self.server)
        self.assertRegex(shown.stderr, r"hash [0-9a-f]{16}\n")
        self.assertRegex(shown.stdout, r"(?m)^ingest:\n")
        yaml = self.write("collector.yaml", shown.stdout)
        self.assertIn("nothing would change", self.ctl(0, "config", "check", yaml, *self.server).stderr)
        other = self.write("other.yaml", re.sub(r"(?m)^( *max_record_rate: )\S+", r"\g<1>5000", shown.stdout).replace(
            "  history_records: ", "  history_records: 1"))
        done = self.ctl(0, "config", "check", other, *self.server)
        self.assertEqual(done.stdout, "ingest.max_record_rate: would change at once\ngrpc.history_records: would need a restart\n")
        self.assertEqual(self.ctl(0, "config", "show", *self.server).stdout, shown.stdout)
        done = self.ctl(5, "config", "check", self.write("bad.yaml", "ingest:\n  heartbeat: soon\n"), *self.server)
        self.assertRegex(done.stderr, r"bad\.yaml:2: ingest\.heartbeat: ")
        done = self.ctl(5, "config", "check", self.write("half.yaml", "ingest:\n  tls_client_ca: ca.pem\n"), *self.server)
        self.assertIn("needs ingest.tls_certificate", done.stderr)
        self.assertIn("these settings are in force", self.ctl(0, "config", "reload", *self.server).stderr)
        # By gRPC and REST alike, for the scope alone, and each call is in the audit.
        self.assertEqual(self.place.rest("/v1/config")[1]["yaml"], shown.stdout)
        self.assertEqual(self.place.rest("/v1/config", token=READER)[0], 403)
        self.assertEqual(self.place.rest("/v1/config", token=None)[0], 401)
        status, answer = self.place.rest("/v1/config:apply", {"yaml": shown.stdout, "expected_hash": "0123456789abcdef"})
        self.assertEqual((status, answer["reason"]), (400, "APPLY_OFF"))
        wanted = {"GetConfig": "ok", "ValidateConfig": "ok", "ReloadConfig": "ok", "ApplyConfig": "refused"}
        audits = self.place.audits()
        for method, result in wanted.items():
            self.assertTrue(any(method in str(line) and result in str(line) for line in audits), (method, audits))

    def test_what_cannot_be_meant_is_refused(self):
        reader = self.write("reader", READER + "\n")
        for status, words, arguments in (
                (2, "for whom", (self.good,)),
                (2, "exclude each other", (self.good, "--all", "--wait", "--dry-run")),
                (2, "--hold soon: give a duration", (self.good, "--all", "--hold", "soon")),
                (2, "yaml", (self.write("bad", "a: [b\n"), "--all"))):
            self.assertIn(words, self.push(status, *arguments).stderr)
        done = self.ctl(4, "config", "push", self.good, "--all", "-s", f"127.0.0.1:{self.place.ingest}", "--token-file", reader)
        self.assertRegex(done.stderr, "refuses: .*'config'")
        self.assertIn("is a collector: its settings are changed in its file", self.ctl(1, "config", "apply", self.good, *self.server).stderr)
        self.assertIn("is a collector", self.ctl(1, "config", "confirm", "0123456789abcdef", *self.server).stderr)
        self.assertIn("did you mean config push?", self.ctl(2, "config", "psh").stderr)
        self.assertRegex(self.ctl(2, "config").stderr, r"(?m)^  config push +settings for")


if __name__ == "__main__":
    main()
