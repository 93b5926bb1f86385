"""A signing key of a test, tokens signed with it, and an AuthService that vouches for both.

What verifies here verifies in the product: real ES256, the real `TrustStore`, the real contract of
auth over real gRPC. Only the store behind it is a dictionary.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from joserfc.jwk import ECKey
from odeon.auth.v1 import auth_pb2, auth_pb2_grpc
from odeon_runtime.errors import Unauthenticated, Unavailable
from odeon_runtime.grpc_server import Context, GrpcServer
from odeon_runtime.tokens import Audience, Claims, Verifier, sign
from odeon_runtime.trust import TrustStore

SERVICE_SECRET = "test-service-secret"
_HOUR = 3600


class Issuer:
    """Signs tokens; `trust` and `verifier` believe them."""

    def __init__(self, key_id: str = "test-key") -> None:
        self.key = ECKey.generate_key("P-256", {"kid": key_id, "use": "sig", "alg": "ES256"})
        self.trust = TrustStore()
        self.trust.set_keys(self.jwks_json)
        self.verifier = Verifier(self.trust)

    @property
    def jwks_json(self) -> str:
        """The public key set."""
        return json.dumps({"keys": [self.key.as_dict(private=False)]})

    def token(
        self,
        audience: Audience,
        *,
        tenant: str | None = "acme",
        event: str | None = "launch",
        subject: str = "alice",
        role: str = "host",
        name: str = "",
        session_id: str = "sid-alice",
        permissions: tuple[str, ...] = (),
        ttl_s: int = _HOUR,
    ) -> str:
        """A token of `audience`; `ttl_s` may be negative for one that has expired."""
        now = int(time.time())
        claims = Claims(
            audience=audience,
            subject=subject,
            role=role,
            tenant=tenant,
            event=event,
            session_id=session_id,
            name=name,
            permissions=permissions,
            issued_at=min(now, now + ttl_s - 60),
            expires_at=now + ttl_s,
        )
        return sign(claims, self.key)

    def api_token(self, *permissions: str, tenant: str = "acme", event: str | None = None) -> str:
        """An access token of a tenant's server, by default with all permissions."""
        return self.token(
            Audience.API,
            tenant=tenant,
            event=event,
            subject="server",
            role="owner",
            session_id="",
            permissions=permissions or ("*",),
        )

    def service_token(self, service: str) -> str:
        """A token that proves its holder to be a service of this deployment."""
        return self.token(
            Audience.SERVICE,
            tenant=None,
            event=None,
            subject=f"svc:{service}",
            role="service",
            session_id="",
            permissions=("*",),
        )


class IssuerAuth(auth_pb2_grpc.AuthServiceServicer):
    """The parts of AuthService that other services need to run, over an `Issuer`."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.api_keys: dict[str, str] = {}
        self.exchanges = 0
        self.away = False
        """Whether API keys get no answer."""
        self._changed = asyncio.Condition()
        self._revoked: list[auth_pb2.RevokedSession] = []

    async def ExchangeApiKey(
        self, request: auth_pb2.ExchangeApiKeyRequest, context: Context
    ) -> auth_pb2.ExchangeApiKeyResponse:
        """Trade a key of `api_keys` (secret → tenant)."""
        self.exchanges += 1
        if self.away:
            raise Unavailable("auth is away")
        if request.secret not in self.api_keys:
            raise Unauthenticated("no such API key")
        token = self.issuer.api_token(tenant=self.api_keys[request.secret])
        response = auth_pb2.ExchangeApiKeyResponse(token=token)
        response.expire_time.FromSeconds(int(time.time()) + _HOUR)
        return response

    async def IssueServiceToken(
        self, request: auth_pb2.IssueServiceTokenRequest, context: Context
    ) -> auth_pb2.IssueServiceTokenResponse:
        """Trade `SERVICE_SECRET`."""
        if request.secret != SERVICE_SECRET:
            raise Unauthenticated("wrong service secret")
        token = self.issuer.service_token(request.service)
        response = auth_pb2.IssueServiceTokenResponse(token=token)
        response.expire_time.FromSeconds(int(time.time()) + _HOUR)
        return response

    async def GetJwks(
        self, request: auth_pb2.GetJwksRequest, context: Context
    ) -> auth_pb2.GetJwksResponse:
        """The public keys."""
        return auth_pb2.GetJwksResponse(jwks_json=self.issuer.jwks_json)

    async def WatchTrust(
        self, request: auth_pb2.WatchTrustRequest, context: Context
    ) -> AsyncIterator[auth_pb2.WatchTrustResponse]:
        """Snapshots: at once, at every change, and every two seconds."""
        while True:
            yield auth_pb2.WatchTrustResponse(
                jwks_json=self.issuer.jwks_json, revoked_sessions=self._revoked, snapshot=True
            )
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), 2.0)
                except TimeoutError:
                    continue

    async def revoke(self, tenant: str, session_id: str) -> None:
        """End a session for everybody who follows trust."""
        revoked = auth_pb2.RevokedSession(tenant_id=tenant, session_id=session_id)
        revoked.expire_time.FromSeconds(int(time.time()) + _HOUR)
        self._revoked.append(revoked)
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def auth_server(issuer: Issuer) -> AsyncIterator[tuple[str, IssuerAuth]]:
    """An AuthService over `issuer` on a free port; yields its address and the servicer."""
    servicer = IssuerAuth(issuer)  # type: ignore[abstract]
    descriptor = auth_pb2.DESCRIPTOR.services_by_name["AuthService"]
    add = auth_pb2_grpc.add_AuthServiceServicer_to_server
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        verifier=issuer.verifier,
        services=[(add, servicer, descriptor)],
        domain="auth.odeon.live",
        grace_s=0.2,
    )
    async with server:
        yield server.address, servicer
