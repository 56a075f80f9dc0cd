"""The collector stream between processes: killed collectors, credentials, a spool that is too small."""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")]
from support.programs import PATIENCE

PROBE, CERTS = sys.argv[1:3]
KILLS = 20
RECORDS = 200_000


def words(line):
    """'a 1 b 2' -> {'a': '1', 'b': '2'}"""
    parts = line.split('error "')[0].split()
    return dict(zip(parts[::2], parts[1::2]))


class Collector:
    def __init__(self, directory, listen="127.0.0.1:0", settings=()):
        self.process = subprocess.Popen(
            [PROBE, "collector", str(directory), listen, *settings],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("port "), (line, self.process.stderr.read())
        self.port = int(line.split()[1])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=30 * PATIENCE)
        assert self.process.returncode == 0, (self.process.returncode, err)
        return words(out), err


def start_sensor(address, records, rate, *settings, sensor_id="probe", flush_seconds=60, environment=None):
    return subprocess.Popen(
        [PROBE, "sensor", address, str(records), str(rate), *settings],
        env={**os.environ, "PROBE_SENSOR_ID": sensor_id, "PROBE_FLUSH_SECONDS": str(flush_seconds), **(environment or {})},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_sensor(process, status=0):
    out, err = process.communicate(timeout=120 * PATIENCE)
    assert process.returncode == status, (process.returncode, out, err)
    return words(out), err, out


def scan(directory):
    return words(subprocess.run([PROBE, "scan", str(directory)], check=True, capture_output=True, text=True).stdout.splitlines()[0])


def killed_collectors_lose_and_repeat_nothing(place):
    log = place / "killed"
    collector = Collector(log)
    sensor = start_sensor(f"127.0.0.1:{collector.port}", RECORDS, 20_000, "backoff_max=500ms")
    for number in range(KILLS):
        time.sleep(0.12 + 0.03 * (number % 7))
        collector.kill()
        collector = Collector(log, f"127.0.0.1:{collector.port}")
    told, _, _ = end_sensor(sensor)
    collector.stop()
    found = scan(log)
    print("killed:", told, found)
    assert told["owed"] == "0" and told["lost"] == "0", told
    for key in ("missing", "duplicates", "gap_records", "undecodable"):
        assert found[key] == "0", (key, found)
    for key in ("flows", "alerts", "stats"):
        assert found[key] == told[key], (key, found, told)
    assert int(found["records"]) >= RECORDS


def a_full_spool_tells_exactly_what_it_dropped(place):
    log = place / "full"
    collector = Collector(log)
    address = f"127.0.0.1:{collector.port}"
    collector.stop()
    sensor = start_sensor(address, 50_000, 100_000, "spool=1MiB")
    time.sleep(1.5)
    collector = Collector(log, address)
    told, _, _ = end_sensor(sensor)
    collector.stop()
    found = scan(log)
    print("full:", told, found)
    assert int(told["lost"]) > 0
    assert found["gap_records"] == told["lost"], (found, told)
    assert found["missing"] == "0" and found["duplicates"] == "0"
    total = sum(int(told[key]) for key in ("flows", "alerts", "stats"))
    assert int(found["records"]) + int(found["gap_records"]) == total


def certificates_bind_a_sensor_to_its_name(place):
    certs = place / "certs"
    certs.mkdir()
    subprocess.run(["/bin/sh", CERTS, str(certs)], check=True)
    collector = Collector(place / "tls", settings=[
        f"tls_certificate={certs}/server.pem", f"tls_key={certs}/server.key", f"tls_client_ca={certs}/ca.pem"])
    address = f"127.0.0.1:{collector.port}"

    def report(name, pair, ca="ca", flush=2, environment=None):
        settings = [f"ca={certs}/{ca}.pem"]
        if pair is not None:
            settings += [f"certificate={certs}/{pair}.pem", f"key={certs}/{pair}.key"]
        return start_sensor(address, 1000, 0, *settings, sensor_id=name, flush_seconds=flush, environment=environment)

    good = report("sensor-7", "client", flush=30)
    end_sensor(good)
    by_name = report("sensor-7.example", "client", flush=30)
    end_sensor(by_name)
    _, _, out = end_sensor(report("sensor-8", "client"), status=1)
    assert "PERMISSION_DENIED" in out, out
    _, _, out = end_sensor(report("sensor-7", "stranger"), status=1)
    assert "UNAVAILABLE" in out, out
    _, _, out = end_sensor(report("sensor-7", None), status=1)
    assert "UNAVAILABLE" in out, out
    _, _, out = end_sensor(report("sensor-7", "client", ca="other-ca"), status=1)
    assert "not signed by collector.ca" in out, out
    collector.stop()


def a_token_is_bound_to_its_sensor(place):
    tokens = place / "tokens"
    tokens.write_text("sensor-a aaaaaaaaaaaaaaaaaaaaaaaa\nsensor-b bbbbbbbbbbbbbbbbbbbbbbbb\n")
    tokens.chmod(0o600)
    mine = place / "mine"
    mine.write_text("aaaaaaaaaaaaaaaaaaaaaaaa\n")
    mine.chmod(0o600)
    wrong = place / "wrong"
    wrong.write_text("cccccccccccccccccccccccc\n")
    wrong.chmod(0o600)
    collector = Collector(place / "tokens-log", settings=[f"tokens_file={tokens}"])
    address = f"127.0.0.1:{collector.port}"
    end_sensor(start_sensor(address, 1000, 0, f"token_file={mine}", sensor_id="sensor-a"))
    _, _, out = end_sensor(start_sensor(address, 100, 0, f"token_file={mine}", sensor_id="sensor-b",
                                        flush_seconds=2), status=1)
    assert "PERMISSION_DENIED" in out, out
    _, _, out = end_sensor(start_sensor(address, 100, 0, f"token_file={wrong}", sensor_id="sensor-a",
                                        flush_seconds=2), status=1)
    assert "UNAUTHENTICATED" in out, out
    mine.chmod(0o644)
    _, err, _ = end_sensor(start_sensor(address, 100, 0, f"token_file={mine}", sensor_id="sensor-a"), status=1)
    assert "chmod 600" in err, err
    collector.stop()


def plaintext_leaves_the_machine_only_when_told(place):
    _, err, _ = end_sensor(start_sensor("192.0.2.1:50052", 10, 0), status=1)
    assert "collector.insecure" in err, err
    _, err, _ = end_sensor(start_sensor("127.example.com:50052", 10, 0), status=1)
    assert "not loopback" in err, err
    refused = subprocess.run([PROBE, "collector", str(place / "open"), "0.0.0.0:0"], capture_output=True, text=True)
    assert refused.returncode == 1 and "needs TLS and credentials" in refused.stderr, refused
    for address in "127.0.0.1:65536", "::1:0":  # no address at all: TLS would not help
        refused = subprocess.run([PROBE, "collector", str(place / "open"), address], capture_output=True, text=True)
        assert refused.returncode == 1 and "an address is host:port" in refused.stderr, refused


def a_second_collector_on_the_log_is_refused(place):
    collector = Collector(place / "twice")
    refused = subprocess.run([PROBE, "collector", str(place / "twice"), "127.0.0.1:0"], capture_output=True, text=True)
    assert refused.returncode == 1 and "in use by another process" in refused.stderr, refused
    refused = subprocess.run([PROBE, "collector", str(place / "other"), f"127.0.0.1:{collector.port}"],
                             capture_output=True, text=True)
    assert refused.returncode == 1 and "in use" in refused.stderr, refused
    collector.stop()


def main():
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        for test in (killed_collectors_lose_and_repeat_nothing, a_full_spool_tells_exactly_what_it_dropped,
                     certificates_bind_a_sensor_to_its_name, a_token_is_bound_to_its_sensor,
                     plaintext_leaves_the_machine_only_when_told, a_second_collector_on_the_log_is_refused):
            if len(sys.argv) > 3 and sys.argv[3] not in test.__name__:
                continue
            print("run", test.__name__, flush=True)
            test(place)
    print("all passed")


main()
