"""netscopectl as tests start it."""
import os
import subprocess

from support.programs import BIN, PATIENCE, Program, clean_environment, run

CTL = os.path.join(BIN, "netscopectl")


def ctl(*arguments, environment=None, **options):
    """Runs to the end; without settings of whoever runs the tests."""
    return run(CTL, *arguments, environment={"HOME": "/nonexistent", "XDG_CONFIG_HOME": "", **(environment or {})}, **options)


def rows(done):
    """Records of -o jsonl by their identity, in the order in which they came."""
    import json
    return [json.loads(line) for line in done.stdout.splitlines()]


def key(record):
    return record["sensor_id"], record["boot_id"], int(record["record_seq"])


def background(*arguments):
    """Standard output and error go to one file (Program.text)."""
    return Program(CTL, *arguments, environment={"HOME": "/nonexistent"})


def shell(line, timeout=60):
    """A line of bash with pipefail, where $CTL is the program."""
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True,
                          env=clean_environment({"CTL": CTL, "HOME": "/nonexistent"}), timeout=timeout * PATIENCE)
