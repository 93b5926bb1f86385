"""Small types for names that come from outside: parsed at the edge, trusted inside."""

import base64
import re
import secrets
from typing import ClassVar, Self

from odeon_runtime.errors import InvalidArgument

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,40}")
_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}")


class _Parsed(str):
    """A string that matched its pattern."""

    __slots__ = ()
    pattern: ClassVar[re.Pattern[str]] = _SLUG
    field: ClassVar[str] = "id"
    prefix: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check `text` against the pattern; raises InvalidArgument naming the field."""
        if not cls.pattern.fullmatch(text):
            raise InvalidArgument(field=cls.field, problem=f"must match {cls.pattern.pattern}")
        return cls(text)

    @classmethod
    def parse_name(cls, name: str) -> Self:
        """Check a resource name such as "events/launch" and return its last part."""
        collection, slash, last = name.partition("/")
        if not slash or collection != cls.prefix:
            raise InvalidArgument(field="name", problem=f"must look like {cls.prefix}/{{id}}")
        return cls.parse(last)

    @property
    def resource_name(self) -> str:
        """The resource name, e.g. "events/launch"."""
        return f"{self.prefix}/{self}"


class TenantId(_Parsed):
    """A tenant."""

    field = "tenant_id"
    prefix = "tenants"


class RoomId(_Parsed):
    """A room of a tenant."""

    field = "room_id"
    prefix = "rooms"


class EventId(_Parsed):
    """An event of a tenant."""

    field = "event_id"
    prefix = "events"


class JobId(_Parsed):
    """A unit of transcoding work."""

    field = "job_id"
    prefix = "jobs"


class NodeId(_Parsed):
    """A signaling node."""

    field = "node"
    prefix = "nodes"


class TrackId(_Parsed):
    """A rendition of a timeline, e.g. "v720" or "a128"."""

    field = "track"
    prefix = "tracks"


class SessionId(_Parsed):
    """One visit of one holder of tokens; what a revocation names."""

    field = "session_id"
    pattern = _SESSION
    prefix = "sessions"


class Identity(_Parsed):
    """Who somebody is within an event."""

    field = "identity"
    pattern = _IDENTITY
    prefix = "participants"


def new_id(prefix: str, *, bits: int = 80) -> str:
    """A fresh id such as "ev-5kq2m7r3x8v1wz4t": lower-case base32 of random bits."""
    token = base64.b32encode(secrets.token_bytes(bits // 8)).decode().rstrip("=").lower()
    return f"{prefix}-{token}"
