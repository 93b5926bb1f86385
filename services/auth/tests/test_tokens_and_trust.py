import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from odeon.auth.v1 import auth_pb2 as pb
from odeon_auth.adapters.keyring import Seal, SealBroken, SqlKeyRing
from odeon_auth.settings import AuthSettings
from odeon_runtime.principal import Principal
from odeon_runtime.sql import Database
from odeon_runtime.tokens import Audience, TokenRevoked, Verifier
from odeon_runtime.trust import TrustStore
from odeon_testkit.callers import AuthApi, Caller, refusal
from odeon_testkit.nats import nats_server
from pydantic import SecretStr

RunAuth = Callable[[AuthSettings], AbstractAsyncContextManager[AuthApi]]


async def trust_of(auth: AuthApi) -> TrustStore:
    """What a verifier knows after its first message."""
    stream = await watch(auth)
    store = TrustStore()
    first = await anext(stream)
    store.set_keys(first.jwks_json)
    store.revoke_all(first.revoked_sessions)
    return store


async def watch(auth: AuthApi) -> AsyncIterator[pb.WatchTrustResponse]:
    service = await auth.service("edge")
    return aiter(auth.stub.WatchTrust(pb.WatchTrustRequest(), metadata=service.metadata))


async def verified(auth: AuthApi, caller: Caller, audience: Audience) -> Principal:
    return Verifier(await trust_of(auth)).verify(caller.token, audience)


async def test_a_token_says_tenant_event_role_name_and_session(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    issued = await auth.issue(owner, "JOIN", "guest", identity="bob", display_name="Bob 鲍勃")

    principal = await verified(auth, Caller(issued.token), Audience.STAGE)

    assert (principal.tenant, principal.event, principal.subject) == ("acme", "launch", "bob")
    assert (principal.role, principal.name) == ("guest", "Bob 鲍勃")
    assert principal.session_id == issued.session_id
    assert principal.expires_at == issued.expire_time.seconds


async def test_tokens_of_one_visit_share_a_session_and_end_together(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    seat = await auth.issue(owner, "JOIN", "guest", identity="bob")
    play = await auth.issue(owner, "PLAYBACK", session_id=seat.session_id)

    request = pb.RevokeSessionRequest(session_id=seat.session_id)
    await auth.stub.RevokeSession(request, metadata=owner.metadata)

    verifier = Verifier(await trust_of(auth))
    for token, audience in ((seat.token, Audience.STAGE), (play.token, Audience.PLAYBACK)):
        with pytest.raises(TokenRevoked):
            verifier.verify(token, audience)
    more = auth.issue(owner, "JOIN", "guest", session_id=seat.session_id)
    assert await refusal(more) == ("FAILED_PRECONDITION", "SESSION_REVOKED")


async def test_a_session_is_ended_by_its_own_tenant_only(auth: AuthApi) -> None:
    acme, other = await auth.tenant("acme"), await auth.tenant("other")
    seat = await auth.issue(acme, "JOIN", "guest")

    call = auth.stub.RevokeSession(
        pb.RevokeSessionRequest(session_id=seat.session_id), metadata=other.metadata
    )

    assert await refusal(call) == ("NOT_FOUND", "SESSION_NOT_FOUND")
    assert await verified(auth, Caller(seat.token), Audience.STAGE)


async def test_two_tenants_may_use_one_session_id_without_ending_each_other(
    auth: AuthApi,
) -> None:
    acme, other = await auth.tenant("acme"), await auth.tenant("other")
    mine = await auth.token(acme, "JOIN", "guest", session_id="same")
    await auth.token(other, "JOIN", "guest", session_id="same")

    await auth.stub.RevokeSession(
        pb.RevokeSessionRequest(session_id="same"), metadata=other.metadata
    )

    assert await verified(auth, mine, Audience.STAGE)


async def test_a_guests_link_does_nothing_but_enter(auth: AuthApi) -> None:
    owner = await auth.tenant("acme")
    link = await auth.token(owner, "INVITE", "guest")
    room, gateway = await auth.service("room"), await auth.service("gateway")
    seat = pb.IssueTokenRequest(
        kind=pb.TOKEN_KIND_JOIN, event="events/launch", role="guest", identity="bob"
    )

    for credential in (link.metadata, link.through(gateway)):
        call = auth.stub.IssueToken(seat, metadata=credential)
        assert await refusal(call) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
    traded = await auth.stub.IssueToken(seat, metadata=link.through(room))
    assert (await verified(auth, Caller(traded.token), Audience.STAGE)).subject == "bob"


async def test_a_service_on_its_own_issues_a_hidden_seat_for_a_tenant_it_names(
    auth: AuthApi,
) -> None:
    await auth.tenant("acme")
    room = await auth.service("room")

    seat = await auth.token(room, "JOIN", "recorder", tenant_id="acme")

    assert (await verified(auth, seat, Audience.STAGE)).tenant == "acme"
    nowhere = auth.issue(room, "JOIN", "recorder")
    assert (await refusal(nowhere))[0] == "PERMISSION_DENIED"


async def test_the_tenant_comes_from_the_credential_not_from_the_request(auth: AuthApi) -> None:
    acme = await auth.tenant("acme")
    await auth.tenant("other")

    call = auth.issue(acme, "JOIN", "guest", tenant_id="other")

    assert (await refusal(call))[0] == "PERMISSION_DENIED"


@pytest.mark.parametrize("secret", ["", "wrong", "é" * 100, "x" * 100_000])
async def test_a_wrong_service_secret_buys_nothing(auth: AuthApi, secret: str) -> None:
    request = pb.IssueServiceTokenRequest(service="gateway", secret=secret)

    call = auth.stub.IssueServiceToken(request)

    assert await refusal(call) == ("UNAUTHENTICATED", "SERVICE_SECRET_INVALID")


async def test_a_deployment_without_a_secret_gives_no_service_tokens(
    settings: AuthSettings, run_auth: RunAuth
) -> None:
    async with run_auth(settings.model_copy(update={"service_secret": ""})) as auth:
        call = auth.stub.IssueServiceToken(pb.IssueServiceTokenRequest(service="gateway"))

        assert await refusal(call) == ("UNAUTHENTICATED", "SERVICE_SECRET_INVALID")


async def test_an_outsider_does_not_follow_trust_even_through_a_service(auth: AuthApi) -> None:
    owner, gateway = await auth.tenant("acme"), await auth.service("gateway")

    stream = auth.stub.WatchTrust(pb.WatchTrustRequest(), metadata=owner.through(gateway))

    assert (await refusal(anext(aiter(stream))))[0] == "PERMISSION_DENIED"


async def test_a_follower_hears_of_a_revocation_at_once_and_again_when_it_reconnects(
    auth: AuthApi,
) -> None:
    owner = await auth.tenant("acme")
    seat = await auth.issue(owner, "JOIN", "guest")
    stream = await watch(auth)
    assert (await anext(stream)).snapshot

    request = pb.RevokeSessionRequest(session_id=seat.session_id)
    await auth.stub.RevokeSession(request, metadata=owner.metadata)

    async with asyncio.timeout(4):
        while not (news := await anext(stream)).revoked_sessions:
            pass
    (revoked,) = news.revoked_sessions
    assert (revoked.tenant_id, revoked.session_id) == ("acme", seat.session_id)
    assert revoked.expire_time.seconds >= seat.expire_time.seconds
    assert (await trust_of(auth)).is_revoked("acme", seat.session_id)


async def test_a_quiet_stream_repeats_itself(auth: AuthApi) -> None:
    stream = await watch(auth)

    async with asyncio.timeout(4):
        messages = [await anext(stream) for _ in range(3)]

    assert all(m.snapshot and m.jwks_json == messages[0].jwks_json for m in messages)


async def test_a_second_auth_on_the_same_database_hears_what_the_first_did(
    settings: AuthSettings, run_auth: RunAuth
) -> None:
    async with run_auth(settings) as one, run_auth(settings) as two:
        owner = await one.tenant("acme")
        seat = await one.issue(owner, "JOIN", "guest")
        stream = await watch(two)
        await anext(stream)

        request = pb.RevokeSessionRequest(session_id=seat.session_id)
        await one.stub.RevokeSession(request, metadata=owner.metadata)

        async with asyncio.timeout(4):
            while not (await anext(stream)).revoked_sessions:
                pass


async def test_rotation_fails_no_call_old_tokens_verify_and_the_new_key_is_public_first(
    auth: AuthApi,
) -> None:
    operator = await auth.operator()
    before = await auth.token(operator, "JOIN", "guest")

    rotated = await auth.stub.RotateSigningKey(
        pb.RotateSigningKeyRequest(), metadata=operator.metadata
    )
    after = await auth.token(operator, "JOIN", "guest")

    jwks = json.loads((await auth.stub.GetJwks(pb.GetJwksRequest())).jwks_json)
    assert rotated.key_id in {key["kid"] for key in jwks["keys"]} and len(jwks["keys"]) == 2
    assert "d" not in {name for key in jwks["keys"] for name in key}
    for token in (before, after):
        assert await verified(auth, token, Audience.STAGE)


async def test_tokens_and_revocations_outlive_a_restart(
    settings: AuthSettings, run_auth: RunAuth
) -> None:
    async with run_auth(settings) as auth:
        owner = await auth.tenant("acme")
        kept = await auth.token(owner, "JOIN", "guest")
        ended = await auth.issue(owner, "JOIN", "guest")
        request = pb.RevokeSessionRequest(session_id=ended.session_id)
        await auth.stub.RevokeSession(request, metadata=owner.metadata)

    async with run_auth(settings) as auth:
        assert await verified(auth, kept, Audience.STAGE)
        assert (await trust_of(auth)).is_revoked("acme", ended.session_id)


async def test_a_sealed_private_key_is_not_in_the_database_and_opens_with_its_key_only(
    settings: AuthSettings, run_auth: RunAuth, tmp_path: Path
) -> None:
    passphrase = SecretStr("p" * 40)
    sealed = settings.model_copy(update={"key_encryption_key": passphrase})
    async with run_auth(sealed) as auth:
        operator = await auth.operator()
        assert await verified(auth, operator, Audience.API)

    database = Database(sealed.database, schema="auth")
    for seal in (None, Seal("q" * 40)):
        ring = SqlKeyRing(database, seal)
        (key,) = await ring.all()
        with pytest.raises(SealBroken):
            await ring.private(key.id)
    opened = await SqlKeyRing(database, Seal("p" * 40)).private(key.id)
    assert opened.as_dict(private=True)["d"]
    await database.close()


async def test_a_revocation_is_told_on_nats_too(settings: AuthSettings, run_auth: RunAuth) -> None:
    from odeon.events.v1 import events_pb2
    from odeon_runtime import subjects
    from odeon_runtime.bus import Bus

    heard: asyncio.Queue[tuple[str, events_pb2.Envelope]] = asyncio.Queue()

    async def listen(subject: str, fact: events_pb2.Envelope) -> None:
        await heard.put((subject, fact))

    with nats_server() as nats:
        with_nats = settings.model_copy(update={"nats_url": nats.url})
        async with run_auth(with_nats) as auth, Bus(nats.url, name="test") as bus:
            await bus.connected.wait()
            await bus.subscribe(subjects.SESSIONS_REVOKED, listen)
            owner = await auth.tenant("acme")
            seat = await auth.issue(owner, "JOIN", "guest")

            request = pb.RevokeSessionRequest(session_id=seat.session_id)
            await auth.stub.RevokeSession(request, metadata=owner.metadata)

            async with asyncio.timeout(5):
                subject, fact = await heard.get()
    assert subject == f"odeon.evt.auth.session.revoked.v1.acme.{seat.session_id}"
    assert fact.session_revoked.session_id == seat.session_id
    assert fact.session_revoked.expire_time.ToDatetime(UTC) > datetime.now(UTC)
