"""What the use cases need of the outside world; implemented in `adapters`."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from odeon_transcoder import messages


class Unreachable(Exception):
    """A peer does not answer now; trying again later may help."""


class JobNotOurs(Exception):
    """Another worker has the job, or nobody needs it any more."""


class TimelineHeld(Exception):
    """The present owner of a timeline still gives signs of life."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("held")
        self.retry_after_s = retry_after_s


class TimelineUnwritten(Exception):
    """There are no renditions yet that one could go on with."""


class TimelineRefused(Exception):
    """The recorder will never grant this, or has granted a higher epoch to somebody else."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StageClosed(Exception):
    """A node ended or refused a stage connection."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Outcome(Enum):
    """How a job is given back."""

    DONE = "done"
    FAILED = "failed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A claimed job as it should run now."""

    job: str
    """Resource name."""
    tenant: str
    event: str
    """Event id, without its collection."""
    claim: int
    profile: str
    layout: messages.Layout
    node_address: str
    join_token: str
    cancelled: bool = False
    slots: int = 1

    @property
    def job_id(self) -> str:
        """The id without its collection."""
        return self.job.removeprefix("jobs/")


class Rooms(Protocol):
    """The truth about jobs."""

    async def claim(self, job: str, worker: str) -> Assignment:
        """Take a job, or get its join token anew. Raises JobNotOurs, Unreachable."""

    async def renew(self, assignment: Assignment, worker: str, status: str) -> Assignment:
        """Keep a claim. Raises JobNotOurs, Unreachable."""

    async def finish(
        self, assignment: Assignment, worker: str, outcome: Outcome, detail: str
    ) -> None:
        """Give a job back. Raises JobNotOurs, Unreachable."""

    def watch(self, assignment: Assignment, worker: str) -> AsyncIterator[Assignment]:
        """The job whenever it changes. Raises JobNotOurs, Unreachable."""


class Timelines(Protocol):
    """Who may write an event's timeline."""

    async def acquire(
        self, assignment: Assignment, owner: str, renditions: tuple[messages.Rendition, ...]
    ) -> messages.Granted:
        """Get a new epoch with these renditions, or with those that are there.

        Raises:
            TimelineHeld, TimelineUnwritten, TimelineRefused, Unreachable.
        """

    async def heartbeat(self, assignment: Assignment, owner: str, epoch: int) -> None:
        """Keep an epoch. Raises TimelineRefused, Unreachable."""


class StageConnection(Protocol):
    """A seat on a stage."""

    def commands(self) -> AsyncIterator[messages.Command]:
        """What the job process should know. Raises StageClosed, Unreachable."""

    def answer(self, answer: messages.Answer) -> None:
        """Answer an offer."""

    def want_layer(self, want: messages.WantLayer) -> None:
        """Ask for a simulcast layer."""


class Stages(Protocol):
    """The signaling nodes."""

    def open(self, node: str, join_token: str) -> AbstractAsyncContextManager[StageConnection]:
        """Join as a hidden participant."""


class JobProcess(Protocol):
    """A process that does a job's media work."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""

    def send(self, command: messages.Command) -> None:
        """Send a command; one to a dead process is lost."""

    def reports(self) -> AsyncIterator[messages.Report]:
        """Its reports until its end."""

    async def kill(self) -> None:
        """End it at once and wait for it."""


class JobProcesses(Protocol):
    """Starts job processes."""

    async def start(self) -> JobProcess:
        """A process that said hello. Raises Unreachable when it never did."""


class Offer(Protocol):
    """An offer of work from the queue."""

    @property
    def job(self) -> str:
        """Resource name of the offered job."""

    @property
    def slots(self) -> int:
        """How many slots it takes."""

    async def done(self) -> None:
        """Claimed, or nothing to do any more."""

    async def again(self, delay_s: float) -> None:
        """Not for us now."""


class Offers(Protocol):
    """The work queue."""

    async def next(self) -> Offer | None:
        """The next offer, None after a while without one."""

    async def put_back(self) -> None:
        """After `next` was cancelled: wait for nothing, and leave what came to others."""


class Tokens(Protocol):
    """Service tokens for uploads."""

    async def get(self) -> str:
        """A token that is good for some minutes. Raises Unreachable."""


class Memory(Protocol):
    """Remembers over a restart which jobs were running."""

    def recall(self) -> list[str]:
        """Names of jobs."""

    def keep(self, jobs: Iterable[str]) -> None:
        """Remember exactly these."""
