#!/usr/bin/env python3
"""Every detector in mode alert over real captures, with 1, 2 and 4 shards: the same incidents to the last field, also of
those that rest on flows that ended by falling silent.

    test_alerts_agree.py SENSOR PROJECT
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# Attacks and ordinary traffic, with gaps of many seconds, of few to some thousand packets.
CAPTURES = ["anomaly--icmp-portscan-slips.pcap", "anomaly--ssh-bruteforce-slips.pcap", "dns--464pkts-219flows.pcap",
            "dns--tunnel-iodine.pcap", "link--sll-http-tls-mix.pcap", "malformed--fuzz-248flows.pcap",
            "mix--alexa-154flows.pcapng", "mix--arkime-synthetic-194flows.pcap", "mix--emix-688flows.pcap",
            "mix--gnutella-750flows.pcap", "mix--sites-64flows-22if.pcapng", "tcp--mptcp-v0-264pkts.pcap"]
FIELDS = ("ts", "detail", "state", "severity", "alert_id", "alert_key", "observed", "description", "attackers", "victims")
LEAST = 300  # incidents over all, or the test has lost its meaning


def settings_of(sensor):
    """All detectors that the program knows."""
    text = subprocess.run([sensor, "--print-config"], capture_output=True, text=True, check=True).stdout
    block = text[text.index("  anomalies:"):]
    names = re.findall(r"^    (\w+):$", block, re.M)
    lines = ["analysis:", "  anomalies:"]
    for name in names:
        lines += [f"    {name}:", "      mode: alert"]
        lines += ["      learning: 5s"] if name in ("new_host", "rogue_server") else []
    return "\n".join(lines) + "\n", names


def alerts_of(sensor, settings, capture, shards):
    run = subprocess.run([sensor, "--config", settings, "--read-pcap", str(capture), "--quiet", "--shards", str(shards),
                          "--alerts-jsonl", "-"], capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        sys.exit(f"{capture.name}: exit status {run.returncode}: {run.stderr[-400:]}")
    alerts = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return sorted(tuple(json.dumps(alert.get(field)) for field in FIELDS) for alert in alerts)


def main():
    sensor, project = sys.argv[1], pathlib.Path(sys.argv[2])
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", project / ".." / "shared" / "corpus"))
    if not corpus.is_dir():
        print(f"SKIP: no captures in {corpus}; set NETSCOPE_CORPUS to the folder of the shared test data")
        sys.exit(77)
    text, names = settings_of(sensor)
    faults, total = [], 0
    if len(names) < 20:
        faults.append(f"only {len(names)} detectors: {names}")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as settings:
        settings.write(text)
        settings.flush()
        for name in CAPTURES:
            one = alerts_of(sensor, settings.name, corpus / name, 1)
            total += len(one)
            for shards in (2, 4):
                other = alerts_of(sensor, settings.name, corpus / name, shards)
                if other != one:
                    lines = sorted(set(one) ^ set(other))
                    faults.append(f"{name}: {shards} shards differ: {len(other)} and not {len(one)}: {lines[:2]}")
    if total < LEAST:
        faults.append(f"only {total} incidents")
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"alerts_agree: {len(names)} detectors, {len(CAPTURES)} captures, {total} incidents, {len(faults)} faults")
    sys.exit(1 if faults else 0)


main()
