"""A foreign client (grpcio) against our server: argv[1] is the echo server. Exit status 77: grpcio is missing."""
import os
import subprocess
import sys
import unittest

try:
    import grpc
except ImportError:
    print("SKIP: python3-grpcio is not installed")
    sys.exit(77)

WAIT = 20 * float(os.environ.get("NETSCOPE_TEST_PATIENCE", "1"))


class ForeignClient(unittest.TestCase):
    def setUp(self):
        self.server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = self.server.stdout.readline().split()[1]
        self.channel = grpc.insecure_channel("127.0.0.1:" + port, options=[("grpc.enable_http_proxy", 0)])

    def tearDown(self):
        self.channel.close()
        self.server.stdin.close()
        self.assertEqual(self.server.wait(timeout=WAIT), 0)
        self.server.stdout.close()

    def refused(self, code, request, path="/test.Echo/Unary", **options):
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel.unary_unary(path)(request, timeout=WAIT, **options)
        self.assertEqual(caught.exception.code(), code)
        return caught.exception.details()

    def test_unary(self):
        self.assertEqual(self.channel.unary_unary("/test.Echo/Unary")(b"hello", timeout=WAIT), b"hello")
        self.assertEqual(self.channel.unary_unary("/test.Echo/Unary")(b"", timeout=WAIT), b"")

    def test_streams(self):
        self.assertEqual(list(self.channel.unary_stream("/test.Echo/Thrice")(b"x", timeout=WAIT)), [b"x"] * 3)
        self.assertEqual(self.channel.stream_unary("/test.Echo/Sum")(iter([b"abc"] * 100), timeout=WAIT), b"300")
        sent = [b"%d" % i for i in range(50)]
        self.assertEqual(list(self.channel.stream_stream("/test.Echo/Talk")(iter(sent), timeout=WAIT)), sent)

    def test_cancel(self):
        def endless():
            yield b"first"
            while self.channel is not None and not stop:
                pass_event.wait(0.05)

        import threading
        stop, pass_event = [], threading.Event()
        call = self.channel.stream_stream("/test.Echo/Talk")(endless(), timeout=WAIT)
        self.assertEqual(next(call), b"first")
        call.cancel()
        self.assertEqual(self.server.stdout.readline(), "cancelled /test.Echo/Talk\n")
        self.assertEqual(call.code(), grpc.StatusCode.CANCELLED)
        stop.append(True)

    def test_deadline(self):
        call = self.channel.stream_unary("/test.Echo/Sum")
        with self.assertRaises(grpc.RpcError) as caught:
            import time

            def slow():
                time.sleep(1)
                yield b"x"
            call(slow(), timeout=0.3)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_refusals(self):
        self.assertIn("/test.Echo/None",
                      self.refused(grpc.StatusCode.UNIMPLEMENTED, b"", path="/test.Echo/None"))
        self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, b"x" * 70000)
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, b"\xff\xff")
        # A compressed message is refused: the size limit would only see its compressed length.
        self.refused(grpc.StatusCode.UNIMPLEMENTED, b"\0" * 10_000_000, compression=grpc.Compression.Gzip)
        self.test_unary()

    def test_health(self):
        self.assertEqual(self.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=WAIT), b"\x08\x01")
        self.refused(grpc.StatusCode.NOT_FOUND, b"\x0a\x01x", path="/grpc.health.v1.Health/Check")


SERVER = sys.argv.pop(1)
unittest.main()
