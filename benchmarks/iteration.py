"""One outer iteration of the default recipes: against what one would write instead, and against the machine.

1. The meta-gradient of the recipe, against (a) the straightforward JAX version: `lax.conv_general_dilated` and
   `lax.reduce_window`, the circuit gate by gate over the batch, reverse mode over reverse mode; and (b) PyTorch
   (`torch_lenet.py`). Same weights, same images; the results must agree to 1e-3 of the largest entry.
2. The whole iteration as a run makes it, with its batch and the outer optimiser: on one thread, on two, and two runs
   side by side on two cores.
3. The share of the machine: the operations that the mathematics needs (see `forward_operations` and `PASSES`), held
   against XLA's own count, per second, over the rate of a float32 matrix product in the same rounds; then the same for
   each part alone, with its roofline.

    python benchmarks/iteration.py [--dataset mnist|cifar10] [--threads 1] [--json FILE] [--quick]

takes five to six minutes for both datasets. `--quick` is a smoke test: two inner steps, one entangling layer, few
repeats, one dataset. The data are found as by `qdistill distill`.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from timing import Statistic, interleaved, machine, prepare, ratio, write_json

from qdistill.data import source, split
from qdistill.distill.inner import TrainingSet, cross_entropy
from qdistill.distill.outer import Distiller
from qdistill.experiments.recipe import Recipe, default_recipe
from qdistill.experiments.run import make_distiller
from qdistill.models import named_weights
from qdistill.models.lenet import SIDE, QuantumLeNet
from qdistill.quantum import for_batch
from qdistill.quantum.gates import GATES
from qdistill.quantum.observable import pauli_matrices

DATASETS = ("mnist", "cifar10")
TOLERANCE = 1e-3
SLICE = 32
"""Real images at which the parts are timed: a slice of `PerformanceMatching`."""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", choices=DATASETS)
    parser.add_argument("--threads", type=int, default=1, help="of everything but the whole iterations")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worker", metavar="CORES", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if options.worker:
        cores = list(map(int, options.worker.split(",")))
        os.sched_setaffinity(0, cores)
    # JAX is imported already, but makes its threads when it is first used; only the cache needs to be told again.
    prepare(len(cores) if options.worker else options.threads)
    jax.config.update("jax_enable_compilation_cache", False)
    if options.worker:
        work(options.dataset, options.quick)
        return
    sys.stdout.reconfigure(line_buffering=True)
    started = time.monotonic()
    datasets = [options.dataset] if options.dataset else DATASETS[: 1 if options.quick else None]
    results = {"machine": machine(), "threads": options.threads, "quick": options.quick, "datasets": {}}
    for dataset in datasets:
        results["datasets"][dataset] = measure(dataset, cores, options.threads, options.quick)
    results["seconds"] = time.monotonic() - started
    print(f"\n{results['machine']['processor']}; the whole took {results['seconds']:.0f} s")
    if options.json:
        write_json(options.json, results)


def measure(dataset: str, cores: list[int], threads: int, quick: bool) -> dict[str, Any]:
    """Everything for one dataset, printed as it comes."""
    problem = load(dataset, quick)
    repeats = 5 if quick else 15
    forward = forward_operations(problem.distiller.model, problem.real.shape[1:])
    print(f"\n{dataset}: {problem.steps} steps on {problem.n_step} images, {problem.n_real} real images")
    versions = compile_versions(problem, threads)
    products = {str(size): matrix_product(size) for size in (256, 512, 1024)}
    functions = {name: lambda at=version.at: at(problem.arrays) for name, version in versions.items()}
    times = interleaved(functions | products, repeats)
    compared = compare(problem, versions, times)
    rate = share(problem, forward, times["ours"], {int(size): times[size] for size in products})
    return {
        "meta_gradient": compared,
        "rate": rate,
        "iteration": whole_iterations(dataset, cores, quick),
        "checks": check_against_xla(problem, forward, versions["straightforward"].flops),
        "parts": time_parts(problem, rate["matrix_product"]["size"], repeats),
    }


@dataclass(frozen=True)
class Problem:
    """A recipe at its start, with one real batch."""

    recipe: Recipe
    distiller: Distiller
    data: TrainingSet
    real: Array
    labels: Array

    @property
    def n_step(self) -> int:
        """Synthetic images of an inner step."""
        return int(self.data.schedule.shape[1])

    @property
    def n_real(self) -> int:
        """Real images of an outer iteration."""
        return len(self.real)

    @property
    def steps(self) -> int:
        """Inner steps, T."""
        return len(self.data.schedule)

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """What is learned."""
        return self.data.images, self.data.labels, self.data.step_sizes


def load(dataset: str, quick: bool) -> Problem:
    """The default recipe's problem; the synthetic images are noise, as the recipe starts them.

    With real images there the implementations need not agree: where a constant background ties in a pooling
    window, each library has a rule of its own for the pixel that the gradient goes to.
    """
    recipe = default_recipe(dataset)
    if quick:
        small = replace(recipe.model, n_layers=1)
        recipe = replace(recipe, model=small, inner=replace(recipe.inner, steps=2))
    splits = split(source(dataset).load(None), n_validation=recipe.n_validation)
    distiller = make_distiller(recipe, splits)
    picked = np.random.default_rng(0).integers(len(splits.train), size=recipe.outer.batch)
    images = splits.train.images[picked]
    if recipe.outer.mirror:
        images[::2] = images[::2, :, ::-1]
    return Problem(
        recipe,
        distiller,
        distiller.training_set(distiller.start().learned),
        splits.normalisation(images),
        jax.nn.one_hot(splits.train.labels[picked], splits.n_classes),
    )


# 1. The meta-gradient against two other versions


@dataclass(frozen=True)
class Version:
    """An implementation of the meta-gradient.

    Args:
        at: computes it for some images, labels and step sizes, and waits for it: the loss, and the gradient by each.
        compile_seconds: of tracing and compiling, where there is such a thing.
        flops: XLA's count of its operations.
        difference: from ours, as `difference` says.
    """

    at: Callable[[tuple[Array, Array, Array]], Any]
    compile_seconds: float | None = None
    flops: float | None = None
    difference: float | None = None


def compile_versions(problem: Problem, threads: int) -> dict[str, Version]:
    """Ours and the others, held equal."""
    import torch
    import torch_lenet

    torch.set_num_threads(threads)
    model, data, distiller = problem.distiller.model, problem.data, problem.distiller
    weights, static = eqx.partition(model, eqx.is_inexact_array)

    def ours(weights: QuantumLeNet, arrays: tuple[Array, ...], real: Array, labels: Array) -> tuple[Array, Any]:
        whole, network = TrainingSet(*arrays, schedule=data.schedule), eqx.combine(weights, static)
        loss, slope = distiller.objective.value_and_gradient(whole, network, distiller.inner, real, labels)
        return loss, (slope.images, slope.labels, slope.step_sizes)

    def compiled(function: Callable[..., Any], weights: Any) -> Version:
        real = (problem.real, problem.labels)
        start = time.perf_counter()
        program = jax.jit(function).lower(weights, problem.arrays, *real).compile()
        seconds = time.perf_counter() - start
        flops = program.cost_analysis()["flops"]
        return Version(lambda arrays: jax.block_until_ready(program(weights, arrays, *real)), seconds, flops)

    schedule = data.schedule if problem.recipe.inner.own_images else None
    versions = {
        "ours": compiled(ours, weights),
        "straightforward": compiled(straightforward(model, schedule), named_weights(model)),
    }
    named = {name: np.asarray(value) for name, value in named_weights(model).items()}
    schedule, *real = (np.asarray(array) for array in (data.schedule, problem.real, problem.labels))
    in_torch = torch_lenet.meta_gradient(named, schedule, *real)
    versions["PyTorch"] = Version(lambda arrays: in_torch(tuple(np.asarray(array) for array in arrays)))
    return {name: replace(v, difference=difference(problem, v, versions["ours"])) for name, v in versions.items()}


def difference(problem: Problem, version: Version, reference: Version) -> float:
    """The largest difference of the results, relative to the largest entry of each array.

    The loss has kinks, in its ReLUs and maxima. Where rounding puts two versions on different sides of one, their
    gradients are a jump apart, and both are right. So this is the smallest over three draws of the synthetic images.
    """
    images, *rest = problem.arrays
    draws = [images, normal(*images.shape), -normal(*images.shape)]
    apart = []
    for draw in draws:
        pairs = zip(*(jax.tree.leaves(v.at((draw, *rest))) for v in (version, reference)), strict=True)
        apart.append(max(float(np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b))) for a, b in pairs))
    if not min(apart) <= TOLERANCE:
        raise SystemExit(f"Two versions of the meta-gradient differ by {min(apart):.2g} of the largest entry.")
    return min(apart)


def compare(problem: Problem, versions: Mapping[str, Version], times: Mapping[str, list[float]]) -> dict[str, Any]:
    """Print and return how they compare; times were taken in turn."""
    images = problem.n_real + problem.n_step * problem.steps
    print("\nmeta-gradient    ms (min to max)           images/s  ours is faster by      compile s  difference")
    table = {}
    for name, version in versions.items():
        milliseconds, ratios = Statistic.of(times[name], 1e3), ratio(times[name], times["ours"])
        table[name] = {
            "ms": asdict(milliseconds),
            "iterations_per_second": 1e3 / milliseconds.median,
            "images_per_second": 1e3 * images / milliseconds.median,
            "ratio": asdict(ratios),
            "compile_seconds": version.compile_seconds,
            "relative_difference": version.difference,
        }
        compiling = "" if version.compile_seconds is None else f"{version.compile_seconds:.1f}"
        apart = "" if name == "ours" else f"{version.difference:.1e}"
        print(
            f"{name:16s} {_range(milliseconds, 1):24s} {table[name]['images_per_second']:9.0f}  "
            f"{_range(ratios, 2) if apart else '':22s} {compiling:>9s} {apart:>11s}"
        )
    return table


def share(
    problem: Problem, forward: Mapping[str, float], ours: list[float], products: Mapping[int, list[float]]
) -> dict[str, Any]:
    """Print and return the rate of needed operations over that of the fastest matrix product."""
    size = max(products, key=lambda size: size**3 / statistics.median(products[size]))
    peak = [2 * size**3 / seconds for seconds in products[size]]
    needed, more = (
        meta_operations(forward, problem.n_step, problem.steps, problem.n_real, recomputed=recomputed)
        for recomputed in (False, True)
    )
    total = sum(needed.values())
    rate = [total / seconds for seconds in ours]
    shares, excess = ratio(rate, peak), sum(more.values()) / total
    print(
        f"\nneeded: {total / 1e6:.0f} million operations: "
        + ", ".join(f"{k} {v / total:.1%}" for k, v in needed.items())
    )
    print(
        f"ours: {statistics.median(rate) / 1e9:.1f} of the {statistics.median(peak) / 1e9:.1f} GFLOP/s of a product of "
        f"{size}x{size} matrices: {shares.median:.1%} ({shares.min:.1%} to {shares.max:.1%}); "
        f"with what is recomputed instead of stored, {excess * shares.median:.1%}"
    )
    return {
        "matrix_product": {"size": size, "operations_per_second": asdict(Statistic.of(peak))},
        "needed_operations": needed,
        "with_recomputed": more,
        "operations_per_second": asdict(Statistic.of(rate)),
        "share": asdict(shares),
        "share_with_recomputed": excess * shares.median,
    }


def normal(*shape: int) -> Array:
    """Normal numbers, the same ones each time; JAX's own generator would compile for every shape."""
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


def matrix_product(size: int) -> Callable[[], Array]:
    """A float32 product of two square matrices, compiled."""
    left, right = normal(size, size), normal(size, size)
    product = jax.jit(jnp.matmul).lower(left, right).compile()
    return lambda: jax.block_until_ready(product(left, right))


def straightforward(model: QuantumLeNet, schedule: np.ndarray | None) -> Callable[..., tuple[Array, Any]]:
    """The meta-gradient as one would write it first.

    Args:
        model: gives the circuit.
        schedule: which images each step sees; None where it sees all.
    """
    network = straightforward_network(model)
    names = list(named_weights(model))  # in the order of the step sizes, which a dictionary loses inside jit

    def loss(w: dict[str, Array], images: Array, labels: Array) -> Array:
        return jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(network(w, images)), axis=-1))

    def meta_loss(initial: dict[str, Array], arrays: tuple[Array, ...], real: Array, real_labels: Array) -> Array:
        images, labels, step_sizes = arrays

        def step(w: dict[str, Array], now: tuple[Array, Array | None]) -> tuple[dict[str, Array], None]:
            sizes, picked = now
            seen = (images, labels) if picked is None else (images[picked], labels[picked])
            gradient = jax.grad(loss)(w, *seen)
            by_name = dict(zip(names, jnp.broadcast_to(sizes, (len(names),)), strict=True))
            return {name: w[name] - by_name[name] * gradient[name] for name in w}, None

        picks = None if schedule is None else jnp.asarray(schedule)
        trained, _ = jax.lax.scan(step, initial, (step_sizes, picks))
        return loss(trained, real, real_labels)

    return jax.value_and_grad(meta_loss, argnums=1)


def straightforward_network(
    model: QuantumLeNet, *, with_quantum: bool = True
) -> Callable[[dict[str, Array], Array], Array]:
    """The logits of a batch, as one would write them first."""
    quantum = straightforward_circuit(model)

    def conv_pool(x: Array, kernel: Array, bias: Array, padding: int) -> Array:
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), [(padding, padding)] * 2, dimension_numbers=dimensions)
        return jax.lax.reduce_window(jax.nn.relu(x + bias), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def logits(w: dict[str, Array], images: Array) -> Array:
        x = images
        for name, padding in (("c1", (SIDE - images.shape[1]) // 2), ("c2", 0)):
            x = conv_pool(x, w[f"features.{name}.kernel"], w[f"features.{name}.bias"], padding)
        x = x.reshape(x.shape[0], -1)
        for name in ("f1", "f2"):
            x = jax.nn.relu(x @ w[f"features.{name}.weight"].T + w[f"features.{name}.bias"])
        if with_quantum:
            values = jax.vmap(lambda features: quantum(w, features))(x)
            x = x + jnp.pad(values, ((0, 0), (0, x.shape[1] - values.shape[1])))
        return x @ w["f3.weight"].T + w["f3.bias"]

    return logits


def straightforward_circuit(model: QuantumLeNet) -> Callable[[dict[str, Array], Array], Array]:
    """The quantum layer gate by gate, for one feature vector."""
    circuit = model.branch.circuit
    n = circuit.n_wires
    paulis = jnp.asarray(pauli_matrices(1), jnp.complex64)

    def rot(phi: Array, theta: Array, omega: Array) -> Array:
        def rz(t: Array) -> Array:
            return jnp.diag(jnp.stack([jnp.exp(-0.5j * t), jnp.exp(0.5j * t)]))

        c, s = jnp.cos(theta / 2), jnp.sin(theta / 2)
        return rz(omega) @ jnp.array([[c, -s], [s, c]]).astype(jnp.complex64) @ rz(phi)

    def on_wires(matrix: Array, state: Array, wires: tuple[int, ...]) -> Array:
        k = len(wires)
        tensor = jnp.tensordot(matrix.reshape((2,) * 2 * k), state, (tuple(range(k, 2 * k)), wires))
        return jnp.moveaxis(tensor, range(k), wires)

    def values(w: dict[str, Array], features: Array) -> Array:
        state = (features / jnp.sqrt(jnp.sum(features**2) + 1e-12)).astype(jnp.complex64).reshape((2,) * n)
        angles = w["branch.weights"].reshape(-1)
        for operation in circuit.operations:
            if operation.gate == "Rot":
                matrix = rot(*(angles[a.index] for a in operation.angles))
            else:
                matrix = jnp.asarray(GATES[operation.gate].matrix(), jnp.complex64)
            state = on_wires(matrix, state, operation.wires)
        measured = []
        for wire in range(n):
            hermitian = jnp.tensordot(w["branch.observable.coefficients"][wire].astype(jnp.complex64), paulis, 1)
            measured.append(jnp.vdot(state, on_wires(hermitian, state, (wire,))).real)
        return jnp.stack(measured)

    return values


# 2. The whole iteration, in processes of its own


def whole_iterations(dataset: str, cores: list[int], quick: bool) -> dict[str, Any]:
    """Iterations of a run alone, on two threads, and of two runs at once, in windows that take turns."""
    two = cores[:2]
    with_cores = {"alone": two[:1]} if len(two) < 2 else {"alone": two[:1], "beside": two[1:], "two threads": two}
    rounds, window = (2, 0.5) if quick else (5, 1.5)
    workers = {name: Worker(dataset, own, quick) for name, own in with_cores.items()}
    try:
        for worker in workers.values():
            worker.expect("ready")
        settings = {"one thread": ["alone"]}
        if len(two) == 2:
            settings |= {"two threads": ["two threads"], "two runs side by side": ["alone", "beside"]}
        rates: dict[str, list[float]] = {name: [] for name in settings}
        for _ in range(rounds):
            for name, members in settings.items():
                rates[name].append(sum(Worker.window([workers[member] for member in members], window)))
    finally:
        for worker in workers.values():
            worker.end()
    print("\nwhole iteration          iterations/s (min to max)    times one thread")
    table: dict[str, Any] = {"cores": len(cores)}
    for name, values in rates.items():
        speed, ratios = Statistic.of(values), ratio(values, rates["one thread"])
        table[name] = {"iterations_per_second": asdict(speed), "ms": 1e3 / speed.median, "ratio": asdict(ratios)}
        print(f"{name:24s} {_range(speed, 2):28s} {'' if name == 'one thread' else _range(ratios, 2)}")
    print(f"one iteration on one thread: {table['one thread']['ms']:.1f} ms")
    if len(two) < 2:
        print("One core at hand, or none that can be pinned to: nothing on two threads, or on two runs side by side.")
    return table


class Worker:
    """A process that iterates when told to, pinned to its cores before JAX starts."""

    def __init__(self, dataset: str, cores: list[int], quick: bool) -> None:
        arguments = [sys.executable, __file__, "--dataset", dataset, "--worker", ",".join(map(str, cores))]
        self.process = subprocess.Popen(
            [*arguments, "--quick"] if quick else arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def expect(self, word: str) -> list[str]:
        """Wait for a line that starts with this word; what follows it."""
        first, *rest = (self.process.stdout.readline() or "nothing").split()
        if first != word:
            raise SystemExit(f"A run in a process of its own said {first!r} where {word!r} was expected.")
        return rest

    @staticmethod
    def window(workers: list[Worker], seconds: float) -> list[float]:
        """Iterations a second of each, all over the same time."""
        start = time.monotonic() + 0.1
        for worker in workers:
            worker.process.stdin.write(f"{start} {seconds}\n")
            worker.process.stdin.flush()
        return [float(worker.expect("rate")[0]) for worker in workers]

    def end(self) -> None:
        """Let it go."""
        self.process.stdin.close()
        self.process.wait()


def work(dataset: str, quick: bool) -> None:
    """What a worker does: iterate in the windows that it reads, as a run iterates."""
    distiller = load(dataset, quick).distiller
    state = distiller.start()
    for _ in range(3):
        state, _ = jax.block_until_ready(distiller.iterate(state))
    print("ready", flush=True)
    for line in sys.stdin:
        start, seconds = map(float, line.split())
        time.sleep(max(0.0, start - time.monotonic()))
        count, now = 0, start
        while now < start + seconds:
            state, _ = jax.block_until_ready(distiller.iterate(state))
            count, now = count + 1, time.monotonic()
        print("rate", count / (now - start), flush=True)


# 3. The operations that the mathematics needs

PASSES: dict[str, tuple[int, int]] = {
    "forward": (1, 1),
    "gradient": (2, 3),
    "product": (4, 6),
    "first product": (3, 4),
    "recomputed": (1, 2),
}
"""How often each pass does a layer's forward operations: in C1, and in any later layer.

Every layer is linear in its weights W, be they a kernel, a matrix or gates, and in its input x: y = W x. (A density
matrix is quadratic in the state and takes the same multiples.) A derivative by y is written y', the tangent of y along
the change V of the weights is written ty.

gradient  y = W x; by the weights, y' x^T; by the input, x' = W^T y'. C1 needs no x': an inner step differentiates by
          the weights, and the real images are not learned.
product   of a step's gradient with V, differentiated; this is the derivative of <loss gradient, V>, where y" is the
          derivative of that by y, and y' the one by ty. ty = V x + W tx is two; by the weights, y" x^T + y' tx^T is
          two; by the input, x" = W^T y" + V^T y' is two. Activations and y' are those of the gradient, stored. In C1
          tx is zero, so that the first two are one each; x" is needed, for the synthetic images are learned.
first product
          that of the first step: the initial weights are not learned, so nothing is differentiated by them.
recomputed
          y and x', where the product computes them again instead of storing them; in C1, y alone. The mathematics does
          not need it, so it counts as no operation of ours.
"""


def forward_operations(model: QuantumLeNet, image_shape: tuple[int, ...]) -> dict[str, float]:
    """Floating-point operations of one image's forward pass, part by part: twice the multiply-adds.

    C1, C2     (taps inside the image of all positions, rows times columns) x channels in x channels out. The zeros
               around a padded image are not multiplied, nor any zeros of another form of the convolution.
    F1, F2, F3 inputs x outputs.
    quantum    every Rot, a complex 2x2 matrix, on 2^n complex amplitudes: 2 x 2^n complex multiply-adds, each of four
               real ones; CNOTs only move amplitudes. A Hermitian on a wire needs the wire's density matrix: two
               populations of 2^n real multiply-adds each, in all, and a coherence of 2^n / 2 complex ones, 4 x 2^n.

    Biases, ReLU, pooling, softmax, the norm of the embedding, the entries of a gate, and the update of the weights are
    left out.
    """
    convolutions = {}
    padding = (SIDE - image_shape[0]) // 2
    side = image_shape[0]
    for name, layer in (("C1", model.features.c1), ("C2", model.features.c2)):
        size, _, n_in, n_out = layer.kernel.shape
        positions = range(-padding, side + padding - size + 1)
        taps = sum(min(first + size, side) - max(first, 0) for first in positions)
        convolutions[name] = 2.0 * taps**2 * n_in * n_out
        side, padding = len(positions) // 2, 0
    dense = {"F1": model.features.f1, "F2": model.features.f2, "F3": model.f3}
    circuit = model.branch.circuit
    n_rots = sum(operation.gate == "Rot" for operation in circuit.operations)
    quantum = (8 * n_rots + 4 * model.branch.n_outputs) * 2**circuit.n_wires
    return convolutions | {name: 2.0 * layer.weight.size for name, layer in dense.items()} | {"quantum": 2.0 * quantum}


def times_forward(forward: Mapping[str, float], counts: Mapping[str, float]) -> dict[str, float]:
    """Operations by part, of so many images in each of some passes."""
    return {
        part: one * sum(n * PASSES[name][part != "C1"] for name, n in counts.items()) for part, one in forward.items()
    }


def meta_operations(
    forward: Mapping[str, float], n_step: int, steps: int, n_real: int, *, recomputed: bool = False
) -> dict[str, float]:
    """Operations by part of one meta-gradient."""
    counts = {
        "gradient": n_real + steps * n_step,
        "product": (steps - 1) * n_step,
        "first product": n_step,
        "recomputed": steps * n_step if recomputed else 0,
    }
    return times_forward(forward, counts)


def check_against_xla(
    problem: Problem, forward: Mapping[str, float], straightforward_flops: float
) -> dict[str, dict[str, float]]:
    """The formulas over XLA's own count, on programs that do just what the formulas say.

    XLA counts a complex operation as one, the body of a loop once, and elementwise operations too. Its count is that of
    the compiled program, but for the quantum layer gate by gate, which takes long to compile.
    """
    model = problem.distiller.model
    weights, images, labels = named_weights(model), problem.real[:SLICE], problem.labels[:SLICE]
    few = problem.n_step
    network, circuit = straightforward_network(model, with_quantum=False), straightforward_circuit(model)
    classical = {part: one for part, one in forward.items() if part != "quantum"}
    features = normal(SLICE, model.branch.embedding.n_features)

    def loss(w: dict[str, Array], images: Array, labels: Array) -> Array:
        return cross_entropy(network(w, images), labels)

    def product(w: dict[str, Array], images: Array, labels: Array) -> Any:
        def along(w: dict[str, Array], images: Array) -> Array:
            return jax.jvp(lambda w: loss(w, images, labels), (w,), (weights,))[1]

        return jax.grad(along, (0, 1))(w, images)

    def quantum(w: dict[str, Array], features: Array) -> Array:
        return jnp.sum(jax.vmap(lambda x: circuit(w, x))(features) ** 2)

    def counted(function: Callable[..., Any], *arguments: Any, compiled: bool = True) -> float:
        program = jax.jit(function).lower(*arguments)
        return (program.compile() if compiled else program).cost_analysis()["flops"]

    # As it is written there, a CNOT is a complex 4x4 matrix, and a Hermitian is applied and then contracted.
    n, operations = model.branch.circuit.n_wires, model.branch.circuit.operations
    rots, cnots, outputs = (
        2.0 * number * 2**n
        for number in (
            2 * sum(operation.gate == "Rot" for operation in operations),
            4 * sum(operation.gate == "CNOT" for operation in operations),
            3 * model.branch.n_outputs,
        )
    )
    by_gates = {"forward": rots + cnots + outputs, "gradient": 3 * rots + 2 * cnots + 3 * outputs}
    by_gates["product"] = 6 * rots + 2 * cnots + 6 * outputs
    body = times_forward(classical, {"gradient": problem.n_step, "product": problem.n_step})
    whole = sum(body.values()) + problem.n_step * (by_gates["gradient"] + by_gates["product"])
    whole += (
        sum(times_forward(classical, {"gradient": problem.n_real}).values()) + problem.n_real * by_gates["gradient"]
    )

    def classically(**counts: int) -> float:
        return sum(times_forward(classical, counts).values())

    pairs = {
        f"classical layers, forward, {SLICE} images": (
            classically(forward=SLICE),
            counted(loss, weights, images, labels),
        ),
        f"classical layers, gradient, {SLICE} images": (
            classically(gradient=SLICE),
            counted(jax.grad(loss), weights, images, labels),
        ),
        f"classical layers, product, {few} images": (
            classically(product=few, recomputed=few),
            counted(product, weights, problem.real[:few], problem.labels[:few]),
        ),
        f"quantum layer, forward, {SLICE} images": (
            SLICE * by_gates["forward"],
            counted(quantum, weights, features, compiled=False),
        ),
        f"quantum layer, gradient, {SLICE} images": (
            SLICE * by_gates["gradient"],
            counted(jax.grad(quantum, (0, 1)), weights, features, compiled=False),
        ),
        "straightforward meta-gradient, one step": (whole, straightforward_flops),
    }
    print("\noperations, in millions                      formulas       XLA   ratio")
    checks = {}
    for name, (formula, xla) in pairs.items():
        checks[name] = {"formula": formula, "xla": xla, "ratio": formula / xla}
        print(f"{name:42s} {formula / 1e6:10.2f} {xla / 1e6:10.2f} {formula / xla:7.3f}")
    return checks


# 4. Each part alone


@dataclass(frozen=True)
class Case:
    """A part of the network, or the outer optimiser, at work.

    Args:
        part: its name.
        work: gradient, product or update.
        batch: images; the optimiser's are all synthetic ones.
        times: how often an iteration does it.
        operations: needed for it.
        advance: (what changes, what does not) -> what changes, after one more call; each call needs the last one's
            result, so that none can be left out.
        changing: arrays that a call reads and whose derivatives it writes.
        fixed: arrays that a call reads.
    """

    part: str
    work: str
    batch: int
    times: float
    operations: float
    advance: Callable[[Any, Any], Any]
    changing: Any
    fixed: Any

    @property
    def calls(self) -> int:
        """So many that starting the program, some microseconds, does not show."""
        return max(5, min(2000, round(1e8 / self.operations)))

    @property
    def n_bytes(self) -> int:
        """What must be read and written, each array once."""
        changing, fixed = (sum(a.nbytes for a in jax.tree.leaves(tree)) for tree in (self.changing, self.fixed))
        return 2 * changing + fixed

    def repeated(self) -> Callable[[], Any]:
        """All calls in one compiled program."""

        def run(changing: Any, fixed: Any) -> Any:
            return jax.lax.scan(lambda now, _: (self.advance(now, fixed), None), changing, None, length=self.calls)[0]

        compiled = jax.jit(run).lower(self.changing, self.fixed).compile()
        return lambda: jax.block_until_ready(compiled(self.changing, self.fixed))


def part_cases(problem: Problem, batch: int, times: float, passes: Sequence[str]) -> list[Case]:
    """Some passes of every part on so many random images, which an iteration does so many times."""
    model = for_batch(problem.distiller.model, batch)
    forward = forward_operations(model, problem.real.shape[1:])
    features, (_, *sides, channels) = model.features, problem.real.shape
    layers: dict[str, tuple[Any, Callable[[Any, Array], Array]]] = {
        "C1": (features.c1, lambda layer, x: layer(x)),
        "C2": (features.c2, lambda layer, x: layer(x)),
        "F1": (features.f1, lambda layer, x: jax.nn.relu(layer(x.reshape(-1)))),
        "F2": (features.f2, lambda layer, x: jax.nn.relu(layer(x))),
        "quantum": (model.branch, lambda layer, x: x + jnp.pad(layer(x), (0, x.size - layer.n_outputs))),
        "F3": (model.f3, lambda layer, x: layer(x)),
    }
    shape, cases = (*(max(side, SIDE) for side in sides), channels), []
    for name, (layer, act) in layers.items():
        weights, static = eqx.partition(layer, eqx.is_inexact_array)

        def loss(weights: Any, x: Array, target: Array, name=name, static=static, act=act) -> Array:
            y = jax.vmap(lambda one: act(eqx.combine(weights, static), one))(x)
            # Not linear in y: a linear one has no second derivative, and XLA would leave out what the network needs.
            return cross_entropy(y, target) if name == "F3" else jnp.sum(target * y**2)

        x = normal(batch, *shape)
        shape = jax.eval_shape(lambda x, layer=layer, act=act: act(layer, x), x[0]).shape
        target = normal(batch, *shape) / math.prod(shape)
        for work in passes:
            operations = times_forward(forward, {work: batch})[name]
            how = _advance(loss, work, name == "C1", weights, x, target)
            cases.append(Case(name, work, batch, times, operations, *how))
    return cases


def _advance(
    loss: Callable[..., Array], work: str, first: bool, weights: Any, x: Array, target: Array
) -> tuple[Callable[[Any, Any], Any], Any, Any]:
    """A small step along the derivatives that an outer iteration needs of this part: `Case`'s last three."""
    along = jax.tree.map(lambda w: 0.01 * normal(*w.shape), weights)

    def product(weights: Any, x: Array, x_tangent: Array, along: Any, target: Array) -> Array:
        return jax.jvp(lambda w, x: loss(w, x, target), (weights, x), (along, x_tangent))[1]

    def first_product(weights: Any, x: Array, along: Any, target: Array) -> Array:
        return jax.jvp(lambda w: loss(w, x, target), (weights,), (along,))[1]

    scalar, changing, fixed = {
        ("gradient", True): (loss, (weights,), (x, target)),
        ("gradient", False): (loss, (weights, x), (target,)),
        ("product", True): (first_product, (weights, x), (along, target)),
        ("product", False): (product, (weights, x, 0.01 * x), (along, target)),
    }[work, first]

    def advance(changing: Any, fixed: Any) -> Any:
        slopes = jax.grad(scalar, tuple(range(len(changing))))(*changing, *fixed)
        return jax.tree.map(lambda a, slope: a - 1e-6 * slope, changing, slopes)

    return advance, changing, fixed


def bare_case(case: Case, model: QuantumLeNet) -> Case | None:
    """The matrix products alone in the gradient of a part, in its shapes, as far as the part is one.

    What a part falls behind them is patches, pooling and activations; what they fall behind a large product is shape.
    """
    features = model.features
    layers = {
        "C1": features.c1.kernel,
        "C2": features.c2.kernel,
        "F1": features.f1.weight.T,
        "F2": features.f2.weight.T,
    }
    layer, first = (layers | {"F3": model.f3.weight.T}).get(case.part), case.part == "C1"
    if layer is None or case.work != "gradient":
        return None
    matrix = layer.reshape(-1, layer.shape[-1])
    derivatives = PASSES["gradient"][not first]
    rows = round(case.operations / (2 * matrix.size * derivatives))
    x = normal(rows, len(matrix))

    def advance(matrix: Array, x: Array) -> Array:
        y = x @ matrix
        # The barrier makes XLA compute all of a product of which little is used.
        slope, by_x = jax.lax.optimization_barrier((x.T @ y, x[:1] if first else y @ matrix.T))
        return matrix - 1e-9 * (slope + by_x[0, :, None])

    return Case(case.part, "bare", case.batch, case.times, 2.0 * rows * matrix.size * derivatives, advance, matrix, x)


def optimiser_case(problem: Problem) -> Case:
    """Clipping, the outer optimiser's update and the moving average."""
    distiller, learned = problem.distiller, problem.distiller.start().learned
    outer = problem.recipe.outer

    def advance(changing: Any, gradient: Any) -> Any:
        learned, averaged, state = changing
        norm = optax.tree.norm(gradient)
        factor = jnp.where(norm > outer.clip, outer.clip / norm, 1.0)
        updates, state = distiller.optimiser.update(jax.tree.map(lambda g: g * factor, gradient), state, learned)
        learned = optax.apply_updates(learned, updates)
        return learned, optax.incremental_update(learned, averaged, 1.0 - outer.average), state

    numbers = sum(leaf.size for leaf in jax.tree.leaves(learned))
    # Norm 2, clipping 1, Adam's moments 3 and 4, their corrections 2, root, sum, quotient and learning rate 4, the
    # update 1, the average 3.
    operations = 20.0 * numbers
    changing = (learned, learned, distiller.optimiser.init(learned))
    return Case("optimiser", "update", len(learned.images), 1, operations, advance, changing, learned)


def stream(size: int, calls: int) -> Callable[[], Array]:
    """Read and write an array of so many float32 numbers, so many times."""

    def run(x: Array) -> Array:
        return jax.lax.fori_loop(0, calls, lambda _, x: 0.5 * x + 1.0, x)

    x = jnp.ones(size)
    compiled = jax.jit(run).lower(x).compile()
    return lambda: jax.block_until_ready(compiled(x))


def time_parts(problem: Problem, size: int, repeats: int) -> dict[str, Any]:
    """Each part alone, in turn, with its roofline.

    Args:
        problem: gives the network.
        size: of the matrix product to compare with.
        repeats: samples of each.
    """
    cases = part_cases(problem, problem.n_step, problem.steps, ("gradient", "product"))
    cases += [*part_cases(problem, SLICE, problem.n_real / SLICE, ("gradient",)), optimiser_case(problem)]
    bares = [bare_case(case, problem.distiller.model) for case in cases]
    streams = {"memory": (2**24, 2), "cache": (2**15, 1000)}
    functions: dict[str, Callable[[], Any]] = {f"part {place}": case.repeated() for place, case in enumerate(cases)}
    functions |= {f"bare {place}": bare.repeated() for place, bare in enumerate(bares) if bare}
    functions |= {"product": matrix_product(size)} | {name: stream(*given) for name, given in streams.items()}
    times = interleaved(functions, repeats)
    bandwidth = {name: 8 * n * calls / statistics.median(times[name]) for name, (n, calls) in streams.items()}
    peak = [2 * size**3 / seconds for seconds in times["product"]]
    rate = statistics.median(peak)

    def share_of_peak(case: Case, seconds: list[float]) -> Statistic:
        return ratio([case.operations * case.calls / t for t in seconds], peak)

    print(
        f"\nmatrix product {rate / 1e9:.1f} GFLOP/s; read and write {bandwidth['memory'] / 1e9:.1f} GB/s in memory, "
        f"{bandwidth['cache'] / 1e9:.0f} GB/s in the cache"
    )
    print("part      pass     images        ms  in all  million op  share   bare product  op/byte  roof: memory  cache")
    rows = []
    for place, (case, bare) in enumerate(zip(cases, bares, strict=True)):
        milliseconds = Statistic.of(times[f"part {place}"], 1e3 / case.calls)
        shares, intensity = share_of_peak(case, times[f"part {place}"]), case.operations / case.n_bytes
        bare_shares = share_of_peak(bare, times[f"bare {place}"]) if bare else None
        roof = {name: min(1.0, intensity * width / rate) for name, width in bandwidth.items()}
        rows.append(
            {
                "part": case.part,
                "pass": case.work,
                "images": case.batch,
                "ms": asdict(milliseconds),
                "ms_in_an_iteration": case.times * milliseconds.median,
                "needed_operations": case.operations,
                "operations_per_second": 1e3 * case.operations / milliseconds.median,
                "share": shares.median,
                "bare_product_share": bare_shares and bare_shares.median,
                "operations_per_byte": intensity,
                "roof": roof,
            }
        )
        print(
            f"{case.part:9s} {case.work:8s} {case.batch:6d} {milliseconds.median:9.4f} "
            f"{case.times * milliseconds.median:7.2f} {case.operations / 1e6:11.3f} {shares.median:6.1%} "
            f"{f'{bare_shares.median:.1%}' if bare_shares else '':>14s} {intensity:8.1f} "
            f"{roof['memory']:13.0%} {roof['cache']:6.0%}"
        )
    print(f"together {sum(row['ms_in_an_iteration'] for row in rows):.1f} ms of an iteration")
    return {"matrix_product": rate, "bytes_per_second": bandwidth, "rows": rows}


def _range(values: Statistic, digits: int) -> str:
    return f"{values.median:.{digits}f} ({values.min:.{digits}f} to {values.max:.{digits}f})"


if __name__ == "__main__":
    main()
