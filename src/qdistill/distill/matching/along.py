"""The networks that a training passes through, and what an objective is at each of them."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.distill.descent import descend, initial_state, loss_gradient
from qdistill.distill.inner import InnerLoop
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Model

Objective = Callable[[Model, Float[Array, "n *shape"], Float[Array, "n classes"]], Float[Array, ""]]
"""A network, and the synthetic inputs and labels of a step -> how good these are for it."""


def mean_along(
    at: Objective, data: TrainingSet, model: Model, inner: InnerLoop, optimiser_state: PyTree | None = None
) -> tuple[Float[Array, ""], TrainingSet]:
    """The mean of an objective over the networks before each step of a training, and its gradient.

    The networks are given: the gradient does not go through the training, and so is zero for the step sizes.

    Args:
        at: the objective for one network.
        data: the synthetic data.
        model: the network before the first step.
        inner: how it trains.
        optimiser_state: where the training begins; by default at its start.

    Returns:
        The mean, and its gradient with respect to the arrays of `data`.
    """
    learned, schedule = eqx.partition(data, eqx.is_inexact_array)
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    gradient = loss_gradient(static, inner.loss)

    def examples(learned: TrainingSet, picked: Array) -> tuple[Array, Array]:
        return (
            (learned.inputs[picked], learned.labels[picked]) if inner.own_examples else (learned.inputs, learned.labels)
        )

    def step(carry: tuple[PyTree, PyTree], now: tuple[Array, Array]) -> tuple[tuple[PyTree, PyTree], PyTree]:
        (weights, state), (picked, sizes) = carry, now
        network = eqx.combine(weights, static)
        found = jax.value_and_grad(lambda learned: at(network, *examples(learned, picked)))(learned)
        slopes = gradient(weights, *examples(learned, picked), None)
        return descend(inner.optimiser, weights, state, slopes, sizes), found

    state = initial_state(inner.optimiser, weights) if optimiser_state is None else optimiser_state
    _, each = jax.lax.scan(step, (weights, state), (jnp.asarray(schedule.schedule), data.step_sizes))
    mean: tuple[Array, TrainingSet] = jax.tree.map(lambda a: jnp.mean(a, axis=0), each)
    return mean


def check_exact(key: Array | None) -> None:
    """Refuse a network that takes shots, for whose random numbers there is a key.

    Raises:
        ArgumentError: there is one.
    """
    if key is not None:
        raise ArgumentError(
            "Argument `model` must be of exact expectation values for every objective but performance matching, but "
            "takes shots."
        )


def class_means(values: Float[Array, "n values"], labels: Float[Array, "n classes"]) -> Float[Array, "classes values"]:
    """The mean over the inputs of each class, by their one-hot labels; zero for a class without any."""
    counts = jnp.sum(labels, axis=0)
    return labels.T @ values / jnp.maximum(counts, 1)[:, None]
