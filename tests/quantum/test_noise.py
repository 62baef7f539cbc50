"""Layers on a device and from shots, against PennyLane's density matrices and exact gradients."""

import math
from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.errors import ArgumentError, CircuitError
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Circuit,
    DeviceModel,
    Execution,
    NoEmbedding,
    NoisyLayer,
    Operation,
    PauliSum,
    PauliZ,
    QuantumLayer,
    StronglyEntangling,
    basis_probabilities,
    each_wire,
    feature,
    ideal,
    make_observable,
    measurement_settings,
    n_gradient_circuits,
    on_device,
    on_each,
    probabilities,
    weight,
    with_key,
)
from qdistill.quantum.preparation import preparation_angles, preparation_circuit
from qdistill.quantum.shots import basis_letters, constants, covariance, outcome_values, values_of

from .components import COMBINATIONS, N_WIRES
from .noisy_reference import pennylane_density, read_probabilities, some_device
from .reference import quick_jit, relative_error

SUMS = {
    "sums": PauliSum([["X0 Y1", "Z2", "I"], ["Z2 Z0 Z1"], ["Y2 Z1", "X1"]], [1.0, -0.5, 2, 1, 0.3, -1], trainable=True),
    "projectors": basis_probabilities((2, 0)),
    "a constant": PauliSum([["Z0"], ["I", "I"], ["X1 Z2", "I"]], [1.0, 0.5, -2.0, 0.7, 0.1]),
}


def make_layer(observable="hermitian", embedding="amplitude", n_wires=3, n_layers=2, batch=1):
    ansatz = StronglyEntangling(n_wires, n_layers)
    groups = [(0, 1), (2, 1)] if observable == "pairs" else each_wire(n_wires)
    measured = SUMS.get(observable) or make_observable(
        "pauli_z" if observable == "pauli_z" else "hermitian", groups, key=jax.random.key(1)
    )
    return QuantumLayer(
        AmplitudeEmbedding(n_wires) if embedding == "amplitude" else AngleEmbedding(n_wires, embedding),
        ansatz.circuit(),
        jax.random.uniform(jax.random.key(0), ansatz.weight_shape, maxval=6.0),
        measured,
        batch=batch,
    )


def make_features(layer, count=1):
    return np.random.default_rng(4).normal(size=(count, layer.embedding.n_features)).astype(np.float32)


def reference(layer, device, features, preparation):
    """Probabilities and values by PennyLane, with the noise of the preparation where it is wanted."""
    n, weights = layer.circuit.n_wires, np.asarray(layer.weights, float).reshape(-1)
    state, circuits = None, [(layer.circuit, weights, None)]
    if preparation == "ideal":
        state = np.asarray(layer.embedding.state(jnp.asarray(features)), complex)
        state = state / np.linalg.norm(state)
    elif isinstance(layer.embedding, AmplitudeEmbedding):
        amplitudes = jnp.asarray(features)
        circuits.insert(0, (preparation_circuit(n), None, np.asarray(preparation_angles(amplitudes), float)))
    else:
        circuits.insert(0, (layer.embedding.circuit(), None, features))
    shares = [
        read_probabilities(pennylane_density(circuits, device, basis_letters(setting, n), state), device)
        for setting in measurement_settings(layer.observable)
    ]
    shares = np.array(shares)
    values = constants(layer.observable) + values_of(outcome_values(layer.observable, n), jnp.asarray(shares))
    return shares, np.asarray(values)


@pytest.mark.parametrize(
    ("observable", "embedding", "preparation"),
    [
        ("hermitian", "amplitude", "exact"),
        ("pairs", "amplitude", "exact"),
        ("hermitian", "X", "exact"),
        ("pauli_z", "Z", "ideal"),
        ("sums", "amplitude", "exact"),
        ("projectors", "Y", "exact"),
        ("a constant", "amplitude", "exact"),
    ],
)
def test_layers_on_a_device_are_pennylanes(observable, embedding, preparation):
    layer, device = make_layer(observable, embedding), some_device(4)
    (features,) = make_features(layer)
    execution = Execution(device, preparation=preparation)
    shares, values = reference(layer, device, features, preparation)
    # Both ways: observables backwards for a large batch, states forwards for a small one.
    for batch in (1, 1000) if observable in ("hermitian", "sums", "a constant") else (1,):
        many = replace(layer, batch=batch)
        assert (
            np.abs(
                np.asarray(quick_jit(lambda x, many=many: probabilities(many, execution, x))(features)) - shares
            ).max()
            < 1e-5
        )
        assert np.abs(np.asarray(quick_jit(NoisyLayer(many, execution).__call__)(features)) - values).max() < 1e-5


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_device_without_errors_gives_the_layer(name):
    layer, features = COMBINATIONS[name].layer(), jnp.asarray(COMBINATIONS[name].features(1)[0])
    noisy = NoisyLayer(layer, Execution(DeviceModel.uniform(N_WIRES)))
    assert np.abs(np.asarray(noisy(features) - layer(features))).max() < 1e-5
    shares = probabilities(layer, Execution(shots=1), features)
    assert np.abs(np.asarray(shares - probabilities(layer, noisy.execution, features))).max() < 1e-5
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("preparation", ["exact", "approximate", "ideal"])
def test_the_values_have_the_same_derivatives_in_both_directions(preparation):
    layer, device = make_layer(n_layers=1), some_device(3)
    (features,) = make_features(layer)

    def slopes(batch):
        def value(arguments):
            layer, features = arguments
            noisy = NoisyLayer(replace(layer, batch=batch), Execution(device, preparation=preparation))
            return jnp.sin(noisy(features)).sum()

        return jax.tree.leaves(eqx.filter_jit(eqx.filter_grad(value))((layer, jnp.asarray(features))))

    for one, other in zip(slopes(1), slopes(1000), strict=True):
        assert relative_error(one, other) < 1e-4


def test_the_preparation_prepares_the_vector():
    for n_wires in (1, 2, 4):
        vector = np.random.default_rng(n_wires).normal(size=2**n_wires)
        vector[1::3] = 0
        circuit, turns = preparation_circuit(n_wires), preparation_angles(jnp.asarray(vector, jnp.float32))
        density = pennylane_density([(circuit, None, np.asarray(turns, float))], DeviceModel.uniform(n_wires))
        expected = np.outer(vector, vector) / (vector @ vector)
        assert np.abs(density - expected).max() < 1e-6


def test_the_angles_of_zeros_have_finite_derivatives():
    for vector in (jnp.zeros(8), jnp.eye(8)[3]):
        assert jnp.isfinite(quick_jit(jax.jacobian(preparation_angles))(vector)).all()


def test_the_approximate_preparation_is_much_better_than_none():
    layer, device = make_layer(batch=50), some_device(3, factor=0.2)
    features = jnp.maximum(make_features(layer, 50), 0)
    exact, approximate, none = (
        quick_jit(jax.vmap(NoisyLayer(layer, Execution(device, preparation=kind)).__call__))(features)
        for kind in ("exact", "approximate", "ideal")
    )
    assert jnp.abs(approximate - exact).mean() < 0.2 * jnp.abs(none - exact).mean()


@pytest.mark.parametrize(
    ("estimator", "device"), [("gaussian", None), ("samples", some_device(3))], ids=["gaussian", "samples"]
)
def test_estimates_have_the_exact_mean_and_covariance(estimator, device):
    layer, shots, repeats = make_layer(), 40, 20_000
    (features,) = jnp.asarray(make_features(layer))
    execution = Execution(device, shots, estimator)
    noisy = NoisyLayer(layer, execution)
    keys = jax.random.split(jax.random.key(5), repeats)
    drawn = np.asarray(quick_jit(jax.vmap(lambda key: with_key(noisy, key)(features)))(keys))
    exact = NoisyLayer(layer, Execution(device))(features) if device is not None else layer(features)
    outcomes = outcome_values(layer.observable, 3)
    spread = np.asarray(covariance(outcomes, probabilities(layer, execution, features))) / shots
    deviations = np.sqrt(np.diagonal(spread))
    assert np.abs((drawn.mean(axis=0) - np.asarray(exact)) / deviations).max() < 5 / math.sqrt(repeats)
    errors = (np.cov(drawn.T) - spread) / np.outer(deviations, deviations)
    assert np.abs(errors).max() < 5 * math.sqrt(2 / repeats)


@pytest.mark.parametrize(("embedding", "device"), [("amplitude", None), ("Y", some_device(2))], ids=["amplitude", "Y"])
def test_shift_rules_have_the_exact_gradient_as_their_mean(embedding, device):
    layer, repeats = make_layer("hermitian", embedding, n_wires=2, n_layers=1), 2000
    (features,) = jnp.asarray(make_features(layer))
    # The rule for amplitudes is exact where the noise of the preparation does not depend on them.
    preparation = "ideal" if embedding == "amplitude" else "exact"
    cotangent = jnp.array([1.0, -0.5])

    def slopes(layer, features):
        return eqx.filter_grad(lambda both: both[0](both[1]) @ cotangent)((layer, features))

    drawn_from = NoisyLayer(layer, Execution(device, 20, preparation=preparation))
    keys = jax.random.split(jax.random.key(6), repeats)
    drawn = quick_jit(jax.vmap(lambda key: slopes(with_key(drawn_from, key), features)))(keys)
    exact_layer = layer if device is None else NoisyLayer(layer, Execution(device, preparation=preparation))
    exact = eqx.filter_jit(slopes)(exact_layer, features)
    for estimates, mean in zip(jax.tree.leaves(drawn), jax.tree.leaves(exact), strict=True):
        error = np.asarray(estimates.std(axis=0)) / math.sqrt(repeats) + 1e-6
        assert (np.abs(np.asarray(estimates.mean(axis=0) - mean)) / error).max() < 5


def test_each_shifted_circuit_has_shots_of_its_own():
    # One RY and Z from |0>: at both shifts of a right angle outcomes are fair coins or certain, by hand.
    circuit = Circuit(1, (Operation("RY", (0,), (weight(0),)),))
    layer = QuantumLayer(AmplitudeEmbedding(1), circuit, jnp.zeros(1), PauliZ(((0,),)))
    noisy, shots = NoisyLayer(layer, Execution(shots=25)), 25

    def slope(key):
        grad = eqx.filter_grad(lambda layer: layer(jnp.array([1.0, 0.0]))[0])
        return grad(with_key(noisy, key)).layer.weights[0]

    drawn = quick_jit(jax.vmap(slope))(jax.random.split(jax.random.key(0), 4000))
    # At zero the shifted values are both 0, with the variance 1 / S each, and their half difference has 1 / (2 S).
    assert float(drawn.var()) == pytest.approx(1 / (2 * shots), rel=0.15)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("estimator", ["samples", "gaussian"])
def test_each_vector_of_an_image_has_shots_of_its_own(estimator):
    # Z after a quarter turn from |0> is a fair coin: a mean over S shots has the variance 1 / S.
    circuit = Circuit(1, (Operation("RY", (0,), (weight(0),)),))
    layer = QuantumLayer(NoEmbedding(1, 1), circuit, jnp.array([math.pi / 2]), PauliZ(((0,),)))
    noisy, shots, patches = NoisyLayer(layer, Execution(shots=100, estimator=estimator)), 100, jnp.zeros((64, 1))

    def means(key):
        own = with_key(noisy, key)
        return on_each(own, patches).mean(), eqx.filter_grad(lambda own: on_each(own, patches).mean())(own)

    values, slopes = quick_jit(jax.vmap(means))(jax.random.split(jax.random.key(7), 200))
    assert float(values.std()) == pytest.approx(1 / math.sqrt(shots * 64), rel=0.2)
    assert float(values.mean()) == pytest.approx(0, abs=5 / math.sqrt(shots * 64 * 200))
    assert float(slopes.layer.weights.mean()) == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("device", [None, some_device(3)], ids=["ideal", "noisy"])
def test_on_each_gives_the_values_of_vmap(device):
    layer = make_layer(n_wires=2, n_layers=1)
    vectors = jnp.asarray(make_features(layer, 5))
    exact = layer if device is None else NoisyLayer(layer, Execution(device))
    found, expected = quick_jit(lambda vectors: (on_each(exact, vectors), jax.vmap(exact)(vectors)))(vectors)
    assert np.abs(np.asarray(found - expected)).max() < 1e-5
    with pytest.raises(ArgumentError, match="`key` must be given where there are shots"):
        on_each(NoisyLayer(layer, Execution(device, 10)), vectors)


def test_on_each_tells_the_layer_how_many_vectors_there_are(monkeypatch):
    seen = []

    def record(layer, features, form):
        seen.append((layer.batch, form))
        return jnp.zeros(layer.n_outputs)

    monkeypatch.setattr("qdistill.quantum.layer.evaluate_in_form", record)
    layer = make_layer(n_wires=4, batch=10)
    on_each(layer, jnp.ones((196, 16)))
    assert seen == [(1960, replace(layer, batch=1960).form)]
    with pytest.raises(CircuitError, match=r"`vectors` must have a row .*, one at least, but had shape \(0, 16\)"):
        on_each(layer, jnp.ones((0, 16)))


def test_the_gaussian_estimator_has_second_derivatives():
    layer = make_layer(n_wires=2, n_layers=1)
    noisy = NoisyLayer(layer, Execution(some_device(2), 100, "gaussian", "approximate"), jax.random.key(0))
    weights, static = eqx.partition(noisy, eqx.is_inexact_array)
    (features,) = jnp.asarray(make_features(layer))

    def loss(weights):
        return jnp.sum(eqx.combine(weights, static)(features) ** 2)

    tangent = jax.tree.map(jnp.ones_like, weights)
    slope = jax.grad(loss)
    product = quick_jit(lambda weights: jax.jvp(slope, (weights,), (tangent,))[1])(weights)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(product))


def test_a_frozen_layer_has_no_gradient():
    layer = replace(make_layer(n_wires=2), trainable=False)
    noisy = NoisyLayer(layer, Execution(shots=10), jax.random.key(0))
    weights, static = eqx.partition(noisy, eqx.is_inexact_array)
    slopes = quick_jit(jax.grad(lambda weights: eqx.combine(weights, static)(jnp.ones(4)).sum()))(weights)
    assert not any(leaf.any() for leaf in jax.tree.leaves(slopes))


def test_zero_features_give_zeros_and_no_gradient():
    noisy = NoisyLayer(make_layer(n_wires=2), Execution(shots=10), jax.random.key(0))
    value, slopes = quick_jit(jax.value_and_grad(lambda features: noisy(features).sum()))(jnp.zeros(4))
    assert value == 0
    assert slopes.tolist() == [0.0] * 4


def test_wrapping_keys_and_unwrapping():
    layers = [make_layer(n_wires=2), make_layer(n_wires=3)]
    wrapped = with_key(on_device(layers, Execution(shots=5)), jax.random.key(0))
    assert all(isinstance(layer, NoisyLayer) for layer in wrapped)
    assert not (jax.random.key_data(wrapped[0].key) == jax.random.key_data(wrapped[1].key)).all()
    again = on_device(wrapped, Execution(shots=7))
    assert again[0].execution.shots == 7
    assert isinstance(again[0].layer, QuantumLayer)
    assert eqx.tree_equal(ideal(again), layers)
    assert n_gradient_circuits(layers[0], 4) == 1 + 2 * 12 + 2 * 4


@dataclass(frozen=True)
class Doubled:
    """A user's own embedding: RY by twice the feature."""

    n_wires: int = 1
    n_features: int = 1

    def state(self, features):
        return AngleEmbedding(1).state(2 * features)


def test_samples_need_an_embedding_with_a_shift_rule():
    circuit = Circuit(1, (Operation("RX", (0,), (weight(0),)),))
    layer, features = QuantumLayer(Doubled(), circuit, jnp.array([0.3]), PauliZ(((0,),))), jnp.array([0.4])
    with pytest.raises(CircuitError, match="needs a shift rule for the features, but had Doubled"):
        on_device(layer, Execution(shots=10))
    # What needs no rule has the layer's own gradient, -2 sin(2 x) cos(0.3).
    on_ideal = on_device(layer, Execution(DeviceModel.uniform(1), preparation="ideal"))
    smooth = with_key(on_device(layer, Execution(shots=10**8, estimator="gaussian")), jax.random.key(0))
    slopes = quick_jit(lambda x: [jax.grad(lambda x, own=own: own(x)[0])(x) for own in (on_ideal, smooth)])(features)
    for slope, tolerance in zip(slopes, (1e-5, 1e-2), strict=True):
        assert float(slope[0]) == pytest.approx(-2 * math.sin(0.8) * math.cos(0.3), abs=tolerance)


@pytest.mark.usefixtures("unchecked")
def test_bad_executions_are_refused():
    with pytest.raises(ArgumentError, match="`device` or `shots` must be given"):
        Execution()
    with pytest.raises(ArgumentError, match="`shots` must be at least 1, but was 0"):
        Execution(shots=0)
    with pytest.raises(ArgumentError, match="`estimator` must be one of"):
        Execution(shots=1, estimator="sample")
    with pytest.raises(ArgumentError, match="`preparation` must be one of"):
        Execution(shots=1, preparation="none")
    with pytest.raises(CircuitError, match="at least the circuit's 3 wires"):
        NoisyLayer(make_layer(), Execution(DeviceModel.uniform(2)))
    with pytest.raises(ArgumentError, match="`key` must be given where there are shots"):
        NoisyLayer(make_layer(), Execution(shots=3))(jnp.ones(8))


@pytest.mark.parametrize("device", [None, some_device(2)], ids=["ideal", "noisy"])
@pytest.mark.parametrize("embedding", ["amplitude", "Y", "none"])
@pytest.mark.parametrize(
    "operations",
    [
        (Operation("CRX", (0, 1), (weight(0),)), Operation("RY", (0,), (weight(1),))),
        (Operation("RX", (0,), (weight(1),)), Operation("RY", (1,), (weight(1).scaled(-0.7),))),
        (
            Operation("Rot", (0,), (feature(1), weight(0), feature(0).scaled(2.0))),
            Operation("CRZ", (1, 0), (feature(1),)),
        ),
        (
            Operation("CRY", (0, 1), (weight(0) * feature(1) - weight(1),)),
            Operation("RX", (0,), ((math.pi - feature(0)) * (math.pi - feature(1)),)),
            Operation("RZ", (1,), (weight(0) * weight(0) * weight(1),)),
        ),
    ],
    ids=["controlled", "shared and scaled", "features", "polynomials"],
)
def test_shift_rules_hold_for_any_circuit(operations, embedding, device, monkeypatch):
    # With the probabilities themselves in place of frequencies nothing is random, and the gradient is the exact one.
    monkeypatch.setattr("qdistill.quantum.sampled_values.sample_frequencies", lambda shares, shots, *, key: shares)
    embeddings = {
        "amplitude": AmplitudeEmbedding(2),
        "Y": AngleEmbedding(2, "Y"),
        "none": NoEmbedding(2, n_features=2),
    }
    observable = make_observable("hermitian", [[0], [1]], key=jax.random.key(1))
    circuit = Circuit(2, (Operation("H", (1,)), *operations, Operation("CNOT", (0, 1))))
    layer = QuantumLayer(embeddings[embedding], circuit, jnp.array([0.4, -1.1])[: circuit.n_weights], observable)
    features = jnp.array([0.3, 0.8])

    @eqx.filter_jit
    def slopes(layer):
        return eqx.filter_grad(lambda both: both[0](both[1]) @ jnp.array([1.0, -0.5]))((layer, features))

    found = slopes(NoisyLayer(layer, Execution(device, 1, preparation="ideal"), jax.random.key(0)))
    exact = slopes(layer if device is None else NoisyLayer(layer, Execution(device, preparation="ideal")))
    for estimate, truth in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        assert jnp.allclose(estimate, truth, atol=1e-5)
