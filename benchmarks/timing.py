"""What every benchmark here shares: pinned cores, interleaved timing, medians with their spread, the machine.

Two functions are compared by sampling them in turn, A B A B ..., so that whatever else the machine does falls on
both. A ratio is the median of the ratios of neighbouring samples, never a ratio of two medians.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHORTEST_SAMPLE, FEWEST_CALLS, SLOW = 0.03, 3, 0.5
"""A sample takes so many seconds, and so many calls, at least: a training calls a function again and again, so that its
data are in the cache, where the first call after another function's may find none of them. A call of `SLOW` seconds is
a sample by itself."""

PACKAGES = (
    "numpy",
    "jax",
    "jaxlib",
    "equinox",
    "pennylane",
    "pennylane-lightning",
    "tensorcircuit-ng",
    "torch",
    "deepquantum",
    "qiskit",
    "qiskit-aer",
)


@dataclass(frozen=True)
class Statistic:
    """A median and the range that it comes from."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, samples: Sequence[float], scale: float = 1.0) -> Statistic:
        """Of at least one sample, each times `scale`."""
        return cls(scale * statistics.median(samples), scale * min(samples), scale * max(samples))


def prepare(threads: int) -> int:
    """Pin this process to its first `threads` cores; to be called before JAX or PyTorch is imported.

    JAX sizes its thread pool by the cores it may use. Its persistent compilation cache is turned off, so that
    a compile time is that of a first start.

    Returns:
        How many cores the process is pinned to; 0 where the system cannot pin, and XLA then takes all of them.
    """
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if not hasattr(os, "sched_setaffinity"):
        return 0
    cores = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(0, cores)
    return len(cores)


def interleaved(
    functions: dict[str, Callable[[], object]], repeats: int, *, known: dict[str, float] | None = None
) -> dict[str, list[float]]:
    """Seconds a call of each function, sampled in turn.

    Args:
        functions: each must return only when its work is done.
        repeats: samples of each function.
        known: seconds a call of functions that have run already. All others are called twice before: to warm up,
            and to see how often they must be repeated within a sample.
    """
    calls = {}
    for name, function in functions.items():
        seconds = (known or {}).get(name)
        if seconds is None:
            function()
            start = time.perf_counter()
            function()
            seconds = time.perf_counter() - start
        calls[name] = calls_in_sample(seconds)
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                function()
            samples[name].append((time.perf_counter() - start) / calls[name])
    return samples


def calls_in_sample(seconds: float) -> int:
    """How often a function is called in one sample.

    Args:
        seconds: what a call takes.
    """
    return 1 if seconds > SLOW else max(FEWEST_CALLS, round(SHORTEST_SAMPLE / seconds))


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Statistic:
    """Of samples taken in turn, pair by pair."""
    return Statistic.of([a / b for a, b in zip(numerator, denominator, strict=True)])


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, Python, and the versions of what is installed of `PACKAGES`."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores used": usable,
        "memory GiB": round(memory_bytes() / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write a result so that it can be read by people too."""
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
