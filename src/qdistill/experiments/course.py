"""One seed's run from its checkpoint to its end: where it stands, and what it writes on its way."""

from __future__ import annotations

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from qdistill.data import Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.measuring import fraction
from qdistill.distill.outer import Distiller
from qdistill.distill.outer_state import IterationReport, Learned, OuterState
from qdistill.distill.record import Record
from qdistill.distill.validation import Validation
from qdistill.errors import ArgumentError, BundleError, RunError
from qdistill.evaluate.protocol import RECORDED_SEED, accuracies_of_draws, measure, spread
from qdistill.evaluate.rounding import checked
from qdistill.experiments.checkpoint import Belonging, load_checkpoint, read_belonging, save_checkpoint
from qdistill.experiments.folder import device_digest
from qdistill.experiments.metrics import Report, append_metrics, cut_metrics
from qdistill.experiments.provenance import Change, of_bundle, read_sessions, session, write_sessions
from qdistill.experiments.recipe import Recipe
from qdistill.files import BUNDLE, CHECKPOINT, RECIPE, SCORES, TIME, read_json, write_json
from qdistill.models import named_weights
from qdistill.quantum import ideal
from qdistill.run_files import read_time

_ITERATIONS = "outer.iterations"


class Course:
    """One seed on its way: its folder, its problem, and where it stands. Nothing is written before `begin`.

    Args:
        recipe: what it follows.
        folder: its run folder.
        distiller: its problem.
        n_courses: how many there are, itself among them: they share the process's time equally.
        change_iterations: whether the number of iterations may be another than the checkpoint's.
        until: the iteration to pause at, which is one of a look; by default that of its end.
        n_devices: how many devices of JAX are at work for all of them.

    Raises:
        RunError: the checkpoint or another file of the folder is damaged, or the checkpoint is of another recipe, other
            data or another device.
        ArgumentError: more iterations are done than the recipe has.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        distiller: Distiller,
        n_courses: int = 1,
        *,
        change_iterations: bool = False,
        until: int | None = None,
        n_devices: int = 1,
    ) -> None:
        self._last = recipe.outer.iterations if until is None else min(until, recipe.outer.iterations)
        self.recipe, self.folder, self.distiller = recipe, folder, distiller
        self._share, self._started = 1 / n_courses, _now()
        self._earlier = dict.fromkeys(self._started, 0.0)
        if (folder / TIME).exists():
            self._earlier |= read_time(folder)
        self.state = distiller.start()
        self._belonging = Belonging(recipe.to_json(), distiller.splits.ordered_digest, device_digest(folder))
        self._is_changed = False
        if (folder / CHECKPOINT).exists():
            self._restore(change_iterations)
        self.iteration = int(self.state.iteration)
        self._sessions = [*read_sessions(folder), session(self.iteration, n_devices)]
        self._rejected = int(self.state.rejected)
        self._losses: list[float] = []
        self._norms: list[float] = []

    def _restore(self, change_iterations: bool) -> None:
        path = self.folder / CHECKPOINT
        before = read_belonging(path)
        different = self._belonging.differences(before)
        change = different.pop(_ITERATIONS, None) if change_iterations else None
        if different:
            raise RunError(_why_not(self.folder, different))
        self.state = load_checkpoint(path, self.state)
        changes = before.changes
        if change is not None:
            now, then = change
            done = int(self.state.iteration)
            if now < done:
                raise ArgumentError(
                    f"Argument `iterations` must be at least the {done} that are done in {self.folder}, but was {now}."
                )
            changes, self._is_changed = (*changes, Change(done, _ITERATIONS, then, now)), True
        self._belonging = dataclasses.replace(self._belonging, changes=changes)

    def begin(self) -> None:
        """Write down that the run goes on from here.

        Raises:
            RunError: the metrics are damaged, or the folder cannot be written.
        """
        (self.folder / CHECKPOINT).parent.mkdir(exist_ok=True)
        cut_metrics(self.folder, self.iteration)
        if self._is_changed:
            self._save_checkpoint()
        if read_json(self.folder / RECIPE) != self._belonging.recipe:
            write_json(self.folder / RECIPE, self._belonging.recipe)
        if not self.ended:
            # What came out of fewer iterations.
            (self.folder / SCORES).unlink(missing_ok=True)
        write_sessions(self.folder, self.recipe.seed, self._sessions, self._belonging.changes)

    def _save_checkpoint(self) -> None:
        save_checkpoint(self.folder / CHECKPOINT, self.state, self._belonging)

    @property
    def diverged(self) -> bool:
        """Whether too many iterations in a row were rejected."""
        return self._rejected >= self.recipe.outer.max_rejected

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do, for now at least."""
        return self.diverged or self.iteration >= self._last

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
        append_metrics(self.folder, line)
        self._save_checkpoint()
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
            self._bundle().check()
        except (BundleError, ArgumentError) as error:
            raise BundleError(f"The bundle of this run could not be written: {error}") from error

    def save_bundle(self, *, final: bool) -> DistilledDataset:
        """Write the best examples so far; where this is final, also measured on the test set.

        Raises:
            BundleError: the bundle cannot be written.
            DivergenceError: it is written, but its training is no longer finite, so that it was not measured.
        """
        bundle = self._bundle()
        bundle.save(self.folder / BUNDLE)
        if final:
            bundle = _measured(bundle, self.distiller)
            bundle.save(self.folder / BUNDLE)
        return bundle

    def _bundle(self) -> DistilledDataset:
        made = of_bundle(self.recipe.seed, self._sessions, self._belonging.changes)
        return _bundle(self.recipe, self.distiller, self.state, made)

    def write_scores(self, bundle: DistilledDataset) -> None:
        """Write what came out, and what it took."""
        write_json(self.folder / TIME, self.time)
        scores = {
            **bundle.record.to_json(),
            "best_iteration": int(self.state.best_iteration),
            "rejected": int(self.state.rejected_total),
            "seconds": self.time["seconds"],
            "seed": self.recipe.seed,
        }
        write_json(self.folder / SCORES, scores)


def _now() -> dict[str, float]:
    clocks = {"seconds": time.monotonic(), "core_seconds": time.process_time()}
    return clocks if jax.default_backend() == "cpu" else clocks | {"gpu_seconds": clocks["seconds"]}


def check_data(folder: Path, splits: Splits) -> None:
    """Make sure that a run that has ended is of the same data, before its numbers are put beside others.

    Raises:
        RunError: it is of others.
    """
    if (folder / CHECKPOINT).exists() and read_belonging(folder / CHECKPOINT).data != splits.ordered_digest:
        raise RunError(f"The run in {folder} is of other inputs or labels of its dataset. Choose a new folder.")


def _why_not(folder: Path, different: dict[str, tuple[Any, Any]]) -> str:
    """Which of the things that decide a run were changed under its checkpoint, and what to do."""
    said = {
        "data": "the inputs or labels of its dataset are others than those it began with",
        "device": "its device is another than the one it began with",
    }
    texts = [said.get(name, f"{name} is {now!r} and was {then!r}") for name, (now, then) in sorted(different.items())]
    text = (
        f"The run in {folder} cannot go on from its checkpoint: {'; '.join(texts)}. Put that back as it was, or begin "
        "a new run in another folder."
    )
    if _ITERATIONS in different:
        text += " The number of iterations can be changed: by `iterations`, or --iterations."
    return text


def _report(
    distiller: Distiller, state: OuterState, measured: Validation, losses: list[float], norms: list[float]
) -> Report:
    step_sizes = jax.nn.softplus(state.averaged.raw_step_sizes)
    n = len(distiller.splits.validation) * max(1, len(measured.draws))
    return Report(
        iteration=int(state.iteration),
        loss=float(np.mean(losses)) if losses else None,
        gradient_norm=float(np.mean(norms)) if norms else None,
        validation_accuracy=measured.accuracy,
        validation_loss=measured.loss,
        coefficient_norm=measured.coefficient_norm,
        best_validation_accuracy=max(0.0, fraction(state.best_accuracy, n)),
        rejected=int(state.rejected_total),
        step_sizes=np.asarray(step_sizes, np.float64).round(7).tolist(),
        validation_spread=spread(measured.draws),
        validation_worst=min(measured.draws, default=None),
    )


def _bundle(recipe: Recipe, distiller: Distiller, state: OuterState, provenance: dict[str, Any]) -> DistilledDataset:
    """The best examples so far."""
    splits = distiller.splits
    looked = bool(state.best_accuracy >= 0)
    best: Learned = state.best if looked else state.averaged
    weights, anew = named_weights(ideal(distiller.model)), distiller.drawn_anew
    draws = distiller.validation_draws(best) if looked else ()
    accuracy = statistics.mean(draws) if draws else fraction(state.best_accuracy, len(splits.validation))
    return DistilledDataset(
        data=distiller.training_set(best),
        initial_weights={name: weight for name, weight in weights.items() if not anew or name not in anew.weights},
        weight_names=tuple(weights),
        drawn_anew=anew,
        architecture=recipe.model,
        inner=recipe.inner,
        transform=splits.transform,
        class_names=splits.class_names,
        dataset=recipe.dataset,
        data_digest=splits.digest,
        recipe=recipe.to_json(),
        # So that what all of them would take can be said without the data.
        provenance=provenance | {"n_train": len(splits.train)},
        record=Record(
            test_accuracy=None,
            n_test=None,
            validation_accuracy=accuracy if looked else None,
            n_validation=len(splits.validation),
            validation_draws=draws,
        ),
    )


def _measured(bundle: DistilledDataset, distiller: Distiller) -> DistilledDataset:
    """The bundle replayed and measured on the test set; for known initial weights also checked against rounding."""
    splits, test = distiller.splits, distiller.splits.test
    if bundle.drawn_anew is not None:
        count = distiller.initialisation.test_draws
        draws = accuracies_of_draws(bundle, test.inputs, test.labels, draws=count)
        record = dataclasses.replace(
            bundle.record, test_accuracy=statistics.mean(draws), n_test=len(test), test_draws=draws
        )
        provenance = bundle.provenance | {"test_draws_seed": RECORDED_SEED}
        return dataclasses.replace(bundle, record=record, provenance=provenance)
    accuracy = measure(bundle.train(), bundle, test.inputs, test.labels)
    record = dataclasses.replace(bundle.record, test_accuracy=accuracy, n_test=len(test))
    return checked(dataclasses.replace(bundle, record=record), splits.validation, test)
