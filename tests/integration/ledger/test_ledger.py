"""The loss ledger with forced losses: each stage is made to lose, and the sums add up to the packet and the record.

A capture whose last packet comes a minute later keeps a paced sensor alive and at rest behind the others, so that every
figure is exact. Rows are read by REST, from the sensor and from the collector.
"""
import json
import os
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import (ACK, COLLECTOR, PSH, SYN, Program, ethernet, free_port, get_json, ipv4, main, metrics, tcp,
                              udp, wait_until)
from support.service import Service

REST = 90.0  # seconds of packet time until the last packet
FLOWS = 50


def rows_of(ledger, stage, name=None):
    return [row for row in ledger["rows"] if row["stage"] == f"LEDGER_STAGE_{stage}" and name in (None, row["name"])]


def row_of(ledger, stage, name=None):
    rows = rows_of(ledger, stage, name)
    assert len(rows) == 1, f"{stage} {name}: {rows}"
    return rows[0]


def number(row, key):
    return int(row[key])


def lost(row, reason=None):
    return sum(int(one["count"]) for one in row.get("lost", []) if reason in (None, one["reason"]))


def talk(i, at=0.0):
    """Five packets of one connection."""
    client, port = f"10.1.{i // 200}.{i % 200 + 1}", 20000 + i
    frames = [tcp(client, port, "192.0.2.80", 80, SYN, 1), tcp("192.0.2.80", 80, client, port, SYN | ACK, 1, 2),
              tcp(client, port, "192.0.2.80", 80, ACK, 2, 2),
              tcp(client, port, "192.0.2.80", 80, ACK | PSH, 2, 2, b"GET / HTTP/1.1\r\n\r\n"),
              tcp("192.0.2.80", 80, client, port, ACK | PSH, 2, 20, b"HTTP/1.1 200 OK\r\n\r\n")]
    return [(at + 0.001 * k, frame) for k, frame in enumerate(frames)]


def quiet(frames):
    """The frames, and one more long after."""
    return sorted(frames, key=lambda pair: pair[0]) + [(REST, udp("10.9.9.9", 1, "10.9.9.8", 2, b"last"))]


class Ledger(unittest.TestCase):
    def assert_law(self, ledger):
        self.assertTrue(ledger["balanced"], ledger)
        for row in ledger["rows"]:
            self.assertEqual(number(row, "in"), number(row, "out") + lost(row) + number(row, "held"), row)

    def assert_chain(self, ledger):
        """What a stage has put out is what the next took in."""
        self.assert_law(ledger)
        capture, decode, flow = (row_of(ledger, stage) for stage in ("CAPTURE", "DECODE", "FLOW"))
        publish = row_of(ledger, "PUBLISH")
        self.assertEqual(number(capture, "out"), number(decode, "in"))
        self.assertEqual(number(decode, "out"), number(flow, "in"))
        self.assertEqual(number(flow, "out"), number(publish, "packets_in"))
        for sink in rows_of(ledger, "SINK"):
            self.assertEqual(number(publish, "out"), number(sink, "in"), sink)
            self.assertEqual(number(publish, "packets_out"), number(sink, "packets_in"), sink)

    def settled(self, sensor, packets):
        def look():
            ledger = sensor.json("/v1/ledger")
            return ledger if number(row_of(ledger, "DECODE"), "in") >= packets and \
                all(number(row, "held") == 0 for row in ledger["rows"] if row["stage"] != "LEDGER_STAGE_FLOW") else None

        return wait_until("the sensor at rest", look, seconds=30)

    # ---- packets ----

    def test_decode_loses_what_is_broken_and_says_why(self):
        good = [pair for i in range(FLOWS) for pair in talk(i, 0.01 * i)]
        arp = ethernet(bytes.fromhex("0001080006040001") + bytes(20), ethertype=0x0806)
        malformed = ethernet(b"\x42" + bytes(19))  # a header of 8 bytes
        cut = ethernet(ipv4("10.0.0.1", "10.0.0.2", 6, b""))[:24]
        bad = [(0.6, arp)] * 7 + [(0.61, malformed)] * 5 + [(0.62, cut)] * 3
        with Service(frames=quiet(good + bad), arguments=("--pace",)) as sensor:
            ledger = self.settled(sensor, len(good) + len(bad))
            self.assert_chain(ledger)
            decode, flow = row_of(ledger, "DECODE"), row_of(ledger, "FLOW")
            self.assertEqual(number(decode, "in"), len(good) + len(bad))
            self.assertEqual(number(decode, "out"), len(good))
            self.assertEqual(lost(decode, "non_ip"), 7)
            self.assertEqual(lost(decode), len(bad))
            self.assertEqual(lost(decode) - lost(decode, "non_ip"), 8)
            self.assertEqual(number(flow, "in"), number(flow, "out") + number(flow, "held"))
            # The same in /metrics and in the records.
            page = metrics(sensor.url + "/metrics")
            told = sum(v for k, v in page.items() if k.startswith('netscope_dropped_packets_total{stage="decode"'))
            self.assertEqual(told, len(bad))

    def test_a_full_flow_table_loses_no_packet(self):
        frames = [pair for i in range(3000) for pair in talk(i, 0.0003 * i)]
        more = "flow:\n  max_flows: 1024\n"
        with Service(frames=quiet(frames), arguments=("--pace",), more=more) as sensor:
            ledger = self.settled(sensor, len(frames))
            self.assert_chain(ledger)
            flow = row_of(ledger, "FLOW")
            self.assertEqual(number(flow, "in"), len(frames))
            self.assertEqual(lost(flow), 0)
            self.assertGreater(metrics(sensor.url + "/metrics")["netscope_flows_evicted_total"], 1000)
            active = sum(v for k, v in metrics(sensor.url + "/metrics").items() if k.startswith("netscope_flows_active{"))
            self.assertLessEqual(number(flow, "held"), 5 * (active + 512))  # and one batch that is still open

    def test_what_a_file_tells_of_interface_and_kernel_is_lost_there(self):
        def block(kind, body):
            body += bytes(-len(body) % 4)
            return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

        def option(code, value):
            return struct.pack("<HHQ", code, 8, value)

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.pcapng")
            frames = quiet([pair for i in range(FLOWS) for pair in talk(i, 0.01 * i)])
            with open(path, "wb") as out:
                out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
                out.write(block(1, struct.pack("<HHI", 1, 0, 0)))
                for k, (at, frame) in enumerate(frames):
                    time = int((1_700_000_000 + at) * 1e6)
                    if k == len(frames) - 1:  # the counters are known before the last packet
                        statistics = struct.pack("<III", 0, time >> 32, time & 0xFFFFFFFF)
                        out.write(block(5, statistics + option(5, 11) + option(7, 13) + struct.pack("<HH", 0, 0)))
                    out.write(block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame)) +
                                    frame))
            with Service(arguments=("--pace", "--read-pcap", path)) as sensor:
                ledger = wait_until("drops of the file", lambda: (lambda found: found if rows_of(found, "KERNEL") else None)(
                    sensor.json("/v1/ledger")))
                self.assert_law(ledger)
                self.assertEqual(lost(row_of(ledger, "INTERFACE"), "interface_dropped"), 11)
                self.assertEqual(lost(row_of(ledger, "KERNEL"), "ring_full"), 13)
                self.assertEqual(number(row_of(ledger, "INTERFACE"), "out"), number(row_of(ledger, "KERNEL"), "in"))
                self.assertEqual(number(row_of(ledger, "KERNEL"), "out"), number(row_of(ledger, "CAPTURE"), "in"))

    def test_bytes_acknowledged_and_never_seen_are_an_estimate(self):
        client, port = "10.7.0.1", 4000
        frames = [(0.0, tcp(client, port, "192.0.2.80", 80, SYN, 1)),
                  (0.01, tcp("192.0.2.80", 80, client, port, SYN | ACK, 1, 2)),
                  (0.02, tcp(client, port, "192.0.2.80", 80, ACK, 2, 2)),
                  (0.03, tcp("192.0.2.80", 80, client, port, ACK, 2, 1002)),  # 1000 bytes that nobody saw
                  (0.04, tcp(client, port, "192.0.2.80", 80, ACK | 1, 1002, 2)),
                  (0.05, tcp("192.0.2.80", 80, client, port, ACK | 1, 2, 1003)),
                  (0.06, tcp(client, port, "192.0.2.80", 80, ACK, 1003, 3))]
        more = "flow:\n  idle_timeout: 1s\n"
        with Service(frames=frames + [(3.0, udp("10.9.9.9", 1, "10.9.9.8", 2, b"tick")),
                                      (6.0, udp("10.9.9.9", 1, "10.9.9.8", 2, b"tick"))] + quiet([])[-1:],
                     arguments=("--pace",), more=more) as sensor:
            info = wait_until("the flow's end", lambda: (lambda one: one if int(one["missed_bytes_estimate"]) else None)(
                sensor.json("/v1/info")["interfaces"][0]), seconds=20)
            self.assertEqual(int(info["missed_bytes_estimate"]), 1000)

    # ---- records ----

    def test_a_spool_at_its_cap_loses_what_it_tells_and_the_collector_counts_the_same(self):
        if not os.access(COLLECTOR, os.X_OK):
            self.skipTest("netscope-collector is not built")
        frames = [pair for i in range(6000) for pair in talk(i, 0.0004 * i)]
        ingest, web = free_port(), free_port()
        more = (f"collector:\n  address: 127.0.0.1:{ingest}\n  spool: 1MiB\n  backoff_max: 500ms\n"
                "spool:\n  directory: memory\nflow:\n  idle_timeout: 1s\n  first_update: 1s\n  active_timeout: 1s\n")
        # A second's silence after the flows, so that they end; then one packet a second for a while, then rest.
        ticks = [(3.0 + k, udp("10.9.9.9", 1, "10.9.9.8", 2, b"tick")) for k in range(4)]
        with Service(frames=quiet(frames + ticks), arguments=("--pace",), more=more) as sensor:
            wait_until("a full spool", lambda: lost(row_of(sensor.json("/v1/ledger"), "SPOOL", "collector")), seconds=30)
            wait_until("all packets", lambda: number(row_of(sensor.json("/v1/ledger"), "DECODE"), "in") >=
                       len(frames) + len(ticks), seconds=30)
            with tempfile.TemporaryDirectory() as folder:
                config = os.path.join(folder, "collector.yaml")
                with open(config, "w", encoding="utf-8") as out:
                    out.write(f"ingest:\n  listen: 127.0.0.1:{ingest}\nweb:\n  port: {web}\n")
                environment = {"NETSCOPE_COLLECTOR_STORE__DIRECTORY": folder, "STATE_DIRECTORY": folder}
                with Program(COLLECTOR, "--config", config, environment=environment) as collector:
                    self.compare(sensor, collector, f"http://127.0.0.1:{web}")
                    self.assertEqual(collector.stop(), 0)

    def compare(self, sensor, collector, url):
        def look():
            try:
                fleet = get_json(url + "/v1/ledger")
            except OSError:
                self.assertTrue(collector.is_running(), collector.text()[-2000:])
                return None
            own = sensor.json("/v1/ledger")
            spool, wire = row_of(own, "SPOOL", "collector"), row_of(own, "WIRE", "collector")
            store = row_of(fleet, "STORE")
            is_done = number(spool, "held") == 0 and number(wire, "held") == 0 and number(wire, "out") > 0 and \
                number(store, "held") == 0 and number(store, "in") == number(wire, "out")
            return (own, fleet) if is_done else None

        own, fleet = wait_until("all records at the collector", look, seconds=60)
        self.assert_law(own)
        self.assert_law(fleet)
        sink, spool, wire = (row_of(own, stage, "collector") for stage in ("SINK", "SPOOL", "WIRE"))
        received, store = row_of(fleet, "INGEST"), row_of(fleet, "STORE")
        self.assertGreater(lost(spool), 0)
        self.assertEqual(number(sink, "out"), number(spool, "in"))
        self.assertEqual(number(spool, "out"), number(wire, "in"))
        self.assertEqual(number(wire, "out"), number(received, "out"))
        self.assertEqual(lost(received, "told_lost"), lost(spool) + lost(wire))
        self.assertEqual(number(received, "out"), number(store, "in"))
        told = [one for one in fleet["sensors"] if one["sensor_id"] == "service-sensor"]
        self.assertEqual(len(told), 1)
        self.assertIn("LEDGER_STAGE_SPOOL", {row["stage"] for row in told[0]["rows"]})
        page = metrics(url + "/metrics")
        self.assertEqual(page['netscope_dropped_records_total{stage="ingest",name="",reason="told_lost"}'],
                         lost(received, "told_lost"))

    # ---- since ----

    def test_since_counts_from_a_second_and_keeps_the_law(self):
        with Service() as sensor:
            wait_until("statistics", lambda: sensor.json("/v1/stats").get("stats"))
            then = sensor.json("/v1/stats")["stats"]["end_time"]
            wait_until("the next second", lambda: sensor.json("/v1/stats")["stats"]["end_time"] > then)
            part, whole = sensor.json("/v1/ledger", since=then), sensor.json("/v1/ledger")
            self.assertLessEqual(part["since_time"], then)
            self.assertNotIn("since_time", whole)
            self.assert_law(part)
            self.assert_law(whole)
            self.assertLess(number(row_of(part, "CAPTURE"), "in"), number(row_of(whole, "CAPTURE"), "in"))
            self.assertGreater(number(row_of(part, "CAPTURE"), "in"), 0)

    def test_rows_balance_while_packets_move(self):
        with Service() as sensor:
            for _ in range(60):
                self.assert_law(sensor.json("/v1/ledger"))


if __name__ == "__main__":
    main()
