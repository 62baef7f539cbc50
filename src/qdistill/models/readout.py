"""How what a circuit measures becomes logits: observables for a readout, and the logits of a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.models.checks import not_zero
from qdistill.quantum import Observable, PauliString, PauliSum, PauliZ, product_fidelities


def margin_logits(margin: Float[Array, "1"]) -> Float[Array, "2"]:
    """The logits (-m/2, m/2) of one margin m, which differ by m: a positive one speaks for the second class."""
    return jnp.concatenate([-margin / 2, margin / 2])


def scale_of(start: float | None) -> Float[Array, "1"] | None:
    """The trained factor of a margin that starts there; None for none.

    Raises:
        ArgumentError: it starts at 0.
    """
    not_zero(output_scale=start)
    return None if start is None else jnp.full(1, start, jnp.float32)


def class_states(count: int) -> PauliSum:
    """Fidelities of wire 0 with states that lie as far apart as `count` states can, on the Bloch sphere.

    Two are |0> and |1>, three a triangle, four a tetrahedron, and five and six are of an octahedron (Perez-Salinas et
    al., arXiv 1907.02085, section 3.2).

    Args:
        count: of states, from 2 to `MOST_CLASS_STATES`.
    """
    theta, phi = np.pi * np.array(_CLASS_STATES[count][:count]).T
    amplitudes = np.stack([np.cos(theta / 2), np.exp(1j * phi) * np.sin(theta / 2)], axis=-1)
    return product_fidelities((0,), amplitudes[:, None])


_TETRAHEDRON = np.arccos(-1 / 3) / np.pi
_OCTAHEDRON = [(0, 0), (1, 0), (1 / 2, 0), (1 / 2, 1), (1 / 2, 1 / 2), (1 / 2, -1 / 2)]
_CLASS_STATES: dict[int, list[tuple[float, float]]] = {
    2: [(0, 0), (1, 0)],
    3: [(0, 0), (2 / 3, 0), (4 / 3, 0)],
    4: [(0, 0), *((_TETRAHEDRON, 2 * third / 3) for third in range(3))],
    5: _OCTAHEDRON,
    6: _OCTAHEDRON,
}
"""Polar and azimuthal angles over pi, by the number of classes."""

MOST_CLASS_STATES = max(_CLASS_STATES)
"""That one qubit keeps at right angles or further apart on the Bloch sphere."""


def pauli_sums(sums: Sequence[Mapping[PauliString, float]], *, trainable: bool = False) -> Observable:
    """Observables, one a sum, whose coefficients are fixed, or trained from these on."""
    wires = [_wire_of_z(each) for each in sums]
    if None not in wires and not trainable:
        return PauliZ(tuple((wire,) for wire in wires if wire is not None))
    coefficients = np.array([coefficient for each in sums for coefficient in each.values()])
    return PauliSum(
        list(map(list, sums)),
        coefficients.astype(np.float32) if trainable else coefficients,
        trainable=trainable,
    )


def _wire_of_z(terms: Mapping[PauliString, float]) -> int | None:
    """The wire of a sum that is a single Z; None for any other."""
    (string, coefficient), *others = terms.items()
    return string.wires[0] if not others and coefficient == 1 and string.letters == "Z" else None
