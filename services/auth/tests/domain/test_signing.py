from dataclasses import replace
from datetime import UTC, datetime, timedelta

from odeon_auth.domain import signing
from odeon_auth.domain.signing import PUBLISH_AHEAD, SigningKey
from odeon_auth.domain.tokens import LONGEST_TTL

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OLD = SigningKey(id="old", public_jwk="{}", create_time=NOW, activate_time=NOW)


def rotated() -> tuple[list[SigningKey], datetime]:
    """The old key and its successor, and when the successor was made."""
    at = NOW + timedelta(days=1)
    activates = signing.activation([OLD], at)
    new = SigningKey(id="new", public_jwk="{}", create_time=at, activate_time=activates)
    return [replace(OLD, retire_time=signing.retirement(activates)), new], at


def test_the_first_key_signs_at_once() -> None:
    assert signing.signer([], NOW) is None
    assert signing.activation([], NOW) == NOW


def test_a_new_key_is_public_before_it_signs() -> None:
    keys, at = rotated()

    assert {k.id for k in signing.published(keys, at)} == {"old", "new"}
    assert signing.signer(keys, at + PUBLISH_AHEAD - SECOND) is keys[0]
    assert signing.signer(keys, at + PUBLISH_AHEAD) is keys[1]


def test_a_key_that_leaked_neither_signs_nor_verifies_from_then_on() -> None:
    keys, at = rotated()
    made = SigningKey(id="made", public_jwk="{}", create_time=at, activate_time=at)
    until = signing.retirement(made.activate_time, compromised=True)
    after = [*(replace(k, retire_time=until) for k in keys), made]

    for moment in (at, at + PUBLISH_AHEAD):
        assert signing.published(after, moment) == [made]
        assert signing.signer(after, moment) is made


def test_the_old_key_verifies_until_the_last_token_it_signed_has_expired() -> None:
    keys, at = rotated()
    last_signature = at + PUBLISH_AHEAD - SECOND

    assert keys[0] in signing.published(keys, last_signature + LONGEST_TTL)
    assert keys[0] not in signing.published(keys, at + PUBLISH_AHEAD + LONGEST_TTL)
