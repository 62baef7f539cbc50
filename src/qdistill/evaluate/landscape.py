"""The loss between trainings from different draws of the initial weights: along a straight line, and in a plane.

Two trainings end at weights w_0 and w_1. The barrier between them is how far the loss on the straight line between the
ends rises above the straight line between their losses (Frankle, Dziugaite, Roy and Carbin, ICML 2020, arXiv
1912.05671, in the form of Entezari, Sedghi, Saukh and Neyshabur, ICLR 2022, arXiv 2110.06296):

    max_a  L((1 - a) w_0 + a w_1) - ((1 - a) L(w_0) + a L(w_1)),    0 <= a <= 1.

The plane is that through the ends of three trainings, as in Garipov et al. (NeurIPS 2018, arXiv 1802.10026).

The lines are straight in the weights as the network has them. Two ends that compute the same may be far apart: hidden
units in another order, or angles that differ by a period. So a barrier is of a network as it is parametrised.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from qdistill.compiling import compiled
from qdistill.data import Labelled, Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.initialisation import Initialisation, drawn_names, with_drawn
from qdistill.distill.inner import InnerLoop, compiled_train
from qdistill.distill.losses import LOSSES, Loss
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.evaluate.answers import answers, fraction_right
from qdistill.evaluate.protocol import interval
from qdistill.evaluate.transfer import PlainTraining, check_networks
from qdistill.fields import check_fields, check_seed
from qdistill.models import Architecture, Model, predict

Data = Literal["distilled", "real"]
"""What a network trains on, and what its loss is measured on."""

Drawn = Literal["all", "quantum"]
"""In what draws differ, see `Sampling`."""


@dataclass(frozen=True)
class Sampling:
    """Between which trainings the loss is measured, and where.

    Args:
        drawn: in what the draws of initial weights differ: ``"all"`` weights, or those of the ``"quantum"`` layers
            alone.
        pairs: of trainings; no training is in two of them.
        points: of a line, and of a side of the plane, with both ends.
        inputs: real ones on which the loss is measured, of the validation part; all of it where that has fewer.
        batch: real inputs in each step of a training on these.
    """

    drawn: Drawn = "all"
    pairs: int = 10
    points: int = 25
    inputs: int = 1000
    batch: int = 64

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        for name, least in (("pairs", 2), ("points", 3), ("inputs", 1), ("batch", 1)):
            if getattr(self, name) < least:
                raise ArgumentError(f"Argument `{name}` must be at least {least}, but was {getattr(self, name)}.")


@dataclass(frozen=True)
class Barrier:
    """How high the loss rises between the ends of two trainings.

    Args:
        each: one a pair of trainings, at least 0, in the units of the loss.
        mean: over the pairs.
        interval: its 95 % interval by Student's t; None for fewer than three pairs.
    """

    each: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, lines: Float[np.ndarray, "pairs points"]) -> Barrier:
        """Those of some lines, whose points are evenly spaced from one end to the other."""
        along = np.linspace(0.0, 1.0, lines.shape[1])
        chords = (1 - along) * lines[:, :1] + along * lines[:, -1:]
        each = tuple(np.max(lines - chords, axis=1).tolist())
        return cls(each, statistics.mean(each), interval(each))


@dataclass(frozen=True)
class Plane:
    """The loss in the plane through the ends of three trainings.

    Args:
        ends: where these are, (3, 2), in the units of the weights: the first at the origin, the second on the x axis.
        x: of the grid's columns.
        y: of the grid's rows.
        losses: (rows, columns), on each kind of data.
    """

    ends: Float[np.ndarray, "3 2"]
    x: Float[np.ndarray, " columns"]
    y: Float[np.ndarray, " rows"]
    losses: Mapping[Data, Float[np.ndarray, "rows columns"]]


@dataclass(frozen=True)
class Landscape:
    """The loss of one architecture, between trainings on one kind of data.

    Args:
        network: its name.
        trained_on: the bundle's examples, or real inputs.
        learning_rate: of Adam, by which a validation accuracy was best.
        accuracies: on the validation part, one an end.
        lines: losses along the lines between pairs of ends, (pairs, points), on each kind of data.
        barriers: of these lines.
        plane: through the first three ends.
    """

    network: str
    trained_on: Data
    learning_rate: float
    accuracies: tuple[float, ...]
    lines: Mapping[Data, Float[np.ndarray, "pairs points"]]
    barriers: Mapping[Data, Barrier]
    plane: Plane


def landscapes(
    bundle: DistilledDataset,
    networks: Mapping[str, Architecture],
    splits: Splits,
    *,
    sampling: Sampling | None = None,
    seed: int = 0,
    plain: PlainTraining | None = None,
) -> Iterator[Landscape]:
    """Train networks from pairs of draws, on a bundle's examples and on real inputs, and measure the loss between them.

    Args:
        bundle: has the examples; each is taken for the class that its label speaks for most.
        networks: by name.
        splits: real inputs: the training part is trained on, the validation part is what the loss is measured on.
        sampling: which trainings, and where the loss is measured.
        seed: decides the draws.
        plain: how a network is trained.

    Returns:
        For each network that of the trainings on the bundle's examples, and that of those on real inputs.

    Raises:
        ArgumentError: an architecture does not read the inputs, has no readout for the classes, is solved in closed
            form, or has no quantum layer where these are what is drawn; or a batch is more than there are. All of it
            before anything is trained.
        BundleError: the bundle is of support points, which no network trains on.
        DivergenceError: a training does not stay finite.
    """
    sampling = Sampling() if sampling is None else sampling
    plain = PlainTraining() if plain is None else plain
    seed = check_seed(seed)
    check_networks(networks, bundle)
    plain.examples_a_step(len(bundle.data.inputs))
    on_real = dataclasses.replace(plain, batch=sampling.batch)
    on_real.examples_a_step(len(splits.train))
    draws = {name: _Draw(architecture, bundle, sampling.drawn, seed) for name, architecture in networks.items()}
    # Beside the keys of all that a distillation, a replay and a transfer draw.
    key = jax.random.fold_in(jax.random.key(seed), 2**32 - 3)
    return _measured(bundle, draws, splits, sampling, {"distilled": plain, "real": on_real}, key)


def _measured(
    bundle: DistilledDataset,
    draws: Mapping[str, _Draw],
    splits: Splits,
    sampling: Sampling,
    trainings: Mapping[Data, PlainTraining],
    key: Array,
) -> Iterator[Landscape]:
    some = Labelled(splits.validation.inputs[: sampling.inputs], splits.validation.labels[: sampling.inputs])
    # Learned labels may have any sign, and so a loss without a lower bound, between whose depths no barrier says much.
    examples = eqx.tree_at(lambda d: d.labels, bundle.data, jnp.asarray(bundle.data.one_hot_labels))
    trained_on: dict[Data, TrainingSet] = {"distilled": examples, "real": _as_training_set(splits.train, bundle)}
    measured_on: dict[Data, TrainingSet] = {"distilled": examples, "real": _as_training_set(some, bundle)}
    key_ends, key_choosing = jax.random.split(key)
    for name, draw in draws.items():
        for data, plain in trainings.items():
            train = partial(_trained, draw, trained_on[data], plain, bundle.inner)
            tries = [
                statistics.mean(_accuracies([train(rate, own) for own in keys], bundle, some))
                for rate in plain.rates
                for keys in [jax.random.split(key_choosing, plain.choosing)]
            ]
            rate = plain.rates[int(np.argmax(tries))]
            ends = [train(rate, own) for own in jax.random.split(key_ends, 2 * sampling.pairs)]
            lines = {on: _lines(ends, sampling.points, measured, bundle.inner) for on, measured in measured_on.items()}
            yield Landscape(
                network=name,
                trained_on=data,
                learning_rate=rate,
                accuracies=tuple(_accuracies(ends, bundle, some)),
                lines=lines,
                barriers={on: Barrier.of(losses) for on, losses in lines.items()},
                plane=_plane(ends[:3], sampling.points, measured_on, bundle.inner),
            )


class _Draw:
    """Draws networks of an architecture, which differ in what is said alone.

    Raises:
        ArgumentError: the network has none of that.
    """

    def __init__(self, architecture: Architecture, bundle: DistilledDataset, drawn: Drawn, seed: int) -> None:
        self._build = partial(architecture.build, bundle.input_shape, bundle.n_classes)
        self._known = self._build(key=jax.random.key(seed))
        self._names = drawn_names(Initialisation(weights="unknown", drawn=drawn), self._known)

    def __call__(self, key: Array) -> Model:
        return with_drawn(self._known, self._build(key=key), self._names)


def _as_training_set(part: Labelled, bundle: DistilledDataset) -> TrainingSet:
    """Real inputs as the networks read them, with one-hot labels; who trains on them brings the steps."""
    labels = jax.nn.one_hot(part.labels, bundle.n_classes)
    return TrainingSet(bundle.transform(part.inputs), labels, jnp.ones((1, 1)), np.zeros((1, 1), np.int32))


def _trained(draw: _Draw, data: TrainingSet, plain: PlainTraining, like: InnerLoop, rate: float, key: Array) -> Model:
    key_model, key_order = jax.random.split(key)
    trained: Model = compiled_train(draw(key_model), plain.data(data, rate, key=key_order), plain.inner(like))
    return trained


def _accuracies(ends: Sequence[Model], bundle: DistilledDataset, part: Labelled) -> list[float]:
    return [fraction_right(answers(end, bundle.transform, part.inputs), part.labels) for end in ends]


def _lines(
    ends: Sequence[Model], points: int, data: TrainingSet, inner: InnerLoop
) -> Float[np.ndarray, "pairs points"]:
    """The losses from each even end to the odd one after it."""
    along = np.linspace(0.0, 1.0, points)
    shares = np.stack([1 - along, along], axis=1)
    return np.stack([losses_between(ends[i : i + 2], shares, data, inner.loss) for i in range(0, len(ends), 2)])


def _plane(ends: Sequence[Model], points: int, measured_on: Mapping[Data, TrainingSet], inner: InnerLoop) -> Plane:
    """The losses on a grid that holds three ends, with a quarter of their extent around them."""
    vectors = [np.asarray(ravel_pytree(_weights(end))[0], np.float64) for end in ends]
    first, second = vectors[1] - vectors[0], vectors[2] - vectors[0]
    length = np.linalg.norm(first)
    aside = second @ first / length
    height = np.linalg.norm(second - aside * first / length)
    corners = np.array([[0.0, 0.0], [length, 0.0], [aside, height]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y = np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), points).T
    third = np.repeat(y / height, points)
    other = (np.tile(x, points) - third * aside) / length
    shares = np.stack([1 - other - third, other, third], axis=1)
    grids = {on: losses_between(ends, shares, data, inner.loss) for on, data in measured_on.items()}
    return Plane(corners, x, y, {on: losses.reshape(points, points) for on, losses in grids.items()})


def losses_between(
    ends: Sequence[Model], shares: Float[np.ndarray, "points ends"], data: TrainingSet, loss: Loss
) -> Float[np.ndarray, " points"]:
    """The loss of networks whose weights are weighted means of those of some networks of one structure.

    Args:
        ends: the networks.
        shares: of each of them in each point; they sum to 1.
        data: inputs, as the networks read them, and labels.
        loss: its name.

    Raises:
        DivergenceError: a loss is not finite.
    """
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[_weights(end) for end in ends])
    found = np.asarray(_losses(ends[0], stacked, jnp.asarray(shares, jnp.float32), data.inputs, data.labels, loss=loss))
    if not np.isfinite(found).all():
        raise DivergenceError("The loss between two trainings is not finite, so there is no barrier to speak of.")
    return found.astype(np.float64)


def _weights(model: Model) -> PyTree:
    return eqx.filter(model, eqx.is_inexact_array)


@compiled
def _losses(like: Model, ends: PyTree, shares: Array, inputs: Array, labels: Array, *, loss: Loss) -> Array:
    rest = eqx.filter(like, eqx.is_inexact_array, inverse=True)

    def at(share: Array) -> Array:
        between = jax.tree.map(lambda leaves: jnp.tensordot(share, leaves, 1), ends)
        return LOSSES[loss](predict(eqx.combine(between, rest), inputs), labels)

    losses: Array = jax.lax.map(at, shares)
    return losses
