"""ZCA whitening by one small filter: fitted on training images, applied to any, and undone.

ZCA whitening (Bell and Sejnowski, Vision Research 37, 3327, 1997) multiplies an image, as a vector of pixels, by
C^(-1/2), where C is their covariance. The statistics of photographs are the same everywhere, so the rows of that matrix
are one filter that is shifted about, and the filter is what is fitted here: from the covariance C of windows of d =
side^2 channels numbers,

    W = (C + REGULARISATION tr(C) / d)^(-1/2),

of which the columns of the window's middle are kept: 441 numbers for colour images, which a bundle can hold, where the
whole matrix of 32x32 ones has 9 million. Windows and their mirror images, left to right and top to bottom, count alike.
So it makes no difference whether images are mirrored before or after, and the filter can be undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.lib.stride_tricks import sliding_window_view

from qdistill.errors import ArgumentError

SIDE = 7
"""Rows and columns of the windows, and of the filter."""
REGULARISATION = 0.1
"""What is added to the covariance, in units of its mean eigenvalue: noise at small eigenvalues is not blown up."""

_CONSTANT_BELOW = 1e-4
"""Filtered channels of a smaller standard deviation are constant but for rounding, and not scaled up."""
_STRIDE = 4
"""Rows and columns between two windows of an image that are measured: those between them say little more."""


def fit_filter(
    blocks: Iterable[Float[np.ndarray, "_ height width channels"]],
) -> Float[np.ndarray, "side side channels channels"]:
    """Measure the filter after which the pixels of images have little to do with each other.

    Args:
        blocks: images in parts, each channel with a mean of about 0.

    Returns:
        (SIDE, SIDE, channels, channels out), such that each channel of the filtered images has a standard deviation of
        about 1, over the windows that were measured.

    Raises:
        ArgumentError: the images have fewer than `SIDE` rows or columns, or are all constant.
    """
    total: Any = 0.0
    n_windows, channels = 0, 0
    for block in blocks:
        if min(block.shape[1:3]) < SIDE:
            raise ArgumentError(
                f"Argument `images` must have at least {SIDE} rows and columns to be whitened, but is "
                f"{block.shape[1]}x{block.shape[2]}."
            )
        windows = sliding_window_view(block, (SIDE, SIDE), axis=(1, 2))[:, ::_STRIDE, ::_STRIDE]
        vectors = np.moveaxis(windows, 3, -1).reshape(-1, SIDE**2 * block.shape[-1])
        total = total + (vectors.T @ vectors).astype(np.float64)
        n_windows, channels = n_windows + len(vectors), block.shape[-1]
    places = np.arange(SIDE**2 * channels).reshape(SIDE, SIDE, channels)
    ways = [order.ravel() for order in (places, places[:, ::-1], places[::-1], places[::-1, ::-1])]
    covariance: Float[np.ndarray, "d d"] = sum(total[np.ix_(order, order)] for order in ways) / (4 * n_windows)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    if not eigenvalues.sum() > 0:
        raise ArgumentError("Argument `images` must not be constant to be whitened, but was.")
    regularised = eigenvalues.clip(0) + REGULARISATION * eigenvalues.mean()
    middle = (SIDE**2 // 2) * channels
    columns = ((vectors / np.sqrt(regularised)) @ vectors.T)[:, middle : middle + channels]
    deviations = np.sqrt(np.einsum("dc,de,ec->c", columns, covariance, columns))
    deviations[deviations < _CONSTANT_BELOW] = 1.0
    scaled: np.ndarray = (columns / deviations).reshape(SIDE, SIDE, channels, channels)
    return scaled.astype(np.float32)


def apply_filter(
    kernel: Float[Array, "side side channels channels"], images: Float[Array, "*batch height width channels"]
) -> Float[Array, "*batch height width channels"]:
    """Cross-correlate images with a filter, with their mirror images beyond the borders.

    The mirrors stand in the first and last row and column, which are not repeated.
    """
    margin = kernel.shape[0] // 2
    pads = [(0, 0)] * (images.ndim - 3) + [(margin, margin), (margin, margin), (0, 0)]
    padded = jnp.pad(images, pads, mode="reflect")
    result = jax.lax.conv_general_dilated(
        padded.reshape(-1, *padded.shape[-3:]),
        kernel.astype(images.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return result.reshape(images.shape)


def undo_filter(
    kernel: Float[Array, "side side channels channels"], images: Float[Array, "*batch height width channels"]
) -> Float[Array, "*batch height width channels"]:
    """The images of which `apply_filter` makes these, for a filter with the symmetries of those that are fitted.

    With its mirror images an image is periodic, and the filter leaves it symmetric. So the filter is one matrix of
    channels for each frequency, which is inverted.
    """
    height, width, _ = images.shape[-3:]
    mirrors = [(0, 0)] * (images.ndim - 3) + [(0, max(0, height - 2)), (0, max(0, width - 2)), (0, 0)]
    whole = jnp.pad(images, mirrors, mode="reflect")
    rows, columns = whole.shape[-3:-1]
    offsets = jnp.arange(len(kernel)) - len(kernel) // 2
    waves = [jnp.exp(2j * jnp.pi * jnp.outer(jnp.fft.fftfreq(count), offsets)) for count in (rows, columns)]
    transfer = jnp.einsum("iu,jv,uvco->ijoc", *waves, kernel)
    spectrum = jnp.fft.fft2(whole, axes=(-3, -2))
    undone = jnp.linalg.solve(transfer, spectrum[..., None])[..., 0]
    return jnp.fft.ifft2(undone, axes=(-3, -2)).real[..., :height, :width, :]
