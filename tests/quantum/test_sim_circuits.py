"""The nineteen circuits of Sim et al. (arXiv 1905.10876): figure 2, the table of their costs, and their names."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pennylane as qml
import pytest

from qdistill.errors import CircuitError
from qdistill.quantum import ANSATZ_NAMES, SIM_NUMBERS, SimCircuit, named_ansatz

from .reference import numpy_unitary
from .sim_reference import FIGURE, figure


def code_blocks(n: int) -> int:
    """Two-wire gates of a code block of range 1 and one of range 3."""
    return n + n // math.gcd(n, 3)


Count = Callable[[int], int]
TABLE: dict[int, tuple[Count, Count]] = {
    1: (lambda n: 2 * n, lambda n: 0),
    2: (lambda n: 2 * n, lambda n: n - 1),
    3: (lambda n: 3 * n - 1, lambda n: n - 1),
    4: (lambda n: 3 * n - 1, lambda n: n - 1),
    5: (lambda n: n**2 + 3 * n, lambda n: n**2 - n),
    6: (lambda n: n**2 + 3 * n, lambda n: n**2 - n),
    7: (lambda n: 5 * n - 1, lambda n: n - 1),
    8: (lambda n: 5 * n - 1, lambda n: n - 1),
    9: (lambda n: n, lambda n: n - 1),
    10: (lambda n: n, lambda n: n),
    11: (lambda n: 4 * n - 4, lambda n: n - 1),
    12: (lambda n: 4 * n - 4, lambda n: n - 1),
    13: (lambda n: 2 * n + code_blocks(n), code_blocks),
    14: (lambda n: 2 * n + code_blocks(n), code_blocks),
    15: (lambda n: 2 * n, code_blocks),
    16: (lambda n: 3 * n - 1, lambda n: n - 1),
    17: (lambda n: 3 * n - 1, lambda n: n - 1),
    18: (lambda n: 3 * n, lambda n: n),
    19: (lambda n: 3 * n, lambda n: n),
}
"""Parameters and two-wire gates of a layer on n > 3 wires, from the paper's table; circuit 10 has n parameters more."""


def test_there_are_nineteen() -> None:
    assert SIM_NUMBERS == tuple(range(1, 20)) == tuple(FIGURE) == tuple(TABLE)


@pytest.mark.parametrize("number", SIM_NUMBERS)
def test_matrix_on_four_wires_is_the_figures(number: int) -> None:
    ansatz = SimCircuit(number, 4, 2)
    weights = np.random.default_rng(number).normal(size=ansatz.weight_shape).ravel()
    expected = qml.matrix(figure, wire_order=range(4))(number, weights, 2)
    np.testing.assert_allclose(numpy_unitary(ansatz.circuit(), weights), expected, atol=1e-12)


@pytest.mark.parametrize("number", SIM_NUMBERS)
@pytest.mark.parametrize("n_wires", [4, 5, 6, 7])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_costs_are_the_tables(number: int, n_wires: int, n_layers: int) -> None:
    ansatz = SimCircuit(number, n_wires, n_layers)
    n_parameters, n_two_wire = (count(n_wires) * n_layers for count in TABLE[number])
    assert math.prod(ansatz.weight_shape) == n_parameters + (n_wires if number == 10 else 0)
    assert sum(len(operation.wires) == 2 for operation in ansatz.circuit().operations) == n_two_wire


@pytest.mark.parametrize("number", SIM_NUMBERS)
@pytest.mark.parametrize("n_wires", [1, 2, 3, 6])
@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_every_weight_is_read_once_and_in_order(number: int, n_wires: int, n_layers: int) -> None:
    ansatz = SimCircuit(number, n_wires, n_layers)
    read = [index for o in ansatz.circuit().operations for angle in o.angles for index in angle.weights]
    assert read == list(range(math.prod(ansatz.weight_shape)))


@pytest.mark.parametrize("number", [13, 14, 15])
def test_blocks_on_two_and_three_wires_have_the_longest_range_there(number: int) -> None:
    pairs = {
        n: [o.wires for o in SimCircuit(number, n, 1).circuit().operations if len(o.wires) == 2] for n in (1, 2, 3)
    }
    assert pairs == {1: [], 2: [(1, 0), (0, 1)] * 2, 3: [(2, 0), (1, 2), (0, 1), (2, 1), (0, 2), (1, 0)]}


def test_a_ring_of_two_wires_is_one_gate() -> None:
    gates = [o.wires for o in SimCircuit(10, 2, 1).circuit().operations if o.gate == "CZ"]
    assert gates == [(1, 0)]


@pytest.mark.parametrize("number", [0, 20, -1])
def test_other_numbers_are_refused(number: int) -> None:
    with pytest.raises(CircuitError, match=f"`number` must be from 1 to 19, but was {number}"):
        SimCircuit(number, 4, 1)


def test_sizes_without_a_meaning_are_refused() -> None:
    with pytest.raises(CircuitError, match="`n_wires` must be at least 1, but was 0"):
        SimCircuit(14, 0, 1)
    with pytest.raises(CircuitError, match="`n_layers` must be at least 0, but was -1"):
        SimCircuit(14, 4, -1)
    with pytest.raises(CircuitError, match="at most 262,144 operations"):
        SimCircuit(6, 10_000, 1)


def test_they_have_names() -> None:
    assert named_ansatz("sim-14", 4, 2) == SimCircuit(14, 4, 2)
    assert {named_ansatz(name, 3, 1) for name in ANSATZ_NAMES} > {SimCircuit(number, 3, 1) for number in SIM_NUMBERS}


@pytest.mark.usefixtures("unchecked")
def test_another_name_is_refused() -> None:
    with pytest.raises(CircuitError, match=r"`name` must be a known name, but was 'sim-20'. Did you mean 'sim-"):
        named_ansatz("sim-20", 4, 1)  # type: ignore[arg-type]
