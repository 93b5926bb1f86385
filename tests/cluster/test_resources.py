"""Odeon's resources on a real API server: what it accepts, refuses, defaults, prints and scales."""

from pathlib import Path
from typing import Any

import pytest
from odeon_operator.api import convert, shapes
from odeon_operator.api.crds import FOLDER, GROUP, KINDS, VERSION, Kind, crd, rendered
from odeon_operator.api.reference import PAGE, page
from odeon_runtime.errors import InvalidArgument
from odeon_testkit.kube.api import KubeApi, Object, Refused, documents
from odeon_testkit.kube.control_plane import ControlPlane
from pydantic import ValidationError

ROOT = Path(__file__).parents[2]
BY_NAME = {kind.name: kind for kind in KINDS}
EXAMPLES = {
    f"{file.parent.name}/{file.stem} {document['kind']}": document
    for file in sorted(ROOT.glob("examples/**/*.yaml"))
    for document in documents(file.read_text())
}
POOL = {"maxReplicas": 9, "slotsPerPod": 4}
EDGES = {"maxReplicas": 9, "viewersPerPod": 100}
BETWEEN = {"start": "2026-05-04T12:00:00Z", "end": "2026-05-04T13:00:00Z"}
EVENT = {"tenantRef": {"name": "acme"}, **BETWEEN}
ALWAYS = {"always": True}


@pytest.fixture
def api(kubernetes: ControlPlane) -> Any:
    with kubernetes.api() as client:
        yield client


def resource(kind: str, namespace: str, spec: object, name: str = "it") -> Object:
    metadata = {"name": name}
    if BY_NAME[kind].namespaced:
        metadata["namespace"] = namespace
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def rule(**fields: object) -> dict[str, object]:
    return {"rules": [{"id": "a", "when": ALWAYS, **fields}]}


def window(**fields: object) -> dict[str, object]:
    return rule(when=fields, min=1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_chart_has_what_the_shapes_say(kind: Kind) -> None:
    assert (FOLDER / f"{kind.plural}.yaml").read_text() == rendered(kind), "run: make crds"


def test_the_chart_has_nothing_else() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == {kind.plural for kind in KINDS}


def test_the_reference_is_current() -> None:
    assert PAGE.read_text() == page(), "run: make crds"


def undescribed(schema: Object, path: str) -> list[str]:
    missing = [path] if path and not schema.get("description") else []
    for name, field in schema.get("properties", {}).items():
        missing += undescribed(field, f"{path}.{name}")
    return missing + undescribed_items(schema, path)


def undescribed_items(schema: Object, path: str) -> list[str]:
    items = schema.get("items", {})
    return [
        found
        for name, field in items.get("properties", {}).items()
        for found in undescribed(field, f"{path}[].{name}")
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_is_described(kind: Kind) -> None:
    (version,) = crd(kind)["spec"]["versions"]
    fields = version["schema"]["openAPIV3Schema"]["properties"]

    assert undescribed(fields["spec"], "spec") + undescribed(fields["status"], "status") == []


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_is_accepted_by_the_server_and_by_the_reader_of_files(
    api: KubeApi, example: Object
) -> None:
    api.apply(example, dry_run=True)

    read(example["kind"], example["spec"])


@pytest.mark.parametrize(
    "example", [name for name, found in EXAMPLES.items() if "template" in found["spec"]]
)
def test_pods_of_an_example_are_admitted_where_the_strictest_standard_holds(
    api: KubeApi, namespace: str, example: str
) -> None:
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    api.patch(own, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    template = EXAMPLES[example]["spec"]["template"]
    metadata = {**template.get("metadata", {}), "name": "it", "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    assert api.create(pod)["status"]["phase"] == "Pending"
    metadata["name"] = "lax"
    pod["spec"] = {**pod["spec"], "hostNetwork": True}
    with pytest.raises(Refused, match="violates PodSecurity"):
        api.create(pod)


BAD: list[tuple[str, object, str]] = [
    ("ScalingPolicy", {"buffer": -1}, "spec.buffer"),
    ("ScalingPolicy", {"buffer": "100%"}, "spec.buffer"),
    ("ScalingPolicy", {"buffer": 5, "budget": {"maxReplicas": 4}}, "buffer is above"),
    ("ScalingPolicy", {"metric": {"type": "Cpu"}}, "spec.metric.type"),
    ("ScalingPolicy", {"metric": {"type": "Viewers", "staleAfterSeconds": 0}}, "staleAfterSeconds"),
    ("ScalingPolicy", {"rules": [{"id": "a", "when": ALWAYS, "min": 1}] * 2}, "spec.rules"),
    ("ScalingPolicy", rule(), "asks for nothing"),
    ("ScalingPolicy", rule(min=3, max=2), "min is above max"),
    ("ScalingPolicy", rule(buffer=3, max=2), "buffer is above max"),
    ("ScalingPolicy", rule(min=-1), "spec.rules[0].min"),
    ("ScalingPolicy", rule(min=2**31), "spec.rules[0].min"),
    ("ScalingPolicy", rule(replicas=3, min=2), "replicas is exact"),
    ("ScalingPolicy", rule(id="load", min=2), "id has a meaning of its own"),
    ("ScalingPolicy", rule(id="A b", min=2), "spec.rules[0].id"),
    ("ScalingPolicy", window(), "needs exactly one of"),
    ("ScalingPolicy", window(always=True, between=BETWEEN), "needs exactly one of"),
    ("ScalingPolicy", window(always=False), "spec.rules[0].when.always"),
    (
        "ScalingPolicy",
        window(between={"start": BETWEEN["end"], "end": BETWEEN["start"]}),
        "start is not before end",
    ),
    ("ScalingPolicy", window(between={"start": "2026-05-04T12:00:00"}), "between.start"),
    ("ScalingPolicy", window(between={"start": "noon"}), "between.start"),
    (
        "ScalingPolicy",
        window(activePeriod={"startCron": "0 8 * * *", "duration": "0s"}),
        "must be longer than nothing",
    ),
    ("ScalingPolicy", window(activePeriod={"startCron": "0 8", "duration": "1h"}), "startCron"),
    ("ScalingPolicy", window(activePeriod={"startCron": "0 8 * * *"}), "duration"),
    (
        "ScalingPolicy",
        window(activePeriod={"startCron": "0 8 * * *", "duration": "1h", "timezone": "Mars/Base"}),
        'is no time zone such as "Asia/Shanghai"',
    ),
    ("ScalingPolicy", {"events": {"leadTime": "soon"}}, "spec.events.leadTime"),
    ("ScalingPolicy", {"events": {"leadTime": ""}}, "spec.events.leadTime"),
    ("ScalingPolicy", {"predictive": {"maxBoost": 50}}, "spec.predictive.maxBoost"),
    ("ScalingPolicy", {"behavior": {"scaleIn": {"tolerance": "1.5"}}}, "scaleIn.tolerance"),
    ("ScalingPolicy", {"behavior": {"scaleIn": {"tolerance": 0.1}}}, "scaleIn.tolerance"),
    (
        "ScalingPolicy",
        {"behavior": {"scaleIn": {"budgets": [{"pods": 1, "schedule": "0 1 * * *"}]}}},
        "schedule and duration go together",
    ),
    ("ScalingPolicy", {"fallback": {"behavior": "Panic"}}, "spec.fallback.behavior"),
    ("ScalingPolicy", {"budget": {"maxGpuHoursPerDay": -1}}, "maxGpuHoursPerDay"),
    ("TranscoderPool", {**POOL, "minReplicas": 10}, "minReplicas is above maxReplicas"),
    ("TranscoderPool", {**POOL, "minReplicas": -1}, "spec.minReplicas"),
    ("TranscoderPool", {**POOL, "maxReplicas": 0}, "spec.maxReplicas"),
    ("TranscoderPool", {**POOL, "maxReplicas": 2**31}, "spec.maxReplicas"),
    ("TranscoderPool", {**POOL, "slotsPerPod": 0}, "spec.slotsPerPod"),
    ("TranscoderPool", {"maxReplicas": 9}, "slotsPerPod"),
    ("TranscoderPool", {**POOL, "scalingMode": "External"}, "needs replicas"),
    ("TranscoderPool", {**POOL, "profiles": [{"name": "hd", "cost": 0}]}, "spec.profiles[0].cost"),
    ("TranscoderPool", {**POOL, "profiles": [{"name": "hd", "cost": 1}] * 2}, "spec.profiles"),
    ("TranscoderPool", {**POOL, "template": []}, "spec.template"),
    ("TranscoderPool", {**POOL, "policyRef": {"name": "Bad Name"}}, "spec.policyRef.name"),
    ("TranscoderPool", {**POOL, "drain": {"softSeconds": 0}}, "spec.drain.softSeconds"),
    ("EdgePool", {**EDGES, "viewersPerPod": "many"}, "spec.viewersPerPod"),
    ("EdgePool", {**EDGES, "egressMbpsPerPod": 0}, "spec.egressMbpsPerPod"),
    ("LiveEvent", {**EVENT, "end": EVENT["start"]}, "start is not before end"),
    ("LiveEvent", BETWEEN, "tenantRef"),
    ("LiveEvent", {**EVENT, "expected": {"viewers": {"p50": 9, "p95": 1}}}, "p50 is above p95"),
    ("LiveEvent", {**EVENT, "priority": 1001}, "spec.priority"),
    ("LiveEvent", {**EVENT, "lead": "early"}, "spec.lead"),
    ("Tenant", {"weight": 0}, "spec.weight"),
    ("Tenant", {"namespaces": ["Not_A_Name"]}, "spec.namespaces[0]"),
    ("Tenant", {"namespaces": ["a", "a"]}, "spec.namespaces"),
]


@pytest.mark.parametrize(("kind", "spec", "said"), BAD)
def test_a_bad_spec_is_refused_by_the_server_and_by_the_reader_of_files(
    api: KubeApi, kind: str, spec: object, said: str
) -> None:
    with pytest.raises(Refused) as refusal:
        api.create(resource(kind, "default", spec))

    assert (refusal.value.code, refusal.value.reason) == (422, "Invalid")
    assert said in refusal.value.message
    with pytest.raises((ValidationError, InvalidArgument)) as fault:
        read(kind, spec)
    if not said.startswith("spec.") and " " in said:
        assert said in str(fault.value)


def read(kind: str, spec: object) -> None:
    shape = BY_NAME[kind].spec.model_validate(spec)
    if isinstance(shape, shapes.ScalingPolicySpec):
        convert.policy("it", shape)


def test_rules_are_cheap_enough_for_as_many_as_there_may_be(api: KubeApi, namespace: str) -> None:
    when = {"startCron": "30 18 * * 1-5", "duration": "4h", "timezone": "Asia/Shanghai"}
    rules = [
        {"id": f"rule-{n}-{'x' * 50}", "when": {"activePeriod": when}, "buffer": 1, "min": 1}
        for n in range(64)
    ]
    budgets = [{"pods": 0, "schedule": "0 19 * * *", "duration": "3h"}] * 16
    spec = {"rules": rules, "behavior": {"scaleIn": {"budgets": budgets}}}

    stored = api.create(resource("ScalingPolicy", namespace, spec))

    assert len(stored["spec"]["rules"]) == 64
    with pytest.raises(Refused, match="must have at most 64 items"):
        api.patch(stored, {"spec": {"rules": [*rules, {**rules[0], "id": "one-more"}]}})


def test_an_unknown_field_is_refused_when_strict_and_dropped_with_a_warning_otherwise(
    api: KubeApi, namespace: str
) -> None:
    misspelled = resource("ScalingPolicy", namespace, {"bufer": 1})
    with pytest.raises(Refused) as refusal:
        api.create(misspelled)

    assert 'unknown field "spec.bufer"' in refusal.value.message
    assert "bufer" not in api.create(misspelled, validation="Warn")["spec"]


def test_defaults_are_written_out_where_somebody_wrote_the_parent(
    api: KubeApi, namespace: str
) -> None:
    stored = api.create(resource("ScalingPolicy", namespace, {"events": {}, "predictive": {}}))

    assert stored["spec"] == {
        "buffer": 1,
        "dryRun": False,
        "events": {
            "leadTime": "Auto",
            "ramp": "0s",
            "holdAfterEnd": "5m",
            "noShowAfter": "30m",
        },
        "predictive": {"mode": "Off", "horizon": "15m", "quantile": 90, "maxBoost": "100%"},
    }
    defaults = shapes.ScalingPolicySpec.model_validate({})
    assert shapes.ScalingPolicySpec.model_validate(stored["spec"]) == defaults


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("TranscoderPool", {**POOL, "tenantRef": {"name": "a"}}, {"tenantRef": {"name": "b"}}),
        ("TranscoderPool", {**POOL, "tenantRef": {"name": "a"}}, {"tenantRef": None}),
        ("EdgePool", EDGES, {"tenantRef": {"name": "a"}}),
        ("LiveEvent", EVENT, {"tenantRef": {"name": "other"}}),
    ],
)
def test_whose_it_is_cannot_be_changed(
    api: KubeApi, namespace: str, kind: str, before: object, after: object
) -> None:
    stored = api.create(resource(kind, namespace, before))

    with pytest.raises(Refused, match="tenantRef cannot be changed"):
        api.patch(stored, {"spec": after})

    api.patch(stored, {"spec": {"registrations": 7} if kind == "LiveEvent" else {"maxReplicas": 8}})


NOON = "2026-05-04T12:00:00Z"
SELECTOR = "odeon.live/pool=it,odeon.live/state in (starting,ready,allocated)"
STATUS: dict[str, Object] = {
    "TranscoderPool": {
        "observedGeneration": 1,
        **{"replicas": 4, "ready": 1, "allocated": 3, "draining": 1, "selector": SELECTOR},
        "desired": {"replicas": 5, "rule": "evening", "reason": "it wants 5 pods", "at": NOON},
        "decisions": [
            {"at": NOON, "wanted": 5, "previous": 4, "rule": "evening", "said": ["more"]},
        ],
        "coldStart": {"p50Seconds": 20, "p95Seconds": 40, "samples": 9},
        "conditions": [
            {
                **{"type": "Ready", "status": "False", "lastTransitionTime": NOON},
                **{"reason": "TooFewPods", "message": "4 of 5 wanted pods serve"},
            }
        ],
        "slots": {"total": 16, "used": 10.5},
    },
    "EdgePool": {"replicas": 2, "viewers": 150, "egressMbps": 612.5},
    "ScalingPolicy": {"observedGeneration": 1, "conditions": []},
    "LiveEvent": {
        **{"phase": "Live", "prewarmAt": NOON, "readyAt": NOON},
        **{"reserved": {"slots": 1.5}, "actualPeak": {"slots": 3, "viewers": 900}},
    },
    "Tenant": {"observedGeneration": 1},
}
SPEC: dict[str, Object] = {
    **{"TranscoderPool": POOL, "EdgePool": EDGES, "ScalingPolicy": {}},
    **{"LiveEvent": EVENT, "Tenant": {}},
}


@pytest.mark.parametrize("kind", list(STATUS))
def test_status_is_written_apart_from_the_spec(api: KubeApi, namespace: str, kind: str) -> None:
    status = STATUS[kind]
    stored = api.create(resource(kind, namespace, SPEC[kind], name=namespace))

    ignored = api.patch(stored, {"status": status})
    told = api.patch(stored, {"status": status, "spec": None}, subresource="/status")

    assert "status" not in ignored
    assert told["status"] == status
    assert told["spec"] == stored["spec"]
    assert told["metadata"]["generation"] == stored["metadata"]["generation"]
    shape = BY_NAME[kind].status.model_validate(told["status"])
    assert shape.model_dump(mode="json", by_alias=True, exclude_unset=True) == status


@pytest.mark.parametrize(("kind", "spec"), [("TranscoderPool", POOL), ("EdgePool", EDGES)])
def test_an_autoscaler_reads_and_writes_a_pool_through_scale(
    api: KubeApi, namespace: str, kind: str, spec: dict[str, object]
) -> None:
    pool = api.create(resource(kind, namespace, {**spec, "scalingMode": "External", "replicas": 1}))
    status = {"replicas": 4, "draining": 1, "selector": SELECTOR}
    api.patch(pool, {"status": status}, subresource="/status")

    api.patch(pool, {"spec": {"replicas": 3}}, subresource="/scale")

    scale = api.get(api.path_of(pool) + "/scale")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 4, "selector": SELECTOR}
    assert api.get(api.path_of(pool))["spec"]["replicas"] == 3


def test_a_scale_below_nothing_is_refused(api: KubeApi, namespace: str) -> None:
    pool = api.create(resource("TranscoderPool", namespace, POOL))

    with pytest.raises(Refused, match="should be greater than or equal to 0"):
        api.patch(pool, {"spec": {"replicas": -1}}, subresource="/scale")


def test_kubectl_finds_the_kinds_by_short_names_and_as_a_category(api: KubeApi) -> None:
    found = {r["name"]: r for r in api.get(f"/apis/{GROUP}/{VERSION}")["resources"]}

    for kind in KINDS:
        assert found[kind.plural]["shortNames"] == [kind.short]
        assert found[kind.plural]["categories"] == ["live"]
    core = api.get("/api/v1")["resources"]
    taken = {short for r in core for short in r.get("shortNames", [])}
    assert taken & {kind.short for kind in KINDS} == set()


def test_kubectl_prints_what_a_pool_does(api: KubeApi, namespace: str) -> None:
    pool = api.create(resource("TranscoderPool", namespace, POOL))
    api.patch(pool, {"status": STATUS["TranscoderPool"]}, subresource="/status")

    (row,) = api.table(api.path_of(pool))

    assert row.pop("Age")
    assert row == {
        "Name": "it",
        "Desired": 5,
        "Current": 4,
        "Ready": 1,
        "Allocated": 3,
        "Draining": 1,
        "Slots used": 10.5,
        "Rule": "evening",
    }
