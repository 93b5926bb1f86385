"""One refusal, both public faces: JSON over HTTP and native gRPC tell a client the same."""

import base64
from dataclasses import dataclass

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from odeon.room.v1 import room_pb2, room_pb2_grpc

from .conftest import World

GET_EVENT = "room.v1.RoomService/GetEvent"


@dataclass(frozen=True)
class Refusal:
    """What a client can act on: the code, the text, and each detail byte for byte."""

    code: str
    message: str
    details: list[tuple[str, bytes]]

    @property
    def info(self) -> tuple[str, dict[str, str]]:
        """Reason and metadata."""
        (value,) = (v for name, v in self.details if name == "google.rpc.ErrorInfo")
        info = error_details_pb2.ErrorInfo.FromString(value)
        return info.reason, dict(info.metadata)


async def by_json(world: World, name: str, headers: dict[str, str]) -> Refusal:
    body = (await world.call(GET_EVENT, {"name": name}, headers)).json()
    return Refusal(
        body["code"],
        body["message"],
        [(d["type"], base64.b64decode(d["value"] + "==")) for d in body["details"]],
    )


async def by_grpc(world: World, name: str, headers: dict[str, str]) -> Refusal:
    async with grpc.aio.insecure_channel(world.grpc) as channel:
        stub = room_pb2_grpc.RoomServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetEvent(
                room_pb2.GetEventRequest(name=name), metadata=tuple(headers.items())
            )
    status: status_pb2.Status | None = rpc_status.from_call(refused.value)
    assert status is not None
    return Refusal(
        refused.value.code().name.lower(),
        status.message,
        [(d.type_url.rpartition("/")[2], d.value) for d in status.details],
    )


@pytest.mark.parametrize(
    ("name", "permission", "code", "reason", "metadata"),
    [
        ("events/none", "*", "not_found", "NOT_FOUND", {"event": "none"}),
        (
            "events/launch",
            "events.list",
            "permission_denied",
            "PERMISSION_DENIED",
            {"permission": "events.get"},
        ),
        ("events/launch", None, "unauthenticated", "UNAUTHENTICATED", {}),
    ],
    ids=["by the service", "by the service's gate", "by the gateway"],
)
async def test_a_refusal_is_the_same_by_json_and_by_grpc(
    world: World,
    name: str,
    permission: str | None,
    code: str,
    reason: str,
    metadata: dict[str, str],
) -> None:
    headers = world.bearer(permission) if permission else {}

    told = await by_json(world, name, headers)

    assert (told.code, told.info) == (code, (reason, metadata))
    assert await by_grpc(world, name, headers) == told
