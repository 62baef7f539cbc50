"""Programs that build a network's quantum layer in PennyLane or Qiskit, gate by gate, with nothing of this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from qdistill.backends.pennylane import PENNYLANE_NAMES, coefficients_of
from qdistill.backends.qiskit import QISKIT_NAMES
from qdistill.quantum.angle import Angle
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.elementary import elementary
from qdistill.quantum.embedding import AmplitudeEmbedding
from qdistill.quantum.gates import UNITARY
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.observable import Hermitian, Observable, PauliSum, PauliZ, of_each_output
from qdistill.quantum.paulis import PauliString, pauli_strings
from qdistill.quantum.preparation import embedded

_END = """

if __name__ == "__main__":
    values = np.array([evaluate(features) for features in ARRAYS["features"]])
    print(values)
    print(f"largest difference from qdistill: {np.abs(values - ARRAYS['values']).max():.1e}")
"""

_PENNYLANE = '''"""A quantum layer, in PennyLane: one expectation value for each observable.

Needs pennylane, numpy and the file {name}.npz beside this one: the weights ("angles"{coefficients_too}), what
the network gives the layer for the distilled examples ("features") and the values that qdistill gives for it.
"""

from pathlib import Path

import numpy as np
import pennylane as qml

with np.load(Path(__file__).with_suffix(".npz")) as file:
    ARRAYS = dict(file)


{helper}@qml.qnode(qml.device("default.qubit", wires={n_wires}))
def layer(features, {arguments}):
    {body}
    {returned}


def evaluate(features):
    return np.stack(layer(features, {given}))
'''

_PENNYLANE_HELPER = """def paulis(string, wires):
    return qml.pauli.string_to_pauli_word(string, wire_map={wire: place for place, wire in enumerate(wires)})


"""

_QISKIT = '''"""A quantum layer, in Qiskit: one expectation value for each observable.

Needs qiskit, numpy and the file {name}.npz beside this one: the weights ("angles"{coefficients_too}), what
the network gives the layer for the distilled examples ("features") and the values that qdistill gives for it.
Qubit {last} is the first wire.
"""

from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector

with np.load(Path(__file__).with_suffix(".npz")) as file:
    ARRAYS = dict(file)


def layer(features, angles):
    circuit = QuantumCircuit({n_wires})
    {body}
    return circuit


# Bind them by layer(features, angles).assign_parameters(...), or give numbers in their place.
ANGLES = ParameterVector("angles", ARRAYS["angles"].size)
OBSERVABLES = [
    {observables}
]


def evaluate(features):
    circuit = layer(np.asarray(features, dtype=float).tolist(), ANGLES)  # Qiskit multiplies parameters by floats only
    state = Statevector(circuit.assign_parameters({{ANGLES: ARRAYS["angles"].tolist()}}))
    return [state.expectation_value(observable).real for observable in OBSERVABLES]
'''


def pennylane_script(layer: QuantumLayer, name: str = "layer") -> str:
    """The program for PennyLane.

    Args:
        layer: its circuit and embedding are written out; its arrays are read from a file of NumPy's beside the program.
        name: of both, without what follows the dot.
    """
    n, amplitude, circuit = written_out(layer)
    body = [f"qml.AmplitudeEmbedding(features, wires=range({n}), pad_with=0.0, normalize=True)"] * amplitude
    body += map(pennylane_gate, circuit.operations)
    groups = [list(group) for group in layer.observable.wires]
    trained = coefficients_of(layer.observable) is not None
    if isinstance(layer.observable, PauliZ):
        returned = f"return [qml.expval(qml.PauliZ(wire)) for (wire,) in {groups}]"
    elif isinstance(layer.observable, Hermitian):
        body.append(f"strings = {pauli_strings(len(groups[0]))}")
        returned = (
            "return [\n        qml.expval(qml.dot(list(row), [paulis(string, wires) for string in strings]))\n"
            f"        for row, wires in zip(coefficients, {groups})\n    ]"
        )
    else:
        returned = "".join(
            ["return [", *(f"\n        qml.expval({each})," for each in _sums(layer.observable)), "\n    ]"]
        )
    names = ["angles", "coefficients"][: 1 + trained]
    return (
        _PENNYLANE.format(
            name=name,
            n_wires=n,
            helper=_PENNYLANE_HELPER if isinstance(layer.observable, Hermitian) else "",
            arguments=", ".join(names),
            body="\n    ".join(body),
            returned=returned,
            given=", ".join(f'ARRAYS["{name}"]' for name in names),
            coefficients_too=' and "coefficients"' if trained else "",
        )
        + _END
    )


def qiskit_script(layer: QuantumLayer, name: str = "layer") -> str:
    """The program for Qiskit; arguments as for `pennylane_script`."""
    n, amplitude, circuit = written_out(layer)
    body = [
        f"amplitudes = np.pad(np.asarray(features, dtype=float), (0, {2**n} - len(features)))",
        "circuit.prepare_state(amplitudes / np.linalg.norm(amplitudes), circuit.qubits)",
    ] * amplitude
    for operation in circuit.operations:
        body += qiskit_gates(operation, n, "circuit")
    groups = [[n - 1 - wire for wire in group] for group in layer.observable.wires]
    trained = coefficients_of(layer.observable) is not None
    if isinstance(layer.observable, PauliZ):
        observables = f'SparsePauliOp.from_sparse_list([("Z", qubits, 1.0)], num_qubits={n}) for qubits in {groups}'
    elif isinstance(layer.observable, PauliSum):
        observables = ",\n    ".join(_sparse_sums(layer.observable, n))
    else:
        strings = pauli_strings(len(groups[0]))
        observables = (
            f"SparsePauliOp.from_sparse_list([(p, qubits, c) for p, c in zip({strings}, row)], "
            f'num_qubits={n})\n    for row, qubits in zip(ARRAYS["coefficients"], {groups})'
        )
    return (
        _QISKIT.format(
            name=name,
            n_wires=n,
            last=n - 1,
            body="\n    ".join(body),
            observables=observables,
            coefficients_too=' and "coefficients"' if trained else "",
        )
        + _END
    )


def pennylane_string(string: PauliString) -> str:
    """A Pauli string in PennyLane."""
    return " @ ".join(f"qml.{letter}({wire})" for wire, letter in string.by_wire) or "qml.I(0)"


def qiskit_sum(terms: Iterable[tuple[PauliString, str]], n_wires: int) -> str:
    """Pauli strings with the texts of their coefficients as a sum in Qiskit."""
    sparse = [
        f'("{string.letters}", {[n_wires - 1 - wire for wire in string.wires]}, {coefficient})'
        for string, coefficient in terms
    ]
    return f"SparsePauliOp.from_sparse_list([{', '.join(sparse)}], num_qubits={n_wires})"


def coefficient_texts(observable: Observable) -> list[list[str]]:
    """What stands for each coefficient of each output: a number, or an entry of the array `coefficients`."""
    count = sum(map(len, observable.terms))
    texts = [f"coefficients[{i}]" for i in range(count)]
    if coefficients_of(observable) is None:
        texts = [repr(c) for c in getattr(observable, "fixed", [1.0] * count)]
    return of_each_output(observable.terms, texts)


def _sums(observable: PauliSum) -> list[str]:
    """Each output in PennyLane."""
    sums = []
    for strings, coefficients in zip(observable.terms, coefficient_texts(observable), strict=True):
        products = [pennylane_string(string) for string in strings]
        alone = coefficients == ["1.0"]
        sums.append(products[0] if alone else f"qml.dot([{', '.join(coefficients)}], [{', '.join(products)}])")
    return sums


def _sparse_sums(observable: PauliSum, n_wires: int) -> list[str]:
    """Each output in Qiskit."""
    sums = [
        qiskit_sum(zip(strings, coefficients, strict=True), n_wires)
        for strings, coefficients in zip(observable.terms, coefficient_texts(observable), strict=True)
    ]
    return [text.replace("coefficients[", 'ARRAYS["coefficients"][') for text in sums]


def written_out(layer: QuantumLayer) -> tuple[int, bool, Circuit]:
    """The number of wires, whether the amplitudes are prepared by the framework, and the gates after that."""
    amplitude = isinstance(layer.embedding, AmplitudeEmbedding)
    return (
        layer.circuit.n_wires,
        amplitude,
        layer.circuit if amplitude else embedded(layer.embedding, layer.circuit),
    )


def with_axes(circuit: Circuit) -> Iterator[tuple[Operation, list[tuple[str, Angle]]]]:
    """A circuit as rotations of a wire and fixed gates: each with its axes and their angles, in the order in time.

    Controlled rotations are taken apart, and a fixed gate has no axis.
    """
    for operation in (part for whole in circuit.operations for part in elementary(whole)):
        axes = "ZYZ" if operation.gate == "Rot" else operation.gate[1:]
        yield operation, list(zip(axes, operation.angles, strict=True)) if operation.angles else []


def pennylane_gate(operation: Operation) -> str:
    """An operation as a line for PennyLane, with its angles as formulas of `angles` and `features`."""
    wires = operation.wires[0] if len(operation.wires) == 1 else list(operation.wires)
    return f"qml.{PENNYLANE_NAMES[operation.gate]}({_arguments(operation)}wires={wires})"


def qiskit_gates(operation: Operation, n_wires: int, circuit: str) -> list[str]:
    """An operation as lines for Qiskit, on the circuit of that name; three for Rot, which Qiskit does not have."""
    qubits = ", ".join(str(n_wires - 1 - wire) for wire in operation.wires)
    if operation.gate == "Rot":
        angles = zip(("rz", "ry", "rz"), operation.angles, strict=True)
        return [f"{circuit}.{gate}({_expression(angle)}, {qubits})" for gate, angle in angles]
    gate = "unitary" if operation.gate == UNITARY else QISKIT_NAMES[operation.gate]
    return [f"{circuit}.{gate}({_arguments(operation)}{qubits})"]


def _arguments(operation: Operation) -> str:
    """What a gate takes before its wires, as Python."""
    if operation.gate == UNITARY:
        return f"np.array({np.array(operation.matrix).tolist()}), "
    return "".join(f"{_expression(angle)}, " for angle in operation.angles)


def _expression(angle: Angle) -> str:
    return angle.expression("angles[{}]", "features[{}]")
