"""The documents' shell blocks: found, and run as a reader would, page by page from top to bottom.

A fenced block marked `sh` is run. What cannot be says why in a comment right above its fence:
`<!-- not run: it needs a cluster -->`.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHELL = "sh"
_FENCE = re.compile(r"^\s*```(?P<language>[\w-]*)\s*$")
_NOT_RUN = re.compile(r"^<!-- not run: (?P<reason>.+) -->$")


class PageFailed(AssertionError):
    """A block ended with an error or took too long; carries what it printed."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of its document.
        line: of its opening fence, counted from 1.
        language: what the fence says; empty if nothing.
        text: the lines between the fences.
        not_run: why it is not run; empty for blocks that are.
    """

    page: Path
    line: int
    language: str
    text: str
    not_run: str = ""

    @property
    def runs(self) -> bool:
        """Whether readers are to run it, and so do the tests."""
        return self.language == SHELL and not self.not_run


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a document, from top to bottom."""
    found: list[Block] = []
    lines = page.read_text("utf-8").splitlines()
    opened, language, above, reason = -1, "", "", ""
    for index, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence and opened < 0:
            opened, language = index, fence["language"]
            remark = _NOT_RUN.match(above)
            reason = remark["reason"] if remark else ""
        elif fence:
            text = "\n".join(lines[opened + 1 : index]) + "\n"
            found.append(Block(page, opened + 1, language, text, reason))
            opened = -1
        above = line.strip() or above
    return found


def run_page(
    page: Path, *, root: Path, folder: Path, env: Mapping[str, str], limit_s: float = 100
) -> str:
    """Run a page's blocks in one shell; returns what they printed on standard output.

    Args:
        page: the document.
        root: the repository; its entries are linked into `folder`, so that files which blocks
            write do not land in the tree.
        folder: an empty folder, the blocks' working directory.
        env: the shell's whole environment.
        limit_s: for all blocks together.

    Raises:
        PageFailed: a block failed or ran for too long.
    """
    for entry in root.iterdir():
        (folder / entry.name).symlink_to(entry)
    script = "set -euo pipefail\n" + "".join(
        f"echo '>>> {page.name}:{block.line}' >&2\n{block.text}"
        for block in blocks(page)
        if block.runs
    )
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            said, complained = shell.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            said, complained = shell.communicate()
            raise PageFailed(f"not done within {limit_s} s\n{said}\n{complained}") from None
    if shell.returncode:
        raise PageFailed(f"exit code {shell.returncode}\n{said}\n{complained}")
    return said


def reader_env(home: Path) -> dict[str, str]:
    """The environment of somebody who reads: our programs on PATH, nothing else of ours set.

    Args:
        home: where `odeon up` announced the deployment (ODEON_HOME).
    """
    outside = {name: value for name, value in os.environ.items() if not name.startswith("ODEON_")}
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**outside, "PATH": programs, "ODEON_HOME": str(home)}
