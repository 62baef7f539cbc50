"""Qiskit's instructions as blocks of gates."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdistill.backends.blocks import Block, block, joined
from qdistill.backends.extras import require
from qdistill.backends.qiskit_parameters import Variables
from qdistill.backends.refusals import Place, gate_refused, measurement_refused, state_refused
from qdistill.backends.standard_gates import STANDARD_GATES, standard_gate
from qdistill.errors import CircuitError, QDistillError
from qdistill.quantum.bounds import check_operations
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.gates import UNITARY

_SILENT = ("Barrier", "Delay")
_DEPENDING = ("Measure", "Reset", "IfElseOp", "WhileLoopOp", "SwitchCaseOp", "BreakLoopOp", "ContinueLoopOp", "Store")
_BASIS = ("rx", "ry", "rz", "h", "x", "cx", "cz")
_KNOWN = [*STANDARD_GATES, "unitary"]
_WAY_OUT = f"`qiskit.transpile(circuit, basis_gates={list(_BASIS)})` may write it in gates that can."


def circuit_of(source: Any, variables: Variables, *, reverse: bool) -> Circuit:
    """A `QuantumCircuit` without its final measurements as a circuit.

    Args:
        source: the `QuantumCircuit`.
        variables: what its parameters are.
        reverse: whether qubit q becomes wire n - 1 - q, or wire q.
    """
    if not source.num_qubits:
        raise CircuitError("A circuit must have at least one qubit, but this one has none.")
    reader = _Reader(source, variables, reverse)
    last = _final_measurements(source)
    blocks = [reader.read(place, instruction) for place, instruction in enumerate(source.data) if place not in last]
    return Circuit(source.num_qubits, joined(blocks).operations)


def _final_measurements(circuit: Any) -> set[int]:
    """The places of measurements that nothing follows on their qubit."""
    used: set[Any] = set()
    places = set()
    for place in reversed(range(len(circuit.data))):
        instruction = circuit.data[place]
        if _kind(instruction.operation) == "Measure" and not used & set(instruction.qubits):
            places.add(place)
        elif _kind(instruction.operation) not in _SILENT:
            used |= set(instruction.qubits)
    return places


@dataclass(frozen=True)
class _Reader:
    """Reads instructions of one circuit."""

    circuit: Any
    variables: Variables
    reverse: bool

    def read(self, number: int, instruction: Any) -> Block:
        """An instruction of the circuit itself."""
        qubits = [self.circuit.find_bit(qubit).index for qubit in instruction.qubits]
        wires = tuple(self.circuit.num_qubits - 1 - qubit if self.reverse else qubit for qubit in qubits)
        return self._block(instruction.operation, wires, Place(number, (self._shown(instruction.operation, wires),)))

    def _shown(self, gate: Any, wires: Sequence[int]) -> str:
        last = self.circuit.num_qubits - 1
        return f"{gate.name} on qubits {[last - wire if self.reverse else wire for wire in wires]}"

    def _part(self, gate: Any, wires: Sequence[int], place: Place) -> Block:
        return self._block(gate, tuple(wires), place.inside(self._shown(gate, wires)))

    def _inner(self, circuit: Any, wires: Sequence[int], place: Place) -> Block:
        """A circuit inside an instruction, with its global phase."""
        parts = [
            self._part(inner.operation, [wires[circuit.find_bit(qubit).index] for qubit in inner.qubits], place)
            for inner in circuit.data
        ]
        return Block((), self.variables.angle(circuit.global_phase, place)).then(*parts)

    def _block(self, gate: Any, wires: tuple[int, ...], place: Place) -> Block:
        name, kind = gate.name, _kind(gate)
        if kind in _SILENT:
            return Block()
        if kind in _DEPENDING:
            raise measurement_refused(place)
        if kind == "Initialize":
            raise state_refused(place)
        if kind == "GlobalPhaseGate":
            return Block((), self.variables.angle(gate.params[0], place))
        if name in STANDARD_GATES and gate.base_class is _class_of(name):
            return self._standard(gate, wires, place)
        if kind == "UnitaryGate" and len(wires) == 1:
            rows = np.asarray(gate.params[0], dtype=complex).tolist()
            return block(Operation(UNITARY, wires, matrix=(tuple(rows[0]), tuple(rows[1]))))
        if kind == "ForLoopOp":
            return self._loop(gate, wires, place)
        if kind == "BoxOp":
            return self._inner(gate.blocks[0], wires, place)
        if kind == "AnnotatedOperation":
            return self._annotated(gate, wires, place)
        if _is_fully_controlled(gate):
            controls, rest = wires[: gate.num_ctrl_qubits], wires[gate.num_ctrl_qubits :]
            return self._part(gate.base_gate, rest, place).controlled(controls)
        return self._taken_apart(gate, wires, place)

    def _standard(self, gate: Any, wires: tuple[int, ...], place: Place) -> Block:
        """A gate of `STANDARD_GATES`; the U in a controlled `CUGate` has that gate's phase as a fourth angle."""
        angles = [self.variables.angle(value, place) for value in gate.params]
        own = STANDARD_GATES[gate.name].n_angles
        return joined([Block((), phase) for phase in angles[own:]]).then(standard_gate(gate.name, wires, angles[:own]))

    def _loop(self, gate: Any, wires: tuple[int, ...], place: Place) -> Block:
        """A loop over numbers that are known, turn by turn."""
        indices, parameter, body = gate.params
        check_operations(len(indices) * len(body.data), f"{gate.name} of {len(indices)} turns")
        turns = [body if parameter is None else body.assign_parameters({parameter: index}) for index in indices]
        return joined(self._inner(turn, wires, place) for turn in turns)

    def _annotated(self, gate: Any, wires: tuple[int, ...], place: Place) -> Block:
        """An operation with modifiers, of which the first applies first; each adds its controls before the qubits."""
        base = gate.base_op.num_qubits
        result = self._part(gate.base_op, wires[len(wires) - base :], place)
        free = wires[: len(wires) - base]
        for modifier in gate.modifiers:
            match type(modifier).__name__:
                case "InverseModifier":
                    result = result.inverse()
                case "ControlModifier":
                    count = modifier.num_ctrl_qubits
                    free, controls = free[: len(free) - count], free[len(free) - count :]
                    result = result.controlled(controls, [bool(modifier.ctrl_state >> bit & 1) for bit in range(count)])
                case "PowerModifier" if modifier.power == int(modifier.power):
                    result = result.repeated(int(modifier.power))
                case _:
                    return self._taken_apart(gate, wires, place)
        return result

    def _taken_apart(self, gate: Any, wires: tuple[int, ...], place: Place) -> Block:
        """What Qiskit takes an instruction apart into: by its definition, or as its transpiler does."""
        try:
            definition = getattr(gate, "definition", None) or _transpiled(gate)
        except QDistillError:
            raise
        except Exception as error:  # whatever a definition does with parameters, or a transpiler with what has none
            said = getattr(error, "message", None) or str(error)
            raise gate_refused(place, _KNOWN, _WAY_OUT, f"Qiskit cannot take it apart: {said}") from error
        if definition is None or definition.num_clbits:
            raise gate_refused(place, _KNOWN, _WAY_OUT)
        return self._inner(definition, wires, place)


def _kind(gate: Any) -> str:
    """The name of an instruction's class: a gate of the user's own may have any name."""
    return getattr(gate, "base_class", type(gate)).__name__


def _is_fully_controlled(gate: Any) -> bool:
    """Whether a gate is another one under controls that must all be 1; of an X, Qiskit's own definition is shorter."""
    return (
        isinstance(gate, require("qiskit.circuit", "qiskit").ControlledGate)
        and gate.ctrl_state == 2**gate.num_ctrl_qubits - 1
        and gate.num_qubits == gate.num_ctrl_qubits + gate.base_gate.num_qubits
        and gate.base_gate.name != "x"
    )


@functools.cache
def _class_of(name: str) -> Any:
    """The class of a standard gate of Qiskit."""
    gates = require("qiskit.circuit.library.standard_gates", "qiskit").get_standard_gate_name_mapping()
    return gates[name].base_class if name in gates else None


def _transpiled(gate: Any) -> Any:
    """An operation without a definition, as Qiskit's synthesis writes it."""
    qiskit = require("qiskit", "qiskit")
    circuit = qiskit.QuantumCircuit(gate.num_qubits)
    circuit.append(gate, range(gate.num_qubits))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Qiskit about itself
        return qiskit.transpile(circuit, basis_gates=[*_BASIS, "p", "global_phase"], optimization_level=0)
