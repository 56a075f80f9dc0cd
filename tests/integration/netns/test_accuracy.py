"""A part of accuracy.py and application_accuracy.py: connections of the kernel's own stack over a wire that loses, delays and reorders,
against the kernel, the programs and tshark. Root only (77 else)."""
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
import accuracy
import application_accuracy
from support.programs import main
from support.two_hosts import need


class Accuracy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need()

    def check(self, profile):
        with tempfile.TemporaryDirectory(prefix="netscope-accuracy-") as folder:
            found = accuracy.measure(folder, profile, 45)
        self.assertGreaterEqual(found["connections"].told, 90)
        self.assertEqual(accuracy.faults_of(found), [])

    def test_losses(self):
        self.check("loss5")

    def test_all_faults_of_a_wire(self):
        self.check("all")

    def test_ipv6(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("the kernel has no IPv6")
        self.check("ipv6")

    def test_segments_that_the_link_cuts(self):
        self.check("offload")

    def test_what_applications_agreed_on(self):
        need("openssl")
        with tempfile.TemporaryDirectory(prefix="netscope-accuracy-") as folder:
            asked, faults = application_accuracy.measure(folder, 48)
        self.assertGreaterEqual(asked, 90)
        self.assertEqual(faults[:3], [])


if __name__ == "__main__":
    main()
