"""Which machine and which process this is, and whether another process is still there."""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import sys
from pathlib import Path


@functools.cache
def machine() -> str:
    """Eight hexadecimal digits that tell machines apart: those of its kernel's present run, or else of its name.

    Containers of one machine have the same: its kernel sees the locks and processes of them all.
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = socket.gethostname()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def started(process: int) -> str | None:
    """When a process of this machine was started, in the kernel's ticks; None where that cannot be known."""
    try:
        # Its name, in parentheses, may hold anything. The start is the twentieth field after it.
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return None


def is_gone(process: int, since: str | None = None) -> bool:
    """Whether it is certain that a process of this machine has ended.

    Args:
        process: its id, which another may have by now.
        since: what `started` said of it; None where that was not known.
    """
    if sys.platform == "win32":  # where signal 0 is Ctrl-C
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return since is not None and started(process) not in (since, None)
