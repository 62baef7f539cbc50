"""Replaying a bundle and measuring it on real images."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from qdistill.data import Source, source
from qdistill.distill import inner
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError
from qdistill.models import Model
from qdistill.numbers import Numbers, integers, real_as_given


@dataclass(frozen=True)
class Evaluation:
    """What a replay gave.

    Args:
        test_accuracy: share of test images classified right, in [0, 1].
        recorded_test_accuracy: what the bundle says; None where it was never measured.
        n_test: number of test images.
    """

    test_accuracy: float
    recorded_test_accuracy: float | None
    n_test: int


@dataclass(frozen=True)
class Evaluations:
    """What several replays gave.

    Args:
        test_accuracies: one a replay, fractions.
        mean: their mean.
        interval: its 95 % interval by Student's t, within [0, 1]; None for fewer than three replays.
        n_test: number of test images.
    """

    test_accuracies: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    n_test: int

    @classmethod
    def of(cls, test_accuracies: Sequence[float], n_test: int) -> Evaluations:
        """Those of one replay at least."""
        accuracies = tuple(test_accuracies)
        return cls(accuracies, statistics.mean(accuracies), accuracy_interval(accuracies), n_test)


def measure(model: Model, bundle: DistilledDataset, images: Numbers, labels: Numbers) -> float:
    """The accuracy of a network on raw images, under a bundle's normalisation.

    Args:
        model: the network.
        bundle: gives the normalisation.
        images: raw pixels, real, (n, height, width, channels).
        labels: class numbers, integers, (n,).

    Returns:
        A fraction in [0, 1].

    Raises:
        ArgumentError: images that are no real numbers, or labels that are not one class number for each of them.
    """
    images, labels = np.asarray(real_as_given("images", images)), np.asarray(integers("labels", labels))
    if labels.size and not 0 <= labels.min() <= labels.max() < bundle.n_classes:
        raise ArgumentError(
            f"Argument `labels` must be class numbers from 0 to {bundle.n_classes - 1}, but reached from "
            f"{labels.min()} to {labels.max()}."
        )
    share, _ = eqx.filter_jit(inner.measure)(model, jnp.asarray(images), jnp.asarray(labels), bundle.normalisation)
    return inner.fraction(share, len(labels))


def replay(
    bundle: DistilledDataset,
    *,
    structure: Model | None = None,
    dataset: Source | None = None,
    data_dir: Path | None = None,
) -> Evaluation:
    """Replay a bundle's training and measure the network on the dataset's test set.

    Args:
        bundle: what to replay.
        structure: any network with the bundle's weights; needed only where the bundle does not describe its own.
        dataset: whose test set; by default the one in `qdistill.data.DATASETS` that the bundle names.
        data_dir: where the dataset's files lie; see `qdistill.data`.

    Raises:
        BundleError: the bundle is for images of another shape or other classes than the dataset has.
        DataError: the dataset's files are missing or damaged.
    """
    raw = bundle.fitted((source(bundle.dataset) if dataset is None else dataset).load(data_dir))
    return Evaluation(
        test_accuracy=measure(bundle.train(bundle.initial_model(structure)), bundle, raw.test_images, raw.test_labels),
        recorded_test_accuracy=bundle.record.test_accuracy,
        n_test=len(raw.test_labels),
    )


def replay_unknown(
    bundle: DistilledDataset, *, initialisations: int, key: Array, data_dir: Path | None = None
) -> Evaluations:
    """Replay a bundle's training from initial weights that it was not distilled for, drawn as its own were.

    This is the "random initialisation" of Wang et al. (arXiv 1811.10959).

    Args:
        bundle: what to replay.
        initialisations: how many initial networks.
        key: random key, consumed.
        data_dir: where the dataset's files lie; see `qdistill.data`.

    Raises:
        ArgumentError: `initialisations` is below 1.
        BundleError: the bundle does not describe its network, or see `replay`.
        DataError: see `replay`.
    """
    if initialisations < 1:
        raise ArgumentError(f"Argument `initialisations` must be at least 1, but was {initialisations}.")
    if bundle.architecture is None:
        raise BundleError("The bundle is for a network that its file does not describe, so no other can be drawn.")
    raw = bundle.fitted(source(bundle.dataset).load(data_dir))
    accuracies = []
    for own in jax.random.split(key, initialisations):
        model = bundle.architecture.build(bundle.image_shape, bundle.n_classes, key=own)
        accuracies.append(measure(bundle.train(model), bundle, raw.test_images, raw.test_labels))
    return Evaluations.of(accuracies, len(raw.test_labels))


def interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """The confidence interval of a mean by Student's t; None for fewer than three values.

    The interval of two is 13 of their standard errors to either side, or none where they happen to agree.

    Args:
        values: independent, one a seed.
        level: of confidence.
    """
    if len(values) < 3:
        return None
    from scipy.stats import t as student  # takes half a second

    half = student.ppf((1 + level) / 2, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    mean = statistics.mean(values)
    return float(mean - half), float(mean + half)


def accuracy_interval(accuracies: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % `interval` of a mean accuracy, cut off at 0 and 1, beyond which no accuracy is."""
    bounds = interval(accuracies)
    return None if bounds is None else (max(0.0, bounds[0]), min(1.0, bounds[1]))


def summary(test_accuracies: Sequence[float]) -> dict[str, Any]:
    """The test accuracies of several seeds, their mean and its 95 % interval, as plain data."""
    accuracies = list(test_accuracies)
    return {
        "test_accuracies": accuracies,
        "mean": statistics.mean(accuracies) if accuracies else None,
        "interval": accuracy_interval(accuracies),
    }
