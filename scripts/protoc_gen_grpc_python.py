"""Buf plugin for gRPC's Python stubs, which exist only inside grpcio-tools' own protoc.

Reads a CodeGeneratorRequest from standard input, has that protoc write the stubs to a
temporary folder, and answers with their contents.
"""

import pathlib
import sys
import tempfile

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Stubs for every file to generate that has a service."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    wanted = set(request.file_to_generate)
    files = [f.name for f in request.proto_file if f.name in wanted and f.service]
    if not files:
        return response
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        descriptors = out / "descriptors.bin"
        descriptors.write_bytes(
            descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString()
        )
        code = protoc.main(
            ["protoc", f"--descriptor_set_in={descriptors}", f"--grpc_python_out={out}", *files]
        )
        if code:
            response.error = f"grpc_python failed with {code}"
        for path in sorted(out.rglob("*.py")):
            response.file.add(name=str(path.relative_to(out)), content=path.read_text())
    return response


if __name__ == "__main__":
    sys.stdout.buffer.write(
        generate(
            plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
        ).SerializeToString()
    )
