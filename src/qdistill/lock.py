"""One writer at a time: a folder is held by a lock file, which says by whom.

The lock is two things at once. On one machine it is the kernel's (`flock`), which ends with its process, however that
ends: no process id can be mistaken for another's. Between machines that share a disk it is a sign of life: the holder
touches the file every half minute, and a file that was not touched for ten minutes is free. Both are needed, for some
shared disks have locks of the kernel that only one machine sees, and some keep those of a machine that is gone. Where a
disk has none at all, a process of the same machine is known by its id and the time when it was started.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import secrets
import shlex
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qdistill.errors import RunError
from qdistill.processes import is_gone, machine, started

if sys.platform != "win32":
    import fcntl

BEAT_SECONDS, STALE_SECONDS = 30.0, 600.0
"""How often a holder shows that it is alive, and how long its silence is waited for on another machine."""

_MOMENT = 0.5
"""Seconds within which processes that start together have all signed, or have seen that another has."""

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)
"""What a file system answers that has no locks."""


class Lock:
    """A lock that is held; see `hold`.

    Args:
        path: of the lock file.
        what: it guards, for what errors say.
        file: the open lock file, on which the kernel's lock is.
        own: what the file says of this process.
    """

    def __init__(self, path: Path, what: Path, file: int, own: dict[str, Any]) -> None:
        self.path, self.what = path, what
        self._file, self._own = file, own
        self._released = threading.Event()
        self._beat = threading.Thread(target=self._live, name=f"lock of {what}", daemon=True)
        self._beat.start()

    def check(self) -> None:
        """Make sure, before something is written, that nobody took the lock over while this process stood still.

        Raises:
            RunError: somebody did.
        """
        now = _read(self.path)
        if now is None:
            raise RunError(f"{self.path} was removed, so {self.what} may be another's by now: nothing more is written.")
        if now != self._own:
            raise RunError(
                f"{self.what} was taken over by {_name(now)}, while this process stood still for more than "
                f"{STALE_SECONDS / 60:g} minutes: nothing more is written."
            )

    def release(self) -> None:
        """Let others write."""
        self._released.set()
        self._beat.join()
        with contextlib.suppress(OSError):
            # Removed before it is unlocked: who has opened it in between sees that it is gone, and begins again.
            if _read(self.path) == self._own:
                self.path.unlink()
        os.close(self._file)

    def _live(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self.path)


@contextlib.contextmanager
def hold(path: Path, what: Path, *, patience: float = 0.0) -> Iterator[Lock]:
    """Hold a lock file.

    Args:
        path: of the lock file; its folder must be there.
        what: it guards, for what an error says.
        patience: seconds to wait for another holder to end.

    Raises:
        RunError: another process holds it, which the message names, or it cannot be written.
    """
    give_up = time.monotonic() + patience
    while isinstance(taken := _take(path, what), str):
        if time.monotonic() >= give_up:
            raise RunError(taken)
        time.sleep(0.2)
    try:
        yield taken
    finally:
        taken.release()


def _take(path: Path, what: Path) -> Lock | str:
    """Take a lock that is free; else say who holds it."""
    give_up = time.monotonic() + 10 * _MOMENT
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            try:
                found = _try(file, path, what)
            except BaseException:
                os.close(file)
                raise
        except FileNotFoundError as error:
            if not path.parent.is_dir():
                raise RunError(f"Cannot write {path}: {error.strerror}.") from error
            continue  # its holder has just removed it
        except OSError as error:
            raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error
        if isinstance(found, dict):
            return Lock(path, what, file, found)
        os.close(file)
        if found is not None:
            return found
        if time.monotonic() > give_up:
            return f"{what} is being written to by a process that does not say which. Wait for it, or choose another."
        time.sleep(0.01)


def _try(file: int, path: Path, what: Path) -> dict[str, Any] | str | None:
    """One attempt on an open lock file: what is signed, a refusal, or None where another attempt is worth it."""
    free = _lock(file)
    holder = _read(path)
    if holder is None and free is False:
        return None  # who has it is just about to sign
    if holder is not None and _lives(holder, path, free):
        return _refusal(what, holder, path)
    if not os.path.samestat(os.fstat(file), path.stat()):
        return None
    if free is False:
        path.unlink()  # the lock of a machine that is gone, which nobody else will give up
        return None
    own = _sign(file, path)
    return own if free or _still(own, path) else None


def _lock(file: int) -> bool | None:
    """Whether the kernel gave its lock; None where it has none."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _sign(file: int, path: Path) -> dict[str, Any]:
    """Write into a lock file who holds it."""
    own = {
        "host": socket.gethostname(),
        "machine": machine(),
        "process": os.getpid(),
        "process_started": started(os.getpid()),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "token": secrets.token_hex(8),
    }
    try:
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, json.dumps(own, indent=2).encode())
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return own


def _still(own: dict[str, Any], path: Path) -> bool:
    """Where the kernel cannot decide: whether no other signed in the same moment."""
    time.sleep(_MOMENT)
    return _read(path) == own


def _read(path: Path) -> dict[str, Any] | None:
    """What a lock file says; None where there is none, or where it is not signed."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _lives(holder: dict[str, Any], path: Path, free: bool | None) -> bool:
    """Whether the one who signed a lock file may still be at work."""
    if holder.get("machine") == machine():
        if free is not None:
            return not free
        process, since = holder.get("process"), holder.get("process_started")
        # A container has ids of its own, and mostly a name of its own.
        if holder.get("host") == socket.gethostname() and isinstance(process, int) and is_gone(process, since):
            return False
    return _silence(path) < STALE_SECONDS


def _silence(path: Path) -> float:
    """Seconds since a lock file was touched, by the clock of the disk that it is on: those of machines differ."""
    with tempfile.TemporaryFile(dir=path.parent) as now:
        return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime


def _name(holder: dict[str, Any]) -> str:
    return f"process {holder.get('process')} on {holder.get('host')} since {holder.get('since')}"


def _refusal(what: Path, holder: dict[str, Any], path: Path) -> str:
    text = f"{what} is being written to by {_name(holder)} ({holder.get('command')}). Wait for it, or choose another."
    if holder.get("machine") == machine():
        return text
    return (
        f"{text} Its last sign of life is {_silence(path):.0f} s old; after {STALE_SECONDS / 60:g} minutes without one "
        "it counts as dead."
    )
