"""The folder of an execution: what it runs, and what it has measured so far, one file a batch of circuits."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.backends.execution_plan import MEASURED, ExecutionPlan
from qdistill.backends.measured import MeasuredCircuit
from qdistill.errors import RunError
from qdistill.files import read_json, write_json, write_whole
from qdistill.folders import holding

EXECUTION = "execution.json"
"""What an execution runs."""

_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for a file that is cut short, changed, or none of the kind."""


def check(plan: ExecutionPlan, folder: Path, *, resume: bool = False) -> None:
    """Make sure that a folder is free for this execution or, to go on, holds it; nothing is written.

    Args:
        plan: what is executed.
        folder: need not be there.
        resume: go on with what is in it; the number of steps may be another one.

    Raises:
        RunError: the folder holds an execution and `resume` is false, or holds none or another one and `resume` is
            true.
    """
    path = folder / EXECUTION
    if not resume:
        if path.exists():
            raise RunError(f"The folder {folder} holds an execution already: go on with it (--resume), or use another.")
        return
    if not path.exists():
        raise RunError(f"There is no execution in {folder} to go on with.")
    own, before = plan.description, read_json(path)
    different = sorted(key for key in own if not isinstance(before, dict) or before.get(key) != own[key])
    if different:
        raise RunError(
            f"The execution in {folder} cannot be resumed: it is for another {', '.join(different)}. Begin a new "
            "one in another folder."
        )


def begin(plan: ExecutionPlan, folder: Path, *, resume: bool = False) -> None:
    """Begin an execution's folder, or go on with one, after `check`.

    Args:
        plan: what is executed.
        folder: made if it is not there.
        resume: go on with what is in it; the number of steps may be another one.

    Raises:
        RunError: as `check`, another process writes to the folder, or it cannot be written.
    """
    with holding(folder):
        check(plan, folder, resume=resume)
        (folder / MEASURED).mkdir(exist_ok=True)
        if not resume:
            write_json(folder / EXECUTION, plan.description)


def circuits_left(plan: ExecutionPlan, folder: Path) -> dict[MeasuredCircuit, int]:
    """How many circuits a folder does not hold yet, for each that is `measured`."""
    left = dict.fromkeys(plan.measured, 0)
    for job in plan.jobs():
        if not (folder / job.file).exists():
            left[plan.calls[job.call].measured] += plan.circuits_of(job)
    return left


def read_batch(path: Path, name: str, parameters: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """What `write_batch` put into a file for these circuits; None where there is no file.

    Raises:
        RunError: the file is damaged, or is of other circuits.
    """
    if not path.exists():
        return None
    again = "Delete it to measure it again."
    try:
        # Opened here, because NumPy leaves a file open that is cut short.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            before, value = file["parameters"], np.asarray(file[name])
        # What led to these angles was computed again, maybe on another machine.
        same = before.shape == parameters.shape and np.allclose(before, parameters, atol=1e-3)
    except _DAMAGED as error:
        # Not in NumPy's words, which advise to load pickles, and so to run what is in them.
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged"
        raise RunError(f"Cannot read {path}: {why}. {again}") from error
    if value.dtype.kind not in ("U" if name == "job" else "fiu") or (name != "job" and not np.isfinite(value).all()):
        raise RunError(f"Cannot read {path}: it holds values that no backend measured. {again}")
    if not same or value.shape != shape:
        raise RunError(f"The results in {path} are of other circuits than those of this execution.")
    return value


def write_batch(path: Path, name: str, parameters: np.ndarray, value: np.ndarray) -> None:
    """Keep what was measured or sent for some circuits, given by their parameters, in a file.

    Raises:
        RunError: it cannot be written.
    """
    content = io.BytesIO()
    arrays: dict[str, Any] = {"parameters": parameters, name: value}
    np.savez_compressed(content, **arrays)
    write_whole(path, content.getvalue())
