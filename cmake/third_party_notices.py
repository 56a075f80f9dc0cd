#!/usr/bin/env python3
"""Writes THIRD_PARTY_NOTICES: what the programs link and the dashboard embeds, with the licences as they came.

    third_party_notices.py OUT NODE_MODULES PROGRAM...

Libraries are found by what each program names (ELF NEEDED) and Debian's /usr/share/doc/PACKAGE/copyright; the
dashboard's packages by the "dependencies" of its package.json in NODE_MODULES/.. ("" or absent: none embedded).
"""
import json
import os
import re
import subprocess
import sys

OWN_LICENCES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "license", "OFL.txt")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def debian_packages(programs):
    """dpkg-query reads all that is installed, each time: it is asked once."""
    needed = {library for program in programs
              for library in re.findall(r"NEEDED\s+(\S+)", output("objdump", "-p", program))}
    packages = {}
    for line in output("dpkg-query", "-S", *(f"*/{library}" for library in sorted(needed))).splitlines():
        name, library = line.split(":")[0], os.path.basename(line)
        if not name.startswith("lib32") and not name.endswith("-i386") and os.path.exists(f"/usr/share/doc/{name}/copyright"):
            packages.setdefault(library, name)
    return sorted(set(packages.values()))


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def npm_packages(modules):
    manifest = os.path.join(os.path.dirname(modules), "package.json")
    if not modules or not os.path.exists(manifest):
        return
    for name in sorted(json.loads(read(manifest)).get("dependencies", {})):
        folder = os.path.join(modules, name)
        if not os.path.exists(os.path.join(folder, "package.json")):
            continue
        package = json.loads(read(os.path.join(folder, "package.json")))
        text = next((read(os.path.join(folder, n)) for n in OWN_LICENCES if os.path.exists(os.path.join(folder, n))), "")
        yield name, package.get("version", ""), str(package.get("license", "")), text


def main():
    out, modules, programs = sys.argv[1], sys.argv[2], sys.argv[3:]
    parts = ["NetScope is MIT licensed (LICENSE). It links and embeds the following; each has its own licence."]
    for name, version, licence, text in npm_packages(modules):
        parts.append(f"{'=' * 80}\n{name} {version} ({licence}), embedded in the dashboard\n\n{text}")
    for name in debian_packages(programs):
        version = output("dpkg-query", "-W", "-f=${Version}", name)
        parts.append(f"{'=' * 80}\n{name} {version}, linked, from Debian\n\n{read(f'/usr/share/doc/{name}/copyright')}")
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
