"""Circuits whose angles are polynomials: their values, their derivatives and the chain rule of shift rules."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from qiskit.circuit import library
from qiskit.quantum_info import Operator

from qdistill.errors import CircuitError
from qdistill.quantum import (
    AmplitudeEmbedding,
    Angle,
    AngleEmbedding,
    Circuit,
    DeviceModel,
    Execution,
    NoEmbedding,
    NoisyLayer,
    Operation,
    PauliZ,
    QuantumLayer,
    embedded_features,
    feature,
    unitary,
    weight,
)
from qdistill.quantum.gates import shift_rule
from qdistill.quantum.simulate import values_of_angles

from .reference import numpy_unitary, quick_jit, relative_error
from .strategies import N_WEIGHTS, circuits, examples, seeds, vectors
from .test_angle import angles


def zz_feature_map(n_wires: int, repetitions: int) -> Circuit:
    """Qiskit's map (Havlicek et al., Nature 567, 209): phases x_i, and (pi - x_i) (pi - x_j) on every pair."""
    pairs = [(i, j) for i in range(n_wires) for j in range(i + 1, n_wires)]
    operations: list[Operation] = []
    for _ in range(repetitions):
        operations += [Operation("H", (wire,)) for wire in range(n_wires)]
        operations += [Operation("RZ", (wire,), (2 * feature(wire),)) for wire in range(n_wires)]
        for i, j in pairs:
            angle = 2 * (math.pi - feature(i)) * (math.pi - feature(j))
            operations += [Operation("CNOT", (i, j)), Operation("RZ", (j,), (angle,)), Operation("CNOT", (i, j))]
    return Circuit(n_wires, tuple(operations))


def test_the_zz_feature_map_is_qiskits(double_precision: None) -> None:
    features = np.array([0.3, -1.2, 2.5])
    expected = Operator(library.zz_feature_map(3, reps=2).assign_parameters(features).reverse_bits()).data
    actual = np.asarray(unitary(zz_feature_map(3, 2), jnp.zeros(0), jnp.asarray(features)))
    overlap = np.vdot(actual, expected)
    assert abs(overlap) == pytest.approx(8, abs=1e-9)  # the same up to a phase


@given(angles(), angles(), seeds)
@examples(20)
def test_tables_have_the_values_of_angles(one, two, seed) -> None:
    weights, features = vectors(seed)
    given_angles = (one, two, one * two, weight(0) * weight(0) * weight(0) - feature(1) / 3)
    expected = [angle.value(weights, features) for angle in given_angles]
    with jax.enable_x64(True):
        actual = values_of_angles(given_angles, jnp.asarray(weights), jnp.asarray(features))
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-9)
    single = values_of_angles(given_angles, jnp.asarray(weights, jnp.float32), jnp.asarray(features, jnp.float32))
    assert single.dtype == jnp.float32
    size = [sum(abs(t.value(weights, features)) for t in angle.terms) for angle in given_angles]
    assert (np.abs(single - np.array(expected)) <= 1e-5 * np.array(size) + 1e-6).all()


@given(circuit=circuits(max_wires=3), seed=seeds)
@examples(8)
def test_derivatives_are_finite_differences_and_those_of_shift_rules(circuit: Circuit, seed: int) -> None:
    """The derivative by an angle from shifted circuits, times that of the angle by what it is made of."""
    weights, features = vectors(seed)
    observable = np.diag(np.random.default_rng(seed).normal(size=2**circuit.n_wires))

    def by_numpy(circuit: Circuit, weights: np.ndarray, features: np.ndarray) -> float:
        state = numpy_unitary(circuit, weights, features)[:, 0]
        return float((state.conj() @ observable @ state).real)

    def by_jax(weights: jax.Array, features: jax.Array) -> jax.Array:
        state = unitary(circuit, weights, features)[:, 0]
        return jnp.sum((state.real**2 + state.imag**2) * np.diag(observable))

    apart, given_angles, gates = circuit.angles_apart()
    with jax.enable_x64(True):
        entries = (jnp.asarray(weights), jnp.asarray(features))
        exact = np.concatenate(quick_jit(jax.grad(by_jax, (0, 1)))(*entries))
        values = np.asarray(values_of_angles(given_angles, *entries))
        chain = np.concatenate(jax.jacobian(values_of_angles, (1, 2))(given_angles, *entries), axis=1)

    def at(place: int, shift: float) -> float:
        moved = values.copy()
        moved[place] += shift
        return by_numpy(apart, moved, np.zeros(0))

    slopes = [
        sum(factor * (at(place, shift) - at(place, -shift)) for shift, factor in shift_rule(gate))
        for place, gate in enumerate(gates)
    ]
    assert relative_error(np.array(slopes) @ chain if slopes else np.zeros_like(exact), exact) < 1e-8
    step, both = 1e-5, np.concatenate([weights, features])
    for place, slope in enumerate(exact):
        up, down = (both + sign * step * np.eye(len(both))[place] for sign in (1, -1))
        ends = [by_numpy(circuit, point[:N_WEIGHTS], point[N_WEIGHTS:]) for point in (up, down)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("angle", [feature(2), weight(0) * feature(2), weight(0) * feature(2) * feature(0)])
@pytest.mark.parametrize("embedding", [AmplitudeEmbedding(2), AngleEmbedding(2), NoEmbedding(2, 3)])
def test_features_that_are_missing_are_never_made_up(angle: Angle, embedding: Any) -> None:
    """JAX takes the last entry of a vector for those beyond its end."""
    circuit = Circuit(2, (Operation("RY", (0,), (angle,)), Operation("RZ", (0,), (weight(0),))))
    layer = QuantumLayer(embedding, circuit, jnp.ones(1), PauliZ(((0,),)))
    device = DeviceModel.uniform(2)
    noisy = NoisyLayer(layer, Execution(device, preparation="ideal"))
    sampled = NoisyLayer(layer, Execution(shots=5), jax.random.key(0))
    for values in (layer, noisy, sampled, lambda x: embedded_features(embedding, circuit, x)):
        with pytest.raises(CircuitError, match="`features` must have at least 3 entries, but had 2"):
            values(jnp.ones(2))
    with pytest.raises(CircuitError, match="`weights` must have at least 1 entries, but had 0"):
        values_of_angles((angle + weight(0),), jnp.zeros(0), jnp.zeros(3))


def test_a_batch_of_features_is_one_of_polynomials() -> None:
    """The features of each vector meet the shared weights."""
    operations = (Operation("RY", (0,), (weight(0) * feature(0) + weight(1),)),)
    layer = QuantumLayer(NoEmbedding(1, 1), Circuit(1, operations), jnp.array([2.0, 0.5]), PauliZ(((0,),)), batch=3)
    features = jnp.array([[0.1], [0.2], [-0.4]])
    np.testing.assert_allclose(jax.vmap(layer)(features)[:, 0], np.cos(2 * features[:, 0] + 0.5), atol=1e-6)
