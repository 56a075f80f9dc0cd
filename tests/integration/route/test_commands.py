"""What an operator asks about receivers: test-receivers, --check-config, doctor, SIGHUP; and secrets, which nothing tells."""
import json
import os
import re
import signal
import sys
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from receivers import NO_PROXY, Datagrams, Routing, Streams, to_tell, to_try, yaml
from support.programs import COLLECTOR, free_port, get, main, run, wait_until


class Commands(Routing):
    def command(self, *arguments, receivers=None, environment=None):
        if receivers is not None:
            arguments = (*arguments, "--config", self.file("collector.yaml", yaml(receivers)))
        return run(COLLECTOR, *arguments, environment={**NO_PROXY, **(environment or {})})

    # ---- test-receivers ----

    def test_receivers_that_take_a_test_are_told_a_line_each(self):
        hook, slack, manager = self.hook(), self.hook(), self.hook()
        datagrams, stream = self.closing(Datagrams()), self.closing(Streams())
        done = self.command("test-receivers", receivers={
            "ops": {"url": hook.url()}, "chat": {"url": slack.url(), "format": "slack"},
            "manager": {"url": manager.url("/api/v2/alerts"), "format": "alertmanager"}, "udp": {"url": datagrams.url},
            # Whatever it chose: it is asked whether it can be told at all.
            "tcp": {"url": stream.url, "min_severity": "critical", "kinds": ["syn_flood"]}})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["ops", "chat", "manager", "udp", "tcp"])
        for line in lines[:3]:
            self.assertRegex(line, r" delivered$")
        for line in lines[3:]:
            self.assertRegex(line, r" sent; syslog does not tell whether it arrived$")
        record = hook.taken()[0].json()
        self.assertEqual(str(uuid.UUID(record["alert_id"])), record["alert_id"])
        self.assertEqual((record["state"], record["severity"]), ("ALERT_STATE_OPEN", "SEVERITY_INFO"))
        self.assertIn("test of the receiver ops", record["description"])
        self.assertIn("test of the receiver chat", slack.taken()[0].json()["text"])
        self.assertEqual({element["labels"]["alertname"] for element in manager.taken()[0].json()}, {"test"})
        for daemon in (datagrams, stream):
            wait_until("the message", lambda daemon=daemon: daemon.messages)
            self.assertRegex(daemon.messages[0], rb"\A<134>1 \S+ \S+ netscope-collector \d+ test - ")
        for each in (hook.taken(), slack.taken(), manager.taken(), datagrams.messages, stream.messages):
            self.assertEqual(len(each), 1)

    def test_one_that_does_not_take_it_is_told_with_the_reason(self):
        good, closed = self.hook(), self.hook()
        closed.answer = (403, {}, b"who are you?")
        receivers = {"gone": {"url": f"http://127.0.0.1:{free_port()}/"}, "good": {"url": good.url()},
                     "closed": {"url": closed.url()}, "socket": {"url": f"unix:{self.path('none')}"}}
        done = self.command("test-receivers", receivers=receivers)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = {line.split()[0]: line for line in done.stdout.splitlines()}
        self.assertEqual(list(lines), list(receivers))
        self.assertRegex(lines["gone"], r"failed: .*[Cc]onnect")
        self.assertRegex(lines["good"], r"delivered$")
        self.assertRegex(lines["closed"], r"failed: it answers 403: who are you\?$")
        self.assertRegex(lines["socket"], r"failed: .*No such file")

    def test_without_receivers_or_with_wrong_settings_it_says_so(self):
        done = self.command("test-receivers")
        self.assertEqual(done.returncode, 2)
        self.assertIn("receivers.NAME.url", done.stderr)
        good = self.hook()
        done = self.command("test-receivers", receivers={"good": {"url": good.url()}, "bad": {"url": "gopher://x/"}})
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"receivers\.bad: url: ")

    # ---- before the start ----

    def test_wrong_settings_are_refused_with_receiver_and_key(self):
        url = "http://127.0.0.1:9/"
        readable = self.file("readable", url, mode=0o644)
        token = self.file("token", "a-token-of-some-length\n")
        cases = (("url", {"url": "gopher://127.0.0.1/"}), ("url", {"url": "127.0.0.1:9"}), ("url", {"url": "http://"}),
                 ("url", {"url": "http://operator:word-4711@127.0.0.1:9/"}), ("url", {"url": "udp://127.0.0.1:514/path"}),
                 ("url", {"url": "tcp://127.0.0.1:70000"}), ("url", {"url": "unix:log"}),
                 ("url", {"kinds": ["syn_flood"]}), ("url", {"url": url, "url_file": self.file("url", url)}),
                 ("url_file", {"url_file": readable}), ("url_file", {"url_file": self.path("none")}),
                 ("kinds", {"url": url, "kinds": ["syn_floods"]}), ("subjects", {"url": url, "subjects": ["10.0.0.0/33"]}),
                 ("min_severity", {"url": url, "min_severity": "severe"}), ("format", {"url": url, "format": "cef"}),
                 ("format", {"url": "udp://127.0.0.1:9", "format": "slack"}), ("facility", {"url": url, "facility": "24"}),
                 ("token_file", {"url": url, "token_file": readable}),
                 ("token_file", {"url": "tcp://127.0.0.1:9", "token_file": token}),
                 ("token_file", {"url": "http://192.0.2.1/", "token_file": token}),
                 ("ca_file", {"url": "https://127.0.0.1:9/", "ca_file": self.path("none.pem")}),
                 ("timeout", {"url": url, "timeout": "5"}), ("reply_to", {"url": url, "reply_to": "x"}))
        for key, settings in cases:
            with self.subTest(key=key, settings=settings):
                done = self.command("--check-config", receivers={"night-shift": settings})
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertRegex(done.stderr, rf"receivers\.night-shift.*\b{key}\b")
                self.assertNotIn("word-4711", done.stdout + done.stderr)
        done = self.command("--check-config", receivers={"night-shift": {"url": url, "token_file": token}})
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.command("--check-config", receivers={f"n{i}": {"url": url} for i in range(9)})
        self.assertEqual(done.returncode, 2)
        self.assertIn("receivers", done.stderr)
        for name in ("../up", "a/b"):  # names become names of files
            self.assertEqual(self.command("--check-config", receivers={json.dumps(name): {"url": url}}).returncode, 2)

    def test_a_receiver_by_environment(self):
        hook = self.hook()
        environment = {"NETSCOPE_COLLECTOR_RECEIVERS__OPS__URL": hook.url(),
                       "NETSCOPE_COLLECTOR_RECEIVERS__OPS__MIN_SEVERITY": "low"}
        self.assertEqual(self.command("--check-config", environment=environment).returncode, 0)
        self.assertEqual(self.command("test-receivers", environment=environment).returncode, 0)
        self.assertEqual(len(hook.taken()), 1)
        done = self.command("--check-config", environment={**environment, "NETSCOPE_COLLECTOR_RECEIVERS__OPS__KINDS": "none"})
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"receivers\.ops.*kinds")

    def test_doctor_names_a_receiver_that_nobody_listens_at(self):
        hook, stream, gone = self.hook(), self.closing(Streams()), free_port()
        receivers = {"ops": {"url": hook.url()}, "siem": {"url": stream.url}, "gone": {"url": f"http://127.0.0.1:{gone}/x"},
                     "udp": {"url": f"udp://127.0.0.1:{free_port()}"}}
        done = self.command("doctor", "--format", "json", "--port", free_port(), "--ingest-listen", f"127.0.0.1:{free_port()}",
                            "--data-dir", self.path("data"), receivers=receivers)
        peers = {finding["message"].split(":")[0]: finding for finding in json.loads(done.stdout)["findings"]
                 if "receivers." in finding["message"]}
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(peers["receivers.gone"]["level"], "failure")
        self.assertIn("nothing listens there", peers["receivers.gone"]["message"])
        self.assertIn(f"127.0.0.1:{gone}", peers["receivers.gone"]["message"])
        for name in ("ops", "siem"):
            self.assertEqual(peers[f"receivers.{name}"]["level"], "ok", done.stdout)
        self.assertNotIn("receivers.udp", peers)  # a datagram that nobody answers
        self.assertEqual(hook.requests, [])  # it is looked at, not told anything

    # ---- while it runs ----

    def reload(self, receivers):
        self.file("collector.yaml", yaml(receivers))
        seen = len(self.collector.program.text())
        self.collector.program.process.send_signal(signal.SIGHUP)
        return wait_until("it has read its settings again", lambda: re.search(
            r"level=(?P<level>\w+) part=config .*\n", self.collector.program.text()[seen:]))

    def test_a_broken_receiver_is_refused_by_a_reload_and_the_others_go_on(self):
        hook, new = self.hook(), self.hook()
        own = {"ops": {"url": hook.url()}}
        self.start(own)
        for broken in ({"ops": {"url": "gopher://x/"}}, {**own, "next": {"url": new.url(), "kinds": ["no_such"]}},
                       {"ops": {"url_file": self.path("none")}}):
            line = self.reload(broken)
            self.assertEqual(line["level"], "error", line[0])
            self.assertRegex(line[0], r"receivers\.(ops|next)")
        # What can be read waits for a restart, and is named.
        line = self.reload({"ops": {"url": hook.url(), "min_severity": "critical"}, "next": {"url": new.url()}})
        self.assertIn("needs_restart=", line[0])
        self.assertIn("receivers.", line[0])
        messages = to_tell(self.raise_alerts())
        self.await_counted("ops", sent=len(messages), waiting=0)
        self.reload({})
        messages += to_tell(self.raise_alerts(self.scans))
        self.await_counted("ops", sent=len(messages), waiting=0)
        self.assertEqual(new.requests, [])

    # ---- secrets ----

    def test_no_secret_is_told_by_anything(self):
        secret_path, token = "/services/T0SECRET/B0SECRET", "token-secret-4711"
        good, closed, wrong, refusing = self.hook(), self.hook(), self.hook(), self.hook()
        # As servers of the web answer: with the path that was asked for.
        closed.answer = (404, {}, f"<pre>Cannot POST {secret_path}</pre>".encode())
        wrong.answer = (401, {}, f"no such token: {token}".encode())
        refusing.answer = (400, {}, f"{'.' * 130} {secret_path} {token}".encode())  # which is cut off in one of them
        token_file = self.file("token", token)
        gone = free_port()
        receivers = {"good": {"url_file": self.file("good", good.url(secret_path)), "token_file": token_file},
                     "closed": {"url_file": self.file("closed", closed.url(secret_path))},
                     "wrong": {"url": wrong.url(), "token_file": token_file},
                     "refusing": {"url_file": self.file("refusing", refusing.url(secret_path)), "token_file": token_file},
                     "gone": {"url_file": self.file("gone", f"http://127.0.0.1:{gone}{secret_path}")}}
        self.start(receivers)
        records = self.raise_alerts()
        self.await_counted("good", sent=len(to_tell(records)))
        self.await_counted("refusing", refused=len(to_try(records)))
        for name in ("closed", "wrong", "gone"):
            wait_until(f"two tries at {name}", lambda name=name: self.counted(name)["retries_total"] >= 2)
        self.assertEqual({request.path for request in good.taken()}, {secret_path})
        said = {"log": self.collector.program.text()}
        for path in ("/metrics", "/v1/ledger", "/v1/summary", "/v1/alerts?from=0&to=4000000000000"):
            said[path] = get(f"http://127.0.0.1:{self.collector.http}{path}")
        self.collector.program.stop()
        said["end"] = self.collector.program.text()
        for arguments in ("--print-config", "--check-config", "doctor", "doctor --format json", "test-receivers"):
            done = self.command(*arguments.split(), receivers=receivers)
            said[arguments] = done.stdout + done.stderr
        bad = self.command("--check-config", receivers={"bad": {"url_file": self.file("bad", f"gopher://x{secret_path}")}})
        self.assertEqual(bad.returncode, 2)
        said["refused"] = bad.stdout + bad.stderr
        for place, text in said.items():
            with self.subTest(place=place):
                self.assertTrue(text)
                self.assertNotRegex(text, r"T0SECR|B0SECR|token-secr|4711")


if __name__ == "__main__":
    main()
