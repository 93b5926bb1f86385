from hypothesis import given
from hypothesis import strategies as st
from odeon_signaling.domain.offers import OfferFlow


def test_nothing_is_offered_before_something_changed() -> None:
    assert not OfferFlow().may_send(0.0)


def test_changes_during_an_unanswered_offer_wait_for_its_answer() -> None:
    flow = OfferFlow().changed().sent(1.0).changed()
    assert not flow.may_send(2.0)
    assert flow.answered().may_send(2.0)


def test_an_answer_to_an_older_offer_is_not_accepted() -> None:
    flow = OfferFlow().changed().sent(1.0)
    again = flow.sent(1.5)
    assert not again.accepts(flow.revision)
    assert again.accepts(again.revision)


def test_an_offer_that_is_never_answered_is_replaced() -> None:
    flow = OfferFlow().changed().sent(1.0)
    assert not flow.may_send(1.0 + flow.ANSWER_WITHIN_S - 0.1)
    assert flow.may_send(1.0 + flow.ANSWER_WITHIN_S)


@given(st.lists(st.sampled_from(["change", "send", "answer"]), max_size=60))
def test_at_most_one_offer_is_outstanding_and_no_change_is_forgotten(steps: list[str]) -> None:
    flow, unsaid, sent = OfferFlow(), False, 0
    for step in steps:
        if step == "change":
            flow, unsaid = flow.changed(), True
        elif step == "send" and flow.may_send(0.0):
            assert not flow.outstanding
            flow, unsaid, sent = flow.sent(0.0), False, sent + 1
        elif step == "answer" and flow.accepts(sent):
            flow = flow.answered()
    assert flow.revision == sent
    assert not unsaid or flow.answered().may_send(0.0)
