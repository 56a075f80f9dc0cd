"""Users, roles, sessions and tokens of a collector, by TLS: who may ask for what at REST and the live feed, how a login
ends, and what becomes of those who guess passwords."""
import base64
import concurrent.futures
import http.client
import json
import os
import pty
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.live_client import LiveClient
from support.peers import Peers
from support.programs import COLLECTOR, PATIENCE, SENSOR, Program, clean_environment, free_port, main, run, wait_until, write_pcap
from support.service import capture

PASSWORDS = {"vera": "vera looks at it", "otto": "otto works here", "anna": "anna owns it all"}
ROLES = {"vera": "viewer", "otto": "operator", "anna": "admin"}
GRPC_TOKENS = {"viewer": "reader-token-0123456789", "operator": "operator-token-0123456789"}
SILENCE = {"kinds": ["ALERT_KIND_SYN_FLOOD"], "duration": "60s", "reason": "known"}


class Roles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="netscope-roles-")
        cls.addClassCleanup(cls.folder.cleanup)
        peers = Peers(cls.folder.name)
        peers.authority("ca")
        peers.certificate("server", "ca")
        cls.context = ssl.create_default_context(cafile=cls.path("ca.pem"))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.path(name), mode)

    # ---- the programs ----

    def manage(self, *arguments, password=None, status=0):
        done = run(COLLECTOR, *arguments, "--file", self.path("users"),
                   input_bytes=None if password is None else f"{password}\n".encode())
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def add_users(self):
        if os.path.exists(self.path("users")):
            os.unlink(self.path("users"))
        for name, role in ROLES.items():
            self.manage("user", "add", name, "--role", role, "--password-stdin", password=PASSWORDS[name])

    def start(self, auth="", web="", grpc="", audit=True):
        self.port, self.ingest = free_port(), free_port()
        self.store = tempfile.TemporaryDirectory(prefix="netscope-store-")
        self.addCleanup(self.store.cleanup)
        self.audit = os.path.join(self.store.name, "audit.jsonl")
        self.write("collector.yaml", f"""\
web:
  tls: {{enabled: true, cert_path: {self.path("server.pem")}, key_path: {self.path("server.key")}}}
{web}  auth:
    enabled: true
    users_file: {self.path("users")}
{auth}grpc: {{{grpc}}}
security: {{audit_file: {self.audit}}}
""")
        self.program = Program(COLLECTOR, "--config", self.path("collector.yaml"), "--port", self.port, "--ingest-listen",
                               f"127.0.0.1:{self.ingest}", "--data-dir", self.store.name)
        self.addCleanup(self.program.__exit__)
        wait_until("the collector", lambda: self.is_there() or not self.program.is_running())
        self.assertTrue(self.program.is_running(), self.program.text())

    def is_there(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def feed_packets(self):
        pcap = write_pcap(self.path("x.pcap"), capture())
        sensor = Program(SENSOR, "--read-pcap", pcap, "--pace", "--loop", "--quiet", "--sensor-id", "edge-1", "--collector",
                         f"127.0.0.1:{self.ingest}",
                         environment={"NETSCOPE_GRPC__ENABLED": "off", "NETSCOPE_HTTP__ENABLED": "off"})
        self.addCleanup(sensor.__exit__)
        return wait_until("a packet sample", lambda: self.json("/v1/packets?limit=5", cookie=self.admin)["packets"])[0]["id"]

    # ---- questions ----

    def ask(self, method, path, body=None, cookie=None, token=None, headers=None):
        """(status, headers, bytes)"""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=20 * PATIENCE, context=self.context)
        head = {"X-NetScope": "1", **(headers or {})}
        if cookie:
            head["Cookie"] = f"other=1; netscope_session={cookie}"
        if token:
            head["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), head)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def status(self, *arguments, **options):
        return self.ask(*arguments, **options)[0]

    def json(self, path, **options):
        status, _, body = self.ask("GET", path, **options)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def login(self, name, password=None):
        """(status, cookie or problem)"""
        status, headers, body = self.ask("POST", "/v1/session:login",
                                         {"user": name, "password": PASSWORDS.get(name) if password is None else password})
        if status != 200:
            return status, {**json.loads(body), "retry": headers.get("Retry-After")}
        cookie = headers["Set-Cookie"]
        self.assertRegex(cookie, r"^netscope_session=[^;]+; HttpOnly; SameSite=Strict; Path=/; Secure$")
        return status, re.match(r"netscope_session=([^;]+)", cookie)[1]

    def cookie(self, name):
        status, cookie = self.login(name)
        self.assertEqual(status, 200, cookie)
        return cookie

    def metric(self, name, cookie):
        text = self.ask("GET", "/metrics", cookie=cookie)[2].decode()
        return {match[1]: float(match[2]) for match in re.finditer(rf"^{name}(?:\{{[^}}]*=\"(\w+)\"\}})? (\S+)$", text, re.M)}

    def lines(self):
        with open(self.audit, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    # ---- who may what ----

    def test_each_role_has_its_routes_and_no_more(self):
        self.add_users()
        self.write("tokens", "".join(f"{role}-bot {role} {token}\n" for role, token in GRPC_TOKENS.items()))
        machine = {role: self.manage("token", "add", f"{role}-machine", "--role", role).strip() for role in ROLES.values()}
        self.start(grpc=f"token_file: {self.path('tokens')}")
        cookies = {ROLES[name]: self.cookie(name) for name in ROLES}
        self.admin = cookies["admin"]
        packet = self.feed_packets()
        routes = [
            ("GET", "/v1/flows", None, "viewer"), ("GET", "/v1/alerts", None, "viewer"), ("GET", "/v1/map", None, "viewer"),
            ("GET", "/v1/ledger", None, "viewer"), ("GET", "/v1/summary", None, "viewer"), ("GET", "/metrics", None, "viewer"),
            ("GET", "/v1/fleet/sensors", None, "viewer"), ("GET", "/v1/silences", None, "viewer"),
            ("POST", "/v1/query:aggregate", {}, "viewer"), ("GET", "/v1/nothing", None, "viewer"),
            ("GET", "/v1/packets", None, "operator"), ("GET", f"/v1/packets/{packet}", None, "operator"),
            ("GET", f"/v1/fleet/packets/{packet}", None, "operator"),
            ("POST", "/v1/silences:create", SILENCE, "operator"), ("POST", "/v1/fleet/silences:create", SILENCE, "operator"),
            ("POST", "/v1/alerts:acknowledge", {"alert_ids": ["0" * 8]}, "operator"),
            ("GET", "/v1/fleet/config", None, "admin"), ("POST", "/v1/fleet/config:set", {}, "admin"),
            ("POST", "/v1/fleet/config:clear", {}, "admin"),
        ]
        order = list(ROLES.values())
        for method, path, body, needs in routes:
            for role in order:
                proofs = [{"cookie": cookies[role]}, {"token": machine[role]}]
                proofs += [{"token": GRPC_TOKENS[role]}] if role in GRPC_TOKENS else []
                for proof in proofs:
                    status, _, answer = self.ask(method, path, body, **proof)
                    if order.index(role) >= order.index(needs):
                        self.assertIn(status, (200, 400, 404), (path, role, proof, answer))
                        continue
                    self.assertEqual(status, 403, (path, role, proof, answer))
                    problem = json.loads(answer)
                    self.assertEqual(problem["reason"], "PERMISSION_DENIED")
                    self.assertIn(f"which the role {needs} has", problem["detail"])
                    self.assertIn(f"is {role}", problem["detail"])
            status, headers, _ = self.ask(method, path, body)
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, 'Bearer realm="netscope"'), path)
            self.assertEqual(self.status(method, path, body, token="nst_" + "0" * 64), 401, path)
        self.assertIn("data", self.json(f"/v1/packets/{packet}", cookie=cookies["operator"]))
        # Who it was stands in the audit.
        done = {(line["who"], line["what"].split("/")[-1]) for line in self.lines() if line["result"] == "ok"}
        self.assertLessEqual({("otto", "CreateSilence"), ("anna", "CreateSilence"), ("operator-machine", "CreateSilence"),
                              ("operator-bot", "CreateSilence"), ("vera", "Login")}, done)
        self.assertFalse({who for who, what in done if what == "CreateSilence"} & {"vera", "viewer-machine", "viewer-bot"})
        looked = {(line["who"], line["result"]) for line in self.lines() if line["what"] == f"/v1/packets/{packet}"}
        self.assertLessEqual({("otto", "allowed"), ("anna", "allowed"), ("operator-machine", "allowed")}, looked)
        refused = [line for line in self.lines() if line["result"] == "PERMISSION_DENIED"]
        self.assertTrue({line["who"] for line in refused}.isdisjoint({"anna", "admin-machine"}))
        self.assertLessEqual({line["detail"] for line in refused}, {"packets", "triage", "config"})
        self.assertGreater(len(refused), 0)
        self.assertEqual({one["created_by"] for one in self.json("/v1/silences", cookie=cookies["viewer"])["silences"]},
                         {"otto", "anna", "operator-machine", "admin-machine", "operator-bot"})

    def test_the_page_is_told_who_has_logged_in(self):
        self.add_users()
        self.start()
        nobody = {"user": "", "role": "", "rights": [], "by": "", "login": True}
        self.assertEqual(self.json("/v1/session"), nobody)
        self.assertEqual(self.json("/v1/session", cookie="0" * 32), nobody)
        self.assertEqual(self.json("/v1/session", cookie=self.cookie("otto")),
                         {"user": "otto", "role": "operator", "rights": ["flows", "packets", "triage"], "by": "session", "login": True})
        for body in (None, {}, {"user": "otto"}, {"user": 1, "password": 2}, [], {"user": "otto", "password": "x" * 600}):
            self.assertEqual(self.status("POST", "/v1/session:login", body), 400, body)
        # A page of another origin cannot log anybody in or out.
        login = {"user": "otto", "password": PASSWORDS["otto"]}
        self.assertEqual(self.status("POST", "/v1/session:login", login, headers={"Origin": "https://evil.example"}), 403)
        self.assertEqual(self.status("GET", "/v1/session:login"), 405)

    # ---- the live feed ----

    def live(self, cookie):
        feed = LiveClient(self.port, self.context, {"Cookie": f"netscope_session={cookie}"} if cookie else {})
        self.addCleanup(feed.close)
        hello = feed.message()
        self.assertEqual(hello["t"], "hello")
        return feed, hello

    def test_a_viewers_live_feed_has_no_packets_and_ends_with_the_login(self):
        self.add_users()
        self.start()
        self.admin = self.cookie("anna")
        self.feed_packets()
        viewer = self.cookie("vera")
        feed, hello = self.live(viewer)
        self.assertEqual((hello["user"], hello["caps"]["packets"], hello["caps"]["ack"]), ("vera", False, False))
        _, other = self.live(self.cookie("otto"))
        self.assertEqual((other["user"], other["caps"]["packets"], other["caps"]["ack"]), ("otto", True, True))
        feed.say(t="sub", id=1, rate_hz=1, topics={"totals": {}, "alerts": {}, "flows": {"top": 5}, "packets": {}})
        seen = 0
        while seen < 3:
            message = feed.message()
            seen += message["t"] == "frame"
            self.assertNotIn("packets", message)
            self.assertNotIn('"data"', json.dumps(message).replace('"data": {"from_ms"', ""))
        with self.assertRaises(AssertionError):
            self.live("")
        self.assertEqual(self.status("POST", "/v1/session:logout", cookie=viewer), 200)
        message = feed.message()
        while message["t"] != "bye":
            message = feed.message()
        self.assertEqual(message["reason"], "login")
        with self.assertRaises(AssertionError):
            self.live(viewer)

    # ---- the end of a login ----

    def test_logout_ends_one_session_alone(self):
        self.add_users()
        self.start()
        here, there = self.cookie("vera"), self.cookie("vera")
        self.assertNotEqual(here, there)
        status, headers, _ = self.ask("POST", "/v1/session:logout", cookie=here)
        self.assertEqual(status, 200)
        self.assertIn("Max-Age=0", headers["Set-Cookie"])
        self.assertEqual(self.status("GET", "/v1/flows", cookie=here), 401)
        self.assertEqual(self.status("GET", "/v1/flows", cookie=there), 200)
        self.assertEqual(self.metric("netscope_collector_sessions_ended_total", there)["logout"], 1)
        self.assertEqual(self.metric("netscope_collector_sessions", there)[None], 1)

    def test_a_change_of_the_user_takes_effect_without_a_restart(self):
        self.add_users()
        token = self.manage("token", "add", "prometheus", "--role", "viewer").strip()
        self.start()
        vera, otto = self.cookie("vera"), self.cookie("otto")
        self.assertEqual(self.status("GET", "/v1/packets", cookie=vera), 403)
        self.manage("user", "role", "vera", "--role", "operator")
        wait_until("the session is over", lambda: self.status("GET", "/v1/flows", cookie=vera) == 401)
        self.assertEqual(self.status("GET", "/v1/packets", cookie=self.cookie("vera")), 200)
        self.assertEqual(self.status("GET", "/v1/flows", cookie=otto), 200)
        self.manage("user", "password", "otto", "--password-stdin", password="another word")
        wait_until("the session is over", lambda: self.status("GET", "/v1/flows", cookie=otto) == 401)
        self.assertEqual(self.login("otto")[0], 401)
        self.assertEqual(self.login("otto", "another word")[0], 200)
        self.assertEqual(self.status("GET", "/v1/flows", token=token), 200)
        self.manage("token", "remove", "prometheus")
        self.manage("user", "remove", "otto")
        self.program.process.send_signal(signal.SIGHUP)
        wait_until("the token is gone", lambda: self.status("GET", "/v1/flows", token=token) == 401)
        self.assertEqual(self.login("otto", "another word")[0], 401)
        # A file that cannot be used is told, and changes nothing.
        os.chmod(self.path("users"), 0o644)
        wait_until("it is told", lambda: "the users before stay" in self.program.text())
        self.assertIn("chmod 600", self.program.text())
        self.assertEqual(self.login("anna")[0], 200)
        self.assertEqual(self.program.stop(), 0)

    def test_sessions_end_when_idle_and_with_age_and_are_bounded(self):
        self.add_users()
        self.start(auth="    session_idle: 3s\n    session_age: 9s\n    sessions_max: 2\n")
        first = self.cookie("vera")
        used, begun = self.cookie("otto"), time.monotonic()
        third = self.cookie("anna")  # ends the one unused for longest
        idle = time.monotonic()  # a login may take its time
        self.assertEqual(self.status("GET", "/v1/flows", cookie=first), 401)
        while time.monotonic() < idle + 3.5:
            self.assertEqual(self.status("GET", "/v1/flows", cookie=used), 200)
            time.sleep(0.2)
        self.assertEqual(self.status("GET", "/v1/flows", cookie=third), 401)
        wait_until("it is too old", lambda: self.status("GET", "/v1/flows", cookie=used) == 401)
        self.assertGreaterEqual(time.monotonic(), begun + 8.5)

    # ---- guessing ----

    def test_guessing_is_slowed_and_counted_and_stalls_nobody(self):
        self.add_users()
        self.start(auth="    login_attempts: 5\n    login_interval: 1h\n")
        inside = self.cookie("anna")
        feed, _ = self.live(inside)
        feed.say(t="sub", id=1, rate_hz=1, topics={"totals": {}})
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = [pool.submit(self.login, f"guess{i}", "wrong") for i in range(60)]
            slowest = 0
            while not all(answer.done() for answer in answers):
                began = time.monotonic()
                self.assertEqual(self.status("GET", "/v1/summary", cookie=inside), 200)
                slowest = max(slowest, time.monotonic() - began)
            statuses = [answer.result()[0] for answer in answers]
        self.assertEqual(statuses.count(401), 5)
        self.assertEqual(statuses.count(429), 55)
        self.assertLess(slowest, 5 * PATIENCE)
        status, problem = self.login("vera")  # the right one too: whoever guesses learns nothing
        self.assertEqual((status, problem["reason"]), (429, "TOO_MANY_LOGINS"))
        self.assertGreater(int(problem["retry"]), 3000)
        logins = self.metric("netscope_collector_logins_total", inside)
        self.assertEqual((logins["ok"], logins["wrong"], logins["limited"]), (1, 5, 56))
        refused = [line for line in self.lines() if line["what"] == "Login" and line["result"] == "refused"]
        self.assertGreater(len(refused), 0)
        self.assertNotIn("wrong", json.dumps([line["who"] for line in refused]))
        frames = 0
        while frames < 2:
            frames += feed.message()["t"] == "frame"

    def test_the_one_user_of_the_password_file_stays_an_admin(self):
        self.add_users()
        self.write("password", "correct horse\n")
        self.start(auth=f"    username: root\n    password_file: {self.path('password')}\n    login_attempts: 3\n")
        basic = lambda word: {"Authorization": "Basic " + base64.b64encode(f"root:{word}".encode()).decode()}
        for _ in range(10):
            self.assertEqual(self.status("GET", "/v1/packets", headers=basic("correct horse")), 200)
        self.assertEqual(self.json("/v1/session", headers=basic("correct horse"))["role"], "admin")
        status, cookie = self.login("root", "correct horse")
        self.assertEqual((status, self.status("GET", "/v1/packets", cookie=cookie)), (200, 200))
        self.assertEqual([self.status("GET", "/v1/flows", headers=basic("wrong")) for _ in range(4)], [401, 401, 401, 429])
        self.assertEqual(self.status("GET", "/v1/flows", cookie=cookie), 200)

    # ---- the commands ----

    def test_commands_keep_the_file(self):
        self.add_users()
        self.assertEqual(self.manage("user", "list").split(), ["vera", "viewer", "otto", "operator", "anna", "admin"])
        self.assertIn("is there already", self.manage("user", "add", "vera", "--role", "admin", "--password-stdin",
                                                      password="long enough", status=1))
        self.assertIn("8 characters", self.manage("user", "add", "x", "--role", "admin", "--password-stdin", password="short", status=2))
        self.assertIn("no user is called x", self.manage("user", "remove", "x", status=1))
        self.assertIn("roles are", self.manage("user", "add", "x", "--role", "root", "--password-stdin", status=2))
        self.assertIn("--password-stdin", self.manage("user", "add", "x", "--role", "admin", status=2))
        self.assertIn("is no name", self.manage("token", "add", "a b", "--role", "admin", status=2))
        token = self.manage("token", "add", "prom", "--role", "viewer").strip()
        with open(self.path("users"), encoding="utf-8") as lines:
            text = lines.read()
        self.assertEqual(os.stat(self.path("users")).st_mode & 0o777, 0o600)
        for secret in (token, *PASSWORDS.values()):
            self.assertNotIn(secret, text)
        self.write("users", "vera viewer secret\n")
        self.assertIn("users:1: this is no hash", self.manage("user", "list", status=2))
        # By the settings of the collector.
        self.add_users()
        self.write("some.yaml", f"web: {{auth: {{users_file: {self.path('users')}}}}}\n")
        done = run(COLLECTOR, "user", "list", "--config", self.path("some.yaml"))
        self.assertEqual((done.returncode, done.stdout.split()[0]), (0, "vera"), done.stderr)
        done = run(COLLECTOR, "user", "list")
        self.assertEqual(done.returncode, 2)
        self.assertIn("web.auth.users_file", done.stderr)

    def test_two_commands_at_once_lose_nothing(self):
        self.add_users()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: self.manage("token", "add", f"bot{i}", "--role", "viewer"), range(20)))
        self.assertEqual(len(self.manage("token", "list").splitlines()), 20)

    def test_a_password_is_asked_for_at_a_terminal_without_echo(self):
        self.add_users()
        leader, follower = pty.openpty()
        command = subprocess.Popen([COLLECTOR, "user", "add", "tess", "--role", "viewer", "--file", self.path("users")],
                                   stdin=follower, stdout=follower, stderr=follower, env=clean_environment(),
                                   start_new_session=True,
                                   preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
        os.close(follower)
        shown = b""
        for prompt in (b"Password for tess: ", b"Verifying - Password for tess: "):
            while prompt not in shown:
                shown += os.read(leader, 1024)
            wait_until("no echo", lambda: not termios.tcgetattr(leader)[3] & termios.ECHO)
            os.write(leader, b"not to be seen\n")
        self.assertEqual(command.wait(timeout=20 * PATIENCE), 0, shown)
        try:
            while more := os.read(leader, 1024):
                shown += more
        except OSError:
            pass
        os.close(leader)
        self.assertNotIn(b"not to be seen", shown)
        self.assertIn("tess", self.manage("user", "list"))

    def test_a_start_without_the_file_says_how_to_make_it(self):
        self.write("collector.yaml", "web: {auth: {enabled: true, users_file: " + self.path("none") + "}}\n")
        done = run(COLLECTOR, "--config", self.path("collector.yaml"), "--port", 0, "--ingest-listen", "127.0.0.1:0",
                   "--data-dir", self.path("d"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("web.auth.users_file: open", done.stderr)


if __name__ == "__main__":
    main()
