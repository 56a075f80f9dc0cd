"""The IP packets of a capture anew: in links and tunnels that it does not have, in fragments, in other segments.

Each way of WRAPS is (link type, frame of (IP packet, bytes of it that are not in the capture)); each of REWRITES makes the list of
(microseconds, IP packet) of another one. Outer addresses are of RFC 5737 and RFC 3849. IP over everything: numbers as in the standards
that docs/protocols.md names.
"""
import struct

from capture_edit import ip_of, read, write

MACS = bytes.fromhex("0200000000aa0200000000bb")
OUTER_4 = b"\xc6\x33\x64\x01", b"\xc6\x33\x64\x02"
OUTER_6 = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002")
UDP = 17


def is_4(ip):
    return ip[0] >> 4 == 4


def ethertype(ip):
    return b"\x08\x00" if is_4(ip) else b"\x86\xdd"


def ppp(ip):
    return b"\x00\x21" if is_4(ip) else b"\x00\x57"


def ip_in_ip(ip):
    return 4 if is_4(ip) else 41


def ethernet(ip):
    return MACS + ethertype(ip) + ip


def size(data, missing=0):
    return struct.pack("!H", (len(data) + missing) & 0xffff)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def with_checksum(header):
    header = bytes(header[:10]) + b"\0\0" + bytes(header[12:])
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:]


def ipv4(protocol, body, missing, options=b""):
    header_bytes = 20 + len(options)
    header = struct.pack("!BBHHHBBH", 0x40 | header_bytes // 4, 0, (header_bytes + len(body) + missing) & 0xffff, 1, 0, 64, protocol, 0)
    return with_checksum(header + b"".join(OUTER_4) + options) + body


def ipv6(protocol, body, missing):
    return struct.pack("!IHBB", 0x60000000, (len(body) + missing) & 0xffff, protocol, 64) + b"".join(OUTER_6) + body


def udp(port, body, missing, source=50000):
    return struct.pack("!HHHH", source, port, (8 + len(body) + missing) & 0xffff, 0) + body


def over_4(protocol, head, inside):
    return lambda ip, missing: ethernet(ipv4(protocol, head(ip, missing) + inside(ip), missing))


def over_udp(port, head, inside, source=50000):
    return lambda ip, missing: ethernet(ipv4(UDP, udp(port, head(ip, missing) + inside(ip), missing, source), missing))


def fixed(data):
    return lambda ip, missing: data


def same(ip):
    return ip


def tagged(ip):
    return MACS + b"\x81\0\0\5" + ethertype(ip) + ip


def behind(head):
    return lambda ip, missing: head + ip


def tag(head):
    return lambda ip, missing: MACS + head + ethertype(ip) + ip


def erf(kind, body, missing):
    return bytes(8) + bytes([kind, 4]) + struct.pack("!HHH", min(16 + len(body), 0xffff), 0, min(len(body) + missing, 0xffff)) + body


SNAP = b"\xaa\xaa\x03\0\0\0"
WLAN = b"\x08\x01\0\0\2\0\0\0\0\xcc" + MACS[6:] + MACS[:6] + b"\0\0" + SNAP
WLAN_QOS = b"\x88\x02\0\0" + MACS[:6] + b"\2\0\0\0\0\xcc" + MACS[6:] + b"\0\0\0\0" + SNAP
VXLAN = b"\x08\0\0\0\0\0\7\0"

WRAPS = {
    # Between Ethernet and IP.
    "vlan": (1, tag(b"\x81\x00\x00\x64")),
    "vlan_802.1ad": (1, tag(b"\x88\xa8\x00\x64\x81\x00\x00\x65")),
    "vlan_three": (1, tag(b"\x91\x00\x00\x64\x81\x00\x00\x65\x81\x00\x00\x66")),
    "vn_tag": (1, tag(b"\x89\x26\0\7\0\1")),
    "e_tag": (1, tag(b"\x89\x3f\0\0\0\7\0\0")),
    "hsr": (1, lambda ip, missing: MACS + b"\x89\x2f" + struct.pack("!HH", 0x1000 | (6 + len(ip) + missing) & 0xfff, 7) + ethertype(ip) + ip),
    "mpls": (1, behind(MACS + b"\x88\x47\0\1\1\x40")),
    "mpls_three": (1, behind(MACS + b"\x88\x47\0\1\0\x40\0\2\0\x40\0\1\1\x40")),
    "mpls_ethernet": (1, lambda ip, missing: MACS + b"\x88\x47\0\1\1\x40" + ethernet(ip)),
    "mpls_control_word": (1, lambda ip, missing: MACS + b"\x88\x47\0\1\1\x40\0\0\0\0" + ethernet(ip)),
    "pbb": (1, lambda ip, missing: MACS + b"\x88\xe7\0\0\0\7" + ethernet(ip)),
    "pppoe": (1, lambda ip, missing: MACS + b"\x88\x64\x11\0\0\1" + size(b"\0\0" + ip, missing) + ppp(ip) + ip),
    "nsh": (1, lambda ip, missing: MACS + b"\x89\x4f\x0f\xc6\1" + (b"\1" if is_4(ip) else b"\2") + b"\0\0\7\xff" + bytes(16) + ip),
    "nsh_ethernet": (1, lambda ip, missing: MACS + b"\x89\x4f\x0f\xc2\2\3\0\0\7\xff" + ethernet(ip)),
    # In IP.
    "ip_in_ip": (1, lambda ip, missing: ethernet(ipv4(ip_in_ip(ip), ip, missing))),
    "ip_in_ip_options": (1, lambda ip, missing: ethernet(ipv4(ip_in_ip(ip), ip, missing, b"\x94\x04\0\0"))),
    "ip_in_ip6": (1, lambda ip, missing: ethernet(ipv6(ip_in_ip(ip), ip, missing))),
    "ip_in_ip6_extension": (1, lambda ip, missing: ethernet(ipv6(60, bytes([ip_in_ip(ip), 0, 1, 4, 0, 0, 0, 0]) + ip, missing))),
    "ip_in_segment_routing": (1, lambda ip, missing: ethernet(ipv6(43, bytes([ip_in_ip(ip), 2, 4, 0, 0, 0, 0, 0]) + OUTER_6[1] + ip, missing))),
    "ah": (1, lambda ip, missing: ethernet(ipv4(51, bytes([ip_in_ip(ip), 4]) + b"\0\0\0\0\0\7\0\0\0\1" + bytes(12) + ip, missing))),
    "gre": (1, over_4(47, lambda ip, missing: b"\0\0" + ethertype(ip), same)),
    "gre_all_fields": (1, over_4(47, lambda ip, missing: b"\xb0\0" + ethertype(ip) + b"\0\0\0\0\0\0\0\7\0\0\0\1", same)),
    "gre_in_ip6": (1, lambda ip, missing: ethernet(ipv6(47, b"\0\0" + ethertype(ip) + ip, missing))),
    "gre_vlan": (1, over_4(47, fixed(b"\0\0\x65\x58"), tagged)),
    "gre_mpls": (1, over_4(47, fixed(b"\0\0\x88\x47\0\1\1\x40"), same)),
    "gre_vxlan": (1, lambda ip, missing: ethernet(ipv4(47, b"\0\0\x08\0" + ipv4(UDP, udp(4789, VXLAN + ethernet(ip), missing), missing), missing))),
    "nvgre": (1, over_4(47, fixed(b"\x20\0\x65\x58\0\x10\7\0"), ethernet)),
    "pptp": (1, over_4(47, lambda ip, missing: b"\x30\x81\x88\x0b" + size(b"\xff\x03\0\0" + ip, missing) + b"\0\7\0\0\0\1\0\0\0\1\xff\x03" + ppp(ip),
                       same)),
    "erspan_1": (1, over_4(47, fixed(b"\0\0\x88\xbe"), ethernet)),
    "erspan_2": (1, over_4(47, fixed(b"\x10\0\x88\xbe\0\0\0\1\x10\x64\0\1\0\0\0\0"), ethernet)),
    "erspan_3": (1, over_4(47, fixed(b"\x10\0\x22\xeb\0\0\0\1\x20\x64\0\1\0\0\0\0\0\0\0\0"), ethernet)),
    "etherip": (1, over_4(97, fixed(b"\x30\0"), ethernet)),
    "mpls_in_ip": (1, over_4(137, fixed(b"\0\1\1\x40"), same)),
    "l2tpv2": (1, over_udp(1701, lambda ip, missing: b"\0\2\0\7\0\1\xff\x03" + ppp(ip), same, 1701)),
    "l2tpv2_length": (1, over_udp(1701, lambda ip, missing: b"\x40\2" + size(bytes(12) + ip, missing) + b"\0\7\0\1\xff\x03" + ppp(ip), same, 1701)),
    "mpls_in_udp": (1, over_udp(6635, fixed(b"\0\1\1\x40"), same)),
    "vxlan": (1, over_udp(4789, fixed(VXLAN), ethernet)),
    "vxlan_vlan_in_ip6": (1, lambda ip, missing: ethernet(ipv6(UDP, udp(4789, VXLAN + tagged(ip), missing), missing))),
    "vxlan_gpe": (1, over_udp(4790, lambda ip, missing: b"\x0c\0\0" + (b"\1" if is_4(ip) else b"\2") + b"\0\0\7\0", same)),
    "geneve": (1, over_udp(6081, fixed(b"\2\0\x65\x58\0\0\7\0\1\2\3\1abcd"), ethernet)),
    "geneve_ip": (1, over_udp(6081, lambda ip, missing: b"\0\0" + ethertype(ip) + b"\0\0\7\0", same)),
    "gtp_u": (1, over_udp(2152, lambda ip, missing: b"\x30\xff" + size(ip, missing) + b"\0\0\0\7", same, 2152)),
    "gtp_u_extension": (1, over_udp(2152, lambda ip, missing: b"\x34\xff" + size(bytes(8) + ip, missing) + b"\0\0\0\7\0\0\0\x85\1\x10\x09\0", same, 2152)),
    "tzsp": (1, over_udp(37008, fixed(b"\1\0\0\1\1"), ethernet)),
    "lisp": (1, over_udp(4341, fixed(b"\xc8\1\2\3\0\0\7\1"), same)),
    "lisp_protocol_in_ip6": (1, lambda ip, missing: ethernet(ipv6(UDP, udp(4341, b"\4\0\0" + (b"\1" if is_4(ip) else b"\2") + bytes(4) + ip, missing),
                                                                 missing))),
    "lisp_ethernet": (1, over_udp(4341, fixed(b"\x0c\0\0\3\0\0\7\0"), tagged)),
    "gue": (1, over_udp(6080, lambda ip, missing: b"\2" + bytes([ip_in_ip(ip)]) + b"\0\1\x80\0\0\0\0\x18\0\x1e", same)),
    "gue_bare": (1, over_udp(6080, fixed(b""), same)),
    # Other links.
    "raw": (101, behind(b"")),
    "raw_bsd": (12, behind(b"")),
    "sll": (113, lambda ip, missing: b"\0\0\0\1\0\6\2\0\0\0\0\xbb\0\0" + ethertype(ip) + ip),
    "sll2": (276, lambda ip, missing: ethertype(ip) + b"\0\0\0\0\0\2\0\1\0\6\2\0\0\0\0\xbb\0\0" + ip),
    "null": (0, lambda ip, missing: struct.pack("<I", 2 if is_4(ip) else 30) + ip),
    "loop": (108, lambda ip, missing: struct.pack(">I", 2 if is_4(ip) else 24) + ip),
    "ppp": (9, lambda ip, missing: b"\xff\x03" + ppp(ip) + ip),
    "ppp_compressed": (9, lambda ip, missing: ppp(ip)[1:] + ip),
    "ppp_serial": (50, lambda ip, missing: b"\xff\x03" + ppp(ip) + ip),
    "pppoe_link": (51, lambda ip, missing: b"\x11\0\0\1" + size(b"\0\0" + ip, missing) + ppp(ip) + ip),
    "cisco_hdlc": (104, lambda ip, missing: b"\x0f\0" + ethertype(ip) + ip),
    "frame_relay": (107, lambda ip, missing: b"\x18\x41\x03" + (b"\xcc" if is_4(ip) else b"\x8e") + ip),
    "frame_relay_snap": (107, lambda ip, missing: b"\x18\x41\x03\0\x80\0\0\0" + ethertype(ip) + ip),
    "wlan": (105, lambda ip, missing: WLAN + ethertype(ip) + ip),
    "wlan_qos": (105, lambda ip, missing: WLAN_QOS + ethertype(ip) + ip),
    "radiotap": (127, lambda ip, missing: b"\0\0\x08\0\0\0\0\0" + WLAN + ethertype(ip) + ip),
    "ppi": (192, lambda ip, missing: b"\0\0\x08\0\x69\0\0\0" + WLAN_QOS + ethertype(ip) + ip),
    "nflog": (239, lambda ip, missing: (b"\2" if is_4(ip) else b"\x0a") + b"\0\0\0\5\0\x0a\0a\0\0\0" + struct.pack("<HH", (4 + len(ip) + missing) & 0xffff, 9)
              + ip),
    "ipoib": (242, lambda ip, missing: bytes(40) + ethertype(ip) + b"\0\0" + ip),
    "fddi": (10, lambda ip, missing: b"\x50" + MACS + SNAP + ethertype(ip) + ip),
    "token_ring": (6, lambda ip, missing: b"\x10\x40" + MACS + SNAP + ethertype(ip) + ip),
    "llc_over_atm": (100, lambda ip, missing: SNAP + ethertype(ip) + ip),
    "llc_over_atm_clip": (106, lambda ip, missing: SNAP + ethertype(ip) + ip),
    "ip_over_atm_clip": (106, behind(b"")),
    "ip_over_atm_dlt": (19, behind(b"")),
    "sunatm": (123, lambda ip, missing: b"\x82\0\0\x21" + SNAP + ethertype(ip) + ip),
    "sunatm_lane": (123, lambda ip, missing: b"\1\0\0\x21\0\5" + ethernet(ip)),
    "slip": (8, behind(b"\0\x45" + bytes(14))),
    "mpls_link": (219, behind(b"\0\1\1\x40")),
    "multilink_frame_relay": (182, lambda ip, missing: b"\xc1\7\x18\x41\x03" + (b"\xcc" if is_4(ip) else b"\x8e") + ip),
    "erf": (197, lambda ip, missing: erf(2, b"\0\0" + ethernet(ip), missing)),
    "erf_extensions": (197, lambda ip, missing: erf(0x8b, b"\x83" + bytes(7) + b"\4" + bytes(7) + b"\0\0" + ethernet(ip), missing)),
    "erf_hdlc": (197, lambda ip, missing: erf(1, b"\x0f\0" + ethertype(ip) + ip, missing)),
    "erf_ip": (197, lambda ip, missing: erf(22 if is_4(ip) else 23, ip, missing)),
    "firewire": (138, lambda ip, missing: bytes(16) + ethertype(ip) + ip),
    "fibre_channel": (122, lambda ip, missing: bytes(16) + SNAP + ethertype(ip) + ip),
    "enc": (109, lambda ip, missing: struct.pack("<III", 2 if is_4(ip) else 24, 0, 0) + ip),
    "dsa": (284, tag(b"\xc0\x08\0\1")),
    "broadcom": (281, tag(b"\x20\0\0\1")),
}


def packets_of(path):
    """(microseconds, IP packet without padding, its bytes that are not in the capture) of each frame whose IP header is found."""
    packets = []
    for link, time, wire, data in read(path):
        at = ip_of(link, data)
        if at is None or len(data) < at + 20:
            continue
        ip = data[at:]
        total = struct.unpack_from("!H", ip, 2)[0] if is_4(ip) else 40 + struct.unpack_from("!H", ip, 4)[0]
        if total >= 20:  # the frame's own length has the link's padding, and some files do not keep it
            packets.append((time, ip[:total], max(total - len(ip), 0)))
        else:
            packets.append((time, ip, max(wire - len(data), 0)))
    return packets


def write_frames(path, packets, link=1, wrap=lambda ip, missing: ethernet(ip)):
    frames = [(time, wrap(ip, missing), missing) for time, ip, missing in packets]
    write(path, link, [(time, len(frame) + missing, frame) for time, frame, missing in frames])


# ---- the same conversation in other packets ----

def fragments(ip, cut, number):
    """In two, at the first multiple of 8 below `cut`; as it is where it cannot be."""
    head = (ip[0] & 15) * 4 if is_4(ip) else 40
    body, cut = ip[head:], cut & ~7
    if len(body) <= cut or (is_4(ip) and (head != 20 or struct.unpack_from("!H", ip, 6)[0] & 0x3fff)) or (not is_4(ip) and ip[6] in (0, 43, 44, 60)):
        return [ip]
    out = []
    for offset, part, more in ((0, body[:cut], 1), (cut, body[cut:], 0)):
        if is_4(ip):
            header = ip[:2] + struct.pack("!HHH", head + len(part), number & 0xffff, more << 13 | offset >> 3) + ip[8:head]
            out.append(with_checksum(header) + part)
        else:
            header = ip[:4] + struct.pack("!H", 8 + len(part)) + b"\x2c" + ip[7:40] + struct.pack("!BBHI", ip[6], 0, offset | more, number)
            out.append(header + part)
    return out


def segments(ip, cut):
    """A TCP segment with payload as two, `cut` bytes in the first one."""
    if is_4(ip) and struct.unpack_from("!H", ip, 6)[0] & 0x3fff:
        return [ip]
    protocol, at = (ip[9], (ip[0] & 15) * 4) if is_4(ip) else (ip[6], 40)
    if protocol != 6 or len(ip) < at + 20 or ip[at + 13] & 2:
        return [ip]
    body_at = at + (ip[at + 12] >> 4) * 4
    body = ip[body_at:]
    cut = cut(len(body))
    if not 0 < cut < len(body):
        return [ip]
    out = []
    for offset, part in ((0, body[:cut]), (cut, body[cut:])):
        header = bytearray(ip[:body_at])
        struct.pack_into("!I", header, at + 4, (struct.unpack_from("!I", ip, at + 4)[0] + offset) & 0xffffffff)
        if offset == 0:
            header[at + 13] &= ~9  # FIN and PSH come with the end
        struct.pack_into("!H", header, 2 if is_4(ip) else 4, body_at + len(part) - (0 if is_4(ip) else 40))
        out.append((with_checksum(header[:at]) + bytes(header[at:]) if is_4(ip) else bytes(header)) + part)
    return out


def split(cut):
    return lambda packets: [(time, part, 0) for time, ip, _ in packets for part in segments(ip, cut)]


def swapped(packets):
    out = []
    for time, ip, _ in packets:
        out += [(time, part, 0) for part in reversed(segments(ip, lambda length: length // 2))]
    return out


def fragmented(turn):
    def rewrite(packets):
        out = []
        for number, (time, ip, _) in enumerate(packets):
            parts = fragments(ip, 64 + number * 40 % 1200, number + 1)
            out += [(time, part, 0) for part in (reversed(parts) if turn else parts)]
        return out
    return rewrite


REWRITES = {
    "first_byte_alone": split(lambda length: 1),
    "five_bytes_first": split(lambda length: 5),
    "in_halves": split(lambda length: length // 2),
    "last_byte_alone": split(lambda length: length - 1),
    "halves_swapped": swapped,
    "fragments": fragmented(False),
    "fragments_swapped": fragmented(True),
}
