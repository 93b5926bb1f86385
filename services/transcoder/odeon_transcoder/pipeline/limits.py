"""What a job process may do: decoding what strangers send is hostile ground.

Its parent gives it no secrets in the environment. Here it gives up the rest: new privileges, core
dumps, writing files, more memory and descriptors than a job needs. A wall-clock watch is the
parent's.
"""

import contextlib
import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_GIB = 1024**3

ADDRESS_SPACE = 8 * _GIB
"""Twelve 1080p decoders, three encoders and their threads' stacks stay under 4 GiB."""
OPEN_FILES = 256
CPU_SECONDS = 64 * 24 * 3600
"""Sixty-four core-days: above the longest event, below for ever."""


def apply(*, gpu: bool, parent: int) -> None:
    """Give up what is not needed; die with the parent.

    Args:
        gpu: leave what CUDA needs.
        parent: process id of who started this process. It may be 1, the first of a container.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CPU: CPU_SECONDS,
    }
    if not gpu:
        # CUDA reserves the address space of the whole GPU and more.
        limits[resource.RLIMIT_AS] = ADDRESS_SPACE
    for kind, value in limits.items():
        _, hard = resource.getrlimit(kind)
        capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (capped, capped))
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the line above.
    if os.getppid() != parent:
        raise SystemExit("the parent is gone")
    # The parent decides when to stop; a terminal's Ctrl-C goes to the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
