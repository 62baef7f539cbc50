"""Gradients at the start: against analytic variances, finite differences and the whole network."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.data import Digits
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.distill.losses import cross_entropy
from qdistill.errors import ArgumentError
from qdistill.evaluate.gradients import (
    OBSERVABLES,
    SKIPS,
    Place,
    Point,
    decay,
    decays,
    diagnose,
    gradients_at_start,
    start,
    variance_over_draws,
)
from qdistill.models import QuantumLeNetArchitecture, predict
from qdistill.quantum import (
    AmplitudeEmbedding,
    Circuit,
    Operation,
    PauliZ,
    QuantumLayer,
    StronglyEntangling,
    each_wire,
    weight,
)

from ..quantum.reference import quick_jit

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def batch():
    """Four real digits."""
    raw = Digits().load()
    inputs = fit_chain((Standardise(),), raw.train_inputs, raw.scale)(raw.train_inputs[:4])
    return inputs, jnp.asarray(raw.train_labels[:4])


def test_one_rotation_has_half_as_variance():
    # <Z> after RX(theta) is cos(theta), whose derivative -sin(theta) has the mean square 1/2.
    circuit = Circuit(1, (Operation("RX", (0,), (weight(0),)),))

    def value(angles):
        return QuantumLayer(AmplitudeEmbedding(1), circuit, angles, PauliZ(each_wire(1)))(jnp.array([1.0, 0.0]))[0]

    angles = jax.random.uniform(jax.random.key(0), (4000, 1), maxval=2 * math.pi)
    place = variance_over_draws(np.asarray(jax.vmap(jax.grad(value))(angles)))
    assert place.mean == pytest.approx(0.5, abs=0.02)
    assert place.interval[0] < 0.5 < place.interval[1]
    assert place.interval[1] - place.interval[0] == pytest.approx(2 * 1.96 * math.sqrt(1 / 8 / 4000), rel=0.05)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_deep_circuits_reach_the_variance_of_a_two_design(n):
    # Between two 2-designs the derivative of <Z> by an angle, i/2 <[P, Z~]>, has the variance
    # d^2 / (2 (d^2 - 1) (d + 1)): E tr(Z~ A)^2 = tr(Z^2) tr(A^2) / (d^2 - 1) with A = i/2 [rho, P], where
    # tr(A^2) = (1 - <P>^2) / 2 and E <P>^2 = 1 / (d + 1).
    ansatz = StronglyEntangling(n, 24)
    features = jnp.arange(1.0, 2**n + 1)

    def value(angles):
        return QuantumLayer(AmplitudeEmbedding(n), ansatz.circuit(), angles, PauliZ(((0,),)))(features)[0]

    angles = jax.random.uniform(jax.random.key(n), (600, *ansatz.weight_shape), maxval=2 * math.pi)
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(value)))(angles))
    size = 2**n
    assert variance_over_draws(slopes[:, 8:16]).mean == pytest.approx(
        size**2 / (2 * (size**2 - 1) * (size + 1)), rel=0.08
    )


def test_small_gradients_are_exact_enough_in_float32():
    ansatz = StronglyEntangling(8, 8)
    angles = jax.random.uniform(jax.random.key(0), (20, *ansatz.weight_shape), maxval=2 * math.pi)
    features = jax.random.uniform(jax.random.key(1), (256,))

    def variance(dtype):
        def value(angles, features):
            layer = QuantumLayer(AmplitudeEmbedding(8), ansatz.circuit(), angles, PauliZ(((0,),)))
            return layer(features)[0]

        slope = jax.jit(jax.vmap(jax.grad(value), (0, None)))
        return variance_over_draws(np.asarray(slope(jnp.asarray(angles, dtype), jnp.asarray(features, dtype)))).mean

    single = variance(jnp.float32)
    with jax.enable_x64(True):
        double = variance(jnp.float64)
    assert double < 0.01
    assert single == pytest.approx(double, rel=1e-5)


START = QuantumLeNetArchitecture(n_qubits=3, n_layers=3, angle_range=1.5, coefficient_scale=2.0)


@pytest.fixture(scope="module")
def measured(batch):
    """The start of a small network, with its gradients: a circuit of two of the three layers that are drawn."""
    inputs, labels = batch
    drawn = quick_jit(lambda key: start(START, inputs, 10, key=key))(KEY)
    return drawn, quick_jit(lambda drawn: gradients_at_start(drawn, labels, 2))(drawn)


@pytest.mark.parametrize("observable", ["pauli_z", "hermitian", "fixed_hermitian"])
@pytest.mark.parametrize("skip", ["residual", "no residual"])
def test_gradients_are_those_of_the_whole_network(observable, skip, batch, measured):
    inputs, labels = batch
    drawn, (by_weights, by_features) = measured
    case = (list(dict.fromkeys(OBSERVABLES.values())).index(OBSERVABLES[observable]), list(SKIPS).index(skip))
    architecture = dataclasses.replace(START, observable=observable, skip=SKIPS[skip], n_layers=2)

    def gradients(key):
        # The angles depend on their number, everything else on the key alone.
        model = architecture.build(Digits().input_shape, 10, key=key)
        model = eqx.tree_at(lambda m: m.branch.weights, model, drawn.angles[:2])
        arrays, static = eqx.partition(model, eqx.is_inexact_array)

        def loss(arrays):
            return cross_entropy(predict(eqx.combine(arrays, static), inputs), jax.nn.one_hot(labels, 10))

        slopes = jax.grad(loss)(arrays)
        return jax.vmap(model.features)(inputs), slopes.branch.weights, slopes.features.f2.bias

    features, weights, bias = quick_jit(gradients)(KEY)
    np.testing.assert_allclose(drawn.features, features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_weights[case], weights, rtol=1e-3, atol=1e-6)
    # The bias of F2 is added before the ReLU, so it sees the features' gradient where they are above zero.
    passed = jnp.mean(jnp.where(features > 0, by_features[case], 0.0), axis=0)
    np.testing.assert_allclose(passed, bias, rtol=1e-3, atol=1e-6)


def test_every_size_is_measured_for_every_case(batch):
    inputs, labels = batch
    sizes = list(diagnose(inputs, labels, 10, qubits=(1, 2), layers=(1,), draws=3, key=KEY))
    assert [[(p.n_qubits, p.observable, p.skip) for p in points] for points in sizes] == [
        [(n, o, s) for o in ("pauli_z", "hermitian") for s in ("residual", "no residual")] for n in (1, 2)
    ]
    architecture = QuantumLeNetArchitecture(n_qubits=2, n_layers=1)
    one = quick_jit(lambda key: gradients_at_start(start(architecture, inputs, 10, key=key), labels, 1))
    alone = [one(key) for key in jax.random.split(KEY, 3)]
    for k, point in enumerate(sizes[1]):
        for place, index in ((point.weights, 0), (point.features, 1)):
            slopes = np.stack([np.asarray(slope[index])[divmod(k, 2)] for slope in alone])
            assert place.mean == pytest.approx(np.var(slopes, axis=0, ddof=1).mean(), rel=1e-3)
        assert point.features.total == pytest.approx(4 * point.features.mean)


def test_the_variance_is_that_of_numpy_and_keeps_small_differences():
    values = 1e4 + np.random.default_rng(0).normal(size=(50, 3, 2)).astype(np.float32)
    place = variance_over_draws(values, n_sharing=3)
    assert place.mean == pytest.approx(np.var(values.astype(float), axis=0, ddof=1).mean())
    assert place.total == pytest.approx(2 * place.mean)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [(np.zeros((2, 3)), "at least 3, but was 2"), (np.array([[1.0], [np.nan], [0.0]]), "finite")],
)
def test_draws_that_have_no_variance(values, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        variance_over_draws(values)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"qubits": ()}, "`qubits` must be at least 1, but was empty"),
        ({"qubits": (2, 0)}, "`qubits` must be at least 1, but was 2, 0"),
        ({"layers": (0,)}, "`layers` must be at least 1"),
        ({"draws": 2}, "`draws` must be at least 3"),
    ],
)
def test_bad_sizes_are_named(changes, complaint, batch):
    with pytest.raises(ArgumentError, match=complaint):
        diagnose(*batch, 10, key=jax.random.key(0), **changes)


def test_the_decay_is_the_factor_per_qubit():
    def point(n, value):
        return Point(n, 1, "pauli_z", "residual", Place(value, value, (0.0, 1.0)), Place(2 * value, 1.0, (0.0, 1.0)))

    points = [point(n, 3.0 * 0.25**n) for n in (4, 6, 7)]
    assert decay(points, lambda p: p.weights.mean) == pytest.approx(0.25)
    assert decay(points[:1], lambda p: p.weights.mean) is None
    assert decay([*points, point(8, 0.0)], lambda p: p.weights.mean) is None
    (row,) = decays(points)
    assert row["features"] == pytest.approx(0.25)
    assert row["features_total"] == pytest.approx(1.0)
