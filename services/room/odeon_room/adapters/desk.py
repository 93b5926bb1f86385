"""The token desk: auth by gRPC."""

import asyncio
from collections.abc import Sequence
from datetime import UTC

import grpc
from google.protobuf.duration_pb2 import Duration
from odeon.auth.v1 import auth_pb2
from odeon_runtime.grpc_client import Peers
from odeon_runtime.principal import acting_as, maybe_principal

from odeon_room.adapters.asking import TIMEOUT_S, asking
from odeon_room.ports import Token, TokenOrder, TokenUse

_KINDS = {
    TokenUse.INVITE: auth_pb2.TOKEN_KIND_INVITE,
    TokenUse.JOIN: auth_pb2.TOKEN_KIND_JOIN,
    TokenUse.PUBLISH: auth_pb2.TOKEN_KIND_PUBLISH,
    TokenUse.PLAYBACK: auth_pb2.TOKEN_KIND_PLAYBACK,
    TokenUse.ACCESS: auth_pb2.TOKEN_KIND_ACCESS,
}


class AuthDesk:
    """Implements `ports.TokenDesk`; the caller's token travels along, so auth's rules hold."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def issue(self, orders: Sequence[TokenOrder]) -> list[Token]:
        """Issue tokens at the same time, in the same order."""
        with asking("auth"):
            return list(await asyncio.gather(*(self._issue(order) for order in orders)))

    async def revoke(self, session_id: str) -> None:
        """End a session; one that auth does not know has nothing to end."""
        with asking("auth", or_nothing=frozenset({grpc.StatusCode.NOT_FOUND})):
            await self._peers.auth.RevokeSession(
                auth_pb2.RevokeSessionRequest(session_id=session_id), timeout=TIMEOUT_S
            )

    async def _issue(self, order: TokenOrder) -> Token:
        ttl = None
        if order.ttl is not None:
            ttl = Duration()
            ttl.FromTimedelta(order.ttl)
        request = auth_pb2.IssueTokenRequest(
            kind=_KINDS[order.use],
            event=f"events/{order.event}",
            identity=order.identity,
            display_name=order.display_name,
            role=order.role,
            ttl=ttl,
            session_id=order.session_id,
            tenant_id=order.tenant,
        )
        # An order that names its tenant is room's own business, whoever called.
        with acting_as(None if order.tenant else maybe_principal()):
            issued = await self._peers.auth.IssueToken(request, timeout=TIMEOUT_S)
        expires = issued.expire_time.ToDatetime(UTC)
        return Token(issued.token, issued.session_id, expires)
