"""Performance matching against plain automatic differentiation of the composed loss."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from qdistill.distill.inner import InnerLoop
from qdistill.distill.objective import MetaObjective, PerformanceMatching
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Dense

from ..quantum.reference import quick_jit

SHAPE, CLASSES, BATCH = (2, 3, 1), 3, 12


class Network(eqx.Module):
    """Two dense layers."""

    first: Dense
    last: Dense

    def __call__(self, x: Array) -> Array:
        return self.last(jnp.tanh(self.first(x.reshape(-1))))


@pytest.fixture(scope="module")
def problem() -> tuple[TrainingSet, Network, InnerLoop, Array, Array]:
    inner = InnerLoop(steps=3, step_sizes="shared")
    keys = jax.random.split(jax.random.key(0), 6)
    network = Network(
        Dense(6, 4, "xavier_normal", key=keys[0]),
        Dense(4, CLASSES, "xavier_normal", key=keys[1]),
    )
    data = TrainingSet(
        jax.random.normal(keys[2], (6, *SHAPE)),
        jax.random.normal(keys[3], (6, CLASSES)),
        jnp.array([[0.5], [0.3], [0.2]]),
        inner.schedule(6),
    )
    real = jax.random.normal(keys[4], (BATCH, *SHAPE))
    labels = jax.nn.one_hot(jax.random.randint(keys[5], (BATCH,), 0, CLASSES), CLASSES)
    return data, network, inner, real, labels


@pytest.fixture(scope="module")
def expected(problem: Any) -> Any:
    data, network, _, real, labels = problem
    weights, static = eqx.partition(network, eqx.is_inexact_array)

    def cross_entropy(weights: Any, inputs: Array, labels: Array) -> Array:
        logits = jax.vmap(eqx.combine(weights, static))(inputs)
        return -jnp.sum(labels * (logits - jax.nn.logsumexp(logits, axis=1, keepdims=True))) / len(inputs)

    def composed(learned: TrainingSet) -> Array:
        trained = weights
        for size in learned.step_sizes:
            slopes = jax.grad(cross_entropy)(trained, learned.inputs, learned.labels)
            trained = jax.tree.map(lambda w, slope, size=size: w - size * slope, trained, slopes)
        return cross_entropy(trained, real, labels)

    return quick_jit(jax.value_and_grad(composed))(eqx.filter(data, eqx.is_inexact_array))


# One input at a time, a divisor, no divisor, the whole batch, and more than there are.
@pytest.mark.parametrize("slice_size", [1, 4, 5, 12, 100])
def test_value_and_gradient_are_those_of_the_composed_loss(problem: Any, expected: Any, slice_size: int) -> None:
    data, network, inner, real, labels = problem
    objective = PerformanceMatching(slice_size)
    loss, gradient = quick_jit(lambda data: objective.value_and_gradient(data, network, inner, real, labels))(data)
    assert float(loss) == pytest.approx(float(expected[0]), rel=1e-5)
    assert gradient.schedule is None
    for name in ("inputs", "labels", "step_sizes"):
        wanted = getattr(expected[1], name)
        np.testing.assert_allclose(getattr(gradient, name), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_it_is_a_meta_objective() -> None:
    assert isinstance(PerformanceMatching(), MetaObjective)


def test_a_memory_budget_does_not_change_the_gradient(problem: Any, expected: Any) -> None:
    data, network, inner, real, labels = problem

    def measure(memory_budget: int) -> Any:
        objective = PerformanceMatching(memory_budget=memory_budget)
        return quick_jit(lambda data: objective.value_and_gradient(data, network, inner, real, labels))(data)

    # Three steps keep 1,116 bytes; one at a time, with the weights that each starts from, 888.
    loss, gradient = measure(900)
    assert float(loss) == pytest.approx(float(expected[0]), rel=1e-5)
    for name in ("inputs", "labels", "step_sizes"):
        wanted = getattr(expected[1], name)
        np.testing.assert_allclose(getattr(gradient, name), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    with pytest.raises(ArgumentError, match=r"`memory_budget` must be at least 888 bytes for 3 steps .* but was 800 "):
        measure(800)


@pytest.mark.parametrize("memory_budget", [0, -1])
def test_a_memory_budget_is_above_zero(memory_budget: int) -> None:
    with pytest.raises(ArgumentError, match=f"`memory_budget` must be at least 1 byte, but was {memory_budget}"):
        PerformanceMatching(memory_budget=memory_budget)


def test_a_slice_has_images() -> None:
    with pytest.raises(ArgumentError, match=r"`slice_size` must be at least 1, but was 0\."):
        PerformanceMatching(slice_size=0)
