"""One outer iteration against the straightforward JAX version of the same mathematics.

Straightforward means: `lax.conv_general_dilated` and `lax.reduce_window` for C1 and C2, the circuit applied gate
by gate to the batch of states, each Hermitian applied to its wire, and JAX's own reverse mode through the scan
of gradient steps. Same weights, same images; the two meta-gradients must agree before anything is timed.

    python benchmarks/outer_iteration.py [--threads 1] [--repeats 15] [--images 10] [--batch 256]

prints the medians, the ratio, compile times and the largest difference of the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable


def main() -> None:
    """Parse, check, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--images", type=int, default=10, help="synthetic images")
    parser.add_argument("--steps", type=int, default=10, help="inner steps T")
    parser.add_argument("--batch", type=int, default=256, help="real images")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    os.sched_setaffinity(0, cores)  # before JAX makes its thread pool
    results = compare(options.images, options.steps, options.batch, options.repeats)
    results["threads"] = options.threads
    if options.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:28s} {value:.4g}" if isinstance(value, float) else f"{name:28s} {value}")


def compare(n_images: int, steps: int, batch: int, repeats: int) -> dict[str, float | str]:
    """Time both versions in turn, A B A B ..., and return medians and their ratio."""
    import jax
    import jax.numpy as jnp

    from qdistill.distill.inner import InnerLoop, TrainingSet
    from qdistill.distill.objective import PerformanceMatching
    from qdistill.models import QuantumLeNetArchitecture

    keys = jax.random.split(jax.random.key(0), 3)
    model = QuantumLeNetArchitecture().build((28, 28, 1), 10, key=keys[0])
    inner = InnerLoop(steps=steps, step_sizes="shared")
    data = TrainingSet(
        images=jax.random.normal(keys[1], (n_images, 28, 28, 1)),
        labels=jax.nn.one_hot(jnp.arange(n_images) % 10, 10),
        step_sizes=jnp.full((steps, 1), 0.02),
        schedule=inner.schedule(n_images),
    )
    real = jax.random.normal(keys[2], (batch, 28, 28, 1))
    labels = jax.nn.one_hot(jnp.arange(batch) % 10, 10)

    def ours(arrays: tuple) -> tuple:
        whole = TrainingSet(*arrays, schedule=data.schedule)
        loss, gradient = PerformanceMatching().value_and_gradient(whole, model, inner, real, labels)
        return loss, (gradient.images, gradient.labels, gradient.step_sizes)

    arrays = (data.images, data.labels, data.step_sizes)
    compiled, results = {}, {}
    for name, function in (("ours", ours), ("straightforward", straightforward(model, real, labels))):
        start = time.perf_counter()
        compiled[name] = jax.jit(function).lower(arrays).compile()
        results[f"{name} compile s"] = time.perf_counter() - start
    outcomes = [compiled[name](arrays) for name in compiled]
    difference = max(
        float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)))
        for a, b in zip(*(jax.tree.leaves(o) for o in outcomes), strict=True)
    )
    if difference > 1e-3:
        raise SystemExit(f"The two meta-gradients differ by {difference:.2g}, relative to the largest entry.")
    times = interleaved({name: lambda f=f: jax.block_until_ready(f(arrays)) for name, f in compiled.items()}, repeats)
    for name in compiled:
        results[f"{name} ms"] = 1e3 * statistics.median(times[name])
    ratios = [b / a for a, b in zip(times["ours"], times["straightforward"], strict=True)]
    results |= {
        "ratio": statistics.median(ratios),
        "ratio min": min(ratios),
        "ratio max": max(ratios),
        "relative difference": difference,
        "machine": f"{platform.machine()}, jax {jax.__version__}, {jax.devices()[0].device_kind}",
    }
    return results


def interleaved(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each function, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 2):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repeat >= 2:  # the first two are warm-up
                times[name].append(time.perf_counter() - start)
    return times


def straightforward(model: object, real: object, real_labels: object) -> Callable[[tuple], tuple]:
    """The meta-gradient as one would write it first."""
    import jax
    import jax.numpy as jnp

    from qdistill.models import named_weights
    from qdistill.quantum.gates import GATES
    from qdistill.quantum.observable import pauli_matrices

    circuit = model.branch.circuit
    n = circuit.n_wires
    paulis = jnp.asarray(pauli_matrices(1), jnp.complex64)

    def rot(phi: jax.Array, theta: jax.Array, omega: jax.Array) -> jax.Array:
        def rz(t: jax.Array) -> jax.Array:
            return jnp.diag(jnp.stack([jnp.exp(-0.5j * t), jnp.exp(0.5j * t)]))

        c, s = jnp.cos(theta / 2), jnp.sin(theta / 2)
        return rz(omega) @ jnp.array([[c, -s], [s, c]]).astype(jnp.complex64) @ rz(phi)

    def on_wires(matrix: jax.Array, state: jax.Array, wires: tuple[int, ...]) -> jax.Array:
        k = len(wires)
        tensor = jnp.tensordot(matrix.reshape((2,) * 2 * k), state, (tuple(range(k, 2 * k)), wires))
        return jnp.moveaxis(tensor, range(k), wires)

    def quantum(weights: dict, features: jax.Array) -> jax.Array:
        state = (features / jnp.sqrt(jnp.sum(features**2) + 1e-12)).astype(jnp.complex64).reshape((2,) * n)
        angles = weights["branch.weights"].reshape(-1)
        for operation in circuit.operations:
            if operation.gate == "Rot":
                matrix = rot(*(angles[a.index] for a in operation.angles))
            else:
                matrix = jnp.asarray(GATES[operation.gate].matrix(), jnp.complex64)
            state = on_wires(matrix, state, operation.wires)
        values = []
        for wire in range(n):
            hermitian = jnp.tensordot(weights["branch.observable.coefficients"][wire].astype(jnp.complex64), paulis, 1)
            values.append(jnp.vdot(state, on_wires(hermitian, state, (wire,))).real)
        return jnp.stack(values)

    def conv_pool(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.nn.relu(jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=dimensions) + bias)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def logits(w: dict, images: jax.Array) -> jax.Array:
        x = jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
        for name in ("c1", "c2"):
            x = conv_pool(x, w[f"features.{name}.kernel"], w[f"features.{name}.bias"])
        x = x.reshape(x.shape[0], -1)
        for name in ("f1", "f2"):
            x = jax.nn.relu(x @ w[f"features.{name}.weight"].T + w[f"features.{name}.bias"])
        x = x + jnp.pad(jax.vmap(lambda f: quantum(w, f))(x), ((0, 0), (0, x.shape[1] - n)))
        return x @ w["f3.weight"].T + w["f3.bias"]

    def cross_entropy(w: dict, images: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(logits(w, images)), axis=-1))

    def meta_loss(arrays: tuple) -> jax.Array:
        images, labels, step_sizes = arrays

        def step(w: dict, size: jax.Array) -> tuple[dict, None]:
            gradient = jax.grad(cross_entropy)(w, images, labels)
            return jax.tree.map(lambda a, g: a - size[0] * g, w, gradient), None

        trained, _ = jax.lax.scan(step, named_weights(model), step_sizes)
        return cross_entropy(trained, real, real_labels)

    return jax.value_and_grad(meta_loss)


if __name__ == "__main__":
    main()
