from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from odeon_auth.domain.roles import Role
from odeon_auth.domain.sessions import (
    Session,
    SessionMismatch,
    SessionNotFound,
    SessionRevokedError,
    extended,
    revoked,
)
from odeon_runtime.principal import Principal

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
VISIT = Session(
    tenant="acme",
    id="s-1",
    event="launch",
    identity="alice",
    role=Role.GUEST,
    create_time=NOW,
    expire_time=NOW + timedelta(minutes=10),
)
HOST = Principal(tenant="acme", subject="h", role="host", event="launch")


def test_a_session_lives_as_long_as_its_longest_token() -> None:
    longer = extended(VISIT, event="launch", identity="alice", until=LATER)

    assert longer.expire_time == LATER
    shorter = extended(longer, event="launch", identity="", until=NOW + timedelta(minutes=1))
    assert shorter.expire_time == LATER


@pytest.mark.parametrize(("event", "identity"), [("gala", "alice"), ("launch", "bob")])
def test_nobody_slips_into_the_session_of_another(event: str, identity: str) -> None:
    with pytest.raises(SessionMismatch):
        extended(VISIT, event=event, identity=identity, until=LATER)


def test_an_ended_session_gets_no_more_tokens() -> None:
    ended = revoked(VISIT, by=HOST, now=NOW)

    with pytest.raises(SessionRevokedError):
        extended(ended, event="launch", identity="alice", until=LATER)


def test_ending_a_session_twice_keeps_the_first_time() -> None:
    ended = revoked(VISIT, by=HOST, now=NOW)

    assert revoked(ended, by=HOST, now=LATER) == ended


def test_a_host_ends_sessions_of_its_own_event_only() -> None:
    with pytest.raises(SessionNotFound):
        revoked(VISIT, by=replace(HOST, event="gala"), now=NOW)
