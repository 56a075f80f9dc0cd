"""Foreign clients against a running sensor: python grpcio (Debian) and @grpc/grpc-js (npm), each through the same table
of cases: every status code that the sensor has, with the details of google.rpc, and every stream.

    NETSCOPE_DESCRIPTORS   the FileDescriptorSet of the build, for grpcio without generated code
    NETSCOPE_GRPC_JS       folder for the npm packages; empty: that client is left out
"""
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import PATIENCE, ROOT, SKIPPED, free_port, main, metrics, wait_until
from support.service import TOKEN, Service

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)

HERE = os.path.dirname(os.path.abspath(__file__))
DESCRIPTORS = os.environ.get("NETSCOPE_DESCRIPTORS",
                             os.path.join(ROOT, "build", "dev", "generated", "netscope.binpb"))
TOOLS = os.environ.get("NETSCOPE_GRPC_JS", "")
SERVICES = ("sensor", "flow", "alert", "stats", "packet", "dns", "config")
PACKAGES = ("@grpc/grpc-js@1.12", "@grpc/proto-loader@0.7")


def case(method, request=None, code="OK", reason="", field="", **more):
    service, name = method.split("/")
    return {"service": service, "method": name, "request": request or {}, "code": code, "reason": reason, "field": field,
            "is_stream": name.startswith(("Observe", "Watch", "Capture")), **more}


CASES = [
    # One answer.
    case("SensorService/GetInfo", kinds=["interfaces", "limits"]),
    case("SensorService/GetStatus", kinds=["stats"]),
    case("SensorService/GetLossLedger", kinds=["rows"]),
    case("SensorService/ListAssets"),
    case("FlowService/ListActiveFlows", {"page_size": 3}, kinds=["flows"]),
    case("FlowService/GetTopFlows", {"limit": 3}, kinds=["flows"]),
    case("FlowService/GetTopFlows", {"limit": 3, "group_by": "client"}, kinds=["groups"]),
    case("FlowService/GetTopFlows", {"window": {"seconds": 5}}, kinds=["flows", "groups", "from_time"]),
    case("AlertService/ListAlerts"),
    case("StatsService/GetStats", kinds=["stats"]),
    # Streams.
    case("FlowService/ObserveFlows", {"last": 5}, kinds=["flows"]),
    case("FlowService/ObserveFlows", {"last": 5, "follow": True}, "CANCELLED", until=["flows", "node_status"]),
    case("FlowService/ObserveFlows", {"follow": True, "max_rate": 1}, "CANCELLED", until=["flows", "loss_notice"]),
    case("AlertService/ObserveAlerts", {"follow": True}, "CANCELLED", until=["alerts"]),
    case("StatsService/WatchStats", {}, "CANCELLED", until=["stats"]),
    case("StatsService/WatchStats", {}, "DEADLINE_EXCEEDED", deadline=1.5),
    case("PacketService/ObservePackets", {"follow": True}, "CANCELLED", until=["packets"]),
    case("PacketService/CapturePackets", {"bpf": "tcp", "max_packets": 5}, kinds=["summary"]),
    # Refusals.
    case("FlowService/ListActiveFlows", {"filter": "server.port ="}, "INVALID_ARGUMENT", "INVALID_FILTER", "filter"),
    case("FlowService/ListActiveFlows", {"page_size": 1001}, "INVALID_ARGUMENT", "OUT_OF_BOUNDS", "page_size"),
    case("FlowService/ListActiveFlows", {"page_token": "x"}, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"),
    case("FlowService/GetFlow", {"flow_id": "xyz"}, "INVALID_ARGUMENT", "BAD_ID", "flow_id"),
    case("FlowService/GetFlow", {}, "INVALID_ARGUMENT", "MISSING_FIELD", "flow_id"),
    case("FlowService/GetTopFlows", {"group_by": "moon"}, "INVALID_ARGUMENT", "OUT_OF_BOUNDS", "group_by"),
    case("FlowService/ObserveFlows", {"first": 1, "last": 1}, "INVALID_ARGUMENT", "FIRST_AND_LAST", "first"),
    case("FlowService/ListActiveFlows", {"sensor_selector": {"sensor_ids": ["other"]}}, "NOT_FOUND", "NO_SUCH_SENSOR"),
    case("FlowService/ObserveFlows", {"last": 5, "sensor_selector": {"sensor_ids": ["service-*"]}}, kinds=["flows"]),
    case("StatsService/GetStats", {"sensor_selector": {"sensor_ids": [""]}}, "INVALID_ARGUMENT", "OUT_OF_BOUNDS", "sensor_selector"),
    case("FlowService/ObserveFlows", {"include": [{"ip": ["x"]}]}, "INVALID_ARGUMENT", "INVALID_FILTER", "filter"),
    case("FlowService/ObserveFlows", {"field_mask": {"paths": ["clinet"]}}, "INVALID_ARGUMENT", "INVALID_FIELD_MASK",
         "field_mask"),
    case("StatsService/WatchStats", {"interval": {"nanos": 5}}, "INVALID_ARGUMENT", "OUT_OF_BOUNDS", "interval"),
    case("StatsService/WatchStats", {"interval": {"seconds": 3601}}, "INVALID_ARGUMENT", "OUT_OF_BOUNDS", "interval"),
    case("FlowService/GetFlow", {"flow_id": "0" * 16}, "NOT_FOUND", "NO_SUCH_FLOW"),
    case("AlertService/AcknowledgeAlert", {"alert_ids": ["none"]}, "FAILED_PRECONDITION", "ASK_THE_COLLECTOR"),
    case("AlertService/CreateSilence", {}, "FAILED_PRECONDITION", "ASK_THE_COLLECTOR"),
    case("AlertService/ListSilences", {}, "FAILED_PRECONDITION", "ASK_THE_COLLECTOR"),
    case("AlertService/DeleteSilence", {}, "FAILED_PRECONDITION", "ASK_THE_COLLECTOR"),
    case("AlertService/ListAlerts", {"silenced": 2}, "FAILED_PRECONDITION", "ASK_THE_COLLECTOR"),
    case("AlertService/GetAlert", {"alert_id": "none"}, "NOT_FOUND", "NO_SUCH_ALERT"),
    case("PacketService/GetPacket", {"id": "none"}, "NOT_FOUND", "NO_SUCH_PACKET"),
    case("DnsService/ObserveDns", {}, "FAILED_PRECONDITION", "DNS_RECORDS_OFF"),
    case("PacketService/CapturePackets", {"bpf": "tcp and ("}, "INVALID_ARGUMENT", "INVALID_FILTER", "bpf"),
    case("PacketService/CapturePackets", {"include_history": True}, "FAILED_PRECONDITION", "NO_HISTORY"),
    case("ConfigService/ApplyConfig", {}, "INVALID_ARGUMENT", "MISSING_FIELD", "yaml"),
    case("ConfigService/ApplyConfig", {"yaml": "log: {level: info}", "expected_hash": "0" * 16}, "ABORTED", "HASH_CHANGED"),
    case("ConfigService/ConfirmConfig", {"config_hash": "0" * 16}, "FAILED_PRECONDITION", "NOTHING_PENDING"),
    case("SensorService/GetInfo", {}, "UNAUTHENTICATED", "UNAUTHENTICATED", token="wrong"),
    case("FlowService/ListActiveFlows", {"filter": "x" * 300000}, "RESOURCE_EXHAUSTED"),
    case("SensorService/GetInfo", {}, "UNAVAILABLE", address="nobody", deadline=5),
]


class Python:
    """grpcio with messages made from the descriptors."""

    def __init__(self):
        files = descriptor_pb2.FileDescriptorSet()
        with open(DESCRIPTORS, "rb") as file:
            files.ParseFromString(file.read())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def message(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))

    def result(self, error, messages):
        found = {"code": "OK", "reason": "", "field": "", "retry": "", "messages": messages}
        if error is None:
            return found
        found["code"] = error.code().name
        for key, value in error.trailing_metadata() or ():
            if key != "grpc-status-details-bin":
                continue
            for one in self.message("google.rpc.Status").FromString(value).details:
                name = one.type_url.split("/")[1]
                detail = self.message(name).FromString(one.value)
                if name == "google.rpc.ErrorInfo":
                    found["reason"] = detail.reason
                elif name == "google.rpc.BadRequest":
                    found["field"] = detail.field_violations[0].field
                elif name == "google.rpc.RetryInfo":
                    found["retry"] = str(detail.retry_delay.seconds)
        return found

    @staticmethod
    def kinds(message):
        return [field.name for field, _ in message.ListFields() if field.message_type is not None]

    def run(self, sensor, one):
        service = self.pool.FindServiceByName("netscope.v1." + one["service"])
        method = service.methods_by_name[one["method"]]
        request = json_format.ParseDict({}, self.message(method.input_type.full_name)())
        fill(request, one["request"])
        token = one.get("token", TOKEN)
        options = {"timeout": one.get("deadline", 20), "metadata": (("authorization", f"Bearer {token}"),)}
        read = self.message(method.output_type.full_name).FromString
        path = f"/netscope.v1.{one['service']}/{one['method']}"
        messages = []
        with grpc.insecure_channel(one.get("address") or f"127.0.0.1:{sensor.grpc}",
                                   options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                if not one["is_stream"]:
                    answer = channel.unary_unary(path, type(request).SerializeToString, read)(request, **options)
                    return self.result(None, self.kinds(answer))
                call = channel.unary_stream(path, type(request).SerializeToString, read)(request, **options)
                for answer in call:
                    messages += [kind for kind in self.kinds(answer) if kind not in messages]
                    if one.get("until") and set(one["until"]) <= set(messages):
                        call.cancel()
                return self.result(None, messages)
            except grpc.RpcError as error:
                return self.result(error, messages)

    def run_all(self, sensor, cases):
        return [self.run(sensor, one) for one in cases]


def fill(message, fields):
    """Plain dictionaries into a message, Durations and masks as messages."""
    for name, value in fields.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    fill(getattr(message, name).add(), one)
                else:
                    getattr(message, name).append(one)
        else:
            setattr(message, name, value)


class JavaScript:
    @staticmethod
    def is_there():
        if not TOOLS or shutil.which("node") is None or shutil.which("npm") is None:
            return False
        if not os.path.isdir(os.path.join(TOOLS, "node_modules", "@grpc", "grpc-js")):
            os.makedirs(TOOLS, exist_ok=True)
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", TOOLS, *PACKAGES],
                           capture_output=True, text=True, timeout=240, cwd=TOOLS)
        return os.path.isdir(os.path.join(TOOLS, "node_modules", "@grpc", "grpc-js"))

    @staticmethod
    def run_all(sensor, cases):
        told = {"address": f"127.0.0.1:{sensor.grpc}", "token": TOKEN, "protos": os.path.join(ROOT, "proto"),
                "services": SERVICES, "cases": cases}
        done = subprocess.run(["node", os.path.join(HERE, "foreign.js")], input=json.dumps(told), capture_output=True,
                              text=True, timeout=240,
                              env={**os.environ, "NODE_PATH": os.path.join(TOOLS, "node_modules")})
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines()]


class Foreign(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sensor = Service(has_token=True, more="flow:\n  idle_timeout: 2s\n  first_update: 1s\n  active_timeout: 2s\n"
                                                  "packets:\n  samples_per_second: 20\n")
        wait_until("statistics", lambda: cls.sensor.json("/v1/stats").get("stats"))
        wait_until("an alert", lambda: cls.sensor.json("/v1/alerts").get("alerts"))
        nobody = f"127.0.0.1:{free_port()}"
        cls.cases = [{**one, "address": nobody} if one.get("address") else one for one in CASES]

    @classmethod
    def tearDownClass(cls):
        cls.sensor.__exit__()

    def compare(self, client):
        for one, got in zip(self.cases, client.run_all(self.sensor, self.cases), strict=True):
            with self.subTest(method=one["method"], request=str(one["request"])[:80]):
                self.assertEqual((got["code"], got["reason"], got["field"]), (one["code"], one["reason"], one["field"]), got)
                wanted = one.get("until") or one.get("kinds") or []
                self.assertLessEqual(set(wanted), set(got["messages"]), got)

    def test_python_grpcio(self):
        self.compare(Python())

    def test_grpc_js(self):
        if not JavaScript.is_there():
            self.skipTest("@grpc/grpc-js is not to be had")
        self.compare(JavaScript())

    def test_garbage_is_no_request(self):
        with grpc.insecure_channel(f"127.0.0.1:{self.sensor.grpc}", options=[("grpc.enable_http_proxy", 0)]) as channel:
            for path in ("FlowService/GetFlow", "SensorService/GetInfo", "StatsService/WatchStats"):
                call = channel.unary_stream(f"/netscope.v1.{path}")(
                    b"\xff\xff\xff\xff\xff\xff\xff", timeout=20 * PATIENCE, metadata=(("authorization", f"Bearer {TOKEN}"),))
                with self.assertRaises(grpc.RpcError) as caught:
                    list(call)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, path)
            with self.assertRaises(grpc.RpcError) as caught:
                channel.unary_unary("/netscope.v1.FlowService/NoSuch")(b"", timeout=20 * PATIENCE)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_too_many_streams_are_told_when_to_come_again(self):
        client, follow = Python(), case("FlowService/ObserveFlows", {"follow": True}, until=["never"], deadline=8)
        with Service(grpc="  streams_max: 2\n", has_token=True) as small:
            threads = [threading.Thread(target=client.run, args=(small, follow)) for _ in range(2)]
            for thread in threads:
                thread.start()
            wait_until("two streams", lambda: metrics(small.url + "/metrics").get("netscope_grpc_streams") == 2)
            got = client.run(small, case("FlowService/ObserveFlows", {"last": 1}))
            self.assertEqual((got["code"], got["reason"], got["retry"]), ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS", "1"))
            for thread in threads:
                thread.join()

    def test_packets_without_a_token_are_denied(self):
        with Service() as open_sensor:
            time.sleep(0.1)
            got = Python().run(open_sensor, case("PacketService/ObservePackets", {}))
            self.assertEqual(got["code"], "PERMISSION_DENIED")


if __name__ == "__main__":
    main()
