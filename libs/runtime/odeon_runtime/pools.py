"""What the pods of a pool and the operator tell each other, in two buckets of NATS KV.

The bodies and the order of a drain are in `proto/odeon/pools/v1/pools.proto`. Both buckets key by
the UID of the pod's Kubernetes object. Whoever comes first makes them; a bucket that is there stays
as it was configured (an operator may have given it replicas).

Reading says `BucketUnknown`, and a watch `Mark.UNKNOWN`, while NATS is away: never "no drain".
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import DecodeError
from odeon.pools.v1 import pools_pb2

from odeon_runtime.bus import Bus
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.kv import Bucket, Entry, Mark
from odeon_runtime.logs import logger

REPORTS_BUCKET = "odeon_pool_reports"
DRAINS_BUCKET = "odeon_pool_drains"
REPORTS_TTL_S = 15.0
"""Seven reports; without any for so long a pod is not heard of."""
_UID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report as it was stored.

    Attributes:
        stored: by the clock of NATS. A watch that begins tells what may be `REPORTS_TTL_S` old.
    """

    report: pools_pb2.PodReport
    revision: int
    stored: datetime


@dataclass(frozen=True, slots=True)
class Drain:
    """What stands under a pod's UID in the bucket of drains.

    Attributes:
        record: None once it was withdrawn. One without `ask_time` cannot be acknowledged: somebody
            else wrote it, or it cannot be read.
    """

    pod_uid: str
    record: pools_pb2.DrainRecord | None
    revision: int


class Reports:
    """Load reports: each pod writes its own, the operator hears all."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, REPORTS_BUCKET, ttl_s=REPORTS_TTL_S, durable=False)

    async def put(self, report: pools_pb2.PodReport) -> None:
        """Store a pod's report in place of the one before.

        Raises:
            BucketUnknown: it is not known to be stored.
        """
        await self._bucket.put(_key(report.pod_uid), report.SerializeToString())

    async def watch(self) -> AsyncGenerator[StoredReport | Mark, None]:
        """The reports that stand, CURRENT, and then each one as it comes; for ever.

        One that vanishes after its time is not told; it is too old by then.
        """
        async with aclosing(self._bucket.watch()) as telling:
            async for told in telling:
                if isinstance(told, Mark):
                    yield told
                elif (stored := _report(told)) is not None:
                    yield stored


class Drains:
    """Drain records: the operator writes and withdraws, each pod obeys its own."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, DRAINS_BUCKET)

    async def ask(self, pod_uid: str, record: pools_pb2.DrainRecord) -> None:
        """Ask a pod to take no new work; in place of an earlier record, which is then not obeyed.

        Raises:
            BucketUnknown: it is not known to be stored; ask again with the same record.
            InvalidArgument: the record has no `ask_time`.
        """
        if not record.HasField("ask_time"):
            raise InvalidArgument(field="ask_time", problem="a drain is named by it")
        await self._bucket.put(_key(pod_uid), record.SerializeToString())

    async def withdraw(self, pod_uid: str) -> None:
        """Let a pod take work again, or forget one that is gone. Repeating it is harmless.

        It leaves a marker for a day. Pods go by the marker, not by the absence of a record, so that
        a bucket that was lost frees none: withdraw again what a pod obeys and nobody asks of it.

        Raises:
            BucketUnknown: it is not known to be withdrawn.
        """
        await self._bucket.remove(_key(pod_uid))

    async def of(self, pod_uid: str) -> Drain | None:
        """What stands for a pod; None when there is no trace of a record.

        Raises:
            BucketUnknown: it may be there or not.
        """
        entry = await self._bucket.get(_key(pod_uid))
        return None if entry is None else _drain(entry)

    async def watch(self, pod_uid: str = "") -> AsyncGenerator[Drain | Mark, None]:
        """What stands, of all pods or of one, CURRENT, and then every change; for ever."""
        key = _key(pod_uid) if pod_uid else ">"
        async with aclosing(self._bucket.watch(key)) as telling:
            async for told in telling:
                yield told if isinstance(told, Mark) else _drain(told)


def _key(pod_uid: str) -> str:
    if not _UID.fullmatch(pod_uid):
        raise InvalidArgument(field="pod_uid", problem=f"not a UID: {pod_uid[:80]!r}")
    return pod_uid


def _report(entry: Entry) -> StoredReport | None:
    """None for what is no report of this pod: it stays unknown."""
    try:
        report = pools_pb2.PodReport.FromString(entry.value or b"")
    except DecodeError:
        report = pools_pb2.PodReport()
    if report.pod_uid != entry.key:
        if entry.value is not None:
            _log.warning("pool_report_unreadable", pod_uid=entry.key)
        return None
    return StoredReport(report, entry.revision, entry.stored)


def _drain(entry: Entry) -> Drain:
    if entry.value is None:
        return Drain(entry.key, None, entry.revision)
    try:
        record = pools_pb2.DrainRecord.FromString(entry.value)
    except DecodeError:
        _log.warning("pool_drain_unreadable", pod_uid=entry.key)
        record = pools_pb2.DrainRecord()
    return Drain(entry.key, record, entry.revision)
