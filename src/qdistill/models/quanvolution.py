"""A quanvolution: a small quantum layer in the place of a convolution (Henderson et al., arXiv 1904.04767)."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.numbers import Numbers, real
from qdistill.quantum import (
    AngleEmbedding,
    NoisyLayer,
    PauliZ,
    QuantumLayer,
    StronglyEntangling,
    each_wire,
    on_each,
)

PATCH = 4
"""Pixels of a patch, each on a qubit of its own."""


class Quanvolution(eqx.Module):
    """Every 2x2 patch of every channel turns four qubits; Z on each, after a trainable circuit, is a new channel.

    The pixels of a patch are angles of RY, row by row, and all patches of all channels share one circuit.

    Args:
        n_layers: strongly entangling layers, whose angles are drawn from [0, 2 pi) radians.
        key: random key, consumed.
    """

    layer: QuantumLayer | NoisyLayer

    def __init__(self, n_layers: int, *, key: Array) -> None:
        """Draw the angles."""
        ansatz = StronglyEntangling(n_wires=PATCH, n_layers=n_layers)
        angles = jax.random.uniform(key, ansatz.weight_shape, jnp.float32, maxval=2 * math.pi)
        self.layer = QuantumLayer(AngleEmbedding(PATCH), ansatz.circuit(), angles, PauliZ(each_wire(PATCH)))

    def __call__(self, image: Numbers) -> Float[Array, "out_height out_width n_out"]:
        """Apply to one image.

        Args:
            image: real, (height, width, channels), height and width even.

        Returns:
            (height / 2, width / 2, 4 channels), from -1 to 1.

        Raises:
            ArgumentError: no real numbers, or odd height or width.
        """
        image = real("image", image)
        height, width, n_in = image.shape
        if height % 2 or width % 2:
            raise ArgumentError(f"Argument `image` must have an even height and width, but was {height}x{width}.")
        patches = image.reshape(height // 2, 2, width // 2, 2, n_in).transpose(0, 2, 4, 1, 3)
        return on_each(self.layer, patches.reshape(-1, PATCH)).reshape(height // 2, width // 2, PATCH * n_in)
