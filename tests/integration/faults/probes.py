"""The two ends of the collector stream as processes (ingest_probe), and what they left behind."""
import os
import signal
import struct
import subprocess

from support.programs import PATIENCE, free_port

PROGRESS_BYTES = 48


def words(line):
    """'a 1 b 2' -> {'a': '1', 'b': '2'}; numbers as int."""
    parts = line.split('error "')[0].split()
    return {key: int(value) if value.isdigit() else value for key, value in zip(parts[::2], parts[1::2])}


class ProbeSensor:
    """Feeds synthetic records through the sensor's own sink; may be killed and started again on its spool."""

    def __init__(self, probe, name, folder, port, rate, *settings, host="127.0.0.1", prefix=()):
        self.host, self.prefix = host, list(prefix)
        self.probe, self.name, self.port, self.rate, self.settings = probe, name, port, rate, settings
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        self.spool = os.path.join(self.folder, "spool")
        self.progress = os.path.join(self.folder, "progress")
        self.process = None

    def start(self, records=1_000_000_000, flush_seconds=90, environment=None):
        with open(self.progress, "wb") as file:
            file.write(bytes(PROGRESS_BYTES))
        self.process = subprocess.Popen(
            [*self.prefix, self.probe, "sensor", f"{self.host}:{self.port}", str(records), str(int(self.rate)), "backoff_max=500ms",
             f"spool.directory={self.spool}", *self.settings],
            env={**os.environ, "PROBE_SENSOR_ID": self.name, "PROBE_FLUSH_SECONDS": str(flush_seconds),
                 "PROBE_PROGRESS": self.progress, **(environment or {})},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def shown(self):
        """(the last flow that was numbered, boot, records acknowledged), as the probe's struct progress has them."""
        with open(self.progress, "rb") as file:
            return struct.unpack("=Q32sQ", file.read(PROGRESS_BYTES).ljust(PROGRESS_BYTES, b"\0"))

    def numbered(self):
        return self.shown()[0]

    def boot(self):
        return self.shown()[1].rstrip(b"\0").decode()

    def acked(self):
        return self.shown()[2]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self, seconds=120):
        """SIGTERM, and what it told at its end."""
        self.process.send_signal(signal.SIGTERM)
        return self.end(seconds)

    def end(self, seconds=120):
        out, err = self.process.communicate(timeout=seconds * PATIENCE)
        if self.process.returncode != 0:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{out}{err[-2000:]}")
        self.said = err
        return words(out)

    def spooled(self):
        """{boot: what of it is in the files of the spool}."""
        done = subprocess.run([self.probe, "spool", os.path.join(self.spool, "collector")], capture_output=True, text=True)
        if done.returncode != 0:
            # Killed before it made the folders: then it has numbered nothing, and none did before it.
            assert "No such file" in done.stderr and self.numbered() == 0, done.stderr
            return {}
        rows = [words(line) for line in done.stdout.splitlines()[1:]]
        return {row["boot"]: row for row in rows}


class ProbeCollector:
    """ingest over a store that only counts; its log stays whole and can be scanned."""

    def __init__(self, probe, folder, listen="127.0.0.1:0", settings=(), prefix=(), environment=None):
        self.prefix, self.environment = list(prefix), environment
        host, port = listen.rsplit(":", 1)
        self.listen = listen if port != "0" else f"{host}:{free_port()}"  # it may be started again there
        self.probe, self.folder, self.settings = probe, folder, settings
        self.start()

    def start(self):
        self.process = subprocess.Popen([*self.prefix, self.probe, "collector", self.folder, self.listen, *self.settings],
                                        env={**os.environ, **(self.environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("port "), (line, self.process.stderr.read())
        self.port = int(line.split()[1])
        self.listen = f"{self.listen.rsplit(':', 1)[0]}:{self.port}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60 * PATIENCE)
        assert self.process.returncode == 0, (self.process.returncode, err)
        return words(out), err

    def scan(self):
        """(sums, {boot: row})"""
        done = subprocess.run([self.probe, "scan", self.folder], check=True, capture_output=True, text=True)
        lines = [words(line) for line in done.stdout.splitlines()]
        return lines[0], {row["boot"]: row for row in lines[1:]}
