"""Decodes every capture of the shared test data and compares the counts with the truth about it.

Usage: test_corpus.py DECODE_CORPUS REPOSITORY. The data is NETSCOPE_CORPUS or ../shared/corpus beside the
repository; without it the test is skipped (77). Files listed below only have to be survived.
"""
import json
import os
import pathlib
import subprocess
import sys

# What is counted otherwise, by choice or because this program reads through libpcap.
NOT_COMPARED = {
    # libpcap reads no file with several link types; the sensor's own reader is tested elsewhere.
    "format--pcapng-be-006-mixed-dlt": "mixed link types", "format--pcapng-be-102": "mixed link types",
    "format--pcapng-le-201-sections": "mixed link types",
    "format--pcapng-many-interfaces-mixed-dlt": "mixed link types",
    "link--unsupported-ieee802154": "IPv6 compressed over IEEE 802.15.4 (RFC 6282): no decoder",
    "malformed--mpls-6in6-broken": "label stacks of more than 16 are not followed",
}


# How tshark calls a tunnel in its stacks of protocols, and the types that it may have here.
TUNNELS = {"vxlan": ("VXLAN", "VXLAN-GPE"), "geneve": ("Geneve",), "gtp": ("GTP-U",), "teredo": ("Teredo",),
           "ayiya": ("AYIYA",), "erspan": ("ERSPAN",), "gre": ("GRE", "NVGRE")}

# Opened here, and not by the tool that made the truth: IPv6 lengths of 0 over UDP (segmentation offload).
TUNNELLED_BY_US = {"geneve--bigtcp-ipv4-in-geneve-ipv6": 1}

# What the truth does not count as a tunnel, and links with a row of their own: one figure of each capture.
ROWS = {
    "link--chdlc-http": ("tcp", None), "link--fddi-llc-snaplen": ("tcp", 1333), "link--ipoib": ("tcp", 20),
    "link--nflog-10pkts": ("tcp", 10), "link--pktap": ("udp", 1), "link--null-loopback-3pkts": ("udp", 2),
    "link--wlan-radiotap-http": ("tcp", 26), "link--raw-ipv6-linktype229": ("ipv6", None),
    "link--wlan-80211-join-nokia": ("faults.wlan protected", 1), "vlan--etag-8021br": ("tcp", 1),
    "link--pppoe-65pkts": ("tunnels.PPPoE", 25), "link--pppoe-over-qinq": ("tunnels.PPPoE", 86),
    "vlan--pbb-8021ah": ("tunnels.PBB", 10), "nsh--nsh-type1": ("tunnels.NSH", 1),
    "mpls--mpls-in-vlan": ("tunnels.MPLS", 2), "mpls--mpls-packets": ("tunnels.MPLS", 2),
    "gtp--gtp-false-positive": ("faults.gtp_u refused", 5), "ipip--6in4-127pkts": ("tunnels.IPIP", 127),
    "malformed--too-many-layers": ("faults.pseudowire unsupported", 1),
}


def value_of(counted, path):
    for step in path.split(".", 1):
        counted = counted.get(step, 0)
    return counted


def tunnel_differences(stem, counted, truth):
    """Sentences about tunnels that were opened more or less often than the truth says."""
    expected = {name: 0 for name in TUNNELS}
    for stack, packets in truth["tunnel_stacks"].items():
        for layer in stack.split(":"):
            if layer in expected:
                expected[layer] += packets
    if stem in TUNNELLED_BY_US:
        return []
    wrong = []
    if counted["tunnelled"] != (truth["tunnelled_packets"] or 0):
        wrong.append(f"{counted['tunnelled']} packets in tunnels, the truth says {truth['tunnelled_packets']}")
    for name, types in TUNNELS.items():
        seen = sum(counted["tunnels"].get(kind, 0) for kind in types)
        if seen < expected[name]:  # the truth lists the eight most frequent stacks alone
            wrong.append(f"{name} is opened {seen} times, the truth says {expected[name]}")
    return wrong


def row_difference(stem, counted):
    if stem not in ROWS:
        return []
    path, expected = ROWS[stem]
    seen = value_of(counted, path)
    return [] if seen == expected or (expected is None and seen > 0) else [f"{path} is {seen}, not {expected}"]


def missing_ids(program, capture, truth):
    """The Community IDs that another tool (Arkime) gave flows of `capture` and that no packet of it has here."""
    peer = truth.get("peers", {}).get("arkime", {})
    expected = {flow["community_id"] for flow in peer.get("flows", []) if flow.get("community_id")}
    if not expected or truth["tunnelled_packets"]:
        return set(), 0
    result = subprocess.run([program, str(capture)], capture_output=True, text=True, check=False,
                            env={**os.environ, "DECODE_CORPUS_IDS": "1"})
    return expected - set(result.stderr.split()), len(expected)


def main():
    program, repository = sys.argv[1:3]
    default = pathlib.Path(repository).parent / "shared" / "corpus"
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", default))
    captures = sorted(p for p in corpus.glob("*.pcap*") if p.suffix in (".pcap", ".pcapng"))
    if not captures:
        print(f"SKIP: no captures in {corpus}; set NETSCOPE_CORPUS to the folder of the shared test data")
        return 77
    result = subprocess.run([program, *map(str, captures)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(f"decode_corpus ended with {result.returncode}\n{result.stderr[-4000:]}")
        return 1
    compared = wrong = ids = 0
    for line in result.stdout.splitlines():
        counted = json.loads(line)
        stem = pathlib.Path(counted["file"]).stem
        truth_path = corpus / "truth" / f"{stem}.json"
        if stem in NOT_COMPARED or not truth_path.exists():
            continue
        truth = json.loads(truth_path.read_text())
        compared += 1
        for key in ("packets", "bytes_wire", "non_ip_packets"):
            if truth[key] != counted[key]:
                wrong += 1
                print(f"{stem}: {key} is {counted[key]}, the truth says {truth[key]}")
        for sentence in tunnel_differences(stem, counted, truth) + row_difference(stem, counted):
            wrong += 1
            print(f"{stem}: {sentence}")
        missing, count = missing_ids(program, counted["file"], truth)
        ids += count
        if missing:
            wrong += 1
            print(f"{stem}: no packet has the Community IDs {sorted(missing)}")
    print(f"{len(captures)} captures decoded, {compared} compared, {ids} Community IDs, {wrong} differences")
    return 1 if wrong or compared < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
