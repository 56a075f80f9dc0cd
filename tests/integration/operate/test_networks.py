"""What networks are called: labels of prefixes and of MaxMind DB files in records, filters and sums."""
import ipaddress
import os
import re
import signal
import sys
import tempfile
import unittest
import urllib.parse
from collections import Counter

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support")]
import mmdb
from end_to_end.fleet import Collector
from support.programs import (SENSOR, Program, answers, free_port, get_json, json_lines, main, make_traffic, metrics, sensor,
                              wait_until)

LINES = {"10.0.0.0/8": {"site": "hq", "role": "any"}, "10.0.32.0/19": {"site": "berlin"},
         "2001:db8::/32": {"site": "six"}, "0.0.0.0/0": {"world": "the whole of it"}}
SYSTEMS = {"10.0.0.0/9": {"autonomous_system_number": mmdb.Number(64500, 32),
                          "autonomous_system_organization": "Example Net, Inc."},
           "2001:db8::/33": {"autonomous_system_number": mmdb.Number(64501, 32)}}
PLACES = {"10.0.0.0/19": {"country": {"iso_code": "DE"}, "city": {"names": {"en": "Köln"}}},
          "10.0.64.0/18": {"country_code": "FR", "city": "Lyon", "as_name": "not asked: another file has it"}}


def text_of(lines):
    return "# ours\n" + "".join(
        prefix + "".join(f' {key}="{value}"' for key, value in labels.items()) + "\n" for prefix, labels in lines.items())


def expected(address, lines):
    """The labels by the plain way."""
    found, address = {}, ipaddress.ip_address(address)

    def holds(prefix):
        network = ipaddress.ip_network(prefix)
        return network.version == address.version and address in network
    for prefix, value in SYSTEMS.items():
        if holds(prefix):
            found["asn"] = f"AS{value['autonomous_system_number']}"
            if "autonomous_system_organization" in value:
                found["as_org"] = value["autonomous_system_organization"]
    for prefix, value in PLACES.items():
        if holds(prefix):
            found["country"] = value.get("country_code") or value["country"]["iso_code"]
            found["city"] = value["city"] if isinstance(value["city"], str) else value["city"]["names"]["en"]
            if "as_name" in value:
                found.setdefault("as_org", value["as_name"])
    for prefix in sorted(lines, key=lambda text: ipaddress.ip_network(text).prefixlen):
        if holds(prefix):
            found.update(lines[prefix])
    return found


class Networks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.lines = os.path.join(self.folder, "networks.txt")
        self.settings = os.path.join(self.folder, "sensor.yaml")
        self.write(LINES)
        databases = []
        for name, records in (("systems", SYSTEMS), ("places", PLACES)):
            databases.append(os.path.join(self.folder, f"{name}.mmdb"))
            with open(databases[-1], "wb") as out:
                out.write(mmdb.database(records))
        with open(self.settings, "w", encoding="utf-8") as out:
            out.write(f"networks:\n  labels_file: {self.lines}\n  databases: [{', '.join(databases)}]\n")
        self.capture, _ = make_traffic(self.folder, "mix", packets=20_000)

    def write(self, lines):
        with open(self.lines + ".new", "w", encoding="utf-8") as out:
            out.write(lines if isinstance(lines, str) else text_of(lines))
        os.rename(self.lines + ".new", self.lines)

    def records(self, *more):
        path = os.path.join(self.folder, "flows.jsonl")
        done = sensor("--config", self.settings, "--read-pcap", self.capture, "--quiet", "--flows-jsonl", path, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json_lines(path)

    def check(self, records, lines):
        """How many ends had a label."""
        ends = 0
        for record in records:
            for side in ("client", "server"):
                found = record[side].get("labels", {})
                self.assertEqual(found, expected(record[side]["ip"], lines), record[side])
                ends += bool(found)
        return ends

    def test_each_end_has_the_labels_that_prefixes_and_databases_give_it(self):
        self.assertGreater(self.check(self.records(), LINES), 1000)

    def test_any_number_of_shards_gives_the_same(self):
        one, four = (sorted((r["flow_id"], r["update_index"], r["event"], sorted(r["client"].get("labels", {}).items()),
                             sorted(r["server"].get("labels", {}).items())) for r in self.records("--shards", shards))
                     for shards in ("1", "4"))
        self.assertEqual(one, four)

    def test_without_labels_records_are_as_they_were(self):
        with open(self.settings, "w", encoding="utf-8") as out:
            out.write("networks: {labels: []}\n")
        self.assertFalse([record for record in self.records() if "labels" in record["client"] or "labels" in record["server"]])

    def test_what_is_wrong_is_told_with_its_place(self):
        junk = os.path.join(self.folder, "junk.mmdb")
        with open(junk, "wb") as out:
            out.write(os.urandom(10_000))
        for setting, says in ((f"labels_file: {self.folder}/none", "networks.labels_file: .*/none: No such file"),
                              ("labels: [\"10.0.0.0/8\"]", r"networks\.labels\[0\]: no label behind the prefix"),
                              ("databases: [/nowhere.mmdb]", "networks.databases: /nowhere.mmdb: No such file"),
                              (f"databases: [{junk}]", "networks.databases: .*junk.mmdb: "),
                              ("names: [\"10.0.0.5\"]", r"networks\.names\[0\]: no name behind the address"),
                              (f"names_file: {self.lines}, labels_max: 2", r"names_file: .*line 4: more than 2 prefixes"),
                              (f"labels_file: {self.lines}, labels_max: 2", r"line 4: more than 2 prefixes")):
            with open(self.settings, "w", encoding="utf-8") as out:
                out.write(f"networks: {{{setting}}}\n")
            done = sensor("--config", self.settings, "--check-config")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, says)

    def test_names_of_addresses_stand_before_what_traffic_told_and_those_of_networks_behind(self):
        def named(record, side):
            return record[side]["name"], record[side]["name_source"]
        told = {(record["flow_id"], record["update_index"], record["event"]): record for record in self.records()}
        servers = Counter(record["server"]["ip"] for record in told.values() if record["server"]["name"])
        own = servers.most_common(1)[0][0]
        hosts = os.path.join(self.folder, "hosts")
        with open(hosts, "w", encoding="utf-8") as out:
            out.write(f"# ours\n{own} front front.lan\n0.0.0.0/0 somewhere\n::/0 somewhere\n")
        with open(self.settings, "w", encoding="utf-8") as out:
            out.write(f"networks: {{names_file: {hosts}, names: ['10.0.0.0/8 \"the office\"']}}\n")
        seen = Counter()
        for shards in ("1", "3"):
            for record in self.records("--shards", shards):
                before = told[record["flow_id"], record["update_index"], record["event"]]
                for side in ("client", "server"):
                    address = record[side]["ip"]
                    if address == own:
                        expected_name = ("front", "NAME_SOURCE_STATIC")
                    elif before[side]["name"]:
                        expected_name = named(before, side)
                    else:
                        inside = address.startswith("10.")
                        expected_name = ("the office" if inside else "somewhere", "NAME_SOURCE_STATIC")
                    self.assertEqual(named(record, side), expected_name, record[side])
                    seen[expected_name[0]] += 1
        self.assertGreater(seen["front"], 0)
        self.assertGreater(seen["the office"], 0)
        self.assertGreater(len(seen), 3)  # others' names are as traffic told them

    def test_hostile_text_of_a_database_is_no_label(self):
        path = os.path.join(self.folder, "hostile.mmdb")
        with open(path, "wb") as out:
            out.write(mmdb.database({"10.0.0.0/9": {"country_code": b"\x1b[2J", "city": b"\xff\xfe", "as_name": "n" * 300},
                                     "10.128.0.0/9": {"country_code": {"a": "b"}, "city": "", "asn": ["x"], "as_name": 7}}))
        with open(self.settings, "w", encoding="utf-8") as out:
            out.write(f"networks: {{databases: [{path}]}}\n")
        seen = {tuple(record[side].get("labels", {}).items()) for record in self.records() for side in ("client", "server")
                if record[side]["ip"].startswith("10.")}
        self.assertTrue(seen)
        for labels in seen:
            for key, value in labels:
                self.assertIn((key, value[:64]), {("as_org", "n" * 64), ("as_org", "AS7")}, labels)
                self.assertLessEqual(len(value), 64)

    def test_sighup_reads_the_file_again_and_a_broken_one_changes_nothing(self):
        records, port = os.path.join(self.folder, "paced.jsonl"), free_port()
        program = Program(SENSOR, "--config", self.settings, "--read-pcap", self.capture, "--pace", "--loop", "--quiet",
                          "--flows-jsonl", records, environment={
                              "NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__PORT": str(port),
                              "NETSCOPE_FLOW__IDLE_TIMEOUT": "1s", "NETSCOPE_LOG__LEVEL": "info"})
        self.addCleanup(program.__exit__)
        wait_until("it answers", lambda: answers(f"http://127.0.0.1:{port}/healthz"))

        def sites():
            return Counter(record["client"].get("labels", {}).get("site") for record in json_lines(records, is_growing=True))

        def reload(says):
            seen = len(program.text())
            program.process.send_signal(signal.SIGHUP)
            wait_until(says, lambda: re.search(says, program.text()[seen:]))
        wait_until("records with labels", lambda: os.path.exists(records) and sites()["hq"] > 0)
        self.write("10.0.0.0/8 site=broken\n10.0.0.0/8 no label\n")
        reload(r"networks\.labels_file: .*line 2: 'no' is no label")
        before = sites()["hq"]
        wait_until("more of the labels before", lambda: sites()["hq"] > before)
        self.write({"10.0.0.0/8": {"site": "paris"}})
        reload("settings read again")
        wait_until("records with the new labels", lambda: sites()["paris"] > 0)
        self.assertEqual(sites()["broken"], 0)
        figures = metrics(f"http://127.0.0.1:{port}/metrics")
        self.assertEqual(figures["netscope_labels_prefixes"], 1)
        self.assertGreater(figures["netscope_labels_ends_total"], 0)
        self.assertEqual(figures["netscope_labels_omitted_total"], 0)

    def test_flows_alive_are_filtered_by_labels(self):
        port = free_port()
        program = Program(SENSOR, "--config", self.settings, "--read-pcap", self.capture, "--pace", "--loop", "--quiet",
                          "--shards", 2, environment={"NETSCOPE_GRPC__ENABLED": "on", "NETSCOPE_HTTP__PORT": str(port),
                                                      "NETSCOPE_GRPC__LISTEN": "127.0.0.1:0"})
        self.addCleanup(program.__exit__)

        def listed(path, **more):
            return get_json(f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(more)}")

        def flows(text):
            return listed("/v1/flows", filter=text, page_size=1000).get("flows", [])

        def site(flow, side="client"):
            return flow[side].get("labels", {}).get("site")
        wait_until("it answers", lambda: answers(f"http://127.0.0.1:{port}/healthz"))
        wait_until("flows of both sites", lambda: {"hq", "berlin"} <= {site(flow) for flow in flows("")})
        berlin = wait_until("those of one", lambda: flows("client.labels.site = berlin"))
        self.assertEqual({site(flow) for flow in berlin}, {"berlin"})
        for flow in berlin:  # once each, as records have them
            self.assertEqual(flow["client"]["labels"], expected(flow["client"]["ip"], LINES))
        others = flows("NOT client.labels.site = berlin")
        self.assertNotIn("berlin", {site(flow) for flow in others})
        self.assertGreater(len(others), 0)
        either = wait_until("by either side", lambda: flows("labels.site = berlin AND port = 443") or flows("labels.site = berlin"))
        self.assertTrue(all("berlin" in (site(flow), site(flow, "server")) for flow in either))
        self.assertEqual(flows("client.labels.site = nowhere"), [])
        for more in ({}, {"window": "30s"}):
            top = wait_until("top clients", lambda: listed("/v1/flows:top", group_by="client", filter="client.labels.site = berlin",
                                                           **more).get("groups"))
            self.assertEqual({expected(row["key"], LINES).get("site") for row in top}, {"berlin"})

    def test_a_collector_filters_and_sums_by_labels(self):
        collector = Collector(self.folder)
        self.addCleanup(collector.close)
        records = self.records("--collector", f"127.0.0.1:{collector.ingest}")
        flows = {record["flow_id"]: record for record in records}
        wait_until("all flows are stored", lambda: len({flow["flow_id"] for flow in collector.flows()}) == len(flows))

        def ask(path, **query):
            return collector.fetch(f"{path}?{urllib.parse.urlencode({'from': 0, 'to': 4_000_000_000_000, **query})}")
        berlin = {flow for flow, record in flows.items() if record["client"].get("labels", {}).get("site") == "berlin"}
        self.assertTrue(0 < len(berlin) < len(flows))
        answer = ask("/v1/flows", page_size=1000, filter='client.labels.site = "Berlin"')
        self.assertEqual(int(answer["matched"]) if "matched" in answer else len(answer["flows"]), len(berlin))
        self.assertTrue({flow["flow_id"] for flow in answer["flows"]} <= berlin)

        sums = Counter()
        for record in records:
            sums[record["client"].get("labels", {}).get("country", "")] += sum(
                int(record.get(way, {}).get("delta_bytes", 0)) for way in ("forward", "reverse"))
        rows = ask("/v1/query:aggregate", **{'from': '1970-01-01T00:00:01Z', 'to': '2100-01-01T00:00:00Z'}, group_by="client.labels.country", limit=100)["rows"]
        self.assertEqual({row["key"][0]: int(row["bytes_forward"]) + int(row["bytes_reverse"]) for row in rows}, dict(sums))

        pairs = Counter()
        for record in records:
            sites = [f"network:{record[side].get('labels', {}).get('site', '')}" for side in ("client", "server")]
            pairs[tuple(sites)] += int(record.get("forward", {}).get("delta_bytes", 0))
        edges = ask("/v1/map", **{'from': '1970-01-01T00:00:01Z', 'to': '2100-01-01T00:00:00Z'}, group_by="labels.site")["edges"]
        self.assertEqual({(edge["client"], edge["server"]): int(edge["bytes_forward"]) for edge in edges}, dict(pairs))


if __name__ == "__main__":
    main()
