"""A namespace with operators and pods, on a real API server and a real NATS."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from odeon_testkit import wait
from odeon_testkit.kube.api import KubeApi, Object
from odeon_testkit.kube.control_plane import ControlPlane
from odeon_testkit.nats import NatsServer
from odeon_testkit.operated import (
    OperatorProcess,
    SimKubelet,
    policy_manifest,
    pool_manifest,
)

EAGER = {"behavior": {"scaleIn": {"stabilizationWindowSeconds": 0, "tolerance": 0}}}


@dataclass(slots=True)
class Site:
    """A namespace with an operator, and pods that run."""

    plane: ControlPlane
    api: KubeApi
    namespace: str
    nats: NatsServer
    kubelet: SimKubelet
    directory: Path
    operators: list[OperatorProcess]

    def operator(self, identity: str = "operator-1", **env: str) -> OperatorProcess:
        """Another operator, with a lease of seconds; not started."""
        made = OperatorProcess(
            self.plane,
            self.nats.url,
            self.directory,
            **{
                "ODEON_OPERATOR_IDENTITY": identity,
                "ODEON_OPERATOR_WATCH_NAMESPACE": self.namespace,
                "ODEON_OPERATOR_LEASE_NAMESPACE": self.namespace,
                "ODEON_OPERATOR_LEASE_DURATION_S": "2",
                "ODEON_OPERATOR_LEASE_DEADLINE_S": "1.5",
                "ODEON_OPERATOR_LEASE_RETRY_S": "0.3",
                "ODEON_OPERATOR_RESYNC_S": "5",
                "ODEON_OPERATOR_LOOK_S": "1",
                "ODEON_OPERATOR_STATUS_S": "0.5",
                **env,
            },
        )
        self.operators.append(made)
        return made

    def make_pool(self, name: str = "main", **spec: object) -> Object:
        """A pool that scales in at once."""
        self.make_policy("eager")
        given = {"policyRef": {"name": "eager"}, **spec}
        return self.api.apply(pool_manifest(name, self.namespace, **given))

    def make_policy(self, name: str, **spec: object) -> Object:
        """A policy that scales in at once."""
        return self.api.apply(policy_manifest(name, self.namespace, **{**EAGER, **spec}))

    def pool(self, name: str = "main") -> Object:
        """As it stands."""
        path = f"/apis/odeon.live/v1alpha1/namespaces/{self.namespace}/transcoderpools/{name}"
        return self.api.get(path)

    def set_pool(self, name: str = "main", **spec: object) -> None:
        """Change its spec."""
        self.api.patch(self.pool(name), {"spec": spec})

    def condition(self, kind: str, name: str = "main") -> Object:
        """One of the pool's conditions; empty when it is not told."""
        found = self.pool(name).get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == kind), {})

    async def until(self, holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until something holds."""

        async def asked() -> bool:
            return await asyncio.to_thread(holds)

        try:
            await wait.until(asked, timeout_s=timeout_s)
        except TimeoutError:
            told = [o.log.read_text()[-3000:] for o in self.operators]
            raise AssertionError("\n".join(told)) from None

    async def serving(self, count: int, *, timeout_s: float = 20.0) -> None:
        """Wait until so many pods are labelled as serving, and there are no others."""

        def holds() -> bool:
            states = [p["metadata"]["labels"]["odeon.live/state"] for p in self.kubelet.pods()]
            return len(states) == count and set(states) <= {"ready", "allocated"}

        await self.until(holds, timeout_s=timeout_s)

    def states(self) -> list[str]:
        """State labels of all pods, sorted."""
        return sorted(p["metadata"]["labels"]["odeon.live/state"] for p in self.kubelet.pods())

    def labels(self, name: str) -> dict[str, str]:
        """Labels of a pod."""
        found = next(p for p in self.kubelet.pods() if p["metadata"]["name"] == name)
        return dict(found["metadata"]["labels"])

    def names(self) -> list[str]:
        """Names of all pods, sorted."""
        return sorted(p["metadata"]["name"] for p in self.kubelet.pods())

    def uids(self) -> set[str]:
        """Uids of all pods."""
        return {p["metadata"]["uid"] for p in self.kubelet.pods()}

    def writes(self) -> list[Object]:
        """What was written in the namespace, leases apart, as the API server logged it."""
        with self.plane.audit_log.open() as log:
            found = [json.loads(line) for line in log if self.namespace in line]
        return [
            entry
            for entry in found
            if entry["objectRef"].get("namespace") == self.namespace
            and entry["objectRef"]["resource"] != "leases"
        ]

    async def renewals(self, count: int) -> None:
        """Wait until the lease was renewed so often: time in which a leader is at work."""
        seen = {self._renewed()}

        def enough() -> bool:
            seen.add(self._renewed())
            return len(seen) > count

        await self.until(enough, timeout_s=60.0)

    def _renewed(self) -> str:
        return str(self.lease()["spec"]["renewTime"])

    def lease(self, name: str = "odeon-operator") -> Object:
        """As it stands."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{name}"
        return self.api.get(path)
