"""Keeps what sensors, collectors and clients have agreed on: no breaking change to proto/netscope, and the house
form of .proto files (buf STANDARD rules that apply, a comment on everything).

  check_proto.py            compare with proto.lock.json and lint; exit 1 on a fault
  check_proto.py --update   the same, then write additions into the lock (breaking changes are still refused)
                            and flow_row.proto, which follows from flow.proto
  check_proto.py --self-test   prove that each kind of fault is found
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    from google.protobuf import descriptor_pb2
except ImportError:
    if sys.executable != "/usr/bin/python3":  # the distribution's has the distribution's modules
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    print("SKIP: python3-protobuf is not installed")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True  # beside proto/
sys.path.insert(0, str(ROOT / "proto" / "row"))
import flow_row_proto  # noqa: E402

ROW = ROOT / "proto" / "netscope" / "v1" / "flow_row.proto"
LOCK = pathlib.Path(__file__).resolve().parent / "proto.lock.json"
FIELD = descriptor_pb2.FieldDescriptorProto


def compile_protos(proto_root):
    """The FileDescriptorSet of netscope/**, with comments."""
    names = sorted(str(p.relative_to(proto_root)) for p in proto_root.glob("netscope/**/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "set.binpb")
        done = subprocess.run(["protoc", "-I", str(proto_root), "-I", "/usr/include", "--include_source_info",
                               f"--descriptor_set_out={out}", *names], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("protoc: " + done.stderr.strip())
        files = descriptor_pb2.FileDescriptorSet()
        files.ParseFromString(pathlib.Path(out).read_bytes())
    return files


def type_of(field):
    name = field.type_name.lstrip(".") or FIELD.Type.Name(field.type)[len("TYPE_"):].lower()
    return ("repeated " if field.label == FIELD.LABEL_REPEATED else "") + name


def messages_of(file):
    def walk(prefix, path, message):
        full = f"{prefix}.{message.name}"
        yield full, path, message
        for i, nested in enumerate(message.nested_type):
            yield from walk(full, path + (3, i), nested)
    for i, message in enumerate(file.message_type):
        yield from walk(file.package, (4, i), message)


def enums_of(file):
    for i, enum in enumerate(file.enum_type):
        yield f"{file.package}.{enum.name}", (5, i), enum
    for full, path, message in messages_of(file):
        for i, enum in enumerate(message.enum_type):
            yield f"{full}.{enum.name}", path + (4, i), enum


def contract(files):
    """What a peer of an older or newer version relies on."""
    found = {"messages": {}, "enums": {}, "services": {}}
    for file in files.file:
        for full, _, message in messages_of(file):
            found["messages"][full] = {
                str(f.number): {"name": f.name, "type": type_of(f),
                                "oneof": message.oneof_decl[f.oneof_index].name if f.HasField("oneof_index") else ""}
                for f in message.field}
        for full, _, enum in enums_of(file):
            found["enums"][full] = {str(v.number): v.name for v in enum.value}
        for service in file.service:
            found["services"][f"{file.package}.{service.name}"] = {
                m.name: f"{'stream ' if m.client_streaming else ''}{m.input_type.lstrip('.')} -> "
                        f"{'stream ' if m.server_streaming else ''}{m.output_type.lstrip('.')}"
                for m in service.method}
    return found


def breaking(old, new):
    faults = []
    for kind in ("messages", "enums", "services"):
        for name, parts in old[kind].items():
            if name not in new[kind]:
                faults.append(f"{name} was removed")
                continue
            for key, was in parts.items():
                now = new[kind][name].get(key)
                label = f"{name}.{was['name']} = {key}" if kind == "messages" else f"{name} {key}"
                if now is None:
                    faults.append(f"{label} was removed or renumbered")
                elif now != was:
                    faults.append(f"{label} was {was}, is {now}")
    return faults


def snake(name):
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).upper()


def lint_file(file):
    faults = []
    where = file.name
    comments = {tuple(l.path): l.leading_comments.strip() for l in file.source_code_info.location}

    def need(condition, text):
        if not condition:
            faults.append(f"{where}: {text}")

    def need_comment(path, name):
        need(comments.get(path), f"{name} has no comment")

    need(file.syntax == "proto3", "syntax is not proto3")
    need(re.fullmatch(r"[a-z0-9_.]+\.v[0-9]+", file.package), f"package {file.package} has no version")
    need(os.path.dirname(file.name) == file.package.replace(".", "/"), "the folder is not the package")
    need(re.fullmatch(r"[a-z0-9_]+\.proto", os.path.basename(file.name)), "the file name is not snake_case")
    need(not file.public_dependency, "import public")
    need_comment((2,), "the package")
    for full, path, message in messages_of(file):
        if message.options.map_entry:
            continue
        need(re.fullmatch(r"[A-Z][A-Za-z0-9]*", message.name), f"{full} is not PascalCase")
        need_comment(path, full)
        for i, field in enumerate(message.field):
            need(re.fullmatch(r"[a-z][a-z0-9_]*", field.name), f"{full}.{field.name} is not lower_snake_case")
            need_comment(path + (2, i), f"{full}.{field.name}")
        for oneof in message.oneof_decl:
            need(re.fullmatch(r"[a-z][a-z0-9_]*", oneof.name), f"{full}.{oneof.name} is not lower_snake_case")
    for full, path, enum in enums_of(file):
        prefix = snake(enum.name) + "_"
        need(re.fullmatch(r"[A-Z][A-Za-z0-9]*", enum.name), f"{full} is not PascalCase")
        need_comment(path, full)
        need(not enum.options.allow_alias, f"{full} allows aliases")
        need(enum.value[0].number == 0 and enum.value[0].name == prefix + "UNSPECIFIED",
             f"{full}: the zero value is not {prefix}UNSPECIFIED")
        for i, value in enumerate(enum.value):
            need(value.name.startswith(prefix), f"{full}.{value.name} does not begin with {prefix}")
            need_comment(path + (2, i), f"{full}.{value.name}")
    for s, service in enumerate(file.service):
        need(service.name.endswith("Service"), f"{service.name} does not end in Service")
        need_comment((6, s), service.name)
        for m, method in enumerate(service.method):
            name = f"{service.name}.{method.name}"
            need(re.fullmatch(r"[A-Z][A-Za-z0-9]*", method.name), f"{name} is not PascalCase")
            need_comment((6, s, 2, m), name)
            for given, suffix in ((method.input_type, "Request"), (method.output_type, "Response")):
                standard = {method.name + suffix, service.name + method.name + suffix}
                need(given.rsplit(".", 1)[-1] in standard, f"{name}: {given} is not {method.name}{suffix}")
    return faults


def lint(files):
    faults = [fault for file in files.file for fault in lint_file(file)]
    used = {}
    for file in files.file:
        for service in file.service:
            for method in service.method:
                for given in (method.input_type, method.output_type):
                    if given in used:
                        faults.append(f"{file.name}: {given} is used by two rpcs")
                    used[given] = True
    return faults


def self_test():
    """Each change below must be a fault; an addition must be none."""
    base = """syntax = "proto3";
// Test.
package netscope.v1;
// M.
message M {
  // A.
  uint32 a = 1;
  oneof x {
    // B.
    string b = 2;
  }
}
// E.
enum E {
  // Zero.
  E_UNSPECIFIED = 0;
  // One.
  E_ONE = 1;
}
// Q.
message GetRequest {}
// R.
message GetResponse {}
// S.
service TestService {
  // G.
  rpc Get(GetRequest) returns (GetResponse);
}
"""
    changes = {
        "field removed": ("  // A.\n  uint32 a = 1;\n", ""), "field renumbered": ("a = 1", "a = 9"),
        "field renamed": ("uint32 a", "uint32 c"), "field retyped": ("uint32 a", "uint64 a"),
        "field made repeated": ("uint32 a", "repeated uint32 a"),
        "field moved out of its oneof": ("  oneof x {\n    // B.\n    string b = 2;\n  }\n", "  // B.\n  string b = 2;\n"),
        "message removed": ("message M", "message N"), "enum value removed": ("  // One.\n  E_ONE = 1;\n", ""),
        "enum value renamed": ("E_ONE", "E_UNO"), "rpc made streaming": ("returns (", "returns (stream "),
        "rpc removed": ("  // G.\n  rpc Get(GetRequest) returns (GetResponse);\n", ""),
        "zero value without its suffix": ("E_UNSPECIFIED", "E_NONE"), "value without prefix": ("E_ONE", "ONE"),
        "service without its suffix": ("TestService", "Test"), "camelCase field": ("uint32 a", "uint32 aA"),
        "package without version": ("netscope.v1", "netscope"), "request not named after its rpc": ("rpc Get(", "rpc Fetch("),
        "field without comment": ("  // A.\n", ""), "message without comment": ("// M.\n", ""),
        "enum value without comment": ("  // One.\n", ""), "rpc without comment": ("  // G.\n", ""),
        "enum without comment": ("// E.\n", ""), "service without comment": ("// S.\n", ""),
    }

    def faults_of(text, old):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "netscope" / "v1"
            path.mkdir(parents=True)
            (path / "test.proto").write_text(text)
            files = compile_protos(pathlib.Path(folder))
        return (breaking(old, contract(files)) if old else []) + lint(files), contract(files)

    faults, old = faults_of(base, None)
    assert not faults, faults
    addition = base.replace("uint32 a = 1;", "uint32 a = 1;\n  // New.\n  string n = 7;")
    assert addition != base and not faults_of(addition, old)[0]
    missed = []
    for name, (before, after) in changes.items():
        text = base.replace(before, after, 1)
        assert text != base, name
        if not faults_of(text, old)[0]:
            missed.append(name)
    print(f"self-test: {len(changes) - len(missed)} of {len(changes)} faults found" + "".join(f"\nmissed: {m}" for m in missed))
    return 1 if missed else 0


def check_row(files):
    """flow_row.proto says what flow.proto says. Faults; with --update the file is written first."""
    try:
        text = flow_row_proto.text_of(files)
    except flow_row_proto.Fault as fault:
        return [f"flow_row.proto: {fault}"]
    if ROW.exists() and ROW.read_text() == text:
        return []
    if "--update" in sys.argv:
        ROW.write_text(text)
        return []
    return [f"{ROW.name} does not follow flow.proto: run {pathlib.Path(__file__).name} --update and commit it"]


def main():
    if "--self-test" in sys.argv:
        return self_test()
    row_faults = check_row(compile_protos(ROOT / "proto"))
    files = compile_protos(ROOT / "proto")
    now = contract(files)
    faults = row_faults + lint(files)
    if LOCK.exists():
        faults += breaking(json.loads(LOCK.read_text()), now)
    elif "--update" not in sys.argv:
        faults.append(f"{LOCK.name} is missing: run with --update")
    for fault in faults:
        print(fault)
    text = json.dumps(now, indent=1, sort_keys=True) + "\n"
    if "--update" in sys.argv and not faults:
        LOCK.write_text(text)
    elif not faults and LOCK.read_text() != text:
        faults.append("additions")
        print(f"there are additions: run {pathlib.Path(__file__).name} --update and commit {LOCK.name}")
    print(f"proto: {len(now['messages'])} messages, {len(now['enums'])} enums, {len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())
