"""The closed-form last layer: ridge regression on features of the synthetic examples predicts the real labels."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.distill.inner import InnerLoop
from qdistill.distill.matching.along import check_exact, mean_along
from qdistill.distill.training_set import TrainingSet
from qdistill.models import Model, last_features

_RIDGE = 1e-6
"""Of the mean diagonal entry, as in the publication."""


@dataclass(frozen=True)
class LastLayer:
    """The square error on real inputs of the last linear map that fits the synthetic examples best.

    The features are those that a network's last linear map reads, see `models.last_features`, and a constant for its
    bias.
    The mean over the networks before each step of the training on the synthetic data.

    Reference:
        Zhou, Nezhadarya and Ba, NeurIPS 2022 (FRePo), arXiv 2206.00719.
    """

    def value_and_gradient(
        self,
        data: TrainingSet,
        model: Model,
        inner: InnerLoop,
        inputs: Float[Array, "batch *shape"],
        labels: Float[Array, "batch classes"],
        key: Array | None = None,
        *,
        optimiser_state: PyTree | None = None,
    ) -> tuple[Float[Array, ""], TrainingSet]:
        """See `MetaObjective`."""
        check_exact(key)

        def at(network: Model, synthetic: Array, own_labels: Array) -> Array:
            own, real = (
                _with_constant(last_features(network, synthetic)),
                _with_constant(last_features(network, inputs)),
            )
            with jax.default_matmul_precision("highest"):
                errors = real @ _fit(own, own_labels) - labels
            return 0.5 * jnp.mean(jnp.sum(errors**2, axis=-1))

        return mean_along(at, data, model, inner, optimiser_state)


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
