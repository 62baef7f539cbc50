"""The figure of a ranking: scores on distilled examples against full training, and how well each ranking agrees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from qdistill.report.style import ACCENT, FAINT, MUTED, NORMAL, RULE, SECOND, SMALL, dress, new_figure, save


def draw_ranking(content: Mapping[str, Any], path: Path | str) -> Path:
    """Draw each candidate's score against its full training, and Kendall's tau of every ranking with its interval.

    Args:
        content: of `ranking.json`, with full trainings.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    full = {row["network"]: row["test"] for row in content["scores"] if row["way"] == "full"}
    own = {row["network"]: row["validation"] for row in content["scores"] if row["way"] == "distilled"}
    names = list(own)
    x, y = (np.array([np.mean(part[name]) for name in names]) for part in (own, full))
    apart = [np.array([np.std(part[name]) for name in names]) for part in (own, full)]
    first = next(row for row in content["agreement"] if row["way"] == "distilled")
    chosen, best = names.index(first["winner"]), int(np.argmax(y))
    figure = new_figure(9.6, 3.9)
    axes = figure.add_axes((0.07, 0.13, 0.37, 0.64))
    axes.errorbar(x, y, apart[1], apart[0], fmt="none", ecolor=RULE, elinewidth=0.8, zorder=1)
    axes.plot(x, y, "o", color=FAINT, markersize=3.5, zorder=2)
    axes.plot(x[best], y[best], "o", color=SECOND, markersize=9, markerfacecolor="none", zorder=3)
    axes.plot(x[chosen], y[chosen], "o", color=ACCENT, markersize=5, zorder=3)
    for place, colour, text in ((0.905, ACCENT, f"● taken: {names[chosen]}"), (0.85, SECOND, f"○ best: {names[best]}")):
        figure.text(0.25, place, text, size=SMALL, color=colour, va="top")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    dress(axes, "test, after full training", "validation, trained on the distilled examples")
    figure.text(
        0.07, 0.97, f"{len(names)} circuits on {content['dataset']}: Kendall's tau {first['tau']:.2f}, "
        f"regret {first['regret']:.1%}", size=NORMAL, weight="bold", va="top",
    )  # fmt: skip
    _taus(figure.add_axes((0.72, 0.13, 0.26, 0.64)), content)
    return save(figure, path)


def _taus(axes: Any, content: Mapping[str, Any]) -> None:
    """Kendall's tau of each ranking, from the first one down."""
    rows = [row for row in content["agreement"] if row["tau"] is not None]
    for place, row in enumerate(rows):
        low, high = row["tau_interval"]
        colour = ACCENT if row["way"] == "distilled" else MUTED
        axes.plot([low, high], [place, place], color=colour, linewidth=1.2)
        axes.plot(row["tau"], place, "o", color=colour, markersize=4.5)
    if content["ceiling"] is not None:
        axes.axvline(content["ceiling"], color=SECOND, linewidth=1, linestyle="--")
        axes.annotate(
            "full training, half against half", (content["ceiling"], 1), xycoords=("data", "axes fraction"), size=SMALL,
            color=SECOND, ha="right", va="bottom",
        )  # fmt: skip
    axes.axvline(0.0, color=FAINT, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows], size=SMALL)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    dress(axes, "", "Kendall's tau, with 95 % interval")
