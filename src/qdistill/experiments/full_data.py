"""How few real inputs a network needs to see to an accuracy: what a bundle saves against.

Every number of inputs seen is a training of its own, whose step size falls to zero at its end, as one would run it who
can pay for so many. How it trains is searched anew for every number, by validation accuracy: Adam's batch and step
size, how long the step size rises, and how it falls. So the trainings on real inputs are the thriftiest that were
found, not those of one recipe. A few inputs, drawn evenly from the classes, are trained on again and again.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.data import Splits
from qdistill.data.preprocess import Labelled
from qdistill.errors import DivergenceError
from qdistill.evaluate.baselines import FullTraining, measure_trained, share_right
from qdistill.experiments.recipe import Recipe
from qdistill.models import Model

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
class _Trial:
    """One way to train, with what came out from each seed."""

    training: FullTraining
    validation: list[float]
    models: list[Model]

    @property
    def mean(self) -> float:
        return statistics.mean(self.validation)


def measure_full_training(
    recipe: Recipe,
    seeds: Sequence[int],
    *,
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
        data_dir: where the dataset's files lie.
        goals: validation accuracies; how many inputs each takes is measured to a factor of `FINEST`.
        fewest: inputs seen in the shortest training.
        varied: the values of `SEARCH` that are tried.
        told: is given a line for each number of inputs.

    Returns:
        Plain data: the dataset, the network, what was searched, and under `full` and `subsets` a row for each number of
        inputs with how it trained best and the validation and test accuracies of every seed. Rows are chosen by the
        mean validation accuracy of these seeds, which flatters real inputs a little.
    """
    splits = recipe.splits(data_dir)

    def row(splits: Splits, seen: int) -> dict[str, Any]:
        found = search(recipe, splits, seen, seeds, varied)
        how = {name: getattr(found.training, name) for name in varied}
        told(
            f"{len(splits.train):,} inputs, {seen:,} seen: validation accuracy {found.mean:.2%} with "
            + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in how.items())
        )
        return {
            "inputs": len(splits.train),
            "seen": found.training.steps(len(splits.train)) * found.training.batch,
            "training": how,
            "validation": found.validation,
            "test": [share_right(model, splits, "test") for model in found.models],
        }

    subsets = [row(_subset(splits, size), seen) for size, seen in SUBSETS.items()]
    full = {fewest: row(splits, fewest)}
    while min(full[max(full)]["validation"]) < max(goals) and 2 * max(full) <= MOST:
        full[2 * max(full)] = row(splits, 2 * max(full))
    for goal in goals:
        while (between := _between(full, goal)) is not None:
            full[between] = row(splits, between)
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


def _validated(model: Model, splits: Splits) -> float:
    """The validation accuracy; a network that a training has left without finite weights gives no right answer."""
    try:
        return share_right(model, splits, "validation")
    except DivergenceError:
        return 0.0


def search(
    recipe: Recipe, splits: Splits, seen: int, seeds: Sequence[int], varied: Mapping[str, tuple[Any, ...]] = SEARCH
) -> _Trial:
    """The training on so many inputs that is best on the validation part, over all seeds.

    Every batch with every step size is tried from the first seed; the `FINALISTS` from all; the best of these with
    every warm-up and schedule.
    """

    def tried(training: FullTraining, seeds: Sequence[int]) -> _Trial:
        measured = measure_trained(
            recipe.model,
            splits,
            training,
            seeds=seeds,
            of=lambda model: (_validated(model, splits), model),
        )
        return _Trial(training, [share for share, _ in measured], [model for _, model in measured])

    def named(batch: int, step_size: float) -> FullTraining:
        per_epoch = len(splits.train) // batch
        return FullTraining(
            # One step at least, and no input beyond those that may be seen.
            epochs=max(1, seen // batch) / per_epoch,
            batch=batch,
            step_size=step_size,
            warm_up=0.1,
            schedule="linear",
            mirror=recipe.outer.mirror,
            loss=recipe.inner.loss,
        )

    batches = [batch for batch in varied["batch"] if batch <= min(seen, len(splits.train))]
    screened = [tried(named(*pair), seeds[:1]) for pair in itertools.product(batches, varied["step_size"])]
    finalists = sorted(screened, key=lambda trial: -trial.mean)[:FINALISTS]
    best = max((tried(trial.training, seeds) for trial in finalists), key=lambda trial: trial.mean)
    for warm_up, schedule in itertools.product(varied["warm_up"], varied["schedule"]):
        other = dataclasses.replace(best.training, warm_up=warm_up, schedule=schedule)
        if other != best.training:
            best = max(best, tried(other, seeds), key=lambda trial: trial.mean)
    return best


def _between(rows: Mapping[int, Mapping[str, Any]], goal: float) -> int | None:
    """A number of inputs between the last too few and the first enough, while those are far apart."""
    enough = [seen for seen, row in rows.items() if statistics.mean(row["validation"]) >= goal]
    few = [seen for seen in rows if enough and seen < min(enough)]
    if not few or min(enough) <= FINEST * max(few):
        return None
    return round(math.sqrt(max(few) * min(enough)))


def _subset(splits: Splits, size: int) -> Splits:
    """So many training inputs, as evenly from the classes as whole inputs allow; the transform stays."""
    generator = np.random.default_rng(0)
    order = generator.permutation(len(splits.train))
    labels = splits.train.labels[order]
    # The first of every class, then the second of every class, ...
    rank = np.zeros(len(order), dtype=int)
    for label in range(splits.n_classes):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    picked = order[np.argsort(rank, kind="stable")[:size]]
    train = Labelled(splits.train.inputs[picked], splits.train.labels[picked])
    return dataclasses.replace(splits, train=train)
