"""How what a circuit measures becomes logits: observables for a readout, and the logits of a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.quantum import Hermitian, Observable, PauliZ, pauli_decompose, pauli_strings
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
    size = 2 ** len(wires)
    coefficients = [pauli_decompose(np.diag(np.eye(size)[state])) for state in range(count)]
    return Hermitian(jnp.asarray(np.array(coefficients), jnp.float32), (tuple(wires),) * count, trainable=False)


def pauli_sums(sums: Sequence[Mapping[Letters, float]], n_wires: int) -> Observable:
    """Fixed observables, one a sum, on a circuit of n wires."""
    wires = [_wire_of_z(each) for each in sums]
    if None not in wires:
        return PauliZ(tuple((wire,) for wire in wires if wire is not None))
    groups = [sorted({wire for letters in each for wire, _ in letters}) for each in sums]
    size = max(1, *map(len, groups))
    whole, strings = [], pauli_strings(size)
    for number, group in enumerate(groups):
        others = (wire for wire in range(n_wires) if wire not in group)
        groups[number] = group = [*group, *(next(others) for _ in range(size - len(group)))]
        coefficients = np.zeros(len(strings), np.float32)
        for letters, coefficient in sums[number].items():
            by_wire = dict(letters)
            coefficients[strings.index("".join(by_wire.get(wire, "I") for wire in group))] = coefficient
        whole.append(coefficients)
    return Hermitian(jnp.asarray(np.array(whole)), tuple(map(tuple, groups)), trainable=False)


def _wire_of_z(terms: Mapping[Letters, float]) -> int | None:
    """The wire of a sum that is a single Z; None for any other."""
    (letters, coefficient), *others = terms.items()
    if others or coefficient != 1 or len(letters) != 1 or letters[0][1] != "Z":
        return None
    return letters[0][0]
