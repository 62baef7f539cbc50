"""`qdistill evaluate BUNDLE --landmarks`: the support points of a kernel beside others of as many."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qdistill.cli.output import tell, tell_json
from qdistill.cli.shared import accuracy, check_same_data, spread
from qdistill.errors import BundleError
from qdistill.files import LANDMARKS, write_json

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset


def evaluate_landmarks(
    loaded: DistilledDataset,
    given: Path,
    path: Path,
    *,
    draws: int,
    seed: int,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    """Measure the test accuracies, and tell them.

    Args:
        loaded: the bundle, of a kernel.
        given: as the command line names it; a run folder keeps what comes out.
        path: of the bundle's file.
        draws: of random landmarks.
        seed: decides them.
        data_dir: where the dataset's files lie.
        as_json: print one JSON object and nothing else.

    Returns:
        The exit code.
    """
    from qdistill.data import split
    from qdistill.data.transforms import chain_of
    from qdistill.evaluate.landmarks import compare_landmarks
    from qdistill.experiments.recipe import Recipe

    if not loaded.recipe:
        raise BundleError("The bundle holds no recipe, so it is not known what its points would be chosen from.")
    recipe, raw = Recipe.from_json(loaded.recipe), loaded.origin.load(data_dir)
    check_same_data(loaded, raw)
    splits = split(raw, n_validation=recipe.n_validation, transforms=chain_of(recipe.transforms))
    rows = compare_landmarks(loaded, splits, draws=draws, seed=seed)
    m, record = len(loaded.data.inputs), loaded.record
    plain: dict[str, Any] = {"bundle": str(path), "dataset": loaded.dataset, "points": m}
    plain["rows"] = [dataclasses.asdict(row) for row in rows]
    if given.is_dir():
        write_json(given / LANDMARKS, plain)
    if as_json:
        tell_json(plain)
        return 0
    tell(f"{path} on the test set of {loaded.dataset}: {m} support points, so that a prediction takes {m} circuits")
    tell(f"  {'distilled':<36} {accuracy(record.test_accuracy, record.n_test)}")
    for row in rows:
        tell(f"  {f'{row.points}, {row.labels} labels':<36} {spread(row.evaluation)}; {row.circuits:,} circuits")
    return 0
