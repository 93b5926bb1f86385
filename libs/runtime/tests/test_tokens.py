import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey
from odeon_runtime.tokens import (
    Audience,
    Claims,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
    Verifier,
    sign,
)
from odeon_runtime.trust import TrustStore

NOW = 1_800_000_000
KEY = ECKey.generate_key("P-256", {"kid": "k1"})
OTHER = ECKey.generate_key("P-256", {"kid": "k1"})


def claims(**changes: object) -> Claims:
    values: dict[str, object] = {
        "audience": Audience.PLAYBACK,
        "subject": "ann",
        "role": "viewer",
        "issued_at": NOW,
        "expires_at": NOW + 600,
        "tenant": "acme",
        "event": "launch",
        "session_id": "s1",
        "permissions": ("events.get",),
    }
    return Claims(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def store() -> TrustStore:
    store = TrustStore()
    store.set_keys(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    return store


@pytest.fixture
def verifier(store: TrustStore) -> Verifier:
    return Verifier(store, clock=lambda: NOW + 1)


def raw(header: Mapping[str, object], payload: object, key: ECKey = KEY) -> str:
    body = json.dumps(payload).encode()
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    return jws.serialize_compact(dict(header), body, key, registry=registry)


def test_a_good_token_tells_who_calls_and_what_they_may(verifier: Verifier) -> None:
    principal = verifier.verify(sign(claims(), KEY), Audience.PLAYBACK)

    assert (principal.tenant, principal.subject, principal.event) == ("acme", "ann", "launch")
    assert principal.may("events.get") and not principal.may("events.create")
    assert principal.service == ""


def test_a_token_of_another_audience_is_worthless(verifier: Verifier) -> None:
    with pytest.raises(TokenInvalid):
        verifier.verify(sign(claims(), KEY), Audience.API)


def test_a_token_stops_at_its_expiry(store: TrustStore) -> None:
    late = Verifier(store, clock=lambda: NOW + 600)

    with pytest.raises(TokenExpired):
        late.verify(sign(claims(), KEY), Audience.PLAYBACK)


def test_a_token_of_an_ended_session_is_refused(store: TrustStore, verifier: Verifier) -> None:
    heard: list[tuple[str, str]] = []
    store.on_revoked(lambda tenant, sid: heard.append((tenant, sid)))

    store.revoke("acme", "s1", expires_at=NOW + 600)

    assert heard == [("acme", "s1")]
    with pytest.raises(TokenRevoked):
        verifier.verify(sign(claims(), KEY), Audience.PLAYBACK)


def test_the_same_session_id_of_another_tenant_still_works(
    store: TrustStore, verifier: Verifier
) -> None:
    store.revoke("rival", "s1", expires_at=NOW + 600)

    assert verifier.verify(sign(claims(), KEY), Audience.PLAYBACK).tenant == "acme"


GOOD = claims().to_json()
HEADER = {"alg": "ES256", "kid": "k1"}
UNSIGNED = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
    for part in ({"alg": "none", "kid": "k1"}, GOOD)
)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "é" * 40,
        "a" * 9000,
        UNSIGNED + ".",
        sign(claims(), OTHER),
        sign(claims(), KEY)[:-2],
        raw({"alg": "ES256"}, GOOD),
        raw({"alg": "ES256", "kid": "../../etc/passwd"}, GOOD),
        raw({**HEADER, "jku": "http://evil"}, GOOD),
        raw({**HEADER, "jwk": KEY.as_dict(private=False)}, GOOD),
        raw({**HEADER, "x5u": "http://evil"}, GOOD),
        raw(HEADER, {**GOOD, "exp": "1900000000"}),
        raw(HEADER, {**GOOD, "exp": 1.9e9}),
        raw(HEADER, {**GOOD, "exp": -1}),
        raw(HEADER, {**GOOD, "exp": 2**63}),
        raw(HEADER, {**GOOD, "exp": True}),
        raw(HEADER, {k: v for k, v in GOOD.items() if k != "exp"}),
        raw(HEADER, {k: v for k, v in GOOD.items() if k != "nbf"}),
        raw(HEADER, {**GOOD, "iss": "someone"}),
        raw(HEADER, {**GOOD, "tenant": ["acme"]}),
        raw(HEADER, {**GOOD, "perms": "*"}),
        raw(HEADER, [GOOD]),
    ],
)
def test_anything_that_is_not_exactly_a_token_of_ours_is_refused(
    verifier: Verifier, token: str
) -> None:
    with pytest.raises(TokenInvalid):
        verifier.verify(token, Audience.PLAYBACK)


@given(st.text(max_size=300))
def test_no_text_makes_the_verifier_fail_in_another_way(text: str) -> None:
    store = TrustStore()
    store.set_keys(json.dumps({"keys": [KEY.as_dict(private=False)]}))

    with pytest.raises(TokenInvalid):
        Verifier(store, clock=lambda: NOW).verify(text, Audience.API)


def test_a_malformed_key_set_changes_nothing(store: TrustStore) -> None:
    store.set_keys("{not json")

    assert store.key("k1") is not None
