"""Noise channels: complete positivity, the trace, and Qiskit's own channels."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.quantum_info import PTM, Choi, average_gate_fidelity
from qiskit_aer.noise import thermal_relaxation_error

from qdistill.quantum import DeviceModel
from qdistill.quantum.channels import depolarising, gate_noise, of_unitary, readings, relaxation
from qdistill.quantum.gates import GATES

from .noisy_reference import qiskit_error, some_device
from .reference import pauli_products
from .strategies import examples, seeds

TIMES = st.floats(1e-6, 1e-3)


def choi(transfer: np.ndarray) -> np.ndarray:
    """``sum_PQ T_PQ P (x) Q^T / d``: positive where the channel is completely positive."""
    n = (len(transfer).bit_length() - 1) // 2
    paulis = pauli_products(n)
    return sum(
        transfer[p, q] * np.kron(paulis[p], paulis[q].T) for p in range(len(paulis)) for q in range(len(paulis))
    ) / len(paulis)


@examples(30)
@given(seed=seeds, factor=st.floats(0, 50))
def test_gate_noise_is_a_channel(seed, factor):
    device = some_device(2, seed, factor=factor)
    for wires in ((0,), (1,), (0, 1), (1, 0)):
        transfer = gate_noise(device, wires)
        assert transfer[0, 0] == pytest.approx(1)
        assert np.abs(transfer[0, 1:]).max() < 1e-12
        assert np.linalg.eigvalsh(choi(transfer)).min() > -1e-9


@examples(30)
@given(t1=TIMES, ratio=st.floats(0.01, 2), time=st.floats(0, 1e-4))
def test_relaxation_is_qiskits(t1, ratio, time):
    expected = PTM(thermal_relaxation_error(t1, ratio * t1, time)).data.real
    assert np.abs(relaxation(time, t1, ratio * t1) - expected).max() < 1e-8


@pytest.mark.parametrize("wires", [(0,), (2,), (0, 1), (2, 1)])
def test_gate_noise_is_qiskits_and_has_the_reported_error(wires):
    device = some_device(3)
    transfer = gate_noise(device, wires)
    # Qiskit's first wire is the least significant.
    expected = PTM(qiskit_error(device, wires[::-1])[0]).data.real
    assert np.abs(transfer - expected).max() < 1e-8
    error = device.one_qubit_error[wires[0]] if len(wires) == 1 else device.two_qubit(wires)[0]
    assert average_gate_fidelity(PTM(transfer)) == pytest.approx(1 - error)


def test_relaxation_alone_may_exceed_the_reported_error():
    device = replace(some_device(1), one_qubit_error=(0.0,))
    time, t1, t2 = device.one_qubit_time[0], device.t1[0], device.t2[0]
    assert np.array_equal(gate_noise(device, (0,)), relaxation(time, t1, t2))


def test_without_errors_nothing_happens():
    device = DeviceModel.uniform(2)
    assert np.array_equal(gate_noise(device, (0, 1)), np.eye(16))
    assert readings(device, 0) == dict.fromkeys("XYZ", (1.0, 0.0))
    assert relaxation(1.0, math.inf, math.inf).tolist() == np.eye(4).tolist()


@pytest.mark.parametrize("name", ["H", "S", "CNOT", "CZ", "SWAP"])
def test_unitaries_are_qiskits(name):
    matrix = GATES[name].matrix()
    transfer = of_unitary(matrix)
    density = np.diag(np.arange(1.0, 1 + len(matrix))) + 0.1
    before = np.array([np.trace(p @ density).real for p in pauli_products(len(matrix) // 2)])
    after = np.array([np.trace(p @ matrix @ density @ matrix.conj().T).real for p in pauli_products(len(matrix) // 2)])
    assert np.abs(transfer @ before - after).max() < 1e-12


def test_the_most_depolarising_forgets_everything():
    assert np.array_equal(depolarising(1.0, 1), np.diag([1.0, 0, 0, 0]))
    device = DeviceModel.uniform(2, one_qubit_error=0.5, two_qubit_error=0.75)
    for wires in ((0,), (0, 1)):
        assert np.abs(gate_noise(device, wires)[1:]).max() < 1e-12
    assert Choi(PTM(depolarising(1.0, 1))).is_cptp()
