"""Circuits drawn as text."""

from __future__ import annotations

import importlib.util

from qdistill.backends.qiskit import circuit_to_qiskit
from qdistill.quantum.circuit import Circuit

_MOST_OPERATIONS = 400
"""That are drawn: more are no picture any more."""


def drawn_as_text(circuit: Circuit, width: int = 110) -> str:
    """A circuit as text: wires as lines, by Qiskit's drawer, where Qiskit is installed, else one line a gate.

    Weights are ``w`` and features ``x``.

    Args:
        circuit: what to draw.
        width: characters of a line, at which the drawing is continued below.
    """
    if len(circuit.operations) > _MOST_OPERATIONS:
        return f"{len(circuit.operations):,} operations on {circuit.n_wires} wires: too many to be drawn."
    if importlib.util.find_spec("qiskit") is None:
        return "\n".join(_line(circuit))
    from qiskit import QuantumCircuit, QuantumRegister

    wires = [QuantumRegister(1, f"wire {wire}") for wire in range(circuit.n_wires)]
    named = QuantumCircuit(*wires)
    # Wire 0 at the top, whichever qubit of Qiskit's it is.
    named.compose(circuit_to_qiskit(circuit, names=("w", "x")), named.qubits[::-1], inplace=True)
    return str(named.draw("text", fold=width, vertical_compression="high", idle_wires=True))


def _line(circuit: Circuit) -> list[str]:
    lines = []
    for operation in circuit.operations:
        angles = ", ".join(angle.expression("w[{}]", "x[{}]") for angle in operation.angles)
        wires = ", ".join(map(str, operation.wires))
        lines.append(f"{operation.gate}({angles}) on {wires}" if angles else f"{operation.gate} on {wires}")
    return lines
