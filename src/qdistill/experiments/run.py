"""Recipe -> run folder. There is no other way to run one.

A run folder holds `recipe.json`, `provenance.json`, `metrics.jsonl` (one line for each look at the validation
part), `checkpoints/latest.safetensors`, and, when the run has ended, `bundle.safetensors` and `scores.json`.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

import qdistill
from qdistill.data import Splits, source, split
from qdistill.distill.bundle import DistilledDataset, Record
from qdistill.distill.inner import fraction
from qdistill.distill.outer import Distiller, Learned, OuterState
from qdistill.errors import DivergenceError, RunError
from qdistill.evaluate.protocol import measure
from qdistill.experiments.checkpoint import load_checkpoint, save_checkpoint
from qdistill.experiments.recipe import Recipe
from qdistill.files import BUNDLE, CHECKPOINT, METRICS, read_json_lines, write_json, write_whole
from qdistill.models import named_weights

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy")


@dataclass(frozen=True)
class Report:
    """One line of `metrics.jsonl`.

    Args:
        iteration: iterations done.
        loss: mean meta-objective over the accepted iterations since the last line.
        gradient_norm: mean norm of the meta-gradient over the same.
        validation_accuracy: of the averaged images, a fraction.
        best_validation_accuracy: the highest so far.
        rejected: rejected iterations so far.
        step_sizes: of the averaged data, one row a step.
    """

    iteration: int
    loss: float | None
    gradient_norm: float | None
    validation_accuracy: float
    best_validation_accuracy: float
    rejected: int
    step_sizes: list[list[float]]


@runtime_checkable
class Observer(Protocol):
    """What watches a run, such as a progress display."""

    def begin(self, recipe: Recipe, iteration: int) -> None:
        """The run begins, or goes on, at this iteration."""
        ...

    def iterated(self, iteration: int, loss: float) -> None:
        """An iteration ended."""
        ...

    def reported(self, report: Report) -> None:
        """A line of metrics was written."""
        ...

    def end(self, message: str) -> None:
        """The run ended."""
        ...


class _Silent:
    """Watches and says nothing."""

    def begin(self, recipe: Recipe, iteration: int) -> None:
        pass

    def iterated(self, iteration: int, loss: float) -> None:
        pass

    def reported(self, report: Report) -> None:
        pass

    def end(self, message: str) -> None:
        pass


def run(
    recipe: Recipe,
    folder: Path | str,
    *,
    data_dir: Path | None = None,
    resume: bool = False,
    observer: Observer | None = None,
) -> DistilledDataset:
    """Follow a recipe.

    Args:
        recipe: what to do.
        folder: where to; must not exist yet, or be empty, unless the run is resumed.
        data_dir: where the dataset's files lie; see `qdistill.data`.
        resume: go on from the folder's last checkpoint. The result is that of an uninterrupted run, to the bit
            on the same machine with as many cores.
        observer: is told how it goes.

    Returns:
        The bundle, as it was saved in the folder.

    Raises:
        RunError: the folder exists, is of another recipe, or cannot be written.
        BundleError: the bundle cannot be written; the checkpoint is there to resume from.
        DataError: the dataset's files are missing or damaged.
        DivergenceError: too many iterations in a row were not finite; the best bundle so far is in the folder.
        KeyboardInterrupt: passed on after the best bundle so far was saved.
    """
    folder, observer = Path(folder), observer or _Silent()
    started = time.monotonic()
    if not resume:
        _check_new(folder)
    elif Recipe.from_json(read_json(folder / "recipe.json")) != recipe:
        raise RunError(f"The run folder {folder} is of another recipe. Resume it with its own, or choose a new folder.")
    splits = split(source(recipe.dataset).load(data_dir), n_validation=recipe.n_validation)
    if not resume:  # only now, so that a run without data leaves nothing behind
        _create(folder, recipe)
    distiller = make_distiller(recipe, splits)
    state = distiller.start()
    if resume and (folder / CHECKPOINT).exists():
        state = load_checkpoint(folder / CHECKPOINT, state)
    _cut_metrics(folder / METRICS, int(state.iteration))

    def save_bundle(*, final: bool) -> DistilledDataset:
        bundle = _bundle(recipe, distiller, state, test=splits if final else None)
        bundle.save(folder / BUNDLE)
        return bundle

    observer.begin(recipe, int(state.iteration))
    try:
        state = _iterate(distiller, state, folder, observer)
    except _StoppedError as stopped:
        state = stopped.state
        save_bundle(final=False)
        observer.end("stopped")
        if stopped.interrupted:
            raise KeyboardInterrupt from None
        raise DivergenceError(
            f"{recipe.outer.max_rejected} iterations in a row had a loss or meta-gradient that was not finite, "
            f"so the run stopped at iteration {int(state.iteration)}. The best images so far are in "
            f"{folder / BUNDLE}. Lower `outer.learning_rate` or `compression.step_size`, or take fewer "
            "`inner.steps`."
        ) from None
    bundle = save_bundle(final=True)
    _write_scores(folder, recipe, bundle, state, time.monotonic() - started)
    observer.end("finished")
    return bundle


def make_distiller(recipe: Recipe, splits: Splits) -> Distiller:
    """The bilevel problem of a recipe."""
    key_model, key_distil = jax.random.split(jax.random.key(recipe.seed))
    model = recipe.model.build(splits.image_shape, splits.n_classes, key=key_model)
    return Distiller(
        model,
        splits,
        compression=recipe.compression,
        inner=recipe.inner,
        outer=recipe.outer,
        key=key_distil,
    )


class _StoppedError(Exception):
    """The loop ended early, with the last state to keep."""

    def __init__(self, state: OuterState, *, interrupted: bool) -> None:
        self.state, self.interrupted = state, interrupted


def _iterate(distiller: Distiller, state: OuterState, folder: Path, observer: Observer) -> OuterState:
    outer = distiller.outer
    losses: list[float] = []
    norms: list[float] = []
    try:
        while state.iteration < outer.iterations:
            state, report = distiller.iterate(state)
            iteration = int(state.iteration)
            if report.accepted:
                losses.append(float(report.loss))
                norms.append(float(report.norm))
            observer.iterated(iteration, float(report.loss))
            stop = bool(state.rejected >= outer.max_rejected)
            if iteration % outer.validate_every == 0 or iteration == outer.iterations or stop:
                state, measured = distiller.validate(state)
                line = _report(distiller, state, measured, losses, norms)
                _append(folder / METRICS, line)
                save_checkpoint(folder / CHECKPOINT, state)
                observer.reported(line)
                losses, norms = [], []
            if stop:
                raise _StoppedError(state, interrupted=False)
    except KeyboardInterrupt:
        raise _StoppedError(state, interrupted=True) from None
    return state


def _report(
    distiller: Distiller, state: OuterState, measured: float, losses: list[float], norms: list[float]
) -> Report:
    step_sizes = jax.nn.softplus(state.averaged.raw_step_sizes)
    return Report(
        iteration=int(state.iteration),
        loss=float(np.mean(losses)) if losses else None,
        gradient_norm=float(np.mean(norms)) if norms else None,
        validation_accuracy=measured,
        best_validation_accuracy=fraction(state.best_accuracy, len(distiller.splits.validation)),
        rejected=int(state.rejected_total),
        step_sizes=np.asarray(step_sizes).round(7).tolist(),
    )


def _bundle(recipe: Recipe, distiller: Distiller, state: OuterState, test: Splits | None) -> DistilledDataset:
    """The best images so far; with `test`, also replayed and measured on the test set."""
    splits = distiller.splits
    looked = bool(state.best_accuracy >= 0)
    best: Learned = state.best if looked else state.averaged
    bundle = DistilledDataset(
        data=distiller.training_set(best),
        initial_weights=named_weights(distiller.model),
        architecture=recipe.model,
        inner=recipe.inner,
        normalisation=splits.normalisation,
        class_names=splits.class_names,
        dataset=recipe.dataset,
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
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "seed": recipe.seed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _check_new(folder: Path) -> None:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(
                f"The run folder {folder} exists already. Choose another with --out, or go on with it by --resume."
            )
    except OSError as error:
        raise RunError(f"Cannot create the run folder {folder}: {error.strerror or error}.") from error


def _create(folder: Path, recipe: Recipe) -> None:
    try:
        (folder / CHECKPOINT).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot create the run folder {folder}: {error.strerror or error}.") from error
    write_json(folder / "recipe.json", recipe.to_json())
    write_json(folder / "provenance.json", {**provenance(recipe), "command": sys.argv})


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder.

    Raises:
        RunError: missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"Cannot read {path}: {error}. Is {path.parent} a run folder?") from error


def _append(path: Path, report: Report) -> None:
    try:
        with path.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(report)) + "\n")
            file.flush()
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error


def _cut_metrics(path: Path, iteration: int) -> None:
    """Drop lines that were written after the checkpoint, and a last one that a crash cut short."""
    kept = [json.dumps(line) + "\n" for line in read_metrics(path.parent) if line["iteration"] <= iteration]
    write_whole(path, "".join(kept).encode())


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics so far; a last line that was cut short is left out."""
    return read_json_lines(folder / METRICS)


def _write_scores(folder: Path, recipe: Recipe, bundle: DistilledDataset, state: OuterState, seconds: float) -> None:
    scores = {
        **dataclasses.asdict(bundle.record),
        "best_iteration": int(state.best_iteration),
        "rejected": int(state.rejected_total),
        "seconds": round(seconds, 1),
        "seed": recipe.seed,
    }
    write_json(folder / "scores.json", scores)
