"""Support points that are chosen instead of distilled: as many of a kernel's real points, or centres of their clusters.

Their labels are those of their classes, or the ones that make the regression on these points best on all real data:
with K_nm the kernel of n real points with m support points and K_mm that of the latter, the coefficients

    a = argmin |K_nm a - (y - 1/C)|^2 + l a^T K_mm a

are those of Nyström's approximation, and the labels ``1/C + (K_mm + l' 1) a`` have them as the solution of the kernel's
own regression with its regularisation l'. So every row is a kernel classifier of m support points: a prediction takes
m circuits.

Reference:
    Williams and Seeger, "Using the Nyström method to speed up kernel machines", 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from qdistill.compiling import compiled
from qdistill.data import Labelled, Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate.answers import fraction_right
from qdistill.evaluate.protocol import Evaluations
from qdistill.models import KernelClassifier
from qdistill.quantum import FidelityKernel

Points = Float[np.ndarray, "n numbers"]
Labels = Int[np.ndarray, " n"]
Choice = Literal["random points", "k-means centres", "Nyström landmarks"]

REGULARISATIONS = tuple(10.0**power for power in range(-6, 2))
"""What l is chosen from, by the validation part."""

BLOCK = 1000
"""Real points whose states are computed at a time."""

MOST_PIVOTS = 2000
"""Training points that Nyström landmarks are picked from, drawn where there are more: each pick takes their states."""

MOST_KEPT = 2**27
"""Amplitudes, 1 GiB of them, of states that are kept from one pick to the next; more are computed for each."""

_kernel, _states = compiled(FidelityKernel.__call__), compiled(FidelityKernel.states)


@dataclass(frozen=True)
class Chosen:
    """Support points that were chosen, and what a classifier on them gives.

    Args:
        points: how they were chosen.
        labels: ``"own"``, those of their classes, or ``"fitted"`` to all training points.
        regularisation: l, of fitted labels; None for others.
        validation_accuracy: a fraction.
        test_accuracy: a fraction.
        circuits: entries of the kernel, each a circuit, that the points and their labels take; no entry is counted of
            a point with itself.
    """

    points: Choice
    labels: Literal["own", "fitted"]
    regularisation: float | None
    validation_accuracy: float
    test_accuracy: float
    circuits: int


@dataclass(frozen=True)
class Row:
    """One way to choose support points, over several draws.

    Args:
        points: how they were chosen.
        labels: see `Chosen`.
        circuits: see `Chosen`.
        evaluation: the test accuracies of the draws.
    """

    points: Choice
    labels: Literal["own", "fitted"]
    circuits: int
    evaluation: Evaluations


def compare_landmarks(bundle: DistilledDataset, splits: Splits, *, draws: int, seed: int = 0) -> list[Row]:
    """What as many chosen points as a bundle has distilled ones give.

    Args:
        bundle: of a kernel.
        splits: of the dataset that it was distilled from.
        draws: independent choices, each with a seed of its own.
        seed: of the first.

    Raises:
        BundleError: the bundle is of another network.
        ArgumentError: no draws, or what `chosen_points` raises.
    """
    model = bundle.kernel
    if model is None:
        raise BundleError("The bundle is of a network that is no kernel: only a kernel has support points to choose.")
    if draws < 1:
        raise ArgumentError(f"Argument `draws` must be at least 1, but was {draws}.")

    def vectors(part: Labelled) -> Labelled:
        return Labelled(np.asarray(splits.transform.of_many(part.inputs)).reshape(len(part), -1), part.labels)

    parts = vectors(splits.train), vectors(splits.validation), vectors(splits.test)
    m = len(bundle.data.inputs)
    found = [chosen_points(model, *parts, m, seed=seed + draw) for draw in range(draws)]
    return [
        Row(
            same[0].points,
            same[0].labels,
            same[0].circuits,
            Evaluations.of([each.test_accuracy for each in same], len(parts[2].labels)),
        )
        for same in zip(*found, strict=True)
    ]


def chosen_points(
    model: KernelClassifier, train: Labelled, validation: Labelled, test: Labelled, m: int, *, seed: int
) -> list[Chosen]:
    """Kernel classifiers on m support points that were chosen by known rules.

    Args:
        model: gives the kernel and its regularisation.
        train: what is chosen from, and what labels are fitted to; points as the kernel takes them, (n, d).
        validation: decides l.
        test: read once for each row.
        m: how many points, a multiple of the number of classes.
        seed: of everything that is drawn.

    Raises:
        ArgumentError: m is no multiple of the number of classes, or a class has fewer points than it should give.
    """
    n_classes = model.coefficients.shape[1]
    if m % n_classes:
        raise ArgumentError(f"Argument `m` must be a multiple of the {n_classes} classes, but was {m}.")
    rng = np.random.default_rng(seed)
    return [
        row
        for choice, pick in _PICKS.items()
        for row in _rows(choice, pick(model.kernel, train, m, n_classes, rng), model, (train, validation, test))
    ]


def fitted_labels(
    across: Float[np.ndarray, "n m"],
    gram: Float[np.ndarray, "m m"],
    targets: Float[np.ndarray, "n outputs"],
    regularisation: float,
    own_regularisation: float,
) -> Float[np.ndarray, "m outputs"]:
    """The labels of support points that make the kernel's regression on them the best on many points.

    Args:
        across: K_nm.
        gram: K_mm.
        targets: y - 1/C.
        regularisation: l.
        own_regularisation: l', of the regression on the support points.

    Returns:
        The labels less 1/C.
    """
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    stacked = np.concatenate([across.astype(np.float64), np.sqrt(regularisation) * root])
    coefficients, *_ = np.linalg.lstsq(stacked, np.concatenate([targets, np.zeros((len(gram), targets.shape[1]))]))
    labels: np.ndarray = (gram + own_regularisation * np.eye(len(gram))) @ coefficients
    return labels


def kernel_matrix(
    kernel: FidelityKernel, left: Points, right: Float[np.ndarray, "m numbers"]
) -> Float[np.ndarray, "n m"]:
    """The exact kernel of many points with a few."""
    return np.concatenate([np.asarray(_kernel(kernel, left[i : i + BLOCK], right)) for i in range(0, len(left), BLOCK)])


@dataclass(frozen=True)
class _Picked:
    """Points, and their classes where they were chosen class by class."""

    points: Points
    labels: Labels | None


def _rows(choice: Choice, picked: _Picked, model: KernelClassifier, parts: Sequence[Labelled]) -> list[Chosen]:
    train, validation, test = parts
    n, m, n_classes = len(train), len(picked.points), model.coefficients.shape[1]
    one_hot, own = np.eye(n_classes), model.regularisation
    gram = kernel_matrix(model.kernel, picked.points, picked.points)
    to_train, to_validation, to_test = (kernel_matrix(model.kernel, part.inputs, picked.points) for part in parts)

    def accuracy(labels: np.ndarray, across: np.ndarray, part: Labelled) -> float:
        coefficients = np.linalg.solve(gram + own * np.eye(m), labels)
        return fraction_right((across @ coefficients).argmax(axis=1), part.labels)

    def on_validation(labels: np.ndarray) -> float:
        return accuracy(labels, to_validation, validation)

    of_gram = m * (m - 1) // 2
    targets = one_hot[train.labels] - 1 / n_classes
    fits = {strength: fitted_labels(to_train, gram, targets, strength, own) for strength in REGULARISATIONS}
    best = max(fits, key=lambda strength: on_validation(fits[strength]))
    found: list[tuple[Literal["own", "fitted"], float | None, np.ndarray, int]] = []
    if picked.labels is not None:
        found.append(("own", None, one_hot[picked.labels] - 1 / n_classes, of_gram))
    found.append(("fitted", best, fits[best], of_gram + n * m))
    return [
        Chosen(choice, kind, strength, on_validation(labels), accuracy(labels, to_test, test), circuits)
        for kind, strength, labels, circuits in found
    ]


def _random(kernel: FidelityKernel, train: Labelled, m: int, n_classes: int, rng: np.random.Generator) -> _Picked:
    """As many of each class, drawn without replacement."""
    picked = np.concatenate([rng.choice(own, m // n_classes, replace=False) for own in _by_class(train, m, n_classes)])
    return _Picked(train.inputs[picked], train.labels[picked])


def _k_means(kernel: FidelityKernel, train: Labelled, m: int, n_classes: int, rng: np.random.Generator) -> _Picked:
    """The centres of as many clusters of each class, by Lloyd's algorithm from k-means++."""
    from sklearn.cluster import KMeans  # takes a second

    count = m // n_classes
    centres = [
        KMeans(count, n_init=4, random_state=int(rng.integers(2**31))).fit(train.inputs[own]).cluster_centers_
        for own in _by_class(train, m, n_classes)
    ]
    points = np.concatenate(centres).astype(train.inputs.dtype)
    return _Picked(points, np.repeat(np.arange(n_classes), count))


def _nystroem(kernel: FidelityKernel, train: Labelled, m: int, n_classes: int, rng: np.random.Generator) -> _Picked:
    """Pivots of a randomly pivoted Cholesky factor (Chen et al., arXiv 2207.06503), whatever their classes.

    Each is drawn by what the ones before it leave unexplained of k(x, x) = 1.
    """
    drawn = rng.permutation(len(train))[:MOST_PIVOTS]
    inputs = train.inputs[drawn]
    similar_to = _columns(kernel, inputs)
    left, factor = np.ones(len(inputs)), np.zeros((len(inputs), 0))
    picked: list[int] = []
    for _ in range(m):
        pivot = int(rng.choice(len(left), p=left / left.sum()))
        column = similar_to(pivot) - factor @ factor[pivot]
        picked.append(pivot)
        factor = np.concatenate([factor, column[:, None] / np.sqrt(max(column[pivot], 1e-12))], axis=1)
        left = np.maximum(1 - (factor**2).sum(axis=1), 0)
        left[picked] = 0
    return _Picked(inputs[picked], None)


def _columns(kernel: FidelityKernel, points: Points) -> Callable[[int], Float[np.ndarray, " n"]]:
    """What gives the kernel of all points with one of them by its number."""
    if len(points) << kernel.circuit.n_wires > MOST_KEPT:
        return lambda number: kernel_matrix(kernel, points, points[[number]])[:, 0]
    blocks = [np.asarray(_states(kernel, points[i : i + BLOCK])) for i in range(0, len(points), BLOCK)]
    states = np.concatenate(blocks)
    return lambda number: np.abs(states @ states[number].conj()) ** 2


def _by_class(train: Labelled, m: int, n_classes: int) -> list[np.ndarray]:
    members = [np.flatnonzero(train.labels == label) for label in range(n_classes)]
    few = min(range(n_classes), key=lambda label: len(members[label]))
    if len(members[few]) < m // n_classes:
        raise ArgumentError(
            f"Argument `m` must take at most the {len(members[few])} training points of class {few} from each class, "
            f"but was {m}, which is {m // n_classes} a class."
        )
    return members


_Pick = Callable[[FidelityKernel, Labelled, int, int, np.random.Generator], _Picked]
_PICKS: dict[Choice, _Pick] = {
    "random points": _random,
    "k-means centres": _k_means,
    "Nyström landmarks": _nystroem,
}
