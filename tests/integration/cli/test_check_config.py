#!/usr/bin/env python3
"""--check-config: what would stop the start is told with the place, and what would not is taken."""
import os
import subprocess
import tempfile
import unittest

BIN = os.environ["NETSCOPE_BIN"]


def check(program, text):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NETSCOPE_")}
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "a.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([os.path.join(BIN, program), "--config", "a.yaml", "--check-config"], cwd=folder,
                              env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr.removeprefix(f"{program}: ").strip()


class CheckConfig(unittest.TestCase):
    def refused(self, program, text, *words):
        status, message = check(program, text)
        self.assertEqual(status, 2, message)
        for word in words:
            self.assertIn(word, message)

    def test_a_filter_that_is_none_is_told_with_its_line(self):
        self.refused("netscope-sensor", "capture:\n  filter: tcp prt 80\n", "a.yaml:2: ", "syntax error")
        for text in ("tcp port 80", "vlan and tcp", "wlan type mgt", ""):
            self.assertEqual(check("netscope-sensor", f"capture:\n  filter: '{text}'\n"), (0, ""), text)

    def test_a_section_of_the_other_program_is_called_so(self):
        self.refused("netscope-sensor", "web:\n  port: 1\n", "a.yaml:1: unknown key 'web': it is one of netscope-collector")
        self.refused("netscope-collector", "capture: {}\n", "unknown key 'capture': it is one of netscope-sensor")

    def test_a_login_and_tls_need_what_they_are_made_of(self):
        self.refused("netscope-collector", "web:\n  tls:\n    enabled: true\n", "web.tls.cert_path", "--tls-key")
        self.refused("netscope-collector", "web:\n  auth:\n    enabled: true\n", "web.auth.username", "web.token_file")
        self.refused("netscope-collector", "web:\n  auth: {enabled: true, password_file: x}\n", "web.auth.username")

    def test_a_name_that_no_collector_takes_is_refused_here(self):
        for name in ("a b", "a\\tb", " "):
            self.refused("netscope-sensor", f'sensor:\n  id: "{name}"\n', "a.yaml:2: ", "sensor.id: ", "space")
        for name in ("paris-1", "höhe.7_b", ""):
            self.assertEqual(check("netscope-sensor", f'sensor:\n  id: "{name}"\n'), (0, ""), name)

    def test_what_is_set_and_does_nothing_is_told_and_taken(self):
        for text, *words in (("capture:\n  loop: true\n", "setting=capture.loop", "missing=capture.read_pcap"),
                             ("capture:\n  pace: true\n", "setting=capture.pace"),
                             ("pipeline:\n  lossless: true\n", "setting=pipeline.lossless"),
                             ("output:\n  write_pcap_rotate: 5MB\n", "missing=output.write_pcap"),
                             ("analysis:\n  alerts_jsonl: x\n  anomalies: {enabled: false}\n", "detection is off")):
            status, message = check("netscope-sensor", text)
            self.assertEqual((status, message.count("level=warn")), (0, 1), message)
            for word in words:
                self.assertIn(word, message)
        for text in ("capture: {loop: true, pace: true, read_pcap: [x.pcap]}\n", "analysis:\n  alerts_jsonl: x\n"):
            self.assertEqual(check("netscope-sensor", text), (0, ""), text)


if __name__ == "__main__":
    unittest.main()
