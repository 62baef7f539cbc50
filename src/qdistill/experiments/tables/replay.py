"""A table of the zoo's bundles, replayed instead of distilled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, RunError
from qdistill.evaluate.cost import training_circuits
from qdistill.evaluate.protocol import Evaluation, replay
from qdistill.experiments.provenance import environment, in_a_line
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.tables.table import Table
from qdistill.files import TABLE, shipped, write_json
from qdistill.run_files import read_results

_ZOO_NOTE = (
    "One bundle a row, the seed with the best validation accuracy where there were several: not the mean of a recipe, "
    "and no comparison of rows."
)


def replay_zoo(
    table: Table,
    folder: Path,
    command: str,
    data_dir: Path | None = None,
    told: Callable[[str, Evaluation], None] = lambda name, result: None,
) -> dict[str, Any]:
    """Replay the zoo's bundles of a table instead of distilling; see `gather` for what comes out.

    Args:
        table: which rows.
        folder: for `table.json`.
        command: that repeats it.
        data_dir: where the dataset's files lie.
        told: is told of each bundle as soon as it has been replayed.

    Raises:
        ArgumentError: the zoo has no bundles of the table.
        RunError: the folder holds a table that was measured, which this one would replace.
    """
    if all(row.zoo is None for row in table.rows):
        raise ArgumentError(
            f"Argument `table` must be one of which the zoo has bundles, but was {table.name!r}, of which it has none. "
            "Run its rows instead."
        )
    if (folder / TABLE).exists() and any("bundle" not in row for row in read_results(folder)["rows"]):
        raise RunError(f"The table in {folder} was measured, and a replay would replace it. Choose another folder.")
    rows = []
    for row in table.rows:
        if row.zoo is None:
            continue
        path = shipped("zoo") / f"{row.zoo}.safetensors"
        bundle = DistilledDataset.load(path)
        result = replay(bundle, data_dir=data_dir)
        told(row.zoo, result)
        own = Recipe.from_json({**bundle.recipe, "seed": row.recipe.seed})
        rows.append(
            {
                "name": row.name,
                "title": row.title if own == row.recipe else f"{row.title} (by another recipe)",
                "group": row.group,
                "recipe": "",
                "bundle": row.zoo,
                "seeds": [bundle.provenance["seed"]],
                "asked": 1,
                "test_accuracies": [result.test_accuracy],
                "recorded": result.recorded_test_accuracy,
                "mean": result.test_accuracy,
                "interval": None,
                "n_test": result.n_test,
                "published": row.published,
                "examples": len(bundle.data.inputs),
                "steps": len(bundle.data.schedule),
                "circuits": training_circuits(bundle.structure(), bundle.input_shape, bundle.data.schedule.size),
                "circuits_of_all": None,
                "core_minutes": None,
                "gpu_minutes": None,
            }
        )
    content = {
        "title": f"{table.title}: the zoo's bundles, replayed",
        "name": table.name,
        "command": command,
        "note": _ZOO_NOTE,
        "made_with": [in_a_line(environment())],
        "rows": rows,
        "groups": dict(table.groups),
        # The bundles are of different recipes, so that they do not show what the number of steps does.
        "by_steps": [],
        "differences": [],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TABLE, content)
    return content
