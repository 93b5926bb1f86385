import pytest
from odeon_runtime.errors import InvalidArgument, NotFound, PermissionDenied
from odeon_runtime.principal import Principal
from odeon_signaling.domain.grants import PinnedNotAllowed, event_grant, probe_event, probe_grant
from odeon_signaling.domain.sdpfrag import MAX_CANDIDATES, SdpFragment

ALICE = Principal(
    tenant="acme", subject="alice", role="host", event="launch", session_id="s-1", name="Alice"
)


def test_a_token_lets_its_holder_into_its_own_event() -> None:
    grant = event_grant(ALICE, "launch")
    assert (str(grant.key), grant.identity, grant.display_name) == ("acme/launch", "alice", "Alice")


def test_another_event_of_the_tenant_does_not_exist_for_the_holder() -> None:
    with pytest.raises(NotFound):
        event_grant(ALICE, "gala")


def test_a_token_for_no_event_opens_no_stage() -> None:
    with pytest.raises(PermissionDenied):
        event_grant(Principal(tenant="acme", subject="alice", role="host"), "launch")


def test_only_hidden_participants_may_be_pinned() -> None:
    with pytest.raises(PinnedNotAllowed):
        event_grant(ALICE, "").require_pinned(True)
    seat = Principal(tenant="acme", subject="rec", role="recorder", event="launch")
    event_grant(seat, "").require_pinned(True)


def test_guests_wait_for_rooms_word_and_hosts_do_not() -> None:
    guest = Principal(tenant="acme", subject="bob", role="guest", event="launch")
    assert event_grant(ALICE, "").admitted_unasked
    assert not event_grant(guest, "").admitted_unasked


def test_the_prober_enters_the_probe_event_of_this_node_only() -> None:
    prober = Principal(tenant=None, subject="svc:prober", role="service", service="prober")
    assert probe_grant(prober, probe_event("n1"), "n1", "p").key.is_probe
    with pytest.raises(NotFound):
        probe_grant(prober, "launch", "n1", "p")


def test_no_other_service_enters_without_a_join_token() -> None:
    room = Principal(tenant=None, subject="svc:room", role="service", service="room")
    with pytest.raises(PermissionDenied):
        probe_grant(room, probe_event("n1"), "n1", "p")


def test_a_fragment_with_other_credentials_restarts_ice() -> None:
    fragment = SdpFragment.parse("a=ice-ufrag:new1\r\na=ice-pwd:secret\r\nm=audio 9 x 0\r\n")
    assert fragment.restarts("old1")
    assert not fragment.restarts("new1")


def test_candidates_are_read_without_their_prefix() -> None:
    line = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"
    assert SdpFragment.parse(f"a=mid:0\na={line}\n").candidates == (line,)


@pytest.mark.parametrize(
    "text", ["", "v=0\n", "a=candidate:x\n" * (MAX_CANDIDATES + 1), "x" * 20000]
)
def test_a_useless_or_huge_fragment_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        SdpFragment.parse(text)
