"""Who calls from outside: a token verified here, or an API key traded for one at auth."""

import asyncio
import hashlib
import time
from dataclasses import dataclass

import grpc
from cachetools import TTLCache
from odeon.auth.v1 import auth_pb2
from odeon_runtime.errors import DomainError, PermissionDenied, Unauthenticated, Unavailable
from odeon_runtime.grpc_client import Peers
from odeon_runtime.logs import logger
from odeon_runtime.principal import Principal, acting_as
from odeon_runtime.tokens import Audience, Verifier
from odeon_runtime.trust import TrustStore

KEY_PREFIX = "odk_"
CALLERS = (Audience.API, Audience.INVITE, Audience.STAGE, Audience.PLAYBACK)
"""Audiences whose tokens may call RPCs. A service's token never counts here: the gateway is the
door for outsiders, and a service that came through it would be its own master."""
_RECHECK_S = 5.0
_TRUST_WAIT_S = 3.0
_MAX_KEYS = 10_000
_log = logger(__name__)


@dataclass(slots=True)
class _Exchanged:
    token: str
    checked_s: float


class Credentials:
    """Turns an Authorization header into a `Principal`, or refuses it.

    An API key is traded again every five seconds at most, so a revoked one dies as fast as a
    revoked session; while auth is away the last token works until it expires.
    """

    def __init__(self, verifier: Verifier, trust: TrustStore, peers: Peers) -> None:
        self._verifier = verifier
        self._trust = trust
        self._peers = peers
        self._keys: TTLCache[str, _Exchanged] = TTLCache(_MAX_KEYS, ttl=3600)
        self._trading: dict[str, asyncio.Task[str]] = {}
        # Tokens of a key that leaked are void, but the API keys they were traded for are not.
        trust.on_withdrawn(self._keys.clear)

    async def caller(self, authorization: str) -> Principal | None:
        """The caller by its Authorization header; None without one.

        Raises:
            Unauthenticated, TokenInvalid, TokenExpired, TokenRevoked, Unavailable.
        """
        token = bearer(authorization)
        if not token:
            return None
        if token.startswith(KEY_PREFIX):
            token = await self._exchanged(token)
        principal = await self.verify(token, *CALLERS)
        if principal.tenant is None:
            # Passed on without a tenant it would leave the gateway's own token alone in the call.
            raise PermissionDenied("the credential belongs to no tenant")
        return principal

    async def verify(self, token: str, *audiences: Audience) -> Principal:
        """Check a token, once the keys to check it with are known."""
        if not self._trust.ready.is_set():
            try:
                async with asyncio.timeout(_TRUST_WAIT_S):
                    await self._trust.ready.wait()
            except TimeoutError:
                raise Unavailable("auth has not told its keys yet", service="auth") from None
        return self._verifier.verify(token, *audiences)

    async def _exchanged(self, key: str) -> str:
        name = hashlib.sha256(key.encode()).hexdigest()
        known = self._keys.get(name)
        if known is not None and time.monotonic() - known.checked_s < _RECHECK_S:
            return known.token
        trade = self._trading.get(name)
        if trade is None:
            trade = asyncio.create_task(self._trade(name, key), name="exchange-api-key")
            self._trading[name] = trade
            trade.add_done_callback(lambda _: self._trading.pop(name, None))
        return await asyncio.shield(trade)

    async def _trade(self, name: str, key: str) -> str:
        request = auth_pb2.ExchangeApiKeyRequest(secret=key)
        try:
            with acting_as(None):
                response = await self._peers.auth.ExchangeApiKey(request, timeout=5)
        except (grpc.aio.AioRpcError, Unavailable) as error:
            return self._without_auth(name, error)
        self._keys[name] = _Exchanged(response.token, time.monotonic())
        return response.token

    def _without_auth(self, name: str, error: Exception) -> str:
        away = not isinstance(error, grpc.aio.AioRpcError) or error.code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
        known = self._keys.get(name)
        if not away:
            self._keys.pop(name, None)
            raise error
        if known is None:
            raise Unavailable("auth does not answer", service="auth", retry_after_s=1) from error
        _log.warning("api_key_not_rechecked")
        return known.token


def bearer(authorization: str) -> str:
    """The token of an Authorization header; empty without one.

    Raises:
        Unauthenticated: another scheme.
    """
    if not authorization:
        return ""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("only Bearer credentials are understood")
    return token.strip()


def is_guess(error: Exception) -> bool:
    """Whether a refusal counts against the client's address: its credential was none."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() is grpc.StatusCode.UNAUTHENTICATED
    return isinstance(error, DomainError) and error.kind.value == "unauthenticated"
