#!/usr/bin/env python3
"""Replays the labelled captures: every row "alert" of anomalies.tsv alerts with that kind, source and target; no row
"none" alerts; and the alerts are the same with any number of shards.

    anomalies.py SENSOR [--corpus FOLDER] [--shards 1,2,4,16]

Rows "optional" may go either way and are shown. Kinds of the table: port_scan is a vertical scan, host_scan a
horizontal one, icmp_sweep and arp_sweep are host sweeps.
"""
import argparse
import csv
import ipaddress
import json
import os
import pathlib
import re
import subprocess
import sys

KINDS = {
    "port_scan": {"port_scan_vertical"},
    "host_scan": {"port_scan_horizontal"},
    "icmp_sweep": {"host_sweep"},
    "arp_sweep": {"host_sweep"},
    "dhcp_flood": {"rogue_dhcp"},
    "connection_burst": {"syn_flood"},
    "exploit": set(),
    "background_radiation": set(),
}


def alerts_of(sensor, capture, shards):
    run = subprocess.run([sensor, "--read-pcap", str(capture), "--quiet", "--alerts-jsonl", "-", "--shards", str(shards)],
                         capture_output=True, text=True, timeout=300)
    if run.returncode != 0:
        sys.exit(f"{capture.name}: exit status {run.returncode}: {run.stderr[-400:]}")
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def detail(alert):
    return alert.get("detail", alert["kind"])


def told(alert):
    """What must not depend on the number of shards. The sample of a large set does not either."""
    return tuple(json.dumps(alert.get(key)) for key in
                 ("ts", "detail", "state", "severity", "alert_id", "alert_key", "observed", "description", "attackers",
                  "victims"))


def holds(addresses, wanted):
    """True when `wanted` (an address or network; anything else is a remark) is among the addresses."""
    try:
        network = ipaddress.ip_network(wanted.strip(), strict=False)
    except ValueError:
        return True
    found = [ipaddress.ip_address(address) for address in addresses]
    return any(a.version == network.version and a in network for a in found)


def fits(alert, row):
    kinds = KINDS.get(row["kind"], {row["kind"]})
    return (detail(alert) in kinds and holds(alert.get("attackers", []), row["source"]) and
            holds(alert.get("victims", []), re.sub(r"^c612:2::$", "c612:2::/128", row["target"])))


def main():
    default = pathlib.Path(__file__).resolve().parents[3] / "shared" / "corpus"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sensor")
    parser.add_argument("--corpus", type=pathlib.Path, default=pathlib.Path(os.environ.get("NETSCOPE_CORPUS", default)))
    parser.add_argument("--shards", default="1,2,4,16")
    options = parser.parse_args()
    table = options.corpus / "anomalies.tsv"
    if not table.is_file():
        print(f"SKIP: no captures in {options.corpus}; set NETSCOPE_CORPUS to the folder of the shared test data")
        sys.exit(77)
    rows = list(csv.DictReader(table.open(), delimiter="\t"))
    shards = [int(number) for number in options.shards.split(",")]
    faults, seen = [], {}
    for row in rows:
        capture = options.corpus / row["file"]
        if row["file"] not in seen:
            runs = {count: alerts_of(options.sensor, capture, count) for count in shards}
            first = [told(alert) for alert in runs[shards[0]]]
            for count in shards[1:]:
                other = [told(alert) for alert in runs[count]]
                if sorted(other) != sorted(first):
                    lines = set(first) ^ set(other)
                    faults.append(f"{row['file']}: {count} shards differ from {shards[0]}: {sorted(lines)[:2]}")
            seen[row["file"]] = runs[shards[0]]
        alerts = [alert for alert in seen[row["file"]] if alert.get("state", "open") == "open"]
        found = [alert for alert in alerts if fits(alert, row)]
        if row["expect"] == "alert" and not found:
            faults.append(f"{row['file']}: no {row['kind']} from {row['source']} to {row['target']}; there is "
                          f"{[detail(a) + ': ' + a['description'] for a in alerts]}")
        if row["expect"] == "none" and alerts:
            faults.append(f"{row['file']}: benign, but {[detail(a) + ': ' + a['description'] for a in alerts]}")
        if row["expect"] == "optional":
            print(f"optional: {row['file']}: {row['kind']}: "
                  f"{'; '.join(detail(a) + ': ' + a['description'] for a in alerts) or 'nothing'}")
    for fault in faults:
        print(f"FAULT: {fault}")
    wanted = sum(row["expect"] == "alert" for row in rows)
    benign = sum(row["expect"] == "none" for row in rows)
    print(f"anomalies: {wanted} attacks, {benign} benign captures, shards {options.shards}: {len(faults)} faults")
    sys.exit(1 if faults else 0)


main()
