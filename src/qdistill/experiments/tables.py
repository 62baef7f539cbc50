"""Tables of results: the paper's Table I with what it leaves out, and the benchmarks that the field reads.

A table is a TOML file among the recipes: its rows, each with a recipe, how many seeds, and the published number; and
the differences between rows that answer a question. A table's folder holds a folder for each row, with a run folder for
each seed in it; `table.json`, which `report` draws and writes out; and `runs.jsonl`, the runs in one file. Seeds 0, 1,
2, ... of all rows share their initial examples and batches, and their initial weights where those have the same shape,
so that differences are taken seed by seed.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, RunError
from qdistill.evaluate.baselines import FullTraining
from qdistill.evaluate.cost import training_circuits, work_of
from qdistill.evaluate.protocol import Evaluation, accuracy_interval, interval, replay
from qdistill.experiments.archive import pack, unpack
from qdistill.experiments.engines.engine import Engine
from qdistill.experiments.engines.here import Here
from qdistill.experiments.engines.unit import Unit
from qdistill.experiments.full_run import check_same
from qdistill.experiments.provenance import environment, in_a_line, read_sessions
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import read_recipe, recipe_of
from qdistill.fields import from_table
from qdistill.files import (
    TABLE,
    read_text,
    read_toml,
    shipped,
    write_json,
)
from qdistill.folders import holding
from qdistill.models import structure
from qdistill.quantum import layer_calls
from qdistill.run_files import read_final_scores, read_results, read_time


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        name: of its folder.
        title: what it says.
        group: which rows it belongs with.
        recipe: what is run, but for its seed.
        seeds: 0 to n - 1.
        published: the accuracy that others report, a fraction.
        full: where the network trains on all inputs instead of distilled ones.
        zoo: the bundle that stands for the row without a run.
        file: the recipe for who reads the table: the text of its file, or JSON where the table itself has it.
    """

    name: str
    title: str
    group: str
    recipe: Recipe
    seeds: tuple[int, ...]
    published: float | None = None
    full: FullTraining | None = None
    zoo: str | None = None
    file: str = ""


@dataclass(frozen=True)
class Difference:
    """A question that two rows answer: what the first has and the second has not is worth."""

    minuend: str
    subtrahend: str
    what: str


@dataclass(frozen=True)
class Table:
    """A table as it is asked for.

    Args:
        name: of its folder.
        title: its heading.
        rows: in their order.
        differences: the questions that it answers.
        by_steps: rows to be compared by their number of gradient steps.
        note: what a reader must know of the whole; None for nothing.
        groups: what the groups of rows are called, in their order.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    by_steps: tuple[str, ...] = ()
    note: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            ArgumentError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise ArgumentError.unknown("rows", name, [row.name for row in self.rows])


def table_names() -> list[str]:
    """The tables that there are: `table1-mnist`, `table1-cifar10` and `benchmarks`."""
    return sorted(path.stem for path in shipped("recipes").glob("*.toml"))


def read_table(name: str) -> Table:
    """The table of that name.

    A row names a recipe file in the folder that ``recipes`` names, by default that of its own name; or it has the
    recipe itself, as the table ``recipe``. ``[[grid]]`` stands for rows of each of its ``models`` on each of its
    ``datasets``, see `_grid_rows`.

    Raises:
        ArgumentError: there is no such table.
    """
    if name not in table_names():
        raise ArgumentError.unknown("table", name, table_names())
    path = shipped("recipes") / f"{name}.toml"
    fields = read_toml(path)
    rows = [_row_of(entry, path, fields.get("recipes", "")) for entry in fields.get("row", ())]
    for grid in fields.get("grid", ()):
        rows += [_row_of(entry, path) for entry in _grid_rows(grid, fields["published"])]
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


def _row_of(entry: Mapping[str, Any], table: Path, recipes: str = "") -> Row:
    """The row of an entry of a table's file; recipes that it names lie in a folder beside that."""
    own = dict(entry)
    given = own.pop("recipe", own["name"])
    if isinstance(given, Mapping):
        recipe, text = recipe_of(given, table), json.dumps(given)
    else:
        path = table.parent / recipes / f"{given}.toml"
        recipe, text = read_recipe(path), read_text(path)
    full = from_table(FullTraining, own.pop("full"), "full") if "full" in own else None
    return Row(recipe=recipe, full=full, seeds=tuple(range(own.pop("seeds"))), file=text, **own)


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


def gather(table: Table, folder: Path, command: str) -> dict[str, Any]:
    """What a table's folder says by now, written as `table.json` there, with its runs in `runs.jsonl`.

    Args:
        table: what was asked for; rows without a result are left out.
        folder: of the table.
        command: that repeats it.

    Raises:
        RunError: a run is of another recipe than its row, or a file is damaged or cannot be written.
    """
    results = {row.name: _scores(row, folder) for row in table.rows}
    seen = _inputs_seen(table, results)
    rows = [
        _row(row, results[row.name], folder, seen.get(row.recipe.dataset)) for row in table.rows if results[row.name]
    ]
    differences = [_difference(d, table, results) for d in table.differences]
    content = {
        "title": table.title,
        "name": table.name,
        "command": command,
        "note": table.note,
        "made_with": made_with([folder / row["name"] / f"seed-{seed}" for row in rows for seed in row["seeds"]]),
        "rows": rows,
        "groups": dict(table.groups),
        "by_steps": list(table.by_steps),
        "differences": [difference for difference in differences if difference is not None],
    }
    write_json(folder / TABLE, content)
    pack(folder)
    return content


def made_with(folders: Sequence[Path]) -> list[str]:
    """The machines and versions of some runs, each combination once."""
    return sorted({in_a_line(one) for folder in folders for one in read_sessions(folder)})


def _scores(row: Row, folder: Path) -> dict[int, dict[str, Any]]:
    """What the runs of a row gave, by seed, after they were found to be of its recipe."""
    found = {}
    for seed in row.seeds:
        own = folder / row.name / f"seed-{seed}"
        scores = read_final_scores(own, on_all_inputs=row.full is not None)
        if scores is not None:
            check_same(own, dataclasses.replace(row.recipe, seed=seed), row.full)
            found[seed] = scores
    return found


def _inputs_seen(table: Table, results: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[str, int]:
    """How many inputs a training on all of them sees, by dataset; all of one dataset are equally long."""
    return {
        row.recipe.dataset: score["inputs_seen"]
        for row in table.rows
        if row.full is not None
        for score in results[row.name].values()
    }


def _row(row: Row, scores: Mapping[int, Mapping[str, Any]], folder: Path, seen_of_all: int | None) -> dict[str, Any]:
    """What a row gave.

    Args:
        row: what was asked for.
        scores: by seed.
        folder: of the table.
        seen_of_all: inputs that a training on all of the row's dataset sees; None where none has run.
    """
    accuracies = [score["test_accuracy"] for score in scores.values()]
    n_classes, input_shape = len(row.recipe.origin.class_names), row.recipe.input_shape
    calls = layer_calls(structure(row.recipe.model, input_shape, n_classes), input_shape)
    n_examples = row.recipe.compression.n_examples(n_classes)
    schedule = row.recipe.inner.schedule(n_examples)
    first = next(iter(scores.values()))
    seen, steps = (schedule.size, len(schedule)) if row.full is None else (first["inputs_seen"], first["steps"])
    times = [
        score if row.full is not None else read_time(folder / row.name / f"seed-{seed}")
        for seed, score in scores.items()
    ]
    return {
        "name": row.name,
        "title": row.title,
        "group": row.group,
        "recipe": row.file,
        "seeds": list(scores),
        "asked": len(row.seeds),
        "test_accuracies": accuracies,
        "validation_accuracies": [score["validation_accuracy"] for score in scores.values()],
        "mean": statistics.mean(accuracies),
        "interval": accuracy_interval(accuracies),
        "n_test": first["n_test"],
        "published": row.published,
        "examples": None if row.full is not None else n_examples,
        "steps": steps,
        "circuits": work_of(calls, seen, shots=1).circuits,
        "circuits_of_all": None if seen_of_all is None else work_of(calls, seen_of_all, shots=1).circuits,
        "core_minutes": _minutes([time["core_seconds"] for time in times]),
        "gpu_minutes": _minutes([time["gpu_seconds"] for time in times if time.get("gpu_seconds") is not None]),
    }


def _minutes(seconds: Sequence[float]) -> float | None:
    return round(statistics.mean(seconds) / 60, 1) if seconds else None


def _difference(
    difference: Difference, table: Table, results: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """The paired difference over the seeds that both rows have, in words; None with fewer than three."""
    first, second = table.row(difference.minuend), table.row(difference.subtrahend)
    seeds = [seed for seed in results[first.name] if seed in results[second.name]]
    if len(seeds) < 3:
        return None
    gaps = [results[first.name][s]["test_accuracy"] - results[second.name][s]["test_accuracy"] for s in seeds]
    mean, bounds = statistics.mean(gaps), interval(gaps)
    assert bounds is not None
    low, high = bounds
    what = difference.what[0].upper() + difference.what[1:]
    span = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    if low <= 0 <= high:
        text = f"{what} makes no difference that {len(seeds)} seeds can show: {100 * mean:+.1f} points, {span}."
    else:
        text = f"{what} {'gains' if mean > 0 else 'costs'} {abs(100 * mean):.1f} points ({span})."
    return {
        "minuend": first.name,
        "subtrahend": second.name,
        "titles": [first.title, second.title],
        "mean": mean,
        "interval": bounds,
        "n": len(seeds),
        "text": text,
    }


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
