"""PennyLane's operations as blocks of gates, while their parameters are traced."""

from __future__ import annotations

import math
import operator
import sys
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qdistill.backends.blocks import Block, block, joined
from qdistill.backends.refusals import Place, angle_refused, gate_refused, measurement_refused, state_refused
from qdistill.backends.standard_gates import standard_gate
from qdistill.errors import CircuitError
from qdistill.quantum.angle import Angle, constant, weight
from qdistill.quantum.circuit import Operation
from qdistill.quantum.gates import UNITARY

PENNYLANE_GATES = {
    "Hadamard": "h", "PauliX": "x", "PauliY": "y", "PauliZ": "z", "CNOT": "cx", "SX": "sx", "PhaseShift": "p",
    "U1": "u1", "U2": "u2", "U3": "u3", "ControlledPhaseShift": "cp", "CY": "cy", "CH": "ch", "IsingXX": "rxx",
    "IsingYY": "ryy", "IsingZZ": "rzz", "MultiRZ": "rzz", "ISWAP": "iswap", "Toffoli": "ccx", "CCZ": "ccz",
    "CSWAP": "cswap",
} | {name: name.lower() for name in ("RX", "RY", "RZ", "Rot", "S", "T", "CZ", "SWAP", "CRX", "CRY", "CRZ")}  # fmt: skip
"""PennyLane's names for `STANDARD_GATES`. `U2` and `U3` take their angles in the same order as Qiskit's."""

_SILENT = ("Identity", "Barrier", "Snapshot", "WireCut")
_STATES = ("StatePrep", "AmplitudeEmbedding", "QubitDensityMatrix")
_WAY_OUT = "Write it in gates that can, or as `qml.QubitUnitary` where its matrix is constant."
_MAX_DEPTH = 30
"""Of operations taken apart into operations: beyond any circuit's, so that one that is a part of itself ends."""
_MAX_WIRES = 6
"""Of an operation that is read from its matrix alone."""


@dataclass
class GateReader:
    """Reads operations, and collects the numbers among their parameters that are traced.

    Args:
        qml: the module `pennylane`.
        n_wires: that operations may be on.
        traced: the numbers; in the blocks, ``weight(i)`` stands for the i-th.
        places: the operation that each was found at.
        zeros: which of the numbers must be 0 for their operation to be unitary.
    """

    qml: Any
    n_wires: int
    traced: list[jax.Array] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    zeros: list[int] = field(default_factory=list)

    def read(self, operation: Any, number: int) -> Block:
        """An operation of the circuit, `number` counting from 0."""
        return self._block(operation, Place(number, (shown(operation),)))

    def _block(self, operation: Any, place: Place) -> Block:
        qml, name = self.qml, operation.name
        if len(place.names) > _MAX_DEPTH:
            raise gate_refused(place, PENNYLANE_GATES, _WAY_OUT, "PennyLane takes it apart without end")
        own = type(operation).__module__.startswith("pennylane.")  # a gate of the user's may have any name
        if (own and "Measure" in name) or isinstance(operation, qml.ops.Conditional):
            raise measurement_refused(place)
        if (own and name in _STATES) or (isinstance(operation, qml.BasisState) and _is_traced(operation.data)):
            raise state_refused(place)
        wires = self._wires(operation, place)
        if own and name in _SILENT:
            return Block()
        if isinstance(operation, qml.GlobalPhase):  # exp(-i angle)
            return Block((), -self._angle(operation.data[0], place))
        if own and name in PENNYLANE_GATES:
            angles = [self._angle(value, place) for value in operation.data]
            return standard_gate(PENNYLANE_GATES[name], wires, angles)
        if isinstance(operation, qml.BasisState):
            return block(*(Operation("X", (wire,)) for wire in _ones(operation, wires, place)))
        if isinstance(operation, qml.QubitUnitary) and not _is_traced(operation.data):
            return self._unitary(operation, wires, place)
        if isinstance(operation, qml.ops.Controlled):
            controls = self._checked(operation.control_wires, place)
            return self._part(operation.base, place).controlled(controls, map(bool, operation.control_values))
        if isinstance(operation, qml.ops.Adjoint):
            return self._part(operation.base, place).inverse()
        if isinstance(operation, qml.ops.Exp):
            self._require_phase(operation.coeff, place)
        return self._taken_apart(operation, place)

    def _require_phase(self, coefficient: Any, place: Place) -> None:
        """Of an exponential of a Hermitian operator, refuse or note a real part, which PennyLane would drop."""
        if _is_traced([coefficient]):
            self.zeros.append(len(self.traced))
            self._angle(jnp.real(coefficient), place)
        elif abs(np.real(self.qml.math.toarray(coefficient))) > 1e-9:
            raise not_unitary(place)

    def _part(self, operation: Any, place: Place) -> Block:
        return self._block(operation, place.inside(shown(operation)))

    def _taken_apart(self, operation: Any, place: Place) -> Block:
        """What PennyLane takes an operation apart into, or what its matrix says."""
        is_power = isinstance(operation, self.qml.ops.Pow)
        if is_power and isinstance(operation.z, int) and type(operation.base).pow is self.qml.operation.Operator.pow:
            return self._part(operation.base, place).repeated(operation.z)  # as PennyLane does, but bounded
        try:
            with self.qml.queuing.QueuingManager.stop_recording():
                parts = operation.base.pow(operation.z) if is_power else operation.decomposition()
        except RecursionError:  # said of the whole function
            raise
        except Exception as error:  # whatever a decomposition does that cannot be traced
            if is_power and isinstance(operation.z, int):
                return self._part(operation.base, place).repeated(operation.z)
            return self._from_matrix(operation, place, error)
        return joined(self._part(part, place) for part in parts)

    def _from_matrix(self, operation: Any, place: Place, why: Exception) -> Block:
        traced = _is_traced(operation.data)
        if not traced and len(operation.wires) <= _MAX_WIRES:
            try:
                matrix = self.qml.matrix(operation, wire_order=operation.wires)
                with self.qml.queuing.QueuingManager.stop_recording():
                    unitary = self.qml.QubitUnitary(matrix, wires=operation.wires)
            except RecursionError:
                raise
            except Exception:  # it has none
                pass
            else:
                return self._part(unitary, place)
        unknown = " while its numbers are unknown" if traced else ""
        reason = f"PennyLane cannot take it apart{unknown}: {type(why).__name__}"
        known = [*PENNYLANE_GATES, "QubitUnitary"]
        raise gate_refused(place, known, _WAY_OUT, "" if type(why).__name__ in _NO_PARTS else reason)

    def _unitary(self, operation: Any, wires: tuple[int, ...], place: Place) -> Block:
        """A constant matrix on any number of wires."""
        matrix = np.asarray(operation.data[0], dtype=complex)
        if matrix.ndim != 2 or not np.allclose(matrix @ matrix.conj().T, np.eye(len(matrix)), atol=1e-6):
            raise not_unitary(place)
        if len(wires) > 1:
            return self._taken_apart(operation, place)
        first, second = map(tuple, matrix.tolist())
        return block(Operation(UNITARY, wires, matrix=(first, second)))

    def _angle(self, value: Any, place: Place) -> Angle:
        """A parameter of one entry: a number, or what stands for a traced one."""
        size = math.prod(np.shape(value))
        if size != 1:
            raise CircuitError(
                f"Operation {place}, must take one number as an angle, but takes {size} of shape {np.shape(value)}. "
                "Name the entry, such as features[0]."
            )
        if _is_traced([value]):
            self.traced.append(jnp.reshape(value, ()))
            self.places.append(place)
            return weight(len(self.traced) - 1)
        number = np.asarray(self.qml.math.toarray(value)).reshape(()).item()
        if isinstance(number, int):  # one beyond all floats is no angle
            number = float(number) if abs(number) < sys.float_info.max else math.inf
        if np.ma.is_masked(value) or not isinstance(number, float) or not math.isfinite(number):
            traced = (
                ", as of gates that are queued under `jax.jit`" if isinstance(number, jax.core.AbstractValue) else ""
            )
            raise angle_refused(place, f"{number!r}, which is no finite real number{traced}")
        return constant(number)

    def _wires(self, operation: Any, place: Place) -> tuple[int, ...]:
        return self._checked(operation.wires, place)

    def _checked(self, wires: Any, place: Place) -> tuple[int, ...]:
        numbers = tuple(_as_number(wire) for wire in wires)
        if any(type(wire) is not int or not 0 <= wire < self.n_wires for wire in numbers):
            raise CircuitError(f"Operation {place}, must be on the wires 0 to {self.n_wires - 1}.")
        return numbers


def not_unitary(place: Place) -> CircuitError:
    """The error for an operation that is no gate."""
    return gate_refused(place, [*PENNYLANE_GATES, "QubitUnitary"], _WAY_OUT, "its matrix is not unitary")


_NO_PARTS = ("DecompositionUndefinedError",)


def shown(operation: Any) -> str:
    """An operation as errors name it."""
    return f"{operation.name} on wires {[_as_number(wire) for wire in operation.wires]}"


def _as_number(wire: Any) -> Any:
    """A wire as a plain integer, or itself where it is none."""
    try:
        return wire if isinstance(wire, bool | np.bool_) else operator.index(wire)
    except (TypeError, jax.errors.JAXTypeError):
        return wire


def _is_traced(values: Any) -> bool:
    return any(isinstance(value, jax.core.Tracer) for value in values)


def _ones(operation: Any, wires: tuple[int, ...], place: Place) -> list[int]:
    """The wires that a basis state has at 1."""
    bits = np.asarray(operation.data[0]).reshape(-1)
    if len(bits) != len(wires) or not np.isin(bits, (0, 1)).all():
        raise state_refused(place)
    return [wire for wire, bit in zip(wires, bits, strict=True) if bit]
