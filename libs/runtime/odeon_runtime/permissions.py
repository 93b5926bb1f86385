"""Which permission each RPC needs, read from its proto option. No option, no start."""

from google.protobuf.descriptor import ServiceDescriptor
from odeon.common.v1 import options_pb2

PUBLIC = "public"
SERVICE = "service"


class MissingPermission(RuntimeError):
    """A method says nothing about who may call it; the process must not start."""


def method_permissions(services: list[ServiceDescriptor]) -> dict[str, str]:
    """Permission by full method path, e.g. "/odeon.room.v1.RoomService/GetEvent"."""
    table: dict[str, str] = {}
    for service in services:
        for method in service.methods:
            permission = method.GetOptions().Extensions[options_pb2.permission]
            if not permission:
                raise MissingPermission(f"{method.full_name} has no odeon.common.v1.permission")
            table[f"/{service.full_name}/{method.name}"] = permission
    return table
