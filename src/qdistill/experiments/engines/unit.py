"""One unit of work: a recipe and the run folder that it ends in. It resumes, wherever it is run next."""

from __future__ import annotations

import dataclasses
import importlib
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdistill import errors
from qdistill.data import Splits
from qdistill.errors import QDistillError, RunError
from qdistill.evaluate.baselines import FullTraining
from qdistill.experiments.course import check_data
from qdistill.experiments.devices import make_cores_devices
from qdistill.experiments.folder import check_begun
from qdistill.experiments.full_run import check_same, run_full
from qdistill.experiments.loop import Observer
from qdistill.experiments.metrics import last_look
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run import run_missing
from qdistill.fields import from_table
from qdistill.files import CHECKPOINT, LOG, SCORES


@dataclass(frozen=True)
class Unit:
    """What an engine runs.

    Args:
        recipe: what to do.
        folder: where to; what is in it is gone on with.
        name: of the run among the others, such as ``removed/seed-1``.
        training: where the recipe's network trains on all inputs instead of distilled ones. Such a training keeps
            nothing on its way: one that was stopped begins again.
        until: the iteration to pause at, one of a look; the test part is not read then. By default it goes to the end.
    """

    recipe: Recipe = field(compare=False)
    folder: Path
    name: str
    training: FullTraining | None = field(default=None, compare=False)
    until: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing left to do."""
        if (self.folder / SCORES).exists() or self.until is None:
            return (self.folder / SCORES).exists()
        return int(last_look(self.folder).get("iteration", 0)) >= self.until

    @property
    def log(self) -> Path:
        """What the process that runs it says, and why it failed."""
        return self.folder / LOG

    def work(
        self,
        *,
        data_dir: Path | None = None,
        splits: Splits | None = None,
        observer: Observer | None = None,
        patience: float = 0.0,
        cores: int | None = None,
    ) -> None:
        """Do it, to the end; see `experiments.run.run_missing`.

        Raises:
            RunError, BundleError, DataError, DivergenceError, KeyboardInterrupt: see `qdistill.run`.
        """
        recipes, folders = [self.recipe], [self.folder]
        if self.training is None:
            run_missing(
                recipes,
                folders,
                data_dir=data_dir,
                splits=splits,
                observer=observer,
                patience=patience,
                cores=cores,
                until=self.until,
            )
        else:
            make_cores_devices(cores)
            run_full(recipes, self.training, folders, data_dir=data_dir, splits=splits, patience=patience)


@dataclass(frozen=True)
class Failure:
    """Why a unit did not end.

    Args:
        kind: the name of the error's class.
        message: what it says.
    """

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What an error says, on one line if it is not one of this package's own."""
        if isinstance(error, QDistillError):
            return cls(type(error).__name__, str(error))
        return cls("RunError", " ".join(f"unexpected {type(error).__name__}: {error}".split()))

    def error(self, unit: Unit) -> QDistillError:
        """The error again, with the run that it is of and its log."""
        kind = getattr(errors, self.kind, RunError)
        log = f" Log: {unit.log}." if unit.log.exists() else ""
        found: QDistillError = kind(f"{unit.name}: {self.message}{log}")
        return found


@dataclass(frozen=True)
class Call:
    """A function of this package by its name, with arguments that JSON has."""

    module: str
    function: str
    arguments: tuple[Any, ...] = ()

    def __call__(self) -> None:
        """Call it."""
        getattr(importlib.import_module(self.module), self.function)(*self.arguments)


@dataclass(frozen=True)
class Setup:
    """What all units of an engine have in common.

    Args:
        data_dir: where the datasets' files lie.
        prepare: called in every other process before its first unit: loads the user's networks, for example.
        cores: of each; by default those that make it quicker.
    """

    data_dir: Path | None = None
    prepare: Call | None = None
    cores: int | None = None


@dataclass(frozen=True)
class Task:
    """A unit on its way to another process.

    Args:
        content: all that it takes, as JSON.
    """

    content: str

    @classmethod
    def of(cls, unit: Unit, setup: Setup, patience: float = 0.0) -> Task:
        """Pack a unit, with how long its process waits for another that holds the folder."""
        return cls(
            json.dumps(
                {
                    "recipe": unit.recipe.to_json(),
                    "folder": str(unit.folder),
                    "name": unit.name,
                    "training": unit.training and dataclasses.asdict(unit.training),
                    "until": unit.until,
                    "data_dir": None if setup.data_dir is None else str(setup.data_dir),
                    "prepare": setup.prepare and dataclasses.astuple(setup.prepare),
                    "cores": setup.cores,
                    "patience": patience,
                }
            )
        )

    def unpack(self) -> Unit:
        """Prepare the process, and unpack the unit."""
        plain = json.loads(self.content)
        if plain["prepare"] is not None:
            module, function, arguments = plain["prepare"]
            Call(module, function, tuple(arguments))()
        training = None if plain["training"] is None else from_table(FullTraining, plain["training"], "training")
        recipe, folder = Recipe.from_json(plain["recipe"]), Path(plain["folder"])
        return Unit(recipe, folder, plain["name"], training, plain["until"])

    def __call__(self, observer: Observer | None = None) -> Failure | None:
        """Do it; what goes wrong is returned, and written into the log with where it came from."""
        plain = json.loads(self.content)
        data_dir = None if plain["data_dir"] is None else Path(plain["data_dir"])
        # What the unit needs of the user's may be missing in this process.
        return attempt(
            Path(plain["folder"]) / LOG,
            lambda: self.unpack().work(
                data_dir=data_dir, observer=observer, patience=plain["patience"], cores=plain["cores"]
            ),
        )


def attempt(log: Path, work: Callable[[], None]) -> Failure | None:
    """Work on a unit; what goes wrong is returned, and written into its log with where it came from."""
    try:
        work()
    except Exception as error:
        write_log(log, "".join(traceback.format_exception(error)))
        return Failure.of(error)
    return None


def write_log(log: Path, text: str) -> None:
    """Add to a unit's log, where there is a folder for it and a disk that takes it."""
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
    except OSError:
        return  # what went wrong is said all the same


def unfinished(units: Sequence[Unit], data_dir: Path | None) -> list[Unit]:
    """The units that have not ended, after those that have were found to be of the same recipe and data.

    Raises:
        RunError: a folder is of another recipe, training or data.
    """
    missing = [unit for unit in units if not unit.has_ended]
    going_on = {data_of(unit.recipe) for unit in missing}
    splits: dict[object, Splits] = {}
    for unit in units:
        if not unit.has_ended:
            continue
        if unit.training is not None:
            check_same(unit.folder, unit.recipe, unit.training)
            continue
        check_begun(unit.folder, unit.recipe)
        data = data_of(unit.recipe)
        # Only where its numbers will stand beside new ones.
        if data in going_on and (unit.folder / CHECKPOINT).exists():
            if data not in splits:
                splits[data] = unit.recipe.splits(data_dir)
            check_data(unit.folder, splits[data])
    return missing


def data_of(recipe: Recipe) -> tuple[object, ...]:
    """What two recipes must have in common to read the same splits."""
    return recipe.dataset, recipe.data, recipe.transforms, recipe.n_validation
