"""Whitening: the filter against the whole matrix and against analysis, its use against loops, and its inverse."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qdistill.data.transforms import Standardise, Whiten, fit_chain
from qdistill.data.whitening import REGULARISATION, SIDE, apply_filter, fit_filter, undo_filter
from qdistill.errors import ArgumentError


def photographs(n: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Smooth coloured noise, whose neighbouring pixels and channels go together; each channel about 0 and 1."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, *shape))
    for axis in (1, 2):
        for _ in range(3):
            images = images + np.roll(images, 1, axis) + np.roll(images, -1, axis)
    images = images @ (np.eye(shape[2]) + 0.8)
    images = images - images.mean((0, 1, 2))
    result: np.ndarray = (images / images.std((0, 1, 2))).astype(np.float32)
    return result


def correlation(one: Any, other: Any) -> float:
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


def neighbours(images: np.ndarray) -> tuple[float, float]:
    """How far pixels go with the next in the row, and the first channel with the second."""
    images = np.asarray(images)
    return correlation(images[:, :, 1:], images[:, :, :-1]), correlation(images[..., 0], images[..., 1])


def test_it_is_the_middle_of_the_whole_matrix() -> None:
    images = photographs(400, (SIDE, SIDE, 2))
    ways = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    vectors = np.concatenate(ways).reshape(1600, -1).astype(float)
    covariance = vectors.T @ vectors / 1600
    regularised = covariance + REGULARISATION * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    matrix = scipy.linalg.inv(scipy.linalg.sqrtm(regularised))
    middle = SIDE**2 // 2 * 2
    columns = matrix[:, middle : middle + 2]
    columns = columns / np.sqrt(((vectors @ columns) ** 2).mean(0))
    kernel = fit_filter([images[:100], images[100:]])
    np.testing.assert_allclose(kernel.reshape(-1, 2), columns, atol=1e-4)


def test_independent_pixels_need_no_neighbours() -> None:
    rng = np.random.default_rng(3)
    mixing = np.array([[1.0, 0.6], [0.0, 0.8]])
    images = (rng.normal(size=(4000, 15, 15, 2)) @ mixing).astype(np.float32)
    images = images / images.std((0, 1, 2))
    kernel = fit_filter(np.array_split(images, 10))
    covariance = np.corrcoef(images.reshape(-1, 2).T)
    expected = scipy.linalg.inv(scipy.linalg.sqrtm(covariance + REGULARISATION * np.eye(2)))
    expected = expected / np.sqrt(np.diag(expected.T @ covariance @ expected))
    np.testing.assert_allclose(kernel[SIDE // 2, SIDE // 2], expected, atol=0.02)
    kernel[SIDE // 2, SIDE // 2] = 0
    assert np.abs(kernel).max() < 0.03


def test_photographs_lose_what_their_pixels_have_in_common(real_cifar10: Any) -> None:
    images = real_cifar10.train_inputs[:5000]
    plain = fit_chain((Standardise(),), images, real_cifar10.scale)
    white = fit_chain((Standardise(), Whiten()), images, real_cifar10.scale)
    others = real_cifar10.test_inputs[:1000]
    before, after = neighbours(np.asarray(plain(others))), neighbours(np.asarray(white(others)))
    assert min(before) > 0.9
    # The whole matrix, with as much regularisation, leaves 0.40 and 0.65.
    assert after[0] < 0.45
    assert after[1] < 0.7
    np.testing.assert_allclose(np.asarray(white(images)).std((0, 1, 2)), 1.0, atol=0.1)
    again = np.asarray(white.inverse(white(others[:20])))
    np.testing.assert_allclose(again, others[:20] / 255, atol=2e-4)


def test_it_is_a_filter_with_mirrors_beyond_the_border() -> None:
    rng = np.random.default_rng(1)
    kernel = jnp.asarray(rng.normal(size=(5, 5, 2, 2)), jnp.float32)
    image = rng.normal(size=(6, 4, 2)).astype(np.float32)
    expected = np.zeros((6, 4, 2))
    for i in range(6):
        for j in range(4):
            for u in range(5):
                for v in range(5):
                    row, column = abs(i + u - 2), abs(j + v - 2)
                    row, column = row - 2 * max(0, row - 5), column - 2 * max(0, column - 3)
                    expected[i, j] += image[row, column].astype(float) @ np.asarray(kernel)[u, v]
    np.testing.assert_allclose(apply_filter(kernel, jnp.asarray(image)), expected, atol=1e-5)
    batch = jnp.stack([image, 2 * image, -image, 0 * image])
    for actual in (
        apply_filter(kernel, batch),
        jax.jit(apply_filter)(kernel, batch),
        jax.vmap(lambda one: apply_filter(kernel, one))(batch),
        apply_filter(kernel, batch.reshape(2, 2, 6, 4, 2)).reshape(batch.shape),
    ):
        np.testing.assert_allclose(actual, np.stack([expected, 2 * expected, -expected, 0 * expected]), atol=2e-5)


def test_inputs_may_be_mirrored_before_or_after() -> None:
    images = photographs(200, (12, 11, 2))
    kernel = jnp.asarray(fit_filter([images + 0.3 * np.roll(images, 1, axis=2)]))
    straight = apply_filter(kernel, jnp.asarray(images[:5]))
    for way in (np.s_[:, :, ::-1], np.s_[:, ::-1]):
        np.testing.assert_allclose(apply_filter(kernel, jnp.asarray(images[:5][way])), straight[way], atol=1e-4)


@pytest.mark.parametrize("shape", [(7, 7, 1), (12, 9, 3), (9, 28, 2)])
def test_it_is_undone(shape: tuple[int, int, int]) -> None:
    images = photographs(300, shape)
    kernel = jnp.asarray(fit_filter([images]))
    white = apply_filter(kernel, jnp.asarray(images))
    assert correlation(white[:, :, 1:], white[:, :, :-1]) < correlation(images[:, :, 1:], images[:, :, :-1]) - 0.2
    np.testing.assert_allclose(undo_filter(kernel, white[:10]), images[:10], atol=5e-4)


def test_a_constant_channel_stays_constant() -> None:
    images = (40 * photographs(50, (9, 9, 3)) + 128).clip(0, 255).astype(np.uint8)
    images[..., 1] = 7
    transform = fit_chain((Standardise(), Whiten()), images, 255.0)
    white = np.asarray(transform(images))
    np.testing.assert_allclose(white[..., 1], 0, atol=1e-4)
    assert white[..., 0].std() > 0.8
    np.testing.assert_allclose(transform.inverse(white), images / 255, atol=1e-3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 6, 9, 1), np.float32), "at least 7 rows and columns to be whitened, but is 6x9"),
        (np.zeros((3, 9, 9, 1), np.float32), "must not be constant to be whitened"),
    ],
)
def test_inputs_that_cannot_be_whitened(images: np.ndarray, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        fit_filter([images])
