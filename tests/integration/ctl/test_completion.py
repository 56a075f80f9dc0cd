"""Completion of netscopectl's command line, by the shells themselves: bash, and zsh and fish where they are installed."""
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import CTL, ctl
from support.programs import PATIENCE, clean_environment, main

FIELDS = [field["name"] for field in json.loads(ctl("fields", "-o", "json").stdout)]


def commands():
    """{name: its flags with the letters of values} by --help."""
    listed = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?) {2,}", ctl("--help").stdout)
    return {name: re.findall(r"(?m)^  (?:-\w,|   ) --([\w-]+)", ctl(*name.split(), "--help").stdout) for name in listed}


class OneShell:
    """What every shell must complete; `complete` gives the candidates for a line that ends at the cursor."""
    each = 1  # every so manieth command is looked at

    def complete_all(self, lines):
        return [self.complete(line) for line in lines]

    def test_commands_and_those_of_a_group(self):
        names = commands()
        firsts = {name.split()[0] for name in names}
        self.assertGreater(len(names), 30)
        self.assertEqual(self.complete("netscopectl ") - {"help", "--help", "--version"}, firsts)
        self.assertEqual(self.complete("netscopectl obs"), {"observe"})
        self.assertEqual(self.complete("netscopectl config p"), {"push"})
        self.assertEqual(self.complete("netscopectl captures "), {name.split()[1] for name in names if name.startswith("captures ")})
        self.assertEqual(self.complete("netscopectl nonsense "), set())

    def test_flags_of_each_command_are_those_of_its_help(self):
        names = commands()
        chosen = sorted(names)[::self.each]
        for name, found in zip(chosen, self.complete_all([f"netscopectl {name} --" for name in chosen])):
            with self.subTest(name):
                self.assertEqual({one for one in found if one.startswith("--")}, {f"--{flag}" for flag in names[name]})

    def test_values_of_flags(self):
        for line, wanted in (("observe -o ", {"compact", "table", "wide", "json", "jsonl", "csv"}),
                             ("flows --output c", {"compact", "csv"}),
                             ("flows --output=c", {"compact", "csv"}),
                             ("map -o d", {"dot"}),
                             ("alerts --severity h", {"high"}),
                             ("config status --state f", {"failed"}),
                             ("hosts --order fi", {"first_seen"}),
                             ("completion f", {"fish"})):
            with self.subTest(line):
                self.assertEqual({one.split("=")[-1] for one in self.complete(f"netscopectl {line}")}, wanted)
        self.assertIn("port_scan_vertical", self.complete("netscopectl alerts --kind p"))
        self.assertEqual({one.split(",")[-1] for one in self.complete("netscopectl sensors --state live,s")}, {"stale"})
        self.assertEqual({one.split(",")[-1] for one in self.complete("netscopectl silences add --kind dga,syn_f")}, {"syn_flood"})

    def test_fields_of_the_filter_language(self):
        wanted = {field.removesuffix("KEY") for field in FIELDS if field.startswith("server.")}
        self.assertGreater(len(wanted), 3)
        self.assertEqual(self.complete("netscopectl observe --filter server."), wanted)
        found = self.complete("netscopectl flows -f 'app = dns AND (tcp.ret")
        self.assertEqual({re.split("[ (]", one.rstrip())[-1] for one in found}, {"tcp.retransmits"})

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "push-me.yaml"), "w", encoding="utf-8"):
                pass
            for line in ("config push ", "observe --input-file ", "captures download x -w "):
                found = self.complete(f"netscopectl {line}{folder}/pu")
                self.assertEqual({os.path.basename(one) for one in found}, {"push-me.yaml"}, line)


class Bash(OneShell, unittest.TestCase):
    rehearsed = """
source <("$CTL" completion bash)
for line; do
    IFS=$'\\x1f' read -r -a COMP_WORDS <<< "$line"
    COMP_WORDS=("${COMP_WORDS[@]/#./}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _netscopectl netscopectl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    printf '%s\\x1f' "${COMPREPLY[@]}"; echo
done
"""

    @staticmethod
    def words(line):
        """As readline parts them: "=" is a word, a quote holds its spaces."""
        words = re.findall(r"'[^']*$|=|[^\s=]+", line)
        return words + ([""] if line.endswith((" ", "=")) and "'" not in line else [])

    def complete_all(self, lines):
        packed = ["\x1f".join("." + word for word in self.words(line)) for line in lines]  # no word is empty so
        done = subprocess.run(["bash", "--norc", "-c", self.rehearsed, "bash", *packed], capture_output=True, text=True,
                              env=clean_environment({"CTL": CTL, "HOME": "/nonexistent"}), timeout=60 * PATIENCE)
        self.assertEqual(done.stderr, "")
        return [{one for one in line.split("\x1f") if one} for line in done.stdout.splitlines()]

    def complete(self, line):
        return self.complete_all([line])[0]

    def test_a_person_at_a_terminal_gets_it_too(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(CTL, os.path.join(folder, "netscopectl"))
            keeper, end = pty.openpty()
            shell = subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], stdin=end, stdout=end, stderr=end, start_new_session=True,
                                     env=clean_environment({"PATH": f"{folder}:{os.environ['PATH']}", "HOME": folder, "PS1": "> ", "TERM": "dumb"}))
            os.close(end)
            self.addCleanup(os.close, keeper)
            self.addCleanup(shell.wait)
            self.addCleanup(shell.kill)
            self.shown = ""

            def until(words):
                deadline = time.monotonic() + 20 * PATIENCE
                while words not in self.shown and time.monotonic() < deadline:
                    if select.select([keeper], [], [], 0.2)[0]:
                        self.shown += os.read(keeper, 65536).decode(errors="replace").replace("\a", "")
                self.assertIn(words, self.shown)
                self.shown = ""

            os.write(keeper, b"source <(netscopectl completion bash); echo re''ady\n")
            until("ready\r\n")
            os.write(keeper, b"netscopectl config pu\t")
            until("config push ")
            os.write(keeper, b"--dry\t")
            until("--dry-run ")
            os.write(keeper, b"\x15netscopectl flows --filter 'app = dns AND server.po\t")
            until("server.port")
            os.write(keeper, b" = 53' --print-f\t\n")
            until('app = "dns" AND server.port = 53\r\n')
            os.write(keeper, b"netscopectl sensors --state=live,off\t")
            until("live,offline")


@unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
class Zsh(OneShell, unittest.TestCase):
    """Zsh completes on a terminal alone: candidates are asked for through zpty of a zsh, one by one, which takes seconds."""
    each = 6
    driver = r"""
zmodload zsh/zpty
zpty z "zsh -f -i"
zpty -w z 'PROMPT="" PS2="" RPROMPT=""; unsetopt zle_bracketed_paste 2>/dev/null; bindkey -e'
zpty -w z 'autoload -Uz compinit; compinit -D -u; source <("$CTL" completion zsh)'
zpty -w z 'compadd() { if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi; typeset -a __h; builtin compadd -A __h -D __d "$@" 2>/dev/null || builtin compadd -A __h "$@"; local one; for one in $__h; do print -r -- "<$IPREFIX|$one>"; done }'
zpty -w z 'done_() { print "<END>"; exit }; zle -N done_; bindkey "^X" done_; bindkey "^I" complete-word; zstyle ":completion:*" list-grouped false; print "<REA""DY>"'
local line text=
while zpty -r z line && [[ $line != *"<READY>"* ]]; do :; done
zpty -w -n z "$LINE"$'\t'$'\x18'
while zpty -r z line && [[ $line != *"<END>"* ]]; do print -r -- "$line"; done
"""

    def complete(self, line):
        script = "() {" + self.driver + "}"
        done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, timeout=60 * PATIENCE,
                              env=clean_environment({"CTL": CTL, "HOME": "/nonexistent", "LINE": line, "TERM": "dumb", "PATH": os.environ["PATH"],
                                                     **({"FPATH": os.environ["FPATH"]} if "FPATH" in os.environ else {})}))
        found = {one for one in re.findall(r"<[^|\n]*\|([^>\n]*)>", done.stdout)}
        self.last = done.stdout + done.stderr
        return {one.rstrip("=") for one in found}


@unittest.skipUnless(shutil.which("fish"), "fish is not installed")
class Fish(OneShell, unittest.TestCase):

    def complete(self, line):
        done = subprocess.run(["fish", "-N", "-c", '"$CTL" completion fish | source; complete -C "$LINE"'], capture_output=True, text=True,
                              env=clean_environment({"CTL": CTL, "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent", "LINE": line,
                                                     "PATH": os.environ["PATH"]}), timeout=60 * PATIENCE)
        return {one.split("\t")[0] for one in done.stdout.splitlines() if one}


class Fields(unittest.TestCase):
    def test_fields_are_listed_searched_and_each_is_one_of_the_language(self):
        table = ctl("fields").stdout.splitlines()
        self.assertRegex(table[0], "^FIELD +TYPE +MEANING$")
        self.assertEqual([line.split()[0] for line in table[1:]], FIELDS)
        self.assertEqual([line.split()[0] for line in ctl("fields", "RETRANS").stdout.splitlines()[1:]], ["tcp.retransmits"])
        self.assertEqual((ctl("fields", "nonsense").stdout, ctl("fields", "nonsense").returncode), ("", 1))
        for name in FIELDS:
            done = ctl("fields", "--filter", f"{name.replace('KEY', 'site')} != nonsense")
            self.assertNotIn("unknown field", done.stderr)

    def test_a_filter_is_shown_as_it_was_understood(self):
        done = ctl("fields", "--filter", "app = dns OR app = tls server.port = 443")
        self.assertEqual((done.returncode, done.stdout), (0, 'app = "dns" OR (app = "tls" AND server.port = 443)\n'), done.stderr)
        done = ctl("fields", "--filter", "app = dns AND")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("^\n", done.stderr)


class Scripts(unittest.TestCase):
    def test_a_shell_that_there_is_none_for_is_refused(self):
        done = ctl("completion", "tcsh")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("bash, zsh and fish", done.stderr)
        self.assertEqual(ctl("completion").returncode, 2)


if __name__ == "__main__":
    main()
