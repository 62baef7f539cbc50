"""Whether the arrays of a bundle fit each other, its inner loop and its network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from qdistill.data import FittedChain
from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError, BundleError
from qdistill.models import Architecture, KnowsShapes, Model, named_weights

WEIGHTS = "weights/"
AXES = {
    "inputs": ("n", "..."),
    "labels": ("n", "classes"),
    "step_sizes": ("steps", "groups"),
    "schedule": ("steps", "examples a step"),
}
"""Of all tensors but the weights and those of the transforms."""


def check_arrays(
    arrays: Mapping[str, np.ndarray], inner: InnerLoop, n_classes: int, transform: FittedChain, n_weights: int
) -> None:
    """Raise an error for the first thing that is wrong with a bundle's tensors.

    Args:
        arrays: all of them, with those of `AXES` and the weights behind `WEIGHTS`.
        inner: how many steps and step sizes there are.
        n_classes: how many class names there are.
        transform: of the real inputs; its arrays are among `arrays`.
        n_weights: of the network's arrays, whether they are in the bundle or drawn anew.

    Raises:
        BundleError: it names the tensor.
    """
    tensors = {name: arrays[name] for name in AXES if name in arrays}
    sizes: dict[str, int] = {}
    for name, array in tensors.items():
        axes = _axes(name, array.ndim)
        if array.ndim != len(axes) or not all(array.shape):
            raise BundleError(f"`{name}` must have the shape ({', '.join(AXES[name])}), but has {array.shape}.")
        for axis, size in zip(axes, array.shape, strict=True):
            if sizes.setdefault(axis, size) != size:
                raise BundleError(
                    f"`{name}` has the shape {array.shape}, but its axis '{axis}' must be of size {sizes[axis]}, "
                    "as in the tensors before it."
                )
    for name, array in arrays.items():
        if name != "schedule" and array.dtype != np.float32:
            raise BundleError(f"`{name}` must be of the type float32, but is {array.dtype}.")
        if not np.isfinite(array).all():
            raise BundleError(f"`{name}` holds values that are not finite.")

    if not n_weights:
        raise BundleError("there are no initial weights.")
    expected = (inner.total_steps, 1 if inner.step_sizes == "shared" else n_weights)
    if (sizes["steps"], sizes["groups"]) != expected:
        raise BundleError(
            f"`step_sizes` must have the shape {expected}, as the inner loop says, but has "
            f"{tensors['step_sizes'].shape}."
        )
    n, schedule = sizes["n"], tensors["schedule"]
    if schedule.dtype.kind != "i" or schedule.min() < 0 or schedule.max() >= n:
        raise BundleError(f"`schedule` must be integers from 0 to {n - 1}, the numbers of the {n} inputs.")
    if (tensors["step_sizes"] < 0).any():
        raise BundleError("`step_sizes` must not be negative.")
    try:
        inner.check_schedule(schedule, n)
        transform.shape_before(tensors["inputs"].shape[1:])
    except ArgumentError as error:
        raise BundleError(str(error).removeprefix("Argument ")) from error
    if n_classes != sizes["classes"]:
        raise BundleError(
            f"`labels` must have one column a class, but has {sizes['classes']} and there are {n_classes} class names."
        )


def _axes(name: str, ndim: int) -> tuple[str, ...]:
    """The names of a tensor's axes, where inputs have any number of them."""
    if name != "inputs" or ndim < 2:
        return AXES[name]
    return ("n", *(f"axis {place}" for place in range(1, ndim)))


def structure_of(
    architecture: Architecture,
    weights: Mapping[str, Array | np.ndarray],
    input_shape: tuple[int, ...],
    n_classes: int,
    drawn: Collection[str] = (),
) -> Model:
    """A network of an architecture with zeros as weights, after the given ones were found to fit it.

    Args:
        architecture: as a file may have it, with any numbers in it.
        weights: by name.
        input_shape: the shape of one input.
        n_classes: number of classes.
        drawn: the names of those of its weights that are not given, because they are drawn anew.

    Raises:
        BundleError: the network cannot be built, or has other weights.
    """

    def build() -> tuple[Model, dict[str, Array]]:
        model = architecture.build(input_shape, n_classes, key=jax.random.key(0))
        return model, named_weights(model)

    try:
        # First what takes no time: circuits of a million gates are written in a few bytes, but not built in a second.
        known = architecture.known_shapes() if isinstance(architecture, KnowsShapes) else {}
        for name, shape in known.items():
            if name in drawn:
                continue
            _check_shape(name, weights[name].shape if name in weights else None, shape)
        # The shapes alone: to draw weights only to replace them would take seconds of compilation.
        shapes, own = eqx.filter_eval_shape(build)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise BundleError(f"the architecture cannot be built for inputs of shape {input_shape}: {error}") from error
    given = {*weights, *drawn}
    if set(own) != given:
        missing, foreign = sorted(set(own) - given), sorted(given - set(own))
        raise BundleError(f"the weights are not the network's; missing: {missing}, foreign: {foreign}.")
    for name, leaf in own.items():
        if name in weights:
            _check_shape(name, weights[name].shape, leaf.shape)

    def zeros(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise BundleError("the network has arrays of integers, which are no weights and not in a bundle.")
        return jnp.zeros(leaf.shape, leaf.dtype)

    model: Model = jax.tree.map(zeros, shapes)
    return model


def _check_shape(name: str, given: tuple[int, ...] | None, expected: tuple[int, ...]) -> None:
    if given is None:
        raise BundleError(f"the weights are not the network's; missing: ['{name}'].")
    if given != expected:
        raise BundleError(f"`{WEIGHTS}{name}` must have the shape {_short(expected)}, but has {given}.")


def _short(shape: tuple[int, ...]) -> str:
    """A shape whose numbers may have thousands of digits."""
    sizes = [str(size) if size < 10**18 else "more than 10^18" for size in shape]
    return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"
