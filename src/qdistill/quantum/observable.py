"""What is measured: sums of Pauli strings with real coefficients, one sum for each output.

A Hermitian on k wires is ``sum_P c_P P`` over the 4^k Pauli strings, with real coefficients c_P: Hermitian by
construction, smooth everywhere, and directly what a quantum computer measures. (The form by eigenbasis and
eigenvalues has no derivative where two eigenvalues meet, and a NaN at Pauli-Z.) `PauliSum` has the strings that it
is given and no others, on any wires; `Hermitian` all strings on its wires; `PauliZ` the one string Z.

All three give their strings by `terms` and the coefficients of these, in the same order, by `term_coefficients`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError, CircuitError
from qdistill.numbers import Numbers, real, real_field, real_numpy
from qdistill.quantum.bounds import check_terms, check_wires
from qdistill.quantum.circuit import as_wires
from qdistill.quantum.paulis import PauliString, pauli_strings

Terms = tuple[tuple[PauliString, ...], ...]
"""For each output the strings that it is a sum of."""


def of_each_output(terms: Terms, values: Any) -> list[Any]:
    """Numbers of the terms, flat, cut into those of each output; an array of any library."""
    ends = np.cumsum([len(strings) for strings in terms]).tolist()
    return [values[end - len(strings) : end] for strings, end in zip(terms, ends, strict=True)]


def wire_groups(wires: Any) -> tuple[tuple[int, ...], ...]:
    """Groups of wires from any sequence of sequences, or array.

    Raises:
        CircuitError: it is none.
    """
    try:
        return tuple(map(as_wires, wires))
    except TypeError as error:
        raise CircuitError(f"Argument `wires` must be groups such as ((0,), (1,)), but was {wires!r}.") from error


def _real(convert: Callable[[Any], Any], values: Any) -> Any:
    """Pauli coefficients, which are real for every Hermitian matrix, by a conversion that refuses others."""
    try:
        return convert(values)
    except ArgumentError as error:
        raise CircuitError(f"{error} `pauli_decompose` gives the coefficients of a Hermitian matrix.") from error


_coefficients = partial(_real, real_field("coefficients"))


class PauliSum(eqx.Module):
    """Sums of Pauli strings on any wires: one value for each sum.

    Coefficients that are trained are an array of the network, ``coefficients``. Fixed ones are a part of the
    observable as the strings are, and no weights.

    Args:
        strings: for each output its strings, each in any form that `PauliString.of` takes; an output of a single string
            may be that string. The identity is ``"I"``.
        coefficients: real, one a string, flat in the order of the outputs; by default all are 1.
        trainable: whether they are trained.

    Raises:
        CircuitError: an output without strings, what is no string, nothing but the identity, or complex coefficients or
            another number of them.

    Example:
        >>> from qdistill.quantum import PauliSum
        >>> whole = PauliSum(["Z0 Z1 Z2 Z3"])
        >>> ising = PauliSum([["Z0 Z1", "X0", "X1"], ["Z1", "I"]], [1.0, -0.5, -0.5, 0.5, 0.5])
        >>> ising.n_outputs, ising.wires
        (2, ((0, 1), (1,)))
    """

    strings: Terms = eqx.field(static=True)
    coefficients: Float[Array, " terms"] | None
    fixed: tuple[float, ...] | None = eqx.field(static=True)

    def __init__(self, strings: Iterable[Any], coefficients: Numbers | None = None, *, trainable: bool = False) -> None:
        """Check that the coefficients fit the strings."""
        self.strings = _terms(strings)
        count = sum(map(len, self.strings))
        given = np.ones(count) if coefficients is None else coefficients
        kept: Any = _coefficients(given) if trainable else _fixed(given)
        if jnp.shape(kept) != (count,):
            raise CircuitError(
                f"Argument `coefficients` must have shape ({count},), one for each string, but was {jnp.shape(kept)}."
            )
        self.coefficients = kept if trainable else None
        self.fixed = None if trainable else tuple(kept.tolist())

    @classmethod
    def of(cls, sums: Iterable[tuple[Iterable[Any], Numbers]], *, trainable: bool = False) -> PauliSum:
        """From the strings and the coefficients of each output, as the readers of other frameworks give them."""
        both = [(list(strings), real_numpy("coefficients", coefficients)) for strings, coefficients in sums]
        for strings, coefficients in both:
            if coefficients.shape != (len(strings),):
                raise CircuitError(
                    f"Argument `sums` must have a coefficient for each string, but one sum has {len(strings)} strings "
                    f"and coefficients of shape {coefficients.shape}."
                )
        flat = np.concatenate([coefficients for _, coefficients in both]) if both else np.zeros(0)
        return cls([strings for strings, _ in both], flat, trainable=trainable)

    @property
    def trainable(self) -> bool:
        """Whether gradients reach the coefficients."""
        return self.fixed is None

    @property
    def n_outputs(self) -> int:
        """Number of expectation values."""
        return len(self.strings)

    @property
    def wires(self) -> tuple[tuple[int, ...], ...]:
        """The wires of each output, rising."""
        return _touched(self.strings)

    @property
    def terms(self) -> Terms:
        """The strings of each output."""
        return self.strings

    def term_coefficients(self) -> Float[Array, " terms"]:
        """The coefficients as the simulator uses them, flat."""
        if self.fixed is not None:
            return jnp.asarray(np.array(self.fixed), jnp.result_type(float))
        return real("coefficients", self.coefficients)


def _terms(strings: Any) -> Terms:
    """The strings of each output, in their own form."""
    try:
        outputs = [[each] if isinstance(each, str | PauliString) else list(each) for each in strings]
    except TypeError as error:
        raise CircuitError(
            f'Argument `strings` must have the strings of each output, such as [["Z0 Z1", "X0"], ["Z2"]], but was '
            f"{strings!r}."
        ) from error
    if isinstance(strings, str) or not outputs or not all(outputs):
        raise CircuitError(
            f"Argument `strings` must have an output, and each output a string at least, but was {strings!r}."
        )
    check_terms(sum(map(len, outputs)))
    terms = tuple(tuple(map(PauliString.of, each)) for each in outputs)
    if not any(string.wires for own in terms for string in own):
        raise CircuitError(f"Argument `strings` must measure a wire, but has the identity alone: {strings!r}.")
    return terms


def _fixed(coefficients: Any) -> np.ndarray:
    """Coefficients that are numbers now.

    Raises:
        CircuitError: they are complex, not finite, or not known before a function of JAX's runs.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(coefficients)):
        raise CircuitError(
            "Argument `coefficients` must be known numbers where they are fixed, but is computed within a "
            "transformation of JAX's. Use `trainable=True`."
        )
    numbers: np.ndarray = _real(partial(real_numpy, "coefficients"), coefficients)
    if not np.isfinite(numbers).all():
        raise CircuitError(f"Argument `coefficients` must be finite, but was {coefficients!r}.")
    return numbers


@lru_cache
def _touched(terms: Terms) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(sorted({wire for string in strings for wire in string.wires})) for strings in terms)


class Hermitian(eqx.Module):
    """One Hermitian observable for each group of wires.

    Args:
        coefficients: real, (groups, 4^k), in the order of `pauli_strings`.
        wires: the groups, each k different wires; for the paper's observable ``((0,), (1,), ...)``. Groups of
            different sizes are a `PauliSum`.
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

    @property
    def terms(self) -> Terms:
        """The 4^k strings of each group, in the order of `pauli_strings`."""
        return _all_strings(self.wires)

    def pauli_coefficients(self) -> Float[Array, "groups paulis"]:
        """The coefficients as the simulator uses them."""
        coefficients = real("coefficients", self.coefficients)
        return coefficients if self.trainable else jax.lax.stop_gradient(coefficients)

    def term_coefficients(self) -> Float[Array, " terms"]:
        """The same, flat."""
        return self.pauli_coefficients().reshape(-1)


@lru_cache
def _all_strings(groups: tuple[tuple[int, ...], ...]) -> Terms:
    return tuple(tuple(PauliString(letters, group) for letters in pauli_strings(len(group))) for group in groups)


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
            raise CircuitError(
                f"Argument `wires` must be groups of one wire for Pauli-Z, but was {self.wires}. A product of Z is a "
                'PauliSum(["Z0 Z1"]).'
            )

    @property
    def n_outputs(self) -> int:
        """Number of expectation values."""
        return len(self.wires)

    @property
    def terms(self) -> Terms:
        """Z on each wire."""
        return tuple((PauliString("Z", group),) for group in self.wires)

    def term_coefficients(self) -> Float[Array, " terms"]:
        """All are 1."""
        return jnp.ones(len(self.wires))


Observable = PauliSum | Hermitian | PauliZ


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
