"""The search for a better recipe, on any engine.

A search's folder holds `search.json`, `trials.jsonl`, a run folder for each trial, and the best recipe as `best.toml`.
One process decides what is tried and how far it goes; an engine runs it. No trial reads the test part. When the budget
is spent, the best one is run to its end, and measured on the test part, once.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdistill.errors import ArgumentError, FailedRunsError, RunError
from qdistill.experiments.engines.engine import Engine
from qdistill.experiments.engines.here import Here
from qdistill.experiments.provenance import made_with
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import write_recipe
from qdistill.experiments.run_on import run_on
from qdistill.experiments.search.campaign import Campaign, Limits
from qdistill.experiments.search.sampler import check_optuna, importances
from qdistill.experiments.search.space import Space
from qdistill.experiments.search.trials import Trial, read_log
from qdistill.experiments.seeds import SeedsFolder
from qdistill.fields import convert
from qdistill.files import BEST, SEARCH, is_temporary, write_json
from qdistill.folders import LOCK, holding
from qdistill.run_files import read_search


@dataclass(frozen=True)
class Found:
    """The best of a search so far.

    Args:
        recipe: that is the best.
        folder: of its run; of several seeds, with a run folder for each.
        trial: its number; 0 is the recipe that was searched, as it stood.
        validation_accuracy: the best on its way, a fraction, the mean over the seeds. The best of many: it is too high.
        test_accuracy: likewise of what it ended with; None where the budget did not take it to its end.
    """

    recipe: Recipe
    folder: Path
    trial: int
    validation_accuracy: float
    test_accuracy: float | None


def search(
    recipe: Recipe,
    over: Space | Path | str,
    folder: Path | str,
    *,
    budget: float,
    seeds: Sequence[int] | None = None,
    trials: int | None = None,
    engine: Engine | None = None,
) -> Found | None:
    """Search for a better recipe; what was stopped goes on, and so does what has ended, where the budget is larger.

    The first trial is the recipe itself. The next ones are drawn at random, and from the tenth on by Optuna's TPE. A
    trial pauses after a ninth and after a third of its iterations, and goes on when it is in the best third there (see
    `experiments.search.halving`); it is the beginning of the run of its recipe, not a shorter run.

    Args:
        recipe: what is searched.
        over: the space, or its TOML file, see `Space.of`.
        folder: where to.
        budget: core-hours of all trials together, or hours of an accelerator. What the best trial takes to its end is
            kept back, as far as it can be foreseen; a tenth more may be taken for that.
        seeds: that every trial is run with; its validation accuracy is the mean. By default the recipe's seed.
        trials: at most so many, however much of the budget is left.
        engine: what runs them; by default this process.

    Returns:
        The best; None where no trial has come to a rung.

    Raises:
        ArgumentError: the budget is none, the space is none of the recipe's, or it refuses nearly all of it.
        MissingExtraError: Optuna is not installed.
        RunError: the folder holds something else or another search, is held by another process, or cannot be written.
        FailedRunsError: three trials in a row failed, otherwise than by divergence.
        KeyboardInterrupt: it was stopped.
    """
    folder = Path(folder)
    limits = _limits(budget, trials)
    seeds = None if seeds is None else SeedsFolder(recipe, seeds, folder, resume=True).seeds
    check_optuna()
    space = over if isinstance(over, Space) else Space.read(Path(over), recipe)
    engine = engine or Here()
    asked = {"recipe": recipe.to_json(), "space": space.to_json(), "seeds": list(seeds or [recipe.seed])}
    with holding(folder):
        _begin_or_check(folder, asked)
        state = _State(folder, asked, space)
        campaign = Campaign(space, folder, read_log(folder, space.fields), limits, seeds=seeds, changed=state.write)
        state.campaign = campaign
        engine.follow(campaign)
        if campaign.failure:
            raise FailedRunsError(f"{campaign.failure} The same search tries them again.")
        best = campaign.best
        if best is None:
            return None
        own, accuracy = folder / best.name, None
        if best.state == "ended":
            bundles = run_on(engine, campaign.recipe(best), own, seeds=seeds, resume=True)
            records = [bundle.record for bundle in bundles]
            accuracy = statistics.mean(record.test_accuracy or 0.0 for record in records)
            state.measured = (accuracy, records[0].n_test)
        state.write(last=True)
    return Found(campaign.recipe(best), own, best.number, best.score, accuracy)


def _limits(budget: Any, trials: Any) -> Limits:
    hours = convert(budget, float, "budget")
    if hours <= 0:
        raise ArgumentError(f"Argument `budget` must be above 0 (core-hours), but was {budget}.")
    most = convert(trials, int | None, "trials")
    if most is not None and most < 1:
        raise ArgumentError(f"Argument `trials` must be at least 1, but was {trials}.")
    return Limits(3600 * hours, most)


def _begin_or_check(folder: Path, asked: dict[str, Any]) -> None:
    """Make sure that a folder, which is held, holds this search or nothing."""
    if not (folder / SEARCH).exists():
        if any(path.name != LOCK and not is_temporary(path) for path in folder.iterdir()):
            raise RunError(f"The folder {folder} exists already, and holds no search. Choose another.")
        write_json(folder / SEARCH, asked | {"best": None, "importances": {}, "made_with": []})
        return
    found = read_search(folder)
    names = {"recipe": "recipe", "space": "search space", "seeds": "seeds"}
    other = [names[name] for name, value in asked.items() if found[name] != value]
    if other:
        raise RunError(
            f"The folder {folder} is of a search with another {' and '.join(other)}. Go on with its own, or choose a "
            "new folder."
        )


class _State:
    """What is written of a search as it goes: the best recipe, and what came out."""

    def __init__(self, folder: Path, asked: dict[str, Any], space: Space) -> None:
        self._folder, self._asked, self._space = folder, asked, space
        self.campaign: Campaign
        self.measured: tuple[float | None, int | None] = (None, None)

    def write(self, *, last: bool = False) -> None:
        """Write it; what mattered, which takes a second, at the end only."""
        best = self.campaign.best
        if best is None:
            return
        recipe, trials = self.campaign.recipe(best), self.campaign.trials
        write_recipe(recipe, self._folder / BEST, [self._note(best, recipe, len(trials))])
        if not last:
            return
        accuracy, n_test = self.measured
        folders = [own for trial in trials if trial.looks for own in self.campaign.folders(trial)]
        result = {
            "best": {
                "trial": best.number,
                "validation_accuracy": best.score,
                "test_accuracy": accuracy,
                "n_test": n_test,
            },
            "importances": importances(self._space, trials),
            "made_with": made_with(folders),
        }
        write_json(self._folder / SEARCH, self._asked | result)

    def _note(self, best: Trial, recipe: Recipe, count: int) -> str:
        return (
            f"Trial {best.number} of {count}: best validation accuracy {best.score:.2%} in {best.done:,} of "
            f"{recipe.outer.iterations:,} iterations."
        )
