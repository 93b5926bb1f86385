"""A server program of a test's Kubernetes: started, taken away for a while, waited for."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_START_S = 60.0
_PAUSE_S = 0.02


@dataclass(slots=True)
class Program:
    """One program; `stop()` and `start()` keep its data and its port.

    Attributes:
        name: for people, and of its log.
        command: the program's path and what it is told.
        directory: where it runs and where its log is.
    """

    name: str
    command: Sequence[str | Path]
    directory: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        """Of its process; None while it is stopped."""
        return self._process.pid if self._process is not None else None

    @property
    def log(self) -> Path:
        """What it said."""
        return self.directory / f"{self.name}.log"

    def start(self) -> None:
        """Start it; whoever needs it ready waits for that."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, self.command)),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Kill it. Asked to stop, the API server would wait for all watches to end."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def check(self) -> None:
        """Return if it runs.

        Raises:
            RuntimeError: it does not; with the end of its log.
        """
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} does not run: {self.log.read_text()[-3000:]}")

    def wait_for(self, condition: Callable[[], bool], *, timeout_s: float = _START_S) -> None:
        """Return when something holds that this program brings about.

        Raises:
            RuntimeError: the program ended.
            TimeoutError: it did not come to hold; with the end of the log.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain: {self.log.read_text()[-3000:]}")
            time.sleep(_PAUSE_S)
