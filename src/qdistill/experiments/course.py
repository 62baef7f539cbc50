"""One seed's run from its checkpoint to its end: the loop over its iterations, and what it writes on its way."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

import qdistill
from qdistill.data import Splits
from qdistill.distill.bundle import DistilledDataset, Record
from qdistill.distill.inner import fraction
from qdistill.distill.outer import Distiller, IterationReport, Learned, OuterState, Validation
from qdistill.distill.seeds import SideBySide
from qdistill.errors import ArgumentError, BundleError, RunError
from qdistill.evaluate.protocol import measure
from qdistill.experiments.checkpoint import load_checkpoint, save_checkpoint
from qdistill.experiments.recipe import Recipe
from qdistill.files import (
    BUNDLE,
    CHECKPOINT,
    METRICS,
    SCORES,
    TIME,
    read_json,
    read_json_lines,
    write_json,
    write_text,
)
from qdistill.models import named_weights
from qdistill.quantum import ideal

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy")


@dataclass(frozen=True)
class Report:
    """One line of `metrics.jsonl`.

    Args:
        iteration: iterations done.
        loss: mean meta-objective over the accepted iterations since the last line.
        gradient_norm: mean norm of the meta-gradient over the same.
        validation_accuracy: of a network trained on the averaged images, a fraction.
        validation_loss: its mean cross-entropy.
        coefficient_norm: the norm of the coefficients of all its Hermitians; None without Hermitians.
        best_validation_accuracy: the highest so far.
        rejected: rejected iterations so far.
        step_sizes: of the averaged data, one row a step.
    """

    iteration: int
    loss: float | None
    gradient_norm: float | None
    validation_accuracy: float
    validation_loss: float
    coefficient_norm: float | None
    best_validation_accuracy: float
    rejected: int
    step_sizes: list[list[float]]


@runtime_checkable
class Observer(Protocol):
    """What watches a run, such as a progress display; where seeds run side by side, all of them at once."""

    def begin(self, recipe: Recipe, iteration: int, n_seeds: int) -> None:
        """The run begins, or goes on, at this iteration."""
        ...

    def iterated(self, iteration: int, loss: float) -> None:
        """An iteration ended; the loss is the mean over the seeds."""
        ...

    def reported(self, reports: Sequence[Report]) -> None:
        """A line of metrics was written for each seed that is still going."""
        ...

    def end(self, message: str) -> None:
        """The run ended."""
        ...


class Course:
    """One seed on its way: its folder, its problem, and where it stands.

    Args:
        recipe: what it follows.
        folder: its run folder.
        distiller: its problem.
        n_courses: how many there are, itself among them: they share the process's time equally.
    """

    def __init__(self, recipe: Recipe, folder: Path, distiller: Distiller, n_courses: int = 1) -> None:
        self.recipe, self.folder, self.distiller = recipe, folder, distiller
        self._share, self._started = 1 / n_courses, _now()
        self._earlier = dict.fromkeys(self._started, 0.0)
        if (folder / TIME).exists():
            self._earlier |= read_json(folder / TIME)
        self.state = distiller.start()
        if (folder / CHECKPOINT).exists():
            self.state = load_checkpoint(folder / CHECKPOINT, self.state)
        self.iteration = int(self.state.iteration)
        self._rejected = int(self.state.rejected)
        self._losses: list[float] = []
        self._norms: list[float] = []
        _cut_metrics(folder / METRICS, self.iteration)

    @property
    def diverged(self) -> bool:
        """Whether too many iterations in a row were rejected."""
        return self._rejected >= self.recipe.outer.max_rejected

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self.diverged or self.iteration >= self.recipe.outer.iterations

    @property
    def is_due(self) -> bool:
        """Whether the validation part is to be looked at now."""
        return self.ended or self.iteration % self.recipe.outer.validate_every == 0

    def took(self, report: IterationReport) -> None:
        """Note an iteration."""
        self.iteration += 1
        self._rejected = 0 if report.accepted else self._rejected + 1
        if report.accepted:
            self._losses.append(float(report.loss))
            self._norms.append(float(report.norm))

    def look(self) -> Report:
        """Measure the state on the validation part, and write a line of metrics and the checkpoint."""
        self.state, measured = self.distiller.validate(self.state)
        line = _report(self.distiller, self.state, measured, self._losses, self._norms)
        _append(self.folder / METRICS, line)
        save_checkpoint(self.folder / CHECKPOINT, self.state)
        write_json(self.folder / TIME, self.time)
        self._losses, self._norms = [], []
        return line

    @property
    def time(self) -> dict[str, float]:
        """What it has taken so far, stopped or not.

        `seconds`; `core_seconds`, its share of the processor time; and on an accelerator `gpu_seconds`, its share of
        the time that this was in use.
        """
        now = _now()
        shares = {name: 1.0 if name == "seconds" else self._share for name in now}
        return {n: round(self._earlier[n] + share * (now[n] - self._started[n]), 1) for n, share in shares.items()}

    def share_with(self, n_courses: int) -> None:
        """So many courses, itself among them, are going from now on."""
        self._earlier, self._started, self._share = self.time, _now(), 1 / n_courses

    def check(self) -> None:
        """Make sure, before anything is computed, that the bundle can be written.

        Raises:
            BundleError: it cannot.
        """
        try:
            _bundle(self.recipe, self.distiller, self.state, test=None).check()
        except (BundleError, ArgumentError) as error:
            raise BundleError(f"The bundle of this run could not be written: {error}") from error

    def save_bundle(self, *, final: bool) -> DistilledDataset:
        """Write the best images so far; where this is final, also measured on the test set."""
        bundle = _bundle(self.recipe, self.distiller, self.state, test=self.distiller.splits if final else None)
        bundle.save(self.folder / BUNDLE)
        return bundle

    def write_scores(self, bundle: DistilledDataset) -> None:
        """Write what came out, and what it took."""
        write_json(self.folder / TIME, self.time)
        scores = {
            **dataclasses.asdict(bundle.record),
            "best_iteration": int(self.state.best_iteration),
            "rejected": int(self.state.rejected_total),
            "seconds": self.time["seconds"],
            "seed": self.recipe.seed,
        }
        write_json(self.folder / SCORES, scores)


def _now() -> dict[str, float]:
    clocks = {"seconds": time.monotonic(), "core_seconds": time.process_time()}
    return clocks if jax.default_backend() == "cpu" else clocks | {"gpu_seconds": clocks["seconds"]}


def iterate(courses: Sequence[Course], observer: Observer) -> None:
    """Advance all courses to their ends; an interruption leaves each in the last state that it reached."""
    program: _Program = _Alone(courses) if len(courses) == 1 else _Together(courses)
    n_going = len(courses)
    try:
        while going := [course for course in courses if not course.ended]:
            if len(going) < n_going:
                n_going = len(going)
                for course in going:
                    course.share_with(n_going)
            # After a crash between two checkpoints, the seeds that lag behind catch up first.
            now = min(course.iteration for course in going)
            moving = [not course.ended and course.iteration == now for course in courses]
            reports = program.advance(moving)
            losses = [float(report.loss) for report, moves in zip(reports, moving, strict=True) if moves]
            observer.iterated(now + 1, float(np.mean(losses)))
            looked = [course for course, moves in zip(courses, moving, strict=True) if moves and course.is_due]
            if looked:
                program.fetch()
                observer.reported([course.look() for course in looked])
                program.store()
    finally:
        program.fetch()


class _Program(Protocol):
    """What advances the courses; their states are their own between `fetch` and `store`."""

    def advance(self, moving: Sequence[bool]) -> Sequence[IterationReport]: ...
    def fetch(self) -> None: ...
    def store(self) -> None: ...


class _Alone:
    """A single course, whose state needs no joining."""

    def __init__(self, courses: Sequence[Course]) -> None:
        (self._course,) = courses

    def advance(self, moving: Sequence[bool]) -> Sequence[IterationReport]:
        self._course.state, report = self._course.distiller.iterate(self._course.state)
        self._course.took(report)
        return [report]

    def fetch(self) -> None:
        pass

    def store(self) -> None:
        pass


class _Together:
    """Several courses in one program."""

    def __init__(self, courses: Sequence[Course]) -> None:
        self._courses = courses
        self._side_by_side = SideBySide([course.distiller for course in courses])
        self._joined: OuterState
        self.store()

    def advance(self, moving: Sequence[bool]) -> Sequence[IterationReport]:
        self._joined, reports = self._side_by_side.iterate(self._joined, moving)
        for course, report, moves in zip(self._courses, reports, moving, strict=True):
            if moves:
                course.took(report)
        return reports

    def fetch(self) -> None:
        for course, state in zip(self._courses, self._side_by_side.part(self._joined), strict=True):
            course.state = state

    def store(self) -> None:
        self._joined = self._side_by_side.join([course.state for course in self._courses])


def _report(
    distiller: Distiller, state: OuterState, measured: Validation, losses: list[float], norms: list[float]
) -> Report:
    step_sizes = jax.nn.softplus(state.averaged.raw_step_sizes)
    return Report(
        iteration=int(state.iteration),
        loss=float(np.mean(losses)) if losses else None,
        gradient_norm=float(np.mean(norms)) if norms else None,
        validation_accuracy=measured.accuracy,
        validation_loss=measured.loss,
        coefficient_norm=measured.coefficient_norm,
        best_validation_accuracy=fraction(state.best_accuracy, len(distiller.splits.validation)),
        rejected=int(state.rejected_total),
        step_sizes=np.asarray(step_sizes, np.float64).round(7).tolist(),
    )


def _bundle(recipe: Recipe, distiller: Distiller, state: OuterState, test: Splits | None) -> DistilledDataset:
    """The best images so far; with `test`, also replayed and measured on the test set."""
    splits = distiller.splits
    looked = bool(state.best_accuracy >= 0)
    best: Learned = state.best if looked else state.averaged
    bundle = DistilledDataset(
        data=distiller.training_set(best),
        initial_weights=named_weights(ideal(distiller.model)),
        architecture=recipe.model,
        inner=recipe.inner,
        normalisation=splits.normalisation,
        class_names=splits.class_names,
        dataset=recipe.dataset,
        data_digest=splits.digest,
        recipe=recipe.to_json(),
        provenance=provenance(recipe),
        record=Record(
            test_accuracy=None,
            n_test=None,
            validation_accuracy=fraction(state.best_accuracy, len(splits.validation)) if looked else None,
            n_validation=len(splits.validation),
        ),
    )
    if test is None:
        return bundle
    accuracy = measure(bundle.train(), bundle, test.test.images, test.test.labels)
    record = dataclasses.replace(bundle.record, test_accuracy=accuracy, n_test=len(test.test))
    return dataclasses.replace(bundle, record=record)


def provenance(recipe: Recipe) -> dict[str, Any]:
    """Where a result comes from: versions, machine, seed."""
    return {
        "versions": {
            "qdistill": qdistill.__version__,
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "seed": recipe.seed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    """What the processor calls itself: two machines of as many cores may differ in speed."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "processor unknown"


def _append(path: Path, report: Report) -> None:
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(dataclasses.asdict(report)) + "\n")
            file.flush()
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error


def _cut_metrics(path: Path, iteration: int) -> None:
    """Drop lines that were written after the checkpoint, and a last one that a crash cut short."""
    kept = [json.dumps(line) + "\n" for line in read_metrics(path.parent) if line["iteration"] <= iteration]
    write_text(path, "".join(kept))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics so far; a last line that was cut short is left out."""
    return read_json_lines(folder / METRICS)
