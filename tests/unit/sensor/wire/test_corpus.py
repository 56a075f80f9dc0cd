"""Decodes every capture of the shared test data and compares the counts with the truth about it.

Usage: test_corpus.py DECODE_CORPUS REPOSITORY. The data is NETSCOPE_CORPUS or ../shared/corpus beside the
repository; without it the test is skipped (77). Files whose link layer or encapsulation has no decoder yet are
listed below and only have to be survived; taking one off the list is the test of a new decoder.
"""
import json
import os
import pathlib
import subprocess
import sys

# What each of them needs that packet_decode does not open yet.
NOT_YET = {
    "ipfrag--bad-fragment": "MPLS", "link--chdlc-http": "Cisco HDLC", "link--fddi-llc-snaplen": "FDDI",
    "link--ipoib": "IP over InfiniBand", "link--nflog-10pkts": "NFLOG", "link--pktap": "PKTAP",
    "link--null-loopback-3pkts": "a foreign header in LINKTYPE_NULL", "link--ppp-frag-ipv6-tcp": "PPP",
    "link--ppp-quic-retry": "PPP", "link--pppoe-65pkts": "PPPoE", "link--pppoe-over-qinq": "PPPoE",
    "link--unsupported-ieee802154": "IEEE 802.15.4", "link--wlan-radiotap-http": "IEEE 802.11",
    "malformed--mpls-6in6-broken": "MPLS", "mpls--mpls-in-vlan": "MPLS", "mpls--mpls-packets": "MPLS",
    "mix--arkime-synthetic-194flows": "PPP, MPLS", "nsh--nsh-type1": "NSH", "vlan--etag-8021br": "802.1BR",
    "vlan--pbb-8021ah": "802.1ah", "vlan--vntag": "VN-Tag",
    # An IPv6 header behind the ethertype of IPv4: tshark opens it, here it is malformed.
    "malformed--fuzz-76flows": "by choice", "malformed--fuzz-248flows": "by choice",
    # libpcap reads no file with several link types.
    "format--pcapng-be-006-mixed-dlt": "mixed link types", "format--pcapng-be-102": "mixed link types",
    "format--pcapng-le-201-sections": "mixed link types",
    "format--pcapng-many-interfaces-mixed-dlt": "mixed link types",
}


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
        if stem in NOT_YET or not truth_path.exists():
            continue
        truth = json.loads(truth_path.read_text())
        compared += 1
        for key in ("packets", "bytes_wire", "non_ip_packets"):
            if truth[key] != counted[key]:
                wrong += 1
                print(f"{stem}: {key} is {counted[key]}, the truth says {truth[key]}")
        missing, count = missing_ids(program, counted["file"], truth)
        ids += count
        if missing:
            wrong += 1
            print(f"{stem}: no packet has the Community IDs {sorted(missing)}")
    print(f"{len(captures)} captures decoded, {compared} compared, {ids} Community IDs, {wrong} differences")
    return 1 if wrong or compared < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
