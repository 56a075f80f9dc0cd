#!/usr/bin/env python3
"""What only prints says so where it cannot: a file of settings that was cut is not taken for a whole one. A reader that
has had enough is no fault."""
import os
import signal
import subprocess
import unittest

BIN = os.environ["NETSCOPE_BIN"]
COMMANDS = [("netscope-sensor", *words) for words in (
    ("--help",), ("--version",), ("--print-config",), ("--print-docs",), ("--print-man",), ("fields",), ("ipfix-elements",),
    ("kafka-topics",))]
COMMANDS += [("netscope-collector", *words) for words in (("--help",), ("--version",), ("--print-config",), ("--print-man",))]
COMMANDS += [("netscopectl", *words) for words in (
    ("--help",), ("--version",), ("--print-man",), ("observe", "--help"), ("config", "--help"), ("fields",), ("completion", "bash"))]


def start(words, **options):
    bare = {key: value for key, value in os.environ.items() if not key.startswith("NETSCOPE_")}
    return subprocess.Popen([os.path.join(BIN, words[0]), *words[1:]], env=bare, stderr=subprocess.PIPE, text=True, **options)


class Printing(unittest.TestCase):
    def test_a_full_disk_is_told(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for words in COMMANDS:
                with self.subTest(words=words), start(words, stdout=full) as program:
                    told = program.communicate(timeout=60)[1]
                    self.assertEqual(program.returncode, 1, told)
                    self.assertRegex(told, rf"^{words[0]}: .*(standard output|cannot write)[^\n]*\n$")

    def test_a_reader_that_goes_is_no_fault(self):
        for words in COMMANDS:
            with self.subTest(words=words):
                reader, writer = os.pipe()
                os.close(reader)
                with start(words, stdout=writer) as program:
                    os.close(writer)
                    told = program.communicate(timeout=60)[1]
                    self.assertIn(program.returncode, (0, -signal.SIGPIPE))
                    self.assertEqual(told, "")

    def test_help_is_asked_for_in_any_way(self):
        def text(*words):
            with start(words, stdout=subprocess.PIPE) as program:
                out, told = program.communicate(timeout=60)
                self.assertEqual((program.returncode, told), (0, ""), words)
            return out
        for program in ("netscope-sensor", "netscope-collector", "netscopectl"):
            self.assertEqual(text(program, "help"), text(program, "--help"))
            self.assertEqual(text(program, "-h"), text(program, "--help"))
        for words in (("ipfix-elements",), ("kafka-topics",), ("doctor",)):
            self.assertEqual(text("netscope-sensor", *words, "--help"), text("netscope-sensor", "--help"))
        for words in (("observe",), ("config",), ("config", "push"), ("captures", "start")):
            self.assertEqual(text("netscopectl", "help", *words), text("netscopectl", *words, "--help"))
        # A command that stands for a group names the others.
        for group, others in (("captures", ("start", "show", "follow", "download", "stop", "delete")), ("alerts", ("ack",)),
                              ("silences", ("add", "remove")), ("sensors", ("label", "revoke"))):
            for other in others:
                self.assertRegex(text("netscopectl", group, "--help"), rf"(?m)^  netscopectl {group} {other} +\w")


if __name__ == "__main__":
    unittest.main()
