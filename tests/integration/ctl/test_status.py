"""netscopectl status of sensors and collectors: by TLS, with tokens, refused, and not there."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import ctl, rows
from end_to_end.fleet import Collector
from support.peers import Peers
from support.programs import SENSOR, free_port, main, run, wait_until, write_pcap
from support.service import TOKEN, Service, capture


class Status(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="netscope-ctl-")
        self.addCleanup(directory.cleanup)
        self.folder = directory.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def token(self, text, mode=0o600):
        path = self.path(f"token-{mode:o}-{len(text)}")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.chmod(path, mode)
        return path

    def test_a_sensor_tells_who_it_is(self):
        with Service() as sensor:
            server = f"127.0.0.1:{sensor.grpc}"
            done = wait_until("it is ready", lambda: (lambda done: done.returncode == 0 and done)(ctl("status", "-s", server)))
            self.assertRegex(done.stdout, r"(?m)^health +serving$")
            self.assertRegex(done.stdout, rf"(?m)^sensor +service-sensor at {server}, version \d+\.\d+\.\d+, up ")
            self.assertRegex(done.stdout, r"(?m)^ready +yes$")
            self.assertRegex(done.stdout, r"(?m)^lost ")
            answer = json.loads(ctl("status", "-o", "json", environment={"NETSCOPE_SERVER": server}).stdout)
            self.assertEqual((answer["kind"], answer["serving"], answer["status"]["ready"]), ("sensor", True, True))

    def test_a_collector_tells_of_its_sensors(self):
        collector = Collector(self.folder)
        self.addCleanup(collector.close)
        server = f"127.0.0.1:{collector.ingest}"
        self.assertEqual(ctl("status", "-s", server).returncode, 0)
        run(SENSOR, "--read-pcap", write_pcap(self.path("x.pcap"), capture()), "--quiet", "--sensor-id", "gone", "--collector", server)
        wait_until("it has gone", lambda: "1 offline of 1" in ctl("status", "-s", server).stdout)
        done = ctl("status", "-s", server)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^collector +\S+ at ")
        self.assertRegex(done.stdout, r"(?m)^ingest +0 streams of sensors; [1-9]\S* records since the start")
        self.assertRegex(done.stdout, r"(?m)^store +\d")
        self.assertEqual(json.loads(ctl("status", "-s", server, "-o", "json").stdout)["kind"], "collector")

    def test_a_token_is_sent_and_its_lack_told(self):
        with Service(has_token=True) as sensor:
            server = f"127.0.0.1:{sensor.grpc}"
            self.assertEqual(ctl("status", "-s", server, "--token-file", self.token(TOKEN)).returncode, 0)
            for flags in ((), ("--token-file", self.token("wrong"))):
                done = ctl("observe", "-s", server, *flags)
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn("refuses", done.stderr)
            self.assertIn("no --token-file is given", ctl("observe", "-s", server).stderr)
            done = ctl("status", "-s", server, "--token-file", self.token(TOKEN, 0o644))
            self.assertEqual(done.returncode, 2)
            self.assertIn("chmod 600", done.stderr)
            self.assertNotIn(TOKEN, done.stderr)

    def test_tls_with_certificates_of_both_sides(self):
        peers = Peers(self.folder)
        peers.authority("ca")
        peers.authority("other")
        for name in ("server", "client"):
            peers.certificate(name, "ca")
        grpc = (f"  tls_certificate: {peers.path('server.pem')}\n  tls_key: {peers.path('server.key')}\n"
                f"  tls_client_ca: {peers.path('ca.pem')}\n")
        with Service(grpc=grpc) as sensor:
            server = f"127.0.0.1:{sensor.grpc}"
            both = ("--tls-cert", peers.path("client.pem"), "--tls-key", peers.path("client.key"))

            def observed():
                done = ctl("observe", "-s", server, "--tls-ca", peers.path("ca.pem"), *both, "-o", "jsonl", "-n", "2")
                self.assertEqual(done.returncode, 0, done.stderr)
                return len(rows(done)) == 2

            wait_until("records", observed)
            done = ctl("status", "-s", server, "--tls-ca", peers.path("other.pem"), *both)
            self.assertEqual(done.returncode, 3)
            self.assertIn("not signed by the CA that is known here", done.stderr)
            done = ctl("status", "-s", server, "--tls-ca", peers.path("ca.pem"), "--tls-server-name", "else.example", *both)
            self.assertEqual(done.returncode, 3)
            self.assertIn("for another name", done.stderr)
            self.assertEqual(ctl("status", "-s", server, "--tls-ca", peers.path("ca.pem")).returncode, 3)
            done = ctl("status", "-s", server, "--timeout", "5s")
            self.assertEqual(done.returncode, 3)
            self.assertIn("speaks TLS", done.stderr)
            done = ctl("status", "-s", server, "--tls-ca", peers.path("nowhere.pem"))
            self.assertEqual(done.returncode, 2)
            self.assertIn("nowhere.pem", done.stderr)


if __name__ == "__main__":
    main()
