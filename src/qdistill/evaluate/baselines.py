"""The ceiling that distilled examples are measured against: the same network trained on all real inputs."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.data import Splits
from qdistill.data.preprocess import Labelled
from qdistill.data.raw import check_mirror
from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.losses import Loss
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.evaluate.answers import answers, fraction_right
from qdistill.fields import check_fields
from qdistill.models import Architecture, Model


@dataclass(frozen=True)
class FullTraining:
    """How a network trains on all training inputs.

    Args:
        epochs: passes over the training part, in a new random order each; also a part of one.
        batch: examples a step; what is left over at the end of a pass is left out of it.
        optimiser: as in `InnerLoop`.
        step_size: the largest.
        warm_up: share of the steps over which the step size rises to it, linearly from zero.
        schedule: how it then falls to zero: along a ``"cosine"``, or ``"linear"``.
        mirror: flip every second input left to right, on average. Not for digits.
        loss: as in `InnerLoop`.
        inputs: how many of the training inputs there are for it, drawn as evenly from the classes as whole inputs
            allow, the same ones from every seed; all by default.
    """

    epochs: float = 10.0
    batch: int = 128
    optimiser: Literal["gradient_descent", "momentum", "adam"] = "adam"
    step_size: float = 1e-3
    warm_up: float = 0.0
    schedule: Literal["cosine", "linear"] = "cosine"
    mirror: bool = False
    loss: Loss = "cross_entropy"
    inputs: int | None = None

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.batch < 1:
            raise ArgumentError(f"Argument `batch` must be at least 1, but was {self.batch}.")
        if self.inputs is not None and self.inputs < 1:
            raise ArgumentError(f"Argument `inputs` must be at least 1, but was {self.inputs}.")
        for name in ("epochs", "step_size"):
            if getattr(self, name) <= 0:
                raise ArgumentError(f"Argument `{name}` must be above 0, but was {getattr(self, name)}.")
        if not 0 <= self.warm_up < 1:
            raise ArgumentError(f"Argument `warm_up` must be in [0, 1), but was {self.warm_up}.")

    def part_of(self, splits: Splits) -> Splits:
        """The data with what it trains on for the training part; the transform stays.

        Raises:
            ArgumentError: there are not so many inputs.
        """
        if self.inputs is None:
            return splits
        if self.inputs > len(splits.train):
            raise ArgumentError(
                f"Argument `inputs` must be at most the {len(splits.train)} training inputs, but was {self.inputs}."
            )
        picked = _evenly(splits.train.labels, self.inputs, splits.n_classes)
        return dataclasses.replace(splits, train=Labelled(splits.train.inputs[picked], splits.train.labels[picked]))

    def steps(self, n_inputs: int) -> int:
        """Gradient steps in all, one at least."""
        return max(1, round(self.epochs * (n_inputs // self.batch)))

    def step_sizes(self, steps: int) -> Float[np.ndarray, " steps"]:
        """The size of each of so many steps; the first after a warm-up is the largest."""
        rising = int(self.warm_up * steps)
        left = np.arange(steps - rising) / (steps - rising)
        falling = 0.5 * (1 + np.cos(np.pi * left)) if self.schedule == "cosine" else 1 - left
        return self.step_size * np.concatenate([np.arange(1, rising + 1) / (rising + 1), falling])


@dataclass(frozen=True)
class FullScore:
    """What a full training gave.

    Args:
        test_accuracy: a fraction.
        validation_accuracy: a fraction; what choices are made by.
        steps: gradient steps.
        inputs_seen: steps times examples a step.
        core_seconds: processor time of the training, compilation included; of several together, its share.
        gpu_seconds: how long an accelerator was in use for it; None without one.
    """

    test_accuracy: float
    validation_accuracy: float
    steps: int
    inputs_seen: int
    core_seconds: float
    gpu_seconds: float | None


def _evenly(labels: np.ndarray, size: int, n_classes: int) -> np.ndarray:
    """Which inputs are picked: the first of every class in a random order, then the second of every class, ..."""
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = labels[order]
    rank = np.zeros(len(order), dtype=int)
    for label in range(n_classes):
        members = np.flatnonzero(shuffled == label)
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank, kind="stable")[:size]]


def train_on_all(model: Model, splits: Splits, training: FullTraining, *, key: Array) -> Model:
    """Train a network on the training part, by the one inner loop there is.

    Args:
        model: the initial network.
        splits: real inputs.
        training: how.
        key: random key, consumed: the order of the inputs, and which of them are flipped.

    Raises:
        ArgumentError: the batch is larger than the training part, there are fewer inputs than asked for, or what is no
            image was to be mirrored.
    """
    splits = training.part_of(splits)
    n = len(splits.train)
    if training.batch > n:
        raise ArgumentError(f"Argument `batch` must be at most the {n} training inputs, but was {training.batch}.")
    if training.mirror:
        check_mirror(splits.train.inputs.shape[1:])
    steps = training.steps(n)
    key_order, key_mirror = jax.random.split(key)
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key_order)))
    orders = [generator.permutation(n)[: n - n % training.batch] for _ in range(math.ceil(training.epochs))]
    schedule = np.concatenate(orders).reshape(-1, training.batch)[:steps]
    raw, labels = splits.train.inputs, splits.train.labels
    if schedule.size < n:  # each input at most once: the others need not be brought along
        raw, labels = raw[schedule.ravel()], labels[schedule.ravel()]
        schedule = np.arange(schedule.size).reshape(schedule.shape)
    inputs, one_hot = splits.transform(raw), jax.nn.one_hot(labels, splits.n_classes)
    if training.mirror:
        # Both ways round lie in one array, and each visit picks one of them.
        mirrored = splits.transform(raw[:, :, ::-1])
        inputs, one_hot = jnp.concatenate([inputs, mirrored]), jnp.concatenate([one_hot, one_hot])
        schedule = schedule + len(raw) * np.asarray(jax.random.bernoulli(key_mirror, shape=schedule.shape))
    sizes = jnp.asarray(training.step_sizes(steps)[:, None], jnp.float32)
    data = TrainingSet(jnp.asarray(inputs), one_hot, sizes, jnp.asarray(schedule))
    inner = InnerLoop(
        steps=steps, own_examples=True, optimiser=training.optimiser, step_sizes="shared", loss=training.loss
    )
    trained: Model = eqx.filter_jit(train)(model, data, inner)
    return trained


def score_full_trainings(
    architecture: Architecture, splits: Splits, training: FullTraining, *, seeds: Sequence[int]
) -> list[FullScore | None]:
    """Draw networks, train them on the training part, and measure them; as many at once as JAX has devices.

    Args:
        architecture: builds the network; under one seed its initial weights are those of a distillation.
        splits: real inputs.
        training: how.
        seeds: each decides the initial weights, the order of the inputs, and which of them are flipped.

    Returns:
        A score for each seed; None where the network did not stay finite.

    Raises:
        ArgumentError: see `train_on_all`.
    """
    started, begun = time.process_time(), time.monotonic()
    steps = training.steps(len(training.part_of(splits).train))
    free: SimpleQueue[jax.Device] = SimpleQueue()
    for device in jax.devices():
        free.put(device)

    def measured(seed: int) -> tuple[float, float] | None:
        device = free.get()
        try:
            with jax.default_device(device):
                key_model, key = jax.random.split(jax.random.key(seed))
                model = architecture.build(splits.input_shape, splits.n_classes, key=key_model)
                trained = train_on_all(model, splits, training, key=key)
                return share_right(trained, splits, "test"), share_right(trained, splits, "validation")
        except DivergenceError:
            return None
        finally:
            free.put(device)

    pool = ThreadPoolExecutor(len(jax.devices()))
    try:
        accuracies = list(pool.map(measured, seeds))
    finally:
        pool.shutdown(cancel_futures=True)
    core = round((time.process_time() - started) / len(seeds), 1)
    gpu = None if jax.default_backend() == "cpu" else round((time.monotonic() - begun) / len(seeds), 1)
    return [
        None if found is None else FullScore(*found, steps, steps * training.batch, core, gpu) for found in accuracies
    ]


def share_right(model: Model, splits: Splits, part: Literal["validation", "test"]) -> float:
    """The accuracy of a network on the validation or the test part, a fraction.

    Raises:
        DivergenceError: what the network says is not finite.
    """
    inputs, labels = getattr(splits, part).inputs, getattr(splits, part).labels
    return fraction_right(answers(model, splits.transform, inputs), labels)
