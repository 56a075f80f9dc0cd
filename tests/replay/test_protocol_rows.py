#!/usr/bin/env python3
"""Every kind of link, tunnel and protocol that the sensor reads: a real capture that shows label, method and facts, and the
same capture with the bytes broken that the protocol is known by, which must show none of it.

Usage: test_protocol_rows.py SENSOR REPOSITORY. The captures are in NETSCOPE_CORPUS or ../shared/corpus beside the
repository; without them the test is skipped (77). A row fails when its capture is missing from the folder. Where the
captures have little traffic of a protocol, real_programs.py makes some by programs of other people.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from capture_edit import broken_link, broken_payloads, cut_to_one, turned_names, without_first_fragments

CERTAIN, DPI = "APP_CONFIDENCE_CERTAIN", "APP_CONFIDENCE_DPI"


def app(protocol, method="content", confidence=DPI, **facts):
    return {"app.protocol": protocol, "app.method": method, "app.confidence": confidence, **facts}


def http(host, **facts):
    return app("http", "http_message", CERTAIN, **{"http.hosts.0": host, **facts})


def tls(name, version, **facts):
    return app("tls", "tls_hello", CERTAIN, **{"tls.sni": name, "tls.version": version, **facts})


def quic(name, version, **facts):
    return app("quic", "quic_initial", CERTAIN, **{"tls.sni": name, "quic.version": version, **facts})


def dns(name, kind, label="dns", **facts):
    return app(label, "dns_message", CERTAIN, **{"dns.queries.0.name": name, "dns.queries.0.type": kind, **facts})


def inside(kind, number):
    return {"tunnel.0.type": f"TUNNEL_TYPE_{kind}", "tunnel.0.id": str(number)}


def server(name, source):
    return {"server.name": name, "server.name_source": f"NAME_SOURCE_{source}"}


# row, capture, facts that the END record of one flow shows, how the capture is broken for the refusal
ROWS = [
    ("link: Cisco HDLC", "link--chdlc-http", http("view.atdmt.com"), broken_link),
    ("link: NFLOG", "link--nflog-10pkts", http("www.aol.com"), broken_link),
    ("link: raw 12", "link--raw-dlt12-ipv6-http", http("www.uk6x.com"), broken_link),
    ("link: raw 229", "link--raw-ipv6-linktype229", dns("example.com", 1), broken_link),
    ("link: raw 101", "link--raw-ip-10flows", http("crl.microsoft.com"), broken_link),
    ("link: raw 228", "link--raw-ipv4-dnp3-flood", app("dnp3"), broken_link),
    ("link: PKTAP", "link--pktap", dns("in.m.yahoo.com", 1), broken_link),
    ("link: radiotap", "link--wlan-radiotap-http", http("qq.com"), broken_link),
    ("link: PPP", "link--ppp-quic-retry", app("quic", "quic_initial", CERTAIN, **{"quic.retry": True}), broken_link),
    ("link: NULL", "link--null-quic-version-negotiation", quic("localhost", "1"), broken_link),
    ("link: NULL, its order of bytes", "link--null-loopback-3pkts", dns("www.google-analytics.com", 1), broken_link),
    ("link: SLL", "link--sll-http-tls-mix", http("www.ynet.co.il"), broken_link),
    ("link: IPoIB", "link--ipoib", app("ssh", "ssh_banner", CERTAIN), broken_link),
    ("link: SLL2", "link--sll2-dns", app("dns", "dns_message", CERTAIN), broken_link),
    ("link: FDDI", "link--fddi-llc-snaplen", {"server.port": 80, "ip_protocol": 6}, broken_link),
    ("link: PPPoE in QinQ", "link--pppoe-over-qinq", tls("xp.apple.com", "1.2", **inside("PPPOE", 3847)), broken_link),
    ("link: VLAN in VLAN", "vlan--two-vlans", http("xxxxxxx.xxx.xxx", vlan_id=200, outer_vlan_id=201), broken_link),
    ("link: 802.1ad", "vlan--qinq-8021ad", {"vlan_id": 100, "outer_vlan_id": 30, "ip_protocol": 253}, broken_link),
    ("link: VN-Tag", "vlan--vntag", {"vlan_id": 11, "ip_protocol": 253}, broken_link),
    ("link: E-Tag", "vlan--etag-8021br", {"server.port": 443, "ip_protocol": 6}, broken_link),
    ("tunnel: PBB", "vlan--pbb-8021ah", {"vlan_id": 4020, "ip_protocol": 6, **inside("PBB", 2014020)}, broken_link),
    ("tunnel: PPPoE", "link--pppoe-65pkts", {"ip_protocol": 58, **inside("PPPOE", 17)}, broken_link),
    ("tunnel: VXLAN", "vxlan--vxlan-127pkts", tls("www.facebook.com", "1.3", **inside("VXLAN", 1111)), broken_payloads),
    ("tunnel: Geneve", "geneve--geneve-441pkts-110flows", tls("secure.chase.com", "1.3", **inside("GENEVE", 0)),
     broken_payloads),
    ("tunnel: GTP-U", "gtp--gtp7-ipv6-inside", dns("xmail.nelt.com", 28, "llmnr", **inside("GTP_U", 2436252775)),
     broken_payloads),
    ("tunnel: AYIYA", "teredo--ayiya-35pkts", http("ipv6.google.com", **inside("AYIYA", 0)), broken_payloads),
    ("tunnel: Teredo", "teredo--teredo-78pkts", inside("TEREDO", 0), broken_payloads),
    ("tunnel: 6in4", "ipip--6in4-127pkts", tls("www.facebook.com", "1.2", **inside("IP_IN_IP", 0)), broken_payloads),
    ("tunnel: 4in4", "ipip--4in4-5pkts", {"server.port": 17000, **inside("IP_IN_IP", 0)}, broken_payloads),
    ("tunnel: 4in6", "ipip--ipv4-over-ipv6", {"server.port": 80, **inside("IP_IN_IP", 0)}, broken_payloads),
    ("tunnel: NVGRE", "gre--erspan-287pkts", app("dhcpv6", **inside("NVGRE", 131072)), broken_payloads),
    ("tunnel: ERSPAN I", "gre--erspan-typeI-42pkts", {"vlan_id": 1011, **inside("GRE", 0), "tunnel.1.type": "TUNNEL_TYPE_ERSPAN"},
     broken_payloads),
    ("tunnel: ERSPAN III", "gre--erspan3-dot1q", {"vlan_id": 10, **inside("GRE", 0), "tunnel.1.type": "TUNNEL_TYPE_ERSPAN"},
     broken_payloads),
    ("tunnel: GRE in GRE", "gre--gre-within-gre", app("rip", **inside("GRE", 0), **{"tunnel.1.type": "TUNNEL_TYPE_GRE"}),
     broken_payloads),
    ("tunnel: ERSPAN", "gre--gre-erspan-vxlan", {**inside("GRE", 0), "tunnel.1.type": "TUNNEL_TYPE_ERSPAN",
                                                 "tunnel.2.type": "TUNNEL_TYPE_VXLAN_GPE"}, broken_payloads),
    ("tunnel: MPLS", "mpls--mpls-packets", http("srv1.srv-stat.com", **inside("MPLS", 16000)), broken_link),
    ("tunnel: MPLS in VLAN", "mpls--mpls-in-vlan", http("ww.example.org", vlan_id=3399, **inside("MPLS", 99)), broken_link),
    ("tunnel: NSH", "nsh--nsh-type1", inside("NSH", 1), broken_link),
    ("fragments: DNS answer", "ipfrag--dns-fragmented-66pkts",
     dns("weberlab.de", 48, **{"flags": "FLOW_FLAG_FRAGMENTS_SEEN", "dns.response_count": 1}), without_first_fragments),
    ("fragments around a tunnel", "gtp--gtp1-with-fragmentation",
     http("o-o.preferred.telekomrs-beg1.v2.lscache8.c.youtube.com", flags="FLOW_FLAG_FRAGMENTS_SEEN"),
     without_first_fragments),
    ("DNS", "dns--464pkts-219flows", app("dns", "dns_message", CERTAIN, **{"dns.response_count": 1}), broken_payloads),
    ("DNS over TCP", "dns--tcp-11pkts",
     dns("www.tcpdump.org", 1, **{"dns.queries.0.rcode": 0, "dns.queries.0.answers.0": "192.139.46.66"}), broken_payloads),
    ("passive names", "ntp--sync", app("ntp", **server("us.pool.ntp.org", "DNS_ANSWER")), broken_payloads),
    ("mDNS", "dns--mdns-24pkts", dns("_ipp._tcp.local", 12, "mdns"), broken_payloads),
    ("LLMNR", "dns--llmnr-udp", dns("hs2011", 1, "llmnr"), broken_payloads),
    ("TLS 1.2", "tls--tls12", app("tls", "tls_hello", CERTAIN, **{"tls.version": "1.2", "tls.cert_sha256": True,
                                                                  "tls.ja3": True, "tls.ja4": True}), broken_payloads),
    ("TLS name", "http--wikipedia", http("upload.wikimedia.org", **server("upload.wikimedia.org", "HTTP_HOST")),
     broken_payloads),
    ("DTLS", "tls--dtls10", app("dtls", "dtls_hello", CERTAIN, **{"tls.version": "DTLS 1.0", "tls.cert_subject": "CN=bro"}),
     broken_payloads),
    ("STARTTLS", "tls--smtp-starttls", app("smtp", **{"tls.version": "1.2", "tls.cipher": True}),
     broken_payloads),
    ("QUIC", "quic--v1-chromium", app("quic", "quic_initial", CERTAIN, **{"quic.version": "1", "tls.ja3s": True}),
     broken_payloads),
    ("QUIC 2", "quic--v2", quic("test", "2"), broken_payloads),
    ("QUIC, a draft", "quic--draft29", quic("localhost", "draft-29", **{"quic.retry": True}), broken_payloads),
    ("QUIC of Google", "quic--gquic-q46", quic("play.google.com", "Q046"), broken_payloads),
    ("HTTP", "http--wikipedia", http("upload.wikimedia.org", **{"http.method": "GET", "http.status": True, "http.user_agent": True}),
     broken_payloads),
    ("HTTP CONNECT", "http--connect", app("tls", "tls_hello", CERTAIN, **{"app.carrier": "http"}), broken_payloads),
    ("HTTP/2", "http--http2-nghttp2", app("http2"), broken_payloads),
    ("SSH", "ssh--reverse-ssh",
     app("ssh", "ssh_banner", CERTAIN, **{"ssh.client_banner": "SSH-2.0-dropbear_2018.76",
                                          "ssh.hassh": "413e646031ea5204c5ec2fe2d5b7946e"}), broken_payloads),
    ("DHCP", "app--mixed-26flows", app("dhcp"), broken_payloads),
    ("DHCPv6", "dhcp--dhcpv6", app("dhcpv6"), broken_payloads),
    ("NTP", "ntp--sync", app("ntp"), broken_payloads),
    ("SIP", "app--sip-rtp", app("sip"), broken_payloads),
    ("RTP", "app--sip-rtp", app("rtp"), broken_payloads),
    ("RDP", "mix--arkime-synthetic-194flows", app("rdp", **{"server.port": 3389}), broken_payloads),
    ("SMB", "mix--emix-688flows", app("smb", **{"server.port": 445}), broken_payloads),
    ("SMB with DCE/RPC", "anomaly--zerologon-bruteforce", app("smb"), broken_payloads),
    ("MQTT", "mix--arkime-synthetic-194flows", app("mqtt", **{"server.port": 1883}), broken_payloads),
    ("PostgreSQL", "mix--arkime-synthetic-194flows", app("postgresql", **{"server.port": 5432}), broken_payloads),
    ("MySQL", "mix--emix-688flows", app("mysql", **{"server.port": 3306}), broken_payloads),
    ("Redis", "link--sll-redis-18flows", app("redis", **{"server.port": 6379}), broken_payloads),
    ("SCTP", "sctp--www-84pkts", {"app.protocol": "http", "ip_protocol": 132}, broken_payloads),
    ("ICMP", "icmp--ping-4pkts", {"ip_protocol": 1, "icmp.type": 8}, broken_payloads),
    ("ICMPv6", "icmp--icmp6-ping", {"ip_protocol": 58, "icmp.type": 128}, broken_payloads),
    ("IGMP", "multicast--igmp-12pkts", {"ip_protocol": 2}, broken_link),
    ("ESP", "ipv6--esp-121pkts", {"ip_protocol": 50}, broken_link),
    ("AH", "ipv6--ah-http", {"ip_protocol": 51}, broken_link),
    ("PPTP", "gre--pptp-ctrl-and-gre", app("pptp", **{"server.port": 1723}), broken_payloads),
]


# Names in clear text, and where records tell them: with control and bidirectional characters in them they are escaped.
NAMES = [
    ("DNS", "dns--tcp-11pkts", "www", "dns"),
    ("mDNS", "dns--mdns-24pkts", "_ipp", "dns"),
    ("LLMNR", "dns--llmnr-udp", "hs2011", "dns"),
    ("TLS, in PPPoE in QinQ", "link--pppoe-over-qinq", "xp.apple.com", "tls"),
    ("certificate", "tls--dtls10", "bro", "tls"),
    ("HTTP", "http--wikipedia", "upload.wikimedia.org", "http"),
    ("HTTP in 6in4", "teredo--ayiya-35pkts", "ipv6.google.com", "http"),
    ("SSH", "ssh--reverse-ssh", "dropbear_2018.76", "ssh"),
]


def texts_of(part):
    """All strings within a part of a record."""
    if isinstance(part, str):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from texts_of(inner)


def check_names(sensor, corpus, folder):
    for row, name, text, part in NAMES:
        source = sorted(corpus.glob(name + ".pcap*"))[0]
        turned = pathlib.Path(folder) / f"{name}-turned.pcap"
        if turned_names(source, turned, text.encode()) == 0:
            yield f"{row}: {name} has no {text}"
            continue
        texts = [t for record in read(sensor, turned) for t in texts_of(record.get(part, {}))]
        if any(not t.isascii() or not t.isprintable() for t in texts):
            yield f"{row}: {name} tells a name with a control or bidirectional character"
        # As each protocol escapes: \xHH, \DDD in DNS names (RFC 4343), \HH in names of certificates (RFC 4514).
        if not any(form in t for t in texts for form in ("\\xe2\\x80\\xae", "\\226\\128\\174", "\\E2\\80\\AE")):
            yield f"{row}: {name} does not tell its name in escaped form: {sorted(set(texts))[:8]}"


def value(record, path):
    for step in path.split("."):
        if isinstance(record, list):
            record = record[int(step)] if int(step) < len(record) else None
        else:
            record = record.get(step) if isinstance(record, dict) else None
    return record


def holds(record, facts):
    for path, expected in facts.items():
        found = value(record, path)
        if expected is True and not found:
            return False
        if path == "flags" and expected not in (found or []):
            return False
        if expected is not True and path != "flags" and found != expected:
            return False
    return True


def read(sensor, capture):
    result = subprocess.run([sensor, "--read-pcap", str(capture), "--quiet", "--flows-jsonl", "-"], capture_output=True,
                            timeout=120, check=False)
    if result.returncode not in (0, 1):  # 1: a capture that is cut at its end
        raise AssertionError(f"{capture}: exit {result.returncode}\n{result.stderr[-2000:].decode(errors='replace')}")
    records = [json.loads(line) for line in result.stdout.decode("utf-8", "strict").splitlines()]
    # Questions may be told in records before the last one.
    return [record for record in records if record["event"] == "FLOW_EVENT_END" or "dns" in record]


def is_claim(record, facts):
    """Whether the record of a broken capture still says what the row's protocol is known by."""
    if "app.method" in facts:
        keys = ("app.protocol", "app.method")
    elif "app.protocol" in facts:
        return value(record, "app.protocol") == facts["app.protocol"] and value(record, "app.confidence") != \
            "APP_CONFIDENCE_PORT"
    else:
        keys = tuple(facts)
    return holds(record, {key: facts[key] for key in keys})


def packets_of(records):
    return sum(int(r[d]["delta_packets"]) for r in records for d in ("forward", "reverse"))


def main():
    sensor, repository = sys.argv[1:3]
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", pathlib.Path(repository).parent / "shared" / "corpus"))
    if not corpus.is_dir():
        print(f"SKIP: no captures in {corpus}; set NETSCOPE_CORPUS to the folder of the shared test data")
        return 77
    faults = []
    seen, refused = {}, {}
    with tempfile.TemporaryDirectory(prefix="netscope-rows-") as folder:
        for row, name, facts, breaker in ROWS:
            found = sorted(corpus.glob(name + ".pcap*"))
            if not found:
                faults.append(f"{row}: no capture {name}")
                continue
            if name not in seen:
                seen[name] = read(sensor, found[0])
            if not any(holds(record, facts) for record in seen[name]):
                faults.append(f"{row}: {name} shows no flow with {facts}")
            key = (name, breaker.__name__)
            if key not in refused:
                broken = pathlib.Path(folder) / f"{name}-{breaker.__name__}.pcap"
                packets = breaker(found[0], broken)
                refused[key] = read(sensor, broken)
                if packets == 0:
                    faults.append(f"{row}: nothing to break in {name}")
                if breaker is broken_link and packets_of(refused[key]) != 0:
                    faults.append(f"{row}: packets of a link that nobody knows are in flows")
            claims = [r for r in refused[key] if is_claim(r, facts)]
            if claims:
                faults.append(f"{row}: {name} with {breaker.__name__} still shows {len(claims)} times, such as "
                              f"{claims[0].get('app')} {claims[0].get('tunnel')}")
        for name in sorted(seen):
            cut = pathlib.Path(folder) / f"{name}-cut.pcap"
            cut_to_one(sorted(corpus.glob(name + ".pcap*"))[0], cut)
            if packets_of(read(sensor, cut)) != 0:
                faults.append(f"{name}: of each packet one byte is there, and some are in flows")
        faults += check_names(sensor, corpus, folder)
    print("\n".join(faults) or f"{len(ROWS)} rows: each with a capture that shows it, and one that is refused")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
