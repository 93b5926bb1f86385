"""What a verifier must know, kept fresh: keys and revoked sessions.

Two ways bring a revocation, either alone suffices: auth's WatchTrust stream (which repeats a
snapshot every two seconds, so a silent one is broken) and the NATS fact. When both are away the
last knowledge stands: people already in keep watching and talking.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping

import grpc
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from odeon.auth.v1 import auth_pb2
from odeon.events.v1 import events_pb2

from odeon_runtime import subjects
from odeon_runtime.bus import Bus
from odeon_runtime.errors import DomainError
from odeon_runtime.grpc_client import Peers
from odeon_runtime.logs import logger

_SILENCE_S = 5.0
_RETRY_S = 0.5
_MAX_REVOKED = 200_000
_log = logger(__name__)

OnRevoked = Callable[[str, str], None]
OnWithdrawn = Callable[[], None]


class TrustStore:
    """Keys by id and revoked sessions; implements `tokens.Trust`."""

    def __init__(self) -> None:
        self._keys: dict[str, ECKey] = {}
        self._jwks = ""
        self._revoked: dict[tuple[str, str], float] = {}
        self._listeners: list[OnRevoked] = []
        self._distrusted: set[str] = set()
        self._on_withdrawn: list[OnWithdrawn] = []
        self.ready = asyncio.Event()

    @property
    def jwks_json(self) -> str:
        """The key set as auth sent it."""
        return self._jwks or '{"keys":[]}'

    def key(self, key_id: str) -> ECKey | None:
        """Public key with this id."""
        return self._keys.get(key_id)

    def is_revoked(self, tenant: str, session_id: str) -> bool:
        """Whether the session was ended."""
        return (tenant, session_id) in self._revoked

    def on_revoked(self, listener: OnRevoked) -> None:
        """Call `listener(tenant, session_id)` once for every session that is ended from now on."""
        self._listeners.append(listener)

    def on_withdrawn(self, listener: OnWithdrawn) -> None:
        """Call `listener()` whenever a key that was known verifies no more."""
        self._on_withdrawn.append(listener)

    def set_keys(self, jwks_json: str) -> None:
        """Replace the key set; a malformed one is refused and changes nothing."""
        if jwks_json == self._jwks:
            return
        try:
            keys = [ECKey.import_key(k) for k in json.loads(jwks_json)["keys"]]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            _log.error("jwks_refused", error=str(error))
            return
        self._replace({str(key.kid): key for key in keys})
        self._jwks = jwks_json
        self.ready.set()

    def distrust(self, key_ids: Iterable[str]) -> None:
        """Believe these keys no more, whatever key sets still hold them."""
        self._distrusted |= set(key_ids)
        self._replace(self._keys)

    def revoke(self, tenant: str, session_id: str, *, expires_at: float) -> None:
        """Learn that a session was ended; remembered until its tokens have expired."""
        if (tenant, session_id) in self._revoked:
            return
        if len(self._revoked) >= _MAX_REVOKED:
            self._forget_expired()
        self._revoked[(tenant, session_id)] = expires_at
        _log.info("session_revoked", tenant=tenant, session_id=session_id)
        for listener in self._listeners:
            listener(tenant, session_id)

    def revoke_all(self, sessions: Iterable[auth_pb2.RevokedSession]) -> None:
        """Learn many at once, e.g. a snapshot."""
        for session in sessions:
            self.revoke(
                session.tenant_id, session.session_id, expires_at=session.expire_time.seconds
            )

    def _replace(self, keys: Mapping[str, ECKey]) -> None:
        before = self._keys.keys()
        self._keys = {kid: key for kid, key in keys.items() if kid not in self._distrusted}
        if withdrawn := before - self._keys.keys():
            _log.warning("keys_withdrawn", key_ids=sorted(withdrawn))
            for listener in self._on_withdrawn:
                listener()

    def _forget_expired(self) -> None:
        now = time.time()
        self._revoked = {key: at for key, at in self._revoked.items() if at > now}


async def follow_stream(store: TrustStore, peers: Peers) -> None:
    """Follow auth's WatchTrust for ever; a broken or silent stream is opened again."""
    store.on_withdrawn(peers.service_token.renew_now)
    while True:
        try:
            call = peers.auth.WatchTrust(auth_pb2.WatchTrustRequest(), wait_for_ready=True)
            stream = aiter(call)
            while True:
                async with asyncio.timeout(_SILENCE_S):
                    message = await anext(stream)
                store.set_keys(message.jwks_json)
                store.revoke_all(message.revoked_sessions)
        except (grpc.aio.AioRpcError, TimeoutError, StopAsyncIteration, DomainError) as error:
            _log.warning("trust_stream_lost", error=type(error).__name__)
        await asyncio.sleep(_RETRY_S)


async def follow_bus(store: TrustStore, bus: Bus) -> None:
    """Take revocations and distrusted keys from NATS, too."""

    async def heard(_subject: str, fact: events_pb2.Envelope) -> None:
        if fact.HasField("session_revoked"):
            revoked = fact.session_revoked
            store.revoke(fact.tenant_id, revoked.session_id, expires_at=revoked.expire_time.seconds)

        elif fact.HasField("signing_keys_distrusted"):
            store.distrust(fact.signing_keys_distrusted.key_ids)

    await bus.subscribe(subjects.SESSIONS_REVOKED, heard)
    await bus.subscribe(subjects.KEYS_DISTRUSTED, heard)
