"""How far a trial goes: asynchronous successive halving, by resuming.

A trial runs to a rung, a share of its own iterations, and waits there with its checkpoint. It goes on to the next when
it is among the best third of all that have come so far, so that most trials cost a ninth of a run. Nothing is killed,
and as a trial follows its own recipe all the way, its learning rates too, the end gives what the recipe gives.

Reference: Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv 1810.05934, algorithm 2. There,
what goes on must only be in the best third when it is asked for; where proposals get better and better that is nearly
every trial, so here no more than a third goes on in all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from qdistill.experiments.recipe import Recipe
from qdistill.experiments.search.trials import Trial
from qdistill.run_files import RUNGS

FACTOR = 3
"""Of the trials that come to a rung one in so many goes on, to so many times the iterations."""


def rungs(recipe: Recipe) -> tuple[int, ...]:
    """The iterations that a trial of a recipe pauses after, each that of a look at the validation part, up to its end.

    Where it looks too seldom, some are the same.
    """
    total, every = recipe.outer.iterations, recipe.outer.validate_every
    shares = [total / FACTOR**place for place in reversed(range(RUNGS))]
    return tuple(min(total, every * math.ceil(round(share / every, 9))) for share in shares)


def promotable(trials: Sequence[Trial]) -> Trial | None:
    """The trial that goes on: one that waits at the highest rung of which it is among the best third; None for none."""
    for rung in reversed(range(RUNGS - 1)):
        there = [trial for trial in trials if len(trial.looks) > rung]
        if sum(_went_on(trial, rung) for trial in there) >= len(there) // FACTOR:
            continue
        ranked = sorted(
            (trial for trial in there if trial.is_sound),
            key=lambda trial: (-trial.looks[rung].validation_accuracy, trial.number),
        )
        for trial in ranked[: len(there) // FACTOR]:
            if trial.state == "waiting" and len(trial.looks) == rung + 1:
                return trial
    return None


def _went_on(trial: Trial, rung: int) -> bool:
    return len(trial.looks) > rung + 1 or trial.state == "running"


def leader(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the best validation accuracy so far, which with more iterations can only rise; None for none."""
    looked = [trial for trial in trials if trial.is_sound and trial.looks]
    if not looked:
        return None
    return min(looked, key=lambda trial: (-trial.score, -len(trial.looks), trial.number))
