"""What integration tests share: where the programs are, how they are started and ended, small captures.

Programs come from the folder in NETSCOPE_BIN. A process that a test starts belongs to a Program object, which ends
it by its id. Standard library only.
"""
import fcntl
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BIN = os.path.abspath(os.environ.get("NETSCOPE_BIN", os.path.join(ROOT, "build", "release", "bin")))
SENSOR = os.path.join(BIN, "netscope-sensor")
COLLECTOR = os.path.join(BIN, "netscope-collector")
TRAFFIC = os.path.join(BIN, "netscope-traffic")
# The shared test data.
CORPUS = os.environ.get("NETSCOPE_CORPUS") or os.path.join(ROOT, "..", "shared", "corpus")
SKIPPED = 77
# Sanitized programs are slower; a wait of one second may take this many.
PATIENCE = float(os.environ.get("NETSCOPE_TEST_PATIENCE", "1"))


def clean_environment(extra=None):
    """Without settings of whoever runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NETSCOPE_")}
    return {**kept, **(extra or {})}


def run(program, *arguments, environment=None, input_bytes=None, timeout=60):
    """Runs to the end; text of both outputs."""
    done = subprocess.run([program, *map(str, arguments)], input=input_bytes, capture_output=True,
                          stdin=subprocess.DEVNULL if input_bytes is None else None,
                          env=clean_environment(environment), timeout=timeout * PATIENCE)
    done.stdout_bytes = done.stdout
    done.stdout = done.stdout.decode(errors="replace")
    done.stderr = done.stderr.decode(errors="replace")
    return done


def sensor(*arguments, **options):
    return run(SENSOR, *arguments, **options)


def free_port():
    """One that no other test was given lately, and that the kernel gives to no connection: a program may be killed and
    started again on it. Tests that run at once take turns by a file."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first, last = 10_000, int(file.read().split()[0]) - 1
    if last - first < 5000:
        first, last = 1024, 65535
    path = os.path.join(tempfile.gettempdir(), f"netscope-test-port-{os.getuid()}")
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        text = turn.read()
        port = int(text) if text.isdigit() else random.randint(first, last)
        for _ in range(first, last):
            port = port + 1 if first <= port < last else first
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    continue
            with socket.socket() as probe:
                try:
                    probe.bind(("", port))
                except OSError:
                    continue
            turn.seek(0)
            turn.truncate()
            turn.write(str(port))
            return port
    raise AssertionError("no port is free")


def wait_until(what, condition, seconds=20):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Program:
    """A program in the background; its output goes to a file that a failure shows. With `awaited` it is returned
    when it has told its service manager that it is ready (sd_notify(3)): a live sensor captures then."""

    def __init__(self, *command, environment=None, prefix=(), awaited=False):
        self.output = tempfile.NamedTemporaryFile(prefix="netscope-", suffix=".log")
        self.command = [*prefix, *map(str, command)]
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            if awaited:
                path = os.path.join(folder, "notify")
                manager.bind(path)
                environment = {**(environment or {}), "NOTIFY_SOCKET": path}
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.output,
                                            stderr=subprocess.STDOUT, env=clean_environment(environment))
            if awaited:
                self.await_ready(manager)

    def await_ready(self, manager, seconds=30):
        manager.settimeout(0.1)
        end = time.monotonic() + seconds * PATIENCE
        while self.is_running() and time.monotonic() < end:
            try:
                if manager.recv(4096).startswith(b"READY=1"):
                    return
            except TimeoutError:
                pass
        text = self.text()
        self.__exit__()
        raise AssertionError(f"{self.command[0]} is not ready:\n{text[-2000:]}")

    def text(self):
        with open(self.output.name, encoding="utf-8", errors="replace") as lines:
            return lines.read()

    def is_running(self):
        return self.process.poll() is None

    def stop(self, number=signal.SIGTERM, seconds=30):
        """Ends it and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.command[0]} did not end on signal {number}:\n{self.text()[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.output.close()


def get(url, timeout=20 * PATIENCE):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def get_json(url):
    return json.loads(get(url))


def answers(url):
    try:
        get(url, timeout=2)
        return True
    except (urllib.error.URLError, OSError):
        return False


def metrics(url):
    """{name or name{labels}: value} of a Prometheus page."""
    values = {}
    for line in get(url).splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            values[name] = float(value)
    return values


def json_lines(path_or_text, is_growing=False):
    """Its objects; while a program still writes it, without a last line that has no end yet."""
    text = path_or_text
    if "\n" not in text and os.path.exists(text):
        with open(text, encoding="utf-8") as file:
            text = file.read()
    if is_growing:
        text = text[:text.rfind("\n") + 1]
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def delta_packets(record):
    return sum(int(record.get(way, {}).get("delta_packets", 0)) for way in ("forward", "reverse"))


def make_traffic(directory, workload, packets=0, flows=0, seed=1):
    """A file of netscope-traffic and what is in it."""
    path = os.path.join(directory, f"{workload}-{packets}-{flows}-{seed}.pcap")
    arguments = [workload, path, "-s", seed]
    arguments += ["-n", packets] if packets else []
    arguments += ["-f", flows] if flows else []
    done = run(TRAFFIC, *arguments)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return path, json.loads(done.stderr)


# ---- captures by hand ----

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1_700_000_000.0


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, target, protocol, payload, broken_checksum=False, ttl=64):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0x4000, ttl, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(target))
    sum16 = checksum(header) ^ (0x5555 if broken_checksum else 0)
    return header[:10] + struct.pack("!H", sum16) + header[12:] + payload


def ethernet(payload, ethertype=0x0800, vlan=None):
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    frame = bytes.fromhex("020000000002020000000001") + tag + struct.pack("!H", ethertype) + payload
    return frame.ljust(60, b"\0")


def tcp(source, source_port, target, target_port, flags, seq, ack=0, data=b"", **more):
    segment = struct.pack("!HHIIBBHHH", source_port, target_port, seq, ack, 0x50, flags, 64240, 0, 0) + data
    return ethernet(ipv4(source, target, 6, segment, **more))


def udp(source, source_port, target, target_port, data=b""):
    datagram = struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0) + data
    return ethernet(ipv4(source, target, 17, datagram))


def echo(source, target, is_reply=False, sequence=1):
    message = struct.pack("!BBHHH", 0 if is_reply else 8, 0, 0, 7, sequence) + bytes(32)
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return ethernet(ipv4(source, target, 1, message))


def dns_query(name, identifier=1):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return struct.pack("!HHHHHH", identifier, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)


def write_pcap(path, frames, link_type=1):
    """frames: (seconds after START, bytes)."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type))
        for offset, frame in frames:
            microseconds = round((START + offset) * 1_000_000)
            out.write(struct.pack("<IIII", microseconds // 1_000_000, microseconds % 1_000_000, len(frame), len(frame)))
            out.write(frame)
    return path


def read_pcap(path):
    """[(seconds, nanoseconds or microseconds, wire bytes, bytes)] of a classic file."""
    with open(path, "rb") as file:
        data = file.read()
    packets, at = [], 24
    while at + 16 <= len(data):
        seconds, fraction, captured, wire = struct.unpack_from("<IIII", data, at)
        packets.append((seconds, fraction, wire, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return packets


def main():
    """unittest.main, but a missing program is a skip (77)."""
    if not os.access(SENSOR, os.X_OK):
        print(f"SKIP: {SENSOR} is not built")
        sys.exit(SKIPPED)
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if result.wasSuccessful() and result.testsRun > 0 and len(result.skipped) == result.testsRun:
        print(f"SKIP: {result.skipped[0][1]}")
        sys.exit(SKIPPED)
    sys.exit(0 if result.wasSuccessful() else 1)
