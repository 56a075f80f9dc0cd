"""The collector stream: records in, memory of a connection, a fleet that comes back at once. Standard library only.

Rows of `./netscope bench`; alone: stream.py BUILD. Floors are those of docs/performance.md; a row says whether it
holds. CPU figures of one run are comparable with each other, not with those of another run or machine.
"""
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CERTS = os.path.join(HERE, "..", "support", "certs.sh")
RECORDS = 300_000
TURNS = 5
FLOWS = {"plain": 147, "typical": 406}  # bytes of a record
FLEET = 500
SMALL = 50


def verdict(value, asked, floor=0.0):
    """FLOOR: it does not hold, and what it stands on (measured in the same turns) takes more than is asked all by itself.
    MISSED: it does not hold, and it could."""
    return "ok" if value <= asked else "FLOOR" if floor > asked else "MISSED"


def words(line):
    parts = line.split('error "')[0].split()
    return dict(zip(parts[::2], parts[1::2]))


class Collector:
    """ingest over a store that only counts."""

    def __init__(self, build, place, *settings):
        self.command = [f"{build}/bin/ingest_probe", "collector", f"{place}/log"]
        self.settings = settings
        self.start("127.0.0.1:0")

    def start(self, listen):
        self.process = subprocess.Popen([*self.command, listen, *self.settings], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.address = f"127.0.0.1:{self.process.stdout.readline().split()[1]}"

    def restart(self):
        self.process.kill()
        self.process.communicate()
        self.start(self.address)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return words(self.process.communicate(timeout=120)[0])

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def make_certificates(place, sensors=0):
    """Those of certs.sh, and one for each simulated sensor."""
    subprocess.run(["/bin/sh", CERTS, place], check=True)
    for i in range(sensors):
        name = f"{place}/load-{i}"
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                        "-out", f"{name}.csr", "-subj", f"/CN=load-{i}"], check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", f"{place}/ca.pem", "-CAkey", f"{place}/ca.key",
                        "-CAcreateserial", "-out", f"{name}.pem", "-days", "30"], check=True, capture_output=True)


def server_tls(certs):
    return [f"tls_certificate={certs}/server.pem", f"tls_key={certs}/server.key", f"tls_client_ca={certs}/ca.pem"]


def ingest_turn(build, place, collector_settings, sensor_settings, sensor_id, flows):
    """ns CPU a record: receive and decode, log, the sensor with making them."""
    with tempfile.TemporaryDirectory(dir=place) as log:
        collector = Collector(build, log, *collector_settings)
        sensor = subprocess.run([f"{build}/bin/ingest_probe", "sensor", collector.address, str(RECORDS), "0", "spool=1GiB",
                                 *sensor_settings], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                timeout=300, env={**os.environ, "PROBE_SENSOR_ID": sensor_id, "PROBE_FLUSH_SECONDS": "120", "PROBE_FLOWS": flows})
        told = collector.end()
    if sensor.returncode != 0 or int(told["records"]) < RECORDS:
        sys.exit(f"bench: ingest_probe failed: {sensor.stdout}")
    whole, log_ns = float(told["cpu_ns_per_record"]), float(told["log_ns_per_record"])
    return whole - log_ns, log_ns, float(words(sensor.stdout)["cpu_ns_per_record"])


def receive_floor(build, record_bytes, certs):
    """ns CPU a record of gRPC alone that receives as many bytes from gRPC alone."""
    told = subprocess.run([f"{build}/bin/export_bench", "floor", str(record_bytes), *certs], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, timeout=300)
    if told.returncode != 0:
        sys.exit("bench: export_bench floor failed")
    return float(words(told.stdout)["received"])


def ingest_rows(build, place, certs):
    """All rows in turns, medians: 512 flows a message."""
    mutual = (server_tls(certs), [f"ca={certs}/ca.pem", f"certificate={certs}/client.pem", f"key={certs}/client.key"], "sensor-7")
    ways = {"plaintext": (400, ([], [], "bench")), "mTLS": (550, mutual)}
    turns = {(flows, way): [] for flows in FLOWS for way in ways}
    for _ in range(TURNS):
        for (flows, way), figures in turns.items():
            figures.append((*ingest_turn(build, place, *ways[way][1], flows),
                            receive_floor(build, FLOWS[flows], [certs] if way == "mTLS" else [])))
    for (flows, way), figures in turns.items():
        receive, log, sensor, floor = (statistics.median(column) for column in zip(*figures))
        asked = ways[way][0]
        print(f"  ingest, {way}, records of {FLOWS[flows]} bytes: receive and decode {receive:.0f} ns CPU a record (at most {asked}: "
              f"{verdict(receive, asked, floor)}; gRPC alone {floor:.0f}), log {log:.0f} ns; sensor {sensor:.0f} ns with making them")


class Fleet:
    def __init__(self, build, collector, count, *settings):
        self.process = subprocess.Popen([f"{build}/bin/stream_load", collector.address, str(count), *settings],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.first_ms = self.read("connected")

    def read(self, what):
        line = self.process.stdout.readline().split()
        if not line or line[0] != what:
            sys.exit(f"bench: stream_load: {line}")
        return int(line[1])

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        return self.read(what)

    def end(self):
        self.process.stdin.close()
        told = words(self.process.stdout.read().strip())
        self.process.wait(timeout=120)
        return told


def fleet_rows(build, place, certs, count):
    settings = [f"ca={certs}/ca.pem", f"certificate={certs}/%.pem", f"key={certs}/%.key", "spool.directory=memory"]
    os.mkdir(f"{place}/fleet")
    collector = Collector(build, f"{place}/fleet", *server_tls(certs))
    few = Fleet(build, collector, 10, *settings)  # what the first connections make is there for all
    few.end()
    before = collector.resident_bytes()
    fleet = Fleet(build, collector, count, *settings)
    time.sleep(2)
    each = (collector.resident_bytes() - before) / count
    print(f"  {count} sensors by mTLS: {each / 1000:.0f} kB of the collector a connection (at most 150: {verdict(each, 150_000)}), "
          f"the first time connected after {fleet.first_ms} ms with their start")
    collector.process.kill()
    fleet.ask("gone")
    begin = time.monotonic()
    collector.restart()
    fleet.ask("back")
    seconds = time.monotonic() - begin
    print(f"  {count} sensors by mTLS, collector killed and started again: all back within {seconds:.1f} s (at most 10: "
          f"{verdict(seconds, 10)})")
    told = fleet.end()
    if told["owed"] != "0":
        sys.exit(f"bench: stream_load: {told}")
    collector.end()


def run_stream(build, quick=False):
    programs = [f"{build}/bin/{name}" for name in ("ingest_probe", "stream_load", "export_bench", "spool_bench")]
    print("\ncollector stream and gRPC export (stream.py)")
    if not all(os.access(path, os.X_OK) for path in programs):
        print("  SKIP: not built")
        return
    with tempfile.TemporaryDirectory() as place:
        certs = f"{place}/certs"
        os.mkdir(certs)
        fleet = SMALL if quick else FLEET
        make_certificates(certs, fleet)
        for command in ([programs[3]], [programs[2], certs]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=300)
            for line in done.stdout.splitlines():
                print(f"  {line}")
            if done.returncode != 0:
                sys.exit(f"bench: {command[0]}: exit {done.returncode}")
        ingest_rows(build, place, certs)
        fleet_rows(build, place, certs, fleet)


if __name__ == "__main__":
    run_stream(sys.argv[1] if len(sys.argv) > 1 else "build/release", "--quick" in sys.argv)
