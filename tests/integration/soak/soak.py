"""A fleet that runs for long: what it takes stays what it was, and every packet is accounted for.

NETSCOPE_SOAK says for how many seconds (20; `./netscope soak` takes 3600). One collector with two sensors: one loops over a
mix of its own at its own speed, the other captures a wire on which a generator sends other traffic each round, with room
for fewer flows than come. All of it is in a network namespace of its own; without one (unshare(1)) there is no wire. Each round has clients that come and go: questions
by REST, followers by gRPC, one that is stopped and reads nothing, live feeds, connections that say nothing. Behind each
round, when they are gone, memory, files and threads of each process are read, and its ledger must be balanced.

Memory is judged where the run is long enough: the collector holds the last 15 minutes by the second, and for new streams the
last 3,600 statistics of all sensors, of which each sends one a second. Then it is full. (A sensor holds as many of its own: it
is full in an hour, and what it takes until then is within the bounds.)
Tables of detectors and flows are mapped whole at the start and touched as they fill, so the resident size of a process grows
for hours without anything growing. Judged is what can grow: blocks that malloc has given out (`used`), the memory that it has
for them (`heap`), and all that is mapped for writing beside it, touched or not (`mapped`).
"""
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end")]
from fleet import Collector
from support.live_client import LiveClient
from support.netns import command, lay_wire
from support.programs import BIN, PATIENCE, SENSOR, TRAFFIC, Program, free_port, get_json, main, metrics, run, wait_until

SECONDS = int(os.environ.get("NETSCOPE_SOAK", "20"))
ROUND = max(4, min(60, SECONDS // 15))
# STATS_MAX of proto/serve: what is held for new streams.
STATISTICS_HELD = 3600
# At least so long behind the warm-up.
JUDGED_SECONDS = 780
# A median of the last rounds above that of the first ones behind the warm-up.
GROWTH = 1.03
GROWTH_KB = 4096
RATE = 2000
CTL = os.path.join(BIN, "netscopectl")
GENERATOR = os.environ.get("NETSCOPE_VETH_GEN", os.path.join(BIN, "..", "tests", "veth_gen"))
IS_LIVE = os.environ.get("NETSCOPE_SOAK_INSIDE") == "1"
LOADS = [("-t", "-b", "-f", 300), ("-f", 20000), ("-6", "-f", 2000), ("-F", "-s", 1400, "-f", 100),
         ("-t", "-b", "-s", 1200, "-f", 5000), ("-g", "-f", 400)]
# Of the last five minutes, so that an answer stays as large as it was. {ms}, {time}: when those began.
QUESTIONS = [*((path, 200) for path in (
    "/v1/flows?from={ms}&page_size=200", "/v1/facets?from={ms}", "/v1/hosts?from={time}&limit=50", "/v1/map?from={time}",
    "/v1/services?from={time}&limit=50", "/v1/query:aggregate?from={time}&group_by=application&step=60s",
    "/v1/flows?from={ms}&filter=server.port%20%3D%20443", "/v1/timeseries?metric=bps&by=app&from={ms}&step=1000",
    "/v1/sensors", "/v1/alerts", "/v1/ledger", "/v1/status", "/metrics", "/")),
    ("/v1/flows?filter=(", 400), ("/v1/nothing", 404)]


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=20 * PATIENCE) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            error.read()
            return error.code


class Watched:
    """What one process takes, round by round. `url`: of its metrics."""

    def __init__(self, name, program, http):
        self.name, self.program, self.url, self.rounds = name, program, f"http://127.0.0.1:{http}/metrics", []

    def look(self):
        own = f"/proc/{self.program.process.pid}"
        with open(f"{own}/status", encoding="ascii", errors="replace") as status:
            fields = dict(line.split(":", 1) for line in status)
        with open(f"{own}/stat", encoding="ascii", errors="replace") as stat:
            ticks = sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
        used, free = (int(metrics(self.url)[f'netscope_heap_bytes{{state="{state}"}}']) // 1024 for state in ("used", "free"))
        now = {"kb": int(fields["RssAnon"].split()[0]), "used": used, "heap": used + free,
               "mapped": int(fields["VmData"].split()[0]) - used - free, "threads": int(fields["Threads"]),
               "files": len(os.listdir(f"{own}/fd")), "cpu": ticks / os.sysconf("SC_CLK_TCK")}
        self.rounds.append(now)
        return now


class Clients:
    """All kinds of them, for one round."""

    def __init__(self, soak):
        self.soak, self.is_over = soak, threading.Event()
        self.failures, self.times, self.frames = [], [], 0
        asked = [soak.collector.ingest, *(sensor.rpc for sensor in soak.sensors)]
        self.followers = [Program(CTL, "observe", "--follow", "-o", "jsonl", "-s", f"127.0.0.1:{port}") for port in [*asked, asked[0]]]
        self.followers[-1].process.send_signal(signal.SIGSTOP)
        self.silent = [socket.create_connection(("127.0.0.1", port))
                       for port in [*asked, soak.collector.http, *(sensor.http for sensor in soak.sensors)]]
        self.threads = [threading.Thread(target=self.guarded, args=(work,)) for work in (self.ask, self.read_feed)]
        for thread in self.threads:
            thread.start()

    def guarded(self, work):
        try:
            work()
        except Exception as error:  # told by the round
            self.failures.append(f"{work.__name__}: {error!r}")

    def ask(self):
        at = 0
        while not self.is_over.wait(0.2):
            path, wanted = QUESTIONS[at % len(QUESTIONS)]
            since = int(time.time()) - 300
            path = path.format(ms=1000 * since, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since)))
            begin = time.monotonic()
            status = status_of(f"http://127.0.0.1:{self.soak.collector.http}{path}")
            self.times.append(time.monotonic() - begin)
            assert status == wanted, (path, status)
            at += 1

    def read_feed(self):
        while not self.is_over.is_set():
            feed = LiveClient(self.soak.collector.http)
            try:
                feed.say(t="sub", id=1, rate_hz=5, topics={"totals": {}, "alerts": {}, "flows": {"top": 5}})
                for _ in range(10):
                    message = feed.message()
                    self.frames += 1
                    if "seq" in message:
                        feed.say(t="ack", seq=message["seq"])
                    if self.is_over.is_set():
                        break
            finally:
                feed.close()

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(timeout=30 * PATIENCE)
        for silent in self.silent:
            silent.close()
        for follower in self.followers:
            follower.process.kill()
            follower.process.wait()
            follower.__exit__()
        return self.failures


class Soak(unittest.TestCase):
    """`watched`: the collector first. `sent`: frames on the wire."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="netscope-soak-")
        self.addCleanup(self.temporary.cleanup)
        self.folder, self.sent, self.sensors = self.temporary.name, 0, []
        self.collector = Collector(self.folder)
        self.addCleanup(self.collector.close)
        self.watched = [Watched("collector", self.collector.program, self.collector.http)]
        self.start_mix()
        if IS_LIVE:
            lay_wire(None)
            self.start_sensor("wire", "-i", "cap0", "--max-flows", 4096,
                              environment={"NETSCOPE_CAPTURE__DIRECTION": "in", "NETSCOPE_FLOW__IDLE_TIMEOUT": "10s"})

    def start_sensor(self, name, *words, environment=None):
        own, rpc, http = os.path.join(self.folder, name), free_port(), free_port()
        os.mkdir(own)
        program = Program(SENSOR, *words, "--quiet", "--sensor-id", name, "--grpc-listen", f"127.0.0.1:{rpc}", "--collector",
                          f"127.0.0.1:{self.collector.ingest}", awaited=True,
                          environment={"NETSCOPE_HTTP__ENABLED": "on", "NETSCOPE_HTTP__PORT": str(http),
                                       "NETSCOPE_SENSOR__STATE_DIRECTORY": own,
                                       "NETSCOPE_SPOOL__DIRECTORY": os.path.join(own, "spool"), **(environment or {})})
        self.addCleanup(program.__exit__)
        sensor = Watched(name, program, http)
        sensor.rpc, sensor.http = rpc, http
        self.sensors.append(sensor)
        self.watched.append(sensor)

    def start_mix(self):
        mix = os.path.join(self.folder, "mix.pcap")
        made = run(TRAFFIC, "demo", mix)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.start_sensor("mix", "--read-pcap", mix, "--pace", "--loop", "--write-pcap", os.path.join(self.folder, "out.pcap"),
                          "--write-pcap-rotate-mb", 4, "--write-pcap-max-files", 3)

    def send(self, number, seconds):
        """One kind of traffic, at a steady pace."""
        frames = int(RATE / PATIENCE * seconds)
        self.sent += frames
        return Program(GENERATOR, "-i", "gen0", "-n", frames, "-r", int(RATE / PATIENCE), "-k", number * 7919 % 60000,
                       *LOADS[number % len(LOADS)])

    def is_sent(self, generator):
        self.assertEqual(generator.process.wait(timeout=ROUND + 60 * PATIENCE), 0, generator.text())
        generator.__exit__()

    def look(self, number, clients):
        """Nobody asks any more: what each process takes, and whether its ledger adds up."""
        wait_until("connections are given back", self.is_quiet, 30)
        for watched in self.watched:
            self.assertTrue(watched.program.is_running(), watched.program.text()[-3000:])
            watched.look()
        for port in [self.collector.http, *(sensor.http for sensor in self.sensors)]:
            ledger = get_json(f"http://127.0.0.1:{port}/v1/ledger")
            self.assertTrue(ledger["balanced"], ledger)
        slowest = max(clients.times, default=0)
        print(f"round {number:3}: " + "; ".join(
            f"{w.name} {w.rounds[-1]['kb'] / 1024:.1f} MiB (used {w.rounds[-1]['used'] / 1024:.1f} of {w.rounds[-1]['heap'] / 1024:.1f}, "
            f"mapped {w.rounds[-1]['mapped'] / 1024:.1f}), {w.rounds[-1]['files']} files, {w.rounds[-1]['threads']} threads, "
            f"{w.rounds[-1]['cpu']:.1f} s" for w in self.watched) +
            f"; {len(clients.times)} questions, the slowest {slowest:.2f} s, {clients.frames} frames", flush=True)

    def is_quiet(self):
        """As many files as behind the first round, or fewer."""
        return all(len(os.listdir(f"/proc/{w.program.process.pid}/fd")) <= (w.rounds[0]["files"] if w.rounds else 10 ** 6)
                   for w in self.watched)

    def run_rounds(self):
        end, number = time.monotonic() + SECONDS, 0
        while number < 2 or time.monotonic() < end:
            generator = self.send(number, ROUND * 0.8) if IS_LIVE else None
            clients = Clients(self)
            time.sleep(ROUND)
            failures = clients.end()
            if generator is not None:
                self.is_sent(generator)
            self.assertEqual(failures, [], self.collector.program.text()[-3000:])
            self.assertGreater(clients.frames, 0, "no frame of the live feed")
            time.sleep(1)
            self.look(number, clients)
            number += 1

    def judge(self):
        rounds, warm = len(self.watched[0].rounds), STATISTICS_HELD / len(self.sensors) + 60
        first = min(rounds - 1, int(warm / SECONDS * rounds))
        for watched in self.watched:
            threads = [now["threads"] for now in watched.rounds]
            self.assertLessEqual(threads[-1], max(threads[:rounds // 2]), f"{watched.name}: threads {threads}")
            if SECONDS >= warm + JUDGED_SECONDS:
                for what in ("used", "heap", "mapped"):
                    self.is_steady(f"{watched.name}: {what}", [now[what] for now in watched.rounds[first:]])
        if SECONDS < warm + JUDGED_SECONDS:
            print(f"memory is not judged: a run of {warm + JUDGED_SECONDS:.0f} s and more is wanted for that")

    def is_steady(self, what, kept):
        half = len(kept) // 2
        before, behind = statistics.median(kept[:half]), statistics.median(kept[half:])
        print(f"{what} {before:.0f} -> {behind:.0f} kB behind the warm-up")
        self.assertGreater(before, 0, what)
        self.assertLessEqual(behind, max(before * GROWTH, before + GROWTH_KB), f"{what} grows: {kept}")

    def finish(self):
        """Sensors end in order, and what they saw is in the collector's store."""
        captured = 0
        for sensor in self.sensors:
            self.assertEqual(sensor.program.stop(), 0, sensor.program.text()[-3000:])
            text = sensor.program.text()
            seen = int(re.search(r"packets captured: (\d+)", text).group(1))
            drops = [int(n) for n in re.search(r"kernel drops: (\d+), interface drops: (\d+)", text).groups()]
            captured += seen
            if sensor.name == "wire":
                self.assertEqual(seen + sum(drops), self.sent, text[-3000:])
                print(f"wire: {self.sent} frames sent, {seen} captured, {sum(drops)} dropped and told")
            self.assertNotIn("lost{", text)
        stored = wait_until("all packets are in the store", lambda: self.collector.stored_packets() >= captured and self.collector.stored_packets(), 60)
        self.assertEqual(stored, captured)
        self.assertEqual(self.collector.program.stop(), 0, self.collector.program.text()[-3000:])
        for watched in self.watched:
            faults = [line for line in watched.program.text().splitlines() if "level=error" in line]
            self.assertEqual(faults, [], watched.name)

    def test_a_fleet_takes_no_more_as_time_goes_by_and_accounts_for_every_packet(self):
        self.run_rounds()
        self.finish()
        self.judge()


def enter_namespace():
    """This script once more in a network namespace of its own, as root of it, where that may be."""
    words = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    if "NETSCOPE_SOAK_INSIDE" in os.environ:
        return
    may = os.access(GENERATOR, os.X_OK) and subprocess.run([*words, "ip", "link", "set", "lo", "up"],
                                                           capture_output=True).returncode == 0
    if not may:
        print("no wire and no live sensor here: veth_gen, or a network namespace, is not to be had")
    with tempfile.TemporaryDirectory(prefix="netscope-soak-") as place:  # whose files need not be ours inside
        sys.exit(subprocess.call([*(words if may else []), sys.executable, *sys.argv],
                                 env={**os.environ, "NETSCOPE_SOAK_INSIDE": "1" if may else "0", "TMPDIR": place}))


if __name__ == "__main__":
    enter_namespace()
    if IS_LIVE:
        command("ip", "link", "set", "lo", "up")
    main()
