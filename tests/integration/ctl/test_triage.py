"""alerts ack and silences of netscopectl, at a real collector whose incidents a real sensor raises."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import rows
from place import READER, Place
from support.programs import main, wait_until


class Triage(Place):
    def alert(self, *arguments):
        """The newest flood, and its line."""
        done = self.good("alerts", *self.server, "--kind", "syn_flood", "-n", "1", *arguments)
        return done.stdout.split()[-1], done.stdout

    def silence(self, *arguments):
        done = self.good("silences", "add", *self.server, *arguments)
        return done.stdout.strip(), done.stderr

    def test_an_acknowledgement_is_kept_shown_and_taken_back(self):
        alert, line = self.alert()
        self.assertNotIn("acknowledged", line)
        done = self.good("alerts", "ack", alert, "--comment", "our scanner", *self.server)
        self.assertRegex(done.stdout, rf"^{alert}: acknowledged by full at \S+Z\n$")
        shown = self.good("alerts", *self.server, "--all").stdout
        self.assertRegex(shown, rf"(?m)\(acknowledged by full\) @edge-1 {alert}$")
        # One that becomes worse counts as not acknowledged: it is said again then.
        def only():
            self.good("alerts", "ack", alert, *self.server)
            return self.good("alerts", *self.server, "--all", "--acknowledged", "only").stdout.splitlines()
        wait_until("it alone", lambda: [each.split()[-1] for each in only()] == [alert])
        others = self.good("alerts", *self.server, "--all", "--acknowledged", "exclude").stdout
        self.assertNotIn(alert, others)
        note = rows(self.good("alerts", "ack", alert, "--undo", *self.server, "-o", "jsonl"))[0]
        self.assertEqual((note["alert_id"], note["is_acknowledged"]), (alert, False))
        self.refused(1, "NOT_FOUND", "alerts", "ack", alert, "018f0000-0000-7000-8000-00000000ffff", *self.server)
        self.refused(2, "exclude each other", "alerts", "ack", alert, "--undo", "--comment", "x", *self.server)
        self.refused(2, "ID... is missing|ID...: it is missing", "alerts", "ack", *self.server)

    def test_a_silence_is_tried_added_listed_and_removed(self):
        choice = ("--kind", "syn_flood", "--victim", "10.0.0.99", "--sensor", "edge-*")
        done = self.good("silences", "add", *self.server, *choice, "--dry-run")
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"it would hide [1-9]\d* of \d+ incidents of the last 24 hours, \d+ of them open now")
        self.assertEqual(rows(self.good("silences", *self.server, "-o", "jsonl")), [])
        silence, told = self.silence(*choice, "--duration", "8h", "--reason", "planned test")
        self.assertRegex(told, r"it hides [1-9]\d* of \d+ incidents")
        row = rows(self.good("silences", *self.server, "-o", "jsonl"))[0]
        self.assertEqual((row["silence_id"], row["victims"], row["kinds"], row["reason"], row["created_by"]),
                         (silence, ["10.0.0.99"], ["ALERT_KIND_SYN_FLOOD"], "planned test", "full"))
        table = self.good("silences", *self.server).stdout
        self.assertRegex(table, rf"(?m)^{silence} +active +\S+Z +full +syn_flood against 10\.0\.0\.99 at edge-\* +planned test$")
        self.assertIn("(silenced)", self.alert()[1])
        self.assertNotIn("syn_flood", self.good("alerts", *self.server, "--all", "--silenced", "exclude").stdout)
        done = self.good("silences", "remove", silence, *self.server)
        self.assertIn("hides nothing any more", done.stderr)
        self.assertNotIn("(silenced)", self.alert()[1])
        self.assertEqual(rows(self.good("silences", *self.server, "-o", "jsonl")), [])
        ended = {row["silence_id"]: row["state"] for row in rows(self.good("silences", *self.server, "--all", "-o", "jsonl"))}
        self.assertEqual(ended[silence], "SILENCE_STATE_DELETED")
        self.refused(1, "NOT_FOUND", "silences", "remove", "0" * 32, *self.server)

    def test_its_end_is_a_time_that_lies_ahead(self):
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        silence, _ = self.silence("--subject", "203.0.113.0/24", "--max-severity", "medium", "--until", until, "--reason", "x")
        row = next(row for row in rows(self.good("silences", *self.server, "-o", "jsonl")) if row["silence_id"] == silence)
        self.assertEqual((row["expire_time"], row["max_severity"]), (until, "SEVERITY_MEDIUM"))
        whole = json.loads(self.good("silences", "add", *self.server, "--kind", "dga", "--dry-run", "-o", "json").stdout)
        self.assertEqual(whole["matched"], "0")
        self.good("silences", "remove", silence, *self.server)

    def test_what_cannot_be_meant_or_is_not_allowed_is_refused_plainly(self):
        reader = ("-s", f"127.0.0.1:{self.collector.ingest}", "--token-file", self.write("reader", READER + "\n"))
        alert = self.alert()[0]
        add = ("silences", "add", *self.server)
        for status, words, arguments in (
                (2, "of what", (*add, "--duration", "1h", "--reason", "x")),
                (2, "for how long", (*add, "--kind", "dga", "--reason", "x")),
                (2, "why", (*add, "--kind", "dga", "--duration", "1h")),
                (2, "later than now", (*add, "--kind", "dga", "--until", "2h", "--reason", "x")),
                (2, "exclude each other", (*add, "--kind", "dga", "--until", "2h", "--duration", "1h", "--reason", "x")),
                (2, "--kind nonsense", (*add, "--kind", "nonsense", "--dry-run")),
                (2, "--attacker not-a-net: give", (*add, "--attacker", "not-a-net", "--dry-run")),
                (4, "refuses: .*'triage'", ("alerts", "ack", alert, *reader)),
                (4, "refuses: .*'triage'", ("silences", "add", "--kind", "dga", "--duration", "1h", "--reason", "x", *reader)),
                (1, "is a sensor: silences are asked of a collector", ("silences", *self.sensor_flags)),
                (1, "is a sensor: acknowledgements are asked of a collector", ("alerts", "ack", alert, *self.sensor_flags))):
            with self.subTest(arguments):
                self.refused(status, words, *arguments)
        self.good("alerts", *reader)


if __name__ == "__main__":
    main()
