"""Pauli coefficients and matrices, and what can and cannot be measured."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.errors import CircuitError
from qdistill.quantum import (
    Hermitian,
    PauliZ,
    each_wire,
    make_observable,
    pauli_compose,
    pauli_decompose,
    pauli_strings,
)

from .reference import pauli_products
from .strategies import examples, seeds

wire_counts = st.integers(1, 3)


def random_hermitian(n_wires: int, seed: int) -> np.ndarray:
    real, imaginary = np.random.default_rng(seed).normal(size=(2, 2**n_wires, 2**n_wires))
    matrix = real + 1j * imaginary
    return matrix + matrix.conj().T


def test_strings_count_through_the_letters() -> None:
    assert pauli_strings(1) == ["I", "X", "Y", "Z"]
    assert pauli_strings(2)[:6] == ["II", "IX", "IY", "IZ", "XI", "XX"]
    assert len(pauli_strings(3)) == 64


@given(n_wires=wire_counts, seed=seeds)
@examples(20)
def test_composition_sums_the_pauli_products(n_wires: int, seed: int) -> None:
    coefficients = np.random.default_rng(seed).normal(size=4**n_wires)
    with jax.enable_x64(True):
        matrix = np.asarray(pauli_compose(jnp.asarray(coefficients)))
    expected = sum(c * pauli for c, pauli in zip(coefficients, pauli_products(n_wires), strict=True))
    np.testing.assert_allclose(matrix, expected, atol=1e-13)
    np.testing.assert_array_equal(matrix, matrix.conj().T)
    np.testing.assert_allclose(pauli_decompose(matrix), coefficients, atol=1e-13)


@given(n_wires=wire_counts, seed=seeds)
@examples(20)
def test_decomposition_restores_the_matrix(n_wires: int, seed: int) -> None:
    matrix = random_hermitian(n_wires, seed)
    coefficients = pauli_decompose(matrix)
    assert coefficients.dtype == np.float64
    with jax.enable_x64(True):
        restored = pauli_compose(jnp.asarray(coefficients))
    np.testing.assert_allclose(restored, matrix, atol=1e-12)


def test_decomposition_is_pennylanes() -> None:
    matrix = random_hermitian(2, 0)
    terms = qml.pauli_decompose(matrix, pauli=True, wire_order=[0, 1])
    expected = [
        terms.get(qml.pauli.PauliWord({w: p for w, p in enumerate(string) if p != "I"}), 0.0)
        for string in pauli_strings(2)
    ]
    np.testing.assert_allclose(pauli_decompose(matrix), expected, atol=1e-12)


def test_composition_keeps_leading_axes_and_precision() -> None:
    coefficients = jnp.arange(2 * 3 * 16, dtype=jnp.float32).reshape(2, 3, 16)
    matrices = pauli_compose(coefficients)
    assert matrices.shape == (2, 3, 4, 4)
    assert matrices.dtype == jnp.complex64
    np.testing.assert_allclose(matrices[1, 2], pauli_compose(coefficients[1, 2]), rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (4,), (1, 1), (2, 4), (3, 3), (2, 2, 2), (0, 0)])
def test_decomposition_needs_a_square_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(CircuitError, match=r"`matrix` must have shape \(2\*\*k, 2\*\*k\), k >= 1, but was"):
        pauli_decompose(np.zeros(shape))


@pytest.mark.parametrize(
    "matrix", [[[0, 1], [0, 0]], [[1j, 0], [0, 0]], [[0, 1j], [1j, 0]], [[0, np.nan], [np.nan, 0]]]
)
def test_decomposition_needs_a_hermitian_matrix(matrix: list[list[complex]]) -> None:
    with pytest.raises(CircuitError, match="`matrix` must be Hermitian, but it and its adjoint differ by"):
        pauli_decompose(np.array(matrix))


def test_decomposition_allows_rounding() -> None:
    matrix = 1e3 * random_hermitian(2, 1)
    rounded = matrix.astype(np.complex64)
    np.testing.assert_allclose(pauli_decompose(rounded), pauli_decompose(matrix), rtol=1e-4, atol=1e-3)
    with pytest.raises(CircuitError, match="must be Hermitian"):
        pauli_decompose(matrix + np.triu(np.full((4, 4), 0.1)))


def test_drawn_observables() -> None:
    wires = [[0], [2]]
    key = jax.random.key(0)
    drawn = make_observable("hermitian", wires, scale=0.1, key=key)
    fixed = make_observable("fixed_hermitian", wires, scale=0.1, key=key)
    assert isinstance(drawn, Hermitian)
    assert isinstance(fixed, Hermitian)
    assert (drawn.trainable, fixed.trainable) == (True, False)
    assert drawn.wires == ((0,), (2,))
    np.testing.assert_array_equal(drawn.coefficients, fixed.coefficients)
    other = make_observable("hermitian", wires, scale=0.1, key=jax.random.key(1))
    assert isinstance(other, Hermitian)
    assert (drawn.coefficients != other.coefficients).all()
    assert make_observable("pauli_z", wires, key=key) == PauliZ(((0,), (2,)))


def test_scale_is_the_standard_deviation() -> None:
    drawn = make_observable("hermitian", [(0, 1, 2)] * 100, scale=0.3, key=jax.random.key(0))
    # 6,400 draws: the standard error is 0.3 / sqrt(12,800) = 0.0027.
    assert float(jnp.std(drawn.pauli_coefficients())) == pytest.approx(0.3, abs=0.011)


@pytest.mark.parametrize("trainable", [True, False])
def test_only_trainable_coefficients_have_gradients(trainable: bool) -> None:
    observable = Hermitian(jnp.ones((1, 4)), ((0,),), trainable=trainable)
    gradient = jax.grad(lambda o: jnp.sum(o.pauli_coefficients() ** 2))(observable)
    np.testing.assert_array_equal(gradient.coefficients, 2.0 * trainable * np.ones((1, 4)))


def test_each_wire() -> None:
    assert each_wire(3) == ((0,), (1,), (2,))


@pytest.mark.parametrize("wires", [(), ((),), ((0,), (0, 1)), ((1, 1),)])
def test_hermitian_groups_are_equally_many_different_wires(wires: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(CircuitError, match="`wires` must be groups of equally many different wires, but was"):
        Hermitian(jnp.zeros((len(wires), 4)), wires)


@pytest.mark.parametrize(("shape", "wires"), [((2, 4), ((0,),)), ((1, 4), ((0, 1),)), ((1, 16), ((0,),))])
def test_hermitian_coefficients_fit_the_groups(shape: tuple[int, int], wires: tuple[tuple[int, ...], ...]) -> None:
    right = (len(wires), 4 ** len(wires[0]))
    with pytest.raises(CircuitError, match=rf"`coefficients` must have shape \({right[0]}, {right[1]}\) for"):
        Hermitian(jnp.zeros(shape), wires)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("factor", [1j, 1 + 0j])
def test_hermitian_coefficients_are_real(factor: complex) -> None:
    for coefficients in (factor * jnp.ones((1, 4)), factor * np.ones((1, 4))):
        with pytest.raises(CircuitError, match=r"`coefficients` must be real .*complex.* `pauli_decompose`"):
            Hermitian(coefficients, ((0,),))  # type: ignore[arg-type]


@pytest.mark.parametrize("wires", [(), ((0, 1),), ((0,), ()), ((0,), (1, 2))])
def test_pauli_z_is_on_single_wires(wires: tuple[tuple[int, ...], ...]) -> None:
    for build in (PauliZ, lambda groups: make_observable("pauli_z", groups, key=jax.random.key(0))):
        with pytest.raises(CircuitError, match="`wires` must be groups of one wire for Pauli-Z, but was"):
            build(wires)


@pytest.mark.usefixtures("unchecked")
def test_wires_may_be_lists_and_arrays() -> None:
    for wires in ([[0], [1]], np.array([[0], [1]]), jnp.array([[0], [1]])):
        assert PauliZ(wires) == PauliZ(((0,), (1,)))  # type: ignore[arg-type]
        hermitian = Hermitian(jnp.ones((2, 4)), wires)  # type: ignore[arg-type]
        assert hermitian.wires == ((0,), (1,))
        assert hash(hermitian.wires)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wires", [(0, 1), 0, ((0.5,),), ("ab",)])
def test_wires_are_groups(wires: Any) -> None:
    for build in (
        PauliZ,
        lambda wires: Hermitian(jnp.ones((2, 4)), wires),
        lambda wires: make_observable("hermitian", wires, key=jax.random.key(0)),
    ):
        with pytest.raises(CircuitError, match=r"`wires` must be groups such as \(\(0,\), \(1,\)\), but was"):
            build(wires)


def test_an_observable_measures_something() -> None:
    with pytest.raises(CircuitError, match="`wires` must be groups of equally many different wires"):
        make_observable("hermitian", [], key=jax.random.key(0))


def test_unknown_kinds_are_refused(unchecked: None) -> None:
    with pytest.raises(CircuitError, match=r"`observable` must be one of .* Did you mean 'hermitian'\?"):
        make_observable("hermitean", [[0]], key=jax.random.key(0))  # type: ignore[arg-type]
