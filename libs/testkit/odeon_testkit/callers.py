"""Who calls in a test: holders of keys and tokens, services; and what a refusal says."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import grpc
import pytest
from odeon.auth.v1 import auth_pb2 as pb
from odeon.auth.v1 import auth_pb2_grpc
from odeon_runtime.grpc_server import CALLER_KEY
from odeon_runtime.status import error_info

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a token."""

    token: str

    @property
    def metadata(self) -> Metadata:
        """The credential, as gRPC metadata."""
        return (("authorization", f"Bearer {self.token}"),)

    def through(self, service: "Caller") -> Metadata:
        """The credential as `service` passes it on."""
        return (*service.metadata, (CALLER_KEY, self.token))


@dataclass(frozen=True, slots=True)
class AuthApi:
    """A running auth, as its callers see it.

    Attributes:
        operator_key: API key of the tenant "default".
        service_secret: the deployment's.
    """

    address: str
    stub: auth_pb2_grpc.AuthServiceStub
    operator_key: str
    service_secret: str

    async def operator(self) -> Caller:
        """Whoever holds the bootstrap key."""
        return await self.holder_of(self.operator_key)

    async def holder_of(self, key: str) -> Caller:
        """Whoever holds an API key."""
        answer = await self.stub.ExchangeApiKey(pb.ExchangeApiKeyRequest(secret=key))
        return Caller(answer.token)

    async def service(self, name: str) -> Caller:
        """A service of the deployment."""
        request = pb.IssueServiceTokenRequest(service=name, secret=self.service_secret)
        return Caller((await self.stub.IssueServiceToken(request)).token)

    async def tenant(self, tenant_id: str) -> Caller:
        """The owner of a new tenant."""
        request = pb.CreateTenantRequest(tenant_id=tenant_id, display_name=tenant_id.title())
        service = await self.service("gateway")
        made = await self.stub.CreateTenant(request, metadata=service.metadata)
        return await self.holder_of(made.secret)

    async def token(self, by: Caller, kind: str, role: str = "", **fields: str) -> Caller:
        """A token that `by` issues, of a kind such as "JOIN", for the event "launch"."""
        issued = await self.issue(by, kind, role, **fields)
        return Caller(issued.token)

    async def issue(
        self, by: Caller, kind: str, role: str = "", **fields: str
    ) -> pb.IssueTokenResponse:
        """What IssueToken answers."""
        request = pb.IssueTokenRequest(
            kind=pb.TokenKind.Value(f"TOKEN_KIND_{kind}"),
            event=fields.pop("event", "events/launch"),
            role=role,
            **fields,  # type: ignore[arg-type]
        )
        return await self.stub.IssueToken(request, metadata=by.metadata)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Several services, running; channels and gRPC addresses by service name."""

    channels: Mapping[str, grpc.aio.Channel]
    auth: AuthApi
    addresses: Mapping[str, str]


async def refusal(call: Awaitable[object]) -> tuple[str, str]:
    """Code and reason of a call that must be refused, e.g. ("NOT_FOUND", "EVENT_NOT_FOUND")."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_info(refused.value)
    return refused.value.code().name, info.reason if info else ""


async def eventually(check: Callable[[], Awaitable[object]], *, within_s: float = 10.0) -> None:
    """Return when `check` answers something true; fail after `within_s` seconds."""
    async with asyncio.timeout(within_s):
        for pause in _pauses():
            if await check():
                return
            await asyncio.sleep(pause)


def _pauses() -> Iterator[float]:
    yield from (0.005, 0.01, 0.02)
    while True:
        yield 0.05
