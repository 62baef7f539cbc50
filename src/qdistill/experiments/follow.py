"""The way of recipes through their begun folders: problems, courses, the loop, and what came out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax

from qdistill.data import Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.cores import ALONE, Spread
from qdistill.distill.sharing import Work, share_out
from qdistill.errors import DivergenceError
from qdistill.experiments.course import Course
from qdistill.experiments.devices import devices_for
from qdistill.experiments.distillers import make_distillers
from qdistill.experiments.folder import execution_of
from qdistill.experiments.loop import Observer, iterate
from qdistill.experiments.profile import profile
from qdistill.experiments.recipe import Recipe
from qdistill.files import BUNDLE
from qdistill.interrupts import ctrl_c_noted
from qdistill.lock import Lock
from qdistill.models import structure


@dataclass(frozen=True)
class How:
    """What `run` and its like have beside recipes and folders."""

    splits: Splits
    locks: Sequence[Lock]
    observer: Observer
    iterations: int | None = None
    memory_budget: int | None = None
    cores: int | None = None
    with_profile: bool = False
    until: int | None = None

    def check_locks(self) -> None:
        """Make sure that the folders are still this process's."""
        for lock in self.locks:
            lock.check()


def follow(recipes: Sequence[Recipe], folders: Sequence[Path], how: How) -> list[DistilledDataset]:
    """Follow recipes that differ in their seed only, each in its folder, which is begun and held."""
    recipes = [with_iterations(recipe, how.iterations) for recipe in recipes]
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
        Course(
            *parts,
            len(recipes),
            change_iterations=how.iterations is not None,
            until=how.until,
            n_devices=at_once * spread.n_devices,
        )
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
        return _end(courses, how)


def _share_out(recipes: Sequence[Recipe], how: How) -> tuple[int, Spread, list[jax.Device]]:
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
    if recipe.objective != "performance":  # the others share out networks, and repeat the rest
        work = dataclasses.replace(work, examples=0, real=1)
    # Accelerators are not asked for by their number, so as many are taken as pay.
    all_devices = how.cores is not None and jax.default_backend() == "cpu"
    return *share_out(work, len(devices), len(recipes), all_devices=all_devices), devices


def _end(courses: Sequence[Course], how: How) -> list[DistilledDataset]:
    """Write what came out."""
    final = [how.until is None and not course.diverged for course in courses]
    bundles = [course.save_bundle(final=is_final) for course, is_final in zip(courses, final, strict=True)]
    for course, bundle, is_final in zip(courses, bundles, final, strict=True):
        if is_final:
            course.write_scores(bundle)
    diverged = [course for course in courses if course.diverged]
    how.observer.end("stopped" if diverged else "finished")
    if diverged:
        places = ", ".join(f"{course.folder / BUNDLE} (iteration {course.iteration})" for course in diverged)
        raise DivergenceError(
            f"{diverged[0].recipe.outer.max_rejected} iterations in a row had a loss or meta-gradient that was not "
            f"finite, so the run stopped. The best examples so far are in {places}. Lower `outer.learning_rate` or "
            "`compression.step_size`, or take fewer `inner.steps`."
        )
    return bundles


def with_iterations(recipe: Recipe, iterations: int | None) -> Recipe:
    """A recipe of so many iterations, where they are not its own."""
    if iterations is None:
        return recipe
    return dataclasses.replace(recipe, outer=dataclasses.replace(recipe.outer, iterations=iterations))
