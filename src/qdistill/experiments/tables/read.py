"""The tables that there are, read from their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qdistill.errors import ArgumentError
from qdistill.evaluate.baselines import FullTraining
from qdistill.experiments.recipe_file import recipe_of
from qdistill.experiments.tables.table import Difference, Row, Table
from qdistill.fields import from_table
from qdistill.files import read_toml, shipped, to_toml


def table_names() -> list[str]:
    """The tables that there are: the paper's, `benchmarks` and `objectives`."""
    return sorted(path.stem for path in shipped("recipes").glob("*.toml"))


def read_table(name: str) -> Table:
    """The table of that name.

    A row has its ``recipe``, a table as a recipe file has it, or the name of the row whose it is. ``like`` names the
    one of the ``recipes`` that it changes. ``[[grid]]`` stands for rows of each of its ``models`` on each of its
    ``datasets``, see `_grid_rows`.

    Raises:
        ArgumentError: there is no such table.
    """
    if name not in table_names():
        raise ArgumentError.unknown("table", name, table_names())
    path = shipped("recipes") / f"{name}.toml"
    fields = read_toml(path)
    entries = list(fields.get("row", ()))
    for grid in fields.get("grid", ()):
        entries += _grid_rows(grid, fields["published"])
    by_name = {entry["name"]: entry for entry in entries}
    rows = [_row_of(entry, by_name, fields.get("recipes", {}), path) for entry in entries]
    differences = tuple(from_table(Difference, entry, "difference") for entry in fields.get("difference", ()))
    return Table(
        name,
        fields["title"],
        tuple(rows),
        differences,
        tuple(fields.get("by_steps", ())),
        fields.get("note"),
        fields["groups"],
    )


def _row_of(
    entry: Mapping[str, Any], entries: Mapping[str, Any], recipes: Mapping[str, Mapping[str, Any]], path: Path
) -> Row:
    """The row of an entry of a table's file; its recipe may be of another, and changes the one that it is like."""
    named = entry.get("recipe")
    given = entries[named] if isinstance(named, str) else entry
    fields = _merged(recipes[given["like"]] if "like" in given else {}, given.get("recipe", {}))
    own = {name: value for name, value in entry.items() if name not in ("like", "recipe", "seeds", "full")}
    full = from_table(FullTraining, entry["full"], "full") if "full" in entry else None
    recipe = recipe_of(fields, path)
    return Row(recipe=recipe, full=full, seeds=tuple(range(entry["seeds"])), file=to_toml(fields), **own)


def _grid_rows(grid: Mapping[str, Any], published: Mapping[str, Mapping[str, float]]) -> Iterator[dict[str, Any]]:
    """The rows of each model on each dataset, as they would be written out.

    Args:
        grid: ``datasets``, ``models`` with their titles, ``seeds``, the ``recipe`` that all of them follow but for the
            dataset and the network, ``kinds`` of rows with what of the recipe each has otherwise, or how it trains on
            all inputs (``full``), and ``transforms`` or anything else of the recipe ``for`` a dataset.
        published: accuracies by dataset and model, which stand beside those on all inputs.
    """
    for dataset in grid["datasets"]:
        for model, model_title in grid["models"].items():
            for kind, own in grid["kinds"].items():
                own = dict(own)
                title, full = own.pop("title"), own.pop("full", None)
                recipe = _merged(grid["recipe"], grid.get("for", {}).get(dataset, {}), own)
                network = {"architecture": model} | grid.get("fields", {}).get(model, {})
                row = {
                    "name": f"{dataset}-{model}-{kind}",
                    "title": f"{model_title}: {title}",
                    "group": dataset,
                    "seeds": grid["seeds"],
                    "recipe": {"dataset": dataset, **recipe, "model": network},
                }
                if full is not None:
                    row |= {"full": full, "published": published.get(dataset, {}).get(model)}
                yield row


def _merged(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of a recipe one above another: what a later one has of a group counts, and the rest stays."""
    merged: dict[str, Any] = {}
    for table in tables:
        for name, value in table.items():
            merged[name] = merged.get(name, {}) | value if isinstance(value, Mapping) else value
    return merged
