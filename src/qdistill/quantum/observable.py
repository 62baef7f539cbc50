"""What is measured: Pauli-Z, and Hermitian observables with real Pauli coefficients on one or several wires.

A Hermitian on k wires is ``sum_P c_P P`` over the 4^k Pauli strings, with real coefficients c_P: Hermitian by
construction, smooth everywhere, and directly what a quantum computer measures. (The form by eigenbasis and
eigenvalues has no derivative where two eigenvalues meet, and a NaN at Pauli-Z.)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from qdistill.errors import ArgumentError, CircuitError
from qdistill.numbers import Numbers, complex_numpy, real, real_field
from qdistill.quantum.bounds import check_wires
from qdistill.quantum.circuit import as_wires
from qdistill.quantum.gates import GATES

PAULIS = "IXYZ"


def pauli_strings(n_wires: int) -> list[str]:
    """The 4^n Pauli strings in the order of the coefficients: II, IX, IY, IZ, XI, ..."""
    return ["".join(letters) for letters in itertools.product(PAULIS, repeat=n_wires)]


@lru_cache
def pauli_matrices(n_wires: int) -> np.ndarray:
    """The 4^n Pauli strings as matrices, complex (4^n, 2^n, 2^n), first letter on the most significant wire."""
    single = {"I": np.eye(2, dtype=complex), **{name: GATES[name].matrix() for name in "XYZ"}}
    matrices = []
    for string in pauli_strings(n_wires):
        matrix = np.eye(1, dtype=complex)
        for letter in string:
            matrix = np.kron(matrix, single[letter])
        matrices.append(matrix)
    return np.array(matrices)


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
    coefficients: np.ndarray = np.einsum("pij,ji->p", pauli_matrices(n_wires), matrix).real / size
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
    n_wires = (coefficients.shape[-1].bit_length() - 1) // 2
    matrices = jnp.asarray(pauli_matrices(n_wires), dtype=jnp.result_type(coefficients, jnp.complex64))
    return jnp.einsum("...p,pij->...ij", coefficients.astype(matrices.dtype), matrices)


def wire_groups(wires: Any) -> tuple[tuple[int, ...], ...]:
    """Groups of wires from any sequence of sequences, or array.

    Raises:
        CircuitError: it is none.
    """
    try:
        return tuple(map(as_wires, wires))
    except TypeError as error:
        raise CircuitError(f"Argument `wires` must be groups such as ((0,), (1,)), but was {wires!r}.") from error


def _coefficients(values: Any) -> Any:
    """Pauli coefficients, which are real for every Hermitian matrix."""
    try:
        return real_field("coefficients")(values)
    except ArgumentError as error:
        raise CircuitError(f"{error} `pauli_decompose` gives the coefficients of a Hermitian matrix.") from error


class Hermitian(eqx.Module):
    """One Hermitian observable for each group of wires.

    Args:
        coefficients: real, (groups, 4^k), in the order of `pauli_strings`.
        wires: the groups, each k different wires; for the paper's observable ``((0,), (1,), ...)``.
        trainable: whether gradients reach the coefficients; where not, they stay as they were drawn.

    Raises:
        CircuitError: the shapes do not fit each other, or the coefficients are complex.
    """

    coefficients: Float[Array, "groups paulis"] = eqx.field(converter=_coefficients)
    wires: tuple[tuple[int, ...], ...] = eqx.field(static=True, converter=wire_groups)
    trainable: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Check that the coefficients fit the wires."""
        sizes = {len(group) for group in self.wires}
        if len(sizes) != 1 or sizes == {0} or any(len(set(group)) != len(group) for group in self.wires):
            raise CircuitError(
                f"Argument `wires` must be groups of equally many different wires, but was {self.wires}."
            )
        shape = (len(self.wires), 4 ** sizes.pop())
        if jnp.shape(self.coefficients) != shape:
            raise CircuitError(
                f"Argument `coefficients` must have shape {shape} for the groups {self.wires}, but was "
                f"{jnp.shape(self.coefficients)}."
            )

    @property
    def n_outputs(self) -> int:
        """Number of expectation values."""
        return len(self.wires)

    def pauli_coefficients(self) -> Float[Array, "groups paulis"]:
        """The coefficients as the simulator uses them."""
        coefficients = real("coefficients", self.coefficients)
        return coefficients if self.trainable else jax.lax.stop_gradient(coefficients)


class PauliZ(eqx.Module):
    """Pauli-Z on each of some wires: one value in [-1, 1] a wire.

    Args:
        wires: the groups, each of one wire, in the form of `Hermitian.wires`.

    Raises:
        CircuitError: no groups, or a group of more than one wire.
    """

    wires: tuple[tuple[int, ...], ...] = eqx.field(static=True, converter=wire_groups)

    def __check_init__(self) -> None:
        """Check that there is one wire a group."""
        if not self.wires or any(len(group) != 1 for group in self.wires):
            raise CircuitError(f"Argument `wires` must be groups of one wire for Pauli-Z, but was {self.wires}.")

    @property
    def n_outputs(self) -> int:
        """Number of expectation values."""
        return len(self.wires)

    def pauli_coefficients(self) -> Float[Array, "groups paulis"]:
        """Z is (0, 0, 0, 1)."""
        return jnp.tile(jnp.array([0.0, 0.0, 0.0, 1.0]), (len(self.wires), 1))


Observable = Hermitian | PauliZ


def each_wire(n_wires: int) -> tuple[tuple[int, ...], ...]:
    """The groups ``((0,), (1,), ..., (n-1,))``."""
    return neighbours(n_wires, 1)


def neighbours(n_wires: int, size: int) -> tuple[tuple[int, ...], ...]:
    """For every wire of a ring the group of `size` wires that starts there."""
    check_wires(n_wires)
    return tuple(tuple((start + step) % n_wires for step in range(size)) for start in range(n_wires))


def make_observable(
    kind: Literal["pauli_z", "hermitian", "fixed_hermitian"],
    wires: Sequence[Sequence[int]],
    *,
    scale: float = 1.0,
    key: Array,
) -> Observable:
    """Draw an observable as the networks do.

    Args:
        kind: Pauli-Z, or a Hermitian with coefficients from N(0, scale^2) that are trained, or are not.
        wires: the groups of wires.
        scale: standard deviation of the coefficients.
        key: random key, consumed; not used by ``"pauli_z"``.

    Raises:
        CircuitError: unknown kind, or Pauli-Z on more than one wire at a time.
    """
    groups = wire_groups(wires)
    if kind == "pauli_z":
        return PauliZ(groups)
    if kind not in ("hermitian", "fixed_hermitian"):
        raise CircuitError.unknown("observable", kind, ("pauli_z", "hermitian", "fixed_hermitian"))
    paulis = 4 ** len(groups[0]) if groups else 0
    coefficients = scale * jax.random.normal(key, (len(groups), paulis), jnp.float32)
    return Hermitian(coefficients, groups, trainable=kind == "hermitian")
