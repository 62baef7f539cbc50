"""Recipe -> run folder. There is no other way to run one.

A run folder holds `recipe.json`, `provenance.json`, `metrics.jsonl` (one line for each look at the validation
part), `checkpoints/latest.safetensors`, and, when the run has ended, `bundle.safetensors` and `scores.json`. Seeds that
run side by side have a folder each, `seed-0`, `seed-1`, ..., in one that holds `seeds.json` and, in the end, the
`scores.json` of all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
from jax.sharding import Mesh
from jaxtyping import Array

from qdistill.compiling import compiled
from qdistill.data import Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.cores import ALONE, Spread
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.outer import Distiller
from qdistill.distill.sharing import Work, share_out
from qdistill.errors import ArgumentError, DivergenceError, RunError, shown
from qdistill.evaluate.protocol import summary
from qdistill.experiments.course import Course, check_data
from qdistill.experiments.devices import check_cores, devices_for
from qdistill.experiments.folder import begin, check_begun, check_free, execution_of, is_begun
from qdistill.experiments.loop import Observer, iterate
from qdistill.experiments.metrics import Report
from qdistill.experiments.profile import profile
from qdistill.experiments.recipe import Recipe
from qdistill.fields import check_seed
from qdistill.files import BUNDLE, RECIPE, SCORES, SEEDS, write_json
from qdistill.folders import holding
from qdistill.interrupts import ctrl_c_noted
from qdistill.lock import Lock
from qdistill.models import Model, structure
from qdistill.quantum import Execution, on_device
from qdistill.run_files import read_seeds


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
    iterations: int | None = None,
    observer: Observer | None = None,
    memory_budget: int | None = None,
    cores: int | None = None,
    with_profile: bool = False,
) -> DistilledDataset:
    """Follow a recipe.

    Args:
        recipe: what to do.
        folder: where to; must not exist yet, or be empty, unless the run is resumed.
        data_dir: where the dataset's files lie; see `qdistill.data`.
        resume: go on from the folder's last checkpoint. The result is that of an uninterrupted run, to the bit
            on the same machine with as many cores.
        iterations: with `resume`: go on to so many instead of the recipe's. From the checkpoint on the learning rate is
            that of a run of so many at the same iteration: a cosine schedule that had come to its end rises again to
            where the longer one is. The folder's recipe is changed, and its provenance and the bundle say from which
            iteration on.
        observer: is told how it goes.
        memory_budget: bytes for the weights that a long unroll keeps for its meta-gradient (see `distill.memory`);
            by default a share of the machine's memory.
        cores: how many share an iteration: that many, if JAX was not used in this process before. On accelerators, and
            by default, those of JAX's devices that make it quicker, see `distill.sharing`; a processor is one device to
            JAX unless ``jax.config.update("jax_num_cpu_devices", n)`` says otherwise before JAX is first used. Results
            on another number of cores are equal to rounding.
        with_profile: first see where the time of an iteration goes (see `experiments.profile`).

    Returns:
        The bundle, as it was saved in the folder.

    Raises:
        RunError: the folder exists, is being written to by another process, is of another recipe, data or device, is
            damaged, or cannot be written.
        ArgumentError: `iterations` are fewer than are done, or were given without `resume`; or the network cannot be
            built for the dataset's inputs and classes.
        BundleError: the bundle cannot be written; the checkpoint is there to resume from.
        DataError: the dataset's files are missing or damaged.
        DivergenceError: too many iterations in a row were not finite; the best bundle so far is in the folder.
        KeyboardInterrupt: passed on after the best bundle so far was saved.
    """
    folder = Path(folder)
    _check_iterations(iterations, resume)
    check: Callable[[], None] = partial(check_begun, folder, recipe) if resume else partial(check_free, folder)
    check()
    check_cores(cores)
    # Before the folder is made, so that a run without data or network leaves nothing behind.
    recipe.check_network()
    splits = recipe.splits(data_dir)
    with holding(folder) as locks:
        if resume:
            check()
        else:
            begin(folder, recipe)
        how = _How(splits, locks, observer or _Silent(), iterations, memory_budget, cores, with_profile)
        (bundle,) = _follow([recipe], [folder], how)
    return bundle


def run_seeds(
    recipe: Recipe,
    seeds: Sequence[int],
    folder: Path | str,
    *,
    data_dir: Path | None = None,
    resume: bool = False,
    iterations: int | None = None,
    observer: Observer | None = None,
    memory_budget: int | None = None,
    cores: int | None = None,
) -> list[DistilledDataset]:
    """Follow a recipe for several seeds side by side, in one program (see `distill.seeds`).

    Args:
        recipe: what to do; its own seed is not used.
        seeds: in place of the recipe's; each once.
        folder: where to; each seed has a run folder of its own in it, as if it had run alone.
        data_dir: see `run`.
        resume: go on from the last checkpoints.
        iterations: see `run`.
        observer: is told how all of them go.
        memory_budget: bytes, shared by the seeds; see `run`.
        cores: how many all seeds have together; see `run`. Where there are more cores than seeds, several share one.

    Returns:
        The bundles, in the order of the seeds, with the numbers of runs alone to float tolerance.

    Raises:
        ArgumentError: no seeds, or one twice.
        DivergenceError: some seeds stopped; those that did not have ended as usual.
        RunError, BundleError, DataError, KeyboardInterrupt: see `run`.
    """
    folder, seeds = Path(folder), different_seeds(seeds)
    _check_iterations(iterations, resume)
    check_cores(cores)
    recipes = [dataclasses.replace(recipe, seed=seed) for seed in seeds]
    folders = [folder / f"seed-{seed}" for seed in seeds]
    if not resume:
        check_free(folder)
    elif read_seeds(folder) != seeds:
        raise RunError(f"The folder {folder} is of other seeds. Resume it with its own, or choose a new folder.")
    else:
        check_begun(folder, recipe)
    recipe.check_network()
    splits = recipe.splits(data_dir)
    with holding(folder) as whole:
        if not resume:
            check_free(folder)
            write_json(folder / SEEDS, seeds)
            begin(folder, recipe)
        with holding(*folders) as locks:
            for each, own in zip(recipes, folders, strict=True):
                # The process may have been killed before it had begun all of them.
                _begin_or_check(own, each)
            how = _How(splits, [*whole, *locks], observer or _Silent(), iterations, memory_budget, cores)
            if iterations is not None:
                write_json(folder / RECIPE, _with_iterations(recipe, iterations).to_json())
                (folder / SCORES).unlink(missing_ok=True)
            bundles = _follow(recipes, folders, how)
        accuracies = [bundle.record.test_accuracy for bundle in bundles]
        write_json(folder / SCORES, {"seeds": seeds, **summary([a for a in accuracies if a is not None])})
    return bundles


def different_seeds(seeds: Sequence[int]) -> list[int]:
    """The seeds of runs side by side.

    Raises:
        ArgumentError: no seeds, one twice, or what is none.
    """
    checked = [check_seed(seed, "seeds") for seed in seeds]
    if not checked or len(set(checked)) < len(checked):
        raise ArgumentError(f"Argument `seeds` must be different numbers, one at least, but was {shown(checked)}.")
    return checked


def run_missing(
    recipes: Sequence[Recipe],
    folders: Sequence[Path],
    *,
    data_dir: Path | None = None,
    splits: Splits | None = None,
    observer: Observer | None = None,
    cores: int | None = None,
    patience: float = 0.0,
) -> None:
    """Follow recipes that differ in their seed only, side by side, each to the end of its folder's run.

    Args:
        recipes: what to do.
        folders: where to, one a recipe: begun where there is no run yet, gone on with where there is one of the same
            recipe, and left alone where it has ended.
        data_dir: see `run`.
        splits: the dataset in its parts, where they are at hand already.
        observer: is told how all of them go.
        cores: how many they have together; see `run`.
        patience: seconds to wait for another process that holds a folder.

    Raises:
        RunError, BundleError, DataError, DivergenceError, KeyboardInterrupt: see `run`.
    """
    check_cores(cores)
    for recipe, folder in zip(recipes, folders, strict=True):
        if is_begun(folder):
            check_begun(folder, recipe)
    missing = [(r, f) for r, f in zip(recipes, folders, strict=True) if not (f / SCORES).exists()]
    if not missing:
        return
    splits = missing[0][0].splits(data_dir) if splits is None else splits
    for folder in folders:
        if (folder / SCORES).exists():
            check_data(folder, splits)
    recipes, folders = [recipe for recipe, _ in missing], [folder for _, folder in missing]
    with holding(*folders, patience=patience) as locks:
        for recipe, folder in zip(recipes, folders, strict=True):
            _begin_or_check(folder, recipe)
        _follow(recipes, folders, _How(splits, locks, observer or _Silent(), cores=cores))


def _begin_or_check(folder: Path, recipe: Recipe) -> None:
    if is_begun(folder):
        check_begun(folder, recipe)
    else:
        begin(folder, recipe)


def _check_iterations(iterations: int | None, resume: bool) -> None:
    if iterations is not None and not resume:
        raise ArgumentError("Argument `iterations` must be left out without `resume`: a new run has its recipe's.")


def _with_iterations(recipe: Recipe, iterations: int | None) -> Recipe:
    if iterations is None:
        return recipe
    return dataclasses.replace(recipe, outer=dataclasses.replace(recipe.outer, iterations=iterations))


@dataclass(frozen=True)
class _How:
    """What `run` and its like have beside recipes and folders."""

    splits: Splits
    locks: Sequence[Lock]
    observer: Observer
    iterations: int | None = None
    memory_budget: int | None = None
    cores: int | None = None
    with_profile: bool = False

    def check_locks(self) -> None:
        """Make sure that the folders are still this process's."""
        for lock in self.locks:
            lock.check()


def _follow(recipes: Sequence[Recipe], folders: Sequence[Path], how: _How) -> list[DistilledDataset]:
    """Follow recipes that differ in their seed only, each in its folder, which is begun and held."""
    recipes = [_with_iterations(recipe, how.iterations) for recipe in recipes]
    execution = execution_of(folders[0], recipes[0])
    at_once, spread, devices = _share_out(recipes, how)
    distillers = make_distillers(
        recipes,
        how.splits,
        execution=execution,
        memory_budget=how.memory_budget,
        at_once=at_once * spread.n_devices if jax.default_backend() == "cpu" else len(recipes),
        mesh=spread.mesh(devices[: spread.n_devices]) if len(recipes) == 1 and spread != ALONE else None,
    )
    courses = [
        Course(*parts, len(recipes), change_iterations=how.iterations is not None, n_devices=at_once * spread.n_devices)
        for parts in zip(recipes, folders, distillers, strict=True)
    ]
    for course in courses:
        course.check()
    for course in courses:
        course.begin()
    with ctrl_c_noted() as stop:
        if how.with_profile:
            profile(courses[0].distiller, courses[0].state, folders[0])
        how.observer.begin(recipes[0], min(course.iteration for course in courses), len(courses))
        try:
            stop.look()
            iterate(
                courses,
                how.observer,
                at_once=at_once,
                spread=spread,
                between=stop.look,
                before_writing=how.check_locks,
            )
        except KeyboardInterrupt:
            for course in courses:
                course.save_bundle(final=False)
            how.observer.end("stopped")
            raise KeyboardInterrupt from None
        how.check_locks()
        return _end(courses, how.observer)


def _share_out(recipes: Sequence[Recipe], how: _How) -> tuple[int, Spread, list[jax.Device]]:
    """How many seeds are at work at once, how the devices of each share it, and all devices."""
    recipe, devices = recipes[0], devices_for(how.cores)
    if len(devices) == 1:
        return 1, ALONE, devices
    n_classes = how.splits.n_classes
    work = Work.of(
        structure(recipe.model, how.splits.input_shape, n_classes),
        how.splits.input_shape,
        steps=recipe.inner.total_steps,
        examples=recipe.inner.schedule(recipe.compression.n_examples(n_classes)).shape[1],
        real=recipe.outer.batch,
    )
    if not recipe.initialisation.is_known:
        work = dataclasses.replace(work, networks=recipe.initialisation.networks)
    # Accelerators are not asked for by their number, so as many are taken as pay.
    all_devices = how.cores is not None and jax.default_backend() == "cpu"
    return *share_out(work, len(devices), len(recipes), all_devices=all_devices), devices


def _end(courses: Sequence[Course], observer: Observer) -> list[DistilledDataset]:
    """Write what came out."""
    bundles = [course.save_bundle(final=not course.diverged) for course in courses]
    for course, bundle in zip(courses, bundles, strict=True):
        if not course.diverged:
            course.write_scores(bundle)
    diverged = [course for course in courses if course.diverged]
    observer.end("stopped" if diverged else "finished")
    if diverged:
        places = ", ".join(f"{course.folder / BUNDLE} (iteration {course.iteration})" for course in diverged)
        raise DivergenceError(
            f"{diverged[0].recipe.outer.max_rejected} iterations in a row had a loss or meta-gradient that was not "
            f"finite, so the run stopped. The best examples so far are in {places}. Lower `outer.learning_rate` or "
            "`compression.step_size`, or take fewer `inner.steps`."
        )
    return bundles


def make_distiller(recipe: Recipe, splits: Splits) -> Distiller:
    """The bilevel problem of a recipe."""
    execution = None if recipe.device.is_exact else recipe.device.execution(recipe.n_wires)
    (distiller,) = make_distillers([recipe], splits, execution=execution)
    return distiller


def make_distillers(
    recipes: Sequence[Recipe],
    splits: Splits,
    *,
    execution: Execution | None,
    memory_budget: int | None = None,
    at_once: int = 1,
    mesh: Mesh | None = None,
) -> list[Distiller]:
    """The bilevel problems of recipes that differ in their seed only; they share what is compiled.

    Args:
        recipes: at least one.
        splits: their data.
        execution: how quantum layers take shots; None for exact expectation values.
        memory_budget: bytes, see `run`.
        at_once: how many trainings keep their steps at the same time, and share the memory: devices that are at work,
            or on accelerators seeds.
        mesh: the devices that share an iteration of the only recipe; None for one.
    """
    recipe = recipes[0]

    def build(key: Array) -> Model:
        return recipe.model.build(splits.input_shape, splits.n_classes, key=key)

    build_at_once = compiled(build)  # one program for all weights, instead of a small one for each array
    budget = None if memory_budget is None else memory_budget // at_once
    distillers: list[Distiller] = []
    for each in recipes:
        key_model, key_distil = jax.random.split(jax.random.key(each.seed))
        model = build_at_once(key_model)
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
                initialisation=recipe.initialisation,
                build=build,
                mesh=mesh,
                key=key_distil,
            )
        )
    return distillers
