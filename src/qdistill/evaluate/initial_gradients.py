"""How large the gradients of any network are at the start of training: their variance over random initial weights.

Where it is tiny for the weights of a circuit, training does not move them: a barren plateau (McClean, Boixo,
Smelyanskiy, Babbush and Neven, Nature Communications 9, 4812, 2018). `gradients` has the same for the quantum LeNet
against its size.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qdistill.distill.losses import LOSSES, Loss
from qdistill.errors import ArgumentError
from qdistill.evaluate.gradients import Place, variance_over_draws
from qdistill.models import Architecture, named_weights, predict


def initial_gradients(
    architecture: Architecture,
    inputs: Float[Array, "batch *shape"],
    labels: Int[Array, " batch"],
    n_classes: int,
    *,
    loss: Loss,
    draws: int,
    key: Array,
) -> dict[str, Place]:
    """The variance of the gradient of the mean loss, over draws of the initial weights.

    Args:
        architecture: draws the networks.
        inputs: a batch of real ones, transformed.
        labels: their classes.
        n_classes: how many classes there are.
        loss: its name.
        draws: networks, at least 3.
        key: random key, consumed.

    Returns:
        For each weight array by its name.

    Raises:
        ArgumentError: fewer draws, gradients that are not finite, or what the architecture refuses.
    """
    if draws < 3:
        raise ArgumentError(f"Argument `draws` must be at least 3, but was {draws}.")
    one_hot = jax.nn.one_hot(labels, n_classes)
    names: list[str] = []

    def gradient(key: Array) -> list[Array]:
        model = architecture.build(inputs.shape[1:], n_classes, key=key)
        slopes = named_weights(eqx.filter_grad(lambda model: LOSSES[loss](predict(model, inputs), one_hot))(model))
        names[:] = slopes
        return list(slopes.values())

    found = jax.jit(lambda keys: jax.lax.map(gradient, keys))(jax.random.split(key, draws))
    by_name = zip(names, found, strict=True)
    return {name: variance_over_draws(np.asarray(values)) for name, values in by_name if jnp.size(values)}
