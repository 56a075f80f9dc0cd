"""--compare: what another configuration makes of the same capture: alerts that appear, vanish, change and stay; and what
it refuses."""
import os
import sys
import tempfile
import unittest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")]
from support.programs import echo, main, sensor, tcp, udp, write_pcap

SYN = 0x02


def attacks():
    """30 ports of a host, 20 silent hosts swept, 300 SYN of 100 sources in two seconds."""
    frames = []
    for i in range(30):
        frames.append((0.1 + i * 0.05, tcp("10.0.0.5", 40000 + i, "10.0.0.9", 100 + i, SYN, 1)))
    for i in range(20):
        frames.append((0.12 + i * 0.05, echo("10.0.0.6", f"10.0.2.{i + 1}", sequence=i)))
    for i in range(300):
        frames.append((0.2 + i * 0.006, tcp(f"203.0.113.{i % 100 + 1}", 1024 + i, "10.0.0.80", 80, SYN, 1)))
    frames += [(3 + second, udp("10.0.0.7", 40000, "10.0.0.53", 514, b"x")) for second in range(3)]
    return sorted(frames, key=lambda frame: frame[0])


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.capture = write_pcap(f"{cls.temporary.name}/attacks.pcap", attacks())

    def settings(self, name, text):
        path = os.path.join(self.temporary.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("analysis:\n  anomalies:\n" + text)
        return path

    def compare(self, new, old, *more):
        return sensor("--read-pcap", self.capture, "--anomalies", "--quiet", "--config", self.settings("new.yaml", new),
                      "--compare", self.settings("old.yaml", old), *more)

    def test_the_same_settings_change_nothing(self):
        text = "    host_sweep:\n      enabled: true\n"
        done = self.compare(text, text)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip().splitlines()[-1],
                         "alerts: 3, before 3: 0 appear, 0 vanish, 0 change, 3 stay")
        self.assertEqual([line for line in done.stdout.splitlines() if line.split(":")[0] in ("appears", "vanishes", "changes")],
                         [])

    def test_what_appears_vanishes_and_changes_is_told(self):
        done = self.compare("    host_sweep:\n      levels:\n        medium: 21\n    syn_flood:\n      syn_threshold: 50\n",
                            "    port_scan:\n      unique_ports_threshold: 31\n      slow_ports_threshold: 100\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.strip().splitlines()
        self.assertEqual(lines[-1], "alerts: 2, before 2: 1 appear, 1 vanish, 1 change, 0 stay")
        self.assertTrue(any(line.startswith("appears: port_scan_vertical by 10.0.0.5: ") for line in lines), lines)
        self.assertTrue(any(line.startswith("vanishes: host_sweep by 10.0.0.6: ") for line in lines), lines)
        self.assertIn("changes: syn_flood at 10.0.0.80: medium, 300 of 200 -> high, 300 of 50 SYN", lines)

    def test_hints_are_no_alerts(self):
        done = self.compare("    host_sweep:\n      mode: log\n", "    host_sweep:\n      mode: alert\n")
        self.assertIn("vanishes: host_sweep by 10.0.0.6: ", done.stdout)
        self.assertIn("2, before 3", done.stdout)

    def test_a_wrong_file_is_refused_with_its_line(self):
        done = self.compare("    host_sweep:\n      mode: log\n", "    host_sweep:\n      levels:\n        high: 1\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn("old.yaml:5: analysis.anomalies.host_sweep: the levels must rise", done.stderr)
        done = sensor("--read-pcap", self.capture, "--anomalies", "--quiet", "--compare", "/nowhere/old.yaml")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/nowhere/old.yaml", done.stderr)

    def test_it_needs_a_capture_and_detection(self):
        old = self.settings("old.yaml", "    host_sweep:\n      mode: log\n")
        done = sensor("--read-pcap", self.capture, "--no-anomalies", "--quiet", "--compare", old)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--compare needs --read-pcap and detection that is on", done.stderr)


if __name__ == "__main__":
    main()
