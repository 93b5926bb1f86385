"""A real S3 server over a directory: versitygw (Apache-2.0), built once from its Go module."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from odeon_testkit.go_programs import GoPrograms

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
BUCKET = "recordings"
PROGRAMS = GoPrograms(f"versitygw-{VERSION}", (f"{MODULE}@{VERSION}",))
_ACCESS, _SECRET = "odeon-test", "odeon-test-secret"
_START_S = 20.0


@dataclass(slots=True)
class S3Server:
    """One server with one bucket; `stop()` and `start()` keep its port and its objects."""

    directory: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The bucket as the recorder's setting names it."""
        return f"s3://{BUCKET}"

    @property
    def environment(self) -> dict[str, str]:
        """The AWS_* variables of its clients."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": _ACCESS,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
        }

    def start(self) -> None:
        """Start; returns when it accepts connections."""
        objects, facts = self.directory / "objects", self.directory / "facts"
        (objects / BUCKET).mkdir(parents=True, exist_ok=True)
        facts.mkdir(exist_ok=True)
        address = f"127.0.0.1:{self.port}"
        with (self.directory / "s3.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(PROGRAMS.build() / "versitygw"),
                    *("--access", _ACCESS, "--secret", _SECRET, "--port", address),
                    # Beside the objects, since not every file system has extended attributes.
                    *("posix", "--sidecar", str(facts), str(objects)),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    told = (self.directory / "s3.log").read_text()
                    raise RuntimeError(f"versitygw did not start: {told}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running server on a free port, gone with its objects afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    directory = Path(tempfile.mkdtemp(prefix="odeon-s3-"))
    server = S3Server(directory, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
