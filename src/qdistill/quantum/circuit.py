"""Circuits as plain data: what the simulator, the exporters, the cost model and the noise model all read.

Everything here is frozen and hashable, holds no arrays, and knows nothing of JAX.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from qdistill.errors import CircuitError
from qdistill.numbers import complex_numpy
from qdistill.quantum.angle import Angle, constant, weight
from qdistill.quantum.arguments import as_number, json_fields, keep
from qdistill.quantum.bounds import check_operations, check_wires
from qdistill.quantum.gates import GATES, UNITARY, euler_angles


def as_wires(wires: Any) -> tuple[int, ...]:
    """Wires from any sequence or array of integers.

    Raises:
        TypeError: it is none.
    """
    return tuple(map(operator.index, wires))


@dataclass(frozen=True)
class Operation:
    """One gate on its wires. Lists and arrays are kept as tuples.

    Args:
        gate: a name of `gates.GATES`, or ``"Unitary"`` for a one-wire gate given by `matrix`.
        wires: the wires, each once; for a controlled gate the control comes first.
        angles: as many as the gate takes; a number of radians is kept as a `constant`.
        matrix: rows of the 2x2 unitary, for ``"Unitary"`` only.

    Raises:
        CircuitError: unknown gate, wrong number of wires or angles, a wire twice, a non-unitary matrix, or an argument
            that is none of its kind.

    Example:
        >>> Operation("CRX", (0, 1), (weight(3),))  # doctest: +ELLIPSIS
        Operation(gate='CRX', wires=(0, 1), ...)
    """

    gate: str
    wires: tuple[int, ...]
    angles: tuple[Angle, ...] = ()
    matrix: tuple[tuple[complex, complex], tuple[complex, complex]] | None = None

    def __post_init__(self) -> None:
        """Check the operation, so that every circuit that exists has a meaning."""
        keep(self, "wires", as_wires, "wires such as (0, 1)")
        keep(self, "angles", _angles, "angles such as (weight(0), 0.5)")
        if self.matrix is not None:
            keep(self, "matrix", _rows, "the rows of a 2x2 matrix")
        if self.gate == UNITARY:
            if self.matrix is None:
                raise CircuitError("Argument `matrix` must be given for the gate 'Unitary', but was None.")
            euler_angles(np.array(self.matrix))
            n_wires, n_angles = 1, 0
        elif self.gate not in GATES:
            raise CircuitError.unknown("gate", self.gate, [*GATES, UNITARY])
        else:
            if self.matrix is not None:
                raise CircuitError(f"Argument `matrix` must be None for the gate {self.gate!r}.")
            n_wires, n_angles = GATES[self.gate].n_wires, GATES[self.gate].n_angles
        if len(self.wires) != n_wires or len(set(self.wires)) != n_wires:
            raise CircuitError(
                f"Argument `wires` must be {n_wires} different wires for the gate {self.gate!r}, but was {self.wires}."
            )
        if len(self.angles) != n_angles:
            raise CircuitError(
                f"Argument `angles` must be {n_angles} angles for the gate {self.gate!r}, but was {len(self.angles)}."
            )


@dataclass(frozen=True)
class Circuit:
    """A sequence of operations on `n_wires` wires; wire 0 is the most significant bit of a basis state.

    Args:
        n_wires: number of qubits, at least 1.
        operations: applied from first to last.

    Raises:
        CircuitError: no wires, more wires or operations than `bounds` allows, an operation on a wire that the circuit
            does not have, or what is no operation.
    """

    n_wires: int
    operations: tuple[Operation, ...] = ()

    def __post_init__(self) -> None:
        """Check the wires of every operation."""
        keep(self, "n_wires", operator.index, "an integer")
        keep(self, "operations", tuple, "a sequence of operations")
        check_wires(self.n_wires)
        check_operations(len(self.operations), "this one")
        given: tuple[Any, ...] = self.operations
        for each in given:
            if not isinstance(each, Operation):
                raise CircuitError(f"Argument `operations` must be operations, but one of them was {each!r}.")
        for place, operation in enumerate(self.operations):
            if any(not 0 <= wire < self.n_wires for wire in operation.wires):
                raise CircuitError(
                    f"Argument `operations` must use wires 0 to {self.n_wires - 1}, but operation {place} "
                    f"({operation.gate}) is on wires {operation.wires}."
                )

    @cached_property
    def n_weights(self) -> int:
        """Length of the flat weight vector: the largest index used, plus one."""
        return max((a.weights[-1] + 1 for o in self.operations for a in o.angles if a.weights), default=0)

    @cached_property
    def n_features(self) -> int:
        """Number of features used as angles: the largest index used, plus one."""
        return max((a.features[-1] + 1 for o in self.operations for a in o.angles if a.features), default=0)

    def then(self, operations: Iterable[Operation]) -> Circuit:
        """This circuit followed by more operations on the same wires."""
        return Circuit(self.n_wires, (*self.operations, *operations))

    def inverse(self) -> Circuit:
        """The circuit that undoes this one."""
        return Circuit(self.n_wires, tuple(map(_inverse, reversed(self.operations))))

    def angles_apart(self) -> tuple[Circuit, tuple[Angle, ...], tuple[str, ...]]:
        """The same circuit with a weight of its own for every angle that is not constant.

        A shift rule moves the angle of one gate at a time, where several gates may read one weight.

        Returns:
            The circuit; for each of its weights the angle that it stands for, and the gate that this is of.
        """
        angles: list[Angle] = []
        gates: list[str] = []
        operations = []
        for operation in self.operations:
            own = []
            for angle in operation.angles:
                if angle.is_constant:
                    own.append(angle)
                    continue
                own.append(weight(len(angles)))
                angles.append(angle)
                gates.append(operation.gate)
            operations.append(replace(operation, angles=tuple(own)))
        return Circuit(self.n_wires, tuple(operations)), tuple(angles), tuple(gates)

    def to_json(self) -> dict[str, Any]:
        """The circuit as plain data, a complex number as [real, imaginary]; `from_json` reads it back."""
        operations = [
            {
                "gate": operation.gate,
                "wires": list(operation.wires),
                "angles": [angle.to_json() for angle in operation.angles],
                "matrix": operation.matrix
                and [[[entry.real, entry.imag] for entry in map(complex, row)] for row in operation.matrix],
            }
            for operation in self.operations
        ]
        return {"n_wires": self.n_wires, "operations": operations}

    @classmethod
    def from_json(cls, plain: Any) -> Circuit:
        """Read a circuit that `to_json` wrote.

        Raises:
            CircuitError: a field is unknown, missing or of another type, or the circuit has no meaning.
        """
        fields = json_fields(plain, "the circuit", {"n_wires": int, "operations": list})
        check_operations(len(fields["operations"]), "this one")
        operations = []
        for place, entry in enumerate(fields["operations"]):
            where = f"operation {place}"
            given = json_fields(entry, where, {"gate": str, "wires": list, "angles": list, "matrix": list | None})
            if not all(type(wire) is int for wire in given["wires"]):
                raise CircuitError(
                    f"Argument `plain` must be a circuit, but the wires of {where} are {given['wires']}."
                )
            angles = tuple(Angle.from_json(angle, f"an angle of {where}") for angle in given["angles"])
            matrix = given["matrix"] if given["matrix"] is None else _matrix(given["matrix"], where)
            operations.append(Operation(given["gate"], tuple(given["wires"]), angles, matrix))
        return cls(fields["n_wires"], tuple(operations))


def _inverse(operation: Operation) -> Operation:
    """The operation that undoes another; gates without angles are their own inverses, or given by their matrix."""
    if operation.angles:
        # Rot is RZ RY RZ: the last angle comes first.
        return replace(operation, angles=tuple(-angle for angle in reversed(operation.angles)))
    if len(operation.wires) > 1:
        return operation
    matrix = np.array(operation.matrix) if operation.gate == UNITARY else GATES[operation.gate].matrix()
    if (matrix == matrix.conj().T).all():
        return operation
    (a, b), (c, d) = matrix.conj().T.tolist()
    return Operation(UNITARY, operation.wires, matrix=((a, b), (c, d)))


def _angles(angles: Any) -> tuple[Angle, ...]:
    return tuple(angle if isinstance(angle, Angle) else constant(as_number(angle)) for angle in angles)


def _rows(matrix: Any) -> tuple[tuple[complex, ...], ...]:
    return tuple(map(tuple, complex_numpy("matrix", matrix).tolist()))


def _matrix(plain: list[Any], where: str) -> Any:
    """The rows of a 2x2 matrix from lists of [real, imaginary]."""
    try:
        numbers = np.array(plain, dtype=float)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (2, 2, 2):
        raise CircuitError(
            f"Argument `plain` must be a circuit, but the matrix of {where} is not 2x2 pairs of numbers: {plain!r}."
        )
    return tuple(tuple(complex(*entry) for entry in row) for row in numbers.tolist())
