"""`PUT /ingest/…`: parts and init sections from the owner of an epoch (a service)."""

import base64
import binascii
import hashlib
import re
from decimal import Decimal, InvalidOperation

from odeon_runtime.errors import InvalidArgument, PermissionDenied, Unauthenticated
from odeon_runtime.http import Receive, Scope, Send
from odeon_runtime.ids import EventId, TenantId, TrackId
from odeon_runtime.tokens import Audience, Verifier

from odeon_recorder.api.http import Answer, headers_of, read_body
from odeon_recorder.domain.refusals import DigestMismatch
from odeon_recorder.domain.timeline import Offer
from odeon_recorder.ports import Key
from odeon_recorder.usecases.recorder import Recorder

WRITER = "transcoder"
"""The one service that writes media; another one's leaked token cannot."""
_PLACE = re.compile(r"/ingest/([^/]+)/([^/]+)/([^/]+)/(?:(init)|([0-9]{1,9})/([0-9]{1,4}))")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_NUMBER = re.compile(r"[0-9]{1,18}")


class Ingest:
    """Takes one part or init section and answers when it is on the disk."""

    def __init__(self, recorder: Recorder, verifier: Verifier, *, max_part_bytes: int) -> None:
        self._recorder = recorder
        self._verifier = verifier
        self._max_part_bytes = max_part_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one PUT; refusals are raised."""
        if scope["method"] != "PUT":
            await Answer(405, headers={"allow": "PUT"}).send(scope, send)
            return
        headers = headers_of(scope)
        place = _PLACE.fullmatch(scope["path"])
        if place is None:
            raise InvalidArgument(field="path", problem="/ingest/tenant/event/track/segment/part")
        key = Key(TenantId.parse(place[1]), EventId.parse(place[2]))
        track = TrackId.parse(place[3])
        self._authorise(headers, key)
        epoch = _number(headers, "odeon-epoch")
        live = await self._recorder.find(key)
        live.timeline.check_epoch(epoch)
        data = await read_body(receive, limit=self._max_part_bytes)
        if data is None:
            return
        digest = _checked_digest(headers, data)
        if place[4]:
            fresh = await live.store_init(track, epoch, data, digest)
        else:
            offer = _offer(headers, track, epoch, int(place[5]), int(place[6]), len(data), digest)
            fresh = await live.append(offer, data)
        await Answer(201 if fresh else 200).send(scope, send)

    def _authorise(self, headers: dict[str, str], key: Key) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("parts need a service token")
        principal = self._verifier.verify(token, Audience.SERVICE)
        if principal.service != WRITER:
            raise PermissionDenied(f"only {WRITER} writes parts")
        if principal.tenant is not None and principal.tenant != key.tenant:
            raise PermissionDenied("a token of another tenant")


def _offer(
    headers: dict[str, str], track: str, epoch: int, msn: int, part: int, size: int, digest: bytes
) -> Offer:
    return Offer(
        track=track,
        epoch=epoch,
        msn=msn,
        part=part,
        size=size,
        digest=digest,
        duration_ns=_duration_ns(headers.get("odeon-duration", "")),
        independent=_flag(headers, "odeon-independent"),
        last=_flag(headers, "odeon-last"),
        capture_ms=_number(headers, "odeon-capture") if "odeon-capture" in headers else None,
    )


def _checked_digest(headers: dict[str, str], data: bytes) -> bytes:
    """SHA-256 of the body after comparing it with Content-Digest (RFC 9530)."""
    if not data:
        raise InvalidArgument(field="body", problem="is empty")
    found = _DIGEST.search(headers.get("content-digest", ""))
    if found is None:
        raise InvalidArgument(field="content-digest", problem="is sha-256=:…:")
    try:
        claimed = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        raise InvalidArgument(field="content-digest", problem="is base64") from None
    digest = hashlib.sha256(data).digest()
    if claimed != digest:
        raise DigestMismatch("the body is not what Content-Digest says")
    return digest


def _duration_ns(text: str) -> int:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise InvalidArgument(field="odeon-duration", problem="is a number of seconds") from None
    if not value.is_finite() or not 0 < value <= 60:
        raise InvalidArgument(field="odeon-duration", problem="is more than 0 and at most 60 s")
    return int(value * 1_000_000_000)


def _flag(headers: dict[str, str], name: str) -> bool:
    value = headers.get(name, "?0")
    if value not in ("?0", "?1"):
        raise InvalidArgument(field=name, problem="is ?0 or ?1")
    return value == "?1"


def _number(headers: dict[str, str], name: str) -> int:
    text = headers.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise InvalidArgument(field=name, problem="is a number")
    return int(text)
