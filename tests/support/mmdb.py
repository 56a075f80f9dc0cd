"""Writes small MaxMind DB files (https://maxmind.github.io/MaxMind-DB/): IPv6 trees of 24-bit records, in which IPv4
addresses stand below ::/96. Standard library only."""
import ipaddress
import struct

MARKER = b"\xab\xcd\xefMaxMind.com"


def head(kind, size):
    """The control bytes of a value: its type and its size."""
    extra = b""
    if size >= 285:
        low, tail = 30, struct.pack(">H", size - 285)
    elif size >= 29:
        low, tail = 29, bytes([size - 29])
    else:
        low, tail = size, b""
    if kind > 7:
        extra, kind = bytes([kind - 7]), 0
    return bytes([kind << 5 | low]) + extra + tail


class Number(int):
    """A number of `bits` (16, 32, 64)."""

    def __new__(cls, value, bits):
        number = int.__new__(cls, value)
        number.kind = {16: 5, 32: 6, 64: 9}[bits]
        return number


def encode(value):
    if isinstance(value, str):
        data = value.encode()
        return head(2, len(data)) + data
    if isinstance(value, bytes):  # text as it stands, right or wrong
        return head(2, len(value)) + value
    if isinstance(value, dict):
        return head(7, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    if isinstance(value, list):
        return head(11, len(value)) + b"".join(map(encode, value))
    data = int(value).to_bytes(8, "big").lstrip(b"\0")
    return head(getattr(value, "kind", 6), len(data)) + data


def database(records, kind="Test"):
    """The bytes of a file: `records` is a dict of prefixes and their values."""
    nodes = [[None, None]]
    data, places = b"", {}
    for prefix, value in records.items():
        network = ipaddress.ip_network(prefix)
        bits = network.prefixlen + (96 if network.version == 4 else 0)
        number = int(network.network_address)
        at = 0
        for i in range(bits):
            side = number >> (127 - i) & 1
            if i == bits - 1:
                encoded = encode(value)
                if encoded not in places:
                    places[encoded] = len(data)
                    data += encoded
                nodes[at][side] = ("data", places[encoded])
            else:
                if nodes[at][side] is None:
                    nodes.append([None, None])
                    nodes[at][side] = ("node", len(nodes) - 1)
                assert nodes[at][side][0] == "node", f"{prefix} lies in another one"
                at = nodes[at][side][1]
    count = len(nodes)

    def word(record):
        value = count if record is None else record[1] if record[0] == "node" else count + 16 + record[1]
        return value.to_bytes(3, "big")

    tree = b"".join(word(left) + word(right) for left, right in nodes)
    metadata = {"node_count": Number(count, 32), "record_size": Number(24, 16), "ip_version": Number(6, 16),
                "database_type": kind, "languages": ["en"], "binary_format_major_version": Number(2, 16),
                "binary_format_minor_version": Number(0, 16), "build_epoch": Number(1700000000, 64),
                "description": {"en": kind}}
    return tree + b"\0" * 16 + data + MARKER + encode(metadata)
