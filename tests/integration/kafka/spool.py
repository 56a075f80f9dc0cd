"""The Kafka sink with its spool, packed values, rows and sums, against a mock cluster and a consumer of their own.

    spool.py FOLDER_OF_PROGRAMS DESCRIPTORS [CASE...]

77 without python3-protobuf. Exit 1 names the cases that failed.
"""
import glob
import os
import signal
import subprocess
import sys
import tempfile
import time

from kafka_tools import ALERTS, FLOWS, PARTITIONS, PATIENCE, STATS, Cluster, kept_contract, result_of, run_cases, same
import probe_tools
from probe_tools import ONE_IN_FLIGHT, finish, lines_with, probe, start, total

FOLDER, DESCRIPTORS = (os.path.abspath(path) for path in sys.argv[1:3])
probe_tools.FOLDER = FOLDER
ROWS = {"netscope.flowrows.v1": 4}
PACKED = {"netscope.flows-packed.v1": 4}
PACKED_ROWS = {"netscope.flowrows-packed.v1": 4}
SMALL_MEMORY = ("--set", "spool.memory=64KiB")
CASES = []


def case(function):
    CASES.append(function)
    return function


def spool(folder):
    return ("--set", f"spool.directory={folder}")


def segments(folder):
    return sum(os.path.getsize(path) for path in glob.glob(f"{folder}/*/*/*.log"))


@case
def an_outage_longer_than_all_queues_loses_nothing():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(40440, 90, PARTITIONS)
        # A queue of half a second is offered a batch for one more: the machine may be busy, the outage is five.
        running = start(cluster.brokers, "--records", "40000", "--rate", "8000", *spool(folder), *SMALL_MEMORY,
                        "--set", "queue_messages=4000", "--offer-ms", "1000", "--flush-ms", "40000")
        time.sleep(0.5)
        cluster.say("down 0")
        time.sleep(5)
        same("written to disk", segments(folder) > 1000000, True)
        cluster.say("up 0")
        result = finish(running)
        same("dropped", result["dropped"], 0)
        # One line in so many seconds: of a refused connection, or that no broker is left, whichever comes first.
        lines_with(result["log"], "level=warn", "msg=brokers", "error=_")
        same("failed", result["failed"] + result["spool_lost"], 0)
        same("owed", result["owed"], 0)
        found = result_of(check)
        kept_contract(found, total(result))
        same("packets", found["packets"], 280000)


@case
def after_a_restart_the_rest_is_sent_under_its_old_identity():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(40440, 90, PARTITIONS)
        cluster.say("down 0")
        first = probe(cluster.brokers, "--records", "20000", *spool(folder), "--flush-ms", "100", "--boot", "a" * 32)
        same("all is owed", first["owed"], total(first))
        lines_with(first["log"], "wait in the spool for the next start")
        cluster.say("up 0")
        second = probe(cluster.brokers, "--records", "20000", *spool(folder), "--boot", "b" * 32, "--flush-ms", "40000")
        same("recovered", second["recovered"], total(first))
        lines_with(second["log"], "records of an earlier run")
        same("acked", second["acked"], total(first) + total(second))
        kept_contract(result_of(check), 40440)
        third = probe(cluster.brokers, "--records", "1", *spool(folder), "--boot", "c" * 32)
        same("nothing twice", third["recovered"], 0)


@case
def a_killed_process_loses_only_what_was_in_memory():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        cluster.say("down 0")
        running = start(cluster.brokers, "--records", "100000", "--rate", "10000", *spool(folder), *SMALL_MEMORY,
                        "--boot", "a" * 32)
        time.sleep(3)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        cluster.say("up 0")
        second = probe(cluster.brokers, "--records", "1000", *spool(folder), "--boot", "b" * 32, "--flush-ms", "40000")
        same("most were on disk", second["recovered"] > 15000, True)
        same("acked", second["acked"], second["recovered"] + total(second))
        check = cluster.check(second["acked"], 30, PARTITIONS)
        kept_contract(result_of(check), second["acked"])


@case
def over_its_size_the_oldest_go_and_are_counted():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(100000, 15, PARTITIONS)
        cluster.say("down 0")
        running = start(cluster.brokers, "--records", "60000", "--rate", "30000", *spool(folder), *SMALL_MEMORY,
                        "--set", "spool.bytes=8MiB", "--set", "queue_messages=1000", "--flush-ms", "40000")
        time.sleep(4)
        cluster.say("up 0")
        result = finish(running)
        same("lost", result["spool_lost"] > 10000, True)
        lines_with(result["log"], "level=warn", "the spool dropped its oldest records")
        same("dropped before", result["dropped"], 0)
        same("the rest arrives", result["acked"], total(result) - result["spool_lost"])
        found = result_of(check)
        same("arrived", found["unique"], result["acked"])
        same("in order", found["disordered"], 0)


@case
def errors_of_the_topic_keep_records_in_the_spool():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(20220, 90, PARTITIONS)
        for code in (29, 72, 56):  # not authorised, listener not found, disk full
            cluster.say(f"err 0 {code} 2")
        result = probe(cluster.brokers, "--records", "20000", *spool(folder), *ONE_IN_FLIGHT, "--flush-ms", "60000")
        same("sent again", result["resent"] > 0, True)
        lines_with(result["log"], "level=warn", "records wait in the spool")
        same("failed", result["failed"], 0)
        same("acked", result["acked"], total(result))
        kept = result_of(check)
        same("records", kept["unique"], total(result))
        same("differing", kept["differing"], 0)


@case
def leaders_that_move_cost_nothing():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(30330, 60, PARTITIONS)
        running = start(cluster.brokers, "--records", "30000", "--rate", "6000", *spool(folder), *ONE_IN_FLIGHT,
                        "--flush-ms", "40000")
        for n in range(12):
            time.sleep(0.4)
            for partition in range(PARTITIONS[FLOWS]):
                cluster.say(f"leader {FLOWS} {partition} {(n + partition) % 3 + 1}")
        result = finish(running)
        same("acked", (result["acked"], result["failed"]), (total(result), 0))
        kept_contract(result_of(check), total(result))


@case
def a_slow_broker_is_told_and_costs_nothing():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(20220, 90, PARTITIONS)
        running = start(cluster.brokers, "--records", "20000", "--rate", "4000", *spool(folder), "--flush-ms", "60000",
                        "--set", "properties=socket.timeout.ms=1000")
        time.sleep(1)
        cluster.say("rtt 0 3000")
        time.sleep(4)
        cluster.say("rtt 0 0")
        result = finish(running)
        lines_with(result["log"], "level=warn", "timed out")
        same("acked", (result["acked"], result["failed"]), (total(result), 0))
        found = result_of(check)
        same("unique", (found["unique"], found["differing"]), (total(result), 0))


@case
def a_brokers_full_disk_is_waited_out():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(5055, 60, PARTITIONS)
        cluster.say("err 0 56 20")  # KAFKA_STORAGE_ERROR
        result = probe(cluster.brokers, "--records", "5000", *spool(folder), *ONE_IN_FLIGHT, "--flush-ms", "60000")
        same("acked", (result["acked"], result["failed"]), (total(result), 0))
        same("unique", result_of(check)["unique"], total(result))


@case
def a_spool_on_a_full_disk_drops_its_oldest_and_says_so():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        cluster.say("down 0")
        limit = ["bash", "-c", 'trap "" XFSZ; ulimit -f 3000; exec "$@"', "bash"]  # files of 3 MB at most
        running = start(cluster.brokers, "--records", "30000", "--rate", "30000", *spool(folder), *SMALL_MEMORY, "--set",
                        "queue_messages=1000", "--flush-ms", "100", before=limit)
        result = finish(running)
        lines_with(result["log"], "level=error", "the spool cannot be written")
        same("lost", result["spool_lost"] > 1000, True)


@case
def a_record_that_is_refused_for_good_holds_nothing_up():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        cluster.say("err 0 10 2")  # MSG_SIZE_TOO_LARGE
        result = probe(cluster.brokers, "--records", "5000", *spool(folder), "--flush-ms", "20000")
        same("reasons", list(result["errors"]), ["MSG_SIZE_TOO_LARGE"])
        same("owed", result["owed"], 0)
        same("acked", result["acked"], total(result) - result["failed"])


@case
def a_fatal_error_loses_nothing_with_a_spool():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(9099, 60, PARTITIONS)
        running = start(cluster.brokers, "--records", "9000", "--rate", "3000", *spool(folder))
        time.sleep(1)
        cluster.say("err 0 45 1")  # OUT_OF_ORDER_SEQUENCE_NUMBER
        result = finish(running)
        same("restarts", result["restarts"], 1)
        lines_with(result["log"], "level=error", "made anew")
        same("failed", result["failed"], 0)
        same("acked", result["acked"], total(result))
        found = result_of(check)
        same("unique", found["unique"], total(result))


@case
def packed_messages_hold_records_of_one_partition():
    for value, topics in (("protobuf", PACKED), ("flow_row", PACKED_ROWS)):
        with Cluster(FOLDER, topics=False) as cluster:
            for name, count in {**topics, ALERTS: 3, STATS: 2}.items():
                cluster.say(f"topic {name} {count}")
            check = cluster.check(50000, 60, topics)
            result = probe(cluster.brokers, "--records", "50000", "--rate", "50000", "--set", "packed=true",
                           "--set", f"value={value}")
            same("acked", result["acked"], total(result))
            found = result_of(check)
            kept_contract(found, 50000)
            same("fewer messages", found["messages"] * 4 < 50000, True)
            same("packets", found["packets"], 350000)


@case
def packed_waits_for_a_topic_that_is_made_later():
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER, topics=False) as cluster:
        cluster.say("err 3 3 6")  # Metadata: unknown topic
        cluster.say("topic netscope.flows-packed.v1 4")
        check = cluster.check(5000, 60, PACKED)
        result = probe(cluster.brokers, "--records", "5000", "--set", "packed=true", "--set", "alerts=false", "--set",
                       "stats=false", *spool(folder), "--flush-ms", "40000")
        same("acked", result["acked"], 5000)
        kept_contract(result_of(check), 5000)


def rows_of(cluster, topic, count, message, prefix=0):
    """The values of a topic as messages of python3-protobuf, without `prefix` bytes."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    files = descriptor_pb2.FileDescriptorSet()
    with open(DESCRIPTORS, "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    kind = message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(message))
    done = subprocess.run(["kcat", "-C", "-q", "-e", "-b", cluster.brokers, "-t", topic, "-o", "beginning", "-D", "",
                           "-f", "%S\n%s"], capture_output=True, timeout=60, check=True).stdout
    values = []
    while done:
        length, _, done = done.partition(b"\n")
        values.append((done[:int(length)], kind.FromString(done[prefix:int(length)])))
        done = done[int(length):]
    same("values", len(values), count)
    return values


@case
def a_row_says_what_its_record_says():
    with Cluster(FOLDER) as cluster:
        cluster.say("topic netscope.flowrows.v1 1")
        probe(cluster.brokers, "--records", "500", "--set", "alerts=false", "--set", "stats=false")
        probe(cluster.brokers, "--records", "500", "--set", "alerts=false", "--set", "stats=false", "--set",
              "value=flow_row")
        records = {m.record_seq: m for _, m in rows_of(cluster, FLOWS, 500, "netscope.v1.FlowRecord")}
        rows = {m.record_seq: m for _, m in rows_of(cluster, "netscope.flowrows.v1", 500, "netscope.v1.FlowRow")}
        for seq, record in records.items():
            row = rows[seq]
            same("port", row.server_port, record.server.port)
            same("address", row.client_ip[12:], bytes(int(part) for part in record.client.ip.split(".")))
            same("mapped", row.client_ip[:12], bytes(10) + b"\xff\xff")
            same("packets", row.forward_delta_packets, record.forward.delta_packets)
            same("start", row.start_time_unix_nanos, record.start_time.ToNanoseconds())
            same("rtt", row.tcp_client_rtt_mean_nanos, record.tcp.client_rtt.mean.ToNanoseconds())
            same("flags", row.tcp_forward_flags, record.tcp.forward.flags)


@case
def confluent_framing_names_schema_and_message():
    with Cluster(FOLDER) as cluster:
        cluster.say("topic netscope.flowrows.v1 1")
        probe(cluster.brokers, "--records", "100", "--set", "alerts=false", "--set", "stats=false", "--set",
              "value=flow_row", "--set", "schema_ids=flows=258")
        for raw, row in rows_of(cluster, "netscope.flowrows.v1", 100, "netscope.v1.FlowRow", prefix=6):
            same("prefix: 0, id, first message", raw[:6], bytes([0, 0, 0, 1, 2, 0]))
            same("sensor", row.sensor_id, "sensor-a")


@case
def sums_are_those_of_the_records():
    with Cluster(FOLDER) as cluster:
        cluster.say("topic netscope.aggregates.v1 2")
        result = probe(cluster.brokers, "--records", "20000", "--set", "alerts=false", "--set", "stats=false", "--set",
                       "flows=false", "--set", "aggregates=true", "--set", "aggregate_by=client_ip,server_port")
        same("groups", result["made"], 500)
        same("acked", result["acked"], 500)
        sums = rows_of(cluster, "netscope.aggregates.v1", 500, "netscope.v1.FlowRecord")
        same("packets", sum(m.forward.delta_packets + m.reverse.delta_packets for _, m in sums), 140000)
        same("sequence", sorted(m.record_seq for _, m in sums), list(range(1, 501)))
        same("ports", {m.server.port for _, m in sums}, {443})
        same("protocol is no part of the group", {m.ip_protocol for _, m in sums}, {0})


@case
def filters_leave_records_out_and_count_them():
    with Cluster(FOLDER) as cluster:
        result = probe(cluster.brokers, "--records", "1000", "--keys", "100", "--set",
                       "flows_filter=client.ip = \"10.0.0.7\"", "--set", "stats=false", "--set",
                       "alerts_severity=critical")
        same("flows left out", result["left_out"] >= 990, True)
        same("acked", result["acked"], total(result) - result["left_out"] - result["stats"])
        for _, record in rows_of(cluster, FLOWS, 10, "netscope.v1.FlowRecord"):
            same("client", record.client.ip, "10.0.0.7")


@case
def a_million_records_survive_broker_kills():
    # Sanitized programs get a tenth of it in the same time.
    records = 1000000 if PATIENCE <= 1 else 100000
    with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
        check = cluster.check(records * 1011 // 1000, 200, PARTITIONS)
        running = start(cluster.brokers, "--records", str(records), "--rate", str(records // 20), *spool(folder),
                        "--flush-ms", "120000", "--keys", "5000")
        for n in range(1, 7):
            time.sleep(2)
            cluster.say(f"down {n % 3 + 1}")
            time.sleep(1)
            cluster.say(f"up {n % 3 + 1}")
        result = finish(running, seconds=240)
        same("dropped", result["dropped"], 0)
        same("acked", result["acked"], total(result))
        found = result_of(check)
        kept_contract(found, total(result))
        same("packets in the topic", found["packets"], 7 * records)
        print(f"      {found['duplicates']} duplicates, {result['seconds']:.1f} s")


if __name__ == "__main__":
    try:
        import google.protobuf  # noqa: F401
    except ImportError:
        print("SKIP: python3-protobuf is not installed")
        sys.exit(77)
    sys.exit(run_cases(CASES, sys.argv[3:]))
