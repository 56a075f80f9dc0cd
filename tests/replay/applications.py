#!/usr/bin/env python3
"""Real captures through the sensor: application labels with how they were decided, names and fingerprints against the
truth about the captures, DNS transactions, and the same records with any number of shards.

    applications.py SENSOR

Reads the shared captures from NETSCOPE_CORPUS (../shared/corpus by default); exit 77 where they are not there.
"""
import glob
import json
import os
import re
import subprocess
import sys

# capture -> labels that must be there: (label, confidence)
LABELS = {
    "app--sip-rtp": {("sip", "DPI"), ("rtp", "DPI"), ("rtcp", "DPI")},
    "app--ftp-data": {("ftp", "DPI")},
    "app--wireguard": {("wireguard", "DPI")},
    "tcp--vnc-4551pkts": {("vnc", "DPI")},
    "gre--pptp-ctrl-and-gre": {("pptp", "DPI")},
    "ssh--ssh-295pkts": {("ssh", "CERTAIN")},
    "http--connect": {("tls", "CERTAIN")},
    "dns--tcp-11pkts": {("dns", "CERTAIN")},
    "dns--llmnr-udp": {("llmnr", "CERTAIN")},
    "dns--llmnr-tcp-reassembly": {("llmnr", "CERTAIN")},
    "dns--mdns-24pkts": {("mdns", "CERTAIN")},
    "anomaly--srvloc-620-targets": {("slp", "DPI")},
    "tcp--bittorrent-missing-segments": {("bittorrent", "DPI")},
    "format--y2038-bgp": {("bgp", "DPI")},
    "format--bigendian-nfsv3": {("nfs", "DPI")},
    "dhcp--dhcp-4pkts": {("dhcp", "DPI")},
    "dhcp--dhcpv6": {("dhcpv6", "DPI")},
    "link--sll-redis-18flows": {("redis", "DPI")},
    "ntp--sync": {("ntp", "DPI")},
}

SAME_SHARDS = ["mix--emix-688flows", "http--wikipedia", "mix--alexa-154flows", "dns--464pkts-219flows",
               "dns--many-over-one-tcp", "dns--tunnel-iodine", "malformed--fuzz-248flows"]
DNS = ["dns--464pkts-219flows", "dns--many-over-one-tcp", "dns--tcp-11pkts", "dns--nxdomain-soa", "dns--edns-opts-42pkts"]

def run(sensor, path, *arguments):
    done = subprocess.run([sensor, "--read-pcap", path, "--quiet", *arguments], capture_output=True, text=True,
                          timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]

def without_identity(record):
    return json.dumps({k: v for k, v in record.items() if k not in ("boot_id", "record_seq")}, sort_keys=True)

def plain(name):
    """A name without case and with one mark for what tools escape differently."""
    return re.sub(r"[^\x21-\x7e]+", "?", re.sub(r"\\(\d{3}|x[0-9a-f]{2})", "?", name)).rstrip(".").lower()

def main():
    corpus = os.environ.get("NETSCOPE_CORPUS", os.path.join(os.path.dirname(__file__), "../../../shared/corpus"))
    if not os.path.isdir(corpus):
        print("no captures: skipped")
        return 77
    sensor = sys.argv[1]
    faults = []

    def capture(name):
        found = glob.glob(os.path.join(corpus, name + ".pcap*"))
        return found[0] if found else None

    for name, wanted in LABELS.items():
        path = capture(name)
        if path is None:
            continue
        seen = {(r["app"]["protocol"], r["app"]["confidence"].removeprefix("APP_CONFIDENCE_"))
                for r in run(sensor, path, "--flows-jsonl", "-") if "app" in r}
        if not wanted <= seen:
            faults.append(f"{name}: {sorted(wanted - seen)} not among {sorted(seen)}")
    for name in filter(capture, SAME_SHARDS):
        one, two, many = (sorted(map(without_identity, run(sensor, capture(name), "--shards", n, "--flows-jsonl", "-")))
                          for n in ("1", "2", "16"))
        if not one == two == many:
            faults.append(f"{name}: the records depend on the number of shards")
    for name in filter(capture, DNS):
        with open(os.path.join(corpus, "truth", name + ".json"), encoding="utf-8") as file:
            truth = json.load(file)
        wanted = {plain(q["name"]) for q in truth["summary"]["dns_questions"]}
        records = run(sensor, capture(name), "--dns-jsonl", "-")
        seen = {plain(r["name"]) for r in records}
        if not wanted <= seen:
            faults.append(f"{name}: no transaction for {sorted(wanted - seen)[:5]}")
        if [int(r["record_seq"]) for r in records] != list(range(1, len(records) + 1)):
            faults.append(f"{name}: record_seq is not contiguous")
        if any(("latency" in r) != (r["has_query"] and r["has_response"]) for r in records):
            faults.append(f"{name}: latency without query and answer, or the other way")
    for fault in faults:
        print(fault)
    print(f"{len(LABELS)} labels, {len(SAME_SHARDS)} with 1, 2, 16 shards, {len(DNS)} with transactions: "
          f"{len(faults)} faults")
    return 1 if faults else 0

if __name__ == "__main__":
    sys.exit(main())
