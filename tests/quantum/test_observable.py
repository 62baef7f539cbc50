"""Pauli coefficients and matrices, and what can and cannot be measured."""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.quantum_info import SparsePauliOp, Statevector

from qdistill.errors import CircuitError
from qdistill.quantum import (
    Hermitian,
    PauliString,
    PauliSum,
    PauliZ,
    each_wire,
    expectation_values,
    make_observable,
    pauli_compose,
    pauli_decompose,
    pauli_strings,
    pauli_sums,
)

from .reference import PAULI_MATRICES, pauli_products
from .strategies import examples, random_state, seeds

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


letters = st.text(st.sampled_from("IXYZ"), min_size=4, max_size=4).filter(lambda text: set(text) != {"I"})
sums = st.lists(st.lists(letters, min_size=1, max_size=6), min_size=1, max_size=4)


@given(strings=sums, seed=seeds, real=st.booleans())
@examples(25)
def test_sums_are_traces_of_their_matrices(strings: list[list[str]], seed: int, real: bool) -> None:
    order = [2, 0, 3, 1]
    outputs = [[(text, order) for text in own] for own in strings]
    coefficients = np.random.default_rng(seed).normal(size=sum(map(len, strings)))
    state = random_state(4, seed).real if real else random_state(4, seed)
    expected, first = [], 0
    for own in strings:
        products = [reduce(np.kron, [PAULI_MATRICES[text[order.index(wire)]] for wire in range(4)]) for text in own]
        matrix = np.einsum("t,tij->ij", coefficients[first : first + len(own)], products)
        expected.append((state.conj() @ matrix @ state).real)
        first += len(own)
    with jax.enable_x64(True):
        for trainable in (True, False):
            values = expectation_values(PauliSum(outputs, coefficients, trainable=trainable), state)
            np.testing.assert_allclose(values, expected, atol=1e-12)


def test_values_are_pennylanes_and_qiskits() -> None:
    strings = [["X0 Y2 Z4", "Z1", "I"], ["Z0 Z1 Z2 Z3 Z4"], ["Y1 Y2", "X0 X1 X3", "Y4 X3"]]
    coefficients = np.array([0.3, -1.2, 0.5, 1.0, 2.0, -0.7, 0.1])
    state = random_state(5, 3)

    @qml.qnode(qml.device("default.qubit", wires=5))
    def values() -> Any:
        qml.StatePrep(state, wires=range(5))
        return [
            qml.expval(0.3 * qml.X(0) @ qml.Y(2) @ qml.Z(4) - 1.2 * qml.Z(1) + 0.5 * qml.I(0)),
            qml.expval(qml.prod(*(qml.Z(wire) for wire in range(5)))),
            qml.expval(2 * qml.Y(1) @ qml.Y(2) - 0.7 * qml.X(0) @ qml.X(1) @ qml.X(3) + 0.1 * qml.X(3) @ qml.Y(4)),
        ]

    # Qiskit writes qubit 4, our wire 0, first.
    labels = [["XIYIZ", "IZIII", "IIIII"], ["ZZZZZ"], ["IYYII", "XXIXI", "IIIXY"]]
    operators = zip(labels, ([0.3, -1.2, 0.5], [1.0], [2.0, -0.7, 0.1]), strict=True)
    in_qiskit = [Statevector(state).expectation_value(SparsePauliOp(*operator)).real for operator in operators]
    with jax.enable_x64(True):
        ours = expectation_values(PauliSum(strings, coefficients), state)
    np.testing.assert_allclose(ours, values(), atol=1e-12)
    np.testing.assert_allclose(ours, in_qiskit, atol=1e-12)


def test_many_strings_on_many_wires_are_summed_by_halves() -> None:
    generator, n_wires = np.random.default_rng(0), 14
    texts = ["".join(generator.choice(list("IXYZ"), n_wires, p=[0.4, 0.2, 0.1, 0.3])) for _ in range(12)]
    diagonal = ["".join(generator.choice(list("IZ"), n_wires)) for _ in range(30)]
    state = random_state(n_wires, 1)
    words = [qml.pauli.string_to_pauli_word(text) for text in (*texts, *diagonal)]

    @qml.qnode(qml.device("default.qubit", wires=n_wires))
    def expected() -> Any:
        qml.StatePrep(state, wires=range(n_wires))
        return [qml.expval(word) for word in words]

    outputs = [[(text, range(n_wires))] for text in (*texts, *diagonal)]
    with jax.enable_x64(True):
        np.testing.assert_allclose(expectation_values(PauliSum(outputs), state), expected(), atol=1e-12)


def test_many_flips_are_a_loop_with_the_same_values_and_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    texts = sorted({"".join(generator.choice(list("IXYZ"), 4)) for _ in range(40)} - {"IIII"})
    parts = generator.normal(size=(2, 16))
    tangent = generator.normal(size=(2, 16))

    def total(parts: jax.Array, coefficients: jax.Array) -> jax.Array:
        whole = PauliSum([[(text, range(4)) for text in texts], "Y1 Y2"], coefficients, trainable=True)
        return jnp.sum(jax.vmap(partial(expectation_values, whole))(jax.lax.complex(*parts)[None]) ** 2)

    results = []
    for most in (0, 64):
        monkeypatch.setattr(pauli_sums, "MOST_FLIPS", most)
        with jax.enable_x64(True):
            given = (jnp.asarray(parts), jnp.linspace(-1, 1, len(texts) + 1))
            slope = jax.jit(jax.grad(total, (0, 1)))
            curved = jax.jit(
                jax.grad(lambda *given: sum(jnp.sum(s**2) for s in jax.grad(total, (0, 1))(*given)), (0, 1))
            )
            along = jax.jvp(slope, given, (jnp.asarray(tangent), jnp.ones(len(texts) + 1)))[1]
            real = expectation_values(PauliSum([[(text, range(4)) for text in texts]]), parts[0])
            results.append(jax.tree.leaves((total(*given), slope(*given), along, curved(*given), real)))
    for in_turn, written_out in zip(*results, strict=True):
        np.testing.assert_allclose(in_turn, written_out, rtol=1e-9, atol=1e-9)


def test_a_product_on_all_wires_takes_no_memory() -> None:
    state = jnp.asarray(random_state(6, 0), jnp.complex64)
    value = jax.jit(lambda state: jnp.sum(expectation_values(PauliSum(["Z0 Z1 Z2 Z3 Z4 Z5"]), state)))
    program = jax.jit(jax.value_and_grad(lambda state: value(state))).lower(state.real).compile()
    taken = program.memory_analysis()
    assert taken.temp_size_in_bytes + taken.argument_size_in_bytes + taken.output_size_in_bytes < 10_000


def test_derivatives_of_sums_are_finite_everywhere() -> None:
    strings = [["X0 Y1", "Z1", "I"], ["Z0 Z1"]]

    def values(coefficients: jax.Array, parts: jax.Array) -> jax.Array:
        state = jax.lax.complex(parts[0], parts[1])
        return expectation_values(PauliSum(strings, coefficients, trainable=True), state)

    for coefficients in (jnp.zeros(4), jnp.array([0.0, 1.0, 0.0, 1.0])):
        for parts in (jnp.zeros((2, 4)), jnp.eye(4)[:2]):
            both = jax.jit(
                lambda *x: (jax.jacrev(values, (0, 1))(*x), jax.jacfwd(jax.jacrev(values, (0, 1)), (0, 1))(*x))
            )
            assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(both(coefficients, parts)))


def test_fixed_coefficients_are_no_weights() -> None:
    fixed, trained = PauliSum(["Z0"], [2.0]), PauliSum(["Z0"], [2.0], trainable=True)
    assert jax.tree.leaves(fixed) == []
    assert [leaf.shape for leaf in jax.tree.leaves(trained)] == [(1,)]
    assert (fixed.trainable, trained.trainable) == (False, True)
    assert fixed == PauliSum([[("ZI", (0, 3))]], np.array([2]))
    assert hash(fixed) == hash(PauliSum(["Z0"], 2.0 * jnp.ones(1)))
    with pytest.raises(CircuitError, match="`coefficients` must be known numbers where they are fixed"):
        jax.jit(lambda c: PauliSum(["Z0"], c).term_coefficients())(jnp.ones(1))


def test_strings_have_one_form() -> None:
    same = [
        "Z3 X0",
        "X0 Z3 I7",
        ("XZ", (0, 3)),
        ("IZX", [1, 3, 0]),
        PauliString("ZX", (3, 0)),
        ["XZ", np.array([0, 3])],
    ]
    assert {PauliString.of(each) for each in same} == {PauliString("XZ", (0, 3))}
    assert {PauliString.of(each) for each in ("I", "I4", ("", ()), ("II", (1, 2)))} == {PauliString()}
    string = PauliString.of("Y2 X0")
    assert (str(string), str(PauliString())) == ("X0 Y2", "I")
    assert string.on(range(4)) == "XIYI"
    assert string.wires_of("XZ") == (0,)
    assert PauliString.of(str(string)) == string


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("strings", "message"),
    [
        ("Z0", "`strings` must have an output"),
        ([], "`strings` must have an output"),
        ([["Z0"], []], "`strings` must have an output"),
        (5, "`strings` must have the strings of each output"),
        ([3], "`strings` must have the strings of each output"),
        ([["A0"]], "`strings` must have a Pauli string such as"),
        (["Z0Z1"], "`strings` must have a Pauli string such as"),
        (["Z\u0661"], "`strings` must have a Pauli string such as"),
        (["Z" + "1" * 5_000], "`strings` must have a Pauli string such as"),
        ([""], "`strings` must have a Pauli string such as"),
        ([[3]], "`strings` must have a Pauli string such as"),
        ([["Z0", None]], "`strings` must have a Pauli string such as"),
        ([[(0, "Z")]], "`strings` must have a Pauli string such as"),
        ([("ZZ", (0, 1))], "`strings` must have a Pauli string such as"),
        ([[("ZQ", (0, 1))]], "`letters` must be of X, Y, Z and I"),
        ([[("ZZ", (0,))]], "`wires` must be 2 different wires"),
        ([[("ZZ", (0, 0))]], "`wires` must be 2 different wires"),
        ([[("Z", (-1,))]], "`wires` must be 1 different wires from 0 on"),
        ([[("Z", (0.5,))]], r"`wires` must be wires such as \(0, 3\)"),
        (["Z0 X0"], "`wires` must be 2 different wires"),
        (["I", "I"], "must measure a wire, but has the identity alone"),
        ([["Z0"] * 2**9] * 2**10, "at most 262,144 Pauli strings, but this one has 524,288"),
    ],
)
def test_what_is_no_sum_of_strings_is_refused(strings: Any, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        PauliSum(strings)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        ([1.0], r"`coefficients` must have shape \(2,\), one for each string, but was \(1,\)"),
        (1.0, r"`coefficients` must have shape \(2,\), one for each string, but was \(\)"),
        ([[1.0, 2.0]], r"`coefficients` must have shape \(2,\), one for each string, but was \(1, 2\)"),
        ([1j, 1.0], "`coefficients` must be real"),
        ("ab", "`coefficients` must be"),
    ],
)
def test_coefficients_of_sums_fit_the_strings(coefficients: Any, message: str, trainable: bool) -> None:
    with pytest.raises(CircuitError, match=message):
        PauliSum([["Z0", "X1"]], coefficients, trainable=trainable)


def test_fixed_coefficients_are_finite() -> None:
    with pytest.raises(CircuitError, match="`coefficients` must be finite"):
        PauliSum(["Z0"], [np.nan])
