"""What the running programs may still do: capabilities, user and system calls of every thread."""
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import COLLECTOR, PATIENCE, SENSOR, Program, answers, free_port, main, sensor, wait_until

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

    def live(self, prefix=(), sensor_path=SENSOR, **settings):
        environment = {"NETSCOPE_HTTP__PORT": str(self.port), **settings}
        program = Program(sensor_path, "-i", "lo", "--quiet", "-v", "--grpc-listen", "127.0.0.1:0",
                          environment=environment, prefix=prefix)
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

    def test_an_ordinary_user_with_this_one_capability_captures(self):
        if shutil.which("setpriv") is None:
            self.skipTest("no setpriv")
        program_path = shutil.copy(SENSOR, os.path.join(self.directory.name, "netscope-sensor"))
        os.chmod(self.directory.name, 0o755)
        program = self.live(("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                             "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw",
                             "--bounding-set=-all,+net_raw", "--no-new-privs"), program_path)
        for thread in threads(program.process.pid):
            self.assertEqual(int(thread["CapEff"], 16), NET_RAW, thread["Name"])
            self.assertEqual(int(thread["CapBnd"], 16), NET_RAW, thread["Name"])
            self.assertEqual(int(thread["CapAmb"], 16), 0, thread["Name"])
            self.assertEqual(thread["Uid"].split(), [str(NOBODY)] * 4, thread["Name"])
        self.assertEqual(program.stop(), 0, program.text())
        self.assertNotIn("packets captured: 0 ", program.text())

    def test_without_it_the_message_says_what_to_do(self):
        if shutil.which("setpriv") is None:
            self.skipTest("no setpriv")
        program_path = shutil.copy(SENSOR, os.path.join(self.directory.name, "netscope-sensor"))
        os.chmod(self.directory.name, 0o755)
        with Program(program_path, "-i", "lo", "--quiet", prefix=(
                "setpriv", "--reuid", str(NOBODY), "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"),
                     environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"}) as program:
            self.assertEqual(program.process.wait(timeout=30 * PATIENCE), 1)
            self.assertIn("CAP_NET_RAW", program.text())

    # ---- system calls: a preloaded library makes one in whichever thread gets SIGUSR2 ----

    def violate(self, call, mode):
        library = os.environ.get("NETSCOPE_VIOLATION", "")
        if not os.path.exists(library):
            self.skipTest("NETSCOPE_VIOLATION names no library (tests/support/violation.c)")
        with open(SENSOR, "rb") as file:
            if re.search(rb"__[at]san_init", file.read()):  # nor can a library come before a sanitizer's own
                self.skipTest("a sanitizer's build has no filter")
        program = self.live(LD_PRELOAD=library, NETSCOPE_TEST_VIOLATION=call, NETSCOPE_SECURITY__SECCOMP=mode)
        for _ in range(3):  # several threads, by chance
            if program.is_running():
                program.process.send_signal(signal.SIGUSR2)
                wait_until("something came of it",
                           lambda: "violation: " in program.text() or not program.is_running())
        return program

    def test_a_forbidden_call_ends_the_process(self):
        for call, mode in (("execve", "refuse"), ("execve", "kill"), ("setpriority", "kill")):
            with self.subTest(call=call, mode=mode):
                program = self.violate(call, mode)
                self.assertEqual(program.process.wait(timeout=30 * PATIENCE), -signal.SIGSYS, program.text()[-500:])
                self.assertNotIn("violation: ", program.text())
                self.port = free_port()

    def test_a_call_off_the_list_is_refused_and_the_sensor_goes_on(self):
        program = self.violate("setpriority", "refuse")
        self.assertIn("violation: refused", program.text())
        self.assertNotIn("violation: done", program.text())
        self.assertTrue(answers(f"http://127.0.0.1:{self.port}/healthz"))
        self.assertEqual(program.stop(), 0, program.text())

    def test_under_log_it_is_allowed(self):
        program = self.violate("setpriority", "log")
        self.assertIn("violation: done", program.text())
        self.assertEqual(program.stop(), 0, program.text())

    # ---- the service manager ----

    def manager(self):
        path = os.path.join(self.directory.name, "notify")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        listener.settimeout(20)
        self.addCleanup(listener.close)
        return path, listener

    def test_the_manager_is_told_and_the_watchdog_follows_the_shards(self):
        path, listener = self.manager()
        program = self.live(NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
        seen = []

        def until(wanted):
            while not any(text.startswith(wanted) for text in seen):
                seen.append(listener.recv(4096).decode())
            found = [text for text in seen if text.startswith(wanted)][0]
            seen.clear()
            return found

        until("READY=1")
        until("WATCHDOG=1")
        self.assertRegex(until("STATUS="), r"^STATUS=\d+ packets, ")
        program.process.send_signal(signal.SIGHUP)
        self.assertRegex(until("RELOADING=1"), r"MONOTONIC_USEC=\d+$")
        until("READY=1")
        self.assertEqual(program.stop(), 0, program.text())
        until("STOPPING=1")

    def test_a_publisher_that_stands_still_is_not_alive(self):
        """Its pipe is full and nobody reads: then nothing goes round, and the manager may start it anew."""
        path, listener = self.manager()
        pipe = os.path.join(self.directory.name, "pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        program = self.live(NOTIFY_SOCKET=path, WATCHDOG_USEC="200000", NETSCOPE_OUTPUT__FLOWS_JSONL=pipe,
                            NETSCOPE_FLOW__EMIT_START="true")
        listener.settimeout(0.5)

        def is_silent():
            for port in range(20_000, 23_000):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"x", ("127.0.0.1", port))
            try:
                while True:
                    if listener.recv(4096) == b"WATCHDOG=1":
                        return False
            except TimeoutError:
                return True

        wait_until("the watchdog hears nothing more", is_silent)
        self.assertTrue(program.is_running())
        program.process.kill()

    def test_a_collector_tells_the_manager_too(self):
        path, listener = self.manager()
        with Program(COLLECTOR, "--port", self.port, "--ingest-listen", "127.0.0.1:0", "--data-dir", self.directory.name,
                     environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}) as program:
            seen = ""
            for wanted in ("READY=1", "WATCHDOG=1", "STATUS=0 sensors"):
                while wanted not in seen:
                    seen += listener.recv(4096).decode() + "\n"
            self.assertEqual(program.stop(), 0, program.text())
            while "STOPPING=1" not in seen:
                seen += listener.recv(4096).decode() + "\n"

    def test_a_collector_keeps_none(self):
        program = Program(COLLECTOR, "--port", self.port, "--ingest-listen", "127.0.0.1:0", "--data-dir",
                          self.directory.name, "-v")
        self.addCleanup(program.__exit__)
        wait_until("the collector answers", lambda: answers(f"http://127.0.0.1:{self.port}/healthz"))
        wait_until("it tells how it is confined", lambda: "msg=confined" in program.text())
        self.check(program, 0, 0)
        self.assertEqual(program.stop(), 0, program.text())

    def test_a_user_or_capability_that_does_not_exist_is_refused_by_name(self):
        for key, value in (("USER", "no-such-user-here"), ("KEEP_CAPABILITIES", "net_rawr")):
            done = sensor("-i", "lo", environment={f"NETSCOPE_SECURITY__{key}": value})
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(value, done.stderr)


if __name__ == "__main__":
    main()
