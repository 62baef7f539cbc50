"""A table of runs as Markdown, CSV and figures: reads a table's folder, and nothing else.

`table.json` holds the title, the command that repeats it, the rows (name, title, group, seeds and how many were asked
for, the text of its recipe file, test accuracies, mean, its 95 % interval, number of test inputs, the published
accuracy, synthetic examples, steps, circuits of one training and of one on all inputs, minutes of a core or a GPU that
one distillation took), what the groups are called, the names of the rows to be compared by their steps, the paired
differences in words, and what a reader must know of the whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qdistill.files import write_text
from qdistill.report.table_figures import draw_stability, draw_steps, draw_table
from qdistill.run_files import read_course, read_results

MARKDOWN, CSV = "table.md", "table.csv"
TABLE_FIGURE, STEPS_FIGURE, STABILITY_FIGURE = "table.png", "steps.png", "stability.png"
FIGURES = {
    TABLE_FIGURE: "Test accuracy of every row: seeds, their mean with its 95 % interval, and the published number.",
    STEPS_FIGURE: "Test accuracy against the number of gradient steps on the distilled examples.",
    STABILITY_FIGURE: "The course of the distillation with a trainable and with a fixed Hermitian, every seed a line.",
}
"""The figures of a table's folder, with what they show."""

Row = Mapping[str, Any]


def write_table(folder: Path) -> list[Path]:
    """Write a table out in every form that its folder has the data for.

    Args:
        folder: holds `table.json`, and the rows' run folders where they were run here.

    Returns:
        The paths of the Markdown, the CSV and the figures.

    Raises:
        RunError: a file cannot be written.
    """
    table = read_results(folder)
    write_text(folder / MARKDOWN, markdown(table))
    write_text(folder / CSV, _csv(table["rows"]))
    paths = [folder / MARKDOWN, folder / CSV, draw_table(table, folder / TABLE_FIGURE)]
    by_steps = [row for row in table["rows"] if row["name"] in table["by_steps"]]
    if len(by_steps) > 1:
        paths.append(draw_steps(by_steps, folder / STEPS_FIGURE))
    courses = {
        row["title"]: [read_course(folder / row["name"] / f"seed-{seed}", "table") for seed in row["seeds"]]
        for row in table["rows"]
        if row["name"] in ("pad-hermitian", "pad-fixed_hermitian")
    }
    # Without the logs of every seed the figure that is there stays.
    if courses and all(lines and all(lines) for lines in courses.values()):
        paths.append(draw_stability(courses, folder / STABILITY_FIGURE))
    return paths


_CIRCUITS = "Circuits: those of one training by parameter shift, state preparation included, every setting one circuit."
_READ_RUNS = (
    "On all inputs: those of one training of the same network on all of them. Core-minutes: processor time of one",
    "seed's distillation, or of its training on all inputs. One row alone: the command above with `--rows ROW`.",
    "Intervals are Student's t over seeds; that the test inputs are finite in number is not in them.",
)
_READ_BUNDLES = ("Recorded: the accuracy that the bundle was saved with.",)


def markdown(table: Mapping[str, Any]) -> str:
    """The table as people read it."""
    columns = _OF_BUNDLES if of_bundles(table) else _OF_RUNS
    lines = [f"# {table['title']}", "", f"`{table['command']}`", ""]
    if table["note"]:
        lines += [table["note"], ""]
    for group, title in table["groups"].items():
        rows = [row for row in table["rows"] if row["group"] == group]
        if rows:
            lines += [f"## {title}", "", _line(columns), _line(["---"] * len(columns))]
            lines += [_line([cell(row) for cell in columns.values()]) for row in rows] + [""]
    lines += [_CIRCUITS, *(_READ_BUNDLES if of_bundles(table) else _READ_RUNS)]
    if table["made_with"]:
        lines += ["", f"Made with {'; '.join(table['made_with'])}."]
    if table["differences"]:
        lines += ["", "## What each part is worth", "", paired(len(table["differences"])), ""]
        lines += [f"- {d['titles'][0]}, minus {d['titles'][1]}: {d['text']}" for d in table["differences"]]
    return "\n".join(lines) + "\n"


def of_bundles(table: Mapping[str, Any]) -> bool:
    """Whether a table is one of replayed bundles, not of runs."""
    return all("bundle" in row for row in table["rows"])


def paired(count: int) -> str:
    """How to read a number of differences."""
    text = "Each over the seeds that both rows have, paired by seed."
    return text if count == 1 else f"{text} No interval is corrected for there being {count} of them."


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _accuracy(row: Row) -> str:
    mean = f"{row['mean']:.2%}"
    if row["interval"] is None:
        return mean
    low, high = row["interval"]
    return f"{mean} ({100 * low:.2f} to {100 * high:.2f})"


def _circuits(count: int | None) -> str:
    return "-" if count is None else f"{count:,}" if count else "none"


def minutes_of(row: Row) -> str:
    """What a row took, of a core or of a GPU."""
    if row["gpu_minutes"] is not None:
        return f"{row['gpu_minutes']:.1f} (GPU)"
    return "-" if row["core_minutes"] is None else f"{row['core_minutes']:.1f}"


def seeds_of(row: Row) -> str:
    """How many seeds a row is of, and of how many where some have not ended."""
    ended = len(row["seeds"])
    return f"{ended}" if ended == row["asked"] else f"{ended} of {row['asked']}"


_OF_BOTH: dict[str, Callable[[Row], str]] = {
    "n": lambda row: f"{row['n_test']:,}",
    "published": lambda row: "-" if row["published"] is None else f"{row['published']:.1%}",
    "examples": lambda row: "all" if row["examples"] is None else f"{row['examples']}",
    "steps": lambda row: f"{row['steps']:,}",
    "circuits": lambda row: _circuits(row["circuits"]),
}
_OF_RUNS: dict[str, Callable[[Row], str]] = {
    "": lambda row: str(row["title"]),
    "row": lambda row: f"`{row['name']}`",
    "test accuracy, 95 % interval": _accuracy,
    "seeds": seeds_of,
    **_OF_BOTH,
    "on all inputs": lambda row: _circuits(row["circuits_of_all"]),
    "core-minutes": minutes_of,
}
_OF_BUNDLES: dict[str, Callable[[Row], str]] = {
    "": lambda row: str(row["title"]),
    "bundle": lambda row: f"`{row['bundle']}`",
    "test accuracy": _accuracy,
    "recorded": lambda row: f"{row['recorded']:.2%}",
    **_OF_BOTH,
}
"""The columns of a table: heading -> cell."""


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("name", "title", "group", "mean", "low", "high", "seeds", "n_test", "published", "examples", "steps")
    writer.writerow((*names, "circuits", "circuits_of_all", "core_minutes", "gpu_minutes", "test_accuracies"))
    for row in rows:
        low, high = row["interval"] or (None, None)
        given = {**row, "low": low, "high": high, "seeds": len(row["seeds"])}
        accuracies = " ".join(f"{a}" for a in row["test_accuracies"])
        values = [given[name] for name in names]
        writer.writerow([*values, row["circuits_of_all"], row["core_minutes"], row["gpu_minutes"], accuracies])
    return text.getvalue()
