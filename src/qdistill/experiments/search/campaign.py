"""What a search tries next, and how far, by what has come out so far and what is left of the budget."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qdistill.errors import ArgumentError, RunError
from qdistill.experiments.engines.unit import Failure, Unit
from qdistill.experiments.folder import is_begun
from qdistill.experiments.metrics import read_metrics
from qdistill.experiments.progress import duration
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.search.halving import leader, promotable, rungs
from qdistill.experiments.search.sampler import proposals
from qdistill.experiments.search.space import Plain, Space
from qdistill.experiments.search.trials import Look, Trial, write_log
from qdistill.experiments.seeds import SeedsFolder
from qdistill.files import TIME
from qdistill.run_files import RUNGS, read_time

_HOUR = 3600.0
_TOLERANCE = 0.1
"""The share of the budget by which the end of the best trial may take longer than it was thought to."""

_REPEATS, _REFUSALS, _FAILURES = 20, 50, 3
"""In a row: proposals that were all tried before, after which the space is taken for exhausted; those that the recipe
refuses, after which that is an error; and trials that fail, but not by divergence, which is no matter of recipes."""


@dataclass(frozen=True)
class Limits:
    """When a search ends.

    Args:
        core_seconds: of all trials together.
        trials: at most; None for as many as there is time for.
    """

    core_seconds: float
    trials: int | None = None


class Campaign:
    """A `Source` of the runs of a search.

    Args:
        space: what is searched.
        folder: of the search.
        trials: so far; they are changed as the search goes on.
        limits: when it ends.
        seeds: that every trial is run with; None for the recipe's.
        changed: called after each change of the trials.
    """

    def __init__(
        self,
        space: Space,
        folder: Path,
        trials: list[Trial],
        limits: Limits,
        *,
        seeds: Sequence[int] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.trials, self.failure = trials, ""
        self._space, self._folder, self._limits, self._seeds, self._changed = space, folder, limits, seeds, changed
        self._recipes: dict[int, Recipe] = {}
        self._going: dict[int, dict[Unit, Failure | None]] = {}
        self._left: dict[int, set[Unit]] = {}
        self._is_closed = self._is_exhausted = False
        self._failed = 0
        self._first, self._begun = self._spent, time.monotonic()

    def next(self) -> Sequence[Unit]:
        """See `Source`."""
        if self.failure:
            return ()
        for trial in self.trials:
            # On its way when the search was stopped.
            if trial.state == "running" and trial.number not in self._going:
                return self._begin(trial)
        if not self._is_closed:
            trial_or_none = promotable(self.trials) or self._new()
            if trial_or_none is not None and self._fits(trial_or_none):
                return self._begin(trial_or_none)
            self._is_closed = trial_or_none is not None
        return () if self._going else self._end()

    def ended(self, unit: Unit, failure: Failure | None) -> None:
        """See `Source`."""
        number = next(number for number, units in self._left.items() if unit in units)
        trial, left = self.trials[number], self._left[number]
        left.discard(unit)
        self._going[number][unit] = failure
        if left:
            return
        del self._left[number]
        self._note(trial, self._going.pop(number))
        write_log(self._folder, self.trials)
        self._changed()

    def in_words(self) -> str:
        """See `Source`."""
        spent = self._spent + sum(max(0.0, self._taken(t) - t.core_seconds) for t in self._running())
        parts = [f"{len(self.trials)} trial{'s' if len(self.trials) > 1 else ''}"]
        best = leader(self.trials)
        if best is not None:
            parts.append(f"best {best.score:.1%} ({best.name})")
        budget = self._limits.core_seconds
        parts.append(f"{spent / _HOUR:.2f} of {budget / _HOUR:g} core-hours")
        gone, new = time.monotonic() - self._begun, spent - self._first
        if new > 0 and spent < budget:
            parts.append(f"about {duration((budget - spent) / new * gone)} left")
        return ", ".join(parts)

    def recipe(self, trial: Trial) -> Recipe:
        """What a trial follows."""
        if trial.number not in self._recipes:
            self._recipes[trial.number] = self._space.recipe_of(trial.values)
        return self._recipes[trial.number]

    def folders(self, trial: Trial) -> list[Path]:
        """The run folders of a trial."""
        own = self._folder / trial.name
        return [own] if self._seeds is None else [own / f"seed-{seed}" for seed in self._seeds]

    @property
    def best(self) -> Trial | None:
        """The trial with the best validation accuracy so far."""
        return leader(self.trials)

    @property
    def _spent(self) -> float:
        return math.fsum(trial.core_seconds for trial in self.trials)

    def _running(self) -> list[Trial]:
        return [self.trials[number] for number in self._going]

    def _new(self) -> Trial | None:
        """A trial that was not tried yet; None where there is to be none."""
        for _ in range(_REFUSALS):
            number = len(self.trials)
            if self._is_exhausted or number == self._limits.trials:
                return None
            values = self._space.own if number == 0 else self._proposal()
            if values is None:
                self._is_exhausted = True
                return None
            trial = Trial(number, values)
            try:
                self.recipe(trial)
                return trial
            except ArgumentError as error:
                self.trials.append(replace(trial, state="refused", message=str(error)))
        raise ArgumentError(
            f"Argument `over` must have more combinations that the recipe takes: {_REFUSALS} in a row were refused, "
            f"the last with: {self.trials[-1].message}"
        )

    def _proposal(self) -> dict[str, Plain] | None:
        tried = [trial.values for trial in self.trials]
        found = itertools.islice(proposals(self._space, self.trials, self._space.recipe.seed), _REPEATS)
        return next((values for values in found if values not in tried), None)

    def _begin(self, trial: Trial) -> list[Unit]:
        """The units of a trial on its way to the next rung."""
        if trial.number == len(self.trials):
            self.trials.append(trial)
        trial.state = "running"
        write_log(self._folder, self.trials)
        recipe = self.recipe(trial)
        until, folders = self._next_rung(trial), self.folders(trial)
        if self._seeds is None:
            units = [Unit(recipe, folders[0], f"{trial.name} to {until:,}", until=until)]
        else:
            self._prepare(trial)
            units = [
                Unit(replace(recipe, seed=seed), folder, f"{trial.name}/{folder.name} to {until:,}", until=until)
                for seed, folder in zip(self._seeds, folders, strict=True)
            ]
        self._left[trial.number], self._going[trial.number] = set(units), {}
        return units

    def _prepare(self, trial: Trial) -> None:
        """Make a trial's folder one of several seeds, as `run_seeds` does."""
        folder = self._folder / trial.name
        if self._seeds is not None and not is_begun(folder):
            with SeedsFolder(self.recipe(trial), self._seeds, folder, resume=False).held():
                pass

    def _note(self, trial: Trial, outcomes: Mapping[Unit, Failure | None]) -> None:
        """Write down how a trial has come to a rung, or has not."""
        trial.core_seconds = self._taken(trial)
        failures = [failure for failure in outcomes.values() if failure is not None]
        if failures:
            diverged = all(failure.kind == "DivergenceError" for failure in failures)
            trial.state, trial.message = "diverged" if diverged else "failed", failures[0].message
            self._failed = 0 if diverged else self._failed + 1
            if self._failed == _FAILURES:
                self._give_up()
            return
        self._failed = 0
        until = self._next_rung(trial)
        score = statistics.mean(_best_until(folder, until) for folder in self.folders(trial))
        trial.looks.append(Look(until, score, trial.core_seconds, self._spent))
        trial.state = "ended" if len(trial.looks) == RUNGS else "waiting"

    def _give_up(self) -> None:
        """Leave the last trials to be tried again, for what they failed by is most likely none of them."""
        failed = [trial for trial in self.trials if trial.state == "failed"][-_FAILURES:]
        names = ", ".join(trial.name for trial in failed)
        self.failure = f"{_FAILURES} trials in a row failed ({names}), the last with: {failed[-1].message}"
        for trial in failed:
            trial.state, trial.message = "running", None

    def _end(self) -> Sequence[Unit]:
        """The best trial, as long as it is not at its end, and where there is time for that."""
        best = self.best
        if best is None or best.state == "ended":
            return ()
        within = self._spent + self._need(best) <= (1 + _TOLERANCE) * self._limits.core_seconds
        return self._begin(best) if within else ()

    def _fits(self, trial: Trial) -> bool:
        """Whether a trial may go on to its next rung, and whichever is the best then to its end."""
        if self._spent >= self._limits.core_seconds:
            return False
        going = [*self._running(), trial]
        best = self.best
        others = [] if best is None or best in going else [best]
        ahead = sum(self._segment(one) for one in going)
        most = max([self._need(one) - self._segment(one) for one in going] + [self._need(one) for one in others])
        return self._spent + ahead + most <= self._limits.core_seconds

    def _segment(self, trial: Trial) -> float:
        """Core-seconds to the next rung."""
        return (self._next_rung(trial) - trial.done) * self._rate(trial)

    def _need(self, trial: Trial) -> float:
        """Core-seconds to the end."""
        return (self.recipe(trial).outer.iterations - trial.done) * self._rate(trial)

    def _rate(self, trial: Trial) -> float:
        """Core-seconds an iteration: of a trial that is new, the median of the others; 0 where nothing is known."""
        if trial.done:
            return trial.core_seconds / trial.done
        rates = [one.core_seconds / one.done for one in self.trials if one.done]
        return statistics.median(rates) if rates else 0.0

    def _next_rung(self, trial: Trial) -> int:
        return rungs(self.recipe(trial))[len(trial.looks)]

    def _taken(self, trial: Trial) -> float:
        """Core-seconds of a trial so far, or those of an accelerator."""
        times = [read_time(folder) for folder in self.folders(trial) if (folder / TIME).exists()]
        return round(sum(float(one.get("gpu_seconds", one["core_seconds"])) for one in times), 1)


def _best_until(folder: Path, iteration: int) -> float:
    """The best validation accuracy of a run up to an iteration."""
    lines = [line for line in read_metrics(folder) if line["iteration"] <= iteration]
    if not lines:
        raise RunError(f"The run in {folder} has come to iteration {iteration} without a look at the validation part.")
    return float(lines[-1]["best_validation_accuracy"])
