#!/usr/bin/env python3
"""The dashboard in Chromium against a real collector that a real sensor feeds with the demo traffic, and against one
that misbehaves.

    browser.py BIN_FOLDER NODE_MODULES SCREENSHOT_FOLDER

Starts both programs on free ports, waits for flows, alerts and packet samples, then runs tests/browser. 77 with the
reason where Chromium, node or the npm packages are missing.
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BIN, MODULES, SCREENSHOTS = (os.path.abspath(path) for path in sys.argv[1:4])
os.environ["NETSCOPE_BIN"] = BIN
sys.path[:0] = [os.path.join(HERE, ".."), HERE]

from fleet import Collector
from support.programs import COLLECTOR, ROOT, SENSOR, SKIPPED, Program, free_port, make_traffic, run, wait_until


def missing():
    if not os.path.exists(os.environ.get("CHROMIUM", "/usr/bin/chromium")):
        return "chromium is not installed"
    if shutil.which("node") is None:
        return "node is not installed"
    if not os.path.isdir(os.path.join(MODULES, "playwright-core")):
        return f"playwright-core is not in {MODULES}"
    return None if os.access(COLLECTOR, os.X_OK) else "netscope-collector is not built"


def guarded(folder):
    """A collector that asks for a login, and whom it lets in: a viewer."""
    users, config, password = os.path.join(folder, "users"), os.path.join(folder, "guarded.yaml"), "vera looks at it"
    done = run(COLLECTOR, "user", "add", "vera", "--role", "viewer", "--password-stdin", "--file", users,
               input_bytes=f"{password}\n".encode())
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    with open(config, "w", encoding="utf-8") as out:
        out.write(f"web: {{auth: {{enabled: true, users_file: {users}}}}}\n")
    home = os.path.join(folder, "guarded")
    os.mkdir(home)
    return Collector(home, arguments=("--config", config)), password


def main():
    reason = missing()
    if reason:
        print(f"SKIP: {reason}")
        return SKIPPED
    os.makedirs(SCREENSHOTS, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        capture, _ = make_traffic(folder, "demo")
        collector = Collector(folder)
        closed, password = guarded(folder)
        sensor = Program(SENSOR, "--read-pcap", capture, "--quiet", "--pace", "--loop", "--sensor-id", "demo", "--collector",
                         f"127.0.0.1:{collector.ingest}", "--grpc-listen", f"127.0.0.1:{free_port()}",
                         environment={"NETSCOPE_HTTP__PORT": str(free_port())})
        try:
            wait_until("flows and packet samples", lambda: len(collector.flows()) > 20 and
                       collector.fetch("/v1/packets?limit=1")["packets"], 60)
            wait_until("the port scan's alert", lambda: collector.fetch("/v1/alerts")["alerts"], 60)
            server = collector.flows()[0]["server"]["ip"]
            environment = {**os.environ, "NODE_PATH": MODULES, "NETSCOPE_DASHBOARD_URL": f"http://127.0.0.1:{collector.http}",
                           "NETSCOPE_EXPECT_SERVER_IP": server, "NETSCOPE_EXPECT_ALERTS": "1", "NETSCOPE_EXPECT_PACKETS": "1",
                           "NETSCOPE_LOGIN_URL": f"http://127.0.0.1:{closed.http}", "NETSCOPE_LOGIN_PASSWORD": password,
                           "NETSCOPE_SCREENSHOT_DIR": SCREENSHOTS}
            tests = [os.path.join(ROOT, "tests", "browser", f"{name}.test.mjs") for name in
                     ("dashboard", "overview", "failure", "triage", "captures", "login", "hosts", "sensors", "visual")]
            # One after the other: side by side two browsers share the processors, and each waits for the other.
            failed = [test for test in tests if subprocess.run(["node", "--test", test], env=environment, timeout=900).returncode != 0]
            if not failed and sensor.is_running():
                return 0
            print(sensor.text()[-2000:], collector.program.text()[-3000:])
            return 1
        finally:
            sensor.__exit__()
            collector.close()
            closed.close()


if __name__ == "__main__":
    sys.exit(main())
