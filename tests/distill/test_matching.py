"""The other objectives, against plain loops over classes, weights and steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.compression import Compression
from qdistill.distill.initialisation import Initialisation
from qdistill.distill.inner import InnerLoop
from qdistill.distill.matching import DistributionMatching, GradientMatching, LastLayer, Objective, named_objective
from qdistill.distill.objective import MetaObjective
from qdistill.distill.outer import OuterLoop
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.experiments.recipe import Device, Recipe
from qdistill.experiments.run import run
from qdistill.models import (
    DataReuploading,
    Dense,
    DressedCircuit,
    KernelArchitecture,
    LeNetArchitecture,
    QuantumLeNetArchitecture,
    last_features,
)

from ..quantum.reference import quick_jit

CLASSES, STEPS = 3, 2
NEWTON = InnerLoop(1, optimiser="newton", step_sizes="shared", loss="square")
OBJECTIVES = [GradientMatching(), DistributionMatching(), LastLayer()]


class Network(eqx.Module):
    """Two dense layers."""

    first: Dense
    last: Dense

    def __call__(self, x: Array) -> Array:
        return self.last(self.last_features(x))

    def last_features(self, x: Array) -> Array:
        return jnp.tanh(self.first(x))


@pytest.fixture(scope="module")
def problem() -> tuple[TrainingSet, Network, InnerLoop, Array, Array]:
    inner = InnerLoop(steps=STEPS, step_sizes="shared")
    keys = jax.random.split(jax.random.key(0), 5)
    network = Network(Dense(4, 5, "xavier_normal", key=keys[0]), Dense(5, CLASSES, "xavier_normal", key=keys[1]))
    data = TrainingSet(
        jax.random.normal(keys[2], (6, 4)), jnp.tile(jnp.eye(CLASSES), (2, 1)), jnp.array([[0.5], [0.3]]),
        inner.schedule(6),
    )  # fmt: skip
    inputs = jax.random.normal(keys[3], (11, 4))
    labels = jax.nn.one_hot(jax.random.randint(keys[4], (11,), 0, CLASSES), CLASSES)
    return data, network, inner, inputs, labels


def measured(objective: MetaObjective, data: TrainingSet, network: Any, inner: InnerLoop, *real: Array) -> Any:
    return quick_jit(lambda data: objective.value_and_gradient(data, network, inner, *real))(data)


def cross_entropy(network: Any, inputs: Array, labels: Array) -> Array:
    logits = jax.vmap(network)(inputs)
    return -jnp.sum(labels * (logits - jax.nn.logsumexp(logits, axis=1, keepdims=True))) / len(inputs)


def networks(data: TrainingSet, network: Network) -> list[Network]:
    """Those before each step, by plain gradient descent."""
    found = [network]
    for size in data.step_sizes[:-1]:
        slopes = jax.grad(cross_entropy)(found[-1], data.inputs, data.labels)
        found.append(jax.tree.map(lambda w, slope, size=size: w - size * slope, found[-1], slopes))
    return found


def of_class(inputs: Any, labels: Any, number: int) -> Any:
    return inputs[np.asarray(labels)[:, number] == 1]


def gradient_distance(network: Network, own: Any, own_labels: Any, real: Any, labels: Any) -> Array:
    total = jnp.zeros(())
    for number in range(CLASSES):
        slopes = [
            jax.grad(cross_entropy)(network, part, jnp.tile(jnp.eye(CLASSES)[number], (len(part), 1)))
            for part in (of_class(own, own_labels, number), of_class(real, labels, number))
        ]
        for a, b in zip(*map(jax.tree.leaves, slopes), strict=True):
            for row, other in zip(a, b, strict=True) if a.ndim > 1 else [(a, b)]:
                total += 1 - row @ other / (jnp.linalg.norm(row) * jnp.linalg.norm(other))
    return total


def test_gradients_are_compared_row_by_row(problem: Any) -> None:
    data, network, inner, real, labels = problem
    loss, slope = measured(GradientMatching(), data, network, inner, real, labels)

    def plain(inputs: Array) -> Array:
        each = [gradient_distance(at, inputs, data.labels, real, labels) for at in networks(data, network)]
        return sum(each) / STEPS

    value, expected = quick_jit(jax.value_and_grad(plain))(data.inputs)
    assert float(loss) == pytest.approx(float(value), rel=1e-4)
    assert np.asarray(slope.inputs) == pytest.approx(np.asarray(expected), rel=1e-3, abs=1e-5)


def test_features_are_compared_by_their_means(problem: Any) -> None:
    data, network, inner, real, labels = problem
    loss, slope = measured(DistributionMatching(), data, network, inner, real, labels)

    def plain(inputs: Any) -> Any:
        total = 0.0
        for number in range(CLASSES):
            means = [
                jnp.mean(jnp.tanh(part @ network.first.weight.T + network.first.bias), axis=0)
                for part in (of_class(inputs, data.labels, number), of_class(real, labels, number))
            ]
            total += jnp.sum((means[0] - means[1]) ** 2)
        return total

    assert float(loss) == pytest.approx(float(plain(data.inputs)), rel=1e-5)
    assert np.asarray(slope.inputs) == pytest.approx(
        np.asarray(quick_jit(jax.grad(plain))(data.inputs)), rel=1e-4, abs=1e-6
    )


# Fewer examples than features, and more.
@pytest.mark.parametrize("n", [3, 40])
def test_the_last_layer_is_a_ridge_regression(problem: Any, n: int) -> None:
    _, network, _, real, labels = problem
    inner = InnerLoop(steps=1, step_sizes="shared")
    inputs = jax.random.normal(jax.random.key(5), (n, 4))
    own_labels = jax.random.normal(jax.random.key(6), (n, CLASSES))
    data = TrainingSet(inputs, own_labels, jnp.ones((1, 1)), inner.schedule(n))
    loss, _ = measured(LastLayer(), data, network, inner, real, labels)
    weight, bias = np.asarray(network.first.weight, float), np.asarray(network.first.bias, float)
    own, other = (
        np.column_stack([np.tanh(np.asarray(x, float) @ weight.T + bias), np.ones(len(x))]) for x in (inputs, real)
    )
    kernel = own @ own.T
    ridge = 1e-6 * np.trace(kernel) / n
    answers = other @ own.T @ np.linalg.solve(kernel + ridge * np.eye(n), np.asarray(own_labels, float))
    expected = 0.5 * np.mean(np.sum((answers - np.asarray(labels)) ** 2, axis=1))
    assert float(loss) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_gradient_is_that_of_the_value_for_given_networks(problem: Any, objective: MetaObjective) -> None:
    """With one step the network is the initial one, so a difference of values is the whole derivative."""
    data, network, _, real, labels = problem
    inner = InnerLoop(steps=1, step_sizes="shared")
    data = TrainingSet(data.inputs, data.labels + 0.1, data.step_sizes[:1], inner.schedule(6))
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (network, real, labels))
        double = TrainingSet(
            *(np.asarray(a, float) for a in (data.inputs, data.labels, data.step_sizes)), data.schedule
        )
        slope = measured(objective, double, wide[0], inner, *wide[1:])[1]
        direction = np.asarray(jax.random.normal(jax.random.key(9), data.inputs.shape), float)

        def at(step: float) -> float:
            moved = TrainingSet(double.inputs + step * direction, double.labels, double.step_sizes, data.schedule)
            return float(measured(objective, moved, wide[0], inner, *wide[1:])[0])

        assert float(jnp.sum(slope.inputs * direction)) == pytest.approx((at(1e-5) - at(-1e-5)) / 2e-5, rel=1e-5)
        assert not np.any(slope.step_sizes)


def test_each_step_matches_its_own_examples(problem: Any) -> None:
    """The second step's examples get no gradient of the first network, and both count for one half."""
    data, network, _, real, labels = problem
    inner = InnerLoop(steps=2, own_examples=True, step_sizes="shared")
    own = TrainingSet(data.inputs, data.labels, data.step_sizes, inner.schedule(6))
    _, slope = measured(LastLayer(), own, network, inner, real, labels)
    one = InnerLoop(steps=1, step_sizes="shared")
    first = TrainingSet(data.inputs[:3], data.labels[:3], data.step_sizes[:1], one.schedule(3))
    _, expected = measured(LastLayer(), first, network, one, real, labels)
    assert np.asarray(slope.inputs[:3]) == pytest.approx(np.asarray(expected.inputs) / 2, rel=1e-4, abs=1e-6)
    assert np.any(slope.inputs[3:])


@pytest.mark.parametrize(
    ("architecture", "shape", "last"),
    [
        (LeNetArchitecture(width=3), (8, 8, 1), lambda network: network.f3),
        (QuantumLeNetArchitecture(n_qubits=2, n_layers=1, skip="none"), (8, 8, 1), lambda network: network.f3),
        (DressedCircuit(n_qubits=2, n_layers=1), (3,), lambda network: network.after),
    ],
)
def test_logits_are_the_last_map_of_the_last_features(architecture: Any, shape: tuple[int, ...], last: Any) -> None:
    network = architecture.build(shape, 2, key=jax.random.key(0))
    inputs = jax.random.normal(jax.random.key(1), (2, *shape))
    found = jax.vmap(last(network))(last_features(network, inputs))
    assert np.asarray(found) == pytest.approx(np.asarray(jax.vmap(network)(inputs)), rel=1e-5, abs=1e-6)


RECIPE = Recipe(
    "moons",
    DataReuploading(n_qubits=2, n_layers=1, readout="expectation"),
    Compression(labels="fixed", start="real"),
    InnerLoop(steps=2),
    OuterLoop(iterations=4, batch=8, validate_every=2),
    n_validation=50,
)


@pytest.mark.parametrize("name", ["gradients", "distributions", "last_layer"])
@pytest.mark.parametrize("weights", ["known", "unknown"])
def test_a_recipe_names_its_objective(name: Objective, weights: Any, tmp_path: Path) -> None:
    """Its bundle says it, inputs move, and step sizes and labels stay."""
    some = Initialisation("unknown", networks=1, validation_draws=1, test_draws=2)
    recipe = dataclasses.replace(RECIPE, objective=name)
    if weights == "unknown":
        recipe = dataclasses.replace(recipe, initialisation=some)
    bundle = run(recipe, tmp_path / "run")
    assert Recipe.from_json(bundle.recipe) == recipe
    data = DistilledDataset.load(tmp_path / "run/bundle.safetensors").data
    assert np.asarray(data.step_sizes) == pytest.approx(np.full_like(data.step_sizes, 0.02), rel=1e-4)
    assert np.array_equal(data.labels, np.eye(2))
    splits = recipe.splits()
    real = np.asarray(splits.transform(splits.train.inputs))
    assert np.abs(np.asarray(data.inputs)[:, None] - real).sum(axis=-1).min() > 1e-4
    assert isinstance(named_objective(name), MetaObjective)


def test_a_recipe_that_matches_performance_says_nothing_of_it() -> None:
    assert "objective" not in RECIPE.to_json()
    assert Recipe.from_json(RECIPE.to_json()).objective == "performance"


def test_objectives_that_say_nothing_are_refused() -> None:
    for changes, message in (
        ({"compression": Compression()}, "`compression.labels` must be 'fixed' for the objective 'gradients'"),
        (
            {"compression": Compression(inputs="fixed", labels="fixed", start="real")},
            "where inputs and labels are fixed",
        ),
        ({"device": Device(shots=100)}, "where the training runs on a `device` or from `shots`"),
        (
            {"model": KernelArchitecture(), "inner": NEWTON},
            "with a closed form",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            dataclasses.replace(RECIPE, objective="gradients", **changes)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_shots_are_refused(problem: Any, objective: MetaObjective) -> None:
    data, network, inner, real, labels = problem
    with pytest.raises(ArgumentError, match="exact expectation values for every objective but"):
        objective.value_and_gradient(data, network, inner, real, labels, jax.random.key(0))
