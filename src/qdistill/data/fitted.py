"""Transforms that were fitted: arrays with which inputs are transformed and transformed back, inside jit too."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from qdistill.data.raw import Shape
from qdistill.data.whitening import apply_filter, undo_filter
from qdistill.errors import ArgumentError
from qdistill.numbers import Numbers, real, real_as_given

_EXACT = jax.lax.Precision.HIGHEST

_BLOCK = 1000
"""Inputs that are transformed at a time, so that what that takes is little beside the inputs."""


@runtime_checkable
class Fitted(Protocol):
    """One of a chain's transforms, fitted: an `eqx.Module` of arrays and of numbers, which are static."""

    name: ClassVar[str]

    @property
    def last_axes(self) -> Shape:
        """The last axes that an input must have."""
        ...

    def __call__(self, inputs: Array) -> Array:
        """What it makes of any batch of inputs."""
        ...

    def inverse(self, outputs: Array) -> Array:
        """The inputs of which it makes these; of those that are as near, the nearest to the mean."""
        ...

    def shape_before(self, shape: Shape) -> Shape:
        """The shape of the inputs of which it makes outputs of a shape.

        Raises:
            ArgumentError: it makes none of that shape, or its arrays contradict each other.
        """
        ...


class Standardised(eqx.Module):
    """(x - mean) / std, where both are of the last axes of an input, or of all."""

    name: ClassVar[str] = "standardise"
    mean: Float[Array, "..."]
    std: Float[Array, "..."]

    @property
    def last_axes(self) -> Shape:
        """See `Fitted`."""
        return self.mean.shape

    def __call__(self, inputs: Array) -> Array:
        """See `Fitted`."""
        return (inputs - self.mean) / self.std

    def inverse(self, outputs: Array) -> Array:
        """See `Fitted`."""
        return outputs * self.std + self.mean

    def shape_before(self, shape: Shape) -> Shape:
        """See `Fitted`."""
        _check_ends("mean", self.mean.shape, shape)
        _check_same("std", self.std.shape, self.mean.shape)
        if not (self.std > 0).all():
            raise ArgumentError("Argument `std` must be above 0.")
        return shape


class Projected(eqx.Module):
    """components (x - mean): the coordinates of an input along directions that are orthogonal to each other."""

    name: ClassVar[str] = "pca"
    mean: Float[Array, "*shape"]
    components: Float[Array, "components *shape"]

    @property
    def last_axes(self) -> Shape:
        """See `Fitted`."""
        return self.mean.shape

    def __call__(self, inputs: Array) -> Array:
        """See `Fitted`."""
        over = tuple(range(-self.mean.ndim, 0))
        return jnp.tensordot(inputs - self.mean, self.components, (over, over), precision=_EXACT)

    def inverse(self, outputs: Array) -> Array:
        """See `Fitted`."""
        return jnp.tensordot(outputs, self.components, axes=1, precision=_EXACT) + self.mean

    def shape_before(self, shape: Shape) -> Shape:
        """See `Fitted`."""
        _check_same("components", self.components.shape, (*shape, *self.mean.shape))
        if len(shape) != 1 or not self.mean.shape:
            raise ArgumentError(f"Argument `components` must be of vectors, but are of the shape {shape}.")
        return self.mean.shape


class Rescaled(eqx.Module):
    """low + (high - low) (x - minimum) / (maximum - minimum), with extremes of the last axes of an input, or of all."""

    name: ClassVar[str] = "rescale"
    minimum: Float[Array, "..."]
    maximum: Float[Array, "..."]
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    @property
    def last_axes(self) -> Shape:
        """See `Fitted`."""
        return self.minimum.shape

    def __call__(self, inputs: Array) -> Array:
        """See `Fitted`."""
        return self.low + (self.high - self.low) * (inputs - self.minimum) / (self.maximum - self.minimum)

    def inverse(self, outputs: Array) -> Array:
        """See `Fitted`."""
        return self.minimum + (self.maximum - self.minimum) * (outputs - self.low) / (self.high - self.low)

    def shape_before(self, shape: Shape) -> Shape:
        """See `Fitted`."""
        _check_ends("minimum", self.minimum.shape, shape)
        _check_same("maximum", self.maximum.shape, self.minimum.shape)
        if not (self.maximum > self.minimum).all():
            raise ArgumentError("Argument `maximum` must be above `minimum`.")
        if not -math.inf < self.low < self.high < math.inf:
            raise ArgumentError(f"Argument `high` must be above `low`, {self.low}, but was {self.high}.")
        return shape


class Whitened(eqx.Module):
    """A filter over images, see `whitening`."""

    name: ClassVar[str] = "whiten"
    kernel: Float[Array, "side side channels channels"]

    @property
    def last_axes(self) -> Shape:
        """See `Fitted`."""
        return self.kernel.shape[-1:]

    def __call__(self, inputs: Array) -> Array:
        """See `Fitted`."""
        if inputs.ndim < 3:
            raise ArgumentError(f"Argument `inputs` must be images, but has the shape {inputs.shape}.")
        return apply_filter(self.kernel, inputs)

    def inverse(self, outputs: Array) -> Array:
        """See `Fitted`."""
        return undo_filter(self.kernel, outputs)

    def shape_before(self, shape: Shape) -> Shape:
        """See `Fitted`."""
        if len(shape) != 3:
            raise ArgumentError(f"Argument `kernel` must be there for images only, but inputs have the shape {shape}.")
        side, (height, width, channels) = len(self.kernel), shape
        _check_same("kernel", self.kernel.shape, (side, side, channels, channels))
        if side % 2 == 0 or side // 2 >= min(height, width):
            raise ArgumentError(
                f"Argument `kernel` must have an odd number of rows and a margin within the {height}x{width} images, "
                f"but has {side} rows."
            )
        return shape


KINDS: dict[str, type[Standardised] | type[Projected] | type[Rescaled] | type[Whitened]] = {
    kind.name: kind for kind in (Standardised, Projected, Rescaled, Whitened)
}
"""The fitted transforms by their names in a bundle."""


class FittedChain(eqx.Module):
    """Raw inputs -> what the network reads: divided by the dataset's scale, then one transform after another.

    Args:
        scale: the raw value that stands for 1.0.
        steps: the transforms, in their order.
    """

    scale: float = eqx.field(static=True)
    steps: tuple[Fitted, ...] = ()

    def __call__(self, inputs: Numbers) -> Float[Array, "..."]:
        """Transform one raw input or any batch of them; works inside jit.

        Returns:
            In float32, or in float64 where that is switched on (see `qdistill.numbers`).

        Raises:
            ArgumentError: no real numbers, or other last axes than the chain was fitted on.
        """
        outputs = real("inputs", inputs)
        given = outputs.shape
        outputs = outputs / self.scale
        for step in self.steps:
            ends = step.last_axes
            if outputs.shape[max(0, outputs.ndim - len(ends)) :] != ends:
                raise ArgumentError(
                    f"Argument `inputs` must have the shape (..., {', '.join(map(str, ends))}), on which the "
                    f"transforms were fitted, but has {given}."
                )
            outputs = step(outputs)
        return outputs

    def of_many(self, inputs: Shaped[np.ndarray, "n ..."]) -> Float[Array, "n ..."]:
        """Transform raw inputs block by block, so that few of them are computed with at a time; as `__call__`."""
        return jnp.concatenate([self(inputs[i : i + _BLOCK]) for i in range(0, max(1, len(inputs)), _BLOCK)])

    def inverse(self, outputs: Numbers) -> Float[Array, "..."]:
        """Bring what a network reads back to where 1.0 stands for `scale`: of images, 0 is black and 1 is white.

        What was learned may leave the range of real inputs; nothing is clipped here. Principal components give what
        lies in their span.

        Args:
            outputs: floating-point: integers are raw, and were never transformed.

        Raises:
            ArgumentError: no floating-point numbers, or of another shape than the chain makes.
        """
        given = real_as_given("outputs", outputs)
        if not jnp.issubdtype(given.dtype, jnp.floating):
            raise ArgumentError(f"Argument `outputs` must be floating-point, but is {given.dtype}.")
        inputs = real("outputs", given)
        for step in reversed(self.steps):
            try:
                undone = step.inverse(inputs)
                # Arrays of another shape may still be computed with, and give one of a third.
                fits = jax.eval_shape(step, undone).shape == inputs.shape
            except (TypeError, ValueError):
                fits = False
            if not fits:
                raise ArgumentError(
                    f"Argument `outputs` must have the shape that the transforms make, but has {given.shape}."
                )
            inputs = undone
        return inputs

    def shape_after(self, shape: Shape) -> Shape:
        """The shape of what it makes of raw inputs of a shape."""
        after: Shape = jax.eval_shape(self, jax.eval_shape(lambda: jnp.zeros(shape))).shape
        return after

    def shape_before(self, shape: Shape) -> Shape:
        """The shape of the raw inputs of which it makes those of a shape.

        Raises:
            ArgumentError: it makes none of that shape, or its arrays contradict each other.
        """
        for place, step in reversed(tuple(enumerate(self.steps))):
            try:
                shape = step.shape_before(shape)
            except ArgumentError as error:
                raise ArgumentError(str(error).replace("`", f"`{_array_name(place, '')}", 1)) from error
        return shape

    def arrays(self) -> dict[str, Array]:
        """All arrays, by names such as ``transforms/0/mean``."""
        return {
            _array_name(place, name): getattr(step, name)
            for place, step in enumerate(self.steps)
            for name in array_fields(step.name)
        }

    def to_json(self) -> list[dict[str, Any]]:
        """What each of the steps is, without its arrays, as plain data."""
        return [
            {"name": step.name, **{name: getattr(step, name) for name in number_fields(step.name)}}
            for step in self.steps
        ]

    @classmethod
    def of(cls, scale: float, plain: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> FittedChain:
        """The chain of which `to_json` and `arrays` gave these; `array_names` says which arrays there must be."""
        steps = []
        for place, step in enumerate(plain):
            own: dict[str, Any] = {
                name: jnp.asarray(arrays[_array_name(place, name)]) for name in array_fields(step["name"])
            }
            numbers = {name: value for name, value in step.items() if name != "name"}
            steps.append(KINDS[step["name"]](**own, **numbers))
        return cls(scale, tuple(steps))


def array_fields(name: str) -> list[str]:
    """The names of the arrays of a fitted transform."""
    return [field.name for field in dataclasses.fields(KINDS[name]) if not field.metadata.get("static")]


def number_fields(name: str) -> list[str]:
    """The names of the numbers of a fitted transform, which are no arrays."""
    return [field.name for field in dataclasses.fields(KINDS[name]) if field.metadata.get("static")]


def array_names(plain: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names of all arrays of a chain, given what `FittedChain.to_json` gave."""
    return {_array_name(place, name) for place, step in enumerate(plain) for name in array_fields(step["name"])}


def _array_name(place: int, name: str) -> str:
    return f"transforms/{place}/{name}"


def _check_ends(name: str, shape: Shape, input_shape: Shape) -> None:
    if not shape or input_shape[max(0, len(input_shape) - len(shape)) :] != shape:
        raise ArgumentError(
            f"Argument `{name}` must be of the last axes of inputs of {input_shape}, but is of {shape}."
        )


def _check_same(name: str, shape: Shape, expected: Shape) -> None:
    if shape != expected:
        raise ArgumentError(f"Argument `{name}` must have the shape {expected}, but has {shape}.")
