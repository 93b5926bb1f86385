"""NATS subjects, built and parsed in this one place.

Facts: odeon.evt.<service>.<noun>.<past participle>.v1.<tenant>.<id>
Work:  odeon.cmd.<service>.<noun>.<verb>.v1.<tenant>.<id>
"""

import re
from dataclasses import dataclass

from odeon_runtime.errors import InvalidArgument

EVENT_STREAM = "ODEON_EVT"
WORK_STREAM = "ODEON_CMD"
DEAD_LETTER_STREAM = "ODEON_DLQ"
DEAD_LETTERS = "odeon.dlq"
"""One subject for all: a letter's headers say where it was for and why it is here."""
ALL_FACTS = "odeon.evt.>"
ALL_WORK = "odeon.cmd.>"
# Load reports are state, not history: core NATS only, outside of the streams' subjects.
ALL_LOAD = "odeon.load.>"
NO_TENANT = "system"

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Subject:
    """A parsed subject."""

    kind: str
    service: str
    noun: str
    verb: str
    tenant: str
    id: str

    def __str__(self) -> str:
        """The subject on the wire."""
        return ".".join(
            ("odeon", self.kind, self.service, self.noun, self.verb, "v1", self.tenant, self.id)
        )

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """Take a subject apart; raises InvalidArgument for any other shape."""
        parts = text.split(".")
        if len(parts) != 8 or parts[0] != "odeon" or parts[5] != "v1":
            raise InvalidArgument(field="subject", problem=f"not a subject of ours: {text[:80]}")
        _, kind, service, noun, verb, _, tenant, id_ = parts
        return cls(kind, service, noun, verb, tenant, id_)


def _build(kind: str, path: str, tenant: str, id_: str) -> str:
    service, noun, verb = path.split(".")
    for token in (tenant, id_):
        if not _TOKEN.fullmatch(token):
            raise InvalidArgument(field="subject", problem=f"bad token {token[:80]!r}")
    return str(Subject(kind, service, noun, verb, tenant, id_))


def fact(path: str, tenant: str, id_: str) -> str:
    """Subject of a fact; `path` is "<service>.<noun>.<past participle>"."""
    return _build("evt", path, tenant, id_)


def work(path: str, tenant: str, id_: str) -> str:
    """Subject of an offer of work; `path` is "<service>.<noun>.<verb>"."""
    return _build("cmd", path, tenant, id_)


def load(path: str, id_: str) -> str:
    """Subject of a load report, e.g. of path "edge.load.reported"."""
    return _build("load", path, NO_TENANT, id_)


JOB_OFFERS = "odeon.cmd.transcoder.job.offer.v1.>"
SESSIONS_REVOKED = "odeon.evt.auth.session.revoked.v1.>"
KEYS_DISTRUSTED = "odeon.evt.auth.signing-key.distrusted.v1.>"
EDGE_LOAD = "odeon.load.edge.load.reported.v1.>"
