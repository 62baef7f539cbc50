"""The figure of the barren-plateau diagnostic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from qdistill.evaluate.gradients import SKIPS, Place, Point
from qdistill.report.style import INK, LARGE, MUTED, NORMAL, SMALL, PowersOfTen, dress, new_figure, save, shades

DIAGNOSIS_PICTURE = "diagnosis.png"

_STYLES = {"pauli_z": ("Pauli-Z", "--", "s"), "hermitian": ("Hermitian", "-", "o")}
"""The name, line and marker of each observable."""


def draw_diagnosis(points: Sequence[Point], title: str, path: Path | str) -> Path:
    """Draw the variances against the number of qubits: a panel for each place and skip, a line for each depth.

    Args:
        points: what `evaluate.gradients.diagnose` gave.
        title: what was measured.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    figure = new_figure(9.0, 7.2)
    figure.text(0.02, 0.985, title, size=LARGE, weight="bold", va="top", color=INK)
    caption = "Variance over random initial weights, with 95 % intervals"
    figure.text(0.02, 0.953, caption, size=SMALL, color=MUTED, va="top")
    panels = figure.subplots(
        2,
        2,
        sharex=True,
        sharey="row",
        gridspec_kw={"left": 0.085, "right": 0.85, "top": 0.875, "bottom": 0.07, "wspace": 0.06, "hspace": 0.2},
    )
    # What reaches the convolutions is the whole gradient of the features, of which there are 2^n.
    places: list[tuple[str, str, Callable[[Point], tuple[float, float, float]]]] = [
        ("one of the ansatz's weights", "", lambda point: _bounds(point.weights, 1.0)),
        ("all of F2's features together", "qubits", lambda point: _bounds(point.features, 2.0**point.n_qubits)),
    ]
    for row, (place, below, bounds) in zip(panels, places, strict=True):
        for axes, skip in zip(row, SKIPS, strict=True):
            _draw_panel(axes, [point for point in points if point.skip == skip], bounds)
            dress(axes, f"{place}, {skip}", below)
    depths = sorted({point.n_layers for point in points})
    for depth, colour in zip(depths, shades(len(depths)), strict=True):
        panels[0, 1].plot([], [], color=colour, linewidth=1.6, label=f"{depth}")
    for name, line, marker in _STYLES.values():
        panels[1, 1].plot([], [], color=MUTED, linestyle=line, marker=marker, markersize=4, label=name)
    for axes, heading in ((panels[0, 1], "layers"), (panels[1, 1], "observable")):
        axes.legend(
            title=heading, fontsize=SMALL, title_fontsize=NORMAL, frameon=False,
            loc="upper left", bbox_to_anchor=(1.01, 1.02), alignment="left", handlelength=3,
        )  # fmt: skip
    return save(figure, path)


def _bounds(place: Place, factor: float) -> tuple[float, float, float]:
    """The lower end, the middle and the upper end of what is drawn."""
    # The lower end of a wide interval may be below zero, where a logarithmic axis has no place.
    low = max(place.interval[0], place.mean / 10)
    return factor * low, factor * place.mean, factor * place.interval[1]


def _draw_panel(axes: Axes, points: Sequence[Point], bounds: Callable[[Point], tuple[float, float, float]]) -> None:
    depths = sorted({point.n_layers for point in points})
    for depth, colour in zip(depths, shades(len(depths)), strict=True):
        for index, (observable, (_, line, marker)) in enumerate(_STYLES.items()):
            alike = [point for point in points if (point.n_layers, point.observable) == (depth, observable)]
            # A little apart, so that intervals of equal numbers of qubits do not hide each other.
            qubits = [point.n_qubits + 0.08 * (index - 0.5) for point in alike]
            low, middle, high = np.array([bounds(point) for point in alike]).T
            axes.errorbar(
                qubits, middle, yerr=(middle - low, high - middle), color=colour, linestyle=line, marker=marker,
                markersize=3.5, linewidth=1.2, elinewidth=0.8,
            )  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_major_formatter(PowersOfTen())
    # Between the powers of ten only where fewer than two of them are in sight.
    axes.yaxis.set_minor_formatter(PowersOfTen(minor_thresholds=(2, 0.5)))
    axes.tick_params(axis="y", which="minor", labelsize=SMALL - 1, colors=MUTED)
    axes.set_xticks(sorted({point.n_qubits for point in points}))
