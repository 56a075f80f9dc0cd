"""Settings by ConfigService.ApplyConfig: what changes, what waits, what goes back, and what the file has then."""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support import grpcurl as tool
from support.programs import PATIENCE, SENSOR, Program, answers, free_port, main, make_traffic, metrics, wait_until

READER, OPERATOR = "reader-0123456789abcdef", "operator-0123456789abcdef"
TOKENS = f"reader flows {READER}\nops flows,config {OPERATOR}\n"
SETTINGS = """\
# Kept by hand.
capture: {pace: true, loop: true}
grpc: {apply_config: %s}
flow:
  idle_timeout: %s
  max_flows: %d
"""


class Apply(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="netscope-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.capture, _ = make_traffic(cls.directory.name, "mix", packets=100_000)

    def setUp(self):
        self.work = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(self.work.cleanup)
        self.file = self.path("sensor.yaml")
        self.audit = self.path("audit.log")

    def path(self, name):
        return os.path.join(self.work.name, name)

    def write(self, path, text, mode=0o600):
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)

    def text(self):
        with open(self.file, encoding="utf-8") as file:
            return file.read()

    def start(self, mode="run", text=None):
        """With `text` None the file is as it was left."""
        if mode is not None:
            self.mode = mode
            self.write(self.file, SETTINGS % (mode, "60s", 65536) if text is None else text, 0o640)
        self.write(self.path("tokens"), TOKENS)
        self.http, self.grpc = f"http://127.0.0.1:{free_port()}", free_port()
        program = Program(SENSOR, "--config", self.file, "--read-pcap", self.capture, "--quiet", "-v", "--grpc-listen",
                          f"127.0.0.1:{self.grpc}",
                          environment={"NETSCOPE_HTTP__PORT": self.http.rsplit(":", 1)[1],
                                       "NETSCOPE_GRPC__TOKEN_FILE": self.path("tokens"),
                                       "NETSCOPE_SECURITY__AUDIT_FILE": self.audit})
        self.addCleanup(program.__exit__)
        wait_until("it answers", lambda: answers(f"{self.http}/healthz"))
        return program

    def rest(self, path, body=None, token=OPERATOR):
        request = urllib.request.Request(self.http + path, data=None if body is None else json.dumps(body).encode(),
                                         headers={"content-type": "application/json", "x-netscope": "1",
                                                  "authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def hash(self):
        return self.rest("/v1/config")[1]["config_hash"]

    def printed(self):
        return self.rest("/v1/config")[1]["yaml"]

    def in_force(self):
        """The lines of the two settings that are changed here."""
        return [line.strip() for line in self.printed().splitlines() if line.strip().startswith(("idle_t", "max_f"))]

    def apply(self, idle="30s", flows=65536, **more):
        body = {"yaml": SETTINGS % (self.mode, idle, flows), "expected_hash": self.hash(), **more}
        return self.rest("/v1/config:apply", body)

    def refused(self, answer, status, reason):
        self.assertEqual(answer[0], status, answer)
        self.assertIn(reason, json.dumps(answer[1]))

    def audits(self):
        with open(self.audit, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def changes(self):
        page = metrics(f"{self.http}/metrics")
        return {result: page[f'netscope_config_changes_total{{result="{result}"}}']
                for result in ("applied", "confirmed", "rolled_back", "refused")}

    def test_it_is_off_until_a_setting_allows_it(self):
        self.start("off")
        before = self.hash()
        self.refused(self.apply(), 400, "APPLY_OFF")
        self.assertIn("grpc.apply_config", json.dumps(self.apply()[1]))
        status, seen = self.apply(flows=5, dry_run=True)  # a look is free
        self.assertEqual((status, seen["applied"], seen["needs_restart"], seen["config_hash"]),
                         (200, ["flow.idle_timeout"], ["flow.max_flows"], before))
        self.assertEqual(self.hash(), before)

    def test_what_may_change_changes_and_the_rest_is_named(self):
        program = self.start("run")
        before, text = self.hash(), self.text()
        status, done = self.apply("30s", 5)
        self.assertEqual((status, done["applied"], done["needs_restart"]),
                         (200, ["flow.idle_timeout"], ["flow.max_flows"]))
        self.assertEqual((done["file_written"], done["confirm_pending"]), (False, False))
        self.assertEqual(done["config_hash"], self.hash())
        self.assertNotEqual(done["config_hash"], before)
        self.assertIn("idle_timeout: 30s", self.in_force())
        self.assertIn("max_flows: 65536", self.in_force())
        self.assertEqual(self.text(), text)
        applied = [line for line in self.audits() if line["what"].endswith("ApplyConfig")]
        self.assertEqual([(line["who"], line["result"]) for line in applied], [("ops", "ok")])
        self.assertIn(f"hash={before}->{done['config_hash']}", applied[0]["detail"])
        self.assertIn("flow.idle_timeout", applied[0]["detail"])
        self.assertEqual(self.changes(), {"applied": 1, "confirmed": 0, "rolled_back": 0, "refused": 0})
        # The file is what a reload goes back to.
        self.assertEqual(self.rest("/v1/config:reload", {})[1]["applied"], ["flow.idle_timeout"])
        self.assertEqual(self.hash(), before)
        self.assertTrue(program.is_running())

    def test_what_was_printed_changes_nothing_when_it_comes_back(self):
        self.start("run")
        status, done = self.rest("/v1/config:apply", {"yaml": self.printed(), "expected_hash": self.hash()})
        self.assertEqual((status, done.get("applied", []), done.get("needs_restart", []), done.get("rejected", [])),
                         (200, [], [], []))

    def test_a_request_that_does_not_fit_changes_nothing(self):
        self.start("run")
        before, yaml = self.hash(), SETTINGS % ("run", "30s", 65536)
        for body, status, reason in (
                ({"yaml": yaml, "expected_hash": "0" * 16}, 409, "HASH_CHANGED"),
                ({"yaml": yaml, "expected_hash": "0" * 16, "dry_run": True}, 409, "HASH_CHANGED"),
                ({"yaml": yaml}, 400, "expected_hash"), ({"yaml": yaml, "expected_hash": "x"}, 400, "BAD_HASH"),
                ({"expected_hash": before}, 400, "MISSING_FIELD"),
                ({"yaml": yaml, "expected_hash": before, "confirm_timeout": "0.5s"}, 400, "OUT_OF_BOUNDS"),
                ({"yaml": yaml, "expected_hash": before, "confirm_timeout": "7200s"}, 400, "OUT_OF_BOUNDS")):
            self.refused(self.rest("/v1/config:apply", body), status, reason)
        self.assertEqual(self.rest("/v1/config:apply", {"yaml": yaml, "expected_hash": before}, READER)[0], 403)
        self.assertEqual(self.rest("/v1/config:confirm", {"config_hash": before}, READER)[0], 403)
        status, done = self.apply("never")
        self.assertEqual((status, done["rejected"][0]["path"], done["rejected"][0]["line"]),
                         (200, "flow.idle_timeout", 5))
        self.assertEqual(done["config_hash"], before)
        yaml = SETTINGS % ("run", "30s", 65536) + "no_such: 1\n"
        status, done = self.rest("/v1/config:apply", {"yaml": yaml, "expected_hash": before})
        self.assertIn("no_such", done["rejected"][0]["reason"])
        self.assertEqual(self.hash(), before)
        self.assertEqual(self.changes()["applied"], 0)

    def test_a_caller_cannot_allow_itself_more(self):
        self.start("run")
        text = self.text()
        self.mode = "file"
        status, done = self.apply()
        self.assertEqual((status, done["needs_restart"], done["file_written"]), (200, ["grpc.apply_config"], False))
        self.assertFalse(self.apply("31s")[1]["file_written"])
        self.assertEqual(self.text(), text)

    def test_what_is_confirmed_stays(self):
        self.start("run")
        self.refused(self.rest("/v1/config:confirm", {"config_hash": self.hash()}), 400, "NOTHING_PENDING")
        _, done = self.apply(confirm_timeout="2s")
        self.assertTrue(done["confirm_pending"])
        self.assertTrue(self.rest("/v1/config")[1]["confirm_pending"])
        self.refused(self.apply("31s"), 400, "CONFIRM_PENDING")
        self.refused(self.rest("/v1/config:confirm", {"config_hash": "0" * 16}), 409, "HASH_CHANGED")
        status, stays = self.rest("/v1/config:confirm", {"config_hash": done["config_hash"]})
        self.assertEqual((status, stays), (200, {"config_hash": done["config_hash"], "file_written": False}))
        self.assertFalse(self.rest("/v1/config")[1]["confirm_pending"])
        time.sleep(2.5)
        self.assertEqual(self.hash(), done["config_hash"])
        self.assertEqual(self.changes(), {"applied": 1, "confirmed": 1, "rolled_back": 0, "refused": 1})

    def test_what_is_not_confirmed_goes_back(self):
        program = self.start("run")
        before = self.hash()
        _, done = self.apply(confirm_timeout="1s")
        self.assertEqual(self.hash(), done["config_hash"])
        wait_until("it is as before", lambda: self.hash() == before)
        self.assertIn("idle_timeout: 1m", self.in_force())
        self.assertEqual(self.changes(), {"applied": 1, "confirmed": 0, "rolled_back": 1, "refused": 0})
        self.assertIn("nobody confirmed the settings", program.text())
        back = [line for line in self.audits() if line["result"] == "rolled back"]
        self.assertEqual([line["who"] for line in back], ["timer"])
        self.assertIn(f"hash={done['config_hash']}->{before}", back[0]["detail"])
        self.assertTrue(answers(f"{self.http}/readyz"))
        self.refused(self.rest("/v1/config:confirm", {"config_hash": done["config_hash"]}), 400, "NOTHING_PENDING")
        self.assertEqual(self.apply("31s")[0], 200)

    def test_a_reload_ends_the_wait(self):
        program = self.start("run")
        before = self.hash()
        self.apply(confirm_timeout="60s")
        self.rest("/v1/config:reload", {})
        self.assertEqual(self.hash(), before)
        self.assertIn("gives way to the file", program.text())
        self.assertEqual(self.apply("31s")[0], 200)

    def test_the_file_is_written_where_that_is_allowed(self):
        program = self.start("file")
        kept = self.path("kept.yaml")
        os.rename(self.file, kept)
        os.symlink(kept, self.file)
        self.rest("/v1/config:reload", {})
        _, done = self.apply("30s", 5)
        self.assertTrue(done["file_written"])
        self.assertEqual(self.text(), SETTINGS % ("file", "30s", 5))
        self.assertTrue(os.path.islink(self.file), "a link stays one")
        self.assertEqual(os.stat(kept).st_mode & 0o7777, 0o640)
        self.assertEqual(sorted(os.listdir(self.work.name)), ["audit.log", "kept.yaml", "sensor.yaml", "tokens"])
        self.assertEqual(self.rest("/v1/config:reload", {})[1].get("applied", []), [])
        program.process.kill()
        program.process.wait()
        self.start(None)
        self.assertIn("max_flows: 5", self.in_force())

    def test_the_file_waits_for_the_confirmation(self):
        program = self.start("file")
        text = self.text()
        _, done = self.apply(confirm_timeout="60s")
        self.assertFalse(done["file_written"])
        self.assertEqual(self.text(), text)
        program.process.kill()  # what nobody confirmed is gone with the program
        program.process.wait()
        self.start(None)
        self.assertIn("idle_timeout: 1m", self.in_force())
        _, done = self.apply(confirm_timeout="60s")
        _, stays = self.rest("/v1/config:confirm", {"config_hash": done["config_hash"]})
        self.assertTrue(stays["file_written"])
        self.assertEqual(self.text(), SETTINGS % ("file", "30s", 65536))

    def test_a_file_that_somebody_changed_is_not_written_over(self):
        self.start("file")
        before, mine = self.hash(), SETTINGS % ("file", "45s", 65536) + "# mine\n"
        self.write(self.file, mine)
        self.refused(self.apply(), 400, "FILE_NOT_WRITTEN")
        self.assertEqual((self.text(), self.hash()), (mine, before))
        self.assertIn("idle_timeout: 1m", self.in_force())
        self.rest("/v1/config:reload", {})
        self.assertTrue(self.apply()[1]["file_written"])

    def test_without_a_file_there_is_none_to_write(self):
        self.mode = "file"
        self.write(self.path("tokens"), TOKENS)
        self.http = f"http://127.0.0.1:{free_port()}"
        program = Program(SENSOR, "--read-pcap", self.capture, "--pace", "--loop", "--quiet", "-v", "--grpc-listen",
                          f"127.0.0.1:{free_port()}",
                          environment={"NETSCOPE_HTTP__PORT": self.http.rsplit(":", 1)[1],
                                       "NETSCOPE_GRPC__APPLY_CONFIG": "file",
                                       "NETSCOPE_GRPC__TOKEN_FILE": self.path("tokens"),
                                       "NETSCOPE_SECURITY__AUDIT_FILE": self.audit})
        self.addCleanup(program.__exit__)
        wait_until("it answers", lambda: answers(f"{self.http}/healthz"))
        self.assertIn("the file cannot be written", program.text())
        before = self.hash()
        self.refused(self.apply(), 400, "--config")
        self.assertEqual(self.hash(), before)

    def test_killed_at_any_time_the_file_is_one_of_both(self):
        texts = [SETTINGS % ("file", "30s", 65536) + "#" * 60000 + "\n", SETTINGS % ("file", "31s", 65536)]
        self.write(self.file, texts[1])
        dice = random.Random(7)
        for _ in range(6):
            program = self.start(None)

            def caller():
                for i in range(100):
                    try:
                        self.rest("/v1/config:apply", {"yaml": texts[i % 2], "expected_hash": self.hash()})
                    except (OSError, ValueError, KeyError):
                        return
            thread = threading.Thread(target=caller)
            thread.start()
            time.sleep(0.2 + dice.random() * 0.6)
            program.process.send_signal(signal.SIGKILL)
            program.process.wait()
            thread.join()
            self.assertIn(self.text(), texts)

    def test_grpcurl_applies_and_confirms(self):
        program = tool.find()
        if program is None:
            self.skipTest("no grpcurl")
        self.start("run")

        def call(method, body):
            done = subprocess.run([program, "-plaintext", "-H", f"authorization: Bearer {OPERATOR}", "-d",
                                   json.dumps(body), f"127.0.0.1:{self.grpc}", f"netscope.v1.ConfigService/{method}"],
                                  capture_output=True, text=True, check=False, timeout=20 * PATIENCE)
            return json.loads(done.stdout) if done.returncode == 0 else done.stderr

        config = call("GetConfig", {})
        yaml = config["yaml"].replace("idle_timeout: 1m", "idle_timeout: 30s")
        done = call("ApplyConfig", {"yaml": yaml, "expected_hash": config["configHash"], "confirm_timeout": "60s"})
        self.assertEqual((done["applied"], done["confirmPending"]), (["flow.idle_timeout"], True))
        self.assertIn("Aborted", call("ConfirmConfig", {"config_hash": config["configHash"]}))
        self.assertEqual(call("ConfirmConfig", {"config_hash": done["configHash"]})["configHash"], done["configHash"])
        self.assertIn("Aborted", call("ApplyConfig", {"yaml": yaml, "expected_hash": config["configHash"]}))


if __name__ == "__main__":
    main()
