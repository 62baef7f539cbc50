"""The networks against a NumPy reference in double precision, and what must hold of every ablation."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.errors import ArgumentError
from qdistill.models import (
    LeNetArchitecture,
    PooledDense,
    QuantumLeNetArchitecture,
    named_weights,
    predict,
)
from qdistill.quantum import Circuit, Operation, QuantumLayer, feature, weight

from ..quantum.reference import quick_jit
from . import reference

Small = partial(QuantumLeNetArchitecture, n_qubits=3, n_layers=2)

COMBINATIONS = [
    (skip, branch, embedding)
    for skip, branch, embedding in itertools.product(
        ("pad", "projection", "none"), ("quantum", "frozen", "removed", "dense"), ("amplitude", "angle")
    )
    if (branch, skip) != ("removed", "none") and (branch == "quantum" or embedding == "amplitude")
]

ABLATIONS = {
    "paper": QuantumLeNetArchitecture(),
    "Pauli-Z": Small(observable="pauli_z", skip="none"),
    "fixed Hermitian": Small(observable="fixed_hermitian", skip="projection", ansatz="basic_entangling"),
    "angles": Small(embedding="angle", skip="none"),
    "frozen": Small(embedding="angle", branch="frozen"),
    "removed": Small(branch="removed", skip="projection"),
    "dense": Small(branch="dense", skip="none"),
    "quanvolution": Small(quanvolution_layers=2),
    "Hermitians on pairs": Small(observable_wires=2),
    "angles from -pi/2 to pi/2": Small(embedding="angle", f2_activation="tanh"),
    "one qubit": Small(n_qubits=1, initialiser="kaiming_uniform"),
    "classical": LeNetArchitecture(),
}


def biased(model: Any) -> Any:
    """The network with biases that are not zero, so that a lost one would show."""
    is_bias = [name.endswith("bias") for name in named_weights(model)]
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    leaves, treedef = jax.tree.flatten(weights)
    moved = [a + 0.1 * jnp.cos(jnp.arange(a.size)) if bias else a for a, bias in zip(leaves, is_bias, strict=True)]
    return eqx.combine(jax.tree.unflatten(treedef, moved), static)


def real(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def in_numpy(model: Any) -> reference.Weights:
    return {name: np.asarray(a, np.float64) for name, a in named_weights(model).items()}


@pytest.mark.parametrize(("skip", "branch", "embedding"), COMBINATIONS)
def test_logits_are_the_references(skip: Any, branch: Any, embedding: Any) -> None:
    observables = {"pad": "hermitian", "projection": "fixed_hermitian", "none": "pauli_z"}
    ansatz = "basic_entangling" if branch == "frozen" else "strongly_entangling"
    architecture = Small(observable=observables[skip], skip=skip, branch=branch, embedding=embedding, ansatz=ansatz)
    model = biased(architecture.build((28, 28, 1), 10, key=jax.random.key(5)))
    images = real((2, 28, 28, 1))
    options = {"skip": skip, "branch": branch, "embedding": embedding, "ansatz": ansatz}
    expected = np.array([reference.logits(in_numpy(model), image.astype(float), **options) for image in images])
    actual = quick_jit(predict)(model, jnp.asarray(images))
    np.testing.assert_allclose(actual, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [2, 3])
def test_logits_with_hermitians_on_several_wires_are_the_references(size: int) -> None:
    model = biased(Small(observable_wires=size).build((28, 28, 1), 10, key=jax.random.key(6)))
    assert model.branch.observable.coefficients.shape == (3, 4**size)
    image = real((28, 28, 1))
    expected = reference.logits(in_numpy(model), image.astype(float), skip="pad", branch="quantum")
    np.testing.assert_allclose(model(jnp.asarray(image)), expected, atol=2e-5 * np.abs(expected).max())


def test_logits_of_the_papers_network_are_the_references() -> None:
    model = biased(QuantumLeNetArchitecture().build((32, 32, 3), 10, key=jax.random.key(1)))
    image = real((32, 32, 3))
    expected = reference.logits(in_numpy(model), image.astype(float), skip="pad", branch="quantum")
    np.testing.assert_allclose(
        quick_jit(lambda x: model(x))(jnp.asarray(image)), expected, atol=2e-5 * np.abs(expected).max()
    )


def test_features_that_are_angles_are_the_references() -> None:
    model = biased(
        Small(n_qubits=6, embedding="angle", f2_activation="tanh").build((28, 28, 1), 10, key=jax.random.key(7))
    )
    image = real((28, 28, 1))
    expected = reference.features(in_numpy(model), image.astype(float), lambda x: np.pi / 2 * np.tanh(x))
    assert np.abs(expected - reference.features(in_numpy(model), image.astype(float))).max() > 0.1
    np.testing.assert_allclose(model.features(jnp.asarray(image)), expected, atol=5e-5)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (8, 11, 3), (40, 36, 2)])
def test_logits_of_the_classical_network_are_the_references(shape: tuple[int, int, int]) -> None:
    model = biased(LeNetArchitecture(width=30).build(shape, 7, key=jax.random.key(2)))
    weights, image = in_numpy(model), real(shape)
    expected = reference.dense(weights, "f3", reference.features(weights, image.astype(float)))
    actual = quick_jit(lambda x: model(x))(jnp.asarray(image))
    assert actual.shape == (7,)
    np.testing.assert_allclose(actual, expected, atol=2e-5 * np.abs(expected).max())


def test_the_papers_sizes() -> None:
    for shape in ((28, 28, 1), (32, 32, 3)):
        model = QuantumLeNetArchitecture().build(shape, 10, key=jax.random.key(0))
        shapes = {name: weight.shape for name, weight in named_weights(model).items()}
        assert shapes == {
            "features.c1.kernel": (5, 5, shape[2], 6),
            "features.c1.bias": (6,),
            "features.c2.kernel": (5, 5, 6, 16),
            "features.c2.bias": (16,),
            "features.f1.weight": (120, 400),
            "features.f1.bias": (120,),
            "features.f2.weight": (64, 120),
            "features.f2.bias": (64,),
            "branch.weights": (4, 6, 3),
            "branch.observable.coefficients": (6, 4),
            "f3.weight": (10, 64),
            "f3.bias": (10,),
        }


@pytest.mark.parametrize("architecture", ABLATIONS.values(), ids=ABLATIONS.keys())
def test_every_ablation_gives_finite_logits_and_gradients(architecture: Any) -> None:
    shape, n_classes = (12, 10, 3), 4
    model = architecture.build(shape, n_classes, key=jax.random.key(3))
    weights, static = eqx.partition(model, eqx.is_inexact_array)

    @quick_jit
    def evaluate(weights: Any, images: jax.Array) -> Any:
        def loss(weights: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
            logits = predict(eqx.combine(weights, static), images)
            return jnp.sum(jnp.sin(logits)), logits

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(weights, images)

    # A black image gives a state embedding the zero vector, where a plain division has no derivative.
    images = jnp.asarray(real((3, *shape))).at[2].set(0)
    (by_weights, by_images), logits = evaluate(weights, images)
    assert logits.shape == (3, n_classes)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((logits, by_weights, by_images)))
    assert np.any(by_images[0])

    untrained = {
        "fixed_hermitian": {"branch.observable.coefficients"},
        "frozen": {"branch.weights", "branch.observable.coefficients"},
    }
    still = {name for name, slope in named_weights(by_weights).items() if not np.any(slope)}
    expected = set()
    for field in ("observable", "branch"):
        expected |= untrained.get(getattr(architecture, field, ""), set())
    assert still == expected


def test_controls_start_with_the_same_classical_weights() -> None:
    key = jax.random.key(9)
    for skip in ("pad", "projection"):
        networks = [
            Small(skip=skip, branch=branch, observable=observable).build((28, 28, 1), 10, key=key)
            for branch, observable in itertools.product(
                ("quantum", "frozen", "removed", "dense"), ("pauli_z", "hermitian")
            )
        ]
        classical = [
            {name: weight for name, weight in named_weights(network).items() if not name.startswith("branch")}
            for network in networks
        ]
        for other in classical[1:]:
            assert other.keys() == classical[0].keys()
            assert all(np.array_equal(other[name], weight) for name, weight in classical[0].items())


def test_frozen_and_trained_branches_start_alike() -> None:
    trained, frozen = (
        Small(branch=branch).build((28, 28, 1), 10, key=jax.random.key(0)) for branch in ("quantum", "frozen")
    )
    assert all(map(np.array_equal, named_weights(trained).values(), named_weights(frozen).values()))
    image = jnp.asarray(real((28, 28, 1)))
    assert np.array_equal(*(quick_jit(lambda m, x: m(x))(m, image) for m in (trained, frozen)))


@pytest.mark.parametrize(("n_qubits", "n_layers"), [(6, 4), (6, 1), (5, 7), (3, 1)])
@pytest.mark.parametrize("observable", ["pauli_z", "hermitian", "fixed_hermitian"])
def test_the_dense_control_has_about_as_many_parameters(n_qubits: int, n_layers: int, observable: Any) -> None:
    architecture = QuantumLeNetArchitecture(n_qubits=n_qubits, n_layers=n_layers, observable=observable)
    layer, control = (
        # The shapes alone, for nothing has to be drawn to count.
        eqx.filter_eval_shape(
            dataclasses.replace(architecture, branch=branch).build, (28, 28, 1), 10, key=jax.random.key(0)
        ).branch
        for branch in ("quantum", "dense")
    )
    assert isinstance(layer, QuantumLayer)
    assert isinstance(control, PooledDense)
    trained = 3 * n_qubits * n_layers + (4 * n_qubits if observable == "hermitian" else 0)
    n_control = control.dense.weight.size + control.dense.bias.size
    if control.n_groups < 2**n_qubits:
        assert trained - n_qubits < n_control <= trained
    if (n_qubits, n_layers, observable) == (6, 4, "hermitian"):
        assert n_control == trained == 96


def test_initial_angles_and_coefficients() -> None:
    model = QuantumLeNetArchitecture(n_layers=200, angle_range=0.5, coefficient_scale=3.0).build(
        (28, 28, 1), 10, key=jax.random.key(0)
    )
    angles = np.asarray(model.branch.weights)
    assert 0 <= angles.min() < 0.01
    assert 0.49 < angles.max() < 0.5
    assert 1.5 < np.asarray(model.branch.observable.coefficients).std() < 4.5


ONE_FEATURE = (Operation("RX", (0,), (feature(0),)),)
OWN = Circuit(2, (Operation("RX", (0,), (weight(1),)), Operation("CRY", (0, 1), (feature(2),))))
"""A circuit of the user's own, which reads three features."""


@pytest.mark.parametrize(("embedding", "n_features"), [("amplitude", 4), ("none", 3)])
def test_an_ansatz_may_be_a_circuit(embedding: Any, n_features: int) -> None:
    architecture = QuantumLeNetArchitecture(n_qubits=2, n_layers=1, ansatz=OWN, embedding=embedding)
    model = architecture.build((28, 28, 1), 10, key=jax.random.key(0))
    assert model.branch.circuit == OWN
    assert model.branch.weights.shape == (2,)
    assert model.f3.weight.shape == (10, n_features)
    image = jax.random.normal(jax.random.key(1), (28, 28, 1))
    features = model.features(image)
    expected = model.f3(features + jnp.pad(model.branch(features), (0, n_features - 2)))
    np.testing.assert_allclose(model(image), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_qubits": 3}, r"`n_qubits` must be 2, the wires of the circuit"),
        ({"n_layers": 4}, r"`n_layers` must be 1 where `ansatz` is a circuit, but was 4"),
        ({"ansatz": Circuit(2, (Operation("H", (0,)),))}, "a circuit that reads a weight"),
        ({"embedding": "angle"}, r"reads at most 2 with the embedding 'angle', but it reads 3"),
        ({"embedding": "none", "ansatz": Circuit(2, (Operation("RX", (0,), (weight(0),)),))}, "reads a feature"),
        (
            {"embedding": "none", "ansatz": Circuit(2, (Operation("CRX", (0, 1), (weight(0),)), *ONE_FEATURE))},
            "`skip` must not be 'pad' where the circuit reads 1 features",
        ),
        ({"embedding": "none", "ansatz": "basic_entangling"}, "`embedding` must not be 'none' where `ansatz` is"),
    ],
)
def test_circuits_that_do_not_fit_the_network_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        QuantumLeNetArchitecture(**{"n_qubits": 2, "n_layers": 1, "ansatz": OWN} | fields)


@pytest.mark.parametrize("architecture", [LeNetArchitecture(), Small()])
@pytest.mark.parametrize("n_classes", [1, 0])
def test_there_are_two_classes_at_least(
    architecture: LeNetArchitecture | QuantumLeNetArchitecture, n_classes: int
) -> None:
    with pytest.raises(ArgumentError, match=f"`n_classes` must be at least 2, but was {n_classes}"):
        architecture.build((28, 28, 1), n_classes, key=jax.random.key(0))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_qubits": 0}, r"`n_qubits` must be at least 1, but was 0"),
        ({"n_layers": 0}, r"`n_layers` must be at least 1, but was 0"),
        ({"branch": "removed", "skip": "none"}, "nothing would reach F3"),
        ({"angle_range": float("nan")}, r"`angle_range` must be finite"),
        ({"coefficient_scale": -1.0}, r"`coefficient_scale` must be at least 0, but was -1\.0"),
        ({"observable_wires": 0}, r"`observable_wires` must be from 1 to 4 for the observable 'hermitian' on 6 qubits"),
        ({"observable_wires": 3, "n_qubits": 2}, r"`observable_wires` must be from 1 to 2 .* on 2 qubits, but was 3"),
        (
            {"observable_wires": 2, "observable": "pauli_z"},
            r"`observable_wires` must be 1 for the observable 'pauli_z'",
        ),
        ({"f2_activation": "sigmoid"}, "`f2_activation` must be one of"),
        ({"quanvolution_layers": -1}, "`quanvolution_layers` must be at least 0, but was -1"),
        ({"observable": "hermitean"}, "Did you mean 'hermitian'"),
        ({"skip": "padded"}, "`skip` must be one of none, pad, projection, but was 'padded'"),
        ({"embedding": "angles"}, "Did you mean 'angle'"),
        ({"ansatz": "random"}, "`ansatz` must be one of"),
        ({"branch": "classical"}, "`branch` must be one of"),
        ({"initialiser": "zeros"}, "`initialiser` must be one of"),
    ],
)
def test_architectures_reject_what_has_no_meaning(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        QuantumLeNetArchitecture(**fields)


@pytest.mark.usefixtures("unchecked")
def test_the_classical_architecture_rejects_what_has_no_meaning() -> None:
    with pytest.raises(ArgumentError, match="`width` must be at least 1, but was 0"):
        LeNetArchitecture(width=0)
    with pytest.raises(ArgumentError, match="`initialiser` must be one of"):
        LeNetArchitecture(initialiser="zeros")


@pytest.mark.parametrize("shape", [(34, 32, 1), (28, 41, 1), (0, 28, 1), (28, 28, 0)])
def test_input_shapes_that_do_not_fit_are_named(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ArgumentError, match=r"`input_shape` must be \(height, width, channels\), each at least 1"):
        Small().build(shape, 10, key=jax.random.key(0))
