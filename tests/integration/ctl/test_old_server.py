"""netscopectl at a server that knows fewer methods than it: what is lacking there is said, with the versions of both."""
import os
import subprocess
import sys
import unittest
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ctl import CTL, ctl
from support.programs import SKIPPED, main

try:
    import grpc
except ImportError:
    print("SKIP: python3-grpcio is not installed")
    sys.exit(SKIPPED)

SERVING = b"\x08\x01"  # HealthCheckResponse
OLD = b"0.0.9"


class Old(grpc.GenericRpcHandler):
    """A collector, or a sensor, whose table of methods is short."""

    def __init__(self, service, answers):
        self.name, self.answers = service, answers

    def health(self, request, context):
        if request and request[2:].decode() != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return SERVING

    def service(self, details):
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self.health)
        if details.method in self.answers:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: self.answers[details.method])
        return None


class OldServer(unittest.TestCase):
    def serve(self, service, answers):
        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Old(service, answers)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(lambda: server.stop(0).wait())
        return f"127.0.0.1:{port}"

    def setUp(self):
        version = subprocess.run([CTL, "--version"], capture_output=True, text=True).stdout.split()[1]
        self.mine = f"this netscopectl is of version {version}"

    def told(self, *arguments):
        done = ctl(*arguments)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        return done.stderr

    def test_an_old_collector(self):
        address = self.serve("netscope.v1.CollectorService",
                             {"/netscope.v1.CollectorService/GetCollectorStatus": b"\x0a" + bytes([len(OLD)]) + OLD})
        for method, arguments in (("QueryService.ListHosts", ("hosts",)), ("CaptureService.ListCaptures", ("captures",)),
                                  ("CaptureService.StreamCapture", ("captures", "follow", "x", "-w", "/dev/null")),
                                  ("AlertService.ListSilences", ("silences",)),
                                  ("FleetService.GetConfigStatus", ("config", "status"))):
            words = self.told(*arguments, "-s", address)
            self.assertIn(f"{address} is a collector of version 0.0.9 and has no {method}; {self.mine}", words)

    def test_an_old_collector_tells_the_ledgers_of_its_sensors(self):
        row = b"\x08\x03\x1a\x07packets\x20\x05\x28\x05"  # LedgerRow: CAPTURE, 5 in, 5 out
        stats = b"\xaa\x01" + bytes([len(row)]) + row
        sensor = b"\x0a\x05old-1\x4a" + bytes([len(stats)]) + stats
        address = self.serve("netscope.v1.CollectorService",
                             {"/netscope.v1.FleetService/ListSensors": b"\x0a" + bytes([len(sensor)]) + sensor})
        done = ctl("ledger", "-s", address)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^old-1\nSTAGE .*\ncapture +packets +5 +5 +0 +0")

    def test_an_old_sensor_and_one_that_tells_no_version(self):
        address = self.serve("netscope.v1.SensorService",
                             {"/netscope.v1.SensorService/GetInfo": b"\x1a" + bytes([len(OLD)]) + OLD})
        self.assertIn(f"is a sensor of version 0.0.9 and has no ConfigService.ReloadConfig; {self.mine}",
                      self.told("config", "reload", "-s", address))
        address = self.serve("netscope.v1.SensorService", {})
        self.assertIn(f"is a sensor and has no ConfigService.ReloadConfig; {self.mine}", self.told("config", "reload", "-s", address))

    def test_somebody_else(self):
        address = self.serve("other.Service", {})
        self.assertIn(f"{address} has no AlertService.ListAlerts; {self.mine}", self.told("alerts", "-s", address))
        self.assertIn("is neither a collector nor a sensor of NetScope", self.told("hosts", "-s", address))


if __name__ == "__main__":
    main()
