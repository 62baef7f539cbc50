"""How what a circuit measures becomes logits: observables for a readout, and the logits of a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.quantum import Observable, PauliString, PauliSum, PauliZ, basis_probabilities
from qdistill.quantum.pauli_text import Letters


def margin_logits(margin: Float[Array, "1"]) -> Float[Array, "2"]:
    """The logits (-m/2, m/2) of one margin m, which differ by m: a positive one speaks for the second class."""
    return jnp.concatenate([-margin / 2, margin / 2])


def basis_states(wires: Sequence[int], count: int) -> Observable:
    """The projectors on the first basis states of some wires: their expectation values are probabilities.

    Args:
        wires: the most significant bit first.
        count: of basis states, at most 2 to the number of wires.
    """
    return basis_probabilities(wires, range(count))


def pauli_sums(sums: Sequence[Mapping[Letters, float]]) -> Observable:
    """Fixed observables, one a sum."""
    wires = [_wire_of_z(each) for each in sums]
    if None not in wires:
        return PauliZ(tuple((wire,) for wire in wires if wire is not None))
    strings = [[_string(letters) for letters in each] for each in sums]
    return PauliSum(strings, [coefficient for each in sums for coefficient in each.values()])


def _string(letters: Letters) -> PauliString:
    return PauliString("".join(letter for _, letter in letters), tuple(wire for wire, _ in letters))


def _wire_of_z(terms: Mapping[Letters, float]) -> int | None:
    """The wire of a sum that is a single Z; None for any other."""
    (letters, coefficient), *others = terms.items()
    if others or coefficient != 1 or len(letters) != 1 or letters[0][1] != "Z":
        return None
    return letters[0][0]
