"""Distil MNIST for a circuit written in PennyLane.

    python examples/pennylane_circuit.py --out runs/pennylane-circuit

By default a run of a few minutes; `--iterations 8000` gives a result. It needs the extra `pennylane`.
"""

import argparse
import dataclasses

import pennylane as qml

from qdistill import ProgressDisplay, QuantumLeNetArchitecture, Recipe, default_recipe, from_pennylane, run

N_WIRES, N_LAYERS = 6, 3


def ansatz(weights):
    """Layers of RY and RZ, then Ising couplings around a ring. The embedding and the observable are the network's."""
    for layer in range(N_LAYERS):
        for wire in range(N_WIRES):
            qml.RY(weights[layer, wire, 0], wires=wire)
            qml.RZ(weights[layer, wire, 1], wires=wire)
        for wire in range(N_WIRES):
            qml.IsingZZ(weights[layer, wire, 2] / 2, wires=[wire, (wire + 1) % N_WIRES])


def recipe(dataset: str, iterations: int) -> Recipe:
    circuit = from_pennylane(ansatz, N_WIRES, weight_shape=(N_LAYERS, N_WIRES, 3))
    default = default_recipe(dataset)
    return dataclasses.replace(
        default,
        model=QuantumLeNetArchitecture(ansatz=circuit, n_qubits=N_WIRES, n_layers=1),
        outer=dataclasses.replace(default.outer, iterations=iterations, validate_every=min(100, iterations)),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--out", default="runs/pennylane-circuit")
    options = parser.parse_args()
    with ProgressDisplay() as display:
        bundle = run(recipe(options.dataset, options.iterations), options.out, observer=display)
    print(f"test accuracy {bundle.record.test_accuracy:.2%} (n = {bundle.record.n_test:,})")
    print(f"The bundle holds the circuit: qdistill evaluate {options.out}")
