"""netscopectl doctor: each way in which a server cannot be asked is told apart, exactly, with what cures it."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import ctl
from end_to_end.fleet import Collector
from support.peers import Peers
from support.programs import free_port, main
from support.service import TOKEN, Service


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="netscope-ctl-")
        cls.peers = Peers(cls.directory.name)
        cls.path = cls.peers.path
        cls.peers.authority("ca")
        cls.peers.authority("other")
        for name in ("server", "client"):
            cls.peers.certificate(name, "ca")
        cls.peers.certificate("stranger", "other")
        cls.peers.certificate("elsewhere", "ca", names="DNS:elsewhere.example")
        cls.peers.expired("old", "ca")

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def tls(self, name, client_ca=None):
        asks = f"  tls_client_ca: {self.path(client_ca + '.pem')}\n" if client_ca else ""
        return Service(grpc=f"  tls_certificate: {self.path(name + '.pem')}\n  tls_key: {self.path(name + '.key')}\n{asks}")

    def report(self, status, *flags):
        done = ctl("doctor", *flags, "-o", "json")
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout)["findings"]

    def found(self, findings, check, level, *words):
        for one in findings:
            text = one["message"] + " | " + one.get("cure", "")
            if (one["check"], one["level"]) == (check, level) and all(word in text for word in words):
                return one
        raise AssertionError(f"no {level} of {check} with {words}:\n{json.dumps(findings, indent=1)}")

    def token(self, text, mode=0o600):
        path = self.path(f"token-{mode:o}-{text[:4]}")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.chmod(path, mode)
        return path

    def test_a_good_way_is_told_step_by_step(self):
        with self.tls("server", client_ca="ca") as sensor:
            findings = self.report(0, "-s", f"127.0.0.1:{sensor.grpc}", "--tls-ca", self.path("ca.pem"), "--tls-cert",
                                   self.path("client.pem"), "--tls-key", self.path("client.key"))
            self.found(findings, "name", "ok", "127.0.0.1 is 127.0.0.1")
            self.found(findings, "connection", "ok", "takes connections")
            self.found(findings, "certificate", "ok", "it shows CN=server, issued by CN=ca, 20", "for DNS:localhost IP:127.0.0.1")
            self.found(findings, "peer", "ok", "answers with TLSv1.3")
            self.found(findings, "grpc", "ok", "a sensor, serving")
            self.found(findings, "token", "ok", "no token is asked for")
            self.found(findings, "version", "ok")
            self.found(findings, "reflection", "ok")
            self.assertEqual([one for one in findings if one["level"] == "failure"], [])

    def test_a_collector_has_a_clock_too(self):
        os.mkdir(self.path("collector"))
        collector = Collector(self.path("collector"))
        self.addCleanup(collector.close)
        findings = self.report(0, "-s", f"127.0.0.1:{collector.ingest}")
        self.found(findings, "grpc", "ok", "a collector, serving")
        self.found(findings, "clock", "ok", "apart")

    def test_failures_of_tls_are_told_exactly(self):
        with self.tls("server") as sensor:
            server = ("-s", f"127.0.0.1:{sensor.grpc}")
            findings = self.report(3, *server, "--tls-ca", self.path("other.pem"))
            self.found(findings, "certificate", "ok", "it shows CN=server, issued by CN=ca")
            self.found(findings, "peer", "failure", "signed by another CA", "unable to get local issuer certificate", "--tls-ca")
            findings = self.report(3, *server, "--tls-ca", self.path("ca.pem"), "--tls-server-name", "x.example")
            self.found(findings, "peer", "failure", "for another name", "ostname mismatch", "--tls-server-name")
            findings = self.report(3, *server)  # in the clear, on this machine
            self.found(findings, "grpc", "failure", "--tls")
        with self.tls("elsewhere") as sensor:
            findings = self.report(3, "-s", f"127.0.0.1:{sensor.grpc}", "--tls-ca", self.path("ca.pem"))
            self.found(findings, "certificate", "ok", "for DNS:elsewhere.example")
            self.found(findings, "peer", "failure", "for another name")
        with self.tls("server", client_ca="ca") as sensor:
            server = ("-s", f"127.0.0.1:{sensor.grpc}", "--tls-ca", self.path("ca.pem"))
            findings = self.report(3, *server)
            self.found(findings, "peer", "failure", "asks for a certificate", "--tls-cert and --tls-key")
            findings = self.report(3, *server, "--tls-cert", self.path("stranger.pem"), "--tls-key", self.path("stranger.key"))
            self.found(findings, "peer", "failure", "does not take this certificate")
        with Service() as sensor:
            findings = self.report(3, "-s", f"127.0.0.1:{sensor.grpc}", "--tls")
            self.found(findings, "peer", "failure", "speaks plaintext", "leave --tls")

    def test_a_certificate_that_has_expired_is_told_with_its_dates(self):
        import ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("old.pem"), self.path("old.key"))
        port = self.peers.serve(self, context)
        findings = self.report(3, "-s", f"127.0.0.1:{port}", "--tls-ca", self.path("ca.pem"))
        self.found(findings, "certificate", "ok", "2024-01-01 to 2024-01-01")
        self.found(findings, "peer", "failure", "has expired")

    def test_the_way_there_and_the_token(self):
        self.found(self.report(3, "-s", f"127.0.0.1:{free_port()}"), "peer", "failure", "nothing listens there", "start the peer")
        self.found(self.report(3, "-s", f"unix:{self.path('no.sock')}"), "peer", "failure", "No such file")
        self.found(self.report(2, "-s", "127.0.0.1:1", "--token-file", self.token(TOKEN, 0o644)), "secret", "failure", "chmod 600")
        with Service(has_token=True) as sensor:
            server = ("-s", f"127.0.0.1:{sensor.grpc}")
            self.found(self.report(4, *server), "token", "failure", "--token-file")
            self.found(self.report(4, *server, "--token-file", self.token("wrong-token")), "token", "failure", "compare the token")
            self.found(self.report(0, *server, "--token-file", self.token(TOKEN)), "token", "ok", "is taken")
        port = self.peers.serve(self)  # says a word, and not HTTP/2
        self.assertIn(ctl("doctor", "-s", f"127.0.0.1:{port}", "--timeout", "5s").returncode, (3,))

    def test_the_text_is_for_people(self):
        done = ctl("doctor", "-s", f"127.0.0.1:{free_port()}")
        self.assertRegex(done.stdout, r"(?m)^FAIL  peer .*nothing listens there.*\n +-> start the peer")
        self.assertRegex(done.stdout, r"(?m)^\d+ ok, \d+ to look at, 1 that will not work$")


if __name__ == "__main__":
    main()
