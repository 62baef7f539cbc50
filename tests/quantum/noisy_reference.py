"""Noisy circuits by PennyLane's default.mixed and Qiskit Aer's density matrices; both share no code with the package.

What they share with it is what a device's numbers mean: each gate is followed by depolarising and relaxation.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pennylane as qml
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import average_gate_fidelity
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error, thermal_relaxation_error

from qdistill.quantum import Circuit, DeviceModel, Operation, Pair
from qdistill.quantum.gates import GATES, UNITARY

from .reference import PAULI_MATRICES, angle_value, pauli_products, queue_operation


def some_device(n_wires: int, seed: int = 0, *, factor: float = 1.0) -> DeviceModel:
    """A device on which everything goes wrong, differently on every wire, several times worse than on real ones."""
    draw = np.random.default_rng(seed).uniform
    t1 = [float(draw(20e-6, 60e-6)) for _ in range(n_wires)]
    pairs = tuple(
        Pair(wires, float(draw(0.04, 0.08)), float(draw(3e-7, 7e-7)))
        for wires in itertools.combinations(range(n_wires), 2)
        if draw() < 0.7
    )
    return DeviceModel(
        name="some device",
        one_qubit_error=tuple(float(draw(0.01, 0.03)) for _ in range(n_wires)),
        one_qubit_time=tuple(float(draw(3e-8, 9e-8)) for _ in range(n_wires)),
        t1=tuple(t1),
        t2=tuple(float(draw(0.3, 1.9)) * time for time in t1),
        readout=tuple((float(draw(0, 0.05)), float(draw(0.02, 0.1))) for _ in range(n_wires)),
        two_qubit_error=0.07,
        two_qubit_time=5e-7,
        pairs=pairs,
    ).scaled(factor)


def qiskit_error(device: DeviceModel, wires: tuple[int, ...]) -> Any:
    """The error after a gate, as `NoiseModel.from_backend` computes it, and its depolarising parameter.

    The formula is that of `qiskit_aer.noise.device.models`.
    """
    relaxing, error, time = None, device.one_qubit_error[wires[0]], device.one_qubit_time[wires[0]]
    if len(wires) == 2:
        error, time = device.two_qubit(wires)
    for wire in wires:
        own = thermal_relaxation_error(device.t1[wire], device.t2[wire], time)
        relaxing = own if relaxing is None else relaxing.expand(own)
    dim, fidelity = 2 ** len(wires), average_gate_fidelity(relaxing)
    share = max(0.0, dim * (error - (1 - fidelity)) / (dim * fidelity - 1))
    return depolarizing_error(share, len(wires)).compose(relaxing), share


def gate_matrix(operation: Operation, weights: Any, features: Any) -> np.ndarray:
    if operation.gate == UNITARY:
        return np.array(operation.matrix)
    return GATES[operation.gate].matrix(*(float(angle_value(a, weights, features)) for a in operation.angles))


def aer_density(circuit: Circuit, device: DeviceModel, weights: Any, features: Any = None) -> np.ndarray:
    """The final density matrix from |0...0>, wire 0 the most significant bit; one-wire gates, CNOT and CZ only."""
    model, n = NoiseModel(), circuit.n_wires
    for wire in range(n):
        model.add_quantum_error(qiskit_error(device, (wire,))[0], ["turn"], [wire])
    for wires in itertools.permutations(range(n), 2):
        model.add_quantum_error(qiskit_error(device, wires)[0], ["cx", "cz"], list(wires))
    model.add_basis_gates(["unitary"])
    translated = QuantumCircuit(n)
    for operation in circuit.operations:
        if len(operation.wires) == 1:
            gate = UnitaryGate(gate_matrix(operation, weights, features), label="turn")
            translated.append(gate, operation.wires)
        else:
            getattr(translated, {"CNOT": "cx", "CZ": "cz"}[operation.gate])(*operation.wires)
    translated.save_density_matrix()
    result = AerSimulator(method="density_matrix", noise_model=model).run(translated).result()
    density = np.asarray(result.data()["density_matrix"])
    order = [n - 1 - wire for wire in range(n)]
    return density.reshape((2,) * (2 * n)).transpose([*order, *(n + axis for axis in order)]).reshape(density.shape)


def _queue_noise(device: DeviceModel, wires: tuple[int, ...]) -> None:
    _, share = qiskit_error(device, wires)
    time = device.one_qubit_time[wires[0]] if len(wires) == 1 else device.two_qubit(wires)[1]
    if len(wires) == 1:
        qml.DepolarizingChannel(0.75 * share, wires=wires)
    else:
        letters = list(itertools.product(PAULI_MATRICES.values(), repeat=2))
        weights = [1 - 15 / 16 * share, *(15 * [share / 16])]
        kraus = [math.sqrt(weight) * np.kron(*pair) for weight, pair in zip(weights, letters, strict=True)]
        qml.QubitChannel(kraus, wires=wires)
    for wire in wires:
        t1, t2 = device.t1[wire], device.t2[wire]
        qml.AmplitudeDamping(1 - math.exp(-time / t1), wires=wire)
        qml.PhaseDamping(1 - math.exp(-2 * time / t2 + time / t1), wires=wire)


def pennylane_density(
    circuits: list[tuple[Circuit, Any, Any]], device: DeviceModel, basis: str | None = None, state: Any = None
) -> np.ndarray:
    """The density matrix after circuits with their weights and features, and after the turns into a basis."""
    n = circuits[0][0].n_wires

    @qml.qnode(qml.device("default.mixed", wires=n))
    def density() -> Any:
        if state is not None:
            qml.QubitDensityMatrix(np.outer(state, np.conj(state)), wires=range(n))
        for circuit, weights, features in circuits:
            for operation in circuit.operations:
                queue_operation(operation, weights, features)
                _queue_noise(device, operation.wires)
        for wire, letter in enumerate(basis or ""):
            if letter != "Z":
                turn = np.array([[1, 1], [1, -1]] if letter == "X" else [[1, -1j], [1, 1j]]) / math.sqrt(2)
                qml.QubitUnitary(turn, wires=wire)
                _queue_noise(device, (wire,))
        return qml.state()

    return np.asarray(density())


def read_probabilities(density: np.ndarray, device: DeviceModel) -> np.ndarray:
    """The probabilities of what is read, through each wire's confusion matrix."""
    n = len(density).bit_length() - 1
    confusion = np.eye(1)
    for wrong_one, wrong_zero in device.readout[:n]:
        confusion = np.kron(confusion, [[1 - wrong_one, wrong_zero], [wrong_one, 1 - wrong_zero]])
    return confusion @ np.diagonal(density).real


def pauli_vector(density: np.ndarray) -> np.ndarray:
    """The expectation values of all Pauli strings."""
    n = len(density).bit_length() - 1
    return np.array([np.trace(pauli @ density).real for pauli in pauli_products(n)])
