"""Angles: a polynomial in one form, whatever it is written as."""

from __future__ import annotations

import json
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.errors import CircuitError
from qdistill.quantum import Angle, Circuit, Operation, Term, constant, feature, weight

from .reference import angle_value
from .strategies import N_FEATURES, N_WEIGHTS, seeds, unchanged_global_random_state, vectors

coefficients = st.floats(-4, 4).map(lambda c: round(c, 3))
several_terms = st.lists(
    st.tuples(
        coefficients,
        st.lists(st.integers(0, N_WEIGHTS - 1), max_size=2).map(tuple),
        st.lists(st.integers(0, N_FEATURES - 1), max_size=2).map(tuple),
    ),
    max_size=4,
)


@st.composite
def angles(draw: st.DrawFn) -> Angle:
    """Angles of up to four terms of degree four."""
    given_terms = draw(several_terms)
    with unchanged_global_random_state():
        return Angle(tuple(Term(*term) for term in given_terms))


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-6)


@given(angles(), angles(), coefficients, seeds)
def test_operators_are_those_of_the_values(one: Angle, two: Angle, number: float, seed: int) -> None:
    entries = vectors(seed)
    a, b = angle_value(one, *entries), angle_value(two, *entries)
    for angle, expected in [
        (one + two, a + b),
        (one - two, a - b),
        (-one, -a),
        (one * two, a * b),
        (one + number, a + number),
        (number - one, number - a),
        (np.float64(number) * one, number * a),
        (one * jnp.float32(0.5), a * 0.5),
        (one / 3, a / 3),
        (one.scaled(number), a * number),
        (sum([one, two]), a + b),
    ]:
        close(angle_value(angle, *entries), expected)
        close(angle.value(*entries), expected)


@given(angles(), angles(), angles())
def test_what_is_the_same_polynomial_is_equal(one: Angle, two: Angle, three: Angle) -> None:
    def monomials(angle: Angle) -> list[Any]:
        return [term.monomial for term in angle.terms if abs(term.coefficient) > 1e-9]

    assert one + two == two + one
    assert one * two == two * one
    assert one - one == constant(0.0) == Angle()
    assert hash(one + two) == hash(two + one)
    assert one * 1 == one == one + 0 == (-one) * -1
    assert one * 0 == Angle()
    for left, right in [
        ((one + two) + three, one + (two + three)),
        ((one * two) * three, one * (two * three)),
        (one * (two + three), one * two + one * three),
    ]:
        assert monomials(left) == monomials(right)


@given(several_terms, st.randoms(use_true_random=False))
def test_the_order_of_terms_and_factors_says_nothing(given_terms: list[Any], chooser: Any) -> None:
    shuffled = chooser.sample(given_terms, len(given_terms))
    one = Angle(tuple(Term(*term) for term in given_terms))
    two = Angle(tuple(Term(c, weights[::-1], features[::-1]) for c, weights, features in shuffled))
    assert [t.monomial for t in one.terms] == [t.monomial for t in two.terms]
    close([t.coefficient for t in one.terms], [t.coefficient for t in two.terms])
    assert len({t.monomial for t in one.terms}) == len(one.terms)
    assert all(t.coefficient for t in one.terms)


@given(angles(), seeds)
def test_an_angle_tells_what_it_reads(angle: Angle, seed: int) -> None:
    weights, features = vectors(seed)
    assert angle.offset == angle.value(np.zeros(N_WEIGHTS), np.zeros(N_FEATURES))
    assert angle.is_constant == (not angle.weights and not angle.features)
    assert angle.degree == max((t.degree for t in angle.terms), default=0)
    # Entries that it does not name may be anything.
    known = [np.full(N_WEIGHTS, np.nan), np.full(N_FEATURES, np.nan)]
    known[0][list(angle.weights)], known[1][list(angle.features)] = (
        weights[list(angle.weights)],
        features[list(angle.features)],
    )
    close(angle.value(*known), angle.value(weights, features))
    moved = angle.with_features_from(3)
    close(moved.value(weights, np.concatenate([np.zeros(3), features])), angle.value(weights, features))


@given(angles(), seeds)
def test_a_formula_is_python_for_the_angle(angle: Angle, seed: int) -> None:
    weights, features = vectors(seed)
    close(eval(str(angle), {"weights": weights, "features": features}), angle.value(weights, features))


@given(angles())
def test_an_angle_survives_being_written_down(angle: Angle) -> None:
    assert Angle.from_json(json.loads(json.dumps(angle.to_json()))) == angle
    assert Angle.of({t.monomial: t.coefficient for t in angle.terms}) == angle


def test_the_written_form_is_stable() -> None:
    angle = 2 * weight(1) * feature(0) - feature(2) + 0.5
    assert angle.to_json() == {
        "terms": [
            {"coefficient": 2.0, "weights": [1], "features": [0]},
            {"coefficient": -1.0, "weights": [], "features": [2]},
            {"coefficient": 0.5, "weights": [], "features": []},
        ]
    }
    assert str(angle) == "2.0 * weights[1] * features[0] - features[2] + 0.5"
    assert str(-weight(0) * weight(0)) == "-weights[0] * weights[0]"
    assert str(constant(-0.5)) == "-0.5"
    assert str(Angle()) == "0.0"


def test_what_circuits_of_the_field_need() -> None:
    a, b = weight(0), weight(1)
    assert 2 * (a + b) - 2 * b == 2 * a
    x, y = feature(0), feature(1)
    assert (math.pi - x) * (math.pi - y) == math.pi**2 - math.pi * x - math.pi * y + x * y
    assert weight(0) * feature(0) + weight(1) == Angle.of({((0,), (0,)): 1.0, ((1,), ()): 1.0})
    assert (x * x).terms == (Term(1.0, features=(0, 0)),)


def test_an_entry_alone_stays_the_entry() -> None:
    entries = [object(), object()]
    assert weight(1).value(entries, []) is entries[1]
    assert feature(0).value([], entries) is entries[0]
    assert constant(0.5).value(None, None) == 0.5


@pytest.mark.usefixtures("unchecked")
def test_angles_are_kept_as_plain_data() -> None:
    angle = Angle([Term(np.float32(0.5), np.array([3, 1]), [np.int64(0)])])  # type: ignore[arg-type]
    assert repr(angle) == "Angle(terms=(Term(coefficient=0.5, weights=(1, 3), features=(0,)),))"
    assert repr(constant(jnp.float32(2)) + np.int8(1)) == repr(constant(3.0))  # type: ignore[arg-type]
    assert json.dumps(Circuit(1, (Operation("RX", (0,), (angle,)),)).to_json())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: weight("a"), "`index` must be an integer, but was 'a'"),
        (lambda: feature(0.5), "`index` must be an integer, but was 0.5"),
        (lambda: weight(-1), "`index` must be at least 0, but was -1"),
        (lambda: feature(-3), "`index` must be at least 0, but was -3"),
        (lambda: Term("2"), "`coefficient` must be a finite number, but was '2'"),
        (lambda: Term(None), "`coefficient` must be a finite number, but was None"),
        (lambda: Term(1j), "`coefficient` must be a finite number, but was 1j"),
        (lambda: Term(np.complex64(1 + 1j)), r"`coefficient` must be a finite number, but was np.complex64\(1"),
        (lambda: Term(math.inf), "`coefficient` must be a finite number, but was inf"),
        (lambda: Term(10**400), "`coefficient` must be a finite number, but was 1000"),
        (lambda: Term(1.0, (0, -2)), r"`weights` must be indices of at least 0, but was \(-2, 0\)"),
        (lambda: Term(1.0, features=(0.5,)), r"`features` must be indices such as \(0, 2\), but was \(0.5,\)"),
        (lambda: Term(1.0, 3), r"`weights` must be indices such as \(0, 2\), but was 3"),
        (lambda: constant("0.5"), "`value` must be a finite number, but was '0.5'"),
        (lambda: constant(math.nan), "`value` must be a finite number, but was nan"),
        (lambda: Angle(2.0), "`terms` must be a sequence of terms, but was 2.0"),
        (lambda: Angle((2.0,)), "`terms` must be terms, but one of them was 2.0"),
        (lambda: weight(0) * 1e300 * 1e300, "`coefficient` must be a finite number, but was inf"),
        (lambda: weight(0) * 10**400, "`value` must be a finite number, but was 1000"),
        (lambda: weight(0) / math.inf, "`value` must be a finite number, but was inf"),
        (lambda: weight(0) / 0, "An angle cannot be divided by zero"),
    ],
)
def test_what_has_no_meaning_is_named(build: Any, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        build()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("other", ["1", None, 1j, np.complex64(1j), np.ones(2), jnp.ones(2), (1,)])
def test_only_angles_and_real_numbers_combine(other: Any) -> None:
    for operate in (
        lambda: weight(0) + other,
        lambda: other + weight(0),
        lambda: weight(0) * other,
        lambda: other - weight(0),
        lambda: weight(0) / other,
        lambda: weight(0) / weight(1),
    ):
        with pytest.raises(TypeError):
            operate()
