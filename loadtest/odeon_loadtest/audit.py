"""What an API server logged of the operator's writes, and when."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_OPERATOR = "odeon-operator"


@dataclass(frozen=True, slots=True)
class Write:
    """One write that the API server accepted.

    Attributes:
        at: when the request came, UTC.
        verb: e.g. "create", "patch", "delete".
        resource: plural, e.g. "pods".
    """

    at: datetime
    verb: str
    resource: str
    namespace: str
    name: str


class AuditLog:
    """Reads what was added since it was read last."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._rest = b""

    def news(self) -> list[Write]:
        """Accepted writes of the operator since the last call, leases apart."""
        return [write for write in self._lines() if write.resource != "leases"]

    def _lines(self) -> Iterator[Write]:
        with self._file.open("rb") as log:
            log.seek(self._read)
            raw = self._rest + log.read()
            self._read = log.tell()
        *whole, self._rest = raw.split(b"\n")
        for line in whole:
            entry = json.loads(line)
            if entry["userAgent"].startswith(_OPERATOR) and _accepted(entry):
                where = entry["objectRef"]
                yield Write(
                    datetime.fromisoformat(entry["requestReceivedTimestamp"]),
                    entry["verb"],
                    where["resource"],
                    where.get("namespace", ""),
                    where.get("name", ""),
                )


def _accepted(entry: dict[str, dict[str, int]]) -> bool:
    return entry.get("responseStatus", {}).get("code", 500) < 300
