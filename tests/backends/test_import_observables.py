"""Observables of PennyLane and Qiskit as Pauli strings: their matrices are those that the frameworks give."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import Parameter
from qiskit.quantum_info import Pauli, SparsePauliOp

from qdistill import from_pennylane_observable, from_sparse_pauli_op
from qdistill.errors import CircuitError
from qdistill.quantum import PauliString, PauliSum, expectation_values

from ..quantum.reference import string_matrix
from ..quantum.strategies import examples, random_state, seeds

N_WIRES = 3
H = np.array([[1, 1 - 1j], [1 + 1j, -0.5]])

OBSERVABLES = {
    "a letter": qml.Y(1),
    "a product": qml.X(2) @ qml.Z(0) @ qml.Y(1),
    "letters that multiply": 1j * qml.X(0) @ qml.Y(0),
    "a sum": 0.5 * qml.Z(0) @ qml.X(2) - qml.Y(1) + 0.25 * qml.I(0),
    "equal strings": qml.Z(0) + 2 * qml.Z(0) + qml.X(1) - qml.X(1),
    "a Hamiltonian": qml.Hamiltonian([0.5, -2.0], [qml.Z(0) @ qml.Z(2), qml.X(1)]),
    "a Hermitian": qml.Hermitian(np.kron(H, H), [2, 0]),
    "a Hadamard": qml.Hadamard(2),
    "a basis state": qml.Projector([0, 1], [2, 0]),
    "a state": qml.Projector(np.array([1, 1j]) / np.sqrt(2), [1]),
    "a sum with matrices": 0.5 * qml.Hermitian(H, 1) + qml.Z(0) @ qml.Z(2) - 2 * (qml.Hadamard(0) + qml.X(2)),
    "a product with a matrix": qml.Hermitian(H, 1) @ qml.Z(0),
    "a power": qml.X(0) ** 2 + qml.Z(1),
    "an adjoint": qml.adjoint(qml.Hermitian(H, 2)),
    "coefficients of JAX": jax.numpy.array(0.5) * qml.Z(0),
}


def matrix(read: Any, n_wires: int = N_WIRES) -> np.ndarray:
    strings, coefficients = read
    assert len(set(strings)) == len(strings)
    whole: np.ndarray = sum(c * string_matrix(s, n_wires) for s, c in zip(strings, coefficients, strict=True))
    return whole


@pytest.mark.parametrize("name", OBSERVABLES)
def test_matrices_are_pennylanes(name: str) -> None:
    observable = OBSERVABLES[name]
    expected = qml.matrix(observable, wire_order=range(N_WIRES))
    np.testing.assert_allclose(matrix(from_pennylane_observable(observable)), expected, atol=1e-7)


def test_strings_of_pennylane_are_those_that_are_written() -> None:
    strings, coefficients = from_pennylane_observable(OBSERVABLES["a sum"])
    assert dict(zip(map(str, strings), coefficients.tolist(), strict=True)) == {"Z0 X2": 0.5, "Y1": -1.0, "I": 0.25}
    assert [str(string) for string in from_pennylane_observable(OBSERVABLES["equal strings"])[0]] == ["Z0"]
    assert from_pennylane_observable(0 * qml.Z(0)) == ((PauliString(),), np.zeros(1))


def test_wires_of_pennylane_have_any_names() -> None:
    observable = qml.Z("a") @ qml.X("b") + qml.Hermitian(H, "c")
    expected = qml.matrix(observable, wire_order=["c", "b", "a"])
    np.testing.assert_allclose(matrix(from_pennylane_observable(observable, ["c", "b", "a"])), expected, atol=1e-12)
    with pytest.raises(CircuitError, match=r"must be on the wires \['a', 'b'\], but is on 'c'"):
        from_pennylane_observable(observable, ["a", "b"])
    with pytest.raises(CircuitError, match="must be on wires with numbers where `wires` does not name them, but is"):
        from_pennylane_observable(observable)


@given(
    labels=st.lists(st.text(st.sampled_from("IXYZ"), min_size=N_WIRES, max_size=N_WIRES), min_size=1, max_size=6),
    seed=seeds,
)
@examples(20)
def test_matrices_are_qiskits(labels: list[str], seed: int) -> None:
    operator = SparsePauliOp(labels, np.random.default_rng(seed).normal(size=len(labels)))
    np.testing.assert_allclose(matrix(from_sparse_pauli_op(operator)), operator.to_matrix(), atol=1e-12)


def test_qubits_of_qiskit_are_reversed() -> None:
    for one in ("XIZ", Pauli("XIZ"), SparsePauliOp("XIZ")):
        strings, coefficients = from_sparse_pauli_op(one)
        assert (strings, coefficients.tolist()) == ((PauliString("XZ", (0, 2)),), [1.0])


def test_several_are_one_observable_of_a_layer() -> None:
    state = random_state(N_WIRES, 0)
    read = [from_pennylane_observable(OBSERVABLES[name]) for name in ("a sum", "a Hermitian")]
    whole = PauliSum.of(read)
    assert whole.n_outputs == 2
    expected = [(state.conj() @ matrix(each) @ state).real for each in read]
    np.testing.assert_allclose(expectation_values(whole, state), expected, atol=1e-5)
    with pytest.raises(CircuitError, match="`sums` must have a coefficient for each string, but one sum has 1 strings"):
        PauliSum.of([(["Z0"], [1.0, 2.0])])
    with pytest.raises(CircuitError, match="`strings` must have an output"):
        PauliSum.of([])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("observable", "message"),
    [
        (None, "`observable` must be an observable of PennyLane, but was NoneType"),
        (qml.expval(qml.Z(0)), "must be an observable of PennyLane, but was ExpectationMP"),
        (1j * qml.Z(0), "must be Hermitian, with real coefficients, but has 1j"),
        (qml.S(0), "must be Hermitian, with real coefficients, but has"),
        (qml.RX(0.3, 0), "must be Hermitian. Argument `matrix` must be Hermitian"),
        (qml.Hermitian(np.eye(2**9), range(9)), "must be a sum of Pauli strings, or be on at most 8 wires, but"),
        (np.nan * qml.Z(0), "must be Hermitian, with real coefficients, but has"),
        (qml.Barrier(), "must be a sum of Pauli strings, or be on at most 8 wires"),
    ],
)
def test_what_is_no_observable_of_pennylane(observable: Any, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        from_pennylane_observable(observable)


def test_coefficients_are_known_numbers() -> None:
    with pytest.raises(CircuitError, match="must have numbers as coefficients, but has some that are parameters or"):
        jax.jit(lambda c: from_pennylane_observable(c * qml.Z(0))[1])(1.0)
    with pytest.raises(CircuitError, match="must have numbers as coefficients, but has some that are parameters or"):
        from_sparse_pauli_op(SparsePauliOp("ZZ", np.array([Parameter("c")])))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (None, "`operator` must be a SparsePauliOp, a Pauli or a text such as 'ZIZ', but was None"),
        ("QZ", "`operator` must be a SparsePauliOp, a Pauli or a text such as 'ZIZ', but was 'QZ'"),
        (SparsePauliOp("Z", [1j]), "must be Hermitian, with real coefficients, but has 1j"),
        (Pauli("-iZ"), "must be Hermitian, with real coefficients, but has"),
    ],
)
def test_what_is_no_observable_of_qiskit(operator: Any, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        from_sparse_pauli_op(operator)


def test_the_number_of_qubits_is_checked() -> None:
    with pytest.raises(CircuitError, match="`operator` must be on 2 qubits, but was on 3"):
        from_sparse_pauli_op("ZZZ", 2)
