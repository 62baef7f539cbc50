"""Products of Pauli matrices: strings of them as data, and Hermitian matrices as real sums of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, complex_numpy, real
from qdistill.quantum.circuit import as_wires
from qdistill.quantum.gates import GATES

PAULIS = "IXYZ"

_SINGLE = np.array([np.eye(2), *(GATES[name].matrix() for name in "XYZ")])
"""I, X, Y and Z as matrices, (4, 2, 2)."""

_MOST_MATRICES = 2
"""Wires up to which the matrices of all strings are few enough to be multiplied at once."""

_FACTOR = re.compile(r"([IXYZ])(\d{1,9})", re.ASCII)

_EXPECTED = 'a Pauli string such as "X0 Z3", ("XZ", (0, 3)) or PauliString("XZ", (0, 3))'


@dataclass(frozen=True)
class PauliString:
    """A product of Pauli matrices on some wires, and the identity on all others.

    Kept without the letter I and by rising wires, so that equal strings are equal data.

    Args:
        letters: X, Y, Z or I, one for each wire; none for the identity.
        wires: different ones, from 0 on.

    Raises:
        CircuitError: another letter, another number of letters than wires, or a wire twice or below 0.

    Example:
        >>> PauliString("ZIX", (3, 1, 0))
        PauliString(letters='XZ', wires=(0, 3))
        >>> str(PauliString("ZIX", (3, 1, 0))), str(PauliString())
        ('X0 Z3', 'I')
    """

    letters: str = ""
    wires: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the string, and keep it in its one form."""
        given: Any = self.letters
        if not isinstance(given, str) or set(given) - set(PAULIS):
            raise CircuitError(f"Argument `letters` must be of X, Y, Z and I, but was {given!r}.")
        wires = _wires(self.wires)
        if len(wires) != len(given) or len(set(wires)) != len(wires) or any(wire < 0 for wire in wires):
            raise CircuitError(
                f"Argument `wires` must be {len(given)} different wires from 0 on for the letters {given!r}, but was "
                f"{self.wires!r}."
            )
        kept = sorted((wire, letter) for wire, letter in zip(wires, given, strict=True) if letter != "I")
        object.__setattr__(self, "letters", "".join(letter for _, letter in kept))
        object.__setattr__(self, "wires", tuple(wire for wire, _ in kept))

    @classmethod
    def of(cls, value: Any) -> PauliString:
        """A string from what `str` writes, or from letters and wires; one that is a `PauliString` stays.

        Raises:
            CircuitError: it is none of these.

        Example:
            >>> PauliString.of("Z3 X0") == PauliString.of(("XZ", (0, 3)))
            True
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            factors = [_FACTOR.fullmatch(factor) for factor in ([] if value == "I" else value.split())]
            found = [factor for factor in factors if factor]
            if len(found) < len(factors) or not (factors or value == "I"):
                raise CircuitError(f"Argument `strings` must have {_EXPECTED} as its entries, but one was {value!r}.")
            return cls("".join(factor[1] for factor in found), tuple(int(factor[2]) for factor in found))
        try:
            letters, wires = value
        except (TypeError, ValueError):
            letters, wires = None, None
        if not isinstance(letters, str):
            raise CircuitError(f"Argument `strings` must have {_EXPECTED} as its entries, but one was {value!r}.")
        return cls(letters, _wires(wires))

    def __str__(self) -> str:
        """Each letter with its wire, such as ``"X0 Z3"``; ``"I"`` for the identity."""
        return " ".join(f"{letter}{wire}" for letter, wire in zip(self.letters, self.wires, strict=True)) or "I"

    @property
    def by_wire(self) -> tuple[tuple[int, str], ...]:
        """Its wires, rising, each with its letter."""
        return tuple(zip(self.wires, self.letters, strict=True))

    def on(self, wires: Iterable[int]) -> str:
        """The letters on these wires, which include its own: ``PauliString("X", (1,)).on(range(3))`` is IXI."""
        own = dict(zip(self.wires, self.letters, strict=True))
        return "".join(own.get(wire, "I") for wire in wires)

    def wires_of(self, letters: str) -> tuple[int, ...]:
        """The wires on which it has one of some letters."""
        return tuple(wire for wire, letter in zip(self.wires, self.letters, strict=True) if letter in letters)


def _wires(wires: Any) -> tuple[int, ...]:
    try:
        return as_wires(wires)
    except TypeError as error:
        raise CircuitError(f"Argument `wires` must be wires such as (0, 3), but was {wires!r}.") from error


def pauli_strings(n_wires: int) -> list[str]:
    """The 4^n Pauli strings in the order of the coefficients: II, IX, IY, IZ, XI, ..."""
    return ["".join(letters) for letters in itertools.product(PAULIS, repeat=n_wires)]


@lru_cache
def pauli_matrices(n_wires: int) -> np.ndarray:
    """The 4^n Pauli strings as matrices, complex (4^n, 2^n, 2^n), first letter on the most significant wire.

    They are 16^n numbers: for one or two wires.
    """
    matrices = np.ones((1, 1, 1), complex)
    for _ in range(n_wires):
        size = 2 * matrices.shape[-1]
        matrices = np.einsum("pij,qkl->pqikjl", matrices, _SINGLE).reshape(-1, size, size)
    return matrices


def pauli_decompose(matrix: Numbers) -> np.ndarray:
    """The real Pauli coefficients of a Hermitian matrix, ``c_P = tr(P H) / 2^k``.

    Args:
        matrix: Hermitian, (2^k, 2^k).

    Returns:
        Float64 coefficients (4^k,) in the order of `pauli_strings`.

    Raises:
        CircuitError: not square with a power of two as its size, or not Hermitian.
    """
    matrix = complex_numpy("matrix", matrix)
    size = matrix.shape[0] if matrix.ndim == 2 else 0
    n_wires = size.bit_length() - 1
    if matrix.shape != (size, size) or n_wires < 1 or 2**n_wires != size:
        raise CircuitError(f"Argument `matrix` must have shape (2**k, 2**k), k >= 1, but was {matrix.shape}.")
    error = float(np.max(np.abs(matrix - matrix.conj().T)))
    if not error <= 1e-6 * max(1.0, float(np.max(np.abs(matrix)))):
        raise CircuitError(f"Argument `matrix` must be Hermitian, but it and its adjoint differ by {error:.3g}.")
    # Wire by wire, the first wire's letters in front: no matrix of a whole string is made.
    parts = matrix[None]
    for _ in range(n_wires):
        half = parts.shape[-1] // 2
        blocks = parts.reshape(-1, 2, half, 2, half)
        parts = np.einsum("pji,lirjc->lprc", _SINGLE, blocks).reshape(-1, half, half)
    coefficients: np.ndarray = parts.reshape(-1).real / size
    return coefficients


def pauli_compose(coefficients: Numbers) -> Complex[Array, "... rows columns"]:
    """The Hermitian matrices of real Pauli coefficients; the inverse of `pauli_decompose`.

    Args:
        coefficients: real, (..., 4^k).

    Returns:
        (..., 2^k, 2^k), complex.

    Raises:
        ArgumentError: no real numbers.
    """
    coefficients = real("coefficients", coefficients)
    n_wires, axes = (coefficients.shape[-1].bit_length() - 1) // 2, coefficients.shape[:-1]
    dtype = jnp.result_type(coefficients, jnp.complex64)
    if n_wires <= _MOST_MATRICES:
        return jnp.einsum("...p,pij->...ij", coefficients.astype(dtype), jnp.asarray(pauli_matrices(n_wires), dtype))
    single = jnp.asarray(_SINGLE, dtype)
    # Wire by wire, from the last, as in `pauli_decompose`.
    parts = coefficients.astype(dtype)[..., None, None]
    for wire in range(n_wires):
        size = 2**wire
        blocks = parts.reshape(*axes, -1, 4, size, size)
        parts = jnp.einsum("...lprc,pij->...lirjc", blocks, single).reshape(*axes, -1, 2 * size, 2 * size)
    return parts[..., 0, :, :]
