"""Settings that a collector pushes to its sensors, all of them real: in force on trial, gone again where the stream
does not hold, refused with path and line, rolled out to a few first, and kept over restarts of the collector.
"""
import json
import os
import signal
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from fleet import Collector
from support.programs import PATIENCE, SENSOR, Program, answers, free_port, main, make_traffic, metrics, wait_until

READER, OPERATOR = "reader-0123456789abcdef", "operator-0123456789abcdef"
TOKENS = f"reader flows {READER}\nops flows,config {OPERATOR}\n"
GOOD = "flow:\n  idle_timeout: 31s\n"


def call(url, body=None, token=OPERATOR):
    """(status, JSON)"""
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode(),
                                     headers={"content-type": "application/json", "x-netscope": "1",
                                              **({"authorization": f"Bearer {token}"} if token else {})})
    try:
        with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


class Place(Collector):
    """A collector with tokens and an audit file."""

    def __init__(self, folder, **environment):
        os.makedirs(folder)
        tokens = os.path.join(folder, "tokens")
        with open(tokens, "w", encoding="utf-8") as out:
            out.write(TOKENS)
        os.chmod(tokens, 0o600)
        self.audit = os.path.join(folder, "audit.log")
        super().__init__(folder, arguments=["-v"], environment={
            "NETSCOPE_COLLECTOR_GRPC__TOKEN_FILE": tokens, "NETSCOPE_COLLECTOR_SECURITY__AUDIT_FILE": self.audit,
            "NETSCOPE_COLLECTOR_INGEST__HEARTBEAT": "1s", **environment})

    def rest(self, path, body=None, token=OPERATOR):
        return call(f"http://127.0.0.1:{self.http}{path}", body, token)

    def set(self, yaml, *sensors, **more):
        body = {"yaml": yaml, "sensor_selector": {"sensor_ids": sensors}, **more}
        status, answer = self.rest("/v1/fleet/config:set", body)
        assert status == 200, answer
        return answer["desired_config"]["config_id"]

    def clear(self, config_id):
        return self.rest("/v1/fleet/config:clear", {"config_id": config_id})

    def status(self):
        status, answer = self.rest("/v1/fleet/config")
        assert status == 200, answer
        return answer

    def states(self):
        return {row["sensor_id"]: row["state"].removeprefix("CONFIG_STATE_")
                for row in self.status().get("sensors", [])}

    def row(self, sensor):
        return next(row for row in self.status()["sensors"] if row["sensor_id"] == sensor)

    def until(self, seconds=30, **wanted):
        """Until the sensors stand so; `web_1` is sensor web-1."""
        wanted = {name.replace("_", "-"): state for name, state in wanted.items()}

        def is_so():
            states = self.states()
            return all(states.get(name) == state for name, state in wanted.items())
        try:
            wait_until(f"{wanted}", is_so, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(self.status(), indent=1)}\n{self.program.text()[-3000:]}") from None

    def stage(self, config_id):
        return next(row["stage"].removeprefix("ROLLOUT_STAGE_") for row in self.status()["desired_configs"]
                    if row["config_id"] == config_id)

    def audits(self):
        with open(self.audit, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


class Sensor:
    """netscope-sensor on paced traffic; its settings are asked for by REST."""

    def __init__(self, name, folder, capture, port, settings="", **collector):
        self.http, self.audit = f"http://127.0.0.1:{free_port()}", os.path.join(folder, f"{name}.audit")
        self.file, self.tokens = os.path.join(folder, f"{name}.yaml"), os.path.join(folder, f"{name}.tokens")
        self.name, self.capture, self.state = name, capture, os.path.join(folder, f"{name}.state")
        os.makedirs(self.state)
        collector = {"address": f"127.0.0.1:{port}", "apply_config": "run", "apply_hold": "500ms",
                     "apply_timeout": "15s", "backoff_max": "500ms", **collector}
        with open(self.tokens, "w", encoding="utf-8") as out:
            out.write(f"ops flows,config {OPERATOR}\n")
        os.chmod(self.tokens, 0o600)
        with open(self.file, "w", encoding="utf-8") as out:
            out.write("collector:\n" + "".join(f"  {key}: {value}\n" for key, value in collector.items()) + settings)
        self.start()

    def start(self):
        self.launch()
        wait_until("the sensor", lambda: answers(f"{self.http}/healthz"))

    def launch(self):
        self.program = Program(SENSOR, "--config", self.file, "--read-pcap", self.capture, "--pace", "--loop", "--quiet",
                               "-v", environment={
                                   "NETSCOPE_SENSOR__ID": self.name, "NETSCOPE_SPOOL__DIRECTORY": "memory",
                                   "NETSCOPE_SENSOR__STATE_DIRECTORY": self.state,
                                   "NETSCOPE_HTTP__PORT": self.http.rsplit(":", 1)[1],
                                   "NETSCOPE_GRPC__LISTEN": f"127.0.0.1:{free_port()}",
                                   "NETSCOPE_GRPC__TOKEN_FILE": self.tokens,
                                   "NETSCOPE_SECURITY__AUDIT_FILE": self.audit})

    def kept(self):
        return sorted(name for name in os.listdir(self.state) if name.startswith("collector-offer"))

    def setting(self, key):
        return next(line.split(": ")[1].split("#")[0].strip() for line in self.config()["yaml"].splitlines()
                    if line.strip().startswith(f"{key}:"))

    def config(self):
        status, answer = call(f"{self.http}/v1/config")
        assert status == 200, answer
        return answer

    def idle(self):
        return self.setting("idle_timeout")

    def changes(self):
        page = metrics(f"{self.http}/metrics")
        return {result: page[f'netscope_config_changes_total{{result="{result}"}}']
                for result in ("applied", "confirmed", "rolled_back", "refused")}

    def audits(self):
        with open(self.audit, encoding="utf-8") as lines:
            return [(row["who"], row["result"], row["detail"]) for row in map(json.loads, lines)
                    if row["what"] == "ConfigOffer"]

    def close(self):
        self.program.__exit__()


class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="netscope-")
        cls.addClassCleanup(cls.shared.cleanup)
        cls.capture, _ = make_traffic(cls.shared.name, "mix", packets=20_000)

    def setUp(self):
        self.work = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(self.work.cleanup)
        self.place = Place(os.path.join(self.work.name, "collector"))
        self.addCleanup(self.place.close)

    def sensor(self, name, **settings):
        sensor = Sensor(name, self.work.name, self.capture, self.place.ingest, **settings)
        self.addCleanup(sensor.close)
        wait_until("it is connected", lambda: self.place.sensors().get(name, {}).get("state") == "LIVE")
        return sensor

    def test_a_good_change_is_in_force_at_two_sensors_and_gone_when_it_is_cleared(self):
        sensors = [self.sensor("web-1"), self.sensor("web-2"), self.sensor("db-1")]
        before = [sensor.config()["config_hash"] for sensor in sensors]
        config_id = self.place.set(GOOD, "web-*")
        self.place.until(web_1="APPLIED", web_2="APPLIED", db_1="UNSET")
        self.assertEqual([sensor.idle() for sensor in sensors], ["31s", "31s", "1m"])
        for sensor, was in zip(sensors[:2], before):
            row = self.place.row(sensor.name)
            self.assertEqual((row["config_id"], row["effective_hash"]), (config_id, sensor.config()["config_hash"]))
            self.assertNotEqual(row["effective_hash"], was)
            self.assertEqual(sensor.changes(), {"applied": 1, "confirmed": 1, "rolled_back": 0, "refused": 0})
            self.assertEqual([(who, result) for who, result, _ in sensor.audits()],
                             [("collector", "on trial"), ("collector", "confirmed")])
        self.assertEqual(self.place.clear(config_id)[0], 200)
        self.place.until(web_1="UNSET", web_2="UNSET")
        wait_until("their own settings", lambda: [sensor.idle() for sensor in sensors] == ["1m", "1m", "1m"])
        self.assertEqual([sensor.config()["config_hash"] for sensor in sensors], before)
        lines = [(line["who"], line["what"].rsplit("/", 1)[1], line["result"]) for line in self.place.audits()]
        self.assertEqual([line for line in lines if "DesiredConfig" in line[1]],
                         [("ops", "SetDesiredConfig", "ok"), ("ops", "ClearDesiredConfig", "ok")])

    def test_what_is_wrong_or_locked_changes_nothing_and_tells_its_line(self):
        sensor = self.sensor("web-1")
        before = sensor.config()
        for yaml, path, line in (
                ("log:\n  level: warn\ncapture:\n  filter: tcp prot 80\n", "capture.filter", 4),
                ("flow:\n  idle_timeout: soon\n", "flow.idle_timeout", 2),
                ("flow:\n\n  idle_timout: 3s\n", "flow.idle_timeout", 3),
                ("flow:\n  idle_timeout: 9s\ngrpc:\n  streams_max: 1\n", "grpc.streams_max", 4),
                ("collector:\n  locked_keys: [grpc]\n", "collector.locked_keys", 2),
                ("output:\n  flows_jsonl: /tmp/x.jsonl\n", "output.flows_jsonl", 2)):
            with self.subTest(yaml):
                config_id = self.place.set(yaml)
                self.place.until(web_1="FAILED")
                row = self.place.row("web-1")
                self.assertEqual((row["config_id"], row.get("path", ""), row["line"]), (config_id, path, line), row)
                self.assertEqual(self.place.stage(config_id), "STOPPED")
                self.assertEqual(sensor.config(), before)
                self.place.clear(config_id)
                self.place.until(web_1="UNSET")
        self.assertIn("locked", [row for row in sensor.audits() if row[1] == "refused"][-1][2])

    def test_a_sensor_takes_nothing_until_its_own_file_allows_it(self):
        sensor = self.sensor("web-1", apply_config="off")
        self.place.set(GOOD)
        self.place.until(web_1="FAILED")
        self.assertIn("collector.apply_config is off", self.place.row("web-1")["reason"])
        shown = self.place.sensors()["web-1"]["desired_config"]
        self.assertEqual((shown["state"], shown["path"], shown["line"]), ("FAILED", "", 0))
        figures = metrics(f"http://127.0.0.1:{self.place.http}/metrics")
        self.assertEqual(figures["netscope_collector_desired_configs"], 1)
        self.assertEqual([figures[f'netscope_collector_rollouts{{stage="{stage}"}}'] for stage in ("canary", "all", "stopped")],
                         [0, 0, 1])
        self.assertEqual(figures['netscope_collector_desired_config_sensors{state="failed"}'], 1)
        self.assertEqual(sensor.idle(), "1m")

    def test_what_needs_a_restart_is_named(self):
        sensor = self.sensor("web-1")
        self.place.set("flow:\n  idle_timeout: 31s\n  max_flows: 4096\n")
        self.place.until(web_1="NEEDS_RESTART")
        self.assertEqual(self.place.row("web-1")["needs_restart"], ["flow.max_flows"])
        self.assertEqual(sensor.idle(), "31s")

    def test_what_is_kept_is_in_force_from_the_next_start_on_until_it_is_cleared(self):
        sensor = self.sensor("web-1", apply_config="file")
        config_id = self.place.set("flow:\n  idle_timeout: 31s\n  max_flows: 4096\n")
        self.place.until(web_1="NEEDS_RESTART")
        self.assertIn("next start", self.place.row("web-1")["reason"])
        self.assertEqual((sensor.kept(), sensor.setting("max_flows")), (["collector-offer"], "1048576"))
        sensor.program.stop()
        sensor.start()
        self.place.until(web_1="APPLIED")
        self.assertEqual((sensor.kept(), sensor.idle(), sensor.setting("max_flows")), (["collector-offer"], "31s", "4096"))
        # Also without a collector, and after a kill.
        self.place.program.stop()
        sensor.program.stop(signal.SIGKILL)
        sensor.start()
        self.assertEqual((sensor.kept(), sensor.idle(), sensor.setting("max_flows")),
                         (["collector-offer.tried"], "31s", "4096"))
        self.place.start()
        self.place.until(web_1="APPLIED")
        wait_until("it is proved", lambda: sensor.kept() == ["collector-offer"])
        self.place.clear(config_id)
        wait_until("its own settings", lambda: sensor.idle() == "1m" and not sensor.kept())
        sensor.program.stop()
        sensor.start()
        self.assertEqual(sensor.setting("max_flows"), "1048576")

    def test_a_start_that_kept_settings_end_is_the_only_one(self):
        sensor = self.sensor("web-1", apply_config="file", locked_keys="[grpc]")
        self.place.set("output:\n  flows_jsonl: /nowhere/flows.jsonl\n")
        self.place.until(web_1="NEEDS_RESTART")
        sensor.program.stop()
        sensor.launch()
        self.assertNotEqual(sensor.program.process.wait(timeout=60), 0)
        self.assertIn("/nowhere/flows.jsonl", sensor.program.text())
        sensor.start()
        self.assertIn("this one is with the sensor's own", sensor.program.text())
        self.assertEqual(sensor.setting("flows_jsonl"), '""')

    def test_a_sensor_that_loses_the_collector_goes_back_and_says_so(self):
        sensor = self.sensor("web-1", apply_hold="3s", apply_timeout="4s")
        before = sensor.config()["config_hash"]
        config_id = self.place.set(GOOD)
        self.place.until(web_1="APPLYING")
        self.assertEqual(sensor.idle(), "31s")
        self.place.program.stop(signal.SIGKILL)
        wait_until("it has gone back", lambda: sensor.idle() == "1m")
        self.assertEqual(sensor.config()["config_hash"], before)
        self.assertEqual(sensor.changes()["rolled_back"], 1)
        self.place.start()
        self.place.until(web_1="ROLLED_BACK")
        row = self.place.row("web-1")
        self.assertEqual((row["config_id"], row["effective_hash"]), (config_id, before))
        self.assertIn("did not hold", row["reason"])
        self.assertEqual(self.place.stage(config_id), "STOPPED")
        self.assertEqual([result for _, result, _ in sensor.audits()], ["on trial", "rolled back"])
        # The same is not tried again, what is wanted anew is.
        self.place.set(GOOD)
        self.place.until(web_1="APPLIED")

    def test_a_process_that_ends_on_trial_is_not_offered_the_same_again(self):
        sensor = self.sensor("web-1", apply_hold="10s")
        config_id = self.place.set(GOOD)
        self.place.until(web_1="APPLYING")
        sensor.program.stop(signal.SIGKILL)
        sensor.start()
        self.place.until(web_1="ROLLED_BACK")
        self.assertIn("began anew", self.place.row("web-1")["reason"])
        self.assertEqual((self.place.stage(config_id), sensor.idle()), ("STOPPED", "1m"))

    def test_the_rest_follows_when_the_first_have_held(self):
        sensors = [self.sensor(name) for name in ("web-1", "web-2", "web-3")]
        config_id = self.place.set(GOOD, canary=1, hold_time="3600s")
        self.place.until(web_1="APPLIED", web_2="PENDING", web_3="PENDING")
        self.assertEqual([row.get("is_canary", False) for row in self.place.status()["sensors"]], [True, False, False])
        # The collector ends in no order, and goes on where it was.
        self.place.program.stop(signal.SIGKILL)
        self.place.start()
        wait_until("all are back", lambda: all(row.get("connected") for row in self.place.status()["sensors"]))
        self.place.until(web_1="APPLIED", web_2="PENDING", web_3="PENDING")
        self.assertEqual((self.place.stage(config_id), sensors[1].idle()), ("CANARY", "1m"))
        self.assertIn("have not held", self.place.row("web-2")["reason"])
        # Wanted anew with a short time: the same sensor first, then the others.
        config_id = self.place.set(GOOD, canary=1, hold_time="1s")
        self.place.until(web_1="APPLIED", web_2="APPLIED", web_3="APPLIED")
        self.assertEqual((self.place.stage(config_id), [sensor.idle() for sensor in sensors]), ("ALL", ["31s"] * 3))
        # Who comes later gets it at once; who is started anew gets it again.
        late = self.sensor("web-4")
        sensors[0].program.stop()
        sensors[0].start()
        self.place.until(web_1="APPLIED", web_4="APPLIED")
        wait_until("both have it", lambda: (late.idle(), sensors[0].idle()) == ("31s", "31s"))

    def test_a_failure_of_the_first_stops_it(self):
        first, second = self.sensor("web-1", locked_keys="[flow]"), self.sensor("web-2")
        config_id = self.place.set(GOOD, canary=1, hold_time="0s")
        self.place.until(web_1="FAILED", web_2="PENDING")
        wanted = next(row for row in self.place.status()["desired_configs"] if row["config_id"] == config_id)
        self.assertEqual(wanted["stage"], "ROLLOUT_STAGE_STOPPED")
        self.assertIn("web-1", wanted["stop_reason"])
        self.assertIn("stopped", self.place.row("web-2")["reason"])
        self.assertEqual([first.idle(), second.idle()], ["1m", "1m"])

    def wanted(self, config_id):
        return next(row for row in self.place.status()["desired_configs"] if row["config_id"] == config_id)

    def until_stopped(self, config_id):
        wait_until("the roll-out has stopped", lambda: self.place.stage(config_id) == "STOPPED")
        return self.wanted(config_id)["stop_reason"]

    def test_one_of_the_first_that_is_killed_and_never_returns_ends_it_by_its_time(self):
        first, second = self.sensor("web-1", apply_hold="60s", apply_timeout="120s"), self.sensor("web-2")
        config_id = self.place.set(GOOD, canary=1, hold_time="0s", answer_timeout="8s")
        self.place.until(web_1="APPLYING", web_2="PENDING")
        first.program.stop(signal.SIGKILL)
        # The collector ends in no order, and goes on waiting.
        self.place.program.stop(signal.SIGKILL)
        self.place.start()
        self.assertEqual(self.wanted(config_id)["answer_timeout"], "8s")
        self.assertEqual(self.until_stopped(config_id), "sensor web-1 is missing: it has not come back within 8 s")
        self.place.until(web_1="FAILED", web_2="PENDING")
        self.assertEqual(self.place.row("web-1")["reason"], "it has not come back within 8 s")
        self.assertEqual((self.place.row("web-2")["reason"], second.idle()), ("the roll-out has stopped", "1m"))
        # It is not offered the same again when it comes.
        first.start()
        wait_until("it is back", lambda: self.place.row("web-1").get("connected"))
        self.place.until(web_1="FAILED")
        self.assertEqual(first.idle(), "1m")

    def test_one_of_the_first_that_has_it_and_goes_for_good_ends_it_too(self):
        first, second = self.sensor("web-1"), self.sensor("web-2")
        config_id = self.place.set(GOOD, canary=1, hold_time="3600s", answer_timeout="3s")
        self.place.until(web_1="APPLIED", web_2="PENDING")
        first.program.stop(signal.SIGKILL)
        self.assertEqual(self.until_stopped(config_id), "sensor web-1 is missing: it has not come back within 3 s")
        self.place.until(web_1="APPLIED", web_2="PENDING")  # what it said last
        self.assertEqual(second.idle(), "1m")

    def label(self, sensor, token=OPERATOR, **labels):
        return self.place.rest(f"/v1/fleet/sensors/{sensor}:update", {"labels": labels}, token)

    def labels(self, sensor):
        status, answer = self.place.rest(f"/v1/fleet/sensors/{sensor}")
        self.assertEqual(status, 200, answer)
        return answer["sensor"].get("labels", {}), answer["sensor"].get("set_labels", {})

    def test_labels_say_who_gets_it_and_who_first(self):
        said = lambda **labels: "sensor:\n  labels:\n" + "".join(f"    {key}: {text}\n" for key, text in labels.items())
        core = self.sensor("web-1", settings=said(role="core", site="berlin"))
        first = self.sensor("web-2", settings=said(role="edge", stage="test"))
        rest = self.sensor("web-3", settings=said(role="edge"))
        plain = self.sensor("db-1")
        self.assertEqual(self.labels("web-1"), ({"role": "core", "site": "berlin"}, {}))
        self.assertEqual(self.place.sensors()["web-2"]["labels"], {"role": "edge", "stage": "test"})
        wanted = {"yaml": GOOD, "sensor_selector": {"labels": "role=edge"}, "canary_selector": {"labels": "stage=test"}}
        status, seen = self.place.rest("/v1/fleet/config:set", {**wanted, "dry_run": True})
        self.assertEqual((status, seen["sensor_ids"], seen["canary_sensor_ids"]), (200, ["web-2", "web-3"], ["web-2"]))
        status, answer = self.place.rest("/v1/fleet/config:set", {**wanted, "hold_time": "3600s"})
        self.assertEqual(status, 200, answer)
        self.place.until(web_2="APPLIED", web_3="PENDING", web_1="UNSET", db_1="UNSET")
        self.assertEqual([row["sensor_id"] for row in self.place.status()["sensors"] if row.get("is_canary")], ["web-2"])
        kept = self.place.status()["desired_configs"][0]
        self.assertEqual((kept["sensor_selector"], kept["canary_selector"]), ({"labels": "role=edge"}, {"labels": "stage=test"}))
        # A label that is set here stands over the sensor's own, and counts at once.
        status, answer = self.label("web-1", role="edge", stage="test")
        self.assertEqual((status, answer["sensor"]["labels"], answer["sensor"]["set_labels"]), (
            200, {"role": "edge", "site": "berlin", "stage": "test"}, {"role": "edge", "stage": "test"}))
        self.place.until(web_1="APPLIED", web_2="APPLIED", web_3="PENDING")
        self.assertEqual([sensor.idle() for sensor in (core, first, rest, plain)], ["31s", "31s", "1m", "1m"])
        self.place.program.stop(signal.SIGKILL)
        rest.program.stop()
        self.place.start()
        self.assertEqual(self.labels("web-1")[1], {"role": "edge", "stage": "test"})
        self.assertEqual(self.labels("web-3"), ({"role": "edge"}, {}))  # of a sensor that is away
        rest.start()
        status, answer = self.place.rest("/v1/fleet/config:set", {**wanted, "hold_time": "1s"})
        self.assertEqual(status, 200, answer)
        self.place.until(web_1="APPLIED", web_2="APPLIED", web_3="APPLIED", db_1="UNSET")
        self.assertEqual(self.label("web-1")[0], 200)
        self.place.until(web_1="UNSET", web_2="APPLIED", web_3="APPLIED")
        wait_until("its own settings", lambda: core.idle() == "1m")
        lines = [line for line in self.place.audits() if line["what"].endswith("/UpdateSensor")]
        self.assertEqual([(line["who"], line["result"]) for line in lines], [("ops", "ok")] * 2)
        self.assertIn("sensor=web-1 labels=role=edge,stage=test", lines[0]["detail"])

    def test_the_first_are_those_that_are_named(self):
        sensors = [self.sensor(name) for name in ("web-1", "web-2")]
        config_id = self.place.set(GOOD, canary_selector={"sensor_ids": ["web-2"]}, hold_time="3600s")
        self.place.until(web_1="PENDING", web_2="APPLIED")
        self.assertEqual([sensor.idle() for sensor in sensors], ["1m", "31s"])
        # Named, known and away: it is waited for, and not without end.
        sensors[1].program.stop()
        config_id = self.place.set(GOOD, canary_selector={"sensor_ids": ["web-2"]}, answer_timeout="3s")
        self.assertEqual(self.until_stopped(config_id), "sensor web-2 is missing: it has not come back within 3 s")
        # Nobody is of that name.
        config_id = self.place.set(GOOD, canary_selector={"sensor_ids": ["web-9"]}, answer_timeout="2s")
        self.assertEqual(self.until_stopped(config_id), "no sensor that canary_selector names has come within 2 s")
        self.assertEqual(sensors[0].idle(), "1m")

    def test_what_is_no_label_is_refused(self):
        self.sensor("web-1")
        bad = {"labels": "role>edge"}
        for answer, status, reason in (
                (self.label("web-1", **{"a b": "c"}), 400, "BAD_LABELS"),
                (self.label("web-1", a="b,c"), 400, "BAD_LABELS"),
                (self.label("web-1", **{f"k{n}": "" for n in range(17)}), 400, "OUT_OF_BOUNDS"),
                (self.label("web-9", a="b"), 404, "NO_SUCH_SENSOR"),
                (self.label("web-1", READER, a="b"), 403, "PERMISSION_DENIED"),
                (self.label("web-1", "", a="b"), 401, "UNAUTHENTICATED"),
                (self.place.rest("/v1/fleet/config:set", {"yaml": GOOD, "sensor_selector": bad}), 400, "BAD_LABELS"),
                (self.place.rest("/v1/fleet/config:set", {"yaml": GOOD, "canary_selector": bad}), 400, "BAD_LABELS"),
                (self.place.rest("/v1/fleet/sensors?sensor_selector.labels=a,,b"), 400, "BAD_LABELS")):
            self.assertEqual((answer[0], answer[1].get("reason")), (status, reason), answer)
        self.assertEqual(self.labels("web-1"), ({}, {}))

    def test_who_may_and_what_is_refused(self):
        self.sensor("web-1")
        refused = [
            (self.place.rest("/v1/fleet/config:set", {"yaml": GOOD}, READER), 403, "PERMISSION_DENIED"),
            (self.place.rest("/v1/fleet/config", token=READER), 403, "PERMISSION_DENIED"),
            (self.place.rest("/v1/fleet/config", token=""), 401, "UNAUTHENTICATED"),
            (self.place.rest("/v1/fleet/config:set", {"yaml": ""}), 400, "BAD_CONFIG"),
            (self.place.rest("/v1/fleet/config:set", {"yaml": "flow: ["}), 400, "BAD_CONFIG"),
            (self.place.rest("/v1/fleet/config:set", {"yaml": "- a\n"}), 400, "BAD_CONFIG"),
            (self.place.rest("/v1/fleet/config:set", {"yaml": "a: " + 70_000 * "b"}), 400, "BAD_CONFIG"),
            (self.place.rest("/v1/fleet/config:set", {"yaml": GOOD, "hold_time": "90000s"}), 400, "OUT_OF_BOUNDS"),
            (self.place.rest("/v1/fleet/config:set", {"yaml": GOOD, "answer_timeout": "604801s"}), 400, "OUT_OF_BOUNDS"),
            (self.place.rest("/v1/fleet/config:set", {"yaml": GOOD, "answer_timeout": "-1s"}), 400, "OUT_OF_BOUNDS"),
            (self.place.clear("x"), 400, "BAD_ID"), (self.place.clear(32 * "0"), 404, "NO_SUCH_CONFIG")]
        for answer, status, reason in refused:
            self.assertEqual((answer[0], answer[1].get("reason")), (status, reason), answer)
        # A look changes nothing.
        status, seen = self.place.rest("/v1/fleet/config:set", {"yaml": GOOD, "dry_run": True})
        self.assertEqual((status, seen["sensor_ids"], seen["sensors"]), (200, ["web-1"], 1))
        self.assertNotIn("desired_configs", self.place.status())
        for _ in range(16):
            self.place.set(GOOD, "nobody")
        answer = self.place.rest("/v1/fleet/config:set", {"yaml": GOOD})
        self.assertEqual((answer[0], answer[1]["reason"]), (429, "TOO_MANY"))

    def test_without_tokens_nobody_may_on_tcp(self):
        place = Place(os.path.join(self.work.name, "open"), NETSCOPE_COLLECTOR_GRPC__TOKEN_FILE="")
        self.addCleanup(place.close)
        for path, body in (("config", None), ("config:set", {"yaml": GOOD}), ("config:clear", {"config_id": 32 * "0"})):
            answer = place.rest(f"/v1/fleet/{path}", body, token="")
            self.assertEqual((answer[0], answer[1].get("reason")), (403, "PERMISSION_DENIED"), answer)

    def test_by_grpc(self):
        try:
            import grpc
            from support.grpc_client import Client
        except ImportError as error:
            self.skipTest(f"{error}: python3-grpcio and python3-protobuf are needed")
        sensor = self.sensor("web-1")
        client = Client(self.place.ingest, OPERATOR)
        wanted = client.ask("FleetService/SetDesiredConfig", {"yaml": GOOD, "sensor_selector": {"sensor_ids": ["web-*"]}})
        config_id = wanted["desired_config"]["config_id"]
        self.assertEqual(wanted["sensor_ids"], ["web-1"])
        self.place.until(web_1="APPLIED")
        client.ask("FleetService/UpdateSensor", {"sensor_id": "web-1", "labels": {"role": "edge"}})
        watch = client.stream("FleetService/WatchSensors")
        news = (client.plain(answer)["sensor"] for answer in watch if answer.HasField("sensor"))
        self.assertEqual(next(news)["labels"], {"role": "edge"})
        client.ask("FleetService/UpdateSensor", {"sensor_id": "web-1", "labels": {"role": "edge", "site": "x"}})
        told = next(sensor for sensor in news if "site" in sensor["labels"])
        self.assertEqual(told["set_labels"], {"role": "edge", "site": "x"})
        watch.cancel()
        for labels, ids in (("role=edge", ["web-1"]), ("role!=edge", []), ("role in (core,edge),!old", ["web-1"])):
            seen = client.ask("FleetService/ListSensors", {"sensor_selector": {"labels": labels}})
            self.assertEqual([row["sensor_id"] for row in seen.get("sensors", [])], ids, labels)
            self.assertEqual(seen["coverage"].get("sensors_asked", 0), len(ids))
        seen = client.ask("FleetService/GetConfigStatus", {"states": ["CONFIG_STATE_APPLIED"]})
        self.assertEqual([(row["sensor_id"], row["config_id"]) for row in seen["sensors"]], [("web-1", config_id)])
        self.assertEqual(client.ask("FleetService/ClearDesiredConfig", {"config_id": config_id})["desired_config"]["yaml"], GOOD)
        wait_until("its own settings", lambda: sensor.idle() == "1m")
        with self.assertRaises(grpc.RpcError) as refused:
            Client(self.place.ingest, READER).ask("FleetService/GetConfigStatus")
        self.assertEqual(refused.exception.code(), grpc.StatusCode.PERMISSION_DENIED)


if __name__ == "__main__":
    main()
