#!/usr/bin/env python3
"""Reads flow records from Kafka and prints who talked to whom: consumer.py BROKERS [GROUP].

Needs python3-confluent-kafka, python3-protobuf and, once, the classes:
    protoc -I proto -I /usr/include --python_out=. proto/netscope/v1/*.proto
"""
import sys

from confluent_kafka import Consumer
from netscope.v1 import flow_pb2

consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": (sys.argv + ["netscope-example"])[2],
                     "auto.offset.reset": "earliest", "enable.partition.eof": True})
consumer.subscribe(["netscope.flows.v1"])
seen, ended = set(), set()  # delivery is at least once: the identity tells what came twice
while message := consumer.poll(30):
    if message.error():  # the end of a partition; an example stops there, a service goes on
        ended.add(message.partition())
        if len(ended) == len(consumer.assignment()):
            break
        continue
    flow = flow_pb2.FlowRecord.FromString(message.value())
    if (identity := (flow.sensor_id, flow.boot_id, flow.record_seq)) not in seen:
        seen.add(identity)
        print(message.key().decode(), flow.client.ip, flow.server.ip, flow.server.port, flow.app.protocol or "-",
              flow.forward.delta_packets + flow.reverse.delta_packets, flow.forward.delta_bytes + flow.reverse.delta_bytes)
consumer.close()
