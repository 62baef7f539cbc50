"""Qiskit circuits and OpenQASM 3 text as a `Circuit`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from qdistill.backends.extras import require
from qdistill.backends.standard_gates import STANDARD_GATES, standard_gate, unsupported
from qdistill.errors import ArgumentError, CircuitError
from qdistill.quantum.angle import Angle, constant, feature, weight
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.gates import UNITARY

_SILENT = ("barrier", "delay", "global_phase")
_MEASURING = ("measure", "reset", "initialize")


def from_qiskit(circuit: Any, *, features: Iterable[str] = ()) -> Circuit:
    """Read a `QuantumCircuit` as a circuit; its qubit q becomes wire n - 1 - q.

    Its parameters are told apart by their names: those in `features` are features, in that order, and all others are
    weights, sorted by name with numbers in them as numbers (``w2`` before ``w10``). A `ParameterVector` counts by its
    own name and with all of its elements. Angles may be affine in one parameter, such as ``2 * w[0] + 0.1``. Gates
    beyond the package's own are taken apart (see `standard_gates`), by their definition where there is one. The
    global phase is left out.

    Args:
        circuit: the `QuantumCircuit`, without measurements.
        features: names of parameters and parameter vectors.

    Raises:
        MissingExtraError: Qiskit is not installed.
        CircuitError: a gate or an angle that a circuit cannot have, or a measurement.
        ArgumentError: a name in `features` that the circuit does not have.

    Example:
        >>> w, x = ParameterVector("w", 2), Parameter("x")  # doctest: +SKIP
        >>> qiskit_circuit = QuantumCircuit(2)  # doctest: +SKIP
        >>> qiskit_circuit.rx(x, 0)  # doctest: +SKIP
        >>> qiskit_circuit.rzz(2 * w[0], 0, 1)  # doctest: +SKIP
        >>> circuit = from_qiskit(qiskit_circuit, features=["x"])  # doctest: +SKIP
    """
    require("qiskit", "qiskit")
    vectors: dict[str, list[Any]] = {}
    for parameter in circuit.parameters:
        vector = getattr(parameter, "vector", None)
        vectors[parameter.name if vector is None else vector.name] = [parameter] if vector is None else list(vector)
    return _read(circuit, _sources(vectors, sorted(vectors, key=_natural), features), reverse=True)


def from_openqasm(text: str, *, features: Iterable[str] = ()) -> Circuit:
    """Read OpenQASM 3 text as a circuit; ``q[w]``, or the w-th qubit declared, becomes wire w.

    Its ``input`` declarations are the parameters: those in `features` are features, in that order, and all others
    are weights in the order of their declarations. Gates and angles are those of `from_qiskit`, whose reader is used.

    Args:
        text: the program.
        features: names of inputs. A name stands for an array too, as `to_openqasm` writes one: ``"features"`` for
            ``features_0``, ``features_1`` and so on.

    Raises:
        MissingExtraError: Qiskit or its OpenQASM 3 reader is not installed.
        CircuitError: the text cannot be read, or holds a gate, an angle or a measurement that a circuit cannot have.
        ArgumentError: a name in `features` that is not declared.
    """
    qasm = require("qiskit.qasm3", "qiskit")
    parser = require("openqasm3.parser", "qiskit")
    require("qiskit_qasm3_import", "qiskit")
    try:
        statements = parser.parse(text).statements
        circuit = qasm.loads(text)
    except Exception as error:  # the two readers have many kinds
        raise CircuitError(f"Argument `text` must be an OpenQASM 3 program that Qiskit reads, but: {error}") from error
    declared = [s.identifier.name for s in statements if type(s).__name__ == "IODeclaration"]
    by_name = {parameter.name: parameter for parameter in circuit.parameters}
    wanted = list(features)
    arrays = {name: [d for d in declared if re.fullmatch(rf"{re.escape(name)}_\d+", d)] for name in wanted}
    names = [entry for name in wanted for entry in ([name] if name in declared else arrays[name] or [name])]
    inputs = {name: [by_name.get(name)] for name in declared}
    return _read(circuit, _sources(inputs, declared, names), reverse=False)


def _sources(vectors: Mapping[str, list[Any]], order: list[str], features: Iterable[str]) -> dict[Any, Angle]:
    """What each parameter is: a weight or a feature, and which."""
    features = list(features)
    for name in features:
        if name not in vectors:
            raise ArgumentError.unknown("features", name, vectors)
    result: dict[Any, Angle] = {}
    for entry, names in ((feature, features), (weight, [name for name in order if name not in features])):
        parameters = [parameter for name in names for parameter in vectors[name]]
        result |= {parameter: entry(index) for index, parameter in enumerate(parameters)}
    return result


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which w2 comes before w10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read(circuit: Any, sources: Mapping[Any, Angle], *, reverse: bool) -> Circuit:
    n = circuit.num_qubits
    operations: list[Operation] = []
    for place, instruction in enumerate(circuit.data):
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        wires = [n - 1 - qubit if reverse else qubit for qubit in qubits]
        where = f"{place}, {instruction.operation.name} on qubits {qubits}"
        operations += _operations(instruction.operation, wires, sources, place, where)
    return Circuit(n, tuple(operations))


def _operations(gate: Any, wires: list[int], sources: Mapping[Any, Angle], place: int, where: str) -> list[Operation]:
    """The operations that an instruction of Qiskit stands for."""
    if gate.name in _SILENT:
        return []
    if gate.name in _MEASURING or hasattr(gate, "blocks"):
        raise CircuitError(
            f"Operation {where}, measures, resets or depends on a measurement: a circuit here is unitary, and its "
            "measurement is the layer's observable. `circuit.remove_final_measurements()` takes those at the end away."
        )
    if gate.name in STANDARD_GATES and gate.base_class is _class_of(gate.name):
        return standard_gate(gate.name, wires, [_angle(value, sources, where) for value in gate.params])
    if gate.name == "unitary" and len(wires) == 1:
        rows = np.asarray(gate.params[0], dtype=complex).tolist()
        return [Operation(UNITARY, tuple(wires), matrix=(tuple(rows[0]), tuple(rows[1])))]
    definition = getattr(gate, "definition", None)
    if definition is None or definition.num_clbits:
        raise unsupported(*_named(where, place), [*STANDARD_GATES, "unitary on one qubit"])
    inside = []
    for instruction in definition.data:
        on = [wires[definition.find_bit(qubit).index] for qubit in instruction.qubits]
        inside += _operations(instruction.operation, on, sources, place, where)
    return inside


def _class_of(name: str) -> Any:
    """The class of a standard gate of Qiskit: a gate of the user's own may have the same name."""
    gates = require("qiskit.circuit.library.standard_gates", "qiskit").get_standard_gate_name_mapping()
    return gates[name].base_class if name in gates else None


def _named(where: str, place: int) -> tuple[str, int, str]:
    name, _, qubits = where.removeprefix(f"{place}, ").partition(" on ")
    return name, place, qubits


def _angle(value: Any, sources: Mapping[Any, Angle], where: str) -> Angle:
    """A number or an expression that is affine in one parameter."""
    parameters = list(getattr(value, "parameters", ()))
    if not parameters:
        return constant(float(value))
    slope = value.gradient(parameters[0]) if len(parameters) == 1 else None
    if slope is None or getattr(slope, "parameters", None):
        raise CircuitError(
            f"Operation {where}, must have angles of the form scale * parameter + offset with one parameter, but one "
            f"of its angles is {value}."
        )
    return float(slope) * sources[parameters[0]] + float(value.assign(parameters[0], 0.0))
