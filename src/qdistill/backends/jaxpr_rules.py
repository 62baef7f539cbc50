"""What a primitive of JAX makes of arrays of polynomials, for the primitives that add, multiply or move entries."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qdistill.backends.polynomials import (
    OUTSIDE,
    Entry,
    Unreadable,
    constant_of,
    difference,
    factors,
    imaginary,
    number,
    power,
    product,
    quotient,
    real,
    total,
)

Array = np.ndarray
"""Numbers, or where it depends on the variables, objects that are `Entry`."""


def objects(entries: Sequence[Entry], shape: tuple[int, ...]) -> Array:
    """An array of entries, from its entries in C order."""
    array = np.empty(len(entries), dtype=object)
    for place, entry in enumerate(entries):
        array[place] = entry
    return array.reshape(shape)


def lifted(value: Array) -> Array:
    """An array of entries."""
    if value.dtype == object:
        return value
    return objects([number(entry) for entry in value.reshape(-1).tolist()], value.shape)


def plain(value: Array, dtype: Any) -> Array | None:
    """An array of numbers, if it does not depend on the variables after all."""
    if value.dtype != object:
        return value
    numbers = [constant_of(entry) for entry in value.flat]
    return None if None in numbers else np.array(numbers).reshape(value.shape).astype(dtype)


# --- one rule a primitive: the output or outputs, or None where it has none for these inputs

Outputs = Array | list[Array] | None
Rule = Callable[[Any, list[Array]], Outputs]
"""From an equation and its inputs, of which at least one depends on the variables."""


def _each(function: Callable[..., Entry]) -> Rule:
    """Apply a function to the entries one by one."""

    def rule(equation: Any, inputs: list[Array]) -> Array:
        arrays = np.broadcast_arrays(*map(lifted, inputs))
        rows = zip(*(array.flat for array in arrays), strict=True)
        return objects([function(*entries) for entries in rows], arrays[0].shape)

    return rule


def _raised(equation: Any, inputs: list[Array]) -> Outputs:
    """``pow``: to a power that is constant; where the base is constant alone, an exponential function."""
    base, exponent = inputs[0], plain(inputs[1], float)
    if exponent is None or base.dtype != object:
        return None
    return _each(lambda one, two: power(one, two.get((), 0.0).real))(equation, [base, exponent])


def _converted(equation: Any, inputs: list[Array]) -> Outputs:
    """A cast to another precision is left out: an angle is computed in that of the layer."""
    wanted = equation.params["new_dtype"]
    if jnp.issubdtype(wanted, jnp.floating):
        return _each(real)(equation, inputs)
    if jnp.issubdtype(wanted, jnp.complexfloating):
        return inputs[0]
    if plain(inputs[0], equation.invars[0].aval.dtype) is not None:
        return None
    why = Unreadable(f"a cast to {jnp.dtype(wanted)}")
    return _each(lambda entry: entry if isinstance(entry, Unreadable) else why)(equation, inputs)


def _folded(function: Callable[[Sequence[Entry]], Entry]) -> Rule:
    """Reduce some axes."""

    def rule(equation: Any, inputs: list[Array]) -> Array:
        axes = equation.params["axes"]
        last = np.moveaxis(inputs[0], axes, range(inputs[0].ndim - len(axes), inputs[0].ndim))
        kept = last.shape[: inputs[0].ndim - len(axes)]
        rows = last.reshape(int(np.prod(kept)), -1) if inputs[0].size else [()] * int(np.prod(kept))
        return objects([function(list(row)) for row in rows], kept)

    return rule


def _running(function: Callable[[Entry, Entry], Entry]) -> Rule:
    """Sums or products of all entries up to each one along an axis."""

    def rule(equation: Any, inputs: list[Array]) -> Array:
        axis, step = equation.params["axis"], -1 if equation.params["reverse"] else 1
        rows = list(np.moveaxis(inputs[0], axis, 0)[::step])
        sums = itertools.accumulate(rows, lambda one, two: _each(function)(equation, list(map(_array, (one, two)))))
        return np.moveaxis(np.stack(list(map(_array, sums)))[::step], 0, axis) if rows else inputs[0]

    return rule


def _array(value: Any) -> Array:
    """An array of objects; NumPy gives the entry itself for one without axes."""
    return value if isinstance(value, np.ndarray) else objects([value], ())


def _dot_general(equation: Any, inputs: list[Array]) -> Array:
    """Sums of products over the contracted axes."""
    contracted, batched = equation.params["dimension_numbers"]
    sides, kept = [], []
    for value, over, batch in zip(map(lifted, inputs), contracted, batched, strict=True):
        free = [axis for axis in range(value.ndim) if axis not in (*over, *batch)]
        shapes = [tuple(value.shape[axis] for axis in axes) for axes in (batch, free, over)]
        sides.append(value.transpose(*batch, *free, *over).reshape([int(np.prod(shape)) for shape in shapes]))
        kept.append(shapes)
    entries = [
        total(product(a, b) for a, b in zip(row, column, strict=True) if a and b)
        for rows, columns in zip(*sides, strict=True)
        for row in rows
        for column in columns
    ]
    return objects(entries, kept[0][0] + kept[0][1] + kept[1][1])


def _linear(equation: Any, inputs: list[Array]) -> Array | None:
    """A primitive that is linear in the one input that is not constant: JAX gives its matrix."""
    (place, *more) = [place for place, value in enumerate(inputs) if value.dtype == object]
    if more:
        return None
    entries, shape = list(inputs[place].flat), inputs[place].shape

    def column(basis: jax.Array) -> Any:
        operands = [basis if value.dtype == object else jnp.asarray(value) for value in inputs]
        return equation.primitive.bind(*operands, **equation.params)

    dtype = equation.invars[place].aval.dtype
    matrix = np.asarray(jax.vmap(column)(jnp.eye(len(entries), dtype=dtype).reshape(-1, *shape)))
    rows = matrix.reshape(len(entries), -1).T.tolist()
    scaled = [total(product(e, number(f)) for e, f in zip(entries, row, strict=True) if f) for row in rows]
    return objects(scaled, matrix.shape[1:])


def _moved(*operands: int) -> Rule:
    """A primitive that only moves entries: JAX moves their numbers, and the entries follow.

    Args:
        operands: which inputs hold entries; the others hold indices, and must be constant.
    """

    def rule(equation: Any, inputs: list[Array]) -> Array | None:
        entries: list[Entry] = []
        moved: list[Any] = []
        for place, value in enumerate(inputs):
            if place in operands:
                moved.append(np.arange(len(entries), len(entries) + value.size).reshape(value.shape))
                entries += lifted(value).flat
            elif (constant := plain(value, equation.invars[place].aval.dtype)) is None:
                return None
            else:
                moved.append(constant)
        outside: Entry = OUTSIDE
        parameters = equation.params
        if equation.primitive.name == "gather":
            parameters, outside = _checked_gather(parameters)
        numbers = np.asarray(equation.primitive.bind(*map(jnp.asarray, moved), **parameters))
        return objects([entries[n] if n >= 0 else outside for n in numbers.flat], numbers.shape)

    return rule


def _added(equation: Any, inputs: list[Array]) -> Outputs:
    """Updates that are added to some entries."""
    target, indices, updates = inputs
    spread = _linear(equation, [np.zeros(target.shape), indices, lifted(updates)])
    return None if spread is None else _each(lambda a, b: total((a, b)))(equation, [target, spread])


def _checked_gather(parameters: dict[str, Any]) -> tuple[dict[str, Any], Entry]:
    """Parameters that give -1 for an entry that is not there, and what such an entry is."""
    modes = jax.lax.GatherScatterMode
    if parameters["mode"] == modes.CLIP:
        return parameters, OUTSIDE
    fill = parameters["fill_value"]
    outside: Entry = OUTSIDE if fill is None or np.isnan(fill) else number(float(fill))
    return {**parameters, "mode": modes.FILL_OR_DROP, "fill_value": -1}, outside


def _dynamic_slice(equation: Any, inputs: list[Array]) -> Array | None:
    """A slice from a constant place; JAX moves one that goes beyond the end, which nobody means."""
    starts = [plain(value, int) for value in inputs[1:]]
    if any(start is None for start in starts):
        return None
    sizes = equation.params["slice_sizes"]
    limits = [(int(start), int(start) + size) for start, size in zip(starts, sizes, strict=True) if start is not None]
    if any(first < 0 or last > length for (first, last), length in zip(limits, inputs[0].shape, strict=True)):
        return objects([OUTSIDE] * int(np.prod(sizes)), sizes)
    return inputs[0][tuple(slice(*limit) for limit in limits)]


def _slice(equation: Any, inputs: list[Array]) -> Array:
    ends = equation.params["start_indices"], equation.params["limit_indices"]
    strides = equation.params["strides"] or (1,) * inputs[0].ndim
    return inputs[0][tuple(slice(*each) for each in zip(*ends, strides, strict=True))]


def _broadcast_in_dim(equation: Any, inputs: list[Array]) -> Array:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    widened = [inputs[0].shape[axes.index(axis)] if axis in axes else 1 for axis in range(len(shape))]
    return np.broadcast_to(inputs[0].reshape(widened), shape)


def _split(equation: Any, inputs: list[Array]) -> list[Array]:
    ends = np.cumsum(equation.params["sizes"])[:-1]
    return list(np.split(inputs[0], ends, axis=equation.params["axis"]))


def _unstacked(equation: Any, inputs: list[Array]) -> list[Array]:
    return [_array(row) for row in np.moveaxis(inputs[0], equation.params["axis"], 0)]


def _select_n(equation: Any, inputs: list[Array]) -> Array | None:
    """A choice by constants; the choice alone decides, not what is left out."""
    which = plain(inputs[0], int)
    if which is None:
        return None
    cases = np.stack([lifted(value) for value in inputs[1:]])
    shape = cases.shape[1:]
    chosen: Array = np.take_along_axis(cases, np.broadcast_to(which, shape)[None].astype(int), axis=0)[0]
    return chosen.reshape(shape)


_SAME = ("copy", "stop_gradient", "optimization_barrier", "device_put", "reduce_precision", "name")
"""Primitives that leave numbers as they are, but for rounding."""

RULES: dict[str, Rule] = {
    "add": _each(lambda a, b: total((a, b))),
    "add_any": _each(lambda a, b: total((a, b))),
    "sub": _each(difference),
    "mul": _each(product),
    "neg": _each(lambda a: product(a, number(-1.0))),
    "div": _each(quotient),
    "square": _each(lambda a: product(a, a)),
    "integer_pow": lambda equation, inputs: _each(lambda a: power(a, equation.params["y"]))(equation, inputs),
    "pow": _raised,
    "reduce_sum": _folded(total),
    "reduce_prod": _folded(factors),
    "dot_general": _dot_general,
    "cumsum": _running(lambda a, b: total((a, b))),
    "cumprod": _running(product),
    "conv_general_dilated": _linear,
    "reduce_window_sum": _linear,
    "convert_element_type": _converted,
    "real": _each(real),
    "imag": _each(imaginary),
    "conj": _each(lambda a: difference(real(a), product(imaginary(a), number(1j)))),
    "complex": _each(lambda a, b: total((a, product(b, number(1j))))),
    **dict.fromkeys(_SAME, lambda equation, inputs: inputs),
    "stack": lambda equation, inputs: np.stack(list(map(lifted, inputs)), equation.params["axis"]),
    "unstack": _unstacked,
    "reshape": lambda equation, inputs: inputs[0].reshape(equation.params["new_sizes"]),
    "squeeze": lambda equation, inputs: inputs[0].reshape(equation.outvars[0].aval.shape),
    "transpose": lambda equation, inputs: inputs[0].transpose(equation.params["permutation"]),
    "rev": lambda equation, inputs: np.flip(inputs[0], equation.params["dimensions"]),
    "concatenate": lambda equation, inputs: np.concatenate(list(map(lifted, inputs)), equation.params["dimension"]),
    "broadcast_in_dim": _broadcast_in_dim,
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "split": _split,
    "select_n": _select_n,
    "gather": _moved(0),
    "tile": _moved(0),
    "pad": _moved(0, 1),
    "dynamic_update_slice": _moved(0, 1),
    "scatter": _moved(0, 2),
    "scatter-add": _added,
}
