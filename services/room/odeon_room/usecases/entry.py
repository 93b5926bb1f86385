"""Entering an event, and the links of an event: what its pages and players need."""

from dataclasses import dataclass
from datetime import datetime

from odeon_runtime.ids import EventId, new_id
from odeon_runtime.principal import Principal

from odeon_room.domain import entry, links
from odeon_room.domain.events import Event
from odeon_room.domain.links import Bases, EventLinks
from odeon_room.ports import Store, Token, TokenDesk, TokenOrder, TokenUse
from odeon_room.usecases import lookup
from odeon_room.usecases.context import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """What a page gets. `join_token` is empty for who may not join the stage."""

    event: Event
    role: str
    identity: str
    session_id: str
    stage_url: str
    join_token: str
    playlist_url: str
    whep_url: str
    playback_token: str
    access_token: str
    expire_time: datetime
    links: EventLinks | None


class Entries:
    """Use cases of entering."""

    def __init__(self, store: Store, desk: TokenDesk, bases: Bases, now: Clock) -> None:
        self._store = store
        self._desk = desk
        self._bases = bases
        self._now = now

    async def enter(self, caller: Principal, name: str, display_name: str) -> Entrance:
        """Trade the caller's link or key for tokens and addresses."""
        event_id = EventId.parse_name(name)
        caller.require_event(event_id)
        tenant = caller.require_tenant()
        async with self._store.reading(tenant) as tx:
            event = await lookup.event(tx, event_id)
        visit = entry.visit(caller)
        joins = entry.may_join_stage(visit.role, event.state)
        uses = [TokenUse.ACCESS, TokenUse.PLAYBACK, *([TokenUse.JOIN] if joins else [])]
        identity = visit.identity or new_id("p")
        session_id = visit.session_id or new_id("s")
        orders = [
            TokenOrder(
                use=use,
                event=event_id,
                role=visit.role,
                identity=identity,
                display_name=display_name or caller.name,
                session_id=session_id,
            )
            for use in uses
        ]
        access, playback, *join = await self._desk.issue(orders)
        return Entrance(
            event=event,
            role=visit.role,
            identity=identity,
            session_id=session_id,
            stage_url=links.STAGE_PATH if joins else "",
            join_token=join[0].text if join else "",
            playlist_url=self._bases.playlist(tenant, event_id, playback.text),
            whep_url=self._bases.whep(event_id),
            playback_token=playback.text,
            access_token=access.text,
            expire_time=access.expire_time,
            links=await self.links(caller, event) if visit.runs_event else None,
        )

    async def links(self, caller: Principal, event: Event) -> EventLinks:
        """Fresh links and keys of an event, for those who run it."""
        ttl = links.invite_ttl(event.schedule_time, self._now())
        invites = [
            TokenOrder(use=TokenUse.INVITE, event=event.id, role=role, ttl=ttl)
            for role in ("host", "guest", "viewer")
        ]
        encoder = TokenOrder(
            use=TokenUse.PUBLISH, event=event.id, role="publisher", display_name=event.title[:100]
        )
        player = TokenOrder(use=TokenUse.PLAYBACK, event=event.id, role="viewer")
        tokens = await self._desk.issue([*invites, encoder, player])
        return self._links(caller.require_tenant(), event.id, tokens)

    def _links(self, tenant: str, event: str, tokens: list[Token]) -> EventLinks:
        host, guest, viewer, publish, playback = (token.text for token in tokens)
        return EventLinks(
            studio_url=self._bases.page("studio", event, host),
            guest_url=self._bases.page("guest", event, guest),
            watch_url=self._bases.page("watch", event, viewer),
            whip_url=self._bases.whip(event),
            whip_token=publish,
            whep_url=self._bases.whep(event),
            playlist_url=self._bases.playlist(tenant, event, playback),
        )
