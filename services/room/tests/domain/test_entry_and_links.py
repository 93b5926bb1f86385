from datetime import UTC, datetime, timedelta

import pytest
from odeon_room.domain import entry, followups, links
from odeon_room.domain.event_state import EventState
from odeon_room.domain.followups import Followup, FollowupKind
from odeon_room.domain.links import Bases
from odeon_runtime.principal import Principal

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def caller(subject: str, role: str, event: str | None = "launch") -> Principal:
    return Principal(tenant="acme", subject=subject, role=role, event=event, session_id="s-1")


def test_everybody_who_enters_by_a_shared_link_is_somebody_of_their_own() -> None:
    visit = entry.visit(caller("link-abc", "guest"))

    assert (visit.identity, visit.session_id) == ("", "")


def test_a_personal_link_keeps_identity_and_session_so_that_a_ban_holds() -> None:
    visit = entry.visit(caller("bob", "guest"))

    assert (visit.identity, visit.session_id) == ("bob", "s-1")


@pytest.mark.parametrize("role", ["owner", "operator"])
def test_who_holds_a_key_of_the_tenant_enters_as_host(role: str) -> None:
    visit = entry.visit(caller("key-1", role, event=None))

    assert visit.role == "host" and visit.identity == "" and visit.runs_event


def test_the_audience_gets_no_seat_and_nobody_after_the_end() -> None:
    assert not entry.may_join_stage("viewer", EventState.LIVE)
    assert not entry.may_join_stage("host", EventState.ENDED)
    assert entry.may_join_stage("guest", EventState.WARMUP)


def test_a_pages_token_stands_behind_the_hash_where_no_server_sees_it() -> None:
    bases = Bases.of("https://live.example/", "https://edge.example/")

    assert bases.page("watch", "launch", "TOKEN") == (
        "https://live.example/watch/launch#invite=TOKEN"
    )
    assert bases.playlist("acme", "launch", "TOKEN") == (
        "https://edge.example/t/TOKEN/acme/launch/main.m3u8"
    )


def test_a_link_works_until_a_week_after_the_start_but_a_month_at_most() -> None:
    assert links.invite_ttl(None, NOW) == 7 * DAY
    assert links.invite_ttl(NOW + 3 * DAY, NOW) == 10 * DAY
    assert links.invite_ttl(NOW - 3 * DAY, NOW) == 7 * DAY
    assert links.invite_ttl(NOW + 300 * DAY, NOW) == 30 * DAY


def followup(kind: FollowupKind, attempts: int) -> Followup:
    return Followup(
        tenant="acme", event="e", kind=kind, create_time=NOW, due_time=NOW, attempts=attempts
    )


def test_a_timeline_is_closed_however_long_the_recorder_is_away() -> None:
    forever = followup(FollowupKind.END_TIMELINE, attempts=10_000)

    assert followups.next_try(forever, NOW + 30 * DAY) is not None


def test_tries_become_rarer_and_a_dead_nodes_stage_is_given_up() -> None:
    waits = [followups.next_try(followup(FollowupKind.CLOSE_STAGE, n), NOW) for n in (0, 1, 2, 40)]

    assert [(w - NOW).total_seconds() for w in waits if w] == [0.5, 1, 2, 30]
    late = NOW + timedelta(minutes=3)
    assert followups.next_try(followup(FollowupKind.CLOSE_STAGE, 9), late) is None
