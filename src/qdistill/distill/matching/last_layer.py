"""The closed-form last layer: ridge regression on features of the synthetic examples predicts the real labels."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.distill.losses import Loss
from qdistill.distill.matching.matching import Matching
from qdistill.models import Model, last_features

_RIDGE = 1e-6
"""Of the mean diagonal entry, as in the publication."""


@dataclass(frozen=True)
class LastLayer(Matching):
    """The square error on real inputs of the last linear map that fits the synthetic examples best.

    The features are those that a network's last linear map reads, see `models.last_features`, and a constant for its
    bias.
    The mean over the networks before each step of the training on the synthetic data.

    Reference:
        Zhou, Nezhadarya and Ba, NeurIPS 2022 (FRePo), arXiv 2206.00719.
    """

    def at(self, network: Model, own: tuple[Array, Array], real: tuple[Array, Array], loss: Loss) -> Float[Array, ""]:
        """See `Matching`."""
        (inputs, labels), (real_inputs, real_labels) = own, real
        fitted, shown = (_with_constant(last_features(network, values)) for values in (inputs, real_inputs))
        with jax.default_matmul_precision("highest"):
            errors = shown @ _fit(fitted, labels) - real_labels
        return 0.5 * jnp.mean(jnp.sum(errors**2, axis=-1))


def _with_constant(values: Float[Array, "n values"]) -> Float[Array, "n values+1"]:
    return jnp.concatenate([values, jnp.ones((len(values), 1), values.dtype)], axis=1)


def _fit(values: Float[Array, "n values"], labels: Float[Array, "n classes"]) -> Float[Array, "values classes"]:
    """The ridge regression of the labels: by the smaller of its two systems of equations, which has full rank."""
    n, width = values.shape
    ridge = _RIDGE * jnp.sum(values**2) / n
    solved: Array
    if width <= n:
        solved = jnp.linalg.solve(values.T @ values + ridge * jnp.eye(width), values.T @ labels)
    else:
        solved = values.T @ jnp.linalg.solve(values @ values.T + ridge * jnp.eye(n), labels)
    return solved
