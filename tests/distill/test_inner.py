"""The inner loop against plain loops over automatic differentiation, NumPy and finite differences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.memory import segment_lengths
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Dense, named_weights
from qdistill.quantum import AmplitudeEmbedding, QuantumLayer, StronglyEntangling, each_wire, make_observable

from ..quantum.reference import quick_jit
from .samples import CLASSES, SHAPE, Smooth, random_bundle

OPTIMISERS = ("gradient_descent", "momentum", "adam")


def synthetic(inner: InnerLoop, model: Any, n_inputs: int, shape: tuple[int, ...] = SHAPE) -> TrainingSet:
    """Inputs and labels from a normal distribution, and a step size of its own for every step and group."""
    keys = jax.random.split(jax.random.key(7), 3)
    groups = inner.n_step_size_groups(model)
    return TrainingSet(
        jax.random.normal(keys[0], (n_inputs, *shape)),
        jax.random.normal(keys[1], (n_inputs, CLASSES)),
        0.1 + 0.3 * jax.random.uniform(keys[2], (inner.total_steps, groups)),
        inner.schedule(n_inputs),
    )


def plain_loss(model: Any, inputs: Array, labels: Array) -> Array:
    """Cross-entropy, written out."""
    logits = jax.vmap(model)(inputs)
    top = jnp.max(logits, axis=1, keepdims=True)
    log_sum = top + jnp.log(jnp.sum(jnp.exp(logits - top), axis=1, keepdims=True))
    return jnp.mean(jnp.sum(labels * (log_sum - logits), axis=1))


def plain_update(optimiser: str, slopes: list[Array], memory: list[Any], step: int) -> tuple[list[Array], list[Any]]:
    """One optimiser's formula for the update, before the step size."""
    if optimiser == "gradient_descent":
        return slopes, memory
    if optimiser == "momentum":
        memory = [slope + 0.9 * (old if step else 0.0) for slope, old in zip(slopes, memory, strict=True)]
        return memory, memory
    updates, new = [], []
    for slope, old in zip(slopes, memory, strict=True):
        first, second = old if step else (0.0, 0.0)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        updates.append(unbiased[0] / (jnp.sqrt(unbiased[1] + 1e-12) + 1e-8))
        new.append((first, second))
    return updates, new


def plain_training(model: Any, data: TrainingSet, inner: InnerLoop, batches: list[list[int]]) -> Any:
    """The same training as a Python loop of `jax.grad`, with nothing of the package's."""
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    leaves, treedef = jax.tree.flatten(weights)
    memory: list[Any] = [None] * len(leaves)
    for step, batch in enumerate(batches):
        model = eqx.combine(jax.tree.unflatten(treedef, leaves), static)
        picked = jnp.array(batch)
        gradient = eqx.filter_grad(plain_loss)(model, data.inputs[picked], data.labels[picked])
        slopes = jax.tree.leaves(eqx.filter(gradient, eqx.is_inexact_array))
        updates, memory = plain_update(inner.optimiser, slopes, memory, step)
        sizes = data.step_sizes[step]
        if inner.step_sizes == "shared":
            sizes = [sizes[0]] * len(leaves)
        leaves = [w - size * update for w, size, update in zip(leaves, sizes, updates, strict=True)]
    return eqx.combine(jax.tree.unflatten(treedef, leaves), static)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What every training in the test asks the memory policy, and under "lengths" the answer."""
    calls: list[dict[str, Any]] = []

    def spy(steps: int, **arguments: Any) -> tuple[int, ...]:
        lengths = segment_lengths(steps, **arguments)
        calls.append(arguments | {"lengths": lengths})
        return lengths

    monkeypatch.setattr("qdistill.distill.inner.segment_lengths", spy)
    return calls


ALL_IMAGES = [[0, 1, 2, 3, 4, 5]]
LOOPS: dict[str, tuple[InnerLoop, list[list[int]]]] = {
    **{kind: (InnerLoop(steps=3, optimiser=kind, step_sizes="shared"), ALL_IMAGES * 3) for kind in OPTIMISERS},
    **{
        f"{kind}, tensor": (InnerLoop(steps=2, optimiser=kind, step_sizes="tensor"), ALL_IMAGES * 2)
        for kind in OPTIMISERS
    },
    "epochs": (InnerLoop(steps=1, epochs=3, step_sizes="shared"), ALL_IMAGES * 3),
    "own inputs": (
        InnerLoop(steps=2, epochs=2, own_examples=True, optimiser="momentum", step_sizes="shared"),
        [[0, 1, 2], [3, 4, 5], [0, 1, 2], [3, 4, 5]],
    ),
    "own inputs, one step": (InnerLoop(steps=1, own_examples=True, step_sizes="tensor"), ALL_IMAGES),
}


def meta_loss(
    training: Callable[[Any, TrainingSet], Any], model: Any, inputs: Array, labels: Array
) -> Callable[[Any], Array]:
    """The loss of the trained network as a function of the weights and the synthetic data that it started from."""

    def loss(arguments: tuple[Any, TrainingSet]) -> Array:
        return plain_loss(training(eqx.combine(arguments[0], model), arguments[1]), inputs, labels)

    return loss


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(("inner", "batches"), LOOPS.values(), ids=LOOPS.keys())
def test_training_and_its_gradient_are_those_of_a_plain_loop(inner: InnerLoop, batches: list[list[int]]) -> None:
    model = Smooth.draw()
    data = synthetic(inner, model, 6)
    # A pixel that is zero in every input gives weights whose gradient is exactly zero.
    data = eqx.tree_at(lambda d: d.inputs, data, data.inputs.at[:, 0, 0].set(0.0))
    real = jax.random.normal(jax.random.key(1), (8, *SHAPE))
    one_hot = jax.nn.one_hot(jnp.arange(8) % CLASSES, CLASSES)
    arguments = model, eqx.filter(data, eqx.is_inexact_array)

    def ours(model: Any, learned: TrainingSet) -> Any:
        return train(model, eqx.combine(learned, data), inner)

    def plain(model: Any, learned: TrainingSet) -> Any:
        return plain_training(model, learned, inner, batches)

    @quick_jit
    def everything(arguments: Any) -> Any:
        # In both directions of the derivative with respect to weights, inputs, labels and step sizes.
        return [
            (training(*arguments), *jax.value_and_grad(meta_loss(training, model, real, one_hot))(arguments))
            for training in (ours, plain)
        ]

    results = everything(arguments)
    actual, expected = (jax.tree.leaves(result) for result in results)
    assert len(actual) == len(expected) == 3 + 1 + 3 + 3
    for ours_leaf, plain_leaf in zip(actual, expected, strict=True):
        scale = np.abs(plain_leaf).max()
        assert scale > 1e-6
        np.testing.assert_allclose(ours_leaf, plain_leaf, rtol=0, atol=1e-9 * scale)


class Hybrid(eqx.Module):
    """A quantum layer between two dense ones."""

    first: Dense
    layer: QuantumLayer
    last: Dense

    @classmethod
    def draw(cls) -> Hybrid:
        keys = jax.random.split(jax.random.key(2), 4)
        ansatz = StronglyEntangling(2, 1)
        angles = jax.random.uniform(keys[1], ansatz.weight_shape, maxval=6.0)
        observable = make_observable("hermitian", each_wire(2), key=keys[2])
        return cls(
            Dense(math.prod(SHAPE), 4, "xavier_normal", key=keys[0]),
            QuantumLayer(AmplitudeEmbedding(2), ansatz.circuit(), angles, observable),
            Dense(2, CLASSES, "xavier_normal", key=keys[3]),
        )

    def __call__(self, x: Array) -> Array:
        return self.last(self.layer(jnp.tanh(self.first(x.reshape(-1)))))


def test_the_meta_gradient_through_a_quantum_layer_is_exact_in_single_precision() -> None:
    inner, model = InnerLoop(steps=1, step_sizes="tensor"), Hybrid.draw()
    data = synthetic(inner, model, 6)
    real = jax.random.normal(jax.random.key(1), (8, *SHAPE))
    one_hot = jax.nn.one_hot(jnp.arange(8) % CLASSES, CLASSES)

    def gradient(training: Callable[[Any, TrainingSet], Any]) -> Any:
        return quick_jit(jax.grad(meta_loss(training, model, real, one_hot)))(
            (eqx.filter(model, eqx.is_inexact_array), eqx.filter(data, eqx.is_inexact_array))
        )

    actual = gradient(lambda model, learned: train(model, eqx.combine(learned, data), inner))
    expected = gradient(lambda model, learned: plain_training(model, learned, inner, ALL_IMAGES))
    for ours, plain in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-4 * np.abs(plain).max())


class Masked(eqx.Module):
    """A network that also holds arrays that are no weights."""

    inside: Smooth
    places: Array
    mask: np.ndarray

    def __call__(self, x: Array) -> Array:
        pixels = x.reshape(-1)[self.places] * self.mask
        return self.inside(pixels.reshape(x.shape))


def test_a_network_may_hold_arrays_that_are_no_weights() -> None:
    inner, plain = InnerLoop(steps=2), Smooth.draw()
    data = synthetic(inner, plain, 3)
    size = math.prod(SHAPE)
    masked = Masked(plain, jnp.arange(size), np.ones(size, bool))

    @eqx.filter_jit
    def slope(model: Any, inputs: Array) -> Array:
        def loss(inputs: Array) -> Array:
            trained = train(model, dataclasses.replace(data, inputs=inputs), inner)
            return plain_loss(trained, data.inputs, data.labels)

        result: Array = jax.grad(loss)(inputs)
        return result

    np.testing.assert_allclose(slope(masked, data.inputs), slope(plain, data.inputs), rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    ("inner", "memory_budget", "levels"),
    [
        (InnerLoop(steps=5, optimiser="adam", step_sizes="tensor"), None, 1),
        (InnerLoop(steps=7, epochs=10, optimiser="momentum", step_sizes="shared"), 30_000, 2),
        (InnerLoop(steps=64, own_examples=True, step_sizes="shared"), 12_000, 3),
    ],
    ids=["short", "segments", "segments of segments"],
)
def test_the_meta_gradient_is_that_of_finite_differences(
    inner: InnerLoop, memory_budget: int | None, levels: int, planned: list[dict[str, Any]]
) -> None:
    model = Smooth.draw()
    data = synthetic(inner, model, 64)
    data = eqx.tree_at(lambda d: d.step_sizes, data, 0.1 * data.step_sizes)
    learned = eqx.filter(data, eqx.is_inexact_array)
    real = jax.random.normal(jax.random.key(1), (8, *SHAPE))
    one_hot = jax.nn.one_hot(jnp.arange(8) % CLASSES, CLASSES)

    def loss(learned: TrainingSet) -> Array:
        trained = train(model, eqx.combine(learned, data), inner, memory_budget=memory_budget)
        return plain_loss(trained, real, one_hot)

    slope = quick_jit(jax.grad(loss))(learned)
    assert len(planned[-1]["lengths"]) == levels
    value = quick_jit(loss)
    leaves, treedef = jax.tree.flatten(learned)
    for part in range(len(leaves)):
        # Along a random direction of the inputs, the labels and the step sizes by turns.
        direction = np.random.default_rng(part).normal(size=leaves[part].shape)

        def moved(distance: float, part: int = part, direction: np.ndarray = direction) -> float:
            changed = [leaf + distance * direction if i == part else leaf for i, leaf in enumerate(leaves)]
            return float(value(jax.tree.unflatten(treedef, changed)))

        step = 1e-4
        difference = 8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))
        expected = difference / (12 * step)
        assert abs(expected) > 1e-4
        assert float(np.vdot(jax.tree.leaves(slope)[part], direction)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("double_precision")
def test_long_trainings_are_those_of_a_plain_loop(planned: list[dict[str, Any]]) -> None:
    inner, model = InnerLoop(steps=71, step_sizes="shared"), Smooth.draw()
    data = synthetic(inner, model, 6)
    data = eqx.tree_at(lambda d: d.step_sizes, data, 0.1 * data.step_sizes)
    one = InnerLoop(steps=1, step_sizes="shared")

    @quick_jit
    def plain_step(model: Any, size: Array) -> Any:
        return plain_training(
            model, TrainingSet(data.inputs, data.labels, size[None], one.schedule(6)), one, ALL_IMAGES
        )

    expected = model
    for size in data.step_sizes:
        expected = plain_step(expected, size)
    for memory_budget in (None, 50_000):
        actual = quick_jit(lambda model, budget=memory_budget: train(model, data, inner, memory_budget=budget))(model)
        for name, weight in named_weights(expected).items():
            np.testing.assert_allclose(named_weights(actual)[name], weight, atol=1e-9)
    assert [call["lengths"] for call in planned] == [(71,), (12, 6)], (
        "the second takes one step more, which must do nothing"
    )


def residuals(training: Callable[[TrainingSet], Any], data: TrainingSet) -> int:
    """Bytes that the forward pass of the meta-gradient hands to the backward pass."""
    kept = jax.eval_shape(lambda learned: jax.vjp(training, learned)[1], eqx.filter(data, eqx.is_inexact_array))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))


# In multiples of the weights: weights and update; for Adam weights, two moments and the gradient.
@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (InnerLoop(step_sizes="shared"), 2),
        (InnerLoop(step_sizes="tensor", own_examples=True), 2),
        (InnerLoop(step_sizes="tensor", optimiser="momentum"), 2),
        (InnerLoop(step_sizes="shared", optimiser="adam", own_examples=True), 4),
    ],
)
def test_a_step_keeps_its_weights_and_little_else(
    inner: InnerLoop, expected: int, planned: list[dict[str, Any]]
) -> None:
    model, per_step = Smooth.draw(), 20
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(model))
    total = {}
    for steps in (10, 60):
        loop = dataclasses.replace(inner, steps=steps)
        data = synthetic(loop, model, per_step * steps if inner.own_examples else per_step)

        def trained_weights(learned: TrainingSet, data: TrainingSet = data, loop: InnerLoop = loop) -> Any:
            return eqx.filter(train(model, eqx.combine(learned, data), loop), eqx.is_inexact_array)

        total[steps] = residuals(trained_weights, data)
        # The inputs themselves are there once, whoever keeps them.
        total[steps] -= data.inputs.nbytes + data.labels.nbytes
    kept = (total[60] - total[10]) / 50
    row = 4 * (inner.n_step_size_groups(model) + per_step)
    assert expected * weights <= kept <= expected * weights + row + 8
    assert kept <= planned[-1]["step_bytes"] <= kept + row, "the budget is spent on what is kept"
    # A segment starts from the weights and the optimiser's state; a counter is an int32.
    states = {"gradient_descent": 0, "momentum": weights, "adam": 2 * weights + 4}
    assert planned[-1]["carry_bytes"] == weights + states[inner.optimiser]


def test_the_usual_way_keeps_activations() -> None:
    """Or the test above shows nothing."""
    model, n_inputs = Smooth.draw(), 100
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    total = {}
    for steps in (10, 60):
        data = synthetic(InnerLoop(steps=steps, step_sizes="shared"), model, n_inputs)

        def by_scan(learned: TrainingSet) -> Any:
            def step(weights: Any, size: Array) -> tuple[Any, None]:
                slopes = jax.grad(lambda w: plain_loss(eqx.combine(w, static), learned.inputs, learned.labels))(weights)
                return jax.tree.map(lambda w, slope: w - size[0] * slope, weights, slopes), None

            return jax.lax.scan(step, weights, learned.step_sizes)[0]

        total[steps] = residuals(by_scan, data)
    hidden = n_inputs * len(model.bias) * 4
    assert (total[60] - total[10]) / 50 > 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(model)) + hidden


# 47 is a prime, so the segments hold a step more or two; budgets in multiples of what a step keeps.
@pytest.mark.parametrize(
    ("optimiser", "budgets"),
    [
        ("gradient_descent", {2: 10.5, 3: 8.0, 4: 6.6}),
        ("momentum", {2: 15.0, 3: 11.5}),
        ("adam", {2: 13.0, 3: 10.0}),
    ],
)
def test_a_budget_does_not_change_the_meta_gradient(
    optimiser: Any, budgets: dict[int, float], planned: list[dict[str, Any]]
) -> None:
    inner, model = InnerLoop(steps=47, optimiser=optimiser, step_sizes="tensor"), Smooth.draw()
    data = synthetic(inner, model, 6)
    data = eqx.tree_at(lambda d: d.step_sizes, data, 0.1 * data.step_sizes)
    learned = eqx.filter(data, eqx.is_inexact_array)
    real = jax.random.normal(jax.random.key(1), (8, *SHAPE))
    one_hot = jax.nn.one_hot(jnp.arange(8) % CLASSES, CLASSES)

    def gradient(memory_budget: int | None) -> Any:
        def training(model: Any, learned: TrainingSet) -> Any:
            return train(model, eqx.combine(learned, data), inner, memory_budget=memory_budget)

        arguments = eqx.filter(model, eqx.is_inexact_array), learned
        return jax.tree.leaves(quick_jit(jax.grad(meta_loss(training, model, real, one_hot)))(arguments))

    expected = gradient(None)
    assert planned[-1]["lengths"] == (47,)
    for levels, budget in budgets.items():
        actual = gradient(int(budget * planned[0]["step_bytes"]))
        assert len(planned[-1]["lengths"]) == levels
        for ours, wanted in zip(actual, expected, strict=True):
            np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_ten_times_the_steps_stay_within_the_memory_of_one(planned: list[dict[str, Any]]) -> None:
    model = Smooth.draw(hidden=50)
    # What thirty steps keep, weights and update, and a little for their step sizes.
    budget = 30 * 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(model)) + 30 * 40

    def peak(steps: int, memory_budget: int | None) -> int:
        inner = InnerLoop(steps=steps, step_sizes="shared")
        data = synthetic(inner, model, 6)
        real = jax.random.normal(jax.random.key(1), (8, *SHAPE))
        one_hot = jax.nn.one_hot(jnp.arange(8) % CLASSES, CLASSES)
        learned = eqx.filter(data, eqx.is_inexact_array)

        def loss(learned: TrainingSet) -> Array:
            trained = train(model, eqx.combine(learned, data), inner, memory_budget=memory_budget)
            return plain_loss(trained, real, one_hot)

        compiled = quick_jit(jax.grad(loss)).lower(learned).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many, free = peak(30, budget), peak(300, budget), peak(300, None)
    assert [len(call["lengths"]) for call in planned] == [1, 2, 1], "thirty steps just fit"
    assert budget < few
    assert many <= 2 * few
    assert free > 5 * few, "or the budget was not needed"


@pytest.mark.parametrize("memory_budget", [-1, 0, 1, 1000])
def test_a_budget_that_nothing_fits_is_refused(memory_budget: int) -> None:
    inner, model = InnerLoop(steps=30, step_sizes="shared"), Smooth.draw()
    with pytest.raises(ArgumentError, match=r"`memory_budget` must be at least [\d,]+ bytes for 30 steps"):
        train(model, synthetic(inner, model, 6), inner, memory_budget=memory_budget)


def test_the_schedule_shares_out_the_images_in_order() -> None:
    assert InnerLoop(steps=2, epochs=2).schedule(3).tolist() == [[0, 1, 2]] * 4
    assert InnerLoop(steps=2, epochs=2, own_examples=True).schedule(6).tolist() == [[0, 1, 2], [3, 4, 5]] * 2
    with pytest.raises(ArgumentError, match=r"`steps` must divide the 5 synthetic examples.* but was 2\."):
        InnerLoop(steps=2, own_examples=True).schedule(5)


def test_step_sizes_come_in_groups() -> None:
    model = Smooth.draw()
    assert InnerLoop(steps=3, epochs=4).total_steps == 12
    assert InnerLoop(step_sizes="shared").n_step_size_groups(model) == 1
    assert InnerLoop(step_sizes="tensor").n_step_size_groups(model) == 3


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, r"`steps` must be at least 1, but was 0\."),
        ({"epochs": -1}, r"`epochs` must be at least 1, but was -1\."),
        ({"optimiser": "adamm"}, "Did you mean 'adam'"),
        ({"step_sizes": "layer"}, "`step_sizes` must be one of shared, tensor, but was 'layer'"),
    ],
)
def test_loops_reject_what_has_no_meaning(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        InnerLoop(**fields)


def test_data_for_another_loop_is_refused() -> None:
    inner, model = InnerLoop(steps=3, step_sizes="shared"), Smooth.draw()
    data = synthetic(inner, model, 6)
    for changes in ({"steps": 2}, {"epochs": 2}, {"step_sizes": "tensor"}):
        other = dataclasses.replace(inner, **changes)
        with pytest.raises(ArgumentError, match=r"`step_sizes` must have shape \(steps, groups\)"):
            train(model, data, other)


@pytest.mark.usefixtures("unchecked")
def test_a_schedule_of_another_length_is_refused() -> None:
    inner, model = InnerLoop(steps=3, step_sizes="shared"), Smooth.draw()
    data = synthetic(inner, model, 6)
    cut = TrainingSet(data.inputs, data.labels, data.step_sizes, inner.schedule(6)[:2])
    with pytest.raises(ArgumentError, match=r"`schedule` must have a row for each of the 3 steps, but has 2\."):
        train(model, cut, inner)


def test_a_schedule_that_leaves_examples_out_is_refused() -> None:
    inner, model = InnerLoop(steps=1, step_sizes="shared"), Smooth.draw()
    data = synthetic(inner, model, 6)
    few = TrainingSet(data.inputs, data.labels, data.step_sizes, np.array([[0, 1]]))
    with pytest.raises(ArgumentError, match="`schedule` must list all inputs in each step"):
        train(model, few, inner)
    bundle = random_bundle(inner=inner)
    few = dataclasses.replace(bundle.data, schedule=np.array([[0, 1]]))
    with pytest.raises(ArgumentError, match="`schedule` must list all inputs in each step"):
        dataclasses.replace(bundle, data=few).train()
