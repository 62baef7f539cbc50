"""Programs that solve a kernel's ridge regression on its distilled points in PennyLane or Qiskit, gate by gate."""

from __future__ import annotations

from qdistill.backends.circuit_program import TEMPLATES, Framework
from qdistill.backends.layer_scripts import pennylane_gate, qiskit_gates
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import BundleError
from qdistill.quantum import Circuit


def kernel_program(bundle: DistilledDataset, framework: Framework, recorded: float | None) -> str:
    """The program that solves a bundle's regression in that framework.

    Args:
        bundle: of a kernel.
        recorded: the test accuracy that the program names beside its own.
        framework: whose simulator has the states.

    Raises:
        BundleError: its model is no kernel.
    """
    model = bundle.kernel
    if model is None:
        raise BundleError(f"The bundle's network {type(bundle.architecture).__name__} is no kernel.")
    circuit = model.kernel.circuit
    states = _pennylane(circuit) if framework == "pennylane" else _qiskit(circuit)
    return TEMPLATES.get_template("kernel_train.py.jinja").render(
        n_examples=f"{len(bundle.data.inputs):,}",
        framework={"pennylane": "PennyLane", "qiskit": "Qiskit"}[framework],
        packages={"pennylane": "pennylane", "qiskit": "qiskit and numpy"}[framework],
        imports=_IMPORTS[framework],
        states="\n".join(states),
        regularisation=repr(model.regularisation),
        recorded="" if recorded is None else f"; qdistill recorded {recorded:.2%}",
    )


_IMPORTS: dict[Framework, str] = {
    "pennylane": "import numpy as np\nimport pennylane as qml",
    "qiskit": "import numpy as np\nfrom qiskit import QuantumCircuit\nfrom qiskit.circuit import ParameterVector\n"
    "from qiskit.quantum_info import Statevector",
}


def _pennylane(circuit: Circuit) -> list[str]:
    return [
        f'@qml.qnode(qml.device("default.qubit", wires={circuit.n_wires}))',
        "def state(features):",
        '    """The states of many points: features[i] is feature i of all of them."""',
        *(f"    {pennylane_gate(operation)}" for operation in circuit.operations),
        "    return qml.state()",
        "",
        "",
        "def states(points):",
        '    """One row of amplitudes for each point."""',
        "    return state(points.T)",
    ]


def _qiskit(circuit: Circuit) -> list[str]:
    n = circuit.n_wires
    gates = [line for operation in circuit.operations for line in qiskit_gates(operation, n, "CIRCUIT")]
    return [
        f'features = ParameterVector("features", {circuit.n_features})',
        f"CIRCUIT = QuantumCircuit({n})  # qubit {n - 1} is the first wire",
        *gates,
        "",
        "",
        "def states(points):",
        '    """One row of amplitudes for each point."""',
        "    bound = (CIRCUIT.assign_parameters(dict(zip(features, point)), strict=False) for point in points)",
        "    return np.array([Statevector(circuit).data for circuit in bound])",
    ]
