"""Functions of JAX read as polynomials: values against JAX in double precision, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.backends.jaxpr_polynomials import polynomials
from qdistill.backends.polynomials import MAX_DEGREE, OUTSIDE, Entry, Unreadable, number, power, variable

from ..quantum.strategies import examples

N = 6
TABLE = np.random.default_rng(0).normal(size=(N, N))


def value(entry: Entry, vector: np.ndarray) -> float:
    assert isinstance(entry, dict), entry
    return sum(float(c.real) * float(np.prod([vector[v] for v in monomial])) for monomial, c in entry.items())


def scalars(function: Callable[[Any], Any]) -> Callable[[jax.Array], list[jax.Array]]:
    """The entries of whatever arrays a function gives."""
    return lambda vector: [entry for leaf in jax.tree.leaves(function(vector)) for entry in jnp.ravel(leaf)]


def same_as_jax(function: Callable[[Any], Any]) -> None:
    vector = np.random.default_rng(1).normal(size=N)
    entries = polynomials(scalars(function), N)
    with jax.enable_x64(True):
        expected = scalars(function)(jnp.asarray(vector))
    np.testing.assert_allclose([value(entry, vector) for entry in entries], np.array(expected), rtol=1e-12, atol=1e-12)


@jax.custom_jvp
def squared(v: Any) -> Any:
    return v * v


@jax.custom_vjp
def doubled(v: Any) -> Any:
    return 2 * v


squared.defjvp(lambda primals, tangents: (squared(primals[0]), tangents[0]))
doubled.defvjp(lambda v: (2 * v, None), lambda _, tangent: (tangent,))

READABLE: dict[str, Callable[[Any], Any]] = {
    "sums and products": lambda v: 2 * (v[0] + v[1]) - 2 * v[1] * v[2] / 4 - (-v[3]) + 0.1,
    "powers": lambda v: (v**2, v[0] ** 3, jnp.square(v), jnp.power(v, 2.0), v**0, (v[0] * 0 + 2.0) ** -1.5),
    "constants": lambda v: (jnp.sin(0.0 * v[0] + 0.3), jnp.cos(jnp.ones(2)).sum() * v[1], jnp.maximum(0 * v, 2.0)),
    "slices": lambda v: (v[1:4], v[::-2], v[-1], v[..., 0], v[None, :2], v[jnp.array([0, 3, -1])], v[np.arange(2)]),
    "moves": lambda v: (
        jnp.roll(v, 2), jnp.flip(v), v.reshape(2, 3).T, jnp.tile(v, 2), jnp.repeat(v, 2), jnp.concatenate([v, v]),
        jnp.stack([v, 2 * v], 1), jnp.pad(v, 1), jnp.split(v, 3), jnp.broadcast_to(v[0], (2, 2)), jnp.take(v, 3),
        jnp.diag(v[:2]), jnp.tril(v.reshape(2, 3)), jnp.moveaxis(v.reshape(1, 2, 3), 0, 2), jnp.squeeze(v[:1]),
    ),
    "writes": lambda v: (
        v.at[jnp.array([0, 0])].add(v[:2]), v.at[1].add(0.5), jnp.zeros(N).at[2].add(v[0]),
        v.at[2].set(0.3), v.at[1:3].set(v[:2]), jax.lax.dynamic_update_slice(v, v[:2], (3,)),
    ),
    "reductions": lambda v: (
        v.sum(), v.mean(), v.prod(), v.reshape(2, 3).sum(0), jnp.prod(v[:0]), jnp.cumsum(v), jnp.cumprod(v),
        jnp.cumsum(v.reshape(2, 3), 1), jax.lax.cumsum(v, reverse=True), jnp.unstack(v),
    ),
    "contractions": lambda v: (
        TABLE @ v, v @ TABLE, v @ v, jnp.outer(v, v), jnp.einsum("i,ij,j->i", v, TABLE, v),
        jnp.einsum("bij,bj->bi", v.reshape(2, 1, 3), v.reshape(2, 3)), jnp.convolve(v, jnp.array([1.0, -2.0])),
        jnp.kron(v[:2], v[:2]), jnp.tensordot(v.reshape(2, 3), v.reshape(2, 3), 2),
    ),
    "choices by constants": lambda v: (
        jnp.where(np.arange(N) > 2, v, 0.5), jnp.where(True, v, jnp.sin(v)),
        jax.lax.cond(True, lambda a: 2 * a, jnp.sin, v),
    ),
    "functions of others": lambda v: (
        jax.jit(lambda a: a * 2)(v), jax.checkpoint(lambda a: a * a)(v), jax.vmap(lambda a: a + 1)(v), jnp.deg2rad(v),
        jnp.dot(v, v), jnp.polyval(jnp.ones(3), v[0]), jnp.linspace(v[0], v[1], 3), jnp.vdot(v, v),
        jnp.trace(v[:4].reshape(2, 2)),
    ),
    "loops": lambda v: (
        jax.lax.fori_loop(0, 3, lambda i, a: a + i * v[0], 1.0), jax.lax.scan(lambda a, b: (a + b, a * b), v[0], v)[1],
        jax.lax.scan(lambda a, b: (a + b, a), v[0], v, reverse=True), jax.lax.scan(lambda a, b: (a, b), v[0], v[:0]),
    ),
    "casts": lambda v: (v.astype(jnp.float64), jnp.real(1j * (1j * v)), jnp.imag(v[0] * (2 + 3j)), jnp.conj(v)),
    "derivatives of one's own": lambda v: (squared(v), doubled(v), jax.lax.stop_gradient(v)),
    "a gradient": lambda v: jax.grad(lambda a: (a**3).sum())(v),
}  # fmt: skip


@pytest.mark.parametrize("case", READABLE)
def test_polynomials_are_read(case: str) -> None:
    same_as_jax(READABLE[case])


def test_a_cast_is_left_out() -> None:
    for dtype in (jnp.float32, jnp.float16, jnp.bfloat16):
        (entry,) = polynomials(lambda v, dtype=dtype: [2 * v[1].astype(dtype)], 2)
        assert entry == {(1,): 2.0}


def test_what_cancels_is_gone() -> None:
    entries = polynomials(lambda v: [2 * (v[0] + v[1]) - 2 * v[1], v[0] - v[0], v[0] * v[1] - v[1] * v[0] + 1], 2)
    assert entries == [{(0,): 2.0}, {}, {(): 1.0}]


UNREADABLE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "maximum": (lambda v: jnp.maximum(v[0], -1), "`max`"),
    "a far maximum": (lambda v: jnp.maximum(v[0], -1e9), "`max`"),
    "abs": (lambda v: abs(v[0]), "`abs`"),
    "clip": (lambda v: jnp.clip(v[0], -100, 100), "`max` in `clip`"),
    "where": (lambda v: jnp.where(v[0] > 9, 0.0, v[0]), "`gt`"),
    "remainder": (lambda v: v[0] % (2 * jnp.pi), "`rem` in `remainder`"),
    "floor": (lambda v: jnp.floor(v[0]), "`floor`"),
    "round": (lambda v: jnp.round(v[0], 12), "`round`"),
    "sign": (lambda v: v[0] * jnp.sign(v[0]), "`sign`"),
    "sort": (lambda v: jnp.sort(v)[0], "`sort`"),
    "the greatest": (lambda v: v.max(), "`reduce_max`"),
    "sine": (lambda v: jnp.sin(v[0]), "`sin`"),
    "a root": (lambda v: jnp.sqrt(v[0] ** 2), "`sqrt`"),
    "a power of 0.5": (lambda v: v[0] ** 0.5, "a power of 0.5"),
    "a power of -1": (lambda v: v[0] ** -1, "a power of -1"),
    "an exponential": (lambda v: 2.0 ** v[0], "`pow`"),
    "a quotient": (lambda v: v[0] / v[1], "a division by what is not constant"),
    "a division by zero": (lambda v: v[0] / 0.0, "a division by zero"),
    "a cast to integers": (lambda v: v[0].astype(int) * 1.0, "a cast to int"),
    "a place that depends": (lambda v: v[v[0].astype(int)], "a cast to int"),
    "a rectifier": (lambda v: jax.nn.relu(v[0]), "`max` in `relu`"),
    "a loop that depends": (lambda v: jax.lax.while_loop(lambda a: a < 3, lambda a: a + 1, v[0]), "`while`"),
    "a branch that depends": (lambda v: jax.lax.cond(v[0] > 0, lambda: v[0], lambda: v[1]), "`gt`"),
    "an inverse": (lambda v: jnp.linalg.inv(v[:4].reshape(2, 2))[0, 0], "`lu`"),
    "an angle of a complex number": (lambda v: jnp.angle(v[0] + 1j), "`atan2`"),
    "a complex number": (lambda v: v[0] * 1j, "a complex number"),
    "a reduction of one's own": (lambda v: jax.lax.reduce(v, 1.0, lambda a, b: a * b + a, (0,)), "`reduce`"),
    "beyond the end": (lambda v: v[N], OUTSIDE.reason),
    "beyond the end of many": (lambda v: v[jnp.array([0, N])][1], OUTSIDE.reason),
    "far beyond the end": (lambda v: jnp.take(v, 99), OUTSIDE.reason),
    "too many factors": (lambda v: (v[0] + 1) ** (MAX_DEGREE + 1), "a product of more than"),
    "too many terms": (lambda v: jnp.prod(TABLE[:5] @ v + 1) ** 4, "a product of more than"),
    "no number": (lambda v: v[0] * jnp.nan, "not finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_everything_else_is_named(case: str) -> None:
    function, reason = UNREADABLE[case]
    after, before = polynomials(lambda v: [2 * function(v) + v[1], v[1]], N)
    assert isinstance(after, Unreadable)
    assert reason in after.reason
    assert before == {(1,): 1.0}  # what does not depend on it is read


def test_one_trace_is_enough() -> None:
    calls = []
    polynomials(lambda v: calls.append(v) or [v[0]], 1)  # type: ignore[func-returns-value]
    assert len(calls) == 1


LEAVES = st.sampled_from([*(f"v[{i}]" for i in range(N)), "0.5", "-2.0", "v[1:3].sum()", "w[0]", "w[1]"])
READS = ("({} + {})", "({} - {})", "({} * {})", "(-{} + {})", "jnp.stack([{}, {}]).sum()", "jnp.dot({}, {})")
BREAKS = ("jnp.maximum({}, {})", "jnp.where({} > {}, 1.0, 0.0)", "jnp.arctan2({}, {})", "jnp.sin({} + {})")


def formulas(operators: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.recursive(
        LEAVES, lambda inner: st.builds(str.format, st.sampled_from(operators), inner, inner), max_leaves=8
    )


def evaluated(formula: str) -> Callable[[Any], Any]:
    return lambda v: eval(formula, {"jnp": jnp if isinstance(v, jax.Array) else np, "v": v, "w": 0.3 * v[:2] - 1.0})


@examples(25)
@given(formulas(READS))
def test_any_arithmetic_is_read(formula: str) -> None:
    vector = np.random.default_rng(1).normal(size=N)
    (entry,) = polynomials(lambda v: [evaluated(formula)(v)], N)
    np.testing.assert_allclose(value(entry, vector), evaluated(formula)(vector), rtol=1e-9, atol=1e-9)


@examples(25)
@given(formulas(READS), formulas(READS), st.sampled_from(BREAKS), st.sampled_from(READS))
def test_no_other_function_passes(first: str, second: str, broken: str, outside: str) -> None:
    inner = broken.format(f"({first} + v[0] ** 9)", second)  # of a degree that nothing of these formulas cancels
    (entry,) = polynomials(lambda v: [evaluated(outside.format(inner, "v[2]"))(v)], N)
    assert isinstance(entry, Unreadable)


def test_powers_of_numbers() -> None:
    assert power(number(4.0), 0.5) == {(): 2.0}
    assert power(variable(0), 0) == {(): 1.0}
    assert power({}, 2) == {}
    assert isinstance(power(number(1e200), 2), Unreadable)
