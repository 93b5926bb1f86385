import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from odeon.auth.v1 import auth_pb2 as pb
from odeon_auth.settings import AuthSettings
from odeon_testkit.callers import AuthApi, Caller, refusal


async def test_a_tenants_first_key_is_shown_once_and_a_repetition_makes_no_second_one(
    auth: AuthApi,
) -> None:
    operator = await auth.operator()
    create = pb.CreateTenantRequest(tenant_id="acme", display_name="Acme", request_id="r-1")

    first = await auth.stub.CreateTenant(create, metadata=operator.metadata)
    again = await auth.stub.CreateTenant(create, metadata=operator.metadata)

    assert first.secret.startswith("odk_") and again.secret == ""
    assert again.api_key == first.api_key and again.tenant == first.tenant
    owner = await auth.holder_of(first.secret)
    listed = await auth.stub.ListApiKeys(pb.ListApiKeysRequest(), metadata=owner.metadata)
    assert list(listed.api_keys) == [first.api_key]


async def test_the_same_request_id_with_another_body_is_refused(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    create = pb.CreateApiKeyRequest(display_name="a", role="host", request_id="r-1")
    await auth.stub.CreateApiKey(create, metadata=owner.metadata)

    create.role = "viewer"
    call = auth.stub.CreateApiKey(create, metadata=owner.metadata)

    assert await refusal(call) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_ten_creates_at_once_with_one_request_id_make_one_key(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    create = pb.CreateApiKeyRequest(display_name="a", role="host", request_id="r-1")

    made = await asyncio.gather(
        *(auth.stub.CreateApiKey(create, metadata=owner.metadata) for _ in range(10))
    )

    assert len({m.api_key.name for m in made}) == 1
    assert sum(bool(m.secret) for m in made) == 1


async def test_a_taken_tenant_id_is_refused(auth: AuthApi) -> None:
    operator = await auth.operator()
    call = auth.stub.CreateTenant(
        pb.CreateTenantRequest(tenant_id="default"), metadata=operator.metadata
    )

    assert await refusal(call) == ("ALREADY_EXISTS", "TENANT_EXISTS")


@pytest.mark.parametrize("tenant_id", ["", "Acme", "a.b", "a*", "-a", "a" * 64, "system", "a\n"])
async def test_a_tenant_id_that_would_break_subjects_or_paths_is_refused(
    auth: AuthApi, tenant_id: str
) -> None:
    operator = await auth.operator()
    call = auth.stub.CreateTenant(
        pb.CreateTenantRequest(tenant_id=tenant_id), metadata=operator.metadata
    )

    assert await refusal(call) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def test_the_owner_of_a_tenant_does_not_run_the_deployment(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    gateway = await auth.service("gateway")
    create = pb.CreateTenantRequest(tenant_id="other")

    for credential in (owner.metadata, owner.through(gateway)):
        calls: list[Awaitable[object]] = [
            auth.stub.CreateTenant(create, metadata=credential),
            auth.stub.RotateSigningKey(pb.RotateSigningKeyRequest(), metadata=credential),
        ]
        for call in calls:
            assert await refusal(call) == ("PERMISSION_DENIED", "PERMISSION_DENIED")


async def test_tenants_do_not_see_or_touch_each_others_keys(auth: AuthApi) -> None:
    acme, other = await auth.tenant("acme"), await auth.tenant("other")
    made = await auth.stub.CreateApiKey(
        pb.CreateApiKeyRequest(role="viewer"), metadata=acme.metadata
    )

    listed = await auth.stub.ListApiKeys(pb.ListApiKeysRequest(), metadata=other.metadata)
    revoke = auth.stub.RevokeApiKey(
        pb.RevokeApiKeyRequest(name=made.api_key.name), metadata=other.metadata
    )

    assert made.api_key.name not in {key.name for key in listed.api_keys}
    assert await refusal(revoke) == ("NOT_FOUND", "API_KEY_NOT_FOUND")
    assert await auth.holder_of(made.secret)


async def test_a_revoked_key_buys_nothing_and_what_it_bought_stops_working(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    made = await auth.stub.CreateApiKey(
        pb.CreateApiKeyRequest(role="host"), metadata=owner.metadata
    )
    holder = await auth.holder_of(made.secret)
    await auth.stub.GetTenant(pb.GetTenantRequest(), metadata=holder.metadata)

    revoke = pb.RevokeApiKeyRequest(name=made.api_key.name)
    revoked = await auth.stub.RevokeApiKey(revoke, metadata=owner.metadata)

    assert revoked.api_key.HasField("revoke_time")
    exchange = auth.stub.ExchangeApiKey(pb.ExchangeApiKeyRequest(secret=made.secret))
    assert await refusal(exchange) == ("UNAUTHENTICATED", "API_KEY_INVALID")
    use = auth.stub.GetTenant(pb.GetTenantRequest(), metadata=holder.metadata)
    assert await refusal(use) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    again = await auth.stub.RevokeApiKey(revoke, metadata=owner.metadata)
    assert again.api_key == revoked.api_key


async def test_a_hosts_key_makes_no_keys(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    made = await auth.stub.CreateApiKey(
        pb.CreateApiKeyRequest(role="host"), metadata=owner.metadata
    )
    host = await auth.holder_of(made.secret)

    call = auth.stub.CreateApiKey(pb.CreateApiKeyRequest(role="viewer"), metadata=host.metadata)

    assert await refusal(call) == ("PERMISSION_DENIED", "PERMISSION_DENIED")


async def test_pages_show_every_key_once(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    for number in range(6):
        request = pb.CreateApiKeyRequest(display_name=str(number), role="viewer")
        await auth.stub.CreateApiKey(request, metadata=owner.metadata)

    names, token, pages = [], "", 0
    while pages == 0 or token:
        page = await auth.stub.ListApiKeys(
            pb.ListApiKeysRequest(page_size=3, page_token=token), metadata=owner.metadata
        )
        names += [key.display_name for key in page.api_keys]
        token, pages = page.next_page_token, pages + 1

    assert names == ["first key", "0", "1", "2", "3", "4", "5"] and pages == 3


@pytest.mark.parametrize("token", ["x", "../..", "bnVsbA", "W10", "WzEsMl0", "é", "A" * 5000])
async def test_a_page_token_that_is_not_ours_is_refused(auth: AuthApi, token: str) -> None:
    owner = await auth.tenant("acme")
    call = auth.stub.ListApiKeys(pb.ListApiKeysRequest(page_token=token), metadata=owner.metadata)

    assert await refusal(call) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def test_the_bootstrap_key_outlives_a_restart_and_is_made_only_once(
    settings: AuthSettings,
    run_auth: Callable[[AuthSettings], AbstractAsyncContextManager[AuthApi]],
) -> None:
    holders: list[Caller] = []
    for _ in range(2):
        async with run_auth(settings) as auth:
            holders.append(await auth.operator())
            listed = await auth.stub.ListApiKeys(
                pb.ListApiKeysRequest(), metadata=holders[0].metadata
            )
            assert [key.display_name for key in listed.api_keys] == ["bootstrap"]
            assert "b" * 43 not in str(listed)
