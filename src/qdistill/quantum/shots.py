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

from qdistill.quantum.observable import PAULIS, Observable, PauliZ, pauli_strings
from qdistill.quantum.simulate import signs

VARIANCE_FLOOR = 1e-6
"""Added to the variance of one shot, so that its square root has a derivative where the outcome is certain."""


@dataclass(frozen=True)
class MeasurementSetting:
    """One way to measure all wires.

    Args:
        basis: the letter of each wire that is measured, by wire.
        terms: what is estimated from it: a group of the observable, and a Pauli string on the group's wires.
    """

    basis: tuple[tuple[int, str], ...]
    terms: tuple[tuple[int, str], ...]


def measurement_settings(observable: Observable) -> tuple[MeasurementSetting, ...]:
    """The settings that estimate every Pauli term of an observable.

    Terms are taken by falling number of letters, then in the order of `pauli_strings`, then of the groups, and each
    goes to the first setting that measures its wires in its letters or not yet at all: greedy grouping of terms that
    commute qubit by qubit. One-wire Hermitians give X, Y and Z on all wires, Pauli-Z gives Z alone, pairs of wires
    the nine two-letter settings.

    Args:
        observable: any; a coefficient that happens to be zero has its term all the same, since it may be trained.

    Reference:
        Verteletskyi, Yen and Izmaylov, arXiv 1907.03358.
    """
    return _settings(observable.wires, isinstance(observable, PauliZ))


@lru_cache
def _settings(groups: tuple[tuple[int, ...], ...], only_z: bool) -> tuple[MeasurementSetting, ...]:
    strings = ["Z"] if only_z else pauli_strings(len(groups[0]))[1:]
    settings: list[tuple[dict[int, str], list[tuple[int, str]]]] = []

    def fits(needed: dict[int, str], basis: dict[int, str]) -> bool:
        return all(basis.get(wire, letter) == letter for wire, letter in needed.items())

    for string in sorted(strings, key=lambda string: string.count("I")):
        for number, wires in enumerate(groups):
            needed = {wire: letter for wire, letter in zip(wires, string, strict=True) if letter != "I"}
            setting = next((setting for setting in settings if fits(needed, setting[0])), None)
            if setting is None:
                setting = ({}, [])
                settings.append(setting)
            setting[0].update(needed)
            setting[1].append((number, string))
    return tuple(MeasurementSetting(tuple(sorted(basis.items())), tuple(terms)) for basis, terms in settings)


@lru_cache
def _outcomes(groups: tuple[tuple[int, ...], ...], only_z: bool, n_wires: int) -> np.ndarray:
    """(settings, groups, 4^k, 2^n): the eigenvalue of each term in each outcome of its setting, zero elsewhere."""
    settings, wire_signs = _settings(groups, only_z), signs(n_wires)
    paulis = pauli_strings(len(groups[0]))
    values = np.zeros((len(settings), len(groups), len(paulis), 2**n_wires))
    for place, setting in enumerate(settings):
        for number, string in setting.terms:
            wires = [wire for wire, letter in zip(groups[number], string, strict=True) if letter != "I"]
            values[place, number, paulis.index(string)] = wire_signs[wires].prod(axis=0)
    return values


def outcome_values(observable: Observable, n_wires: int) -> Float[Array, "settings outputs outcomes"]:
    """What each outcome of each setting adds to each value; the terms without letters are `constants`."""
    table = _outcomes(observable.wires, isinstance(observable, PauliZ), n_wires)
    coefficients = observable.pauli_coefficients()
    return jnp.einsum("gp,sgpb->sgb", coefficients, jnp.asarray(table, coefficients.dtype))


def constants(observable: Observable) -> Float[Array, " outputs"]:
    """The terms that need no measurement: the coefficients of the identity."""
    return observable.pauli_coefficients()[:, 0]


def basis_letters(setting: MeasurementSetting, n_wires: int) -> str:
    """The letter in which each wire is measured; Z where the setting does not say."""
    basis = dict(setting.basis)
    return "".join(basis.get(wire, PAULIS[3]) for wire in range(n_wires))


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
