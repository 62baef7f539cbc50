"""Where synthetic examples start: the picks are held against their definitions, by brute force."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest

from qdistill.data import Splits, source, split
from qdistill.distill.start import STARTS, Start, initial_inputs
from qdistill.errors import ArgumentError

CLASSES = np.tile(np.arange(10), 3)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(source("digits").load(), n_validation=200)


def start(kind: Start, splits: Splits, seed: int = 0, classes: np.ndarray = CLASSES) -> np.ndarray:
    return np.asarray(initial_inputs(kind, splits, classes, key=jax.random.key(seed)), np.float64)


def of_class(splits: Splits, label: int) -> np.ndarray:
    """The normalised training inputs of a class, flat."""
    inputs = splits.transform(splits.train.inputs[splits.train.labels == label])
    return np.asarray(inputs, np.float64).reshape(len(inputs), -1)


@pytest.mark.parametrize("kind", STARTS)
def test_every_way_gives_images_of_the_right_shape_and_repeats(splits: Splits, kind: Start) -> None:
    inputs = start(kind, splits)
    assert inputs.shape == (30, 28, 28, 1)
    assert np.isfinite(inputs).all()
    assert np.array_equal(inputs, start(kind, splits))


@pytest.mark.parametrize("kind", ["real", "herding", "k_centre"])
def test_picked_inputs_are_different_training_images_of_their_class(splits: Splits, kind: Start) -> None:
    inputs = start(kind, splits).reshape(30, -1)
    for label in range(10):
        own = of_class(splits, label)
        places = [int(np.argmin(((own - x) ** 2).sum(axis=1))) for x in inputs[label == CLASSES]]
        np.testing.assert_allclose(own[places], inputs[label == CLASSES], atol=1e-6)
        assert len(set(places)) == 3


def test_herding_follows_the_class_mean(splits: Splits) -> None:
    picked = start("herding", splits).reshape(30, -1)[CLASSES == 4]
    own = of_class(splits, 4)
    mean = own.mean(axis=0)
    for size in range(1, 4):
        before = picked[: size - 1].sum(axis=0)
        distances = [np.linalg.norm(mean - (before + x) / size) for x in own]
        mine = np.linalg.norm(mean - picked[:size].mean(axis=0))
        taken = {int(np.argmin(((own - x) ** 2).sum(axis=1))) for x in picked[: size - 1]}
        assert mine == pytest.approx(min(d for place, d in enumerate(distances) if place not in taken), rel=1e-5)


def test_k_centre_takes_the_farthest_each_time(splits: Splits) -> None:
    picked = start("k_centre", splits).reshape(30, -1)[CLASSES == 7]
    own = of_class(splits, 7)
    assert np.linalg.norm(picked[0] - own.mean(0)) == pytest.approx(np.linalg.norm(own - own.mean(0), axis=1).min())
    for size in (1, 2):
        nearest = np.min([np.linalg.norm(own - centre, axis=1) for centre in picked[:size]], axis=0)
        own_distance = min(np.linalg.norm(picked[size] - centre) for centre in picked[:size])
        assert own_distance == pytest.approx(nearest.max(), rel=1e-5)


def test_class_means_average_to_the_class_mean(splits: Splits) -> None:
    one = start("class_means", splits, classes=np.arange(10)).reshape(10, -1)
    for label in range(10):
        np.testing.assert_allclose(one[label], of_class(splits, label).mean(axis=0), atol=1e-5)
    parts = start("class_means", splits).reshape(30, -1)
    assert all(not np.allclose(a, b) for a, b in itertools.combinations(parts[CLASSES == 0], 2))


def test_more_images_than_there_are_is_an_error(splits: Splits) -> None:
    with pytest.raises(ArgumentError, match="`per_class` or `examples` must ask for at most the"):
        start("herding", splits, classes=np.zeros(1000, int))
