"""Pictures of vectors: decision regions, the two leading components, and tables of their numbers in colour.

Each function draws one thing onto axes that it is given, as those of `panels` do, and takes plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, TwoSlopeNorm

from qdistill.report.style import INK, SMALL, dress
from qdistill.text import printable

Points = Float[np.ndarray, "_ features"]
Classes = Int[np.ndarray, "_"]
Predictor = Callable[[Points], Classes]

_GRID = 160
"""Points on each side of the grid on which regions are drawn."""

_MOST_POINTS = 600
"""Real points in one picture: more of them hide the regions and each other."""

_MOST_NUMBERS = 400
"""Numbers that are written into one table; beyond, the colours stand alone."""


def class_colours(n_classes: int) -> Float[np.ndarray, "classes rgba"]:
    """A colour for each class: ten that are told apart by most eyes, then shades."""
    if n_classes <= 10:
        ten: np.ndarray = colormaps["tab10"](np.arange(n_classes))
        return ten
    many: np.ndarray = colormaps["turbo"](np.linspace(0.05, 0.95, n_classes))
    return many


def draw_regions(
    axes: Axes,
    predict: Predictor,
    real: tuple[Points, Classes],
    distilled: tuple[Points, Classes],
    class_names: Sequence[str],
    *,
    title: str = "",
    feature_names: Sequence[str] = ("feature 0", "feature 1"),
) -> None:
    """Which class a model gives to each place of a plane, with real and distilled points on it.

    Args:
        axes: where to.
        predict: classes of points (n, 2), in the units of the points that are drawn.
        real: points (n, 2) and their classes; at most 600 of them are drawn, evenly through the array.
        distilled: the same, drawn large; the class of a learned label is its largest entry.
        class_names: what each class is called.
        title: of the panel.
        feature_names: of both axes.
    """
    colours = class_colours(len(class_names))
    low, high = _limits(np.concatenate([real[0], distilled[0]]))
    x, y = (np.linspace(low[axis], high[axis], _GRID, dtype=np.float32) for axis in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    regions = np.asarray(predict(grid)).reshape(_GRID, _GRID)
    axes.imshow(
        regions,
        extent=(low[0], high[0], low[1], high[1]),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap(0.25 * colours + 0.75),
        vmin=-0.5,
        vmax=len(class_names) - 0.5,
    )
    _scatter(axes, real, distilled, class_names)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    _name_axes(axes, title, feature_names)


def draw_components(
    axes: Axes,
    real: tuple[Points, Classes],
    distilled: tuple[Points, Classes],
    class_names: Sequence[str],
    *,
    title: str = "",
) -> None:
    """Real and distilled points in the plane of the two leading principal components of the real ones.

    Args:
        axes: where to.
        real: points (n, features), features at least 2, and their classes.
        distilled: the same.
        class_names: what each class is called.
        title: of the panel.
    """
    mean = real[0].mean(axis=0, dtype=np.float64)
    deviations = real[0] - mean
    _, directions = np.linalg.eigh(deviations.T @ deviations)
    plane = directions[:, :-3:-1]
    share = (deviations @ plane).var(axis=0) / max(float(deviations.var(axis=0).sum()), np.finfo(float).tiny)
    _scatter(axes, (deviations @ plane, real[1]), ((distilled[0] - mean) @ plane, distilled[1]), class_names)
    _name_axes(axes, title, [f"component {k + 1} ({part:.0%} of the variance)" for k, part in enumerate(share)])


def draw_numbers(
    axes: Axes, rows: Points, row_names: Sequence[str], column_names: Sequence[str], *, title: str = ""
) -> None:
    """Numbers as coloured cells, blue below zero and red above it, each with its number where there is room.

    Args:
        axes: where to.
        rows: one vector a row.
        row_names: what each row is.
        column_names: what each column is.
        title: of the panel.
    """
    largest = max(float(np.abs(rows).max()), 1e-12)
    # White is zero, and both sides have one scale.
    axes.imshow(rows, aspect="auto", cmap="RdBu_r", norm=TwoSlopeNorm(0.0, -1.15 * largest, 1.15 * largest))
    if rows.size <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(rows):
            ink = "white" if abs(value) > 0.75 * largest else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=SMALL, color=ink)
    _ticks(axes.set_xticks, column_names, 40)
    _ticks(axes.set_yticks, row_names, 60)
    axes.tick_params(labelsize=SMALL, length=0)
    if max(map(len, column_names)) > 4:
        axes.tick_params(axis="x", labelrotation=30 if len(column_names) <= 15 else 90)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, size=SMALL + 1, loc="left", color=INK)


def _ticks(setter: Callable[..., Any], names: Sequence[str], most: int) -> None:
    """A tick for each name, or for every second, fifth, ... where they are more than there is room for."""
    every = -(-len(names) // most)
    setter(range(0, len(names), every), [printable(name, 24) for name in names[::every]])


def _limits(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """The lower left and the upper right corner of a box around all points, with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-6)
    return low - margin, high + margin


def _scatter(
    axes: Axes, real: tuple[Points, Classes], distilled: tuple[Points, Classes], class_names: Sequence[str]
) -> None:
    """Real points as dots, distilled ones as large diamonds, with a legend of classes below the axes."""
    colours = class_colours(len(class_names))
    some = np.linspace(0, len(real[0]) - 1, min(len(real[0]), _MOST_POINTS)).astype(int)
    (x, y), classes = real[0][some].T, real[1][some]
    axes.scatter(x, y, s=7, c=colours[classes], linewidths=0, alpha=0.75)
    for label, name in enumerate(class_names):
        chosen = distilled[0][distilled[1] == label]
        style: dict[str, Any] = {"marker": "D", "edgecolors": INK, "linewidths": 1.0, "color": colours[label]}
        axes.scatter(chosen[:, 0], chosen[:, 1], s=55, label=printable(name, 20), **style)
    if len(class_names) <= 10:
        columns = min(len(class_names), 5)
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.16), "ncols": columns}
        axes.legend(fontsize=SMALL, frameon=False, handletextpad=0.1, columnspacing=1.0, markerscale=0.7, **place)


def _name_axes(axes: Axes, title: str, names: Sequence[str]) -> None:
    dress(axes, title, printable(names[0], 40))
    axes.grid(visible=False)
    axes.set_ylabel(printable(names[1], 40), size=SMALL)
