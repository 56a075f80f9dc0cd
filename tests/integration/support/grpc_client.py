"""Any method of netscope.v1 by python grpcio, without generated code. Importing it without python3-grpcio and
python3-protobuf is an ImportError.

    NETSCOPE_DESCRIPTORS   the FileDescriptorSet of the build
"""
import os

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from support.programs import PATIENCE, ROOT

DESCRIPTORS = os.environ.get("NETSCOPE_DESCRIPTORS",
                             os.path.join(ROOT, "build", "dev", "generated", "netscope.binpb"))


class Client:
    """Any method by its name, messages as dictionaries (proto3 JSON with snake_case names)."""

    def __init__(self, port, token=""):
        files = descriptor_pb2.FileDescriptorSet()
        with open(DESCRIPTORS, "rb") as source:
            files.ParseFromString(source.read())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0),
                                                                           ("grpc.use_local_subchannel_pool", 1)])

    def _method(self, name, request):
        service, method = name.split("/")
        found = self.pool.FindServiceByName(f"netscope.v1.{service}").methods_by_name[method]
        message = json_format.ParseDict(request, self.factory.GetPrototype(found.input_type)())
        return f"/netscope.v1.{name}", message, self.factory.GetPrototype(found.output_type).FromString

    def encoded(self, name, fields):
        """A message of netscope.v1 as bytes."""
        kind = self.factory.GetPrototype(self.pool.FindMessageTypeByName(f"netscope.v1.{name}"))
        return json_format.ParseDict(fields, kind()).SerializeToString()

    @staticmethod
    def plain(message):
        return json_format.MessageToDict(message, preserving_proto_field_name=True)

    def ask(self, name, request=None):
        path, message, read = self._method(name, request or {})
        call = self.channel.unary_unary(path, type(message).SerializeToString, read)
        return self.plain(call(message, timeout=20 * PATIENCE, metadata=self.metadata))

    def stream(self, name, request=None, seconds=20):
        path, message, read = self._method(name, request or {})
        call = self.channel.unary_stream(path, type(message).SerializeToString, read)
        return call(message, timeout=seconds, metadata=self.metadata)

    def until(self, name, request, is_enough, seconds=30):
        """Messages until `is_enough(message)`; then the stream is left."""
        call, seen = self.stream(name, request, seconds * PATIENCE), []
        for answer in call:
            seen.append(self.plain(answer))
            if is_enough(seen[-1]):
                call.cancel()
                return seen
        raise AssertionError(f"{name}: the stream ended after {seen[-3:]}")

    def refused(self, name, request=None):
        """(status, reason, field)."""
        is_stream = name.split("/")[1].startswith(("Observe", "Watch"))
        try:
            list(self.stream(name, request)) if is_stream else self.ask(name, request)
        except grpc.RpcError as error:
            reason = field = ""
            for key, value in error.trailing_metadata() or ():
                if key != "grpc-status-details-bin":
                    continue
                status = self.factory.GetPrototype(self.pool.FindMessageTypeByName("google.rpc.Status")).FromString(value)
                for one in status.details:
                    kind = one.type_url.split("/")[1]
                    detail = self.factory.GetPrototype(self.pool.FindMessageTypeByName(kind)).FromString(one.value)
                    reason = detail.reason if kind == "google.rpc.ErrorInfo" else reason
                    field = detail.field_violations[0].field if kind == "google.rpc.BadRequest" else field
            return error.code().name, reason, field
        return "OK", "", ""
