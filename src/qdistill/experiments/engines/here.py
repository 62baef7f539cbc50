"""In this process, one recipe after another; its seeds side by side in one program."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

from qdistill.errors import QDistillError
from qdistill.experiments.engines.engine import raise_failures
from qdistill.experiments.engines.unit import Failure, Setup, Unit
from qdistill.experiments.full_run import run_full
from qdistill.experiments.loop import Observer
from qdistill.experiments.run import run_missing


class Here:
    """An `Engine` that needs nothing but this process.

    Args:
        setup: where data lie, and how many cores all seeds have together; nothing is prepared, since the process is
            there already.
        observer: is told how each recipe goes.
        told: is given a line as each training on all inputs begins.
    """

    def __init__(
        self,
        setup: Setup | None = None,
        *,
        observer: Observer | None = None,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._setup = setup or Setup()
        self._observer, self._told = observer, told

    def run(self, units: Sequence[Unit]) -> None:
        """See `Engine`."""
        failures: dict[Unit, Failure] = {}
        for group in _alike(units):
            try:
                self._run(group)
            except QDistillError as error:
                failed = [unit for unit in group if not unit.has_ended] or group[:1]
                failures |= dict.fromkeys(failed, Failure.of(error))
        raise_failures(failures, len(units))

    def _run(self, units: Sequence[Unit]) -> None:
        recipes, folders = [unit.recipe for unit in units], [unit.folder for unit in units]
        data_dir, training = self._setup.data_dir, units[0].training
        if training is None:
            run_missing(recipes, folders, data_dir=data_dir, observer=self._observer, cores=self._setup.cores)
        else:
            run_full(recipes, training, folders, data_dir=data_dir, told=self._told)


def _alike(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """The units in their order, those together that follow each other and differ in their seed only."""

    def kind(unit: Unit) -> object:
        return dataclasses.replace(unit.recipe, seed=0), unit.training

    for _, group in itertools.groupby(units, kind):
        yield list(group)
