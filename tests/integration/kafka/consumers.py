"""The consumers that docs and deploy/ show, run as they are written: kcat and the Python example.

    consumers.py FOLDER_OF_TEST_PROGRAMS SENSOR TRAFFIC

77 where kcat, protoc or python3-confluent-kafka is missing.
"""
import collections
import glob
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

from kafka_tools import FLOWS, Cluster, has_kcat, run_cases, same

FOLDER, SENSOR, TRAFFIC = (os.path.abspath(path) for path in sys.argv[1:4])
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
CASES = []


def case(function):
    CASES.append(function)
    return function


def send(brokers, folder):
    """Sends a capture; the records as the sensor wrote them to a file."""
    capture, lines = os.path.join(folder, "mix.pcap"), os.path.join(folder, "flows.jsonl")
    subprocess.run([TRAFFIC, "mix", capture, "-f", "2000"], check=True, capture_output=True)
    subprocess.run([SENSOR, "--read-pcap", capture, "--quiet", "--lossless", "--kafka", brokers, "--flows-jsonl", lines],
                   check=True, capture_output=True)
    with open(lines, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def packets(record):
    return sum(int(record.get(way, {}).get("delta_packets", 0)) for way in ("forward", "reverse"))


@case
def the_python_example_sees_every_record_and_packet():
    with Cluster(FOLDER) as cluster, tempfile.TemporaryDirectory() as folder:
        records = send(cluster.brokers, folder)
        protos = [os.path.relpath(path, f"{ROOT}/proto") for path in glob.glob(f"{ROOT}/proto/netscope/v1/*.proto")]
        subprocess.run(["protoc", "-I", f"{ROOT}/proto", "-I", "/usr/include", f"--python_out={folder}",
                        *(path for path in protos if "service" not in path)], check=True)
        done = subprocess.run(["/usr/bin/python3", f"{ROOT}/deploy/kafka/consumer.py", cluster.brokers],
                              env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, timeout=120)
        same("exit", (done.returncode, done.stderr), (0, ""))
        lines = [line.split() for line in done.stdout.splitlines()]
        same("records", len(lines), len(records))
        same("packets", sum(int(line[5]) for line in lines), sum(map(packets, records)))
        same("keys", collections.Counter(line[0] for line in lines),
             collections.Counter(record["community_id"] for record in records))


@case
def kcat_shows_key_and_value():
    with Cluster(FOLDER) as cluster, tempfile.TemporaryDirectory() as folder:
        records = send(cluster.brokers, folder)
        done = subprocess.run(["kcat", "-b", cluster.brokers, "-t", FLOWS, "-C", "-e", "-q", "-o", "beginning", "-f", "%k %S\n"],
                              capture_output=True, text=True, timeout=120)
        lines = [line.split() for line in done.stdout.splitlines()]
        same("records", len(lines), len(records))
        same("keys", sorted(line[0] for line in lines), sorted(record["community_id"] for record in records))


if __name__ == "__main__":
    if not has_kcat() or shutil.which("protoc") is None or importlib.util.find_spec("confluent_kafka") is None:
        print("SKIP: kcat, protoc or python3-confluent-kafka is not installed")
        sys.exit(77)
    sys.exit(run_cases(CASES, sys.argv[4:]))
