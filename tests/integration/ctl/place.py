"""A collector with one sensor, both real, and netscopectl at them: what tests of its commands begin with."""
import os
import re
import signal
import tempfile
import unittest

from ctl import background, ctl
from end_to_end.fleet import Collector
from support.programs import SENSOR, Program, wait_until, write_pcap
from support.service import capture

READER, FULL = "reader-token-0123456789", "full-token-0123456789"


class Place(unittest.TestCase):
    collector_settings = ""  # YAML of more sections
    sensor_settings = ""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="netscope-ctl-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.folder = cls.directory.name
        tokens, config = cls.path("tokens"), cls.path("collector.yaml")
        cls.write("tokens", f"reader flows {READER}\nfull all {FULL}\n")
        cls.write("collector.yaml", f"grpc:\n  token_file: {tokens}\ningest:\n  heartbeat: 1s\nstore:\n  commit_interval: 200ms\n"
                  + cls.collector_settings)
        cls.token = cls.write("full", FULL + "\n")
        cls.collector = Collector(cls.folder, arguments=("--config", config))
        cls.addClassCleanup(lambda: cls.collector.close())
        cls.server = ("-s", f"127.0.0.1:{cls.collector.ingest}", "--token-file", cls.token)
        cls.socket = cls.path("edge.sock")
        cls.sensor_flags = ("-s", f"unix:{cls.socket}")
        cls.write("sensor.yaml", f"grpc:\n  enabled: on\n  listen: 127.0.0.1:0\n  unix_socket: {cls.socket}\nhttp:\n  enabled: off\n"
                  "collector:\n  captures: full\nflow:\n  active_timeout: 1s\n" + cls.sensor_settings)
        pcap = write_pcap(cls.path("x.pcap"), capture())
        cls.pcap = pcap
        cls.sensor = cls.start_sensor("edge-1", "sensor.yaml")
        cls.addClassCleanup(lambda: cls.sensor.__exit__())
        wait_until("incidents and flows", lambda: cls.collector.fetch("/v1/alerts")["alerts"] and cls.collector.flows())

    @classmethod
    def start_sensor(cls, name, settings):
        return Program(SENSOR, "--config", cls.path(settings), "--read-pcap", cls.pcap, "--pace", "--loop", "--quiet",
                       "--sensor-id", name, "--collector", f"127.0.0.1:{cls.collector.ingest}")

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def write(cls, name, text):
        with open(cls.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(cls.path(name), 0o600)
        return cls.path(name)

    def good(self, *arguments):
        done = ctl(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, status, words, *arguments):
        """The words of a refusal, which leaves nothing on standard output."""
        done = ctl(*arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertRegex(done.stderr, words)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def until_interrupted(self, wanted, *arguments):
        """The output of a command that follows, ended by SIGINT once `wanted` is there."""
        client = background(*arguments)
        self.addCleanup(client.__exit__)
        wait_until(wanted, lambda: re.search(wanted, client.text()))
        self.assertEqual(client.stop(signal.SIGINT), 0)
        self.assertIn("stopped by a signal", client.text())
        return client.text()
