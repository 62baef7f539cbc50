"""The figure of the loss between trainings: along lines, and in a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from qdistill.evaluate.landscape import Data, Landscape, Plane
from qdistill.report.style import ACCENT, INK, LARGE, MUTED, NORMAL, SECOND, SMALL, dress, new_figure, save

LANDSCAPE_PICTURE = "landscape.png"

COLOURS: Mapping[Data, str] = {"distilled": SECOND, "real": ACCENT}
"""Of what the loss is measured on."""


def draw_landscapes(landscapes: Sequence[Landscape], title: str, path: Path | str) -> Path:
    """Draw the losses along the lines, and on real inputs in the plane, for each network and each kind of training.

    Args:
        landscapes: as `evaluate.landscape.landscapes` gives them.
        title: what was measured.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    networks = list(dict.fromkeys(found.network for found in landscapes))
    height = 1.0 + 2.4 * len(networks)
    figure = new_figure(11.0, height)
    figure.text(0.02, 1 - 0.12 / height, title, size=LARGE, weight="bold", va="top", color=INK)
    caption = "Every pair of trainings thin, their mean thick; planes on real inputs, with dots where trainings end"
    figure.text(0.02, 1 - 0.4 / height, caption, size=SMALL, color=MUTED, va="top")
    edges = {"left": 0.05, "right": 0.96, "top": 1 - 1.1 / height, "bottom": 0.4 / height, "hspace": 0.6}
    panels = figure.subplots(
        len(networks), 4, squeeze=False, gridspec_kw=edges | {"wspace": 0.42, "width_ratios": (1.1, 1, 1.1, 1)}
    )
    for row, network in zip(panels, networks, strict=True):
        alike = [found for found in landscapes if found.network == network]
        for (lines, plane), found in zip((row[:2], row[2:]), alike, strict=True):
            _draw_lines(lines, found, f"trained on {found.trained_on} data")
            _draw_plane(plane, found.plane)
        row[0].text(0, 1.22, network, transform=row[0].transAxes, size=NORMAL, weight="bold", color=INK)
    handles = [panels[0, 0].plot([], [], color=colour, label=f"{on} data")[0] for on, colour in COLOURS.items()]
    figure.legend(
        handles=handles, title="loss on", ncols=2, fontsize=SMALL, title_fontsize=SMALL, frameon=False,
        loc="upper right", bbox_to_anchor=(0.98, 1.0),
    )  # fmt: skip
    return save(figure, path)


def _draw_lines(axes: Axes, found: Landscape, title: str) -> None:
    for on, losses in found.lines.items():
        along: Float[np.ndarray, " points"] = np.linspace(0.0, 1.0, losses.shape[1])
        axes.plot(along, losses.T, color=COLOURS[on], linewidth=0.5, alpha=0.4)
        axes.plot(along, losses.mean(axis=0), color=COLOURS[on], linewidth=2)
    axes.set_xticks([0, 1], ["one end", "the other"])
    dress(axes, title, "")


def _draw_plane(axes: Axes, plane: Plane) -> None:
    losses = plane.losses["real"]
    # What is far above the ends would leave one colour for all that is near them.
    highest = float(np.quantile(losses, 0.9))
    drawn = axes.contourf(plane.x, plane.y, np.minimum(losses, highest), levels=20, cmap="viridis")
    axes.plot(*plane.ends.T, "o", color="white", markeredgecolor=INK, markersize=5)
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.03, ticks=MaxNLocator(4))
    bar.ax.tick_params(labelsize=SMALL)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=SMALL)
