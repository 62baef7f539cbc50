"""Measurement settings, and estimates from shots against the exact mean and covariance."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.quantum import PauliSum, PauliZ, each_wire, make_observable, measurement_settings
from qdistill.quantum.shots import (
    constants,
    covariance,
    outcome_values,
    reparametrised_noise,
    sample_frequencies,
    values_of,
)

from .components import OBSERVABLES
from .reference import observable_values, quick_jit
from .strategies import random_state

TURNS = {
    "X": np.array([[1, 1], [1, -1]]) / math.sqrt(2),
    "Y": np.array([[1, -1j], [1, 1j]]) / math.sqrt(2),
    "Z": np.eye(2),
}


def probabilities(observable, state):
    n = state.size.bit_length() - 1
    rows = []
    for setting in measurement_settings(observable):
        turn = np.eye(1)
        for wire in range(n):
            turn = np.kron(turn, TURNS[dict(setting.basis).get(wire, "Z")])
        rows.append(np.abs(turn @ state) ** 2)
    return jnp.asarray(np.array(rows), jnp.float32)


def test_one_wire_hermitians_take_three_settings():
    hermitian = make_observable("hermitian", each_wire(4), key=jax.random.key(0))
    settings = measurement_settings(hermitian)
    assert [setting.basis for setting in settings] == [tuple((wire, letter) for wire in range(4)) for letter in "XYZ"]
    assert settings[1].terms == tuple(4 * wire + "IXYZ".index("Y") for wire in range(4))


def test_pauli_z_takes_one_setting():
    (setting,) = measurement_settings(PauliZ(((2,), (0,))))
    assert setting.basis == ((0, "Z"), (2, "Z"))
    assert setting.terms == (0, 1)


def test_products_of_z_take_one_setting_whatever_their_sizes():
    (setting,) = measurement_settings(PauliSum([["Z0 Z1 Z2", "I"], "Z3", ["Z0", "Z2 Z3"]]))
    assert setting.basis == tuple((wire, "Z") for wire in range(4))
    assert sorted(setting.terms) == [0, 2, 3, 4]


def test_strings_that_commute_wire_by_wire_share_a_setting():
    settings = measurement_settings(PauliSum(["X0 X1", "Z0", "X1", ["Y2", "Z0 Z2"]]))
    assert [setting.basis for setting in settings] == [((0, "X"), (1, "X"), (2, "Y")), ((0, "Z"), (2, "Z"))]
    assert [setting.terms for setting in settings] == [(0, 2, 3), (4, 1)]


def test_a_large_sum_is_grouped_in_seconds():
    dense = make_observable("hermitian", [range(5)], key=jax.random.key(0))
    assert len(measurement_settings(dense)) == 3**5


def test_pairs_take_nine_settings_and_overlapping_pairs_share_them():
    for groups in ([(0, 1)], [(0, 1), (2, 3)], [(0, 1), (1, 2)]):
        observable = make_observable("hermitian", groups, key=jax.random.key(0))
        assert len(measurement_settings(observable)) == 9


@pytest.mark.parametrize("name", OBSERVABLES)
def test_every_term_is_measured_once_in_its_own_letters(name):
    observable = OBSERVABLES[name].make(jax.random.key(0))
    settings, strings = measurement_settings(observable), [s for own in observable.terms for s in own]
    measured = [term for setting in settings for term in setting.terms]
    assert sorted(measured) == [number for number, string in enumerate(strings) if string.wires]
    for setting in settings:
        for number in setting.terms:
            for wire, letter in zip(strings[number].wires, strings[number].letters, strict=True):
                assert letter == dict(setting.basis)[wire]


@pytest.mark.parametrize("name", OBSERVABLES)
def test_the_mean_over_outcomes_is_the_expectation_value(name):
    observable = OBSERVABLES[name].make(jax.random.key(1))
    state = random_state(3, 2)
    values = constants(observable) + values_of(outcome_values(observable, 3), probabilities(observable, state))
    expected = observable_values(observable, state)
    assert np.abs(np.asarray(values) - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "way"),
    [("hermitian", "samples"), ("hermitian_on_pairs", "gaussian"), ("pauli_sum", "samples"), ("pauli_sum", "gaussian")],
)
def test_estimates_have_the_exact_mean_and_covariance(name, way):
    observable, shots, repeats = OBSERVABLES[name].make(jax.random.key(1)), 50, 20_000
    shares = probabilities(observable, random_state(3, 2))
    outcomes = outcome_values(observable, 3)
    mean, exact = values_of(outcomes, shares), np.asarray(covariance(outcomes, shares)) / shots

    def estimate(key):
        if way == "gaussian":
            return mean + reparametrised_noise(outcomes, shares, shots, key=key)
        return values_of(outcomes, sample_frequencies(shares, shots, key=key))

    drawn = np.asarray(quick_jit(jax.vmap(estimate))(jax.random.split(jax.random.key(3), repeats)))
    spread = np.sqrt(np.diagonal(exact))
    assert np.abs((drawn.mean(axis=0) - np.asarray(mean)) / spread).max() < 5 / math.sqrt(repeats)
    # The entries of a sample covariance have a standard deviation of at most sqrt(2 / repeats) of the variances.
    errors = (np.cov(drawn.T) - exact) / np.outer(spread, spread)
    assert np.abs(errors).max() < 5 * math.sqrt(2 / repeats)


def test_the_covariance_is_that_of_correlated_wires():
    # In (|00> + |11>) / sqrt(2) the two wires always agree: their Z have the means 0 and the covariance 1.
    observable = PauliZ(((0,), (1,)))
    shares = jnp.array([[0.5, 0.0, 0.0, 0.5]])
    assert np.allclose(covariance(outcome_values(observable, 2), shares), np.ones((2, 2)))
    frequencies = sample_frequencies(shares, 100, key=jax.random.key(0))
    assert frequencies[0, 1] == frequencies[0, 2] == 0
    assert float(frequencies.sum()) == pytest.approx(1)


def test_a_vector_that_is_no_state_has_no_counts():
    assert sample_frequencies(jnp.zeros((2, 4)), 10, key=jax.random.key(0)).tolist() == [[0.0] * 4] * 2


def test_certain_outcomes_have_finite_derivatives():
    observable = PauliZ(((0,), (1,)))
    outcomes = outcome_values(observable, 2)

    def value(shares):
        return reparametrised_noise(outcomes, shares, 100, key=jax.random.key(0)).sum()

    shares = jnp.array([[1.0, 0.0, 0.0, 0.0]])
    slope = jax.grad(value)
    for derivative in quick_jit(lambda shares: jax.jvp(slope, (shares,), (jnp.ones_like(shares),)))(shares):
        assert jnp.isfinite(derivative).all()
