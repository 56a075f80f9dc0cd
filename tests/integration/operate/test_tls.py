"""Certificates and tokens that change while programs run; a sensor that calls itself by another's name."""
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.peers import Peers
from support.programs import COLLECTOR, PATIENCE, SENSOR, Program, free_port, get_json, main, make_traffic, run, wait_until


class Tls(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(directory.cleanup)
        self.peers = Peers(directory.name)
        self.path = self.peers.path
        self.web = free_port()
        self.ingest = free_port()

    def collector(self, **settings):
        environment = {f"NETSCOPE_COLLECTOR_{key}": str(value) for key, value in settings.items()}
        program = Program(COLLECTOR, "--port", self.web, "--ingest-listen", f"127.0.0.1:{self.ingest}", "--data-dir",
                          self.path("data"), "-v", environment=environment)
        self.addCleanup(program.__exit__)
        wait_until("the collector listens", self.listens)
        return program

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.web), timeout=1).close()
            return True
        except OSError:
            return False

    def sensor(self, name, **settings):
        capture, _ = make_traffic(self.path(""), "mix", packets=20_000)
        environment = {f"NETSCOPE_{key}": str(value) for key, value in settings.items()}
        program = Program(SENSOR, "--read-pcap", capture, "--pace", "--loop", "--quiet", "-v", "--sensor-id", name, "--collector",
                          f"localhost:{self.ingest}", environment={
                              "NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off",
                              "NETSCOPE_SPOOL__DIRECTORY": "memory", "NETSCOPE_COLLECTOR__BACKOFF_MAX": "500ms", **environment})
        self.addCleanup(program.__exit__)
        return program

    def is_connected(self, name):
        sensors = get_json(f"http://127.0.0.1:{self.web}/v1/sensors")["sensors"]
        return any(sensor["sensor_id"] == name and sensor["state"] == "LIVE" for sensor in sensors)

    def install(self, source, target):
        for ending in ("key", "pem"):
            shutil.copy(self.path(f"{source}.{ending}"), self.path(f"{target}.{ending}.new"))
            os.rename(self.path(f"{target}.{ending}.new"), self.path(f"{target}.{ending}"))

    def test_https_takes_up_a_new_certificate_and_keeps_the_old_one_when_it_is_bad(self):
        self.peers.authority("ca")
        for name in ("first", "second", "web"):
            self.peers.certificate(name, "ca")
        self.install("first", "web")
        program = self.collector(WEB__TLS__ENABLED="true", WEB__TLS__CERT_PATH=self.path("web.pem"),
                                 WEB__TLS__KEY_PATH=self.path("web.key"))
        context = ssl.create_default_context(cafile=self.path("ca.pem"))

        def name():
            with socket.create_connection(("localhost", self.web), timeout=20 * PATIENCE) as plain, \
                    context.wrap_socket(plain, server_hostname="localhost") as secure:
                return dict(pair[0] for pair in secure.getpeercert()["subject"])["commonName"]

        self.assertEqual(name(), "first")
        self.install("second", "web")
        wait_until("the new one is shown", lambda: name() == "second")
        shutil.copy(self.path("first.pem"), self.path("web.pem"))  # not of this key
        wait_until("it is refused", lambda: name() and "cannot be used" in program.text())
        self.assertEqual(name(), "second")
        os.chmod(self.path("first.key"), 0o644)
        self.install("first", "web")
        wait_until("a key that others can read is refused", lambda: name() and f"chmod 600 {self.path('web.key')}" in program.text())
        self.assertEqual(name(), "second")
        os.chmod(self.path("web.key"), 0o600)
        wait_until("it is taken when its mode is mended", lambda: name() == "first")
        self.assertTrue(program.is_running())

    def test_a_key_that_others_can_read_stops_the_start(self):
        self.peers.authority("ca")
        self.peers.certificate("server", "ca")
        certificate, key = self.path("server.pem"), self.path("server.key")
        starts = (
            (COLLECTOR, {"NETSCOPE_COLLECTOR_INGEST__TLS_CERTIFICATE": certificate, "NETSCOPE_COLLECTOR_INGEST__TLS_KEY": key}, "ingest"),
            (COLLECTOR, {"NETSCOPE_COLLECTOR_WEB__TLS__ENABLED": "true", "NETSCOPE_COLLECTOR_WEB__TLS__CERT_PATH": certificate,
                         "NETSCOPE_COLLECTOR_WEB__TLS__KEY_PATH": key}, "web.tls"),
            (SENSOR, {"NETSCOPE_GRPC__TLS_CERTIFICATE": certificate, "NETSCOPE_GRPC__TLS_KEY": key}, "grpc"),
            (SENSOR, {"NETSCOPE_HTTP__TLS_CERTIFICATE": certificate, "NETSCOPE_HTTP__TLS_KEY": key}, "http"),
            (SENSOR, {"NETSCOPE_COLLECTOR__ADDRESS": f"localhost:{self.ingest}", "NETSCOPE_COLLECTOR__CA": self.path("ca.pem"),
                      "NETSCOPE_COLLECTOR__CERTIFICATE": certificate, "NETSCOPE_COLLECTOR__KEY": key}, "collector"),
            (SENSOR, {"NETSCOPE_KAFKA__BROKERS": f"localhost:{free_port()}", "NETSCOPE_KAFKA__SECURITY_PROTOCOL": "ssl",
                      "NETSCOPE_KAFKA__TLS_CERTIFICATE": certificate, "NETSCOPE_KAFKA__TLS_KEY": key}, "kafka.tls_key"))
        capture, _ = make_traffic(self.path(""), "mix", packets=100)
        os.chmod(key, 0o604)
        for program, environment, name in starts:
            own = ("--data-dir", self.path("data"), "--port", self.web, "--ingest-listen", f"127.0.0.1:{self.ingest}") \
                if program == COLLECTOR else ("--read-pcap", capture, "--quiet", "--sensor-id", "s")
            done = run(program, *own, environment=environment)
            self.assertEqual(done.returncode, 2 if name.startswith("kafka") else 1, (name, done))
            self.assertRegex(done.stderr, f"{name}: the private key {key} can be read .*mode 0604.*: run chmod 600 {key}\n")
            report = run(program, "doctor", environment=environment)
            if name.startswith("kafka"):  # refused with the settings, before anything is looked at
                self.assertIn(f"run chmod 600 {key}", report.stderr)
                continue
            self.assertRegex(report.stdout, rf"(?m)^FAIL  secret .*{key} can be read .*mode 0604.* is refused")
        if os.geteuid() == 0:  # the group that root has given it
            os.chmod(key, 0o640)
            done = run(SENSOR, "--read-pcap", capture, "--quiet", "--sensor-id", "s", environment=starts[2][1])
            self.assertEqual(done.returncode, 0, done)
            os.chown(key, 65534, 65534)
            done = run(SENSOR, "--read-pcap", capture, "--quiet", "--sensor-id", "s", environment=starts[2][1])
            self.assertEqual(done.returncode, 1, done)

    def test_a_sensor_is_who_its_certificate_says_and_a_new_one_needs_no_restart(self):
        self.peers.authority("ca")
        self.peers.certificate("server", "ca")
        self.peers.certificate("sensor-a", "ca")
        self.peers.authority("other")
        self.peers.certificate("stranger", "other")
        collector = self.collector(INGEST__TLS_CERTIFICATE=self.path("server.pem"), INGEST__TLS_KEY=self.path("server.key"),
                                   INGEST__TLS_CLIENT_CA=self.path("ca.pem"))
        tls = {"COLLECTOR__CA": self.path("ca.pem"), "COLLECTOR__CERTIFICATE": self.path("sensor-a.pem"),
               "COLLECTOR__KEY": self.path("sensor-a.key")}
        self.sensor("sensor-a", **tls)
        wait_until("sensor-a is there", lambda: self.is_connected("sensor-a"))
        liar = self.sensor("sensor-b", **tls)
        wait_until("the sensor is told", lambda: "sensor 'sensor-b' is not the one" in liar.text())
        wait_until("so is the operator of the collector",
                   lambda: "sensor-b" in collector.text() and "refused" in collector.text())
        self.assertFalse(self.is_connected("sensor-b"))
        # A certificate of another CA at first; its files are replaced, and the sensor comes in.
        self.install("stranger", "mine")
        late = self.sensor("sensor-c", COLLECTOR__CA=self.path("ca.pem"), COLLECTOR__CERTIFICATE=self.path("mine.pem"),
                           COLLECTOR__KEY=self.path("mine.key"))
        wait_until("it is refused", lambda: "not connected" in late.text())
        self.peers.certificate("sensor-c", "ca")
        self.install("sensor-c", "mine")
        wait_until("it comes in", lambda: self.is_connected("sensor-c"), seconds=30)

    def test_tokens_of_sensors_are_read_again_on_sighup(self):
        def write(*lines, mode=0o600):
            with open(self.path("tokens"), "w", encoding="utf-8") as out:
                out.write("\n".join(lines) + "\n")
            os.chmod(self.path("tokens"), mode)

        first, second = "a" * 32, "b" * 32
        for name, token in (("one", first), ("two", second)):
            with open(self.path(name), "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
                out.write(token)
        write(f"sensor-1 {first}")
        collector = self.collector(INGEST__TOKENS_FILE=self.path("tokens"))
        self.sensor("sensor-1", COLLECTOR__TOKEN_FILE=self.path("one"))
        wait_until("sensor-1 is there", lambda: self.is_connected("sensor-1"))
        write(f"sensor-1 {first}", f"sensor-2 {second}")
        collector.process.send_signal(signal.SIGHUP)
        wait_until("it has read", lambda: "settings read again" in collector.text())
        self.sensor("sensor-2", COLLECTOR__TOKEN_FILE=self.path("two"))
        wait_until("sensor-2 is there", lambda: self.is_connected("sensor-2"))
        write("", mode=0o644)
        collector.process.send_signal(signal.SIGHUP)
        wait_until("a file open to others is refused", lambda: "chmod 600" in collector.text())
        self.sensor("sensor-1", COLLECTOR__TOKEN_FILE=self.path("one"))  # those before stay
        self.assertNotIn(first, collector.text())


if __name__ == "__main__":
    main()
