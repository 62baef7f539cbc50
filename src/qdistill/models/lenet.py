"""LeNet and its features, which the hybrid with a quantum layer shares (`quantum_lenet`).

Image -> C1 5x5x6 -> pool -> C2 5x5x16 -> pool -> F1 120 -> F2 -> F3 -> logits, with a ReLU after C1, C2, F1 and F2,
where F2 may have another activation. Images smaller than 32x32 are padded with zeros to 32x32, as in LeCun et al.
(Proc. IEEE 86, 1998), so that MNIST and CIFAR-10 both give 5x5x16 values after C2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models.checks import at_least_one, check_n_classes
from qdistill.models.layers import ConvPool, Dense, Initialiser
from qdistill.models.quanvolution import PATCH, Quanvolution
from qdistill.numbers import Numbers, real

SIDE = 32
"""Images are padded to this height and width where they are smaller."""

Activation = Literal["relu", "tanh"]


class LeNetFeatures(eqx.Module):
    """C1, C2, F1 and F2: one image -> `width` features.

    Args:
        input_shape: (height, width, channels).
        width: number of features.
        initialiser: how the classical weights are drawn.
        quanvolution_layers: of a quanvolution in C1's place; 0 for the convolution.
        f2_activation: ``"relu"``, or ``"tanh"`` for features from -pi/2 to pi/2, (pi/2) tanh(x).
        key: random key, consumed.

    Raises:
        ArgumentError: images whose size does not come out even.
    """

    c1: ConvPool | Quanvolution
    c2: ConvPool
    f1: Dense
    f2: Dense
    f2_activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        input_shape: tuple[int, ...],
        width: int,
        initialiser: Initialiser,
        quanvolution_layers: int = 0,
        f2_activation: Activation = "relu",
        *,
        key: Array,
    ) -> None:
        """Draw the weights."""
        if len(input_shape) != 3:
            raise ArgumentError(
                f"Argument `input_shape` must be (height, width, channels) for a LeNet, but was {tuple(input_shape)}."
            )
        height, breadth, channels = input_shape
        sides = [max(side, SIDE) for side in (height, breadth)]
        if any(side % 4 for side in sides) or min(height, breadth, channels) < 1:
            raise ArgumentError(
                "Argument `input_shape` must be (height, width, channels), each at least 1, with a height and width of "
                f"at most {SIDE} or divisible by 4, but was {tuple(input_shape)}."
            )
        keys = jax.random.split(key, 4)
        margin, n_maps = (0, PATCH * channels) if quanvolution_layers else (4, 6)
        n_flat = 16 * math.prod(((side - margin) // 2 - 4) // 2 for side in sides)
        if quanvolution_layers:
            self.c1 = Quanvolution(quanvolution_layers, key=keys[0])
        else:
            self.c1 = ConvPool(channels, 6, 5, initialiser, key=keys[0])
        self.c2 = ConvPool(n_maps, 16, 5, initialiser, key=keys[1])
        self.f1 = Dense(n_flat, 120, initialiser, key=keys[2])
        self.f2 = Dense(120, width, initialiser, key=keys[3])
        self.f2_activation = f2_activation

    def __call__(self, image: Numbers) -> Float[Array, " features"]:
        """The features of one image, (height, width, channels) of real numbers."""
        image = real("image", image)
        if image.ndim != 3:
            raise ArgumentError(
                f"Argument `image` must be one image, (height, width, channels), but had shape {image.shape}. "
                "`qdistill.models.predict` takes many."
            )
        margins = [max(0, SIDE - side) for side in image.shape[:2]]
        padded = jnp.pad(image, [(m // 2, m - m // 2) for m in margins] + [(0, 0)])
        with jax.named_scope("c1"):
            maps = self.c1(padded)
        with jax.named_scope("c2"):
            maps = self.c2(maps)
        with jax.named_scope("dense"):
            values = self.f2(jax.nn.relu(self.f1(maps.reshape(-1))))
            return jax.nn.relu(values) if self.f2_activation == "relu" else math.pi / 2 * jnp.tanh(values)


class LeNet(eqx.Module):
    """The classical network: features, then F3."""

    features: LeNetFeatures
    f3: Dense

    def __call__(self, image: Numbers) -> Float[Array, " classes"]:
        """The logits of one image, (height, width, channels) of real numbers."""
        features = self.last_features(image)
        with jax.named_scope("dense"):
            return self.f3(features)

    def last_features(self, image: Numbers) -> Float[Array, " features"]:
        """What F3 reads of one image."""
        return self.features(image)


@dataclass(frozen=True)
class LeNetArchitecture:
    """The classical LeNet, with F2 of 84 values as in LeCun et al.

    Args:
        width: number of features after F2.
        initialiser: how the weights are drawn.
    """

    width: int = 84
    initialiser: Initialiser = "xavier_normal"

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        at_least_one(width=self.width)

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> LeNet:
        """Draw a network for images of shape (height, width, channels).

        Args:
            input_shape: of one image.
            n_classes: at least 2.
            key: random key, consumed.

        Raises:
            ArgumentError: images whose size does not come out even, or fewer than two classes.
        """
        check_n_classes(n_classes)
        key_features, key_f3 = jax.random.split(key)
        return LeNet(
            LeNetFeatures(input_shape, self.width, self.initialiser, key=key_features),
            Dense(self.width, n_classes, self.initialiser, key=key_f3),
        )
