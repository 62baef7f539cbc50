"""Sums of Pauli strings as text: what is read is what PennyLane means by it, and what is written is read back."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.errors import CircuitError
from qdistill.quantum import PauliString
from qdistill.quantum.pauli_text import pauli_sum, pauli_text

strings = st.dictionaries(st.integers(0, 30), st.sampled_from("XYZ"), max_size=4).map(
    lambda d: tuple(sorted(d.items()))
)
sums = st.dictionaries(strings, st.floats(-10, 10).filter(bool), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Z0", {("Z", (0,)): 1}),
        ("Z(0) @ X(12)", {("ZX", (0, 12)): 1}),
        ("X2 Y0", {("YX", (0, 2)): 1}),
        ("-Z0*Z1", {("ZZ", (0, 1)): -1}),
        ("0.5 * Z0 Z1 - X2 + 0.1", {("ZZ", (0, 1)): 0.5, ("X", (2,)): -1, ("", ()): 0.1}),
        ("1e-3Z0 + 2 I - .5*I(3) + Z0", {("Z", (0,)): 1.001, ("", ()): 1.5}),
        (" 2 ", {("", ()): 2}),
        ("Z0 I1 Z2", {("ZZ", (0, 2)): 1}),
    ],
)
def test_what_people_write_is_read(text, expected):
    assert pauli_sum(text) == pytest.approx({PauliString(*string): c for string, c in expected.items()})


@given(sums)
def test_what_is_written_is_read_back(given_sums):
    own = {
        PauliString("".join(letter for _, letter in string), tuple(wire for wire, _ in string)): coefficient
        for string, coefficient in given_sums.items()
    }
    assert pauli_sum(pauli_text(own)) == own


@given(sums)
def test_what_pennylane_prints_is_read(given_sums):
    letters = {"X": qml.X, "Y": qml.Y, "Z": qml.Z}
    terms = [
        coefficient * qml.prod(qml.I(0), *(letters[letter](wire) for wire, letter in string))
        for string, coefficient in given_sums.items()
    ]
    found = qml.sum(*terms, qml.Z(0)).pauli_rep
    printed = " + ".join(f"{float(c.real)!r} * {word}" for word, c in found.items()).replace("+ -", "- ")
    read = pauli_sum(printed)
    assert {string.by_wire: c for string, c in read.items() if c} == {
        tuple(sorted(dict(word).items())): c for word, c in found.items() if c
    }


@pytest.mark.parametrize(
    "text",
    ["", " ", "Z", "0Z", "Z0 2", "Z0 +", "Z0 + + Z1", "@Z0", "Z0 @", "Z0 *", "Q1", "z0", "Z-1", "Z0.5", "Z1234567890",
     "1j Z0", "nan", "2 * * Z0", "Z0 Z0", "1e999", 3, None, "Z\u0661", "x" * 1000],
)  # fmt: skip
def test_what_is_no_sum_is_refused(text):
    with pytest.raises(CircuitError, match=r"^Argument `observables` must "):
        pauli_sum(text)


def test_the_sum_of_equal_strings_may_be_zero():
    assert pauli_sum("Z0 - Z0") == {PauliString("Z", (0,)): 0.0}
    assert np.isclose(pauli_sum(pauli_text({}))[PauliString()], 0)
