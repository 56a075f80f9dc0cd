"""Names, versions, ciphers, status and answers that programs agreed on over a wire with faults and small packets, against what the
sensor read of them. The truth is what OpenSSL and the programs of app_peers.py tell.

    application_accuracy.py [--count 240]    the long run
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.netns import command, inside
from support.programs import SENSOR, json_lines, sensor
from support.two_hosts import FAR, PYTHON, TwoHosts, need

PEERS = os.path.join(HERE, "..", "support", "app_peers.py")
FAULTS = {"delay_ms": 5, "loss": 0.03, "reorder": 0.05, "duplicate": 0.02}
MTU = 300  # a ClientHello takes several segments, a request with a large header, too
PORTS = {"tls": (6, 8443), "http": (6, 8080), "dns udp": (17, 53), "dns tcp": (6, 53)}


def order_of(number):
    name = f"n{number}.{'l' * 40}.example"
    part = number % 8
    if part < 4:
        return {"kind": "tls", "name": name, "version": "1.2" if part == 0 else "1.3",
                "alpn": ["h2", "http/1.1"] if part < 2 else ["http/1.1"]}
    if part < 6:
        return {"kind": "http", "name": name, "method": "GET" if number % 16 < 8 else "HEAD", "padding": 2000 * (part - 4), "chunk": 300,
                "paths": ["/none"] if number % 3 == 0 else ["/a", "/b"]}
    return {"kind": "dns", "name": name if number % 3 else "nx" + name, "over": "udp" if part == 6 else "tcp", "id": number}


def expected(told):
    """What the record should say."""
    if told["kind"] == "tls":
        return {"app": "tls", "sni": told["name"], "version": told["version"], "cipher": told["cipher"], "alpn": told["alpn"],
                "alpn_selected": told["alpn_selected"] if told["version"] == "1.2" else "",
                "subject": "CN=truth.example" if told["version"] == "1.2" else "", "whole": True}
    if told["kind"] == "http":
        return {"app": "http", "host": told["name"], "method": told["method"], "status": told["status"], "path": told["paths"][0],
                "type": "text/plain", "requests": len(told["paths"]), "responses": len(told["paths"])}
    return {"app": "dns", "names": {told["name"]}, "rcodes": {told["rcode"]}}


def said(told, records):
    """The same of the flow's records: what is told once is in the last, what is counted since the last one in each."""
    end = records[-1]
    app = end.get("app", {}).get("protocol", "")
    if told["kind"] == "tls":
        tls = end.get("tls", {})
        return {"app": app, "sni": tls.get("sni"), "version": tls.get("version"), "cipher": tls.get("cipher"), "alpn": tls.get("alpn"),
                "alpn_selected": tls.get("alpn_selected", ""), "subject": tls.get("cert_subject", ""),
                "whole": not tls.get("hello_cut") and len(tls.get("ja3", "")) == 32 and tls.get("ja4", "").startswith("t")}
    if told["kind"] == "http":
        http = end.get("http", {})
        return {"app": app, "host": " ".join(sorted(set(http.get("hosts", [])))), "method": http.get("method"),
                "status": http.get("status"), "path": http.get("path"), "type": http.get("content_type"),
                "requests": sum(record.get("http", {}).get("request_count", 0) for record in records),
                "responses": sum(record.get("http", {}).get("response_count", 0) for record in records)}
    queries = [query for record in records for query in record.get("dns", {}).get("queries", [])]
    return {"app": app, "names": {query["name"] for query in queries},
            "rcodes": {query["rcode"] for query in queries if "rcode" in query}}


def flows_by_port(capture):
    """{(protocol, client's port, server's port): records in order}; the last has what was told once."""
    flows = {}
    for record in json_lines(sensor("--read-pcap", capture, "--quiet", "--no-anomalies", "--flows-jsonl", "-").stdout):
        flows.setdefault((record["ip_protocol"], record["client"]["port"], record["server"]["port"]), []).append(record)
    return flows


def measure(folder, count, seed=1):
    """(how many were asked, what the sensor has otherwise) on both sides of the wire."""
    certificate, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj",
            "/CN=truth.example")
    with TwoHosts(folder, {**FAULTS, "seed": seed}) as hosts:
        for host in (hosts.near, hosts.far):
            command("ip", "-n", host, "link", "set", "eth0", "mtu", MTU)
        hosts.start(hosts.far, PYTHON, PEERS, "serve", FAR[4], certificate, key)
        captures = [hosts.capture(side) for side in ("left", "right")]
        done = subprocess.run([*inside(hosts.near), PYTHON, PEERS, "talk", FAR[4]], capture_output=True, text=True, timeout=300,
                              input=json.dumps([order_of(number) for number in range(count)]), check=False)
        time.sleep(1)
        hosts.end_captures()
    told = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [entry for entry in told if "error" in entry]
    if len(told) != count or len(failed) > count // 20:
        raise AssertionError(f"{len(told)} of {count} ended, {failed[:3]} {done.stderr[-500:]}")
    faults = []
    for capture in captures:
        flows = flows_by_port(capture)
        for entry in told:
            kind = f"dns {entry['over']}" if entry["kind"] == "dns" else entry["kind"]
            protocol, port = PORTS[kind]
            records = flows.get((protocol, entry.get("port"), port))
            if "error" not in entry and (records is None or said(entry, records) != expected(entry)):
                faults.append((kind, expected(entry), records and said(entry, records)))
    return 2 * (count - len(failed)), faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=240)
    args = parser.parse_args()
    need("openssl")
    with tempfile.TemporaryDirectory(prefix="netscope-applications-") as folder:
        asked, faults = measure(folder, args.count)
    print(*faults, sep="\n")
    print(f"{asked - len(faults)} of {asked} as the programs had it, by {SENSOR}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
