#!/usr/bin/env python3
"""Runs a sensor and hands its flow records on with some fields in the form that check_flows.py reads.

    plain_units.py SENSOR ARGUMENTS...

Durations are proto3 JSON ("0.010s") and enums have their full names in our records; the checker wants numbers and
short names. It adds up the records of a flow, so TCP figures, which our records give since the start of the flow,
become what came since the flow's record before. Everything else passes as it is, and so do the exit status and
standard error.
"""
import json
import signal
import subprocess
import sys


SINCE_START = ("retransmitted_segments", "out_of_order_segments", "zero_window_events")


def since_last(record, told):
    for side in ("forward", "reverse"):
        figures = record["tcp"].get(side, {})
        for name in SINCE_START:
            if name in figures:
                total = int(figures[name])
                key = (record.get("flow_id"), side, name)
                figures[name] = total - told.get(key, 0)
                told[key] = total


def convert(record, told):
    tcp = record.get("tcp")
    if isinstance(tcp, dict):
        since_last(record, told)
        state = tcp.get("state")
        if isinstance(state, str):
            tcp["state"] = state.removeprefix("TCP_STATE_").lower()
        handshake = tcp.get("handshake_time")
        if isinstance(handshake, str) and handshake.endswith("s"):
            tcp["handshake_rtt"] = float(handshake[:-1])
    return record


def main():
    sensor = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace")
    told = {}
    for line in sensor.stdout:
        try:
            line = json.dumps(convert(json.loads(line), told)) + "\n"
        except ValueError:
            pass  # the checker counts lines that are no JSON
        sys.stdout.write(line)
    status = sensor.wait()
    if status < 0:  # die as the sensor did, so that a crash is seen as one
        signal.signal(-status, signal.SIG_DFL)
        sys.stdout.flush()
        signal.raise_signal(-status)
    return status


if __name__ == "__main__":
    sys.exit(main())
