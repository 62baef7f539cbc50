"""Embeddings as gates, against the states that the embeddings give."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.errors import CircuitError
from qdistill.quantum import AmplitudeEmbedding, Circuit, Operation, apply, feature
from qdistill.quantum.preparation import embedded, embedded_features, preparation_angles, preparation_circuit

from .components import EMBEDDINGS
from .reference import numpy_unitary, quick_jit

VECTORS = {
    "dense": lambda rng, size: rng.normal(size=size),
    "half of them zero, as after a ReLU": lambda rng, size: np.maximum(0, rng.normal(size=size)),
    "one alone": lambda rng, size: -2.5 * np.eye(size)[size - 1],
    "one branch alone": lambda rng, size: np.concatenate([np.zeros(size // 2), rng.normal(size=size - size // 2)]),
}


@pytest.mark.parametrize("n_wires", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", VECTORS)
def test_prepares_the_normalised_vector(kind: str, n_wires: int, double_precision: None) -> None:
    vector = VECTORS[kind](np.random.default_rng(n_wires), 2**n_wires)
    circuit = preparation_circuit(n_wires)
    angles = quick_jit(preparation_angles)(vector)
    state = numpy_unitary(circuit, np.zeros(0), np.asarray(angles))[:, 0]
    np.testing.assert_allclose(state, vector / np.linalg.norm(vector), atol=1e-12)


@pytest.mark.parametrize("n_wires", [1, 2, 3, 6])
def test_has_as_many_gates_as_mottonen_et_al_say(n_wires: int) -> None:
    circuit = preparation_circuit(n_wires)
    names = [operation.gate for operation in circuit.operations]
    assert (names.count("RY"), names.count("CNOT")) == (2**n_wires - 1, 2**n_wires - 2)
    assert len(names) == 2 ** (n_wires + 1) - 3
    assert circuit.n_features == 2**n_wires - 1
    assert circuit.n_weights == 0


def test_gradient_is_that_of_the_normalised_vector(double_precision: None) -> None:
    vector = np.random.default_rng(0).normal(size=8)
    circuit, start = preparation_circuit(3), jnp.eye(8)[0]

    def by_gates(x: jax.Array) -> jax.Array:
        return apply(circuit, jnp.zeros(0), start, preparation_angles(x)).real

    expected = quick_jit(jax.jacobian(AmplitudeEmbedding(3).state))(vector)
    np.testing.assert_allclose(quick_jit(jax.jacobian(by_gates))(vector), expected, atol=1e-10)


@pytest.mark.parametrize(
    "vector",
    [np.zeros(8), np.eye(8)[5], np.array([0, 0, 1.0, 2, 0, 0, 0, 0]), np.full(8, 1e-30)],
    ids=["zero", "one alone", "zero branches", "squares that underflow"],
)
def test_derivatives_at_zero_amplitudes_are_finite(vector: np.ndarray) -> None:
    first = jax.jacrev(preparation_angles)
    parts = quick_jit(lambda x: (preparation_angles(x), first(x), jax.jacfwd(first)(x)))(
        jnp.asarray(vector, jnp.float32)
    )
    assert all(bool(jnp.isfinite(part).all()) for part in parts)


def test_zero_vector_leaves_the_first_basis_state() -> None:
    np.testing.assert_array_equal(preparation_angles(jnp.zeros(8)), np.zeros(7))


@pytest.mark.parametrize("fewer", [0, 1])
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_every_embedding_can_be_written_as_gates(name: str, fewer: int, double_precision: None) -> None:
    """A circuit that reads features itself still reads its own after an embedding that takes them too."""
    embedding = EMBEDDINGS[name].make(3)
    features = np.random.default_rng(1).normal(size=embedding.n_features - fewer)
    circuit = Circuit(3, (Operation("CRX", (0, 2), (feature(1),)), Operation("RZ", (1,), (feature(0),))))
    gates = embedded(embedding, circuit)
    angles = embedded_features(embedding, circuit, jnp.asarray(features))
    state = numpy_unitary(gates, np.zeros(0), np.asarray(angles))[:, 0]
    own = numpy_unitary(circuit, np.zeros(0), features)
    np.testing.assert_allclose(state, own @ np.asarray(embedding.state(jnp.asarray(features))), atol=1e-10)


def test_too_many_features_are_refused() -> None:
    with pytest.raises(CircuitError, match=r"at most 4 values .* was 5 values"):
        embedded_features(AmplitudeEmbedding(2), Circuit(2), jnp.ones(5))


def test_an_embedding_of_the_users_own_is_refused() -> None:
    @dataclass(frozen=True)
    class Own:
        n_wires: int = 1
        n_features: int = 1

        def state(self, features: jax.Array) -> jax.Array:
            return jnp.array([1.0, 0.0])

    with pytest.raises(CircuitError, match="must be an AmplitudeEmbedding"):
        embedded(Own(), Circuit(1))
