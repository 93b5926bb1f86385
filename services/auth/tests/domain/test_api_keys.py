from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_auth.domain.api_keys import ApiKey, ApiKeyInvalid, Credential, authenticate, key_id_of
from odeon_auth.domain.roles import Role
from odeon_auth.usecases.keys import fresh_credential
from odeon_runtime.errors import InvalidArgument

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MINE = fresh_credential()
KEY = ApiKey(
    tenant="acme",
    id=MINE.key_id,
    secret_hash=MINE.hash,
    display_name="",
    role=Role.OWNER,
    create_time=NOW,
)


def test_a_key_survives_being_shown_and_typed_in_again() -> None:
    assert Credential.parse(str(MINE)) == MINE


def test_what_is_kept_and_what_is_logged_does_not_contain_the_secret() -> None:
    assert MINE.secret not in repr(KEY) + repr(MINE)


def test_the_right_secret_proves_a_key() -> None:
    assert authenticate(MINE, KEY) is KEY


def test_wrong_unknown_and_revoked_keys_are_refused_alike() -> None:
    wrong = replace(MINE, secret="x" * 43)
    refusals = []
    for credential, key in ((wrong, KEY), (MINE, None), (MINE, replace(KEY, revoke_time=NOW))):
        with pytest.raises(ApiKeyInvalid) as refusal:
            authenticate(credential, key)
        refusals.append(refusal.value)

    assert len({(r.reason, r.message, str(r.metadata)) for r in refusals}) == 1


@given(st.text(max_size=300))
def test_garbage_is_no_key_and_breaks_nothing(text: str) -> None:
    with pytest.raises(ApiKeyInvalid):
        Credential.parse(text)


@pytest.mark.parametrize("name", ["", "apiKeys/", "keys/abcdefgh", "apiKeys/../etc", "apiKeys/AB"])
def test_only_names_of_keys_are_names_of_keys(name: str) -> None:
    with pytest.raises(InvalidArgument):
        key_id_of(name)
