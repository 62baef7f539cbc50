"""Programs are compiled in half of XLA's time, and run a little slower.

By itself XLA writes each fused loop of a processor's program by way of MLIR, and optimises it as far as LLVM can. For
the programs here, which are products of small matrices with hundreds of small loops between them, that is most of the
time of a first run, and gains an iteration about a twentieth. `docs/decisions/0017-cores-and-compilation.md` has the
measurements.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

_OPTIONS = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}


@functools.cache
def compiler_options() -> dict[str, Any]:
    """What XLA is told for a processor; nothing where it does not know it, or where the user says it in `XLA_FLAGS`."""
    if jax.default_backend() != "cpu":
        return {}
    said = os.environ.get("XLA_FLAGS", "")
    options = {name: value for name, value in _OPTIONS.items() if name not in said}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:  # another version of XLA
        return {}
    return options


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`eqx.filter_jit` with these options, which are looked up at the first call: that is when JAX starts."""

    @functools.cache
    def program() -> Any:
        return compiled_now(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return program()(*args, **kwargs)

    return call


def compiled_now(function: Callable[..., Any]) -> Any:
    """The same, where JAX has started: it also has the methods of `jax.jit`, such as `lower`."""
    jit: Any = eqx.filter_jit  # its annotations leave out what it passes on to `jax.jit`
    return jit(function, compiler_options=compiler_options())
