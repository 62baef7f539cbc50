"""How well a ranking of candidates agrees with that of full training: Kendall's tau, and the regret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from qdistill.errors import ArgumentError

RESAMPLES = 1000
"""Of the bootstrap that gives the intervals."""


@dataclass(frozen=True)
class Agreement:
    """How a ranking agrees with a reference.

    Args:
        tau: Kendall's tau-b of the candidates' means; None where all are the same.
        tau_interval: 95 %, over candidates.
        regret: the accuracy of the best candidate by the reference, less that of the one that the ranking takes.
        regret_interval: 95 %, over draws.
        winner: the place of the one that it takes.
        winners_place: where that is in the reference, from 1.
    """

    tau: float | None
    tau_interval: tuple[float, float] | None
    regret: float
    regret_interval: tuple[float, float]
    winner: int
    winners_place: int


def agreement(scores: Sequence[Sequence[float]], reference: Sequence[Sequence[float]], *, seed: int = 0) -> Agreement:
    """Compare two rankings of the same candidates.

    The intervals are percentiles of a bootstrap. For tau the candidates are drawn again, each with its draws, whose
    luck is then in it too. For the regret the candidates stay, for the question is of these, and the draws of each are
    drawn again, which makes both rankings noisier than they were and the interval higher. Candidates whose scores are
    equal share the first place: the regret is the mean over them, and the first of them is the winner.

    Args:
        scores: of each candidate its draws; the higher the better.
        reference: the same by full training, accuracies.
        seed: decides the bootstrap.

    Raises:
        ArgumentError: fewer than two candidates, no draws, or another number of candidates in the reference.
    """
    first, second = _table("scores", scores), _table("reference", reference)
    if len(first) != len(second) or len(first) < 2:
        raise ArgumentError(
            f"Argument `scores` must be of the {len(second)} candidates of `reference`, two at least, but was of "
            f"{len(first)}."
        )
    means, truth = first.mean(axis=1), second.mean(axis=1)
    generator = np.random.default_rng(seed)
    taus, regrets = [], []
    for _ in range(RESAMPLES):
        picked = generator.integers(len(means), size=len(means))
        taus.append(kendall_tau(means[picked], truth[picked]))
        regrets.append(_regret(_again(first, generator), _again(second, generator)))
    tau, finite = kendall_tau(means, truth), np.array([tau for tau in taus if tau is not None])
    winner = int(np.argmax(means))
    return Agreement(
        tau,
        None if tau is None else _middle(finite),
        _regret(means, truth),
        _middle(np.array(regrets)),
        winner,
        1 + int(np.sum(truth > truth[winner])),
    )


def kendall_tau(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float | None:
    """Kendall's tau-b: pairs in the same order less pairs in the other, over those that are not tied.

    Returns:
        None where all of one are the same.

    Reference:
        Kendall, Biometrika 33, 239 (1945).
    """
    signs = [np.sign(values[:, None] - values[None, :]) for values in (first, second)]
    norm = np.prod([np.sqrt(np.sum(sign * sign)) for sign in signs])
    return float(np.sum(signs[0] * signs[1]) / norm) if norm else None


def halves(reference: Sequence[Sequence[float]]) -> tuple[list[Sequence[float]], list[Sequence[float]]]:
    """Every second draw of each candidate, and the others: how well full training agrees with itself."""
    return [own[::2] for own in reference], [own[1::2] for own in reference]


def _table(name: str, values: Sequence[Sequence[float]]) -> Float[np.ndarray, "candidates draws"]:
    table = np.array(values, float)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ArgumentError(f"Argument `{name}` must be as many finite numbers for each candidate, one at least.")
    return table


def _again(table: Float[np.ndarray, "candidates draws"], generator: np.random.Generator) -> Float[np.ndarray, " n"]:
    picked = generator.integers(table.shape[1], size=table.shape)
    means: np.ndarray = np.take_along_axis(table, picked, axis=1).mean(axis=1)
    return means


def _regret(scores: Float[np.ndarray, " n"], reference: Float[np.ndarray, " n"]) -> float:
    return float(reference.max() - reference[scores == scores.max()].mean())


def _middle(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
