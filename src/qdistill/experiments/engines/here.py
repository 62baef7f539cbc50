"""In this process, one recipe after another; its seeds side by side in one program."""

from __future__ import annotations

import dataclasses
import gc
import itertools
from collections.abc import Callable, Iterator, Sequence

import jax

from qdistill.data import Splits
from qdistill.errors import QDistillError
from qdistill.experiments.engines.board import Board
from qdistill.experiments.engines.engine import Change, Source, raise_failures
from qdistill.experiments.engines.unit import Failure, Setup, Unit, attempt, data_of
from qdistill.experiments.full_run import run_full
from qdistill.experiments.loop import Observer, Teller
from qdistill.experiments.run import run_missing
from qdistill.folders import make_folder


class Here:
    """An `Engine` that needs nothing but this process.

    Args:
        setup: where data lie, and how many cores all seeds have together; nothing is prepared, since the process is
            there already.
        observer: is told how each recipe goes.
        told: is given a line as each training on all inputs begins.
        board: shows how the units of a source go.
    """

    def __init__(
        self,
        setup: Setup | None = None,
        *,
        observer: Observer | None = None,
        told: Callable[[str], None] = lambda line: None,
        board: Board | None = None,
    ) -> None:
        self._setup = setup or Setup()
        self._observer, self._told, self._board = observer, told, board or Board()
        self._data: tuple[object, Splits] | None = None

    def run(self, units: Sequence[Unit]) -> None:
        """See `Engine`."""
        failures: dict[Unit, Failure] = {}
        for group in _alike(units):
            try:
                self._run(group, self._observer)
            except QDistillError as error:
                failed = [unit for unit in group if not unit.has_ended] or group[:1]
                failures |= dict.fromkeys(failed, Failure.of(error))
        raise_failures(failures, len(units))

    def follow(self, source: Source) -> None:
        """See `Engine`: what it gives at once, which may be seeds of a recipe, side by side, one after another."""
        units = source.next()
        if not units:
            return
        with self._board as board:
            board.begin(units, "this process", source.in_words)
            while units:
                for group in _alike(units):
                    self._try(group, source, board)
                units = source.next()
                board.add(units)

    def _try(self, units: Sequence[Unit], source: Source, board: Board) -> None:
        """Run a group of a source's; whatever goes wrong is said to the source."""
        for unit in units:
            make_folder(unit.folder)
            board.changed(Change(unit, "running"))
        failure = attempt(units[0].log, lambda: self._run(units, Teller(iterated=board.show)))
        for unit in units:
            own = None if unit.has_ended else failure
            source.ended(unit, own)
            board.changed(Change(unit, "done" if own is None else "failed", own))
        # Each compiled program takes memory mappings, of which Linux allows a process 65,530.
        jax.clear_caches()  # type: ignore[no-untyped-call]
        gc.collect()

    def _run(self, units: Sequence[Unit], observer: Observer | None) -> None:
        recipes, folders = [unit.recipe for unit in units], [unit.folder for unit in units]
        training = units[0].training
        splits = None if all(unit.has_ended for unit in units) else self._splits_of(units[0])
        if training is None:
            cores, until = self._setup.cores, units[0].until
            run_missing(recipes, folders, splits=splits, observer=observer, cores=cores, until=until)
        else:
            run_full(recipes, training, folders, splits=splits, told=self._told)

    def _splits_of(self, unit: Unit) -> Splits:
        """A unit's dataset, which is read once for units that follow each other."""
        data = data_of(unit.recipe)
        if self._data is None or self._data[0] != data:
            self._data = None  # not two in memory at the same time
            self._data = data, unit.recipe.splits(self._setup.data_dir)
        return self._data[1]


def _alike(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """The units in their order, those together that follow each other and differ in their seed only."""

    def kind(unit: Unit) -> object:
        return dataclasses.replace(unit.recipe, seed=0), unit.training, unit.until

    for _, group in itertools.groupby(units, kind):
        yield list(group)
