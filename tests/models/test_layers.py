"""Layers against XLA's convolution and pooling, and the distributions that weights are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from qdistill.errors import ArgumentError
from qdistill.models import ConvPool, Dense
from qdistill.models.layers import initial_weights

from ..quantum.reference import quick_jit

CASES = [(5, 3, 2, 8, 12), (1, 3, 4, 6, 2), (7, 1, 2, 8, 14)]
"""Kernel side, channels in, channels out, height, width."""


def usual(layer: ConvPool, image: jax.Array) -> jax.Array:
    """Convolution, bias, ReLU and pooling in the usual order and by XLA's own operations."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    response = lax.conv_general_dilated(image[None], layer.kernel, (1, 1), "VALID", dimension_numbers=dimensions)
    active = jax.nn.relu(response + layer.bias)
    return lax.reduce_window(active, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")[0]


def in_double(layer: ConvPool, key: jax.Array) -> ConvPool:
    """The layer in float64, with biases that are not zero."""
    bias = jax.random.normal(key, layer.bias.shape)
    return eqx.tree_at(lambda c: (c.kernel, c.bias), layer, (layer.kernel.astype(float), bias))


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(("size", "n_in", "n_out", "height", "width"), CASES)
def test_conv_pool_and_its_derivatives_are_xlas(size: int, n_in: int, n_out: int, height: int, width: int) -> None:
    keys = jax.random.split(jax.random.key(size), 6)
    layer = in_double(ConvPool(n_in, n_out, size, key=keys[0]), keys[1])
    image = jax.random.normal(keys[2], (height, width, n_in))
    tangents = in_double(ConvPool(n_in, n_out, size, key=keys[3]), keys[4]), jax.random.normal(keys[5], image.shape)

    def derivatives(apply: Callable[[ConvPool, jax.Array], jax.Array], arguments: Any, tangents: Any) -> Any:
        def scalar(arguments: Any) -> tuple[jax.Array, jax.Array]:
            values = apply(*arguments)
            return jnp.sum(jnp.sin(values + jnp.arange(values.size).reshape(values.shape))), values

        def along(arguments: Any) -> jax.Array:
            slopes = jax.tree.leaves(jax.grad(scalar, has_aux=True)(arguments)[0])
            return sum(jnp.vdot(a, b) for a, b in zip(slopes, jax.tree.leaves(tangents), strict=True))

        slopes, values = jax.grad(scalar, has_aux=True)(arguments)
        # Reverse over reverse: XLA's pooling has no forward derivative of its reverse one.
        return values, slopes, jax.grad(along)(arguments)

    ours = quick_jit(partial(derivatives, lambda layer, image: layer(image)))((layer, image), tangents)
    expected = quick_jit(partial(derivatives, usual))((layer, image), tangents)
    assert ours[0].shape == ((height - size + 1) // 2, (width - size + 1) // 2, n_out)
    for actual, wanted in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-10)
        assert np.any(wanted)


def test_conv_pool_is_accurate_in_single_precision() -> None:
    keys = jax.random.split(jax.random.key(0), 2)
    layer, images = ConvPool(6, 16, key=keys[0]), jax.random.normal(keys[1], (5, 14, 14, 6))
    expected = quick_jit(jax.vmap(usual, in_axes=(None, 0)))(layer, images)
    np.testing.assert_allclose(quick_jit(jax.vmap(layer))(images), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 8, 1), (8, 7, 1), (4, 8, 1), (8, 4, 1)])
def test_conv_pool_says_which_images_it_takes(shape: tuple[int, int, int]) -> None:
    layer = ConvPool(1, 2, key=jax.random.key(0))
    with pytest.raises(ArgumentError, match=rf"even height and width of at least 6, but was {shape[0]}x{shape[1]}"):
        layer(jnp.zeros(shape))


def test_conv_pool_needs_an_odd_kernel() -> None:
    with pytest.raises(ArgumentError, match=r"Argument `size` must be odd, but was 4\."):
        ConvPool(1, 1, 4, key=jax.random.key(0))


def test_dense_is_affine() -> None:
    layer = Dense(3, 2, "xavier_normal", key=jax.random.key(0))
    assert layer.bias.tolist() == [0, 0]
    layer = eqx.tree_at(lambda d: (d.weight, d.bias), layer, (jnp.arange(6.0).reshape(2, 3), jnp.array([10.0, 20.0])))
    assert layer(jnp.array([1.0, 0.0, -1.0])).tolist() == [8.0, 18.0]


@pytest.mark.parametrize(
    ("shape", "axes", "fan_in", "fan_out"),
    [((300, 500), (1, 0), 500, 300), ((5, 5, 40, 60), (2, 3), 25 * 40, 25 * 60)],
    ids=["dense", "convolution"],
)
def test_initial_weights_have_their_distribution(
    shape: tuple[int, ...], axes: tuple[int, int], fan_in: int, fan_out: int
) -> None:
    draws = {
        kind: np.asarray(initial_weights(kind, shape, in_axis=axes[0], out_axis=axes[1], key=jax.random.key(1)))
        for kind in ("xavier_normal", "kaiming_uniform")
    }
    # Of n draws, the standard error is 1 / sqrt(n) for the mean and 1 / sqrt(2 n) for the deviation of a normal.
    n = np.prod(shape)
    normal = draws["xavier_normal"] / np.sqrt(2 / (fan_in + fan_out))
    assert abs(normal.mean()) < 4 / np.sqrt(n)
    assert abs(normal.std() - 1) < 4 / np.sqrt(2 * n)
    beyond = (np.abs(normal) > 2).mean()
    assert abs(beyond - 0.0455) < 4 * np.sqrt(0.0455 / n), "a truncated normal has none beyond two deviations"

    uniform = draws["kaiming_uniform"] * np.sqrt(fan_in)
    assert -1 <= uniform.min() < -0.999 < 0.999 < uniform.max() <= 1
    assert abs(uniform.mean()) < 4 / np.sqrt(3 * n)
    quarters = np.histogram(uniform, bins=4, range=(-1, 1))[0] / n
    np.testing.assert_allclose(quarters, 0.25, atol=4 * np.sqrt(3 / 16 / n))


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_initialiser_gets_a_suggestion() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'xavier_normal'"):
        initial_weights("xavier", (2, 2), in_axis=0, out_axis=1, key=jax.random.key(0))
