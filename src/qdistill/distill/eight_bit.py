"""Arrays of 256 levels, one byte a number, for bundles that have to be small.

A value is ``low + step * code`` in float32, with a code from 0 to 255. A step has 12 significant bits, so that its
product with a code is exact, and so that the levels of an array are found again from its values alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from qdistill.errors import BundleError

_LEVELS = 256


def shared_axes(name: str, ndim: int) -> tuple[int, ...]:
    """The axes of a bundle's tensor that share 256 levels: an input's own, or all of a weight tensor's."""
    return tuple(range(1 if name == "inputs" else 0, ndim))


def packed(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """A bundle's tensors with codes and levels in the place of some values.

    Args:
        arrays: all tensors.
        names: of those that become codes; of what is empty there are no levels, so it stays as it is.

    Returns:
        For each of `names` three tensors, its codes and `NAME/low` and `NAME/step`; the others as they are.

    Raises:
        BundleError: values that are not on 256 levels, as `on_levels` gives them.
    """
    result = dict(arrays)
    for name in names:
        if not arrays[name].size:
            continue
        codes, low, step = quantised(arrays[name], shared_axes(name, arrays[name].ndim))
        if not np.array_equal(restored(codes, low, step), arrays[name]):
            raise BundleError(f"`{name}` has other values than its 256 levels; `in_eight_bits` gives it those.")
        result |= {name: codes, f"{name}/low": low, f"{name}/step": step}
    return result


def unpacked(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The tensors that `packed` was given; a tensor whose parts are not all there is left to be found by the caller.

    Raises:
        BundleError: levels of another type or shape than the codes need.
    """
    found = dict(arrays)
    for name in names:
        codes, low, step = (found.get(part) for part in (name, f"{name}/low", f"{name}/step"))
        if codes is None or low is None or step is None or codes.dtype != np.uint8:
            continue
        shared = shared_axes(name, codes.ndim)
        shape = tuple(1 if axis in shared else size for axis, size in enumerate(codes.shape))
        for part, array in ((f"{name}/low", low), (f"{name}/step", step)):
            if array.dtype != np.float32 or array.shape != shape:
                raise BundleError(f"`{part}` must be of the type float32 and of the shape {shape}.")
            del found[part]
        found[name] = restored(codes, low, step)
    return found


def quantised(
    array: Float32[np.ndarray, "..."], axes: tuple[int, ...]
) -> tuple[UInt8[np.ndarray, "..."], Float32[np.ndarray, "..."], Float32[np.ndarray, "..."]]:
    """The nearest levels from the smallest to the largest value.

    Args:
        array: finite, and not empty.
        axes: those that share their levels.

    Returns:
        The codes, and `low` and `step` with a size of 1 along `axes`.
    """
    low, high = array.min(axis=axes, keepdims=True), array.max(axis=axes, keepdims=True)
    mantissa, exponent = np.frexp((high.astype(float) - low) / (_LEVELS - 1))
    step = np.ldexp(np.round(mantissa * 2**12) / 2**12, exponent).astype(np.float32)
    # Where all values are the same the step is zero, and every code gives that value.
    codes = np.rint((array.astype(float) - low) / np.where(step > 0, step, 1))
    return np.clip(codes, 0, _LEVELS - 1).astype(np.uint8), low, step


def restored(
    codes: UInt8[np.ndarray, "..."], low: Float32[np.ndarray, "..."], step: Float32[np.ndarray, "..."]
) -> Float32[np.ndarray, "..."]:
    """The values, each product and sum rounded to float32; not finite where those of the levels are too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        values: np.ndarray = low + step * codes.astype(np.float32)
    return values


def on_levels(
    array: Float32[np.ndarray, "..."], axes: tuple[int, ...], rng: np.random.Generator | None = None
) -> Float32[np.ndarray, "..."]:
    """The nearest array whose values have 256 levels and give the same ones again.

    Args:
        array: finite; an empty one stays as it is.
        axes: those that share their levels.
        rng: moves both ends of the levels by less than half a level, at random: another rounding, as near. By default
            they are the smallest and the largest value.

    Raises:
        BundleError: there is none, because the values differ by less than float32 resolves.
    """
    if not array.size:
        return array
    if rng is not None:
        array = _with_other_ends(array, axes, rng)
    for _ in range(4):
        array, before = restored(*quantised(array, axes)), array
        if np.array_equal(array, before):
            return array
    raise BundleError("its numbers are too close to each other for 256 levels between them.")


def _with_other_ends(
    array: Float32[np.ndarray, "..."], axes: tuple[int, ...], rng: np.random.Generator
) -> Float32[np.ndarray, "..."]:
    """The smallest and the largest value moved by up to 0.4 of a level, and the others kept between them."""
    low, high = array.min(axis=axes, keepdims=True), array.max(axis=axes, keepdims=True)
    first, last = (
        (end + (high - low) / (_LEVELS - 1) * rng.uniform(-0.4, 0.4, end.shape)).astype(np.float32)
        for end in (low, high)
    )
    between = np.clip(array, first, last)
    moved: np.ndarray = np.where(array == low, first, np.where(array == high, last, between))
    return moved
