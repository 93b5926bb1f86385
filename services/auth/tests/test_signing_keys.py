"""Signing keys through their lives, on a clock that the test turns and on a running auth."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jws
from odeon.auth.v1 import auth_pb2 as pb
from odeon_auth import app
from odeon_auth.adapters.keyring import Seal, SqlKeyRing
from odeon_auth.adapters.store import SqlStore
from odeon_auth.domain.signing import PUBLISH_AHEAD, SigningKey
from odeon_auth.settings import AuthSettings
from odeon_auth.usecases.trust import Signer, TrustBoard
from odeon_runtime.bus import Bus
from odeon_runtime.principal import Principal
from odeon_runtime.sql import Database
from odeon_runtime.tokens import Audience, Claims, TokenInvalid, Verifier
from odeon_runtime.trust import TrustStore, follow_bus
from odeon_testkit.callers import AuthApi, eventually, refusal
from odeon_testkit.nats import nats_server

RunAuth = Callable[[AuthSettings], AbstractAsyncContextManager[AuthApi]]
OPERATOR = Principal(tenant="default", subject="key", role="operator", permissions=frozenset({"*"}))
SECOND = timedelta(seconds=1)


class Stand:
    """Auth's keys over a real database; `now` is turned by hand."""

    def __init__(self, database: Database, passphrase: str = "") -> None:
        self.now = datetime.now(UTC)
        self.distrusted: list[list[str]] = []
        self.trust = TrustStore()
        ring = SqlKeyRing(database, Seal(passphrase) if passphrase else None)
        self.board = TrustBoard(
            SqlStore(database, self.clock),
            ring,
            self.clock,
            trust=self.trust,
            interval_s=60,
            on_distrusted=self._note,
        )
        self._signer = Signer(ring, self.board, self.clock)

    def clock(self) -> datetime:
        return self.now

    async def token(self) -> str:
        at = int(self.now.timestamp())
        claims = Claims(
            audience=Audience.STAGE,
            subject="bob",
            role="guest",
            tenant="acme",
            event="launch",
            issued_at=at,
            expires_at=at + 600,
        )
        return await self._signer.sign(claims)

    def verify(self, token: str) -> Principal:
        """As a verifier does that knows the key set as it is now."""
        store = TrustStore()
        store.set_keys(self.board.jwks_json)
        return Verifier(store, lambda: self.now.timestamp()).verify(token, Audience.STAGE)

    def _note(self, key_ids: list[str], successor: SigningKey) -> None:
        self.distrusted.append(key_ids)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, schema=app.SCHEMA)
    await database.migrate(app.MIGRATIONS)
    yield database
    await database.close()


@pytest.fixture
async def stand(database: Database) -> Stand:
    stand = Stand(database, "p" * 40)
    await stand.board.start()
    return stand


def kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


async def test_a_rotated_key_signs_once_everybody_knows_it_and_its_tokens_verify(
    stand: Stand,
) -> None:
    first = kid(await stand.token())

    rotated = await stand.board.rotate(OPERATOR)

    stand.now += PUBLISH_AHEAD - SECOND
    before = await stand.token()
    assert kid(before) == first != rotated.id
    stand.now += SECOND
    after = await stand.token()
    assert kid(after) == rotated.id
    for token in (before, after):
        assert stand.verify(token).subject == "bob"


async def test_a_sealed_rotated_key_signs_and_verifies_after_a_restart(
    stand: Stand, database: Database
) -> None:
    rotated = await stand.board.rotate(OPERATOR)
    old = await stand.token()
    again = Stand(database, "p" * 40)
    again.now = stand.now + PUBLISH_AHEAD

    await again.board.start()

    token = await again.token()
    assert kid(token) == rotated.id
    assert again.verify(token) and again.verify(old)


async def test_a_leaked_key_verifies_nothing_any_more_and_its_successor_signs_at_once(
    stand: Stand,
) -> None:
    forged = await stand.token()
    coming = await stand.board.rotate(OPERATOR)  # made, but not signing yet: it leaked, too

    made = await stand.board.rotate(OPERATOR, compromised=True)

    with pytest.raises(TokenInvalid):
        stand.verify(forged)
    honest = await stand.token()
    assert kid(honest) == made.id and stand.verify(honest)
    assert [key["kid"] for key in json.loads(stand.board.jwks_json)["keys"]] == [made.id]
    assert [set(key_ids) for key_ids in stand.distrusted] == [{kid(forged), coming.id}]

    stand.now += PUBLISH_AHEAD  # when the one before it would have begun to sign
    assert kid(await stand.token()) == made.id


async def test_the_next_ordinary_rotation_after_a_leak_brings_no_leaked_key_back(
    stand: Stand,
) -> None:
    forged = await stand.token()
    await stand.board.rotate(OPERATOR, compromised=True)
    stand.now += SECOND

    await stand.board.rotate(OPERATOR)

    with pytest.raises(TokenInvalid):
        stand.verify(forged)


async def test_every_auth_and_every_follower_distrusts_a_leaked_key_and_takes_no_token_of_it(
    settings: AuthSettings, run_auth: RunAuth
) -> None:
    async with run_auth(settings) as one, run_auth(settings) as two:
        operator = await one.operator()
        service = await two.service("edge")
        stream = aiter(two.stub.WatchTrust(pb.WatchTrustRequest(), metadata=service.metadata))
        await anext(stream)

        leak = pb.RotateSigningKeyRequest(compromised=True)
        made = await one.stub.RotateSigningKey(leak, metadata=operator.metadata)

        async with asyncio.timeout(5):
            while True:
                keys = json.loads((await anext(stream)).jwks_json)["keys"]
                if [key["kid"] for key in keys] == [made.key_id]:
                    break
        for auth in (one, two):
            call = auth.stub.GetTenant(pb.GetTenantRequest(), metadata=operator.metadata)
            assert await refusal(call) == ("UNAUTHENTICATED", "TOKEN_INVALID")
            fresh = await auth.operator()
            assert await auth.stub.GetTenant(pb.GetTenantRequest(), metadata=fresh.metadata)


async def test_a_leaked_key_is_told_on_nats_too(settings: AuthSettings, run_auth: RunAuth) -> None:
    with nats_server() as nats:
        with_nats = settings.model_copy(update={"nats_url": nats.url})
        async with run_auth(with_nats) as auth, Bus(nats.url, name="test") as bus:
            store = TrustStore()
            store.set_keys((await auth.stub.GetJwks(pb.GetJwksRequest())).jwks_json)
            await bus.connected.wait()
            await follow_bus(store, bus)
            operator = await auth.operator()
            assert store.key(kid(operator.token))

            await auth.stub.RotateSigningKey(
                pb.RotateSigningKeyRequest(compromised=True), metadata=operator.metadata
            )

            async def is_distrusted() -> bool:
                return store.key(kid(operator.token)) is None

            await eventually(is_distrusted, within_s=5)
