"""Trainable circuits: how many weights they take, in which shape, and the operations they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from qdistill.errors import CircuitError
from qdistill.quantum.angle import weight
from qdistill.quantum.bounds import check_operations, check_wires
from qdistill.quantum.circuit import Circuit, Operation


@runtime_checkable
class Ansatz(Protocol):
    """Anything that names a weight shape and the circuit that reads those weights in C order."""

    @property
    def n_wires(self) -> int:
        """Number of qubits."""
        ...

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights; the circuit's weight indices count through it in C order."""
        ...

    def circuit(self) -> Circuit:
        """The operations."""
        ...


def check_ansatz(n_wires: int, n_layers: int, layer_operations: int) -> None:
    """Make sure that there are wires, and that the layers are not too many operations.

    Args:
        n_wires: number of qubits.
        n_layers: number of layers.
        layer_operations: the most operations of a layer.

    Raises:
        CircuitError: there are none, a negative number of layers, or too many operations.
    """
    check_wires(n_wires)
    if n_layers < 0:
        raise CircuitError(f"Argument `n_layers` must be at least 0, but was {n_layers}.")
    check_operations(layer_operations * n_layers, f"an ansatz of {n_layers:,} layers on {n_wires:,} wires")


@dataclass(frozen=True)
class StronglyEntangling:
    """Layers of a Rot on every wire, then CNOT(i, (i + r) mod n) on every wire i, r = l mod (n - 1) + 1.

    Args:
        n_wires: number of qubits n; with one qubit there are no CNOTs.
        n_layers: number of layers L.
        entangler: the gate in the CNOT's place.

    Reference:
        Schuld, Bocharov, Svore and Wiebe, arXiv 1804.00633; weights (L, n, 3) and ranges as in PennyLane's
        ``StronglyEntanglingLayers``.
    """

    n_wires: int
    n_layers: int
    entangler: Literal["CNOT", "CZ"] = "CNOT"

    def __post_init__(self) -> None:
        """Check the sizes and the entangler."""
        check_ansatz(self.n_wires, self.n_layers, 2 * self.n_wires)
        if self.entangler not in ("CNOT", "CZ"):
            raise CircuitError.unknown("entangler", self.entangler, ("CNOT", "CZ"))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(n_layers, n_wires, 3), the three angles of each Rot in radians."""
        return (self.n_layers, self.n_wires, 3)

    def circuit(self) -> Circuit:
        """The layers' operations, in order."""
        n = self.n_wires
        operations = []
        for layer in range(self.n_layers):
            for wire in range(n):
                first = (layer * n + wire) * 3
                operations.append(Operation("Rot", (wire,), tuple(weight(first + k) for k in range(3))))
            if n > 1:
                distance = layer % (n - 1) + 1
                operations += [Operation(self.entangler, (wire, (wire + distance) % n)) for wire in range(n)]
        return Circuit(n, tuple(operations))


@dataclass(frozen=True)
class BasicEntangling:
    """Layers of one rotation on every wire, then a closed ring of CNOTs between neighbours.

    With two wires the ring is a single CNOT, and with one wire there is none, as in PennyLane's
    ``BasicEntanglerLayers``.

    Args:
        n_wires: number of qubits n.
        n_layers: number of layers L.
        rotation: the gate on every wire.
    """

    n_wires: int
    n_layers: int
    rotation: Literal["RX", "RY", "RZ"] = "RX"

    def __post_init__(self) -> None:
        """Check the sizes and the rotation."""
        check_ansatz(self.n_wires, self.n_layers, 2 * self.n_wires)
        if self.rotation not in ("RX", "RY", "RZ"):
            raise CircuitError.unknown("rotation", self.rotation, ("RX", "RY", "RZ"))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(n_layers, n_wires), the angle of each rotation in radians."""
        return (self.n_layers, self.n_wires)

    def circuit(self) -> Circuit:
        """The layers' operations, in order."""
        n = self.n_wires
        ring = [] if n == 1 else [(0, 1)] if n == 2 else [(wire, (wire + 1) % n) for wire in range(n)]
        operations = []
        for layer in range(self.n_layers):
            operations += [Operation(self.rotation, (wire,), (weight(layer * n + wire),)) for wire in range(n)]
            operations += [Operation("CNOT", wires) for wires in ring]
        return Circuit(n, tuple(operations))
