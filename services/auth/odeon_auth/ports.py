"""What the use cases need from outside."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from joserfc.jwk import ECKey
from odeon_runtime.repeats import Repeats

from odeon_auth.domain.api_keys import ApiKey
from odeon_auth.domain.sessions import Session
from odeon_auth.domain.signing import SigningKey
from odeon_auth.domain.tenants import Tenant

T = TypeVar("T")


class Transaction(Repeats, Protocol):
    """Reads and writes of one tenant; all happen, or none."""

    async def tenant(self) -> Tenant | None:
        """The tenant itself."""
        ...

    async def add_tenant(self, tenant: Tenant) -> None:
        """Store a new tenant."""
        ...

    async def key(self, key_id: str) -> ApiKey | None:
        """An API key of the tenant."""
        ...

    async def keys(self, *, limit: int, after: tuple[datetime, str] | None) -> list[ApiKey]:
        """API keys, oldest first."""
        ...

    async def put_key(self, key: ApiKey) -> None:
        """Store a new or changed API key."""
        ...

    async def session(self, session_id: str) -> Session | None:
        """A session of the tenant; locked until the end of a writing transaction."""
        ...

    async def put_session(self, session: Session) -> None:
        """Store a new or changed session."""
        ...


class Store(Protocol):
    """Auth's database."""

    def reading(self, tenant: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that only reads."""
        ...

    async def atomically(self, tenant: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """A transaction that writes; `work` runs again when a concurrent one was faster."""
        ...

    async def find_key(self, key_id: str) -> ApiKey | None:
        """An API key of any tenant: the one query that starts from a secret, not a tenant."""
        ...

    async def revoked_sessions(self, now: datetime) -> list[Session]:
        """Ended sessions of all tenants whose tokens may still live."""
        ...

    async def forget_expired(self, before: datetime) -> int:
        """Delete sessions and request ids that ended `before`."""
        ...


class KeyRing(Protocol):
    """Signing keys, private halves included."""

    async def all(self) -> Sequence[SigningKey]:
        """Public facts of every key."""
        ...

    async def private(self, key_id: str) -> ECKey:
        """The key pair itself, to sign with."""
        ...

    async def create(self, now: datetime, *, compromised: bool = False) -> SigningKey:
        """Make a key pair, retire the ones before it; starts signing by `signing.activation`.

        Where they are `compromised`, they are retired now and the new one signs at once.
        """
        ...

    async def forget_retired(self, now: datetime) -> None:
        """Delete keys whose tokens are all gone."""
        ...
