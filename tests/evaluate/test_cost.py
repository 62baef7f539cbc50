"""What a training costs in circuits: held against counts by hand."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import (
    circuits_per_gradient,
    depth,
    evaluations_per_gradient,
    training_circuits,
    training_work,
)
from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Hermitian,
    NoEmbedding,
    PauliZ,
    QuantumLayer,
    constant,
    feature,
    layer_calls,
    weight,
)
from qdistill.quantum.circuit import Circuit, Operation


def layer(*operations: Operation, n_weights: int, embedding: object = None, **fields: object) -> QuantumLayer:
    settings = {"observable": PauliZ(((0,), (1,))), **fields}
    return QuantumLayer(embedding or AmplitudeEmbedding(2), Circuit(2, operations), jnp.zeros(n_weights), **settings)


ROTATION = Operation("Rot", (0,), (weight(0), weight(1), weight(2)))
CONTROLLED = Operation("CRX", (0, 1), (weight(3),))
CONSTANT = Operation("RX", (1,), (constant(0.5),))
BOTH = Operation("CRY", (0, 1), (weight(0) * feature(0) + 1.0,))
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
        # An angle that reads both is shifted once, and for its features alone where the weights are fixed.
        (layer(BOTH, UPLOAD, n_weights=1, embedding=NoEmbedding(2, 1)), 1 + 4 + 2),
        (layer(BOTH, UPLOAD, n_weights=1, embedding=NoEmbedding(2, 1), trainable=False), 1 + 4 + 2),
        (layer(ROTATION, n_weights=3, observable=Hermitian(jnp.ones((1, 4)), ((0,),))), 3 * (1 + 6 + 6)),
        (layer(ROTATION, n_weights=3, observable=Hermitian(jnp.ones((1, 16)), ((0, 1),))), 9 * (1 + 6 + 6)),
    ],
)
def test_circuits_of_one_gradient(made: QuantumLayer, expected: int) -> None:
    assert circuits_per_gradient(made) == expected


def test_what_the_shifts_of_one_gradient_are_for() -> None:
    made = layer(BOTH, UPLOAD, n_weights=1, embedding=NoEmbedding(2, 1))
    assert evaluations_per_gradient(made) == {
        "values": 1,
        "gradient of the weights": 4,
        "gradient of the features": 2,
    }
    without = evaluations_per_gradient(made, by_features=False)
    assert without["gradient of the features"] == 0
    assert sum(without.values()) == 5


def test_circuits_of_a_training() -> None:
    key = jax.random.key(0)
    network = QuantumLeNetArchitecture().build((28, 28, 1), 10, key=key)
    # 72 angles and 63 preparing rotations, in three settings, on ten inputs in ten steps.
    assert training_circuits(network, (28, 28, 1), 100) == 100 * 3 * (1 + 2 * 72 + 2 * 63)
    assert training_circuits(LeNetArchitecture().build((28, 28, 1), 10, key=key), (28, 28, 1), 100) == 0


def test_circuits_of_a_quanvolution() -> None:
    network = QuantumLeNetArchitecture(quanvolution_layers=2).build((28, 28, 3), 10, key=jax.random.key(0))
    below, branch = layer_calls(network, (28, 28, 3))
    # 28x28 pixels are padded to 32x32, of which the patches of 2x2 in three channels are 768; nothing is trained below.
    assert (below.vectors, below.by_features, branch.vectors, branch.by_features) == (768, False, 1, True)
    expected = 768 * (1 + 2 * 24) + 3 * (1 + 2 * 72 + 2 * 63)
    assert training_circuits(network, (28, 28, 3), 5) == 5 * expected


class TwoLayers(eqx.Module):
    """A layer that is used twice, then another on what it gives, through something that stops every gradient."""

    first: QuantumLayer
    second: QuantumLayer
    stopped: bool = eqx.field(static=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        values = self.first(self.first(x.reshape(-1)))
        return self.second(jax.lax.stop_gradient(values) if self.stopped else values)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_network_of_ones_own_is_counted_by_its_calls(stopped: bool) -> None:
    made = layer(ROTATION, n_weights=3, embedding=AngleEmbedding(2))
    calls = layer_calls(TwoLayers(made, made, stopped), (1, 2, 1))
    assert [(call.vectors, call.by_features) for call in calls] == [(1, False), (1, True), (1, not stopped)]
    assert training_circuits(TwoLayers(made, made, stopped), (1, 2, 1), 1) == 7 + 11 + (7 if stopped else 11)


def test_perturbation_takes_as_many_evaluations_whatever_the_number_of_angles() -> None:
    assert circuits_per_gradient(layer(ROTATION, CONTROLLED, n_weights=4), "spsa", 5) == 11


def test_the_work_of_a_training() -> None:
    network = QuantumLeNetArchitecture(n_qubits=2, n_layers=1).build((28, 28, 1), 10, key=jax.random.key(0))
    work = training_work(network, (28, 28, 1), 20, shots=100)
    # 6 angles and 3 preparing rotations.
    assert (work.circuits, work.shots, work.settings) == (20 * 3 * 19, 20 * 3 * 19 * 100, 3)
    # RY(0), then RY CNOT RY CNOT on wire 1, a Rot on each wire, two CNOTs in a ring, and the measurement's rotation.
    assert (work.depth, work.two_qubit_gates) == (1 + 3 + 1 + 2 + 1 + 0, 4)


def test_depth_is_that_of_qiskit() -> None:
    qiskit = pytest.importorskip("qiskit")
    operations = (ROTATION, CONTROLLED, CONSTANT, Operation("CNOT", (1, 0)), UPLOAD)
    circuit = qiskit.QuantumCircuit(2)
    for operation in operations:
        if len(operation.wires) == 2:
            circuit.cx(*operation.wires)
        else:
            circuit.rx(0.1, operation.wires[0])
    assert depth(Circuit(2, operations)) == circuit.depth()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": 0}, "`shots` must be at least 1, but was 0"),
        ({"shots": 1, "directions": 0}, "`directions` must be at least 1, but was 0"),
        ({"shots": 1, "gradient": "shift"}, "`gradient` must be one of"),
    ],
)
def test_bad_work(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        training_work(LeNetArchitecture().build((28, 28, 1), 10, key=jax.random.key(0)), (28, 28, 1), 1, **options)
