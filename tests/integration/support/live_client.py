"""A client of the live feed (docs/live-feed.md), by sockets of the standard library alone."""
import base64
import json
import os
import socket
import struct

from support.programs import PATIENCE


class LiveClient:
    """Reads when it is told to. By TLS with a `context`; `headers` go with the upgrade."""

    def __init__(self, port, context=None, headers=()):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20 * PATIENCE)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        more = "".join(f"{name}: {value}\r\n" for name, value in dict(headers).items())
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                             f"Sec-WebSocket-Protocol: live.v1.json\r\n{more}\r\n").encode())
        self.bytes = b""
        while b"\r\n\r\n" not in self.bytes:
            self.more()
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101"):
            self.close()
            raise AssertionError(head)

    def more(self):
        data = self.socket.recv(65536)
        assert data, "the feed was closed"
        self.bytes += data

    def message(self):
        while True:
            while len(self.bytes) < 2:
                self.more()
            length, at = self.bytes[1] & 127, 2
            size = {126: 2, 127: 8}.get(length, 0)
            while len(self.bytes) < at + size:
                self.more()
            if size:
                length = int.from_bytes(self.bytes[at:at + size], "big")
            at += size
            while len(self.bytes) < at + length:
                self.more()
            kind, payload = self.bytes[0] & 15, self.bytes[at:at + length]
            self.bytes = self.bytes[at + length:]
            if kind == 1:
                return json.loads(payload)

    def say(self, **message):
        payload = json.dumps(message).encode()
        assert len(payload) < 126
        self.socket.sendall(struct.pack("!BB", 0x81, 0x80 | len(payload)) + bytes(4) + payload)

    def close(self):
        self.socket.close()
