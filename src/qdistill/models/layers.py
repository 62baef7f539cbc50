"""The classical layers of the networks, written for one image and arranged for what XLA does fast.

A 5x5 convolution followed by 2x2 pooling is one matrix product here. Every pooling window needs the 6x6 patch
below its four positions, so the patches at stride two are multiplied by a kernel that holds the 5x5 one four
times, shifted, and the maximum is taken over those four. XLA's own convolution and `reduce_window` on a CPU
reach about 5 GFLOP/s; C1's gradient takes about a quarter of that time here, and its second derivative is again
matrix products.
`docs/decisions/0004-convolution.md` has the measurements.
"""

from __future__ import annotations

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.machine import check_memory
from qdistill.numbers import Numbers, real

Initialiser = Literal["xavier_normal", "kaiming_uniform"]


def initial_weights(
    initialiser: Initialiser, shape: tuple[int, ...], *, in_axis: int, out_axis: int, key: Array
) -> Array:
    """Draw the weights of a layer.

    Args:
        initialiser: ``"xavier_normal"`` is N(0, 2 / (fan_in + fan_out)) (Glorot and Bengio, AISTATS 2010);
            ``"kaiming_uniform"`` is U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default.
        shape: of the weights; axes other than the two named are the receptive field.
        in_axis: axis of the inputs.
        out_axis: axis of the outputs.
        key: random key, consumed.

    Raises:
        ArgumentError: unknown initialiser.
    """
    scalings: dict[str, tuple[float, Literal["fan_in", "fan_avg"], Literal["normal", "uniform"]]] = {
        "xavier_normal": (1.0, "fan_avg", "normal"),
        "kaiming_uniform": (1.0 / 3.0, "fan_in", "uniform"),
    }
    if initialiser not in scalings:
        raise ArgumentError.unknown("initialiser", initialiser, scalings)
    scale, mode, distribution = scalings[initialiser]
    check_memory(4 * math.prod(shape), f"A layer of weights of shape {shape}", "Use a smaller network.")
    draw = jax.nn.initializers.variance_scaling(scale, mode, distribution, in_axis=in_axis, out_axis=out_axis)
    return draw(key, shape, jnp.float32)


class Dense(eqx.Module):
    """An affine map, ``weight @ x + bias``; biases start at zero.

    Args:
        n_in: number of inputs.
        n_out: number of outputs.
        initialiser: see `initial_weights`.
        key: random key, consumed.
    """

    weight: Float[Array, "n_out n_in"]
    bias: Float[Array, " n_out"]

    def __init__(self, n_in: int, n_out: int, initialiser: Initialiser, *, key: Array) -> None:
        """Draw the weights."""
        self.weight = initial_weights(initialiser, (n_out, n_in), in_axis=1, out_axis=0, key=key)
        self.bias = jnp.zeros(n_out, jnp.float32)

    def __call__(self, x: Numbers) -> Float[Array, " n_out"]:
        """Apply to one vector of real numbers."""
        return self.weight @ real("x", x) + self.bias


class ConvPool(eqx.Module):
    """Convolution without padding, 2x2 maximum pooling and ReLU: ``relu(pool(conv(x)) + bias)``.

    The order (bias and ReLU after the pooling) gives the same values as the usual one, for both are monotone,
    at a quarter of the work. Biases start at zero.

    Args:
        n_in: channels in.
        n_out: channels out.
        size: side of the kernel, odd.
        initialiser: see `initial_weights`.
        key: random key, consumed.
    """

    kernel: Float[Array, "size size n_in n_out"]
    bias: Float[Array, " n_out"]

    def __init__(
        self, n_in: int, n_out: int, size: int = 5, initialiser: Initialiser = "xavier_normal", *, key: Array
    ) -> None:
        """Draw the kernel."""
        if size % 2 == 0:
            raise ArgumentError(f"Argument `size` must be odd, but was {size}.")
        self.kernel = initial_weights(initialiser, (size, size, n_in, n_out), in_axis=2, out_axis=3, key=key)
        self.bias = jnp.zeros(n_out, jnp.float32)

    def __call__(self, image: Numbers) -> Float[Array, "out_height out_width n_out"]:
        """Apply to one image.

        Args:
            image: real, (height, width, channels), height and width even.

        Returns:
            ((height - size + 1) / 2, (width - size + 1) / 2, channels out).

        Raises:
            ArgumentError: no real numbers, odd height or width, or an image smaller than the kernel.
        """
        size, _, n_in, n_out = self.kernel.shape
        image = real("image", image)
        height, width, _ = image.shape
        reach = (size + 1) // 2
        out_height, out_width = height // 2 - reach + 1, width // 2 - reach + 1
        if height % 2 or width % 2 or out_height < 1 or out_width < 1:
            raise ArgumentError(
                f"Argument `image` must have an even height and width of at least {size + 1}, but was {height}x{width}."
            )
        # 2x2 pixels become one cell, so that every pooling window's patch is a block of reach x reach cells.
        cells = image.reshape(height // 2, 2, width // 2, 2, n_in).transpose(0, 2, 1, 3, 4)
        cells = cells.reshape(height // 2, width // 2, 4 * n_in)
        patches = jnp.concatenate(
            [cells[i : i + out_height, j : j + out_width] for i in range(reach) for j in range(reach)],
            axis=-1,
        )
        responses = patches @ self._pooling_kernel()
        peaks = jnp.max(responses.reshape(out_height, out_width, 4, n_out), axis=2)
        return jax.nn.relu(peaks + self.bias)

    def _pooling_kernel(self) -> Float[Array, "patch responses"]:
        """The kernel at the four positions of a pooling window, rows in the order of the patches."""
        size, _, n_in, n_out = self.kernel.shape
        reach = (size + 1) // 2
        shifted = [jnp.pad(self.kernel, ((dy, 1 - dy), (dx, 1 - dx), (0, 0), (0, 0))) for dy in (0, 1) for dx in (0, 1)]
        blocks = jnp.stack(shifted, axis=3).reshape(reach, 2, reach, 2, n_in, 4, n_out)
        return blocks.transpose(0, 2, 1, 3, 4, 5, 6).reshape(reach * reach * 4 * n_in, 4 * n_out)
