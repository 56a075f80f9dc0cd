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


if __name__ == "__main__":
    unittest.main()
