"""`odeon scaling explain`: why a pool has the pods that it has, as its status tells it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from odeon_cli.console import CliError, emit, show_lines, show_table

Object = Mapping[str, Any]
KINDS = {"transcoderpool": "transcoderpools", "edgepool": "edgepools"}
_GROUP = "/apis/odeon.live/v1alpha1"
_BARS = "▁▂▃▄▅▆▇█"
_COUNTS = (
    "replicas",
    "ready",
    "allocated",
    "draining",
    "pending",
    "unhealthy",
    "updated",
    "outdated",
)
_GOOD = {"Ready": "True", "ScalingActive": "True", "MetricsAvailable": "True"}
"""What a condition is when all is well; of any other kind it is False."""


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """What the command line said.

    Attributes:
        pool: a name, or `edgepool/NAME` where both kinds have one of that name.
        namespace: empty: that of the kubeconfig's context.
    """

    pool: str
    namespace: str
    as_json: bool


def explain(options: ExplainOptions) -> None:
    """Read a pool from the cluster and show why it is as it is."""
    pool = asyncio.run(_read(options))
    if options.as_json:
        emit(told(pool))
        return
    status, meta = pool.get("status") or {}, pool["metadata"]
    if not status:
        raise CliError(
            f"the operator has not looked at {meta['name']} yet",
            hint=f"kubectl get lease -n {meta['namespace']} says who leads; see the operator's log",
        )
    show_lines(_summary(pool, status))
    show_table("conditions", ["", "condition", "reason", "says"], _conditions(status))
    decisions = status.get("decisions") or []
    title = f"last {len(decisions)} decisions   wanted {sparkline(_wanted(decisions))}"
    show_table(title, ["at", "pods", "rule", "why"], _decisions(decisions))


def told(pool: Object) -> dict[str, Any]:
    """The same for scripts: who it is, and its status as Kubernetes has it."""
    meta = pool["metadata"]
    who = {"kind": pool["kind"], "namespace": meta["namespace"], "pool": meta["name"]}
    return {**who, "status": pool.get("status") or {}}


def sparkline(numbers: Sequence[int]) -> str:
    """Numbers as bars from zero to the largest."""
    most = max(numbers, default=0) or 1
    return "".join(_BARS[round(n * (len(_BARS) - 1) / most)] for n in numbers)


async def _read(options: ExplainOptions) -> Object:
    import kopf
    from odeon_operator.adapters.kube.client import KubeClient
    from odeon_operator.ports import Refused, Unreachable

    kind, _, name = options.pool.rpartition("/")
    if kind and kind.lower() not in KINDS:
        raise CliError(f"no kind of pool is called {kind}", hint=f"one of {', '.join(KINDS)}")
    kinds = {kind.lower(): KINDS[kind.lower()]} if kind else KINDS
    try:
        async with KubeClient() as client:
            namespace = options.namespace or client.namespace or "default"
            found = [
                raw
                for one in kinds.values()
                if (raw := await _get(client, f"{_GROUP}/namespaces/{namespace}/{one}/{name}"))
            ]
    except kopf.LoginError as error:
        raise CliError("no cluster is known", hint="set KUBECONFIG, or run it in a pod") from error
    except Unreachable as error:
        raise CliError(str(error), hint="kubectl cluster-info says more") from error
    except Refused as error:
        raise CliError(str(error), hint="you need the right to get pools of odeon.live") from error
    return _one(found, name, namespace)


async def _get(client: Any, path: str) -> Object | None:
    from odeon_operator.ports import Outdated

    try:
        return dict(await client.get(path))
    except Outdated:
        return None


def _one(found: Sequence[Object], name: str, namespace: str) -> Object:
    if not found:
        hint = "kubectl get transcoderpools,edgepools -A shows all; -n NAMESPACE chooses another"
        raise CliError(f"there is no pool {name} in namespace {namespace}", hint=hint)
    if len(found) > 1:
        both = " or ".join(f"{pool['kind'].lower()}/{name}" for pool in found)
        raise CliError(f"two pools are called {name}", hint=f"say which: {both}")
    return found[0]


def _summary(pool: Object, status: Object) -> list[str]:
    meta, desired = pool["metadata"], status.get("desired") or {}
    lines = [f"{pool['kind']} {meta['namespace']}/{meta['name']}"]
    if desired:
        since = _moment(desired.get("at", ""))
        lines.append(f"  wants {desired['replicas']} by {desired['rule']} since {since}")
        lines.append(f"  {desired['reason']}")
    lines.append("  pods: " + ", ".join(f"{status.get(c, 0)} {c}" for c in _COUNTS))
    if slots := status.get("slots"):
        lines.append(f"  slots: {slots.get('used', 0):g} of {slots.get('total', 0):g} taken")
    if "viewers" in status:
        lines.append(f"  viewers: {status['viewers']}, {status.get('egressMbps', 0):g} Mb/s")
    if cold := status.get("coldStart"):
        lines.append(f"  a pod serves {cold.get('p95Seconds', 0)} s after its start (p95)")
    return lines


def _conditions(status: Object) -> list[list[str]]:
    """Those that are not as they should be first."""
    found = []
    for one in status.get("conditions") or []:
        well = one["status"] == _GOOD.get(one["type"], "False")
        state = f"{one['type']}={one['status']}"
        found.append(["" if well else "!", state, one["reason"], one.get("message", "")])
    return sorted(found, key=lambda row: row[0], reverse=True)


def _decisions(decisions: Sequence[Object]) -> list[list[str]]:
    """The newest first."""
    return [
        [
            _moment(one["at"]),
            f"{one['previous']} → {one['wanted']}",
            one["rule"],
            "\n".join(one.get("said") or []),
        ]
        for one in reversed(decisions)
    ]


def _wanted(decisions: Sequence[Object]) -> list[int]:
    return [int(one["wanted"]) for one in decisions]


def _moment(raw: str) -> str:
    """In the reader's time zone."""
    return datetime.fromisoformat(raw).astimezone().strftime("%Y-%m-%d %H:%M:%S") if raw else "-"
