"""kafka-probe, our sink in a process of its own, and the law that its counters keep."""
import json
import os
import subprocess

from kafka_tools import PATIENCE, same

FOLDER = ""  # of the programs; the caller sets it
# librdkafka's mock brokers do not check sequence numbers, so where a request fails and the next one in flight does not,
# the idempotent producer takes the first for stored (librdkafka issue 2501). A real broker refuses the second. Cases
# that make requests fail on the mock send one at a time; those with a real broker send as the sink does by default.
ONE_IN_FLIGHT = ("--set", "properties=max.in.flight.requests.per.connection=1")


def start(brokers, *arguments, before=()):
    return subprocess.Popen([*before, os.path.join(FOLDER, "kafka-probe"), "--set", f"brokers={brokers}", *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(running, seconds=90):
    out, err = running.communicate(timeout=seconds * PATIENCE)
    if running.returncode != 0:
        raise AssertionError(f"probe: exit {running.returncode}: {err.strip()}")
    result = json.loads(out)
    result["log"] = err
    same("offered + made + recovered = left_out + acked + failed + spool_lost + owed",
         result["offered"] + result["made"] + result["recovered"],
         sum(result[key] for key in ("left_out", "acked", "failed", "spool_lost", "owed")))
    same("sum of the errors", sum(result["errors"].values()), result["failed"])
    if result["offer_max_ms"] > 250:
        raise AssertionError(f"offer held the publisher for {result['offer_max_ms']} ms")
    return result


def probe(brokers, *arguments):
    return finish(start(brokers, *arguments))


def lines_with(text, *words):
    """The lines of a log that hold all words; the first is shown, since docs/troubleshooting.md quotes it."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    same(f"a line with {words} in: {text[-1500:]}", bool(found), True)
    print("      " + found[0])
    return found


def total(result):
    return result["flows"] + result["alerts"] + result["stats"]
