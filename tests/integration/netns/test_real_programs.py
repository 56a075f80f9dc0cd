"""Servers and clients of other people, on ports that say nothing, on the loopback of a network namespace: the sensor
names what they speak by its bytes. For the protocols of which captures are scarce; see docs/accuracy.md.

Root only (77 else). A protocol whose programs are not installed is skipped with that reason: Debian packages redis-server,
mosquitto with mosquitto-clients, postgresql, mariadb-server, samba with smbclient, xrdp with freerdp2-x11 and xvfb,
openssh-server. One namespace with this process' id in its name; what was started is ended by id.
"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from support.programs import PATIENCE, SENSOR, Program, json_lines, main

NAME = f"nsreal{os.getpid()}"
INSIDE = ["ip", "netns", "exec", NAME]
os.environ["PATH"] += ":/usr/sbin:/sbin"


def command(*words, check=True, seconds=60, user=None, environment=None):
    prefix = ["runuser", "-u", user, "--"] if user else []
    done = subprocess.run([*INSIDE, *prefix, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=seconds * PATIENCE, env={**os.environ, **(environment or {})}, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: {done.stdout[-500:]} {done.stderr[-500:]}")
    return done.stdout


def need(*programs):
    """Where they are; without one of them the test is skipped."""
    found = [shutil.which(program) or next(iter(glob.glob(f"/usr/lib/postgresql/*/bin/{program}")), None)
             for program in programs]
    for program, path in zip(programs, found):
        if path is None:
            raise unittest.SkipTest(f"{program} is not installed")
    return found


def is_open(port):
    return f":{port} " in command("ss", "-Hltn", check=False)


def end_namespace():
    """Children that servers left behind are ended, too: all that run in the test's own namespace."""
    for pid in subprocess.run(["ip", "netns", "pids", NAME], capture_output=True, text=True, check=False).stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    subprocess.run(["ip", "netns", "del", NAME], check=False)


class RealPrograms(unittest.TestCase):
    port = 20100

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        done = subprocess.run(["ip", "netns", "add", NAME], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"network namespaces are not allowed here: {done.stderr.strip()}")
        cls.addClassCleanup(end_namespace)
        command("ip", "link", "set", "lo", "up")

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="netscope-real-")
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        os.chmod(self.folder, 0o755)
        RealPrograms.port += 7
        self.flows = os.path.join(self.folder, "flows.jsonl")

    def server(self, *words, user=None, environment=None):
        prefix = [*INSIDE, *(["runuser", "-u", user, "--"] if user else [])]
        server = Program(*words, prefix=prefix, environment=environment)
        self.addCleanup(server.__exit__)
        self.addCleanup(server.stop, signal.SIGTERM)
        end = time.monotonic() + 20 * PATIENCE
        while not is_open(self.port):
            if not server.is_running() or time.monotonic() > end:
                self.fail(f"{words[0]} does not listen: {server.text()[-1500:]}")
            time.sleep(0.1)

    def records(self, traffic):
        """What the sensor says of the server's flows while `traffic()` runs."""
        with Program(SENSOR, "-i", "lo", "--quiet", "--no-anomalies", "--flows-jsonl", self.flows, "--grpc-listen",
                     "127.0.0.1:0", "-t", "10", "-f", f"tcp port {self.port}", prefix=INSIDE, awaited=True) as sensor:
            traffic()
            time.sleep(0.3 * PATIENCE)
            sensor.stop(signal.SIGINT)
            text = sensor.text()
        found = [r for r in json_lines(self.flows) if r["event"] == "FLOW_EVENT_END"]
        self.assertTrue(found, f"no flow at all: {text[-1500:]}")
        return found

    def check(self, label, traffic, confidence="APP_CONFIDENCE_DPI", method="content"):
        records = self.records(traffic)
        for record in records:
            app = record.get("app", {})
            self.assertEqual((app.get("protocol"), app.get("confidence"), app.get("method")), (label, confidence, method),
                             record)
            self.assertEqual(record["server"]["port"], self.port)
        return records

    def test_redis(self):
        server, client = need("redis-server", "redis-cli")
        self.server(server, "--port", self.port, "--save", "", "--dir", self.folder)

        def traffic():
            self.assertEqual(command(client, "-p", self.port, "set", "name", "value").strip(), "OK")
            self.assertEqual(command(client, "-p", self.port, "get", "name").strip(), "value")
        self.assertEqual(len(self.check("redis", traffic)), 2)

    def test_mqtt(self):
        server, client = need("mosquitto", "mosquitto_pub")
        self.server(server, "-p", self.port)
        self.check("mqtt", lambda: command(client, "-p", self.port, "-t", "a/b", "-m", "hello", "-q", 1))
        self.check("mqtt", lambda: command(client, "-p", self.port, "-t", "a/b", "-m", "hello", "-V", "mqttv5"))

    def test_postgresql(self):
        initdb, server, client = need("initdb", "postgres", "psql")
        server = os.path.join(os.path.dirname(os.path.realpath(initdb)), "postgres")
        data = os.path.join(self.folder, "data")
        os.mkdir(data)
        shutil.chown(data, "postgres")
        command(initdb, "-D", data, "-A", "trust", "-N", user="postgres")
        self.server(server, "-D", data, "-p", self.port, "-k", data, "-c", "fsync=off", user="postgres")
        for mode in ("disable", "prefer"):  # with the latter the client asks for TLS first
            self.check("postgresql", lambda: self.assertEqual(command(
                client, "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", "-Atc", "select 6*7",
                environment={"PGSSLMODE": mode}).strip(), "42"))

    def test_mysql(self):
        server, client, install = need("mariadbd", "mariadb", "mariadb-install-db")
        data = os.path.join(self.folder, "data")
        os.mkdir(data)
        shutil.chown(data, "mysql")
        command(install, "--no-defaults", f"--datadir={data}", "--user=mysql", "--auth-root-authentication-method=normal",
                "--skip-test-db")
        self.server(server, "--no-defaults", f"--datadir={data}", f"--port={self.port}", f"--socket={data}/s",
                    "--bind-address=127.0.0.1", "--user=mysql", "--innodb-flush-log-at-trx-commit=0")
        self.check("mysql", lambda: self.assertEqual(command(
            client, "--no-defaults", "-h", "127.0.0.1", "-P", self.port, "-u", "root", "-Ne", "select 6*7").strip(), "42"))

    def test_smb(self):
        server, client = need("smbd", "smbclient")
        for name in ("run", "share"):
            os.mkdir(os.path.join(self.folder, name))
        run = os.path.join(self.folder, "run")
        with open(os.path.join(self.folder, "share", "a.txt"), "w", encoding="ascii") as file:
            file.write("hello")
        path = os.path.join(self.folder, "smb.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(["[global]", "server role = standalone server", "map to guest = bad user",
                                  "interfaces = lo", "bind interfaces only = yes", "disable netbios = yes",
                                  *(f"{key} = {run}" for key in ("pid directory", "lock directory", "state directory",
                                                                 "cache directory", "private dir", "ncalrpc dir")),
                                  f"log file = {run}/log", "load printers = no",
                                  "[pub]", f"path = {self.folder}/share", "guest ok = yes", ""]))
        self.server(server, "-F", "-s", path, f"--port={self.port}")
        self.check("smb", lambda: self.assertIn("a.txt", command(client, "-s", path, "-p", self.port, "-N",
                                                                 "//127.0.0.1/pub", "-c", "ls")))

    def test_rdp(self):
        server, client, screen = need("xrdp", "xfreerdp", "Xvfb")
        self.server(server, "--nodaemon", "-p", self.port)
        display = Program(screen, ":" + str(self.port), "-screen", "0", "640x480x16", prefix=INSIDE)
        self.addCleanup(display.__exit__)
        self.addCleanup(display.stop, signal.SIGTERM)
        time.sleep(PATIENCE)

        def traffic():  # there is no session manager behind it: the connection is all there is
            command("timeout", 4 * PATIENCE, client, f"/v:127.0.0.1:{self.port}", "/cert:ignore", "/u:nobody", "/p:x",
                    "+auth-only", check=False, environment={"DISPLAY": ":" + str(self.port), "HOME": self.folder})
        records = self.records(traffic)
        self.assertIn("rdp", [r.get("app", {}).get("protocol") for r in records] +
                      [r.get("app", {}).get("carrier") for r in records])

    def test_ssh(self):
        server, client, keygen = need("sshd", "ssh", "ssh-keygen")
        key = os.path.join(self.folder, "key")
        command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", key)
        os.makedirs("/run/sshd", exist_ok=True)
        self.server(server, "-D", "-p", self.port, "-f", "/dev/null", "-h", key, "-o", "PidFile=none")
        records = self.check("ssh", lambda: command(
            client, "-p", self.port, "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "IdentityFile=/dev/null", "nobody@127.0.0.1", "true", check=False),
            "APP_CONFIDENCE_CERTAIN", "ssh_banner")
        self.assertTrue(records[0]["ssh"]["client_banner"].startswith("SSH-2.0-OpenSSH"))
        self.assertRegex(records[0]["ssh"]["hassh"], "^[0-9a-f]{32}$")


if __name__ == "__main__":
    main()
