"""Peers of the collector stream that are foreign, slow, silent, doubled or hostile; and a collector that is.

argv: ingest_probe, certs.sh. Exit status 77: grpcio is missing.
"""
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import grpc
except ImportError:
    print("SKIP: python3-grpcio is not installed")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from probes import ProbeCollector, ProbeSensor
from relay import Relay
from support.foreign_stream import (ACK, ALERTS, BATCH, CONNECT, FLOWS, HEARTBEAT, PROBE_TIME, REDIRECT, THROTTLE, WELCOME,
                                    Stream, batch, fields, gap, hello, number, packed, text, zstd_frame)
from support.programs import PATIENCE, wait_until

PROBE, CERTS = sys.argv[1:3]


class Peers(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name

    def collector(self, *settings):
        collector = ProbeCollector(PROBE, os.path.join(self.folder, "log"), settings=settings)
        self.addCleanup(lambda: collector.process.poll() is None and collector.kill())
        return collector

    def stream(self, collector, *messages):
        stream = Stream(collector.port)
        self.addCleanup(stream.close)
        return stream.send(*messages)

    def welcomed(self, collector, sensor="foreign", boot="boot-1"):
        stream = self.stream(collector, hello(sensor, boot))
        stream.welcome = stream.receive(WELCOME)
        return stream

    def sensor(self, name, port, *settings, rate=0):
        sensor = ProbeSensor(PROBE, name, self.folder, port, rate, *settings)
        self.addCleanup(lambda: sensor.process.poll() is None and sensor.kill())
        return sensor

    # ---- a foreign client ----

    def test_a_foreign_client_is_welcomed_acknowledged_and_resumes(self):
        collector = self.collector()
        stream = self.welcomed(collector)
        stream.send(batch(1, 3), batch(4, 2), batch(1, 1, stream=ALERTS), gap(6, 9), batch(10, 1))
        stream.acknowledged(10)
        stream.acknowledged(1, stream=ALERTS)
        stream.send(text(HEARTBEAT, b""))
        self.assertIn(1, stream.receive(PROBE_TIME))
        stream.close()
        again = self.welcomed(collector)
        at = [dict(fields(body)) for member, body in again.welcome if member == 2]
        self.assertIn((b"boot-1", FLOWS, 11), [(row[1], row[2], row[3]) for row in at])
        # What comes again, whole, in part and in the wrong order, is counted and left out.
        again.send(batch(1, 3), batch(10, 1), batch(4, 2), batch(9, 4), batch(1, 12))
        again.acknowledged(12)
        again.close()
        told, _ = collector.stop()
        sums, _ = collector.scan()
        self.assertEqual((told["duplicates"], told["gap_records"]), (3 + 1 + 2 + 2 + 12, 4))
        self.assertEqual((sums["records"], sums["gap_records"], sums["missing"], sums["duplicates"]), (9, 4, 0, 0))

    def test_each_break_of_the_protocol_has_its_status(self):
        code = grpc.StatusCode
        collector = self.collector("batch_records_max=512")
        for messages, status, words in (
                ([batch(1, 1)], code.FAILED_PRECONDITION, "hello comes first"),
                ([hello(), hello()], code.FAILED_PRECONDITION, "hello comes first, and once"),
                ([hello(version=7)], code.FAILED_PRECONDITION, "protocol version 7"),
                ([hello(sensor="")], code.INVALID_ARGUMENT, "sensor_id"),
                ([hello(sensor="a b")], code.INVALID_ARGUMENT, "without spaces"),
                ([hello(sensor="x" * 200)], code.INVALID_ARGUMENT, "no ConnectRequest"),
                ([hello(sensor="fleet")], code.INVALID_ARGUMENT, "collector's own"),
                ([hello(), batch(5, 1)], code.FAILED_PRECONDITION, "begins at record 5, but 1 is next"),
                ([hello(), gap(5, 6)], code.FAILED_PRECONDITION, "begins at record 5"),
                ([hello(), batch(0, 1)], code.INVALID_ARGUMENT, "impossible range"),
                ([hello(), batch(2**64 - 1, 1)], code.INVALID_ARGUMENT, "impossible range"),
                ([hello(), gap(6, 5)], code.INVALID_ARGUMENT, "no ConnectRequest"),
                ([hello(), batch(1, 1, stream=9)], code.INVALID_ARGUMENT, ""),
                ([hello(), batch(1, 3, records=2)], code.INVALID_ARGUMENT, "cannot be read"),
                ([hello(), batch(1, 513)], code.INVALID_ARGUMENT, "max_batch"),
                ([b"\xff" * 40], code.INVALID_ARGUMENT, "no ConnectRequest"),
                ([hello(), b"\x12\xff\xff\xff\xff\x0f"], code.INVALID_ARGUMENT, "no ConnectRequest")):
            with self.subTest(words=words, status=status):
                self.assertEqual((got := self.stream(collector, *messages).refused())[0], status, got)
                self.assertIn(words, got[1])
        told, _ = collector.stop()
        self.assertEqual(told["records"], 0)

    def test_a_message_above_the_limit_and_a_bomb_of_empty_records_cost_no_memory(self):
        collector = self.collector("message_max=8MiB")

        def resident():
            with open(f"/proc/{collector.process.pid}/status", encoding="ascii") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        self.welcomed(collector).close()
        before = resident()
        large = self.stream(collector, hello(boot="large"), batch(1, 1, record=bytes(9 << 20)))
        self.assertEqual(large.refused()[0], grpc.StatusCode.RESOURCE_EXHAUSTED)
        for _ in range(5):  # four million records of two bytes each
            bomb = self.stream(collector, hello(boot="bomb"), batch(1, 4_000_000))
            self.assertEqual(bomb.refused()[0], grpc.StatusCode.INVALID_ARGUMENT)
        if PATIENCE == 1:  # sanitizers keep what was freed
            self.assertLess(resident() - before, 64 << 10, "KiB more than before")
        stream = self.welcomed(collector, boot="after")
        stream.send(batch(1, 2, boot="after"))
        stream.acknowledged(2, boot="after")

    def test_packed_batches_are_taken_and_packed_bombs_cost_no_memory(self):
        code = grpc.StatusCode
        collector = self.collector("message_max=8MiB")
        plain = batch(1, 5)
        stream = self.welcomed(collector)
        self.assertIn(b"zstd", [body for member, body in stream.welcome if member == 7])
        stream.send(packed(zstd_frame([plain], len(plain)), len(plain)))
        stream.acknowledged(5)
        bomb = zstd_frame([128 << 10] * 8192, 1 << 30)  # a gigabyte of zeros in 32 kB
        for message, status, words in (
                (packed(bomb, 1 << 30), code.RESOURCE_EXHAUSTED, "message_max"),
                (packed(bomb, 8 << 20), code.INVALID_ARGUMENT, "none when unpacked"),
                (packed(bomb, 0), code.RESOURCE_EXHAUSTED, "no bytes"),
                (packed(zstd_frame([plain], len(plain)), len(plain), "gzip"), code.INVALID_ARGUMENT, "encoding"),
                (packed(os.urandom(500), 500), code.INVALID_ARGUMENT, "none when unpacked"),
                (packed(zstd_frame([hello()], len(hello())), len(hello())), code.INVALID_ARGUMENT, "none when unpacked")):
            with self.subTest(words=words, status=status):
                self.assertEqual((got := self.stream(collector, hello(), message).refused())[0], status, got)
                self.assertIn(words, got[1])
        with open(f"/proc/{collector.process.pid}/status", encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        self.assertLess(peak, (256 if PATIENCE == 1 else 2048) << 10, "KiB")

    def test_the_newest_of_two_sensors_with_one_id_wins_and_both_are_told(self):
        collector = self.collector()
        first = self.welcomed(collector, boot="boot-1")
        first.send(batch(1, 2))
        first.acknowledged(2)
        second = self.welcomed(collector, boot="boot-2")
        self.assertEqual(first.refused()[0], grpc.StatusCode.ALREADY_EXISTS)
        second.send(batch(1, 2, boot="boot-2"))
        second.acknowledged(2, boot="boot-2")
        third = self.welcomed(collector, boot="boot-2")  # the same process on a new connection
        self.assertEqual(second.refused()[0], grpc.StatusCode.ABORTED)
        third.send(batch(3, 2, boot="boot-2"))
        third.acknowledged(4, boot="boot-2")
        third.close()
        _, said = collector.stop()
        self.assertEqual(said.count("a newer connection of the sensor replaces the one there"), 2, said)
        sums, boots = collector.scan()
        self.assertEqual((sums["missing"], sums["duplicates"], len(boots)), (0, 0, 2))

    # ---- bytes that are no gRPC ----

    def test_garbage_bytes_end_the_connection_and_nothing_else(self):
        collector = self.collector()
        stream = self.welcomed(collector)
        for noise in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 3000,
                      b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)):
            with socket.create_connection(("127.0.0.1", collector.port), timeout=30) as raw:
                raw.sendall(noise)
                raw.settimeout(2 * PATIENCE)
                try:
                    while raw.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
                except TimeoutError:
                    pass  # waits for the rest of a frame, bounded by the handshake's time
        stream.send(batch(1, 2))
        stream.acknowledged(2)

    def test_a_thousand_connections_at_once_are_served_and_let_go(self):
        collector = self.collector()
        count = 1000 if PATIENCE == 1 else 100
        ends = []
        for _ in range(count):
            end = socket.create_connection(("127.0.0.1", collector.port), timeout=30)
            end.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            ends.append(end)
        stream = self.welcomed(collector)
        stream.send(batch(1, 2))
        stream.acknowledged(2)
        for end in ends:
            end.close()

        def descriptors():
            return len(os.listdir(f"/proc/{collector.process.pid}/fd"))
        wait_until("the descriptors of those that left", lambda: descriptors() < 100)

    def test_connections_beyond_the_bound_are_closed_and_those_there_go_on(self):
        collector = self.collector("connections_max=20")
        stream = self.welcomed(collector)
        ends = []
        self.addCleanup(lambda: [end.close() for end in ends])

        def is_closed(end):
            end.settimeout(0.3)
            try:
                return end.recv(1) == b""
            except ConnectionError:
                return True
            except TimeoutError:
                return False
        for _ in range(120):
            ends.append(socket.create_connection(("127.0.0.1", collector.port), timeout=30))
        time.sleep(0.5 * PATIENCE)
        self.assertEqual([is_closed(end) for end in ends[:19]], [False] * 19)
        self.assertTrue(all(is_closed(end) for end in ends[19:]))
        # Finds no room and dials again; without files it does not leave its records to a next start.
        sensor = self.sensor("late", collector.port, "spool.directory=memory")
        sensor.start(records=1000)
        time.sleep(1.5 * PATIENCE)
        stream.send(batch(1, 3))
        stream.acknowledged(3)
        while ends:
            ends.pop().close()
        late = sensor.end()
        self.assertEqual((late["owed"], late["unacked"], late["lost"]), (0, 0, 0), sensor.said)
        told, said = collector.stop()
        self.assertGreater(told["sockets_refused"], 101)  # and each attempt of the sensor
        self.assertIn("there are as many as may be", said)
        self.assertIn("peer=127.0.0.1", said.replace("::ffff:", ""))
        self.assertEqual((told["refused"], told["records"]), (0, 3 + late["flows"] + late["alerts"] + late["stats"]))

    def test_an_address_that_begins_too_many_streams_is_told_when_to_come_again(self):
        collector = self.collector("streams_per_second=5")
        stream = self.welcomed(collector, sensor="first")
        refusals = []
        channel = stream.channel
        for i in range(60):
            more = Stream(collector.port, channel).send(hello(f"s{i}"))
            try:
                more.receive(WELCOME)
            except grpc.RpcError as error:
                refusals.append((error.code(), error.details(), dict(error.trailing_metadata())["grpc-status-details-bin"]))
        self.assertGreater(len(refusals), 10)
        for code, sentence, details in refusals:
            self.assertEqual(code, grpc.StatusCode.RESOURCE_EXHAUSTED)
            self.assertIn("5 streams a second (ingest.streams_per_second)", sentence)
            self.assertIn(b"google.rpc.RetryInfo", details)
        stream.send(batch(1, 3))
        stream.acknowledged(3)
        # A sensor of the same address waits as it was told, and loses nothing.
        sensor = self.sensor("patient", collector.port)
        sensor.start(records=1000)
        told = sensor.end()
        self.assertEqual((told["owed"], told["unacked"], told["lost"]), (0, 0, 0), sensor.said)
        told, said = collector.stop()
        self.assertGreaterEqual(told["refused_rate"], len(refusals))
        self.assertEqual(told["refused_rate"], told["refused"])
        self.assertIn("stream refused", said)

    # ---- slow, stopped, half open ----

    def test_a_peer_that_never_reads_its_acknowledgements_holds_up_nobody(self):
        collector = self.collector()
        deaf = socket.create_connection(("127.0.0.1", collector.port))
        self.addCleanup(deaf.close)
        slow = self.welcomed(collector, sensor="slow")
        slow.send(*(batch(i, 1) for i in range(1, 3000)))  # and nobody calls next()
        fast = self.welcomed(collector, sensor="fast")
        begin = time.monotonic()
        fast.send(*(batch(i, 1) for i in range(1, 200)))
        fast.acknowledged(199)
        self.assertLess(time.monotonic() - begin, 10 * PATIENCE)
        slow.acknowledged(2999)

    def test_a_stopped_collector_costs_the_sensor_nothing_but_room_in_its_spool(self):
        collector = self.collector()
        sensor = self.sensor("stopped", collector.port, rate=5000)
        sensor.start(records=20_000)
        time.sleep(0.5)
        collector.process.send_signal(19)  # SIGSTOP
        before = sensor.numbered()
        time.sleep(1.5)
        self.assertGreater(sensor.numbered(), before + 2000 / PATIENCE)  # it is not held up
        collector.process.send_signal(18)
        told = sensor.end()
        self.assertEqual((told["owed"], told["lost"], told["unacked"]), (0, 0, 0))
        collector.stop()
        sums, _ = collector.scan()
        self.assertEqual((sums["missing"], sums["duplicates"], sums["gap_records"]), (0, 0, 0))

    def test_a_half_open_connection_is_replaced_and_what_was_on_it_is_sent_again(self):
        collector = self.collector()
        relay = Relay(collector.port)
        self.addCleanup(relay.close)
        sensor = self.sensor("half", relay.port, rate=5000)
        sensor.start(records=15_000)
        time.sleep(0.7)
        relay.partition()  # neither end learns of it
        time.sleep(0.7)
        relay.cut()        # the sensor's end; the collector's is cut too, later than the new one comes in
        relay.heal()
        told = sensor.end()
        self.assertEqual((told["owed"], told["lost"], told["unacked"]), (0, 0, 0))
        collector.stop()
        sums, _ = collector.scan()
        self.assertEqual((sums["missing"], sums["duplicates"], sums["gap_records"]), (0, 0, 0))

    # ---- a collector that is none ----

    def serve(self, behave):
        """A grpcio server whose Connect is `behave(requests, context)`."""
        from concurrent import futures
        server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                return grpc.stream_stream_rpc_method_handler(behave) if details.method == CONNECT else None
        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(0).wait())
        return port

    def end_of_sensor(self, name, port, *settings, seconds=3):
        sensor = self.sensor(name, port, "spool.directory=memory", *settings)
        sensor.start(records=1000, flush_seconds=seconds)
        out, err = sensor.process.communicate(timeout=60 * PATIENCE)
        # A sanitizer's report ends a program before it shows what it has told: without this only that silence was seen.
        self.assertTrue(out, f"{name} ended with {sensor.process.returncode} and told nothing:\n{err[-4000:]}")
        return out, err

    def test_a_collector_that_acknowledges_the_future_is_not_believed(self):
        def behave(requests, context):
            next(requests)
            yield text(WELCOME, text(1, "x") + number(5, 64))
            boot = None
            for request in requests:
                for member, body in fields(request):
                    if member == BATCH:
                        boot = dict(fields(body))[1]
                        yield text(ACK, text(1, boot) + number(2, FLOWS) + number(3, 1_000_000_000))
        out, log = self.end_of_sensor("future", self.serve(behave))
        # The figure is empty while the next call is welcomed and not yet answered by such an acknowledgement.
        self.assertIn("never sent", log)
        self.assertNotIn(" owed 0 ", out)

    def test_a_collector_that_sends_garbage_or_nothing_makes_the_sensor_wait_and_say_why(self):
        def garbage(requests, context):
            yield b"\xff\xff\xff"

        def ends(requests, context):
            next(requests)
            return
            yield  # a generator, so a stream without a message

        def denies(requests, context):
            next(requests)
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "revoked")
        out, _ = self.end_of_sensor("garbage", self.serve(garbage))
        self.assertIn("no ConnectResponse", out)
        out, _ = self.end_of_sensor("ends", self.serve(ends))
        self.assertIn("OK: the collector ended the stream", out)
        attempts = []
        port = self.serve(lambda requests, context: (attempts.append(1), denies(requests, context)))
        out, err = self.end_of_sensor("denied", port)
        self.assertIn("PERMISSION_DENIED", out)
        self.assertEqual(len(attempts), 1)  # the next one comes after half a minute at least

    def test_requests_that_make_no_sense_are_told_and_change_nothing(self):
        def behave(requests, context):
            next(requests)
            yield text(WELCOME, text(1, "x") + number(5, 64))
            yield text(THROTTLE, number(1, 99) + number(2, 10))
            yield text(REDIRECT, b"\x0a\x09elsewhere")
            yield text(REDIRECT, text(1, "a" * 5000))
            yield text(4, text(1, "capture-me")) + text(99, "of a version to come")
            for request in requests:
                for member, body in fields(request):
                    if member == BATCH:
                        batch = dict(fields(body))  # boot, stream, first number, records
                        yield text(ACK, text(1, batch[1]) + number(2, batch[2]) + number(3, batch[3] + batch[4] - 1))
        out, err = self.end_of_sensor("nonsense", self.serve(behave), seconds=2)
        self.assertIn("names no stream that there is", err)
        self.assertIn('reason="it is no host:port"', err)
        self.assertNotIn("ConnectResponse", out)
        self.assertIn(" owed 0 ", out)

    # ---- TLS ----

    def test_where_a_sensor_is_sent_the_certificate_must_be_for_that_host(self):
        certs = os.path.join(self.folder, "certs")
        os.mkdir(certs)
        subprocess.run(["/bin/sh", CERTS, certs], check=True)
        tls = [f"tls_certificate={certs}/server.pem", f"tls_key={certs}/server.key", f"tls_client_ca={certs}/ca.pem"]
        other = ProbeCollector(PROBE, os.path.join(self.folder, "other"), "127.0.0.2:0", tls)  # its certificate is for .1
        self.addCleanup(other.kill)
        collector = self.collector(*tls, f"redirect_to=127.0.0.2:{other.port}")
        sensor = self.sensor("sensor-7", collector.port, f"ca={certs}/ca.pem", f"certificate={certs}/client.pem",
                             f"key={certs}/client.key", rate=1000)
        sensor.start(records=4000, flush_seconds=60)
        told = sensor.end()
        self.assertEqual((told["owed"], told["lost"]), (0, 0), told)
        self.assertIn("the collector we were sent to does not take us", sensor.said)
        collector.stop()
        self.assertEqual(other.scan()[0]["records"], 0)

    def test_tls_by_the_wrong_authority_expired_or_for_another_name_is_refused_in_plain_words(self):
        certs = os.path.join(self.folder, "certs")
        os.mkdir(certs)
        subprocess.run(["/bin/sh", CERTS, certs], check=True)
        collector = self.collector(f"tls_certificate={certs}/server.pem", f"tls_key={certs}/server.key",
                                   f"tls_client_ca={certs}/ca.pem")
        mine = [f"certificate={certs}/client.pem", f"key={certs}/client.key"]
        for name, words, *settings in (
                ("sensor-7", None, f"ca={certs}/ca.pem", *mine),
                ("other-ca", "not signed by collector.ca", f"ca={certs}/other-ca.pem", *mine),
                ("other-name", "for another name", f"ca={certs}/ca.pem", "server_name=elsewhere.example", *mine),
                ("expired", "UNAVAILABLE", f"ca={certs}/ca.pem", f"certificate={certs}/expired.pem",
                 f"key={certs}/expired.key"),
                ("stranger", "UNAVAILABLE", f"ca={certs}/ca.pem", f"certificate={certs}/stranger.pem",
                 f"key={certs}/stranger.key"),
                ("not-mine", "PERMISSION_DENIED", f"ca={certs}/ca.pem", *mine)):
            with self.subTest(name=name):
                out, err = self.end_of_sensor(name, collector.port, *settings)
                if words is None:
                    self.assertIn(" owed 0 ", out, err)
                else:
                    self.assertNotIn(" owed 0 ", out)
                    self.assertIn(words, out)
        # A client that speaks TLS by itself, without a certificate and with a wrong one.
        for pair in (None, "expired", "stranger"):
            context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
            context.set_alpn_protocols(["h2"])
            if pair:
                context.load_cert_chain(f"{certs}/{pair}.pem", f"{certs}/{pair}.key")
            with socket.create_connection(("127.0.0.1", collector.port), timeout=20) as raw:
                with self.assertRaises((ssl.SSLError, ConnectionError)):
                    with context.wrap_socket(raw, server_hostname="localhost") as tls:
                        tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                        if not tls.recv(10):
                            raise ConnectionError("closed")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
