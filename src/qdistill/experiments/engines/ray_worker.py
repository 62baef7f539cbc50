"""A unit on a node of a Ray cluster: in a folder of the node's own, whose files travel to the driver at each look."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from qdistill.backends.extras import require
from qdistill.errors import QDistillError
from qdistill.experiments.engines.process import one_process
from qdistill.experiments.engines.unit import Failure, Task, Unit, write_log
from qdistill.experiments.loop import Teller
from qdistill.files import BUNDLE, CHECKPOINT, METRICS, RECIPE, SCORES, is_temporary, write_whole
from qdistill.folders import LOCK
from qdistill.processes import is_gone, machine

_LATER = (METRICS, CHECKPOINT, BUNDLE, SCORES)
"""Files that count only with all that are written before them, in the order in which a run writes them."""


def work(packed: str, cores: int, number: int, post: list[Any], parcel: list[Any]) -> tuple[str, Any]:
    """Work on a unit, from where the driver's folder stands to its end.

    Args:
        packed: the content of the `Task`.
        cores: that it may use.
        number: of the run, for the post.
        post: the actor. In a list, as what follows, so that Ray does not unpack it before the versions are compared.
        parcel: the dataset in its parts.

    Returns:
        ``"ended"`` with a `Failure` or None; or ``"refused"`` with why this node cannot go on, such as a full disk.
    """
    ray = require("ray", "ray")
    # Before JAX is first used in this process.
    os.environ.update(one_process(cores))
    try:
        unit = Task(packed).unpack()
    except Exception as error:  # such as a plugin that is not on this node
        return "ended", Failure.of(error)

    def get(reference: Any) -> Any:
        # Ray gives away the cores of a task whose main thread waits.
        return aside.submit(ray.get, reference).result()

    aside = ThreadPoolExecutor(1)
    attempt, files = get(post[0].begin.remote(number, socket.gethostname()))
    try:
        with _scratch() as folder:
            own = dataclasses.replace(unit, folder=folder)
            write_files(folder, files)
            sent = {name: _sum(content) for name, content in files.items()}

            def send() -> None:
                changed = {name: part for name, part in read_files(folder).items() if sent.get(name) != _sum(part)}
                sent.update((name, _sum(part)) for name, part in changed.items())
                if not get(post[0].store.remote(number, attempt, changed)):
                    raise RuntimeError(f"{unit.name} goes on elsewhere, for this node was taken for dead")

            failure = _attempt(own, unit.folder, get(parcel[0]), cores, send)
            send()
            return "ended", failure
    except OSError as error:
        if error.errno in _FULL:
            return "refused", f"the node {socket.gethostname()} has a full disk ({error.filename})"
        raise


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _attempt(own: Unit, home: Path, splits: Any, cores: int, send: Callable[[], None]) -> Failure | None:
    """Do it; what goes wrong is returned, in terms of the driver's folder, and logged.

    Raises:
        OSError: the disk is full, which another node's may not be.
    """
    try:
        own.work(splits=splits, observer=Teller(looked=send), cores=cores)
    except Exception as error:
        cause = error.__cause__ if isinstance(error, QDistillError) else error
        if isinstance(cause, OSError) and cause.errno in _FULL:
            raise cause from error
        write_log(own.log, "".join(traceback.format_exception(error)))
        failure = Failure.of(error)
        return Failure(failure.kind, failure.message.replace(str(own.folder), str(home)))
    return None


def read_files(folder: Path) -> dict[str, bytes]:
    """All files of a run folder, by their names in it, but for its lock and what is not whole."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK and not is_temporary(path)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a run folder, in an order in which it is a run to go on with wherever this is cut short."""

    def place(name: str) -> tuple[int, str]:
        return (-1 if name == RECIPE else _LATER.index(name) + 1 if name in _LATER else 0), name

    for name in sorted(files, key=place):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, files[name])


_SCRATCH = re.compile(r"qdistill-run-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-.*")


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder on this node's disk; those of processes that were killed are removed."""
    for path in Path(tempfile.gettempdir()).glob("qdistill-run-*"):
        found = _SCRATCH.fullmatch(path.name)
        if found and found["machine"] == machine() and is_gone(int(found["process"])):
            shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"qdistill-run-{machine()}-{os.getpid()}-") as name:
        yield Path(name)


def _sum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
