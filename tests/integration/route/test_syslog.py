"""Alerts by syslog: messages of RFC 5424 over UDP, TCP and TLS, and of RFC 3164 at local sockets; daemons that hang up,
begin anew, or are not who they say."""
import json
import os
import re
import ssl
import sys
import time
from datetime import datetime

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from receivers import Datagrams, Routing, Streams, severity_of, to_tell
from support.peers import Peers
from support.programs import main, wait_until

# RFC 5424 6: PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA [SP MSG]
NAME = r"[!#-<>-\\^-~]{1,32}"
MESSAGE = re.compile(
    r"<(?P<pri>0|[1-9]\d{0,2})>1 "
    r"(?P<time>-|\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)) "
    r"(?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) "
    rf'(-|(\[{NAME}( {NAME}="([^"\\\]]|\\["\\\]])*")*\])+)'
    r"( (?P<text>.*))?", re.DOTALL)
# RFC 3164 4.1, as the C library's syslog(3) writes it, without a name of the host.
LOCAL_MESSAGE = re.compile(
    r"<(?P<pri>0|[1-9]\d{0,2})>(?P<time>(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ 12]\d|3[01]) \d\d:\d\d:\d\d) "
    r"(?P<app>[!-~]{1,32})\[(?P<process>\d+)\]: (?P<text>.*)", re.DOTALL)
LEVELS = [6, 5, 4, 3, 2]  # info ... critical


class Syslog(Routing):
    def server_context(self, name="server"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.peers.path(f"{name}.pem"), self.peers.path(f"{name}.key"))
        return context

    def authority(self):
        self.peers = Peers(self.folder)
        for name in ("ca", "other"):
            self.peers.authority(name)
        self.peers.certificate("server", "ca")

    def check(self, message, alert, facility=16, is_local=False):
        """The header; what follows it."""
        text = message.decode("utf-8")
        self.assertNotRegex(text, r"[\x00-\x1f\x7f]")  # one line
        found = (LOCAL_MESSAGE if is_local else MESSAGE).fullmatch(text)
        self.assertIsNotNone(found, text)
        self.assertEqual(int(found["pri"]), facility * 8 + LEVELS[severity_of(alert)])
        self.assertEqual(found["app"], "netscope-collector")
        self.assertEqual(found["process"], str(self.collector.program.process.pid))
        if is_local:
            self.assertEqual(found["time"], time.strftime("%b %e %H:%M:%S", time.localtime(int(alert["last_seen"]))))
            return found["text"]
        self.assertEqual(found["id"], alert["kind_name"])
        self.assertAlmostEqual(datetime.fromisoformat(found["time"].replace("Z", "+00:00")).timestamp(), alert["last_seen"], 3)
        return found["text"]

    def check_text(self, message, alert, **options):
        text = self.check(message, alert, **options)
        severity, state = alert["severity"].removeprefix("SEVERITY_").lower(), alert["state"].removeprefix("ALERT_STATE_").lower()
        self.assertTrue(text.startswith(f"{severity} {alert['kind_name']} {state}: {alert['description']} "), text)
        for words in (f'sensor="{alert["sensor_id"]}"', f"alert_id={alert['alert_id']}", f"config_key={alert['config_key']}"):
            self.assertIn(words, text)

    def check_json(self, message, alert):
        record = json.loads(self.check(message, alert))
        for key in ("alert_id", "kind_name", "state", "severity", "description", "sensor_id"):
            self.assertEqual(record[key], alert[key])

    def check_cef(self, message, alert):
        """CEF:Version|Vendor|Product|Version|Class ID|Name|Severity|Extension; '|' and '\\' escaped before the extension,
        '=' and '\\' in its values."""
        head, extension = re.fullmatch(r"CEF:0\|((?:(?:[^|\\]|\\[|\\])*\|){6})(.*)", self.check(message, alert)).groups()
        vendor, product, _, kind, _, severity = head.split("|")[:-1]
        self.assertEqual((vendor, product, kind), ("NetScope", "netscope-collector", alert["kind_name"]))
        self.assertTrue(0 <= int(severity) <= 10)
        values = dict(re.findall(r"(\w+)=((?:[^=\\]|\\.)*?)(?= \w+=|$)", extension))
        self.assertEqual(values["externalId"], alert["alert_id"])
        self.assertEqual(values["msg"].replace("\\=", "=").replace("\\\\", "\\"), alert["description"])
        self.assertEqual((values["deviceExternalId"], values["dst"]), (alert["sensor_id"], alert["victims"][0]))
        self.assertEqual(values["act"], alert["state"].removeprefix("ALERT_STATE_").lower())

    def assert_all(self, daemon, alerts, check, **options):
        wait_until(f"{len(alerts)} messages at {daemon.url}", lambda: len(daemon.messages) >= len(alerts))
        self.assertEqual(len(daemon.messages), len(alerts))
        for message, alert in zip(daemon.messages, alerts):
            check(message, alert, **options)

    def test_each_way_carries_the_messages_of_its_rfc(self):
        self.authority()
        datagrams = self.closing(Datagrams())
        local = self.closing(Datagrams(self.path("log")))
        stream = self.closing(Streams())
        secure = self.closing(Streams(self.server_context()))
        as_json, as_cef, floods = (self.closing(Streams()) for _ in range(3))
        self.start({"udp": {"url": datagrams.url}, "local": {"url": local.url, "facility": 4}, "tcp": {"url": stream.url},
                    "tls": {"url": secure.url, "ca_file": self.peers.path("ca.pem")},
                    "json": {"url": as_json.url, "format": "json"}, "cef": {"url": as_cef.url, "format": "cef"},
                    "floods": {"url": floods.url, "kinds": ["syn_flood"], "min_severity": "high", "facility": 23}})
        self.watch_ledger()
        records = self.raise_alerts()
        messages = to_tell(records)
        self.assert_all(datagrams, messages, self.check_text)
        self.assert_all(local, messages, self.check_text, facility=4, is_local=True)
        self.assert_all(stream, messages, self.check_text)
        self.assert_all(secure, messages, self.check_text)
        self.assert_all(as_json, messages, self.check_json)
        self.assert_all(as_cef, messages, self.check_cef)
        self.assert_all(floods, to_tell(records, "high", ["syn_flood"]), self.check_text, facility=23)
        for daemon in (stream, secure, as_json, as_cef, floods):  # many over one connection, and nothing besides
            self.assertEqual((len(daemon.connections), daemon.wrong), (1, []))
        for name in ("udp", "local", "tcp", "tls"):
            counts = self.await_counted(name, sent=len(messages), waiting=0)
            self.assertEqual((counts["refused"], counts["retries_total"], counts["up"]), (0, 0, 1))

    def test_after_a_stream_was_closed_the_next_message_comes_over_a_new_one(self):
        self.authority()
        stream, secure = self.closing(Streams()), self.closing(Streams(self.server_context()))
        self.start({"tcp": {"url": stream.url}, "tls": {"url": secure.url, "ca_file": self.peers.path("ca.pem")}})
        messages = to_tell(self.raise_alerts())
        for daemon in (stream, secure):
            self.assert_all(daemon, messages, self.check_text)
        for daemon in (stream, secure):
            daemon.hang_up()
        more = to_tell(self.raise_alerts(self.scans))
        for daemon in (stream, secure):
            self.assert_all(daemon, messages + more, self.check_text)
            self.assertEqual([len(each) for each in daemon.connections], [len(messages), len(more)])
            self.assertEqual(daemon.wrong, [])

    def test_a_daemon_that_begins_anew_gets_what_came_meanwhile(self):
        local = Datagrams(self.path("log"))
        self.start({"local": {"url": local.url}})
        messages = to_tell(self.raise_alerts())
        self.assert_all(local, messages, self.check_text, is_local=True)
        local.close()
        os.unlink(self.path("log"))
        more = to_tell(self.raise_alerts(self.scans))
        self.await_counted("local", waiting=len(more), up=0)
        self.assertRegex(self.collector.program.text(), r'they wait" receiver=local reason="')
        self.assert_all(self.closing(Datagrams(self.path("log"))), more, self.check_text, is_local=True)

    def test_nothing_goes_to_a_daemon_whose_certificate_is_of_another_authority(self):
        self.authority()
        secure, plain = self.closing(Streams(self.server_context())), self.closing(Streams())
        self.start({"tls": {"url": secure.url, "ca_file": self.peers.path("other.pem")},
                    "plain": {"url": plain.url.replace("tcp:", "tls:"), "ca_file": self.peers.path("ca.pem"), "timeout": "1s"}})
        messages = to_tell(self.raise_alerts(self.scans))
        for name in ("tls", "plain"):
            wait_until(f"a try at {name}", lambda name=name: self.counted(name)["retries_total"])
            counts = self.counted(name)
            self.assertEqual((counts["sent"], counts["waiting"], counts["up"]), (0, len(messages), 0))
        self.assertEqual(secure.messages, [])
        self.assertRegex(self.collector.program.text(), r'receiver=tls reason="[^"]*(issuer|self-signed|certificate)[^"]*"')
        self.assertIn("receiver=plain reason=", self.collector.program.text())
        self.assertNotIn(b"alert_id", b"".join(plain.wrong + plain.messages))


if __name__ == "__main__":
    main()
