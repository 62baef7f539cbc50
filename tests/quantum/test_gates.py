"""The gates' matrices against PennyLane's, and the Euler angles of any one-wire unitary."""

from __future__ import annotations

import math

import numpy as np
import pennylane as qml
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qdistill.errors import CircuitError
from qdistill.quantum.gates import GATES, euler_angles

from .reference import PAULI_MATRICES, PENNYLANE_GATES
from .strategies import examples, unitaries

angles = st.floats(-4 * math.pi, 4 * math.pi)


def test_every_gate_has_a_pennylane_counterpart() -> None:
    assert set(PENNYLANE_GATES) == set(GATES)
    assert all(GATES[name].name == name for name in GATES)


@pytest.mark.parametrize("name", GATES)
@given(values=st.tuples(angles, angles, angles))
@examples(10)
def test_matrix_is_pennylanes(name: str, values: tuple[float, float, float]) -> None:
    gate = GATES[name]
    expected = qml.matrix(PENNYLANE_GATES[name](*values[: gate.n_angles], wires=range(gate.n_wires)))
    np.testing.assert_allclose(gate.matrix(*values[: gate.n_angles]), expected, atol=1e-14)


@given(matrix=unitaries)
@example(matrix=((1, 0), (0, 1)))
@example(matrix=((-1, 0), (0, -1)))
@example(matrix=((1j, 0), (0, 1)))
@example(matrix=((0, 1), (1, 0)))
@example(matrix=((0, -1j), (1j, 0)))
@example(matrix=((0j, 1j), (1j, 0j)))
@example(matrix=((math.sqrt(0.5), math.sqrt(0.5)), (math.sqrt(0.5), -math.sqrt(0.5))))
@example(matrix=((math.cos(1e-9), -math.sin(1e-9)), (math.sin(1e-9), math.cos(1e-9))))
@example(matrix=((math.cos(1e-13), -math.sin(1e-13)), (math.sin(1e-13), math.cos(1e-13))))
@examples(100)
def test_euler_angles_restore_the_unitary(matrix: tuple[tuple[complex, ...], ...]) -> None:
    phase, phi, theta, omega = euler_angles(np.array(matrix))
    restored = np.exp(1j * phase) * qml.matrix(qml.Rot(phi, theta, omega, wires=0))
    np.testing.assert_allclose(restored, np.array(matrix), atol=1e-11)
    assert 0 <= theta <= math.pi + 1e-12


@given(values=st.tuples(angles, angles, angles))
@examples(50)
def test_euler_angles_of_a_rot_give_the_same_rot(values: tuple[float, float, float]) -> None:
    matrix = GATES["Rot"].matrix(*values)
    phase, *euler = euler_angles(matrix)
    np.testing.assert_allclose(np.exp(1j * phase) * GATES["Rot"].matrix(*euler), matrix, atol=1e-11)


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        np.ones(4),
        2 * np.eye(2),
        np.array([[1, 1], [0, 1]]),
        PAULI_MATRICES["X"] + PAULI_MATRICES["Z"],
        np.full((2, 2), np.nan),
    ],
)
def test_euler_angles_need_a_unitary(matrix: np.ndarray) -> None:
    with pytest.raises(CircuitError, match=r"`matrix` must be a unitary of shape \(2, 2\), but was"):
        euler_angles(matrix)
