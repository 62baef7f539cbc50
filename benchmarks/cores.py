"""One outer iteration on one core and on two: as a run makes it, in windows that take turns.

    python benchmarks/cores.py [--json FILE] [--quick]

Three recipes: MNIST's default, CIFAR-10's default, and MNIST with a hundred images in every step. Each has a process on
one core and a process on two, each core a device of JAX. A ratio is the median over neighbouring windows. A core that
other programs use stops both, for they wait for each other in every step: the load is printed, and where this may
(root on Linux) the windows are run at real-time priority. Takes about three minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from timing import Statistic, machine, prepare, ratio, write_json

RECIPES = ("mnist", "cifar10", "mnist, 100 images a step")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worker", nargs=2, metavar=("RECIPE", "CORES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker[0], int(options.worker[1]), options.quick)
        return
    sys.stdout.reconfigure(line_buffering=True)
    rounds, seconds = (2, 0.2) if options.quick else (15, 0.5)
    results: dict[str, Any] = {"machine": machine(), "load before": os.getloadavg()[0], "recipes": {}}
    print(f"load {results['load before']:.1f} on {os.cpu_count()} cores\n")
    print("recipe                     one core, ms          two cores, ms         speed-up (min to max)")
    for name in RECIPES[: 1 if options.quick else None]:
        one, two = measure(name, rounds, seconds, options.quick)
        found = {"one": Statistic.of(one), "two": Statistic.of(two), "ratio": ratio(one, two)}
        results["recipes"][name] = {key: asdict(value) for key, value in found.items()}
        print(f"{name:26s} {_range(found['one'], 1):21s} {_range(found['two'], 1):21s} {_range(found['ratio'], 2)}")
    if options.json:
        write_json(options.json, results)


def measure(name: str, rounds: int, seconds: float, quick: bool) -> tuple[list[float], list[float]]:
    """Milliseconds an iteration in each window, on one core and on two."""
    workers = []
    for cores in (1, 2):
        command = [sys.executable, __file__, "--worker", name, str(cores), *(["--quick"] if quick else [])]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        workers.append(worker)
        # One after the other, so that neither compiles while the other does.
        if worker.stdout.readline() != "ready\n":
            raise SystemExit("A process that was to be measured has ended.")
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for worker, own in zip(workers, samples, strict=True):
            worker.stdin.write(f"{seconds}\n")
            worker.stdin.flush()
            own.append(float(worker.stdout.readline()))
    for worker in workers:
        worker.stdin.close()
        worker.wait()
    return samples


def work(name: str, cores: int, quick: bool) -> None:
    """What a process does: iterate in the windows that it is told of, as a run iterates."""
    if prepare(cores) < cores:
        raise SystemExit(f"This needs {cores} cores that a process can be pinned to.")
    from qdistill.distill.cores import Spread
    from qdistill.experiments.defaults import default_recipe
    from qdistill.experiments.devices import make_cores_devices
    from qdistill.experiments.distillers import make_distillers

    make_cores_devices(cores)
    recipe = default_recipe(name.partition(",")[0])
    if "100" in name:
        recipe = replace(recipe, compression=replace(recipe.compression, per_class=10))
    if quick:
        small = replace(recipe.model, n_layers=1)
        recipe = replace(recipe, model=small, inner=replace(recipe.inner, steps=2))
    import jax

    mesh = Spread(training=cores).mesh(jax.devices()) if cores > 1 else None
    (distiller,) = make_distillers([recipe], recipe.splits(), execution=None, mesh=mesh)
    state = distiller.start()
    for _ in range(5):
        state, report = distiller.iterate(state)
    float(report.loss)
    print("ready", flush=True)
    for line in sys.stdin:
        with undisturbed():
            start, count = time.perf_counter(), 0
            while (now := time.perf_counter()) < start + float(line):
                state, report = distiller.iterate(state)
                # As a run does, which shows the loss.
                float(report.loss)
                count += 1
        print(1e3 * (now - start) / count, flush=True)


@contextlib.contextmanager
def undisturbed() -> Any:
    """All threads of this process at real-time priority, where that is possible and allowed."""
    _set_priority(getattr(os, "SCHED_RR", None), 1)
    try:
        yield
    finally:
        _set_priority(getattr(os, "SCHED_OTHER", None), 0)


def _set_priority(policy: int | None, priority: int) -> None:
    if policy is None:
        return
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(int(thread), policy, os.sched_param(priority))


def _range(values: Statistic, digits: int) -> str:
    return f"{values.median:.{digits}f} ({values.min:.{digits}f} to {values.max:.{digits}f})"


if __name__ == "__main__":
    main()
