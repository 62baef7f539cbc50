"""What a training costs in circuits: held against counts by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from qdistill.evaluate.cost import circuits_per_gradient, training_circuits
from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import AmplitudeEmbedding, AngleEmbedding, Hermitian, NoEmbedding, PauliZ, QuantumLayer
from qdistill.quantum.circuit import Circuit, Operation, constant, feature, weight


def layer(*operations: Operation, n_weights: int, embedding: object = None, **fields: object) -> QuantumLayer:
    settings = {"observable": PauliZ(((0,), (1,))), **fields}
    return QuantumLayer(embedding or AmplitudeEmbedding(2), Circuit(2, operations), jnp.zeros(n_weights), **settings)


ROTATION = Operation("Rot", (0,), (weight(0), weight(1), weight(2)))
CONTROLLED = Operation("CRX", (0, 1), (weight(3),))
CONSTANT = Operation("RX", (1,), (constant(0.5),))
UPLOAD = Operation("RY", (1,), (feature(0),))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        # Value 1, angles of the rotation 2 each, of the controlled one 4, of three preparing rotations 2 each.
        (layer(ROTATION, CONTROLLED, CONSTANT, n_weights=4), 1 + 6 + 4 + 6),
        (layer(ROTATION, n_weights=3, embedding=AngleEmbedding(2)), 1 + 6 + 4),
        (layer(ROTATION, UPLOAD, n_weights=3, embedding=AngleEmbedding(2)), 1 + 6 + 2 + 4),
        # Without an embedding there are no preparing rotations; two on groups that share a wire share their settings.
        (layer(ROTATION, UPLOAD, n_weights=3, embedding=NoEmbedding(2, 1)), 1 + 6 + 2),
        (layer(ROTATION, n_weights=3, observable=Hermitian(jnp.ones((2, 16)), ((1, 0), (0, 1)))), 9 * (1 + 6 + 6)),
        (layer(ROTATION, n_weights=3, trainable=False), 1 + 6),
        (layer(ROTATION, n_weights=3, observable=Hermitian(jnp.ones((1, 4)), ((0,),))), 3 * (1 + 6 + 6)),
        (layer(ROTATION, n_weights=3, observable=Hermitian(jnp.ones((1, 16)), ((0, 1),))), 9 * (1 + 6 + 6)),
    ],
)
def test_circuits_of_one_gradient(made: QuantumLayer, expected: int) -> None:
    assert circuits_per_gradient(made) == expected


def test_circuits_of_a_training() -> None:
    key = jax.random.key(0)
    network = QuantumLeNetArchitecture().build((28, 28, 1), 10, key=key)
    # 72 angles and 63 preparing rotations, in three settings, on ten images in ten steps.
    assert training_circuits(network, 100) == 100 * 3 * (1 + 2 * 72 + 2 * 63)
    assert training_circuits(LeNetArchitecture().build((28, 28, 1), 10, key=key), 100) == 0
