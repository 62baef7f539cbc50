"""The values of sums of Pauli strings, without a matrix of any of them.

A string with the letters X and Y on the wires m, Z and Y on the wires z, and q times the letter Y maps a basis state to
another one, ``P |j> = i^q (-1)^(bits of j on z) |j xor m>``. So its value in a state is

    <P> = Re [ i^q sum_j (-1)^(bits of j on z) conj(a[j xor m]) a[j] ],

and all strings that flip the same wires m share one product of amplitudes: its real part serves those with an even q,
its imaginary part those with an odd one. Without flips the product is the probabilities. What is left is a product with
signs, and a sum over the strings of each output.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from qdistill.quantum.basis_states import mask_of, parities
from qdistill.quantum.observable import PauliSum, Terms
from qdistill.quantum.paulis import PauliString

MOST_SIGNS = 2**16
"""Entries of a matrix of signs; a larger one is written as two of half the wires each."""

MOST_FLIPS = 64
"""Flips that are written out in a program, which is faster than a loop over them but takes longer to compile."""


@dataclass(frozen=True, eq=False)
class Flip:
    """Strings that share one part of one product of amplitudes.

    Args:
        wires: those that the strings flip, rising.
        imaginary: whether they read the imaginary part of the product.
        masks: for each string the wires with Z or Y, as bits of a basis state.
        factors: for each string 1 or -1, what i^q leaves.
    """

    wires: tuple[int, ...]
    imaginary: bool
    masks: tuple[int, ...]
    factors: Float[np.ndarray, " strings"]


class _Row(NamedTuple):
    """A `Flip` as arrays: the wires that are flipped are bits too."""

    flip: Any
    imaginary: Any
    masks: Any
    factors: Any


@dataclass(frozen=True, eq=False)
class SumTable:
    """Which different strings the terms of an observable are, and how these are computed.

    Args:
        flips: the strings, in order.
        outputs: the output of each term.
        strings: the string of each term.
        n_outputs: number of outputs.
    """

    flips: tuple[Flip, ...]
    outputs: np.ndarray
    strings: np.ndarray
    n_outputs: int

    @property
    def n_strings(self) -> int:
        """Number of different strings."""
        return sum(len(flip.masks) for flip in self.flips)

    def rows(self, n_wires: int) -> _Row:
        """The flips as arrays with a row for each; where it has fewer strings than others, the factors are 0."""
        most = max(len(flip.masks) for flip in self.flips)
        masks, factors = np.zeros((len(self.flips), most), np.int32), np.zeros((len(self.flips), most))
        for row, flip in enumerate(self.flips):
            masks[row, : len(flip.masks)], factors[row, : len(flip.masks)] = flip.masks, flip.factors
        return _Row(
            flip=np.array([mask_of(flip.wires, n_wires) for flip in self.flips], np.int32),
            imaginary=np.array([flip.imaginary for flip in self.flips]),
            masks=masks,
            factors=factors.astype(np.float32),
        )

    def mixing(self, coefficients: Float[Array, " terms"]) -> Float[Array, "outputs strings"]:
        """How the outputs follow from the strings' values."""
        nothing = jnp.zeros((self.n_outputs, self.n_strings), coefficients.dtype)
        return nothing.at[self.outputs, self.strings].add(coefficients)


@lru_cache(maxsize=64)
def sum_table(terms: Terms, n_wires: int) -> SumTable:
    """The table of an observable's terms on n wires."""
    different = sorted({string for strings in terms for string in strings}, key=_kind)
    numbers = {string: number for number, string in enumerate(different)}
    flips = []
    for (wires, imaginary), alike in groupby(different, key=lambda string: _kind(string)[:2]):
        group = list(alike)
        flips.append(
            Flip(
                wires=wires,
                imaginary=imaginary,
                masks=tuple(mask_of(string.wires_of("ZY"), n_wires) for string in group),
                factors=np.array([_factor(string.letters.count("Y")) for string in group], float),
            )
        )
    return SumTable(
        flips=tuple(flips),
        # 32-bit indices, as in `angle_table`.
        outputs=np.array([place for place, strings in enumerate(terms) for _ in strings], np.int32),
        strings=np.array([numbers[string] for strings in terms for string in strings], np.int32),
        n_outputs=len(terms),
    )


def _kind(string: PauliString) -> tuple[tuple[int, ...], bool, tuple[int, ...]]:
    """What a string flips, which part it reads, and then the wires whose signs it takes."""
    return string.wires_of("XY"), bool(string.letters.count("Y") % 2), string.wires_of("ZY")


def _factor(n_y: int) -> int:
    """``Re(i^q c)`` is this factor times the real part of c for even q, and times the imaginary one for odd q."""
    return (n_y % 4) - 2 if n_y % 2 else 1 - (n_y % 4)


def n_products(observable: PauliSum) -> int:
    """How many parts of products of amplitudes are summed for one state."""
    return len(sum_table(observable.terms, _width(observable)).flips)


def sums_cost(observable: PauliSum) -> int:
    """Multiply-adds for one amplitude of one state."""
    return sum(_PRODUCT + len(flip.masks) for flip in sum_table(observable.terms, _width(observable)).flips)


_PRODUCT = 12
"""What a product of amplitudes costs in a gradient, in multiply-adds of a gate: it reads and writes memory."""


def _width(observable: PauliSum) -> int:
    return 1 + max((wire for group in observable.wires for wire in group), default=0)


def sum_values(
    terms: Terms, coefficients: Float[Array, " terms"], state: Inexact[Array, " amplitudes"]
) -> Float[Array, " outputs"]:
    """The value of each sum in one state."""
    table = sum_table(terms, state.size.bit_length() - 1)
    return _string_values(table, state) @ table.mixing(coefficients.astype(state.real.dtype)).T


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _string_values(table: SumTable, state: Inexact[Array, " amplitudes"]) -> Float[Array, " strings"]:
    """The value of each of the different strings."""
    return _products(table, state, state)


@_string_values.defjvp
def _string_values_jvp(table: SumTable, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # P is Hermitian, so d<a|P|a> = 2 Re <Pa|da>: what flips is the state alone, and gradients need not flip back.
    (state,), (d_state,) = primals, tangents
    return _products(table, state, state), 2 * _products(table, state, d_state)


def _products(table: SumTable, state: Array, other: Array) -> Float[Array, " strings"]:
    """``Re <P a|b>`` of each string, for the state a and another vector b."""
    if len(table.flips) > MOST_FLIPS:
        return _products_in_turn(table, state, other)
    turned = {wires: flipped(state, wires) for wires in dict.fromkeys(flip.wires for flip in table.flips)}
    strings = []
    for flip in table.flips:
        part = _part(turned[flip.wires], other, imaginary=flip.imaginary)
        strings.append(jnp.asarray(flip.factors, part.dtype) * signed_sums(part, flip.masks))
    return jnp.concatenate(strings)


def _part(turned: Array, other: Array, *, imaginary: bool) -> Float[Array, " amplitudes"]:
    """The real or the imaginary part of ``conj(turned) * other``."""
    if not jnp.iscomplexobj(other):
        return jnp.zeros_like(other) if imaginary else turned * other
    if imaginary:
        return turned.real * other.imag - turned.imag * other.real
    return turned.real * other.real + turned.imag * other.imag


def _products_in_turn(table: SumTable, state: Array, other: Array) -> Float[Array, " strings"]:
    """`_products` as a loop, whose program does not grow with the number of flips."""
    precision, indices = state.real.dtype, jnp.arange(state.size, dtype=jnp.int32)

    @jax.checkpoint
    def sums(_: None, row: _Row) -> tuple[None, Array]:
        turned = state.at[indices ^ row.flip].get(mode="promise_in_bounds", unique_indices=True)
        part = jnp.where(row.imaginary, _part(turned, other, imaginary=True), _part(turned, other, imaginary=False))
        odd = jax.lax.population_count(indices[:, None] & row.masks) & 1
        return None, part @ (row.factors.astype(precision) * (1 - 2 * odd))

    rows = table.rows(state.size.bit_length() - 1)
    values: Array = jax.lax.scan(sums, None, rows)[1]
    return values.reshape(-1)[np.flatnonzero(rows.factors).astype(np.int32)]


def flipped(
    state: Inexact[Array, "amplitudes *columns"], wires: Sequence[int]
) -> Inexact[Array, "amplitudes *columns"]:
    """The amplitudes with some wires' bits flipped: neighbours that are flipped together are one axis reversed."""
    if not wires:
        return state
    n = state.shape[0].bit_length() - 1
    runs = [(turned, len(list(run))) for turned, run in groupby(wire in wires for wire in range(n))]
    tensor = state.reshape(*(2**length for _, length in runs), *state.shape[1:])
    return jax.lax.rev(tensor, [axis for axis, (turned, _) in enumerate(runs) if turned]).reshape(state.shape)


def signed_sums(values: Float[Array, "*axes outcomes"], masks: Sequence[int]) -> Float[Array, "*axes masks"]:
    """The sums of numbers over all basis states j, each with the sign (-1)^(bits of j in a mask).

    A product with the sign matrix: a sum over the other wires' axes is ten times slower in XLA. On many wires that
    matrix would be larger than the state, so that each half of the wires has its own.
    """
    n = values.shape[-1].bit_length() - 1
    if len(masks) << n <= MOST_SIGNS:
        matrix = jnp.asarray(sign_matrix(tuple(masks), n), values.dtype)
        return matrix @ values if values.ndim == 1 else values @ matrix.T
    upper, lower = n // 2, n - n // 2
    # Masks that agree on one half of the wires share its sums.
    rows, row = np.unique(np.array(masks) >> lower, return_inverse=True)
    columns, column = np.unique(np.array(masks) & ((1 << lower) - 1), return_inverse=True)
    first, second = (
        jnp.asarray(sign_matrix(tuple(bits.tolist()), size), values.dtype)
        for bits, size in ((rows, upper), (columns, lower))
    )
    cells = (first @ values.reshape(*values.shape[:-1], 2**upper, 2**lower)) @ second.T
    return cells.reshape(*values.shape[:-1], -1)[..., (row * len(columns) + column).astype(np.int32)]


@lru_cache(maxsize=256)
def sign_matrix(masks: tuple[int, ...], n_wires: int) -> np.ndarray:
    """(masks, 2^n): -1 where a basis state has an odd number of bits in the mask, else 1."""
    return np.array([np.where(parities(n_wires, mask), -1.0, 1.0) for mask in masks])


def sum_images(
    terms: Terms, coefficients: Float[Array, " terms"], columns: Complex[Array, "amplitudes columns"]
) -> Complex[Array, "outputs amplitudes columns"]:
    """Each sum applied to several vectors, ``(H c)[j] = sum of (-i)^q (-1)^(bits of j on z) c[j xor m]``."""
    n = columns.shape[0].bit_length() - 1
    table = sum_table(terms, n)
    mixing = table.mixing(coefficients)
    diagonals: dict[tuple[int, ...], Array] = defaultdict(lambda: jnp.zeros((), columns.dtype))
    first = 0
    for flip in table.flips:
        own = mixing[:, first : first + len(flip.masks)] * jnp.asarray(flip.factors, mixing.dtype)
        diagonal = own @ jnp.asarray(sign_matrix(flip.masks, n), mixing.dtype)
        diagonals[flip.wires] = diagonals[flip.wires] + (1j if flip.imaginary else 1) * diagonal
        first += len(flip.masks)
    parts = [diagonal[:, :, None] * flipped(columns, wires) for wires, diagonal in diagonals.items()]
    total: Array = sum(parts[1:], start=parts[0])
    return total
