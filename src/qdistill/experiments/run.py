"""Recipe -> run folder. There is no other way to run one.

A run folder holds `recipe.json`, `provenance.json`, `metrics.jsonl` (one line for each look at the validation
part), `checkpoints/latest.safetensors`, and, when the run has ended, `bundle.safetensors` and `scores.json`. Seeds that
run side by side have a folder each, `seed-0`, `seed-1`, ..., in one that holds `seeds.json` and, in the end, the
`scores.json` of all.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
from jaxtyping import Array

from qdistill.data import Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.outer import Distiller
from qdistill.errors import ArgumentError, DivergenceError, RunError, shown
from qdistill.evaluate.protocol import summary
from qdistill.experiments.course import Course, Observer, Report, iterate, provenance
from qdistill.experiments.profile import profile
from qdistill.experiments.recipe import Recipe, recipe_of_run
from qdistill.fields import check_seed
from qdistill.files import BUNDLE, CHECKPOINT, DEVICE, PROVENANCE, RECIPE, SCORES, SEEDS, read_json, write_json
from qdistill.models import Model
from qdistill.quantum import DeviceModel, Execution, on_device


class _Silent:
    """Watches and says nothing."""

    def begin(self, recipe: Recipe, iteration: int, n_seeds: int) -> None:
        pass

    def iterated(self, iteration: int, loss: float) -> None:
        pass

    def reported(self, reports: Sequence[Report]) -> None:
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
    memory_budget: int | None = None,
    with_profile: bool = False,
) -> DistilledDataset:
    """Follow a recipe.

    Args:
        recipe: what to do.
        folder: where to; must not exist yet, or be empty, unless the run is resumed.
        data_dir: where the dataset's files lie; see `qdistill.data`.
        resume: go on from the folder's last checkpoint. The result is that of an uninterrupted run, to the bit
            on the same machine with as many cores.
        observer: is told how it goes.
        memory_budget: bytes for the weights that a long unroll keeps for its meta-gradient (see `distill.memory`);
            by default a share of the machine's memory.
        with_profile: first see where the time of an iteration goes (see `experiments.profile`).

    Returns:
        The bundle, as it was saved in the folder.

    Raises:
        RunError: the folder exists, is of another recipe, or cannot be written.
        BundleError: the bundle cannot be written; the checkpoint is there to resume from.
        DataError: the dataset's files are missing or damaged.
        DivergenceError: too many iterations in a row were not finite; the best bundle so far is in the folder.
        KeyboardInterrupt: passed on after the best bundle so far was saved.
    """
    folder = Path(folder)
    if not resume:
        _check_new(folder)
    how = _How(data_dir, resume, memory_budget, with_profile)
    (bundle,) = _run([recipe], [folder], how, observer or _Silent())
    return bundle


def run_seeds(
    recipe: Recipe,
    seeds: Sequence[int],
    folder: Path | str,
    *,
    data_dir: Path | None = None,
    resume: bool = False,
    observer: Observer | None = None,
    memory_budget: int | None = None,
) -> list[DistilledDataset]:
    """Follow a recipe for several seeds side by side, in one program (see `distill.seeds`).

    Args:
        recipe: what to do; its own seed is not used.
        seeds: in place of the recipe's; each once.
        folder: where to; each seed has a run folder of its own in it, as if it had run alone.
        data_dir: see `run`.
        resume: go on from the last checkpoints.
        observer: is told how all of them go.
        memory_budget: bytes, shared by the seeds; see `run`.

    Returns:
        The bundles, in the order of the seeds, with the numbers of runs alone to float tolerance.

    Raises:
        ArgumentError: no seeds, or one twice.
        DivergenceError: some seeds stopped; those that did not have ended as usual.
        RunError, BundleError, DataError, KeyboardInterrupt: see `run`.
    """
    folder, seeds = Path(folder), [check_seed(seed, "seeds") for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ArgumentError(f"Argument `seeds` must be different numbers, one at least, but was {shown(seeds)}.")
    recipes = [dataclasses.replace(recipe, seed=seed) for seed in seeds]
    folders = [folder / f"seed-{seed}" for seed in seeds]
    if not resume:
        _check_new(folder)
    elif read_json(folder / SEEDS) != seeds:
        raise RunError(f"The folder {folder} is of other seeds. Resume it with its own, or choose a new folder.")

    def note() -> None:
        _make_folder(folder)
        write_json(folder / SEEDS, seeds)

    how = _How(data_dir, resume, memory_budget)
    bundles = _run(recipes, folders, how, observer or _Silent(), note)
    accuracies = [bundle.record.test_accuracy for bundle in bundles]
    write_json(folder / SCORES, {"seeds": seeds, **summary([a for a in accuracies if a is not None])})
    return bundles


def run_missing(
    recipes: Sequence[Recipe],
    folders: Sequence[Path],
    *,
    data_dir: Path | None = None,
    observer: Observer | None = None,
) -> None:
    """Follow recipes that differ in their seed only, side by side, each to the end of its folder's run.

    Args:
        recipes: what to do.
        folders: where to, one a recipe: begun where there is no run yet, gone on with where there is one of the same
            recipe, and left alone where it has ended.
        data_dir: see `run`.
        observer: is told how all of them go.

    Raises:
        RunError, BundleError, DataError, DivergenceError, KeyboardInterrupt: see `run`.
    """
    for recipe, folder in zip(recipes, folders, strict=True):
        if (folder / RECIPE).exists():
            _check_recipe(folder, recipe)
        else:
            _create(folder, recipe)
    missing = [(r, f) for r, f in zip(recipes, folders, strict=True) if not (f / SCORES).exists()]
    if missing:
        _run([r for r, _ in missing], [f for _, f in missing], _How(data_dir, True, None), observer or _Silent())


@dataclass(frozen=True)
class _How:
    """What `run` and its like are asked for beside the recipe."""

    data_dir: Path | None
    resume: bool
    memory_budget: int | None
    with_profile: bool = False


def _run(
    recipes: Sequence[Recipe],
    folders: Sequence[Path],
    how: _How,
    observer: Observer,
    note: Callable[[], None] = lambda: None,
) -> list[DistilledDataset]:
    """Follow recipes that differ in their seed only, each into its folder."""
    if how.resume:
        for recipe, folder in zip(recipes, folders, strict=True):
            _check_recipe(folder, recipe)
    splits = recipes[0].splits(how.data_dir)
    if not how.resume:  # only now, so that a run without data leaves nothing behind
        note()
        for recipe, folder in zip(recipes, folders, strict=True):
            _create(folder, recipe)
    execution = _execution(recipes[0], folders[0])
    distillers = make_distillers(recipes, splits, execution=execution, memory_budget=how.memory_budget)
    n_courses = len(recipes)
    courses = [Course(*parts, n_courses) for parts in zip(recipes, folders, distillers, strict=True)]
    for course in courses:
        course.check()

    if how.with_profile:
        profile(courses[0].distiller, courses[0].state, folders[0])
    observer.begin(recipes[0], min(course.iteration for course in courses), len(courses))
    try:
        iterate(courses, observer)
    except KeyboardInterrupt:
        for course in courses:
            course.save_bundle(final=False)
        observer.end("stopped")
        raise KeyboardInterrupt from None
    bundles = [course.save_bundle(final=not course.diverged) for course in courses]
    for course, bundle in zip(courses, bundles, strict=True):
        if not course.diverged:
            course.write_scores(bundle)
    diverged = [course for course in courses if course.diverged]
    observer.end("stopped" if diverged else "finished")
    if diverged:
        places = ", ".join(f"{course.folder / BUNDLE} (iteration {course.iteration})" for course in diverged)
        raise DivergenceError(
            f"{recipes[0].outer.max_rejected} iterations in a row had a loss or meta-gradient that was not finite, "
            f"so the run stopped. The best images so far are in {places}. Lower `outer.learning_rate` or "
            "`compression.step_size`, or take fewer `inner.steps`."
        )
    return bundles


def make_distiller(recipe: Recipe, splits: Splits) -> Distiller:
    """The bilevel problem of a recipe."""
    (distiller,) = make_distillers([recipe], splits, execution=_execution(recipe))
    return distiller


def make_distillers(
    recipes: Sequence[Recipe], splits: Splits, *, execution: Execution | None, memory_budget: int | None = None
) -> list[Distiller]:
    """The bilevel problems of recipes that differ in their seed only; they share what is compiled."""
    recipe = recipes[0]

    @eqx.filter_jit  # one program for all weights, instead of a small one for each array
    def build(key: Array) -> Model:
        return recipe.model.build(splits.image_shape, splits.n_classes, key=key)

    # A processor's device holds one seed at a time, an accelerator all of its seeds at once.
    at_once = len(recipes) if jax.default_backend() != "cpu" else min(len(recipes), len(jax.devices()))
    budget = None if memory_budget is None else memory_budget // at_once
    distillers: list[Distiller] = []
    for each in recipes:
        key_model, key_distil = jax.random.split(jax.random.key(each.seed))
        model = build(key_model)
        if execution is not None:
            model = on_device(model, execution)
        distillers.append(
            distillers[0].with_start(model, key_distil)
            if distillers
            else Distiller(
                model,
                splits,
                compression=recipe.compression,
                inner=recipe.inner,
                outer=recipe.outer,
                objective=PerformanceMatching(memory_budget=budget),
                key=key_distil,
            )
        )
    return distillers


def _execution(recipe: Recipe, folder: Path | None = None) -> Execution | None:
    """How a recipe's circuits are executed: on the device as the run folder has it, where it has one."""
    if recipe.device.is_exact:
        return None
    if folder is not None and (folder / DEVICE).exists():
        kept = DeviceModel.from_toml(folder / DEVICE)
        return Execution(kept, recipe.device.shots, "gaussian", recipe.device.preparation)
    return recipe.device.execution(recipe.n_wires)


def _check_new(folder: Path) -> None:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(
                f"The run folder {folder} exists already. Choose another (--out), or go on with it (--resume, or "
                "`resume=True`)."
            )
    except OSError as error:
        raise RunError(f"Cannot create the run folder {folder}: {error.strerror or error}.") from error


def _check_recipe(folder: Path, recipe: Recipe) -> None:
    if recipe_of_run(folder) != recipe:
        raise RunError(f"The run folder {folder} is of another recipe. Resume it with its own, or choose a new folder.")


def _create(folder: Path, recipe: Recipe) -> None:
    _make_folder((folder / CHECKPOINT).parent)
    write_json(folder / RECIPE, recipe.to_json())
    execution = _execution(recipe)
    if execution is not None and execution.device is not None:
        # The numbers themselves: a name or a file may mean others tomorrow.
        execution.device.save(folder / DEVICE)
    write_json(folder / PROVENANCE, {**provenance(recipe), "command": sys.argv})


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot create the run folder {folder}: {error.strerror or error}.") from error
