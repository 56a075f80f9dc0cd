#!/usr/bin/env python3
"""Log-ins in clear text and weak TLS in real captures: what is there is told with server and port, and nothing of what
a log-in says leaves the sensor; captures without such things stay silent.

    test_weak_crypto.py SENSOR PROJECT
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SETTINGS = "analysis:\n  anomalies:\n    weak_crypto:\n      mode: alert\n"

# What the captures hold, read from their bytes: a header Authorization: Basic, a simple bind, USER and PASS, an answer
# to a Password: of Telnet; versions and suites of ServerHellos; certificates.
WANTED = {
    "mix--arkime-synthetic-194flows.pcap": {"10.2.1.1 port 80 takes log-ins in clear text (http)",
                                            "10.2.13.1 port 389 takes log-ins in clear text (ldap)",
                                            "10.3.7.1 port 21 takes log-ins in clear text (ftp)",
                                            "10.9.1.2 port 443 speaks weak TLS (self-signed certificate)",
                                            "10.9.1.2 port 443 speaks weak TLS (certificate not valid yet)"},
    "mix--emix-688flows.pcap": {"192.168.122.145 port 23 takes log-ins in clear text (telnet)"},
    "mix--whatsapp-login-call.pcap": {"17.173.66.102 port 443 speaks weak TLS (cipher 0x0004)",
                                      "17.178.104.12 port 443 speaks weak TLS (cipher 0x0004)"},
    "tls--dtls10.pcap": {"104.236.167.107 port 4433 speaks weak TLS (TLS 1.0)",
                         "104.236.167.107 port 4433 speaks weak TLS (self-signed certificate)"},
    "tls--sslv2.pcap": {"91.227.4.92 port 443 speaks weak TLS (SSL 3)",
                        "91.227.4.92 port 443 speaks weak TLS (expired certificate)",
                        "91.227.4.92 port 443 speaks weak TLS (self-signed certificate)"},
    "tls--sslv3.pcap": {"74.125.228.238 port 443 speaks weak TLS (SSL 3)",
                        "74.125.228.238 port 443 speaks weak TLS (cipher 0xc011)"},
    "tls--tls10.pcap": {"74.125.228.39 port 443 speaks weak TLS (TLS 1.0)",
                        "74.125.228.39 port 443 speaks weak TLS (cipher 0xc011)"},
    "tls--tls11-23pkts.pcap": {"216.58.192.14 port 443 speaks weak TLS (TLS 1.1)"},
    # An anonymous log-in; TLS 1.2 and 1.3; browsing; SSH.
    "app--ftp-data.pcap": set(),
    "tls--tls12.pcap": set(),
    "tls--tls13-30pkts.pcap": set(),
    "tls--latest-32flows.pcapng": set(),
    "http--wikipedia.pcap": set(),
    "http--4k-requests-121flows.pcap": set(),
    "ssh--ssh-295pkts.pcapng": set(),
}
# What those log-ins say (names and secrets), or its beginning.
SECRETS = ["d0xa!", "NcFTP@"]


def told_of(sensor, capture, settings, shards):
    run = subprocess.run([sensor, "--config", settings, "--read-pcap", str(capture), "--quiet", "--shards", str(shards),
                          "--alerts-jsonl", "-", "--flows-jsonl", "/dev/stdout"], capture_output=True, timeout=120)
    text = run.stdout.decode(errors="replace")
    if run.returncode != 0:
        sys.exit(f"{capture.name}: exit status {run.returncode}: {run.stderr[-400:]}")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    alerts = [a for a in lines if a.get("detail") in ("weak_tls", "cleartext_credentials")]
    return {a["description"].split("), ")[0] + ")" for a in alerts}, [s for s in SECRETS if s in text], alerts


def main():
    sensor, project = sys.argv[1], pathlib.Path(sys.argv[2])
    corpus = pathlib.Path(os.environ.get("NETSCOPE_CORPUS", project / ".." / "shared" / "corpus"))
    if not corpus.is_dir():
        print(f"SKIP: no captures in {corpus}; set NETSCOPE_CORPUS to the folder of the shared test data")
        sys.exit(77)
    faults = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as settings:
        settings.write(SETTINGS)
        settings.flush()
        for name, wanted in WANTED.items():
            for shards in (1, 4):
                told, secrets, alerts = told_of(sensor, corpus / name, settings.name, shards)
                if told != wanted:
                    faults.append(f"{name}, {shards} shards: missing {wanted - told}, too much {told - wanted}")
                if secrets:
                    faults.append(f"{name}: says what a log-in said: {secrets}")
                faults += [f"{name}: severity {a['severity']}" for a in alerts
                           if a["state"] == "open" and a["severity"] != "info"]
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"weak_crypto: {len(WANTED)} captures, {len(faults)} faults")
    sys.exit(1 if faults else 0)


main()
