"""A network and bundles to test with, made without compiling anything."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from qdistill.data import Digits, FittedChain
from qdistill.data.fitted import Standardised
from qdistill.data.transforms import Standardise, Whiten, fit_chain
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record, Rerun, Rounding, RoundingCheck
from qdistill.distill.training_set import TrainingSet
from qdistill.models import Architecture, LeNetArchitecture, named_weights

SHAPE, CLASSES = (3, 4, 1), 3
"""Of the images that `Smooth` reads."""


class Smooth(eqx.Module):
    """A small network with derivatives of every order."""

    first: Array
    bias: Array
    last: Array

    @classmethod
    def draw(cls, seed: int = 0, hidden: int = 5) -> Smooth:
        keys = jax.random.split(jax.random.key(seed), 3)
        shapes = (hidden, math.prod(SHAPE)), (hidden,), (CLASSES, hidden)
        return cls(*(0.5 * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))

    def __call__(self, x: Array) -> Array:
        return self.last @ jnp.tanh(self.first @ x.reshape(-1) + self.bias)


def random_weights(
    architecture: Architecture, input_shape: tuple[int, ...], n_classes: int, seed: int
) -> dict[str, jax.Array]:
    """Weights of the network's names and shapes, on the scale of Xavier's."""
    rng = np.random.default_rng(seed)
    names: list[str] = []

    def build() -> dict[str, jax.Array]:
        weights = named_weights(architecture.build(input_shape, n_classes, key=jax.random.key(0)))
        names.extend(weights)
        return weights

    shapes = eqx.filter_eval_shape(build)
    weights = {}
    for name in names:
        shape = shapes[name].shape
        scale = 0.1
        if name == "branch.weights":
            scale = 3.0
        elif name.endswith(("weight", "kernel")):
            field = np.prod(shape[:-2]) if name.endswith("kernel") else 1
            scale = np.sqrt(2 / (field * (shape[-1] + shape[-2])))
        elif name.endswith("coefficients"):
            scale = 1.0
        weights[name] = jnp.asarray(scale * rng.normal(size=shape), jnp.float32)
    return weights


def random_bundle(
    architecture: Architecture | None = None,
    inner: InnerLoop | None = None,
    input_shape: tuple[int, ...] = (8, 8, 1),
    n_classes: int = 3,
    per_class: int = 1,
    seed: int = 0,
    **changes: Any,
) -> DistilledDataset:
    """A bundle of noise."""
    rng = np.random.default_rng(seed)
    architecture, inner = architecture or LeNetArchitecture(width=4), inner or InnerLoop(steps=2, step_sizes="shared")
    weights = random_weights(architecture, input_shape, n_classes, seed)
    groups = 1 if inner.step_sizes == "shared" else len(weights)
    n = n_classes * per_class
    classes = np.tile(np.arange(n_classes), per_class)
    channels = input_shape[-1]
    fields: dict[str, Any] = {
        "data": TrainingSet(
            inputs=jnp.asarray(rng.normal(size=(n, *input_shape)), jnp.float32),
            labels=jnp.asarray(np.eye(n_classes)[classes] + 0.1 * rng.normal(size=(n, n_classes)), jnp.float32),
            step_sizes=jnp.asarray(rng.uniform(0.02, 0.06, (inner.total_steps, groups)), jnp.float32),
            schedule=inner.schedule(n),
        ),
        "initial_weights": weights,
        "architecture": architecture,
        "inner": inner,
        "transform": FittedChain(
            255.0,
            (
                Standardised(
                    jnp.asarray(rng.uniform(0.1, 0.5, channels), jnp.float32),
                    jnp.asarray(rng.uniform(0.2, 0.4, channels), jnp.float32),
                ),
            ),
        ),
        "class_names": tuple(map(str, range(n_classes))),
        "dataset": "mnist",
        "recipe": {"dataset": "mnist", "seed": seed, "compression": {"labels": "learned", "none": None}},
        "provenance": {"versions": {"jax": "0.10.2"}, "command": ["qdistill", "distill", "mnist"], "seconds": 1.5},
        "record": Record(test_accuracy=0.9375, n_test=10_000, validation_accuracy=0.95, n_validation=5000),
        "rounding": RoundingCheck(
            Rounding(5000, 0.95, Rerun(0.949, 6), (Rerun(0.95, 0), Rerun(0.949, 5))),
            Rounding(10_000, 0.9375, Rerun(0.9374, 3), (Rerun(0.9375, 0), Rerun(0.9374, 2))),
        ),
    }
    return DistilledDataset(**(fields | changes))


@lru_cache
def digits(input_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Real inputs in other sizes and colours: training inputs and labels, test inputs and labels."""
    raw = Digits().load()
    height, width, channels = input_shape
    parts = []
    for inputs in (raw.train_inputs, raw.test_inputs):
        whole = np.zeros((len(inputs), *input_shape), np.uint8)
        rows, columns = min(28, height), min(28, width)
        top, left = (28 - rows) // 2, (28 - columns) // 2
        cut = inputs[:, top : top + rows, left : left + columns].astype(float)
        for channel in range(channels):
            whole[:, :rows, :columns, channel] = cut[..., 0] * (1 - 0.3 * channel)
        parts.append(whole)
    return parts[0], raw.train_labels, parts[1], raw.test_labels


def digits_bundle(
    architecture: Architecture,
    inner: InnerLoop,
    input_shape: tuple[int, ...] = (28, 28, 1),
    per_class: int = 1,
    step_size: float = 0.05,
    whiten: bool = False,
) -> DistilledDataset:
    """A bundle of real digits with some noise, from which a network learns in a few steps."""
    train_inputs, train_labels, _, _ = digits(input_shape)
    picked = np.array([np.flatnonzero(train_labels == k)[i] for i in range(per_class) for k in range(10)])
    rng = np.random.default_rng(1)
    bundle = random_bundle(architecture, inner, input_shape, n_classes=10, per_class=per_class)
    transform = fit_chain((Standardise(), *([Whiten()] if whiten else [])), train_inputs, 255.0)
    inputs = np.asarray(transform(train_inputs[picked])) + 0.1 * rng.normal(size=(len(picked), *input_shape))
    groups = bundle.data.step_sizes.shape
    data = TrainingSet(
        inputs=jnp.asarray(inputs, jnp.float32),
        labels=bundle.data.labels,
        step_sizes=jnp.asarray(step_size * rng.uniform(0.5, 1.5, groups), jnp.float32),
        schedule=bundle.data.schedule,
    )
    return random_bundle(
        architecture,
        inner,
        input_shape,
        n_classes=10,
        per_class=per_class,
        data=data,
        transform=transform,
        dataset="digits",
    )
