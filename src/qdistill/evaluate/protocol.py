"""Replaying a bundle and measuring it on real inputs."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from qdistill.data import Source
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError, DivergenceError
from qdistill.evaluate.answers import answers, fraction_right, labelled
from qdistill.fields import check_seed, convert
from qdistill.models import Model, named_weights
from qdistill.numbers import Numbers

LEAST_TOLERANCE = 0.001
"""Share of the test inputs by which a replay may miss its record anywhere: additions in another order."""

UNCHECKED_TOLERANCE = 0.005
"""The same for a bundle of which it was not measured how much hangs on rounding."""

DRAWS = 20
"""Of unknown initial weights, where nobody says how many."""

RECORDED_SEED = 0
"""Of the draws that the record of a bundle for unknown initial weights is a mean over."""


@dataclass(frozen=True)
class Evaluation:
    """What a replay gave.

    Args:
        test_accuracy: share of test inputs classified right, in [0, 1].
        recorded_test_accuracy: what the bundle says; None where it was never measured.
        n_test: number of test inputs.
        same_data: whether the bundle was made from this dataset; None where it does not say what from.
        tolerance: how far from its record a replay may be, see `tolerance_of`.
        draws: for unknown initial weights the accuracy of each of the networks that were drawn, of which
            `test_accuracy` is the mean; none for known ones.
        same_draws: whether these are as many draws, by the same seed, as the record is of.
    """

    test_accuracy: float
    recorded_test_accuracy: float | None
    n_test: int
    same_data: bool | None
    tolerance: float
    draws: tuple[float, ...] = ()
    same_draws: bool = True

    @property
    def spread(self) -> float | None:
        """The standard deviation over the draws; None for fewer than two."""
        return spread(self.draws)

    @property
    def worst(self) -> float | None:
        """The lowest accuracy of a draw; None without draws."""
        return min(self.draws, default=None)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean over draws; None for fewer than three."""
        return accuracy_interval(self.draws)

    @property
    def reproduced(self) -> bool | None:
        """Whether the replay gave the recorded accuracy, to within the tolerance.

        None where they are not compared: nothing was recorded, or the record is of other data or of other draws.
        """
        if self.recorded_test_accuracy is None or self.same_data is False or not self.same_draws:
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
    draws: int | None = None,
    seed: int | None = None,
) -> Evaluation:
    """Replay a bundle's training and measure the network on the dataset's test set.

    For unknown initial weights the training is run from several draws of them that the distillation never saw.

    Args:
        bundle: what to replay.
        structure: any network with the bundle's weights; needed only where the bundle does not describe its own.
        dataset: whose test set; by default the one in `qdistill.data.DATASETS` that the bundle names.
        data_dir: where the dataset's files lie; see `qdistill.data`.
        draws: for unknown initial weights: how many networks; by default as many as the record is of, or 20.
        seed: for unknown initial weights: decides the draws; by default `RECORDED_SEED`, as the record's.

    Raises:
        ArgumentError: `draws` or `seed` for a bundle of known initial weights, or fewer draws than one.
        BundleError: the bundle is for inputs of another shape, other classes or another order of them than the
            dataset has.
        DataError: the dataset's files are missing or damaged.
        DivergenceError: the training is no longer finite. With unknown initial weights a network of which that is so
            counts as one that is never right.
    """
    for name, value in {"draws": draws, "seed": seed}.items():
        if value is not None and bundle.drawn_anew is None:
            raise ArgumentError(
                f"Argument `{name}` must be left out for a bundle of known initial weights, but was {value}. "
                "`replay_unknown` replays from others."
            )
    if structure is not None and bundle.drawn_anew is not None:
        raise ArgumentError("Argument `structure` must be left out for a bundle of unknown initial weights.")
    raw = (bundle.origin if dataset is None else dataset).load(data_dir)
    inputs, labels = bundle.fitted(raw).test_inputs, raw.test_labels
    if bundle.drawn_anew is not None:
        recorded = len(bundle.record.test_draws)
        count = (recorded or DRAWS) if draws is None else draws
        seed = check_seed(RECORDED_SEED if seed is None else seed)
        accuracies = accuracies_of_draws(bundle, inputs, labels, draws=count, seed=seed)
        return Evaluation(
            test_accuracy=statistics.mean(accuracies),
            recorded_test_accuracy=bundle.record.test_accuracy,
            n_test=len(labels),
            same_data=bundle.made_from(raw),
            tolerance=UNCHECKED_TOLERANCE,
            draws=accuracies,
            same_draws=count == recorded and seed == RECORDED_SEED,
        )
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

    This is the "random initialisation" of Wang et al. (arXiv 1811.10959). A draw that is the bundle's own network is
    left out, and another taken in its place.

    Args:
        bundle: what to replay.
        initialisations: how many initial networks.
        key: random key, consumed.
        data_dir: where the dataset's files lie; see `qdistill.data`.

    Raises:
        ArgumentError: `initialisations` is below 1.
        BundleError: the bundle is for unknown initial weights, or does not describe its network; or see `replay`.
        DataError: see `replay`.
    """
    if initialisations < 1:
        raise ArgumentError(f"Argument `initialisations` must be at least 1, but was {initialisations}.")
    if bundle.drawn_anew is not None:
        raise BundleError("The bundle is for unknown initial weights: `replay` draws them, `draws` says how many.")
    if bundle.architecture is None:
        raise BundleError("The bundle is for a network that its file does not describe, so no other can be drawn.")
    raw = bundle.fitted(bundle.origin.load(data_dir))
    accuracies: list[float | None] = []
    # One more than are needed: a run splits the key of its seed too, and so may have drawn the first of them.
    keys = iter(jax.random.split(key, initialisations + 1))
    own_is_left_out = False
    while len(accuracies) < initialisations:
        model = bundle.architecture.build(bundle.input_shape, bundle.n_classes, key=next(keys))
        if not own_is_left_out and _is_own(model, bundle):
            own_is_left_out = True
            continue
        accuracies.append(None)
        with contextlib.suppress(DivergenceError):
            accuracies[-1] = measure(bundle.train(model), bundle, raw.test_inputs, raw.test_labels)
    return Evaluations.of(accuracies, len(raw.test_labels))


def _is_own(model: Model, bundle: DistilledDataset) -> bool:
    """Whether the weights are a bundle's own, to rounding: to eight bits too, far from which any other draw is."""
    weights = named_weights(model)
    drawn, own = (
        np.concatenate([np.ravel(arrays[name]) for name in bundle.initial_weights])
        for arrays in (weights, bundle.initial_weights)
    )
    return bool(np.linalg.norm(drawn - own) <= 0.1 * np.linalg.norm(own))


def accuracies_of_draws(
    bundle: DistilledDataset, inputs: Numbers, labels: Numbers, *, draws: int, seed: int = RECORDED_SEED
) -> tuple[float, ...]:
    """The accuracies of networks that are drawn anew and trained on a bundle for unknown initial weights.

    Args:
        bundle: what they train on.
        inputs: raw, real, as `measure` takes them.
        labels: class numbers.
        draws: how many networks.
        seed: decides the draws, none of which a distillation with any seed trains on.

    Returns:
        One fraction a network; 0 for one whose training does not stay finite, which is never right.

    Raises:
        ArgumentError: no draws.
        BundleError: the bundle is for known initial weights, or what was drawn is not finite.
    """
    accuracies = []
    for key in _unseen(jax.random.key(check_seed(seed)), check_draws(draws)):
        one = bundle.drawn(key=key)
        accuracies.append(0.0)
        with contextlib.suppress(DivergenceError):
            accuracies[-1] = measure(one.train(), one, inputs, labels)
    return tuple(accuracies)


def check_draws(draws: Any) -> int:
    """How many networks are drawn.

    Raises:
        ArgumentError: none, or it is no whole number.
    """
    count: int = convert(draws, int, "draws")
    if count < 1:
        raise ArgumentError(f"Argument `draws` must be at least 1, but was {count}.")
    return count


def _unseen(key: Array, count: int) -> Array:
    """Keys of networks; a run splits the key of its seed into those of its own network and of its iterations."""
    return jax.random.split(jax.random.fold_in(key, 2**32 - 1), count)


def spread(values: Sequence[float]) -> float | None:
    """The standard deviation of values that were drawn; None for fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else None


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
