#!/usr/bin/env python3
"""One environment for both programs: each takes the other's variables, and tells what is nobody's."""
import os
import re
import subprocess
import unittest

BIN = os.environ["NETSCOPE_BIN"]
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PROGRAMS = ("netscope-sensor", "netscope-collector")


def run(program, *arguments, **variables):
    bare = {key: value for key, value in os.environ.items() if not key.startswith("NETSCOPE_")}
    return subprocess.run([os.path.join(BIN, program), *arguments], capture_output=True, text=True,
                          env={**bare, **variables}, timeout=60, check=False)


def variables_of(program):
    return set(re.findall(r"`(NETSCOPE_\w+)`", run(program, "--print-docs").stdout))


class Environment(unittest.TestCase):
    def test_each_program_takes_every_variable_of_the_other(self):
        for program, other in (PROGRAMS, PROGRAMS[::-1]):
            strange = {name: "of the other" for name in variables_of(other)}
            self.assertGreater(len(strange), 50)
            done = run(program, "--check-config", **strange)
            self.assertEqual((done.returncode, done.stderr), (0, ""), f"{program} with those of {other}")

    def test_the_variables_of_scripts_and_tests_are_taken_without_a_word(self):
        names = set()
        for folder in ("tests", ".ci", "netscope"):
            path = os.path.join(ROOT, folder)
            files = [path] if os.path.isfile(path) else [os.path.join(where, name) for where, _, found in os.walk(path)
                                                         for name in found if name.endswith((".py", ".sh", ".txt"))]
            for file in files:
                if os.path.samefile(file, __file__):
                    continue
                with open(file, encoding="utf-8") as text:
                    names.update(re.findall(r"\bNETSCOPE_[A-Z]+(?:_[A-Z]+)*\b(?!_)", text.read()))
        self.assertIn("NETSCOPE_CORPUS", names)
        names.remove("NETSCOPE_LOG_LEVEL")  # an example of a slip in the documentation
        for program in PROGRAMS:
            done = run(program, "--check-config", **{name: "1" for name in names})
            self.assertEqual((done.returncode, done.stderr), (0, ""), program)

    def test_what_is_nobodys_is_refused_with_the_nearest_name(self):
        for program, given, meant in (
                ("netscope-collector", "NETSCOPE_WEB__BIND", "NETSCOPE_COLLECTOR_WEB__BIND"),
                ("netscope-collector", "NETSCOPE_INGEST__LISTN", "NETSCOPE_COLLECTOR_INGEST__LISTEN"),
                ("netscope-sensor", "NETSCOPE_WEB__BIND", "NETSCOPE_COLLECTOR_WEB__BIND"),
                ("netscope-sensor", "NETSCOPE_FLOWW__IDLE_TIMEOUT", "NETSCOPE_FLOW__IDLE_TIMEOUT")):
            done = run(program, "--check-config", **{given: "127.0.0.1"})
            self.assertEqual((done.returncode, done.stderr), (2, f"{program}: unknown environment variable '{given}'; "
                                                                 f"did you mean '{meant}'?\n"))
        done = run("netscope-sensor", "--check-config", NETSCOPE_COLLECTOR_WEBB__PORT="1")
        self.assertEqual((done.returncode, done.stderr),
                         (2, "netscope-sensor: unknown environment variable 'NETSCOPE_COLLECTOR_WEBB__PORT'\n"))

    def test_a_missing_underscore_is_told(self):
        for program, given, meant in (
                ("netscope-sensor", "NETSCOPE_LOG_LEVEL", "NETSCOPE_LOG__LEVEL"),
                ("netscope-sensor", "NETSCOPE_COLLECTOR_ADDRESS", "NETSCOPE_COLLECTOR__ADDRESS"),
                ("netscope-collector", "NETSCOPE_COLLECTOR_WEB_PORT", "NETSCOPE_COLLECTOR_WEB__PORT"),
                ("netscope-collector", "NETSCOPE_WEB_PORT", "NETSCOPE_COLLECTOR_WEB__PORT")):
            done = run(program, "--check-config", **{given: "1"})
            self.assertEqual(done.returncode, 0)
            self.assertIn(f"variable={given} meant={meant}", done.stderr)


if __name__ == "__main__":
    unittest.main()
