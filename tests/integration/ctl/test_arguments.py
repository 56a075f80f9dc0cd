"""What is wrong with the arguments of netscopectl is said before anybody is asked: the status is 2 where no server is,
and standard output stays empty."""
import os
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import CTL
from support.programs import PATIENCE, clean_environment, main

# Arguments, and words of the refusal.
WRONG = (
    (("alerts", "--kind", "syn_flood,nosuch"), "--kind nosuch: there is no such one; there are syn_flood, "),
    (("alerts", "--severity", "bad"), "there are info, low, medium, high, critical"),
    (("alerts", "--state", "opn"), "there are open, update, close"),
    (("alerts", "--subject", "10.0.0.0/8,10.0.0.0/33"), "--subject 10.0.0.0/33: give an address or a network"),
    (("alerts", "--subject", "10.0.0.1/8"), "no bits set behind its prefix"),
    (("alerts", "--since", "10m"), "--since: goes with --follow"),
    (("alerts", "--labels", "site=a b"), "--labels 'site=a b'"),
    (("alerts", "--acknowledged", "maybe"), "there are exclude, only"),
    (("observe", "--sensor", ""), "--sensor '': give names of 1 to 128 characters"),
    (("observe", "--sensor", "a,,b"), "--sensor 'a,,b': give names"),
    (("observe", "--since", "yesterday"), "--since yesterday: give an age (10m, -2h, 1d), \"now\", or a time"),
    (("observe", "--since", "1h", "--until", "2h"), "--until is not after --since"),
    (("flows", "--since", "1h", "--until", "2h"), "--until is not after --since"),
    (("flows", "--order", "size"), "--order size: there is no such one; there are time, bytes"),
    (("flows", "--columns", "end_time,clint.ip", "-o", "csv"), "there is no field 'clint.ip'; did you mean"),
    (("query", "--by", "client,nosuch"), "--by nosuch: there is no such one; there are application, "),
    (("query", "--by", "client,server,client"), "client stands there twice"),
    (("query", "--by", "client,server,sensor,vlan,direction"), "at most 4"),
    (("query", "--by", "labels.site"), "--by labels.site: there is no such one"),
    (("top", "--by", "nosuch"), "there are application, "),
    (("top", "--by", "Client"), "--by Client: groups have small letters"),
    (("query", "--by", "client,server-port"), "'_' for '-'"),
    (("map", "--by", "labels.site,labels.role"), "--by labels.site,labels.role: give one"),
    (("top", "--since", "10q"), "--since 10q: give an age"),
    (("hosts", "--order", "nosuch"), "there are bytes, sent, "),
    (("hosts", "--peer-of", "10.0.0.0/8"), "--peer-of 10.0.0.0/8: give an IP address"),
    (("hosts", "-n", "1001"), "--limit 1001: at most 1000"),
    (("services", "-n", "5000"), "at most 1000"),
    (("map", "--by", "client"), "there are host, application, server_name, labels.KEY"),
    (("sensors", "--state", "dead"), "there are live, stale, offline"),
    (("sensors", "--labels", "(("), "--labels '(('"),
    (("stats", "--interval", "1s"), "--interval: goes with --follow"),
    (("ledger", "--since", "bogus"), "--since bogus"),
    (("capture", "--sensor", "a,b", "-w", "-"), "--sensor a,b: give the name of one sensor"),
    (("capture", "-w", "/proc/nowhere/x.pcapng"), "--write /proc/nowhere/x.pcapng: /proc/nowhere: No such file"),
    (("capture", "-w", "/proc"), "--write /proc: is a directory"),
    (("captures", "start", "--sensor", "a", "--since", "5m", "--until", "10m"), "--until is not after --since"),
    (("silences", "add", "--kind", "nosuch", "--duration", "1h", "--reason", "x"), "--kind nosuch: there is no such one"),
    (("silences", "add", "--attacker", "host", "--duration", "1h", "--reason", "x"), "--attacker host: give an address"),
    (("silences", "add", "--kind", "dga", "--until", "10m", "--reason", "x"), "a silence ends later than now"),
    (("silences", "add", "--kind", "dga", "--max-severity", "zz", "--duration", "1h", "--reason", "x"), "--max-severity zz"),
    (("config", "status", "--state", "zz"), "there are unset, pending, "),
    (("config", "push", __file__, "--all", "--canary-sensor", ","), "--canary-sensor ',': give names"),
    (("config", "apply", __file__, "--confirm-timeout", "2h"), "--confirm-timeout: within 1s to 1h"),
    (("fields", "--filter", "server.port ="), ""),
)
# What other words for the same are taken: the status is that of a server that is not there.
RIGHT = (("alerts", "--kind", "SYN-FLOOD,dga", "--severity", "High"), ("alerts", "--subject", "10.0.0.0/8,2001:db8::1"),
         ("query", "--by", "client.labels.site,server.labels.site,vlan"), ("map", "--by", "labels.site"),
         ("observe", "--sensor", "edge-*,lab-1", "--labels", "site in (a,b),!old"), ("observe", "--since", "-2h", "--until", "now"),
         ("hosts", "--peer-of", "2001:db8::1", "--order", "last-seen"), ("sensors", "--state", "live,stale"))


class Arguments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        taken = socket.socket()  # nobody listens there, and nobody else can
        cls.addClassCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        cls.server = f"127.0.0.1:{taken.getsockname()[1]}"

    def ctl(self, *arguments):
        return subprocess.run([CTL, *arguments], capture_output=True, text=True, timeout=60 * PATIENCE,
                              env=clean_environment({"HOME": "/nonexistent", "NETSCOPE_SERVER": self.server}))

    def test_they_are_looked_at_before_anybody_is_asked(self):
        for arguments, words in WRONG:
            with self.subTest(arguments=arguments):
                done = self.ctl(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(words, done.stderr)

    def test_what_is_right_is_asked(self):
        for arguments in RIGHT:
            with self.subTest(arguments=arguments):
                done = self.ctl(*arguments)
                self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
                self.assertIn("nothing listens there", done.stderr)

    def test_a_server_is_a_host_with_a_port_or_a_socket(self):
        for server in ("collector", "collector:", ":50052", "collector:0", "collector:65536", "collector:5005x", "::1:50052",
                       "[::1]", "unix:", "http://collector:50052"):
            with self.subTest(server=server):
                done = self.ctl("status", "-s", server)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(f"--server {server}: give host:port, [IPv6]:port or unix:/path", done.stderr)

    def test_a_word_that_no_field_has_is_told(self):
        for form in ((), ("-o", "json")):
            done = self.ctl("fields", "nosuchfield", *form)
            self.assertEqual((done.returncode, done.stdout.strip("[]\n")), (1, ""))
            self.assertIn("no field has 'nosuchfield' in name, type or meaning", done.stderr)
        done = self.ctl("fields", "retransmit")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("tcp.retransmits", done.stdout)

    def test_a_refusal_leaves_an_older_file_as_it_was(self):
        with tempfile.NamedTemporaryFile() as old:
            old.write(b"packets of before")
            old.flush()
            self.assertEqual(self.ctl("capture", "--sensor", "edge-1", "-w", old.name).returncode, 3)
            with open(old.name, "rb") as file:
                self.assertEqual(file.read(), b"packets of before")


if __name__ == "__main__":
    main()
