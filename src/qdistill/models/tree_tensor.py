"""The tree tensor network classifier: gates on pairs of wires, of which one goes on, until one wire is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Array

from qdistill.fields import check_fields
from qdistill.models.checks import check_n_classes, check_power_of_two, count_inputs
from qdistill.models.circuit import CircuitClassifier
from qdistill.models.initial import Distribution, check_spread, initial_angles
from qdistill.models.readout import scale_of
from qdistill.quantum import (
    Circuit,
    Operation,
    PauliZ,
    QuantumLayer,
    named_embedding,
    weight,
)

Rotation = Literal["RY", "Rot"]


@dataclass(frozen=True)
class TreeTensor:
    """The tree of Grant et al. on n = 2^k wires: rotations of each wire that is left, then a CNOT for each pair.

    Layer l turns the wires 0, 2^l, 2 2^l, ... and goes on with every other of them, the target of a CNOT from its
    neighbour; after the last, wire 0 is turned once more. The margin that speaks for the second class is <Z> on wire 0.
    With a real rotation that is 2 n - 1 weights.

    Args:
        n_qubits: n, a power of two.
        embedding: ``"angle"`` for up to n inputs, one RY a wire: the publication has an input x from 0 to 1 as
            cos(pi x / 2) |0> + sin(pi x / 2) |1>, which is the angle pi x. ``"amplitude"`` for up to 2^n inputs.
        rotation: ``"RY"``, or ``"Rot"`` with three angles.
        distribution: of the initial angles: uniform in [0, spread), or normal with the standard deviation `spread`.
        spread: in radians.
        output_scale: the start of a trained factor of <Z>, which the publication does not have; by default there is
            none.

    Reference:
        Grant et al., npj Quantum Information 4, 65 (2018), arXiv 1804.03680.
    """

    n_qubits: int = 8
    embedding: Literal["angle", "amplitude"] = "angle"
    rotation: Rotation = "RY"
    distribution: Distribution = "uniform"
    spread: float = 2 * math.pi
    output_scale: float | None = None

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        check_power_of_two(self.n_qubits)
        check_spread(self.spread)
        scale_of(self.output_scale)

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> CircuitClassifier:
        """Draw a model.

        Args:
            input_shape: of one input, which is read in C order.
            n_classes: 2.
            key: random key, consumed.

        Raises:
            ArgumentError: more inputs than the embedding takes, or not two classes.
        """
        embedding = named_embedding(self.embedding, self.n_qubits)
        count_inputs(input_shape, 1, embedding.n_features, f"for the embedding {self.embedding!r}")
        check_n_classes(n_classes, 2, "for a margin")
        circuit = tree_circuit(self.n_qubits, self.rotation)
        angles = initial_angles(self.distribution, self.spread, (circuit.n_weights,), key=key)
        return CircuitClassifier(
            QuantumLayer(embedding, circuit, angles, PauliZ(((0,),))),
            input_shape,
            output_scale=scale_of(self.output_scale),
            margin=True,
        )


def tree_circuit(n_wires: int, rotation: Rotation) -> Circuit:
    """The tree on a power of two of wires; see `TreeTensor`."""
    n_angles = {"RY": 1, "Rot": 3}[rotation]
    operations: list[Operation] = []
    n_weights = 0
    step = 1
    while step <= n_wires:
        for wire in range(0, n_wires, step):
            operations.append(Operation(rotation, (wire,), tuple(weight(n_weights + k) for k in range(n_angles))))
            n_weights += n_angles
        operations += [Operation("CNOT", (wire + step, wire)) for wire in range(0, n_wires - step, 2 * step)]
        step *= 2
    return Circuit(n_wires, tuple(operations))
