"""Where a running `odeon up` can be found: a state file in its data directory and a pointer to it.

Both hold secrets (an API key), so only their owner may read them.
"""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from odeon_cli.console import CliError

_STATE_FILE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Addresses and credentials of a running deployment; the keys of `odeon up --json`."""

    gateway: str
    edge: str
    grpc: str
    api_key: str
    pid: int
    data_dir: str
    tenant: str = ""
    event: str = ""
    watch_url: str = ""
    studio_url: str = ""
    guest_url: str = ""
    whip_url: str = ""
    whip_token: str = ""
    whep_url: str = ""
    playlist_url: str = ""
    edges: tuple[str, ...] = ()
    ca_file: str = ""
    nats: str = ""
    media: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a state file; keys of a newer version are ignored."""
        record = json.loads(text)
        known = {field.name for field in fields(cls)}
        record["edges"] = tuple(record.get("edges", ()))
        return cls(**{key: value for key, value in record.items() if key in known})

    @property
    def playback_token(self) -> str:
        """The token in the playlist's path (/t/<token>/…)."""
        return urlsplit(self.playlist_url).path.removeprefix("/t/").partition("/")[0]

    def record(self) -> dict[str, Any]:
        """What `odeon up --json` prints."""
        return {**asdict(self), "edges": list(self.edges)}


def home() -> Path:
    """Where the command keeps what outlives a run: $ODEON_HOME, else ~/.odeon."""
    return Path(os.environ.get("ODEON_HOME") or Path.home() / ".odeon")


def write_private(path: Path, text: str) -> None:
    """Replace a file at once; readable for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def announce(running: Running) -> None:
    """Let the other commands find this deployment."""
    text = json.dumps(running.record(), indent=2) + "\n"
    write_private(Path(running.data_dir) / _STATE_FILE, text)
    write_private(home() / _STATE_FILE, text)


def withdraw(data_dir: Path) -> None:
    """The deployment of this process has stopped; a newer one's announcement stays."""
    for path in (data_dir / _STATE_FILE, home() / _STATE_FILE):
        with suppress(OSError, ValueError, TypeError):
            if Running.parse(path.read_text("utf-8")).pid == os.getpid():
                path.unlink(missing_ok=True)


def running_in(data_dir: Path) -> Running | None:
    """The living deployment announced in a directory, if any."""
    try:
        running = Running.parse((data_dir / _STATE_FILE).read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return running if _alive(running.pid) else None


def find_running(data_dir: Path | None = None) -> Running:
    """The deployment of `data_dir`, or the one started last.

    Raises:
        CliError: none runs.
    """
    running = running_in(data_dir or home())
    if running is None:
        raise CliError(
            "no running deployment was found on this machine",
            hint="start one with `odeon up`, or name the deployment with --url and --api-key",
        )
    return running


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
