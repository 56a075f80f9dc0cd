"""Settings that a collector pushes to a sensor on a live interface: where packets are lost on trial that were not lost
before, the sensor undoes them by itself, and the collector says why.

Root only (77 else). One namespace with this process' id in its name; what was started is ended by id.
"""
import json
import os
import signal
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end")]
from fleet import Collector
from support.netns import command, inside, wire_for
from support.programs import SENSOR, Program, free_port, main, wait_until

GENERATOR = os.environ.get("NETSCOPE_VETH_GEN", "")
OPERATOR = "operator-0123456789abcdef"
PREFIX = f"nspush{os.getpid()}"
INSIDE = inside(PREFIX)
GOOD = "flow:\n  idle_timeout: 31s\n"


def send(*options):
    return int(command(*INSIDE, GENERATOR, "-i", "gen0", *options))


def curl(port, path, body=None):
    more = [] if body is None else ["-H", "content-type: application/json", "-d", json.dumps(body)]
    return command(*INSIDE, "curl", "-sf", "--max-time", "10", "-H", f"authorization: Bearer {OPERATOR}",
                   "-H", "x-netscope: 1", *more, f"http://127.0.0.1:{port}{path}")


class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.access(GENERATOR, os.X_OK):
            raise unittest.SkipTest("veth_gen is not built")
        wire_for(cls, PREFIX, "curl")

    def setUp(self):
        work = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(work.cleanup)
        self.folder = work.name
        self.tokens = f"{work.name}/tokens"
        with open(self.tokens, "w", encoding="utf-8") as out:
            out.write(f"ops flows,config {OPERATOR}\n")
        os.chmod(self.tokens, 0o600)
        self.place = Collector(work.name, prefix=INSIDE, environment={
            "NETSCOPE_COLLECTOR_GRPC__TOKEN_FILE": self.tokens, "NETSCOPE_COLLECTOR_INGEST__HEARTBEAT": "1s"})
        self.addCleanup(self.place.close)

    def sensor(self, **collector):
        settings = {"address": f"127.0.0.1:{self.place.ingest}", "apply_config": "run", "apply_timeout": "2m",
                    "apply_loss_before": "6s", **collector}
        with open(f"{self.folder}/sensor.yaml", "w", encoding="utf-8") as out:
            out.write("collector:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()))
        self.audit, self.port = f"{self.folder}/audit.log", free_port()
        sensor = Program(SENSOR, "--config", f"{self.folder}/sensor.yaml", "-i", "cap0", "--quiet", "-v",
                         prefix=INSIDE, environment={
                             "NETSCOPE_SENSOR__ID": "edge-1", "NETSCOPE_SPOOL__DIRECTORY": "memory",
                             "NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_CAPTURE__BUFFER_SIZE": "1MiB",
                             "NETSCOPE_HTTP__PORT": str(self.port), "NETSCOPE_GRPC__TOKEN_FILE": self.tokens,
                             "NETSCOPE_GRPC__LISTEN": f"127.0.0.1:{free_port()}",
                             "NETSCOPE_SECURITY__AUDIT_FILE": self.audit})
        self.addCleanup(sensor.__exit__)
        wait_until("it is connected", lambda: self.place.sensors().get("edge-1", {}).get("state") == "LIVE")
        return sensor

    def status(self):
        return json.loads(curl(self.place.http, "/v1/fleet/config"))

    def row(self):
        return next((row for row in self.status()["sensors"] if row["sensor_id"] == "edge-1"), {"state": ""})

    def until(self, state):
        wait_until(f"it is {state}", lambda: self.row()["state"] == f"CONFIG_STATE_{state}", 60)

    def dropped(self):
        ledger = json.loads(curl(self.port, "/v1/ledger"))
        return sum(int(lost.get("count", 0)) for row in ledger["rows"] if row["stage"] == "LEDGER_STAGE_KERNEL"
                   for lost in row.get("lost", []) if lost["reason"] == "ring_full")

    def idle(self):
        text = json.loads(curl(self.port, "/v1/config"))["yaml"]
        return next(line.split(": ")[1].split("#")[0].strip() for line in text.splitlines()
                    if line.strip().startswith("idle_timeout:"))

    def wanted(self):
        return self.status()["desired_configs"][0]

    def lose_packets_on_trial(self, sensor):
        """More than the ring of the kernel has room for, while the sensor stands still."""
        self.assertEqual(self.dropped(), 0)
        curl(self.place.http, "/v1/fleet/config:set", {"yaml": GOOD})
        self.until("APPLYING")
        self.assertEqual(self.idle(), "31s")
        sensor.process.send_signal(signal.SIGSTOP)
        try:
            send("-n", 60000)
        finally:
            sensor.process.send_signal(signal.SIGCONT)
        wait_until("drops are counted", lambda: self.dropped() > 10000)

    def test_more_drops_on_trial_than_before_undo_it_and_stop_the_roll_out(self):
        sensor = self.sensor(apply_hold="30s")
        send("-n", 20000, "-r", 5000)
        self.lose_packets_on_trial(sensor)
        self.until("ROLLED_BACK")
        reason = self.row()["reason"]
        self.assertRegex(reason, r"kernel drops \(ring_full\) [\d.]+% \(\d+ of \d+ packets\), before 0% \(0 of \d+\)")
        self.assertEqual(self.idle(), "1m")
        wanted = self.wanted()
        self.assertEqual(wanted["stage"], "ROLLOUT_STAGE_STOPPED")
        self.assertIn("edge-1 went back: " + reason, wanted["stop_reason"])
        with open(self.audit, encoding="utf-8") as lines:
            audits = [row for row in map(json.loads, lines) if row["what"] == "ConfigOffer"]
        self.assertEqual([row["result"] for row in audits], ["on trial", "rolled back"])
        self.assertIn("ring_full", audits[-1]["detail"])
        self.assertIn("ring_full", sensor.text())

    def test_where_loss_is_not_looked_at_the_settings_stay(self):
        sensor = self.sensor(apply_hold="8s", apply_loss_ratio="0")
        self.lose_packets_on_trial(sensor)
        self.until("APPLIED")
        self.assertEqual((self.idle(), self.wanted()["stage"]), ("31s", "ROLLOUT_STAGE_ALL"))

    def test_fewer_than_the_least_are_noise(self):
        sensor = self.sensor(apply_hold="8s", apply_loss_least="10000000")
        self.lose_packets_on_trial(sensor)
        self.until("APPLIED")
        self.assertEqual(self.idle(), "31s")


if __name__ == "__main__":
    main()
