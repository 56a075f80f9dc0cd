"""An IPFIX collector as RFC 7011 describes one, and nothing of ours: it knows only what a session has told it.

Standard library only.
"""
import collections
import select
import socket
import struct
import threading
import time

HEADER = struct.Struct("!HHIII")
VARIABLE = 65535
REVERSE = 29305
NAMES = {1: "octets", 2: "packets", 4: "protocol", 6: "flags", 7: "source_port", 8: "source", 10: "interface", 11: "target_port",
         12: "target", 27: "source", 28: "target", 32: "icmp", 40: "exported_octets", 41: "exported_messages",
         42: "exported_flows", 58: "vlan", 82: "interface_name", 96: "app", 136: "end_reason", 139: "icmp", 148: "flow_id",
         152: "start_ms", 153: "end_ms", 239: "biflow_direction", 341: "name", 352: "frame_octets", 457: "status", 459: "method", 460: "host"}
TEXTS = {82, 96, 341, 459, 460}


class Session:
    """One Transport Session: its templates, and the records in the order in which they came."""

    def __init__(self):
        self.templates = {}
        self.sequence = 0
        self.flows, self.options, self.messages, self.sizes, self.missing, self.told = [], [], [], [], 0, collections.Counter()
        self.types = {}  # (enterprise, element) -> (type, name), as RFC 5610 tells them

    def message(self, data):
        version, length, _, sequence, domain = HEADER.unpack_from(data)
        assert version == 10 and length == len(data), (version, length, len(data))
        self.missing += (sequence - self.sequence) % 2**32
        self.domain = domain
        self.messages.append(data)
        self.sizes.append(len(data))
        at, count = HEADER.size, 0
        while at < length:
            name, size = struct.unpack_from("!HH", data, at)
            assert size > 4 and at + size <= length, (name, size)
            body, at = data[at + 4:at + size], at + size
            if name in (2, 3):
                self.learn(body, name == 3)
            else:
                count += self.records(self.templates[name], body)
        self.sequence = (sequence + count) % 2**32

    def learn(self, body, is_options):
        at = 0
        while at < len(body):
            name, count = struct.unpack_from("!HH", body, at)
            at += 4
            if is_options:
                at += 2
            fields = []
            for _ in range(count):
                element, size = struct.unpack_from("!HH", body, at)
                at += 4
                enterprise = 0
                if element & 0x8000:
                    (enterprise,) = struct.unpack_from("!I", body, at)
                    at += 4
                fields.append((enterprise, element & 0x7fff, size))
            self.templates[name] = (is_options, fields)
            self.told[name] += 1

    def records(self, template, body):
        is_options, fields = template
        at = count = 0
        while at < len(body):
            record = {}
            for enterprise, element, size in fields:
                if size == VARIABLE:
                    size, at = body[at], at + 1
                    assert size < 255
                value, at = body[at:at + size], at + size
                record[self.key(enterprise, element)] = self.value(enterprise, element, value)
            count += 1
            (self.options if is_options else self.flows).append(record)
            if 346 in [field[1] for field in fields]:
                self.types[(record[(0, 346)], record[(0, 303)])] = (record[(0, 339)], record["name"])
        return count

    def key(self, enterprise, element):
        if enterprise == REVERSE:
            return "reverse_" + NAMES[element] if element in NAMES else (enterprise, element)
        if enterprise:
            return self.types.get((enterprise, element), (0, (enterprise, element)))[1]
        return NAMES.get(element, (0, element))

    def value(self, enterprise, element, value):
        if (enterprise == 0 and element in TEXTS) or self.types.get((enterprise, element), (0,))[0] == 13:
            return value.decode()
        if enterprise == 0 and element in (8, 12):
            return socket.inet_ntop(socket.AF_INET, value)
        if enterprise == 0 and element in (27, 28):
            return socket.inet_ntop(socket.AF_INET6, value)
        return int.from_bytes(value, "big")


class Datagrams:
    """A collector on UDP, until it is left; a session for each sender."""

    def __init__(self):
        self.sessions, self.arrivals = {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.is_over = False
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while select.select([self.socket], [], [], 0 if self.is_over else 0.2)[0] or not self.is_over:
                if select.select([self.socket], [], [], 0)[0]:
                    data, sender = self.socket.recvfrom(65536)
                    self.arrivals.append(time.monotonic())
                    self.sessions.setdefault(sender, Session()).message(data)
        except Exception as failure:  # told by __exit__
            self.failure = failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        self.socket.close()
        if self.failure:
            raise self.failure

    @property
    def session(self):
        (one,) = self.sessions.values()
        return one


class Stream:
    """A collector on TCP: hangs up on a connection after `hang_up_after` messages of it, in the order of the list (None:
    never), in the middle of the next one where there is one."""

    def __init__(self, *hang_up_after, port=0):
        self.hang_up_after = list(hang_up_after)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", port))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        self.sessions, self.failure, self.is_over = [], None, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over:
                if select.select([self.socket], [], [], 0.1)[0]:
                    self.serve(self.socket.accept()[0])
        except Exception as failure:
            self.failure = failure

    def serve(self, connection):
        limit = self.hang_up_after.pop(0) if self.hang_up_after else None
        session, data = Session(), b""
        self.sessions.append(session)
        with connection:
            while True:
                if limit is not None and len(session.messages) >= limit:
                    return
                got = connection.recv(65536 if limit is None else 1000)
                if not got:
                    assert not data, "the connection ended within a message"
                    return
                data += got
                while len(data) >= 4 and len(data) >= int.from_bytes(data[2:4], "big"):
                    length = int.from_bytes(data[2:4], "big")
                    session.message(data[:length])
                    data = data[length:]
                    if limit is not None and len(session.messages) >= limit:
                        break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        self.socket.close()
        if self.failure:
            raise self.failure
