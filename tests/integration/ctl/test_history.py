"""flows, query, hosts, services and map of netscopectl: what they show is what REST says of the collector's history."""
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import ctl, key, rows, shell
from place import FULL, Place
from support.programs import main, wait_until

RANGE_SECONDS, SETTLED_SECONDS = 4, 2


def table(text):
    """Rows of a table as lists, by two spaces and more."""
    lines = text.splitlines()
    return [re.split(r" {2,}", line.strip()) for line in lines]


class History(Place):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A range that is over: what is asked twice is answered alike.
        wait_until("applications", lambda: {"http", "dns"} <= {row["key"][0] for row in cls.aggregate(group_by="application")["rows"]})
        cls.since = cls.now()
        time.sleep(RANGE_SECONDS)
        cls.until = cls.now()
        time.sleep(SETTLED_SECONDS)
        cls.range = ("--since", cls.since, "--until", cls.until)

    @staticmethod
    def now():
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    @classmethod
    def aggregate(cls, **asked):
        return cls.collector.fetch("/v1/query:aggregate?" + urllib.parse.urlencode(asked, doseq=True))

    def fleet_flows(self, **asked):
        """A page of /v1/fleet/flows:query, which wants a token."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.collector.http}/v1/fleet/flows:query?" + urllib.parse.urlencode(asked),
                                         headers={"Authorization": f"Bearer {FULL}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    # ---- flows ----

    def test_records_are_those_of_rest_and_come_page_by_page(self):
        everything = rows(self.good("flows", *self.server, *self.range, "--all", "-o", "jsonl"))
        keys = [key(record) for record in everything]
        self.assertGreater(len(keys), 100)
        self.assertEqual(len(keys), len(set(keys)))
        query = {"from": self.since, "to": self.until, "page_size": 1000}
        asked, token = [], ""
        while True:
            page = self.fleet_flows(**query, page_token=token)
            asked += [key(record) for record in page["flows"]]
            token = page.get("next_page_token", "")
            if not token:
                break
        self.assertEqual(keys, asked)
        self.assertEqual([record["end_time"] for record in everything], sorted((r["end_time"] for r in everything), reverse=True))
        # A bound is told, and its records are the newest.
        done = self.good("flows", *self.server, *self.range, "-n", "7", "-o", "json")
        self.assertEqual([key(record) for record in json.loads(done.stdout)], keys[:7])
        self.assertIn("there are more", done.stderr)
        largest = rows(self.good("flows", *self.server, *self.range, "-n", "5", "--order", "bytes", "-o", "jsonl"))
        size = [sum(int(record[way]["delta_bytes"]) for way in ("forward", "reverse") if way in record) for record in largest]
        self.assertEqual(size, sorted(size, reverse=True))

    def test_a_filter_a_range_and_sensors_choose_records(self):
        chosen = rows(self.good("flows", *self.server, *self.range, "--filter", "server.port = 53 AND protocol = udp", "--all", "-o", "jsonl"))
        self.assertTrue(chosen)
        self.assertEqual({(record["server"]["port"], record["ip_protocol"]) for record in chosen}, {(53, 17)})
        self.assertEqual(rows(self.good("flows", *self.server, *self.range, "--sensor", "other-*", "-o", "jsonl")), [])
        self.assertEqual(self.good("flows", *self.server, "--since", "-3h", "--until", "2h59m", "-o", "json").stdout, "[]\n")
        for line in self.good("flows", *self.server, *self.range, "-n", "3").stdout.splitlines():
            self.assertRegex(line, r"^\S+Z (start|update|end) +(tcp|udp|icmp) .* -> .* @edge-1")
        self.assertRegex(self.good("flows", *self.server, *self.range, "-n", "3", "-o", "table").stdout, r"^TIME +EVENT +PROTO +CLIENT ")
        printed = self.good("flows", "--filter", "app=dns or app=tls server.port=53", "--print-filter").stdout
        self.assertEqual(printed, 'app = "dns" OR (app = "tls" AND server.port = 53)\n')

    def test_csv_has_the_columns_that_were_asked_for(self):
        text = self.good("flows", *self.server, *self.range, "-n", "50", "-o", "csv").stdout
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
        same = rows(self.good("flows", *self.server, *self.range, "-n", "50", "-o", "jsonl"))
        self.assertEqual(len(lines), 50)
        for line, record in zip(lines, same):
            self.assertEqual(line["flow_id"], record["flow_id"])
            self.assertEqual(line["end_time"], record["end_time"])
            self.assertEqual(line["server.port"], str(record["server"]["port"]))
            self.assertEqual(line["forward.delta_bytes"], record["forward"]["delta_bytes"])
            self.assertEqual(line["tcp.state"], record.get("tcp", {}).get("state", ""))
        few = self.good("flows", *self.server, *self.range, "-n", "2", "-o", "csv", "--columns", "client.ip,event,tcp.forward.mss").stdout
        self.assertRegex(few, r"^client\.ip,event,tcp\.forward\.mss\r\n[0-9a-f.:]+,FLOW_EVENT_\w+,")
        self.refused(2, r"no field 'clint\.ip'; did you mean 'client'", "flows", *self.server, "-o", "csv", "--columns", "clint.ip")
        self.refused(2, "name a part of it", "flows", *self.server, "-o", "csv", "--columns", "client")
        self.refused(2, "not one value", "flows", *self.server, "-o", "csv", "--columns", "observers")
        self.refused(2, "goes with -o csv", "flows", *self.server, "--columns", "client.ip")

    # ---- query ----

    def test_sums_are_those_of_rest(self):
        asked = self.aggregate(**{"from": self.since}, to=self.until, group_by=["client", "application"], limit=1000)["rows"]
        shown = rows(self.good("query", *self.server, *self.range, "--by", "client,application", "-n", "1000", "-o", "jsonl"))
        self.assertEqual(shown, asked)
        lines = list(csv.DictReader(io.StringIO(self.good(
            "query", *self.server, *self.range, "--by", "client,application", "-n", "1000", "-o", "csv").stdout, newline="")))
        self.assertEqual([[line["client"], line["application"], line["bytes_forward"], line["records"], line["other"]] for line in lines],
                         [[*row["key"], row["bytes_forward"], row["records"], str(row["other"]).lower()] for row in asked])
        text = self.good("query", *self.server, *self.range, "--by", "client,application", "-n", "2").stdout
        self.assertEqual(table(text)[0], ["CLIENT", "APPLICATION", "BYTES", "UP", "DOWN", "PACKETS", "RECORDS", "NEW FLOWS"])
        self.assertEqual(table(text)[1][:2], asked[0]["key"])
        self.assertEqual(table(text)[-1][0], "other")

    def test_steps_part_the_sums_and_lose_nothing(self):
        step = rows(self.good("query", *self.server, *self.range, "--by", "application", "--step", "1s", "-n", "100", "-o", "jsonl"))
        whole = rows(self.good("query", *self.server, *self.range, "--by", "application", "-n", "100", "-o", "jsonl"))
        for row in whole:
            self.assertEqual(sum(int(one["bytes_forward"]) for one in step if one["key"] == row["key"]), int(row["bytes_forward"]))
        text = self.good("query", *self.server, *self.range, "--by", "application", "--step", "1s").stdout
        self.assertEqual(table(text)[0][:2], ["TIME", "APPLICATION"])
        self.refused(2, "--by nonsense", "query", *self.server, "--by", "nonsense")

    # ---- hosts, services, map ----

    def test_hosts_and_services_are_those_of_rest(self):
        where = urllib.parse.urlencode({"from": self.since, "to": self.until, "limit": 1000})
        for command, path in (("hosts", "/v1/hosts"), ("services", "/v1/services")):
            asked = self.collector.fetch(f"{path}?{where}")[command]
            self.assertEqual(rows(self.good(command, *self.server, *self.range, "-n", "1000", "-o", "jsonl")), asked)
            lines = list(csv.DictReader(io.StringIO(self.good(
                command, *self.server, *self.range, "-n", "1000", "-o", "csv").stdout, newline="")))
            self.assertEqual([(line["address"], line["bytes_sent"], line["error_rate"]) for line in lines],
                             [(row["address"], row["bytes_sent"], format(row["error_rate"], "g") if "error_rate" in row else "") for row in asked])
            few = self.good(command, *self.server, *self.range, "-n", "2")
            self.assertEqual(len(few.stdout.splitlines()), 3)
            self.assertIn(f"2 of {len(asked)} {command} are shown", few.stderr)
        peers = rows(self.good("hosts", *self.server, *self.range, "--peer-of", "10.0.0.1", "--order", "flows", "-o", "jsonl"))
        self.assertNotIn("10.0.0.1", [row["address"] for row in peers])
        flows = [int(row["flows"]) for row in peers]
        self.assertEqual(flows, sorted(flows, reverse=True))
        done = self.good("hosts", *self.server, *self.range, "--peer-of", "203.0.113.9")
        self.assertIn("it has no flow in this range", done.stderr)
        self.assertEqual(table(self.good("services", *self.server, *self.range).stdout)[0][0], "SERVICE")
        self.refused(2, "--order nonsense", "hosts", *self.server, "--order", "nonsense")

    def test_the_map_as_table_json_csv_and_drawing(self):
        where = urllib.parse.urlencode({"from": self.since, "to": self.until, "group_by": "application"})
        asked = self.collector.fetch(f"/v1/map?{where}")
        flags = (*self.server, *self.range, "--by", "application")
        shown = json.loads(self.good("map", *flags, "-o", "json").stdout)
        self.assertEqual((shown["nodes"], shown["edges"]), (asked["nodes"], asked["edges"]))
        lines = list(csv.DictReader(io.StringIO(self.good("map", *flags, "-o", "csv").stdout, newline="")))
        self.assertEqual([(line["client"], line["server"], line["bytes_forward"]) for line in lines],
                         [(edge["client"], edge["server"], edge["bytes_forward"]) for edge in asked["edges"]])
        self.assertEqual(table(self.good("map", *flags).stdout)[0][:3], ["CLIENT", "SERVER", "BYTES"])
        drawing = self.good("map", *flags, "-o", "dot").stdout
        nodes = re.findall(r'^  "([^"]+)" \[label="', drawing, re.M)
        edges = re.findall(r'^  "([^"]+)" -> "([^"]+)" \[label="[^"]+", penwidth=\d+\.\d', drawing, re.M)
        self.assertEqual(nodes, [node["id"] for node in asked["nodes"]])
        self.assertEqual(edges, [(edge["client"], edge["server"]) for edge in asked["edges"]])
        if shutil.which("dot"):
            drawn = subprocess.run(["dot", "-Tsvg"], input=drawing, capture_output=True, text=True, timeout=60)
            self.assertEqual((drawn.returncode, drawn.stderr), (0, ""))

    # ---- around them ----

    def test_what_is_missing_is_told_beside_the_answer(self):
        done = self.good("query", *self.server, "--since", "2020-01-01T00:00:00Z", "--sensor", "edge-1,gone-1")
        self.assertRegex(done.stderr, r"1 of 2 sensors are not heard of now: gone-1")
        self.assertRegex(done.stderr, r"the history begins at \S+Z, what was asked for at 2020-01-01T00:00:00Z")
        self.assertTrue(done.stdout.startswith("APPLICATION"))

    def test_what_cannot_be_asked_is_refused_plainly(self):
        for command in ("flows", "query", "hosts", "services", "map"):
            self.refused(1, "is a sensor: questions to the history are asked of a collector", command, *self.sensor_flags)
            self.refused(2, r"(?s)\^\n.*--filter", command, *self.server, "--filter", "nonsense = 1")
            self.refused(2, "--until is not after --since", command, *self.server, "--since", "1h", "--until", "2h")
            self.refused(2, "--since yesterday: give an age", command, *self.server, "--since", "yesterday")
            self.refused(2, "unexpected argument", command, *self.server, "x")
            self.refused(4, r"refuses \(no --token-file is given\)", command, "-s", f"127.0.0.1:{self.collector.ingest}")
        self.refused(2, "--order size", "flows", *self.server, "--order", "size")

    def test_a_reader_that_goes_ends_it_without_a_word(self):
        done = shell(f"$CTL flows {' '.join([*self.server, *self.range])} --all | head -n 1 | wc -l")
        self.assertEqual((done.returncode, done.stdout.strip(), done.stderr), (0, "1", ""))

    def test_labels_choose_sensors(self):
        self.assertEqual(rows(self.good("flows", *self.server, *self.range, "--labels", "site=nowhere", "-o", "jsonl")), [])
        self.assertEqual(rows(self.good("sensors", *self.server, "--labels", "!site", "-o", "jsonl"))[0]["sensor_id"], "edge-1")
        self.refused(2, "labels", "flows", *self.server, "--labels", "=,=")


if __name__ == "__main__":
    main()
