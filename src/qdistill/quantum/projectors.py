"""Probabilities and fidelities as observables: projectors on product states, as sums of Pauli strings.

The projector on the state of one wire with the Bloch vector r is ``(I + r_x X + r_y Y + r_z Z) / 2``, and that on a
product of such states is the product of these. Its expectation value is the fidelity with that state, or, of a basis
state, its probability. Coefficients that are zero leave their strings out: basis states take nothing but Z.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, complex_numpy
from qdistill.quantum.bounds import check_terms
from qdistill.quantum.circuit import as_wires
from qdistill.quantum.observable import PauliSum
from qdistill.quantum.paulis import PAULIS, PauliString

_SMALLEST = 1e-12
"""A component of a Bloch vector below this is rounding."""


def basis_probabilities(wires: Sequence[int], states: Iterable[Any] | None = None) -> PauliSum:
    """The probabilities of basis states of some wires, whatever the others are in; one output a state.

    Args:
        wires: different ones, the most significant bit of a basis state first.
        states: which: numbers such as 2, or bits such as ``"10"`` or ``(1, 0)``; by default all of them in order.

    Raises:
        CircuitError: no wires, one twice, what is no basis state of them, or too many.

    Example:
        >>> from qdistill.quantum import basis_probabilities
        >>> basis_probabilities((0, 2)).n_outputs
        4
        >>> [str(string) for string in basis_probabilities((0, 2), ["10"]).strings[0]]
        ['I', 'Z2', 'Z0', 'Z0 Z2']
    """
    own = _wires(wires)
    check_terms(4 ** len(own) if states is None else 2 ** len(own))
    chosen = range(2 ** len(own)) if states is None else states
    bits = np.array([_bits(state, len(own)) for state in chosen]).reshape(-1, len(own))
    return _projectors(own, np.stack([0 * bits, 0 * bits, 1 - 2 * bits], axis=-1).astype(float))


def product_fidelities(wires: Sequence[int], amplitudes: Numbers) -> PauliSum:
    """The fidelities of some wires with products of one-wire states; one output a product.

    Args:
        wires: different ones.
        amplitudes: of each product the two amplitudes of each wire, (products, wires, 2); each pair has norm 1.

    Raises:
        ArgumentError: the amplitudes are no numbers.
        CircuitError: no wires, one twice, amplitudes of another shape or norm, or too many strings.

    Example:
        >>> from qdistill.quantum import product_fidelities
        >>> zero_or_one = product_fidelities((1,), [[[1, 0]], [[0, 1]]])  # |0> or |1> on wire 1
        >>> zero_or_one.term_coefficients().tolist()
        [0.5, 0.5, 0.5, -0.5]
    """
    own, given = _wires(wires), complex_numpy("amplitudes", amplitudes)
    if given.ndim != 3 or given.shape[1:] != (len(own), 2) or not len(given):
        raise CircuitError(
            f"Argument `amplitudes` must have shape (products, {len(own)}, 2) for the wires {own}, but had shape "
            f"{given.shape}."
        )
    norms = np.sum(np.abs(given) ** 2, axis=-1)
    if not np.allclose(norms, 1, rtol=0, atol=1e-5):
        wrong = float(norms.ravel()[np.argmax(np.abs(norms - 1).ravel())])
        raise CircuitError(
            f"Argument `amplitudes` must have pairs of norm 1, but one has the squared norm {wrong:.6g}."
        )
    return _projectors(own, _bloch(given / np.sqrt(norms)[..., None]))


def _bloch(amplitudes: Complex[np.ndarray, "products wires 2"]) -> Float[np.ndarray, "products wires 3"]:
    """The values of X, Y and Z in each one-wire state."""
    up, down = amplitudes[..., 0], amplitudes[..., 1]
    coherence = 2 * np.conj(up) * down
    return np.stack([coherence.real, coherence.imag, np.abs(up) ** 2 - np.abs(down) ** 2], axis=-1)


def _projectors(wires: tuple[int, ...], bloch: Float[np.ndarray, "products wires 3"]) -> PauliSum:
    """The products over the wires of (I + r . P) / 2, without the strings whose coefficients are zero."""
    factors = [
        [
            [("I", 0.5)] + [(p, r / 2) for p, r in zip(PAULIS[1:], vector, strict=True) if abs(r) > _SMALLEST]
            for vector in vectors
        ]
        for vectors in bloch.tolist()
    ]
    check_terms(sum(math.prod(map(len, product)) for product in factors))
    string = cache(lambda letters: PauliString(letters, wires))  # the products share most of their strings
    strings: list[list[PauliString]] = []
    coefficients: list[float] = []
    for product in factors:
        terms = list(itertools.product(*product))
        strings.append([string("".join(letter for letter, _ in term)) for term in terms])
        coefficients += [math.prod(value for _, value in term) for term in terms]
    return PauliSum(strings, coefficients)


def _wires(wires: Any) -> tuple[int, ...]:
    try:
        own = as_wires(wires)
    except TypeError as error:
        raise CircuitError(f"Argument `wires` must be wires such as (0, 3), but was {wires!r}.") from error
    if not own or len(set(own)) < len(own):
        raise CircuitError(f"Argument `wires` must be different wires, one at least, but was {wires!r}.")
    return own


def _bits(state: Any, n_wires: int) -> list[int]:
    """A basis state as its bits, from its number, a text or a sequence."""
    try:
        whole: Any = state if isinstance(state, str) else format(operator.index(state), f"0{n_wires}b")
    except TypeError:
        whole = state
    try:
        bits = [_bit(bit) for bit in whole]
    except (TypeError, ValueError):
        bits = []
    if len(bits) != n_wires or set(bits) - {0, 1}:
        raise CircuitError(
            f"Argument `states` must be basis states of {n_wires} wires, such as {2**n_wires - 1} or "
            f"'{'1' * n_wires}', but one was {state!r}."
        )
    return bits


def _bit(bit: Any) -> int:
    """One bit from text, a truth value or a number; one with a fraction is none, and `int` would cut it off."""
    is_exact = isinstance(bit, str) or str(getattr(bit, "dtype", "")) == "bool"
    return int(bit) if is_exact else operator.index(bit)
