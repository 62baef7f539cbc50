"""The loop that makes an engine of workers: submits, looks, shows, and ends in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from qdistill.experiments.engines.board import Board
from qdistill.experiments.engines.engine import Choice, Source, State, Workers, raise_failures
from qdistill.experiments.engines.unit import Failure, Setup, Unit, unfinished
from qdistill.interrupts import Stop, ctrl_c_noted

_PAUSE = 0.1
"""Seconds between two looks."""


class Driven:
    """An `Engine` of workers.

    Args:
        workers: what runs the units; called when there is something to run.
        setup: what all units have in common.
        board: is told how they go.
        ask: asks the user what to do after Ctrl-C; by default on the terminal, if there is one.
    """

    def __init__(
        self,
        workers: Callable[[Setup], Workers],
        setup: Setup,
        board: Board | None = None,
        ask: Callable[[Workers, Board], Choice] | None = None,
    ) -> None:
        self._workers, self._setup = workers, setup
        self._board, self._ask = board or Board(), ask or ask_on_terminal

    def run(self, units: Sequence[Unit]) -> None:
        """See `Engine`."""
        given = _Given(unfinished(units, self._setup.data_dir))
        try:
            self._drive(given)
        except KeyboardInterrupt:
            # What was waited for has ended, however it was asked to.
            if given.units or given.running:
                raise
        raise_failures(given.failures, len(units))

    def follow(self, source: Source) -> None:
        """See `Engine`."""
        self._drive(source, source.in_words)

    def _drive(self, source: Source, about: Callable[[], str] | None = None) -> None:
        # Nothing is started where there is nothing to do.
        first = self._next(source)
        if not first:
            return
        workers = self._workers(self._setup)
        try:
            with ctrl_c_noted() as stop, self._board as board:
                board.begin(first, workers.place, about)
                workers.submit(first)
                self._look(workers, source, dict.fromkeys(first, "queued"), stop)
        finally:
            workers.close()

    def _next(self, source: Source) -> list[Unit]:
        """Units that are to be begun; those that have ended already are said to have."""
        while units := source.next():
            missing = [unit for unit in units if not unit.has_ended]
            for unit in units:
                if unit not in missing:
                    source.ended(unit, None)
            if missing:
                return missing
        return []

    def _look(self, workers: Workers, source: Source, states: dict[Unit, State], stop: Stop) -> None:
        """Look until nothing is queued or running, or the user has chosen not to wait for it."""
        asked = False
        while True:
            going = sum(state in ("queued", "running") for state in states.values())
            while not asked and going < workers.at_once and (units := self._next(source)):
                states.update(dict.fromkeys(units, "queued"))
                self._board.add(units)
                workers.submit(units)
                going += len(units)
            if not going:
                return
            for change in workers.look():
                states[change.unit] = change.state
                if change.state in ("done", "failed"):
                    source.ended(change.unit, change.failure)
                self._board.changed(change)
            self._board.show()
            if stop.asked and not asked:
                asked = True
                if self._end(workers, states):
                    return
            time.sleep(_PAUSE)

    def _end(self, workers: Workers, states: dict[Unit, State]) -> bool:
        """Begin no more, and ask what to do with the rest; whether nothing is to be waited for."""
        may_leave = "leave" in workers.choices
        if not may_leave:
            self._hold_back(workers, states)
            if "running" not in states.values():
                return True
        self._board.pause()
        choice = self._ask(workers, self._board)
        if may_leave and choice != "leave":
            self._hold_back(workers, states)
        self._board.say(f"After Ctrl-C: {workers.choices[choice]}.")
        if choice == "stop":
            workers.stop()
        return choice != "wait"

    def _hold_back(self, workers: Workers, states: dict[Unit, State]) -> None:
        held = workers.hold_back()
        states.update(dict.fromkeys(held, "left"))
        self._board.hold_back(held)


class _Given:
    """The source of units that are all known."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units, self.running = list(units), set(units)
        self.failures: dict[Unit, Failure] = {}

    def next(self) -> Sequence[Unit]:
        """All of them at once, so that they can be one array of jobs."""
        units, self.units = self.units, []
        return units

    def ended(self, unit: Unit, failure: Failure | None) -> None:
        """Note it."""
        self.running.discard(unit)
        if failure is not None:
            self.failures[unit] = failure

    def in_words(self) -> str:
        """The screen says it all."""
        return ""


def ask_on_terminal(workers: Workers, board: Board) -> Choice:
    """Ask what to do with the units; without a terminal, or another choice, it is the first."""
    first: Choice = next(iter(workers.choices))
    if len(workers.choices) == 1 or not (sys.stdin is not None and sys.stdin.isatty() and board.console.is_terminal):
        return first
    board.say("Runs are still going. What shall become of them?")
    for choice, what in workers.choices.items():
        board.say(f"  {choice}: {what}")
    while True:
        board.say(f"{'/'.join(workers.choices)} [{first}]: ")
        given = sys.stdin.readline().strip().lower()
        for choice in workers.choices:
            if choice == given or (given and choice[0] == given):
                return choice
        if not given:
            return first
