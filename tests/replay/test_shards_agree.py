"""Real captures with tunnels, fragments and every protocol of IP: 2, 3, 8 and 16 shards give the records of one.

    test_shards_agree.py SENSOR ROOT

77 without the captures (NETSCOPE_CORPUS names another place than ROOT/../shared/corpus).
"""
import fnmatch
import json
import os
import subprocess
import sys

SENSOR, ROOT = sys.argv[1:3]
CORPUS = os.environ.get("NETSCOPE_CORPUS", os.path.join(ROOT, "..", "shared", "corpus"))
KINDS = ("ipfrag--*", "ipv6--*", "gre--*", "gtp--*", "vxlan--*", "geneve--*", "ipip--*", "mpls--*", "icmp--*", "sctp--*",
         "dhcp--*", "quic--frag*", "anomaly--defrag*", "app--mixed*", "tls--handshakes*")
OWN = ("record_seq", "boot_id", "sensor_id")  # of the run, not of the traffic


def records(path, shards):
    done = subprocess.run([SENSOR, "--read-pcap", path, "--quiet", "--no-anomalies", "--shards", str(shards), "--flows-jsonl",
                           "-", "--grpc-listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=120)
    if done.returncode < 0:
        return [f"ended by signal {-done.returncode}: {done.stderr[-500:]}"]
    found = []
    for line in done.stdout.splitlines():
        record = json.loads(line)
        for name in OWN:
            record.pop(name, None)
        found.append(json.dumps(record, sort_keys=True))
    return sorted(found)


def main():
    if not os.path.isdir(CORPUS):
        print(f"SKIP: no captures at {CORPUS}")
        return 77
    names = sorted(name for name in os.listdir(CORPUS) if name.endswith((".pcap", ".pcapng"))
                   and any(fnmatch.fnmatch(name, kind) for kind in KINDS))
    wrong = total = 0
    for name in names:
        path = os.path.join(CORPUS, name)
        alone = records(path, 1)
        total += len(alone)
        for shards in (2, 3, 8, 16):
            among = records(path, shards)
            if among != alone:
                wrong += 1
                different = [pair for pair in zip(alone, among) if pair[0] != pair[1]][:1]
                print(f"{name}: {len(among)} records with {shards} shards, {len(alone)} with one; {different}")
    print(f"{len(names)} captures, {total} records, {wrong} runs that differ")
    return 0 if names and total and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
