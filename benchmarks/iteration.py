"""One outer iteration, with plain gradient steps: against what one would write instead, and against the machine.

1. The meta-gradient of a dataset's default recipe, against the straightforward JAX version (`straightforward.py`), and
   against PyTorch, as one would write it and tuned (`torch_lenet.py`). Same weights, same inputs; the results must
   agree to 1e-3 of the largest entry.
2. The whole iteration as a run makes it, with its batch and the outer optimiser: on one thread, on two, and two runs
   side by side on two cores.
3. The share of the machine: the operations that the mathematics needs (`operations.py`), held
   against XLA's own count, per second, over the rate of a float32 matrix product in the same rounds; then the same for
   each part alone, with its roofline (`parts.py`).

    python benchmarks/iteration.py [--dataset mnist|cifar10] [--threads 1] [--json FILE] [--quick]

takes five to six minutes for both datasets. `--quick` is a smoke test: two inner steps, one entangling layer, few
repeats, one dataset. The data are found as by `qdistill distill`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import Array
from operations import check_against_xla, forward_operations, meta_operations
from parts import matrix_product, time_parts
from problem import Problem, load, normal
from straightforward import straightforward
from timing import Statistic, interleaved, machine, prepare, ratio, write_json

from qdistill.distill.training_set import TrainingSet
from qdistill.models import named_weights
from qdistill.models.quantum_lenet import QuantumLeNet

DATASETS = ("mnist", "cifar10")
TOLERANCE = 1e-3


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
    print(f"\n{dataset}: {problem.steps} steps on {problem.n_step} inputs, {problem.n_real} real inputs")
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
class Version:
    """An implementation of the meta-gradient.

    Args:
        at: computes it for some inputs, labels and step sizes, and waits for it: the loss, and the gradient by each.
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
        return loss, (slope.inputs, slope.labels, slope.step_sizes)

    def compiled(function: Callable[..., Any], weights: Any) -> Version:
        real = (problem.real, problem.labels)
        start = time.perf_counter()
        program = jax.jit(function).lower(weights, problem.arrays, *real).compile()
        seconds = time.perf_counter() - start
        flops = program.cost_analysis()["flops"]
        return Version(lambda arrays: jax.block_until_ready(program(weights, arrays, *real)), seconds, flops)

    schedule = data.schedule if problem.recipe.inner.own_examples else None
    versions = {
        "ours": compiled(ours, weights),
        "straightforward": compiled(straightforward(model, schedule), named_weights(model)),
    }
    named = {name: np.asarray(value) for name, value in named_weights(model).items()}
    schedule, *real = (np.asarray(array) for array in (data.schedule, problem.real, problem.labels))
    for name, tuned in (("PyTorch", False), ("PyTorch, tuned", True)):
        in_torch = torch_lenet.meta_gradient(named, schedule, *real, tuned=tuned)
        versions[name] = Version(lambda arrays, at=in_torch: at(tuple(np.asarray(array) for array in arrays)))
    return {name: replace(v, difference=difference(problem, v, versions["ours"])) for name, v in versions.items()}


def difference(problem: Problem, version: Version, reference: Version) -> float:
    """The largest difference of the results, relative to the largest entry of each array.

    The loss has kinks, in its ReLUs and maxima. Where rounding puts two versions on different sides of one, their
    gradients are a jump apart, and both are right. So this is the smallest over three draws of the synthetic examples.
    """
    inputs, *rest = problem.arrays
    draws = [inputs, normal(*inputs.shape), -normal(*inputs.shape)]
    apart = []
    for draw in draws:
        pairs = zip(*(jax.tree.leaves(v.at((draw, *rest))) for v in (version, reference)), strict=True)
        apart.append(max(float(np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b))) for a, b in pairs))
    if not min(apart) <= TOLERANCE:
        raise SystemExit(f"Two versions of the meta-gradient differ by {min(apart):.2g} of the largest entry.")
    return min(apart)


def compare(problem: Problem, versions: Mapping[str, Version], times: Mapping[str, list[float]]) -> dict[str, Any]:
    """Print and return how they compare; times were taken in turn."""
    inputs = problem.n_real + problem.n_step * problem.steps
    print("\nmeta-gradient    ms (min to max)           inputs/s  ours is faster by      compile s  difference")
    table = {}
    for name, version in versions.items():
        milliseconds, ratios = Statistic.of(times[name], 1e3), ratio(times[name], times["ours"])
        table[name] = {
            "ms": asdict(milliseconds),
            "iterations_per_second": 1e3 / milliseconds.median,
            "inputs_per_second": 1e3 * inputs / milliseconds.median,
            "ratio": asdict(ratios),
            "compile_seconds": version.compile_seconds,
            "relative_difference": version.difference,
        }
        compiling = "" if version.compile_seconds is None else f"{version.compile_seconds:.1f}"
        apart = "" if name == "ours" else f"{version.difference:.1e}"
        print(
            f"{name:16s} {_range(milliseconds, 1):24s} {table[name]['inputs_per_second']:9.0f}  "
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


def _range(values: Statistic, digits: int) -> str:
    return f"{values.median:.{digits}f} ({values.min:.{digits}f} to {values.max:.{digits}f})"


if __name__ == "__main__":
    main()
