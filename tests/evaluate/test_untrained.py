"""Proxies of untrained circuits against values that are known."""

from __future__ import annotations

import numpy as np
import pytest

from qdistill.evaluate.untrained import count_paths, entangling_capability, expressibility, representational_capacity
from qdistill.quantum import Circuit, Operation


@pytest.mark.parametrize("n_wires", [1, 3, 12])
def test_a_circuit_of_one_state_is_as_far_from_haar_as_can_be(n_wires: int) -> None:
    assert expressibility(np.ones(50), n_wires) == pytest.approx((2**n_wires - 1) * np.log(75))


def test_haar_states_are_at_zero() -> None:
    generator = np.random.default_rng(0)
    states = generator.normal(size=(2, 40_000, 4)) + 1j * generator.normal(size=(2, 40_000, 4))
    states /= np.linalg.norm(states, axis=-1, keepdims=True)
    found = expressibility(np.abs(np.sum(states[0].conj() * states[1], axis=1)) ** 2, 2)
    assert 0 <= found < 0.004


def test_a_turn_about_one_axis_has_its_known_divergence() -> None:
    # H and RZ on one qubit: F = cos^2(difference / 2) has the arcsine distribution, and Haar's is uniform.
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, (2, 200_000))
    share = 2 / np.pi * np.diff(np.arcsin(np.sqrt(np.linspace(0, 1, 76))))
    exact = np.sum(share * np.log(share * 75))
    assert expressibility(np.cos((angles[0] - angles[1]) / 2) ** 2, 1) == pytest.approx(exact, abs=0.005)


def test_entanglement_of_known_states() -> None:
    product = np.kron([0.6, 0.8], [1, 1j]) / np.sqrt(2)
    bell = np.array([1, 0, 0, 1j]) / np.sqrt(2)
    w = np.zeros(8, complex)
    w[[1, 2, 4]] = 1 / np.sqrt(3)
    assert entangling_capability(product[None]) == pytest.approx(0, abs=1e-12)
    assert entangling_capability(np.stack([bell, product])) == pytest.approx(0.5)
    assert entangling_capability(w[None]) == pytest.approx(8 / 9)


def test_capacity_is_one_where_the_classes_are_apart() -> None:
    classes, basis = np.array([0, 0, 1, 1]), np.eye(4, dtype=complex)
    apart = basis[[0, 1, 2, 3]][None]  # wire 0 says which class
    assert representational_capacity(apart, classes, (0,)) == pytest.approx(1)
    # Wire 1 sees them crosswise: of 16 entries the 4 of other inputs of the class are missed, and 4 of the other found.
    assert representational_capacity(apart, classes, (1,)) == pytest.approx(0.5)
    # No input is more like another than the mean.
    assert representational_capacity(basis[[0, 0, 0, 0]][None], classes, (0, 1)) == pytest.approx(0.75)


def test_paths_are_counted_through_the_gates() -> None:
    assert count_paths(Circuit(3, (Operation("H", (0,)), Operation("H", (0,))))) == 3
    bell = (Operation("H", (0,)), Operation("CNOT", (0, 1)))
    assert count_paths(Circuit(2, bell)) == 4
    assert count_paths(Circuit(3, (*bell, Operation("CZ", (1, 2))))) == 2 + 3 + 3
