"""The sensor and its Kafka sink against a real Apache Kafka (KRaft), started here.

    broker.py BUILD_FOLDER FOLDER_OF_PROGRAMS NETSCOPE_SENSOR NETSCOPE_TRAFFIC CERTS_SH [CASE...]

NETSCOPE_KAFKA_VERSION: another version than 3.9.1. 77 without java, mvn, kcat or Maven Central.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import probe_tools  # noqa: E402
from kafka_broker import HERE, PASSWORD, Broker, Missing, fetch_jars, free_port  # noqa: E402
from kafka_tools import FLOWS, has_kcat, kept_contract, result_of, run_cases, same  # noqa: E402
from probe_tools import finish, lines_with, probe, start  # noqa: E402

BUILD, FOLDER, SENSOR, TRAFFIC, CERTS = (os.path.abspath(path) for path in sys.argv[1:6])
INTEGRATION = os.path.join(HERE, "..", "..")
os.environ["NETSCOPE_BIN"] = os.path.dirname(SENSOR)
sys.path[:0] = [INTEGRATION, os.path.join(INTEGRATION, "end_to_end")]
from fleet import Collector, in_store  # noqa: E402
from support.programs import wait_until  # noqa: E402

probe_tools.FOLDER = FOLDER
CASES = []
broker = None
certificates = None


def case(function):
    CASES.append(function)
    return function


def check(records, seconds, topics):
    words = [str(word) for pair in topics.items() for word in pair]
    return subprocess.Popen([os.path.join(FOLDER, "kafka-check"), broker.brokers, str(records), str(seconds), *words],
                            stdout=subprocess.PIPE, text=True)


def contract(topic, records):
    done = broker.java("-Dx=1", os.path.join(HERE, "Contract.java"), broker.brokers, topic, str(records), "60")
    return json.loads(done.strip().splitlines()[-1])


def attempt(*settings, seconds=6, records="50"):
    """What the sink logs in a few seconds."""
    done = subprocess.run([os.path.join(FOLDER, "kafka-probe"), "--records", records, "--flush-ms", str(seconds * 1000),
                           *(word for setting in settings for word in ("--set", setting))],
                          capture_output=True, text=True, timeout=seconds + 60, check=False)
    return done.stderr, json.loads(done.stdout) if done.stdout.strip() else None


@case
def the_printed_commands_make_the_topics_and_a_capture_arrives_whole():
    commands = subprocess.run([SENSOR, "kafka-topics"], capture_output=True, text=True, timeout=30, check=True,
                              env={**os.environ, "NETSCOPE_KAFKA__BROKERS": broker.brokers}).stdout
    broker.topics(commands)
    with tempfile.TemporaryDirectory() as folder:
        capture, lines = os.path.join(folder, "mix.pcap"), os.path.join(folder, "flows.jsonl")
        subprocess.run([TRAFFIC, "mix", capture, "-n", "20000"], check=True, capture_output=True, timeout=60)
        subprocess.run([SENSOR, "--quiet", "--read-pcap", capture, "--flows-jsonl", lines, "--kafka", broker.brokers,
                        "--lossless"], check=True, capture_output=True, timeout=120)
        with open(lines, encoding="utf-8") as file:
            wanted = [json.loads(line) for line in file]
    found = result_of(check(len(wanted), 60, {FLOWS: 6}))
    kept_contract(found, len(wanted))
    same("packets", found["packets"], sum(int(record[side]["delta_packets"]) for record in wanted
                                          for side in ("forward", "reverse") if side in record))
    java = contract(FLOWS, len(wanted))
    same("as Java's producer would place them", (java["records"], java["misplaced"], java["keyless"], java["headers"]),
         (len(wanted), 0, 0, 0))


@case
def both_directions_from_two_sensors_share_a_partition():
    broker.create("pair.flows.v1", 5)
    common = ("--records", "3000", "--set", "topic_prefix=pair", "--set", "alerts=false", "--set", "stats=false")
    same("a", probe(broker.brokers, *common)["acked"], 3000)
    same("b", probe(broker.brokers, *common, "--sensor", "sensor-b", "--reverse")["acked"], 3000)
    kept_contract(result_of(check(6000, 60, {"pair.flows.v1": 5})), 6000)
    java = contract("pair.flows.v1", 6000)
    same("misplaced", (java["records"], java["misplaced"], java["partitions"]), (6000, 0, 5))


@case
def what_clients_and_the_broker_say_is_recognised_as_kafka():
    if os.geteuid() != 0 or not has_kcat():
        print("  the label of real traffic: needs root and kcat, left out")
        return
    broker.create("label.flows.v1", 1)
    with tempfile.TemporaryDirectory() as folder:
        lines = os.path.join(folder, "flows.jsonl")
        port = broker.brokers.rpartition(":")[2]  # chosen by the kernel: it tells nothing
        capture = subprocess.Popen([SENSOR, "-i", "lo", "--quiet", "--no-anomalies", "--flows-jsonl", lines, "--grpc-listen",
                                    "127.0.0.1:0", "-f", f"tcp port {port}"], stderr=subprocess.DEVNULL,
                                   env={**os.environ, "NETSCOPE_HTTP__PORT": "0"})
        time.sleep(2)
        subprocess.run(["kcat", "-b", broker.brokers, "-P", "-t", "label.flows.v1"], input=b"one\ntwo\n", check=True, timeout=60)
        read = subprocess.run(["kcat", "-b", broker.brokers, "-C", "-t", "label.flows.v1", "-e", "-q"], check=True, timeout=60,
                              capture_output=True).stdout
        time.sleep(1)
        capture.terminate()
        same("exit status", capture.wait(timeout=60), 0)
        same("messages", read, b"one\ntwo\n")
        with open(lines, encoding="utf-8") as file:
            flows = [record for record in map(json.loads, file) if record["event"] == "FLOW_EVENT_END"]
    labels = {(flow.get("app", {}).get("protocol"), flow.get("app", {}).get("confidence")) for flow in flows
              if int(flow["forward"]["total_payload_bytes"]) > 0}
    same("labels", labels, {("kafka", "APP_CONFIDENCE_DPI")})


@case
def a_killed_broker_loses_and_repeats_nothing():
    broker.create("kill.flows.v1", 6)
    broker.create("kill.flows-packed.v1", 6)
    for packed, topic in (("false", "kill.flows.v1"), ("true", "kill.flows-packed.v1")):
        with tempfile.TemporaryDirectory() as folder:
            running = start(broker.brokers, "--records", "100000", "--rate", "10000", "--set", "topic_prefix=kill",
                            "--set", "alerts=false", "--set", "stats=false", "--set", f"packed={packed}", "--set",
                            f"spool.directory={folder}", "--set", "spool.memory=1MiB", "--flush-ms", "120000", "--keys",
                            "2000")
            time.sleep(3)
            broker.kill()
            time.sleep(2)
            broker.start()
            result = finish(running, seconds=240)
        same("acked", (result["acked"], result["failed"], result["spool_lost"], result["dropped"]), (100000, 0, 0, 0))
        found = result_of(check(100000, 60, {topic: 6}))
        kept_contract(found, 100000)
        same("an idempotent producer repeats nothing", found["duplicates"], 0)


@case
def a_broker_that_comes_back_under_another_address_is_found():
    broker.create("moved.flows.v1", 3)
    before, after = broker.brokers, f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        running = start(f"{before},{after}", "--records", "30000", "--rate", "3000", "--set", "topic_prefix=moved", "--set",
                        "alerts=false", "--set", "stats=false", "--set", f"spool.directory={folder}", "--flush-ms", "90000")
        time.sleep(3)
        broker.kill()
        broker.move(after)
        broker.start()
        result = finish(running, seconds=200)
    same("acked", (result["acked"], result["failed"]), (30000, 0))
    kept_contract(result_of(check(30000, 60, {"moved.flows.v1": 3})), 30000)


@case
def a_login_over_tls_works_and_wrong_ones_say_what_is_wrong():
    broker.create("safe.flows.v1", 3)
    with tempfile.NamedTemporaryFile("w") as right, tempfile.NamedTemporaryFile("w") as wrong, \
            tempfile.NamedTemporaryFile("w") as guest:
        for file, word in ((right, PASSWORD), (wrong, "wrong-word"), (guest, "guest")):
            file.write(word + "\n")
            file.flush()
            os.chmod(file.name, 0o600)
        base = (f"brokers={broker.secured}", "topic_prefix=safe", "alerts=false", "stats=false",
                "security_protocol=sasl_ssl", "sasl_mechanism=PLAIN")
        sensor = ("sasl_username=sensor", f"tls_ca={certificates}/ca.pem")
        with tempfile.TemporaryDirectory() as folder:
            kept = (f"spool.directory={folder}",)
            _, result = attempt(*base, *sensor, f"sasl_password_file={right.name}", *kept, seconds=20)
            same("acked", result["acked"], 50)
            log, result = attempt(*base, *sensor, f"sasl_password_file={wrong.name}", *kept)
            lines_with(log, "level=warn", "_AUTHENTICATION")
            same("kept", result["owed"], 50)
            log, result = attempt(*base, "sasl_username=sensor", f"tls_ca={certificates}/other-ca.pem",
                                  f"sasl_password_file={right.name}", *kept)
            lines_with(log, "level=warn", "certificate verify failed")
            log, result = attempt(*base, "sasl_username=guest", f"tls_ca={certificates}/ca.pem",
                                  f"sasl_password_file={guest.name}", *kept)
            lines_with(log, "AUTHORIZATION_FAILED")
            # All that was kept arrives with the right password.
            _, result = attempt(*base, *sensor, f"sasl_password_file={right.name}", *kept, seconds=30)
            same("recovered and acked", (result["recovered"], result["acked"]), (150, 200))


def read_by_group(folder, name, more=""):
    os.mkdir(os.path.join(folder, name))
    config = os.path.join(folder, name, "collector.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"kafka_source:\n  brokers: {broker.brokers}\n  group: readers\n  session_timeout: 6s\n"
                   "  flows_topics: read.flows.v1\n  alerts_topics: read.alerts.v1\n  stats_topics: read.stats.v1\n" + more)
    return Collector(os.path.join(folder, name), arguments=("--config", config))


def figure(collector, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{collector.http}/metrics", timeout=20) as answer:
        rows = dict(line.split() for line in answer.read().decode().splitlines() if line.startswith("netscope_collector_kafka_source_"))
    return int(float(rows[f"netscope_collector_kafka_source_{name}"]))


@case
def collectors_of_a_group_store_each_record_once_though_they_and_the_broker_are_killed():
    for topic, partitions in (("flows", 6), ("alerts", 3), ("stats", 3)):
        broker.create(f"read.{topic}.v1", partitions)
    with tempfile.TemporaryDirectory() as folder:
        one, two = read_by_group(folder, "one", "  batch_records: 200\n"), read_by_group(folder, "two", "  batch_records: 200\n")
        try:
            wait_until("partitions for both", lambda: figure(one, "partitions") > 0 and figure(two, "partitions") > 0, seconds=90)
            capture, lines = os.path.join(folder, "mix.pcap"), os.path.join(folder, "flows.jsonl")
            subprocess.run([TRAFFIC, "mix", capture, "-f", "20000"], check=True, capture_output=True, timeout=60)
            sensor = subprocess.Popen([SENSOR, "--quiet", "--read-pcap", capture, "--flows-jsonl", lines, "--kafka", broker.brokers,
                                       "--lossless", "--grpc-listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True,
                                      env={**os.environ, "NETSCOPE_KAFKA__TOPIC_PREFIX": "read", "NETSCOPE_HTTP__PORT": "0",
                                           "NETSCOPE_PIPELINE__FLUSH_TIMEOUT": "2m"})
            wait_until("records at both", lambda: figure(one, "taken_total") > 0 and figure(two, "taken_total") > 0, seconds=90)
            one.program.stop(signal.SIGKILL)
            broker.kill()
            broker.start()
            one.start()
            said = sensor.communicate(timeout=200)[1]
            same("the sensor", (sensor.returncode, said if sensor.returncode else ""), (0, ""))
            with open(lines, encoding="utf-8") as file:
                wanted = {(record["boot_id"], int(record["record_seq"])) for record in map(json.loads, file)}
            wait_until("all records", lambda: sum(len(set(numbers)) for each in (one, two)
                                                  for numbers in in_store(each.folder, "flows").values()) >= len(wanted), seconds=120)
            for each in (one, two):
                same("exit", each.program.stop(), 0)
            found = [(boot, number) for each in (one, two) for boot, numbers in in_store(each.folder, "flows").items()
                     for number in numbers]
            same("records", (len(set(found)), set(found) == wanted), (len(wanted), True))
            # Two stores: what one had on disk and not committed when it was killed, the other may have read as well.
            for each in (one, two):
                numbers = [pair for boot, all_of in in_store(each.folder, "flows").items() for pair in ((boot, n) for n in all_of)]
                same("twice in one store", len(numbers) - len(set(numbers)), 0)
        finally:
            one.close()
            two.close()


@case
def a_topic_that_is_missing_is_named_and_its_records_wait():
    with tempfile.TemporaryDirectory() as folder:
        settings = (f"brokers={broker.brokers}", "topic_prefix=later", "alerts=false", "stats=false",
                    f"spool.directory={folder}")
        log, result = attempt(*settings, seconds=10)
        lines_with(log, "later.flows.v1", "UNKNOWN_TOPIC")
        same("kept", (result["owed"], result["failed"]), (50, 0))
        broker.create("later.flows.v1", 3)
        _, result = attempt(*settings, seconds=30)
        same("acked", (result["recovered"], result["acked"]), (50, 100))


@case
def topics_are_made_at_the_start_where_that_is_asked_for():
    """Those that are there stay as they are; a record that was sent before waits in the spool."""
    broker.create("made.alerts.v1", 1)
    with tempfile.TemporaryDirectory() as folder:
        settings = (f"brokers={broker.brokers}", "topic_prefix=made", "create_topics=true", "topic_partitions=5", "dns=true", "assets=true",
                    "headers=cloudevents", f"spool.directory={folder}")
        log, result = attempt(*settings, seconds=30, records="2000")
        for name in ("flows", "stats", "dns", "assets"):
            lines_with(log, "a topic was made", f"topic=made.{name}.v1")
        same("made anew", "topic=made.alerts.v1" in log, False)
        same("acked", (result["acked"], result["failed"]), (2000 + 20 + 2, 0))
        log, _ = attempt(*settings, seconds=30)
        same("made twice", "a topic was made" in log, False)
    listed = subprocess.run(["kcat", "-b", broker.brokers, "-L", "-J"], check=True, timeout=60, capture_output=True).stdout
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in json.loads(listed)["topics"]}
    same("partitions", [partitions[f"made.{name}.v1"] for name in ("flows", "alerts", "stats", "dns", "assets")], [5, 1, 5, 5, 5])
    java = contract("made.flows.v1", 2050)
    same("headers, as Java's client reads them", (java["records"], java["misplaced"], java["headers"]), (2050, 0, 7 * 2050))
    log, _ = attempt(f"brokers={broker.brokers}", "topic_prefix=much", "create_topics=true", "topic_replication=7", seconds=8)
    lines_with(log, "a topic cannot be made", "INVALID_REPLICATION_FACTOR")


@case
def a_message_that_is_too_large_is_counted_and_the_rest_arrives():
    broker.create("small.flows.v1", 1)
    broker.create("small.alerts.v1", 1, "--config", "max.message.bytes=1000")
    log, result = attempt(f"brokers={broker.brokers}", "topic_prefix=small", "stats=false", "compression=none",
                          "linger=0ms", seconds=20, records="1000")
    lines_with(log, "MSG_SIZE_TOO_LARGE")
    same("flows", result["acked"] >= 1000, True)
    same("counted", (result["acked"] + result["failed"], list(result["errors"])), (1010, ["MSG_SIZE_TOO_LARGE"]))


@case
def names_and_ports_that_lead_nowhere_are_told():
    log, _ = attempt("brokers=no-such-host.invalid:9092")
    lines_with(log, "level=warn", "_RESOLVE")
    log, _ = attempt("brokers=127.0.0.1:1")
    lines_with(log, "level=warn", "Connection refused")


def main():
    global broker, certificates
    if not has_kcat():
        print("SKIP: kcat is not installed (apt-get install kcat)")
        return 77
    try:
        jars = fetch_jars(BUILD)
    except Missing as missing:
        print(f"SKIP: {missing}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        certificates = folder
        subprocess.run(["sh", CERTS, folder], check=True, capture_output=True)
        with Broker(jars, folder) as broker:
            return run_cases(CASES, sys.argv[6:])


if __name__ == "__main__":
    sys.exit(main())
