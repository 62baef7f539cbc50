"""Finite shots: which measurements an observable takes, and estimates of its values from samples of all wires.

A quantum computer measures all wires at once, each in the basis of one Pauli letter: a setting. Every Pauli term of the
observable is estimated in one setting, from S shots of it, so that terms of one setting have correlated errors and
those of different settings independent ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.quantum.basis_states import mask_of
from qdistill.quantum.observable import Observable, Terms
from qdistill.quantum.pauli_sums import sign_matrix
from qdistill.quantum.paulis import PauliString

VARIANCE_FLOOR = 1e-6
"""Added to the variance of one shot, so that its square root has a derivative where the outcome is certain."""


@dataclass(frozen=True)
class MeasurementSetting:
    """One way to measure all wires.

    Args:
        basis: the letter of each wire that is measured, by wire.
        terms: what is estimated from it: the numbers of terms of the observable, counted through all outputs.
    """

    basis: tuple[tuple[int, str], ...]
    terms: tuple[int, ...]


def measurement_settings(observable: Observable) -> tuple[MeasurementSetting, ...]:
    """The settings that estimate every Pauli term of an observable.

    Terms are taken by falling number of letters, then by their place in their output, then by outputs, and each
    goes to the first setting that measures its wires in its letters or not yet at all: greedy grouping of terms that
    commute qubit by qubit. One-wire Hermitians give X, Y and Z on all wires, Pauli-Z and sums of its products Z alone,
    pairs of wires the nine two-letter settings.

    Args:
        observable: any; a coefficient that happens to be zero has its term all the same, since it may be trained.

    Reference:
        Verteletskyi, Yen and Izmaylov, arXiv 1907.03358.
    """
    return _settings(observable.terms)


@lru_cache
def _settings(terms: Terms) -> tuple[MeasurementSetting, ...]:
    first = np.cumsum([0, *map(len, terms)])
    # The place in the output before the output, so that alike outputs share their settings letter by letter.
    wanted = sorted(
        (-len(string.wires), place, output, string)
        for output, strings in enumerate(terms)
        for place, string in enumerate(strings)
        if string.wires
    )
    bases: list[dict[str, int]] = []
    numbers: list[list[int]] = []
    known: dict[PauliString, int] = {}
    for _, place, output, string in wanted:
        if string not in known:
            known[string] = _measure(string, bases)
            numbers += [[] for _ in range(len(bases) - len(numbers))]
        numbers[known[string]].append(int(first[output]) + place)
    return tuple(MeasurementSetting(_basis(basis), tuple(own)) for basis, own in zip(bases, numbers, strict=True))


def _measure(string: PauliString, bases: list[dict[str, int]]) -> int:
    """Let the first setting that can measure a string do so, or a new one; its number."""
    needed = {letter: sum(1 << wire for wire in string.wires_of(letter)) for letter in "XYZ"}
    setting = next((at for at, basis in enumerate(bases) if _fits(needed, basis)), len(bases))
    if setting == len(bases):
        bases.append(dict.fromkeys("XYZ", 0))
    for letter, wires in needed.items():
        bases[setting][letter] |= wires
    return setting


def _fits(needed: dict[str, int], basis: dict[str, int]) -> bool:
    """Whether no wire, which are bits here, is needed in one letter and measured in another."""
    x, y, z = basis["X"], basis["Y"], basis["Z"]
    return not (needed["X"] & (y | z) or needed["Y"] & (x | z) or needed["Z"] & (x | y))


def _basis(basis: dict[str, int]) -> tuple[tuple[int, str], ...]:
    """The letter of each wire that is measured, from the wires of each letter as bits."""
    by_letter = [(letter, wires) for letter, wires in basis.items() if wires]
    return tuple(
        sorted((w, letter) for letter, wires in by_letter for w in range(wires.bit_length()) if wires >> w & 1)
    )


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """What each term adds to the value of its output, as arrays over the terms with letters.

    Args:
        terms: numbers of the terms.
        rows: setting times number of outputs plus output.
        columns: among the masks, the one of the wires whose outcomes are multiplied.
        masks: as bits of a basis state.
    """

    terms: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    masks: tuple[int, ...]


@lru_cache
def _outcomes(terms: Terms, n_wires: int) -> _Outcomes:
    strings = [string for own in terms for string in own]
    outputs = np.array([output for output, own in enumerate(terms) for _ in own], np.int32)
    pairs = [(place, number) for place, setting in enumerate(_settings(terms)) for number in setting.terms]
    places, numbers = np.array(pairs, np.int32).reshape(-1, 2).T
    supports = [mask_of(strings[number].wires, n_wires) for number in numbers]
    masks, columns = np.unique(np.array(supports, np.int64), return_inverse=True)
    return _Outcomes(
        terms=numbers,
        rows=places * np.int32(len(terms)) + outputs[numbers],
        columns=columns.astype(np.int32),
        masks=tuple(masks.tolist()),
    )


def outcome_values(observable: Observable, n_wires: int) -> Float[Array, "settings outputs outcomes"]:
    """What each outcome of each setting adds to each value; the terms without letters are `constants`."""
    table, coefficients = _outcomes(observable.terms, n_wires), observable.term_coefficients()
    n_settings, n_outputs = len(_settings(observable.terms)), observable.n_outputs
    shares = jnp.zeros((n_settings * n_outputs, len(table.masks)), coefficients.dtype)
    shares = shares.at[table.rows, table.columns].add(coefficients[table.terms])
    signs = sign_matrix(table.masks, n_wires).reshape(-1, 2**n_wires)
    return (shares @ jnp.asarray(signs, coefficients.dtype)).reshape(n_settings, n_outputs, -1)


def constants(observable: Observable) -> Float[Array, " outputs"]:
    """The terms that need no measurement: the coefficients of the identity."""
    numbers, outputs = _identities(observable.terms)
    coefficients = observable.term_coefficients()
    return jnp.zeros(observable.n_outputs, coefficients.dtype).at[outputs].add(coefficients[numbers])


@lru_cache
def _identities(terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the terms without letters, and their outputs."""
    strings = [(output, string) for output, own in enumerate(terms) for string in own]
    found = [(number, output) for number, (output, string) in enumerate(strings) if not string.wires]
    numbers, outputs = np.array(found, np.int32).reshape(-1, 2).T
    return numbers, outputs


def basis_letters(setting: MeasurementSetting, n_wires: int) -> str:
    """The letter in which each wire is measured; Z where the setting does not say."""
    basis = dict(setting.basis)
    return "".join(basis.get(wire, "Z") for wire in range(n_wires))


def sample_frequencies(
    probabilities: Float[Array, "settings outcomes"], shots: int, *, key: Array
) -> Float[Array, "settings outcomes"]:
    """The relative frequencies of the outcomes in S shots of every setting: joint samples of all wires.

    Args:
        probabilities: need not sum to 1 exactly; those of a vector that is no state, all zero, give zero.
        shots: S, for each setting.
        key: random key, consumed.
    """
    total = jnp.sum(probabilities, axis=-1, keepdims=True)
    positive = jnp.maximum(probabilities, 0) / jnp.where(total > 0, total, 1)
    counts = jax.random.multinomial(key, jnp.asarray(shots, probabilities.dtype), positive)
    return jnp.where(total > 0, counts / shots, 0)


def values_of(
    outcomes: Float[Array, "settings outputs outcomes"], shares: Float[Array, "settings outcomes"]
) -> Float[Array, " outputs"]:
    """The values, less the constants, of probabilities or of frequencies."""
    return jnp.einsum("sgb,sb->g", outcomes, shares)


def estimates(observable: Observable, shares: Float[Array, "settings outcomes"]) -> Float[Array, " outputs"]:
    """The values of probabilities or of frequencies; those of a vector that is no state, all zero, are zero."""
    n = shares.shape[1].bit_length() - 1
    measured = values_of(outcome_values(observable, n).astype(shares.dtype), shares)
    return constants(observable) * jnp.sum(shares[0]) + measured


def covariance(
    outcomes: Float[Array, "settings outputs outcomes"], probabilities: Float[Array, "settings outcomes"]
) -> Float[Array, "outputs outputs"]:
    """The covariance of the values from one shot of every setting; S shots have an S-th of it."""
    means = jnp.einsum("sgb,sb->sg", outcomes, probabilities)
    squares = jnp.einsum("sgb,shb,sb->gh", outcomes, outcomes, probabilities)
    return squares - jnp.einsum("sg,sh->gh", means, means)


def reparametrised_noise(
    outcomes: Float[Array, "settings outputs outcomes"],
    probabilities: Float[Array, "settings outcomes"],
    shots: int,
    *,
    key: Array,
) -> Float[Array, " outputs"]:
    """Gaussian noise with the covariance of S shots, as a differentiable function of the probabilities.

    A standard normal vector is multiplied by the Cholesky factor of the exact covariance, as in Kingma and Welling
    (arXiv 1312.6114). Derivatives hold that vector fixed, so they also say how the circuit changes its own noise.

    Args:
        outcomes: see `outcome_values`.
        probabilities: of every setting.
        shots: S.
        key: random key, consumed.
    """
    exact = covariance(outcomes, probabilities)
    scale = jnp.mean(jax.lax.stop_gradient(jnp.diagonal(exact))) + 1.0
    factor = jnp.linalg.cholesky(exact + VARIANCE_FLOOR * scale * jnp.eye(len(exact), dtype=exact.dtype))
    noise: Array = factor @ jax.random.normal(key, (len(exact),), exact.dtype) / math.sqrt(shots)
    return noise
