"""The quantum layer in its three forms: value, gradient and Hessian-vector product, at several batches.

Gradients are those of sum(sin(outputs)) with respect to features, angles and Hermitian coefficients; the
Hessian-vector product is along the angles and coefficients. All forms are first held equal.

    python benchmarks/quantum_layer.py [--wires 6] [--layers 4] [--threads 1] [--repeats 30]

prints medians in milliseconds, interleaved over the forms, with compile times, and which form the layer chooses.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

BATCHES = (10, 64, 256, 1024)


def main() -> None:
    """Parse, check, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wires", type=int, default=6)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # before JAX makes its thread pool

    import jax

    print(f"{options.wires} wires, {options.layers} layers, jax {jax.__version__}, {options.threads} thread(s)")
    print(f"{'batch':>6} {'form':12} {'value':>9} {'gradient':>9} {'hvp':>9}  ms;  compile s")
    for batch in BATCHES:
        compare(options.wires, options.layers, batch, options.repeats)


def compare(n_wires: int, n_layers: int, batch: int, repeats: int) -> None:
    """Time the three forms of one layer in turn and print a line each."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from qdistill.quantum import (
        AmplitudeEmbedding,
        QuantumLayer,
        StronglyEntangling,
        each_wire,
        for_batch,
        make_observable,
    )
    from qdistill.quantum.layer import evaluate_in_form

    keys = jax.random.split(jax.random.key(0), 3)
    ansatz = StronglyEntangling(n_wires, n_layers)
    layer = QuantumLayer(
        AmplitudeEmbedding(n_wires),
        ansatz.circuit(),
        jax.random.uniform(keys[0], ansatz.weight_shape, maxval=6.28),
        make_observable("hermitian", each_wire(n_wires), key=keys[1]),
    )
    features = jax.random.normal(keys[2], (batch, 2**n_wires))
    arrays, static = eqx.partition(layer, eqx.is_inexact_array)

    def scalar(form: str) -> object:
        def total(arrays: object, features: jax.Array) -> jax.Array:
            whole = eqx.combine(arrays, static)
            return jnp.sum(jnp.sin(jax.vmap(lambda x: evaluate_in_form(whole, x, form))(features)))

        return total

    forms = ("states", "unitary", "heisenberg")
    compiled, seconds, outcomes = {}, {}, {}
    for form in forms:
        total = scalar(form)
        functions = {
            "value": total,
            "gradient": jax.grad(total, (0, 1)),
            "hvp": jax.grad(lambda a, x, f=total: jax.jvp(lambda b: f(b, x), (a,), (arrays,))[1], (0, 1)),
        }
        start = time.perf_counter()
        for name, function in functions.items():
            compiled[form, name] = jax.jit(function).lower(arrays, features).compile()
        seconds[form] = time.perf_counter() - start
        outcomes[form] = [jax.block_until_ready(compiled[form, n](arrays, features)) for n in functions]
    for form in forms[1:]:
        for a, b in zip(jax.tree.leaves(outcomes[form]), jax.tree.leaves(outcomes["states"]), strict=True):
            assert jnp.max(jnp.abs(a - b)) <= 2e-4 * jnp.max(jnp.abs(b)), form
    times: dict[tuple[str, str], list[float]] = {key: [] for key in compiled}
    for _ in range(repeats):
        for key, function in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(function(arrays, features))
            times[key].append(time.perf_counter() - start)
    chosen = for_batch(layer, batch).form
    for form in forms:
        numbers = " ".join(f"{1e3 * statistics.median(times[form, n]):9.3f}" for n in ("value", "gradient", "hvp"))
        print(f"{batch:6d} {form:12} {numbers}  {seconds[form]:12.1f}{'  <- chosen' if form == chosen else ''}")


if __name__ == "__main__":
    main()
