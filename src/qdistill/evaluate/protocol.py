"""Replaying a bundle and measuring it on real inputs."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array

from qdistill.data import Source
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError, DivergenceError
from qdistill.evaluate.answers import answers, fraction_right, labelled
from qdistill.models import Model
from qdistill.numbers import Numbers

LEAST_TOLERANCE = 0.001
"""Share of the test inputs by which a replay may miss its record anywhere: additions in another order."""

UNCHECKED_TOLERANCE = 0.005
"""The same for a bundle of which it was not measured how much hangs on rounding."""


@dataclass(frozen=True)
class Evaluation:
    """What a replay gave.

    Args:
        test_accuracy: share of test inputs classified right, in [0, 1].
        recorded_test_accuracy: what the bundle says; None where it was never measured.
        n_test: number of test inputs.
        same_data: whether the bundle was made from this dataset; None where it does not say what from.
        tolerance: how far from its record a replay may be, see `tolerance_of`.
    """

    test_accuracy: float
    recorded_test_accuracy: float | None
    n_test: int
    same_data: bool | None
    tolerance: float

    @property
    def reproduced(self) -> bool | None:
        """Whether the replay gave the recorded accuracy, to within the tolerance.

        None where they are not compared: nothing was recorded, or the record is of other data.
        """
        if self.recorded_test_accuracy is None or self.same_data is False:
            return None
        # Fractions of whole numbers of inputs, with room for the last bit.
        return abs(self.test_accuracy - self.recorded_test_accuracy) <= self.tolerance + 1e-9


def tolerance_of(bundle: DistilledDataset) -> float:
    """How far from its recorded test accuracy a replay may be, on any platform.

    A thousandth or, where that is more, twice the share of test inputs that rounding was measured to give another class
    (`RoundingCheck`); half a hundredth where it was not measured.
    """
    checked = None if bundle.rounding is None else bundle.rounding.test
    if checked is None:
        return UNCHECKED_TOLERANCE
    return max(LEAST_TOLERANCE, 2 * checked.most_changed / checked.n, 1 / checked.n)


@dataclass(frozen=True)
class Evaluations:
    """What several replays gave.

    Args:
        test_accuracies: one a replay that stayed finite, fractions.
        mean: their mean; None where there is none.
        interval: its 95 % interval by Student's t, within [0, 1]; None for fewer than three replays.
        n_test: number of test inputs.
        diverged: replays that did not stay finite, which have no accuracy and are in no mean.
    """

    test_accuracies: tuple[float, ...]
    mean: float | None
    interval: tuple[float, float] | None
    n_test: int
    diverged: int = 0

    @classmethod
    def of(cls, test_accuracies: Sequence[float | None], n_test: int) -> Evaluations:
        """Those of some replays; None stands for one that did not stay finite."""
        accuracies = tuple(accuracy for accuracy in test_accuracies if accuracy is not None)
        mean = statistics.mean(accuracies) if accuracies else None
        diverged = len(test_accuracies) - len(accuracies)
        return cls(accuracies, mean, accuracy_interval(accuracies), n_test, diverged)


def measure(model: Model, bundle: DistilledDataset, inputs: Numbers, labels: Numbers) -> float:
    """The accuracy of a network on raw inputs, under a bundle's transform.

    Args:
        model: the network.
        bundle: gives the transform.
        inputs: raw, real, (n, ...), one at least.
        labels: class numbers, integers, (n,).

    Returns:
        A fraction in [0, 1].

    Raises:
        ArgumentError: inputs that are no real numbers or none at all, or labels that are not one class number for each
            of them.
        DivergenceError: what the network says is not finite.
    """
    inputs, labels = labelled(inputs, labels, bundle.n_classes)
    return fraction_right(answers(model, bundle.transform, inputs), labels)


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
        BundleError: the bundle is for inputs of another shape, other classes or another order of them than the
            dataset has.
        DataError: the dataset's files are missing or damaged.
        DivergenceError: the training is no longer finite.
    """
    raw = (bundle.origin if dataset is None else dataset).load(data_dir)
    inputs, labels = bundle.fitted(raw).test_inputs, raw.test_labels
    return Evaluation(
        test_accuracy=measure(bundle.train(bundle.initial_model(structure)), bundle, inputs, labels),
        recorded_test_accuracy=bundle.record.test_accuracy,
        n_test=len(labels),
        same_data=bundle.made_from(raw),
        tolerance=tolerance_of(bundle),
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
    raw = bundle.fitted(bundle.origin.load(data_dir))
    accuracies: list[float | None] = []
    for own in jax.random.split(key, initialisations):
        model = bundle.architecture.build(bundle.input_shape, bundle.n_classes, key=own)
        accuracies.append(None)
        with contextlib.suppress(DivergenceError):
            accuracies[-1] = measure(bundle.train(model), bundle, raw.test_inputs, raw.test_labels)
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
