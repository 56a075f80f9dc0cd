"""What the running programs may still do: capabilities, user and system calls of every thread."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import COLLECTOR, SENSOR, Program, answers, free_port, main, sensor, wait_until

NET_RAW = 1 << 13
NOBODY = 65534


def threads(pid):
    """[{field: value}] of /proc/PID/task/*/status."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as lines:
            found.append(dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line))
    return found


class Confined(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("not root: nothing to give up")
        self.port = free_port()
        self.directory = tempfile.TemporaryDirectory(prefix="netscope-")
        self.addCleanup(self.directory.cleanup)

    def live(self, **settings):
        environment = {"NETSCOPE_HTTP__PORT": str(self.port), **settings}
        program = Program(SENSOR, "-i", "lo", "--quiet", "-v", "--grpc-listen", "127.0.0.1:0", environment=environment)
        self.addCleanup(program.__exit__)
        wait_until("the sensor answers", lambda: answers(f"http://127.0.0.1:{self.port}/healthz"))
        wait_until("it tells how it is confined", lambda: "msg=confined" in program.text())
        return program

    def check(self, program, capabilities, user):
        every = threads(program.process.pid)
        self.assertGreater(len(every), 3)
        for thread in every:
            self.assertEqual(int(thread["CapEff"], 16), capabilities, thread["Name"])
            self.assertEqual(int(thread["CapPrm"], 16), capabilities, thread["Name"])
            self.assertEqual(int(thread["CapBnd"], 16), capabilities, thread["Name"])
            self.assertEqual(thread["NoNewPrivs"], "1", thread["Name"])
            self.assertEqual(thread["Uid"].split(), [str(user)] * 4, thread["Name"])
            if "this build is for tests" not in program.text():
                self.assertEqual(thread["Seccomp"], "2", thread["Name"])

    def test_a_live_sensor_of_root_keeps_one_capability(self):
        self.check(self.live(), NET_RAW, 0)

    def test_a_live_sensor_becomes_the_user_of_the_settings_and_captures(self):
        program = self.live(NETSCOPE_SECURITY__USER=str(NOBODY))
        self.check(program, NET_RAW, NOBODY)
        self.assertEqual(program.stop(), 0, program.text())
        self.assertNotIn("packets captured: 0 ", program.text())  # the requests above crossed lo

    def test_a_collector_keeps_none(self):
        program = Program(COLLECTOR, "--port", self.port, "--ingest-listen", "127.0.0.1:0", "--data-dir",
                          self.directory.name, "-v")
        self.addCleanup(program.__exit__)
        wait_until("the collector answers", lambda: answers(f"http://127.0.0.1:{self.port}/healthz"))
        self.check(program, 0, 0)
        self.assertEqual(program.stop(), 0, program.text())

    def test_a_user_or_capability_that_does_not_exist_is_refused_by_name(self):
        for key, value in (("USER", "no-such-user-here"), ("KEEP_CAPABILITIES", "net_rawr")):
            done = sensor("-i", "lo", environment={f"NETSCOPE_SECURITY__{key}": value})
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(value, done.stderr)


if __name__ == "__main__":
    main()
