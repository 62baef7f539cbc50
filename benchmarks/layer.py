"""The quantum layer against other simulators: the same layer, the same numbers, called in turn.

    python benchmarks/layer.py [--threads 1] [--json FILE] [--quick] [--minutes 8.5]

measures ours, in the form that the layer chooses itself, against each implementation in `peers.py`: value, gradient and
Hessian-vector product (`peers.py` defines them) at 6 wires with 10 and 1,024 inputs; the meta-gradient of the layer
alone, through 20 unrolled gradient steps on 10 synthetic inputs (learned inputs, labels and step sizes) to a
cross-entropy on 1,024 inputs; then the gradient at 4, 8, 10, 12 and 14 wires. All have 4 strongly entangling layers
and a Hermitian a wire. An outcome is first held equal to ours, to 2e-4 of its largest entry (the meta-gradient to
1e-3, DeepQuantum to 2e-3: its own rounding is larger). Prints run times, compile times (tracing included), temporary
memory and the ratio to ours, or why a cell was left out: too much memory, too slow to run or to compile, or no time
left.

    python benchmarks/layer.py --wires 12 14 --minutes 20 --longest-compile 120

compares gradients at those numbers of wires only, with more patience than `make bench` has: PennyLane's program for 14
wires takes half a minute to compile.

    python benchmarks/layer.py --forms [WIRES]

compares our own three forms instead, at several batches.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import timing
from peers import (
    PEERS,
    Implementation,
    InJax,
    Kind,
    NotOfferedError,
    Outcome,
    Outputs,
    Parameters,
    Prepared,
    Problem,
    compile_program,
)
from timing import Statistic

if TYPE_CHECKING:
    import jax

    from qdistill.quantum import QuantumLayer

OURS = "qdistill"
KINDS: tuple[Kind, ...] = get_args(Kind)
BATCHES = (10, 1024)
WIRES = (4, 8, 10, 12, 14)
STEPS, SYNTHETIC, REAL = 20, 10, 1024

LONGEST_CALL = 20.0
"""Seconds; what smaller cells predict to take longer is left out."""

SAMPLING = 1.5
"""Seconds spent on the samples of one pair, where that gives a number of pairs within `PAIRS`."""

PAIRS = (3, 25)
SLOW, SLOWEST = 1.0, 5.0
"""Seconds a call from which on two pairs must do, or one, and without a warm-up beyond the first run."""


@dataclass(frozen=True)
class Cell:
    """One implementation at one size: what was measured, or why nothing was."""

    implementation: str
    wires: int
    batch: int
    kind: str
    milliseconds: Statistic | None = None
    ratio_to_ours: Statistic | None = None
    samples: int = 0
    compile_seconds: float | None = None
    temporary_megabytes: float | None = None
    difference: float | None = None
    note: str = ""
    skipped: str = ""


class LeftOutError(Exception):
    """A cell is not measured; the message says why."""


class Comparison:
    """The cells measured so far, and what they say of the next ones.

    Args:
        deadline: of `time.monotonic`; no cell is begun that is predicted to end later.
        pairs: the least and the most samples of a pair.
        longest_compile: seconds; what smaller cells predict to take longer is left out.
    """

    def __init__(self, deadline: float, pairs: tuple[int, int] = PAIRS, *, longest_compile: float = 25.0) -> None:
        self.deadline = deadline
        self.longest_compile = longest_compile
        self.pairs = pairs
        self.memory = timing.memory_bytes() / 3  # arguments, and what allocators hold in reserve, come on top
        self.cells: list[Cell] = []

    def compare(
        self,
        size: tuple[int, int, str],
        candidates: dict[str, Callable[[], Prepared]],
        tolerance: float = 2e-4,
    ) -> None:
        """Time the first candidate, ours, against each other one, pair by pair.

        Args:
            size: wires, inputs and kind.
            candidates: prepare the implementations.
            tolerance: largest difference from ours, relative to an array's largest entry.
        """
        (name, prepare), *others = candidates.items()
        try:
            ours = self._prepare((name, *size), prepare)
            expected, _ = _first_run(ours)
        except LeftOutError as reason:
            for candidate in candidates:
                self._add(Cell(candidate, *size, skipped=str(reason)))
            return
        own_samples: list[float] = []
        for other, prepare in others:
            try:
                theirs = self._prepare((other, *size), prepare)
            except LeftOutError as reason:
                self._add(Cell(other, *size, skipped=str(reason)))
                continue
            outcome, seconds = _first_run(theirs)
            difference = largest_difference(outcome, expected)
            if not difference <= max(tolerance, theirs.rounding):
                raise SystemExit(f"{other} differs from {name} by {difference:.2g} at {size}.")
            samples = self._interleave(ours, theirs, seconds)
            own_samples += samples[0]
            self._add(_cell((other, *size), theirs, samples[1], timing.ratio(samples[1], samples[0]), difference))
        if not own_samples:
            own_samples = timing.interleaved({name: ours.run}, self.pairs[0])[name]
        self._add(_cell((name, *size), ours, own_samples))

    def _prepare(self, key: tuple[str, int, int, str], prepare: Callable[[], Prepared]) -> Prepared:
        """Prepare what is predicted to fit into time and memory."""
        self._predict(*key)
        try:
            prepared = prepare()
        except NotOfferedError as reason:
            raise LeftOutError(str(reason)) from reason
        except ImportError as reason:
            raise LeftOutError("not installed") from reason
        self._check_memory(prepared.temporary_bytes or 0)
        return prepared

    def _predict(self, name: str, wires: int, batch: int, kind: str) -> None:
        """Scale up smaller cells: states and gates by wires, inputs one by one, a program by its gates.

        What a small cell spends on anything else is scaled up too, so the lowest prediction is the best.
        """
        known = [
            cell
            for cell in self.cells
            if (cell.implementation, cell.kind) == (name, kind)
            and cell.milliseconds
            and cell.wires <= wires
            and cell.batch <= batch
        ]
        run = compiling = memory = 0.0
        if known:
            growth = [2 ** (wires - cell.wires) * wires / cell.wires * batch / cell.batch for cell in known]
            run = min(g * cell.milliseconds.median / 1e3 for g, cell in zip(growth, known, strict=True))
            memory = min(g * (cell.temporary_megabytes or 0.0) * 1e6 for g, cell in zip(growth, known, strict=True))
            compiling = min((cell.compile_seconds or 0.0) * (wires / cell.wires) ** 2 for cell in known)
        if run > LONGEST_CALL:
            raise LeftOutError(f"about {run:.0f} s a call, as smaller cells predict")
        if compiling > self.longest_compile:
            raise LeftOutError(f"about {compiling:.0f} s to compile, as smaller cells predict")
        self._check_memory(memory)
        if time.monotonic() + compiling + max(SAMPLING, 3 * run) > self.deadline:
            raise LeftOutError("no time left")

    def _check_memory(self, needed: float) -> None:
        if needed > self.memory:
            allowed = self.memory / 2**30
            raise LeftOutError(f"{needed / 2**30:.1f} GiB of temporary memory, of {allowed:.1f} GiB allowed")

    def _interleave(self, ours: Prepared, theirs: Prepared, seconds: float) -> tuple[list[float], list[float]]:
        least, most = self.pairs
        slow = seconds > SLOW
        if slow:
            repeats = 1 if seconds > SLOWEST else 2
        else:
            sample = timing.calls_in_sample(seconds) * seconds
            repeats = min(most, max(least, int(SAMPLING / (sample + timing.SHORTEST_SAMPLE))))
        samples = timing.interleaved(
            {"ours": ours.run, "theirs": theirs.run}, repeats, known={"theirs": seconds} if slow else None
        )
        return samples["ours"], samples["theirs"]

    def _add(self, cell: Cell) -> None:
        self.cells.append(cell)
        print(_line(cell), file=sys.stderr, flush=True)


def _first_run(prepared: Prepared) -> tuple[Outcome, float]:
    start = time.perf_counter()
    outcome = prepared.run()
    return outcome, time.perf_counter() - start


def _cell(
    key: tuple[str, int, int, str],
    prepared: Prepared,
    samples: list[float],
    ratio: Statistic | None = None,
    difference: float | None = None,
) -> Cell:
    temporary = prepared.temporary_bytes
    return Cell(
        *key,
        milliseconds=Statistic.of(samples, 1e3),
        ratio_to_ours=ratio,
        samples=len(samples),
        compile_seconds=prepared.compile_seconds,
        temporary_megabytes=None if temporary is None else temporary / 1e6,
        difference=difference,
        note=prepared.note,
    )


def largest_difference(outcome: Outcome, expected: Outcome) -> float:
    """Of all arrays that the outcome has, relative to each one's largest entry."""
    differences = [
        np.max(np.abs(np.asarray(array) - np.asarray(expected[name]))) / np.max(np.abs(np.asarray(expected[name])))
        for name, array in outcome.items()
    ]
    return float(max(differences)) if all(np.isfinite(differences)) else math.inf


def quantum_layer(parameters: Parameters) -> QuantumLayer:
    """Ours with these angles and coefficients."""
    from qdistill.quantum import AmplitudeEmbedding, Hermitian, QuantumLayer, StronglyEntangling, each_wire

    angles, coefficients = parameters
    n_layers, n_wires, _ = angles.shape
    circuit = StronglyEntangling(n_wires, n_layers).circuit()
    return QuantumLayer(AmplitudeEmbedding(n_wires), circuit, angles, Hermitian(coefficients, each_wire(n_wires)))


def ours(form: str | None = None) -> Implementation:
    """Ours, in one form, or in the one that the layer chooses for the batch."""

    def build() -> Outputs:
        import jax

        from qdistill.quantum import for_batch
        from qdistill.quantum.layer import evaluate_in_form

        def outputs(parameters: Parameters, features: jax.Array) -> jax.Array:
            layer = for_batch(quantum_layer(parameters), len(features))
            if form is None:
                return jax.vmap(layer)(features)
            return jax.vmap(lambda x: evaluate_in_form(layer, x, form))(features)

        return outputs

    def describe(problem: Problem) -> str:
        from qdistill.quantum import for_batch

        layer = quantum_layer((problem.angles, problem.coefficients))
        return f"form: {form or for_batch(layer, len(problem.features)).form}"

    return InJax(build, describe)


def compare_layers(comparison: Comparison, wires: int, batch: int, kinds: tuple[Kind, ...]) -> None:
    """Ours against every peer at one size."""
    _compare_all(comparison, {OURS: ours(), **PEERS}, Problem.draw(wires, batch), kinds)


def compare_forms(comparison: Comparison, wires: int) -> None:
    """The chosen form against all three."""
    forms = {"chosen": ours()} | {form: ours(form) for form in ("states", "unitary", "heisenberg")}
    for batch in (10, 64, 256, 1024):
        _compare_all(comparison, forms, Problem.draw(wires, batch), KINDS)


def _compare_all(
    comparison: Comparison, implementations: dict[str, Implementation], problem: Problem, kinds: tuple[Kind, ...]
) -> None:
    batch, wires = len(problem.features), problem.angles.shape[1]
    for kind in kinds:
        candidates = {name: partial(one.prepare, problem, kind) for name, one in implementations.items()}
        comparison.compare((wires, batch, kind), candidates)


def compare_meta_gradients(comparison: Comparison, wires: int = 6) -> None:
    """The meta-gradient of the layer alone: ours through our inner loop, the others by JAX through a scan."""
    import jax

    drawn = Problem.draw(wires, SYNTHETIC + REAL)
    labels = np.eye(wires, dtype=np.float32)[np.arange(SYNTHETIC + REAL) % wires]
    arguments = (
        (drawn.features[:SYNTHETIC], labels[:SYNTHETIC], np.full(STEPS, 0.02, np.float32)),
        (drawn.angles, drawn.coefficients),
        (drawn.features[SYNTHETIC:], labels[SYNTHETIC:]),
    )

    def meta_gradient(loss: Callable[..., jax.Array]) -> Callable[..., Outcome]:
        def program(learned: tuple, parameters: Parameters, real: tuple) -> Outcome:
            value, slopes = jax.value_and_grad(loss)(learned, parameters, real)
            return {"loss": value, **dict(zip(("inputs", "labels", "step sizes"), slopes, strict=True))}

        return program

    candidates = {OURS: lambda: compile_program(meta_gradient(distilled_loss), *arguments)}
    candidates |= {
        name: lambda peer=peer: compile_program(meta_gradient(scanned_loss(peer.build())), *arguments)
        for name, peer in PEERS.items()
        if isinstance(peer, InJax)
    }
    comparison.compare((wires, REAL, "meta-gradient"), candidates, tolerance=1e-3)


def distilled_loss(learned: tuple, parameters: Parameters, real: tuple) -> jax.Array:
    """The loss after training, through `qdistill.distill.inner.train`."""
    import equinox as eqx

    from qdistill.distill.inner import InnerLoop, train
    from qdistill.distill.losses import cross_entropy
    from qdistill.distill.training_set import TrainingSet
    from qdistill.models import predict

    class Network(eqx.Module):
        layer: QuantumLayer

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.layer(x.reshape(-1))

    def as_input(features: jax.Array) -> jax.Array:
        return features[:, None, :, None]

    inputs, labels, step_sizes = learned
    inner = InnerLoop(steps=STEPS, step_sizes="shared")
    data = TrainingSet(as_input(inputs), labels, step_sizes[:, None], inner.schedule(len(inputs)))
    trained = train(Network(quantum_layer(parameters)), data, inner)
    features, real_labels = real
    return cross_entropy(predict(trained, as_input(features)), real_labels)


def scanned_loss(outputs: Outputs) -> Callable[[tuple, Parameters, tuple], jax.Array]:
    """The loss after training, as one would write it first."""
    import jax

    from qdistill.distill.losses import cross_entropy

    def loss(learned: tuple, parameters: Parameters, real: tuple) -> jax.Array:
        inputs, labels, step_sizes = learned

        def step(weights: Parameters, size: jax.Array) -> tuple[Parameters, None]:
            slopes = jax.grad(lambda w: cross_entropy(outputs(w, inputs), labels))(weights)
            return jax.tree.map(lambda weight, slope: weight - size * slope, weights, slopes), None

        trained, _ = jax.lax.scan(step, parameters, step_sizes)
        features, real_labels = real
        return cross_entropy(outputs(trained, features), real_labels)

    return loss


def _line(cell: Cell) -> str:
    start = f"{cell.wires:2d} {cell.batch:6,d} {cell.kind:13s} {cell.implementation:25s}"
    if cell.milliseconds is None:
        return f"{start} left out: {cell.skipped}"
    time_range = f"{cell.milliseconds.median:10.3f} ({cell.milliseconds.min:.3f} - {cell.milliseconds.max:.3f})"
    ratio = cell.ratio_to_ours
    ratios = "" if ratio is None else f"{ratio.median:.2f} ({ratio.min:.2f} - {ratio.max:.2f})"
    compiling = "" if cell.compile_seconds is None else f"{cell.compile_seconds:.1f}"
    memory = "" if cell.temporary_megabytes is None else f"{cell.temporary_megabytes:.1f}"
    return f"{start} {time_range:36s} {ratios:26s} {compiling:>6s} {memory:>8s}  {cell.note}".rstrip()


def table(cells: list[Cell]) -> str:
    """All cells, a line each."""
    header = (
        f"{'':2s} {'inputs':>6s} {'kind':13s} {'implementation':25s} {'ms: median (min - max)':36s} "
        f"{'times ours':26s} {'comp s':>6s} {'temp MB':>8s}"
    )
    return "\n".join([header, *(_line(cell) for cell in cells)])


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result there instead of printing it below the table")
    parser.add_argument("--minutes", type=float, default=8.5, help="begin nothing that would end later")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="4 wires, few repeats, no meta-gradient")
    parser.add_argument("--longest-compile", type=float, default=25.0, help="seconds; leave out what takes longer")
    mode.add_argument("--wires", type=int, nargs="+", help="gradients at these only")
    mode.add_argument("--forms", type=int, nargs="?", const=6, metavar="WIRES", help="our own forms")
    options = parser.parse_args()
    start = time.monotonic()
    timing.prepare(options.threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # most peers have no GPU
    pairs, longest = (3, 5) if options.quick else PAIRS, options.longest_compile
    comparison = Comparison(start + 60 * options.minutes, pairs, longest_compile=longest)
    if options.forms:
        compare_forms(comparison, options.forms)
    elif options.quick:
        compare_layers(comparison, 4, 10, KINDS)
    else:
        if not options.wires:
            for batch in BATCHES:
                compare_layers(comparison, 6, batch, KINDS)
            compare_meta_gradients(comparison)
        for wires in options.wires or WIRES:
            for batch in BATCHES:
                compare_layers(comparison, wires, batch, ("gradient",))
    result = {
        "machine": timing.machine(),
        "threads": options.threads,
        "seconds": round(time.monotonic() - start, 1),
        "cells": [asdict(cell) for cell in comparison.cells],
    }
    print(table(comparison.cells))
    if options.json:
        timing.write_json(options.json, result)
    else:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
