"""What deploy/ ships: units that are hardened, a compose file without shortcuts, images that hold what programs need."""
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import COLLECTOR, ROOT, SENSOR, main

UNITS = ("netscope-sensor.service", "netscope-collector.service")


def read(name):
    with open(os.path.join(ROOT, "deploy", name), encoding="utf-8") as file:
        return file.read()


def owners(program):
    """Debian packages of the libraries that the program itself names."""
    needed = subprocess.run(["objdump", "-p", program], capture_output=True, text=True, check=True).stdout
    found = set()
    for library in re.findall(r"NEEDED\s+(\S+)", needed):
        listing = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True).stdout
        names = [line.split(":")[0] for line in listing.splitlines() if "lib32" not in line]
        if names:
            found.add(names[0])
    return found


class Units(unittest.TestCase):
    def test_exposure_is_low(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        for unit in UNITS:
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20",
                                   os.path.join(ROOT, "deploy", "systemd", unit)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-300:] + done.stderr)

    def test_keys_are_known(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        for unit in UNITS:
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                                   os.path.join(ROOT, "deploy", "systemd", unit)], capture_output=True, text=True)
            self.assertNotRegex(done.stdout + done.stderr, r"Unknown (key|section|lvalue)|Failed to parse")

    def test_what_is_missing_at_the_start_is_waited_for(self):
        for unit in UNITS:
            section = read(f"systemd/{unit}").split("[Service]")
            self.assertIn("\nStartLimitIntervalSec=0\n", section[0], unit)
            self.assertRegex(section[1], r"\nRestart=on-failure\nRestartSec=\d+s\n", unit)

    def test_only_the_sensor_has_a_capability_and_only_one(self):
        self.assertIn("\nCapabilityBoundingSet=CAP_NET_RAW\n", read("systemd/netscope-sensor.service"))
        self.assertIn("\nCapabilityBoundingSet=\n", read("systemd/netscope-collector.service"))


class Containers(unittest.TestCase):
    def test_images_install_the_libraries_that_the_programs_need(self):
        text = read("Containerfile")
        runtime = text.split("AS runtime")[1].split("FROM runtime AS sensor")
        sensor, collector = runtime[1].split("FROM runtime AS collector")
        for program, stage in ((SENSOR, sensor), (COLLECTOR, collector)):
            if not os.access(program, os.X_OK):
                self.skipTest(f"{program} is not built")
            # What every Debian has, or what libgrpc29 itself depends on.
            given = {"libc6", "libgcc-s1", "libstdc++6", "libssl3", "zlib1g"}
            for package in owners(program) - given:
                self.assertIn(package, runtime[0] + stage, os.path.basename(program))

    def test_compose_gives_no_more_than_is_needed(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("no python3-yaml")
        services = yaml.safe_load(read("compose.yaml"))["services"]
        for name in ("collector", "sensor", "sensor-kafka"):
            self.assertEqual(services[name]["cap_drop"], ["ALL"])
            self.assertEqual(services[name].get("cap_add", []), [] if name == "collector" else ["NET_RAW"])
            self.assertTrue(services[name]["read_only"])
            self.assertIn("TLS_CLIENT_CA" if name == "collector" else "CERTIFICATE", str(services[name]["environment"]))
        self.assertEqual(services["kafka"]["profiles"], ["kafka"])

    def test_nothing_shipped_says_insecure(self):
        for folder in ("deploy", "config"):
            for path, _, files in os.walk(os.path.join(ROOT, folder)):
                for name in files:
                    with open(os.path.join(path, name), encoding="utf-8") as file:
                        self.assertNotRegex(file.read(), r"(?i)insecure['\"]?\s*[:=]\s*['\"]?true", name)


if __name__ == "__main__":
    main()
