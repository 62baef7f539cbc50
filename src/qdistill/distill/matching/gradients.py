"""Gradient matching: the synthetic examples of a class move a network as the real ones do."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.distill.inner import InnerLoop
from qdistill.distill.losses import LOSSES
from qdistill.distill.matching.along import check_exact, mean_along
from qdistill.distill.training_set import TrainingSet
from qdistill.models import Model, predict


@dataclass(frozen=True)
class GradientMatching:
    """How far a network's gradients on the real and on the synthetic inputs of each class point apart.

    The sum over classes, weight tensors and their rows of 1 - cos(the angle between the two gradients); a tensor with
    one axis is one row. Its mean over the networks before each step of the training on the synthetic data.

    The publication's code leaves biases out; here all weights count, for those of a circuit may be a vector. The
    networks are trained on the synthetic data, as there.

    Reference:
        Zhao, Mopuri and Bilen, ICLR 2021, arXiv 2006.05929.
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
        loss = LOSSES[inner.loss]

        def slopes(network: Model, inputs: Array, labels: Array, shares: Array) -> PyTree:
            """The gradient of each class's mean loss."""
            weights, static = eqx.partition(network, eqx.is_inexact_array)

            def of_classes(weights: PyTree) -> Array:
                logits = predict(eqx.combine(weights, static), inputs)
                each = jax.vmap(lambda one, label: loss(one[None], label[None]))(logits, labels)
                return shares.T @ each

            return jax.jacrev(of_classes)(weights)

        def at(network: Model, synthetic: Array, own_labels: Array) -> Array:
            real = slopes(network, inputs, labels, _shares(labels))
            own = slopes(network, synthetic, own_labels, _shares(own_labels))
            return sum(jax.tree.leaves(jax.tree.map(_distance, own, real)), jnp.zeros(()))

        return mean_along(at, data, model, inner, optimiser_state)


def _shares(labels: Float[Array, "n classes"]) -> Float[Array, "n classes"]:
    """What each input counts for in the mean of its class."""
    return labels / jnp.maximum(jnp.sum(labels, axis=0), 1)


def _distance(own: Float[Array, "classes *weight"], real: Float[Array, "classes *weight"]) -> Float[Array, ""]:
    rows = own.shape[:2] if own.ndim > 2 else own.shape[:1]
    return jnp.sum(1 - jnp.sum(_unit(own.reshape(*rows, -1)) * _unit(real.reshape(*rows, -1)), axis=-1))


def _unit(rows: Float[Array, "*rows values"]) -> Float[Array, "*rows values"]:
    """Rows of length 1, of any length before, for a circuit's gradients may be tiny; zero where they are zero."""
    largest = jnp.max(jnp.abs(rows), axis=-1, keepdims=True)
    some = largest > 0
    scaled = rows / jnp.where(some, largest, 1.0)
    # The root has no derivative at zero.
    return jnp.where(some, scaled / jnp.sqrt(jnp.where(some, jnp.sum(scaled**2, axis=-1, keepdims=True), 1.0)), 0.0)
