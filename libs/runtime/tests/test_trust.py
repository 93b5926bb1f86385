"""What a verifier believes: key sets, keys that leaked, and the service token that they signed."""

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import pytest
from joserfc.jwk import ECKey
from odeon_runtime.grpc_client import ServiceToken
from odeon_runtime.trust import TrustStore
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server

KEYS = [ECKey.generate_key("P-256", {"kid": kid}) for kid in ("k1", "k2")]
BOTH, ONE = (
    json.dumps({"keys": [key.as_dict(private=False) for key in keys]}) for keys in (KEYS, KEYS[1:])
)


def test_a_key_set_replaces_the_one_before_and_says_when_a_key_is_gone() -> None:
    store, withdrawn = TrustStore(), asyncio.Event()
    store.on_withdrawn(withdrawn.set)

    store.set_keys(ONE)
    store.set_keys(BOTH)
    assert not withdrawn.is_set()
    store.set_keys(ONE)

    assert withdrawn.is_set()
    assert store.key("k1") is None and store.key("k2")


def test_a_key_that_leaked_is_believed_no_more_whatever_late_key_sets_say() -> None:
    store = TrustStore()
    store.set_keys(BOTH)

    store.distrust(["k1"])
    assert store.key("k1") is None and store.key("k2")
    store.set_keys(ONE)
    store.set_keys(BOTH)  # an instance of auth that has not heard of it yet

    assert store.key("k1") is None and store.key("k2")


@pytest.fixture
async def service_token() -> AsyncIterator[ServiceToken]:
    async with (
        auth_server(Issuer()) as (address, _),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield ServiceToken("room", SERVICE_SECRET, channel)


async def test_a_service_asks_for_a_new_token_when_the_key_of_its_own_may_be_gone(
    service_token: ServiceToken,
) -> None:
    first = await service_token.get()
    assert await service_token.get() == first

    service_token.renew_now()

    assert await service_token.get() != first
