"""Captures with something broken in every packet: copies of classic pcap and pcapng files as classic pcap.

Knows as much of a packet as is needed to find its IP payload: Ethernet with VLAN tags, Linux cooked, BSD loopback, raw IP.
"""
import struct

LINK_USER = 147  # nobody has a decoder for it


def read_pcapng(data):
    order, links, packets, at = "<", [], [], 0
    while at + 12 <= len(data):
        kind = struct.unpack_from("<I", data, at)[0]
        if kind == 0x0a0d0d0a:
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind == 1:
            links.append(struct.unpack_from(order + "H", data, at + 8)[0])
        elif kind == 6:
            interface, high, low, captured, wire = struct.unpack_from(order + "IIIII", data, at + 8)
            packets.append((links[interface], (high << 32 | low), wire, data[at + 28:at + 28 + captured]))
        if size < 12:
            break
        at += size
    return packets


def read(path):
    """(link type, microseconds, bytes on the wire, bytes) of each packet."""
    data = path.read_bytes()
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return read_pcapng(data)
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    scale = 1000 if b"\x3c" in data[:4] else 1
    link, packets, at = struct.unpack_from(order + "I", data, 20)[0] & 0xffff, [], 24
    while at + 16 <= len(data):
        seconds, part, captured, wire = struct.unpack_from(order + "IIII", data, at)
        packets.append((link, seconds * 1000000 + part // scale, wire, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return packets


def write(path, link, packets):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, link))
        for time, wire, data in packets:
            file.write(struct.pack("<IIII", time // 1000000 & 0xffffffff, time % 1000000, len(data), max(wire, len(data))))
            file.write(data)


def ip_of(link, data):
    """Where the IP header stands; None: not found."""
    if link == 1:
        at = 12
        while data[at:at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
            at += 4
        return at + 2 if data[at:at + 2] in (b"\x08\x00", b"\x86\xdd") else None
    at = {113: 16, 276: 20, 0: 4, 108: 4, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0}.get(link)
    return at if at is not None and len(data) > at and data[at] >> 4 in (4, 6) else None


def payload_of(link, data):
    """(where what IP carries, or TCP and UDP carry, begins; offset in its datagram, more fragments); None: no IP."""
    at = ip_of(link, data)
    if at is None or len(data) < at + 20:
        return None
    if data[at] >> 4 == 4:
        protocol, fragment = data[at + 9], struct.unpack_from("!H", data, at + 6)[0]
        offset, more = (fragment & 0x1fff) * 8, bool(fragment & 0x2000)
        at += (data[at] & 15) * 4
    else:
        protocol, offset, more = data[at + 6], 0, False
        at += 40
        while protocol in (0, 43, 44, 60) and len(data) >= at + 8:
            if protocol == 44:
                fragment = struct.unpack_from("!H", data, at + 2)[0]
                offset, more = fragment & 0xfff8, bool(fragment & 1)
            size = 8 if protocol == 44 else 8 + data[at + 1] * 8
            protocol, at = data[at], at + size
    if offset == 0 and protocol == 6 and len(data) > at + 12:
        at += (data[at + 12] >> 4) * 4
    elif offset == 0 and protocol == 17:
        at += 8
    elif offset == 0 and protocol == 132:
        at += 12
    return at, offset, more


def broken_payloads(source, target):
    """The first 32 bytes behind TCP, UDP, SCTP, or IP where it is none of these, are other ones. Returns how many packets
    have lost them."""
    out, broken, links = [], 0, set()
    for link, time, wire, data in read(source):
        links.add(link)
        where = payload_of(link, data)
        if where is not None and len(data) > where[0]:
            at = where[0]
            data = data[:at] + bytes(b ^ 0xa5 for b in data[at:at + 32]) + data[at + 32:]
            broken += 1
        out.append((time, wire, data))
    write(target, max(links), out)
    return broken


def without_first_fragments(source, target):
    """Fragments at offset 0 are left out; what is whole stays, but for its payload."""
    out, gone, links = [], 0, set()
    for link, time, wire, data in read(source):
        links.add(link)
        where = payload_of(link, data)
        if where is not None and where[1] == 0 and where[2]:
            gone += 1
        elif where is not None and where[1] == 0:
            out.append((time, wire, data[:where[0]] + bytes(b ^ 0xa5 for b in data[where[0]:])))
        else:
            out.append((time, wire, data))
    write(target, max(links), out)
    return gone


def broken_link(source, target):
    """The same frames as a link that has no decoder."""
    packets = read(source)
    write(target, LINK_USER, [(time, wire, data) for _, time, wire, data in packets])
    return len(packets)


def cut_to_one(source, target):
    """Of each packet one byte, as a capture of that length has it."""
    packets = read(source)
    write(target, max(link for link, *_ in packets), [(time, wire, data[:1]) for _, time, wire, data in packets])


def turned_names(source, target, name):
    """A right-to-left override in UTF-8 and a bell instead of the first bytes of `name`, as many as it has. Returns how often."""
    turned = (b"\xe2\x80\xae\x07" + name[4:])[:len(name)]
    packets = read(source)
    write(target, max(link for link, *_ in packets), [(time, wire, data.replace(name, turned)) for _, time, wire, data in packets])
    return sum(data.count(name) for *_, data in packets)
