"""The collector writes flow records to ClickHouse: every record becomes a row, and none twice, whatever the server does and
whenever the collector is killed; what is lost is told with its reason.

The server is this test's own (server.py), the sensors are netscope-sensor and a foreign client (grpcio).
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from end_to_end.fleet import Collector
from server import ALERT_COLUMNS, COLUMNS, STATS_COLUMNS, ClickHouse, Table
from support.programs import (COLLECTOR, PATIENCE, clean_environment, free_port, json_lines, main, make_traffic, metrics, run,
                              sensor, wait_until)

try:
    from support.foreign_stream import ALERTS, FLOWS, STATS, WELCOME, Stream, batch, hello, number, text
except ImportError:
    print("SKIP: python3-grpcio is not installed")
    sys.exit(77)

NAME = "netscope_collector_clickhouse_"
FAST = {"BATCH_INTERVAL": "50ms", "TIMEOUT": "5s"}


def flow(packets=1, padding=0):
    """A flow record: flow_id, end_time, packets forward; a client's name of `padding` bytes."""
    client = text(4, "n" * padding) if padding else b""
    return (text(4, f"{packets:016x}") + text(7, number(1, int(time.time()))) + text(8, client) + text(11, number(1, packets)))


def alert(suppressed):
    """An alert record: alert_id, last_time, suppressed_count."""
    return text(4, "a") + text(11, number(1, int(time.time()))) + number(36, suppressed)


def second(packets):
    """A stats record: end_time, totals.packets."""
    return text(5, number(1, int(time.time()))) + text(6, number(1, packets))


class Feed(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.server = ClickHouse()
        self.addCleanup(lambda: self.server.close())

    def start(self, port=None, more=None, **settings):
        environment = {f"NETSCOPE_COLLECTOR_CLICKHOUSE__{key}": value for key, value in {**FAST, **settings}.items()}
        environment["NETSCOPE_COLLECTOR_CLICKHOUSE__URL"] = f"http://127.0.0.1:{port or self.server.port}"
        environment["NETSCOPE_COLLECTOR_INGEST__LOG_SEGMENT"] = "1MiB"
        self.collector = Collector(self.folder, environment={**environment, **(more or {})}, arguments=["-v"])
        self.addCleanup(self.collector.close)
        return self.collector

    def stream(self, name="foreign", boot="boot-1"):
        stream = Stream(self.collector.ingest)
        self.addCleanup(stream.close)
        stream.send(hello(name, boot))
        stream.receive(WELCOME)
        return stream

    def counted(self, stream="flows"):
        page = metrics(f"http://127.0.0.1:{self.collector.http}/metrics")
        counts = {result: int(page[f'{NAME}records_total{{stream="{stream}",result="{result}"}}'])
                  for result in ("inserted", "refused", "undecodable", "dropped")}
        return {**counts, **{key: int(page[f'{NAME}{key}{{stream="{stream}"}}'])
                             for key in ("waiting", "retries_total", "up", "log_missing_bytes_total")}}

    def await_counted(self, seconds=30, stream="flows", **expected):
        found = {}

        def is_so():
            found.update(self.counted(stream))
            return all(found[key] == value for key, value in expected.items())

        try:
            wait_until(f"{expected}", is_so, seconds)
        except (AssertionError, OSError) as error:
            raise AssertionError(f"{error}; it is {found}\n{self.collector.program.text()[-3000:]}") from None
        return found

    def ledger(self, name="clickhouse"):
        """The row of ClickHouse, once the whole is seen to be balanced."""
        whole = self.collector.fetch("/v1/ledger")
        self.assertTrue(whole["balanced"], whole["rows"])
        row = {row["name"]: row for row in whole["rows"]}[name]
        self.assertEqual((row["stage"], row["unit"]), ("LEDGER_STAGE_SINK", "records"))
        return {"in": int(row["in"]), "out": int(row["out"]), "held": int(row["held"]),
                **{lost["reason"]: int(lost["count"]) for lost in row["lost"] if lost["count"] != "0"}}

    def await_insert(self, fate):
        return wait_until(f"an INSERT that is {fate}",
                          lambda: next((one for one in list(self.server.inserts) if one.status == fate), None), 30)

    def assert_rows(self, expected, table=None):
        """These identities, each once."""
        found = sorted(row[:3] for row in (table or self.server).rows)
        self.assertEqual(found, sorted(expected))

    # ---- all is well ----

    def test_each_record_of_a_sensor_becomes_one_row(self):
        os.mkdir(os.path.join(self.folder, "secrets"))
        password = os.path.join(self.folder, "secrets", "password")
        with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            out.write("sesame\n")
        self.start(USER="writer", PASSWORD_FILE=password)
        capture, _ = make_traffic(self.folder, "mix", flows=3000)
        own = os.path.join(self.folder, "flows.jsonl")
        done = sensor("--read-pcap", capture, "--quiet", "--lossless", "--flows-jsonl", own, "--collector",
                      f"127.0.0.1:{self.collector.ingest}", environment={"NETSCOPE_SPOOL__DIRECTORY": "memory"})
        self.assertEqual(done.returncode, 0, done.stderr)
        records = json_lines(own)
        self.await_counted(inserted=len(records), waiting=0, refused=0, undecodable=0, dropped=0, up=1)
        self.assert_rows([(r["sensor_id"], r["boot_id"], int(r["record_seq"])) for r in records])
        self.assertEqual(sum(row[4] for row in self.server.rows),
                         sum(int(r.get("forward", {}).get("delta_packets", 0)) for r in records))
        self.assertEqual({one.login for one in self.server.inserts}, {"writer:sesame"})
        self.assertEqual(self.server.encodings, {"zstd"})
        self.assertEqual(self.ledger(), {"in": len(records), "out": len(records), "held": 0})
        with open(password, "w", encoding="utf-8") as out:
            out.write("open\n")
        stream = self.stream()
        stream.send(batch(1, 5, record=flow()))
        stream.acknowledged(5)
        self.await_counted(inserted=len(records) + 5, waiting=0)
        self.assertEqual(self.server.inserts[-1].login, "writer:open")

    def test_other_streams_and_junk_are_no_rows(self):
        self.start()
        stream = self.stream()
        stream.send(batch(1, 7, record=flow(3)), batch(1, 4, stream=ALERTS, record=b"\x07"), batch(8, 2, record=b"\xff\xff"),
                    batch(10, 1, record=flow()))
        stream.acknowledged(10)
        counts = self.await_counted(inserted=8, undecodable=2, waiting=0)
        self.assertEqual(counts["log_missing_bytes_total"], 0)
        self.assert_rows([("foreign", "boot-1", seq) for seq in (*range(1, 8), 10)])
        self.assertEqual(self.ledger(), {"in": 10, "out": 8, "held": 0, "undecodable": 2})

    def test_a_batch_ends_by_rows(self):
        self.start(BATCH_ROWS="100", BATCH_INTERVAL="300s", COMPRESSION="off")
        stream = self.stream()
        stream.send(*[batch(first, 50, record=flow()) for first in range(1, 1001, 50)])
        stream.acknowledged(1000)
        self.await_counted(inserted=1000, waiting=0)
        self.assertEqual([len(one.rows) for one in self.server.inserts], [100] * 10)
        self.assertEqual(self.server.encodings, set())

    # ---- the server is not well ----

    def wait_through(self, *trouble, least, most, described):
        """A connection that was kept and is hung up is dialled once more at once, which is no try of ours."""
        self.server.trouble, self.server.seconds = list(trouble), 4 * PATIENCE
        self.start(TIMEOUT=f"{2 * PATIENCE:g}s", BATCH_ROWS="40")
        stream = self.stream()
        stream.send(*[batch(first, 20, record=flow()) for first in range(1, 201, 20)])
        stream.acknowledged(200)
        counts = self.await_counted(seconds=60, inserted=200, waiting=0, up=1)
        self.assertTrue(least <= counts["retries_total"] <= most, counts)
        self.assertEqual((counts["refused"], counts["dropped"]), (0, 0))
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 201)])
        bodies = {}
        for one in self.server.inserts:
            self.assertEqual(bodies.setdefault(one.token, one.body), one.body)  # the same token, the same rows
        self.assertEqual(len(self.server.described), described)  # again after each answer that speaks of the table
        self.assertEqual(self.collector.program.text().count("ClickHouse takes no rows"), 1)
        self.assertEqual(self.ledger(), {"in": 200, "out": 200, "held": 0})

    def test_rows_wait_while_the_server_is_overloaded_or_gone_and_come_once(self):
        self.wait_through((500, 241), "gone", "deaf", (503, 202), least=3, most=4, described=1)

    def test_rows_wait_while_the_server_is_slow_or_set_up_otherwise_and_come_once(self):
        self.wait_through("slow", (403, 497), (400, 16), "deaf", least=3, most=4, described=3)

    def test_a_server_that_is_not_there_yet_and_a_table_that_is_made_later(self):
        port = free_port()
        self.start(port=port)
        stream = self.stream()
        stream.send(batch(1, 30, record=flow()))
        stream.acknowledged(30)
        self.await_counted(up=0, waiting=30)
        self.assertEqual(self.ledger(), {"in": 30, "out": 0, "held": 30})
        self.server.close()
        self.server = ClickHouse(port)
        self.server.columns = None
        wait_until("it is asked for the table", lambda: self.server.described)
        self.assertEqual(self.counted()["waiting"], 30)
        self.server.columns = COLUMNS
        self.await_counted(inserted=30, waiting=0, up=1)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 31)])

    def test_rows_that_are_refused_cost_no_other_rows(self):
        self.server.refuses = "bad"
        self.start(BATCH_INTERVAL="2s")
        good, bad = self.stream("good"), self.stream("bad")
        for first in range(1, 161, 10):
            good.send(batch(first, 10, record=flow()))
            good.acknowledged(first + 9)
            if first == 71:
                bad.send(batch(1, 3, record=flow()))
                bad.acknowledged(3)
        self.await_counted(inserted=160, refused=3, waiting=0)
        self.assert_rows([("good", "boot-1", seq) for seq in range(1, 161)])
        self.assertEqual(self.ledger(), {"in": 163, "out": 160, "held": 0, "refused": 3})
        self.assertIn("ClickHouse refuses rows", self.collector.program.text())

    def test_a_server_that_stays_away_costs_the_oldest_rows_and_no_more_disk_than_set(self):
        self.server.columns = None
        self.start(QUEUE_SIZE="2MiB")
        stream = self.stream()
        sent = 0
        while sent < 12000:
            stream.send(*[batch(first, 100, record=flow(padding=900)) for first in range(sent + 1, sent + 1001, 100)])
            sent += 1000
            stream.acknowledged(sent)
        wait_until("rows are given up", lambda: self.counted()["dropped"] > 8000, 60)
        page = f"http://127.0.0.1:{self.collector.http}/metrics"
        wait_until("the log is within its bound", lambda: metrics(page)["netscope_collector_log_bytes"] < (4 << 20), 30)
        self.assertLess(metrics(page)[NAME + 'backlog_bytes{stream="flows"}'], 2 << 20)
        self.assertIn("rows are given up", self.collector.program.text())
        self.server.columns = COLUMNS
        counts = self.await_counted(seconds=60, waiting=0, up=1)
        self.assertEqual(counts["inserted"] + counts["dropped"], sent)
        self.assertGreater(counts["inserted"], 1000)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(counts["dropped"] + 1, sent + 1)])
        self.assertEqual(self.ledger(), {"in": sent, "out": counts["inserted"], "held": 0, "queue_full": counts["dropped"]})

    # ---- alerts and statistics ----

    # None of the fleet's own alerts beside those of the test.
    QUIET = {"NETSCOPE_COLLECTOR_FLEET__SILENT_ALERTS": "false"}

    def with_tables(self, **settings):
        self.alerts, self.stats = Table(ALERT_COLUMNS), Table(STATS_COLUMNS)
        self.server.others = {"alerts": self.alerts, "stats": self.stats}
        self.start(ALERTS_TABLE="alerts", STATS_TABLE="stats", more=self.QUIET, **settings)

    def test_alerts_and_statistics_become_rows_of_their_tables(self):
        self.with_tables()
        stream = self.stream()
        stream.send(batch(1, 7, record=flow()), batch(1, 3, stream=ALERTS, record=alert(9)),
                    batch(1, 4, stream=STATS, record=second(5)), batch(4, 1, stream=ALERTS, record=b"\xff\xff"))
        stream.acknowledged(7)
        self.await_counted(inserted=7, waiting=0)
        self.await_counted(stream="alerts", inserted=3, undecodable=1, waiting=0, up=1)
        self.await_counted(stream="stats", inserted=4, waiting=0)
        self.assert_rows([("foreign", "boot-1", seq) for seq in (1, 2, 3)], self.alerts)
        self.assert_rows([("foreign", "boot-1", seq) for seq in (1, 2, 3, 4)], self.stats)
        self.assertEqual({row[4] for row in self.alerts.rows}, {9})
        self.assertEqual({row[4] for row in self.stats.rows}, {5})
        self.assertEqual(self.ledger("clickhouse alerts"), {"in": 4, "out": 3, "held": 0, "undecodable": 1})
        self.assertEqual(self.ledger("clickhouse stats"), {"in": 4, "out": 4, "held": 0})
        status = self.collector.fetch("/v1/fleet/status")
        self.assertEqual([one["stream"] for one in status["clickhouse_others"]], ["alerts", "stats"])
        self.assertEqual([one["inserted"] for one in status["clickhouse_others"]], ["3", "4"])

    def test_a_table_in_trouble_holds_up_no_other_and_its_rows_come_once(self):
        self.with_tables(TIMEOUT=f"{2 * PATIENCE:g}s")
        self.server.seconds = 4 * PATIENCE
        self.alerts.columns = None  # made later
        # The disk is full (NOT_ENOUGH_SPACE), then it is too slow, then too busy.
        self.stats.trouble = [(500, 243), "slow", (503, 202)]
        stream = self.stream()
        for first in range(1, 101, 10):
            stream.send(batch(first, 10, record=flow()), batch(first, 10, stream=ALERTS, record=alert(1)),
                        batch(first, 10, stream=STATS, record=second(1)))
        stream.acknowledged(100)
        self.await_counted(inserted=100, waiting=0, up=1)
        self.await_counted(stream="alerts", waiting=100, up=0, inserted=0)
        self.assertEqual(self.ledger("clickhouse alerts"), {"in": 100, "out": 0, "held": 100})
        self.await_counted(seconds=90, stream="stats", inserted=100, waiting=0, up=1, dropped=0, refused=0)
        self.alerts.columns = ALERT_COLUMNS
        self.await_counted(stream="alerts", inserted=100, waiting=0, up=1, dropped=0)
        for table in (self.alerts, self.stats):
            self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 101)], table)
        self.assertIn("clickhouse alerts", self.collector.program.text())

    def test_alerts_survive_a_kill_and_what_waited_is_counted_anew(self):
        self.with_tables()
        self.alerts.columns = None
        stream = self.stream()
        stream.send(batch(1, 30, stream=ALERTS, record=alert(1)), batch(1, 50, record=flow()))
        stream.acknowledged(50)
        self.await_counted(inserted=50, waiting=0)
        self.await_counted(stream="alerts", waiting=30, up=0)
        self.collector.program.stop(signal.SIGKILL)
        self.collector.start()
        self.await_counted(stream="alerts", waiting=30, up=0)
        self.alerts.columns = ALERT_COLUMNS
        self.await_counted(stream="alerts", inserted=30, waiting=0)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 31)], self.alerts)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 51)])

    def test_a_table_that_stays_away_costs_its_own_oldest_rows_alone(self):
        self.with_tables(QUEUE_SIZE="2MiB")
        self.alerts.columns = None
        stream = self.stream()
        sent = 0
        while sent < 6000:
            stream.send(*[batch(first, 100, record=flow(padding=900)) for first in range(sent + 1, sent + 1001, 100)],
                        batch(sent + 1, 1000, stream=ALERTS, record=alert(1)))
            sent += 1000
            stream.acknowledged(sent)
        self.await_counted(inserted=sent, waiting=0, dropped=0)
        wait_until("alerts are given up", lambda: self.counted("alerts")["dropped"] > 2000, 60)
        self.alerts.columns = ALERT_COLUMNS
        counts = self.await_counted(seconds=60, stream="alerts", waiting=0, up=1)
        self.assertEqual(counts["inserted"] + counts["dropped"], sent)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(counts["dropped"] + 1, sent + 1)], self.alerts)
        self.assertEqual(self.ledger("clickhouse alerts"),
                         {"in": sent, "out": counts["inserted"], "held": 0, "queue_full": counts["dropped"]})

    # ---- the collector ends ----

    def test_a_kill_behind_an_insert_that_nobody_heard_of(self):
        self.server.trouble, self.server.seconds = [None, "slow"], 60
        self.start(BATCH_ROWS="50", TIMEOUT="60s")
        stream = self.stream()
        stream.send(*[batch(first, 25, record=flow()) for first in range(1, 501, 25)])
        stream.acknowledged(500)
        deaf = self.await_insert("slow")
        self.collector.program.stop(signal.SIGKILL)
        self.collector.start()
        self.await_counted(inserted=450, waiting=0)  # of this life: all behind the first
        self.assertGreaterEqual([one.token for one in self.server.inserts].count(deaf.token), 2)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 501)])

    def test_kills_at_any_moment(self):
        self.server.trouble = [None, "deaf", None, "gone", None, (500, 1)] * 20
        self.start(BATCH_ROWS="50")
        sent = 0
        for life in range(6):
            stream = self.stream()
            stream.send(*[batch(first, 20, record=flow()) for first in range(sent + 1, sent + 401, 20)])
            sent += 400
            stream.acknowledged(sent)
            before = len(self.server.inserts)
            wait_until("more is sent", lambda: len(self.server.inserts) > before + life % 3)
            self.collector.program.stop(signal.SIGKILL)
            stream.close()
            self.collector.start()
        self.server.trouble = []
        wait_until("all rows are there", lambda: len(self.server.rows) >= sent, 60)
        self.await_counted(waiting=0)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, sent + 1)])

    def test_an_orderly_end_sends_what_is_there(self):
        self.start(BATCH_INTERVAL="300s")
        stream = self.stream()
        stream.send(batch(1, 30, record=flow()))
        stream.acknowledged(30)
        self.assertEqual(self.server.rows, [])
        self.assertEqual(self.collector.program.stop(), 0)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 31)])

    def test_an_orderly_end_does_not_wait_for_a_server_that_is_slow(self):
        self.server.trouble, self.server.seconds = ["slow"] * 50, 60
        self.start(TIMEOUT="60s")
        stream = self.stream()
        stream.send(batch(1, 30, record=flow()))
        stream.acknowledged(30)
        self.await_insert("slow")
        begin = time.monotonic()
        self.assertEqual(self.collector.program.stop(), 0)
        self.assertLess(time.monotonic() - begin, 20)
        self.server.trouble = []
        self.collector.start()
        self.await_counted(inserted=30, waiting=0)
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 31)])

    def test_a_log_that_is_made_anew_is_read_from_its_beginning(self):
        self.start()
        stream = self.stream()
        stream.send(*[batch(first, 50, record=flow(padding=200)) for first in range(1, 1001, 50)])
        stream.acknowledged(1000)
        self.await_counted(inserted=1000, waiting=0)
        stream.close()
        self.assertEqual(self.collector.program.stop(), 0)
        shutil.rmtree(os.path.join(self.folder, "store", "log"))
        self.collector.start()
        stream = self.stream(boot="boot-2")
        stream.send(batch(1, 30, boot="boot-2", record=flow()))
        stream.acknowledged(30, boot="boot-2")
        self.await_counted(inserted=30, waiting=0)
        self.assertIn("the log is another one than before", self.collector.program.text())
        self.assert_rows([("foreign", "boot-1", seq) for seq in range(1, 1001)] +
                         [("foreign", "boot-2", seq) for seq in range(1, 31)])

    # ---- what is said before ----

    def test_settings_that_cannot_be(self):
        cases = [({"URL": "ftp://h"}, "clickhouse: url: it begins with https:// or http://"),
                 ({"URL": "http://u:p@h:1"}, "no user and password in it; use user and password_file"),
                 ({"URL": "http://h:8123/?database=x"}, "no ? and no # in it"),
                 ({"URL": "http://h", "TABLE": "a`b"}, "clickhouse: table: \"a`b\" is no name"),
                 ({"URL": "http://h", "STATS_TABLE": "a b"}, "clickhouse: stats_table: \"a b\" is no name"),
                 ({"URL": "http://h", "ALERTS_TABLE": "flows"}, "alerts_table: \"flows\" is what table names, too"),
                 ({"URL": "http://h", "PASSWORD_FILE": "/x"}, "goes to another machine by https:// alone"),
                 ({"URL": "http://h", "CA_FILE": "/x"}, "the URL asks for no TLS")]
        for settings, says in cases:
            with self.subTest(settings=settings):
                environment = {f"NETSCOPE_COLLECTOR_CLICKHOUSE__{key}": value for key, value in settings.items()}
                done = run(COLLECTOR, "--check-config", environment=environment)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(says, done.stderr)

    def test_doctor_asks_for_the_table(self):
        def report(check="clickhouse"):
            done = subprocess.run([COLLECTOR, "doctor", "--format", "json", "--port", "0", "--ingest-listen", "127.0.0.1:0",
                                   "--data-dir", self.folder], capture_output=True, text=True, timeout=60, env=clean_environment(
                                       {"NETSCOPE_COLLECTOR_CLICKHOUSE__URL": f"http://127.0.0.1:{self.server.port}"}))
            return next(one for one in json.loads(done.stdout)["findings"] if one["check"] == check)

        found = report()
        self.assertIn("has the table netscope.flows, of which 5 columns are filled", json.dumps(found))
        self.assertIn("has no column record", json.dumps(report("clickhouse.query")))
        self.server.columns = None
        found = report()
        self.assertIn("UNKNOWN_TABLE", json.dumps(found))
        self.assertIn("01_flows.sql", json.dumps(found))
        self.server.columns = COLUMNS[:2]
        self.assertIn("no column record_seq", json.dumps(report()))

    def test_doctor_asks_for_each_table(self):
        self.server.others = {"alerts": Table(ALERT_COLUMNS)}
        done = subprocess.run([COLLECTOR, "doctor", "--format", "json", "--port", "0", "--ingest-listen", "127.0.0.1:0",
                               "--data-dir", self.folder], capture_output=True, text=True, timeout=60,
                              env=clean_environment({f"NETSCOPE_COLLECTOR_CLICKHOUSE__{key}": value for key, value in (
                                  ("URL", f"http://127.0.0.1:{self.server.port}"), ("ALERTS_TABLE", "alerts"),
                                  ("STATS_TABLE", "stats"))}))
        found = [json.dumps(one) for one in json.loads(done.stdout)["findings"] if one["check"] == "clickhouse"]
        self.assertEqual(len(found), 3, found)
        self.assertIn("has the table netscope.alerts, of which 5 columns are filled", found[1])
        self.assertIn("netscope.stats does not exist", found[2])
        self.assertIn("04_alerts_stats.sql", found[2])


if __name__ == "__main__":
    main()
