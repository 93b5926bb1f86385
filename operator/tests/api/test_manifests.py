"""Every field of a policy arrives in the domain; every fault names its field."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from odeon_operator.api import manifests
from odeon_operator.domain.amounts import Count, Percent
from odeon_operator.domain.behavior import (
    Behavior,
    Direction,
    DisruptionBudget,
    Rate,
    SelectPolicy,
)
from odeon_operator.domain.bookings import EventsPolicy
from odeon_operator.domain.demand import Target
from odeon_operator.domain.fallback import Fallback, FallbackBehavior
from odeon_operator.domain.limits import Budget, OnExceed
from odeon_operator.domain.policy import Policy, Pool, ScalingMode
from odeon_operator.domain.prediction import Predictive, PredictiveMode
from odeon_operator.domain.reports import Metric
from odeon_operator.domain.rules import Rule
from odeon_operator.domain.selection import Scheduling
from odeon_operator.domain.windows import ActivePeriod, Always, Between
from odeon_runtime.errors import InvalidArgument

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/scaling").glob("*.yaml"))
SHANGHAI = ZoneInfo("Asia/Shanghai")
M = timedelta(minutes=1)


def text(policy: str = "{}", pool: str = "{}", *more: str) -> str:
    pool_spec = {"maxReplicas": 9, "slotsPerPod": 4} | yaml.safe_load(pool)
    documents = [
        document("ScalingPolicy", "p", yaml.safe_load(policy)),
        document("TranscoderPool", "main", pool_spec),
    ]
    return "\n---\n".join([*map(yaml.safe_dump, documents), *more])


def document(kind: str, name: str, spec: object) -> dict[str, object]:
    metadata = {"name": name}
    return {
        "apiVersion": "odeon.live/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def period(spec: str) -> str:
    return f"{{rules: [{{id: a, when: {{activePeriod: {spec}}}, min: 1}}]}}"


FULL = """
metric: {type: ActiveTranscodes, target: "75%", staleAfterSeconds: 20}
buffer: "20%"
rules:
  - id: night
    when: {activePeriod: {timezone: Asia/Shanghai, startCron: "0 1 * * *", duration: 90m}}
    max: 3
  - id: gala
    when: {between: {start: "2026-05-04T12:00:00+08:00", end: 2026-05-04T06:00:00Z}}
    replicas: 45
  - {id: base, when: {always: true}, buffer: 3, min: 1}
events: {leadTime: 4m, ramp: 1h30m, holdAfterEnd: 10m, noShowAfter: 45m}
predictive: {mode: Act, horizon: 20m, quantile: 95, maxBoost: "40%"}
behavior:
  scaleOut:
    stabilizationWindowSeconds: 10
    tolerance: "0.05"
    maxSurge: 8
    selectPolicy: Min
    policies: [{type: Pods, value: 4, periodSeconds: 15}]
  scaleIn:
    stabilizationWindowSeconds: 600
    cooldownSeconds: 30
    tolerance: "0.1"
    maxPods: "10%"
    policies: [{type: Percent, value: 50, periodSeconds: 60}]
    budgets: [{pods: 2}, {pods: 0, schedule: "0 19 * * *", duration: 3h, timezone: Asia/Shanghai}]
fallback: {afterSeconds: 60, behavior: Static, replicas: 7}
budget: {maxReplicas: 8, maxGpuHoursPerDay: 12, onExceed: Warn}
pause: {in: true, out: true}
dryRun: true
"""


def test_every_field_of_a_policy_arrives() -> None:
    read = manifests.read(text(FULL)).policy

    assert read == Policy(
        name="p",
        stale_after=timedelta(seconds=20),
        buffer=Percent(20),
        rules=(
            Rule("night", ActivePeriod("0 1 * * *", 90 * M, SHANGHAI), max=3),
            Rule(
                "gala",
                Between(datetime(2026, 5, 4, 4, tzinfo=UTC), datetime(2026, 5, 4, 6, tzinfo=UTC)),
                replicas=45,
            ),
            Rule("base", Always(), buffer=Count(3), min=1),
        ),
        events=EventsPolicy(lead=4 * M, ramp=90 * M, hold_after_end=10 * M, no_show_after=45 * M),
        predictive=Predictive(PredictiveMode.ACT, 20 * M, 95, 40),
        behavior=Behavior(
            scale_out=Direction(
                timedelta(seconds=10),
                (Rate(Count(4), timedelta(seconds=15)),),
                SelectPolicy.MIN,
                Fraction(1, 20),
            ),
            scale_in=Direction(
                timedelta(seconds=600), (Rate(Percent(50), M),), tolerance=Fraction(1, 10)
            ),
            max_surge=Count(8),
            cooldown=timedelta(seconds=30),
            max_step=Percent(10),
            budgets=(
                DisruptionBudget(Count(2)),
                DisruptionBudget(Count(0), ActivePeriod("0 19 * * *", 180 * M, SHANGHAI)),
            ),
        ),
        fallback=Fallback(M, FallbackBehavior.STATIC, 7),
        budget=Budget(8, 12.0, OnExceed.WARN),
        pause_in=True,
        pause_out=True,
        dry_run=True,
    )


def test_an_empty_policy_is_the_default_of_the_domain() -> None:
    assert manifests.read(text()).policy == Policy(name="p")


def test_every_field_of_a_pool_that_scaling_needs_arrives() -> None:
    pool = """{minReplicas: 2, maxReplicas: 30, replicas: 5, scalingMode: Manual, slotsPerPod: 8,
      scheduling: Distributed, gpu: {count: 2}, policyRef: {name: p}}"""

    read = manifests.read(text('metric: {type: ActiveTranscodes, target: "75%"}', pool)).pool

    assert read == Pool(
        "main",
        2,
        30,
        (Target(Metric.ACTIVE_TRANSCODES, Fraction(6)),),
        gpus_per_pod=2,
        scheduling=Scheduling.DISTRIBUTED,
        mode=ScalingMode.MANUAL,
        replicas=5,
    )


def test_a_booking_is_counted_in_slots_by_the_costs_of_the_pool() -> None:
    event = document(
        "LiveEvent",
        "gala",
        {
            "tenantRef": {"name": "acme"},
            "start": "2026-05-04T12:00:00Z",
            "end": "2026-05-04T13:00:00Z",
            "expected": {
                "viewers": {"p50": 100, "p95": 900},
                "transcodes": [
                    {"profile": "full-hd", "count": 3},
                    {"profile": "other", "count": 1},
                ],
            },
            "lead": "Auto",
        },
    )

    read = manifests.read(
        text("{}", "{profiles: [{name: full-hd, cost: 2.5}]}", yaml.safe_dump(event))
    )

    (booking,) = read.bookings
    assert (booking.name, booking.tenant, booking.lead) == ("gala", "acme", None)
    assert booking.expected == {Metric.ACTIVE_TRANSCODES: Fraction(17, 2), Metric.VIEWERS: 900}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_good(example: Path) -> None:
    manifests.read(example.read_text())


@pytest.mark.parametrize(
    ("policy", "field", "problem"),
    [
        ("{bufer: 1}", "ScalingPolicy/p spec.bufer", "not permitted"),
        ("{buffer: -1}", "spec.buffer", "negative"),
        ('{buffer: "100%"}', "spec.buffer", "99%"),
        ("{buffer: true}", "ScalingPolicy/p spec.buffer", "20%"),
        ("{rules: [{id: a, when: {}, min: 1}]}", "ScalingPolicy/p spec.rules[0].when", "one of"),
        ("{rules: [{id: a, when: {always: true}}]}", "ScalingPolicy/p spec.rules[0]", "nothing"),
        (
            "{rules: [{id: a, when: {always: true}, min: 3, max: 2}]}",
            "ScalingPolicy/p spec.rules[0]",
            "min is above max",
        ),
        (
            "{rules: [&a {id: a, when: {always: true}, min: 1}, *a]}",
            "ScalingPolicy/p spec",
            "rules has two items of the same id",
        ),
        (
            period('{startCron: "x * * * *", duration: 1h}'),
            "spec.rules[0].when.activePeriod.startCron",
            "no cron line",
        ),
        (
            period('{startCron: "* * * * *", duration: 0s}'),
            "ScalingPolicy/p spec.rules[0].when.activePeriod.duration",
            "longer than nothing",
        ),
        (
            period('{startCron: "* * * * *", duration: 1h, timezone: Mars}'),
            "ScalingPolicy/p spec.rules[0].when.activePeriod.timezone",
            "Asia/Shanghai",
        ),
        (
            "{rules: [{id: a, when: {between: {start: 2026-05-04T12:00:00}}, min: 1}]}",
            "ScalingPolicy/p spec.rules[0].when.between.start",
            "timezone",
        ),
        ("{events: {leadTime: soon}}", "ScalingPolicy/p spec.events.leadTime", "90s"),
        ("{predictive: {maxBoost: 50}}", "ScalingPolicy/p spec.predictive.maxBoost", "50%"),
        ("{behavior: {scaleIn: {tolerance: 1.5}}}", "spec.behavior.scaleIn.tolerance", "0.1"),
        (
            "{behavior: {scaleIn: {budgets: [{pods: 1, schedule: '0 1 * * *'}]}}}",
            "spec.behavior.scaleIn.budgets[0]",
            "go together",
        ),
        ("{fallback: {behavior: Panic}}", "ScalingPolicy/p spec.fallback.behavior", "Hold"),
        ("{metric: {type: Viewers}}", "spec.metric.type", "kind of pool"),
        ("{metric: {type: External}}", "spec.metric.target", "units per pod"),
        ("{metric: {type: ActiveTranscodes, target: 0}}", "spec.metric.target", "no load"),
    ],
)
def test_a_fault_is_named_by_its_field(policy: str, field: str, problem: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        manifests.read(text(policy))

    assert refusal.value.field.endswith(field)
    assert problem in refusal.value.problem


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        ("{minReplicas: 10}", "minReplicas is above maxReplicas"),
        ("{scalingMode: External}", "needs replicas"),
        ("{slotsPerPod: 0}", "greater than or equal to 1"),
        ("{policyRef: {name: other}}", "is not p"),
    ],
)
def test_a_pool_that_makes_no_sense_is_refused(pool: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        manifests.read(text("{}", pool))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("a: [", "expected"),
        ("- a", "is no resource"),
        ("kind: Pod", "none of ScalingPolicy"),
        ("kind: ScalingPolicy", "is not odeon.live/v1alpha1"),
        ("{apiVersion: odeon.live/v1alpha1, kind: ScalingPolicy}", "missing"),
        (text() + "\n---\n" + text(), "has 2 of kind ScalingPolicy"),
        ("", "has 0 of kind ScalingPolicy"),
        (text() + "\nextra: 1", "extra: is not known"),
        ("a: 1\na: 2", "written twice"),
        ("? [a]\n: 1", "unhashable key"),
        ("kind: [a]", "is none of"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(raw: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        manifests.read(raw)
