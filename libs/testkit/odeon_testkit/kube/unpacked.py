"""Images as containerd keeps them: unpacked once, and lent to every node as links to the files.

Unpacking all images takes longer than starting a node. What changes from day to day, our own code,
is left to the node's own import.
"""

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from odeon_testkit.images import cache, oci

_KEPT = 2
"""How many sets are kept: of this branch, and of another one."""
Unpack = Callable[[Path, tuple[oci.Image, ...]], None]
"""Writes to a folder what containerd makes of images."""


def unpacked(images: Iterable[oci.Image], unpack: Unpack) -> Path:
    """The folder that containerd has after it imported these images; made unless it is kept."""
    chosen = tuple(images)
    key = oci.key_of(*(f"{image.name} {image.manifest.digest}" for image in chosen))[:16]
    home = cache.folder() / "unpacked"
    home.mkdir(parents=True, exist_ok=True)
    made = home / key
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            work = home / f"{key}.new"
            shutil.rmtree(work, ignore_errors=True)
            unpack(work, chosen)
            work.replace(made)
        made.touch()
        sets = sorted((p for p in home.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
        for old in sets[:-_KEPT]:
            shutil.rmtree(old)
    return made


def lend(kept: Path, root: Path) -> None:
    """Give a containerd that is to be started a folder of its own with what is kept.

    Its files are links where they can be: layers are never written to, only the databases are.
    """
    linked = subprocess.run(["cp", "-al", kept, root], capture_output=True, check=False)
    if linked.returncode:
        # The cache is on another disk.
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", kept, root], check=True)
    for database in root.glob("*/*.db"):
        copy = database.with_suffix(".copy")
        shutil.copy(database, copy)
        copy.replace(database)
