"""Debian packages: what is in them, what they need, and what dpkg makes of them on a machine of their own."""
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.programs import BIN, ROOT, main
from test_deploy import owners

NAMES = ("netscope-sensor", "netscope-collector", "netscopectl")
STATES = {"netscope-sensor": "netscope", "netscope-collector": "netscope-collector"}


def run(*words, check=True, **options):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for tool in ("dpkg-deb", "dpkg-shlibdeps", "strip"):
            if shutil.which(tool) is None:
                raise unittest.SkipTest(f"no {tool}")
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = temporary.name
        os.makedirs(f"{cls.folder}/build/bin")
        for name in NAMES:
            if not os.access(f"{BIN}/{name}", os.X_OK):
                raise unittest.SkipTest(f"{name} is not built")
            os.symlink(f"{BIN}/{name}", f"{cls.folder}/build/bin/{name}")
        with open(f"{cls.folder}/build/THIRD_PARTY_NOTICES", "w", encoding="utf-8") as file:
            file.write("what is linked\n")
        cls.build(f"{cls.folder}/out", "1.0.0")

    @classmethod
    def build(cls, out, *version):
        # A mask of one's own must not become that of the files.
        return run(f"{ROOT}/deploy/debian/packages.sh", f"{cls.folder}/build/bin", out, *version, umask=0o077)

    def path(self, name):
        found = glob.glob(f"{self.folder}/out/{name}_1.0.0_*.deb")
        self.assertEqual(len(found), 1, name)
        return found[0]

    def field(self, name, field):
        return run("dpkg-deb", "--field", self.path(name), field).strip()

    def test_all_is_roots_and_may_be_read_by_all(self):
        for name in NAMES:
            for line in run("dpkg-deb", "--contents", self.path(name)).splitlines():
                mode, owner, *_, path = line.split()
                self.assertEqual(owner, "root/root", line)
                self.assertIn(mode, ("drwxr-xr-x", "-rwxr-xr-x" if "/bin/" in path else "-rw-r--r--"), line)

    def test_they_depend_on_the_libraries_of_the_programs(self):
        for name in NAMES:
            depends = re.sub(r" \([^)]*\)", "", self.field(name, "Depends")).split(", ")
            self.assertLessEqual(owners(f"{BIN}/{name}"), set(depends), name)

    def test_the_unit_starts_what_the_package_brings(self):
        for name in STATES:
            tree = f"{self.folder}/{name}"
            run("dpkg-deb", "--extract", self.path(name), tree)
            with open(f"{tree}/lib/systemd/system/{name}.service", encoding="utf-8") as file:
                unit = file.read()
            words = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1).split()
            self.assertTrue(os.access(tree + words[0], os.X_OK), words)
            settings = words[words.index("--config") + 1]
            run(tree + words[0], "--config", tree + settings, "--check-config", env={})
            self.assertIn(f"\nStateDirectory={STATES[name]}\n", unit)
            run("dpkg-deb", "--control", self.path(name), f"{tree}/control")
            with open(f"{tree}/control/conffiles", encoding="utf-8") as file:
                self.assertEqual(file.read().split(), [settings])
            for script in ("postinst", "prerm", "postrm"):
                run("sh", "-n", f"{tree}/control/{script}")

    def test_they_bring_pages_for_man_and_the_client_completions(self):
        for name in NAMES:
            tree = f"{self.folder}/pages-{name}"
            run("dpkg-deb", "--extract", self.path(name), tree)
            with gzip.open(f"{tree}/usr/share/man/man1/{name}.1.gz", "rt", encoding="utf-8") as file:
                self.assertEqual(file.read(), run(f"{BIN}/{name}", "--print-man"))
        for path in ("bash-completion/completions/netscopectl", "zsh/vendor-completions/_netscopectl",
                     "fish/vendor_completions.d/netscopectl.fish"):
            self.assertGreater(os.path.getsize(f"{self.folder}/pages-netscopectl/usr/share/{path}"), 1000)

    def dpkg(self, machine, *words):
        force = [] if os.geteuid() == 0 else ["--force-not-root"]
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        return run("dpkg", f"--root={machine}", "--force-depends", "--force-script-chrootless", *force, *words,
                   env={**os.environ, "PATH": path})

    def test_settings_outlive_an_upgrade_and_a_removal_and_a_purge_takes_all(self):
        machine = f"{self.folder}/machine"
        os.makedirs(f"{machine}/var/lib/dpkg/info")
        os.makedirs(f"{machine}/var/lib/dpkg/updates")
        for name in ("status", "available"):
            open(f"{machine}/var/lib/dpkg/{name}", "w", encoding="ascii").close()
        self.dpkg(machine, "--install", *(self.path(name) for name in NAMES))
        self.assertEqual(run(f"{machine}/usr/bin/netscopectl", "--version").split()[0], "netscopectl")

        settings = f"{machine}/etc/netscope/sensor.yaml"
        with open(settings, "a", encoding="utf-8") as file:
            file.write("# of this place\n")
        kept = [f"{machine}/var/lib/private/netscope/spool", f"{machine}/var/lib/private/netscope-collector/history"]
        for path in kept:
            os.makedirs(path)
        later = f"{self.folder}/later"
        run("dpkg-deb", "--raw-extract", self.path("netscope-sensor"), later)
        control = f"{later}/DEBIAN/control"
        with open(control, encoding="utf-8") as file:
            text = file.read()
        with open(control, "w", encoding="utf-8") as file:
            file.write(text.replace("Version: 1.0.0", "Version: 1.1.0"))
        run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", later, f"{self.folder}/later.deb")
        self.dpkg(machine, "--install", f"{self.folder}/later.deb")
        with open(settings, encoding="utf-8") as file:
            self.assertIn("# of this place\n", file.read())

        self.dpkg(machine, "--remove", *NAMES)
        self.assertFalse(os.path.exists(f"{machine}/usr/bin/netscope-sensor"))
        self.assertTrue(os.path.exists(settings))
        self.assertTrue(all(map(os.path.exists, kept)))
        self.dpkg(machine, "--purge", *NAMES)
        self.assertFalse(os.path.exists(settings))
        self.assertFalse(any(map(os.path.exists, kept)))

    def test_a_later_build_is_a_higher_version(self):
        done = run("dpkg", "--compare-versions", "0.1.0+9.ffffffff", "lt", "0.1.0+10.00000000")
        self.assertEqual(done, "")

    def test_without_notices_of_what_is_linked_nothing_is_made(self):
        lonely = f"{self.folder}/lonely/bin"
        os.makedirs(lonely)
        done = subprocess.run([f"{ROOT}/deploy/debian/packages.sh", lonely, f"{self.folder}/none", "1"],
                              capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("build the target third_party_notices", done.stderr)


if __name__ == "__main__":
    main()
