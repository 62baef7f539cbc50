"""The nineteen circuits that Sim, Johnson and Aspuru-Guzik compared (arXiv 1905.10876, figure 2), by number.

Every layer is a short list of steps: rotations of each wire, or two-wire gates on pairs of wires. The figure shows them
on four wires. On any number n of wires,

    ladder      (n-1, n-2), (n-2, n-3), ..., (1, 0)
    bricks      (1, 0), (3, 2), ..., and the pairs between them, (2, 1), (4, 3), ...
    all         every ordered pair, controls and targets from the last wire to the first
    block of r  (c, c + r mod n) for c = n-1, n-1-r, n-1-2r, ... mod n, until a control comes again: the code blocks of
                Schuld et al. (arXiv 1804.00633), of n / gcd(n, r) gates

where of two wires the control comes first. Tests hold all 19 equal to other implementations, and their parameters and
two-wire gates to the paper's table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qdistill.errors import CircuitError
from qdistill.quantum.angle import Angle, weight
from qdistill.quantum.ansatz import check_ansatz
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.gates import GATES

Groups = Callable[[int], Sequence[tuple[int, ...]]]
"""The wires of each gate of a step, for n wires."""


def _each(n: int) -> list[tuple[int, ...]]:
    return [(wire,) for wire in range(n)]


def _inner(n: int) -> list[tuple[int, ...]]:
    return [(wire,) for wire in range(1, n - 1)]


def _ladder(n: int) -> list[tuple[int, ...]]:
    return [(wire, wire - 1) for wire in range(n - 1, 0, -1)]


def _bricks(n: int) -> list[tuple[int, ...]]:
    return [(wire, wire - 1) for wire in range(1, n, 2)]


def _bricks_between(n: int) -> list[tuple[int, ...]]:
    return [(wire, wire - 1) for wire in range(2, n, 2)]


def _all(n: int) -> list[tuple[int, ...]]:
    wires = range(n - 1, -1, -1)
    return [(control, target) for control in wires for target in wires if target != control]


def _ring(n: int) -> list[tuple[int, ...]]:
    """The ladder closed. On two wires the closing CZ would undo the other, so that there it is the ladder."""
    return [*_ladder(n), (0, n - 1)] if n > 2 else _ladder(n)


def _block(n: int, distance: int) -> list[tuple[int, ...]]:
    if n == 1:
        return []
    controls = [(n - 1 - step * distance) % n for step in range(n // math.gcd(n, distance))]
    return [(control, (control + distance) % n) for control in controls]


def _near(n: int) -> list[tuple[int, ...]]:
    return _block(n, 1)


def _far(n: int) -> list[tuple[int, ...]]:
    """The block of 3; on two or three wires, which have no such distance, the longest that there is."""
    return _block(n, min(3, n - 1))


Step = tuple[str, Groups]

_RX_RZ: tuple[Step, ...] = (("RX", _each), ("RZ", _each))
_RY_RZ: tuple[Step, ...] = (("RY", _each), ("RZ", _each))
_INNER: tuple[Step, ...] = (("RY", _inner), ("RZ", _inner))


def _blocks(gate: str) -> tuple[Step, ...]:
    return (("RY", _each), (gate, _near), ("RY", _each), (gate, _far))


_LAYERS: dict[int, tuple[Step, ...]] = {
    1: _RX_RZ,
    2: (*_RX_RZ, ("CNOT", _ladder)),
    3: (*_RX_RZ, ("CRZ", _ladder)),
    4: (*_RX_RZ, ("CRX", _ladder)),
    5: (*_RX_RZ, ("CRZ", _all), *_RX_RZ),
    6: (*_RX_RZ, ("CRX", _all), *_RX_RZ),
    7: (*_RX_RZ, ("CRZ", _bricks), *_RX_RZ, ("CRZ", _bricks_between)),
    8: (*_RX_RZ, ("CRX", _bricks), *_RX_RZ, ("CRX", _bricks_between)),
    9: (("H", _each), ("CZ", _ladder), ("RX", _each)),
    10: (("CZ", _ring), ("RY", _each)),
    11: (*_RY_RZ, ("CNOT", _bricks), *_INNER, ("CNOT", _bricks_between)),
    12: (*_RY_RZ, ("CZ", _bricks), *_INNER, ("CZ", _bricks_between)),
    13: _blocks("CRZ"),
    14: _blocks("CRX"),
    15: _blocks("CNOT"),
    16: (*_RX_RZ, ("CRZ", _bricks), ("CRZ", _bricks_between)),
    17: (*_RX_RZ, ("CRX", _bricks), ("CRX", _bricks_between)),
    18: (*_RX_RZ, ("CRZ", _near)),
    19: (*_RX_RZ, ("CRX", _near)),
}

SIM_NUMBERS = tuple(_LAYERS)
"""The paper's numbers of the circuits, 1 to 19."""


@dataclass(frozen=True)
class SimCircuit:
    """Layers of one of the nineteen circuits.

    Circuit 10 begins with RY on every wire, once, however many layers follow.

    Args:
        number: of the circuit in the paper, 1 to 19.
        n_wires: number of qubits n; with one qubit there are no two-wire gates.
        n_layers: number of layers L.

    Raises:
        CircuitError: another number, no wires, or too many gates.

    Reference:
        Sim, Johnson and Aspuru-Guzik, Adv. Quantum Technol. 2, 1900070 (2019), arXiv 1905.10876, figure 2.
    """

    number: int
    n_wires: int
    n_layers: int

    def __post_init__(self) -> None:
        """Check the number and the sizes."""
        if self.number not in _LAYERS:
            raise CircuitError(f"Argument `number` must be from 1 to {len(_LAYERS)}, but was {self.number}.")
        most = self.n_wires + 3 if self.number in (5, 6) else 6
        check_ansatz(self.n_wires, self.n_layers, most * self.n_wires)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(n_layers, angles of a layer), in radians, or (0,) without layers; of circuit 10 (n_layers + 1, n_wires)."""
        if self.number == 10:
            return (self.n_layers + 1, self.n_wires)
        if not self.n_layers:
            return (0,)
        steps = _LAYERS[self.number]
        return (self.n_layers, sum(GATES[gate].n_angles * len(groups(self.n_wires)) for gate, groups in steps))

    def circuit(self) -> Circuit:
        """The layers' operations, in order."""
        first: tuple[Step, ...] = (("RY", _each),) if self.number == 10 else ()
        operations: list[Operation] = []
        n_weights = 0
        for gate, groups in first + self.n_layers * _LAYERS[self.number]:
            for wires in groups(self.n_wires):
                angles: tuple[Angle, ...] = ()
                if GATES[gate].n_angles:
                    angles, n_weights = (weight(n_weights),), n_weights + 1
                operations.append(Operation(gate, wires, angles))
        return Circuit(self.n_wires, tuple(operations))
