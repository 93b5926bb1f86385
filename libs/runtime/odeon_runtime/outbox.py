"""What waits for NATS: facts in their order, and of load reports the newest.

They wait apart: a fact that cannot be stored just now holds back the facts behind it, whose order
means something, but no load report, which placement and steering live on.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

from odeon_runtime import bus_meters as meters

OUTBOX_LIMIT = 100_000
"""Facts that wait at most."""
OUTBOX_BYTES = 256 * 1024 * 1024
"""What they may weigh: half an hour of a busy pod's facts, and far from its memory limit."""
REPORTS_LIMIT = 1_000
"""Load reports that wait, one for each subject: a report is about now, the next one replaces it."""
_OVERHEAD_BYTES = 500
"""A message's objects and headers, besides subject and body."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A message on its way out."""

    subject: str
    body: bytes
    headers: dict[str, str]

    @property
    def weight(self) -> int:
        """Memory that it takes, about, in bytes."""
        return len(self.body) + len(self.subject) + _OVERHEAD_BYTES


class Outbox:
    """Two bounded queues in memory."""

    def __init__(self) -> None:
        self._facts: deque[Message] = deque()
        self._reports: OrderedDict[str, Message] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._facts) + len(self._reports)

    @property
    def first_fact(self) -> Message | None:
        """The fact that is due."""
        return self._facts[0] if self._facts else None

    @property
    def first_report(self) -> Message | None:
        """The report that is due."""
        return next(iter(self._reports.values()), None)

    def add_fact(self, message: Message) -> bool:
        """Queue a fact; False when there is no room for it."""
        full = len(self._facts) >= OUTBOX_LIMIT or self._weight + message.weight > OUTBOX_BYTES
        if not full:
            self._facts.append(message)
            self._weigh(message.weight)
        return not full

    def add_report(self, message: Message) -> None:
        """Queue a report in place of the one before it; the oldest gives way when it is full."""
        if message.subject not in self._reports and len(self._reports) >= REPORTS_LIMIT:
            self._reports.popitem(last=False)
        self._reports[message.subject] = message

    def fact_done(self) -> None:
        """The first fact is out."""
        self._weigh(-self._facts.popleft().weight)

    def report_done(self, message: Message) -> None:
        """This report is out, unless a newer one has replaced it meanwhile."""
        if self._reports.get(message.subject) is message:
            del self._reports[message.subject]

    def _weigh(self, change: int) -> None:
        self._weight += change
        meters.OUTBOX_FACTS.set(len(self._facts))
        meters.OUTBOX_BYTES.set(self._weight)
