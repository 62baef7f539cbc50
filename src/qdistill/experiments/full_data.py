"""How accurate a network gets that trains on real images, by how many of them it sees: what a bundle saves against.

Every number of images seen is a training of its own, whose step size falls to zero at its end, as one would run it who
can pay for so many. A smaller number of images, drawn evenly from the classes, is trained on again and again.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.data import Splits
from qdistill.data.preprocess import Labelled
from qdistill.evaluate.baselines import FullTraining, score_full_trainings
from qdistill.experiments.recipe import Recipe

SEEN = (
    *(500, 710, 1_000, 1_400, 2_000, 2_800, 4_000, 5_700, 8_000, 11_300, 16_000, 22_600, 32_000, 45_000, 64_000),
    *(90_000, 128_000, 181_000, 256_000, 362_000, 512_000),
)
"""Images seen in a training on all of them; each is about the root of two times the one before, so that what a bundle
saves is known to that factor."""

SUBSETS = {10: 1_000, 100: 4_000, 1_000: 32_000}
"""Images in a subset, and images seen in the training on it: more did not help on MNIST."""

BATCH, STEP_SIZE = 32, 0.002
"""Of Adam; small batches learn more from each image."""


def measure_full_training(
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    data_dir: Path | None = None,
    until: float = 1.0,
    told: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train the recipe's network on real images, for more and more of them.

    Args:
        recipe: gives the dataset, the network and the validation part.
        seeds: of the initial weights and the order of the images.
        data_dir: where the dataset's files lie.
        until: the mean validation accuracy at which it is enough.
        told: is given a line for each number of images.

    Returns:
        Plain data: the dataset, the network, how it trained, and under `full` and `subsets` a row for each number of
        images with the validation and test accuracies of every seed.
    """
    splits = recipe.splits(data_dir)
    mirror = recipe.outer.mirror

    def row(splits: Splits, seen: int) -> dict[str, Any]:
        batch = min(BATCH, len(splits.train))
        epochs = seen / (batch * (len(splits.train) // batch))
        training = FullTraining(epochs=epochs, batch=batch, step_size=STEP_SIZE, mirror=mirror)
        scores = score_full_trainings(recipe.model, splits, training, seeds=seeds)
        accuracies = {
            "validation": [score.validation_accuracy for score in scores],
            "test": [score.test_accuracy for score in scores],
        }
        mean = statistics.mean(accuracies["validation"])
        told(f"{len(splits.train):,} images, {seen:,} seen: validation accuracy {mean:.2%}")
        return {"images": len(splits.train), "seen": scores[0].images_seen, **accuracies}

    subsets = [row(_subset(splits, size), seen) for size, seen in SUBSETS.items()]
    full: list[dict[str, Any]] = []
    for seen in SEEN:
        full.append(row(splits, seen))
        if statistics.mean(full[-1]["validation"]) >= until:
            break
    return {
        "dataset": recipe.dataset,
        "whiten": recipe.whiten,
        "model": recipe.to_json()["model"],
        "seeds": list(seeds),
        "training": {"optimiser": "adam", "batch": BATCH, "step_size": STEP_SIZE, "schedule": "cosine"},
        "n_validation": recipe.n_validation,
        "n_test": len(splits.test),
        "full": full,
        "subsets": subsets,
    }


def _subset(splits: Splits, size: int) -> Splits:
    """So many training images, as evenly from the classes as whole images allow; the normalisation stays."""
    generator = np.random.default_rng(0)
    order = generator.permutation(len(splits.train))
    labels = splits.train.labels[order]
    # The first of every class, then the second of every class, ...
    rank = np.zeros(len(order), dtype=int)
    for label in range(splits.n_classes):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    picked = order[np.argsort(rank, kind="stable")[:size]]
    train = Labelled(splits.train.images[picked], splits.train.labels[picked])
    return dataclasses.replace(splits, train=train)
