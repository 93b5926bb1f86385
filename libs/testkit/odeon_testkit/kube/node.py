"""A real node with its control plane: containerd, kubelet, kube-proxy, scheduler, CoreDNS.

Pods run, Services and DNS work, and all of it is in a sandbox that leads nowhere (`sandbox.py`).
Images are imported, never pulled. What the network plugin does not enforce: NetworkPolicies.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

from odeon_testkit.images import cache, oci
from odeon_testkit.images.build import Builder
from odeon_testkit.images.others import others
from odeon_testkit.kube import node_settings, pods, settings
from odeon_testkit.kube.api import KubeApi
from odeon_testkit.kube.control_plane import CRDS, ControlPlane, listens, prepared
from odeon_testkit.kube.program import Program
from odeon_testkit.kube.programs import NODE
from odeon_testkit.kube.sandbox import Sandbox, sandbox
from odeon_testkit.kube.unpacked import lend, unpacked

HOST_PROGRAMS = ("containerd", "runc", "iptables", "ip", "nsenter", "setpriv", "unshare")
"""What the machine must have, beside the CNI plugins."""
_IMAGES = {node_settings.DNS_IMAGE: "coredns", node_settings.PAUSE_IMAGE: "pause"}


@dataclass(frozen=True, slots=True)
class Images:
    """What pods may run.

    Attributes:
        seldom: what changes seldom, and is kept as containerd unpacked it.
        often: what is imported at every start, with layers of `seldom` below its own.
    """

    seldom: tuple[oci.Image, ...]
    often: tuple[oci.Image, ...]

    @classmethod
    def none(cls) -> Self:
        """Only what a node itself needs."""
        return cls(tuple(_own_images(cache.store())), ())

    @classmethod
    def of(cls, builder: Builder) -> Self:
        """Everything that a deployment runs."""
        seldom = (*cls.none().seldom, *builder.foundations(), *others(builder))
        return cls(seldom, tuple(map(builder.image, builder.services)))


@dataclass(frozen=True, slots=True)
class Node:
    """A cluster of one node.

    Attributes:
        plane: its control plane, which is reached from inside of `sandbox.network()`.
        containerd, kubelet, proxy, scheduler: to take one of them away for a while.
    """

    plane: ControlPlane
    sandbox: Sandbox
    containerd: Program
    kubelet: Program
    proxy: Program
    scheduler: Program
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    @property
    def address(self) -> str:
        """Where its ports are; of NodePorts, too."""
        return node_settings.NETWORK.host

    def add_volumes(self, number: int) -> None:
        """Make folders of the node volumes of the default class, each for one claim."""
        with self.plane.api() as api:
            for _ in range(number):
                name = f"volume-{next(self._numbers)}"
                folder = self.plane.directory / "volumes" / name
                folder.mkdir(parents=True)
                api.create(_volume(name, folder))

    def wait_for(self, condition: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """Return when something holds that pods bring about.

        Raises:
            TimeoutError: it did not come to hold; with how pods are.
            RuntimeError: the kubelet ended.
        """
        try:
            self.kubelet.wait_for(condition, timeout_s=timeout_s)
        except TimeoutError as error:
            with self.plane.api() as api:
                raise TimeoutError(pods.report(api)) from error

    def start(self, *, crds: Path | None, images: Images) -> None:
        """Start all; returns when pods run and names are found."""
        # Both take seconds, and neither needs the other.
        with ThreadPoolExecutor(1) as beside:
            imported = beside.submit(self._start_containerd, images)
            self.plane.start(crds=crds)
            imported.result()
        for program in (self.kubelet, self.proxy, self.scheduler):
            program.start()
        with self.plane.api() as api:
            api.apply_file(node_settings.OBJECTS)
            self.wait_for(lambda: _is_ready(api, f"/api/v1/nodes/{settings.NODE}"))
            self.wait_for(lambda: not pods.unready(api, "kube-system"))
        # Which also tells that kube-proxy knows of it.
        self.proxy.wait_for(lambda: listens(node_settings.DNS_ADDRESS, 53))

    def _start_containerd(self, images: Images) -> None:
        lend(unpacked(images.seldom, _unpack), self.sandbox.directory / "containerd")
        _start_containerd(self.containerd, self.sandbox)
        _import(self.sandbox, images.often, known=images.seldom)


def _start_containerd(containerd: Program, box: Sandbox) -> None:
    def serves() -> bool:
        try:
            box.run(*node_settings.CTR, "version")
        except RuntimeError:
            return False
        return True

    containerd.start()
    containerd.wait_for(serves)


def _import(box: Sandbox, images: Iterable[oci.Image], known: Iterable[oci.Image] = ()) -> None:
    command = [*box.prefix, *node_settings.CTR, "images", "import", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as importer:
        assert importer.stdin is not None and importer.stdout is not None
        cache.store().write_archive(images, importer.stdin, known=known)
        importer.stdin.close()
        said = importer.stdout.read().decode()
    if importer.returncode:
        raise RuntimeError(f"no images: {said}")


def _unpack(folder: Path, images: tuple[oci.Image, ...]) -> None:
    """Let a containerd of its own import images, and keep what it made."""
    with sandbox(node_settings.NETWORK.host) as box:
        node_settings.write(box, "")
        command = (*box.prefix, "containerd", *node_settings.containerd(box.directory))
        containerd = Program("containerd", command, box.directory)
        try:
            _start_containerd(containerd, box)
            _import(box, images)
        finally:
            containerd.stop()
        shutil.move(box.directory / "containerd", folder)


@contextmanager
def node(*, crds: Path | None = CRDS, images: Images | None = None) -> Iterator[Node]:
    """A running cluster of one node; nothing is left of it afterwards.

    Args:
        crds: folder of what is applied before the controllers start; None for an empty cluster.
        images: what pods may run; by default none but what the node itself needs.
    """
    with sandbox(node_settings.NETWORK.host) as box, box.network():
        plane = prepared(box.directory, node_settings.NETWORK, box.prefix)
        node_settings.write(box, plane.url)

        def program(path: str | Path, arguments: Sequence[str]) -> Program:
            return Program(Path(path).name, (*box.prefix, path, *arguments), box.directory)

        made = Node(
            plane=plane,
            sandbox=box,
            containerd=program("containerd", node_settings.containerd(box.directory)),
            kubelet=program(NODE.folder / "kubelet", node_settings.kubelet(box.directory)),
            proxy=program(NODE.folder / "kube-proxy", node_settings.kube_proxy()),
            scheduler=program(NODE.folder / "kube-scheduler", node_settings.scheduler()),
        )
        try:
            made.start(crds=crds, images=images or Images.none())
            yield made
        finally:
            # What they run ends with the sandbox.
            for each in (made.kubelet, made.proxy, made.scheduler, made.containerd):
                each.stop()
            plane.stop()


def missing() -> str:
    """What this machine lacks to run a node, for people; empty if nothing."""
    if os.geteuid() != 0:
        return "a node needs root: it makes namespaces and mounts"
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(":")]
    wanted = [name for name in HOST_PROGRAMS if not any((f / name).exists() for f in folders)]
    if not Path("/usr/lib/cni/ptp").exists():
        wanted.append("containernetworking-plugins")
    return f"a node needs {', '.join(wanted)}: scripts/setup.sh test installs it" if wanted else ""


def _own_images(store: oci.Store) -> list[oci.Image]:
    """Those without which no pod runs and no name is found."""
    return [
        store.image(
            name, (_program_layer(store, program),), oci.Config(entrypoint=(f"/{program}",))
        )
        for name, program in _IMAGES.items()
    ]


def _program_layer(store: oci.Store, program: str) -> oci.Blob:
    path = NODE.folder / program

    def make(archive: Path) -> None:
        root = archive.parent / "root"
        root.mkdir()
        shutil.copy(path, root)
        oci.tree_layer(root, archive)

    return store.layer(oci.key_of(NODE.folder.name, program), make)


def _is_ready(api: KubeApi, path: str) -> bool:
    if not api.exists(path):
        return False
    conditions = api.get(path)["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _volume(name: str, folder: Path) -> dict[str, Any]:
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [settings.NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            # Of a folder nobody checks the size; claims may ask for anything.
            "capacity": {"storage": "1Ti"},
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "local",
        },
    }
