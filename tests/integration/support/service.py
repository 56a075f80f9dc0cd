"""A sensor that serves: it loops over a small capture at its own speed. Standard library only."""
import json
import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from support.programs import ACK, PATIENCE, PSH, SENSOR, SYN, Program, dns_query, tcp, udp, wait_until, write_pcap

TOKEN = "sesame-open-0123456789"


def capture():
    """Two seconds: forty connections that speak HTTP, ten DNS questions, a burst of SYNs."""
    at, frames = 0.0, []
    for i in range(40):
        client, port = f"10.0.0.{i % 8 + 1}", 40000 + i
        for frame in (tcp(client, port, "192.0.2.80", 80, SYN, 1), tcp("192.0.2.80", 80, client, port, SYN | ACK, 1, 2),
                      tcp(client, port, "192.0.2.80", 80, ACK, 2, 2),
                      tcp(client, port, "192.0.2.80", 80, ACK | PSH, 2, 2,
                          b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n"),
                      tcp("192.0.2.80", 80, client, port, ACK | PSH, 2, 40, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10 * i)):
            at += 0.005
            frames.append((at, frame))
    for i in range(10):
        at += 0.002
        frames.append((at, udp("10.0.0.1", 30000 + i, "192.0.2.53", 53, dns_query(f"name{i}.example", i))))
    for i in range(600):
        at += 0.0015
        frames.append((at, tcp(f"198.51.100.{i % 200 + 1}", 1024 + i, "10.0.0.99", 443, SYN, 1)))
    return frames


class Asked:
    """Whoever has `url` and `token` may be asked by REST."""

    def ask(self, path, body=None, headers=None, method=None):
        """(status, content type, text); `body` is sent as JSON."""
        head = dict(headers or {})
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            head.setdefault("Content-Type", "application/json")
        if self.token and "Authorization" not in head:
            head["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, data=data, headers=head, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("Content-Type", ""), error.read().decode()

    def json(self, path, **fields):
        query = urllib.parse.urlencode(fields, doseq=True)
        status, _, text = self.ask(path + ("?" + query if query else ""))
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)


class Service(Asked):
    """`with Service(...) as sensor:`; sensor.grpc and sensor.http are ports, sensor.socket a path."""

    def __init__(self, grpc="", more="", has_token=False, frames=None, arguments=("--pace", "--loop")):
        self.folder = tempfile.TemporaryDirectory(prefix="netscope-service-")
        self.socket = os.path.join(self.folder.name, "sensor.sock")
        self.token = TOKEN if has_token else None
        if has_token:
            path = os.path.join(self.folder.name, "token")
            with open(path, "w", encoding="utf-8") as out:
                out.write(TOKEN + "\n")
            os.chmod(path, 0o600)
            grpc += f"  token_file: {path}\n"
        config = os.path.join(self.folder.name, "sensor.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"grpc:\n  enabled: on\n  listen: 127.0.0.1:0\n  unix_socket: {self.socket}\n{grpc}"
                      f"http:\n  enabled: on\n  port: 0\nsensor:\n  id: service-sensor\n{more}")
        pcap = write_pcap(os.path.join(self.folder.name, "x.pcap"), frames or capture())
        self.program = Program(SENSOR, "--config", config, "--read-pcap", pcap, *arguments, "--quiet", "-v")
        try:
            self.grpc = self.port(r'grpc msg=serving port=(\d+)')
            self.http = self.port(r'part=http .*port=(\d+)')
        except AssertionError:
            self.program.__exit__()
            raise
        self.url = f"http://127.0.0.1:{self.http}"

    def port(self, pattern):
        def found():
            match = re.search(pattern, self.program.text())
            if match is None and not self.program.is_running():
                raise AssertionError(f"the sensor does not serve:\n{self.program.text()}")
            return match

        return int(wait_until(pattern, found).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        status = self.program.stop()
        text = self.program.text()
        self.program.__exit__()
        self.folder.cleanup()
        assert status == 0, f"the sensor ended with {status}:\n{text[-3000:]}"
