"""The collector's stages are made to lose: STORE (records that cannot be read, that are not kept), INGEST (what comes twice, also
over a kill), FEED (a browser that stops reading). Each tells exactly that loss with its reason.

The sensor is a foreign client (grpcio), the browser a socket that speaks WebSocket (RFC 6455) by itself.
"""
import os
import signal
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from end_to_end.fleet import Collector
from support.live_client import LiveClient
from support.programs import COLLECTOR, PATIENCE, main, metrics, wait_until

try:
    from support.foreign_stream import ALERTS, FLOWS, WELCOME, Stream, batch, hello, number, text
except ImportError:
    print("SKIP: python3-grpcio is not installed")
    sys.exit(77)

DNS = 5


def flow(number_of_it):
    """A flow record: flow_id, end_time, one packet forward."""
    return text(4, f"{number_of_it:016x}") + text(7, number(1, int(time.time()))) + text(11, number(1, 1))


class Browser(LiveClient):
    """A client of the live feed that reads when it is told to."""

    def __init__(self, port):
        super().__init__(port)
        self.frames, self.resyncs = [], []

    def subscribe(self):
        self.say(t="sub", id=1, rate_hz=30, topics={"totals": {}})

    def read_until(self, end):
        """Reads and acknowledges until `end()`."""
        while not end():
            message = self.message()
            if message["t"] == "frame":
                self.frames.append(message)
                self.say(t="ack", seq=message["seq"])
            elif message["t"] == "resync":
                self.resyncs.append(message)


class Losses(unittest.TestCase):
    def setUp(self):
        if not os.access(COLLECTOR, os.X_OK):
            self.skipTest("netscope-collector is not built")
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)

    def collector(self, **environment):
        collector = Collector(self.temporary.name, environment=environment)
        self.addCleanup(collector.close)
        return collector

    def row(self, collector, stage):
        ledger = collector.fetch("/v1/ledger")
        self.assertTrue(ledger["balanced"], ledger)
        row = next(row for row in ledger["rows"] if row["stage"] == f"LEDGER_STAGE_{stage}")
        losses = {one["reason"]: int(one["count"]) for one in row["lost"] if int(one["count"]) > 0}
        figures = {key: int(row[key]) for key in ("in", "out", "held")}
        self.assertEqual(figures["in"], figures["out"] + figures["held"] + sum(losses.values()), row)
        return figures, losses

    def stream(self, collector):
        stream = Stream(collector.ingest)
        self.addCleanup(stream.close)
        stream.send(hello())
        stream.receive(WELCOME)
        return stream

    def stored(self, collector, records):
        """The row STORE once so many have come in and nothing waits."""
        def look():
            figures, losses = self.row(collector, "STORE")
            return (figures, losses) if figures["in"] == records and figures["held"] == 0 else None
        return wait_until(f"{records} records at the store", look)

    def test_what_cannot_be_read_or_is_not_kept_is_lost_at_the_store_by_reason(self):
        collector = self.collector()
        stream = self.stream(collector)
        stream.send(batch(1, 7, record=flow(1)), batch(8, 3, record=b"\xff\xff"), batch(11, 5, record=flow(2)),
                    batch(1, 2, stream=ALERTS, record=b"\x07"), batch(1, 4, stream=DNS, record=b""))
        stream.acknowledged(15)
        stream.acknowledged(2, stream=ALERTS)
        stream.acknowledged(4, stream=DNS)
        figures, losses = self.stored(collector, 15 + 2 + 4)
        self.assertEqual(losses, {"undecodable": 3 + 2, "not_kept": 4})
        self.assertEqual(figures["out"], 12)
        self.assertEqual(self.row(collector, "INGEST"), ({"in": 21, "out": 21, "held": 0}, {}))
        page = metrics(f"http://127.0.0.1:{collector.http}/metrics")
        self.assertEqual(page['netscope_dropped_records_total{stage="store",name="",reason="undecodable"}'], 5)
        self.assertEqual(page['netscope_dropped_records_total{stage="store",name="",reason="not_kept"}'], 4)

    def test_what_comes_twice_is_lost_at_the_door_also_after_a_kill_and_stored_once(self):
        collector = self.collector()
        stream = self.stream(collector)
        for first in range(1, 1001, 50):
            stream.send(batch(first, 50, record=flow(first)))
        stream.acknowledged(1000)
        stream.send(batch(901, 50, record=flow(901)), batch(951, 60, record=flow(951)))  # whole, and in part
        stream.acknowledged(1010)
        self.assertEqual(self.row(collector, "INGEST"), ({"in": 1110, "out": 1010, "held": 0}, {"duplicate": 100}))
        collector.program.stop(signal.SIGKILL)  # with or without what the store had not committed
        stream.close()
        collector.start()
        again = self.stream(collector)
        again.send(batch(951, 60, record=flow(951)), batch(1011, 10, record=flow(1011)))
        again.acknowledged(1020)
        self.assertEqual(self.row(collector, "INGEST"), ({"in": 70, "out": 10, "held": 0}, {"duplicate": 60}))

        def packets():
            page = metrics(f"http://127.0.0.1:{collector.http}/metrics")
            return page["netscope_collector_flow_packets_stored"]
        wait_until("each record in the store", lambda: packets() >= 1020)
        time.sleep(PATIENCE)
        self.assertEqual(packets(), 1020)  # of both lives: each has one packet
        figures, losses = self.row(collector, "STORE")
        self.assertEqual((figures["in"], figures["held"]), (figures["out"] + losses.get("duplicate", 0), 0))

    def test_frames_that_a_stopped_browser_never_gets_are_lost_at_the_feed_to_the_frame(self):
        collector = self.collector(NETSCOPE_COLLECTOR_WEB__TICK="50ms")
        good, slow = Browser(collector.http), Browser(collector.http)
        self.addCleanup(good.socket.close)
        self.addCleanup(slow.socket.close)
        good.subscribe()
        good.read_until(lambda: len(good.frames) >= 3)
        slow.subscribe()
        slow.read_until(lambda: slow.frames)
        began = slow.frames[0]["ts_ms"]
        stop = time.monotonic() + 6 * PATIENCE  # more than 64 ticks
        good.read_until(lambda: time.monotonic() > stop)
        self.assertEqual(self.row(collector, "FEED")[1], {})  # nothing is lost yet: it may still come back
        slow.read_until(lambda: slow.resyncs and slow.frames[-1]["ts_ms"] > slow.resyncs[0]["to_ms"] and
                        slow.frames[-1]["merged"] == 1)
        last = slow.frames[-1]["ts_ms"]
        good.read_until(lambda: good.frames[-1]["ts_ms"] >= last)
        passed = sum(frame["merged"] for frame in good.frames if began < frame["ts_ms"] <= last)
        reached = sum(frame["merged"] for frame in slow.frames[1:])
        _, losses = self.row(collector, "FEED")
        self.assertEqual(losses, {"slow_client": passed - reached})
        self.assertGreater(losses["slow_client"], 20)
        self.assertEqual((len(slow.resyncs), good.resyncs), (1, []))
        self.assertLess(began, slow.resyncs[0]["to_ms"])
        page = metrics(f"http://127.0.0.1:{collector.http}/metrics")
        self.assertEqual(page['netscope_dropped_records_total{stage="feed",name="",reason="slow_client"}'], passed - reached)
        self.assertEqual(page["netscope_collector_live_resyncs_total"], 1)


if __name__ == "__main__":
    main()
