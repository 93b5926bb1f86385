from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from odeon_auth.domain.roles import Role
from odeon_auth.domain.tokens import TokenKind, Wish, terms
from odeon_runtime.errors import InvalidArgument, NotFound, PermissionDenied
from odeon_runtime.ids import EventId
from odeon_runtime.principal import Principal

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LAUNCH = EventId("launch")
OWNER = Principal(tenant="acme", subject="key-1", role="owner")


def holder(role: str, *, event: str | None = "launch", via: str = "") -> Principal:
    in_an_hour = int((NOW + timedelta(hours=1)).timestamp())
    return Principal(
        tenant="acme", subject="p-1", role=role, event=event, service=via, expires_at=in_an_hour
    )


def wish(kind: TokenKind, **fields: object) -> Wish:
    return replace(Wish(kind=kind, event=LAUNCH), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "usual", "longest"),
    [
        (TokenKind.JOIN, timedelta(minutes=10), timedelta(minutes=10)),
        (TokenKind.PLAYBACK, timedelta(hours=12), timedelta(hours=24)),
        (TokenKind.PUBLISH, timedelta(hours=24), timedelta(hours=24)),
        (TokenKind.INVITE, timedelta(days=7), timedelta(days=30)),
        (TokenKind.ACCESS, timedelta(hours=12), timedelta(hours=12)),
    ],
)
def test_each_kind_has_a_usual_life_and_a_longest_one(
    kind: TokenKind, usual: timedelta, longest: timedelta
) -> None:
    assert terms(wish(kind), OWNER, NOW).expires_at == NOW + usual
    forever = wish(kind, ttl=timedelta(days=4000))
    assert terms(forever, OWNER, NOW).expires_at == NOW + longest
    short = wish(kind, ttl=timedelta(seconds=30))
    assert terms(short, OWNER, NOW).expires_at == NOW + timedelta(seconds=30)


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-5)])
def test_a_life_that_is_over_before_it_began_is_refused(ttl: timedelta) -> None:
    with pytest.raises(InvalidArgument, match="ttl"):
        terms(wish(TokenKind.JOIN, ttl=ttl), OWNER, NOW)


def test_a_viewer_gets_no_seat_on_the_stage() -> None:
    with pytest.raises(InvalidArgument, match="role"):
        terms(wish(TokenKind.JOIN, role="viewer"), OWNER, NOW)


def test_the_holder_of_another_events_token_learns_nothing() -> None:
    with pytest.raises(NotFound):
        terms(wish(TokenKind.JOIN), holder("host", event="gala"), NOW)


def test_a_guests_link_becomes_no_hosts_token() -> None:
    with pytest.raises(PermissionDenied):
        terms(wish(TokenKind.JOIN, role="host"), holder("guest", via="room"), NOW)


def test_a_link_is_traded_through_room_and_by_nobody_else() -> None:
    seat = wish(TokenKind.JOIN, role="guest")

    assert terms(seat, holder("guest", via="room"), NOW).role is Role.GUEST
    for elsewhere in ("", "gateway"):
        with pytest.raises(PermissionDenied):
            terms(seat, holder("guest", via=elsewhere), NOW)


def test_a_guest_invites_nobody_not_even_through_room() -> None:
    with pytest.raises(PermissionDenied):
        terms(wish(TokenKind.INVITE, role="guest"), holder("guest", via="room"), NOW)


def test_a_hosts_link_invites_others_but_never_for_longer_than_it_lives_itself() -> None:
    invite = wish(TokenKind.INVITE, role="host", ttl=timedelta(days=30))

    assert terms(invite, holder("host"), NOW).expires_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("role", ["recorder", "prober"])
def test_hidden_seats_are_for_services_on_their_own(role: str) -> None:
    transcoder = Principal(tenant=None, subject="svc:room", role="service", service="room")
    seat = wish(TokenKind.JOIN, role=role)

    assert terms(seat, transcoder, NOW).role == role
    for outsider in (OWNER, holder("host"), replace(OWNER, service="room")):
        with pytest.raises(PermissionDenied):
            terms(seat, outsider, NOW)


def test_media_tokens_travel_in_urls_and_so_may_do_next_to_nothing() -> None:
    for kind, role in (("PLAYBACK", "host"), ("PUBLISH", "host"), ("JOIN", "host")):
        granted = terms(wish(TokenKind[kind], role=role), OWNER, NOW)
        assert granted.permissions <= {"beacons.send", "stage.join", "stage.publish"}


def test_an_invite_may_only_be_traded() -> None:
    granted = terms(wish(TokenKind.INVITE, role="host"), OWNER, NOW)

    assert granted.permissions == {"events.enter", "tokens.issue"}
