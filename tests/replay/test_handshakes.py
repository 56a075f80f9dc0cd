#!/usr/bin/env python3
"""Real captures of TLS, DTLS, QUIC and STARTTLS through the sensor: names, fingerprints, versions, certificates.

Usage: test_handshakes.py SENSOR REPOSITORY. The captures are in NETSCOPE_CORPUS or ../shared/corpus beside the
repository; without them the test is skipped (77). What is expected is what other tools say of the same bytes:
the truth files of the captures (names, JA3) and the facts below.
"""
import json
import os
import pathlib
import subprocess
import sys

# capture: facts that the END record of one of its flows must show, by path; True: anything but empty.
FACTS = {
    "tls--sslv2.pcap": [{"app.protocol": "tls", "tls.version": "SSL 2.0", "tls.cert_subject": True}],
    "tls--sslv3.pcap": [{"tls.version": "SSL 3.0", "tls.cert_issuer": "CN=Google Internet Authority G2,O=Google Inc,C=US"}],
    "tls--tls10.pcap": [{"tls.version": "1.0", "tls.cert_sha256": True}],
    "tls--tls11-23pkts.pcap": [{"tls.version": "1.1", "tls.cert_sha256": True}],
    "tls--tls12.pcap": [{"tls.version": "1.2", "tls.cert_san_count": True, "tls.cert_not_after": "2014-12-23T00:00:00Z"}],
    "tls--tls13-30pkts.pcap": [{"tls.version": "1.3", "tls.cert_sha256": ""}],
    "tls--tls13-arkime.pcap": [{"tls.version": "1.3-draft18", "tls.sni": "blog.cloudflare.com"}],
    "tls--draft19-early-data.pcap": [{"tls.version": "1.3-draft19"}],
    "tls--hello-retry-request.pcap": [{"tls.hello_retry": True, "tls.ja3s": True}],
    "tls--ech.pcap": [{"tls.ech_offered": True, "tls.sni": "cloudflare-ech.com"}],
    "tls--kyber-x25519-large-clienthello.pcap": [{"tls.version": "1.3", "tls.ja4": True, "tls.hello_cut": False}],
    "tls--clienthello-tcp-fragmented.pcap": [{"tls.sni": "localhost", "tls.hello_cut": False}],
    "tls--clienthello-missing-fragment.pcapng": [{"tls.hello_cut": True, "tls.ja3": "", "tls.ja4": ""}],
    "tls--dtls10.pcap": [{"app.protocol": "dtls", "tls.version": "DTLS 1.0", "tls.cert_subject": "CN=bro"}],
    "tls--dtls13-cid.pcap": [{"app.protocol": "dtls", "tls.version": "DTLS 1.3", "tls.hello_retry": True}],
    "quic--draft27.pcap": [{"quic.version": "draft-27", "tls.sni": "play.google.com"}],
    "quic--draft29.pcap": [{"quic.version": "draft-29"}],
    "quic--v1-chromium.pcap": [{"quic.version": "1", "tls.cipher": True, "tls.ja3s": True}],
    "quic--v2.pcapng": [{"quic.version": "2", "tls.sni": "test"}],
    "quic--retry.pcap": [{"quic.retry": True, "tls.cipher": 4865}],
    "quic--forced-version-negotiation.pcapng": [{"quic.version_negotiation": True, "quic.version": "1", "tls.cipher": True}],
    "quic--zero-rtt.pcapng": [{"quic.zero_rtt": True, "tls.sni": "ssl.gstatic.com"}],
    "quic--frag-middle-gap.pcap": [{"app.protocol": "quic", "tls.hello_cut": False}],
    "quic--frags-different-dcid.pcapng": [{"app.protocol": "quic", "tls.hello_cut": False}],
    "quic--gquic-q46.pcap": [{"quic.version": "Q046", "tls.sni": "play.google.com"}],
    "quic--handshake-truncated-snaplen.pcap": [{"quic.version": "1", "tls.ja3": "", "tls.hello_cut": True}],
    "link--ppp-quic-retry.pcap": [{"quic.retry": True}],
}
# Captures whose names and fingerprints must all be found, whatever else they hold.
WHOLE = ["quic--crypto-packets-391flows.pcap", "quic--fragmented.pcap", "quic--frag-unordered.pcap",
         "quic--ch-in-multiple-packets.pcapng", "quic--v1-firefox-608pkts.pcap", "tls--top-100-fingerprints.pcap",
         "tls--handshakes-79flows.pcapng", "tls--latest-32flows.pcapng", "tls--ja3-many-ciphers.pcap",
         "tls--206pkts-29flows-snaplen.pcap", *FACTS]


def value(record, path):
    for step in path.split("."):
        record = record.get(step) if isinstance(record, dict) else None
    return record


def holds(record, facts):
    for path, expected in facts.items():
        found = value(record, path)
        if expected is True and not found:
            return False
        if expected is not True and (found or "") != (expected or ""):
            return False
    return True


def read(sensor, capture):
    result = subprocess.run([sensor, "--read-pcap", str(capture), "--quiet", "--flows-jsonl", "-"], capture_output=True,
                            timeout=120, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{capture.name}: exit {result.returncode}\n{result.stderr[-2000:].decode(errors='replace')}")
    return [json.loads(line) for line in result.stdout.decode("utf-8", "strict").splitlines()]


def check(capture, records, truth, facts):
    faults = []
    for expected in facts:
        if not any(holds(record, expected) for record in records if record.get("event") == "FLOW_EVENT_END"):
            faults.append(f"no flow with {expected}")
    summary = truth["summary"]
    names = {name.lower() for name in summary["tls_sni"] + summary["dtls_sni"] + summary["quic_sni"]}
    found = {(value(record, "tls.sni") or "").lower() for record in records}
    prints = {value(record, path) for record in records for path in ("tls.ja3", "tls.ja3_retry")}
    if names - found:
        faults.append(f"names not found: {sorted(names - found)}")
    if set(summary["ja3"]) - prints:
        faults.append(f"JA3 not found: {sorted(set(summary['ja3']) - prints)}")
    for record in records:
        tls = record.get("tls")
        if tls and tls["hello_cut"] and (tls["ja3"] or tls["ja4"]):
            faults.append("a fingerprint of half a hello")
    return [f"{capture.name}: {fault}" for fault in faults]


def main():
    sensor, repository = sys.argv[1:3]
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", pathlib.Path(repository).parent / "shared" / "corpus"))
    captures = [corpus / name for name in WHOLE if (corpus / name).exists()]
    if not captures:
        print(f"SKIP: no captures in {corpus}; set NETSCOPE_CORPUS to the folder of the shared test data")
        return 77
    faults = []
    for capture in captures:
        truth = json.loads((corpus / "truth" / f"{capture.stem}.json").read_text(encoding="utf-8"))
        faults += check(capture, read(sensor, capture), truth, FACTS.get(capture.name, []))
    print("\n".join(faults) or f"{len(captures)} captures: names, fingerprints and facts hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
