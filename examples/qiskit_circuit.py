"""Distil MNIST for a circuit written in Qiskit, which reads the features itself ("data re-uploading").

    python examples/qiskit_circuit.py --out runs/qiskit-circuit

By default a run of a few minutes; `--iterations 8000` gives a result. It needs the extra `qiskit`.
"""

import argparse
import dataclasses

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qdistill import ProgressDisplay, QuantumLeNetArchitecture, Recipe, default_recipe, from_qiskit, run

N_QUBITS, N_LAYERS = 4, 3


def reuploading() -> QuantumCircuit:
    """Every layer turns each qubit by its feature and by its weight, then couples neighbours."""
    x, w = ParameterVector("x", N_QUBITS), ParameterVector("w", 2 * N_LAYERS * N_QUBITS)
    circuit = QuantumCircuit(N_QUBITS)
    for layer in range(N_LAYERS):
        for qubit in range(N_QUBITS):
            place = 2 * (layer * N_QUBITS + qubit)
            circuit.rx(0.5 * x[qubit], qubit)
            circuit.ry(w[place], qubit)
            circuit.rzz(w[place + 1], qubit, (qubit + 1) % N_QUBITS)
    return circuit


def recipe(dataset: str, iterations: int) -> Recipe:
    circuit = from_qiskit(reuploading(), features=["x"])
    default = default_recipe(dataset)
    return dataclasses.replace(
        default,
        # No embedding, for the circuit reads the features itself.
        model=QuantumLeNetArchitecture(
            ansatz=circuit, n_qubits=N_QUBITS, n_layers=1, embedding="none", skip="projection"
        ),
        outer=dataclasses.replace(default.outer, iterations=iterations, validate_every=min(100, iterations)),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--out", default="runs/qiskit-circuit")
    options = parser.parse_args()
    with ProgressDisplay() as display:
        bundle = run(recipe(options.dataset, options.iterations), options.out, observer=display)
    print(f"test accuracy {bundle.record.test_accuracy:.2%} (n = {bundle.record.n_test:,})")
    print(f"The bundle holds the circuit: qdistill evaluate {options.out}")
