"""Facts from JetStream into the store, each once: acknowledged after they are kept."""

import asyncio

from google.protobuf import json_format
from google.protobuf.message import Message
from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, Offer
from odeon_runtime.logs import logger

from odeon_analytics.domain.beacons import Beacon
from odeon_analytics.intake import from_fact
from odeon_analytics.ports import Fact, Store, StoreUnavailable

DURABLE = "analytics"
_BATCH = 256
_WAIT_S = 30.0
_STORE_AWAY_S = 2.0
_log = logger(__name__)


async def follow_facts(bus: Bus, store: Store) -> None:
    """Keep every fact, for ever; they wait in NATS while the store is away.

    A fact that can never be kept ends among the dead letters and holds back no other.
    """
    await bus.ensure_streams()
    puller = bus.puller(subjects.EVENT_STREAM, DURABLE, subjects.ALL_FACTS)
    while True:
        offers = await puller.batch(_BATCH, wait_s=_WAIT_S)
        while offers:
            offers = await _take(store, offers)


async def _take(store: Store, offers: list[Offer]) -> list[Offer]:
    """Keep what can be kept; those are left that wait for the store."""
    try:
        await keep(store, [offer.fact for offer in offers])
    except StoreUnavailable as error:
        _log.warning("facts_wait", count=len(offers), error=error.message)
        # Held, not given back: being away is no fault of theirs and must not count as a try.
        for offer in offers:
            await offer.working()
        await asyncio.sleep(_STORE_AWAY_S)
        return offers
    except Exception as error:
        if len(offers) > 1:
            # One of them is to blame, and each alone shows which.
            return [left for offer in offers for left in await _take(store, [offer])]
        await offers[0].failed(error)
        return []
    for offer in offers:
        await offer.done()
    return []


async def keep(store: Store, envelopes: list[events_pb2.Envelope]) -> None:
    """Write a batch: beacons to the beacons, all else to the facts. Raises StoreUnavailable."""
    beacons: list[Beacon] = []
    facts: list[Fact] = []
    for envelope in envelopes:
        if envelope.HasField("viewer_session_reported"):
            try:
                beacons.append(from_fact(envelope))
            except KeyError:
                _log.error("unknown_beacon_kind", id=envelope.id)
        elif (fact := to_fact(envelope)) is not None:
            facts.append(fact)
    if beacons:
        await store.add_beacons(beacons)
    if facts:
        await store.add_facts(facts)


def to_fact(envelope: events_pb2.Envelope) -> Fact | None:
    """An envelope as it is kept; None for one that says nothing known here."""
    kind = envelope.WhichOneof("fact")
    if kind is None:
        return None
    body: Message = getattr(envelope, kind)
    return Fact(
        id=envelope.id,
        tenant=envelope.tenant_id,
        event=str(getattr(body, "event_id", "")),
        kind=kind,
        at_us=envelope.occur_time.ToMicroseconds(),
        body=json_format.MessageToJson(body, indent=None, preserving_proto_field_name=True),
    )
