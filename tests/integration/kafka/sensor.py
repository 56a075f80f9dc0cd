"""The sensor with --kafka, end to end: a capture file in, mock brokers and a consumer in processes of their own.

    sensor.py FOLDER_OF_PROGRAMS NETSCOPE_SENSOR NETSCOPE_TRAFFIC [CASE...]

77 without kcat. Exit 1 names the cases that failed.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

from kafka_tools import ALERTS, FLOWS, PARTITIONS, PATIENCE, Cluster, has_kcat, partition_of, run_cases, same

FOLDER, SENSOR, TRAFFIC = (os.path.abspath(path) for path in sys.argv[1:4])
CASES = []


def case(function):
    CASES.append(function)
    return function


def make_capture(folder, workload, packets):
    path = os.path.join(folder, f"{workload}.pcap")
    subprocess.run([TRAFFIC, workload, path, "-n", str(packets)], check=True, capture_output=True, timeout=60)
    return path


def sense(*arguments, status=0, seconds=90):
    done = subprocess.run([SENSOR, "--quiet", *arguments], capture_output=True, text=True, timeout=seconds * PATIENCE,
                          check=False)
    if done.returncode != status:
        raise AssertionError(f"exit {done.returncode}, not {status}: {done.stderr[-500:]}")
    return done


def records_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def packets_of(record):
    return sum(int(record[side]["delta_packets"]) for side in ("forward", "reverse") if side in record)


@case
def one_capture_gives_the_same_flows_to_kafka_and_to_a_file():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        capture = make_capture(folder, "mix", 20000)
        lines = os.path.join(folder, "flows.jsonl")
        drain = cluster.drain()
        kcat = cluster.kcat(FLOWS, "%p %k\n")
        sense("--read-pcap", capture, "--flows-jsonl", lines, "--kafka", cluster.brokers, "--lossless",
              "--sensor-id", "sensor-1")
        wanted = records_of(lines)
        arrived = [r for r in drain.records(len(wanted)) if r["topic"] == FLOWS]
        same("records", len(arrived), len(wanted))
        same("identities", sorted((r["sensor_id"], r["boot_id"], r["seq"]) for r in arrived),
             sorted((r["sensor_id"], r["boot_id"], int(r["record_seq"])) for r in wanted))
        same("packets", sum(r["packets"] for r in arrived), sum(packets_of(r) for r in wanted))
        same("packets are there", sum(r["packets"] for r in arrived) > 10000, True)
        for record in arrived:
            same("key", record["key"], record["community_id"])
            same("partition", record["partition"], partition_of(record["key"], PARTITIONS[FLOWS]))
        same("kcat", len(kcat.wait_for(len(wanted))), len(wanted))


@case
def alerts_reach_their_topic():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        capture = make_capture(folder, "flood", 100000)
        lines = os.path.join(folder, "alerts.jsonl")
        drain = cluster.drain()
        sense("--read-pcap", capture, "--alerts-jsonl", lines, "--kafka", cluster.brokers, "--lossless")
        wanted = records_of(lines)
        end = time.monotonic() + 30
        arrived = []
        while time.monotonic() < end and len(arrived) < len(wanted):
            arrived = [r for r in drain.records(0) if r["topic"] == ALERTS]
        same("alerts", sorted(r["alert_key"] for r in arrived), sorted(r["alert_key"] for r in wanted))
        same("alerts are there", len(wanted) > 0, True)


@case
def dns_records_reach_their_topic_with_the_key_of_their_flow():
    topic = "netscope.dns.v1"
    for value in ("json", "protobuf"):
        with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
            cluster.say(f"topic {topic} 4")
            capture = make_capture(folder, "mix", 20000)
            lines = os.path.join(folder, "dns.jsonl")
            kcat = cluster.kcat(topic, "%k %S %s\n" if value == "json" else "%k %S\n")
            os.environ.update({"NETSCOPE_KAFKA__VALUE": value, "NETSCOPE_KAFKA__DNS": "true"})
            try:
                sense("--read-pcap", capture, "--dns-records", "--dns-jsonl", lines, "--kafka", cluster.brokers, "--lossless")
            finally:
                del os.environ["NETSCOPE_KAFKA__VALUE"], os.environ["NETSCOPE_KAFKA__DNS"]
            wanted = records_of(lines)
            arrived = kcat.wait_for(len(wanted))
            same("records are there", len(wanted) > 100, True)
            same("records", len(arrived), len(wanted))
            same("keys", sorted(line.split(" ")[0] for line in arrived), sorted(r["community_id"] for r in wanted))
            if value == "json":
                read = [json.loads(line.split(" ", 2)[2]) for line in arrived]
                same("identities", sorted((r["boot_id"], int(r["record_seq"])) for r in read),
                     sorted((r["boot_id"], int(r["record_seq"])) for r in wanted))


@case
def without_a_broker_the_sensor_goes_on_and_says_what_is_lost():
    with tempfile.TemporaryDirectory() as folder:
        capture = make_capture(folder, "mix", 20000)
        with_kafka, without = (os.path.join(folder, name) for name in ("a.jsonl", "b.jsonl"))
        begin = time.monotonic()
        done = sense("--read-pcap", capture, "--flows-jsonl", with_kafka, "--kafka", "127.0.0.1:1", status=1)
        same("ends in time", time.monotonic() - begin < 60, True)
        same("says it", "kafka" in done.stderr and "were not delivered" in done.stderr, True)
        sense("--read-pcap", capture, "--flows-jsonl", without)
        same("the file is whole", sum(packets_of(r) for r in records_of(with_kafka)),
             sum(packets_of(r) for r in records_of(without)))


@case
def a_spool_carries_records_over_a_restart():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        capture = make_capture(folder, "mix", 20000)
        files = [os.path.join(folder, name) for name in ("a.jsonl", "b.jsonl")]
        drain = cluster.drain()
        os.environ["NETSCOPE_SPOOL__DIRECTORY"] = os.path.join(folder, "spool")
        try:
            cluster.say("down 0")
            done = sense("--read-pcap", capture, "--flows-jsonl", files[0], "--kafka", cluster.brokers, "--lossless")
            same("says it", "records wait in the spool for the next start" in done.stderr, True)
            cluster.say("up 0")
            sense("--read-pcap", capture, "--flows-jsonl", files[1], "--kafka", cluster.brokers, "--lossless")
        finally:
            del os.environ["NETSCOPE_SPOOL__DIRECTORY"]
        wanted = records_of(files[0]) + records_of(files[1])
        arrived = [r for r in drain.records(len(wanted)) if r["topic"] == FLOWS]
        same("identities", sorted({(r["sensor_id"], r["boot_id"], r["seq"]) for r in arrived}),
             sorted((r["sensor_id"], r["boot_id"], int(r["record_seq"])) for r in wanted))
        same("boots", len({r["boot_id"] for r in arrived}), 2)


@case
def each_cluster_gets_what_its_settings_say():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as first, Cluster(FOLDER) as second:
        capture = make_capture(folder, "mix", 20000)
        lines, config = (os.path.join(folder, name) for name in ("a.jsonl", "sensor.yaml"))
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"kafka:\n  brokers: {first.brokers}\nkafka_clusters:\n  soc:\n    brokers: {second.brokers}\n"
                       "    flow_events: end\n    stats: false\n    flows_filter: server.port = 443\n"
                       f"  gone:\n    brokers: 127.0.0.1:1\nspool:\n  directory: {folder}/spool\n")
        drains = first.drain(), second.drain()
        sense("--config", config, "--read-pcap", capture, "--flows-jsonl", lines, "--lossless")
        wanted = records_of(lines)
        arrived = [[r for r in drain.records(1) if r["topic"] == FLOWS] for drain in drains]
        same("all", len(arrived[0]), len(wanted))
        chosen = [r for r in wanted if r["event"] == "FLOW_EVENT_END" and r["server"]["port"] == 443]
        same("some", 0 < len(chosen) < len(wanted), True)
        same("chosen", sorted(r["seq"] for r in arrived[1]), sorted(int(r["record_seq"]) for r in chosen))


@case
def a_wrong_property_stops_the_start_by_its_name():
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "sensor.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("kafka:\n  brokers: 127.0.0.1:1\n  properties:\n    linger.mss: 5\n")
        capture = make_capture(folder, "mix", 10)
        done = subprocess.run([SENSOR, "--quiet", "--config", config, "--read-pcap", capture],
                              capture_output=True, text=True, timeout=30, check=False)
        same("exit status", done.returncode != 0, True)
        same("name", "property linger.mss" in done.stderr, True)


@case
def kafka_topics_prints_the_commands():
    done = subprocess.run([SENSOR, "kafka-topics"], capture_output=True, text=True, timeout=30, check=True)
    for name in PARTITIONS:
        same(name, f"--topic '{name}'" in done.stdout, True)


if __name__ == "__main__":
    if not has_kcat():
        print("SKIP: kcat is not installed (apt-get install kcat)")
        sys.exit(77)
    sys.exit(run_cases(CASES, sys.argv[4:]))
