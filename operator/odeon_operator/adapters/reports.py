"""`ports.Reports` over NATS KV: what pods say, and the drain records.

The bucket's helpers never let "not known" pass for "not there"; neither does this.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from odeon.pools.v1 import pools_pb2
from odeon_runtime import pools
from odeon_runtime.bus import Bus
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.kv import BucketUnknown, Mark
from odeon_runtime.logs import logger

from odeon_operator.domain.reports import Report
from odeon_operator.domain.sight import DrainRecord, Heard, Readings
from odeon_operator.ports import Clock, Outdated, Unreachable

_NEVER = datetime.fromtimestamp(0, UTC)
"""Names a drain that cannot be acknowledged, because its record does not say when it was asked."""
_AGE_OF_FOUND = timedelta(seconds=pools.REPORTS_TTL_S)
"""What stands when a watch begins may be as old as it can be; the next report is 2 s away."""
_log = logger(__name__)


class KvReports:
    """What one operator knows of both buckets.

    Args:
        changed: called with the uid of a pod of which something new was heard.
    """

    def __init__(
        self, bus: Bus, *, identity: str, clock: Clock, changed: Callable[[str], None]
    ) -> None:
        self._reports = pools.Reports(bus)
        self._drains = pools.Drains(bus)
        self._identity = identity
        self._clock = clock
        self._changed = changed
        self._readings: dict[str, Readings] = {}
        self._places: dict[str, tuple[int, datetime]] = {}
        self._records: dict[str, DrainRecord] = {}
        self._current = {"reports": False, "drains": False}

    async def follow_reports(self) -> None:
        """Hear all reports, for ever."""
        async with aclosing(self._reports.watch()) as telling:
            async for told in telling:
                if isinstance(told, Mark):
                    self._current["reports"] = told is Mark.CURRENT
                else:
                    self._hear(told)

    async def follow_drains(self) -> None:
        """Hear all drain records, for ever."""
        found: dict[str, DrainRecord] = {}
        async with aclosing(self._drains.watch()) as telling:
            async for told in telling:
                if told is Mark.UNKNOWN:
                    self._current["drains"] = False
                    found = {}
                elif told is Mark.CURRENT:
                    # What stood before and was not told again is gone, with its bucket perhaps.
                    self._replace(found)
                    self._current["drains"] = True
                elif isinstance(told, pools.Drain):
                    _keep(self._records if self._current["drains"] else found, told)
                    self._changed(told.pod_uid)

    @property
    def current(self) -> bool:
        """See `ports.Reports`."""
        return all(self._current.values())

    def readings(self, uid: str) -> Readings:
        """See `ports.Reports`."""
        return self._readings.get(uid, _NOTHING)

    def drain(self, uid: str) -> DrainRecord | None:
        """See `ports.Reports`."""
        return self._records.get(uid)

    async def ask_drain(self, uid: str, *, asked: datetime, reason: str) -> DrainRecord:
        """See `ports.Reports`."""
        standing = await self._of(uid)
        if standing is None:
            standing = DrainRecord(asked, reason)
            await self._put(uid, standing)
        self._records[uid] = standing
        return standing

    async def ask_hand_over(self, uid: str, record: DrainRecord) -> DrainRecord:
        """See `ports.Reports`."""
        if not await self.stands(uid, record):
            raise Outdated(f"another drain of {uid} stands")
        more = replace(record, hand_over=True)
        await self._put(uid, more)
        self._records[uid] = more
        return more

    async def _put(self, uid: str, record: DrainRecord) -> None:
        when = Timestamp()
        when.FromDatetime(record.asked)
        body = pools_pb2.DrainRecord(
            ask_time=when,
            reason=record.reason,
            asked_by=self._identity,
            hand_over=record.hand_over,
        )
        try:
            await self._drains.ask(uid, body)
        except BucketUnknown as error:
            raise Unreachable(str(error)) from error

    async def stands(self, uid: str, record: DrainRecord) -> bool:
        """See `ports.Reports`."""
        found = await self._of(uid)
        return found is not None and found.asked == record.asked

    async def withdraw_drain(self, uid: str, record: DrainRecord) -> None:
        """See `ports.Reports`."""
        if not await self.stands(uid, record):
            raise Outdated(f"another drain of {uid} stands")
        await self.forget(uid)

    async def forget(self, uid: str) -> None:
        """See `ports.Reports`."""
        try:
            await self._drains.withdraw(uid)
        except BucketUnknown as error:
            raise Unreachable(str(error)) from error
        self._records.pop(uid, None)

    def orphans(self, alive: Collection[str]) -> Sequence[str]:
        """See `ports.Reports`. What pods said that are gone is forgotten, too."""
        for uid in [uid for uid in self._readings if uid not in alive]:
            latest = self._readings[uid].latest
            if latest is None or self._clock.now() - latest.report.at > _AGE_OF_FOUND:
                del self._readings[uid], self._places[uid]
        return [uid for uid in self._records if uid not in alive]

    async def _of(self, uid: str) -> DrainRecord | None:
        try:
            found = await self._drains.of(uid)
        except BucketUnknown as error:
            raise Unreachable(str(error)) from error
        return _record(found) if found is not None else None

    def _replace(self, found: dict[str, DrainRecord]) -> None:
        for uid in self._records.keys() ^ found.keys():
            self._changed(uid)
        self._records = dict(found)

    def _hear(self, told: pools.StoredReport) -> None:
        uid, place = told.report.pod_uid, (told.revision, told.stored)
        if self._places.get(uid) == place:
            # Told again as a watch began anew; it is no second reading.
            return
        now = self._clock.now()
        at = now if self._current["reports"] else now - _AGE_OF_FOUND
        try:
            heard = _heard(told.report, at)
        except InvalidArgument as error:
            _log.warning("pool_report_impossible", pod_uid=uid, error=str(error))
            return
        before = self._readings.get(uid, _NOTHING)
        self._readings[uid], self._places[uid] = before.then(heard), place
        if uid in self._records or _is_news(before.latest, heard):
            self._changed(uid)


_NOTHING = Readings()


def _heard(report: pools_pb2.PodReport, at: datetime) -> Heard:
    obeys = None
    if report.HasField("obeyed_drain_time"):
        obeys = report.obeyed_drain_time.ToDatetime(UTC)
    return Heard(
        Report(
            at,
            sessions=report.sessions,
            reserved=report.reserved,
            slots=report.slots_used,
            viewers=report.viewers,
            egress_mbps=report.egress_bps / 1e6,
            obeys=obeys,
        ),
        run=report.run_id,
        ready=report.ready,
        slots_total=report.slots_total,
    )


def _is_news(before: Heard | None, heard: Heard) -> bool:
    """Whether anything but the time differs."""
    if before is None:
        return True
    return replace(heard, report=replace(heard.report, at=before.report.at)) != before


def _keep(records: dict[str, DrainRecord], told: pools.Drain) -> None:
    record = _record(told)
    if record is None:
        records.pop(told.pod_uid, None)
    else:
        records[told.pod_uid] = record


def _record(told: pools.Drain) -> DrainRecord | None:
    if told.record is None:
        return None
    when = told.record.ask_time.ToDatetime(UTC) if told.record.HasField("ask_time") else _NEVER
    return DrainRecord(when, told.record.reason, told.record.hand_over)
