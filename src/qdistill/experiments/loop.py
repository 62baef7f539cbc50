"""The loop over a run's iterations, for one seed alone or for several in one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from qdistill.distill.cores import ALONE, Spread
from qdistill.distill.outer_state import IterationReport, OuterState
from qdistill.distill.seeds import SideBySide
from qdistill.experiments.course import Course
from qdistill.experiments.metrics import Report
from qdistill.experiments.recipe import Recipe


@runtime_checkable
class Observer(Protocol):
    """What watches a run, such as a progress display; where seeds run side by side, all of them at once."""

    def begin(self, recipe: Recipe, iteration: int, n_seeds: int) -> None:
        """The run begins, or goes on, at this iteration."""
        ...

    def iterated(self, iteration: int, loss: float) -> None:
        """An iteration ended; the loss is the mean over the seeds."""
        ...

    def reported(self, reports: Sequence[Report]) -> None:
        """A line of metrics was written for each seed that is still going."""
        ...

    def end(self, message: str) -> None:
        """The run ended."""
        ...


def nothing() -> None:
    """What a `Teller` calls where nobody wants to be told."""


class Teller:
    """An observer that is told of every look, and asked to stop between iterations.

    Args:
        looked: called after each look.
        iterated: called after each iteration; may raise.
    """

    def __init__(self, looked: Callable[[], None] = nothing, iterated: Callable[[], None] = nothing) -> None:
        self._looked, self._iterated = looked, iterated

    def begin(self, recipe: Recipe, iteration: int, n_seeds: int) -> None:
        """See `Observer`."""

    def iterated(self, iteration: int, loss: float) -> None:
        """See `Observer`."""
        self._iterated()

    def reported(self, reports: Sequence[Report]) -> None:
        """See `Observer`."""
        self._looked()

    def end(self, message: str) -> None:
        """See `Observer`."""


def iterate(
    courses: Sequence[Course],
    observer: Observer,
    *,
    at_once: int | None = None,
    spread: Spread = ALONE,
    between: Callable[[], None] = lambda: None,
    before_writing: Callable[[], None] = lambda: None,
) -> None:
    """Advance all courses to their ends; an interruption leaves each in the last state that it reached.

    Args:
        courses: their problems differ in their seed only.
        observer: is told how they go.
        at_once: how many of several are at work at the same time; see `SideBySide`.
        spread: how the devices of one of several share its iteration.
        between: called after each iteration; what it raises ends the loop.
        before_writing: called before each look; what it raises ends the loop, and nothing more is written.
    """
    program: _Program = _Alone(courses) if len(courses) == 1 else _Together(courses, at_once, spread)
    n_going = len(courses)
    try:
        while going := [course for course in courses if not course.ended]:
            if len(going) < n_going:
                n_going = len(going)
                for course in going:
                    course.share_with(n_going)
            # After a crash between two checkpoints, the seeds that lag behind catch up first.
            now = min(course.iteration for course in going)
            moving = [not course.ended and course.iteration == now for course in courses]
            reports = program.advance(moving)
            losses = [float(report.loss) for report, moves in zip(reports, moving, strict=True) if moves]
            observer.iterated(now + 1, float(np.mean(losses)))
            looked = [course for course, moves in zip(courses, moving, strict=True) if moves and course.is_due]
            if looked:
                before_writing()
                program.fetch()
                observer.reported([course.look() for course in looked])
                program.store()
            between()
    finally:
        program.fetch()


class _Program(Protocol):
    """What advances the courses; their states are their own between `fetch` and `store`."""

    def advance(self, moving: Sequence[bool]) -> Sequence[IterationReport]: ...
    def fetch(self) -> None: ...
    def store(self) -> None: ...


class _Alone:
    """A single course, whose state needs no joining."""

    def __init__(self, courses: Sequence[Course]) -> None:
        (self._course,) = courses

    def advance(self, moving: Sequence[bool]) -> Sequence[IterationReport]:
        self._course.state, report = self._course.distiller.iterate(self._course.state)
        self._course.took(report)
        return [report]

    def fetch(self) -> None:
        pass

    def store(self) -> None:
        pass


class _Together:
    """Several courses in one program."""

    def __init__(self, courses: Sequence[Course], at_once: int | None, spread: Spread) -> None:
        self._courses = courses
        self._side_by_side = SideBySide([course.distiller for course in courses], at_once, spread)
        self._joined: OuterState
        self.store()

    def advance(self, moving: Sequence[bool]) -> Sequence[IterationReport]:
        self._joined, reports = self._side_by_side.iterate(self._joined, moving)
        for course, report, moves in zip(self._courses, reports, moving, strict=True):
            if moves:
                course.took(report)
        return reports

    def fetch(self) -> None:
        for course, state in zip(self._courses, self._side_by_side.part(self._joined), strict=True):
            course.state = state

    def store(self) -> None:
        self._joined = self._side_by_side.join([course.state for course in self._courses])
