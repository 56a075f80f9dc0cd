"""Random kills of sensors and of the collector, partitions and stops under load: nothing lost, nothing twice.

NETSCOPE_KILLS says how many (12; `./netscope kills` takes 100), NETSCOPE_KILLS_SEED which. Sensors write their spool
before they send (spool.write: always), so what a killed one had in its files, and all that the collector has of
it, is what must be in the store: each record by (sensor_id, boot_id, record_seq), once. What a killed process had
numbered and not yet given to its spool dies with it; that is counted and shown.
"""
import os
import random
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "end_to_end"), HERE]
from fleet import Collector, in_store, positions
from probes import ProbeCollector, ProbeSensor
from relay import Relay
from support.programs import PATIENCE, wait_until

PROBE = sys.argv[1]
EVENTS = int(os.environ.get("NETSCOPE_KILLS", "12"))
SEED = int(os.environ.get("NETSCOPE_KILLS_SEED", "0")) or random.randrange(1, 1_000_000)
RATE = int(os.environ.get("NETSCOPE_KILLS_RATE", str(int(4000 / PATIENCE))))
FLOWS, ALERTS, STATS = 1, 2, 3


class Load:
    """Two sensors behind a relay each, and one collector."""

    def __init__(self, folder):
        self.chance = random.Random(SEED)
        self.collector = Collector(folder)
        self.relays = [Relay(self.collector.ingest) for _ in range(2)]
        self.sensors = [ProbeSensor(PROBE, f"sensor-{i}", folder, relay.port, RATE, "spool.write=always")
                        for i, relay in enumerate(self.relays)]
        self.counts = {}
        self.least = {}  # boot -> what must be there at least, by stream
        self.exact = {}
        self.died = 0    # numbered, and not in the spool when the process was killed
        self.killed_at = []
        for sensor in self.sensors:
            sensor.start()

    def pause(self, least, most):
        time.sleep(self.chance.uniform(least, most) * min(PATIENCE, 3))

    def kill_sensor(self):
        sensor = self.chance.choice(self.sensors)
        sensor.kill()
        numbered = sensor.numbered()
        if numbered > 0:
            self.killed_at.append((sensor.boot(), numbered))
        for boot, row in sensor.spooled().items():
            self.least[boot] = {FLOWS: row["flows"], ALERTS: row["alerts"], STATS: row["stats"]}
        self.pause(0, 0.4)
        sensor.start()

    def kill_collector(self):
        self.collector.program.stop(signal.SIGKILL)
        self.pause(0, 0.8)
        self.collector.start()

    def partition(self):
        relay = self.chance.choice(self.relays)
        relay.partition()
        self.pause(0.2, 1.5)
        if self.chance.random() < 0.5:
            relay.cut()
        relay.heal()

    def stop_and_continue(self):
        processes = [self.collector.program.process, *(sensor.process for sensor in self.sensors)]
        process = self.chance.choice(processes)
        process.send_signal(signal.SIGSTOP)
        self.pause(0.2, 1.5)
        process.send_signal(signal.SIGCONT)

    def run(self):
        kinds = [self.kill_sensor, self.kill_collector, self.partition, self.stop_and_continue]
        deck = []
        for number in range(EVENTS):
            if not deck:
                deck = kinds[:]
                self.chance.shuffle(deck)
            event = deck.pop()
            self.counts[event.__name__] = self.counts.get(event.__name__, 0) + 1
            self.pause(0.1, 0.6)
            event()

    def finish(self):
        """All ends are there again: each sensor ends in order, and a last process sends what is left."""
        for relay in self.relays:
            relay.heal()
        for sensor in self.sensors:
            wait_until("a sensor that feeds", lambda: sensor.numbered() > 0)
            told = sensor.stop()
            self.exact[told["boot"]] = told
            for _ in range(5):  # one that finds nobody when it ends leaves the rest to the next
                if told["unacked"] == 0:
                    break
                print(f"{sensor.name}: {told['unacked']} records are left to another process:", sensor.said[-600:])
                sensor.start(records=1000)
                told = sensor.end()
                self.exact[told["boot"]] = told
            assert told["unacked"] == 0 and told["lost"] == 0, (told, sensor.said)
        assert self.collector.program.stop() == 0, self.collector.program.text()[-3000:]
        for relay in self.relays:
            relay.close()

    def close(self):
        for sensor in self.sensors:
            if sensor.process.poll() is None:
                sensor.kill()
        self.collector.close()


def check_store(load, folder):
    lost = twice = records = 0
    at = positions(folder)
    for stream, table, name in ((FLOWS, "flows", "flows"), (STATS, "stats", "stats")):
        found = in_store(folder, table)
        for boot, seqs in found.items():
            records += len(seqs)
            twice += len(seqs) - len(set(seqs))
            lost += max(seqs) - len(set(seqs))  # holes
        for boot, told in load.exact.items():
            lost += told[name] - max(found.get(boot, [0]))
        for boot, least in load.least.items():
            lost += max(0, least[stream] - max(found.get(boot, [0])))
        if stream == FLOWS:
            died = [numbered - max(found.get(boot, [0])) for boot, numbered in load.killed_at]
            load.died = sum(n for n in died if n > 0)
    for boot, told in load.exact.items():
        assert at.get((boot, ALERTS), 1) == told["alerts"] + 1, (boot, told, at)
    return records, lost, twice


def kills_and_partitions_lose_and_repeat_nothing(folder):
    load = Load(folder)
    try:
        begin = time.monotonic()
        load.run()
        load.finish()
    finally:
        load.close()
    records, lost, twice = check_store(load, folder)
    print(f"kills: seed {SEED}, {EVENTS} events {load.counts}, {len(load.exact) + len(load.killed_at)} processes of "
          f"sensors, {records} flows and statistics in the store, lost {lost}, twice {twice}; numbered and not in "
          f"the spool when killed: {load.died}; {time.monotonic() - begin:.0f} s")
    assert lost == 0 and twice == 0 and records > EVENTS * 100
    # Milliseconds of records: what is between the numbering and the file.
    assert load.died <= (len(load.killed_at) + 1) * max(RATE, 1000), load.died


def overflow(chance, collector, relay, turns):
    """The collector is killed and away for longer than the spool holds; now and then the way is cut too."""
    for _ in range(turns):
        time.sleep(chance.uniform(0.2, 0.5))
        collector.kill()
        time.sleep(chance.uniform(1.0, 2.0) * PATIENCE)  # at 50 000 / PATIENCE records of about 200 bytes a second
        if chance.random() < 0.5:
            relay.cut()
        collector.start()


def a_full_spool_under_kills_tells_exactly_what_it_lost(folder):
    """Each number of each process is in the log or in a told gap, never in both, never in none."""
    chance = random.Random(SEED + 1)
    collector = ProbeCollector(PROBE, os.path.join(folder, "log"))
    relay = Relay(collector.port)
    sensor = ProbeSensor(PROBE, "full", folder, relay.port, 50_000 / PATIENCE, "spool.write=always", "spool.bytes=8MiB")
    sensor.start()
    overflow(chance, collector, relay, max(1, EVENTS // 12))
    time.sleep(2 * PATIENCE)  # connected again: then the end waits for all
    first = sensor.stop()
    told_first = collector.scan()[0]["gap_records"]
    print(f"cap: lost {first['lost']}, told {told_first}")
    assert first["lost"] > 0 and told_first == first["lost"], (first, told_first)

    # A second process ends with a full spool while nobody listens, a third one sends what it left.
    sensor.start(flush_seconds=1)
    overflow(chance, collector, relay, max(1, EVENTS // 12))
    collector.kill()
    time.sleep(1.5)
    second = sensor.stop()
    collector.start()
    sensor.start(records=1000)
    third = sensor.end()
    relay.close()
    collector.stop()
    sums, boots = collector.scan()
    print(f"cap over restarts: told {sums['gap_records']}, missing {sums['missing']}, twice {sums['duplicates']}, "
          f"records {sums['records']}, processes {len(boots)}")
    assert sums["missing"] == 0 and sums["duplicates"] == 0 and sums["undecodable"] == 0
    assert sums["gap_records"] > told_first
    for told in (first, second, third):
        row = boots[told["boot"]]
        assert (row["flows"], row["alerts"], row["stats"]) == (told["flows"], told["alerts"], told["stats"]), (row, told)
        assert row["records"] + row["gap_records"] == told["flows"] + told["alerts"] + told["stats"], (row, told)


def main():
    for test in (kills_and_partitions_lose_and_repeat_nothing, a_full_spool_under_kills_tells_exactly_what_it_lost):
        if len(sys.argv) > 2 and sys.argv[2] not in test.__name__:
            continue
        print("run", test.__name__, "seed", SEED, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            test(folder)


main()
