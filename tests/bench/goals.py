"""The goals of the design, each with the figure that this run has for it. Standard library only.

A row has two bounds: `must` is the least that counts as done, `aim` the goal. The verdict is "aim", "must" or
"MISSED"; a row that this run did not measure says why. All figures are ratios within one run, or bytes, or the best
of many rounds of one program (ns a record): absolute times of different machines are not comparable.
"""
import re
import statistics

FULL, TWO, COMPACT, DETECTING = "netscope, 1 shard", "netscope, 2 shards", "netscope, compact", "netscope, detection on"
WORKLOADS = ("small", "mix", "flood")

# Beside another tool: CPU of netscope by its CPU, at most, for small, mix and flood. (must, aim) each.
BESIDE = {
    "libpcap alone": ((2.8, 2.2), (1.15, 0.85), (4.5, 3.0)),
    "tcpdump -w /dev/null": ((1.6, 1.2), (0.7, 0.5), (2.5, 1.7)),
    "nfpcapd": ((0.06, 0.06), (0.2, 0.2), (0.06, 0.06)),
    "softflowd": ((0.04, 0.04), (0.3, 0.3), (0.06, 0.06)),
}


class Table:
    """Rows as they are judged; `missed` counts those beyond `must`."""

    def __init__(self):
        self.rows, self.missed = [], 0

    def at_most(self, name, value, must, aim, digits=2, unit=""):
        self._judge(name, value, must, aim, digits, unit, lambda bound: value <= bound, "<=")

    def at_least(self, name, value, must, aim, digits=2, unit=""):
        self._judge(name, value, must, aim, digits, unit, lambda bound: value >= bound, ">=")

    def _judge(self, name, value, must, aim, digits, unit, holds, sign):
        if value is None:
            self.rows.append((name, "-", f"{sign} {must:g}", f"{sign} {aim:g}", "not measured in this run"))
            return
        verdict = "aim" if holds(aim) else "must" if holds(must) else "MISSED"
        self.missed += verdict == "MISSED"
        self.rows.append((name, f"{value:.{digits}f}{unit}", f"{sign} {must:g}", f"{sign} {aim:g}", verdict))

    def show(self):
        print(f"\n{'goals':58} {'figure':>11} {'must':>9} {'aim':>9}  verdict")
        for row in self.rows:
            print(f"{row[0]:58} {row[1]:>11} {row[2]:>9} {row[3]:>9}  {row[4]}")
        print(f"{len(self.rows)} rows, {self.missed} missed")


def ratio(results, workload, figure, ours, theirs):
    """The median of the ratios within one turn; None where one of the two did not run."""
    mine = results.get(workload, {}).get(ours, {}).get(figure)
    other = results.get(workload, {}).get(theirs, {}).get(figure)
    if not mine or not other:
        return None
    return statistics.median(a / b for a, b in zip(mine, other))


def number(programs, program, pattern):
    """What a bench program printed; None where it did not run."""
    found = re.search(pattern, programs.get(program, ""))
    return float(found.group(1)) if found else None


def judge(results, programs, extras):
    """`results`: of the tools, by workload. `programs`: what the rooms' programs printed. `extras`: single figures."""
    table = Table()
    for tool, bounds in BESIDE.items():
        for workload, (must, aim) in zip(WORKLOADS, bounds):
            table.at_most(f"{workload}: CPU by that of {tool}", ratio(results, workload, "cpu", FULL, tool), must, aim)
    table.at_most("small: compact by full", ratio(results, "small", "cpu", COMPACT, FULL), 0.8, 0.8)
    table.at_least("small: throughput of 2 shards by 1 (wall)", ratio(results, "small", "wall", FULL, TWO), 1.4, 1.7)
    table.at_most("mix: all detectors by none", ratio(results, "mix", "cpu", DETECTING, FULL), 1.3, 1.3)
    table.at_most("flood: all detectors by none", ratio(results, "flood", "cpu", DETECTING, FULL), 1.5, 1.5)
    table.at_most("mix: application parsers by none", number(programs, "inspect_bench", r": ([\d.]+) x"), 1.25, 1.25)
    table.at_most("memory of a flow, full, 1 M flows", extras.get("flow_bytes"), 220, 150, 0, " B")
    table.at_most("memory of a flow, compact (--synthetic-flows)", extras.get("compact_bytes"), 100, 85, 0, " B")
    table.at_most("SYN flood: CPU a packet, long by short", extras.get("flood_cpu"), 1.15, 1.05)
    table.at_most("SYN flood: peak memory, long by short", extras.get("flood_memory"), 1.1, 1.05)
    table.at_most("scan of 65,536 hosts by one of 8,192: CPU a packet", extras.get("scan_cpu"), 1.15, 1.05)
    table.at_most("scan of 65,536 hosts by one of 8,192: peak memory", extras.get("scan_memory"), 1.1, 1.05)
    table.at_most("6.8 M live flows: CPU a packet by that of small", extras.get("many_flows"), 2.0, 1.4)
    table.at_most("record of a flow with TCP's figures, encode",
                  number(programs, "codec_bench", r"encode, few fields\s+([\d.]+)"), 80, 40, 0, " ns")
    table.at_most("JSON of a record of 400 bytes", number(programs, "codec_bench", r"JSON from.*?([\d.]+) ns"),
                  3000, 1500, 0, " ns")
    for kind in ("plain", "typical"):
        table.at_most(f"store, {kind} records: CPU by that of SQLite alone",
                      number(programs, "store_bench", rf"store, {kind} records.*?([\d.]+) times SQLite"), 3.5, 2.5, 1)
    for workload, must, aim in (("small", 550, 400), ("mix", 600, 450), ("flood", 1000, 700)):
        table.at_most(f"{workload}: instructions a packet (callgrind)",
                      number(programs, "instructions", rf"(?m)^{workload}\s+(\d+)"), must, aim, 0)
    return table
