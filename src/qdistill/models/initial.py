"""How the angles of a circuit are drawn at the start of a training."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError

Distribution = Literal["uniform", "normal"]


def check_spread(spread: float | None) -> None:
    """Raise an ArgumentError for a `spread` below 0."""
    if spread is not None and spread < 0:
        raise ArgumentError(f"Argument `spread` must be at least 0, but was {spread}.")


def initial_angles(
    distribution: Distribution, spread: float, shape: tuple[int, ...], *, key: Array
) -> Float[Array, "..."]:
    """Draw angles in radians.

    Args:
        distribution: uniform in [0, spread), or normal with the mean 0 and the standard deviation `spread`.
        spread: at least 0, in radians.
        shape: of the angles.
        key: random key, consumed.
    """
    if distribution == "normal":
        return spread * jax.random.normal(key, shape, jnp.float32)
    return jax.random.uniform(key, shape, jnp.float32, maxval=spread)
