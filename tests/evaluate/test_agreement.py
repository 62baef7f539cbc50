"""Kendall's tau against SciPy's, and the regret by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from qdistill.errors import ArgumentError
from qdistill.evaluate.agreement import agreement, halves, kendall_tau


def test_tau_is_that_of_scipy_with_ties() -> None:
    generator = np.random.default_rng(0)
    for size in (2, 7, 40):
        first, second = generator.integers(0, 9, (2, size)).astype(float)
        assert kendall_tau(first, second) == pytest.approx(kendalltau(first, second).statistic)
    assert kendall_tau(np.ones(4), np.arange(4.0)) is None


def test_the_regret_is_what_the_winner_lacks() -> None:
    found = agreement([[0.5], [0.9], [0.7]], [[0.6, 0.6], [0.8, 0.7], [0.9, 0.9]])
    assert (found.winner, found.winners_place) == (1, 2)
    assert found.tau == pytest.approx(1 / 3)
    assert found.regret == pytest.approx(0.15)
    assert found.regret_interval == pytest.approx((0.1, 0.2))
    # Two share the first place.
    assert agreement([[0.9], [0.9], [0.7]], [[0.6], [0.8], [0.9]]).regret == pytest.approx(0.2)


def test_the_interval_holds_the_truth_of_a_known_ranking() -> None:
    generator = np.random.default_rng(1)
    truth = np.linspace(0.5, 0.9, 40)
    noisy = [truth[:, None] + generator.normal(0, spread, (40, 5)) for spread in (0.05, 0.001)]
    found = agreement(*map(np.ndarray.tolist, noisy))
    assert found.tau_interval is not None
    assert found.tau is not None
    assert found.tau_interval[0] < found.tau < found.tau_interval[1] + 0.05
    assert found.tau_interval[1] - found.tau_interval[0] < 0.3
    low, high = found.regret_interval
    assert 0 <= low <= found.regret <= high


def test_scores_of_one_candidate_or_of_others_are_refused() -> None:
    for scores, reference in (([[1.0]], [[1.0]]), ([[1.0], [2.0]], [[1.0]])):
        with pytest.raises(ArgumentError, match="`scores` must be of the 1 candidates of `reference`, two at least"):
            agreement(scores, reference)
    with pytest.raises(ArgumentError, match="`scores` must be as many finite numbers"):
        agreement([[np.nan], [1.0]], [[1.0], [2.0]])


def test_draws_are_taken_in_turn() -> None:
    assert halves([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) == ([[1, 3], [4, 6]], [[2], [5]])
