"""Blocks of gates against their matrices, global phase included."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.backends.blocks import Block, block
from qdistill.backends.standard_gates import STANDARD_GATES, standard_gate
from qdistill.quantum import Circuit, Operation, weight
from qdistill.quantum.angle import constant

from ..quantum.reference import numpy_unitary, random_circuit
from ..quantum.strategies import examples, seeds

N_NUMBERS = 3


def matrix(part: Block, n_wires: int, numbers: np.ndarray) -> np.ndarray:
    phase = part.phase.value(numbers, numbers)
    return np.exp(1j * phase) * numpy_unitary(Circuit(n_wires, part.operations), numbers, numbers)


@examples(25)
@given(seeds, st.integers(1, 2), st.lists(st.booleans(), min_size=1, max_size=4))
def test_controlled_blocks_are_exact(seed: int, n_wires: int, values: list[bool]) -> None:
    numbers = np.random.default_rng(seed).normal(size=N_NUMBERS)
    inside = random_circuit(random.Random(seed), n_wires, 4, n_weights=N_NUMBERS, n_features=N_NUMBERS)
    part = Block(inside.operations, 2 * weight(1) + 0.3)
    n_controls = len(values)
    controlled = part.controlled(range(n_wires, n_wires + n_controls), values)
    projector = np.zeros((2**n_controls, 2**n_controls))
    chosen = int("".join(str(int(value)) for value in values), 2)
    projector[chosen, chosen] = 1
    expected = np.kron(matrix(part, n_wires, numbers), projector)
    expected += np.kron(np.eye(2**n_wires), np.eye(2**n_controls) - projector)
    np.testing.assert_allclose(matrix(controlled, n_wires + n_controls, numbers), expected, atol=1e-12)


@examples(20)
@given(seeds, st.integers(-3, 3))
def test_inverses_and_powers_are_exact(seed: int, times: int) -> None:
    numbers = np.random.default_rng(seed).normal(size=N_NUMBERS)
    part = Block(random_circuit(random.Random(seed), 3, 6, n_weights=3, n_features=3).operations, weight(0) - 1)
    once = matrix(part, 3, numbers)
    np.testing.assert_allclose(matrix(part.inverse(), 3, numbers), once.conj().T, atol=1e-12)
    expected = np.linalg.matrix_power(once, times)
    np.testing.assert_allclose(matrix(part.repeated(times), 3, numbers), expected, atol=1e-12)


@pytest.mark.parametrize("n_controls", range(7))
def test_a_flip_under_many_controls(n_controls: int) -> None:
    flip = block(Operation("X", (0,))).controlled(range(1, n_controls + 1))
    expected = np.eye(2 ** (n_controls + 1))
    last = [2**n_controls - 1, 2 ** (n_controls + 1) - 1]
    expected[last] = expected[last[::-1]]
    np.testing.assert_allclose(matrix(flip, n_controls + 1, np.zeros(0)), expected, atol=1e-12)
    assert len(flip.operations) <= 30 * max(n_controls, 1) ** 2


def test_phases_under_controls_are_gates_where_they_are_turns() -> None:
    assert Block((), constant(np.pi)).controlled([0]).operations == (Operation("Z", (0,)),)
    assert Block((), constant(-np.pi)).controlled([0, 1]).operations == (Operation("CZ", (0, 1)),)
    assert Block((), constant(4 * np.pi)).controlled([0, 1]).operations == ()


@pytest.mark.parametrize("name", sorted(set(STANDARD_GATES) - {"rot"}))
def test_standard_gates_have_qiskits_phase(name: str) -> None:
    from qiskit import QuantumCircuit
    from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
    from qiskit.quantum_info import Operator

    gate = get_standard_gate_name_mapping()[name]
    angles = [0.3, -1.1, 2.2, 0.7][: len(gate.params)]
    part = standard_gate(name, range(gate.num_qubits), map(constant, angles))
    circuit = QuantumCircuit(gate.num_qubits)
    circuit.append(type(gate)(*angles), range(gate.num_qubits)[::-1])
    np.testing.assert_allclose(matrix(part, gate.num_qubits, np.zeros(0)), Operator(circuit).data, atol=1e-12)
