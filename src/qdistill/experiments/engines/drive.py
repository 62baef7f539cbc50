"""The loop that makes an engine of workers: submits, looks, shows, and ends in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from qdistill.experiments.engines.board import Board
from qdistill.experiments.engines.engine import Change, Choice, State, Workers, raise_failures
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
        missing = unfinished(units, self._setup.data_dir)
        if not missing:
            return
        workers = self._workers(self._setup)
        states: dict[Unit, State] = dict.fromkeys(missing, "queued")
        failures: dict[Unit, Failure] = {}
        try:
            with ctrl_c_noted() as stop, self._board as board:
                board.begin(states, workers.place)
                workers.submit(missing)
                self._follow(workers, states, failures, stop)
        except KeyboardInterrupt:
            # What was waited for has ended, however it was asked to.
            if not set(states.values()) <= {"done", "failed"}:
                raise
        finally:
            workers.close()
        raise_failures(failures, len(units))

    def _follow(self, workers: Workers, states: dict[Unit, State], failures: dict[Unit, Failure], stop: Stop) -> None:
        """Look until nothing is queued or running, or the user has chosen not to wait for it."""
        asked = False
        while not {"queued", "running"}.isdisjoint(states.values()):
            for change in workers.look():
                _note(change, states, failures)
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


def _note(change: Change, states: dict[Unit, State], failures: dict[Unit, Failure]) -> None:
    states[change.unit] = change.state
    if change.failure is not None:
        failures[change.unit] = change.failure


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
