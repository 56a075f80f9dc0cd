"""Who may call the sensor: tokens with scopes, calls a second, settings over ConfigService, the audit file."""
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import PATIENCE, SENSOR, Program, answers, free_port, main, make_traffic, metrics, sensor, wait_until

try:
    import grpc
except ImportError:
    grpc = None

READER, PACKETS, OPERATOR = "reader-0123456789abcdef", "packets-0123456789abcdef", "operator-0123456789abcdef"
TOKENS = f"""\
# name  scopes         token
reader  flows          {READER}
hunter  flows,packets  {PACKETS}
ops     flows,config   {OPERATOR}
"""
SETTINGS = "capture: {pace: true, loop: true}\nflow:\n  idle_timeout: %s\n  max_flows: %d\n"


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="netscope-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.capture, _ = make_traffic(cls.directory.name, "mix", packets=100_000)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def start(self, *more, token=True, environment=None):
        self.http = f"http://127.0.0.1:{free_port()}"
        self.grpc_port = free_port()
        self.socket = self.path("sensor.sock")
        self.audit = self.path(f"audit-{self.grpc_port}.log")
        self.write("sensor.yaml", SETTINGS % ("60s", 65536))
        settings = {"NETSCOPE_HTTP__PORT": self.http.rsplit(":", 1)[1], "NETSCOPE_GRPC__UNIX_SOCKET": self.socket,
                    "NETSCOPE_SECURITY__AUDIT_FILE": self.audit, **(environment or {})}
        if token:
            settings["NETSCOPE_GRPC__TOKEN_FILE"] = self.write("tokens", TOKENS)
        program = Program(SENSOR, "--config", self.path("sensor.yaml"), "--read-pcap", self.capture, "--quiet", "-v",
                          "--grpc-listen", f"127.0.0.1:{self.grpc_port}", *more, environment=settings)
        self.addCleanup(program.__exit__)
        wait_until("it answers", lambda: answers(f"{self.http}/healthz"))
        return program

    def rest(self, path, token=None, body=None):
        """Status and JSON."""
        request = urllib.request.Request(self.http + path, data=None if body is None else json.dumps(body).encode(),
                                         headers={"content-type": "application/json", "x-netscope": "1"})
        if token is not None:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def lines(self):
        with open(self.audit, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_a_token_opens_its_scopes_and_no_more(self):
        self.start()
        for path, needs in (("/v1/info", {READER, PACKETS, OPERATOR}), ("/v1/packets/none", {PACKETS}),
                            ("/v1/config", {OPERATOR})):
            for token in (None, "wrong", READER, PACKETS, OPERATOR):
                status, _ = self.rest(path, token)
                wanted = 401 if token in (None, "wrong") else 403
                if token in needs:
                    self.assertIn(status, (200, 404), f"{path} {token}")
                else:
                    self.assertEqual(status, wanted, f"{path} {token}")

    @unittest.skipIf(grpc is None, "python3-grpcio is not installed")
    def test_a_capture_ends_with_its_token(self):
        from support.captures import Capture

        program = self.start()
        capture = Capture(f"127.0.0.1:{self.grpc_port}", token=PACKETS, bpf="udp port 1").start()
        self.write("tokens", TOKENS.replace("flows,packets", "flows"))
        program.process.send_signal(signal.SIGHUP)
        capture.wait()
        self.assertEqual(capture.error.code().name, "PERMISSION_DENIED")
        wait_until("the capture is over", lambda: metrics(f"{self.http}/metrics")["netscope_packet_captures"] == 0)

    def test_without_tokens_settings_and_packets_are_closed_on_tcp(self):
        self.start(token=False)
        self.assertEqual(self.rest("/v1/info")[0], 200)
        status, refusal = self.rest("/v1/config")
        self.assertEqual(status, 403)
        self.assertIn("grpc.token_file", str(refusal), "what would open it")
        self.assertEqual(self.rest("/v1/packets/none")[0], 403)
        self.assertEqual(self.rest("/v1/config:reload", body={})[0], 403)

    def test_connections_beyond_the_bound_are_closed_counted_and_told(self):
        program = self.start(token=False, environment={"NETSCOPE_GRPC__CONNECTIONS_MAX": "5"})
        ends = [socket.create_connection(("127.0.0.1", self.grpc_port), timeout=20 * PATIENCE) for _ in range(5)]
        self.addCleanup(lambda: [end.close() for end in ends])
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", self.grpc_port), timeout=20 * PATIENCE) as more:
                with contextlib.suppress(ConnectionError):
                    self.assertEqual(more.recv(1), b"")

        def figures():
            return self.rest("/v1/status")[1]["server"]
        self.assertEqual(figures(), {**figures(), "connections": 5, "connections_max": 5, "connections_refused": "30"})
        page = metrics(f"{self.http}/metrics")
        self.assertEqual((page["netscope_grpc_connections"], page["netscope_grpc_connections_refused_total"]), (5, 30))
        self.assertIn("a connection is closed: there are as many as may be", program.text())
        ends.pop().close()
        wait_until("one has left", lambda: figures()["connections"] == 4)
        with socket.create_connection(("127.0.0.1", self.grpc_port), timeout=20 * PATIENCE) as again:
            again.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            self.assertNotEqual(again.recv(9), b"")

    def test_settings_are_shown_checked_and_reloaded(self):
        self.start()
        status, before = self.rest("/v1/config", OPERATOR)
        self.assertEqual(status, 200)
        self.assertIn("max_flows: 65536", before["yaml"])
        self.assertNotIn(OPERATOR, before["yaml"])
        self.assertEqual(self.rest("/v1/info", READER)[1]["config_hash"], before["config_hash"])
        # A look changes nothing, and says the line of what is wrong.
        status, seen = self.rest("/v1/config:validate", OPERATOR, {"yaml": SETTINGS % ("30s", 5)})
        self.assertEqual((status, seen["applied"], seen["needs_restart"]), (200, ["flow.idle_timeout"],
                                                                            ["flow.max_flows"]))
        _, seen = self.rest("/v1/config:validate", OPERATOR, {"yaml": "flow:\n  idle_timeout: never\n"})
        self.assertEqual(seen["rejected"][0]["path"], "flow.idle_timeout")
        self.assertEqual(seen["rejected"][0]["line"], 2)
        self.assertEqual(self.rest("/v1/config", OPERATOR)[1], before)
        self.write("sensor.yaml", "flow: {idle_timeout: 31s\n")
        _, done = self.rest("/v1/config:reload", OPERATOR, {})
        self.assertIn("sensor.yaml:", done["rejected"][0]["reason"])
        self.assertEqual(done["config_hash"], before["config_hash"])
        self.write("sensor.yaml", SETTINGS % ("31s", 65536))
        _, done = self.rest("/v1/config:reload", OPERATOR, {})
        self.assertEqual(done["applied"], ["flow.idle_timeout"])
        _, after = self.rest("/v1/config", OPERATOR)
        self.assertIn("idle_timeout: 31s", after["yaml"])
        self.assertEqual(after["config_hash"], done["config_hash"])
        self.assertNotEqual(after["config_hash"], before["config_hash"])
        wait_until("the hash is told", lambda: self.rest("/v1/info", READER)[1]["config_hash"] == after["config_hash"])
        status, refused = self.rest("/v1/config:apply", OPERATOR, {"yaml": SETTINGS % ("30s", 65536),
                                                                   "expected_hash": after["config_hash"]})
        self.assertEqual(status, 400)
        self.assertIn("grpc.apply_config is off", json.dumps(refused))
        self.assertEqual(self.rest("/v1/config", OPERATOR)[1], after)

    def test_every_control_call_is_in_the_audit_file(self):
        program = self.start()
        self.rest("/v1/config:reload", OPERATOR, {})
        self.rest("/v1/config", OPERATOR)
        program.process.send_signal(signal.SIGHUP)
        wait_until("three lines", lambda: len(self.lines()) >= 3)
        self.assertEqual(os.stat(self.audit).st_mode & 0o777, 0o600)
        self.assertEqual([(line["who"], line["what"].rsplit("/", 1)[-1], line["result"]) for line in self.lines()],
                         [("ops", "ReloadConfig", "ok"), ("ops", "GetConfig", "ok"), ("signal", "SIGHUP", "ok")])
        os.rename(self.audit, self.audit + ".1")
        self.rest("/v1/config:reload", OPERATOR, {})
        wait_until("a new file", lambda: os.path.exists(self.audit))
        self.assertNotIn(OPERATOR, program.text())

    def test_tokens_are_read_again(self):
        program = self.start()
        self.assertEqual(self.rest("/v1/info", READER)[0], 200)
        self.write("tokens", TOKENS.replace(READER, "another-0123456789"))
        self.rest("/v1/config:reload", OPERATOR, {})
        self.assertEqual(self.rest("/v1/info", READER)[0], 401)
        self.assertEqual(self.rest("/v1/info", "another-0123456789")[0], 200)
        os.chmod(self.path("tokens"), 0o644)  # refused: those before stay
        _, done = self.rest("/v1/config:reload", OPERATOR, {})
        self.assertIn("chmod 600", done["rejected"][0]["reason"])
        self.assertEqual(self.rest("/v1/info", "another-0123456789")[0], 200)
        self.assertTrue(program.is_running())

    def test_a_token_file_that_others_can_read_is_refused_with_the_command_that_mends_it(self):
        for mode, text, wanted in ((0o644, TOKENS, "chmod 600"), (0o604, TOKENS, "chmod 600"), (0o620, TOKENS, "chmod 600"),
                                   (0o600, "a b\n", "tokens:1: a line is"), (0o600, "\n\n", "holds no t"),
                                   (0o600, "x reading 0123456789abcdef\n", "tokens:1: scopes are"),
                                   (0o600, "x flows short\n", "tokens:1: a token has 16"),
                                   (0o600, "short\n", "tokens:1: a token has 16")):
            with self.subTest(wanted=wanted):
                done = sensor("--read-pcap", self.capture, "--pace", "--quiet", "--grpc-listen", "127.0.0.1:0",
                              environment={"NETSCOPE_GRPC__TOKEN_FILE": self.write("tokens", text, mode),
                                           "NETSCOPE_HTTP__ENABLED": "off"})
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(wanted, done.stderr)

    @unittest.skipIf(grpc is None, "no python3-grpcio")
    def test_grpc_the_unix_socket_needs_no_token_and_one_peer_has_its_share(self):
        self.start(environment={"NETSCOPE_GRPC__CALLS_PER_SECOND": "5"})
        with grpc.insecure_channel(f"unix:{self.socket}") as channel:
            call = channel.unary_unary("/netscope.v1.ConfigService/GetConfig")
            self.assertIn(b"max_flows", call(b"", timeout=20 * PATIENCE))
            for _ in range(30):
                call(b"", timeout=20 * PATIENCE)
        codes = []
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            call = channel.unary_unary("/netscope.v1.SensorService/GetInfo")
            for _ in range(30):
                try:
                    call(b"", timeout=20 * PATIENCE, metadata=(("authorization", f"Bearer {READER}"),))
                    codes.append("OK")
                except grpc.RpcError as error:
                    codes.append(error.code().name)
                    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
                    self.assertIn(b"google.rpc.RetryInfo", details)
        self.assertEqual(codes[:10], ["OK"] * 10)
        self.assertIn("RESOURCE_EXHAUSTED", codes)

    def test_secrets_are_in_no_list_of_processes_no_log_and_no_printed_settings(self):
        program = self.start()
        with open(f"/proc/{program.process.pid}/cmdline", "rb") as file:
            command = file.read()
        printed = sensor("--print-config", "--config", self.path("sensor.yaml"),
                         environment={"NETSCOPE_GRPC__TOKEN_FILE": self.path("tokens")}).stdout
        for secret in (READER, PACKETS, OPERATOR):
            self.assertNotIn(secret.encode(), command)
            self.assertNotIn(secret, program.text())
            self.assertNotIn(secret, printed)


if __name__ == "__main__":
    main()
