"""Circuits as tables: the same unitary and the same values as the simulator's, which others are compared with."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.errors import CircuitError
from qdistill.quantum import AngleEmbedding, Circuit, Operation, PauliZ, QuantumLayer, SimCircuit, unitary, weight
from qdistill.quantum.tabled import can_be_tabled, gate_table, tabled

ALL = Circuit(
    3,
    (
        Operation("H", (0,)),
        Operation("RX", (1,), (weight(2),)),
        Operation("CRY", (1, 2), (weight(0),)),
        Operation("RY", (2,), (weight(1),)),
        Operation("CNOT", (0, 2)),
        Operation("RZ", (0,), (weight(3),)),
        Operation("CRX", (2, 0), (weight(4),)),
        Operation("X", (1,)),
        Operation("CZ", (2, 1)),
        Operation("CRZ", (0, 1), (weight(2),)),
        Operation("Z", (2,)),
    ),
)
WEIGHTS = jnp.array([0.3, -1.1, 2.0, 0.7, 4.0])
LAYER = QuantumLayer(AngleEmbedding(3), ALL, WEIGHTS, PauliZ(((0,), (2,))))


def test_the_unitary_is_that_of_the_circuit() -> None:
    np.testing.assert_allclose(tabled(LAYER, 16, 8).unitary(), unitary(ALL, WEIGHTS), atol=1e-6)


def test_values_and_gradients_are_those_of_the_layer() -> None:
    features = jnp.array([0.2, 1.0, -0.4])
    table = tabled(LAYER, 11, 8)
    np.testing.assert_allclose(table(features), LAYER(features), atol=1e-6)
    own = jax.grad(lambda layer: jnp.sum(layer(features) * jnp.array([1.0, 0.3])), allow_int=True)(table).weights
    theirs = jax.grad(lambda layer: jnp.sum(layer(features) * jnp.array([1.0, 0.3])))(LAYER).weights
    np.testing.assert_allclose(own[:5], theirs, atol=1e-6)
    # Weights that no gate reads.
    assert not np.any(own[5:])


def test_which_circuits_can_be_tabled() -> None:
    assert all(can_be_tabled(SimCircuit(number, 4, 2).circuit()) for number in range(1, 20))
    assert not can_be_tabled(Circuit(1, (Operation("RX", (0,), (2 * weight(0),)),)))
    with pytest.raises(CircuitError, match="`circuit` must be at most 10 gates"):
        gate_table(ALL, 10)
    with pytest.raises(CircuitError, match="but has 1 or others"):
        gate_table(Circuit(2, (Operation("SWAP", (0, 1)),)), 4)
