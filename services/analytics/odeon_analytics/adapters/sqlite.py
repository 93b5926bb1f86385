"""Beacons and facts in one SQLite file: what `odeon up` starts with.

A row per session is kept up to date beside the beacons, so that a figure costs one pass over
sessions and not over beacons. One thread owns the connection.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from odeon_analytics.domain.audience import SESSION_WINDOW_US, Sessions, rank
from odeon_analytics.domain.beacons import Beacon, Kind
from odeon_analytics.domain.egress import Counter
from odeon_analytics.ports import Fact, StoreUnavailable

T = TypeVar("T")

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS beacons (
  tenant TEXT, event TEXT, session TEXT, sequence INTEGER, at_us INTEGER, kind INTEGER,
  watched_ms INTEGER, stalled_ms INTEGER, startup_ms INTEGER, latency_ms INTEGER,
  protocol TEXT, rendition TEXT, error TEXT,
  PRIMARY KEY (tenant, event, session, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
  tenant TEXT, event TEXT, session TEXT, first_us INTEGER, last_us INTEGER, ended_us INTEGER,
  started INTEGER, framed INTEGER, startup_ms INTEGER, watched_ms INTEGER, stalled_ms INTEGER,
  errors INTEGER, protocol TEXT,
  PRIMARY KEY (tenant, event, session)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
  id TEXT PRIMARY KEY, tenant TEXT, event TEXT, kind TEXT, at_us INTEGER, body TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS facts_by_event ON facts (tenant, event, at_us);
CREATE TABLE IF NOT EXISTS counters (
  edge TEXT, tenant TEXT, event TEXT, run INTEGER, bytes_total INTEGER, at_us INTEGER,
  PRIMARY KEY (tenant, event, edge, run)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS peaks (
  tenant TEXT, event TEXT, viewers INTEGER, PRIMARY KEY (tenant, event)) WITHOUT ROWID;
"""
_ADD_BEACON = "INSERT OR IGNORE INTO beacons VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
_ADD_TO_SESSION = """
INSERT INTO sessions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT DO UPDATE SET
  first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us),
  ended_us = max(ended_us, excluded.ended_us), started = max(started, excluded.started),
  framed = max(framed, excluded.framed), startup_ms = max(startup_ms, excluded.startup_ms),
  watched_ms = watched_ms + excluded.watched_ms, stalled_ms = stalled_ms + excluded.stalled_ms,
  errors = errors + excluded.errors,
  protocol = CASE WHEN excluded.last_us >= last_us THEN excluded.protocol ELSE protocol END
"""
# A session is open until its end was told, or until it has been silent for the window.
_OPEN = "(ended_us < last_us AND last_us + :window > :now)"
_SUMS = f"""
SELECT count(*), coalesce(sum({_OPEN} AND protocol = 'hls'), 0),
  coalesce(sum({_OPEN} AND protocol != 'hls'), 0), coalesce(sum(watched_ms), 0),
  coalesce(sum(stalled_ms), 0), coalesce(sum(started), 0),
  coalesce(sum(started AND NOT framed AND NOT {_OPEN}), 0), coalesce(sum(framed), 0),
  coalesce(sum(errors), 0)
FROM sessions WHERE tenant = :tenant AND event = :event
"""
_PEAK = """
SELECT coalesce(max(open), 0) FROM (
  SELECT sum(step) OVER (ORDER BY at, step) AS open FROM (
    SELECT first_us AS at, 1 AS step FROM sessions WHERE tenant = :tenant AND event = :event
    UNION ALL
    SELECT CASE WHEN ended_us >= last_us THEN ended_us ELSE last_us + :window END, -1
    FROM sessions WHERE tenant = :tenant AND event = :event))
"""
_STARTUP = """
SELECT startup_ms FROM sessions WHERE tenant = :tenant AND event = :event AND framed
ORDER BY startup_ms LIMIT 1 OFFSET :rank
"""


class SqliteStore:
    """Implements `ports.Store` on one file.

    Args:
        path: of the file; its directory is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._database: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        """Open the file and make the tables."""
        await self._run(lambda database: None)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the file."""
        await self._run(lambda database: database.close())
        self._thread.shutdown()

    async def add_beacons(self, beacons: Sequence[Beacon]) -> None:
        """Keep beacons and add the new ones to their sessions, in one transaction."""

        def add(database: sqlite3.Connection) -> None:
            with database:
                for beacon in beacons:
                    if database.execute(_ADD_BEACON, _beacon_row(beacon)).rowcount:
                        database.execute(_ADD_TO_SESSION, _session_row(beacon))

        await self._run(add)

    async def add_facts(self, facts: Sequence[Fact]) -> None:
        """Keep facts."""
        rows = [(f.id, f.tenant, f.event, f.kind, f.at_us, f.body) for f in facts]
        await self._write("INSERT OR IGNORE INTO facts VALUES (?,?,?,?,?,?)", rows)

    async def put_counters(self, counters: Sequence[Counter]) -> None:
        """Replace egress counters."""
        rows = [(c.edge, c.tenant, c.event, c.run, c.bytes_total, c.at_us) for c in counters]
        await self._write("INSERT OR REPLACE INTO counters VALUES (?,?,?,?,?,?)", rows)

    async def counters(self) -> Sequence[Counter]:
        """Newest runs."""
        sql = (
            "SELECT edge, tenant, event, max(run), bytes_total, at_us FROM counters"
            " GROUP BY tenant, event, edge"
        )
        rows = await self._run(lambda database: database.execute(sql).fetchall())
        return [
            Counter(edge=edge, tenant=tenant, event=event, run=run, bytes_total=total, at_us=at)
            for edge, tenant, event, run, total, at in rows
        ]

    async def egress_bytes(self, tenant: str, event: str) -> int:
        """Summed over edges and their runs."""
        sql = "SELECT coalesce(sum(bytes_total), 0) FROM counters WHERE tenant = ? AND event = ?"
        return int(await self._one(sql, (tenant, event)))

    async def note_peak(self, tenant: str, event: str, viewers: int) -> None:
        """Keep the greatest."""
        sql = (
            "INSERT INTO peaks VALUES (?,?,?)"
            " ON CONFLICT DO UPDATE SET viewers = max(viewers, excluded.viewers)"
        )
        await self._write(sql, [(tenant, event, viewers)])

    async def peak(self, tenant: str, event: str) -> int:
        """The greatest noted."""
        sql = "SELECT coalesce(max(viewers), 0) FROM peaks WHERE tenant = ? AND event = ?"
        return int(await self._one(sql, (tenant, event)))

    async def sessions(self, tenant: str, event: str, *, now_us: int) -> Sessions:
        """Sums, the sweep for the peak, and the two percentiles."""
        scope = {"tenant": tenant, "event": event, "now": now_us, "window": SESSION_WINDOW_US}

        def read(database: sqlite3.Connection) -> Sessions:
            row = database.execute(_SUMS, scope).fetchone()
            seen, hls, other, watched, stalled, starts, exits, framed, errors = row

            def startup(share: float) -> int | None:
                at = {**scope, "rank": rank(framed, share)}
                return int(database.execute(_STARTUP, at).fetchone()[0]) if framed else None

            return Sessions(
                seen=seen,
                hls_now=hls,
                other_now=other,
                peak=database.execute(_PEAK, scope).fetchone()[0],
                watched_ms=watched,
                stalled_ms=stalled,
                starts=starts,
                exits_before_start=exits,
                startup_p50_ms=startup(0.5),
                startup_p95_ms=startup(0.95),
                errors=errors,
            )

        return await self._run(read)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=5.0)
        database.executescript(_SCHEMA)
        return database

    async def _one(self, sql: str, parameters: tuple[Any, ...]) -> Any:
        row = await self._run(lambda database: database.execute(sql, parameters).fetchone())
        return row[0]

    async def _write(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany(sql, rows)

        await self._run(write)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            if self._database is None:
                self._database = self._open()
            return work(self._database)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable("the analytics store does not answer") from error


def _beacon_row(beacon: Beacon) -> tuple[Any, ...]:
    return (
        beacon.tenant, beacon.event, beacon.session, beacon.sequence, beacon.at_us,
        int(beacon.kind), beacon.watched_ms, beacon.stalled_ms, beacon.startup_ms,
        beacon.latency_ms, beacon.protocol, beacon.rendition, beacon.error,
    )  # fmt: skip


def _session_row(beacon: Beacon) -> tuple[Any, ...]:
    framed = beacon.kind is Kind.FIRST_FRAME
    return (
        beacon.tenant, beacon.event, beacon.session, beacon.at_us, beacon.at_us,
        beacon.at_us if beacon.kind is Kind.ENDED else 0,
        beacon.kind is Kind.START_REQUESTED, framed, beacon.startup_ms if framed else 0,
        beacon.watched_ms, beacon.stalled_ms, beacon.kind is Kind.ERROR, beacon.protocol,
    )  # fmt: skip
