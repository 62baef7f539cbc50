"""The checks that every embedding, ansatz and observable passes, and the layers made of them."""

from __future__ import annotations

import inspect
import itertools
import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest

import qdistill.quantum
from qdistill.errors import CircuitError
from qdistill.quantum import (
    Ansatz,
    Circuit,
    DeviceModel,
    Embedding,
    Execution,
    NoisyLayer,
    PauliZ,
    QuantumLayer,
    apply,
    expectation_values,
    for_batch,
    unitary,
)
from qdistill.quantum.preparation import embedded_features

from .components import (
    ANSATZE,
    COMBINATIONS,
    EMBEDDINGS,
    N_WIRES,
    OBSERVABLES,
    PAIRS,
)
from .reference import numpy_unitary, observable_values, quick_jit, relative_error
from .strategies import random_state

N_SEEDS = 5
"""Weights and features that each two components are tried with."""


def test_every_component_has_a_row() -> None:
    rows = [
        *(row.make(N_WIRES) for row in EMBEDDINGS.values()),
        *(row.make(N_WIRES, 1) for row in ANSATZE.values()),
        *(row.make(jax.random.key(0)) for row in OBSERVABLES.values()),
    ]
    files = {f"qdistill.quantum.{name}" for name in ("embedding", "ansatz", "sim_circuits", "observable")}
    public = [getattr(qdistill.quantum, name) for name in qdistill.quantum.__all__]
    components = {c for c in public if inspect.isclass(c) and c.__module__ in files}
    assert components - {Ansatz, Embedding} == {type(component) for component in rows}


@pytest.mark.parametrize("name", EMBEDDINGS)
class TestEmbedding:
    def test_is_plain_data(self, name: str) -> None:
        embedding = EMBEDDINGS[name].make(N_WIRES)
        assert isinstance(embedding, Embedding)
        assert embedding == EMBEDDINGS[name].make(N_WIRES)
        assert hash(embedding) == hash(EMBEDDINGS[name].make(N_WIRES))
        assert embedding.n_wires == N_WIRES

    @pytest.mark.parametrize("fewer", [0, 1])
    def test_state_is_pennylanes(self, name: str, fewer: int) -> None:
        embedding = EMBEDDINGS[name].make(N_WIRES)
        features = np.random.default_rng(0).normal(size=embedding.n_features - fewer)

        @qml.qnode(qml.device("default.qubit", wires=N_WIRES))
        def expected() -> Any:
            EMBEDDINGS[name].pennylane(features, N_WIRES)
            return qml.state()

        with jax.enable_x64(True):
            state = quick_jit(embedding.state)(features)
        assert state.shape == (2**N_WIRES,)
        np.testing.assert_allclose(state, expected(), atol=1e-12)

    def test_missing_features_are_zeros(self, name: str) -> None:
        embedding = EMBEDDINGS[name].make(N_WIRES)
        features = jnp.array([0.5, -1.5])
        padded = jnp.pad(features, (0, embedding.n_features - 2))
        np.testing.assert_array_equal(embedding.state(features), embedding.state(padded))

    def test_too_many_features_are_refused(self, name: str) -> None:
        embedding = EMBEDDINGS[name].make(N_WIRES)
        n = embedding.n_features
        with pytest.raises(CircuitError, match=f"`features` must be at most .*{n} values .* was {n + 1} values"):
            embedding.state(jnp.ones(n + 1))

    @pytest.mark.usefixtures("unchecked")
    @pytest.mark.parametrize("shape", [(10, 2), ()])
    def test_takes_one_vector(self, name: str, shape: tuple[int, ...]) -> None:
        embedding = EMBEDDINGS[name].make(N_WIRES)
        features, circuit = jnp.ones(shape), Circuit(N_WIRES)
        layer = QuantumLayer(embedding, circuit, jnp.zeros(0), PauliZ(((0,),)))
        noisy = NoisyLayer(layer, Execution(DeviceModel.uniform(N_WIRES)))
        sampled = NoisyLayer(layer, Execution(shots=1), jax.random.key(0))
        as_gates = partial(embedded_features, embedding, circuit)
        for take in (embedding.state, layer, noisy, sampled, as_gates):
            with pytest.raises(CircuitError) as raised:
                take(features)
            assert str(raised.value) == (
                f"Argument `features` must be one vector, but had shape {shape}. For a batch use `jax.vmap`."
            )

    def test_zero_vector_has_finite_derivatives(self, name: str) -> None:
        embedding = EMBEDDINGS[name].make(N_WIRES)

        def parts(features: jax.Array) -> jax.Array:
            state = embedding.state(features)
            return jnp.stack([state.real, state.imag])

        zero = jnp.zeros(embedding.n_features)
        value, slope, curvature = quick_jit(
            lambda x: (parts(x), jax.jacrev(parts)(x), jax.jacfwd(jax.jacrev(parts))(x))
        )(zero)
        assert all(bool(jnp.isfinite(part).all()) for part in (value, slope, curvature))


@pytest.mark.parametrize("name", ANSATZE)
class TestAnsatz:
    def test_is_plain_data(self, name: str) -> None:
        ansatz = ANSATZE[name].make(N_WIRES, 2)
        assert isinstance(ansatz, Ansatz)
        assert ansatz == ANSATZE[name].make(N_WIRES, 2)
        assert hash(ansatz) == hash(ANSATZE[name].make(N_WIRES, 2))

    @pytest.mark.parametrize("n_wires", [1, 2, 3, 4])
    @pytest.mark.parametrize("n_layers", [0, 1, 4])
    def test_reads_every_weight_once_and_in_order(self, name: str, n_wires: int, n_layers: int) -> None:
        ansatz = ANSATZE[name].make(n_wires, n_layers)
        circuit = ansatz.circuit()
        read = [index for o in circuit.operations for angle in o.angles for index in angle.weights]
        assert read == list(range(math.prod(ansatz.weight_shape)))
        assert (circuit.n_wires, circuit.n_weights, circuit.n_features) == (n_wires, len(read), 0)

    @pytest.mark.parametrize("n_wires", [1, 2, 3, 4])
    def test_matrix_is_pennylanes(self, name: str, n_wires: int) -> None:
        ansatz = ANSATZE[name].make(n_wires, 4)
        weights = np.random.default_rng(n_wires).normal(size=ansatz.weight_shape)
        expected = qml.matrix(ANSATZE[name].pennylane, wire_order=range(n_wires))(weights, n_wires)
        actual = numpy_unitary(ansatz.circuit(), weights.ravel())
        np.testing.assert_allclose(actual, expected, atol=1e-12)
        with jax.enable_x64(True):
            simulated = quick_jit(lambda w: unitary(ansatz.circuit(), w))(weights.ravel())
        np.testing.assert_allclose(simulated, expected, atol=1e-12)


@pytest.mark.parametrize("name", OBSERVABLES)
class TestObservable:
    def test_shapes_fit(self, name: str) -> None:
        observable = OBSERVABLES[name].make(jax.random.key(0))
        assert len(observable.wires) == len(observable.terms) == observable.n_outputs
        assert observable.term_coefficients().shape == (sum(map(len, observable.terms)),)
        for group, strings in zip(observable.wires, observable.terms, strict=True):
            assert {wire for string in strings for wire in string.wires} == set(group)

    @pytest.mark.parametrize("real", [False, True])
    def test_values_are_real_and_exact(self, name: str, real: bool) -> None:
        observable = OBSERVABLES[name].make(jax.random.key(0))
        state = random_state(N_WIRES, 0).real if real else random_state(N_WIRES, 0)
        expected = observable_values(observable, state)
        values = quick_jit(expectation_values)(observable, state)
        assert values.dtype == jnp.float32
        assert relative_error(values, expected) < 1e-5


@pytest.mark.parametrize("name", COMBINATIONS)
class TestLayer:
    def test_values_are_those_of_its_parts(self, name: str) -> None:
        combination = COMBINATIONS[name]
        layer = combination.layer()
        (features,) = combination.features(1)
        embedded = np.asarray(layer.embedding.state(jnp.asarray(features)), dtype=complex)
        state = numpy_unitary(layer.circuit, np.asarray(layer.weights, float).ravel()) @ embedded
        expected = observable_values(layer.observable, state)
        values = quick_jit(lambda x: layer(x))(features)
        assert values.shape == (layer.n_outputs,)
        assert relative_error(values, expected) < 1e-5

    def test_batches_as_a_loop_and_in_any_form(self, name: str) -> None:
        combination = COMBINATIONS[name]
        layer, features = combination.layer(), combination.features(4)
        alone = quick_jit(lambda x: layer(x))
        loop = np.stack([alone(x) for x in features])
        together = quick_jit(jax.vmap(layer))(features)
        large = quick_jit(jax.vmap(for_batch(layer, 4096)))(features)
        assert relative_error(together, loop) < 1e-5
        assert relative_error(large, loop) < 1e-5

    def test_vectorises_over_weights(self, name: str) -> None:
        combination = COMBINATIONS[name]
        layer, (features,) = combination.layer(), combination.features(1)
        several = jnp.stack([layer.weights, -layer.weights, 0 * layer.weights])

        def values(weights: jax.Array) -> jax.Array:
            return eqx.tree_at(lambda tree: tree.weights, layer, weights)(jnp.asarray(features))

        together = quick_jit(jax.vmap(values))(several)
        alone = quick_jit(values)
        assert relative_error(together, jnp.stack([alone(weights) for weights in several])) < 1e-5


def test_every_two_components_meet() -> None:
    tables = {"embedding": EMBEDDINGS, "ansatz": ANSATZE, "observable": OBSERVABLES}
    for first, second in itertools.combinations(tables, 2):
        met = {(getattr(c, first), getattr(c, second)) for c in PAIRS.values()}
        assert met == set(itertools.product(tables[first], tables[second]))


@pytest.mark.parametrize("name", PAIRS)
def test_every_two_components_fit_for_any_weights(name: str) -> None:
    combination = PAIRS[name]
    layer, features = combination.layer(), combination.features(N_SEEDS)
    weights = np.random.default_rng(5).normal(scale=3.0, size=(N_SEEDS, *layer.weights.shape)).astype(np.float32)

    def values(weights: jax.Array, features: jax.Array) -> jax.Array:
        return eqx.tree_at(lambda tree: tree.weights, layer, weights)(features)

    actual = quick_jit(jax.vmap(values))(weights, features)
    for seed in range(N_SEEDS):
        embedded = np.asarray(layer.embedding.state(jnp.asarray(features[seed])), dtype=complex)
        state = numpy_unitary(layer.circuit, weights[seed].astype(float).ravel()) @ embedded
        expected = observable_values(layer.observable, state)
        assert relative_error(actual[seed], expected) < 1e-5


@pytest.mark.parametrize("name", ["angle_x", "angle_y", "angle_z"])
def test_angle_embedding_is_its_circuit(name: str) -> None:
    embedding: Any = EMBEDDINGS[name].make(N_WIRES)
    features, start = jnp.array([0.3, -1.2]), jnp.eye(2**N_WIRES)[0]
    by_gates = quick_jit(lambda x: apply(embedding.circuit(2), jnp.zeros(0), start, x))(features)
    np.testing.assert_allclose(embedding.state(features), by_gates, atol=1e-6)
    assert embedding.circuit().n_features == N_WIRES
    with pytest.raises(CircuitError, match="wires 0 to 2"):
        embedding.circuit(4)


def test_only_some_embeddings_give_complex_states() -> None:
    kinds = {n: jnp.iscomplexobj(EMBEDDINGS[n].make(2).state(jnp.array([0.1, 0.2]))) for n in EMBEDDINGS}
    assert kinds == {"amplitude": False, "angle_x": True, "angle_y": False, "angle_z": True, "none": False}


def test_pauli_z_values_lie_between_minus_one_and_one() -> None:
    state = jnp.asarray(random_state(N_WIRES, 5))
    assert np.all(np.abs(expectation_values(PauliZ(((0,), (1,), (2,))), state)) <= 1 + 1e-6)
