"""How few real inputs a network needs to see to an accuracy: what a bundle saves against.

Every number of inputs seen is a training of its own, whose step size falls to zero at its end, as one would run it who
can pay for so many. How it trains is searched anew for every number, by validation accuracy: Adam's batch and step
size, how long the step size rises, and how it falls. So the trainings on real inputs are the thriftiest that were
found, not those of one recipe. A few inputs, drawn evenly from the classes, are trained on again and again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdistill.errors import DivergenceError
from qdistill.evaluate.baselines import FullTraining
from qdistill.experiments.engines.engine import Engine
from qdistill.experiments.engines.here import Here
from qdistill.experiments.engines.unit import Setup, Unit
from qdistill.experiments.recipe import Recipe
from qdistill.run_files import read_final_scores

FEWEST, MOST = 500, 512_000
"""Inputs seen: doubled from the fewest (by default) until every seed is as good as asked, or until the most."""

FINEST = 1.1
"""Between two such numbers the accuracy asked for is sought by halving, until they differ by this factor at most."""

SUBSETS = {10: 1_000, 100: 4_000}
"""Inputs in a subset, and inputs seen in the training on it: more did not help on MNIST."""

SEARCH: dict[str, tuple[Any, ...]] = {
    "batch": (2, 4, 8, 16, 32),
    "step_size": (0.001, 0.002, 0.004, 0.008),
    "warm_up": (0.0, 0.1),
    "schedule": ("linear", "cosine"),
}
"""What is varied for each number of inputs, by default."""

FINALISTS = 3
"""Batches with step sizes that are tried from every seed, picked from all by the first seed."""


@dataclass(frozen=True)
class Trial:
    """One way to train, with what came out from each seed.

    Args:
        training: how.
        validation: accuracies; 0 where the network did not stay finite.
        test: accuracies; None likewise.
    """

    training: FullTraining
    validation: tuple[float, ...]
    test: tuple[float | None, ...]

    @property
    def mean(self) -> float:
        """The mean validation accuracy, by which trials are chosen."""
        return statistics.mean(self.validation)


@dataclass(frozen=True)
class Trials:
    """Where trainings of a recipe's network are tried: each from each seed is a unit of an engine's.

    Args:
        recipe: of which the dataset and the network count.
        folder: of the units, where those are left alone that have ended.
        engine: what runs them.
    """

    recipe: Recipe
    folder: Path
    engine: Engine

    def of(self, trainings: Sequence[FullTraining], seeds: Sequence[int]) -> list[Trial]:
        """Try all trainings from all seeds, at the same time where the engine has the room.

        Raises:
            FailedRunsError: some could not be run.
            RunError, KeyboardInterrupt: see `Engine`.
        """
        units = [[self._unit(training, seed) for seed in seeds] for training in trainings]
        # What did not stay finite has no score.
        with contextlib.suppress(DivergenceError):
            self.engine.run([unit for of_training in units for unit in of_training])
        found = []
        for training, of_training in zip(trainings, units, strict=True):
            scores = [read_final_scores(unit.folder, on_all_inputs=True) for unit in of_training]
            validation = tuple(0.0 if score is None else score["validation_accuracy"] for score in scores)
            test = tuple(None if score is None else score["test_accuracy"] for score in scores)
            found.append(Trial(training, validation, test))
        return found

    def _unit(self, training: FullTraining, seed: int) -> Unit:
        inputs = "all" if training.inputs is None else training.inputs
        sizes = f"{training.epochs:.6g}-epochs-{training.batch}-{training.step_size:g}"
        name = f"of-{inputs}-{sizes}-{training.warm_up:g}-{training.schedule}/seed-{seed}"
        return Unit(dataclasses.replace(self.recipe, seed=seed), self.folder / name, name, training)


def measure_full_training(
    recipe: Recipe,
    seeds: Sequence[int],
    folder: Path,
    *,
    engine: Engine | None = None,
    data_dir: Path | None = None,
    goals: Sequence[float] = (1.0,),
    fewest: int = FEWEST,
    varied: Mapping[str, tuple[Any, ...]] = SEARCH,
    told: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train the recipe's network on real inputs, for more and more of them.

    Args:
        recipe: gives the dataset, the network and the validation part.
        seeds: of the initial weights and the order of the inputs.
        folder: for the trainings that are tried, a folder each, by which a search that was stopped goes on.
        engine: what runs them; by default this process.
        data_dir: where the dataset's files lie.
        goals: validation accuracies; how many inputs each takes is measured to a factor of `FINEST`.
        fewest: inputs seen in the shortest training.
        varied: the values of `SEARCH` that are tried.
        told: is given a line for each number of inputs.

    Returns:
        Plain data: the dataset, the network, what was searched, and under `full` and `subsets` a row for each number of
        inputs with how it trained best and the validation and test accuracies of every seed. Rows are chosen by the
        mean validation accuracy of these seeds, which flatters real inputs a little.

    Raises:
        DivergenceError: of all trainings on some number of inputs none stayed finite from every seed.
        FailedRunsError, RunError, KeyboardInterrupt: see `Engine`.
    """
    trials = Trials(recipe, folder, engine or Here(Setup(data_dir)))
    splits = recipe.splits(data_dir)

    def row(inputs: int | None, seen: int) -> dict[str, Any]:
        n_inputs = len(splits.train) if inputs is None else inputs
        found = search(trials, n_inputs, seen, seeds, varied, part=inputs is not None)
        if None in found.test:
            raise DivergenceError(
                f"No training on {n_inputs:,} inputs that sees {seen:,} stays finite from every seed."
            )
        how = {name: getattr(found.training, name) for name in varied}
        told(
            f"{n_inputs:,} inputs, {seen:,} seen: validation accuracy {found.mean:.2%} with "
            + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in how.items())
        )
        return {
            "inputs": n_inputs,
            "seen": found.training.steps(n_inputs) * found.training.batch,
            "training": how,
            "validation": list(found.validation),
            "test": list(found.test),
        }

    subsets = [row(size, seen) for size, seen in SUBSETS.items()]
    full = {fewest: row(None, fewest)}
    while min(full[max(full)]["validation"]) < max(goals) and 2 * max(full) <= MOST:
        full[2 * max(full)] = row(None, 2 * max(full))
    for goal in goals:
        while (between := _between(full, goal)) is not None:
            full[between] = row(None, between)
    return {
        "dataset": recipe.dataset,
        "transforms": list(recipe.transforms),
        "model": recipe.to_json()["model"],
        "seeds": list(seeds),
        "search": {"optimiser": "adam", **{name: list(values) for name, values in varied.items()}},
        "n_validation": recipe.n_validation,
        "n_test": len(splits.test),
        "full": [full[seen] for seen in sorted(full)],
        "subsets": subsets,
    }


def search(
    trials: Trials,
    n_inputs: int,
    seen: int,
    seeds: Sequence[int],
    varied: Mapping[str, tuple[Any, ...]] = SEARCH,
    *,
    part: bool = False,
) -> Trial:
    """The training on so many inputs that is best on the validation part, over all seeds.

    Every batch with every step size is tried from the first seed; the `FINALISTS` from all; the best of these with
    every warm-up and schedule.

    Args:
        trials: where they are tried.
        n_inputs: how many there are to train on.
        seen: how many a training sees, with repetition.
        seeds: of the initial weights and the order of the inputs.
        varied: the values that are tried.
        part: whether the inputs are a part of the training part.
    """
    recipe = trials.recipe

    def named(batch: int, step_size: float) -> FullTraining:
        return FullTraining(
            # One step at least, and no input beyond those that may be seen.
            epochs=max(1, seen // batch) / (n_inputs // batch),
            batch=batch,
            step_size=step_size,
            warm_up=0.1,
            schedule="linear",
            mirror=recipe.outer.mirror,
            loss=recipe.inner.loss,
            inputs=n_inputs if part else None,
        )

    def best_of(found: Sequence[Trial]) -> Trial:
        return max(found, key=lambda trial: trial.mean)

    batches = [batch for batch in varied["batch"] if batch <= min(seen, n_inputs)]
    pairs = itertools.product(batches, varied["step_size"])
    screened = trials.of([named(*pair) for pair in pairs], seeds[:1])
    finalists = sorted(screened, key=lambda trial: -trial.mean)[:FINALISTS]
    best = best_of(trials.of([trial.training for trial in finalists], seeds))
    others = [
        dataclasses.replace(best.training, warm_up=warm_up, schedule=schedule)
        for warm_up, schedule in itertools.product(varied["warm_up"], varied["schedule"])
    ]
    return best_of([best, *trials.of([other for other in others if other != best.training], seeds)])


def _between(rows: Mapping[int, Mapping[str, Any]], goal: float) -> int | None:
    """A number of inputs between the last too few and the first enough, while those are far apart."""
    enough = [seen for seen, row in rows.items() if statistics.mean(row["validation"]) >= goal]
    few = [seen for seen in rows if enough and seen < min(enough)]
    if not few or min(enough) <= FINEST * max(few):
        return None
    return round(math.sqrt(max(few) * min(enough)))
