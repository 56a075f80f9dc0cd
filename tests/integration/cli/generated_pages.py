#!/usr/bin/env python3
"""Pages and example files that the programs print themselves: are those in the repository the same?

    generated_pages.py --bin DIR            exit 1 with the names of those that differ
    generated_pages.py --bin DIR --write    write them

What comes from the settings' and the flags' tables cannot be wrong in the documentation.
"""
import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
REMARK = "<!-- Printed by the programs (tests/integration/cli/generated_pages.py --write). Do not edit. -->\n"


def printed(folder, program, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NETSCOPE_")}
    done = subprocess.run([os.path.join(folder, program), *arguments], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{program} {arguments}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def configuration(folder):
    return (REMARK + "# Settings\n\n"
            "YAML, as in [config/sensor.yaml](../config/sensor.yaml) and [config/collector.yaml](../config/collector.yaml). "
            "Order: flag, environment, file, default. A variable's name is the program's prefix, the section and the key, "
            "dots and the last step as two underscores: `NETSCOPE_CAPTURE__INTERFACE=eth0` for the sensor, "
            "`NETSCOPE_COLLECTOR_WEB__PORT=8081` for the collector. An unknown key, a wrong type or a value out of bounds "
            "stops the start with file, line and the nearest name, and so does a variable with `__` that is neither "
            "program's; one that lacks the second underscore (`NETSCOPE_LOG_LEVEL`) is a warning. `--check-config` checks, `--print-config` prints what is "
            "in force.\n\n## netscope-sensor\n\n"
            + printed(folder, "netscope-sensor", "--print-docs")
            + "\n## netscope-collector\n\n" + printed(folder, "netscope-collector", "--print-docs"))


def command_lines(folder):
    return (REMARK + "# Command lines\n\n## netscope-sensor\n\n" + printed(folder, "netscope-sensor", "--print-cli")
            + "\nAs `--help` says it:\n\n```\n" + printed(folder, "netscope-sensor", "--help") + "```\n"
            + "\n## netscope-collector\n\n" + printed(folder, "netscope-collector", "--print-cli")
            + "\nAs `--help` says it:\n\n```\n" + printed(folder, "netscope-collector", "--help") + "```\n"
            + "\n## netscopectl\n\nHow it is used: [netscopectl.md](netscopectl.md).\n\n```\n" + printed(folder, "netscopectl", "--help")
            + "```\n\n" + printed(folder, "netscopectl", "--print-cli"))


def fields(folder):
    return (REMARK + "# Fields of the records\n\n"
            "Every field of the records of `netscope.v1` with its type, its unit and the names that IPFIX (IANA's information "
            "elements), the Elastic Common Schema 9 and OpenTelemetry have for it; empty = none is known. `netscope-sensor fields "
            "--format text|json|markdown` prints this table. `cardinality` is for who groups or makes metrics by a field: `fine` takes a "
            "few known values, `careful` as many as the site has (sensors, ports, networks), `avoid` as many as strangers send; "
            "empty = a figure. Times are RFC 3339 in UTC with nanoseconds, durations seconds with "
            "`s` behind them (proto3 JSON). A field in a list has `[]` before it.\n"
            + printed(folder, "netscope-sensor", "fields", "--format", "markdown"))


def ipfix_elements(folder):
    return (REMARK + "# Elements of IPFIX records\n\n"
            "What the Data Records of [the sensor's IPFIX](ipfix.md) are made of. Numbers are IANA's; `own` ones are sent under "
            "`ipfix.enterprise` alone. `netscope-sensor ipfix-elements` prints this table.\n\n"
            + printed(folder, "netscope-sensor", "ipfix-elements"))


FILTERS = [
    ("server.port = 443 AND client.ip = 10.0.0.0/8", "Addresses take prefixes."),
    ("app IN (tls, quic) AND NOT scope = external", "A list is OR; `NOT` may be written `-`."),
    ("tls.sni : shop", "`:` asks whether the text holds it, without regard to case."),
    ('tls.sni = "*.example.com"', "`*` stands for anything."),
    ("risk_score >= 70 AND bytes > 1MiB", "What alerts name, and a lot of it."),
    ("alert_id = 0190d0c2-7f3a-7c1e-9d54-3b1f0c9a8e77", "The flows of one alert."),
    ("tls.ja4 = t13d* AND NOT labels.site = berlin", "A fingerprint's beginning, outside of one network."),
    ("dns.rcode = nxdomain dns.name : \"*.example.net\"", "Terms side by side are AND."),
    ("tcp.retransmits > 10 OR rtt > 80ms", "Durations have a unit."),
    ("(http.status >= 500 OR flag = gap_before) AND sensor = \"edge-*\"", "Parentheses as usual."),
    ("mac : 02:00:5e OR tunnel.type = vxlan AND tunnel.id = 42", "`AND` binds closer than `OR`."),
    ("printer.example", "A word alone: any address, name, SNI, Host or application."),
]


def filters(folder):
    for text, _ in FILTERS:
        printed(folder, "netscopectl", "fields", "--filter", text)  # ends with its error where it does not compile
    rows = json.loads(printed(folder, "netscopectl", "fields", "-o", "json"))
    rows = rows if isinstance(rows, list) else rows["fields"]
    cell = str.maketrans({"|": "\\|", "*": "\\*", "_": "\\_"})
    return (REMARK + "# Filters\n\n"
            "One language wherever flows are chosen: `--filter` of `netscopectl`, the dashboard's filter line, `filter` of gRPC and REST, "
            "`flows_filter` of Kafka, `filter` of IPFIX. Its shape is that of AIP-160. A mistake is told with its column and, where a name is "
            "near, with that name.\n\n"
            "| filter | |\n| --- | --- |\n"
            + "".join("| `%s` | %s |\n" % (text.replace("|", "\\|"), says) for text, says in FILTERS)
            + "\nOperators are `=`, `!=`, `:` and `IN (a, b)`, for numbers, bytes and durations also `<`, `<=`, `>` and `>=`. `AND`, `OR` and `NOT` are "
            "written in any case. A text with spaces, brackets or quotes stands in double quotes, where `\\\"` and `\\\\` are a quote and a backslash.\n\n"
            "**What a record does not have compares false**, with every value: `vlan < 5` leaves out flows without a VLAN, and only `!=` and `NOT` "
            "let them pass. A field with several values (names asked for, tunnels, either side) holds where one of them does.\n\n"
            "A filter has at most 4,096 bytes, 256 terms and 32 levels. From the history a filter on addresses, ports, protocol, application, server name, "
            "sensor, sizes, `rtt`, `tcp.state`, `tcp.retransmits`, `event`, `vlan` and ids is answered from columns; all others read each record "
            "that the rest lets pass, which takes longer. The dashboard's list of largest flows, live, knows what it shows and no more: addresses, "
            "ports, protocol, application, server name, sizes, `rtt`, `tcp.state` and retransmissions; other fields are asked of the history.\n\n"
            "`netscopectl fields` prints this table, `netscopectl fields --filter TEXT` says how a filter is read.\n\n"
            "| field | type | meaning |\n| --- | --- | --- |\n"
            + "".join(f"| `{row['name']}` | {row['type']} | {row['meaning'].translate(cell)} |\n" for row in rows))


PAGES = {
    "config/sensor.yaml": lambda folder: printed(folder, "netscope-sensor", "--print-config"),
    "config/collector.yaml": lambda folder: printed(folder, "netscope-collector", "--print-config"),
    "docs/configuration.md": configuration,
    "docs/cli.md": command_lines,
    "docs/fields.md": fields,
    "docs/filters.md": filters,
    "docs/ipfix-elements.md": ipfix_elements,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    differ = []
    for name, make in PAGES.items():
        path = os.path.join(ROOT, name)
        wanted = make(arguments.bin)
        if arguments.write:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as out:
                out.write(wanted)
            continue
        try:
            with open(path, encoding="utf-8") as file:
                same = file.read() == wanted
        except OSError:
            same = False
        if not same:
            differ.append(name)
    if differ:
        print("not what the programs print: " + ", ".join(differ))
        print("after a change of settings or flags: tests/integration/cli/generated_pages.py --bin BIN --write")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
