"""What verifiers must know: keys that sign, sessions that are over. Pushed, and repeated."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from odeon_runtime.errors import DomainError, Unavailable
from odeon_runtime.logs import logger
from odeon_runtime.principal import Principal
from odeon_runtime.tokens import Claims, sign
from odeon_runtime.trust import TrustStore

from odeon_auth.domain import signing, tenants
from odeon_auth.domain.sessions import Session
from odeon_auth.domain.signing import SigningKey
from odeon_auth.ports import KeyRing, Store
from odeon_auth.usecases.context import Clock

OnDistrusted = Callable[[list[str], SigningKey], None]
"""Called with the ids of keys that leaked, and with their successor."""
CHUNK = 5_000
"""Revoked sessions in one message: some 400 KiB."""
_RECENT = timedelta(seconds=60)
_FORGET_AFTER = timedelta(days=1)
_CLEAN_EVERY = 900
_MAX_BEHIND = 64
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class TrustNews:
    """One message to a verifier."""

    jwks_json: str
    revoked: list[Session] = field(default_factory=list)
    snapshot: bool = False


class Signer:
    """Signs with the key whose turn it is."""

    def __init__(self, keys: KeyRing, board: "TrustBoard", now: Clock) -> None:
        self._keys = keys
        self._board = board
        self._now = now

    async def sign(self, claims: Claims) -> str:
        """A signed token; needs no database once the key was opened."""
        chosen = signing.signer(self._board.keys, self._now())
        if chosen is None:
            raise Unavailable("no signing key yet", retry_after_s=1.0)
        return sign(claims, await self._keys.private(chosen.id))


class TrustBoard:
    """The present keys and ended sessions, and everybody who follows them.

    The database is the truth; the board reloads it every interval (another instance may have
    changed it) and keeps its last knowledge while the database is away.
    """

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        now: Clock,
        *,
        trust: TrustStore,
        interval_s: float,
        on_distrusted: OnDistrusted,
    ) -> None:
        self._store = store
        self._ring = ring
        self._now = now
        self._trust = trust
        self._interval_s = interval_s
        self._on_distrusted = on_distrusted
        self._revoked: dict[tuple[str, str], Session] = {}
        self._followers: set[asyncio.Queue[TrustNews]] = set()
        self.keys: list[SigningKey] = []

    @property
    def jwks_json(self) -> str:
        """The key set (RFC 7517)."""
        public = signing.published(self.keys, self._now())
        return json.dumps({"keys": [json.loads(k.public_jwk) for k in public]})

    async def start(self) -> None:
        """Load everything; make the first signing key if there is none."""
        if not await self._ring.all():
            await self._ring.create(self._now())
        await self.reload()

    async def rotate(self, caller: Principal, *, compromised: bool = False) -> SigningKey:
        """Make a new signing key; verifiers hear of it before it signs.

        Where the earlier ones are `compromised` they verify no more, and nobody waits.
        """
        tenants.require_deployment(caller)
        earlier = [key.id for key in self.keys]
        made = await self._ring.create(self._now(), compromised=compromised)
        await self.reload()
        self._tell(TrustNews(self.jwks_json))
        if compromised:  # told when the successor signs: services ask for new tokens at once
            _log.warning("keys_distrusted", key_ids=earlier, successor=made.id)
            self._on_distrusted(earlier, made)
        return made

    async def reload(self) -> None:
        """Learn what the database knows."""
        self.keys = list(await self._ring.all())
        ended = await self._store.revoked_sessions(self._now())
        for session in ended:
            self._learn(session)
        self._revoked = {(s.tenant, s.id): s for s in ended}
        self._trust.set_keys(self.jwks_json)

    def revoked(self, session: Session) -> None:
        """Tell everybody at once that a session is over."""
        self._revoked[(session.tenant, session.id)] = session
        self._learn(session)
        self._tell(TrustNews(self.jwks_json, [session]))

    async def keep_fresh(self) -> None:
        """Reload and repeat for ever; also forgets what has expired."""
        rounds = 0
        while True:
            await asyncio.sleep(self._interval_s)
            rounds += 1
            try:
                await self.reload()
                if rounds % int(_CLEAN_EVERY / self._interval_s) == 0:
                    await self._store.forget_expired(self._now() - _FORGET_AFTER)
                    await self._ring.forget_retired(self._now())
            except DomainError as error:
                _log.warning("trust_not_reloaded", reason=error.reason)
            for news in self._repetition():
                self._tell(news)

    async def follow(self) -> AsyncIterator[TrustNews]:
        """Everything, then each change; ends when the follower is too slow to be told."""
        queue: asyncio.Queue[TrustNews] = asyncio.Queue(_MAX_BEHIND)
        self._followers.add(queue)
        try:
            for news in self._snapshot():
                yield news
            while queue in self._followers or not queue.empty():
                yield await queue.get()
        finally:
            self._followers.discard(queue)

    def _learn(self, session: Session) -> None:
        self._trust.revoke(session.tenant, session.id, expires_at=session.expire_time.timestamp())

    def _tell(self, news: TrustNews) -> None:
        for queue in list(self._followers):
            if queue.full():
                _log.warning("trust_follower_too_slow")
                self._followers.discard(queue)  # it reconnects and gets a snapshot
            else:
                queue.put_nowait(news)

    def _snapshot(self) -> list[TrustNews]:
        ended, jwks = list(self._revoked.values()), self.jwks_json
        chunks = [ended[i : i + CHUNK] for i in range(0, len(ended), CHUNK)] or [[]]
        return [TrustNews(jwks, chunk, snapshot=True) for chunk in chunks]

    def _repetition(self) -> list[TrustNews]:
        if len(self._revoked) <= CHUNK:
            return self._snapshot()
        since = self._now() - _RECENT
        recent = [s for s in self._revoked.values() if s.revoke_time and s.revoke_time > since]
        return [TrustNews(self.jwks_json, recent[:CHUNK])]
