"""A foreign client of the collector stream: grpcio, with messages written by hand from the numbers of ingest.proto, so
that nothing of ours is on its side. Importing it without python3-grpcio is an ImportError.
"""
import queue
import time

import grpc

from support.programs import PATIENCE

CONNECT = "/netscope.v1.IngestService/Connect"
HELLO, BATCH, GAP, HEARTBEAT = 1, 2, 3, 4
WELCOME, ACK, THROTTLE, REDIRECT, PROBE_TIME = 1, 2, 5, 6, 7
FLOWS, ALERTS, STATS = 1, 2, 3


# ---- protobuf by hand ----

def varint(value):
    out = bytearray()
    while True:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def fields(data):
    """[(number, value or bytes)]"""
    found, at = [], 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = take()
        if key & 7 == 2:
            length = take()
            found.append((key >> 3, data[at:at + length]))
            at += length
        elif key & 7 == 0:
            found.append((key >> 3, take()))
        else:
            size = {1: 8, 5: 4}[key & 7]
            found.append((key >> 3, data[at:at + size]))
            at += size
    return found


def hello(sensor="foreign", boot="boot-1", version=1):
    return text(HELLO, text(1, sensor) + text(2, boot) + text(3, "9.9") + number(7, version))


def batch(first, count, boot="boot-1", stream=FLOWS, record=b"", records=None):
    body = b"".join(text(1, record) for _ in range(count if records is None else records))
    return text(BATCH, text(1, boot) + number(2, stream) + number(3, first) + number(4, count) + text(4 + stream, body))


def gap(first, last, boot="boot-1", stream=FLOWS):
    return text(GAP, text(1, boot) + number(2, stream) + number(3, first) + number(4, last) + text(5, "test"))


def zstd_frame(blocks, announced):
    """A zstd frame (RFC 8878 3.1) of raw blocks (bytes) and runs of zeros (int)."""
    out = b"\x28\xb5\x2f\xfd\xa0" + announced.to_bytes(4, "little")
    for i, block in enumerate(blocks):
        is_run = isinstance(block, int)
        size = block if is_run else len(block)
        header = (i == len(blocks) - 1) | is_run << 1 | size << 3
        out += header.to_bytes(3, "little") + (b"\0" if is_run else block)
    return out


def packed(data, length, encoding="zstd"):
    return text(8, text(1, encoding) + number(2, length) + text(3, data))


class Stream:
    """One Connect call of grpcio."""

    def __init__(self, port, channel=None, metadata=()):
        self.channel = channel or grpc.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1),
                                          ("grpc.use_local_subchannel_pool", 1)])
        self.queue = queue.Queue()
        self.call = self.channel.stream_stream(CONNECT)(iter(self.queue.get, None), metadata=metadata)
        self.acks = {}

    def send(self, *messages):
        for message in messages:
            self.queue.put(message)
        return self

    def receive(self, kind, seconds=20):
        """The next message of this kind; others are looked at on the way."""
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end:
            for member, body in fields(next(self.call)):
                if member == ACK:
                    ack = dict(fields(body))
                    self.acks[ack[1].decode(), ack[2]] = ack[3]
                if member == kind:
                    return dict(fields(body)) if kind != WELCOME else fields(body)
        raise AssertionError("no such message came")

    def acknowledged(self, seq, boot="boot-1", stream=FLOWS):
        while self.acks.get((boot, stream), 0) < seq:
            self.receive(ACK)

    def refused(self):
        """(status, sentence)"""
        try:
            for _ in self.call:
                pass
        except grpc.RpcError as error:
            return error.code(), error.details()
        return grpc.StatusCode.OK, ""

    def close(self):
        self.queue.put(None)
        self.call.cancel()
        self.channel.close()
