"""The Kafka sink against a cluster and consumers in processes of their own: what arrives, what is counted.

    run.py FOLDER_OF_PROGRAMS [CASE...]

77 without kcat. Exit 1 names the cases that failed.
"""
import datetime
import os
import subprocess
import sys
import tempfile
import time

from kafka_tools import (ALERTS, FLOWS, PARTITIONS, STATS, Cluster, has_kcat, murmur2, partition_of, run_cases,
                         same)
import probe_tools
from probe_tools import ONE_IN_FLIGHT, finish, probe, start, total

FOLDER = os.path.abspath(sys.argv[1])
probe_tools.FOLDER = FOLDER
CASES = []


def case(function):
    CASES.append(function)
    return function


def identities(records):
    return [(r["topic"], r["sensor_id"], r["boot_id"], r["seq"]) for r in records]


def no_duplicates(records):
    same("records that came twice", len(records) - len(set(identities(records))), 0)


@case
def murmur2_agrees_with_kafka():
    # Vectors of Kafka's own UtilsTest.testMurmur2.
    for key, wanted in ((b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536),
                        (b"a-little-bit-longer-string", -1486304829),
                        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
                        (b"abc", 479470107)):
        same(key, murmur2(key), wanted & 0xFFFFFFFF)


@case
def every_record_arrives_once_with_its_key():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        kcat = cluster.kcat(FLOWS, "%p %k %S %h\n")
        result = probe(cluster.brokers, "--records", "10000")
        same("acked", result["acked"], total(result))
        records = drain.records(total(result))
        same("records", len(records), total(result))
        no_duplicates(records)
        for record in records:
            same("damaged", record.get("damaged"), None)
            same("headers", record["headers"], 0)
            key = {FLOWS: "community_id", ALERTS: "alert_key", STATS: "sensor_id"}[record["topic"]]
            same("key", record["key"], record[key])
            same("partition", record["partition"],
                 partition_of(record["key"], PARTITIONS[record["topic"]]))
        flows = [r for r in records if r["topic"] == FLOWS]
        same("sequence", sorted(r["seq"] for r in flows), list(range(1, 10001)))
        same("packets", sum(r["packets"] for r in flows), 70000)
        for partition in range(PARTITIONS[FLOWS]):  # order within a partition
            seqs = [r["seq"] for r in flows if r["partition"] == partition]
            same("order", seqs, sorted(seqs))
        same("kcat", sorted(tuple(line.split(" ")[:3]) for line in kcat.wait_for(10000)),
             sorted((str(r["partition"]), r["key"], str(r["bytes"])) for r in flows))


@case
def both_directions_and_all_sensors_share_a_partition():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        first = start(cluster.brokers, "--records", "3000")
        second = start(cluster.brokers, "--records", "3000", "--sensor", "sensor-b", "--reverse")
        count = total(finish(first)) + total(finish(second))
        records = [r for r in drain.records(count) if r["topic"] == FLOWS]
        same("flows", len(records), 6000)
        places, sensors = {}, {}
        for record in records:
            places.setdefault(record["key"], set()).add(record["partition"])
            sensors.setdefault(record["key"], set()).add(record["sensor_id"])
        same("keys", len(places), 500)
        same("partitions of a key", {len(p) for p in places.values()}, {1})
        same("sensors of a key", {len(s) for s in sensors.values()}, {2})
        same("partitions used", {r["partition"] for r in records}, set(range(PARTITIONS[FLOWS])))


@case
def json_values_are_proto3_json():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain("json")
        result = probe(cluster.brokers, "--set", "value=json", "--records", "2000")
        records = drain.records(total(result))
        same("records", len(records), total(result))
        for record in records:
            value = record["value"]
            same("sensor", value["sensor_id"], "sensor-a")
            if record["topic"] == FLOWS:
                same("key", record["key"], value["community_id"])
                same("event", value["event"].startswith("FLOW_EVENT_"), True)
        same("sequence", sorted(int(r["value"]["record_seq"]) for r in records if r["topic"] == FLOWS),
             list(range(1, 2001)))


def headers_of(line):
    """Of kcat's %h; ns-seq (eight bytes, which may hold anything) is left out."""
    return dict(part.split("=", 1) for part in line.rstrip("\n").split(",") if "=" in part and not part.startswith("ns-seq"))


@case
def headers_say_by_cloudevents_who_made_each_record():
    """Also those that an earlier run left in the spool: they keep their boot."""
    with Cluster(FOLDER) as cluster, tempfile.TemporaryDirectory() as folder:
        settings = ("--set", "headers=cloudevents", "--set", f"spool.directory={folder}", "--sensor", "edge/1 a", "--records", "1000")
        cluster.say("down 0")
        first = probe(cluster.brokers, *settings, "--boot", "a" * 32, "--flush-ms", "500")
        same("all wait", (first["acked"], first["failed"]), (0, 0))
        cluster.say("up 0")
        lines = {topic: cluster.kcat(topic, "%h\n") for topic in (FLOWS, ALERTS, STATS)}
        drain = cluster.drain()
        second = probe(cluster.brokers, *settings, "--boot", "b" * 32)
        same("acked", second["acked"], total(first) + total(second))
        records = drain.records(second["acked"])
        same("headers of each", {r["headers"] for r in records}, {7})
        for topic, name, kind in ((FLOWS, "flows", "FlowRecord"), (ALERTS, "alerts", "AlertRecord"), (STATS, "stats", "StatsRecord")):
            wanted = sorted(f"{r['boot_id']}:{name}:{r['seq']}" for r in records if r["topic"] == topic)
            found = [headers_of(line) for line in lines[topic].wait_for(len(wanted))]
            same("ids", sorted(h["ce_id"] for h in found), wanted)
            same("words", {(h["ce_specversion"], h["ce_type"], h["ce_source"], h["content-type"]) for h in found},
                 {("1.0", f"netscope.v1.{kind}", "/sensors/edge%2F1%20a", "application/x-protobuf")})
            for one in found:
                datetime.datetime.fromisoformat(one["ce_time"][:19])
                same("UTC", one["ce_time"][19] == "." and one["ce_time"].endswith("Z"), True)


@case
def values_behind_their_length_are_the_same_values():
    with Cluster(FOLDER) as cluster:
        for packed in ("false", "true"):
            name = "netscope.flows-packed.v1" if packed == "true" else FLOWS
            if packed == "true":
                cluster.say(f"topic {name} 2")
            with tempfile.TemporaryDirectory() as folder:
                reader = subprocess.Popen(["kcat", "-C", "-q", "-u", "-b", cluster.brokers, "-t", name, "-o", "beginning",
                                           "-D", "", "-f", "%R%s"], stdout=open(os.path.join(folder, "out"), "wb"),
                                          stderr=subprocess.DEVNULL)
                try:
                    result = probe(cluster.brokers, "--set", "protobuf_framing=varint", "--set", f"packed={packed}", "--set",
                                   "alerts=false", "--set", "stats=false", "--records", "1000")
                    same("acked", result["acked"], 1000)
                    count, end = 0, time.monotonic() + 30
                    while count < 1000 and time.monotonic() < end:
                        time.sleep(0.2)
                        with open(os.path.join(folder, "out"), "rb") as out:
                            count = records_in(out.read(), packed == "true")
                    same("records", count, 1000)
                finally:
                    reader.terminate()
                    reader.wait()


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def records_in(data, is_packed):
    """Messages of a file of kcat's %R%s: the size in four bytes, then the value, which has to be as long as it says."""
    at = count = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        value = data[at + 4:at + 4 + size]
        if len(value) < size:
            break
        at += 4 + size
        length, begin = varint(value, 0)
        same("length", length, size - begin)
        while is_packed and begin < size:  # FlowBatch: field 1 each
            same("tag", value[begin], 10)
            length, begin = varint(value, begin + 1)
            begin += length
            count += 1
        count += not is_packed
    return count


@case
def settings_choose_key_events_and_topics():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        by_sensor = probe(cluster.brokers, "--records", "1000", "--set", "key=sensor", "--set", "flow_events=end",
                          "--set", "alerts=false", "--set", "stats=no")
        same("only ended flows", by_sensor["acked"], 500)
        no_key = probe(cluster.brokers, "--records", "1000", "--set", "key=none", "--set", "flows=false",
                       "--set", "compression=zstd")
        same("no flows", no_key["acked"], no_key["alerts"] + no_key["stats"])
        random = probe(cluster.brokers, "--records", "1000", "--set", "key=none", "--sensor", "b",
                       "--set", "linger=0ms", "--set", "compression=none")
        records = drain.records(by_sensor["acked"] + no_key["acked"] + random["acked"])
        flows = [r for r in records if r["topic"] == FLOWS and r["sensor_id"] == "sensor-a"]
        same("ended flows", {r["event"] for r in flows}, {3})
        same("key", {r["key"] for r in flows}, {"sensor-a"})
        same("partition", {r["partition"] for r in flows}, {partition_of("sensor-a", PARTITIONS[FLOWS])})
        same("no key", {r["key"] for r in records if r["topic"] == FLOWS and r["sensor_id"] == "b"}, {None})


@case
def ten_seconds_without_brokers_lose_nothing():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        kcat = cluster.kcat(FLOWS, "%p %k\n")
        running = start(cluster.brokers, "--records", "12000", "--rate", "1000")
        time.sleep(1)
        cluster.say("down 0")
        time.sleep(10)
        cluster.say("up 0")
        result = finish(running)
        same("dropped", result["dropped"], 0)
        same("failed", result["failed"], 0)
        same("acked", result["acked"], total(result))
        records = drain.records(total(result))
        same("identities", len(set(identities(records))), total(result))
        same("kcat", len(kcat.wait_for(12000)) >= 12000, True)


@case
def a_full_queue_is_counted_and_holds_nobody_up():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        probe(cluster.brokers, "--records", "1", "--sensor", "first")  # the topics are known
        cluster.say("down 0")
        running = start(cluster.brokers, "--records", "20000", "--rate", "10000", "--set", "queue_messages=1000",
                        "--offer-ms", "0", "--flush-ms", "20000")
        time.sleep(4)
        cluster.say("up 0")
        result = finish(running)
        same("nothing is uncounted", result["offered"] + result["dropped"], total(result))
        same("dropped", result["dropped"] > 10000, True)
        same("queue_full", result["queue_full"] > 0, True)
        same("acked", result["acked"], result["offered"])
        same("arrived", len(drain.records(result["acked"] + 1)), result["acked"] + 1)


@case
def records_too_old_are_counted_by_reason():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        cluster.say("down 0")
        running = start(cluster.brokers, "--records", "2000", "--rate", "2000", "--set", "message_timeout=1s",
                        "--flush-ms", "20000")
        time.sleep(3)
        result = finish(running)
        same("owed", result["owed"], 0)
        same("connected", result["connected"], False)
        same("reasons", result["errors"], {"_MSG_TIMED_OUT": total(result)})
        cluster.say("up 0")
        same("arrived", len(drain.records(1, seconds=3)), 0)


@case
def a_permanent_error_is_counted_by_reason():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        cluster.say("err 0 10 2")  # MSG_SIZE_TOO_LARGE: such a request is not sent again
        result = probe(cluster.brokers, "--records", "5000")
        same("reasons", list(result["errors"]), ["MSG_SIZE_TOO_LARGE"])
        same("some arrive", result["acked"] > 0, True)
        same("counted", result["acked"] + result["failed"], total(result))
        records = drain.records(result["acked"])
        same("arrived", len(records), result["acked"])


@case
def errors_that_pass_lose_nothing():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        for code in (6, 7, 19, 20):  # NOT_LEADER, TIMED_OUT, NOT_ENOUGH_REPLICAS, .._AFTER_APPEND
            cluster.say(f"err 0 {code} 3")
        result = probe(cluster.brokers, "--records", "5000", "--flush-ms", "30000", *ONE_IN_FLIGHT)
        same("failed", result["failed"], 0)
        records = drain.records(total(result))
        same("identities", len(set(identities(records))), total(result))


@case
def a_fatal_error_makes_a_new_producer():
    with Cluster(FOLDER) as cluster:
        drain = cluster.drain()
        running = start(cluster.brokers, "--records", "9000", "--rate", "3000")
        time.sleep(1)
        cluster.say("err 0 45 1")  # OUT_OF_ORDER_SEQUENCE_NUMBER: fatal to an idempotent producer
        result = finish(running)
        same("restarts", result["restarts"], 1)
        same("counted", result["acked"] + result["failed"], total(result))
        same("most arrive", result["acked"] > total(result) // 2, True)
        records = drain.records(result["acked"])
        same("arrived", len(set(identities(records))) >= result["acked"], True)
        same("the last one", max(r["seq"] for r in records if r["topic"] == FLOWS), 9000)


def refused(*arguments):
    done = subprocess.run([os.path.join(FOLDER, "kafka-probe"), "--set", "brokers=127.0.0.1:1", *arguments],
                          capture_output=True, text=True, timeout=20, check=False)
    same("exit status", done.returncode in (1, 2), True)
    return done.stderr


@case
def a_wrong_setting_is_refused_by_name():
    for properties, wanted in (("linger.mss=5", 'property linger.mss: No such configuration property'),
                               ("acks=many", "property acks"),
                               ("socket.timeout.ms=99999999999", "property socket.timeout.ms"),
                               ("max.in.flight=50", "max.in.flight"),
                               ("sasl.password=x", "kafka.sasl_password_file"),
                               ("transactional.id=x", "property transactional.id is not allowed here"),
                               ("plugin.library.paths=x.so", "property plugin.library.paths")):
        message = refused("--set", f"properties={properties}")
        same(f"{properties}: {message!r}", wanted in message, True)
    for setting, wanted in (("topic_prefix=a/b", "kafka.topic_prefix"), ("value=xml", "kafka.value"),
                            ("sasl_password_file=/nowhere/password", "open /nowhere/password"),
                            ("tls_ca=/nowhere/ca.pem", "/nowhere/ca.pem")):
        login = setting.startswith("sasl")
        message = refused("--set", setting, "--set", f"security_protocol={'sasl_ssl' if login else 'ssl'}",
                          *(("--set", "sasl_mechanism=PLAIN") if login else ()))
        same(f"{setting}: {message!r}", wanted in message, True)


@case
def a_password_that_others_can_read_is_refused():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("secret word\n")
        file.flush()
        login = ("--set", "security_protocol=sasl_plaintext", "--set", "sasl_mechanism=PLAIN", "--set",
                 "sasl_username=sensor", "--set", f"sasl_password_file={file.name}")
        for mode in (0o644, 0o604, 0o620):
            os.chmod(file.name, mode)
            same(f"others can touch it: {mode:o}", f"chmod 600 {file.name}" in refused(*login), True)
        os.chmod(file.name, 0o600)
        result = probe("127.0.0.1:1", "--records", "10", "--flush-ms", "10", *login)
        same("owed", result["owed"], result["offered"])


@case
def a_broker_that_never_comes_holds_nobody_up():
    begin = time.monotonic()
    result = probe("127.0.0.1:1,no-such-host.invalid:9092", "--records", "5000", "--rate", "5000",
                   "--flush-ms", "200")
    same("owed", result["owed"], total(result))
    same("connected", result["connected"], False)
    same("quick", time.monotonic() - begin < 10, True)


if __name__ == "__main__":
    if not has_kcat():
        print("SKIP: kcat is not installed (apt-get install kcat)")
        sys.exit(77)
    sys.exit(run_cases(CASES, sys.argv[2:]))
