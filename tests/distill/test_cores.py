"""One iteration that several devices share: the numbers of one device, and the same bits again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from qdistill.distill.cores import NETWORKS, REAL, TRAINING, Part, Spread, n_devices, over_devices, shared, total
from qdistill.distill.inner import InnerLoop
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Dense

from ..quantum.reference import quick_jit

N, BATCH, CLASSES = 6, 14, 3


def on_devices(function: Callable[[], Any], n: int, axis: str = TRAINING) -> Any:
    """What each of n devices gives; vmap has the axis as `shard_map` would, on one."""
    return jax.vmap(lambda _: function(), axis_name=axis, axis_size=n)(jnp.arange(n))


@pytest.mark.parametrize("n_things", [1, 2, 5, 6, 7, 12])
@pytest.mark.parametrize("devices", [1, 2, 3, 4])
def test_parts_are_all_things_once(n_things: int, devices: int) -> None:
    things = jnp.arange(10.0, 10.0 + n_things)

    def own() -> tuple[Array, Array]:
        part = Part(n_things, TRAINING)
        taken = part.of(things)
        assert len(taken) == part.size == -(-n_things // devices)
        return taken, jnp.ones(part.size) if part.counts is None else part.counts

    taken, counts = on_devices(own, devices)
    assert sorted(np.asarray(taken)[np.asarray(counts) == 1]) == things.tolist()
    # What does not count is still one of them: a number that cannot bring in a NaN of its own.
    assert set(np.asarray(taken).ravel()) == set(things.tolist())


def test_without_an_axis_everything_is_ones_own() -> None:
    part, things = Part(5, TRAINING), jnp.arange(5.0)
    assert n_devices(TRAINING) == n_devices((TRAINING, REAL)) == 1
    assert part.is_all
    assert part.counts is None
    assert part.of(things) is things
    assert shared(things, TRAINING) is things
    assert total(things, REAL) is things
    assert over_devices(lambda x: x, things) is things


@pytest.mark.parametrize("n_things", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("devices", [2, 4])
def test_every_device_has_the_results_of_all_things_once(n_things: int, devices: int) -> None:
    things = jnp.arange(10.0, 10.0 + n_things)
    results = on_devices(lambda: over_devices(lambda own: 2 * own, things), devices, NETWORKS)
    assert np.array_equal(results, np.tile(2 * things, (devices, 1)))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [{"networks": 0}, {"training": True}, {"real": -1}, {"real": "2"}])
def test_a_spread_is_over_whole_numbers_of_devices(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"`{next(iter(wrong))}`"):
        Spread(**wrong)


def test_a_mesh_has_a_place_for_each_device() -> None:
    with pytest.raises(ArgumentError, match=r"`devices` must be 6, one for each place of \(1, 2, 3\), but were 1"):
        Spread(training=2, real=3).mesh(jax.devices()[:1])


def test_a_sum_of_parts_has_the_derivatives_of_the_whole() -> None:
    weights = {"a": jnp.arange(4.0), "b": jnp.array(2.0)}

    def own(weights: Any, x: Array) -> Array:
        return total(shared(weights, TRAINING)["a"] * jnp.sum(x) * shared(weights["b"], TRAINING), TRAINING).sum()

    def whole(weights: Any) -> Array:
        return jnp.sum(weights["a"] * weights["b"] * jnp.sum(jnp.arange(6.0)))

    def gradient() -> Any:
        x = Part(6, TRAINING).of(jnp.arange(6.0))
        return jax.value_and_grad(own)(weights, x)

    value, slopes = on_devices(gradient, 3)
    expected = jax.value_and_grad(whole)(weights)
    for got, wanted in zip(jax.tree.leaves((value, slopes)), jax.tree.leaves(expected), strict=True):
        for one in got:
            np.testing.assert_allclose(one, wanted, rtol=1e-6)


def test_results_of_many_things_come_in_order_on_every_device() -> None:
    keys = jnp.arange(6.0)
    found = on_devices(lambda: over_devices(lambda own: jax.lax.map(lambda x: (x**2, -x), own), keys), 3, NETWORKS)
    for device in range(3):
        np.testing.assert_array_equal(found[0][device], keys**2)
        np.testing.assert_array_equal(found[1][device], -keys)


class Network(eqx.Module):
    """Two dense layers."""

    first: Dense
    last: Dense

    def __call__(self, x: Array) -> Array:
        return self.last(jnp.tanh(self.first(x)))


def problem(inner: InnerLoop) -> tuple[TrainingSet, Network, Array, Array]:
    keys = jax.random.split(jax.random.key(0), 5)
    network = Network(Dense(5, 4, "xavier_normal", key=keys[0]), Dense(4, CLASSES, "xavier_normal", key=keys[1]))
    data = TrainingSet(
        jax.random.normal(keys[2], (N, 5)),
        jax.random.normal(keys[3], (N, CLASSES)),
        jnp.full((inner.total_steps, 1), 0.3),
        inner.schedule(N),
    )
    real = jax.random.normal(keys[4], (BATCH, 5))
    return data, network, real, jax.nn.one_hot(jnp.arange(BATCH) % CLASSES, CLASSES)


# 6 examples and 14 real inputs: even, uneven, and more devices than examples.
@pytest.mark.parametrize(
    ("devices", "axis", "inner"),
    [
        (2, TRAINING, InnerLoop(steps=3, step_sizes="shared", optimiser="momentum")),
        (4, TRAINING, InnerLoop(steps=2, epochs=2, step_sizes="shared", own_examples=True, loss="fidelity")),
        (4, TRAINING, InnerLoop(steps=2, step_sizes="shared", optimiser="adam", loss="square")),
        (7, TRAINING, InnerLoop(steps=1, step_sizes="shared", loss="hinge")),
        (3, REAL, InnerLoop(steps=2, step_sizes="shared")),
    ],
)
def test_the_meta_gradient_is_that_of_one_device(devices: int, axis: str, inner: InnerLoop) -> None:
    data, network, real, labels = problem(inner)
    objective = PerformanceMatching(slice_size=4)

    def gradient() -> Any:
        loss, slope = objective.value_and_gradient(data, network, inner, real, labels)
        return loss, slope.inputs, slope.labels, slope.step_sizes

    expected = quick_jit(gradient)()
    found = quick_jit(lambda: on_devices(gradient, devices, axis))()
    for got, wanted in zip(found, expected, strict=True):
        assert np.abs(wanted).max() > 0
        for one in got:
            np.testing.assert_allclose(one, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
