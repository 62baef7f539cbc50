"""Which polynomials a function of JAX computes, read from its jaxpr: from how they are computed, not from values.

The function is traced once. Its equations are then applied to arrays of polynomials: the ones that add, multiply or
move entries give polynomials again, and all others give what is `Unreadable`, with the name of the primitive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from qdistill.backends.jaxpr_rules import RULES, Array, lifted, objects, plain
from qdistill.backends.polynomials import Entry, Unreadable, required_real, variable

_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "remat",
    "remat2",
    "checkpoint",
)
"""Primitives that are functions of others."""


def polynomials(function: Callable[[jax.Array], Sequence[jax.Array]], n_variables: int) -> list[Entry]:
    """The scalars that a function computes, as polynomials in the entries of its argument.

    Args:
        function: from a vector of `n_variables` to scalars. It is traced once, in double precision; what does not
            depend on the vector is computed at once and may decide which operations follow.
        n_variables: how many there are.

    Returns:
        A polynomial for each scalar, or what it is computed with that is none.
    """
    with jax.enable_x64(True):
        with jax.ensure_compile_time_eval():
            closed = jax.make_jaxpr(function)(jnp.zeros(n_variables))
        vector = objects([variable(index) for index in range(n_variables)], (n_variables,))
        values = _evaluate(closed, [vector], ())
    return [required_real(lifted(value).reshape(-1)[0]) for value in values]


def _evaluate(closed: Any, arguments: Sequence[Array], inside: tuple[str, ...]) -> list[Array]:
    """A jaxpr's outputs for these inputs; `inside` names the functions around it."""
    jaxpr, constants = (closed.jaxpr, closed.consts) if isinstance(closed, ClosedJaxpr) else (closed, ())
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(np.asarray, constants), *arguments], strict=True))

    def read(name: Any) -> Array:
        return np.asarray(name.val) if isinstance(name, Literal) else known[name]

    for equation in jaxpr.eqns:
        outputs = _apply(equation, [read(name) for name in equation.invars], inside)
        known |= zip(equation.outvars, outputs, strict=True)
    return [read(name) for name in jaxpr.outvars]


def _apply(equation: Any, inputs: list[Array], inside: tuple[str, ...]) -> list[Array]:
    """An equation's outputs."""
    name, parameters = equation.primitive.name, equation.params
    if name == "scan":
        return _scanned(equation, inputs, inside)
    if name == "cond" and (index := plain(inputs[0], int)) is not None:
        return _evaluate(parameters["branches"][int(index)], inputs[1:], inside)
    if name in _CALLS:
        called = parameters["call_jaxpr" if "call_jaxpr" in parameters else "jaxpr"]
        return _evaluate(called, inputs, (*inside, str(parameters.get("name", name))))
    if all(value.dtype != object for value in inputs):
        return _computed(equation, inputs)
    rule = RULES.get(name)
    outputs = rule(equation, inputs) if rule is not None else None
    if outputs is None:
        numbers = [plain(value, name.aval.dtype) for value, name in zip(inputs, equation.invars, strict=True)]
        known = [value for value in numbers if value is not None]
        return _computed(equation, known) if len(known) == len(inputs) else _unreadable(equation, inputs, inside)
    return outputs if isinstance(outputs, list) else [outputs]


def _computed(equation: Any, inputs: Sequence[Array]) -> list[Array]:
    """An equation's outputs for numbers, which JAX computes."""
    arrays = [jnp.asarray(value, name.aval.dtype) for value, name in zip(inputs, equation.invars, strict=True)]
    outputs = equation.primitive.bind(*arrays, **equation.params)
    return [np.asarray(value) for value in (outputs if equation.primitive.multiple_results else [outputs])]


def _unreadable(equation: Any, inputs: Iterable[Array], inside: tuple[str, ...]) -> list[Array]:
    """Outputs that are no polynomials, because of this primitive or of what an input was computed with."""
    entries = (entry for value in inputs if value.dtype == object for entry in value.flat)
    why = next((entry for entry in entries if isinstance(entry, Unreadable)), None)
    if why is None:
        where = f" in `{inside[-1].lstrip('_')}`" if inside and inside[-1] != equation.primitive.name else ""
        why = Unreadable(f"`{equation.primitive.name}`{where}")
    return [objects([why] * name.aval.size, name.aval.shape) for name in equation.outvars]


def _scanned(equation: Any, inputs: list[Array], inside: tuple[str, ...]) -> list[Array]:
    """A loop of a fixed number of turns, turn by turn."""
    parameters = equation.params
    n_constants, n_carried, length = (parameters[key] for key in ("num_consts", "num_carry", "length"))
    constants, carried = inputs[:n_constants], inputs[n_constants : n_constants + n_carried]
    outputs: list[list[Array]] = []
    turns = range(length)
    for turn in reversed(turns) if parameters["reverse"] else turns:
        given = [value[turn] if value.ndim > 1 else value[turn : turn + 1].reshape(())
                 for value in inputs[n_constants + n_carried :]]  # fmt: skip
        results = _evaluate(parameters["jaxpr"], [*constants, *carried, *given], inside)
        carried = results[:n_carried]
        outputs.append(results[n_carried:])
    columns = zip(*(outputs[::-1] if parameters["reverse"] else outputs), strict=True)
    shapes = [name.aval.shape for name in equation.outvars[n_carried:]]
    stacked = [np.stack(list(map(lifted, column))) for column in columns]
    if not length:
        stacked = [np.empty(shape, object) for shape in shapes]
    return [*carried, *stacked]
