"""Helm, with nothing of the user's: no repository, no plugin, no cache."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_LIMIT_S = 100.0


class HelmFailed(Exception):
    """Helm exited with an error; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Helm:
    """One version of Helm and one cluster.

    Attributes:
        program: of one of `programs.HELMS`.
        kubeconfig: of the cluster.
        home: folder for what it keeps.
    """

    program: Path
    kubeconfig: Path
    home: Path

    def run(self, *arguments: str | Path) -> str:
        """Run a command; returns what it printed.

        Raises:
            HelmFailed: with what it said.
        """
        folders = {
            f"HELM_{name}_HOME": str(self.home / name.lower())
            for name in ("CACHE", "CONFIG", "DATA")
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HELM_", "KUBE"))}
        done = subprocess.run(
            [str(self.program), *map(str, arguments)],
            env={**clean, **folders, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise HelmFailed(done.stdout + done.stderr)
        return done.stdout
