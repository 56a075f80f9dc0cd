"""Captures of a flow and of an alert: the collector makes the filter and asks the sensors that saw it; what comes is the
packets of that flow, or of whom the alert names, and no others.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import ACK, FIN, PSH, SKIPPED, SYN, ethernet, main, tcp, udp, wait_until

try:
    from support.captures import read_pcapng
except ImportError:
    print("SKIP: python3-grpcio and python3-protobuf are not installed")
    sys.exit(SKIPPED)
from test_captures import START_NS, pcapng, record
from test_collector_captures import LOOKER, Sensor
from test_kept_captures import KeptCase

MS = 10**6
CLIENT, SERVER, SCANNER, VICTIM = "10.9.0.1", "10.9.0.2", "10.66.6.6", "10.9.0.9"


def tagged(frame, vlan):
    return frame[:12] + bytes.fromhex("8100") + vlan.to_bytes(2, "big") + frame[12:]


def connection(port):
    down, up = (CLIENT, port, SERVER, 80), (SERVER, 80, CLIENT, port)
    return [tcp(*down, SYN, 100), tcp(*up, SYN | ACK, 500, 101), tcp(*down, ACK, 101, 501), tcp(*down, PSH | ACK, 101, 501, b"ask"),
            tcp(*up, ACK, 501, 104), tcp(*down, FIN | ACK, 104, 501), tcp(*up, FIN | ACK, 501, 105), tcp(*down, ACK, 105, 502)]


class Subjects(KeptCase):
    def setUp(self):
        super().setUp()
        self.at = START_NS + 10**9

    def of(self, frames):
        """The frames as records of a pcap file, a millisecond apart."""
        out = b""
        for frame in frames:
            self.at += MS
            out += record(self.at, frame)
        return out

    def later(self, seconds=300):
        """Packets from so much later that what came before is reported, for each shard."""
        self.at += seconds * 10**9
        return self.of(udp("10.9.9.9", 9 + n, "10.9.9.8", 9) for n in range(20))

    def join(self, name, **more):
        sensor = Sensor(self.collector, name, **more)
        self.addCleanup(sensor.__exit__)
        return sensor

    def refuse(self, body, status, reason, words):
        code, answer, _ = self.ask("POST", "/v1/captures", body)
        self.assertEqual((code, answer["reason"]), (status, reason), answer)
        self.assertRegex(answer["detail"], words)

    def flow_of(self, port, sensors):
        def seen():
            found = [one for one in self.ask("GET", "/v1/flows?from=0&dedup=ALL&page_size=1000", token=LOOKER)[1]["flows"]
                     if one.get("client", {}).get("port") == port]
            return found[0] if {one["sensor_id"] for one in found} == sensors else None
        return wait_until("the flow", seen)

    def test_a_flow_is_captured_by_all_that_saw_it(self):
        edge, core, far = (self.join(name) for name in ("edge", "core", "far"))
        before = self.of(connection(40000)) + self.later()
        for sensor in (edge, core):
            sensor.write(before)
        far.write(self.of(connection(40001)))
        flow = self.flow_of(40000, {"edge", "core"})
        status, answer, _ = self.ask("POST", "/v1/captures", {"flow_id": flow["flow_id"], "max_duration": "60s"})
        self.assertEqual(status, 200, answer)
        capture = answer["capture"]
        self.assertEqual({one["sensor_id"] for one in capture["sensors"]}, {"edge", "core"})
        self.assertEqual(capture["flow_id"], flow["flow_id"])
        self.assertIn(f"tcp and host {CLIENT} and host {SERVER} and port 40000 and port 80", capture["bpf"])
        wanted = [*connection(40000)[:3], tagged(connection(40000)[3], 7), tagged(tagged(connection(40000)[4], 7), 8)]
        others = [*connection(40002), udp(CLIENT, 40000, SERVER, 80, b"x"), tagged(connection(40003)[3], 7)]
        after = self.of([frame for pair in zip(wanted, others) for frame in pair])
        for sensor in (edge, core):
            sensor.write(after)
            sensor.close()
        ended = self.await_end(capture)
        self.assertEqual((ended["state"], int(ended["summary"]["packets"])), ("CAPTURE_STATE_ENDED", 2 * len(wanted)))
        packets = read_pcapng(self.file(capture))[1]
        for name in ("edge", "core"):
            self.assertEqual([one.data for one in packets if one.interface.startswith(f"{name}:")], wanted)
        self.assertEqual(self.ask("GET", "/v1/captures")[1]["captures"], [ended])
        # Who is named captures, whoever saw it.
        status, answer, _ = self.ask("POST", "/v1/captures", {"flow_id": flow["flow_id"], "sensor_id": "far"})
        self.assertEqual((status, [one["sensor_id"] for one in answer["capture"]["sensors"]]), (200, ["far"]), answer)
        self.refuse({"flow_id": flow["flow_id"], "bpf": "tcp"}, 400, "TWO_CHOICES", "one of bpf, flow_id and alert_id")
        self.refuse({"flow_id": "12"}, 400, "BAD_ID", "flow_id")
        self.refuse({"flow_id": "0" * 16}, 404, "NO_SUCH_FLOW", "not in the history")
        self.refuse({"flow_id": flow["flow_id"], "sensor_id": "nobody"}, 404, "NO_SUCH_SENSOR", "nobody")

    def test_a_sensor_without_vlan_tags_takes_the_rest_of_the_filter(self):
        kinds = [("tun0", 101)]
        raw = self.join("raw", head=pcapng(kinds, [(0, START_NS, udp("10.9.9.9", 9, "10.9.9.8", 9)[14:])]))
        frames = connection(40000)
        whole = pcapng(kinds, [(0, START_NS + 10**9 + i * MS, frame[14:]) for i, frame in enumerate(frames)])
        head = len(pcapng(kinds, []))
        raw.write(whole[head:] + pcapng(kinds, [(0, START_NS + 300 * 10**9, udp("10.9.9.9", 9, "10.9.9.8", 9)[14:])])[head:])
        flow = self.flow_of(40000, {"raw"})
        status, answer, _ = self.ask("POST", "/v1/captures", {"flow_id": flow["flow_id"]})
        self.assertEqual(status, 200, answer)
        capture = answer["capture"]
        self.assertTrue(capture["sensors"][0]["without_vlan"])
        raw.write(pcapng(kinds, [(0, START_NS + 400 * 10**9 + i * MS, frame[14:])
                                 for i, frame in enumerate(frames + connection(40001))])[head:])
        raw.close()
        self.await_end(capture)
        self.assertEqual([one.data for one in read_pcapng(self.file(capture))[1]], [frame[14:] for frame in frames])

    def test_an_alert_is_captured_by_those_that_raised_it(self):
        edge = self.join("edge")
        self.join("core")

        tried = 0

        def raised():
            nonlocal tried
            edge.write(self.of(tcp(SCANNER, 50000 + n, VICTIM, 1000 + n, SYN, 1) for n in range(tried, tried + 100)) + self.later(seconds=1))
            tried += 100
            found = [one for one in self.ask("GET", "/v1/alerts?state=all&from=0", token=LOOKER)[1]["alerts"]
                     if one["kind"] == "ALERT_KIND_PORT_SCAN_VERTICAL"]
            return found[0] if found else None
        alert = wait_until("the alert", raised)
        wait_until("all that was written", lambda: edge.processed() == 1 + tried + tried // 100 * 20)
        status, answer, _ = self.ask("POST", "/v1/captures", {"alert_id": alert["alert_id"], "max_packets": "20"})
        self.assertEqual(status, 200, answer)
        capture = answer["capture"]
        self.assertEqual(([one["sensor_id"] for one in capture["sensors"]], capture["alert_id"]), (["edge"], alert["alert_id"]))
        self.assertIn(f"(host {VICTIM} and host {SCANNER})", capture["bpf"])
        arp = ethernet(b"\0" * 28, 0x0806)
        wanted = [tcp(SCANNER, 50000, VICTIM, 3000, SYN, 1), udp(VICTIM, 5, SCANNER, 6, b"answer"), tagged(tcp(SCANNER, 1, VICTIM, 2, SYN, 1), 5)]
        edge.write(self.of([wanted[0], arp, tcp(SCANNER, 50000, SERVER, 80, SYN, 1), wanted[1], tcp(CLIENT, 1, VICTIM, 80, SYN, 1), wanted[2]]))
        edge.close()
        self.await_end(capture)
        self.assertEqual([one.data for one in read_pcapng(self.file(capture))[1]], wanted)
        self.refuse({"alert_id": "0190a0b0-0000-7000-8000-000000000001"}, 404, "NO_SUCH_ALERT", "not in the history")
        self.refuse({"alert_id": "x" * 100}, 400, "BAD_ID", "alert_id")
        self.refuse({"alert_id": alert["alert_id"], "flow_id": "0" * 16}, 400, "TWO_CHOICES", "alert_id")
        with open(f"{self.folder.name}/audit.log", encoding="utf-8") as lines:
            self.assertRegex(lines.read(), rf'"who":"ops".*StartCapture.*"started".*sensor=edge .*{SCANNER}')


if __name__ == "__main__":
    main()
