"""Receivers of alerts on loopback (webhooks, syslog), a collector that routes to them, and what it is to tell them."""
import http.server
import json
import os
import re
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from end_to_end.fleet import Collector
from support.programs import SYN, get, json_lines, make_traffic, metrics, sensor, tcp, wait_until, write_pcap

SEVERITIES = ["info", "low", "medium", "high", "critical"]
# A proxy of whoever runs the tests is none of theirs.
NO_PROXY = {"no_proxy": "*", "NO_PROXY": "*"}
EVER = "from=0&to=4000000000000&page_size=1000"


# ---- webhooks ----


class Request:
    def __init__(self, handler, body, status):
        self.path, self.headers, self.body, self.status = handler.path, handler.headers, body, status
        self.at = time.monotonic()

    def json(self):
        return json.loads(self.body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            answer = self.server.answers.pop(0) if self.server.answers else self.server.answer
            self.server.requests.append(Request(self, body, answer[0]))
        time.sleep(self.server.seconds)
        status, headers, text = answer
        if status == 0:  # hangs up
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Hook(http.server.ThreadingHTTPServer):
    """A webhook's server. Requests get the answers in their order, then `answer`: (status, headers, body); status 0
    is no answer, but an end of the connection. Each answer takes `seconds`."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, context=None, port=0, answers=()):
        self.context, self.answers, self.answer = context, list(answers), (200, {}, b"")
        self.seconds = 0
        self.lock, self.requests = threading.Lock(), []
        self.connections, self.failed_handshakes = [], 0
        super().__init__(("127.0.0.1", port), Handler)
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def finish_request(self, request, client_address):
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                with self.lock:
                    self.failed_handshakes += 1
                return
        with self.lock:
            self.connections.append(request)
        try:
            super().finish_request(request, client_address)
        except OSError:
            pass
        finally:
            request.close()

    def handle_error(self, *_):
        pass

    def url(self, path="/hook"):
        return f"http{'s' if self.context else ''}://127.0.0.1:{self.port}{path}"

    def taken(self):
        """What it said yes to."""
        with self.lock:
            return [request for request in self.requests if 200 <= request.status <= 299]

    def records(self):
        return [request.json() for request in self.taken()]

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


# ---- syslog ----


class Datagrams:
    """A daemon at a UDP port or at the path of a local socket."""

    def __init__(self, path=None):
        self.socket = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0) if path is None else path)
        self.socket.settimeout(0.05)
        self.url = f"udp://127.0.0.1:{self.socket.getsockname()[1]}" if path is None else f"unix:{path}"
        self.messages, self.is_over = [], threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while not self.is_over.is_set():
            try:
                self.messages.append(self.socket.recv(1 << 18))
            except TimeoutError:
                pass

    def close(self):
        self.is_over.set()
        self.thread.join()
        self.socket.close()


class Streams:
    """A daemon at a TCP port, with TLS when there is a context: octet counting (RFC 6587 3.4.1, RFC 5425 4.3) and
    nothing else. `connections` has the messages of each."""

    def __init__(self, context=None):
        self.context, self.connections, self.sockets, self.wrong = context, [], [], []
        self.failed_handshakes = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'tls' if context else 'tcp'}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        messages, data = [], b""
        try:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.sockets.append(connection)
            self.connections.append(messages)
            while more := connection.recv(65536):
                data += more
                while frame := re.match(rb"([1-9][0-9]*) ", data):
                    end = frame.end() + int(frame[1])
                    if len(data) < end:
                        break
                    messages.append(data[frame.end():end])
                    data = data[end:]
        except ssl.SSLError:
            self.failed_handshakes += 1
        except OSError:
            pass
        if data:
            self.wrong.append(data)

    @property
    def messages(self):
        return [message for each in list(self.connections) for message in list(each)]

    def hang_up(self):
        for connection in self.sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                pass
        self.sockets = []

    def close(self):
        self.listener.close()
        self.hang_up()


# ---- a collector that routes ----


def yaml(receivers, sections=None):
    """Settings as a file holds them."""
    lines = []
    for section, values in (sections or {}).items():
        lines += [f"{section}:", *(f"  {key}: {value}" for key, value in values.items())]
    lines += ["receivers:"] if receivers else []
    for name, values in receivers.items():
        lines.append(f"  {name}:")
        for key, value in values.items():
            value = f"[{', '.join(value)}]" if isinstance(value, list) else json.dumps(str(value))
            lines.append(f"    {key}: {value}")
    return "\n".join(lines) + "\n"


class Routing(unittest.TestCase):
    """A folder, a collector with receivers, sensors that raise alerts."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="netscope-")
        cls.addClassCleanup(folder.cleanup)
        cls.demo, _ = make_traffic(folder.name, "demo")
        cls.scans = write_scans(os.path.join(folder.name, "scans.pcap"), 3)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.collector = None
        self.sensors = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, name, text, mode=0o600):
        """Replaced as a whole."""
        with open(self.path(f"{name}.new"), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.path(f"{name}.new"), mode)
        os.rename(self.path(f"{name}.new"), self.path(name))
        return self.path(name)

    def hook(self, *arguments, **options):
        hook = Hook(*arguments, **options)
        self.addCleanup(hook.close)
        return hook

    def closing(self, receiver):
        self.addCleanup(receiver.close)
        return receiver

    def start(self, receivers, sections=None):
        self.file("collector.yaml", yaml(receivers, sections))
        self.collector = Collector(self.folder, arguments=["--config", self.path("collector.yaml"), "-v"],
                                   environment=NO_PROXY)
        self.addCleanup(self.collector.close)
        return self.collector

    def restart(self, number=signal.SIGTERM):
        status = self.collector.program.stop(number)
        self.assertEqual(status, -signal.SIGKILL if number == signal.SIGKILL else 0, self.collector.program.text()[-2000:])
        self.collector.start()

    def raise_alerts(self, capture=None):
        """By a sensor of its own, which ends when the collector has all; its alerts by its own file, the oldest first,
        under the names that records have."""
        self.sensors += 1
        name, own = f"sensor-{self.sensors}", self.path(f"alerts-{self.sensors}.jsonl")
        done = sensor("--read-pcap", capture or self.demo, "--quiet", "--alerts-jsonl", own, "--sensor-id", name, "--collector",
                      f"127.0.0.1:{self.collector.ingest}", environment={
                          "NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off",
                          "NETSCOPE_SPOOL__DIRECTORY": "memory", "NETSCOPE_COLLECTOR__BACKOFF_MAX": "500ms"})
        self.assertEqual(done.returncode, 0, done.stderr)
        alerts = [{"sensor_id": name, "alert_id": line["alert_id"], "kind_name": line["detail"],
                   "state": f"ALERT_STATE_{line['state'].upper()}", "severity": f"SEVERITY_{line['severity'].upper()}",
                   "description": line["description"], "attackers": line["attackers"], "victims": line["victims"],
                   "config_key": line["config_key"], "first_seen": line["first_seen"], "last_seen": line["last_seen"]}
                  for line in json_lines(own)]
        self.assertTrue(alerts)
        return alerts

    def stored(self):
        """{alert_id: the newest record} by GET /v1/alerts."""
        return {record["alert_id"]: record for record in self.collector.fetch(f"/v1/alerts?{EVER}")["alerts"]}

    def metrics(self):
        return metrics(f"http://127.0.0.1:{self.collector.http}/metrics")

    def counted(self, name):
        """{result: alerts} of a receiver."""
        values = self.metrics()
        results = ("sent", "passed_over", "silenced", "refused", "expired", "dropped")
        counts = {result: int(values[f'netscope_collector_receiver_alerts_total{{receiver="{name}",result="{result}"}}'])
                  for result in results}
        for key in ("waiting", "retries_total", "up"):
            counts[key] = int(values[f'netscope_collector_receiver_{key}{{receiver="{name}"}}'])
        return counts

    def await_counted(self, name, seconds=20, **expected):
        """Waits for these counts; all of them."""
        found = {}

        def is_so():
            found.update(self.counted(name))
            return all(found[key] == value for key, value in expected.items())

        try:
            wait_until(f"{expected} of {name}", is_so, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {found}\n{self.collector.program.text()[-2000:]}") from None
        return found

    def ledger(self, name):
        """The row of a receiver, numbers as numbers, once the whole is seen to be balanced."""
        whole = self.collector.fetch("/v1/ledger")
        self.assertTrue(whole["balanced"], whole["rows"])
        row = {row["name"]: row for row in whole["rows"]}[f"receiver {name}"]
        self.assertEqual((row["stage"], row["unit"]), ("LEDGER_STAGE_SINK", "alerts"))
        return {"in": int(row["in"]), "out": int(row["out"]), "held": int(row["held"]),
                **{lost["reason"]: int(lost["count"]) for lost in row["lost"]}}

    def watch_ledger(self):
        """Asks for the ledger all the time, until the end of the test: each is balanced."""
        is_over, seen, wrong = threading.Event(), [0], []

        def loop():
            while not is_over.wait(0.02):
                try:
                    whole = json.loads(get(f"http://127.0.0.1:{self.collector.http}/v1/ledger"))
                except (OSError, ValueError):
                    continue  # the collector is on its way up or down
                seen[0] += 1
                if not whole["balanced"]:
                    wrong.append(whole["rows"])

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()

        def end():
            is_over.set()
            thread.join()
            self.assertEqual(wrong, [])
            self.assertGreater(seen[0], 0)

        self.addCleanup(end)


def write_scans(path, scanners, ports=40, seconds=2.0, every=0.0, first=0):
    """A capture of port scans, each by its own source of its own target; all end before the file does."""
    frames = []
    for i in range(first, first + scanners):
        for port in range(ports):
            frames.append((i * every + seconds * port / ports, tcp(f"198.51.{100 + i // 200}.{i % 200 + 1}", 40000 + port,
                                                                   f"10.1.{i // 200}.{i % 200 + 1}", 1000 + port, SYN, 1)))
    frames.sort(key=lambda frame: frame[0])
    return write_pcap(path, frames)


# ---- what is to be told ----


def to_tell(records, min_severity="info", kinds=()):
    """Of records in their order, those a receiver hears of: an incident when it opens, when it gets worse, and when it
    closes. Without repeat_interval, which is far longer than a test."""
    told, messages = {}, []
    for record in records:
        severity = severity_of(record)
        before = told.get(record["alert_id"])
        if record["state"] == "ALERT_STATE_CLOSE":
            is_wanted = before is not None
        elif before is None:
            is_wanted = severity >= SEVERITIES.index(min_severity) and (not kinds or record["kind_name"] in kinds)
        else:
            is_wanted = severity > before
        if is_wanted:
            told[record["alert_id"]] = max(severity, before or 0)
            messages.append(record)
    return messages


def to_try(records):
    """Of records in their order, those that a receiver is asked to take which never takes one: of an incident that it was
    not told of, it hears no end."""
    return [record for record in records if record["state"] != "ALERT_STATE_CLOSE"]


def severity_of(record):
    return SEVERITIES.index(record["severity"].removeprefix("SEVERITY_").lower())


def keys(records):
    """What tells messages of one incident apart."""
    return [(record["alert_id"], record["state"], record["severity"]) for record in records]
