"""The heat map of what other networks reach on a bundle's examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from qdistill.report.style import SMALL, new_figure

TRAININGS = {"bundle": "the bundle's steps", "adam": "Adam"}
"""How the trainings are called."""


def draw_transfer(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Mean test accuracies: a column for each network, a row for each way to train it.

    Args:
        rows: of `transfer.json`.
    """
    networks = list(dict.fromkeys(row["network"] for row in rows))
    ways = list(dict.fromkeys((row["training"], row["labels"]) for row in rows))
    values: Float[np.ndarray, "ways networks"] = np.full((len(ways), len(networks)), np.nan)
    for row in rows:
        place = ways.index((row["training"], row["labels"])), networks.index(row["network"])
        values[place] = row["evaluation"]["mean"]
    left, top = 1.9, 1.1
    width, height = left + 0.2 + 0.85 * len(networks), top + 0.2 + 0.42 * len(ways)
    figure = new_figure(max(width, 3.0), height)
    axes = figure.add_axes((left / width, 0.1 / height, 1 - (left + 0.2) / width, 1 - (top + 0.2) / height))
    axes.imshow(values, cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                j, i, f"{value:.1%}", size=SMALL, ha="center", va="center", color="black" if value > 0.6 else "white"
            )
    axes.set_xticks(range(len(networks)), [_short(name) for name in networks], size=SMALL, rotation=30, ha="left")
    axes.xaxis.tick_top()
    labels = [f"{TRAININGS.get(training, training)}, {labels} labels" for training, labels in ways]
    axes.set_yticks(range(len(ways)), labels, size=SMALL)
    axes.tick_params(length=0)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"
