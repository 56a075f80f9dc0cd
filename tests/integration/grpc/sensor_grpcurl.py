"""Every method of a running sensor by grpcurl: reflection only, TCP and unix socket, right and wrong requests.

usage: sensor_grpcurl.py SENSOR
"""
import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support import grpcurl as tool

SKIP = 77
SERVICES = ("SensorService", "FlowService", "AlertService", "StatsService", "PacketService")
failures = []


def check(is_true, what):
    if not is_true:
        failures.append(what)
        print(f"FAILED: {what}")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, target, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\x00" + head + payload


def tcp(source, sport, target, dport, flags, sequence=1, data=b""):
    return ip(source, target, 6, struct.pack("!HHIIBBHHH", sport, dport, sequence, 1, 0x50, flags, 8192, 0, 0) + data)


def packets():
    """Two seconds: forty connections, some DNS, and a SYN flood from many sources."""
    at = 0.0
    for i in range(40):
        client, port = f"10.0.0.{i % 8 + 1}", 40000 + i
        for frame in (tcp(client, port, "192.0.2.80", 80, 2), tcp("192.0.2.80", 80, client, port, 0x12),
                      tcp(client, port, "192.0.2.80", 80, 0x10),
                      tcp(client, port, "192.0.2.80", 80, 0x18, 2, b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n"),
                      tcp("192.0.2.80", 80, client, port, 0x18, 2, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10 * i)):
            at += 0.005
            yield at, frame
    for i in range(600):
        at += 0.0015
        yield at, tcp(f"198.51.100.{i % 200 + 1}", 1024 + i, "10.0.0.99", 443, 2)


def write_pcap(path):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for at, frame in packets():
            out.write(struct.pack("<IIII", 1700000000 + int(at), int(at % 1 * 1e6), len(frame), len(frame)))
            out.write(frame)


class Sensor:
    def __init__(self, program, folder, extra=""):
        self.socket = os.path.join(folder, "sensor.sock")
        pcap, config = os.path.join(folder, "x.pcap"), os.path.join(folder, "sensor.yaml")
        self.log = os.path.join(folder, "log")
        write_pcap(pcap)
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  listen: 127.0.0.1:0\n  unix_socket: {self.socket}\n{extra}"
                      "http:\n  port: 0\nflow:\n  idle_timeout: 2s\n  first_update: 1s\n  active_timeout: 2s\n"
                      "sensor:\n  id: grpcurl-sensor\n")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([program, "--config", config, "--read-pcap", pcap, "--pace", "--loop",
                                             "--quiet", "-v"], stdout=subprocess.DEVNULL, stderr=log)
        self.grpc = self.port("serving port=|serving\" port=")
        self.http = self.port("serving metrics and health\" port=")

    def port(self, pattern):
        for _ in range(200):
            with open(self.log, encoding="utf-8") as log:
                found = re.search(f"(?:{pattern})(\\d+)", log.read())
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        with open(self.log, encoding="utf-8") as log:
            sys.exit(f"the sensor does not serve:\n{log.read()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Client:
    def __init__(self, grpcurl, target, headers=()):
        flags, self.target = tool.unix(grpcurl, target) if target.startswith("/") else ([], target)
        self.base = [grpcurl, "-plaintext", *flags, *(x for h in headers for x in ("-H", h))]

    def run(self, *arguments, data=None, limit=None):
        command = [*self.base, *(["-max-time", str(limit)] if limit else []), *(["-d", data] if data is not None
                                                                               else []), self.target, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def call(self, method, request=None, limit=None):
        """The answers as a list, and the name of the status."""
        done = self.run(f"netscope.v1.{method}", data=json.dumps(request or {}), limit=limit)
        code = re.search(r"(?:Code:|code =) (\w+)", done.stderr)
        answers, decoder, text = [], json.JSONDecoder(), done.stdout.strip()
        while text:
            answer, end = decoder.raw_decode(text)
            answers.append(answer)
            text = text[end:].strip()
        return answers, code.group(1) if code else "OK", done.stderr


def expect(client, method, request, status, text=""):
    _, code, stderr = client.call(method, request, limit=8)
    check(code == status and text in stderr, f"{method} {request}: {code}, {status} was expected; {stderr.strip()}")


def check_reflection(client):
    listed = client.run("list").stdout.split()
    for service in SERVICES:
        check(f"netscope.v1.{service}" in listed, f"{service} is not listed")
        described = client.run("describe", f"netscope.v1.{service}").stdout
        check("rpc " in described, f"{service} is not described")
        for method in re.findall(r"rpc (\w+) \(", described):
            full = client.run("describe", f"netscope.v1.{service}.{method}").stdout
            check("returns" in full, f"{service}.{method} is not described")
    check("grpc.health.v1.Health" in listed, "health is not listed")
    health = client.run("grpc.health.v1.Health/Check", data='{"service": "netscope.v1.FlowService"}')
    check("SERVING" in health.stdout, f"health: {health.stdout}{health.stderr}")


def records(answers):
    return [flow for answer in answers for flow in answer.get("flows", {}).get("flows", [])]


def is_contiguous(numbers):
    return bool(numbers) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def check_unary(client):
    info, code, _ = client.call("SensorService/GetInfo")
    check(code == "OK" and info[0]["sensorId"] == "grpcurl-sensor" and info[0]["interfaces"], f"GetInfo: {info}")
    status, code, _ = client.call("SensorService/GetStatus")
    check(code == "OK" and status[0].get("ready") and "stats" in status[0], f"GetStatus: {status}")
    assets, code, _ = client.call("SensorService/ListAssets", {"page_size": 10})
    check(code == "OK", f"ListAssets: {assets}")
    _, code, _ = client.call("SensorService/ListAssets", {"page_token": "x"})
    check(code == "InvalidArgument", f"ListAssets with a made-up token: {code}")
    ledger, code, _ = client.call("SensorService/GetLossLedger")
    check(code == "OK" and len(ledger[0].get("rows", [])) >= 4, f"GetLossLedger: {ledger}")
    stats, code, _ = client.call("StatsService/GetStats")
    check(code == "OK" and stats[0]["stats"]["sensorId"] == "grpcurl-sensor", f"GetStats: {stats}")
    alerts, code, _ = client.call("AlertService/ListAlerts")
    found = alerts[0].get("alerts", [])
    check(code == "OK" and any(a["kindName"] == "syn_flood" for a in found), f"ListAlerts: {alerts}")
    if found:
        one, code, _ = client.call("AlertService/GetAlert", {"alertId": found[0]["alertId"]})
        check(code == "OK" and one[0]["alert"]["alertId"] == found[0]["alertId"], f"GetAlert: {one}")
    some, code, _ = client.call("AlertService/ListAlerts", {"subject": ["203.0.113.0/24"]})
    check(code == "OK" and not some[0].get("alerts"), f"ListAlerts by subject: {some}")


def check_flows(client):
    seen, token = [], ""
    for _ in range(50):
        page, code, stderr = client.call("FlowService/ListActiveFlows", {
            "pageSize": 10, "pageToken": token, "orderBy": "FLOW_ORDER_BYTES", "filter": "server.port = 80"})
        check(code == "OK", f"ListActiveFlows: {stderr}")
        seen += [flow["flowId"] for flow in page[0].get("flows", [])] if page else []
        token = page[0].get("nextPageToken", "") if page else ""
        if not token:
            break
    check(len(seen) >= 10, f"ListActiveFlows gave {len(seen)} flows")
    check(len(set(seen)) == len(seen), "a flow is on two pages")
    flow, code, _ = client.call("FlowService/ListActiveFlows", {"pageSize": 1, "orderBy": "FLOW_ORDER_LAST_SEEN"})
    newest = flow[0]["flows"][0]
    one, code, stderr = client.call("FlowService/GetFlow", {"flowId": newest["flowId"]})
    check(code == "OK" and one[0]["flow"]["flowId"] == newest["flowId"], f"GetFlow: {stderr}")
    one, code, stderr = client.call("FlowService/GetFlow", {"communityId": newest["communityId"]})
    check(code == "OK" and one[0]["flow"]["communityId"] == newest["communityId"], f"GetFlow: {stderr}")
    top, code, _ = client.call("FlowService/GetTopFlows", {"limit": 5, "by": "FLOW_ORDER_BYTES"})
    sizes = [int(f["forward"]["totalBytes"]) + int(f.get("reverse", {}).get("totalBytes", 0)) for f in top[0]["flows"]]
    check(code == "OK" and len(sizes) == 5 and sizes == sorted(sizes, reverse=True), f"GetTopFlows: {sizes}")
    for group in ("client", "server", "server_port", "app", "sensor"):
        top, code, _ = client.call("FlowService/GetTopFlows", {"groupBy": group})
        check(code == "OK" and top[0].get("groups"), f"GetTopFlows by {group}: {top}")


def check_after(client):
    """Each stream goes on behind a record that somebody remembers."""
    history, _, _ = client.call("FlowService/ObserveFlows", {})
    boot, first = (flows := records(history))[0]["bootId"], int(flows[0]["recordSeq"])
    for place, expected in (({"bootId": boot, "recordSeq": first + 2}, first + 3), ({"bootId": boot}, first),
                            ({"bootId": "another", "recordSeq": 10 ** 9}, first)):
        got, code, stderr = client.call("FlowService/ObserveFlows", {"after": place})
        numbers = [int(flow["recordSeq"]) for flow in records(got)]
        check(code == "OK" and numbers[0] == expected and is_contiguous(numbers), f"after {place}: {code}, {numbers[:3]}; {stderr}")
    got, code, _ = client.call("FlowService/ObserveFlows", {"after": {"bootId": boot, "recordSeq": 10 ** 9}})
    check(code == "OK" and not records(got), f"after what is to come: {code}, {len(records(got))}")
    alerts, code, _ = client.call("AlertService/ObserveAlerts", {"after": {"bootId": boot, "recordSeq": 1}})
    check(code == "OK" and [int(alert["recordSeq"]) for message in alerts for alert in message["alerts"]["alerts"]][:1] == [2],
          f"alerts after the first: {code}, {alerts[:1]}")
    stats, code, _ = client.call("StatsService/WatchStats", {"after": {"bootId": boot, "recordSeq": 1}}, limit=3)
    numbers = [int(record["recordSeq"]) for message in stats for record in message["stats"]["stats"]]
    check(code == "DeadlineExceeded" and numbers[:1] == [2] and is_contiguous(numbers), f"statistics after the first: {numbers}")
    for method in ("FlowService/ObserveFlows", "AlertService/ObserveAlerts"):
        expect(client, method, {"after": {"bootId": boot}, "last": 1}, "InvalidArgument", "after and last")


def check_streams(client, is_unix):
    check_after(client)
    history, code, _ = client.call("FlowService/ObserveFlows", {})
    numbers = [int(flow["recordSeq"]) for flow in records(history)]
    check(code == "OK" and is_contiguous(numbers),
          f"ObserveFlows: {code}, {len(numbers)} records")
    live, code, stderr = client.call("FlowService/ObserveFlows", {
        "last": 5, "follow": True, "fieldMask": {"paths": ["record_seq", "server.port"]}, "maxBatch": 1}, limit=6)
    got = records(live)
    check(code == "DeadlineExceeded" and len(got) > 5, f"live: {code}, {len(got)} records; {stderr}")
    check(all(set(flow) <= {"recordSeq", "server"} for flow in got), "the mask let other fields through")
    numbers = [int(flow["recordSeq"]) for flow in got]
    check(is_contiguous(numbers), f"live numbers: {numbers[:20]}")
    first, code, _ = client.call("FlowService/ObserveFlows", {"first": 3, "include": [{"port": [80]}]})
    check(code == "OK" and len(records(first)) == 3, f"first: {code}, {len(records(first))}")
    alerts, code, _ = client.call("AlertService/ObserveAlerts", {"kinds": ["ALERT_KIND_SYN_FLOOD"]})
    check(code == "OK" and alerts, f"ObserveAlerts: {code}")
    stats, code, _ = client.call("StatsService/WatchStats", {"interval": "1s"}, limit=4)
    check(code == "DeadlineExceeded" and len(stats) >= 3, f"WatchStats: {code}, {len(stats)} messages")
    if not is_unix:
        expect(client, "PacketService/ObservePackets", {}, "PermissionDenied", "unix socket")
        expect(client, "PacketService/CapturePackets", {}, "PermissionDenied", "unix socket")
        return
    samples, code, _ = client.call("PacketService/ObservePackets", {"last": 3, "layers": True})
    found = [sample for answer in samples for sample in answer["packets"]["packets"]]
    check(code == "OK" and len(found) == 3 and found[0]["layers"], f"ObservePackets: {code}, {len(found)}")
    one, code, stderr = client.call("PacketService/GetPacket", {"id": found[0]["id"]})
    layers = [layer["name"] for layer in one[0]["packet"]["layers"]] if one else stderr
    check(code == "OK" and "IPv4" in layers and "TCP" in layers, f"GetPacket: {layers}")
    check(len(base64.b64decode(found[0]["data"])) >= 54, "a sample without its bytes")
    expect(client, "PacketService/GetPacket", {"id": "9-9"}, "NotFound", "the oldest sample held is")
    pieces, code, _ = client.call("PacketService/CapturePackets", {"bpf": "tcp port 80", "max_packets": 7})
    file = b"".join(base64.b64decode(piece["chunk"]) for piece in pieces if "chunk" in piece)
    summary = pieces[-1].get("summary", {}) if pieces else {}
    check(code == "OK" and summary.get("packets") == "7" and summary.get("reason") == "max_packets",
          f"CapturePackets: {code}, {summary}")
    check(file[:4] == b"\x0a\x0d\x0d\x0a" and summary.get("bytes") == str(len(file)), f"a pcapng file: {file[:8]}")
    expect(client, "PacketService/CapturePackets", {"bpf": "tcp port"}, "InvalidArgument", "syntax error")


def check_refusals(client):
    for method, request, status, text in (
            ("FlowService/ObserveFlows", {"first": 1, "last": 1}, "InvalidArgument", "first and last"),
            ("FlowService/ObserveFlows", {"maxBatch": 513}, "InvalidArgument", "max_batch"),
            ("FlowService/ObserveFlows", {"maxBatch": 0, "first": 1}, "OK", ""),
            ("FlowService/ObserveFlows", {"filter": "server.prot = 1"}, "InvalidArgument", "filter"),
            ("FlowService/ObserveFlows", {"include": [{"ip": ["nonsense"]}]}, "InvalidArgument", "include[0].ip[0]"),
            ("FlowService/ObserveFlows", {"fieldMask": {"paths": ["nope"]}}, "InvalidArgument", "nope"),
            ("FlowService/ListActiveFlows", {"pageSize": 4000000000}, "InvalidArgument", "page_size"),
            ("FlowService/ListActiveFlows", {"pageToken": "garbage"}, "InvalidArgument", "page_token"),
            ("FlowService/ListActiveFlows", {"orderBy": 77}, "InvalidArgument", "order"),
            ("FlowService/GetFlow", {}, "InvalidArgument", "either"),
            ("FlowService/GetFlow", {"flowId": "0000000000000000"}, "NotFound", "not alive"),
            ("FlowService/GetTopFlows", {"limit": 4000000000}, "InvalidArgument", "limit"),
            ("FlowService/GetTopFlows", {"groupBy": "colour"}, "InvalidArgument", "colour"),
            ("AlertService/ListAlerts", {"subject": ["x"]}, "InvalidArgument", "subject[0]"),
            ("AlertService/GetAlert", {"alertId": "none"}, "NotFound", "none"),
            ("StatsService/WatchStats", {"interval": "0s"}, "InvalidArgument", "interval"),
            ("StatsService/WatchStats", {"interval": "7200s"}, "InvalidArgument", "interval")):
        expect(client, method, request, status, text)


def check_garbage(sensor, client):
    for piece in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 5000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 3000):
        with socket.create_connection(("127.0.0.1", sensor.grpc), timeout=5) as peer:
            peer.sendall(piece)
            peer.settimeout(1)
            try:
                peer.recv(4096)
            except (socket.timeout, ConnectionError):
                pass
    check(client.call("SensorService/GetInfo")[1] == "OK", "the server does not answer after garbage")


def check_http(sensor):
    base = f"http://127.0.0.1:{sensor.http}"

    def get(path):
        try:
            with urllib.request.urlopen(base + path, timeout=5) as answer:
                return answer.status, answer.headers.get("Content-Type"), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Content-Type"), error.read().decode()

    page = get("/metrics")[2]
    for name in ("build_info", "uptime_seconds", "capture_bytes_total", "capture_packets_total", "active_flows",
                 "dispatch_drops_total", "kernel_drops_total", "kernel_if_drops_total", "flow_records_total",
                 "dropped_packets_total", "export_records_total", "alerts_total"):
        check(re.search(rf"^netscope_{name}(\{{.*\}})? \S+$", page, re.M), f"/metrics has no netscope_{name}")
    check(get("/healthz")[0] == 200 and get("/api/health")[0] == 200, "/healthz")
    check(get("/readyz")[0] == 200, f"/readyz: {get('/readyz')}")
    status, kind, body = get("/v1/nothing")
    check(status == 404 and "problem+json" in kind and "NO_SUCH_PATH" in body, f"404: {status} {kind} {body}")


def check_token(grpcurl, program, folder):
    token = os.path.join(folder, "token")
    with open(token, "w", encoding="utf-8") as out:
        out.write("secret-token-012345\n")
    os.chmod(token, 0o644)
    config = os.path.join(folder, "open.yaml")
    with open(config, "w", encoding="utf-8") as out:
        out.write(f"grpc:\n  enabled: on\n  listen: 127.0.0.1:0\n  token_file: {token}\n")
    write_pcap(os.path.join(folder, "x.pcap"))
    pcap = os.path.join(folder, "x.pcap")
    done = subprocess.run([program, "--config", config, "--read-pcap", pcap, "--quiet"], capture_output=True,
                          text=True, timeout=30)
    check(done.returncode != 0 and "chmod 600" in done.stderr, f"an open token file: {done.stderr}")
    os.chmod(token, 0o600)
    for address in ("0.0.0.0:0", "192.0.2.1:50051"):
        done = subprocess.run([program, "--grpc-listen", address, "--read-pcap", pcap, "--pace", "--quiet"],
                              capture_output=True, text=True, timeout=30)
        check(done.returncode != 0 and "TLS" in done.stderr, f"{address} without TLS: {done.stderr}")
    sensor = Sensor(program, folder, f"  token_file: {token}\n")
    target = f"127.0.0.1:{sensor.grpc}"
    expect(Client(grpcurl, target), "SensorService/GetInfo", {}, "Unauthenticated", "")
    expect(Client(grpcurl, sensor.socket), "SensorService/GetInfo", {}, "OK")
    good = Client(grpcurl, target, ["authorization: Bearer secret-token-012345"])
    expect(good, "SensorService/GetInfo", {}, "OK")
    expect(Client(grpcurl, target, ["authorization: Bearer secret-tokem-012345"]), "SensorService/GetInfo", {},
           "Unauthenticated")
    check(sensor.stop() == 0, "exit status with a token")


def main():
    program = sys.argv[1]
    grpcurl = tool.find(makes_it=True)
    if grpcurl is None:
        print(f"SKIP: neither grpcurl nor a Go that builds {tool.MODULE} is installed")
        return SKIP
    with tempfile.TemporaryDirectory() as folder:
        sensor = Sensor(program, folder)
        try:
            time.sleep(5)
            over_tcp = Client(grpcurl, f"127.0.0.1:{sensor.grpc}")
            over_unix = Client(grpcurl, sensor.socket)
            check_reflection(over_tcp)
            check_reflection(over_unix)
            check_unary(over_tcp)
            check_flows(over_tcp)
            check_streams(over_tcp, False)
            check_streams(over_unix, True)
            check_refusals(over_tcp)
            check_garbage(sensor, over_tcp)
            check_http(sensor)
        finally:
            status = sensor.stop()
        check(status == 0, f"exit status {status}")
    with tempfile.TemporaryDirectory() as folder:
        check_token(grpcurl, program, folder)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
