"""A store of image layers and images, and archives of them that container runtimes import.

Formats: OCI Image Format Specification 1.1 (image-layout, manifest, config, layer). What goes into
a layer decides its digest: names are sorted, times are zero and owners are given, never taken.
"""

import json
import os
import platform
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_EPOCH = "1970-01-01T00:00:00Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
"""Of this machine, in the words of Go, which images use."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Something in a store, named by what is in it."""

    digest: str
    size: int

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """How a manifest refers to it."""
        return {"mediaType": media_type, "digest": f"sha256:{self.digest}", "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What an image runs, and as whom; all fields as in a Dockerfile."""

    entrypoint: tuple[str, ...]
    user: str = "65532:65532"
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self, layers: Iterable[Blob]) -> dict[str, Any]:
        """The image's configuration."""
        return {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "created": _EPOCH,
            "config": {
                "Entrypoint": list(self.entrypoint),
                "Env": [_PATH, *(f"{key}={value}" for key, value in self.environment.items())],
                "Labels": dict(self.labels),
                "User": self.user,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one.digest}" for one in layers]},
        }


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a store.

    Attributes:
        name: with everything that may be left out elsewhere, e.g. "docker.io/odeon/room:0.1.0".
        manifest: what its digest is the digest of.
        blobs: everything that an archive of it must hold.
    """

    name: str
    manifest: Blob
    blobs: tuple[Blob, ...]


class Store:
    """A folder of blobs, which several makers may use at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("blobs", "made"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def layer(self, key: str, make: Callable[[Path], None]) -> Blob:
        """A layer; made only if none was made for this key yet.

        Args:
            key: a digest of everything that decides what is in the layer.
            make: writes the layer as a tar archive to the path that it is given.
        """
        made = self._folder / "made" / key
        if made.exists():
            digest, size = made.read_text().split()
            for used in (made, self._folder / "blobs" / digest):
                used.touch()
            return Blob(digest, int(size))
        with tempfile.TemporaryDirectory(dir=self._folder) as work:
            archive = Path(work) / "layer.tar"
            make(archive)
            blob = self._keep(archive)
            note = Path(work) / "note"
            note.write_text(f"{blob.digest} {blob.size}")
            note.replace(made)
        return blob

    def image(self, name: str, layers: tuple[Blob, ...], config: Config) -> Image:
        """An image of these layers, the lowest first."""
        about = self._document(config.document(layers))
        manifest = self._document(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": about.descriptor(_CONFIG),
                "layers": [layer.descriptor(_LAYER) for layer in layers],
            }
        )
        return Image(name, manifest, (manifest, about, *layers))

    def write_archive(
        self, images: Iterable[Image], out: IO[bytes], *, known: Iterable[Image] = ()
    ) -> None:
        """Write an image layout that holds these images as a tar archive, e.g. into a pipe.

        Args:
            images: what the archive is of.
            out: where it goes.
            known: images whose layers the reader has already; they are left out.
        """
        chosen = tuple(images)
        left_out = {blob for image in known for blob in image.blobs}
        index = {
            "schemaVersion": 2,
            "manifests": [
                {
                    **image.manifest.descriptor(_MANIFEST),
                    "platform": {"architecture": ARCHITECTURE, "os": "linux"},
                    # The first is containerd's, the second everybody's.
                    "annotations": {
                        "io.containerd.image.name": image.name,
                        "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
                    },
                }
                for image in chosen
            ],
        }
        with tarfile.open(fileobj=out, mode="w|", bufsize=1 << 20) as archive:
            _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _add(archive, "index.json", json.dumps(index).encode())
            wanted = {blob for image in chosen for blob in image.blobs} - left_out
            for digest in sorted(blob.digest for blob in wanted):
                archive.add(self._folder / "blobs" / digest, f"blobs/sha256/{digest}")

    def forget(self, *, unused_s: float) -> None:
        """Remove what nobody used for a while: every change of the code leaves a layer behind."""
        before = time.time() - unused_s
        for file in (*self._folder.glob("made/*"), *self._folder.glob("blobs/*")):
            if file.stat().st_mtime < before:
                file.unlink(missing_ok=True)

    def _document(self, content: Mapping[str, Any]) -> Blob:
        with tempfile.TemporaryDirectory(dir=self._folder) as work:
            file = Path(work) / "document.json"
            file.write_text(json.dumps(content, sort_keys=True))
            return self._keep(file)

    def _keep(self, file: Path) -> Blob:
        with file.open("rb") as content:
            digest = file_digest(content, "sha256").hexdigest()
        blob = Blob(digest, file.stat().st_size)
        file.replace(self._folder / "blobs" / digest)
        return blob


def tree_layer(root: Path, archive: Path) -> None:
    """Write a folder as a layer: everything in it is root's."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, str(path.relative_to(root)), recursive=False, filter=_as_roots)


def key_of(*parts: str | bytes | Path) -> str:
    """A digest of texts and of files and folders: of their names within, modes and contents."""
    what = sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file() and "__pycache__" not in file.parts:
                    content = sha256(file.read_bytes()).hexdigest()
                    mode = os.access(file, os.X_OK)
                    what.update(f"{file.relative_to(part)} {mode} {content}\n".encode())
        else:
            content = sha256(part.encode() if isinstance(part, str) else part).hexdigest()
            what.update(f"{content}\n".encode())
    return what.hexdigest()


def _as_roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = 0
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, BytesIO(content))
