"""Credentials that count no more: of a sensor, of a group, and tokens that are taken out of the file. The stream ends at
once, nobody with them is let in again, not after a restart either; others stay, and what is enrolled afterwards counts.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from fleet import Collector
from support.programs import BIN, COLLECTOR, PATIENCE, SENSOR, Program, main, make_traffic, run, wait_until

CTL = os.path.join(BIN, "netscopectl")
OPERATOR, READER = "operator-0123456789abcdef", "reader-0123456789abcdef"


def secret(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, 0o600)
    return path


class Place:
    """A collector with tokens for its API, and sensors by certificate."""

    def __init__(self, folder):
        self.folder = folder
        self.certs = os.path.join(folder, "certs")
        for name in ("edge-1", "edge-2", "node-*", "desk"):
            self.enroll(name)
        tokens = secret(os.path.join(folder, "api-tokens"), f"ops flows,config {OPERATOR}\nreader flows {READER}\n")
        self.audit = os.path.join(folder, "audit.log")
        self.ops = secret(os.path.join(folder, "ops"), OPERATOR)
        self.reader = secret(os.path.join(folder, "reader"), READER)
        self.pcap, _ = make_traffic(folder, "mix", packets=2000, flows=100)
        self.collector = Collector(folder, environment={
            "NETSCOPE_COLLECTOR_INGEST__TLS_CERTIFICATE": f"{self.certs}/collector.pem",
            "NETSCOPE_COLLECTOR_INGEST__TLS_KEY": f"{self.certs}/collector.key",
            "NETSCOPE_COLLECTOR_INGEST__TLS_CLIENT_CA": f"{self.certs}/ca.pem",
            "NETSCOPE_COLLECTOR_INGEST__HEARTBEAT": "1s", "NETSCOPE_COLLECTOR_GRPC__TOKEN_FILE": tokens,
            "NETSCOPE_COLLECTOR_SECURITY__AUDIT_FILE": self.audit})
        self.started = []

    def enroll(self, name):
        done = subprocess.run([COLLECTOR, "enroll", name, "--dir", self.certs, "--host", "127.0.0.1"],
                              capture_output=True, text=True, timeout=60 * PATIENCE)
        assert done.returncode == 0, done.stderr

    def sensor(self, name, pair):
        environment = {"NETSCOPE_COLLECTOR__ADDRESS": f"127.0.0.1:{self.collector.ingest}",
                       "NETSCOPE_COLLECTOR__CA": f"{self.certs}/ca.pem",
                       "NETSCOPE_COLLECTOR__CERTIFICATE": f"{self.certs}/{pair}.pem",
                       "NETSCOPE_COLLECTOR__KEY": f"{self.certs}/{pair}.key",
                       "NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}
        one = Program(SENSOR, "--read-pcap", self.pcap, "--quiet", "--sensor-id", name, "--pace", "--loop",
                      environment=environment)
        self.started.append(one)
        return one

    def ctl(self, *arguments, token=None):
        return run(CTL, *arguments, "-s", f"127.0.0.1:{self.collector.ingest}", "--tls-ca",
                   f"{self.certs}/ca.pem", "--tls-cert", f"{self.certs}/desk.pem", "--tls-key", f"{self.certs}/desk.key",
                   "--token-file", token or self.ops, environment={"HOME": "/nonexistent", "XDG_CONFIG_HOME": ""})

    def states(self):
        done = self.ctl("sensors", "-o", "json")
        assert done.returncode == 0, done.stderr
        return {one["sensor_id"]: one["state"].removeprefix("SENSOR_STATE_") for one in json.loads(done.stdout)}

    def until(self, **wanted):
        wanted = {name.replace("_", "-"): state for name, state in wanted.items()}
        wait_until(str(wanted), lambda: wanted.items() <= self.states().items())

    def close(self):
        for one in self.started:
            one.stop()
            one.__exit__()
        self.collector.close()


class Certificates(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="netscope-revoke-")
        self.addCleanup(folder.cleanup)
        self.place = Place(folder.name)
        self.addCleanup(self.place.close)

    def good(self, *arguments):
        done = self.place.ctl(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, sensor):
        wait_until("a refusal", lambda: "were revoked" in sensor.text())

    def test_a_stolen_certificate_is_worth_nothing_and_a_new_one_is(self):
        place = self.place
        stolen, other = place.sensor("edge-1", "edge-1"), place.sensor("edge-2", "edge-2")
        place.until(edge_1="LIVE", edge_2="LIVE")
        done = self.good("sensors", "revoke", "edge-1", "--reason", "stolen with the machine")
        self.assertIn("credentials of edge-1 count no more: 1 streams were ended", done.stderr)
        place.until(edge_1="OFFLINE", edge_2="LIVE")
        self.refused(stolen)
        self.assertRegex(self.good("sensors").stdout, r"(?m)^edge-1 +revoked ")
        self.assertRegex(self.good("sensors", "revoke").stdout, r"\nedge-1 +\S+Z +ops +stolen with the machine\n$")
        shown = place.collector.sensors()
        self.assertEqual((shown["edge-1"]["revocation"]["revoked_by"], shown["edge-1"]["revocation"]["reason"]),
                         ("ops", "stolen with the machine"))
        self.assertIsNone(shown["edge-2"]["revocation"])
        with open(place.audit, encoding="utf-8") as lines:
            self.assertTrue(any("RevokeSensor" in line and '"ops"' in line and "sensor=edge-1" in line for line in lines))
        # The one that was revoked is known as that after a restart; another process with its files is not let in.
        stolen.stop()
        place.collector.program.stop()
        place.collector.close()
        place.collector.start()
        again = place.sensor("edge-1", "edge-1")
        self.refused(again)
        place.until(edge_2="LIVE")
        self.assertTrue(other.is_running())
        again.stop()
        # What is made afterwards counts; certificates count in whole seconds.
        time.sleep(1.1)
        for end in ("pem", "key"):
            os.remove(f"{place.certs}/edge-1.{end}")
        place.enroll("edge-1")
        place.sensor("edge-1", "edge-1")
        place.until(edge_1="LIVE", edge_2="LIVE")

    def test_a_group_is_revoked_by_the_name_of_its_certificate(self):
        place = self.place
        member, other = place.sensor("node-7", "node"), place.sensor("edge-2", "edge-2")
        place.until(node_7="LIVE", edge_2="LIVE")
        # The name of one member alone: the certificate is good for others still.
        self.assertIn("1 streams", self.good("sensors", "revoke", "node-7", "--reason", "this one alone").stderr)
        self.refused(member)
        place.sensor("node-8", "node")
        place.until(node_8="LIVE", node_7="OFFLINE")
        self.assertIn("1 streams", self.good("sensors", "revoke", "node-*", "--reason", "leaked").stderr)
        place.until(node_8="OFFLINE", edge_2="LIVE")
        self.refused(place.sensor("node-9", "node"))
        self.assertIn("node-* count again", self.good("sensors", "revoke", "node-*", "--undo").stderr)
        place.sensor("node-10", "node")
        place.until(node_10="LIVE", edge_2="LIVE")
        self.assertTrue(other.is_running())

    def test_a_stream_ends_with_the_token_that_it_began_with(self):
        place = self.place
        place.sensor("edge-2", "edge-2")
        place.until(edge_2="LIVE")
        flags = ("-s", f"127.0.0.1:{place.collector.ingest}", "--tls-ca", f"{place.certs}/ca.pem", "--tls-cert",
                 f"{place.certs}/desk.pem", "--tls-key", f"{place.certs}/desk.key", "--token-file")
        with Program(CTL, "observe", "--follow", *flags, place.reader, environment={"HOME": "/nonexistent"}) as gone, \
                Program(CTL, "observe", "--follow", *flags, place.ops, environment={"HOME": "/nonexistent"}) as stays:
            wait_until("records", lambda: "@edge-2" in gone.text() and "@edge-2" in stays.text())
            secret(os.path.join(place.folder, "api-tokens"), f"ops flows,config {OPERATOR}\n")
            place.collector.program.process.send_signal(signal.SIGHUP)
            wait_until("the end", lambda: not gone.is_running())
            self.assertIn("grpc.token_file", gone.text())
            before = len(stays.text())
            wait_until("further records", lambda: len(stays.text()) > before)
            self.assertTrue(stays.is_running())
            stays.stop()
        with open(place.audit, encoding="utf-8") as lines:
            self.assertTrue(any("ObserveFlows" in line and '"ended"' in line for line in lines))

    def test_who_may_and_what_is_wrong(self):
        for arguments, status, words in (
                (("edge-1",), 2, "give --reason TEXT, or --undo"), (("--undo",), 2, "name the sensor"),
                (("edge-1", "--undo"), 1, "'edge-1' is not revoked"),
                (("*", "--reason", "all"), 2, "'*' at the end alone"), (("a*b", "--reason", "x"), 2, "'*' at the end alone"),
                (("edge-1", "--reason", "x" * 257), 2, "at most 256 bytes")):
            done = self.place.ctl("sensors", "revoke", *arguments)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(words, done.stderr)
        done = self.place.ctl("sensors", "revoke", "edge-1", "--reason", "x", token=self.place.reader)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("has not the scope 'config'", done.stderr)
        self.assertIn("no sensor of that name is known here", self.good("sensors", "revoke", "edge-l", "--reason", "x").stderr)


class Tokens(unittest.TestCase):
    def test_a_token_that_is_taken_out_of_the_file_ends_its_stream(self):
        with tempfile.TemporaryDirectory(prefix="netscope-revoke-") as folder:
            tokens = {name: secret(os.path.join(folder, name), f"{name}-0123456789abcdef\n") for name in ("edge-1", "edge-2")}
            lines = {name: f"{name} {name}-0123456789abcdef\n" for name in tokens}
            file = secret(os.path.join(folder, "tokens"), "".join(lines.values()))
            pcap, _ = make_traffic(folder, "mix", packets=2000, flows=100)
            api = secret(os.path.join(folder, "api-tokens"), f"ops all {OPERATOR}\n")
            collector = Collector(folder, environment={"NETSCOPE_COLLECTOR_INGEST__TOKENS_FILE": file,
                                                       "NETSCOPE_COLLECTOR_GRPC__TOKEN_FILE": api,
                                                       "NETSCOPE_COLLECTOR_INGEST__HEARTBEAT": "1s"})
            started = [Program(SENSOR, "--read-pcap", pcap, "--quiet", "--sensor-id", name, "--pace", "--loop", environment={
                "NETSCOPE_COLLECTOR__ADDRESS": f"127.0.0.1:{collector.ingest}", "NETSCOPE_COLLECTOR__TOKEN_FILE": path,
                "NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}) for name, path in tokens.items()]
            try:
                self.standing(collector, **{"edge-1": "LIVE", "edge-2": "LIVE"})
                secret(file, lines["edge-2"])
                # What is wrong elsewhere leaves all as it was.
                os.chmod(api, 0o644)
                collector.program.process.send_signal(signal.SIGHUP)
                wait_until("a refusal", lambda: "the new settings are refused" in collector.program.text())
                time.sleep(1)
                self.standing(collector, **{"edge-1": "LIVE", "edge-2": "LIVE"})
                self.assertNotIn("count no more", collector.program.text())
                os.chmod(api, 0o600)
                collector.program.process.send_signal(signal.SIGHUP)
                self.standing(collector, **{"edge-1": "OFFLINE", "edge-2": "LIVE"})
                wait_until("a refusal", lambda: "is not the one that this certificate or token was made for" in started[0].text())
            finally:
                for one in started:
                    one.stop()
                    one.__exit__()
                collector.close()

    def standing(self, collector, **wanted):
        wait_until(str(wanted), lambda: wanted.items() <= {
            name: row["state"] for name, row in collector.sensors().items()}.items())


if __name__ == "__main__":
    main()
