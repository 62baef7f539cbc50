"""Run folders: how one is begun, and when it may be gone on with.

A folder holds a run from the moment on that `recipe.json` is in it, which is written whole, under the folder's lock,
and before anything else of the run. So a process that is killed leaves a run that can be resumed, or a folder that is
as good as empty.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from qdistill.errors import RunError
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import recipe_of_run
from qdistill.files import CHECKPOINT, DEVICE, LOG, RECIPE, SEEDS, is_temporary, write_json
from qdistill.folders import LOCK
from qdistill.quantum import DeviceModel, Execution


def is_begun(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / RECIPE).exists()


def check_free(folder: Path) -> None:
    """Make sure that a folder is not there yet, or holds nothing.

    Raises:
        RunError: it holds something, or cannot be looked into.
    """
    try:
        if not folder.exists():
            return
        # The seeds are noted before the recipe, and the log begins before anything.
        held = not folder.is_dir() or any(
            path.name not in (LOCK, LOG, SEEDS) and not is_temporary(path) for path in folder.iterdir()
        )
    except OSError as error:
        raise RunError(f"Cannot create the folder {folder}: {error.strerror or error}.") from error
    if held or is_begun(folder):
        raise RunError(f"The run folder {folder} exists already. Choose another, or resume the run in it.")


def begin(folder: Path, recipe: Recipe) -> None:
    """Begin a run in a folder that is held and free.

    Raises:
        RunError: it is not free, or cannot be written.
        ArgumentError, MissingExtraError: the recipe's device is not to be had.
    """
    check_free(folder)
    execution = None if recipe.device.is_exact else recipe.device.execution(recipe.n_wires)
    write_json(folder / RECIPE, recipe.to_json())
    _keep_device(folder, execution)


def check_begun(folder: Path, recipe: Recipe) -> None:
    """Make sure that a folder holds a run of a recipe.

    Raises:
        RunError: it holds none, or one of another recipe.
        ArgumentError: what it holds is no recipe.
    """
    if recipe_of_run(folder) != recipe:
        raise RunError(f"The run folder {folder} is of another recipe. Resume it with its own, or choose a new folder.")


def execution_of(folder: Path, recipe: Recipe) -> Execution | None:
    """How the circuits of a run are executed: on the device as it was when the run began; None for exact simulation.

    Raises:
        RunError: the device is no longer in the folder, although the run is on its way.
        ArgumentError, MissingExtraError: what is there is no device, or the recipe's is not to be had.
    """
    if recipe.device.is_exact:
        return None
    if (folder / DEVICE).exists():
        kept = DeviceModel.from_toml(folder / DEVICE)
        return Execution(kept, recipe.device.shots, "gaussian", recipe.device.preparation)
    execution = recipe.device.execution(recipe.n_wires)
    if execution.device is not None and (folder / CHECKPOINT).exists():
        raise RunError(f"There is no {folder / DEVICE}, the device that the run began with. Put it back.")
    _keep_device(folder, execution)
    return execution


def device_digest(folder: Path) -> str | None:
    """A sum of the device in a run folder; None where there is none."""
    if not (folder / DEVICE).exists():
        return None
    return hashlib.sha256(DeviceModel.from_toml(folder / DEVICE).to_toml().encode()).hexdigest()


def _keep_device(folder: Path, execution: Execution | None) -> None:
    if execution is not None and execution.device is not None:
        # The numbers themselves: a name or a file may mean others tomorrow.
        execution.device.save(folder / DEVICE)
