"""Beacons and facts in ClickHouse: one schema and one set of queries, two ways to run them.

A repeated row has one effect because ReplacingMergeTree keeps one row per sorting key and reads say
FINAL. `ChDb` runs the engine inside this process, `ClickHouseServer` talks to a server.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from odeon_analytics.domain.audience import SESSION_WINDOW_US, Sessions
from odeon_analytics.domain.beacons import Beacon, Kind
from odeon_analytics.domain.egress import Counter
from odeon_analytics.ports import Fact, StoreUnavailable

T = TypeVar("T")
Row = Mapping[str, Any]

_TSV = str.maketrans({"\\": r"\\", "\n": r"\n", "\t": r"\t", "\0": r"\0"})
_TABLES = (
    """CREATE TABLE IF NOT EXISTS beacons (
  tenant LowCardinality(String), event LowCardinality(String), session String, sequence UInt64,
  at_us Int64, kind UInt8, watched_ms Int64, stalled_ms Int64, startup_ms Int64, latency_ms Int64,
  protocol LowCardinality(String), rendition LowCardinality(String), error String)
ENGINE = ReplacingMergeTree ORDER BY (tenant, event, session, sequence)""",
    """CREATE TABLE IF NOT EXISTS facts (
  id String, tenant LowCardinality(String), event LowCardinality(String),
  kind LowCardinality(String), at_us Int64, body String)
ENGINE = ReplacingMergeTree ORDER BY (tenant, event, id)""",
    """CREATE TABLE IF NOT EXISTS counters (
  edge String, tenant LowCardinality(String), event LowCardinality(String), run UInt32,
  bytes_total UInt64, at_us Int64)
ENGINE = ReplacingMergeTree(at_us) ORDER BY (tenant, event, edge, run)""",
    """CREATE TABLE IF NOT EXISTS peaks (
  tenant LowCardinality(String), event LowCardinality(String), viewers UInt64)
ENGINE = ReplacingMergeTree(viewers) ORDER BY (tenant, event)""",
)
_SCOPE = "tenant = {tenant:String} AND event = {event:String}"
_SESSIONS = f"""
SELECT session, min(at_us) AS first_us, max(at_us) AS last_us,
  maxIf(at_us, kind = {Kind.ENDED:d}) AS ended_us, max(kind = {Kind.START_REQUESTED:d}) AS started,
  max(kind = {Kind.FIRST_FRAME:d}) AS framed,
  maxIf(startup_ms, kind = {Kind.FIRST_FRAME:d}) AS startup,
  sum(watched_ms) AS watched, sum(stalled_ms) AS stalled, countIf(kind = {Kind.ERROR:d}) AS failed,
  argMax(protocol, at_us) AS last_protocol,
  ended_us < last_us AND last_us + {{window:Int64}} > {{now:Int64}} AS is_open
FROM beacons FINAL WHERE {_SCOPE} GROUP BY session
"""
_SUMS = f"""
SELECT count() AS seen, countIf(is_open AND last_protocol = 'hls') AS hls_now,
  countIf(is_open AND last_protocol != 'hls') AS other_now, sum(watched) AS watched_ms,
  sum(stalled) AS stalled_ms, countIf(started) AS starts,
  countIf(started AND NOT framed AND NOT is_open) AS exits_before_start, sum(failed) AS errors,
  arraySort(groupArrayIf(startup, framed)) AS startups, length(startups) AS framed_sessions,
  startups[greatest(1, toUInt64(ceil(0.5 * framed_sessions)))] AS p50,
  startups[greatest(1, toUInt64(ceil(0.95 * framed_sessions)))] AS p95
FROM ({_SESSIONS})
"""
_PEAK = f"""
SELECT max(open) AS peak FROM (
  SELECT sum(step) OVER (ORDER BY at, step RANGE UNBOUNDED PRECEDING) AS open FROM (
    SELECT first_us AS at, toInt64(1) AS step FROM ({_SESSIONS})
    UNION ALL
    SELECT if(ended_us >= last_us, ended_us, last_us + {{window:Int64}}), toInt64(-1)
    FROM ({_SESSIONS})))
"""


class Engine(Protocol):
    """Runs statements; every failure is a StoreUnavailable."""

    async def __aenter__(self) -> Self:
        """Connect."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        ...

    async def execute(self, sql: str) -> None:
        """A statement without a result."""
        ...

    async def insert(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows."""
        ...

    async def query(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        """Rows of a SELECT; parameters appear in it as {name:Type}."""
        ...


class ClickHouseStore:
    """Implements `ports.Store` on either engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __aenter__(self) -> Self:
        """Connect and make the tables."""
        await self._engine.__aenter__()
        for table in _TABLES:
            await self._engine.execute(table)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the engine."""
        await self._engine.__aexit__(*exc)

    async def add_beacons(self, beacons: Sequence[Beacon]) -> None:
        """Keep beacons."""
        await self._engine.insert("beacons", [_row(beacon) for beacon in beacons])

    async def add_facts(self, facts: Sequence[Fact]) -> None:
        """Keep facts."""
        await self._engine.insert("facts", [_row(fact) for fact in facts])

    async def put_counters(self, counters: Sequence[Counter]) -> None:
        """Replace egress counters."""
        await self._engine.insert("counters", [_row(counter) for counter in counters])

    async def counters(self) -> Sequence[Counter]:
        """Newest runs."""
        sql = (
            "SELECT * FROM counters FINAL ORDER BY tenant, event, edge, run DESC"
            " LIMIT 1 BY tenant, event, edge"
        )
        return [
            Counter(
                edge=row["edge"],
                tenant=row["tenant"],
                event=row["event"],
                run=int(row["run"]),
                bytes_total=int(row["bytes_total"]),
                at_us=int(row["at_us"]),
            )
            for row in await self._engine.query(sql, {})
        ]

    async def egress_bytes(self, tenant: str, event: str) -> int:
        """Summed over edges and their runs."""
        sql = f"SELECT sum(bytes_total) AS n FROM counters FINAL WHERE {_SCOPE}"
        return await self._number(sql, tenant, event)

    async def note_peak(self, tenant: str, event: str, viewers: int) -> None:
        """Keep the greatest."""
        await self._engine.insert("peaks", [{"tenant": tenant, "event": event, "viewers": viewers}])

    async def peak(self, tenant: str, event: str) -> int:
        """The greatest noted."""
        return await self._number(
            f"SELECT max(viewers) AS n FROM peaks WHERE {_SCOPE}", tenant, event
        )

    async def sessions(self, tenant: str, event: str, *, now_us: int) -> Sessions:
        """Sums with percentiles, and the sweep for the peak."""
        scope = {"tenant": tenant, "event": event, "now": now_us, "window": SESSION_WINDOW_US}
        (row,) = await self._engine.query(_SUMS, scope)
        (peak,) = await self._engine.query(_PEAK, scope)
        framed = int(row["framed_sessions"])
        return Sessions(
            seen=int(row["seen"]),
            hls_now=int(row["hls_now"]),
            other_now=int(row["other_now"]),
            peak=int(peak["peak"]),
            watched_ms=int(row["watched_ms"]),
            stalled_ms=int(row["stalled_ms"]),
            starts=int(row["starts"]),
            exits_before_start=int(row["exits_before_start"]),
            startup_p50_ms=int(row["p50"]) if framed else None,
            startup_p95_ms=int(row["p95"]) if framed else None,
            errors=int(row["errors"]),
        )

    async def _number(self, sql: str, tenant: str, event: str) -> int:
        (row,) = await self._engine.query(sql, {"tenant": tenant, "event": event})
        return int(row["n"])


class ChDb:
    """ClickHouse inside this process. One thread owns it; opened at the first use of the store.

    Args:
        path: directory of its data.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chdb")
        self._session: Any = None

    async def __aenter__(self) -> Self:
        """Load the engine (half a second) and open the directory."""
        await self._run(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the directory."""
        await self._run(lambda: self._session.close())
        self._thread.shutdown()

    async def execute(self, sql: str) -> None:
        """A statement without a result."""
        await self._run(lambda: self._session.query(sql))

    async def insert(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows."""
        if not rows:
            return
        lines = "\n".join(json.dumps(row) for row in rows)
        sql = f"INSERT INTO {table} FORMAT JSONEachRow {lines}"
        await self._run(lambda: self._session.query(sql))

    async def query(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        """Rows of a SELECT."""
        # The engine reads parameters as fields of a tab-separated file.
        fields = {k: v.translate(_TSV) if isinstance(v, str) else v for k, v in parameters.items()}

        def run() -> Sequence[Row]:
            result = self._session.query(sql, "JSON", params=fields)
            rows: Sequence[Row] = json.loads(str(result))["data"]
            return rows

        return await self._run(run)

    def _open(self) -> None:
        from chdb import session

        self._path.mkdir(parents=True, exist_ok=True)
        made: Any = session
        self._session = made.Session(str(self._path))
        self._session.query("CREATE DATABASE IF NOT EXISTS odeon")
        self._session.query("USE odeon")

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (RuntimeError, OSError, ValueError) as error:
            raise StoreUnavailable(f"chDB refused: {str(error)[:200]}") from error


class ClickHouseServer:
    """A ClickHouse server by URL, e.g. "clickhouse://user:secret@host:8123/odeon"."""

    def __init__(self, url: str) -> None:
        self._dsn = url
        self._client: Any = None

    async def __aenter__(self) -> Self:
        """Connect."""
        import clickhouse_connect

        try:
            self._client = await clickhouse_connect.get_async_client(dsn=self._dsn)
        except Exception as error:
            raise StoreUnavailable("ClickHouse does not answer") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.close()

    async def execute(self, sql: str) -> None:
        """A statement without a result."""
        await self._guarded(self._client.command(sql))

    async def insert(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows; the server gathers small inserts and answers when they are stored."""
        if not rows:
            return
        names = list(rows[0])
        data = [[row[name] for name in names] for row in rows]
        settings = {"async_insert": 1, "wait_for_async_insert": 1}
        await self._guarded(self._client.insert(table, data, column_names=names, settings=settings))

    async def query(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        """Rows of a SELECT."""
        result = await self._guarded(self._client.query(sql, parameters=dict(parameters)))
        rows: Sequence[Row] = list(result.named_results())
        return rows

    @staticmethod
    async def _guarded(call: Any) -> Any:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            return await call
        except (ClickHouseError, OSError, TimeoutError) as error:
            raise StoreUnavailable("ClickHouse does not answer") from error


def _row(item: Beacon | Fact | Counter) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in type(item).__dataclass_fields__}
    return {name: int(v) if isinstance(v, Kind) else v for name, v in values.items()}
