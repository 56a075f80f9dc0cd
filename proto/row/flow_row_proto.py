"""Prints netscope/v1/flow_row.proto, the flat FlowRow, from the descriptor of FlowRecord: one rule, so that the two
cannot drift. proto/row/flow_row.c reads both descriptors and converts by the same rule; check_proto.py fails when the
file is not what this prints, and its --update writes it.

The rule, field by field:
  name     the names on the way joined by "_": tcp.forward.flags -> tcp_forward_flags
  number   the numbers on the way as digits to base 32: 15.4.1 -> (15 * 32 + 4) * 32 + 1; so it never changes
  address  text -> 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2)
  times    Timestamp -> fixed64 NAME_unix_nanos; Duration -> uint64 NAME_nanos, which knows whether it is there
  lists    a repeated message -> one list a field, all of one length; there a number that is absent is -1 and a text in
           a list of the message is joined with commas; a map -> a list of keys and one of values
"""
import re

BASE = 32
RECORD = "netscope.v1.FlowRecord"
# Text that holds an IP address.
ADDRESSES = {("Endpoint", "ip"), ("Tunnel", "outer_src"), ("Tunnel", "outer_dst")}
SCALARS = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool",
           9: "string", 12: "bytes", 13: "uint32", 17: "sint32", 18: "sint64"}
MESSAGE, ENUM, STRING, REPEATED = 11, 14, 9, 3
SIGNED = {"uint32": "sint32", "uint64": "sint64", "int32": "sint32", "int64": "sint64"}

HEAD = """syntax = "proto3";

// FlowRecord as one flat row, for stores that know columns and no nested messages (ClickHouse). Made by
// proto/row/flow_row_proto.py from flow.proto; tests/architecture/check_proto.py --update writes it anew.
package netscope.v1;

import "netscope/v1/flow.proto";

// One flow record. A name is the way to the field of FlowRecord joined by "_", a number the same way as digits to
// base 32. Addresses are 16 bytes, IPv4 mapped into IPv6; times are ns since 1970, durations ns. The fields of a
// repeated message are lists of one length; there an absent number is -1. (sensor_id, boot_id, stream FLOWS,
// record_seq) is its identity.
message FlowRow {
"""
TAIL = """}

// Rows that travel together.
message FlowRowBatch {
  // In the order in which they were written.
  repeated FlowRow rows = 1;
}
"""


class Fault(Exception):
    """A field that the rule has no answer for."""


def index_of(files):
    """Full name -> (message, its comments by field number)."""
    found = {}

    def walk(prefix, path, message, comments):
        full = f"{prefix}.{message.name}"
        found[full] = (message, {f.number: comments.get(path + (2, i), "") for i, f in enumerate(message.field)})
        for i, nested in enumerate(message.nested_type):
            walk(full, path + (3, i), nested, comments)
    for file in files.file:
        comments = {tuple(l.path): " ".join(l.leading_comments.split()) for l in file.source_code_info.location}
        for i, message in enumerate(file.message_type):
            walk(file.package, (4, i), message, comments)
    return found


class Printer:
    def __init__(self, messages):
        self.messages = messages
        self.lines = []
        self.names = {}
        self.numbers = {}

    def field(self, kind, name, number, comment, has_presence):
        if name in self.names or number in self.numbers:
            raise Fault(f"FlowRow.{name} = {number} is there twice")
        if 19000 <= number <= 19999:
            raise Fault(f"FlowRow.{name} = {number}: protobuf keeps these numbers for itself")
        self.names[name] = self.numbers[number] = True
        comment = comment or f"{name.replace('_', ' ')}."
        if has_presence:
            self.lines += [f"  oneof {name}_value {{", f"    // {comment}", f"    {kind} {name} = {number};", "  }"]
        else:
            self.lines += [f"  // {comment}", f"  {kind} {name} = {number};"]

    def scalar(self, message, field, name, number, comment, in_list):
        is_repeated = field.label == REPEATED
        has_presence = field.HasField("oneof_index")
        kind = field.type_name.rsplit(".", 1)[-1] if field.type == ENUM else SCALARS[field.type]
        if field.type == STRING and (message.name, field.name) in ADDRESSES:
            kind = "bytes"
            comment = "16 bytes, IPv4 mapped into IPv6. " + comment.replace("Text by RFC 5952; empty", "Empty")
        if in_list and is_repeated:
            if field.type != STRING:
                raise Fault(f"{message.name}.{field.name}: a list of numbers inside a list has no column")
            comment += " Joined with commas."
        elif in_list and has_presence:
            if kind not in SIGNED:
                raise Fault(f"{message.name}.{field.name}: {kind} that may be absent inside a list has no column")
            kind = SIGNED[kind]
            comment += " -1 = absent."
        if in_list or is_repeated:
            kind = "repeated " + kind
        self.field(kind, name, number, comment, has_presence and not in_list)

    def message(self, full, prefix, base, in_list):
        message, comments = self.messages[full]
        for field in sorted(message.field, key=lambda f: f.number):
            name = prefix + field.name
            comment = comments[field.number]
            if base and field.number >= BASE:
                raise Fault(f"{message.name}.{field.name} = {field.number}: FlowRow has room for numbers below {BASE}")
            number = base * BASE + field.number
            if field.type != MESSAGE:
                self.scalar(message, field, name, number, comment, in_list)
            elif field.type_name == ".google.protobuf.Timestamp":
                self.field(("repeated " if in_list else "") + "fixed64", name + "_unix_nanos", number,
                           comment + " ns since 1970; 0 = absent.", False)
            elif field.type_name == ".google.protobuf.Duration":
                if in_list:
                    self.field("repeated sint64", name + "_nanos", number, comment + " ns; -1 = absent.", False)
                else:
                    self.field("uint64", name + "_nanos", number, comment + " ns.", True)
            else:
                is_list = field.label == REPEATED
                if is_list and in_list:
                    raise Fault(f"{message.name}.{field.name}: a list of messages inside a list has no column")
                self.message(field.type_name.lstrip("."), name + "_", number, in_list or is_list)


def text_of(files):
    """The file, from a FileDescriptorSet with comments. Raises Fault."""
    printer = Printer(index_of(files))
    printer.message(RECORD, "", 0, False)
    return HEAD + re.sub(r" +\n", "\n", "\n".join(printer.lines)) + "\n" + TAIL
