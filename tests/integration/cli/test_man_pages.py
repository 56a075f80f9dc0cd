#!/usr/bin/env python3
"""The pages for man(1) say what --help says, and are without a fault for who formats them."""
import os
import re
import shutil
import subprocess
import unittest

BIN = os.environ["NETSCOPE_BIN"]
PROGRAMS = ("netscope-sensor", "netscope-collector", "netscopectl")
ESCAPES = {r"\-": "-", r"\e": "\\", r"\(aq": "'", r"\(ti": "~", r"\(ha": "^", r"\&": "", r"\fB": "", r"\fI": "", r"\fR": ""}


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, (words, done.stderr)
    return done


def printed(program, *arguments):
    return run(os.path.join(BIN, program), *arguments).stdout


def plain(page):
    return re.sub(r"\\(?:\(..|f.|.)", lambda found: ESCAPES[found.group()], page)


def flags_of(text):
    """Letter, name and argument of each flag that --help lists."""
    return re.findall(r"^  (?:(-\w),|   ) (--[\w-]+)(?: (\S+))?  ", text, re.M)


class ManPages(unittest.TestCase):
    def check_flags(self, program, page, text):
        found = flags_of(text)
        self.assertGreater(len(found), 1, text)
        for letter, name, argument in found:
            entry = f"{letter}, {name}" if letter else name
            self.assertIn(f"\n.TP\n{entry}{' ' + argument if argument else ''}\n", page, program)

    def test_every_flag_of_the_help_is_in_the_page(self):
        for program in PROGRAMS[:2]:
            self.check_flags(program, plain(printed(program, "--print-man")), printed(program, "--help"))

    def test_every_command_of_the_client_is_in_its_page_with_its_flags(self):
        page = plain(printed("netscopectl", "--print-man"))
        names = re.findall(r"^  (\w+(?: \w+)?)  +\S", printed("netscopectl", "--help").split("Settings:")[0], re.M)
        names.remove("netscopectl COMMAND") if "netscopectl COMMAND" in names else None
        self.assertGreater(len(names), 30)
        for name in names:
            self.assertRegex(page, rf"\n\.SS {name}(?: .*)?\n")
            self.check_flags(name, page, printed("netscopectl", *name.split(), "--help"))

    def test_a_page_has_its_sections_and_the_exit_statuses_of_the_help(self):
        for program in PROGRAMS:
            page, text = plain(printed(program, "--print-man")), printed(program, "--help")
            self.assertEqual(re.findall(r"^\.TH (\S+) 1 ", page), [program.upper()])
            for section in ("NAME", "SYNOPSIS", "SETTINGS", "EXIT STATUS", "FILES", "SEE ALSO"):
                self.assertIn(f"\n.SH {section}\n", page, program)
            statuses = re.search(r"Exit status: (.*)", text, re.S).group(1).strip()
            self.assertIn(" ".join(statuses.split()), " ".join(page.split()), program)

    def test_groff_has_nothing_to_say(self):
        if shutil.which("groff") is None:
            self.skipTest("no groff")
        for program in PROGRAMS:
            done = run("groff", "-man", "-ww", "-Tutf8", "-z", input=printed(program, "--print-man"))
            self.assertEqual(done.stderr, "", program)


if __name__ == "__main__":
    unittest.main()
