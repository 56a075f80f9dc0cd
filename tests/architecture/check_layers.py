#!/usr/bin/env python3
"""Fails on an #include that docs/layers.txt does not allow, on an unmapped folder and on a circle.

    check_layers.py [ROOT]        check the tree below ROOT (default: the checkout)
    check_layers.py --self-test   prove that each kind of fault is found
"""
import os
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
TOPS = ("base", "proto", "detection", "sensor", "collector-ui", "ctl")


def read_map(root):
    allowed = {}
    with open(os.path.join(root, "docs/layers.txt"), encoding="utf-8") as lines:
        for line in lines:
            line = line.split("#")[0].strip()
            if line:
                folder, _, uses = line.partition(":")
                allowed[folder.strip()] = uses.split()
    return allowed


def circles(allowed):
    done, faults = set(), []

    def walk(folder, path):
        if folder in path:
            faults.append("circle: " + " -> ".join(path[path.index(folder):] + [folder]))
            return
        if folder in done:
            return
        for used in allowed.get(folder, []):
            walk(used, path + [folder])
        done.add(folder)

    for folder in allowed:
        walk(folder, [])
    return faults


def check(root):
    allowed = read_map(root)
    faults = circles(allowed)
    for folder, uses in allowed.items():
        faults += [f"docs/layers.txt: {folder} uses unknown folder {u}" for u in uses if u not in allowed]
    for top in TOPS:
        for here, folders, files in os.walk(os.path.join(root, top)):
            folders[:] = [f for f in folders if f not in ("node_modules", "__pycache__")]
            folder = os.path.relpath(here, root)
            for name in sorted(f for f in files if f.endswith((".c", ".h"))):
                path = os.path.join(folder, name)
                if folder not in allowed:
                    faults.append(f"{path}: folder {folder} has no line in docs/layers.txt")
                    continue
                with open(os.path.join(root, path), encoding="utf-8") as source:
                    for number, line in enumerate(source, 1):
                        match = INCLUDE.match(line)
                        if not match:
                            continue
                        target = os.path.dirname(match.group(1))
                        if not target:
                            faults.append(f'{path}:{number}: "{match.group(1)}": name the folder too')
                        elif target.startswith(("google", "grpc", "netscope")):
                            if folder not in ("proto", "proto/json", "proto/serve", "sensor/export", "collector-ui/ingest",
                                              "collector-ui/api"):
                                faults.append(f"{path}:{number}: generated header {match.group(1)} seen outside"
                                              " proto, sensor/export, collector-ui/ingest and /api")
                        elif target != folder and target not in allowed[folder]:
                            faults.append(f"{path}:{number}: {folder} may not include {target}")
    return faults


def self_test():
    with tempfile.TemporaryDirectory() as root:
        def put(path, text):
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                out.write(text)

        put("docs/layers.txt", "base:\nproto: base\n")
        put("base/a.c", '#include "base/a.h"\n')
        put("proto/b.c", '#include "base/a.h"\n')
        assert check(root) == [], check(root)
        put("base/a.c", '#include "proto/b.h"\n')
        assert any("base may not include proto" in f for f in check(root))
        put("base/a.c", '#include "netscope/v1/flow.pb-c.h"\n')
        assert any("generated header" in f for f in check(root))
        put("base/a.c", "")
        put("sensor/c.c", "")
        assert any("no line in docs/layers.txt" in f for f in check(root))
        put("docs/layers.txt", "base: proto\nproto: base\nsensor:\n")
        assert any("circle" in f for f in check(root))
    print("check_layers: every kind of fault is found")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        sys.exit(0)
    found = check(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../.."))
    for fault in found:
        print(fault)
    print(f"layers: {len(found)} faults")
    sys.exit(1 if found else 0)
