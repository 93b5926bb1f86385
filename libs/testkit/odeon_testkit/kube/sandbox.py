"""A network, mounts and processes apart from the machine's own: what runs there ends with it.

A node changes a machine: mounts, addresses, firewall rules, links below /var, settings of the
kernel. Here all of that is in namespaces whose first process is killed at the end, and killed by
the kernel should whoever made them die. What is left are cgroups and a folder, which the next
sandbox removes.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from odeon_testkit.images import cache

_NAME = "odeon-node-"
_CLONE_NEWNET = 0x40000000
_CGROUPS = Path("/sys/fs/cgroup")
# Overlays keep from the machine what is written below /var, without hiding what is there. The
# values of the kernel are those that a kubelet wants; it finds them and changes nothing. The way
# out leads nowhere: a link whose other end is here, too. `wait` collects who has lost its parent.
_FIRST = """
set -eu
mount -t tmpfs tmpfs /run
for folder in lib log; do
  upper=/run/var/$folder
  mkdir -p "$upper" "$upper.work"
  mount -t overlay overlay \
    -o "lowerdir=/var/$folder,upperdir=$upper,workdir=$upper.work" "/var/$folder"
done
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file="/run/$(echo "${pair%%=*}" | tr / .)"
  echo "${pair#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${pair%%=*}"
done
ip link set lo up
ip link add node type veth peer name nowhere
ip address add "$1/30" dev node
ip link set node up
ip link set nowhere up
ip route add default dev node
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
sleep infinity &
wait
"""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox.

    Attributes:
        directory: of its own; the same path inside and outside.
        name: of its cgroup, in every hierarchy.
    """

    directory: Path
    name: str
    _process: subprocess.Popen[str]

    @property
    def prefix(self) -> tuple[str, ...]:
        """Runs another command inside, in `directory`; the other is killed when this one is."""
        namespaces = f"/proc/{self._process.pid}/ns"
        return (
            *("nsenter", f"--net={namespaces}/net", f"--mount={namespaces}/mnt"),
            *(f"--pid={namespaces}/pid_for_children", "--"),
            # Whoever enters a mount namespace is at its root.
            *("env", f"--chdir={self.directory}", "setpriv", "--pdeathsig", "KILL", "--"),
        )

    @contextmanager
    def network(self) -> Iterator[None]:
        """This thread, and the threads and programs that it starts, have the sandbox's network."""
        inside = Path(f"/proc/{self._process.pid}/ns/net")
        with Path("/proc/thread-self/ns/net").open() as home, inside.open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def run(self, *command: str | Path, stdin: int | None = None) -> str:
        """Run a command inside; returns what it printed.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        arguments = [*self.prefix, *map(str, command)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, stdin=stdin)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def sandbox(address: str) -> Iterator[Sandbox]:
    """A sandbox; nothing of it is left afterwards.

    Args:
        address: of the machine that it pretends to be.
    """
    _clean()
    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=home))
    with (directory / "sandbox.log").open("w") as log:
        process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid"),
                *("--fork", "--kill-child=KILL", "--mount-proc", "sh", "-c", _FIRST, "sh", address),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"no sandbox: {(directory / 'sandbox.log').read_text()}")
        _make_cgroups(directory.name)
        yield Sandbox(directory, directory.name, process)
    finally:
        _kill_first(process)
        process.stdout.close()
        _remove(directory.name)


def _enter(namespace: int) -> None:
    # os.setns() came with Python 3.12.
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _kill_first(process: subprocess.Popen[str]) -> None:
    """Kill the first process inside: when it is gone, so is every other."""
    with suppress(FileNotFoundError):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        for child in children.split():
            with suppress(ProcessLookupError):
                os.kill(int(child), 9)
    process.wait()


def _make_cgroups(name: str) -> None:
    """A cgroup for the pods in every hierarchy: a kubelet wants to find it."""
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir()
        # Of version 1, whose new cpusets are empty.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / file).exists() and (group / file).exists():
                (group / file).write_text((hierarchy / file).read_text())


def _hierarchies() -> list[Path]:
    """Version 2 has one; of version 1 every controller has its own, some beside a version 2."""
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS]
    folders = {folder.resolve() for folder in _CGROUPS.iterdir()}
    return sorted(folder for folder in folders if (folder / "cgroup.procs").exists())


def _clean() -> None:
    """Remove what sandboxes left whose makers died."""
    places = (_home(), *_hierarchies())
    for name in {found.name for place in places for found in place.glob(f"{_NAME}*")}:
        maker = name.removeprefix(_NAME).partition("-")[0]
        if not Path("/proc", maker).exists():
            _remove(name)


def _remove(name: str) -> None:
    for hierarchy in _hierarchies():
        # From the leaves on; the files in them cannot be removed and go with them.
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            # One that is still in use is left to the next sandbox.
            with suppress(OSError):
                Path(folder).rmdir()
    shutil.rmtree(_home() / name, ignore_errors=True)


def _home() -> Path:
    """Where their folders are: beside the images, of which they have links."""
    return cache.folder() / "nodes"
