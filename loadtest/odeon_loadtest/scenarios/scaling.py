"""What the operator does on a real API server: how soon, how much, at which price, and to whom.

A control plane, a NATS server and the operator run as processes of their own. Pods run no
container: their agents are real (podsim), and what a kubelet does is done to them (`kubelets.py`).
Times are those of the audit log and of NATS, not of the operator's own account.

1. One more slot is taken, again and again: how soon a pod is asked for.
2. A hundred more pods are wanted at once.
3. Many pools at rest: memory, and what is written although nothing changes.
4. Load that comes and goes while pods are drained and deleted, processes restart, and the operator
   is killed: whose session was cut?
"""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from odeon_runtime.bus import Bus
from odeon_runtime.pools import Reports, StoredReport
from odeon_runtime.tasks import EternalTasks
from odeon_testkit.go_programs import GoMissing
from odeon_testkit.kube.api import KubeApi
from odeon_testkit.kube.control_plane import ControlPlane, control_plane
from odeon_testkit.kube.programs import CONTROL_PLANE
from odeon_testkit.nats import nats_server
from odeon_testkit.operated import OperatorProcess, policy_manifest, pool_manifest

from odeon_loadtest.audit import AuditLog, Write
from odeon_loadtest.cpu import cpu_seconds
from odeon_loadtest.kubelets import Kubelets, PodSim, kubelets, podsim
from odeon_loadtest.processes import Missing
from odeon_loadtest.report import Bar, Report, percentile

_SLOTS = 1
_SEED = 20261123
_BURST = 100
_LONG_S = 100_000.0
_SHORT_S = 1.0
_SHORT_LEASE = {"DURATION_S": "4", "DEADLINE_S": "3", "RETRY_S": "0.5"}
"""Under which a successor acts soon; also under load of two cores it is renewed in time."""
_EAGER = {"behavior": {"scaleIn": {"stabilizationWindowSeconds": 0, "tolerance": 0}}}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; times in seconds."""

    steps: int
    bursts: int
    pools: int
    pods_each: int
    quiet_s: int
    rest_s: float
    scale_ins: int
    kills: int


FULL = Size(
    steps=100, bursts=10, pools=200, pods_each=10, quiet_s=35, rest_s=60, scale_ins=300, kills=20
)
QUICK = Size(steps=6, bursts=1, pools=10, pods_each=5, quiet_s=5, rest_s=5, scale_ins=8, kills=1)


@dataclass(slots=True)
class Site:
    """Everything that runs."""

    plane: ControlPlane
    api: KubeApi
    nats_url: str
    operator: OperatorProcess
    audit: AuditLog
    heard: list[StoredReport] = field(default_factory=list)

    def pool(self, namespace: str, name: str, **spec: object) -> None:
        """A pool with a policy that follows at once."""
        self.api.apply(policy_manifest("eager", namespace, **_EAGER, buffer=1))
        given = {"policyRef": {"name": "eager"}, "slotsPerPod": _SLOTS, **spec}
        self.api.apply(pool_manifest(name, namespace, **given))

    def change(self, namespace: str, name: str, **spec: object) -> None:
        """Change a pool's spec."""
        self.api.patch(pool_manifest(name, namespace), {"spec": spec})

    def drop(self, namespace: str, name: str) -> None:
        """Delete a pool; its pods are collected."""
        self.api.delete(pool_manifest(name, namespace))


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    report = Report("scaling", quick=quick)
    await measure_as(QUICK if quick else FULL, report)
    return report


async def measure_as(size: Size, report: Report) -> None:
    """Measure so much of everything.

    Raises:
        Missing: the API server is not built, and cannot be.
    """
    try:
        await asyncio.to_thread(CONTROL_PLANE.build)
    except GoMissing as missing:
        raise Missing(str(missing)) from missing
    with tempfile.TemporaryDirectory(prefix="odeon-scaling-") as folder:
        async with _site(Path(folder)) as site:
            async with _pods(site, session_s=_LONG_S) as (pods, sim):
                await _decisions(report, site, pods, sim, size)
                await _bursts(report, site, pods, size)
                await _at_rest(report, site, pods, size)
            await _short_lease(site, Path(folder))
            async with _pods(site, session_s=_SHORT_S) as (pods, sim):
                await _races(report, site, pods, sim, size)
    report.notes.append(
        "pods run no container: real agents, bound and started as a kubelet does it"
    )


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        nats = stack.enter_context(nats_server())
        plane = stack.enter_context(control_plane())
        api = stack.enter_context(plane.api())
        operator = OperatorProcess(plane, nats.url, folder, ODEON_OPERATOR_IDENTITY="operator")
        stack.callback(lambda: site.operator.kill())
        site = Site(plane, api, nats.url, operator, AuditLog(plane.audit_log))
        bus = await stack.enter_async_context(Bus(nats.url, name="loadtest"))
        await bus.connected.wait()
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("reports", _listen(site, Reports(bus)))
        await asyncio.to_thread(operator.start)
        yield site


async def _short_lease(site: Site, folder: Path) -> None:
    """Another operator takes over, whose successors need not wait for long."""
    await asyncio.to_thread(site.operator.stop)
    lease = {f"ODEON_OPERATOR_LEASE_{key}": value for key, value in _SHORT_LEASE.items()}
    identity = {"ODEON_OPERATOR_IDENTITY": "successor"}
    site.operator = OperatorProcess(site.plane, site.nats_url, folder, **lease, **identity)
    await asyncio.to_thread(site.operator.start)


@asynccontextmanager
async def _pods(site: Site, *, session_s: float) -> AsyncIterator[tuple[Kubelets, PodSim]]:
    async with (
        podsim(site.nats_url, session_s=session_s) as sim,
        kubelets(site.plane, sim, slots=_SLOTS) as pods,
    ):
        yield pods, sim


async def _listen(site: Site, reports: Reports) -> None:
    async for told in reports.watch():
        if isinstance(told, StoredReport):
            site.heard.append(told)


async def _decisions(report: Report, site: Site, pods: Kubelets, sim: PodSim, size: Size) -> None:
    """From a report that takes the last free slot to the request for one more pod."""
    space, pool = site.plane.new_namespace(), "step"
    site.pool(space, pool, minReplicas=1, maxReplicas=size.steps + 2)
    await pods.until(lambda: len(pods.running) == 1, timeout_s=60)
    took, busy, chance = [], set[str](), random.Random(_SEED)
    for step in range(1, size.steps + 1):
        # Load comes when it comes, not when the operator has just looked.
        await asyncio.sleep(chance.uniform(0, 1))
        site.audit.news()
        sim.tell("want", pool=pool, sessions=step)
        await pods.until(lambda had=len(busy): len(_taken(site, pool)) > had, timeout_s=60)  # type: ignore[misc]
        await pods.grown(step + 1)
        taken = _taken(site, pool)
        loaded = min(at for uid, at in taken.items() if uid not in busy)
        asked = _creations(site.audit.news(), space)[0]
        took.append((asked - loaded).total_seconds() * 1000)
        busy = set(taken)
    report.add("decision_p50", percentile(took, 0.5), "ms", Bar("<=", 100))
    report.add("decision_p99", percentile(took, 0.99), "ms", Bar("<=", 1000))
    await _empty(site, pods, sim, space, pool)


def _taken(site: Site, pool: str) -> dict[str, datetime]:
    """When each pod of a pool first said that its slots are taken, by uid."""
    told: dict[str, datetime] = {}
    for one in site.heard:
        if one.report.pool == pool and one.report.slots_used:
            told.setdefault(one.report.pod_uid, one.stored)
    return told


async def _bursts(report: Report, site: Site, pods: Kubelets, size: Size) -> None:
    """From a change that wants a hundred more to the last one accepted."""
    space, pool = site.plane.new_namespace(), "burst"
    site.pool(space, pool, minReplicas=0, maxReplicas=_BURST + 1)
    took = []
    for _ in range(size.bursts):
        await pods.until(lambda: len(pods.running) <= 1, timeout_s=120)
        before = len(pods.running)
        site.audit.news()
        began = datetime.now(UTC)
        site.change(space, pool, minReplicas=before + _BURST)
        await pods.grown(before + _BURST)
        asked = _creations(site.audit.news(), space)
        took.append((asked[_BURST - 1] - began).total_seconds())
        site.change(space, pool, minReplicas=0)
    report.add("hundred_pods_p50", percentile(took, 0.5), "s", Bar("<=", 1.5))
    report.add("hundred_pods_p99", percentile(took, 0.99), "s", Bar("<=", 3))
    site.drop(space, pool)
    await pods.until(lambda: not pods.running, timeout_s=120)


async def _at_rest(report: Report, site: Site, pods: Kubelets, size: Size) -> None:
    """Memory with many pods, and writes while nothing changes."""
    space, count = site.plane.new_namespace(), size.pools * size.pods_each
    began = time.monotonic()
    for number in range(size.pools):
        site.pool(space, f"rest-{number}", minReplicas=size.pods_each, maxReplicas=size.pods_each)
    await pods.until(lambda: len(pods.running) == count, timeout_s=300)
    report.add("pods_running_after", time.monotonic() - began, "s")
    await _quiet(site, size.quiet_s)
    cpu = cpu_seconds(site.operator.pid)
    await asyncio.sleep(size.rest_s)
    if site.operator.code is not None:
        raise RuntimeError(f"the operator ended: {site.operator.log.read_text()[-2000:]}")
    writes = site.audit.news()
    report.add("writes_at_rest", len(writes), "count", Bar("==", 0))
    used = (cpu_seconds(site.operator.pid) - cpu) / size.rest_s
    report.add("cpu_at_rest", used * 100, "percent")
    report.add("pods", count, "count")
    report.add("memory", _rss_mib(site.operator.pid), "MiB", Bar("<=", 250))
    report.notes += [f"at rest: {w.verb} {w.resource} {w.name}" for w in writes[:5]]
    for number in range(size.pools):
        site.drop(space, f"rest-{number}")
    await pods.until(lambda: not pods.running, timeout_s=300)


async def _races(report: Report, site: Site, pods: Kubelets, sim: PodSim, size: Size) -> None:
    """Load that comes and goes, restarts and kills, until so many pods were deleted."""
    chance, space, pool = random.Random(_SEED), site.plane.new_namespace(), "race"
    site.pool(space, pool, minReplicas=1, maxReplicas=30)
    await pods.until(lambda: bool(pods.running), timeout_s=60)
    site.audit.news()
    deleted = kills = 0
    while deleted < size.scale_ins or kills < size.kills:
        sim.tell("want", pool=pool, sessions=chance.choice((0, 3, 10, 25)))
        await asyncio.sleep(chance.uniform(0.5, 3))
        sim.tell("restart", count=1)
        deleted += sum(one.verb == "delete" and one.resource == "pods" for one in site.audit.news())
        if kills < size.kills and deleted * size.kills >= kills * size.scale_ins:
            kills += 1
            site.operator.kill()
            await asyncio.to_thread(site.operator.start)
    figures = sim.figures
    report.add("scale_ins", deleted, "count")
    report.add("operator_kills", kills, "count")
    report.add("sessions", figures["begun"], "count")
    report.add("sessions_killed", figures["killed"], "count", Bar("==", 0))
    await _empty(site, pods, sim, space, pool)


async def _empty(site: Site, pods: Kubelets, sim: PodSim, space: str, pool: str) -> None:
    """End the pool without ending anybody's session: restarting podsim's pods would."""
    sim.tell("want", pool=pool, sessions=0)
    site.drop(space, pool)
    await pods.until(lambda: not pods.running, timeout_s=120)


async def _quiet(site: Site, seconds: int) -> None:
    """Wait until the operator has written nothing for so long; for two minutes at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(120):
            quiet = 0
            while quiet < seconds:
                await asyncio.sleep(1)
                quiet = 0 if site.audit.news() else quiet + 1


def _creations(writes: list[Write], namespace: str) -> list[datetime]:
    """When pods were asked for, in that order."""
    return sorted(
        one.at
        for one in writes
        if (one.verb, one.resource, one.namespace) == ("create", "pods", namespace)
    )


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
