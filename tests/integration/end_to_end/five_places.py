"""One capture, five places: the packets of the flows are the same wherever one asks.

    five_places.py BIN_FOLDER TESTS_FOLDER KAFKA_TOOLS_FOLDER

Compared is the number of IP packets that belong to flows, which is every packet of the file, since the generator makes
no others:

  1  --flows-jsonl        sum of delta_packets over all records
  2  grpcurl              the same over ObserveFlows, from the first record to the end of the stream
  3  the collector        by REST /v1/flows: sum of the totals of each flow's newest record, and by /v1/sensors
  4  Kafka                sum over the topic, by a consumer in another process against mock brokers in a third
  5  /metrics             packets read less packets that never got a flow

and with the count of the one who made the file. 77 where grpcurl is missing.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BIN, TESTS, KAFKA = (os.path.abspath(path) for path in sys.argv[1:4])
os.environ["NETSCOPE_BIN"] = BIN
sys.path[:0] = [os.path.join(HERE, ".."), HERE, KAFKA]

from fleet import Collector
from kafka_tools import FLOWS, Cluster
from support import grpcurl as tool
from support.programs import (COLLECTOR, PATIENCE, SENSOR, answers, clean_environment, delta_packets, free_port, json_lines,
                              make_traffic, metrics, wait_until)

PACKETS = 30000


def objects(text):
    """The JSON objects that grpcurl prints one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            return
        value, at = decoder.raw_decode(text, at)
        yield value


def of_metrics(values):
    total = sum(v for k, v in values.items() if k.startswith("netscope_capture_packets_total"))
    return int(total - sum(v for k, v in values.items() if k.startswith("netscope_dropped_packets_total")))


def main():
    grpcurl = tool.find()
    if grpcurl is None or not os.access(COLLECTOR, os.X_OK):
        print("SKIP: " + ("grpcurl is not installed" if grpcurl is None else "netscope-collector is not built"))
        return 77
    seen = {}
    with tempfile.TemporaryDirectory() as folder, Cluster(TESTS) as cluster:
        capture, truth = make_traffic(folder, "mix", packets=PACKETS, flows=3000)
        lines = os.path.join(folder, "flows.jsonl")
        grpc, http = free_port(), free_port()
        drain = cluster.drain()
        collector = Collector(folder)
        sensor = subprocess.Popen(
            [SENSOR, "--read-pcap", "-", "--quiet", "--lossless", "--sensor-id", "five", "--flows-jsonl", lines,
             "--collector", f"127.0.0.1:{collector.ingest}", "--kafka", cluster.brokers, "--grpc-listen", f"127.0.0.1:{grpc}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            env=clean_environment({"NETSCOPE_GRPC__ENABLED": "on", "NETSCOPE_HTTP__ENABLED": "on",
                                   "NETSCOPE_HTTP__PORT": str(http), "NETSCOPE_GRPC__QUEUE_MESSAGES": "1024"}))
        observer = None
        try:
            page = f"http://127.0.0.1:{http}/metrics"
            with open(capture, "rb") as file:
                data = file.read()
            sensor.stdin.write(data[:24])  # the file's header: the sensor opens, and waits for packets
            sensor.stdin.flush()
            wait_until("the sensor", lambda: answers(page))
            output = open(os.path.join(folder, "grpcurl.json"), "w+", encoding="utf-8")
            observer = subprocess.Popen(
                [grpcurl, "-plaintext", "-max-msg-sz", "67108864", "-d", '{"first": 1000000, "follow": true}',
                 f"127.0.0.1:{grpc}", "netscope.v1.FlowService/ObserveFlows"], stdout=output, stderr=subprocess.PIPE)
            wait_until("the stream", lambda: metrics(page).get("netscope_grpc_streams", 0) >= 1)
            sensor.stdin.write(data[24:])
            sensor.stdin.flush()
            wait_until("all packets", lambda: of_metrics(metrics(page)) >= truth["packets"], 60)
            seen["/metrics"] = of_metrics(metrics(page))
            sensor.stdin.close()
            status = sensor.wait(timeout=60 * PATIENCE)
            if status != 0:
                raise AssertionError(f"the sensor ended with {status}")
            observer.wait(timeout=30 * PATIENCE)
            output.flush()
            output.seek(0)
            answers_seen = list(objects(output.read()))
            output.close()
            records = json_lines(lines)
            seen["--flows-jsonl"] = sum(map(delta_packets, records))
            seen["grpcurl"] = sum(
                int(flow.get(way, {}).get("deltaPackets", 0)) for answer in answers_seen
                for flow in answer.get("flows", {}).get("flows", []) for way in ("forward", "reverse"))
            seen["Kafka"] = sum(r["packets"] for r in drain.records(len(records)) if r["topic"] == FLOWS)
            wait_until("the store", lambda: collector.flow_packets() >= truth["packets"], 30)
            seen["REST /v1/flows"] = collector.flow_packets()
            seen["REST /v1/sensors"] = int(collector.sensors()["five"]["packets_total"])
        finally:
            for process in (sensor, observer):
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait()
            collector.close()
    print(f"in the file: {truth['packets']} packets, {truth['flows']} flows")
    for place, packets in seen.items():
        print(f"  {place:18} {packets}")
    if set(seen.values()) != {truth["packets"]}:
        print("they differ")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
