"""Numbers as users give them, made into what is computed with.

Every public entrance that takes numbers calls one of these functions first. So nothing is ever computed in the type
that happened to come in, where 200 * 200 may be 64:

- booleans and integers become floating-point numbers of the precision in force, float64 with `jax_enable_x64`;
- float16 and bfloat16 become float32; float32 stays, and float64 stays where it is switched on;
- complex numbers are refused where real ones belong, and so are masked entries, text and other objects.

What is decided depends on types and shapes alone, so that under `jax.jit` it happens while a program is traced, and
arrays that are float32 already are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from qdistill.errors import ArgumentError

Numbers: TypeAlias = ArrayLike | Sequence[Any]
"""An array of JAX or NumPy, a number, or lists of these."""

_NARROWER = {"g": np.dtype(np.float64), "G": np.dtype(np.complex128)}


def real(name: str, values: Any) -> jax.Array:
    """Real numbers as a floating-point array of JAX.

    Args:
        name: the argument's name, for the error.
        values: an array, a number or lists of them.

    Raises:
        ArgumentError: complex numbers, masked entries, or what is no array of numbers.
    """
    return _computed(real_as_given(name, values))


def real_or_complex(name: str, values: Any) -> jax.Array:
    """Numbers as a floating-point array of JAX, complex where they are; as `real` otherwise."""
    return _computed(_array(name, values))


def real_numpy(name: str, values: Any) -> np.ndarray:
    """Real numbers as a float64 array of NumPy; as `real` otherwise."""
    return np.asarray(real_as_given(name, values), dtype=np.float64)


def complex_numpy(name: str, values: Any) -> np.ndarray:
    """Numbers as a complex128 array of NumPy; as `real_or_complex` otherwise."""
    return np.asarray(_array(name, values), dtype=np.complex128)


def real_as_given(name: str, values: Any) -> jax.Array | np.ndarray:
    """Real numbers, checked as by `real`, still of their own type: for arrays that are large, or computed in parts."""
    array = _array(name, values)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ArgumentError(f"Argument `{name}` must be real numbers, but was {array.dtype}.")
    return array


def real_field(name: str) -> Callable[[Any], Any]:
    """A converter for a module's field of real numbers; shapes in the place of arrays are kept."""

    def convert(values: Any) -> Any:
        return values if isinstance(values, jax.ShapeDtypeStruct) else real(name, values)

    return convert


def integers(name: str, values: Any) -> jax.Array | np.ndarray:
    """Integers, which count or number something, as they are: floating-point numbers and booleans are refused.

    Raises:
        ArgumentError: they are no integers, or masked.
    """
    array = _array(name, values)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ArgumentError(f"Argument `{name}` must be integers, but was {array.dtype}.")
    return array


def _array(name: str, values: Any) -> jax.Array | np.ndarray:
    """An array of numbers, still in its own type."""
    if not isinstance(values, jax.Array):
        values = _of_jax(name, values) if _holds_jax(values) else _of_numpy(name, values)
    if not (jnp.issubdtype(values.dtype, jnp.number) or jnp.issubdtype(values.dtype, jnp.bool_)):
        raise ArgumentError(f"Argument `{name}` must be numbers, but was {values.dtype}.")
    array: jax.Array | np.ndarray = values
    return array


def _holds_jax(values: Any) -> bool:
    return isinstance(values, list | tuple) and any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(values))


def _of_jax(name: str, values: Any) -> jax.Array:
    try:
        return jnp.asarray(jax.tree.map(lambda leaf: real_or_complex(name, leaf), values))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"Argument `{name}` must be an array of numbers, but was {values!r}: {error}") from error


def _of_numpy(name: str, values: Any) -> np.ndarray:
    if is_masked(values):
        raise ArgumentError(f"Argument `{name}` must have no masked entries, but has some. Fill them first.")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"Argument `{name}` must be an array of numbers, but was {values!r}: {error}") from error
    # JAX knows neither extended precision nor a byte order other than the machine's.
    native = _NARROWER.get(array.dtype.char, array.dtype.newbyteorder("="))
    return array if array.dtype == native else array.astype(native)


def is_masked(values: Any) -> bool:
    """Whether an array has masked entries, or one does that is anywhere in nested lists."""
    if isinstance(values, list | tuple):
        return any(map(is_masked, values))
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.is_masked(values))


def _computed(array: jax.Array | np.ndarray) -> jax.Array:
    """The numbers in the precision that is computed in."""
    dtype = array.dtype
    if not jnp.issubdtype(dtype, jnp.inexact):
        # NumPy's first, for JAX without `jax_enable_x64` would cut wide integers to 32 bits.
        wide = array.astype(np.float64) if isinstance(array, np.ndarray) else array
        return jnp.asarray(wide, jnp.result_type(float))
    if dtype.itemsize < 4:
        return jnp.asarray(array, jnp.float32)
    return array if isinstance(array, jax.Array) else jnp.asarray(array)
