"""The figures of a table of runs: its accuracies, accuracy against steps, and the course of a trainable Hermitian."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from qdistill.report.style import (
    ACCENT,
    FAINT,
    INK,
    NORMAL,
    RULE,
    SECOND,
    SMALL,
    dress,
    in_powers_of_ten,
    new_figure,
    save,
)

Row = Mapping[str, Any]
Lines = Sequence[Mapping[str, Any]]


def draw_table(table: Mapping[str, Any], path: Path) -> Path:
    """Draw every row's seeds, mean and interval, with the published number beside them.

    Args:
        table: what `table.json` holds.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    entries: list[str | Row] = []
    for group, title in table["groups"].items():
        rows = [row for row in table["rows"] if row["group"] == group]
        entries += [title, *rows] if rows else []
    height = 0.9 + 0.27 * len(entries)
    figure = new_figure(8.5, height)
    axes = figure.add_axes((0.42, 0.42 / height, 0.55, 1 - 0.85 / height))
    for place, entry in enumerate(entries):
        if isinstance(entry, str):
            axes.text(
                -0.72, place, entry, transform=axes.get_yaxis_transform(), size=NORMAL, weight="bold", va="center"
            )
            continue
        label = f"{entry['title']}  {entry['mean']:.1%}"
        axes.text(-0.02, place, label, transform=axes.get_yaxis_transform(), size=SMALL, ha="right", va="center")
        if entry["interval"] is not None:
            axes.hlines(place, *entry["interval"], color=ACCENT, linewidth=1.2)
        accuracies = entry["test_accuracies"]
        axes.plot(accuracies, [place] * len(accuracies), "o", color=FAINT, markersize=3)
        axes.plot(entry["mean"], place, "o", color=ACCENT, markersize=6)
        if entry["published"] is not None:
            axes.plot(entry["published"], place, "D", color=SECOND, markersize=4.5)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    dress(axes, "", "test accuracy")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.spines["left"].set_visible(False)
    key = [
        Line2D([], [], marker="o", color=ACCENT, markersize=6, linewidth=1.2, label="mean, 95 % interval"),
        Line2D([], [], marker="o", color=FAINT, markersize=3, linewidth=0, label="seeds"),
    ]
    if all("bundle" in row for row in table["rows"]):
        key = [Line2D([], [], marker="o", color=ACCENT, markersize=6, linewidth=0, label="one bundle of the zoo")]
    if any(row["published"] is not None for row in table["rows"]):
        key += [Line2D([], [], marker="D", color=SECOND, markersize=4.5, linewidth=0, label="published")]
    axes.legend(handles=key, fontsize=SMALL, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return save(figure, path)


def draw_steps(rows: Sequence[Row], path: Path) -> Path:
    """Draw accuracy against the number of gradient steps T: means with their intervals, seeds as points.

    Args:
        rows: of `table.json`, two at least.
        path: where to; a PNG.
    """
    figure = new_figure(5.5, 3.4)
    axes = figure.add_axes((0.13, 0.15, 0.84, 0.76))
    ordered = sorted(rows, key=lambda row: row["steps"])
    axes.plot([row["steps"] for row in ordered], [row["mean"] for row in ordered], "o-", color=ACCENT, markersize=5)
    for row in ordered:
        if row["interval"] is not None:
            axes.vlines(row["steps"], *row["interval"], color=ACCENT, linewidth=1.2)
        axes.plot([row["steps"]] * len(row["test_accuracies"]), row["test_accuracies"], "o", color=FAINT, markersize=3)
        axes.annotate(
            f"{row['mean']:.1%} (n = {len(row['seeds'])})",
            (row["steps"], row["mean"]),
            (5, -11),
            textcoords="offset points",
            size=SMALL,
        )
    axes.set_xscale("log")
    axes.set_xlim(0.8 * ordered[0]["steps"], 2 * ordered[-1]["steps"])
    axes.set_xticks([row["steps"] for row in ordered], [str(row["steps"]) for row in ordered])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    dress(axes, "Test accuracy", "gradient steps T on the distilled examples")
    return save(figure, path)


def draw_stability(courses: Mapping[str, Sequence[Lines]], path: Path) -> Path:
    """Draw how two kinds of runs go: validation loss, Hermitian, meta-gradient, and rejected iterations in words.

    Args:
        courses: by title, the lines of `metrics.jsonl` of every seed; the first in one colour, the second in another.
        path: where to; a PNG.
    """
    moved = {title: [_with_change(lines) for lines in seeds] for title, seeds in courses.items()}
    panels = {
        "validation_loss": "validation loss",
        "coefficient_norm": "norm of the Hermitians' coefficients",
        "gradient_norm": "norm of the meta-gradient",
        "change": "change of the validation loss since the last look",
    }
    figure = new_figure(8.5, 5.6)
    grid = figure.add_gridspec(2, 2, left=0.07, right=0.98, bottom=0.09, top=0.86, hspace=0.4, wspace=0.2)
    for place, (name, title) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[place // 2, place % 2])
        for colour, seeds in zip((ACCENT, SECOND), moved.values(), strict=False):
            for lines in seeds:
                _draw_course(axes, lines, name, colour)
        values = [line[name] for seeds in moved.values() for lines in seeds for line in lines if line.get(name)]
        # Within a factor of ten a logarithm would only press the curves together.
        if min(values, default=1) > 0 and max(values, default=1) > 10 * min(values, default=1):
            in_powers_of_ten(axes, np.array(values))
        dress(axes, title, "iteration")
    handles = [
        Line2D([], [], color=colour, linewidth=1.5, label=f"{title} ({_rejected(seeds)})")
        for colour, (title, seeds) in zip((ACCENT, SECOND), courses.items(), strict=False)
    ]
    figure.legend(handles=handles, fontsize=SMALL, frameon=False, loc="upper left", ncols=1, labelcolor=INK)
    return save(figure, path)


def _with_change(lines: Lines) -> list[dict[str, Any]]:
    """The lines, each but the first with what the validation loss changed by."""
    losses = [line["validation_loss"] for line in lines]
    changes = [None, *(after - before for before, after in itertools.pairwise(losses))]
    return [{**line, "change": change} for line, change in zip(lines, changes, strict=True)]


def _rejected(seeds: Sequence[Lines]) -> str:
    """How many seeds there are, and how many of their iterations were rejected."""
    count = sum(lines[-1]["rejected"] for lines in seeds)
    return f"{len(seeds)} seeds, {count or 'no'} iteration{'s' * (count > 1)} rejected"


def _draw_course(axes: Axes, lines: Lines, name: str, colour: str) -> None:
    points = [(line["iteration"], line[name]) for line in lines if line.get(name) is not None]
    if points:
        iterations, values = np.array(points).T
        axes.plot(iterations, values, color=colour, linewidth=0.9, alpha=0.8)
