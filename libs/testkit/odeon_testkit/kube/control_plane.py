"""etcd, kube-apiserver and kube-controller-manager, by default on loopback and without a node.

Nothing is scheduled and no container runs; everything that the API itself does is real: CRDs with
CEL, admission policies, server-side apply, watches, RBAC, garbage collection by owner references.
`node.py` adds a node.
"""

import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from odeon_cli.up.ports import block_of_ports

from odeon_testkit.kube import settings
from odeon_testkit.kube.api import KubeApi, Object, Refused
from odeon_testkit.kube.program import Program
from odeon_testkit.kube.programs import CONTROL_PLANE

CRDS = Path(__file__).resolve().parents[4] / "helm" / "odeon-crds" / "templates"
"""Odeon's resources. They are plain YAML, so that a folder of them can be applied as it is."""


@dataclass(slots=True)
class ControlPlane:
    """A control plane.

    Attributes:
        url: of the API server.
        token: bearer token of a user who may do everything.
        directory: where all of it is: logs, keys, etcd's data.
        etcd, api_server, controller_manager: to take one of them away for a while.
    """

    url: str
    token: str
    directory: Path
    etcd: Program
    api_server: Program
    controller_manager: Program
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    @property
    def ca_file(self) -> Path:
        """Who signed the API server's certificate, PEM."""
        return self.directory / settings.CERTIFICATES / "apiserver.crt"

    @property
    def kubeconfig(self) -> Path:
        """For clients that read one; the same user as `token`."""
        return self.directory / settings.ADMIN_KUBECONFIG

    @property
    def audit_log(self) -> Path:
        """Every write that was asked for and by whom, one JSON object a line, without its body."""
        return self.directory / settings.AUDIT_LOG

    def api(self, token: str | None = None) -> KubeApi:
        """A new client, of the admin unless another token is given; the caller closes it."""
        return KubeApi(self.url, token or self.token, self.ca_file)

    def new_namespace(self) -> str:
        """An empty namespace in which pods can be created; returns its name."""
        name = f"odeon-{next(self._numbers)}"
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        with self.api() as api:
            api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            self.controller_manager.wait_for(lambda: api.exists(account))
        return name

    def start(self, *, crds: Path | None) -> None:
        """Start all; returns when pods can be created."""
        self.etcd.start()
        self.api_server.start()
        self.wait_until_ready()
        if crds is not None:
            self.apply_crds(crds)
        self.controller_manager.start()
        with self.api() as api:
            # Made by the controller manager; no pod is admitted without.
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self.controller_manager.wait_for(lambda: api.exists(account))

    def stop(self) -> None:
        """Kill all: nothing here outlives the tests."""
        for program in (self.controller_manager, self.api_server, self.etcd):
            program.stop()

    def wait_until_ready(self) -> None:
        """Return when the API server answers, e.g. after `api_server.start()`."""
        # It listens once it has made its certificate, and a client is made from that.
        self.api_server.wait_for(self._listens)
        with self.api() as api:
            self.api_server.wait_for(lambda: api.ready)

    def apply_crds(self, folder: Path = CRDS) -> None:
        """Apply a folder's YAML files; returns when the kinds that they define can be used.

        Before the controller manager starts, as `control_plane()` does it: its garbage collector
        looks for new kinds every 30 s only, and until then misses that an owner is gone.
        """
        with self.api() as api:
            applied = [
                one for file in sorted(folder.glob("*.yaml")) for one in api.apply_file(file)
            ]
        self.wait_until_served(d for d in applied if d["kind"] == "CustomResourceDefinition")

    def wait_until_served(self, definitions: Iterable[Object]) -> None:
        """Return when objects of the kinds that these CRDs define can be used."""
        with self.api() as api:
            for definition in definitions:
                self.api_server.wait_for(partial(_served, api, definition))

    def _listens(self) -> bool:
        host, _, port = self.url.removeprefix("https://").partition(":")
        return listens(host, int(port))


def listens(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def control_plane(*, crds: Path | None = CRDS) -> Iterator[ControlPlane]:
    """A running control plane; its processes and its files are gone afterwards.

    Args:
        crds: folder of what is applied before the controllers start; None for an empty cluster.
    """
    directory = Path(tempfile.mkdtemp(prefix="odeon-kube-"))
    plane = prepared(directory)
    try:
        plane.start(crds=crds)
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(directory)


def prepared(
    directory: Path,
    network: settings.Network = settings.LOOPBACK,
    prefix: Sequence[str] = (),
) -> ControlPlane:
    """A control plane with its keys, tokens and ports, which is not started yet.

    Args:
        directory: for all that it writes.
        network: where it listens.
        prefix: command that runs a program where it is to run.
    """
    port = block_of_ports(0, 2, {network.host, settings.LOOPBACK.host})
    etcd_url = f"http://{settings.LOOPBACK.host}:{port + 1}"
    url = f"https://{network.host}:{port}"
    settings.write(directory, url)

    def program(name: str, arguments: Sequence[str]) -> Program:
        return Program(name, (*prefix, CONTROL_PLANE.folder / name, *arguments), directory)

    return ControlPlane(
        url=url,
        token=settings.TOKENS["admin"],
        directory=directory,
        etcd=program("etcd", settings.etcd(etcd_url)),
        api_server=program("kube-apiserver", settings.api_server(port, etcd_url, network)),
        controller_manager=program("kube-controller-manager", settings.controller_manager()),
    )


def _served(api: KubeApi, crd: Object) -> bool:
    """Whether objects of a kind can be listed: for a moment after its creation they cannot."""
    group, versions = crd["spec"]["group"], crd["spec"]["versions"]
    plural = crd["spec"]["names"]["plural"]
    try:
        return all(api.exists(f"/apis/{group}/{v['name']}/{plural}") for v in versions)
    except Refused as refused:
        if refused.code != 429:
            raise
        return False
