"""A collector, and what it knows by REST: shared by the tests of the whole way."""
import glob
import os
import sqlite3
import subprocess
import tempfile
import urllib.parse

from support.programs import COLLECTOR, PATIENCE, Program, answers, free_port, get_json, metrics, wait_until


class Collector:
    """netscope-collector in a folder of its own; may be killed and started again on the same ports."""

    def __init__(self, folder, host="127.0.0.1", arguments=(), environment=None, prefix=()):
        self.folder, self.prefix, self.arguments, self.environment = folder, prefix, list(arguments), environment
        self.http, self.ingest, self.host = free_port(), free_port(), host
        self.program = None
        self.start()

    def start(self):
        self.program = Program(COLLECTOR, "--port", self.http, "--ingest-listen", f"{self.host}:{self.ingest}", "--data-dir",
                               os.path.join(self.folder, "store"), *self.arguments, environment=self.environment,
                               prefix=self.prefix)
        wait_until("the collector", lambda: self.is_ready() or not self.program.is_running())
        if not self.program.is_running():
            raise AssertionError(self.program.text())

    def fetch(self, path):
        """The JSON of a path; inside the collector's namespace where it has one."""
        url = f"http://127.0.0.1:{self.http}{path}"
        if not self.prefix:
            return get_json(url)
        import json
        done = subprocess.run([*self.prefix, "curl", "-sf", "--max-time", str(20 * PATIENCE), url], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{url}: curl {done.returncode}\n{self.program.text()[-2000:]}")
        return json.loads(done.stdout)

    def is_ready(self):
        if not self.prefix:
            return answers(f"http://127.0.0.1:{self.http}/healthz")
        return subprocess.run([*self.prefix, "curl", "-sf", "--max-time", "2", "-o", "/dev/null",
                               f"http://127.0.0.1:{self.http}/healthz"]).returncode == 0

    def flows(self, from_ms=0, to_ms=4_000_000_000_000):
        """Every flow in the store of each sensor, its newest record."""
        rows, token = [], ""
        while True:
            query = urllib.parse.urlencode({"from": from_ms, "to": to_ms, "page_size": 1000, "page_token": token,
                                            "dedup": "ALL"})
            answer = self.fetch(f"/v1/flows?{query}")
            rows += answer["flows"]
            token = answer.get("next_page_token", "")
            if not token:
                return rows

    def flow_packets(self, sensor=None):
        """Packets of all flows, by the totals of each flow's newest record."""
        return sum(int(flow.get(way, {}).get("total_packets", 0)) for flow in self.flows()
                   if sensor is None or flow["sensor_id"] == sensor for way in ("forward", "reverse"))

    def stored_packets(self):
        """Packets in the stored flow records, as it counts them itself."""
        return int(metrics(f"http://127.0.0.1:{self.http}/metrics")["netscope_collector_flow_packets_stored"])

    def sensors(self):
        return {row["sensor_id"]: row for row in self.fetch("/v1/sensors")["sensors"]}

    def close(self):
        self.program.__exit__()


def in_store(folder, table):
    """{boot: [record_seq, ...]} of all sensors."""
    found = {}
    for path in glob.glob(os.path.join(folder, "store", "**", "*.db"), recursive=True):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
            names = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            if not {table, "boots"} <= names:  # of another kind, or just being made: without boots no record is in it
                continue
            for boot, seq in base.execute(f"SELECT b.boot_id, t.seq FROM {table} t JOIN boots b ON t.boot_no=b.no"):
                found.setdefault(boot, []).append(seq)
    return found


def positions(folder):
    """{(boot, stream): next_seq}"""
    found = {}
    for path in glob.glob(os.path.join(folder, "store", "**", "*.db"), recursive=True):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
            for boot, stream, seq in base.execute("SELECT boot_id, stream, next_seq FROM positions"):
                found[boot, stream] = max(found.get((boot, stream), 0), seq)
    return found
