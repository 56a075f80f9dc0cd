"""Bad input: each case has a message that names the object and says what to do, its exit status, and no crash."""
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import (COLLECTOR, PATIENCE, SENSOR, Program, answers, delta_packets, free_port, get, json_lines,
                              main, make_traffic, run, sensor, udp, wait_until, write_pcap)

GARBAGE = [b"\0" * 4096, b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000,
           b"\x16\x03\x01\xff\xff" + b"\1" * 2000, random.Random(1).randbytes(20000), b"A" * 100000]


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.demo, cls.truth = make_traffic(cls.folder.name, "demo")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_no_such_file(self):
        done = sensor("--read-pcap", self.path("nowhere.pcap"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"nowhere\.pcap: No such file")

    def test_not_a_capture(self):
        with open(self.path("text.pcap"), "w", encoding="utf-8") as out:
            out.write("this is no capture\n" * 10)
        done = sensor("--read-pcap", self.path("text.pcap"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"text\.pcap: not a capture file")

    def test_an_empty_file(self):
        open(self.path("empty.pcap"), "wb").close()
        done = sensor("--read-pcap", self.path("empty.pcap"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("empty.pcap", done.stderr)

    def test_a_directory_without_captures(self):
        os.makedirs(self.path("nothing"), exist_ok=True)
        done = sensor("--read-pcap", self.path("nothing"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"nothing: no capture file in this directory")

    def test_a_leap_of_eighty_years_takes_no_time(self):
        path = write_pcap(self.path("leap.pcap"), [(0, udp("10.0.0.1", 1, "10.0.0.2", 2, b"x")), (1, udp("10.0.0.3", 1, "10.0.0.2", 2, b"x")),
                                                   (80 * 365 * 86400, udp("10.0.0.1", 1, "10.0.0.2", 2, b"x"))])
        for timeout in ("0s", "60s", "1d"):  # 0s: flows never end by silence
            done = sensor("--read-pcap", path, "--quiet", "--anomalies", "--flows-jsonl", "-", timeout=20,
                          environment={"NETSCOPE_FLOW__IDLE_TIMEOUT": timeout})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(sum(map(delta_packets, json_lines(done.stdout))), 3, timeout)

    def test_a_truncated_capture_keeps_what_was_read_and_ends_with_1(self):
        size = os.path.getsize(self.demo)
        with open(self.demo, "rb") as whole, open(self.path("cut.pcap"), "wb") as cut:
            cut.write(whole.read(size // 2))
        done = sensor("--read-pcap", self.path("cut.pcap"), "--quiet", "--flows-jsonl", "-")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cut.pcap", done.stderr)
        kept = sum(map(delta_packets, json_lines(done.stdout)))
        self.assertGreater(kept, 1000)
        self.assertRegex(done.stderr, rf"packets captured: {kept}\b")

    def test_a_bad_filter_shows_the_filter_and_libpcap_s_message(self):
        done = sensor("--read-pcap", self.demo, "-f", "tcp prot 80")
        self.assertEqual(done.returncode, 2)
        self.assertIn('"tcp prot 80"', done.stderr)
        self.assertIn("syntax error", done.stderr)

    def test_an_output_that_cannot_be_made(self):
        for flag in ("--flows-jsonl", "--export-json", "--export-csv", "--expired-flows-jsonl", "--alerts-jsonl",
                     "--write-pcap"):
            done = sensor("--read-pcap", self.demo, "--quiet", flag, self.path("no/such/folder/out"))
            self.assertIn(done.returncode, (1, 2), flag)
            self.assertIn("no/such/folder/out", done.stderr, flag)

    def test_a_full_disk_ends_with_1_and_names_the_file(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        for flag in ("--flows-jsonl", "--export-json", "--export-csv", "--expired-flows-jsonl"):
            done = sensor("--read-pcap", self.demo, "--quiet", flag, "/dev/full")
            self.assertEqual(done.returncode, 1, flag)
            self.assertIn("/dev/full", done.stderr, flag)

    def test_an_export_that_is_cut_does_not_have_its_name(self):
        whole = {}
        for flag in ("--export-json", "--export-csv"):
            path = self.path(f"export{flag}")
            self.assertEqual(sensor("--read-pcap", self.demo, "--quiet", flag, path).returncode, 0)
            with open(path, "rb") as file:
                whole[flag] = file.read()
            self.assertFalse(os.path.exists(path + ".partial"))
            # A later run whose disk is full at 2 kB: what the first one wrote stays.
            done = run("/bin/sh", "-c", 'ulimit -f 4; exec "$0" "$@"', SENSOR, "--read-pcap", self.demo, "--quiet", flag, path)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"{path}: File too large (what was written is in {path}.partial)", done.stderr)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), whole[flag])
            self.assertLess(os.path.getsize(path + ".partial"), len(whole[flag]))
            os.unlink(path)
            # And one that is killed.
            with Program(SENSOR, "--read-pcap", self.demo, "--quiet", "-v", "--pace", flag, path,
                         environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}) as program:
                wait_until("it reads", lambda: "msg=confined" in program.text())
                program.stop(signal.SIGKILL)
            self.assertFalse(os.path.exists(path))
            self.assertTrue(os.path.exists(path + ".partial"))

    def test_bytes_from_nowhere_are_no_crash(self):
        chance = random.Random(7)
        with open(self.demo, "rb") as file:
            data = bytearray(file.read(200_000))
        for turn in range(10):
            broken = bytearray(data)
            for _ in range(400):
                broken[chance.randrange(24, len(broken))] = chance.randrange(256)
            with open(self.path("broken.pcap"), "wb") as out:
                out.write(broken)
            done = sensor("--read-pcap", self.path("broken.pcap"), "--quiet", "--flows-jsonl", os.devnull)
            self.assertIn(done.returncode, (0, 1), f"turn {turn}: {done.stderr[-500:]}")


SERVES_NOTHING = {"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}


class Interfaces(unittest.TestCase):
    def test_an_unknown_interface_lists_those_that_exist(self):
        done = sensor("-i", "nosuch0", "--quiet", environment=SERVES_NOTHING)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"nosuch0.*\blo\b")

    def test_without_privilege_it_says_what_is_needed_and_how_to_give_it(self):
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                self.skipTest("no setpriv")
            with tempfile.TemporaryDirectory(dir="/tmp") as folder:
                os.chmod(folder, 0o755)
                copy = shutil.copy(SENSOR, folder)
                os.chmod(copy, 0o755)
                done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", copy, "-i", "lo",
                           "--quiet", environment=SERVES_NOTHING, timeout=20)
        else:
            done = sensor("-i", "lo", "--quiet", environment=SERVES_NOTHING, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn("CAP_NET_RAW", done.stderr.upper())
        self.assertIn("setcap", done.stderr)


class Network(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.demo, cls.truth = make_traffic(cls.folder.name, "demo")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_a_grpc_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = sensor("--read-pcap", self.demo, "--quiet", "--pace", "--grpc-listen", f"127.0.0.1:{port}", timeout=30)
        self.assertIn(done.returncode, (1, 2))
        self.assertIn(str(port), done.stderr)

    def test_another_address_than_loopback_without_tls_is_refused(self):
        done = sensor("--read-pcap", self.demo, "--quiet", "--pace", "--grpc-listen", f"0.0.0.0:{free_port()}", timeout=30)
        self.assertIn(done.returncode, (1, 2))
        self.assertIn("insecure", done.stderr)

    def test_a_collector_that_is_down_stops_nothing(self):
        out = self.path("down.jsonl")
        done = sensor("--read-pcap", self.demo, "--quiet", "--collector", f"127.0.0.1:{free_port()}", "--flows-jsonl", out,
                      environment={"NETSCOPE_PIPELINE__FLUSH_TIMEOUT": "1s"})
        self.assertEqual(sum(map(delta_packets, json_lines(out))), self.truth["packets"])
        self.assertRegex(done.stdout + done.stderr, r"lost\{shutdown\}\): [1-9]\d*")

    def test_a_kafka_that_is_down_stops_nothing(self):
        out = self.path("kafka.jsonl")
        done = sensor("--read-pcap", self.demo, "--quiet", "--kafka", f"127.0.0.1:{free_port()}", "--flows-jsonl", out,
                      environment={"NETSCOPE_PIPELINE__FLUSH_TIMEOUT": "1s"})
        self.assertEqual(sum(map(delta_packets, json_lines(out))), self.truth["packets"])
        self.assertRegex(done.stdout + done.stderr, r"lost\{shutdown\}\): [1-9]\d*")

    def throw_garbage(self, port, program):
        for garbage in GARBAGE:
            with socket.create_connection(("127.0.0.1", port), timeout=20 * PATIENCE) as connection:
                connection.settimeout(1)
                try:
                    connection.sendall(garbage)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass  # closed on us, or no answer: both are right
            self.assertTrue(program.is_running(), program.text())

    def test_garbage_on_the_sensor_s_ports(self):
        grpc, http = free_port(), free_port()
        with Program(SENSOR, "--read-pcap", self.demo, "--quiet", "--pace", "--loop", "--grpc-listen", f"127.0.0.1:{grpc}",
                     environment={"NETSCOPE_HTTP__PORT": str(http)}) as program:
            wait_until("metrics", lambda: answers(f"http://127.0.0.1:{http}/healthz") or not program.is_running())
            self.throw_garbage(grpc, program)
            self.throw_garbage(http, program)
            self.assertTrue(answers(f"http://127.0.0.1:{http}/healthz"))
            self.assertEqual(program.stop(), 0, program.text())


@unittest.skipUnless(os.access(COLLECTOR, os.X_OK), "netscope-collector is not built")
class Collector(Network):
    def start(self, *more):
        self.http, self.ingest = free_port(), free_port()
        folder = tempfile.mkdtemp(dir=self.folder.name)
        program = Program(COLLECTOR, "--port", self.http, "--ingest-listen", f"127.0.0.1:{self.ingest}", "--data-dir",
                          folder, *more)
        self.addCleanup(program.__exit__)
        wait_until("the collector", lambda: answers(f"http://127.0.0.1:{self.http}/healthz") or not program.is_running())
        self.assertTrue(program.is_running(), program.text())
        return program

    def test_garbage_on_the_collector_s_ports(self):
        program = self.start()
        self.throw_garbage(self.http, program)
        self.throw_garbage(self.ingest, program)
        self.assertTrue(answers(f"http://127.0.0.1:{self.http}/healthz"))
        self.assertEqual(program.stop(), 0, program.text())

    def test_absurd_limits_are_refused_or_cut(self):
        program = self.start()
        for query in ("flows?limit=99999999999999999999", "flows?limit=-1", "flows?page_size=1000000000",
                      "flows?filter=" + "(" * 5000, "timeseries?step=1ns&since=1970-01-01T00:00:00Z", "flows?since=not-a-time",
                      "packets?limit=4294967296", "alerts?limit=18446744073709551615"):
            try:
                get(f"http://127.0.0.1:{self.http}/v1/{query}")
            except urllib_error() as answer:
                self.assertTrue(400 <= answer.code < 500, f"{query}: {answer.code}")
                self.assertIn("application/problem+json", answer.headers.get("content-type", ""), query)
            self.assertTrue(program.is_running(), query)

    def test_a_dashboard_port_that_is_taken(self):
        self.start()
        done = run(COLLECTOR, "--port", self.http, "--ingest-listen", f"127.0.0.1:{free_port()}", "--data-dir",
                   self.path("other"))
        self.assertIn(done.returncode, (1, 2))
        self.assertIn(str(self.http), done.stderr)

    def test_an_ingest_port_that_is_taken(self):
        self.start()
        done = run(COLLECTOR, "--port", free_port(), "--ingest-listen", f"127.0.0.1:{self.ingest}", "--data-dir",
                   self.path("other"))
        self.assertIn(done.returncode, (1, 2))
        self.assertIn(str(self.ingest), done.stderr)

    def test_a_data_directory_that_cannot_be_written(self):
        with open(self.path("plain-file"), "w", encoding="utf-8"):
            pass
        done = run(COLLECTOR, "--port", free_port(), "--ingest-listen", f"127.0.0.1:{free_port()}", "--data-dir",
                   self.path("plain-file/below"))
        self.assertIn(done.returncode, (1, 2))
        self.assertIn("plain-file", done.stderr)


def urllib_error():
    import urllib.error
    return urllib.error.HTTPError


# Inherited for its helpers alone: its own tests run once, in Network.
for name in [n for n in vars(Network) if n.startswith("test_")]:
    setattr(Collector, name, None)

if __name__ == "__main__":
    main()
