"""The runs of a table, on any engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from qdistill.experiments.archive import unpack
from qdistill.experiments.engines.engine import Engine
from qdistill.experiments.engines.here import Here
from qdistill.experiments.engines.unit import Unit
from qdistill.experiments.tables.table import Row, Table
from qdistill.folders import holding


def run_table(table: Table, folder: Path, engine: Engine | None = None, *, rows: Sequence[str] | None = None) -> None:
    """Run what is missing of a table; what was stopped goes on.

    Args:
        table: what to run.
        folder: of the table.
        engine: what runs it; by default this process.
        rows: names of those to run; all by default.

    Raises:
        ArgumentError: a row that the table has not.
        DivergenceError, FailedRunsError: some runs stopped; all others have ended.
        RunError, KeyboardInterrupt: see `Engine`.
    """
    # Other machines may run other rows of it.
    with holding(folder, patience=60.0):
        unpack(folder)
    asked = table.rows if rows is None else [table.row(name) for name in dict.fromkeys(rows)]
    (engine or Here()).run([unit for row in asked for unit in _units(row, folder)])


def _units(row: Row, folder: Path) -> Iterator[Unit]:
    """A row's runs, in the table's folder."""
    for seed in row.seeds:
        name = f"{row.name}/seed-{seed}"
        yield Unit(dataclasses.replace(row.recipe, seed=seed), folder / name, name, row.full)
