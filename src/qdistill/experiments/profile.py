"""Where the time of an outer iteration goes: a trace for Perfetto, and a summary by part of the network.

XLA names each operation that it runs, and the compiled program says from which scope of the source
(`jax.named_scope`) that operation came. So the trace's times can be added up by the layer they were spent on,
through every derivative.
"""

from __future__ import annotations

import gzip
import json
import re
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from qdistill.distill.outer import Distiller
from qdistill.distill.outer_state import OuterState
from qdistill.errors import RunError
from qdistill.files import PROFILE, TRACE, write_json, write_whole

PARTS = {
    "c1": "C1 and pooling",
    "c2": "C2 and pooling",
    "dense": "F1, F2 and F3",
    "branch": "quantum layer",
    "outer_optimiser": "outer optimiser",
    "real_batch": "drawing the real batch",
}
"""Scopes of the source, and what they are called in the summary. What is in none of them is the rest."""

REST = "updates, losses and copies"
PHASES = {"inner_training": "training on synthetic examples", "real_inputs": "loss on real inputs"}
"""The two phases that the parts of the network belong to."""


@dataclass(frozen=True)
class Profile:
    """What was measured.

    Args:
        iterations: how many were traced.
        iteration_ms: median wall time of one without the tracing.
        traced_ms: the same with it.
        rows: (part, phase, milliseconds an iteration, operations an iteration), the longest first. Operations that
            ran at the same time on several cores count each.
    """

    iterations: int
    iteration_ms: float
    traced_ms: float
    rows: tuple[tuple[str, str, float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """The profile as plain data."""
        names = ("part", "phase", "ms", "operations")
        return {
            "iterations": self.iterations,
            "iteration_ms": self.iteration_ms,
            "traced_ms": self.traced_ms,
            "rows": [dict(zip(names, row, strict=True)) for row in self.rows],
        }


def profile(distiller: Distiller, state: OuterState, folder: Path, *, iterations: int = 10) -> Profile:
    """Trace some iterations from a state, which itself stays as it is.

    Args:
        distiller: the problem.
        state: where to start from.
        folder: where `profile.json` and `profile.trace.json.gz` go; the trace opens in https://ui.perfetto.dev.
        iterations: how many to trace.

    Raises:
        RunError: the files cannot be written, or the profiler left no trace.
    """

    def seconds() -> float:
        nonlocal state
        started = time.perf_counter()
        state, report = distiller.iterate(state)
        report.loss.block_until_ready()
        return time.perf_counter() - started

    for _ in range(2):  # compiled, and with warm caches
        seconds()
    untraced = [seconds() for _ in range(iterations)]
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python does nothing between two iterations, and its calls would fill the trace
    with tempfile.TemporaryDirectory() as place:
        with jax.profiler.trace(place, create_perfetto_trace=True, profiler_options=options):
            traced = [seconds() for _ in range(iterations)]
        try:
            (trace,) = Path(place).rglob("perfetto_trace.json.gz")
            events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
        except (ValueError, OSError) as error:
            raise RunError(f"JAX's profiler left no trace that can be read: {error}.") from error
        write_whole(folder / TRACE, trace.read_bytes())
    rows = _by_part(events, scopes(distiller.program(state)), iterations)
    result = Profile(iterations, 1e3 * statistics.median(untraced), 1e3 * statistics.median(traced), rows)
    write_json(folder / PROFILE, result.to_json())
    return result


def scopes(program: str) -> dict[str, str]:
    """From which scope each operation of a compiled program came.

    Args:
        program: the text of an optimised HLO module.

    Returns:
        The path of scopes, such as ``jit(f)/while/body/c1/dot_general``, by the operation's name.
    """
    found = re.findall(r'^\s*(?:ROOT )?%?([\w.-]+) = .*?op_name="([^"]*)"', program, flags=re.MULTILINE)
    return dict(found)


def _by_part(
    events: Sequence[Mapping[str, Any]], scope_of: Mapping[str, str], iterations: int
) -> tuple[tuple[str, str, float, float], ...]:
    milliseconds: dict[tuple[str, str], float] = {}
    counts: dict[tuple[str, str], int] = {}
    for event in events:
        name = event.get("args", {}).get("hlo_op")
        # A loop's or call's own event lasts as long as all that runs in it.
        if name is None or name.startswith(("while", "call", "conditional")):
            continue
        path = scope_of.get(name, "").replace("(", "/").replace(")", "/").split("/")
        part = next((PARTS[scope] for scope in path if scope in PARTS), REST)
        phase = next((PHASES[scope] for scope in path if scope in PHASES), "")
        milliseconds[part, phase] = milliseconds.get((part, phase), 0.0) + event.get("dur", 0.0) / 1e3
        counts[part, phase] = counts.get((part, phase), 0) + 1
    rows = [(*key, milliseconds[key] / iterations, counts[key] / iterations) for key in milliseconds]
    return tuple(sorted(rows, key=lambda row: -row[2]))
