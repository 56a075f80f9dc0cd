"""What every REST of netscope.v1 must stand: its OpenAPI document is sound, and no request made from it does harm.

A mix-in for a TestCase whose class has `served` (support.service.Asked) and `document`. schemathesis and
openapi-spec-validator (PyPI) go over it too where they can be had (NETSCOPE_REST_TOOLS names a folder for them; empty:
left out)."""
import json
import os
import random
import subprocess
import urllib.parse

from support import pypi
from support.programs import ROOT

TOOLS = os.environ.get("NETSCOPE_REST_TOOLS", "")
ROUNDS = int(os.environ.get("NETSCOPE_REST_ROUNDS", "12"))
PHASES = os.environ.get("NETSCOPE_REST_PHASES", "fuzzing")  # "coverage,fuzzing,stateful": minutes
SEED = int(os.environ.get("NETSCOPE_REST_SEED", "1"))


def tool(name):
    return pypi.program(TOOLS, name, "schemathesis>=4,<5", "openapi-spec-validator")


class Fuzzed:
    FLOW_PATH = "/v1/flows/{flow_id}"
    STATUSES = (200, 400, 404, 414, 429)  # that a request made from the document may get
    UNSERVED = ()  # paths whose method answers UNIMPLEMENTED

    def test_references_of_the_document_resolve_and_descriptions_come_from_the_proto(self):
        text = json.dumps(self.document)
        schemas = self.document["components"]["schemas"]
        for part in text.split('"#/components/schemas/')[1:]:
            self.assertIn(part.split('"')[0], schemas)
        operation = self.document["paths"][self.FLOW_PATH]["get"]
        self.assertEqual(operation["summary"], "One flow alive now.")
        self.assertEqual(schemas["netscope.v1.FlowRecord"]["properties"]["flow_id"]["type"], "string")
        undescribed = [f"{name}.{field}" for name, schema in schemas.items() if name.startswith("netscope.")
                       for field, part in schema.get("properties", {}).items() if not part.get("description")]
        self.assertEqual(undescribed, [])
        ids = [operation["operationId"] for path in self.document["paths"].values() for operation in path.values()]
        self.assertEqual(len(ids), len(set(ids)))

    def test_the_schema_is_served_as_the_files_are(self):
        folder = os.path.join(ROOT, "proto", "netscope", "v1")
        for name in sorted(name for name in os.listdir(folder) if name.endswith(".proto")):
            status, kind, text = self.served.ask(f"/v1/schema/{name}", headers={"Authorization": ""})
            self.assertEqual((status, kind), (200, "text/plain; charset=utf-8"), name)
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                self.assertEqual(text, file.read(), name)
        for name in ("nothing.proto", "..%2Fflow.proto", "flow"):
            self.assertIn(self.served.ask(f"/v1/schema/{name}")[0], (400, 403, 404), name)

    def test_a_validator_takes_the_document(self):
        validator = tool("openapi-spec-validator")
        if validator is None:
            self.skipTest("openapi-spec-validator is not to be had")
        path = os.path.join(self.served.folder.name, "openapi.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump(self.document, out)
        done = subprocess.run([validator, path], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    # ---- fuzzing ----

    HOSTILE = ["", "0", "-1", "4294967296", "18446744073709551616", "1e309", "NaN", "null", "true", "'", '"', "\\", "%",
               "\x00", "\n", "\u202e", "é" * 200, "A" * 5000, "(" * 300, "server.port = 80", "10.0.0.0/8", "2001:db8::1",
               "1s", "3.9s", "999999999999s", "2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "FLOW_ORDER_RTT", "[]", "{}"]

    def value(self, pick, schema):
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        if pick.random() < 0.4:
            return pick.choice(self.HOSTILE)
        if "enum" in schema:
            return pick.choice(schema["enum"])
        if schema.get("type") == "integer":
            return pick.choice([0, 1, 7, 1000, 1001, 4294967295])
        if schema.get("type") == "array":
            return [self.value(pick, schema["items"]) for _ in range(pick.randrange(3))]
        if schema.get("type") == "object":
            return {name: self.value(pick, part) for name, part in schema.get("properties", {}).items()
                    if pick.random() < 0.5}
        return pick.choice(self.HOSTILE)

    def call(self, pick, path, verb, operation):
        query = []
        for parameter in operation.get("parameters", []):
            value = self.value(pick, parameter["schema"])
            if isinstance(value, str):  # the HTTP library hangs up on an escaped NUL and on very long heads
                value = value.replace("\0", "")[:2000]
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], urllib.parse.quote(str(value) or "x", safe=""))
            elif parameter["in"] == "query" and pick.random() < 0.5:
                query += [(parameter["name"], one) for one in (value if isinstance(value, list) else [value]) if "\0" not in str(one)][:3]
        if query:
            path += "?" + urllib.parse.urlencode(query)
        body = None
        if verb == "post":
            body = self.value(pick, operation["requestBody"]["content"]["application/json"]["schema"])
            if pick.random() < 0.1:
                body = json.dumps(body).encode()[:pick.randrange(1, 40)]
        return self.served.ask(path, body=body, headers={"X-NetScope": "1"}) + (path,)

    def test_no_request_made_from_the_document_does_harm(self):
        pick = random.Random(SEED)
        counts = {}
        for _ in range(ROUNDS):
            for path, verbs in self.document["paths"].items():
                for verb, operation in verbs.items():
                    try:
                        status, kind, text, asked = self.call(pick, path, verb, operation)
                    except OSError as error:
                        self.fail(f"seed {SEED}: {verb} {path}: {error}")
                    what = f"seed {SEED}: {verb} {asked[:300]}: {status} {text[:300]}"
                    counts[status] = counts.get(status, 0) + 1
                    if path in self.UNSERVED:
                        self.assertIn(status, (400, 501), what)
                    else:
                        self.assertIn(status, self.STATUSES, what)
                    if status == 200 and path.startswith("/v1/"):
                        self.assertTrue(kind.startswith("application/json"), what)
                        json.loads(text)
                    elif status != 200:
                        self.assertTrue(kind.startswith("application/problem+json"), what)
                        self.assertEqual(json.loads(text)["status"], status, what)
        self.assertTrue(self.served.program.is_running())
        self.assertGreater(counts.get(200, 0), 0)
        self.assertGreater(counts.get(400, 0), 0)

    def test_schemathesis_finds_no_fault(self):
        program = tool("schemathesis")
        if program is None:
            self.skipTest("schemathesis is not to be had")
        done = subprocess.run(
            [program, "run", f"{self.served.url}/v1/openapi.json", "-H", f"Authorization: Bearer {self.served.token}",
             "--max-examples", str(ROUNDS), "--seed", str(SEED), "--suppress-health-check", "all",
             "--generation-allow-x00", "false", "--phases", PHASES,
             *(part for path in self.UNSERVED for part in ("--exclude-path", path)), "--checks",
             "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"],
            capture_output=True, text=True, timeout=240, cwd=self.served.folder.name)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
