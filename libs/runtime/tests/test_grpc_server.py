"""The gate in front of every RPC, tried with a real server and a real client on loopback."""

import json
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from joserfc.jwk import ECKey
from odeon.auth.v1 import auth_pb2, auth_pb2_grpc
from odeon_runtime.errors import InvalidArgument, NotFound
from odeon_runtime.grpc_server import CALLER_KEY, GrpcServer
from odeon_runtime.permissions import MissingPermission, method_permissions
from odeon_runtime.principal import current_principal, maybe_principal
from odeon_runtime.status import error_info
from odeon_runtime.tokens import Audience, Claims, Verifier, sign
from odeon_runtime.trust import TrustStore

KEY = ECKey.generate_key("P-256", {"kid": "k1"})


def token(
    audience: Audience, *, tenant: str | None, subject: str, permissions: tuple[str, ...] = ()
) -> str:
    now = int(time.time())
    return sign(
        Claims(
            audience=audience,
            subject=subject,
            role="test",
            issued_at=now,
            expires_at=now + 3600,  # made at import; a whole test run may come before its use
            tenant=tenant,
            permissions=permissions,
        ),
        KEY,
    )


class Servicer(auth_pb2_grpc.AuthServiceServicer):
    """Answers with who it thinks is calling."""

    async def GetTenant(
        self, request: auth_pb2.GetTenantRequest, context: object
    ) -> auth_pb2.GetTenantResponse:
        caller = current_principal()
        name = f"{caller.tenant}/{caller.subject}/{caller.service}"
        return auth_pb2.GetTenantResponse(tenant=auth_pb2.Tenant(name=name))

    async def RevokeApiKey(
        self, request: auth_pb2.RevokeApiKeyRequest, context: object
    ) -> auth_pb2.RevokeApiKeyResponse:
        if not request.name:
            raise InvalidArgument(field="name", problem="must not be empty")
        raise NotFound("no such key", key=request.name)

    async def GetJwks(
        self, request: auth_pb2.GetJwksRequest, context: object
    ) -> auth_pb2.GetJwksResponse:
        return auth_pb2.GetJwksResponse(jwks_json=str(maybe_principal()))

    async def WatchTrust(
        self, request: auth_pb2.WatchTrustRequest, context: object
    ) -> AsyncIterator[auth_pb2.WatchTrustResponse]:
        for _ in range(2):
            yield auth_pb2.WatchTrustResponse(jwks_json=current_principal().service)


@pytest.fixture
async def stub() -> AsyncIterator[auth_pb2_grpc.AuthServiceStub]:
    trust = TrustStore()
    trust.set_keys(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    register = (
        auth_pb2_grpc.add_AuthServiceServicer_to_server,
        Servicer(),  # type: ignore[abstract]
        auth_pb2.DESCRIPTOR.services_by_name["AuthService"],
    )
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        verifier=Verifier(trust),
        services=[register],
        domain="auth.odeon.live",
        grace_s=0.1,
    )
    async with server, grpc.aio.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        yield auth_pb2_grpc.AuthServiceStub(channel)


def bearer(value: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {value}"),)


async def refusal(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc]
    return raised.value


async def test_a_permission_in_the_token_opens_the_method(
    stub: auth_pb2_grpc.AuthServiceStub,
) -> None:
    owner = token(Audience.API, tenant="acme", subject="ann", permissions=("tenants.get",))

    answer = await stub.GetTenant(auth_pb2.GetTenantRequest(), metadata=bearer(owner))

    assert answer.tenant.name == "acme/ann/"


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Basic abc"),), grpc.StatusCode.UNAUTHENTICATED),
        (bearer("garbage"), grpc.StatusCode.UNAUTHENTICATED),
        (
            bearer(token(Audience.API, tenant="acme", subject="a")),
            grpc.StatusCode.PERMISSION_DENIED,
        ),
        (
            bearer(token(Audience.PUBLISH, tenant="acme", subject="a", permissions=("*",))),
            grpc.StatusCode.UNAUTHENTICATED,
        ),
    ],
)
async def test_without_the_permission_nothing_opens(
    stub: auth_pb2_grpc.AuthServiceStub,
    metadata: tuple[tuple[str, str], ...],
    code: grpc.StatusCode,
) -> None:
    error = await refusal(stub.GetTenant(auth_pb2.GetTenantRequest(), metadata=metadata))

    assert error.code() is code


async def test_everything_within_a_tenant_never_means_what_only_services_may(
    stub: auth_pb2_grpc.AuthServiceStub,
) -> None:
    owner = token(Audience.API, tenant="acme", subject="ann", permissions=("*",))

    stream = stub.WatchTrust(auth_pb2.WatchTrustRequest(), metadata=bearer(owner))
    error = await refusal(stream.read())

    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_service_streams_what_only_services_may(
    stub: auth_pb2_grpc.AuthServiceStub,
) -> None:
    service = token(Audience.SERVICE, tenant=None, subject="svc:edge")

    stream = stub.WatchTrust(auth_pb2.WatchTrustRequest(), metadata=bearer(service))

    assert [message.jwks_json async for message in stream] == ["edge", "edge"]


async def test_a_token_passed_on_by_a_service_keeps_the_callers_rights_and_no_more(
    stub: auth_pb2_grpc.AuthServiceStub,
) -> None:
    gateway = bearer(token(Audience.SERVICE, tenant=None, subject="svc:gateway"))
    ann = token(Audience.API, tenant="acme", subject="ann", permissions=("tenants.get",))
    bob = token(Audience.API, tenant="acme", subject="bob")

    answer = await stub.GetTenant(
        auth_pb2.GetTenantRequest(), metadata=(*gateway, (CALLER_KEY, ann))
    )
    error = await refusal(
        stub.GetTenant(auth_pb2.GetTenantRequest(), metadata=(*gateway, (CALLER_KEY, bob)))
    )

    assert answer.tenant.name == "acme/ann/gateway"
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_an_outsider_cannot_pass_a_token_on(stub: auth_pb2_grpc.AuthServiceStub) -> None:
    ann = token(Audience.API, tenant="acme", subject="ann", permissions=("*",))
    victim = token(Audience.API, tenant="rival", subject="vic", permissions=("*",))

    error = await refusal(
        stub.GetTenant(auth_pb2.GetTenantRequest(), metadata=(*bearer(ann), (CALLER_KEY, victim)))
    )

    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_refusal_carries_a_reason_a_client_can_act_on(
    stub: auth_pb2_grpc.AuthServiceStub,
) -> None:
    owner = bearer(token(Audience.API, tenant="acme", subject="ann", permissions=("*",)))

    missing = await refusal(
        stub.RevokeApiKey(auth_pb2.RevokeApiKeyRequest(name="apiKeys/k"), metadata=owner)
    )
    malformed = await refusal(stub.RevokeApiKey(auth_pb2.RevokeApiKeyRequest(), metadata=owner))

    info = error_info(missing)
    assert info is not None
    assert (info.reason, info.domain, info.metadata["key"]) == (
        "NOT_FOUND",
        "auth.odeon.live",
        "apiKeys/k",
    )
    violations = error_details_pb2.BadRequest()
    status = rpc_status.from_call(malformed)
    assert status is not None and any(detail.Unpack(violations) for detail in status.details)
    assert violations.field_violations[0].field == "name"


async def test_a_public_method_needs_no_credential(stub: auth_pb2_grpc.AuthServiceStub) -> None:
    assert (await stub.GetJwks(auth_pb2.GetJwksRequest())).jwks_json == "None"


def test_every_method_of_the_product_says_who_may_call_it() -> None:
    from odeon.analytics.v1 import analytics_pb2
    from odeon.recorder.v1 import recorder_pb2
    from odeon.room.v1 import room_pb2
    from odeon.signaling.v1 import signaling_pb2
    from odeon.transcoder.v1 import transcoder_pb2

    modules = [auth_pb2, room_pb2, signaling_pb2, transcoder_pb2, recorder_pb2, analytics_pb2]
    services = [s for module in modules for s in module.DESCRIPTOR.services_by_name.values()]

    assert len(method_permissions(services)) == sum(len(s.methods) for s in services)


def test_a_service_whose_method_says_nothing_does_not_start() -> None:
    silent = health_pb2.DESCRIPTOR.services_by_name["Health"]

    with pytest.raises(MissingPermission):
        method_permissions([silent])
