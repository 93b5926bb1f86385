"""Participants: who comes, waits, is let in, muted, sent away."""

from dataclasses import replace

from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import EventId, Identity, TenantId
from odeon_runtime.principal import Principal
from odeon_runtime.sql import page_size, page_token, parse_page_token

from odeon_room.domain import participants
from odeon_room.domain.facts import ParticipantCame, ParticipantWent
from odeon_room.domain.participants import Participant, ParticipantState
from odeon_room.domain.rooms import MOST_PARTICIPANTS
from odeon_room.ports import Stage, Store, TokenDesk, Transaction
from odeon_room.usecases import lookup
from odeon_room.usecases.context import Clock
from odeon_room.usecases.nodes import Nodes


class Participants:
    """Use cases of participants."""

    def __init__(
        self, store: Store, nodes: Nodes, stage: Stage, desk: TokenDesk, now: Clock
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._stage = stage
        self._desk = desk
        self._now = now

    async def list(
        self, caller: Principal, parent: str, *, size: int, token: str
    ) -> tuple[list[Participant], str]:
        """A page of an event's participants and the token of the next."""
        event_id = EventId.parse_name(parent)
        caller.require_event(event_id)
        limit, after = page_size(size), parse_page_token(token)
        async with self._store.reading(caller.require_tenant()) as tx:
            await lookup.event(tx, event_id)
            found = await tx.participants(event_id, limit=limit + 1, after=after)
        page = found[:limit]
        more = len(found) > limit
        return page, page_token(page[-1].join_time, page[-1].identity) if more else ""

    async def report(
        self, caller: Principal, comer: Participant, *, tenant_id: str, left: bool
    ) -> Participant:
        """Take signaling's word that somebody came or went; answers where they are."""
        tenant = TenantId.parse(caller.tenant_or(tenant_id))
        if comer.role == "prober":
            return replace(comer, hidden=True)  # checks the node, is on no stage
        work = self._leave if left else self._arrive
        return await self._store.atomically(tenant, lambda tx: work(tx, comer))

    async def admit(self, caller: Principal, name: str) -> Participant:
        """Let somebody who waits onto the stage."""
        event_id, identity = _parse(caller, name)
        tenant = caller.require_tenant()

        async def work(tx: Transaction) -> Participant:
            known = await lookup.participant(tx, event_id, identity)
            admitted = participants.admitted(known, self._now())
            await tx.put_participant(admitted)
            if known.state is not admitted.state:
                await tx.tell(_came(admitted))
            return admitted

        participant = await self._store.atomically(tenant, work)
        await self._stage.admit(self._address(participant), tenant, event_id, identity)
        return participant

    async def remove(self, caller: Principal, name: str, *, ban: bool) -> Participant:
        """Send somebody away; with `ban` their session ends, too."""
        event_id, identity = _parse(caller, name)
        tenant = caller.require_tenant()

        async def work(tx: Transaction) -> Participant:
            known = await lookup.participant(tx, event_id, identity)
            removed = participants.removed(known, ban=ban)
            await tx.put_participant(removed)
            if known.state is ParticipantState.ADMITTED:
                await tx.tell(ParticipantWent(event_id, identity, "REMOVED"))
            return removed

        participant = await self._store.atomically(tenant, work)
        if ban and participant.session_id:
            await self._desk.revoke(participant.session_id)
        address = self._address(participant)
        # The one reason that clients take for final (StageClosed): after others they come back.
        await self._stage.kick(address, tenant, event_id, identity, "KICKED")
        return participant

    async def mute(
        self, caller: Principal, name: str, *, audio: bool | None, video: bool | None
    ) -> Participant:
        """Mute or unmute somebody's tracks for everybody."""
        event_id, identity = _parse(caller, name)
        tenant = caller.require_tenant()

        async def work(tx: Transaction) -> Participant:
            known = await lookup.participant(tx, event_id, identity)
            muted = replace(
                known,
                audio_muted=known.audio_muted if audio is None else audio,
                video_muted=known.video_muted if video is None else video,
            )
            await tx.put_participant(muted)
            return muted

        participant = await self._store.atomically(tenant, work)
        await self._stage.mute(
            self._address(participant), tenant, event_id, identity, audio=audio, video=video
        )
        return participant

    async def _arrive(self, tx: Transaction, comer: Participant) -> Participant:
        event = await lookup.event(tx, comer.event)
        room = await tx.room(event.room)
        known = await tx.participant(comer.event, comer.identity)
        arrived = participants.arrived(
            known,
            comer,
            event,
            on_stage=await tx.count_on_stage(comer.event, but=comer.identity),
            most=room.max_participants if room else MOST_PARTICIPANTS,
        )
        if arrived == known:
            return known
        await tx.put_participant(arrived)
        was_there = known is not None and known.state is ParticipantState.ADMITTED
        if arrived.state is ParticipantState.ADMITTED and not was_there:
            await tx.tell(_came(arrived))
        return arrived

    async def _leave(self, tx: Transaction, comer: Participant) -> Participant:
        known = await tx.participant(comer.event, comer.identity)
        if known is None:
            return replace(comer, state=ParticipantState.LEFT)
        gone = participants.departed(known, comer.session_id)
        if gone != known:
            await tx.put_participant(gone)
            if known.state is ParticipantState.ADMITTED:
                await tx.tell(ParticipantWent(gone.event, gone.identity, "LEFT"))
        return gone

    def _address(self, participant: Participant) -> str:
        return self._nodes.address(participant.node)


def _came(participant: Participant) -> ParticipantCame:
    return ParticipantCame(
        participant.event, participant.identity, participant.role, participant.node
    )


def _parse(caller: Principal, name: str) -> tuple[EventId, Identity]:
    parts = name.split("/")
    if len(parts) != 4 or parts[2] != "participants":
        raise InvalidArgument(
            field="name", problem="must look like events/{event}/participants/{participant}"
        )
    event_id = EventId.parse_name("/".join(parts[:2]))
    caller.require_event(event_id)
    return event_id, Identity.parse(parts[3])
