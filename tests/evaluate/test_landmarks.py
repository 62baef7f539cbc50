"""Support points that are chosen by known rules, and the labels that are best for them."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from sklearn.datasets import make_moons

from qdistill.data import Labelled
from qdistill.errors import ArgumentError
from qdistill.evaluate.answers import fraction_right
from qdistill.evaluate.landmarks import REGULARISATIONS, _states, chosen_points, fitted_labels
from qdistill.models import KernelArchitecture, KernelClassifier
from qdistill.quantum import FidelityKernel


def part(n: int, seed: int) -> Labelled:
    inputs, labels = make_moons(n, noise=0.1, random_state=seed)
    return Labelled(inputs.astype(np.float32), labels.astype(np.int32))


@pytest.fixture(scope="module")
def model() -> KernelClassifier:
    return KernelArchitecture("iqp").build((2,), 2, key=jax.random.key(0))


def some_kernel(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K_nm, K_mm and targets."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    matrix = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=-1))
    return matrix[:, :m], matrix[:m, :m], rng.normal(size=(n, 2))


def test_fitted_labels_solve_nystroems_equations() -> None:
    across, gram, targets = some_kernel(12, 4)
    labels = fitted_labels(across, gram, targets, 0.3, 0.01)
    coefficients = np.linalg.solve(gram + 0.01 * np.eye(4), labels)
    np.testing.assert_allclose((across.T @ across + 0.3 * gram) @ coefficients, across.T @ targets, atol=1e-8)


def test_with_all_points_fitted_labels_are_those_of_kernel_ridge_regression() -> None:
    matrix, _, targets = some_kernel(6, 6)
    np.testing.assert_allclose(fitted_labels(matrix, matrix, targets, 0.3, 0.3), targets, atol=1e-6)


def test_rows_are_of_every_choice_and_better_than_chance(model: KernelClassifier) -> None:
    train, validation, test = part(60, 0), part(40, 1), part(40, 2)
    rows = chosen_points(model, train, validation, test, 4, seed=0)
    assert [(row.points, row.labels) for row in rows] == [
        ("random points", "own"),
        ("random points", "fitted"),
        ("k-means centres", "own"),
        ("k-means centres", "fitted"),
        ("Nyström landmarks", "fitted"),
    ]
    assert [row.circuits for row in rows] == [6, 246, 6, 246, 246]
    for row in rows:
        assert (row.regularisation is None) == (row.labels == "own")
        assert row.test_accuracy * 40 == pytest.approx(round(row.test_accuracy * 40))
        assert row.test_accuracy > 0.6
    assert rows == chosen_points(model, train, validation, test, 4, seed=0)
    assert rows != chosen_points(model, train, validation, test, 4, seed=1)


def test_numbers_that_cannot_be_chosen_are_refused(model: KernelClassifier) -> None:
    few = Labelled(np.zeros((3, 2), np.float32), np.array([0, 0, 1], np.int32))
    with pytest.raises(ArgumentError, match="`m` must be a multiple of the 2 classes, but was 3"):
        chosen_points(model, few, few, few, 3, seed=0)
    with pytest.raises(ArgumentError, match="at most the 1 training points of class 1"):
        chosen_points(model, few, few, few, 4, seed=0)


def test_the_test_part_is_read_once_for_each_row(model: KernelClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation, test = part(60, 0), part(40, 1), part(40, 2)
    read: list[str] = []

    def counted(answers: np.ndarray, labels: np.ndarray) -> float:
        read.append("test" if labels is test.labels else "validation")
        return fraction_right(answers, labels)

    monkeypatch.setattr("qdistill.evaluate.landmarks.fraction_right", counted)
    rows = chosen_points(model, train, validation, test, 4, seed=0)
    assert read.count("test") == len(rows)
    assert read.count("validation") >= 3 * len(REGULARISATIONS)


def test_states_are_kept_from_pick_to_pick_as_far_as_they_fit(
    model: KernelClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = part(60, 0), part(40, 1), part(40, 2)
    asked: list[int] = []

    def counted(kernel: FidelityKernel, points: np.ndarray) -> jax.Array:
        asked.append(len(points))
        return _states(kernel, points)

    monkeypatch.setattr("qdistill.evaluate.landmarks._states", counted)
    kept = chosen_points(model, *parts, 4, seed=0)
    assert asked == [60]
    monkeypatch.setattr("qdistill.evaluate.landmarks.MOST_KEPT", 0)
    assert chosen_points(model, *parts, 4, seed=0) == kept
    assert asked == [60]
