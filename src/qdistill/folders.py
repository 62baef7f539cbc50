"""Folders that have one writer at a time."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from qdistill.errors import RunError
from qdistill.files import remove_leftovers, temporary_beside
from qdistill.lock import Lock, hold

LOCK = "lock.json"
"""The file in a folder that is being written to."""


@contextlib.contextmanager
def holding(*folders: Path, patience: float = 0.0) -> Iterator[list[Lock]]:
    """Hold folders, which are made where they are not there, and removed again if they stay empty.

    What a dead holder left half written is removed.

    Args:
        folders: all of them.
        patience: seconds to wait for another holder of one to end.

    Raises:
        RunError: another process holds one, which the message names, or a folder cannot be made or written to.
    """
    with contextlib.ExitStack() as held:
        locks = []
        for folder in folders:
            if not folder.exists():
                make_folder(folder)
                held.callback(_remove_if_empty, folder)
            locks.append(held.enter_context(hold(folder / LOCK, folder, patience=patience)))
            remove_leftovers(folder)
        yield locks


def make_folder(folder: Path) -> None:
    """Make a folder where there is none.

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot create the folder {folder}: {error.strerror or error}.") from error


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that is moved to where there is none yet, so that it appears whole or not at all.

    Raises:
        RunError: it cannot be made or moved.
    """
    temporary = temporary_beside(path)
    make_folder(temporary)
    try:
        yield temporary
        try:
            temporary.replace(path)
        except OSError as error:
            raise RunError(f"Cannot create the folder {path}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def new_folder(name: str) -> Iterator[Path]:
    """Make the first of runs/NAME-1, -2, ... that is not there yet, for this process and no other.

    It is removed again if nothing was written into it.

    Raises:
        RunError: it cannot be made.
    """
    make_folder(Path("runs"))
    number = 1
    while True:
        folder = Path("runs", f"{name}-{number}")
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise RunError(f"Cannot create the folder {folder}: {error.strerror or error}.") from error
    try:
        yield folder
    finally:
        _remove_if_empty(folder)
        _remove_if_empty(folder.parent)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
