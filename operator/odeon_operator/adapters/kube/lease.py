"""Leader election by a Lease of coordination.k8s.io; the rules are in `domain/leadership.py`."""

import asyncio
from datetime import UTC, datetime

from odeon_runtime.logs import logger

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.domain.leadership import Record, Terms, Watch
from odeon_operator.ports import Clock, Outdated, Refused, Unreachable
from odeon_operator.usecases import meters

_FAILURES = (Outdated, Refused, Unreachable)
_log = logger(__name__)


class LeaseLost(Exception):
    """Somebody else may act now; this process must not, and ends."""


class KubeLease:
    """One candidate.

    Args:
        identity: under which it is held. A pod's own name: its container that is started again
            goes on at once, and nobody else can have it.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        terms: Terms | None = None,
    ) -> None:
        self.identity = identity
        self._client = client
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._clock = clock
        self._terms = terms or Terms()
        self._watch = Watch()
        self._raw: Object | None = None
        self._renewed: float | None = None

    @property
    def held(self) -> bool:
        """Whether it was renewed recently enough to act now."""
        return self._renewed is not None and self._age() < self._terms.deadline

    async def acquire(self) -> None:
        """Wait until it is held; as long as that takes, also while the API server is away."""
        waiting = False
        while not await self._attempt():
            if not waiting:
                waiting = True
                holder = self._watch.record.holder if self._watch.record is not None else ""
                _log.info("lease_awaited", holder=holder)
            await asyncio.sleep(self._terms.retry)
        meters.LEADER.set(1)
        _log.info("lease_acquired", identity=self.identity)

    async def keep(self) -> None:
        """Renew it for ever.

        Raises:
            LeaseLost: somebody else has it, or it could not be renewed in time.
        """
        try:
            while True:
                await asyncio.sleep(self._terms.retry)
                await self._attempt()
                record = self._watch.record
                if record is not None and record.holder != self.identity:
                    raise LeaseLost(f"{record.holder or 'nobody'} has it")
                if not self.held:
                    raise LeaseLost(f"not renewed for {self._age():.1f} s")
        finally:
            meters.LEADER.set(0)
            self._renewed = self._renewed if self.held else None

    async def release(self) -> None:
        """Give it back, so that a standby need not wait."""
        held, self._renewed = self.held, None
        if held and self._raw is not None:
            self._raw["spec"].update(holderIdentity="", leaseDurationSeconds=1)
            try:
                await self._client.put(f"{self._folder}/{self._name}", self._raw)
            except _FAILURES as error:
                _log.warning("lease_not_released", error=str(error))

    def _age(self) -> float:
        return self._clock.monotonic() - (self._renewed or 0.0)

    async def _attempt(self) -> bool:
        """Take or renew it, if that is allowed; True if it is held by that."""
        # Counted from before the request: others count from when they see it, which is later.
        began = self._clock.monotonic()
        try:
            # Half of it: after one connection that hangs there is time for another.
            async with asyncio.timeout(self._terms.deadline / 2):
                if self._raw is None or not self.held:
                    await self._look()
                if not self._watch.may_take(self.identity, self._clock.monotonic()):
                    return False
                await self._write()
        except Outdated:
            # Somebody was quicker: look again before the next attempt.
            self._raw = None
            return False
        except (Refused, Unreachable, TimeoutError) as error:
            _log.warning("lease_not_renewed", error=str(error) or type(error).__name__)
            return False
        self._renewed = began
        return True

    async def _look(self) -> None:
        try:
            self._raw = await self._client.get(f"{self._folder}/{self._name}")
        except Outdated:
            self._raw = None
        self._see()

    async def _write(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        old = (self._raw or {}).get("spec") or {}
        mine = old.get("holderIdentity") == self.identity
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "acquireTime": old.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions", 0)) + (bool(old) and not mine),
        }
        if self._raw is None:
            meta = {"name": self._name}
            kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            self._raw = await self._client.post(
                self._folder, {**kind, "metadata": meta, "spec": spec}
            )
        else:
            changed = {**self._raw, "spec": spec}
            self._raw = await self._client.put(f"{self._folder}/{self._name}", changed)
        self._see()

    def _see(self) -> None:
        if self._raw is None:
            record = None
        else:
            spec = self._raw.get("spec") or {}
            record = Record(
                holder=spec.get("holderIdentity") or "",
                duration=float(spec.get("leaseDurationSeconds") or self._terms.duration),
                revision=self._raw["metadata"]["resourceVersion"],
                transitions=int(spec.get("leaseTransitions") or 0),
            )
        self._watch = self._watch.seen(record, self._clock.monotonic())
