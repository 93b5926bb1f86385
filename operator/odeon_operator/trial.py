"""`python -m odeon_operator.trial` shows that the operator works: a pool serves, drains and goes.

The pool is a copy of another one with one pod. It may be given a job like any other; then its drain
takes as long as that job, and the trial says so and leaves the pool to the operator.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.ports import Outdated, Refused, Unreachable

_PAUSE_S = 1.0
_COPIED = ("slotsPerPod", "profiles", "gpu", "template", "tenantRef")


class TrialFailed(Exception):
    """The operator did not do its part; the message says which and what the pool tells."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried.

    Attributes:
        namespace: of both pools.
        pool: name of the TranscoderPool that is copied.
        name: of the copy.
        within_s: how long each step may take, in seconds.
    """

    namespace: str
    pool: str
    name: str
    within_s: float

    @property
    def folder(self) -> str:
        """Where pools are."""
        return f"/apis/odeon.live/v1alpha1/namespaces/{self.namespace}/transcoderpools"


async def run(client: KubeClient, trial: Trial) -> None:
    """Try it.

    Raises:
        TrialFailed: a step took too long.
        Refused, Unreachable: the API server did not take part.
    """
    pattern = (await client.get(f"{trial.folder}/{trial.pool}"))["spec"]
    spec = {key: pattern[key] for key in _COPIED if key in pattern}
    await _remove(client, trial)
    started = time.monotonic()
    await client.post(trial.folder, _pool(trial.name, {**spec, "minReplicas": 1, "maxReplicas": 1}))
    await _until(client, trial, "no pod serves", lambda status: status.get("ready", 0) >= 1)
    print(f"{trial.name}: a pod serves after {time.monotonic() - started:.0f} s")
    none = {"scalingMode": "Manual", "minReplicas": 0, "replicas": 0}
    await client.merge(f"{trial.folder}/{trial.name}", {"spec": none})
    await _until(client, trial, "its pod is still there", _empty)
    print(f"{trial.name}: it drained and went")
    await _remove(client, trial)


def _pool(name: str, spec: Object) -> Object:
    labels = {"app.kubernetes.io/part-of": "odeon"}
    return {
        "apiVersion": "odeon.live/v1alpha1",
        "kind": "TranscoderPool",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def _empty(status: Object) -> bool:
    wanted = status.get("desired", {}).get("replicas")
    return wanted == 0 and not any(status.get(k) for k in ("replicas", "draining", "allocated"))


async def _until(
    client: KubeClient, trial: Trial, problem: str, holds: Callable[[Object], bool]
) -> None:
    status: Object = {}
    try:
        async with asyncio.timeout(trial.within_s):
            while not holds(status):
                await asyncio.sleep(_PAUSE_S)
                found = await client.get(f"{trial.folder}/{trial.name}")
                status = found.get("status") or {}
    except TimeoutError:
        raise TrialFailed(f"{problem} after {trial.within_s:.0f} s; {_told(status)}") from None


def _told(status: Object) -> str:
    conditions: list[dict[str, Any]] = status.get("conditions") or []
    said = [f"{c['type']}={c['status']}: {c.get('message', '')}" for c in conditions]
    return "; ".join(said) or "the pool has no status: does the operator run?"


async def _remove(client: KubeClient, trial: Trial) -> None:
    """Delete the copy, also one that an earlier trial left; returns when it is gone."""
    path = f"{trial.folder}/{trial.name}"
    async with asyncio.timeout(trial.within_s):
        while True:
            try:
                about = (await client.get(path))["metadata"]
                await client.delete(path, uid=about["uid"], revision=about["resourceVersion"])
            except Outdated as error:
                if ": 404 " in str(error):
                    return
            await asyncio.sleep(_PAUSE_S)


def trial_of(arguments: Sequence[str]) -> Trial:
    """What a command line asks for; leaves with its help where it cannot be understood."""
    parser = argparse.ArgumentParser(prog="odeon_operator.trial", description=__doc__)
    parser.add_argument("--namespace", default=os.environ.get("POD_NAMESPACE", "default"))
    parser.add_argument("--pool", required=True, help="TranscoderPool to copy")
    parser.add_argument("--name", required=True, help="of the copy")
    parser.add_argument("--within", type=float, default=180.0, help="seconds for each step")
    found = parser.parse_args(arguments)
    return Trial(found.namespace, found.pool, found.name, found.within)


async def _main(trial: Trial) -> None:
    async with KubeClient() as client:
        await run(client, trial)


def main() -> None:
    """Run once."""
    trial = trial_of(sys.argv[1:])
    try:
        asyncio.run(_main(trial))
    except (TrialFailed, Outdated, Refused, Unreachable, TimeoutError) as error:
        sys.exit(f"{trial.name}: {error}")


if __name__ == "__main__":
    main()
