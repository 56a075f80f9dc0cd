#!/usr/bin/env python3
"""Turns a folder of built pages into an assembler file and a C table that compile into the program.

    embed_assets.py FOLDER SYMBOL OUT.S OUT.c

FOLDER holds manifest.txt, one file a line: path<TAB>content type<TAB>1 when the name holds a hash of the content,
else 0. Beside each file lie its .gz and .br; one that is missing or not smaller is left out. SYMBOL names the
table: `const struct http_asset SYMBOL[]` and `const size_t SYMBOL_count`.
The bytes come in by .incbin, so no generated array has to be compiled.
"""
import hashlib
import os
import sys


def fail(text):
    sys.exit(f"embed_assets: {text}")


def read_manifest(folder):
    name = os.path.join(folder, "manifest.txt")
    rows, seen = [], set()
    try:
        lines = open(name, encoding="utf-8").read().splitlines()
    except OSError as error:
        fail(f"{name}: {error.strerror}")
    for number, line in enumerate(lines, 1):
        parts = line.split("\t")
        if len(parts) != 3 or parts[2] not in ("0", "1"):
            fail(f"{name}:{number}: expected path<TAB>content-type<TAB>0|1")
        path = "/" + parts[0].lstrip("/")
        if ".." in path.split("/") or path in seen:
            fail(f"{name}:{number}: {path} points outside or appears twice")
        if not all(" " <= c <= "~" for c in path + parts[1]):
            fail(f"{name}:{number}: only printable ASCII may stand here")
        seen.add(path)
        rows.append((path, parts[1], parts[2] == "1"))
    if not rows:
        fail(f"{name}: no files")
    return rows


def c_text(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main():
    if len(sys.argv) != 5:
        fail("usage: embed_assets.py FOLDER SYMBOL OUT.S OUT.c")
    folder, symbol, out_assembler, out_c = sys.argv[1:]
    assembler = ['    .section .rodata\n']
    declarations, table = [], []
    for index, (path, content_type, immutable) in enumerate(read_manifest(folder)):
        source = os.path.abspath(os.path.join(folder, path.lstrip("/")))
        try:
            raw = open(source, "rb").read()
        except OSError as error:
            fail(f"{source}: {error.strerror}")
        fields = []
        for ending, coding in (("", "raw"), (".gz", "gzip"), (".br", "brotli")):
            there = os.path.exists(source + ending)
            if ending and (not there or os.path.getsize(source + ending) >= len(raw)):
                fields.append("NULL, 0")
                continue
            label = f"{symbol}_{index}_{coding}"
            quoted = (source + ending).replace("\\", "\\\\").replace('"', '\\"')
            assembler.append(f'    .global {label}\n    .hidden {label}\n    .balign 16\n{label}:\n'
                             f'    .incbin "{quoted}"\n    .byte 0\n')
            declarations.append(f"extern const uint8_t {label}[];\n")
            fields.append(f"{label}, {os.path.getsize(source + ending)}")
        etag = hashlib.sha256(raw).hexdigest()[:20]
        table.append(f'    {{{c_text(path)}, {c_text(content_type)}, "{etag}",\n     {", ".join(fields)}, '
                     f'{"true" if immutable else "false"}}},\n')
    assembler.append('    .section .note.GNU-stack,"",%progbits\n')
    with open(out_assembler, "w", encoding="utf-8") as out:
        out.writelines(assembler)
    with open(out_c, "w", encoding="utf-8") as out:
        out.write("/* Written by cmake/embed_assets.py. */\n#include <stddef.h>\n\n#include \"base/asset.h\"\n\n")
        out.writelines(declarations)
        out.write(f"\nextern const struct http_asset {symbol}[];\nextern const size_t {symbol}_count;\n")
        out.write(f"const struct http_asset {symbol}[] = {{\n" + "".join(table) + "};\n")
        out.write(f"const size_t {symbol}_count = {len(table)};\n")


main()
