"""The quantum convolutional neural network: convolutions by one two-qubit gate, and pooling to half of the wires."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Literal

from jaxtyping import Array

from qdistill.fields import check_fields
from qdistill.models.checks import check_n_classes, check_power_of_two, count_inputs
from qdistill.models.circuit import CircuitClassifier
from qdistill.models.initial import Distribution, check_spread, initial_angles
from qdistill.models.readout import scale_of
from qdistill.quantum import (
    Angle,
    Circuit,
    Operation,
    PauliZ,
    QuantumLayer,
    basis_probabilities,
    constant,
    named_embedding,
    weight,
)


@dataclass(frozen=True)
class QCNN:
    """The network of Cong, Choi and Lukin on n = 2^k wires, for inputs that are amplitudes or angles.

    A convolution is one general two-qubit gate on the wires (0, 1), (2, 3), ..., then on (1, 2), (3, 4), ..., (n-1, 0),
    everywhere with the same 15 weights. Pooling keeps the first wire of each pair: by what is measured on the second, a
    one-qubit gate is applied to it or not, which is a controlled gate where the measurement is put off to the end. It
    is ``V^-1 CNOT (V x W)`` with the same six weights for all pairs, as in TensorFlow Quantum's tutorial. So it goes on
    until as few wires are left as tell the classes apart, on which a fully connected gate acts: a Rot on one wire, or
    the two-qubit gate on (0, 1), (1, 2), ... of those that are left, each with weights of its own. The margin of two
    classes is <Z> on the last wire; more have the probabilities of the basis states.

    With two classes the defaults are eight qubits and 3 (15 + 6) + 3 = 66 weights.

    Args:
        n_qubits: n, a power of two.
        embedding: ``"amplitude"`` for up to 2^n inputs, ``"angle"`` for up to n, one RY a wire.
        distribution: of the initial angles: uniform in [0, spread), or normal with the standard deviation `spread`.
        spread: in radians.
        output_scale: the start of a trained factor of what is measured, which the publication does not have; by default
            there is none.

    Reference:
        Cong, Choi and Lukin, Nature Physics 15, 1273 (2019), arXiv 1810.03787; the two-qubit gate by Vatan and
        Williams, quant-ph/0308006.
    """

    n_qubits: int = 8
    embedding: Literal["amplitude", "angle"] = "amplitude"
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
            n_classes: from 2 to 2^n.
            key: random key, consumed.

        Raises:
            ArgumentError: more inputs than the embedding takes, or more classes than basis states.
        """
        embedding = named_embedding(self.embedding, self.n_qubits)
        count_inputs(input_shape, 1, embedding.n_features, f"for the embedding {self.embedding!r}")
        check_n_classes(n_classes, 2**self.n_qubits, f"for the basis states of {self.n_qubits} qubits")
        n_left = 1
        while 2**n_left < n_classes:
            n_left *= 2
        circuit, left = qcnn_circuit(self.n_qubits, n_left)
        margin = n_classes == 2
        return CircuitClassifier(
            QuantumLayer(
                embedding,
                circuit,
                initial_angles(self.distribution, self.spread, (circuit.n_weights,), key=key),
                PauliZ((left,)) if margin else basis_probabilities(left, range(n_classes)),
            ),
            input_shape,
            output_scale=scale_of(self.output_scale),
            margin=margin,
        )


def qcnn_circuit(n_wires: int, n_left: int) -> tuple[Circuit, tuple[int, ...]]:
    """The network's gates.

    Args:
        n_wires: a power of two.
        n_left: wires that are left at the end, a power of two of at most `n_wires`.

    Returns:
        The circuit, and the wires that are left.
    """
    weights = map(weight, count())
    wires = tuple(range(n_wires))
    operations: list[Operation] = []
    while len(wires) > n_left:
        shared = _take(weights, 15)
        pairs = list(zip(wires[::2], wires[1::2], strict=True))
        # Between two wires there is one pair, and it has been met.
        between = list(zip(wires[1::2], (*wires[2::2], wires[0]), strict=True)) if len(wires) > 2 else []
        operations += [gate for pair in (*pairs, *between) for gate in two_qubit_gate(*pair, shared)]
        shared = _take(weights, 6)
        operations += [gate for pair in pairs for gate in _pool(*pair, shared)]
        wires = wires[::2]
    if len(wires) == 1:
        operations.append(Operation("Rot", wires, tuple(_take(weights, 3))))
    for pair in pairwise(wires):
        operations += two_qubit_gate(*pair, _take(weights, 15))
    return Circuit(n_wires, tuple(operations)), wires


def two_qubit_gate(first: int, second: int, angles: list[Angle]) -> list[Operation]:
    """Any gate of SU(4): a Rot on each wire, exp(-i (a XX + b YY + c ZZ) / 2), a Rot on each wire.

    The three angles a, b and c are in the middle of the fifteen. Three CNOT are the fewest (Vatan and Williams, figure
    6, with their angles in units of -2 and up to a phase).
    """
    xx, yy, zz = angles[6:9]
    right = constant(math.pi / 2)
    return [
        Operation("Rot", (first,), tuple(angles[0:3])),
        Operation("Rot", (second,), tuple(angles[3:6])),
        Operation("RZ", (second,), (-right,)),
        Operation("CNOT", (second, first)),
        Operation("RZ", (first,), (zz + right,)),
        Operation("RY", (second,), (-xx - right,)),
        Operation("CNOT", (first, second)),
        Operation("RY", (second,), (yy + right,)),
        Operation("CNOT", (second, first)),
        Operation("RZ", (first,), (right,)),
        Operation("Rot", (first,), tuple(angles[9:12])),
        Operation("Rot", (second,), tuple(angles[12:15])),
    ]


def _pool(kept: int, measured: int, angles: list[Angle]) -> list[Operation]:
    """V on the wire that is kept, W on the one that is measured, CNOT from that, and V^-1."""
    phi, theta, omega = angles[0:3]
    return [
        Operation("Rot", (kept,), (phi, theta, omega)),
        Operation("Rot", (measured,), tuple(angles[3:6])),
        Operation("CNOT", (measured, kept)),
        Operation("Rot", (kept,), (-omega, -theta, -phi)),
    ]


def _take(weights: Iterator[Angle], number: int) -> list[Angle]:
    return [next(weights) for _ in range(number)]
