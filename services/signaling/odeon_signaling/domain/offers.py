"""Server offers: at most one is unanswered per subscriber, however fast tracks come and go."""

from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class OfferFlow:
    """Where the negotiation of one subscribe connection stands.

    Attributes:
        revision: of the last offer sent; 0 before the first.
        outstanding: the last offer has no answer yet.
        due: something changed that no offer says yet.
        sent_s: when the last offer was sent, monotonic seconds.
    """

    revision: int = 0
    outstanding: bool = False
    due: bool = False
    sent_s: float = 0.0

    ANSWER_WITHIN_S: ClassVar[float] = 10.0

    def changed(self) -> "OfferFlow":
        """Something must be negotiated."""
        return replace(self, due=True)

    def may_send(self, now_s: float) -> bool:
        """Whether the next offer goes out now; one that is never answered is replaced in time."""
        if not self.outstanding:
            return self.due
        return now_s - self.sent_s >= self.ANSWER_WITHIN_S

    def sent(self, now_s: float) -> "OfferFlow":
        """An offer went out with everything in it."""
        return replace(self, revision=self.revision + 1, outstanding=True, due=False, sent_s=now_s)

    def settled(self) -> "OfferFlow":
        """There was nothing to offer after all."""
        return replace(self, due=False)

    def accepts(self, revision: int) -> bool:
        """Whether an answer of this revision is the one waited for; older ones are ignored."""
        return self.outstanding and revision == self.revision

    def answered(self) -> "OfferFlow":
        """The outstanding offer was answered."""
        return replace(self, outstanding=False)

    def resumed(self) -> "OfferFlow":
        """The client's stage connection broke and is back: what was unanswered is offered anew."""
        return replace(self, outstanding=False, due=self.due or self.outstanding)
