"""Rules that every object of the chart keeps, whatever the values."""

import json
import re
from collections.abc import Iterator
from inspect import signature
from typing import Any

import pytest
from odeon_recorder.settings import RecorderSettings
from odeon_runtime.grpc_server import GrpcServer
from odeon_testkit import charts
from odeon_testkit.kube.api import Object
from odeon_testkit.kube.helm import HelmFailed
from odeon_transcoder.settings import TranscoderSettings

PROFILES = list(charts.profiles())
EVERYTHING = (
    *("--set", "ingress.enabled=true,gatewayApi.enabled=true,monitoring.enabled=true"),
    *("--set", "publicUrl=https://live.example.org,edgeUrl=https://edge.example.org"),
    *("--set", "gatewayApi.parentRefs[0].name=public,edgePools.asia.service.port=8443"),
    *("--set", "edgePools.asia.publicUrl=https://asia.example.org:8443"),
)
OWN = (
    *("--set", "nats.enabled=false,nats.existingSecret=mine,nats.streamReplicas=3"),
    *("--set", "postgresql.enabled=false,postgresql.existingSecret=mine,prober.enabled=false"),
    *("--set", "analytics.clickhouse.existingSecret=mine,placeholders.replicas=2"),
    *("--set", "telemetry.otlpEndpoint=http://collector:4317"),
    *("--set", "secrets.service.existingSecret=mine,secrets.keyEncryptionKey.existingSecret=mine"),
    *("--set", "secrets.apiKey.existingSecret=mine,secrets.edgeAdminToken.existingSecret=mine"),
)
"""Everything that keeps something is somebody's own, and every secret."""
SETS = {"everything": EVERYTHING, "own": OWN}
ONCE = ("bootstrap", "play", "scale", "migrate")
"""Containers that end by themselves."""
GRPC_GRACE_S = 3.0
UNREACHED = {("transcoder", 7005), ("operator", 8090), ("nats", 8222)}
"""Ports of which only the kubelet makes use, which policies do not hold back."""


@pytest.fixture(scope="module", params=[*PROFILES, *SETS])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    name = request.param
    return charts.rendered("default", *SETS[name]) if name in SETS else charts.rendered(name)


def templates(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Objects that have pods, with the pod that they have."""
    for one in objects:
        pod = one if one["kind"] == "Pod" else (one.get("spec") or {}).get("template")
        if pod is not None:
            yield one, pod


def containers(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """All containers by where they are, with their pod."""
    for one, pod in templates(objects):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield f"{one['metadata']['name']}/{container['name']}", container, pod


def component(labels: dict[str, str]) -> str:
    return labels["app.kubernetes.io/component"]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def env(container: Object) -> dict[str, Any]:
    return {one["name"]: one.get("value", one) for one in container.get("env", [])}


def test_every_container_says_what_it_needs_and_may_not_become_more(objects: list[Object]) -> None:
    for where, container, pod in containers(objects):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]), where
        assert "memory" in resources["limits"], where
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, where
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, where
        assert pod["spec"]["enableServiceLinks"] is False, where


def test_every_container_that_stays_is_probed_on_a_port_of_its_own(objects: list[Object]) -> None:
    for where, container, _ in containers(objects):
        if container["name"] in (*ONCE, "placeholder"):
            continue
        ports = {p for one in container["ports"] for p in (one["name"], one["containerPort"])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            kinds = {k: v for k, v in container[probe].items() if isinstance(v, dict)}
            (how,) = kinds.values()
            assert how.get("port", container["ports"][0]["name"]) in ports, (where, probe)


def test_only_who_speaks_to_the_api_server_has_a_token(objects: list[Object]) -> None:
    holders = {
        component(pod["metadata"]["labels"])
        for _, pod in templates(objects)
        if pod["spec"]["automountServiceAccountToken"]
    }

    jobs = {component(one["metadata"]["labels"]) for one in of_kind(objects, "Job")}
    assert holders == {"operator", "test"} | jobs
    accounts = of_kind(objects, "ServiceAccount")
    assert all(one["automountServiceAccountToken"] is False for one in accounts)
    names = {one["metadata"]["name"] for one in accounts}
    used = {pod["spec"]["serviceAccountName"] for _, pod in templates(objects)}
    assert used == names


def test_no_secret_is_in_any_object(objects: list[Object]) -> None:
    assert of_kind(objects, "Secret") == []
    for where, container, _ in containers(objects):
        for name, value in env(container).items():
            if re.search(r"SECRET|PASSWORD|TOKEN|_KEY$|DATABASE_URL|NATS_URL", name):
                hidden = isinstance(value, dict) or "$(" in value or value.startswith("/etc/")
                assert hidden, (where, name)


def test_live_media_has_its_priority_and_control_pushes_nobody_out(objects: list[Object]) -> None:
    live = {"signaling", "recorder", "gateway", "transcoder", "edge"}
    for one, pod in templates(objects):
        if one["metadata"].get("annotations", {}).get("helm.sh/hook"):
            continue
        who = component(pod["metadata"]["labels"])
        kind = {"placeholder": "pre-warm"}.get(who, "live" if who in live else "control")
        assert pod["spec"]["priorityClassName"] == f"odeon-odeon-{kind}"
    classes = {one["metadata"]["name"]: one for one in of_kind(objects, "PriorityClass")}
    values = {name.rsplit("-odeon-", 1)[1]: one["value"] for name, one in classes.items()}
    assert values["live"] > values["control"] > 0 > values["pre-warm"]
    assert "preemptionPolicy" not in classes["odeon-odeon-live"]
    assert classes["odeon-odeon-control"]["preemptionPolicy"] == "Never"


def test_a_budget_lets_one_of_several_go_and_a_single_one_too(objects: list[Object]) -> None:
    budgets = {
        one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "PodDisruptionBudget")
    }
    several = {
        one["metadata"]["name"]
        for one in of_kind(objects, "Deployment", "StatefulSet")
        # Placeholders are there to be evicted.
        if one["spec"]["replicas"] > 1 and component(one["metadata"]["labels"]) != "placeholder"
    }

    assert set(budgets) == several
    for spec in budgets.values():
        assert spec["maxUnavailable"] == 1
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def time_to_end(first: Object, service: str) -> float:
    """Seconds that a process takes after SIGTERM by its own settings, at most."""
    said = {name: value for name, value in env(first).items() if isinstance(value, str)}
    if service == "signaling":
        # Then its last calls, and a second each for facts and connections.
        return float(said["ODEON_SIGNALING_DRAIN_S"]) + GRPC_GRACE_S + 2
    if service == "transcoder":
        flush_s: float = TranscoderSettings.model_fields["flush_s"].default
        return float(said["ODEON_TRANSCODER_DRAIN_S"]) + flush_s + 3
    if service == "edge":
        return sum(float(said[f"ODEON_EDGE_DRAIN_{part}_S"]) for part in ("NOTICE", "LIMIT"))
    return GRPC_GRACE_S + 2


def test_every_pod_has_the_time_that_its_process_takes_to_end(objects: list[Object]) -> None:
    assert signature(GrpcServer).parameters["grace_s"].default == GRPC_GRACE_S
    for one, pod in templates(objects):
        first = pod["spec"]["containers"][0]
        if first["name"] in (*ONCE, "placeholder"):
            continue
        waits = first.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        takes = waits + time_to_end(first, component(pod["metadata"]["labels"]))
        assert pod["spec"]["terminationGracePeriodSeconds"] >= takes + 4, one["metadata"]["name"]


def container_ports(objects: list[Object]) -> dict[str, set[tuple[int, str]]]:
    """Ports by component, with their protocol."""
    found: dict[str, set[tuple[int, str]]] = {}
    for _, container, pod in containers(objects):
        ports = found.setdefault(component(pod["metadata"]["labels"]), set())
        for port in container.get("ports", []):
            ports.add((port["containerPort"], port.get("protocol", "TCP")))
    return found


def allowed(policy: Object, way: str) -> Iterator[tuple[int, str, list[str]]]:
    """Port, protocol and the components at the other end of each rule of a policy."""
    for rule in policy["spec"].get(way, []):
        peers = rule.get("from" if way == "ingress" else "to", [])
        names = [
            component(peer["podSelector"]["matchLabels"]) for peer in peers if "podSelector" in peer
        ]
        for port in rule["ports"]:
            yield port["port"], port["protocol"], names


def anybody(policy: Object) -> set[tuple[int, str]]:
    """Ports to which anybody may come."""
    rules = [rule for rule in policy["spec"]["ingress"] if "from" not in rule]
    return {(port["port"], port["protocol"]) for rule in rules for port in rule["ports"]}


def test_policies_open_exactly_the_ports_that_there_are_at_both_ends(objects: list[Object]) -> None:
    policies = {
        component(one["spec"]["podSelector"]["matchLabels"]): one
        for one in of_kind(objects, "NetworkPolicy")
        if one["metadata"]["name"] != "odeon-default-deny"
    }
    ports = container_ports(objects)
    entries, exits, public = set(), set(), set()
    for name, policy in policies.items():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        opened = {(port, protocol) for port, protocol, _ in allowed(policy, "ingress")}
        reached = {(p, q) for p, q in ports[name] if (name, p) not in UNREACHED}
        assert opened == reached, name
        for port, protocol, others in allowed(policy, "ingress"):
            entries |= {(other, name, port, protocol) for other in others}
            if (port, protocol) in anybody(policy):
                public.add((name, port, protocol))
        for port, protocol, others in allowed(policy, "egress"):
            exits |= {(name, other, port, protocol) for other in others}

    assert set(policies) == set(ports)
    assert entries == {way for way in exits if way[1:] not in public}
    wanted = {("signaling", 7882, "UDP"), ("edge", 8480, "TCP")}
    assert public == wanted | {("gateway", 8080, "TCP"), ("gateway", 8081, "TCP")}


def test_nobody_leaves_the_namespace_without_a_port_and_never_for_credentials(
    objects: list[Object],
) -> None:
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            assert rule["ports"]
            for peer in rule.get("to", []):
                if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                    assert peer["ipBlock"]["except"] == ["169.254.169.254/32"]


def test_the_default_is_to_deny_all_of_the_releases_pods(objects: list[Object]) -> None:
    (deny,) = [
        one
        for one in of_kind(objects, "NetworkPolicy")
        if one["metadata"]["name"] == "odeon-default-deny"
    ]
    selected = deny["spec"]["podSelector"]["matchLabels"]

    assert "ingress" not in deny["spec"] and "egress" not in deny["spec"]
    for one, pod in templates(objects):
        assert selected.items() <= pod["metadata"]["labels"].items(), one["metadata"]["name"]


def test_every_service_and_route_leads_to_a_port_of_pods(objects: list[Object]) -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "Service")}
    named = {
        (component(pod["metadata"]["labels"]), port["name"])
        for _, container, pod in containers(objects)
        for port in container.get("ports", [])
    }
    for name, spec in services.items():
        selector = spec["selector"]
        behind = selector.get("app.kubernetes.io/component", "edge")
        assert {(behind, port["targetPort"]) for port in spec["ports"]} <= named, name
    for route in of_kind(objects, "Ingress"):
        (path,) = route["spec"]["rules"][0]["http"]["paths"]
        backend = path["backend"]["service"]
        assert backend["port"]["name"] in {p["name"] for p in services[backend["name"]]["ports"]}
    for route in of_kind(objects, "HTTPRoute", "GRPCRoute"):
        (backend,) = route["spec"]["rules"][0]["backendRefs"]
        assert backend["port"] in {p["port"] for p in services[backend["name"]]["ports"]}
        assert all("." in host for host in route["spec"]["hostnames"])


def test_prometheus_finds_a_port_of_every_pod_that_has_metrics() -> None:
    objects = charts.rendered("default", *EVERYTHING)
    monitors = of_kind(objects, "PodMonitor")
    with_metrics = {
        (component(pod["metadata"]["labels"]), port["name"])
        for _, container, pod in containers(objects)
        for port in container.get("ports", [])
        if port["name"] in ("metrics", "admin")
    }

    found = set()
    for monitor in monitors:
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        (rule,) = monitor["spec"]["selector"]["matchExpressions"]
        edges = {"In": True, "NotIn": False}[rule["operator"]]
        found |= {
            (c, p) for c, p in with_metrics if p == endpoint["port"] and (c == "edge") == edges
        }
    assert found == with_metrics


def known_metrics() -> set[str]:
    """Names in the code; of what Prometheus' client adds to them, only what is used."""
    sources = [
        path
        for folder in ("services", "operator/odeon_operator", "libs/runtime/odeon_runtime")
        for path in (charts.ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".rs") and "tests" not in path.parts
    ]
    text = "\n".join(path.read_text() for path in sources)
    names = set(re.findall(r'"(odeon_[a-z_]+)"', text))
    names |= {f"odeon_edge_{name}" for name in re.findall(r'"([a-z_]+)"', text)}
    return names | {f"{name}{end}" for name in names for end in ("_total", "_bucket")}


def test_alerts_and_dashboards_ask_for_metrics_that_there_are() -> None:
    objects = charts.rendered("ha")
    (rules,) = of_kind(objects, "PrometheusRule")
    asked = [rule["expr"] for rule in rules["spec"]["groups"][0]["rules"]]
    for one in of_kind(objects, "ConfigMap"):
        for name, text in one["data"].items():
            if name.endswith(".json"):
                panels = json.loads(text)["panels"]
                asked += [t["expr"] for panel in panels for t in panel.get("targets", [])]

    names = {name for expression in asked for name in re.findall(r"odeon_[a-z_]+", expression)}
    assert len(asked) > 40
    assert names - known_metrics() == set()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    page = (charts.ROOT / "docs" / "operations" / "runbooks.md").read_text()
    (rules,) = of_kind(charts.rendered("ha"), "PrometheusRule")
    alerts = rules["spec"]["groups"][0]["rules"]

    assert re.findall(r"^## (Odeon\w+)$", page, re.MULTILINE) == [a["alert"] for a in alerts]
    for alert in alerts:
        link = alert["annotations"]["runbook_url"]
        assert link.endswith(f"/runbooks#{alert['alert'].lower()}")
        assert alert["labels"]["severity"] in ("warning", "critical")


def test_the_embedded_recorder_keeps_its_spool_and_archive_on_the_volume() -> None:
    (recorder,) = [
        one for one in charts.rendered("default") if one["metadata"]["name"] == "odeon-recorder"
        and one["kind"] == "StatefulSet"
    ]  # fmt: skip
    (container,) = recorder["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}

    settings = RecorderSettings(data_dir=mounts["data"])
    assert settings.spool.is_relative_to(mounts["data"])
    assert settings.archive.startswith(f"file://{mounts['data']}/")


BAD = [
    ("replica", "auth.replica=2", "replica"),
    ("none", "auth.replicas=0", "/auth/replicas"),
    ("text", "operator.replicas=two", "/operator/replicas"),
    ("pods of a pool", "transcoderPools.default.spec.replicas=3", "/transcoderPools/default/spec"),
    ("whose pods", "edgePools.default.spec.scalingMode=Manual", "/edgePools/default/spec"),
    ("a path in a URL", "publicUrl=https://live.example.org/odeon", "/publicUrl"),
    ("no scheme", "edgeUrl=edge.example.org", "/edgeUrl"),
    ("policy", "image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("half a digest", "image.digests.room=sha256:abc", "/image/digests/room"),
    ("an unknown service", "image.digests.rooms=", "rooms"),
    ("no NATS", "nats.enabled=false", "/nats"),
    ("an even number of servers", "nats.replicas=2", "/nats/replicas"),
    ("a password in a value", "nats.url=nats://me:secret@nats:4222", "/nats/url"),
    ("no database", "postgresql.enabled=false", "/postgresql"),
    ("a long name", "edgePools.abcdefghijklmnopqrstu.cacheMb=64", "abcdefghijklmnopqrstu"),
    ("port", "edgePools.default.service.port=70000", "/edgePools/default/service/port"),
    ("a name", "signaling.media.addresses={live.example.org:1}", "/signaling/media/addresses/0"),
    ("size", "recorder.persistence.size=many", "/recorder/persistence/size"),
    ("storage", "recorder.archive.url=ftp://files", "/recorder/archive/url"),
    ("no gateway", "gatewayApi.enabled=true", "/gatewayApi"),
    ("level", "telemetry.logLevel=loud", "/telemetry/logLevel"),
]


@pytest.mark.parametrize(("value", "field"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_a_bad_value_is_refused_by_its_name(value: str, field: str) -> None:
    with pytest.raises(HelmFailed) as refusal:
        charts.render("default", "--set", value)

    said = str(refusal.value)
    assert "values don't meet the specifications of the schema" in said
    assert field in said or field.strip("/").replace("/", ".") in said


def test_a_host_without_a_name_is_refused_where_routes_want_one() -> None:
    with pytest.raises(HelmFailed, match="name hosts of the DNS, not http://localhost:8080"):
        charts.render("default", "--set", "ingress.enabled=true")


def paths(schema: Object, root: Object, values: Any, path: str = "") -> Iterator[str]:
    """Values that the schema does not know, and properties of it that have no default."""
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    known = schema.get("properties")
    if known is None or not isinstance(values, dict):
        return
    for name in set(known) ^ set(values):
        yield f"{path}{name}"
    for name in set(known) & set(values):
        yield from paths(known[name], root, values[name], f"{path}{name}.")


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((charts.CHART / "values.schema.json").read_text())
    values = charts.values()
    found = set(paths(schema, schema, values))
    for pools in ("transcoderPools", "edgePools"):
        one = schema["properties"][pools]["additionalProperties"]
        found |= set(paths(one, schema, values[pools]["default"], f"{pools}."))

    # Digests come with a release; Helm itself adds `global`.
    assert {name for name in found if not name.startswith("image.digests.")} == {"global"}


def test_an_image_is_named_by_registry_repository_tag_and_digest() -> None:
    digest = f"sha256:{'0' * 64}"
    chosen = ",".join(
        f"image.{name}"
        for name in (
            *("registry=registry.example:5000", "repository=live/odeon", "tag=1.2.3"),
            f"digests.room={digest}",
        )
    )
    objects = charts.rendered("default", "--set", chosen, "--set", "imagePullSecrets[0].name=mine")
    images = {container["name"]: container["image"] for _, container, _ in containers(objects)}

    base = "registry.example:5000/live/odeon"
    assert images["auth"] == f"{base}/auth:1.2.3"
    assert images["room"] == f"{base}/room:1.2.3@{digest}"
    assert images["edge"] == f"{base}/edge:1.2.3"
    assert all(
        pod["spec"]["imagePullSecrets"] == [{"name": "mine"}] for _, pod in templates(objects)
    )


def test_a_further_pool_takes_what_it_does_not_say_from_the_default() -> None:
    objects = charts.rendered(
        "default", "--set", "edgePools.asia.publicUrl=https://asia.example.org"
    )
    pools = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "EdgePool")}
    urls = {
        name: env(spec["template"]["spec"]["containers"][0])["ODEON_EDGE_PUBLIC_URL"]
        for name, spec in pools.items()
    }

    assert urls == {
        "odeon-edge-asia": "https://asia.example.org",
        "odeon-edge-default": "http://localhost:8480",
    }
    assert pools["odeon-edge-asia"]["maxReplicas"] == pools["odeon-edge-default"]["maxReplicas"]


def test_names_of_the_longest_release_and_pool_fit_where_they_go() -> None:
    pool, release = "a" * 20, "b" * 60
    named = f"transcoderPools.{pool}.enabled=true,edgePools.{pool}.enabled=true"
    objects = charts.rendered("ha", "--set", f"fullnameOverride={release},{named}")

    for one in objects:
        labels = {**one["metadata"].get("labels", {}), **one.get("spec", {}).get("selector", {})}
        assert max(len(str(value)) for value in labels.values() if isinstance(value, str)) <= 63
        if one["kind"] in ("Service", "TranscoderPool", "EdgePool"):
            assert len(one["metadata"]["name"]) <= 63
        if one["kind"] == "StatefulSet":
            # And the hash of its template, which is in a label of its pods.
            assert len(one["metadata"]["name"]) <= 63 - 11


def test_who_brings_every_secret_needs_no_job_and_names_the_secrets_everywhere() -> None:
    objects = charts.rendered("default", *OWN)

    assert of_kind(objects, "Job") == []
    named = {
        value["valueFrom"]["secretKeyRef"]["name"]
        for _, container, _ in containers(objects)
        for value in env(container).values()
        if isinstance(value, dict) and "secretKeyRef" in value["valueFrom"]
    }
    assert named == {"mine"}


def test_further_objects_are_rendered_with_the_release() -> None:
    named = {"name": "{{ .Release.Name }}-mine"}
    further = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": named}]

    objects = charts.rendered("default", "--set-json", f"extraObjects={json.dumps(further)}")

    assert "odeon-mine" in {one["metadata"]["name"] for one in of_kind(objects, "ConfigMap")}


def test_another_image_makes_another_job_of_the_secrets() -> None:
    names = [
        of_kind(charts.rendered("default", "--set", f"image.tag={tag}"), "Job")[0]["metadata"][
            "name"
        ]
        for tag in ("v1", "v2", "v1")
    ]

    assert names[0] == names[2] != names[1]
