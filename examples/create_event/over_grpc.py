#!/usr/bin/env python3
"""Run an event over native gRPC: create it, print its links, follow its state, end it.

The stubs are the package `odeon` that `proto/` generates; the API key goes along as metadata.
"""

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from odeon.room.v1 import room_pb2, room_pb2_grpc

POLL_S = 0.5
TIMEOUT_S = 10.0


class Rooms:
    """RoomService as one tenant calls it."""

    def __init__(self, channel: grpc.aio.Channel, api_key: str) -> None:
        self._stub = room_pb2_grpc.RoomServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {api_key}"),)

    async def create(self, title: str) -> room_pb2.CreateEventResponse:
        """A new event and its links."""
        request = room_pb2.CreateEventRequest(event=room_pb2.Event(title=title))
        return await self._stub.CreateEvent(request, metadata=self._metadata, timeout=TIMEOUT_S)

    async def get(self, name: str) -> room_pb2.Event:
        """The event as it is now."""
        request = room_pb2.GetEventRequest(name=name)
        answer = await self._stub.GetEvent(request, metadata=self._metadata, timeout=TIMEOUT_S)
        return answer.event

    async def start(self, name: str) -> room_pb2.Event:
        """Open it to the audience."""
        request = room_pb2.StartEventRequest(name=name)
        answer = await self._stub.StartEvent(request, metadata=self._metadata, timeout=TIMEOUT_S)
        return answer.event

    async def end(self, name: str) -> room_pb2.Event:
        """End it; its recording stays under the same address."""
        request = room_pb2.EndEventRequest(name=name)
        answer = await self._stub.EndEvent(request, metadata=self._metadata, timeout=TIMEOUT_S)
        return answer.event


async def run_event(rooms: Rooms, title: str, seconds: float) -> None:
    """An event from its creation to its end; Ctrl-C ends it early."""
    created = await rooms.create(title)
    for field, link in created.links.ListFields():
        print(f"{field.name}: {link}")
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await follow(rooms, created.event.name)
    finally:
        show(await rooms.end(created.event.name))


async def follow(rooms: Rooms, name: str) -> None:
    """Start the event and print each state until it has ended, whoever changes it."""
    seen = room_pb2.Event.STATE_UNSPECIFIED
    while seen != room_pb2.Event.STATE_ENDED:
        event = await rooms.get(name)
        if event.state != seen:
            show(event)
            seen = event.state
        if event.state == room_pb2.Event.STATE_SCHEDULED:
            # A host who presses "Go live" in the studio does the same.
            await rooms.start(name)
        else:
            await asyncio.sleep(POLL_S)


def show(event: room_pb2.Event) -> None:
    """Print the event's state."""
    print(f"{event.name}: {room_pb2.Event.State.Name(event.state)}", flush=True)


def explain(error: grpc.aio.AioRpcError) -> str:
    """The message of a refusal with its stable reason, which programs may act on."""
    status = rpc_status.from_call(error)
    if status is None:
        return f"{error.code().name}: {error.details()}"
    info = error_details_pb2.ErrorInfo()
    reasons = [info.reason for detail in status.details if detail.Unpack(info)]
    return f"{status.message} ({next(iter(reasons), error.code().name)})"


def open_channel(url: str, address: str, ca_file: str | None) -> grpc.aio.Channel:
    """A channel to the gateway's gRPC port; with TLS when the gateway's URL has it."""
    if not url.startswith("https:"):
        return grpc.aio.insecure_channel(address)
    authorities = Path(ca_file).read_bytes() if ca_file else None
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities))


async def main() -> None:
    """Read the command line and the environment that `odeon env` prints."""
    parser = argparse.ArgumentParser(description="Run an event over native gRPC.")
    parser.add_argument("title", help="shown to the audience")
    parser.add_argument("--seconds", type=float, default=3600, help="until it is ended (3600)")
    options = parser.parse_args()
    try:
        url, address = os.environ["ODEON_URL"], os.environ["ODEON_GRPC"]
        api_key = os.environ["ODEON_API_KEY"]
    except KeyError as missing:
        sys.exit(f'error: {missing} is not set; run: eval "$(odeon env)"')
    async with open_channel(url, address, os.environ.get("ODEON_CA_FILE")) as channel:
        try:
            await run_event(Rooms(channel, api_key), options.title, options.seconds)
        except grpc.aio.AioRpcError as error:
            sys.exit(f"error: {explain(error)}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
