"""What a table's runs gave: each row's mean with its interval, and the differences seed by seed."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qdistill.evaluate.cost import work_of
from qdistill.evaluate.protocol import accuracy_interval, interval
from qdistill.experiments.archive import pack
from qdistill.experiments.full_run import check_same
from qdistill.experiments.provenance import made_with
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.tables.table import Difference, Row, Table
from qdistill.files import TABLE, write_json
from qdistill.models import structure
from qdistill.quantum import layer_calls
from qdistill.run_files import read_final_scores, read_time


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
    rows = [
        _row(row, results[row.name], folder, _inputs_seen(row.recipe, table, results))
        for row in table.rows
        if results[row.name]
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


def _inputs_seen(like: Recipe, table: Table, results: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> int | None:
    """How many inputs a training on all of a recipe's dataset sees: of its own network, or else of any.

    None where none has run, or where those of other networks are not equally long.
    """
    seen = [
        (row.recipe.model, score["inputs_seen"])
        for row in table.rows
        if row.full is not None and row.recipe.dataset == like.dataset
        for score in results[row.name].values()
    ]
    for found in ({n for model, n in seen if model == like.model}, {n for _, n in seen}):
        if len(found) == 1:
            return int(found.pop())
    return None


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
