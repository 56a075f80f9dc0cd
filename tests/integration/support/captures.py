"""PacketService.CapturePackets as a client asks for it, and what the pcapng that comes out holds. Needs python3-grpcio
and python3-protobuf."""
import dataclasses
import os
import struct
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from support.programs import ROOT

DESCRIPTORS = os.environ.get("NETSCOPE_DESCRIPTORS",
                             os.path.join(ROOT, "build", "dev", "generated", "netscope.binpb"))
PATH = "/netscope.v1.PacketService/CapturePackets"


def messages():
    pool, files = descriptor_pool.DescriptorPool(), descriptor_pb2.FileDescriptorSet()
    with open(DESCRIPTORS, "rb") as file:
        files.ParseFromString(file.read())
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName(f"netscope.v1.CapturePackets{kind}"))
            for kind in ("Request", "Response")]


REQUEST, RESPONSE = messages()


class Capture:
    """One capture; `wait` gives its summary, `file` the bytes so far. `begun` is set with the first bytes."""

    def __init__(self, address, token=None, deadline=60, seconds=0, **fields):
        self.file, self.summary, self.error, self.begun = b"", None, None, threading.Event()
        request = REQUEST(**fields)
        request.max_duration.seconds, request.max_duration.nanos = int(seconds), int(seconds % 1 * 1e9)
        self.channel = grpc.insecure_channel(address, options=[
            ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "localhost")])
        head = (("authorization", f"Bearer {token}"),) if token else ()
        self.call = self.channel.unary_stream(PATH, REQUEST.SerializeToString, RESPONSE.FromString)(
            request, timeout=deadline, metadata=head)
        self.thread = threading.Thread(target=self.read, daemon=True)

    def read(self):
        try:
            for message in self.call:
                assert self.summary is None, "a message behind the summary"
                if message.WhichOneof("item") == "summary":
                    self.summary = message.summary
                else:
                    self.file += message.chunk
                    self.begun.set()
        except grpc.RpcError as error:
            self.error = error
        self.begun.set()

    def start(self):
        """Returns when it captures, or has been refused."""
        self.thread.start()
        assert self.begun.wait(30), "the capture did not begin"
        return self

    def wait(self):
        if not self.thread.is_alive() and self.summary is None and self.error is None:
            self.thread.start()
        self.thread.join(60)
        assert not self.thread.is_alive(), "the capture did not end"
        self.channel.close()
        return self.summary

    def cancel(self):
        self.call.cancel()
        self.wait()


@dataclasses.dataclass(frozen=True)
class Packet:
    interface: str
    link_type: int
    time_ns: int
    length: int
    data: bytes


def options(body):
    at, found = 0, {}
    while at < len(body):
        code, length = struct.unpack_from("<HH", body, at)
        if code == 0:
            break
        found[code] = body[at + 4:at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
    return found


def read_pcapng(data, statistics=None):
    """(interfaces as (name, link type, snaplen), packets); every block is checked. `statistics`, where given, gets (name,
    delivered, dropped) of each."""
    at, interfaces, packets = 0, [], []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0 and at + length <= len(data), f"block {kind} at {at}: {length} bytes"
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length, f"block {kind} at {at}"
        body = data[at + 8:at + length - 4]
        if kind == 0x0A0D0D0A:
            assert at == 0 and body[:4] == b"\x4d\x3c\x2b\x1a", "one section, at the start"
        elif kind == 1:
            link_type, _, snaplen = struct.unpack_from("<HHI", body)
            more = options(body[8:])
            assert more[9] == b"\x09", "nanoseconds"
            interfaces.append((more.get(2, b"").decode(), link_type, snaplen))
        elif kind == 5:
            name, more = interfaces[struct.unpack_from("<I", body)[0]][0], options(body[12:])
            if statistics is not None:
                statistics.append((name, *(int.from_bytes(more.get(code, b""), "little") for code in (8, 5))))
        else:
            assert kind == 6, f"block {kind}"
            number, high, low, captured, wire = struct.unpack_from("<IIIII", body)
            name, link_type, snaplen = interfaces[number]
            assert captured <= snaplen
            packets.append(Packet(name, link_type, high << 32 | low, wire, body[20:20 + captured]))
        at += length
    return interfaces, packets
