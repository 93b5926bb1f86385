"""A job process ends with whoever started it, whichever process that is."""

import os
import subprocess
import sys

import pytest

START_ONE = """
import asyncio, os
from odeon_transcoder.adapters.processes import PipedProcesses

async def main():
    process = await PipedProcesses().start()
    await process.kill()
    print("started by", os.getpid())

asyncio.run(main())
"""


def test_a_job_process_works_for_the_first_process_of_a_container() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes a namespace of processes")
    # Python itself is then process 1, as in an image.
    alone = ("unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", START_ONE)

    done = subprocess.run(alone, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "started by 1\n", done.stderr


def test_a_job_process_whose_starter_is_gone_ends_at_once() -> None:
    somebody_else = os.getppid()
    command = (sys.executable, "-m", "odeon_transcoder.pipeline", f"--parent={somebody_else}")

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (1, "the parent is gone\n")
