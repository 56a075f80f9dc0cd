"""Alerts to webhooks: which, when, in what form and order; receivers that refuse, that are down, that hang up; kills of
the collector in between; TLS and tokens."""
import os
import re
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from datetime import datetime

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from receivers import Routing, keys, to_tell, to_try, write_scans
from support.peers import Peers
from support.programs import PATIENCE, free_port, main, wait_until


class Webhooks(Routing):
    def assert_told(self, hook, messages, seconds=20):
        """These, in their order, each once."""
        wait_until(f"{len(messages)} messages", lambda: len(hook.taken()) >= len(messages), seconds)
        self.assertEqual(keys(hook.records()), keys(messages))

    # ---- which ----

    def test_a_webhook_gets_open_and_close_of_each_incident_once_as_the_record_that_the_store_has(self):
        hook = self.hook()
        self.start({"ops": {"url": hook.url()}})
        self.watch_ledger()
        records = self.raise_alerts()
        messages = to_tell(records)
        self.assertEqual({record["kind_name"] for record in messages}, {"port_scan_vertical", "syn_flood"})
        self.assert_told(hook, messages)
        self.assertEqual([record["description"] for record in hook.records()], [alert["description"] for alert in messages])
        # What the store has is what was told last: alert_id, kind, description, and all else.
        told = {record["alert_id"]: record for record in hook.records()}
        wait_until("the store says the same", lambda: self.stored() == told)
        states = Counter((record["alert_id"], record["state"]) for record in hook.records())
        for alert_id in {record["alert_id"] for record in records}:
            self.assertEqual(states[alert_id, "ALERT_STATE_OPEN"], 1)
            self.assertEqual(states[alert_id, "ALERT_STATE_CLOSE"], 1)
        for request in hook.taken():
            self.assertEqual(request.headers["Content-Type"], "application/json")
            self.assertIsNone(request.headers["Authorization"])
            self.assertEqual(request.path, "/hook")
        counts = self.await_counted("ops", sent=len(messages), waiting=0)
        self.assertEqual(counts["passed_over"], len(records) - len(messages))
        self.assertEqual((counts["refused"], counts["retries_total"], counts["up"]), (0, 0, 1))
        self.assertEqual(self.ledger("ops"), {"in": len(messages), "out": len(messages), "held": 0, "silenced": 0, "refused": 0,
                                              "expired": 0, "queue_full": 0})

    def test_a_receiver_gets_only_what_it_chose(self):
        choices = {"all": {}, "worse": {"min_severity": "high"}, "worst": {"min_severity": "critical"},
                   "floods": {"kinds": ["syn_flood"]}, "scans": {"kinds": ["port_scan_vertical", "port_scan_horizontal"]},
                   "opened": {"on_close": "false"}, "subject": {"subjects": ["10.0.9.66/32"]},
                   "elsewhere": {"sensors": ["sensor-2"]}}
        hooks = {name: self.hook() for name in choices}
        self.start({name: {"url": hooks[name].url(), **choice} for name, choice in choices.items()})
        records = self.raise_alerts()
        scans = ("port_scan_vertical", "port_scan_horizontal")
        expected = {"all": to_tell(records), "worse": to_tell(records, "high"), "worst": to_tell(records, "critical"),
                    "floods": to_tell(records, kinds=("syn_flood",)), "scans": to_tell(records, kinds=scans),
                    "opened": [record for record in to_tell(records) if record["state"] != "ALERT_STATE_CLOSE"],
                    "subject": [record for record in to_tell(records) if "10.0.9.66" in record["attackers"] + record["victims"]],
                    "elsewhere": []}
        for name in ("worse", "floods", "scans", "opened", "subject"):
            self.assertTrue(0 < len(expected[name]) < len(expected["all"]), f"{name}: {len(expected[name])}")
        self.assertEqual(expected["worst"], [])
        for name, hook in hooks.items():
            with self.subTest(name=name):
                counts = self.await_counted(name, waiting=0, sent=len(expected[name]))
                self.assertEqual(counts["passed_over"], len(records) - len(expected[name]))
                self.assert_told(hook, expected[name])
        others = to_tell(self.raise_alerts(self.scans))
        self.assert_told(hooks["elsewhere"], others)

    # ---- receivers that do not take it ----

    def test_one_that_is_busy_and_hangs_up_gets_all_in_the_end_and_holds_nobody_up(self):
        # Without keeping the connection: on a kept one the end would be met by a second request at once.
        busy = self.hook(answers=[(503, {"Retry-After": "2", "Connection": "close"}, b"busy"), (0, {}, b"")])
        other = self.hook()
        self.start({"busy": {"url": busy.url()}, "other": {"url": other.url()}})
        self.watch_ledger()
        messages = to_tell(self.raise_alerts())
        self.assert_told(other, messages)
        self.assert_told(busy, messages)
        first, second, third = busy.requests[:3]
        self.assertEqual((first.status, second.status, third.status), (503, 0, 200))
        self.assertEqual((first.body, second.body), (second.body, third.body))
        self.assertGreaterEqual(second.at - first.at, 1.9)  # Retry-After
        self.assertLess(other.taken()[-1].at, third.at)
        self.assertEqual(len(busy.requests), len(messages) + 2)
        counts = self.await_counted("busy", sent=len(messages), waiting=0)
        self.assertEqual((counts["retries_total"], counts["refused"], counts["up"]), (2, 0, 1))
        text = self.collector.program.text()
        self.assertRegex(text, r'takes no alerts; they wait" receiver=busy reason="it answers 503: busy"')
        self.assertRegex(text, r'takes alerts again" receiver=busy')
        self.assertNotIn("receiver=other", text)

    def test_one_that_refuses_an_alert_for_good_is_counted_and_not_asked_again(self):
        hook = self.hook(answers=[(400, {}, b"not such\nones \x1b[31m\xff\xc3\xa9")])
        hook.answer = (422, {}, b"")
        other = self.hook()
        self.start({"closed": {"url": hook.url()}, "other": {"url": other.url()}})
        self.watch_ledger()
        records = self.raise_alerts()
        refused = len(to_try(records))
        counts = self.await_counted("closed", refused=refused, waiting=0)
        self.assertEqual((counts["sent"], counts["retries_total"]), (0, 0))
        self.assertEqual(counts["passed_over"], len(records) - refused)
        self.assertEqual(len(hook.requests), refused)
        row = self.ledger("closed")
        self.assertEqual((row["in"], row["out"], row["refused"]), (refused, 0, refused))
        self.assertEqual(self.metrics()['netscope_dropped_records_total{stage="sink",name="receiver closed",reason="refused"}'],
                         refused)
        self.assert_told(other, to_tell(records))
        reasons = re.findall(r'refuses an alert" receiver=closed alert_id=\S+ reason="([^"]*)"', self.collector.program.text())
        self.assertEqual(reasons, ["it answers 400: not such ones  [31m é"] + ["it answers 422"] * (refused - 1))

    def test_one_that_forbids_gets_all_when_its_owner_has_mended_that(self):
        hook = self.hook(answers=[(403, {}, b"no"), (401, {}, b"")])
        self.start({"closed": {"url": hook.url()}})
        self.watch_ledger()
        messages = to_tell(self.raise_alerts())
        wait_until("it waits", lambda: self.counted("closed")["retries_total"])
        self.assertEqual(self.ledger("closed"), {"in": len(messages), "out": 0, "held": len(messages), "silenced": 0, "refused": 0,
                                                 "expired": 0, "queue_full": 0})
        self.assertEqual(self.counted("closed")["up"], 0)
        self.assert_told(hook, messages)
        counts = self.await_counted("closed", sent=len(messages), waiting=0)
        self.assertEqual((counts["refused"], counts["retries_total"], counts["up"]), (0, 2, 1))

    def test_what_is_not_taken_within_retry_for_is_given_up_and_counted(self):
        self.start({"away": {"url": f"http://127.0.0.1:{free_port()}/", "retry_for": "1s"}})
        self.watch_ledger()
        expired = len(to_try(self.raise_alerts(self.scans)))
        counts = self.await_counted("away", expired=expired, waiting=0)
        self.assertEqual((counts["sent"], counts["up"]), (0, 0))
        self.assertEqual(self.ledger("away")["expired"], expired)
        self.assertRegex(self.collector.program.text(), r'given up after retry_for" receiver=away')

    def test_a_full_queue_loses_the_oldest_and_says_so(self):
        port, other = free_port(), self.hook()
        self.start({"away": {"url": f"http://127.0.0.1:{port}/"}, "other": {"url": other.url()}},
                   {"routing": {"queue_size": "1MiB"}})
        self.watch_ledger()
        messages = []
        for first in range(0, 400, 100):  # each has room: who is told of it before the next one comes loses none
            capture = write_scans(self.path("some.pcap"), 100, ports=30, every=0.2, first=first)
            messages += to_tell(self.raise_alerts(capture))
            self.assert_told(other, messages)
        lost = wait_until("some are lost", lambda: self.counted("away")["dropped"])
        self.assertEqual(self.counted("other")["dropped"], 0)
        hook = self.hook(port=port)
        counts = self.await_counted("away", waiting=0)
        self.assertEqual(self.ledger("away")["queue_full"], counts["dropped"])
        self.assertGreaterEqual(counts["dropped"], lost)
        # In their order, up to the newest one; not all of them.
        told = keys(hook.records())
        self.assertEqual(told, [key for key in keys(messages) if key in set(told)])
        self.assertLess(len(told), len(messages))
        self.assertGreater(len(told), 50)

    # ---- kills and restarts ----

    def test_a_kill_while_a_receiver_is_down_loses_nothing(self):
        port = free_port()
        other = self.hook()
        self.start({"down": {"url": f"http://127.0.0.1:{port}/hook"}, "other": {"url": other.url()}})
        messages = to_tell(self.raise_alerts())
        self.await_counted("other", sent=len(messages))
        waiting = self.counted("down")
        self.assertEqual((waiting["sent"], waiting["up"]), (0, 0))
        self.restart(signal.SIGKILL)
        hook = self.hook(port=port)
        self.assert_told(hook, messages)
        self.assertEqual(self.ledger("down")["out"], len(messages))
        self.await_counted("other", waiting=0)
        # What was not saved in the last moment may come a second time.
        repeated = Counter(keys(other.records())) - Counter(keys(messages))
        self.assertLessEqual(set(repeated), {keys(messages)[-1]})

    def test_a_kill_after_delivery_brings_no_incident_a_second_time(self):
        hook = self.hook()
        self.start({"ops": {"url": hook.url()}})
        messages = to_tell(self.raise_alerts())
        self.assert_told(hook, messages)
        self.restart(signal.SIGKILL)
        more = to_tell(self.raise_alerts(self.scans))
        # The queue has an order: when those after it have arrived, no older one will.
        wait_until("the new ones", lambda: keys(hook.records())[-1:] == keys(more)[-1:])
        repeated = Counter(keys(hook.records())) - Counter(keys(messages + more))
        self.assertLessEqual(set(repeated), {keys(messages)[-1]})
        self.assertLessEqual(sum(repeated.values()), 1)
        self.assertEqual(Counter(keys(messages + more)) - Counter(keys(hook.records())), Counter())

    def test_kills_amid_taking_and_telling_lose_nothing(self):
        hook = self.hook()
        hook.seconds = 0.01
        self.start({"ops": {"url": hook.url()}})
        capture, alerts = write_scans(self.path("many.pcap"), 150, ports=30, every=0.2), []
        sending = threading.Thread(target=lambda: alerts.extend(self.raise_alerts(capture)))
        sending.start()
        for count in (1, 40, 80):
            wait_until(f"{count} messages", lambda count=count: len(hook.taken()) >= count)
            self.restart(signal.SIGKILL)
        sending.join(60 * PATIENCE)
        messages = to_tell(alerts)
        self.assertGreaterEqual(len(messages), 200)
        wait_until("all", lambda: set(keys(messages)) <= set(keys(hook.records())), 60)
        self.await_counted("ops", waiting=0)
        repeated = Counter(keys(hook.records())) - Counter(keys(messages))
        self.assertLessEqual(sum(repeated.values()), 3)  # what was on its way
        first = list(dict.fromkeys(keys(hook.records())))
        self.assertEqual(first, keys(messages))

    def test_a_restart_brings_nothing_a_second_time(self):
        hook = self.hook()
        self.start({"ops": {"url": hook.url()}})
        messages = to_tell(self.raise_alerts())
        self.assert_told(hook, messages)
        self.restart()
        messages += to_tell(self.raise_alerts(self.scans))
        self.assert_told(hook, messages)
        self.restart()
        messages += to_tell(self.raise_alerts(self.scans))
        self.assert_told(hook, messages)

    def test_an_end_while_a_receiver_is_down_is_quick_and_loses_nothing(self):
        port, stuck = free_port(), self.hook()
        stuck.answer = (503, {"Retry-After": "3600"}, b"")
        self.start({"down": {"url": f"http://127.0.0.1:{port}/hook"}, "stuck": {"url": stuck.url()}})
        messages = to_tell(self.raise_alerts())
        wait_until("both were asked", lambda: self.counted("down")["retries_total"] and self.counted("stuck")["retries_total"])
        began = time.monotonic()
        self.assertEqual(self.collector.program.stop(), 0)
        self.assertLess(time.monotonic() - began, 15 * PATIENCE)
        stuck.answer = (200, {}, b"")
        self.collector.start()
        hook = self.hook(port=port)
        self.assert_told(hook, messages)
        self.assert_told(stuck, messages)

    # ---- TLS and tokens ----

    def test_https_by_its_own_ca_with_a_token_that_may_be_replaced(self):
        peers = Peers(self.folder)
        for name in ("ca", "other"):
            peers.authority(name)
        peers.certificate("server", "ca")
        peers.certificate("elsewhere", "ca", names="DNS:elsewhere.example")
        contexts = {}
        for name in ("server", "elsewhere"):
            contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            contexts[name].load_cert_chain(peers.path(f"{name}.pem"), peers.path(f"{name}.key"))
        good, stranger, named = self.hook(contexts["server"]), self.hook(contexts["server"]), self.hook(contexts["elsewhere"])
        secret = {"token_file": self.file("token", "first-token-4711\n")}
        self.start({"good": {"url": good.url(), "ca_file": peers.path("ca.pem"), **secret},
                    "stranger": {"url": stranger.url(), "ca_file": peers.path("other.pem"), **secret},
                    "named": {"url": named.url(), "ca_file": peers.path("ca.pem"), **secret}})
        first = to_tell(self.raise_alerts())
        self.assert_told(good, first)
        self.assertEqual({request.headers["Authorization"] for request in good.taken()}, {"Bearer first-token-4711"})

        # The others are not who they say: nothing goes there, and the log says why.
        for name, hook in (("stranger", stranger), ("named", named)):
            wait_until(f"a try at {name}", lambda name=name: self.counted(name)["retries_total"])
            self.assertEqual(hook.requests, [])
            self.assertEqual(self.counted(name)["sent"], 0)
        text = self.collector.program.text()
        self.assertRegex(text, r'receiver=stranger reason="[^"]*(issuer|self-signed|certificate)[^"]*"')
        self.assertRegex(text, r'receiver=named reason="[^"]*(name|match)[^"]*"')

        self.file("token", "second-token-4712\n")
        second = to_tell(self.raise_alerts(self.scans))
        self.assert_told(good, first + second)
        self.assertEqual({request.headers["Authorization"] for request in good.taken()[len(first):]},
                         {"Bearer second-token-4712"})

        # A token that others can read is not used until its mode is mended.
        self.file("token", "third-token-4713\n", mode=0o644)
        third = to_tell(self.raise_alerts(self.scans))
        wait_until("it is told", lambda: re.search(r'receiver=good reason="token_file: [^"]*chmod 600',
                                                   self.collector.program.text()))
        self.assertEqual(len(good.requests), len(first + second))
        os.chmod(self.path("token"), 0o600)
        self.assert_told(good, first + second + third)
        self.assertEqual(good.taken()[-1].headers["Authorization"], "Bearer third-token-4713")
        self.assertEqual((stranger.requests, named.requests), ([], []))
        self.assertNotRegex(self.collector.program.text(), r"token-471\d")

    # ---- forms ----

    def test_bodies_for_slack_and_alertmanager_are_what_their_apis_ask_for(self):
        plain, slack, manager = self.hook(), self.hook(), self.hook()
        self.start({"plain": {"url": plain.url()}, "slack": {"url": slack.url(), "format": "slack"},
                    "manager": {"url": manager.url("/api/v2/alerts"), "format": "alertmanager"}})
        messages = to_tell(self.raise_alerts())
        self.assert_told(plain, messages)
        for hook in (slack, manager):
            wait_until("all messages", lambda hook=hook: len(hook.taken()) == len(messages))
        for request, record in zip(slack.taken(), messages):
            self.assertEqual(request.headers["Content-Type"], "application/json")
            check_slack(self, request.json(), record)
        for request, record in zip(manager.taken(), messages):
            self.assertEqual((request.headers["Content-Type"], request.path), ("application/json", "/api/v2/alerts"))
            check_alertmanager(self, request.json(), record)
        # What fires is one alert to Alertmanager as long as its severity stays, and what fired is ended by name.
        fired = set()
        for request in manager.taken():
            elements = {frozenset(element["labels"].items()): element for element in request.json()}
            self.assertLessEqual(fired, set(elements) | {labels for labels in fired if not same_incident(labels, elements)})
            fired = {labels for labels in fired if not same_incident(labels, elements)}
            fired |= {labels for labels, element in elements.items() if is_firing(element)}
        self.assertEqual(fired, set())


def check_slack(test, body, record):
    """https://api.slack.com/reference/messaging/payload and formatting: `text`, with & < > escaped."""
    test.assertLessEqual(set(body), {"text", "blocks", "attachments", "thread_ts", "mrkdwn"})
    text = body["text"]
    test.assertIsInstance(text, str)
    test.assertTrue(0 < len(text) <= 4000)
    test.assertNotRegex(text, r"[<>]|&(?!(amp|lt|gt);)")
    test.assertIn(record["alert_id"], text)
    plain = text.replace("\u2060", "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    for words in (record["description"], record["kind_name"], record["sensor_id"],
                  record["severity"].removeprefix("SEVERITY_").lower()):
        test.assertIn(words, plain)


RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def is_firing(element):
    return moment(element["endsAt"]) > time.time()


def same_incident(labels, elements):
    return dict(labels)["alert_id"] in {dict(other)["alert_id"] for other in elements}


def check_alertmanager_element(test, element):
    """postableAlert of Alertmanager's api/v2/openapi.yaml, and what its own validation asks for."""
    test.assertLessEqual(set(element), {"labels", "annotations", "startsAt", "endsAt", "generatorURL"})
    test.assertTrue(element["labels"])
    for part in ("labels", "annotations"):
        for name, value in element.get(part, {}).items():
            test.assertRegex(name, r"\A[a-zA-Z_][a-zA-Z0-9_]*\Z")
            test.assertIsInstance(value, str)
            test.assertTrue(value)
    for key in ("startsAt", "endsAt"):
        test.assertRegex(element[key], rf"\A{RFC3339}\Z")
    test.assertLessEqual(moment(element["startsAt"]), moment(element["endsAt"]))


def check_alertmanager(test, body, record):
    """Exactly one of them fires while the incident is open, none later."""
    test.assertIsInstance(body, list)
    test.assertTrue(body)
    for element in body:
        check_alertmanager_element(test, element)
        labels = element["labels"]
        test.assertEqual((labels["alertname"], labels["alert_id"]), (record["kind_name"], record["alert_id"]))
        test.assertEqual(element["annotations"]["summary"], record["description"])
        test.assertEqual(moment(element["startsAt"]), record["first_seen"])
    test.assertEqual(len({frozenset(element["labels"].items()) for element in body}), len(body))
    firing = [element for element in body if is_firing(element)]
    if record["state"] == "ALERT_STATE_CLOSE":
        test.assertEqual(firing, [])
    else:
        test.assertEqual([element["labels"]["severity"] for element in firing],
                         [record["severity"].removeprefix("SEVERITY_").lower()])


if __name__ == "__main__":
    main()
