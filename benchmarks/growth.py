"""How the cost of an outer iteration grows: with steps T, inputs, qubits, depth of the ansatz, and seeds.

    python benchmarks/growth.py [--json FILE] [--quick]

One thing is varied at a time from the default MNIST recipe (10 inputs, T = 10, 256 real inputs, 6 qubits, 4 layers):

- the meta-gradient's time on one core, its compile time, and the temporary memory of its program;
- for T also under a tight memory budget, and the peak memory of the whole process at T = 30 and T = 300;
- seeds side by side, as `run_seeds` runs them, on all cores (on a GPU: all seeds in one vectorised program);
- how long a second start of the same recipe takes to its first iteration, with the compilation cache.

Every row is measured in a process of its own, so that memory is that row's and nothing is compiled already.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

STEPS = (1, 3, 10, 30, 100, 300)
IMAGES_PER_CLASS = (1, 3, 10)
QUBITS = (4, 6, 8, 10, 12, 14)
LAYERS = (1, 4, 16)
SEEDS = (1, 2, 4)
TIGHT = 16
"""MiB: what 30 steps of the MNIST network just fit into, and 300 do not."""


def main() -> None:
    """Parse, measure each row in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", help="file to write everything to")
    parser.add_argument("--quick", action="store_true", help="two rows of each kind")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        row = json.loads(options.row)
        print(json.dumps(row | _MEASURES[row["measure"]](row)))
        return
    with tempfile.TemporaryDirectory() as cache:
        rows = [measured(row) for row in plan(cache, quick=options.quick)]
    for row in rows:
        print(
            "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{value}" for name, value in row.items()),
            flush=True,
        )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows}, file, indent=1)


def plan(cache: str, *, quick: bool) -> list[dict[str, Any]]:
    """What is measured, in order; `cache` is an empty folder for compiled programs."""

    def some(values: tuple[int, ...]) -> tuple[int, ...]:
        return values[:2] if quick else values

    rows: list[dict[str, Any]] = []
    rows += [{"measure": "meta_gradient", "of": "T", "value": steps} for steps in some(STEPS)]
    rows += [
        {"measure": "meta_gradient", "of": f"T, at most {TIGHT} MiB", "value": steps, "memory_budget": TIGHT * 2**20}
        for steps in some((30, 300))
    ]
    rows += [{"measure": "meta_gradient", "of": "inputs a class", "value": n} for n in some(IMAGES_PER_CLASS)]
    rows += [{"measure": "meta_gradient", "of": "qubits", "value": n} for n in some(QUBITS)]
    rows += [{"measure": "meta_gradient", "of": "layers", "value": n} for n in some(LAYERS)]
    rows += [{"measure": "side_by_side", "of": "seeds", "value": n} for n in some(SEEDS)]
    return [*rows, *({"measure": "start", "of": "start", "value": n, "cache": cache} for n in (1, 2))]


def measured(row: dict[str, Any]) -> dict[str, Any]:
    """Measure one row in a process of its own."""
    arguments = [sys.executable, __file__, "--row", json.dumps(row | {"began": time.time()})]
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "true" if "cache" in row else "false"}
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{row}: {ended.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    print(f"{result['of']} {result['value']}: {result['ms']:.1f} ms", file=sys.stderr)
    return result


def meta_gradient(row: dict[str, Any]) -> dict[str, Any]:
    """Time and memory of the meta-gradient on one core."""
    from timing import prepare

    prepare(1)
    import jax
    import jax.numpy as jnp

    from qdistill.distill.inner import InnerLoop
    from qdistill.distill.objective import PerformanceMatching
    from qdistill.distill.training_set import TrainingSet
    from qdistill.models import QuantumLeNetArchitecture

    value = row["value"]
    of = row["of"].split(",")[0]
    steps, per_class = (value if of == name else usual for name, usual in (("T", 10), ("inputs a class", 1)))
    qubits, layers = (value if of == name else usual for name, usual in (("qubits", 6), ("layers", 4)))
    keys = jax.random.split(jax.random.key(0), 3)
    model = QuantumLeNetArchitecture(n_qubits=qubits, n_layers=layers).build((28, 28, 1), 10, key=keys[0])
    inner = InnerLoop(steps=steps)
    n = 10 * per_class
    arrays = (
        jax.random.normal(keys[1], (n, 28, 28, 1)),
        jax.nn.one_hot(jnp.arange(n) % 10, 10),
        jnp.full((steps, inner.n_step_size_groups(model)), 0.02),
    )
    real, labels = jax.random.normal(keys[2], (256, 28, 28, 1)), jax.nn.one_hot(jnp.arange(256) % 10, 10)
    objective = PerformanceMatching(memory_budget=row.get("memory_budget"))

    def gradient(arrays: tuple, real: jax.Array) -> tuple:
        data = TrainingSet(*arrays, schedule=inner.schedule(n))
        loss, slope = objective.value_and_gradient(data, model, inner, real, labels)
        return loss, (slope.inputs, slope.labels, slope.step_sizes)

    started = time.perf_counter()
    compiled = jax.jit(gradient).lower(arrays, real).compile()
    seconds = time.perf_counter() - started
    times = []
    while len(times) < 4 or (sum(times) < 2.0 and len(times) < 20):
        started = time.perf_counter()
        jax.block_until_ready(compiled(arrays, real))
        times.append(time.perf_counter() - started)
    return {
        "ms": 1e3 * statistics.median(times[1:]),
        "compile_s": seconds,
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "process_mib": _peak_mib(),
    }


def side_by_side(row: dict[str, Any]) -> dict[str, Any]:
    """One outer iteration of several seeds of the default MNIST recipe, on all cores or in one GPU program."""
    import dataclasses

    import jax

    n_seeds = row["value"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jax.config.update("jax_num_cpu_devices", min(cores, n_seeds))

    from problem import plain_recipe

    from qdistill.distill.seeds import SideBySide
    from qdistill.experiments.distillers import make_distillers

    recipe = plain_recipe("mnist")
    splits = recipe.splits()
    recipes = [dataclasses.replace(recipe, seed=seed) for seed in range(n_seeds)]
    distillers = make_distillers(recipes, splits, execution=None)
    program = SideBySide(distillers)
    states = program.join([distiller.start() for distiller in distillers])
    moving = [True] * n_seeds
    started = time.perf_counter()
    states, _ = program.iterate(states, moving)
    seconds = time.perf_counter() - started
    times = []
    for _ in range(12):
        started = time.perf_counter()
        states, _ = program.iterate(states, moving)  # waits for the reports
        times.append(time.perf_counter() - started)
    milliseconds = 1e3 * statistics.median(times[2:])
    return {
        "ms": milliseconds,
        "ms_per_seed": milliseconds / n_seeds,
        "compile_s": seconds,
        "devices": len(jax.devices()),
        "backend": jax.default_backend(),
        "process_mib": _peak_mib(),
    }


def start(row: dict[str, Any]) -> dict[str, Any]:
    """From the start of the process to the end of the first iteration, as `qdistill distill mnist` goes there."""
    from qdistill.cli import main as qdistill
    from qdistill.data.download import cache_folder

    # The data stay where they are; only the compiled programs have a new place.
    os.environ.setdefault("QDISTILL_DATA_DIR", str(cache_folder()))
    os.environ["XDG_CACHE_HOME"] = row["cache"]
    from qdistill.experiments.progress import ProgressDisplay

    seconds: list[float] = []

    def iterated(self: ProgressDisplay, iteration: int, loss: float) -> None:
        seconds.append(time.time() - row["began"])
        raise KeyboardInterrupt

    ProgressDisplay.iterated = iterated  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        qdistill(["distill", "mnist", "--out", f"{folder}/run"])
    return {"ms": 1e3 * seconds[0]}


_MEASURES = {"meta_gradient": meta_gradient, "side_by_side": side_by_side, "start": start}


def _peak_mib() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
