"""deploy/helm: with its own values the chart is what deploy/kubernetes is, and each value lands where it belongs."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
from support.programs import ROOT, main
from test_kubernetes import validator, yaml

CHART = os.path.join(ROOT, "deploy", "helm", "netscope")
PLAIN = os.path.join(ROOT, "deploy", "kubernetes")
CHECKSUM = "netscope/config"
HELM = shutil.which("helm")


def read(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return file.read()


def helm(*arguments):
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, timeout=120)


def by_name(documents):
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


@unittest.skipIf(yaml is None, "no python3-yaml")
@unittest.skipIf(HELM is None, "helm is not installed (go install helm.sh/helm/v3/cmd/helm@v3.11.3)")
class Helm(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def text(self, values=None, namespace="netscope"):
        path = os.path.join(self.folder.name, "values.yaml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(values or {}, file)
        done = helm("template", "release", CHART, "-n", namespace, "-f", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def made(self, values=None, namespace="netscope"):
        """What the chart makes, by kind and name; texts of settings as what they mean."""
        documents = by_name(each for each in yaml.safe_load_all(self.text(values, namespace)) if each is not None)
        for (kind, _), each in documents.items():
            if kind == "ConfigMap":
                each["data"] = {name: yaml.safe_load(text) for name, text in each["data"].items()}
        return documents

    def plain(self):
        """deploy/kubernetes as kustomize makes it, but for the namespace, the secrets and the hashes in names."""
        kustomization = yaml.safe_load(read(PLAIN, "kustomization.yaml"))
        documents = [each for name in kustomization["resources"] if name != "namespace.yaml"
                     for each in yaml.safe_load_all(read(PLAIN, name))]
        for entry in kustomization["configMapGenerator"]:
            files = dict(file.split("=") for file in entry["files"])
            documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": entry["name"]},
                              "data": {name: yaml.safe_load(read(PLAIN, path)) for name, path in files.items()}})
        tags = {entry["name"]: entry["newTag"] for entry in kustomization["images"]}
        for each in documents:
            each["metadata"]["namespace"] = kustomization["namespace"]
            each["metadata"].setdefault("labels", {}).update(kustomization["labels"][0]["pairs"])
            for container in each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
                container["image"] += f":{tags[container['image']]}"
        return by_name(documents)

    def test_lint_finds_nothing(self):
        done = helm("lint", "--strict", CHART)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_without_values_it_is_what_the_manifests_are(self):
        made, plain = self.made(), self.plain()
        self.assertEqual(sorted(made), sorted(plain))
        for name, each in made.items():
            template = each.get("spec", {}).get("template")
            if template is not None:
                self.assertRegex(template["metadata"].pop("annotations").pop(CHECKSUM), "^[0-9a-f]{16}$")
            self.assertEqual(each, plain[name], name)

    def test_it_is_what_the_schema_of_kubernetes_allows(self):
        program = validator()
        if program is None:
            self.skipTest("kubernetes-validate cannot be had")
        path = os.path.join(self.folder.name, "made.yaml")
        for values in ({}, {"image": {"registry": "registry.example", "pullSecrets": ["pull"]},
                            "collector": {"service": {"type": "LoadBalancer", "annotations": {"a/b": "c"}},
                                          "storage": {"className": "fast"}, "env": [{"name": "A", "value": "b"}]},
                            "sensor": {"env": [{"name": "A", "value": "b"}]}}):
            with open(path, "w", encoding="utf-8") as file:
                file.write(self.text(values))
            done = subprocess.run([program, "--strict", path], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_there_is_no_secret_in_it(self):
        for folder, _, names in os.walk(CHART):
            for name in names:
                self.assertNotIn("PRIVATE KEY", read(folder, name))
                self.assertNotRegex(read(folder, name), r"(?m)^kind: Secret$")
        self.assertNotIn("Secret", {kind for kind, _ in self.made()})

    def test_values_land_where_they_belong(self):
        made = self.made({
            "image": {"registry": "registry.example/net", "tag": "0.1.0", "pullPolicy": "Always", "pullSecrets": ["pull"]},
            "collector": {"tlsSecret": "collector-tls", "resources": {"limits": {"memory": "8Gi"}},
                          "storage": {"size": "200Gi", "className": "fast"}, "config": {"store": {"retention_size": "170GiB"}},
                          "service": {"type": "LoadBalancer", "port": 6000, "annotations": {"lb/internal": "true"}},
                          "env": [{"name": "NETSCOPE_COLLECTOR_WEB__PORT", "value": "9090"}]},
            "sensor": {"tlsSecret": "node-tls", "resources": {"limits": {"memory": "4Gi"}}, "tolerations": [],
                       "nodeSelector": {"pool": "edge"}, "stateDirectory": "/srv/netscope",
                       "config": {"flow": {"max_flows": 4_000_000}, "sensor": {"labels": {"site": "berlin"}}},
                       "env": [{"name": "NETSCOPE_CAPTURE__INTERFACE", "value": "eth0,cni0"}]}}, namespace="watch")
        self.assertEqual({each["metadata"]["namespace"] for each in made.values()}, {"watch"})
        service = made["Service", "netscope-collector"]
        self.assertEqual((service["spec"]["type"], service["spec"]["ports"][0]["port"], service["metadata"]["annotations"]),
                         ("LoadBalancer", 6000, {"lb/internal": "true"}))
        self.assertEqual(made["ConfigMap", "netscope-sensor"]["data"]["sensor.yaml"], {
            "collector": {"address": "netscope-collector.watch.svc:6000", "ca": "/certificates/ca.pem",
                          "certificate": "/certificates/node.pem", "key": "/certificates/node.key"},
            "flow": {"max_flows": 4_000_000}, "sensor": {"labels": {"site": "berlin"}}})
        store = made["ConfigMap", "netscope-collector"]["data"]["collector.yaml"]["store"]
        self.assertEqual(store, {"retention_size": "170GiB"})
        stateful = made["StatefulSet", "netscope-collector"]["spec"]
        claim = stateful["volumeClaimTemplates"][0]["spec"]
        self.assertEqual((claim["resources"]["requests"]["storage"], claim["storageClassName"]), ("200Gi", "fast"))
        sensor = made["DaemonSet", "netscope-sensor"]["spec"]["template"]["spec"]
        self.assertEqual((sensor["nodeSelector"]["pool"], sensor.get("tolerations", [])), ("edge", []))
        for pod, secret, memory, image in ((stateful["template"]["spec"], "collector-tls", "8Gi", "netscope-collector"),
                                           (sensor, "node-tls", "4Gi", "netscope-sensor")):
            container = pod["containers"][0]
            self.assertEqual(pod["imagePullSecrets"], [{"name": "pull"}])
            self.assertEqual((container["image"], container["imagePullPolicy"], container["resources"]["limits"]["memory"]),
                             (f"registry.example/net/{image}:0.1.0", "Always", memory))
            self.assertIn(secret, [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume])
        self.assertIn("/srv/netscope", [volume["hostPath"]["path"] for volume in sensor["volumes"] if "hostPath" in volume])
        self.assertEqual(sensor["containers"][0]["env"][-1], {"name": "NETSCOPE_CAPTURE__INTERFACE", "value": "eth0,cni0"})
        self.assertEqual(stateful["template"]["spec"]["containers"][0]["env"],
                         [{"name": "NETSCOPE_COLLECTOR_WEB__PORT", "value": "9090"}])

    def test_other_settings_are_other_pods(self):
        def checksum(made, kind, name):
            return made[kind, name]["spec"]["template"]["metadata"]["annotations"][CHECKSUM]
        before, after = self.made(), self.made({"sensor": {"config": {"flow": {"idle_timeout": "31s"}}}})
        self.assertNotEqual(checksum(before, "DaemonSet", "netscope-sensor"), checksum(after, "DaemonSet", "netscope-sensor"))
        self.assertEqual(checksum(before, "StatefulSet", "netscope-collector"),
                         checksum(after, "StatefulSet", "netscope-collector"))

    def test_sensors_may_report_elsewhere_and_a_collector_stand_alone(self):
        made = self.made({"collector": {"enabled": False},
                          "sensor": {"config": {"collector": {"address": "collector.example.net:50052"}}}})
        self.assertEqual(sorted(made), [("ConfigMap", "netscope-sensor"), ("DaemonSet", "netscope-sensor"),
                                        ("ServiceAccount", "netscope-sensor")])
        self.assertEqual(made["ConfigMap", "netscope-sensor"]["data"]["sensor.yaml"]["collector"]["address"],
                         "collector.example.net:50052")
        self.assertNotIn("DaemonSet", {kind for kind, _ in self.made({"sensor": {"enabled": False}})})

    def test_a_slip_in_the_values_is_refused(self):
        for slip in ("sensor.tolerationz=x", "image.tag=", "collector.service.type=External", "collector.service.port=70000",
                     "sensor.stateDirectory=here", "colector.enabled=true"):
            done = helm("template", "release", CHART, "--set", slip)
            self.assertNotEqual(done.returncode, 0, slip)


if __name__ == "__main__":
    main()
