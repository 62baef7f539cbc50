"""One recipe on an engine: alone, or for several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qdistill.distill.bundle import DistilledDataset
from qdistill.experiments.engines.engine import Engine
from qdistill.experiments.engines.unit import Unit
from qdistill.experiments.folder import check_begun, check_free
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.seeds import SeedsFolder
from qdistill.files import BUNDLE


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
    if seeds is None:
        if resume:
            check_begun(folder, recipe)
        else:
            check_free(folder)
        units = [Unit(recipe, folder, folder.name)]
        engine.run(units)
        return _bundles(units)
    together = SeedsFolder(recipe, seeds, folder, resume)
    together.check()
    units = [Unit(*parts, parts[1].name) for parts in zip(together.recipes, together.folders, strict=True)]
    with together.held():
        engine.run(units)
        bundles = _bundles(units)
        together.write_scores(bundles)
    return bundles


def _bundles(units: Sequence[Unit]) -> list[DistilledDataset]:
    return [DistilledDataset.load(unit.folder / BUNDLE) for unit in units]
