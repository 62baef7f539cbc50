"""Recipe -> a folder with the scores of its network, trained on all inputs: what a table's ceilings are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from qdistill.data import Splits
from qdistill.errors import DivergenceError, RunError
from qdistill.evaluate.baselines import FullTraining, score_full_trainings
from qdistill.experiments.provenance import session, write_sessions
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import recipe_of_run
from qdistill.fields import from_table
from qdistill.files import FULL_TRAINING, RECIPE, RUNS, SCORES, read_json, write_json
from qdistill.folders import holding


def run_full(
    recipes: Sequence[Recipe],
    training: FullTraining,
    folders: Sequence[Path],
    *,
    data_dir: Path | None = None,
    splits: Splits | None = None,
    told: Callable[[str], None] = lambda line: None,
    patience: float = 0.0,
) -> None:
    """Train on all inputs, measure, and write the scores; a folder that has them is left alone.

    Args:
        recipes: differ in their seed only; of each the dataset and the network count.
        training: how.
        folders: where to, one a recipe.
        data_dir: where the dataset's files lie.
        splits: the dataset in its parts, where they are at hand already.
        told: is given a line as it begins.
        patience: seconds to wait for another process that holds a folder.

    Raises:
        RunError: a folder is of another recipe or training, is held by another process, or cannot be written.
        DivergenceError: from some seeds the training did not stay finite; the others have their scores.
        DataError: see `qdistill.run`.
    """
    for recipe, folder in zip(recipes, folders, strict=True):
        if (folder / SCORES).exists():
            check_same(folder, recipe, training)
    missing = [(r, f) for r, f in zip(recipes, folders, strict=True) if not (f / SCORES).exists()]
    if not missing:
        return
    first = missing[0][0]
    splits = first.splits(data_dir) if splits is None else splits
    with holding(*(folder for _, folder in missing), patience=patience) as locks:
        n_inputs = len(training.part_of(splits).train)
        what = f"all {n_inputs:,} inputs" if training.inputs is None else f"{n_inputs:,} inputs"
        told(f"Training on {what} of {first.dataset}, {len(missing)} seeds, {training.steps(n_inputs):,} steps each...")
        scores = score_full_trainings(first.model, splits, training, seeds=[recipe.seed for recipe, _ in missing])
        for (recipe, folder), score, lock in zip(missing, scores, locks, strict=True):
            if score is None:
                continue
            lock.check()
            write_json(folder / RECIPE, recipe.to_json())
            write_json(folder / FULL_TRAINING, dataclasses.asdict(training))
            write_sessions(folder, recipe.seed, [session()])
            write_json(folder / SCORES, {**dataclasses.asdict(score), "n_test": len(splits.test), "seed": recipe.seed})
    diverged = [str(recipe.seed) for (recipe, _), score in zip(missing, scores, strict=True) if score is None]
    if diverged:
        raise DivergenceError(
            f"The training on {what} did not stay finite from the seeds {', '.join(diverged)}. Lower its `step_size`, "
            f"which was {training.step_size:g}."
        )


def check_same(folder: Path, recipe: Recipe, training: FullTraining | None) -> None:
    """Make sure that a folder's scores are those of a recipe, and of a training on all inputs where there is one.

    Raises:
        RunError: they are of another, or the folder does not say of which.
        ArgumentError: what it says is no recipe or no training.
    """
    same = recipe_of_run(folder) == recipe
    if training is not None:
        same &= from_table(FullTraining, read_json(folder / FULL_TRAINING), FULL_TRAINING) == training
    if not same:
        raise RunError(
            f"The folder {folder} is of another recipe or training. Delete it, and its line in the table's {RUNS}, or "
            "choose a new folder."
        )
