"""Fidelity kernels beside PennyLane's and Qiskit's states, and what every kernel is: positive semidefinite."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from jax import Array
from jax.test_util import check_grads
from qiskit.circuit.library import zz_feature_map as qiskit_zz
from qiskit.quantum_info import Statevector

from qdistill.errors import ArgumentError, CircuitError
from qdistill.quantum import (
    AngleEmbedding,
    Circuit,
    DeviceModel,
    Execution,
    FidelityKernel,
    Operation,
    feature,
    for_batch,
    ideal,
    iqp_feature_map,
    on_device,
    overlap_circuit,
    weight,
    with_key,
    zz_feature_map,
)

from .noisy_reference import aer_density, read_probabilities, some_device
from .reference import numpy_unitary, quick_jit
from .strategies import circuits, examples, seeds, vectors


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2, 2, (n, d))


def of_states(states: np.ndarray) -> np.ndarray:
    matrix: np.ndarray = np.abs(states.conj() @ states.T) ** 2
    return matrix


def test_the_iqp_kernel_is_pennylanes() -> None:
    x, n = points(4, 3), 3

    @qml.qnode(qml.device("default.qubit", wires=n))
    def overlap(one: np.ndarray, two: np.ndarray) -> qml.typing.TensorLike:
        qml.IQPEmbedding(one, range(n), n_repeats=2)
        qml.adjoint(qml.IQPEmbedding)(two, range(n), n_repeats=2)
        return qml.probs()

    expected = qml.kernels.kernel_matrix(x, x[:3], lambda one, two: overlap(one, two)[0])
    with jax.enable_x64(True):
        kernel = FidelityKernel(iqp_feature_map(n))
        np.testing.assert_allclose(kernel(x, x[:3]), expected, atol=1e-10)
        np.testing.assert_allclose(kernel.gram(x[:3]), expected[:3], atol=1e-10)


def test_the_zz_kernel_is_qiskits() -> None:
    x, n = points(4, 3), 3
    states = np.array([Statevector(qiskit_zz(n, 2).assign_parameters(one)).data for one in x])
    with jax.enable_x64(True):
        kernel = FidelityKernel(zz_feature_map(n))
        np.testing.assert_allclose(kernel(x, x), of_states(states), atol=1e-10)


def test_the_kernel_of_angles_is_a_product_of_cosines() -> None:
    x = points(5, 4)
    expected = np.cos((x[:, None] - x[None]) / 2).prod(axis=-1) ** 2
    with jax.enable_x64(True):
        np.testing.assert_allclose(FidelityKernel(AngleEmbedding(4).circuit())(x, x), expected, atol=1e-10)


@given(circuit=circuits(max_wires=3), seed=seeds)
@examples(8)
def test_any_circuit_gives_a_kernel(circuit: Circuit, seed: int) -> None:
    weights, _ = vectors(seed)
    circuit = circuit.then([Operation("RX", (0,), (feature(0),))])
    weights, d = weights[: circuit.n_weights], circuit.n_features
    x = points(4, d, seed)
    with jax.enable_x64(True):
        kernel = FidelityKernel(circuit, weights)
        gram, full = map(np.asarray, quick_jit(lambda x: (kernel.gram(x), kernel(x, x)))(x))
    np.testing.assert_allclose(gram, full, atol=1e-10)
    # As a simulator that knows no kernel gives it: by states, and by the circuit that a device runs.
    states = np.array([numpy_unitary(circuit, weights, one)[:, 0] for one in x])
    np.testing.assert_allclose(gram, of_states(states), atol=1e-10)
    overlap = numpy_unitary(overlap_circuit(circuit), weights, np.concatenate([x[0], x[1]]))
    assert abs(overlap[0, 0]) ** 2 == pytest.approx(gram[0, 1], abs=1e-10)
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_array_equal(np.diag(gram), 1)
    assert gram.min() >= 0
    assert gram.max() <= 1 + 1e-12
    assert np.linalg.eigvalsh(gram).min() >= -1e-10


@given(circuit=circuits(max_wires=3), seed=seeds)
@examples(40)
def test_an_inverse_undoes_its_circuit(circuit: Circuit, seed: int) -> None:
    weights, features = vectors(seed)
    both = numpy_unitary(circuit.then(circuit.inverse().operations), weights, features)
    np.testing.assert_allclose(both, np.eye(2**circuit.n_wires), atol=1e-10)


def test_gradients_are_exact() -> None:
    with jax.enable_x64(True):
        kernel = FidelityKernel(iqp_feature_map(2, 1))
        check_grads(jax.jit(lambda x: kernel.gram(x)), (points(3, 2),), order=1, modes=["rev"])


def drawn(sample: Callable[[jax.Array], jax.Array]) -> np.ndarray:
    """200 samples, each from a key of its own."""
    return np.asarray(quick_jit(jax.vmap(sample))(jax.random.split(jax.random.key(0), 200)))


def test_shots_are_binomial_and_the_diagonal_is_known() -> None:
    x, y, shots = points(3, 2), points(2, 2, seed=1), 400
    exact = FidelityKernel(iqp_feature_map(2))
    kernel = on_device(exact, Execution(shots=shots))
    share = np.asarray(exact(x, y))
    draws = drawn(lambda key: with_key(kernel, key)(x, y))
    np.testing.assert_allclose(draws * shots, np.round(draws * shots), atol=1e-3)
    deviation = np.sqrt(share * (1 - share) / shots)
    assert (abs(draws.mean(axis=0) - share) <= 4.5 * deviation / np.sqrt(len(draws))).all()
    np.testing.assert_allclose(draws.std(axis=0), deviation, rtol=0.2)
    gram = with_key(kernel, jax.random.key(1)).gram(x)
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_array_equal(np.diag(gram), 1)
    assert ideal(kernel).is_exact
    assert not kernel.is_exact


def test_gaussian_shots_have_the_same_spread_and_derivatives() -> None:
    x, shots = points(2, 2), 400
    exact = FidelityKernel(iqp_feature_map(2))
    kernel = on_device(exact, Execution(shots=shots, estimator="gaussian"))
    entry = exact(x[:1], x[1:])[0, 0]
    draws = drawn(lambda key: with_key(kernel, key)(x[:1], x[1:])[0, 0])
    deviation = float(np.sqrt(entry * (1 - entry) / shots))
    assert draws.mean() == pytest.approx(entry, abs=4 * deviation / np.sqrt(200))
    assert draws.std() == pytest.approx(deviation, rel=0.2)
    slope = quick_jit(jax.grad(lambda x: with_key(kernel, jax.random.key(2)).gram(x).sum()))(jnp.asarray(x))
    assert np.isfinite(slope).all()


def test_on_a_device_entries_are_aers() -> None:
    x, device = points(2, 2), some_device(2)
    kernel = FidelityKernel(iqp_feature_map(2, 1))
    noisy = on_device(kernel, Execution(device))
    density = aer_density(overlap_circuit(kernel.circuit), device, np.zeros(0), x.reshape(-1))
    expected = read_probabilities(density, device)[0]
    entry = float(noisy(x[:1], x[1:])[0, 0])
    assert entry == pytest.approx(expected, abs=1e-5)
    assert abs(entry - float(kernel(x[:1], x[1:])[0, 0])) > 0.01
    np.testing.assert_array_equal(np.diag(noisy.gram(x)), 1)


def test_on_a_device_the_matrix_has_the_entries_of_its_upper_triangle() -> None:
    x, execution = points(3, 2), Execution(some_device(2))
    noisy = on_device(FidelityKernel(iqp_feature_map(2, 1)), execution)
    gram, every = map(np.asarray, quick_jit(lambda x: (noisy.gram(x), noisy(x, x)))(x))
    np.testing.assert_allclose(np.triu(gram, 1), np.triu(every, 1), atol=1e-6)
    np.testing.assert_array_equal(gram, gram.T)
    none, one = quick_jit(lambda x: (noisy.gram(x[:0]), noisy.gram(x[:1])))(x)
    assert none.shape == (0, 0)
    np.testing.assert_array_equal(one, [[1]])


def test_shots_of_the_matrix_on_a_device_are_those_of_its_entries() -> None:
    x = points(3, 2)
    kernel = FidelityKernel(iqp_feature_map(2, 1))
    device, shots = DeviceModel.uniform(2), 500
    for estimator in ("samples", "gaussian"):
        ideal_shots, of_device = (
            with_key(on_device(kernel, Execution(on, shots, estimator)), jax.random.key(3)).gram
            for on in (None, device)
        )
        estimated, expected = quick_jit(lambda x, one=of_device, two=ideal_shots: (one(x), two(x)))(x)
        np.testing.assert_allclose(estimated, expected, atol=1e-4)


def test_no_gradient_reaches_the_weights() -> None:
    circuit = Circuit(1, (Operation("RY", (0,), (weight(0) * feature(0),)),))
    x = jnp.asarray(points(2, 1))
    for execution in (None, Execution(some_device(1)), Execution(some_device(1), 50, "gaussian")):
        kernel = FidelityKernel(circuit, jnp.ones(1))
        kernel = kernel if execution is None else with_key(on_device(kernel, execution), jax.random.key(0))
        arrays, static = eqx.partition(kernel, eqx.is_inexact_array)

        def total(arrays: FidelityKernel, x: Array, static: FidelityKernel = static) -> Array:
            own = eqx.combine(arrays, static)
            return own(x, x + 1).sum() + own.gram(x).sum()

        by_kernel, by_points = quick_jit(jax.grad(total, argnums=(0, 1)))(arrays, x)
        assert jax.tree.leaves(by_kernel)
        assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(by_kernel))
        assert np.asarray(by_points).all()


def test_what_is_no_kernel_is_refused() -> None:
    with pytest.raises(CircuitError, match="Argument `circuit` must read features"):
        FidelityKernel(Circuit(2, (Operation("H", (0,)),)))
    kernel = FidelityKernel(iqp_feature_map(2))
    with pytest.raises(CircuitError, match=r"in the shape \(n, 2\), but had shape \(3, 5\)"):
        kernel(points(3, 5), points(3, 2))
    noisy = on_device(kernel, Execution(some_device(2)))
    for either in (kernel, noisy):
        # Vectors of three features and of one are as many numbers as two vectors of two.
        with pytest.raises(CircuitError, match=r"`left` must be vectors of the 2 .*\(n, 2\), but had shape \(1, 3\)"):
            either(points(1, 3), points(1, 1))
        with pytest.raises(CircuitError, match=r"`right` must be vectors of the 2 .*\(n, 2\), but had shape \(2,\)"):
            either(points(1, 2), points(1, 2)[0])
        with pytest.raises(CircuitError, match=r"`points` must be vectors of the 2 .*\(n, 2\), but had shape \(2,\)"):
            either.gram(points(1, 2)[0])
    wide = on_device(FidelityKernel(AngleEmbedding(25).circuit()), Execution(DeviceModel.uniform(25)))
    with pytest.raises(ArgumentError, match="A matrix of 25 wires"):
        wide(points(1, 25), points(1, 25))
    with pytest.raises(ArgumentError, match="A matrix of 25 wires"):
        wide.gram(points(2, 25))
    many = on_device(FidelityKernel(AngleEmbedding(10).circuit()), Execution(DeviceModel.uniform(10)))
    with pytest.raises(ArgumentError, match="A matrix of 10 wires, for each of 4,000,000 at once, takes at least"):
        many(points(2_000, 10), points(2_000, 10))
    with pytest.raises(ArgumentError, match="A matrix of 10 wires, for each of 499,500 at once, takes at least"):
        many.gram(points(1_000, 10))
    with pytest.raises(ArgumentError, match="A matrix of 10 wires, for each of 300,000 at once, takes at least"):
        for_batch(many, 100_000)(points(1, 10), points(3, 10))
    with pytest.raises(ArgumentError, match="Argument `key` must be given where there are shots"):
        on_device(kernel, Execution(shots=10)).gram(points(3, 2))


def test_the_kernel_of_no_points_is_empty() -> None:
    kernel = FidelityKernel(iqp_feature_map(2))
    assert kernel(points(3, 2), np.zeros((0, 2))).shape == (3, 0)
