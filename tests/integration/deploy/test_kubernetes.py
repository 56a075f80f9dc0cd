"""deploy/kubernetes: manifests by the schema of Kubernetes, no more rights than needed, and programs that start as they say."""
import base64
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support import pypi
from support.programs import COLLECTOR, ROOT, SENSOR, Program, clean_environment, free_port, get_json, main, run, wait_until

try:
    import yaml
except ImportError:
    yaml = None

TOOLS = os.environ.get("NETSCOPE_KUBERNETES_TOOLS", "")
USER = 65532  # of the collector's image and its fsGroup


def validator():
    """It brings the schemas along."""
    return pypi.program(TOOLS, "kubernetes-validate", "kubernetes-validate>=1.36,<2")


@unittest.skipIf(yaml is None, "no python3-yaml")
class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.place = shutil.copytree(os.path.join(ROOT, "deploy", "kubernetes"), self.path("kubernetes"),
                                     ignore=shutil.ignore_patterns("certificates"))
        self.documents = [document for name in ("namespace", "collector", "sensor")
                          for document in yaml.safe_load_all(self.read(f"{name}.yaml"))]

    def path(self, *names):
        return os.path.join(self.folder.name, *names)

    def read(self, name):
        with open(os.path.join(self.place, name), encoding="utf-8") as file:
            return file.read()

    def enroll(self):
        done = subprocess.run([os.path.join(self.place, "enroll.sh")], capture_output=True, text=True,
                              env={**clean_environment(), "NETSCOPE_COLLECTOR": COLLECTOR})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("PRIVATE KEY", done.stdout)

    def one(self, kind, name):
        found = [each for each in self.documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        self.assertEqual(len(found), 1, (kind, name))
        return found[0]

    # ---- what is written ----

    def test_manifests_are_what_the_schema_allows_and_not_a_field_more(self):
        program = validator()
        if program is None:
            self.skipTest("kubernetes-validate cannot be had")
        for name in ("namespace.yaml", "collector.yaml", "sensor.yaml"):
            done = subprocess.run([program, "--strict", os.path.join(self.place, name)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path("wrong.yaml"), "w", encoding="utf-8") as file:
            file.write(self.read("sensor.yaml").replace("hostNetwork:", "hostNetwrok:"))
        done = subprocess.run([program, "--strict", self.path("wrong.yaml")], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0, "a misspelt field passes")

    def test_kustomize_puts_settings_and_certificates_in_but_not_the_key_of_the_ca(self):
        if shutil.which("kubectl") is None:
            self.skipTest("no kubectl")
        self.enroll()
        done = subprocess.run(["kubectl", "kustomize", self.place], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        documents = list(yaml.safe_load_all(done.stdout))
        self.assertEqual({each["metadata"].get("namespace", "netscope") for each in documents}, {"netscope"})
        given = {}
        for each in documents:
            if each["kind"] == "Secret":
                given[each["metadata"]["name"].rsplit("-", 1)[0]] = {
                    name: base64.b64decode(text).decode() for name, text in each["data"].items()}
        self.assertEqual({name: sorted(files) for name, files in given.items()},
                         {"netscope-collector": ["ca.pem", "collector.key", "collector.pem"],
                          "netscope-sensor": ["ca.pem", "node.key", "node.pem"]})
        with open(os.path.join(self.place, "certificates", "ca.key"), encoding="utf-8") as file:
            self.assertNotIn(file.read(), [text for files in given.values() for text in files.values()])
        names = {each["metadata"]["name"] for each in documents}
        for kind in ("StatefulSet", "DaemonSet"):
            pod = next(each for each in documents if each["kind"] == kind)["spec"]["template"]["spec"]
            used = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
            used += [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
            self.assertEqual(len(used), 2)
            self.assertLessEqual(set(used), names)

    def test_pods_have_no_more_rights_than_they_need(self):
        for kind, name, added in (("StatefulSet", "netscope-collector", []), ("DaemonSet", "netscope-sensor", ["NET_RAW"])):
            pod = self.one(kind, name)["spec"]["template"]["spec"]
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertEqual(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
            self.assertNotIn("hostPID", pod)
            for container in pod["containers"]:
                rights = container["securityContext"]
                self.assertEqual((rights["capabilities"]["drop"], rights["capabilities"].get("add", [])), (["ALL"], added))
                self.assertTrue(rights["readOnlyRootFilesystem"])
                self.assertFalse(rights["allowPrivilegeEscalation"])
                self.assertNotIn("privileged", rights)
                self.assertIn("memory", container["resources"]["limits"])
        collector = self.one("StatefulSet", "netscope-collector")["spec"]["template"]["spec"]
        self.assertTrue(collector["securityContext"]["runAsNonRoot"])
        self.assertNotIn("hostNetwork", collector)
        # What the dashboard says is for who may forward a port: it has no port of its own.
        ports = [port["port"] for port in self.one("Service", "netscope-collector")["spec"]["ports"]]
        self.assertEqual(ports, [50052])
        self.assertNotIn("web", yaml.safe_load(self.read("config/collector.yaml")))

    # ---- what it starts ----

    def lay(self, kind, name, config):
        """The command, environment and files of a pod's container below the test's own folder."""
        pod = self.one(kind, name)["spec"]["template"]["spec"]
        container = pod["containers"][0]
        places = {mount["mountPath"]: self.path(name, mount["name"]) for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in container["volumeMounts"]:
            os.makedirs(places[mount["mountPath"]])
            secret = volumes.get(mount["name"], {}).get("secret")
            if secret is not None:
                wanted = {"netscope-collector": ("ca.pem", "collector.pem", "collector.key"),
                          "netscope-sensor": ("ca.pem", "node.pem", "node.key")}[secret["secretName"]]
                for each in wanted:
                    copy = shutil.copy(os.path.join(self.place, "certificates", each), places[mount["mountPath"]])
                    if os.geteuid() == 0:  # as the kubelet lays it
                        os.chown(copy, 0, pod["securityContext"].get("fsGroup", 0))
                        os.chmod(copy, secret["defaultMode"])
        place_of = lambda text: next((text.replace(at, to, 1) for at, to in places.items() if text.startswith(at)), text)
        with open(os.path.join(places["/etc/netscope"], config), "w", encoding="utf-8") as file:
            for line in self.read(f"config/{config}").splitlines():
                head, _, value = line.partition(": ")
                file.write(f"{head}: {place_of(value)}\n" if value else f"{line}\n")
        given = {"NODE_NAME": "rack-7.example"}
        for entry in container.get("env", []):
            value = entry.get("value")
            if value is not None:
                given[entry["name"]] = place_of(value.replace("$(NODE_NAME)", given["NODE_NAME"]))
        probe = container["livenessProbe"]["exec"]["command"]
        return [place_of(word) for word in container["args"]], [place_of(word) for word in probe[1:]], given, places

    def test_sensor_and_collector_start_as_the_manifests_say_and_a_node_reports(self):
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("needs root and setpriv")
        self.enroll()
        os.chmod(self.folder.name, 0o755)
        arguments, probe, environment, places = self.lay("StatefulSet", "netscope-collector", "collector.yaml")
        volume = places["/var/lib/netscope"]
        os.mkdir(os.path.join(volume, "lost+found"), 0o700)  # a volume of its own has one
        os.chown(volume, 0, USER)
        os.chmod(volume, 0o2775)
        ingest, web = free_port(), free_port()
        environment.update({"NETSCOPE_COLLECTOR_INGEST__LISTEN": f"127.0.0.1:{ingest}",
                            "NETSCOPE_COLLECTOR_WEB__PORT": str(web)})
        program = shutil.copy(COLLECTOR, self.path("netscope-collector-program"))
        as_user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--bounding-set", "-all",
                   "--inh-caps", "-all", "--no-new-privs"]
        collector = Program(program, *arguments, environment=environment, prefix=as_user)
        self.addCleanup(collector.stop)
        wait_until("the collector lives", lambda: run(program, *probe, environment=environment).returncode == 0)

        arguments, probe, environment, places = self.lay("DaemonSet", "netscope-sensor", "sensor.yaml")
        # The image's own; the address is the service's name, which only a cluster knows (here a number: c-ares may leak a name
        # that it looks up); and no limit of a container here says how large a quarter of its memory is.
        environment.update({"STATE_DIRECTORY": places["/var/lib/netscope"], "NETSCOPE_CAPTURE__INTERFACE": "lo",
                            "NETSCOPE_COLLECTOR__ADDRESS": f"127.0.0.1:{ingest}", "NETSCOPE_FLOW__MAX_FLOWS": "65536",
                            "NETSCOPE_GRPC__LISTEN": f"127.0.0.1:{free_port()}", "NETSCOPE_HTTP__PORT": str(free_port())})
        as_root = ["setpriv", "--bounding-set", "-all,+net_raw", "--inh-caps", "-all", "--no-new-privs"]
        node = Program(SENSOR, *arguments, environment=environment, prefix=as_root)
        self.addCleanup(node.stop)
        wait_until("the sensor lives", lambda: run(SENSOR, *probe, environment=environment).returncode == 0)
        sensors = wait_until("the node reports", lambda: [
            each for each in get_json(f"http://127.0.0.1:{web}/v1/sensors")["sensors"]
            if each.get("sensor_id", each.get("id")) == "node-rack-7.example"])
        self.assertEqual(len(sensors), 1)
        self.assertEqual(node.stop(), 0, node.text())
        self.assertEqual(collector.stop(), 0, collector.text())


if __name__ == "__main__":
    main()
