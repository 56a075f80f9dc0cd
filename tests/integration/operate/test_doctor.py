"""`doctor` of both programs: each thing that may be missing is found and told with what cures it; --healthcheck."""
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.peers import Peers
from support.programs import COLLECTOR, SENSOR, Program, answers, free_port, main, make_traffic, run, wait_until

NOBODY = 65534


def doctor(program, *arguments, environment=None, prefix=()):
    """(exit status, {(check, level): [finding]})."""
    command = [*prefix, program, "doctor", "--format", "json", *arguments]
    done = run(command[0], *command[1:], environment=environment)
    report = json.loads(done.stdout)
    found = {}
    for finding in report["findings"]:
        found.setdefault((finding["check"], finding["level"]), []).append(finding)
    assert (report["status"] == "ok") == (done.returncode == 0), done.stdout
    return done.returncode, found


class Doctor(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(directory.cleanup)
        self.peers = Peers(directory.name)
        self.path = self.peers.path

    def sensor(self, *arguments, **settings):
        environment = {"NETSCOPE_GRPC__LISTEN": "127.0.0.1:0", "NETSCOPE_SENSOR__STATE_DIRECTORY": self.path(""),
                       **{f"NETSCOPE_{key}": str(value) for key, value in settings.items()}}
        return doctor(SENSOR, *(arguments or ("--read-pcap", "-")), environment=environment)

    def assert_found(self, report, check, level, words, cure=None):
        findings = report[1].get((check, level), [])
        text = json.dumps(findings)
        self.assertTrue(any(words in finding["message"] for finding in findings), f"{words}: {report}")
        if cure is not None:
            self.assertIn(cure, text)
        self.assertEqual(report[0], 1 if any(key[1] == "failure" for key in report[1]) else 0)

    def file(self, name, text="secret\n", mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    # ---- the machine ----

    def test_the_capability_is_missed_and_the_command_told(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv")
        program = shutil.copy(SENSOR, self.path("netscope-sensor"))
        os.chmod(self.path(""), 0o755)
        prefix = ["setpriv", "--reuid", str(NOBODY), "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        report = doctor(program, "-i", "lo", prefix=prefix)
        self.assert_found(report, "capability", "failure", "needs CAP_NET_RAW", "setcap cap_net_raw+ep")
        report = doctor(SENSOR, "-i", "lo", environment={"NETSCOPE_GRPC__LISTEN": "127.0.0.1:0"})
        self.assert_found(report, "capability", "ok", "may read packets")

    def test_interfaces_and_offloads(self):
        report = self.sensor("-i", "no-such-if0")
        self.assert_found(report, "interface", "failure", "no such interface", "netscope-sensor -l")
        report = self.sensor("-i", "lo")
        self.assert_found(report, "interface", "ok", "lo is up")
        self.assertTrue([key for key in report[1] if key[0] == "offloads"], report)
        if ("offloads", "warning") in report[1]:  # lo has them, unless somebody turned them off
            self.assert_found(report, "offloads", "warning", "larger and fewer", "ethtool -K lo")

    def test_an_interface_that_is_down(self):
        if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
            self.skipTest("needs a network namespace")
        report = doctor(SENSOR, "-i", "lo", prefix=["unshare", "-n"], environment={"NETSCOPE_GRPC__ENABLED": "off"})
        self.assert_found(report, "interface", "failure", "lo is down", "ip link set lo up")
        report = doctor(SENSOR, prefix=["unshare", "-n"], environment={"NETSCOPE_GRPC__ENABLED": "off"})
        self.assert_found(report, "interface", "failure", "", "capture.interface")

    def test_rings_and_flow_table_against_the_memory(self):
        report = self.sensor(CAPTURE__BUFFER_SIZE="4GiB", PIPELINE__SHARDS=64)
        self.assert_found(report, "memory", "failure", "capture rings", "lower capture.buffer_size")
        report = self.sensor(FLOW__MAX_FLOWS=1000)
        self.assert_found(report, "memory", "ok", "the flow table")

    def test_the_clock_is_looked_at(self):
        self.assertTrue([key for key in self.sensor()[1] if key[0] == "clock"])

    def test_directories(self):
        report = self.sensor(SPOOL__DIRECTORY=self.path("spool"), SPOOL__BYTES="900TiB")
        self.assert_found(report, "directory", "warning", "spool.directory", "lower the size")
        report = doctor(SENSOR, "--read-pcap", "-", environment={"NETSCOPE_GRPC__ENABLED": "off"})
        self.assert_found(report, "directory", "warning", "no state directory", "sensor.state_directory")
        if os.geteuid() == 0 and shutil.which("setpriv") is not None:
            program = shutil.copy(SENSOR, self.path("netscope-sensor"))
            os.chmod(self.path(""), 0o755)
            os.mkdir(self.path("root-only"), 0o700)
            report = doctor(program, "--read-pcap", "-", prefix=["setpriv", "--reuid", str(NOBODY), "--clear-groups"],
                            environment={"NETSCOPE_SENSOR__STATE_DIRECTORY": self.path("root-only"),
                                         "NETSCOPE_GRPC__ENABLED": "off"})
            self.assert_found(report, "directory", "failure", "may not write", "sudo install -d -o 65534")

    # ---- files ----

    def test_secrets_that_others_can_read(self):
        report = self.sensor(GRPC__TOKEN_FILE=self.file("token", mode=0o644))
        self.assert_found(report, "secret", "failure", "mode 0644", f"chmod 600 {self.path('token')}")
        os.chmod(self.path("token"), 0o640)  # the group that root has given it may read it, another owner's may not
        if os.geteuid() == 0:
            self.assert_found(self.sensor(GRPC__TOKEN_FILE=self.path("token")), "secret", "ok", "only its owner and its group")
            os.chown(self.path("token"), NOBODY, NOBODY)
        report = self.sensor(GRPC__TOKEN_FILE=self.path("token"))
        self.assert_found(report, "secret", "failure", "mode 0640", f"chmod 600 {self.path('token')}")
        os.remove(self.path("token"))
        self.assert_found(self.sensor(GRPC__TOKEN_FILE=self.file("token")), "secret", "ok", "only its owner")
        self.assert_found(self.sensor(GRPC__TOKEN_FILE=self.path("none")), "secret", "failure", "No such file")
        self.assert_found(self.sensor(GRPC__TOKEN_FILE=self.file("empty", "")), "secret", "failure", "is empty")

    def test_certificates(self):
        self.peers.authority("ca")
        self.peers.certificate("good", "ca", days=400)
        self.peers.certificate("soon", "ca", days=3)
        self.peers.expired("old", "ca")
        tls = lambda certificate, key: self.sensor(GRPC__TLS_CERTIFICATE=self.path(certificate), GRPC__TLS_KEY=self.path(key))
        self.assert_found(tls("good.pem", "good.key"), "certificate", "ok", "is valid for ")
        self.assert_found(tls("soon.pem", "soon.key"), "certificate", "warning", "soon.pem expires in ")
        self.assert_found(tls("old.pem", "old.key"), "certificate", "failure", "has expired", "enroll")
        self.assert_found(tls("good.pem", "soon.key"), "certificate", "failure", "do not belong together")
        self.assert_found(tls("good.key", "good.key"), "certificate", "failure", "holds no certificate", "BEGIN CERTIFICATE")
        self.assert_found(tls("good.pem", "good.pem"), "certificate", "failure", "is no private key", "BEGIN PRIVATE KEY")
        os.chmod(self.path("good.key"), 0o644)
        self.assert_found(tls("good.pem", "good.key"), "secret", "failure", "can be read or changed", "chmod 600")

    # ---- peers ----

    def test_a_collector_that_cannot_be_reached(self):
        report = self.sensor(COLLECTOR__ADDRESS=f"127.0.0.1:{free_port()}")
        self.assert_found(report, "peer", "failure", "nothing listens there", "start the peer")
        report = self.sensor(COLLECTOR__ADDRESS="no-such-host.invalid:50052", COLLECTOR__INSECURE="true")
        self.assert_found(report, "peer", "failure", "cannot be resolved", "resolv.conf")
        port = self.peers.serve(self)
        self.assert_found(self.sensor(COLLECTOR__ADDRESS=f"127.0.0.1:{port}"), "peer", "ok", "takes connections")

    def collector(self, port, ca="ca", **more):
        return self.sensor(COLLECTOR__ADDRESS=f"127.0.0.1:{port}", COLLECTOR__CA=self.path(f"{ca}.pem"), **more)

    def context(self, name, client_ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path(f"{client_ca}.pem"))
        return context

    def test_tls_errors_are_told_in_plain_words(self):
        self.peers.authority("ca")
        self.peers.authority("other")
        self.peers.certificate("server", "ca")
        self.peers.certificate("elsewhere", "ca", names="DNS:elsewhere.example")
        self.peers.certificate("client", "ca")
        self.peers.certificate("stranger", "other")
        port = self.peers.serve(self, self.context("server"))
        self.assert_found(self.collector(port), "peer", "ok", "answers with TLSv1.")
        self.assert_found(self.collector(port, ca="other"), "peer", "failure", "signed by another CA", "collector.ca")
        self.assert_found(self.collector(port, COLLECTOR__SERVER_NAME="x.example"), "peer", "failure", "for another name",
                          "collector.server_name")
        port = self.peers.serve(self, self.context("elsewhere"))
        self.assert_found(self.collector(port), "peer", "failure", "for another name")
        self.peers.expired("old", "ca")
        port = self.peers.serve(self, self.context("old"))
        self.assert_found(self.collector(port), "peer", "failure", "has expired", "enroll")
        port = self.peers.serve(self)
        self.assert_found(self.collector(port), "peer", "failure", "speaks plaintext")
        port = self.peers.serve(self, self.context("server", client_ca="ca"))
        client = lambda name: {"COLLECTOR__CERTIFICATE": self.path(f"{name}.pem"), "COLLECTOR__KEY": self.path(f"{name}.key")}
        self.assert_found(self.collector(port), "peer", "failure", "asks for a certificate", "collector.certificate")
        self.assert_found(self.collector(port, **client("stranger")), "peer", "failure", "does not take this certificate")
        self.assert_found(self.collector(port, **client("client")), "peer", "ok", "answers with")

    def test_a_certificate_of_another_sensor_is_told(self):
        self.peers.authority("ca")
        self.peers.certificate("paris-1", "ca", names="DNS:paris.example")
        own = {"COLLECTOR__CERTIFICATE": self.path("paris-1.pem"), "COLLECTOR__KEY": self.path("paris-1.key")}
        words = "is not for sensor.id"
        for name in ("paris-1", "paris.example"):
            report = self.collector(free_port(), SENSOR__ID=name, **own)
            self.assertNotIn(words, json.dumps([finding["message"] for found in report[1].values() for finding in found]))
        for name in ("rome", "paris", ""):
            self.assert_found(self.collector(free_port(), SENSOR__ID=name, **own), "certificate", "failure",
                              f"{words} '{name}'", "enroll")
        token = self.path("token")
        with open(token, "w", encoding="utf-8") as out:
            out.write("a-token-of-more-than-16\n")
        os.chmod(token, 0o600)
        report = self.collector(free_port(), SENSOR__ID="rome", COLLECTOR__TOKEN_FILE=token, **own)
        self.assertNotIn(words, json.dumps([finding["message"] for found in report[1].values() for finding in found]))

    def test_kafka_needs_one_broker(self):
        port, closed = self.peers.serve(self), free_port()
        report = self.sensor(KAFKA__BROKERS=f"127.0.0.1:{port},127.0.0.1:{closed}")
        self.assert_found(report, "peer", "ok", "1 of 2 answer")
        self.assert_found(report, "peer", "warning", "nothing listens there")
        report = self.sensor(KAFKA__BROKERS=f"127.0.0.1:{closed}")
        self.assert_found(report, "peer", "failure", "0 of 1 answer", "start a broker")

    # ---- the collector, and text for people ----

    def test_a_collector_is_looked_at_too(self):
        taken = self.peers.serve(self)
        environment = {"NETSCOPE_COLLECTOR_STORE__DIRECTORY": self.path("data"),
                       "NETSCOPE_COLLECTOR_INGEST__LISTEN": f"127.0.0.1:{taken}", "NETSCOPE_COLLECTOR_WEB__PORT": "0",
                       "NETSCOPE_COLLECTOR_INGEST__TOKENS_FILE": self.file("tokens", mode=0o644)}
        report = doctor(COLLECTOR, environment=environment)
        self.assert_found(report, "listen", "warning", "is in use", "ss -ltnp")
        self.assert_found(report, "secret", "failure", "ingest.tokens_file", "chmod 600")
        self.assertTrue([key for key in report[1] if key[0] == "directory"])

    def test_people_get_a_line_each_and_a_sum(self):
        done = run(SENSOR, "doctor", "--read-pcap", "-", environment={"NETSCOPE_GRPC__TOKEN_FILE": self.path("none")})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"(?m)^FAIL  secret       grpc.token_file: .*\n      +-> put the file there")
        self.assertRegex(done.stdout, r"\d+ ok, \d+ to look at, 1 that will not work\n$")
        done = run(SENSOR, "doctor", "--format", "xml")
        self.assertEqual(done.returncode, 2)


class Healthcheck(unittest.TestCase):
    def test_a_running_program_is_healthy_and_one_that_is_not_there_is_not(self):
        with tempfile.TemporaryDirectory(prefix="netscope-") as directory:
            path, _ = make_traffic(directory, "mix", packets=10_000)
            port = free_port()
            environment = {"NETSCOPE_HTTP__PORT": str(port), "NETSCOPE_GRPC__ENABLED": "off"}
            done = run(SENSOR, "--healthcheck", environment=environment)
            self.assertEqual(done.returncode, 1)
            self.assertIn("Connection refused", done.stdout)
            with Program(SENSOR, "--read-pcap", path, "--pace", "--loop", "--quiet", environment=environment):
                wait_until("it answers", lambda: answers(f"http://127.0.0.1:{port}/healthz"))
                done = run(SENSOR, "--healthcheck", environment=environment)
                self.assertEqual((done.returncode, done.stdout[:8]), (0, "healthy,"))
            done = run(SENSOR, "--healthcheck", environment={"NETSCOPE_HTTP__ENABLED": "off"})
            self.assertEqual(done.returncode, 2)
            with Program(COLLECTOR, "--port", port, "--ingest-listen", "127.0.0.1:0", "--data-dir", directory):
                wait_until("it answers", lambda: answers(f"http://127.0.0.1:{port}/healthz"))
                done = run(COLLECTOR, "--healthcheck", "--port", port)
                self.assertEqual((done.returncode, done.stdout[:8]), (0, "healthy,"))


if __name__ == "__main__":
    main()
