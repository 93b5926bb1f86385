"""What is booked, in a bucket of NATS KV: room writes, whoever makes capacity reads.

Bodies and keys are in `proto/odeon/bookings/v1/bookings.proto`.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from odeon.bookings.v1 import bookings_pb2

from odeon_runtime.bus import Bus
from odeon_runtime.kv import Bucket, Mark
from odeon_runtime.logs import logger

BUCKET = "odeon_bookings"
_log = logger(__name__)

Key = tuple[str, str]
"""Tenant and event."""


@dataclass(frozen=True, slots=True)
class Told:
    """What stands under a key.

    Attributes:
        booking: None once it was removed, and for what cannot be read.
        raw: as it was stored; None once it was removed.
    """

    key: Key
    booking: bookings_pb2.Booking | None
    raw: bytes | None
    revision: int


class Bookings:
    """The bucket."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, BUCKET)

    async def put(self, booking: bookings_pb2.Booking, *, after: int) -> int:
        """Say what stands of a booking, if what stands in the bucket is what was read of it.

        Args:
            booking: all of it.
            after: revision that was read before the truth was, 0 for none.

        Raises:
            BucketUnknown: it is not known to be stored.
            Superseded: somebody else said more since.
        """
        key = f"{booking.tenant_id}.{booking.event_id}"
        return await self._bucket.put(key, written(booking), after=after)

    async def remove(self, key: Key) -> None:
        """Forget what is long over.

        Raises:
            BucketUnknown: it is not known to be removed.
        """
        await self._bucket.remove(".".join(key))

    async def of(self, key: Key) -> Told | None:
        """What stands under a key; None where there is no trace of it.

        Raises:
            BucketUnknown: NATS does not say.
        """
        entry = await self._bucket.get(".".join(key))
        return None if entry is None else _told(key, entry.value, entry.revision)

    async def watch(self) -> AsyncGenerator[Told | Mark, None]:
        """All that stands, CURRENT, and then every change; for ever."""
        async with aclosing(self._bucket.watch()) as telling:
            async for entry in telling:
                if isinstance(entry, Mark):
                    yield entry
                    continue
                tenant, _, event = entry.key.partition(".")
                yield _told((tenant, event), entry.value, entry.revision)


def written(booking: bookings_pb2.Booking) -> bytes:
    """A booking as it is stored; the same booking is always the same bytes."""
    return booking.SerializeToString(deterministic=True)


def _told(key: Key, raw: bytes | None, revision: int) -> Told:
    if raw is None:
        return Told(key, None, None, revision)
    try:
        booking = bookings_pb2.Booking.FromString(raw)
    except DecodeError:
        booking = bookings_pb2.Booking()
    if (booking.tenant_id, booking.event_id) != key:
        # It is as if nothing had been said: room will say it again.
        _log.warning("booking_unreadable", tenant=key[0], event_id=key[1])
        return Told(key, None, raw, revision)
    return Told(key, booking, raw, revision)
