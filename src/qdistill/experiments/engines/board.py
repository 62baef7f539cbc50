"""One screen for many runs: how many wait, run, are done and failed, and where each that runs stands.

On a terminal it is redrawn in place; elsewhere each run that begins or ends is a line. All that is said of a run is
read from its folder, which every engine keeps up to date.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from qdistill.experiments.engines.engine import Change, State
from qdistill.experiments.engines.unit import Unit
from qdistill.experiments.metrics import last_look
from qdistill.experiments.progress import duration

_ORDER: tuple[State, ...] = ("queued", "running", "done", "failed", "left")
_SHOWN = 20
"""Runs that are going and have a line on the screen; the rest are counted."""
_RENEWED = 1.0
"""Seconds after which the folders are looked into again."""


@dataclass(frozen=True)
class Standing:
    """How far a run is: iterations done and to do, and the best validation accuracy so far (None before a look)."""

    iteration: int
    total: int
    best: float | None

    @classmethod
    def of(cls, unit: Unit) -> Standing:
        """Read it from the run's folder; a training on all inputs has no iterations."""
        if unit.training is not None:
            return cls(0, 0, None)
        look, total = last_look(unit.folder), unit.until or unit.recipe.outer.iterations
        return cls(int(look.get("iteration", 0)), total, look.get("best_validation_accuracy"))


class Board:
    """Shows how many runs go.

    As a context manager it leaves the terminal in order, however the runs end.

    Args:
        console: where to write; standard error by default, so that standard output stays free for results.
        clock: tells the time in seconds.
    """

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = Console(stderr=True) if console is None else console
        self._clock = clock
        self._live: Live | None = None
        self._states: dict[Unit, State] = {}
        self._standings: dict[Unit, Standing] = {}
        self._first: dict[Unit, int] = {}
        self._begun = self._renewed = 0.0
        self._about: Callable[[], str] | None = None

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def begin(self, units: Sequence[Unit], place: str, about: Callable[[], str] | None = None) -> None:
        """Units are about to be run somewhere.

        Args:
            units: the first, or all of them.
            place: where.
            about: says how far they are all together; by default it is how long those that are known still take.
        """
        self._states, self._standings, self._first = {}, {}, {}
        self._about, self._begun = about, self._clock()
        self.add(units)
        self.say(f"{self._counts()} on {place}.")
        if self.console.is_terminal:
            self._live = Live(self._screen(), console=self.console, refresh_per_second=4)
            self._live.start()

    def add(self, units: Sequence[Unit]) -> None:
        """Units are queued."""
        self._states.update(dict.fromkeys(units, "queued"))
        self._standings.update((unit, Standing.of(unit)) for unit in units)
        self._first.update((unit, self._standings[unit].iteration) for unit in units)

    def changed(self, change: Change) -> None:
        """A unit is in another state."""
        before = self._states[change.unit]
        self._states[change.unit] = change.state
        self._standings[change.unit] = Standing.of(change.unit)
        if change.remark:
            self.say(f"{change.unit.name}: {change.remark}")
        if change.state in ("done", "failed", "left") and change.state != before:
            self.say(self._ended(change))
        elif change.state == "running" and before != "running" and self._live is None:
            self.say(f"begun: {change.unit.name}")

    def hold_back(self, units: Sequence[Unit]) -> None:
        """Units are not begun any more."""
        self._states.update(dict.fromkeys(units, "left"))

    def show(self) -> None:
        """Look again how far the runs are that go."""
        if self._live is None or self._clock() < self._renewed + _RENEWED:
            return
        self._renewed = self._clock()
        for unit, state in self._states.items():
            if state == "running":
                self._standings[unit] = Standing.of(unit)
        self._live.update(self._screen())

    def pause(self) -> None:
        """Leave the screen as it is now, to write below it."""
        if self._live is not None:
            self._live.update(self._screen(), refresh=True)
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Write a line above the screen."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _counts(self) -> str:
        counts = Counter(self._states.values())
        return ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])

    def _ended(self, change: Change) -> str:
        parts = [f"{change.state}: {change.unit.name}"]
        best = self._standings[change.unit].best
        if best is not None:
            parts.append(f"best validation accuracy {best:.1%}")
        if change.failure is not None:
            parts.append(change.failure.message.splitlines()[0])
        return "; ".join([*parts, f"now {self._counts()}{self._left()}"])

    def _left(self) -> str:
        """About how long it still takes, at the pace of all runs so far, or what else there is to be said of all."""
        if self._about is not None:
            return f"; {self._about()}"
        going = [unit for unit, state in self._states.items() if state in ("queued", "running")]
        left = sum(self._standings[unit].total - self._standings[unit].iteration for unit in going)
        done = sum(standing.iteration - self._first[unit] for unit, standing in self._standings.items())
        if not left or done <= 0:
            return ""
        return f", about {duration((self._clock() - self._begun) * left / done)} left"

    def _screen(self) -> Group:
        # What a source says of itself has a line of its own: both would not fit 80 columns.
        said = [f"{self._counts()}{self._left()}"] if self._about is None else [self._counts(), self._about()]
        heading = [Text(line, no_wrap=True, overflow="ellipsis") for line in said]
        going = [unit for unit, state in self._states.items() if state == "running"]
        table = Table(box=None, show_header=False, pad_edge=False, expand=False)
        for unit in going[:_SHOWN]:
            standing = self._standings[unit]
            best = "" if standing.best is None else f"best validation {standing.best:.1%}"
            counter = f"{standing.iteration:,}/{standing.total:,}" if standing.total else "all inputs"
            table.add_row(Text(f"  {unit.name}"), Text(counter, justify="right"), Text(best))
        if len(going) > _SHOWN:
            table.add_row(Text(f"  and {len(going) - _SHOWN} more"))
        return Group(*heading, table)
