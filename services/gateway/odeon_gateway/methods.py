"""Which RPCs the outside may call: read from the descriptors, nothing listed by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from odeon.analytics.v1 import analytics_pb2
from odeon.auth.v1 import auth_pb2
from odeon.recorder.v1 import recorder_pb2
from odeon.room.v1 import room_pb2
from odeon_runtime.permissions import PUBLIC, SERVICE, method_permissions

FACING: tuple[FileDescriptor, ...] = (
    auth_pb2.DESCRIPTOR,
    room_pb2.DESCRIPTOR,
    recorder_pb2.DESCRIPTOR,
    analytics_pb2.DESCRIPTOR,
)
"""Files of the services that have something for outsiders. signaling's and transcoder's RPCs are
for other services only; people reach them by WHIP, WHEP and the stage."""
_INSIDE = frozenset({"/odeon.auth.v1.AuthService/IssueServiceToken"})
"""Public only in that they bring their own credential, which nobody outside has."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC that outsiders may call.

    Attributes:
        path: "/odeon.room.v1.RoomService/GetEvent".
        service: which of our services has it, e.g. "room".
        permission: what the caller needs; "public" needs no credential.
    """

    path: str
    service: str
    permission: str
    descriptor: MethodDescriptor

    @property
    def public(self) -> bool:
        """Whether it needs no credential."""
        return self.permission == PUBLIC

    @property
    def streams_requests(self) -> bool:
        """Whether the client sends many messages."""
        return bool(self.descriptor.client_streaming)

    @property
    def streams_responses(self) -> bool:
        """Whether the server sends many messages."""
        return bool(self.descriptor.server_streaming)

    @property
    def request(self) -> type[Message]:
        """Class of the request."""
        return GetMessageClass(self.descriptor.input_type)

    @property
    def response(self) -> type[Message]:
        """Class of the response."""
        return GetMessageClass(self.descriptor.output_type)


def services(files: Iterable[FileDescriptor] = FACING) -> list[ServiceDescriptor]:
    """The services of `files`."""
    return [service for file in files for service in file.services_by_name.values()]


def facing_methods(files: Iterable[FileDescriptor] = FACING) -> Mapping[str, Method]:
    """By path, every RPC that is not for services only."""
    table: dict[str, Method] = {}
    for service in services(files):
        permissions = method_permissions([service])
        for descriptor in service.methods:
            path = f"/{service.full_name}/{descriptor.name}"
            if permissions[path] != SERVICE and path not in _INSIDE:
                table[path] = Method(
                    path, service.full_name.split(".")[1], permissions[path], descriptor
                )
    return table
