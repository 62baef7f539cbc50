"""Circuits as OpenQASM 3 text (arXiv 2104.14722). Wire w is `q[w]`."""

from __future__ import annotations

import numpy as np

from qdistill.quantum.circuit import Circuit
from qdistill.quantum.gates import UNITARY, euler_angles
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.observable import of_each_output
from qdistill.quantum.preparation import embedded

QASM_NAMES = {
    "RX": "rx", "RY": "ry", "RZ": "rz", "H": "h", "X": "x", "Y": "y", "Z": "z", "S": "s", "T": "t",
    "CNOT": "cx", "CZ": "cz", "SWAP": "swap", "CRX": "crx", "CRY": "cry", "CRZ": "crz",
}  # fmt: skip
"""The gates of stdgates.inc. Rot is three of them; a unitary is the built-in U, up to a global phase."""


def to_openqasm(layer: QuantumLayer) -> str:
    """Write a layer as OpenQASM 3 text.

    The text is the circuit from |0...0> on: with amplitude embedding it prepares the state with gates, and the inputs
    ``features_...`` are what `qdistill.quantum.embedded_features` returns. The observables are comments, for the
    language has none.

    Args:
        layer: what to export.

    Raises:
        CircuitError: the embedding is not one of this package's.
    """
    observable, comments = layer.observable, []
    coefficients = of_each_output(observable.terms, np.asarray(observable.term_coefficients()))
    for place, group in enumerate(observable.wires):
        strings = zip(observable.terms[place], coefficients[place], strict=True)
        wires = ", ".join(f"q[{wire}]" for wire in group)
        comments.append(
            f"// observable {place} on {wires}: {' + '.join(f'{c:.9g} {s.on(group)}' for s, c in strings if c)}"
        )
    return circuit_to_openqasm(embedded(layer.embedding, layer.circuit)) + "\n".join([*comments, ""])


def circuit_to_openqasm(circuit: Circuit) -> str:
    """Write a circuit as OpenQASM 3 text whose inputs are ``weights_0, ...`` and ``features_0, ...``."""
    lines = ["OPENQASM 3.0;", 'include "stdgates.inc";']
    lines += [f"input float[64] weights_{index};" for index in range(circuit.n_weights)]
    lines += [f"input float[64] features_{index};" for index in range(circuit.n_features)]
    lines.append(f"qubit[{circuit.n_wires}] q;")
    for operation in circuit.operations:
        wires = ", ".join(f"q[{wire}]" for wire in operation.wires)
        angles = [angle.expression("weights_{}", "features_{}") for angle in operation.angles]
        if operation.gate == UNITARY:
            _, phi, theta, omega = euler_angles(np.array(operation.matrix))
            lines.append(f"U({theta!r}, {omega!r}, {phi!r}) {wires};")
        elif operation.gate == "Rot":
            lines += [f"{name}({angle}) {wires};" for name, angle in zip(("rz", "ry", "rz"), angles, strict=True)]
        else:
            given = f"({', '.join(angles)})" if angles else ""
            lines.append(f"{QASM_NAMES[operation.gate]}{given} {wires};")
    return "\n".join([*lines, ""])
