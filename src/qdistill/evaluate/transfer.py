"""Distilled examples for other networks than their own: in the bundle's steps, and as a user would train on them."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from qdistill.data import Labelled, Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop, compiled_train
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, BundleError, DivergenceError
from qdistill.evaluate.answers import answers, fraction_right
from qdistill.evaluate.cost import training_circuits
from qdistill.evaluate.protocol import DRAWS, Evaluations, check_draws
from qdistill.fields import check_fields, check_seed
from qdistill.models import Architecture, ClosedForm, Model, structure

Training = Literal["bundle", "adam"]
Labels = Literal["learned", "hard"]


@dataclass(frozen=True)
class PlainTraining:
    """How a user trains who knows the examples alone: Adam, and batches in an order that is drawn in every epoch.

    Args:
        steps: gradient steps.
        batch: examples a step; None for all of them. What is left over at the end of an epoch is left out of it.
        rates: learning rates, of which the one with the best mean validation accuracy is taken.
        choosing: networks that each of them is tried on.
    """

    steps: int = 100
    batch: int | None = None
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    choosing: int = 3

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        for name in ("steps", "batch", "choosing"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ArgumentError(f"Argument `{name}` must be at least 1, but was {value}.")
        if not self.rates or min(self.rates) <= 0:
            raise ArgumentError(f"Argument `rates` must be above 0, one at least, but was {self.rates}.")

    def examples_a_step(self, n_examples: int) -> int:
        """How many examples a step sees.

        Raises:
            ArgumentError: more than there are.
        """
        if self.batch is not None and self.batch > n_examples:
            raise ArgumentError(f"Argument `batch` must be at most the {n_examples} examples, but was {self.batch}.")
        return self.batch or n_examples

    def inner(self, like: InnerLoop) -> InnerLoop:
        """The inner loop of such a training, with the loss of another."""
        return InnerLoop(steps=self.steps, own_examples=True, optimiser="adam", step_sizes="shared", loss=like.loss)

    def data(self, data: TrainingSet, rate: float, *, key: Array) -> TrainingSet:
        """The examples in random batches.

        Args:
            data: has the examples.
            rate: the learning rate.
            key: random key, consumed.
        """
        n = len(data.inputs)
        batch = self.examples_a_step(n)
        a_pass = n // batch
        keys = jax.random.split(key, -(-self.steps // a_pass))
        orders = np.stack([np.asarray(jax.random.permutation(own, n))[: a_pass * batch] for own in keys])
        schedule = orders.reshape(-1, batch)[: self.steps]
        sizes = jnp.full((self.steps, 1), rate, jnp.float32)
        return TrainingSet(data.inputs, data.labels, sizes, schedule)


@dataclass(frozen=True)
class Transfer:
    """What networks of one architecture reach on a bundle's examples.

    Args:
        network: its name.
        training: in the ``"bundle"``'s steps, or with ``"adam"`` as `PlainTraining` says.
        labels: the bundle's own, ``"learned"``, or one-hot ones, ``"hard"``, which a bundle may have itself.
        learning_rate: of Adam, chosen on the validation part; None in the bundle's steps.
        steps: gradient steps.
        circuits: of one training by the parameter-shift rule, as it is counted in `evaluate.cost`.
        evaluation: test accuracies over draws of the initial weights.
    """

    network: str
    training: Training
    labels: Labels
    learning_rate: float | None
    steps: int
    circuits: int
    evaluation: Evaluations


def transfer(
    bundle: DistilledDataset,
    networks: Mapping[str, Architecture],
    splits: Splits,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    plain: PlainTraining | None = None,
) -> Iterator[Transfer]:
    """Train other networks on a bundle's examples, from initial weights that are drawn for each.

    The bundle's own network keeps the weights that the bundle holds where it is for unknown weights of a part alone.
    The step sizes of a bundle that has one for each weight tensor are those of its own network; any other takes their
    mean over the tensors of each step.

    Args:
        bundle: what they train on.
        networks: by name.
        splits: real inputs: the validation part decides the learning rate, the test part is what is reported.
        draws: networks of each architecture.
        seed: decides the draws, the same for every training.
        plain: the training with Adam.

    Returns:
        For each network its trainings, as they are measured.

    Raises:
        ArgumentError: an architecture does not read the bundle's inputs or has no readout for its classes, is solved in
            closed form, or there are fewer examples than in a batch; before anything is trained.
        BundleError: the bundle is of support points, which no network trains on.
    """
    plain = PlainTraining() if plain is None else plain
    draws, seed = check_draws(draws), check_seed(seed)
    check_networks(networks, bundle)
    plain.examples_a_step(len(bundle.data.inputs))
    return _measured(bundle, networks, splits, draws, seed, plain)


def check_networks(networks: Mapping[str, Architecture], bundle: DistilledDataset) -> None:
    """Make sure that networks train on a bundle's examples.

    Raises:
        ArgumentError: as `structures` does.
        BundleError: the bundle is of support points, which no network trains on.
    """
    if bundle.inner.optimiser == "newton":
        raise BundleError("The bundle is of a kernel's support points, which no other network trains on.")
    structures(networks, bundle.input_shape, bundle.n_classes, "on")


def structures(
    networks: Mapping[str, Architecture], input_shape: tuple[int, ...], n_classes: int, argument: str
) -> dict[str, Model]:
    """Networks without weights, by name.

    Args:
        networks: their architectures.
        input_shape: of what they read.
        n_classes: that they tell apart.
        argument: what an error calls them.

    Raises:
        ArgumentError: one does not read such inputs, has no readout for the classes, or is solved in closed form.
    """
    found = {}
    for name, architecture in networks.items():
        try:
            network = structure(architecture, input_shape, n_classes)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ArgumentError(
                f"Argument `{argument}` must be networks for inputs of shape {input_shape} in {n_classes} classes, but "
                f"{name} is none: {error}"
            ) from error
        if isinstance(network, ClosedForm):
            raise ArgumentError(
                f"Argument `{argument}` must be networks that are trained step by step, but {name} is solved at once."
            )
        found[name] = network
    return found


def _measured(
    bundle: DistilledDataset,
    networks: Mapping[str, Architecture],
    splits: Splits,
    draws: int,
    seed: int,
    plain: PlainTraining,
) -> Iterator[Transfer]:
    # Beside the keys of all that a distillation draws, and of a bundle's replays.
    key_test, key_choosing = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2**32 - 2))
    for name, architecture in networks.items():
        for labels, data in _with_labels(bundle):
            own_steps = _OwnSteps(bundle, architecture, data)
            yield _row(name, "bundle", labels, None, own_steps, bundle, splits, draws, key_test)
            trials = [(_WithAdam(bundle, architecture, data, plain, rate), rate) for rate in plain.rates]
            means = [
                statistics.mean(_accuracies(trial, bundle, splits.validation, plain.choosing, key_choosing))
                for trial, _ in trials
            ]
            best, rate = trials[int(np.argmax(means))]
            yield _row(name, "adam", labels, rate, best, bundle, splits, draws, key_test)


def _with_labels(bundle: DistilledDataset) -> Iterator[tuple[Labels, TrainingSet]]:
    """The examples with the bundle's labels, and with one-hot ones where those are others."""
    if not bundle.hard_labels:
        yield "learned", bundle.data
    yield "hard", eqx.tree_at(lambda d: d.labels, bundle.data, jnp.asarray(bundle.data.one_hot_labels))


def _drawn(architecture: Architecture, bundle: DistilledDataset, key: Array) -> tuple[Model, np.ndarray | Array]:
    """A network of an architecture, and the examples of each step of the bundle's training.

    Of the bundle's own architecture it is as a replay draws it: with the weights that the bundle holds where only
    some are unknown, and in an order of its own where the order is random.
    """
    if bundle.drawn_anew is not None and architecture == bundle.architecture:
        one = bundle.drawn(key=key)
        return one.initial_model(), one.data.schedule
    model = architecture.build(bundle.input_shape, bundle.n_classes, key=jax.random.split(key)[0])
    return model, bundle.data.schedule


@dataclass(frozen=True)
class _OwnSteps:
    """A training in the bundle's steps."""

    bundle: DistilledDataset
    architecture: Architecture
    data: TrainingSet

    def trained(self, key: Array) -> Model:
        bundle, data, inner = self.bundle, self.data, self.bundle.inner
        model, schedule = _drawn(self.architecture, bundle, key)
        data = data.with_schedule(schedule)
        if self.architecture != bundle.architecture and inner.step_sizes == "tensor":
            inner = dataclasses.replace(inner, step_sizes="shared")
            data = eqx.tree_at(lambda d: d.step_sizes, data, jnp.mean(data.step_sizes, axis=1, keepdims=True))
        trained: Model = compiled_train(model, data, inner)
        return trained

    @property
    def steps(self) -> int:
        return self.bundle.inner.total_steps

    @property
    def seen(self) -> int:
        return int(self.data.schedule.size)


@dataclass(frozen=True)
class _WithAdam:
    """A training as a user writes it."""

    bundle: DistilledDataset
    architecture: Architecture
    data: TrainingSet
    plain: PlainTraining
    rate: float

    def trained(self, key: Array) -> Model:
        model, _ = _drawn(self.architecture, self.bundle, key)
        data = self.plain.data(self.data, self.rate, key=jax.random.split(key)[1])
        trained: Model = compiled_train(model, data, self.plain.inner(self.bundle.inner))
        return trained

    @property
    def steps(self) -> int:
        return self.plain.steps

    @property
    def seen(self) -> int:
        return self.plain.steps * self.plain.examples_a_step(len(self.data.inputs))


def _row(
    name: str,
    training: Training,
    labels: Labels,
    rate: float | None,
    how: _OwnSteps | _WithAdam,
    bundle: DistilledDataset,
    splits: Splits,
    draws: int,
    key: Array,
) -> Transfer:
    accuracies = _accuracies(how, bundle, splits.test, draws, key)
    network = structure(how.architecture, bundle.input_shape, bundle.n_classes)
    circuits = training_circuits(network, bundle.input_shape, how.seen)
    return Transfer(
        name, training, labels, rate, how.steps, circuits, Evaluations.of(accuracies, len(splits.test.labels))
    )


def _accuracies(
    how: _OwnSteps | _WithAdam, bundle: DistilledDataset, part: Labelled, draws: int, key: Array
) -> Sequence[float]:
    """The accuracy of each of the networks that are drawn; 0 for one that does not stay finite, never right."""
    accuracies = []
    for own in jax.random.split(key, draws):
        accuracies.append(0.0)
        with contextlib.suppress(DivergenceError):
            accuracies[-1] = fraction_right(answers(how.trained(own), bundle.transform, part.inputs), part.labels)
    return accuracies
