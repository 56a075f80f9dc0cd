"""Compares our JSON of random records with that of google.protobuf.json_format.

Usage: compare_json.py JSON_SAMPLES DESCRIPTOR_SET. Exit 77: python3-protobuf is missing."""
import json
import subprocess
import sys

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
except ImportError:
    print("SKIP: python3-protobuf is not installed")
    sys.exit(77)


def without_empty_lists(value):
    """We leave out empty lists and maps; json_format prints them."""
    if isinstance(value, dict):
        return {k: without_empty_lists(v) for k, v in value.items() if v != []}
    if isinstance(value, list):
        return [without_empty_lists(v) for v in value]
    return value


def without_maps(message_descriptor, value):
    for field in message_descriptor.fields:
        if field.message_type is None or field.name not in value:
            continue
        if field.message_type.GetOptions().map_entry:
            if value[field.name] == {}:
                del value[field.name]
        elif not field.message_type.full_name.startswith("google."):
            items = value[field.name]
            for item in items if isinstance(items, list) else [items]:
                without_maps(field.message_type, item)
    return value


def main():
    files = descriptor_pb2.FileDescriptorSet()
    with open(sys.argv[2], "rb") as f:
        files.ParseFromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    lines = subprocess.run([sys.argv[1]], check=True, capture_output=True).stdout.splitlines()
    for number, line in enumerate(lines, 1):
        name, wire, ours = line.decode().split("\t", 2)
        descriptor = pool.FindMessageTypeByName(name)
        message = factory.GetPrototype(descriptor)()
        message.ParseFromString(bytes.fromhex(wire))
        theirs = json_format.MessageToDict(
            message, preserving_proto_field_name=True, including_default_value_fields=True)
        theirs = without_maps(descriptor, without_empty_lists(theirs))
        if json.loads(ours) != theirs:
            print(f"record {number} {name}\nours   {ours}\ntheirs {json.dumps(theirs)}")
            return 1
        back = factory.GetPrototype(descriptor)()
        json_format.Parse(ours, back, descriptor_pool=pool)
        if back != message:
            print(f"record {number} {name} does not read back:\n{ours}")
            return 1
    print(f"{len(lines)} records are equal")
    return 0 if lines else 1


sys.exit(main())
