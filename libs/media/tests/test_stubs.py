"""The type stubs say what the compiled module does."""

from __future__ import annotations

import subprocess
import sys


def test_the_stubs_match_the_compiled_module() -> None:
    modules = ["odeon_media._core", "odeon_media.errors"]
    command = [sys.executable, "-m", "mypy.stubtest", *modules]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
