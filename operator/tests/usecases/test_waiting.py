"""What waits makes pods, of those pools that may take it."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
from odeon_operator.domain.demand import Target
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric
from odeon_operator.ports import PoolFacts, PoolRef
from odeon_operator.usecases.reconcile import Reconciler
from odeon_operator.usecases.waiting import waiting
from odeon_testkit.fleet import Api, FleetCluster, FleetReports, HeldLease, Kv, ManualClock


class Queue:
    def __init__(self, jobs: Mapping[str, int] | None) -> None:
        self.jobs = jobs

    def waiting(self) -> Mapping[str, int] | None:
        return self.jobs


def facts(kind: str = "TranscoderPool", tenant: str = "") -> PoolFacts:
    return PoolFacts(PoolRef(kind, "live", "main"), "u1", 1, None, None, tenant=tenant)


def slots(pool: PoolFacts, jobs: Mapping[str, int] | None) -> dict[str, Fraction]:
    return {t.name: t.waiting for t in waiting(pool, Queue(jobs)).tenants}


def test_a_pool_of_one_tenant_counts_only_what_waits_of_it_and_edges_nothing() -> None:
    jobs = {"acme": 2, "other": 3}

    assert slots(facts(), jobs) == {"acme": 2, "other": 3}
    assert slots(facts(tenant="acme"), jobs) == {"acme": 2}
    assert slots(facts("EdgePool"), jobs) == {}


def test_a_queue_that_is_not_known_is_so_for_transcoders_only() -> None:
    assert not waiting(facts(), Queue(None)).known
    assert waiting(facts("EdgePool"), Queue(None)).known
    assert waiting(facts(), None).known


@pytest.mark.parametrize(("jobs", "wanted"), [({}, 1), ({"acme": 5}, 4), (None, 1)])
async def test_jobs_that_wait_are_made_room_for_at_once(
    jobs: Mapping[str, int] | None, wanted: int
) -> None:
    clock = ManualClock()
    api = Api(clock)
    cluster = FleetCluster(api)
    two = (Target(Metric.ACTIVE_TRANSCODES, Fraction(2)),)
    ref = api.add_pool(Pool("main", 0, 9, two, version="v1"), Policy())
    cluster.sync()
    reports = FleetReports(Kv(), clock)
    reports.sync()
    looking = Reconciler(cluster, reports, HeldLease(), clock=clock, queue=Queue(jobs))

    await looking.reconcile(ref)

    assert len(api.pods) == wanted
