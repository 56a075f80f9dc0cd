"""Every method of gRPC and every path of REST, of both programs, asked with each role, with nothing and with a token that
nobody has: answered, or refused, as the table in docs/access.md says. A method or path that is not in the table fails.

    NETSCOPE_DESCRIPTORS   the FileDescriptorSet of the build
"""
import json
import os
import re
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support.programs import COLLECTOR, PATIENCE, ROOT, SENSOR, SKIPPED, Program, answers, free_port, main, run, wait_until, write_pcap
from support.service import capture

try:
    import grpc
    from support.grpc_client import Client
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)

RIGHTS = {"viewer": {"flows"}, "operator": {"flows", "packets", "triage"}, "admin": {"flows", "packets", "triage", "config"}}
TOKENS = {role: f"{role}-token-0123456789" for role in RIGHTS}
STRANGERS = {"none": "", "unknown": "no-such-token-0123456789", "unknown of the users' form": "nst_" + "0" * 64}
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
STREAMS = {"WatchSensors", "ObserveFlows", "ObserveAlerts", "WatchStats", "ObservePackets", "CapturePackets", "ObserveDns",
           "StreamCapture", "DownloadCapture"}
# A stream that says nothing for so long has been let in.
SILENCE = 1.5


def documented():
    """({method: right}, {path: right}) of docs/access.md."""
    methods, paths = {}, {}
    with open(os.path.join(ROOT, "docs", "access.md"), encoding="utf-8") as lines:
        table = lines.read().split("### Methods and paths")[1].split("\n\n")[2]
    for line in table.splitlines()[2:]:
        right, of_grpc, of_rest = (cell.strip() for cell in line.strip("|").split("|"))
        for known, cell in ((methods, of_grpc), (paths, of_rest)):
            for name in re.findall(r"`([^`]+)`", cell):
                assert name not in known, f"{name} stands twice in the table"
                known[name] = right.strip("`")
    return methods, paths


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, 0o600)
    return path


class EveryRoute(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-routes-")
        cls.addClassCleanup(cls.folder.cleanup)
        folder = cls.folder.name
        cls.methods, cls.paths = documented()
        tokens = write(f"{folder}/tokens", "".join(f"{role}-bot {role} {token}\n" for role, token in TOKENS.items()))
        users, cls.proofs = f"{folder}/users", {role: [token] for role, token in TOKENS.items()}
        for role in RIGHTS:  # at REST, the dashboard's users and tokens too
            made = run(COLLECTOR, "token", "add", f"{role}-machine", "--role", role, "--file", users)
            assert made.returncode == 0, made.stderr
            cls.proofs[role].append(made.stdout.strip())
        config = write(f"{folder}/collector.yaml", f"grpc: {{token_file: {tokens}}}\n"
                       f"web: {{auth: {{enabled: true, users_file: {users}}}}}\n")
        cls.collector = Collector(folder, arguments=("--config", config))
        cls.addClassCleanup(cls.collector.close)
        cls.rpc, cls.http = free_port(), free_port()
        cls.sensor = Program(SENSOR, "--read-pcap", write_pcap(f"{folder}/x.pcap", capture()), "--pace", "--loop", "--quiet",
                             "--sensor-id", "edge-1", environment={
                                 "NETSCOPE_GRPC__ENABLED": "on", "NETSCOPE_GRPC__LISTEN": f"127.0.0.1:{cls.rpc}",
                                 "NETSCOPE_GRPC__TOKEN_FILE": tokens, "NETSCOPE_HTTP__ENABLED": "on",
                                 "NETSCOPE_HTTP__PORT": str(cls.http)})
        cls.addClassCleanup(cls.sensor.__exit__)
        cls.open_paths = {cls.http: {"/metrics"}}  # a sensor's page of figures asks nobody who they are
        wait_until("the sensor", lambda: answers(f"http://127.0.0.1:{cls.http}/healthz") or not cls.sensor.is_running())
        assert cls.sensor.is_running(), cls.sensor.text()

    # ---- gRPC ----

    def methods_of(self, port):
        """(a client that may everything, all methods of the .proto files)"""
        client = Client(port, TOKENS["admin"])
        return client, [f"{service.name}/{method}" for name in sorted(os.listdir(os.path.join(ROOT, "proto", "netscope", "v1")))
                        if name.endswith("_service.proto")
                        for service in client.pool.FindFileByName(f"netscope/v1/{name}").services_by_name.values()
                        for method in service.methods_by_name]

    def status(self, client, name, is_stream):
        """The status of a call of an empty request; OK for a stream that is let in."""
        path, message, read = client._method(name, {})
        kind = client.channel.unary_stream if is_stream else client.channel.unary_unary
        call = kind(path, type(message).SerializeToString, read)
        try:
            if not is_stream:
                call(message, timeout=20 * PATIENCE, metadata=client.metadata)
                return grpc.StatusCode.OK
            answer = call(message, timeout=20 * PATIENCE, metadata=client.metadata)
            timer = threading.Timer(SILENCE * PATIENCE, answer.cancel)
            timer.start()
            try:
                next(iter(answer), None)
            finally:
                timer.cancel()
                answer.cancel()
            return grpc.StatusCode.OK
        except grpc.RpcError as error:
            return grpc.StatusCode.OK if error.code() == grpc.StatusCode.CANCELLED else error.code()

    def walk_methods(self, port):
        client, methods = self.methods_of(port)
        self.assertEqual(set(methods), set(self.methods), "the table and the .proto files")
        callers = {**{role: Client(port, token) for role, token in TOKENS.items()},
                   **{who: Client(port, token) for who, token in STRANGERS.items()}}
        answered = 0
        for name in methods:
            is_stream = name.split("/")[1] in STREAMS
            if self.status(client, name, is_stream) == grpc.StatusCode.UNIMPLEMENTED:
                continue
            answered += 1
            for who, caller in callers.items():
                status = self.status(caller, name, is_stream)
                if who not in RIGHTS:
                    self.assertEqual(status, grpc.StatusCode.UNAUTHENTICATED, (name, who))
                elif self.methods[name] in RIGHTS[who]:
                    self.assertNotIn(status, REFUSED, (name, who))
                else:
                    self.assertEqual(status, grpc.StatusCode.PERMISSION_DENIED, (name, who))
        return answered

    def test_each_method_of_the_collector_is_for_whom_the_table_says(self):
        self.assertGreater(self.walk_methods(self.collector.ingest), 40)

    def test_each_method_of_the_sensor_is_for_whom_the_table_says(self):
        self.assertGreater(self.walk_methods(self.rpc), 20)

    # ---- REST ----

    @staticmethod
    def ask(port, verb, path, token):
        """(status, body)"""
        headers = {"X-NetScope": "1", "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", None if verb in ("GET", "DELETE") else b"{}", headers,
                                         method=verb)
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError as error:
            raise AssertionError(f"{verb} {path}: {error!r}") from error

    def right_of(self, path, operation):
        method = re.match(r"(\w+Service)_(\w+?)_\d+", operation.get("operationId", ""))
        name = f"{method[1]}/{method[2]}" if method else path
        known = self.methods if method else self.paths
        self.assertIn(name, known, "not in the table of docs/access.md")
        return known[name]

    def walk_paths(self, port, proofs):
        status, text = self.ask(port, "GET", "/v1/openapi.json", "")
        self.assertEqual(status, 200)
        asked = 0
        for path, verbs in json.loads(text)["paths"].items():
            for verb, operation in verbs.items():
                right = "none" if path in self.open_paths.get(port, ()) else self.right_of(path, operation)
                place = re.sub(r"\{\w+\}", "0000000000000001", path)
                asked += 1
                for token in STRANGERS.values():
                    status, body = self.ask(port, verb.upper(), place, token)
                    self.assertEqual(status == 401, right != "none", (verb, path, token, status, body[:300]))
                for role, token in ((role, token) for role in proofs for token in proofs[role]):
                    status, body = self.ask(port, verb.upper(), place, token)
                    is_refused = right != "none" and right not in RIGHTS[role]
                    self.assertEqual(status == 403, is_refused, (verb, path, role, status, body[:300]))
                    self.assertNotIn(status, (401, 405, 500), (verb, path, role, body[:300]))
        return asked

    def test_each_path_of_the_collector_is_for_whom_the_table_says(self):
        self.assertGreater(self.walk_paths(self.collector.http, self.proofs), 70)

    def test_each_path_of_the_sensor_is_for_whom_the_table_says(self):
        self.assertGreater(self.walk_paths(self.http, {role: [token] for role, token in TOKENS.items()}), 20)

    def test_other_ways_to_write_a_path_open_nothing(self):
        """What the router does not take for a path must not be answered by it under a weaker right."""
        for path in ("/v1/packets", "/v1/captures", "/v1/config", "/v1/fleet/config"):
            for other in (path + "/", "/" + path, path.replace("/v1/", "/v1//"), path.replace("/v1/", "/v1/./"), path.replace("/v1/", "/v1/x/../"),
                          path.replace("c", "%63"), path.upper(), path + ";x=1", path + "?x=/v1/flows", path + "%2f"):
                for token, statuses in ((TOKENS["viewer"], (400, 403, 404)), ("", (400, 401, 404))):
                    status, body = self.ask(self.collector.http, "GET", other, token)
                    if not body.startswith(b"<!doctype html>"):  # the page, which finds its own way and asks again
                        self.assertIn(status, statuses, (other, token, status, body[:200]))


if __name__ == "__main__":
    main()
