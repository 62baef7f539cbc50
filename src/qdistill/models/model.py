"""What every network here is, and what can be done with any of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.quantum import for_batch, with_key


@runtime_checkable
class Model(Protocol):
    """A network: an `eqx.Module` that takes one image."""

    def __call__(self, image: Float[Array, "height width channels"], /) -> Float[Array, " classes"]:
        """The logits of one image."""
        ...


@runtime_checkable
class Architecture(Protocol):
    """What a recipe or a bundle says of a network: enough to build it, nothing of its weights."""

    def build(self, image_shape: tuple[int, int, int], n_classes: int, *, key: Array) -> Model:
        """Draw a network for images of that shape, (height, width, channels)."""
        ...


def predict(
    model: Model, images: Float[Array, "n height width channels"], *, key: Array | None = None
) -> Float[Array, "n classes"]:
    """The logits of many images; quantum layers choose their form for that many.

    Args:
        model: the network.
        images: normalised.
        key: random key, consumed, for layers that take shots: each image has shots of its own.
    """
    model = for_batch(model, images.shape[0])
    if key is None:
        return jax.vmap(model)(images)
    keys = jax.random.split(key, images.shape[0])
    return jax.vmap(lambda image, key: with_key(model, key)(image))(images, keys)


def named_weights(model: Model) -> dict[str, Array]:
    """Every array of a network by its name, such as ``"features.c1.kernel"``, in a fixed order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(model, eqx.is_inexact_array))
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def with_weights(model: Model, weights: dict[str, Array]) -> Model:
    """The same network with other weights.

    Args:
        model: gives the structure.
        weights: by the names of `named_weights`, all of them.

    Raises:
        ArgumentError: names or shapes do not fit the network.
    """
    own = named_weights(model)
    if set(own) != set(weights):
        missing, foreign = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
        raise ArgumentError(
            f"Argument `weights` must name the network's weights, but {missing} were missing and {foreign} "
            "were not of this network."
        )
    for name, leaf in own.items():
        if weights[name].shape != leaf.shape:
            raise ArgumentError(
                f"Argument `weights` must have shape {leaf.shape} for {name!r}, but was {weights[name].shape}."
            )
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    treedef = jax.tree.structure(arrays)
    replaced: Model = eqx.combine(jax.tree.unflatten(treedef, [weights[name] for name in own]), static)
    return replaced
