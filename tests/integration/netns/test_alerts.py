"""Live or replayed, the same alerts: attacks that go over a wire raise what the file of the same frames raises, with one
shard and with four: kind, attackers, victims and counts.

Root only (77 else). One namespace with this process' id in its name; what was started is ended by id.
"""
import json
import os
import signal
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.netns import inside, send_frames, wire_for
from support.programs import PATIENCE, SENSOR, Program, echo, json_lines, main, sensor, tcp, udp, write_pcap

PREFIX = f"nsalerts{os.getpid()}"
INSIDE = inside(PREFIX)
SYN, SYN_ACK, RST_ACK, ACK = 0x02, 0x12, 0x14, 0x10


def traffic():
    """(seconds, frame) in order: a vertical and a horizontal scan, a sweep, a flood from many sources; and a browser."""
    frames = []
    for i in range(40):
        at = 0.3 + i * 0.05
        frames.append((at, tcp("10.0.0.5", 40000 + i, "10.0.0.9", 100 + i, SYN, 1)))
        if i % 4 == 0:
            frames.append((at + 0.01, tcp("10.0.0.9", 100 + i, "10.0.0.5", 40000 + i, RST_ACK, 0, 2)))
        frames.append((at + 0.02, tcp("198.51.100.7", 50000 + i, f"10.0.1.{i + 1}", 445, SYN, 1)))
        frames.append((at + 0.03, echo("10.0.0.6", f"10.0.2.{i + 1}", sequence=i)))
        for k in range(12):  # 480 of 120 sources
            frames.append((at + 0.03 + k * 0.001, tcp(f"203.0.113.{(i * 12 + k) % 120 + 1}", 1024 + i * 12 + k, "10.0.0.80", 80,
                                                      SYN, 1)))
        server = f"192.0.2.{i + 1}"
        for step, (source, flags) in enumerate((("c", SYN), ("s", SYN_ACK), ("c", ACK))):
            ends = ("10.0.0.7", 30000 + i, server, 443) if source == "c" else (server, 443, "10.0.0.7", 30000 + i)
            frames.append((at + 0.045 + step * 0.001, tcp(*ends, flags, 1, 1)))
    for second in range(6):  # time goes on, so that all is decided
        frames.append((3 + second, udp("10.0.0.7", 40000, "10.0.0.53", 514, b"x")))
    return sorted(frames, key=lambda frame: frame[0])


def told(alerts):
    """What must be the same: the last that was told of each incident."""
    newest = {alert["alert_id"]: alert for alert in alerts}
    return sorted((a["detail"], tuple(sorted(json.dumps(e) for e in a.get("attackers", [])))
                   if a["detail"] != "syn_flood" else "many", json.dumps(a.get("victims", [])[:1]), a["observed"],
                   a["severity"]) for a in newest.values())


class Alerts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        wire_for(cls, PREFIX)
        cls.frames = traffic()
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        path = write_pcap(f"{cls.temporary.name}/attacks.pcap", cls.frames)
        done = sensor("--read-pcap", path, "--quiet", "--sensor-id", "one", "--alerts-jsonl", "-")
        assert done.returncode == 0, done.stderr
        cls.replayed = told(json_lines(done.stdout))

    def test_the_file_has_the_four_attacks(self):
        self.assertEqual([row[0] for row in self.replayed],
                         ["host_sweep", "port_scan_horizontal", "port_scan_vertical", "syn_flood"])
        self.assertEqual([row[3] for row in self.replayed], [40, 40, 40, 480])

    def check(self, shards):
        path = f"{self.temporary.name}/live-{shards}.jsonl"
        program = Program(SENSOR, "-i", "cap0", "--quiet", "--sensor-id", "one", "--shards", shards, "--alerts-jsonl", path,
                          "--grpc-listen", "127.0.0.1:0", prefix=INSIDE, awaited=True,
                          environment={"NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_CAPTURE__BUFFER_SIZE": "8MiB",
                                       "NETSCOPE_ANALYSIS__ANOMALIES__WARM_UP": "0s"})
        self.addCleanup(program.stop)
        send_frames(PREFIX, self.frames)
        time.sleep(2 * PATIENCE)
        program.stop(signal.SIGINT)
        self.assertIn("kernel drops: 0", program.text())
        self.assertEqual(told(json_lines(path)), self.replayed, program.text()[-2000:])

    def test_live_with_one_shard(self):
        self.check(1)

    def test_live_with_four_shards(self):
        self.check(4)


if __name__ == "__main__":
    main()
