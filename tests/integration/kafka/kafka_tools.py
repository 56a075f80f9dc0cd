"""What the Kafka tests share: mock cluster, consumers and the partitioner, each program in its own process."""
import json
import os
import shutil
import subprocess
import tempfile
import time

PATIENCE = float(os.environ.get("NETSCOPE_TEST_PATIENCE", "1"))  # as in support/programs.py
FLOWS, ALERTS, STATS = (f"netscope.{name}.v1" for name in ("flows", "alerts", "stats"))
PARTITIONS = {FLOWS: 4, ALERTS: 3, STATS: 2}


def murmur2(data):
    """The hash of Kafka's default partitioner (org.apache.kafka.common.utils.Utils.murmur2), as uint32."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


class Cluster:
    """kafka-mock with the three topics; `say` gives it one command."""

    def __init__(self, folder, topics=True):
        self.folder = folder
        self.process = subprocess.Popen([os.path.join(folder, "kafka-mock"), "3"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.brokers = self.process.stdout.readline().strip()
        self.readers = []
        if topics:
            for name, count in PARTITIONS.items():
                self.say(f"topic {name} {count}")

    def say(self, command):
        self.process.stdin.write(command + "\n")
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise RuntimeError(f"kafka-mock: {command}: {answer}")

    def drain(self, form="protobuf"):
        topics = [str(word) for pair in PARTITIONS.items() for word in pair]
        reader = Reader([os.path.join(self.folder, "kafka-drain"), self.brokers, form, *topics])
        self.readers.append(reader)
        return reader

    def kcat(self, topic, template):
        reader = Reader(["kcat", "-C", "-E", "-q", "-u", "-b", self.brokers, "-t", topic, "-o", "beginning",
                         "-f", template])
        self.readers.append(reader)
        return reader

    def check(self, records, seconds, topics):
        """kafka-check in the background; `result_of` gives what it found."""
        words = [str(word) for pair in topics.items() for word in pair]
        return subprocess.Popen([os.path.join(self.folder, "kafka-check"), self.brokers, str(records), str(seconds),
                                 *words], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for reader in self.readers:
            reader.end()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=20 * PATIENCE)


class Reader:
    """A consumer whose lines go to a file, so that no pipe can fill."""

    def __init__(self, command):
        self.file = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=self.file, stderr=subprocess.DEVNULL)

    def lines(self):
        self.file.flush()
        with open(f"/proc/self/fd/{self.file.fileno()}", encoding="utf-8", errors="replace") as copy:
            return copy.read().splitlines(keepends=True)

    def wait_for(self, count, seconds=30):
        """The lines once there are `count`, and half a second later, so that one too many shows too."""
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end and len(self.lines()) < count:
            time.sleep(0.1)
        time.sleep(0.5)
        return [line for line in self.lines() if line.endswith("\n")]

    def records(self, count, seconds=30):
        return [json.loads(line) for line in self.wait_for(count, seconds)]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.file.close()


def result_of(check, seconds=300):
    out, _ = check.communicate(timeout=seconds * PATIENCE)
    return json.loads(out)


def kept_contract(found, records):
    """Every record is there, the same each time it came, in order by key and in its key's partition."""
    same("records", found["unique"], records)
    for fault in ("differing", "disordered", "misplaced", "damaged"):
        same(fault, found[fault], 0)


def has_kcat():
    return shutil.which("kcat") is not None


def same(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: {found}, not {wanted}")


def run_cases(cases, names):
    failed = []
    for function in cases:
        if names and function.__name__ not in names:
            continue
        begin = time.monotonic()
        try:
            function()
            print(f"ok    {function.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
        except (AssertionError, RuntimeError, KeyError, ValueError, subprocess.SubprocessError) as error:
            failed.append(function.__name__)
            print(f"FAIL  {function.__name__}: {error}", flush=True)
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0
