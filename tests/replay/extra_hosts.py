#!/usr/bin/env python3
"""HTTP hosts that the truth of the shared captures does not have must stand in the capture, to the letter.

    extra_hosts.py SENSOR CORPUS

tshark shows no host of a request whose message is not whole, so the checker's precision of hosts says nothing
about ours; this does. Hosts in fragments or tunnels may be cut in two in the file and are not looked for there: such
files fail with their name, and then a look by hand is due.
"""
import glob
import json
import os
import subprocess
import sys


def reported(sensor, capture):
    done = subprocess.run([sensor, "--read-pcap", capture, "--quiet", "--flows-jsonl", "-"], capture_output=True, timeout=120)
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        if line.startswith("{"):
            yield from json.loads(line).get("http", {}).get("hosts", [])


def stands_in(data, host):
    text = host.encode().lower()
    return any(start + text + end in data for start in (b"host: ", b"host:", b"connect ") for end in (b"\r\n", b"\n", b" "))


def main():
    sensor, corpus = sys.argv[1:3]
    truths = sorted(glob.glob(f"{corpus}/truth/*.json"))
    if not truths:
        print(f"SKIP: no captures at {corpus}")
        return 77
    extra, wrong = 0, []
    for path in truths:
        name = os.path.splitext(os.path.basename(path))[0]
        capture = next(iter(glob.glob(f"{glob.escape(os.path.join(corpus, name))}.pcap*")), None)
        with open(path, encoding="utf-8") as file:
            known = {host.lower() for host in json.load(file)["summary"]["http_hosts"]}
        if capture is None:
            continue
        with open(capture, "rb") as file:
            data = file.read().lower()
        for host in set(reported(sensor, capture)):
            if host.lower() not in known:
                extra += 1
                if not stands_in(data, host):
                    wrong.append(f"{name}: {host}")
    print(f"{len(truths)} captures: {extra} hosts beyond the truth, {len(wrong)} of them not in the capture")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
