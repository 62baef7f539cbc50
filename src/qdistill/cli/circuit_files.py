"""Circuits that the command line names by a file: JSON, OpenQASM, or a Python file that defines one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdistill.cli.plugins import run_file
from qdistill.errors import ArgumentError

if TYPE_CHECKING:
    from qdistill.models import CircuitArchitecture
    from qdistill.quantum import Circuit

FILES = "FILE.json|.qasm|.py"
"""What the help calls such a file."""

_NAMES = ("n_wires", "weight_shape", "n_features", "features", "observables")
"""What a Python file may define beside `circuit`: arguments of the functions that read it."""


def circuit_of_file(path: Path, *, whole: bool) -> Circuit | CircuitArchitecture:
    """Read a circuit from a file.

    Args:
        path: OpenQASM (``.qasm``), JSON, or Python (``.py``). A Python file is run, and may import the modules beside
            it. It defines ``circuit``: a `Circuit`, a `CircuitArchitecture`, a function or QNode of PennyLane with
            `weight_shape` (and `n_features`, `features`, `n_wires`) as `classifier_from_pennylane` takes them, or a
            `QuantumCircuit` of Qiskit with `features` (and `observables`).
        whole: whether it is a whole model, with what it measures, or the gates alone.

    Returns:
        A circuit; or the model, where it is whole and the file says what it measures.

    Raises:
        ArgumentError: it cannot be read, or holds no circuit.
        MissingExtraError: what reads it is not installed.
    """
    from qdistill.backends.circuit_files import read_circuit

    if path.suffix.lower() != ".py":
        return read_circuit(path)
    names = vars(run_file(path, "circuit"))
    if "circuit" not in names:
        raise ArgumentError(f"The file {path} must define `circuit`, but does not. {_what_it_may_be()}")
    given = {name: names[name] for name in _NAMES if name in names}
    try:
        return _as_circuit(names["circuit"], given, whole)
    except ArgumentError as error:
        raise ArgumentError(f"In the file {path}: {error}") from error


def _as_circuit(circuit: Any, given: dict[str, Any], whole: bool) -> Circuit | CircuitArchitecture:
    from qdistill.models import CircuitArchitecture
    from qdistill.quantum import Circuit

    if isinstance(circuit, Circuit):
        _take(given, ())
        return circuit
    if isinstance(circuit, CircuitArchitecture):
        _take(given, ())
        if not whole:
            raise ArgumentError("`circuit` must be a circuit alone, but is a whole model: take its field `circuit`.")
        return circuit
    if type(circuit).__name__ == "QuantumCircuit":
        return _of_qiskit(circuit, given, whole)
    if callable(circuit):
        return _of_pennylane(circuit, given, whole)
    raise ArgumentError(f"`circuit` must be a circuit, but is a {type(circuit).__name__}. {_what_it_may_be()}")


def _of_pennylane(circuit: Any, given: dict[str, Any], whole: bool) -> Circuit | CircuitArchitecture:
    from qdistill.backends.classifier_from_pennylane import classifier_from_pennylane, device_wires
    from qdistill.backends.from_pennylane import from_pennylane

    _take(given, ("n_wires", "weight_shape", "n_features", "features"))
    if "weight_shape" not in given:
        raise ArgumentError("`weight_shape` must be defined beside a `circuit` of PennyLane: the shape of its weights.")
    if whole:
        return classifier_from_pennylane(circuit, **given)
    return from_pennylane(circuit, given.pop("n_wires", None) or device_wires(circuit), **given)


def _of_qiskit(circuit: Any, given: dict[str, Any], whole: bool) -> Circuit | CircuitArchitecture:
    from qdistill.backends.classifier_from_qiskit import classifier_from_qiskit
    from qdistill.backends.from_qiskit import from_qiskit

    _take(given, ("features", "observables") if whole else ("features",))
    return classifier_from_qiskit(circuit, **given) if "observables" in given else from_qiskit(circuit, **given)


def _take(given: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in given:
        if name not in names:
            raise ArgumentError(f"`{name}` must not be defined beside such a `circuit`, for it would have no effect.")


def _what_it_may_be() -> str:
    return (
        "It may be a Circuit, a CircuitArchitecture, a function or QNode of PennyLane with its `weight_shape`, or a "
        "QuantumCircuit of Qiskit."
    )
