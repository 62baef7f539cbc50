"""Gradient matching: the synthetic examples of a class move a network as the real ones do."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.distill.losses import LOSSES, Loss
from qdistill.distill.matching.matching import Matching
from qdistill.models import Model, predict


@dataclass(frozen=True)
class GradientMatching(Matching):
    """How far a network's gradients on the real and on the synthetic inputs of each class point apart.

    The sum over classes, weight tensors and their rows of 1 - cos(the angle between the two gradients); a tensor with
    one axis is one row. Its mean over the networks before each step of the training on the synthetic data.

    The publication's code leaves biases out; here all weights count, for those of a circuit may be a vector. The
    networks are trained on the synthetic data, as there.

    Reference:
        Zhao, Mopuri and Bilen, ICLR 2021, arXiv 2006.05929.
    """

    def at(self, network: Model, own: tuple[Array, Array], real: tuple[Array, Array], loss: Loss) -> Float[Array, ""]:
        """See `Matching`."""
        slopes = (_class_gradients(network, *examples, loss) for examples in (own, real))
        return sum(jax.tree.leaves(jax.tree.map(_distance, *slopes)), jnp.zeros(()))


def _class_gradients(
    network: Model, inputs: Float[Array, "n *shape"], labels: Float[Array, "n classes"], loss: Loss
) -> PyTree:
    """The gradient of each class's mean loss, by one-hot labels: the weights with an axis of classes in front."""
    weights, static = eqx.partition(network, eqx.is_inexact_array)
    shares = labels / jnp.maximum(jnp.sum(labels, axis=0), 1)

    def of_classes(weights: PyTree) -> Array:
        logits = predict(eqx.combine(weights, static), inputs)
        each = jax.vmap(lambda one, label: LOSSES[loss](one[None], label[None]))(logits, labels)
        return shares.T @ each

    return jax.jacrev(of_classes)(weights)


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
