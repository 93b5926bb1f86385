"""Rooms."""

from odeon_runtime.ids import RoomId, new_id
from odeon_runtime.principal import Principal
from odeon_runtime.repeats import Request
from odeon_runtime.sql import page_size, page_token, parse_page_token

from odeon_room.domain import rooms
from odeon_room.domain.rooms import Room, RoomExists, RoomInUse
from odeon_room.ports import Store, Transaction
from odeon_room.usecases import lookup
from odeon_room.usecases.context import Clock, require_whole_tenant


class Rooms:
    """Use cases of rooms."""

    def __init__(self, store: Store, now: Clock) -> None:
        self._store = store
        self._now = now

    async def create(
        self,
        caller: Principal,
        *,
        room_id: str,
        display_name: str,
        max_participants: int,
        request_id: str,
    ) -> Room:
        """Create a room."""
        tenant = require_whole_tenant(caller)
        room = Room(
            id=RoomId.parse(room_id or new_id("room")),
            display_name=rooms.title(display_name, field="display_name"),
            max_participants=rooms.max_participants(max_participants),
            create_time=self._now(),
        )
        request = Request.of(
            "CreateRoom", request_id, room_id, room.display_name, str(room.max_participants)
        )

        async def work(tx: Transaction) -> Room:
            first = await request.first_result(tx)
            if first is not None:
                return await lookup.room(tx, first)
            if await tx.room(room.id):
                raise RoomExists("the room id is taken", room=room.id)
            await tx.put_room(room)
            await request.made(tx, room.id)
            return room

        return await self._store.atomically(tenant, work)

    async def get(self, caller: Principal, name: str) -> Room:
        """Read a room."""
        room_id = RoomId.parse_name(name)
        async with self._store.reading(caller.require_tenant()) as tx:
            return await lookup.room(tx, room_id)

    async def list(self, caller: Principal, *, size: int, token: str) -> tuple[list[Room], str]:
        """A page of rooms and the token of the next."""
        tenant = require_whole_tenant(caller)
        limit, after = page_size(size), parse_page_token(token)
        async with self._store.reading(tenant) as tx:
            found = await tx.rooms(limit=limit + 1, after=after)
        page = found[:limit]
        return page, page_token(page[-1].create_time, page[-1].id) if len(found) > limit else ""

    async def delete(self, caller: Principal, name: str) -> None:
        """Delete a room none of whose events is to come or runs; its recordings stay."""
        tenant, room_id = require_whole_tenant(caller), RoomId.parse_name(name)

        async def work(tx: Transaction) -> None:
            await lookup.room(tx, room_id)
            if await tx.room_is_used(room_id):
                raise RoomInUse("an event of the room has not ended", room=room_id)
            await tx.delete_room(room_id)

        await self._store.atomically(tenant, work)
