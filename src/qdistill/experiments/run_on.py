"""One recipe on an engine: alone, or for several seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import RunError
from qdistill.evaluate.protocol import summary
from qdistill.experiments.engines.engine import Engine
from qdistill.experiments.engines.unit import Unit
from qdistill.experiments.folder import begin, check_begun, check_free
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run import different_seeds
from qdistill.files import BUNDLE, SCORES, SEEDS, write_json
from qdistill.folders import holding
from qdistill.run_files import read_seeds


def run_on(
    engine: Engine, recipe: Recipe, folder: Path, *, seeds: Sequence[int] | None = None, resume: bool = False
) -> list[DistilledDataset]:
    """Follow a recipe on an engine.

    Args:
        engine: where to.
        recipe: what to do.
        folder: a run folder; with `seeds`, one that has a run folder for each of them in it, as `run_seeds` makes.
        seeds: in place of the recipe's.
        resume: go on from the last checkpoints.

    Returns:
        The bundles, in the order of the seeds.

    Raises:
        ArgumentError: no seeds, or one twice.
        RunError: the folder exists, is of another recipe or other seeds, or is held by another process.
        FailedRunsError, DivergenceError, KeyboardInterrupt: see `Engine`.
    """
    recipe.check_network()
    seeds = None if seeds is None else different_seeds(seeds)
    if resume:
        check_begun(folder, recipe)
    else:
        check_free(folder)
    if seeds is None:
        units = [Unit(recipe, folder, folder.name)]
        engine.run(units)
        return _bundles(units)
    if resume and read_seeds(folder) != seeds:
        raise RunError(f"The folder {folder} is of other seeds. Resume it with its own, or choose a new folder.")
    units = [Unit(dataclasses.replace(recipe, seed=s), folder / f"seed-{s}", f"seed-{s}") for s in seeds]
    with holding(folder):
        if not resume:
            check_free(folder)
            write_json(folder / SEEDS, seeds)
            begin(folder, recipe)
        engine.run(units)
        bundles = _bundles(units)
        accuracies = [bundle.record.test_accuracy for bundle in bundles]
        write_json(folder / SCORES, {"seeds": seeds, **summary([a for a in accuracies if a is not None])})
    return bundles


def _bundles(units: Sequence[Unit]) -> list[DistilledDataset]:
    return [DistilledDataset.load(unit.folder / BUNDLE) for unit in units]
