"""Arrays of any library and type as the inputs of a dataset, where there is one way to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Shaped

from qdistill.data.raw import Inputs, as_scale, check_inputs, check_units
from qdistill.errors import ArgumentError
from qdistill.numbers import is_masked

_EXACT = 2**24  # float32 holds every integer up to here
_RESOLVED = 1e-3
"""What rounding to float32 may be, in units of a feature's standard deviation."""

Several = Shaped[np.ndarray, "..."]


def as_vectors(parts: Mapping[str, Any]) -> list[Float32[np.ndarray, "_ features"]]:
    """Bring the vectors of all parts of a dataset to float32.

    Args:
        parts: under the name of its argument, the vectors of each part: real numbers of shape (n, features), in
            anything that NumPy makes an array of.

    Returns:
        A copy of each part.

    Raises:
        ArgumentError: an argument holds no vectors or other numbers than finite ones, the parts have different numbers
            of features, or a feature differs by less than float32 resolves.
    """
    arrays = {name: _with_axes(name, as_array(name, value), "(n, features)", (2,)) for name, value in parts.items()}
    first, columns = next((name, array.shape[1]) for name, array in arrays.items())
    for name, array in arrays.items():
        _kind(name, array)
        if array.shape[1] != columns:
            raise ArgumentError(
                f"Argument `{name}` must have the {columns} features of `{first}`, but has {array.shape[1]}."
            )
        wrong = np.argwhere(~np.isfinite(array.astype(np.float64)))
        if wrong.size:
            row, column = wrong[0]
            raise ArgumentError(
                f"Argument `{name}` must be finite, but feature {column} of input {row} is {array[row, column]}. Fill "
                "in what is missing, or leave those inputs out."
            )
        _check_range(name, array)
    _check_resolved(first, arrays[first])
    return _typed(arrays, np.float32)


def as_images(parts: Mapping[str, Any], scale: Any = None) -> tuple[list[Inputs], float]:
    """Bring the images of all parts of a dataset to one type, four axes and a scale of their own.

    Args:
        parts: under the name of its argument, the images of each part: booleans, integers or floating-point numbers of
            shape (n, height, width, channels), or (n, height, width) for one channel, in anything that NumPy makes an
            array of.
        scale: the pixel value that stands for 1.0; if left out, 255 for bytes, 1 for booleans, and 1 for
            floating-point numbers if all parts lie within [0, 1].

    Returns:
        A copy of each part, uint8 or float32, and the scale.

    Raises:
        ArgumentError: an argument is no batch of images, the parts are of different kinds or in different units, or
            the scale has to be given.
    """
    axes = "(n, height, width, channels) or (n, height, width)"
    arrays = {name: _with_axes(name, as_array(name, value), axes, (3, 4)) for name, value in parts.items()}
    arrays = {name: array[..., None] if array.ndim == 3 else array for name, array in arrays.items()}
    kinds = {name: _kind(name, array) for name, array in arrays.items()}
    first = next(iter(kinds))
    for name, kind in kinds.items():
        if kind != kinds[first]:
            raise ArgumentError(f"Argument `{name}` must hold {kinds[first]} as `{first}` does, but holds {kind}.")
        if arrays[name].shape[1:] != arrays[first].shape[1:]:
            raise ArgumentError(
                f"Argument `{name}` must have images of the shape {arrays[first].shape[1:]} of `{first}`, but they "
                f"have {arrays[name].shape[1:]}."
            )
    given = None if scale is None else as_scale(scale)
    return _READ[kinds[first]](arrays, given)


def as_array(name: str, value: Any) -> Several:
    """What NumPy makes of a value, with Python's objects as the numbers or strings that they are.

    Raises:
        ArgumentError: NumPy makes no array of numbers or strings of it, or an entry is masked.
    """
    if is_masked(value):
        raise ArgumentError(f"Argument `{name}` must have no masked entries, but has some. Fill them in first.")
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = np.array(array.tolist())
    # Whatever library the value is of raises errors of its own, such as for a tensor on another device.
    except Exception as error:
        raise ArgumentError(
            f"Argument `{name}` must be an array, but NumPy makes none of this {type(value).__name__}: {error}."
        ) from error
    if array.dtype.kind in "UT" and any(each != each for each in np.asarray(value, dtype=object).ravel()):
        raise ArgumentError(f"Argument `{name}` must have no missing entries, but has NaN among its text.")
    if array.dtype.kind not in "biufUT" and not jnp.issubdtype(array.dtype, jnp.floating):
        objects = sorted({type(each).__name__ for each in array.ravel()[:1000]}) if array.dtype == object else ()
        found = f"objects of type {', '.join(objects)}" if objects else str(array.dtype)
        raise ArgumentError(f"Argument `{name}` must hold real numbers, but holds {found}.")
    return array


def _with_axes(name: str, array: Several, axes: str, numbers: tuple[int, ...]) -> Several:
    if array.ndim not in numbers:
        raise ArgumentError(f"Argument `{name}` must have the shape {axes}, but has {array.shape}.")
    if array.size == 0:
        raise ArgumentError(f"Argument `{name}` must not be empty, but has the shape {array.shape}.")
    return array


def _kind(name: str, array: Several) -> str:
    if array.dtype.kind in "UT":
        raise ArgumentError(f"Argument `{name}` must hold real numbers, but holds strings.")
    kinds = {"b": "booleans", "i": "integers", "u": "integers"}
    return kinds.get(array.dtype.kind, "floating-point numbers")


def _check_resolved(name: str, vectors: Shaped[np.ndarray, "n features"]) -> None:
    """Make sure that features far from 0, such as dates in seconds, keep their differences in float32."""
    numbers = vectors.astype(np.float64)
    deviations = numbers.std(axis=0)
    rounding = np.spacing(np.abs(numbers).max(axis=0).astype(np.float32))
    lost = np.flatnonzero((np.ptp(numbers, axis=0) > 0) & (rounding > _RESOLVED * deviations))
    if lost.size:
        column = int(lost[0])
        raise ArgumentError(
            f"Argument `{name}` must differ by more than 32-bit numbers resolve, but feature {column} is "
            f"{numbers[:, column].mean():.9g} with a standard deviation of {deviations[column]:.3g}. Subtract its mean."
        )


def _read_booleans(arrays: dict[str, Several], scale: float | None) -> tuple[list[Inputs], float]:
    if scale not in (None, 1.0):
        raise ArgumentError(f"Argument `scale` must be 1 or left out for images of booleans, but was {scale:g}.")
    return _typed(arrays, np.uint8), 1.0


def _read_integers(arrays: dict[str, Several], scale: float | None) -> tuple[list[Inputs], float]:
    if scale is None:
        other = next((f"`{name}` is {array.dtype}" for name, array in arrays.items() if array.dtype != np.uint8), None)
        if other is not None:
            raise ArgumentError(
                f"Argument `scale` must be given for images of other integers than bytes, but was left out, and "
                f"{other}. It is the pixel value that stands for 1.0, such as 255 or 65535."
            )
        scale = 255.0
    check_units(arrays)
    limits = {name: (int(array.min()), int(array.max())) for name, array in arrays.items()}
    if all(low >= 0 and high <= 255 for low, high in limits.values()):
        return _typed(arrays, np.uint8), scale
    for name, (low, high) in limits.items():
        if max(-low, high) > _EXACT:
            raise ArgumentError(
                f"Argument `{name}` must hold integers that 32-bit floating-point numbers hold exactly, up to "
                f"{_EXACT:,}, but reaches from {low:,} to {high:,}."
            )
    return _typed(arrays, np.float32), scale


def _read_floats(arrays: dict[str, Several], scale: float | None) -> tuple[list[Inputs], float]:
    with np.errstate(over="ignore"):
        parts = _typed(arrays, np.float32)
    for (name, given), converted in zip(arrays.items(), parts, strict=True):
        if given.dtype.itemsize > converted.dtype.itemsize:
            _check_range(name, given)
        check_inputs(name, converted)
    check_units(dict(zip(arrays, parts, strict=True)))
    if scale is not None:
        return parts, scale
    for name, images in zip(arrays, parts, strict=True):
        if images.min() < 0 or images.max() > 1:
            raise ArgumentError(
                f"Argument `scale` must be given for floating-point images outside [0, 1], but was left out, and "
                f"`{name}` reaches from {images.min():.4g} to {images.max():.4g}. It is the pixel value that stands "
                f"for 1.0, such as 255."
            )
    return parts, 1.0


_READ: dict[str, Callable[[dict[str, Several], float | None], tuple[list[Inputs], float]]] = {
    "booleans": _read_booleans,
    "integers": _read_integers,
    "floating-point numbers": _read_floats,
}


def _check_range(name: str, numbers: Several) -> None:
    beyond = numbers[np.isfinite(numbers) & (np.abs(numbers) > np.finfo(np.float32).max)]
    if beyond.size:
        raise ArgumentError(
            f"Argument `{name}` must fit into 32-bit floating-point numbers, but holds {beyond[0]:.4g}."
        )


def _typed(arrays: Mapping[str, Several], dtype: type[np.generic]) -> list[Any]:
    """Copies in this type, in row-major order."""
    return [array.astype(dtype, order="C") for array in arrays.values()]
