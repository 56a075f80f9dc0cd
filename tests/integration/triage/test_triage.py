"""Incidents acknowledged and silenced at a collector: by gRPC and REST, over kills, on the way to a receiver. The sensor
is one that speaks by hand, so that its incidents stay open as long as the test wants."""
import base64
import datetime
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "route")]
from receivers import Routing
from support.programs import PATIENCE, SKIPPED, main, wait_until

try:
    from support.foreign_stream import ALERTS, WELCOME, Stream, batch, hello
    from support.grpc_client import Client
    from support.live_client import LiveClient
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)

SCAN, FLOOD = "ALERT_KIND_PORT_SCAN_VERTICAL", "ALERT_KIND_SYN_FLOOD"
NAMES = {SCAN: "port_scan_vertical", FLOOD: "syn_flood"}
READER, OPERATOR = "reader-token-0123456789", "operator-token-0123456789"


def alert_id(number):
    return f"018f0000-0000-7000-8000-{number:012d}"


def given(message):
    """Of REST, which shows fields at their defaults too."""
    return {key: value for key, value in message.items() if value not in ("", "SEVERITY_UNSPECIFIED")}


class Sensor:
    """Tells of incidents, one record each."""

    def __init__(self, port, client, name="by-hand"):
        self.client, self.name, self.seq = client, name, 0
        self.stream = Stream(port).send(hello(name))
        self.stream.receive(WELCOME)

    def tell(self, number, state="OPEN", kind=SCAN, severity="MEDIUM", attacker="10.0.9.66", victim="10.0.1.20"):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        record = self.client.encoded("AlertRecord", {
            "alert_id": alert_id(number), "alert_key": f"{number:016x}", "kind": kind, "kind_name": NAMES[kind],
            "state": f"ALERT_STATE_{state}", "severity": f"SEVERITY_{severity}", "first_time": now, "last_time": now,
            "description": f"incident {number}", "scope": "ALERT_SCOPE_SENSOR",
            "attackers": [{"ip": attacker}], "victims": [{"ip": victim}]})
        self.seq += 1
        self.stream.send(batch(self.seq, 1, stream=ALERTS, record=record))
        self.stream.acknowledged(self.seq, stream=ALERTS)

    def close(self):
        self.stream.close()


class Feed(LiveClient):
    def receive(self, kind):
        message = self.message()
        while message["t"] != kind:
            message = self.message()
        if kind == "frame":
            self.say(t="ack", seq=message["seq"])
        return message

    def until(self, is_it):
        frame = self.receive("frame")
        while not is_it(frame):
            frame = self.receive("frame")
        return frame


class Triage(Routing):
    def begin(self, receivers=None, sections=None, token=""):
        self.start(receivers or {}, sections)
        self.client = self.closing_client(token)
        self.sensor = self.closing(Sensor(self.collector.ingest, self.client))

    def closing_client(self, token=""):
        client = Client(self.collector.ingest, token)
        self.addCleanup(client.channel.close)
        return client

    def ask(self, method, **request):
        return self.client.ask(f"AlertService/{method}", request)

    def tell(self, number, *arguments, **options):
        """Told, and in the store."""
        self.sensor.tell(number, *arguments, **options)
        state = f"ALERT_STATE_{options.get('state', arguments[0] if arguments else 'OPEN')}"
        wait_until(f"incident {number} in the store", lambda: any(
            alert["alert_id"] == alert_id(number) and alert["state"] == state for alert in self.fetch("/v1/alerts?from=0")["alerts"]))

    def fetch(self, path):
        return self.collector.fetch(path)

    def post(self, path, body=None, headers=None, method="POST"):
        """(status, JSON)"""
        request = urllib.request.Request(f"http://127.0.0.1:{self.collector.http}{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else b"",
                                         headers={"X-NetScope": "1", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def notes(self, **request):
        """{number of the incident: its note} by gRPC."""
        answer = self.ask("ListAlerts", **request)
        return {int(note["alert_id"][-12:]): note for note in answer.get("notes", [])}

    def numbers(self, **request):
        return sorted(int(alert["alert_id"][-12:]) for alert in self.ask("ListAlerts", **request).get("alerts", []))

    def again(self):
        """Killed, and started with what it has on the disk."""
        self.sensor.close()
        self.restart(signal.SIGKILL)
        self.client = self.closing_client()

    # ---- acknowledging ----

    def test_an_acknowledgement_is_shown_counts_for_that_severity_and_outlives_a_kill(self):
        self.begin()
        for number in (1, 2, 3):
            self.tell(number)
        answer = self.ask("AcknowledgeAlert", alert_ids=[alert_id(1)], comment="our scanner")
        self.assertEqual([note["alert_id"] for note in answer["notes"]], [alert_id(1)])
        self.assertTrue(answer["notes"][0]["is_acknowledged"])
        status, answer = self.post("/v1/fleet/alerts:acknowledge", {"alert_ids": [alert_id(2)], "comment": "looked at"})
        self.assertEqual((status, answer["notes"][0]["is_acknowledged"]), (200, True))
        self.again()
        notes = self.notes()
        self.assertEqual(set(notes), {1, 2})
        said = notes[1]["acknowledgement"]
        self.assertEqual((said["who"], said["comment"], said["severity"]), ("anonymous", "our scanner", "SEVERITY_MEDIUM"))
        self.assertLess(abs(datetime.datetime.fromisoformat(said["time"].replace("Z", "+00:00")).timestamp() - time.time()), 60)
        self.assertEqual(self.numbers(acknowledged="ALERT_INCLUSION_EXCLUDE"), [3])
        self.assertEqual(self.numbers(acknowledged="ALERT_INCLUSION_ONLY"), [1, 2])
        one = self.ask("GetAlert", alert_id=alert_id(1))
        self.assertEqual((one["alert"]["state"], one["note"]), ("ALERT_STATE_OPEN", notes[1]))
        # As the dashboard asks.
        page = self.fetch("/v1/alerts?from=0&acknowledged=only")
        self.assertEqual({alert["alert_id"] for alert in page["alerts"]}, {alert_id(1), alert_id(2)})
        self.assertEqual({note["alert_id"]: note["acknowledgement"]["comment"] for note in page["notes"]},
                         {alert_id(1): "our scanner", alert_id(2): "looked at"})
        # Worse than it was when somebody saw it: it is not acknowledged any more, and the rest is kept.
        self.sensor = self.closing(Sensor(self.collector.ingest, self.client))
        self.sensor.seq = 3
        self.tell(1, "UPDATE", severity="HIGH")
        self.assertEqual(self.numbers(acknowledged="ALERT_INCLUSION_EXCLUDE"), [1, 3])
        self.assertEqual(self.notes()[1]["acknowledgement"], said)
        # Taken back, also one that nobody had acknowledged.
        self.ask("AcknowledgeAlert", alert_ids=[alert_id(2), alert_id(3)], undo=True)
        self.assertEqual(set(self.notes()), {1})
        self.again()
        self.assertEqual(set(self.notes()), {1})

    def test_what_cannot_be_acknowledged_is_refused_and_changes_nothing(self):
        self.begin(sections={"triage": {"acknowledgements_max": 2}})
        for number in (1, 2, 3):
            self.tell(number)
        refused = lambda **request: self.client.refused("AlertService/AcknowledgeAlert", request)
        self.assertEqual(refused(), ("INVALID_ARGUMENT", "MISSING_FIELD", "alert_ids"))
        self.assertEqual(refused(alert_ids=["moon"]), ("INVALID_ARGUMENT", "BAD_ID", "alert_ids"))
        self.assertEqual(refused(alert_ids=[alert_id(1), alert_id(9)])[:2], ("NOT_FOUND", "NO_SUCH_ALERT"))
        self.assertEqual(refused(alert_ids=[alert_id(1)], comment="x" * 1001), ("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "comment"))
        self.assertEqual(refused(alert_ids=[alert_id(1)], comment="a\nb"), ("INVALID_ARGUMENT", "BAD_TEXT", "comment"))
        self.assertEqual(refused(alert_ids=[alert_id(n) for n in (1, 2, 3)])[:2], ("RESOURCE_EXHAUSTED", "TOO_MANY"))
        self.assertEqual(self.notes(), {})
        # Full: the oldest makes room.
        for number in (1, 2, 3):
            self.ask("AcknowledgeAlert", alert_ids=[alert_id(number)])
        self.assertEqual(set(self.notes()), {2, 3})
        self.assertEqual(self.metrics()["netscope_collector_acknowledgements_forgotten_total"], 1)
        self.again()
        self.assertEqual(set(self.notes()), {2, 3})

    # ---- silences ----

    def test_a_silence_hides_its_choice_until_it_ends_and_outlives_a_kill(self):
        self.begin()
        self.tell(1)
        self.tell(2, attacker="10.0.9.67")
        self.tell(3, kind=FLOOD)
        choice = {"kinds": [SCAN], "subjects": ["10.0.9.66"]}
        dry = self.ask("CreateSilence", **choice, dry_run=True)
        self.assertEqual(dry, {"matched": "1", "total": "3", "matched_open": "1"})
        self.assertEqual(self.ask("ListSilences"), {})
        made = self.ask("CreateSilence", **choice, duration="3600s", reason="our scanner")
        silence = made["silence"]
        self.assertEqual((made["matched"], made["total"]), ("1", "3"))
        self.assertEqual((silence["kinds"], silence["subjects"], silence["reason"], silence["created_by"], silence["state"]),
                         ([SCAN], ["10.0.9.66"], "our scanner", "anonymous", "SILENCE_STATE_ACTIVE"))
        self.again()
        self.assertEqual(self.ask("ListSilences")["silences"], [silence])
        self.assertEqual([given(one) for one in self.fetch("/v1/silences")["silences"]], [silence])
        self.assertEqual({number: note["silence_id"] for number, note in self.notes().items()}, {1: silence["silence_id"]})
        self.assertEqual(self.numbers(silenced="ALERT_INCLUSION_EXCLUDE"), [2, 3])
        self.assertEqual([alert["alert_id"] for alert in self.fetch("/v1/alerts?from=0&silenced=only")["alerts"]], [alert_id(1)])
        # Ended by REST; it stays in the list of all.
        status, ended = self.post(f"/v1/fleet/silences/{silence['silence_id']}:delete")
        self.assertEqual((status, ended["silence"]["state"], ended["silence"]["deleted_by"]),
                         (200, "SILENCE_STATE_DELETED", "anonymous"))
        self.assertEqual(self.numbers(silenced="ALERT_INCLUSION_EXCLUDE"), [1, 2, 3])
        self.again()
        self.assertEqual(self.ask("ListSilences"), {})
        self.assertEqual(self.ask("ListSilences", include_ended=True)["silences"], [given(ended["silence"])])
        self.assertEqual(self.client.refused("AlertService/DeleteSilence", {"silence_id": silence["silence_id"]})[:2],
                         ("FAILED_PRECONDITION", "SILENCE_IS_OVER"))

    def test_a_silence_of_one_source_and_target_and_of_no_worse_than_medium(self):
        self.begin()
        self.tell(1)
        self.tell(2, victim="10.0.1.21")
        self.tell(3, severity="HIGH")
        self.tell(4, attacker="10.0.1.20", victim="10.0.9.66")
        self.ask("CreateSilence", attackers=["10.0.9.66"], victims=["10.0.1.20/32"], max_severity="SEVERITY_MEDIUM",
                 duration="60s", reason="known pair")
        self.assertEqual(self.numbers(silenced="ALERT_INCLUSION_ONLY"), [1])
        self.ask("CreateSilence", sensor_ids=["by-*"], duration="60s", reason="a test bed")
        self.assertEqual(self.numbers(silenced="ALERT_INCLUSION_EXCLUDE"), [])

    def test_what_cannot_be_a_silence_is_refused_with_what_to_do(self):
        self.begin(sections={"triage": {"silences_max": 1, "longest_silence": "2h"}})
        refused = lambda **request: self.client.refused("AlertService/CreateSilence", request)
        good = {"kinds": [SCAN], "reason": "known", "duration": "60s"}
        for change in ({"kinds": []}, {"reason": ""}, {"reason": " \t"[:1]}, {"duration": "0s"}, {"duration": "7201s"},
                       {"subjects": ["10.0.0.1/8"]}, {"subjects": ["moon"]}):
            self.assertEqual(refused(**{**good, **change})[:2], ("INVALID_ARGUMENT", "BAD_SILENCE"), change)
        self.assertEqual(refused(**good, expire_time="2100-01-01T00:00:00Z"), ("INVALID_ARGUMENT", "BAD_SILENCE", "expire_time"))
        self.assertEqual(refused(**{**good, "subjects": ["10.0.0.1"] * 65}), ("INVALID_ARGUMENT", "OUT_OF_BOUNDS", "subjects"))
        self.assertEqual(self.ask("ListSilences", include_ended=True), {})
        self.ask("CreateSilence", **good)
        self.assertEqual(refused(**good)[:2], ("RESOURCE_EXHAUSTED", "TOO_MANY"))
        status, problem = self.post("/v1/silences:create", {**good, "duration": "9000s"})
        self.assertEqual((status, problem["reason"]), (400, "BAD_SILENCE"))
        self.assertIn("triage.longest_silence", problem["detail"])
        self.assertEqual(self.client.refused("AlertService/DeleteSilence", {"silence_id": "0" * 32})[:2],
                         ("NOT_FOUND", "NO_SUCH_SILENCE"))

    def test_the_live_feed_tells_that_something_was_said_and_what(self):
        self.begin()
        feed = self.closing(Feed(self.collector.http))
        self.assertIs(feed.receive("hello")["caps"]["ack"], True)
        feed.say(t="sub", id=1, rate_hz=1, topics={"alerts": {}})
        said = feed.receive("frame")["alerts"]["said"]
        self.ask("CreateSilence", kinds=[SCAN], duration="4s", reason="a moment")
        more = feed.until(lambda frame: frame["alerts"]["said"] != said)["alerts"]["said"]
        self.sensor.tell(1)
        told = feed.until(lambda frame: frame["alerts"]["changed"])["alerts"]
        self.assertEqual([note["alert_id"] for note in told["notes"]], [alert_id(1)])
        self.assertRegex(told["notes"][0]["silence_id"], r"\A[0-9a-f]{32}\Z")
        # The end of a silence is news by itself.
        feed.until(lambda frame: frame["alerts"]["said"] != more)

    # ---- receivers ----

    def test_a_receiver_hears_nothing_of_a_silenced_incident_until_the_silence_ends(self):
        hook = self.hook()
        self.begin({"ops": {"url": hook.url()}})
        self.watch_ledger()
        silence = self.ask("CreateSilence", attackers=["10.0.9.66"], duration="3600s", reason="our scanner")["silence"]
        self.tell(1)
        self.tell(2)
        self.tell(3, attacker="10.0.9.67")
        self.tell(1, "UPDATE", severity="HIGH")
        self.tell(2, "CLOSE", severity="MEDIUM")
        counts = self.await_counted("ops", sent=1, waiting=0)
        self.assertEqual((counts["silenced"], counts["passed_over"]), (3, 1))
        self.assertEqual([record["alert_id"] for record in hook.records()], [alert_id(3)])
        self.assertEqual(self.ledger("ops")["silenced"], 3)
        self.again()
        time.sleep(3)  # time enough to be told, if that were wrong
        self.assertEqual(len(hook.requests), 1)
        self.ask("DeleteSilence", silence_id=silence["silence_id"])
        wait_until("what went on is told", lambda: len(hook.taken()) == 2)
        told = hook.records()[1]
        self.assertEqual((told["alert_id"], told["severity"], told["state"]),
                         (alert_id(1), "SEVERITY_HIGH", "ALERT_STATE_UPDATE"))
        self.sensor = self.closing(Sensor(self.collector.ingest, self.client))
        self.sensor.seq = 5
        self.tell(1, "CLOSE", severity="HIGH")
        wait_until("its end", lambda: len(hook.taken()) == 3)
        time.sleep(3)
        self.assertEqual([record["alert_id"] for record in hook.records()], [alert_id(3), alert_id(1), alert_id(1)])

    def test_a_silence_that_comes_to_its_end_by_itself_is_over(self):
        hook = self.hook()
        self.begin({"ops": {"url": hook.url()}})
        self.ask("CreateSilence", kinds=[SCAN], duration="5s", reason="a moment")
        self.tell(1)
        self.await_counted("ops", silenced=1, waiting=0)
        self.assertEqual(hook.requests, [])
        wait_until("it is told", lambda: hook.taken())
        self.assertEqual(self.notes(), {})

    def test_an_acknowledged_incident_is_not_repeated_but_its_rise_and_its_end_are_told(self):
        hook = self.hook()
        self.begin({"ops": {"url": hook.url(), "repeat_interval": "60s"}, "silent": {"url": hook.url("/other")}})
        self.tell(1)
        wait_until("it is told", lambda: len(hook.taken()) == 2)
        self.ask("AcknowledgeAlert", alert_ids=[alert_id(1)])
        self.tell(1, "UPDATE", severity="HIGH")
        self.tell(1, "CLOSE", severity="HIGH")
        wait_until("rise and end", lambda: len(hook.taken()) == 6)
        self.assertEqual([record["state"] for record in hook.records()][::2],
                         ["ALERT_STATE_OPEN", "ALERT_STATE_UPDATE", "ALERT_STATE_CLOSE"])

    # ---- who may ----

    def test_a_token_that_may_read_may_not_change_and_the_audit_says_who_did(self):
        self.file("tokens", f"reader flows {READER}\nnight-shift flows,triage {OPERATOR}\n")
        self.begin(sections={"grpc": {"token_file": self.path("tokens")},
                             "security": {"audit_file": self.path("audit.jsonl")}}, token=OPERATOR)
        self.tell(1)
        reader = self.closing_client(READER)
        silence = {"kinds": [SCAN], "duration": "60s", "reason": "known"}
        for method, request in (("AcknowledgeAlert", {"alert_ids": [alert_id(1)]}), ("CreateSilence", silence),
                                ("CreateSilence", {**silence, "dry_run": True}), ("DeleteSilence", {"silence_id": "0" * 32})):
            self.assertEqual(reader.refused(f"AlertService/{method}", request)[0], "PERMISSION_DENIED", method)
        self.assertEqual(reader.ask("AlertService/ListSilences"), {})
        self.assertEqual(self.post("/v1/fleet/silences:create", silence)[0], 401)
        self.assertEqual(self.post("/v1/fleet/silences:create", silence, {"Authorization": f"Bearer {READER}"})[0], 403)
        # Nor by the dashboard's paths, where it has no login; reading them is free.
        for headers, status in ({}, 401), ({"Authorization": f"Bearer {READER}"}, 403):
            self.assertEqual(self.post("/v1/silences:create", silence, headers)[0], status)
            self.assertEqual(self.post("/v1/alerts:acknowledge", {"alert_ids": [alert_id(1)]}, headers)[0], status)
        self.assertEqual(self.fetch("/v1/silences?include_ended=true"), {})
        made = self.ask("CreateSilence", **silence)["silence"]
        self.assertEqual(made["created_by"], "night-shift")
        status, _ = self.post("/v1/fleet/alerts:acknowledge", {"alert_ids": [alert_id(1)], "comment": "mine"},
                              {"Authorization": f"Bearer {OPERATOR}"})
        self.assertEqual(status, 200)
        with open(self.path("audit.jsonl"), encoding="utf-8") as lines:
            audit = [json.loads(line) for line in lines]
        done = [(line["who"], line["what"].split("/")[-1]) for line in audit if line["result"] == "ok"]
        self.assertEqual(done, [("night-shift", "CreateSilence"), ("night-shift", "AcknowledgeAlert")])
        self.assertIn("reason=known", audit[-2]["detail"] + audit[-1]["detail"])
        self.assertRegex(audit[-1]["peer"], r"^http:127\.0\.0\.1")

    def test_the_dashboards_login_is_who_did_it_and_a_foreign_page_can_do_nothing(self):
        self.file("password", "correct horse\n")
        self.begin(sections={"web": {"auth": f"{{enabled: true, username: ada, password_file: {self.path('password')}}}"}})
        self.sensor.tell(1)
        login = {"Authorization": "Basic " + base64.b64encode(b"ada:correct horse").decode()}
        body = {"alert_ids": [alert_id(1)]}
        wait_until("it is there", lambda: self.post("/v1/alerts:acknowledge", body, login)[0] == 200)
        self.assertEqual(self.notes()[1]["acknowledgement"]["who"], "ada")
        self.assertEqual(self.post("/v1/alerts:acknowledge", body)[0], 401)
        self.assertEqual(self.post("/v1/alerts:acknowledge", body, {**login, "Origin": "http://evil.example"})[0], 403)
        request = urllib.request.Request(f"http://127.0.0.1:{self.collector.http}/v1/alerts:acknowledge", method="POST",
                                         data=json.dumps(body).encode(), headers=login)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=20 * PATIENCE)
        self.assertEqual(caught.exception.code, 403)
        self.assertEqual(self.post("/v1/alerts:acknowledge", None, login, "GET")[0], 405)


if __name__ == "__main__":
    main()
