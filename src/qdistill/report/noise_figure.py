"""The figure of a replay on a device: accuracy against shots, and against the strength of the noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from qdistill.evaluate.noisy import NoisyPoint
from qdistill.report.style import ACCENT, FAINT, MUTED, NORMAL, SMALL, dress, new_figure, save


def draw_noise(points: Sequence[NoisyPoint], noiseless: float, title: str, path: Path | str) -> Path:
    """Draw test accuracy against the number of shots and, where there is a device, against the strength of its noise.

    Args:
        points: as `evaluate.noisy.noisy_curve` gives them; of each are drawn all draws, their mean and, from three on,
            its 95 % interval.
        noiseless: the accuracy without noise and shots, a fraction.
        title: says what was replayed, and where.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    by_shots = [point for point in points if point.shots is not None and point.factor in (None, 1.0)]
    at = [point.shots for point in points if point.factor not in (None, 1.0)]
    by_factor = [point for point in points if at and point.factor is not None and point.shots == at[0]]
    panels: list[tuple[str, list[NoisyPoint], list[float]]] = []
    if by_shots:
        counts = sorted((float(point.shots or 0), place) for place, point in enumerate(by_shots))
        panels.append(("shots a setting", [by_shots[place] for _, place in counts], [count for count, _ in counts]))
    if by_factor:
        by_factor.sort(key=lambda point: point.factor or 0.0)
        how = "exact expectation values" if at[0] is None else f"{at[0]:,} shots"
        panels.append((f"factor on the error rates ({how})", by_factor, [point.factor or 0.0 for point in by_factor]))
    figure = new_figure(1.2 + 4.6 * len(panels), 3.4)
    left = 0.8 / (1.2 + 4.6 * len(panels))
    edges = {"left": left, "right": 0.98, "bottom": 0.15, "wspace": 0.2}
    for axes, (label, shown, places) in zip(
        figure.subplots(1, len(panels), squeeze=False, gridspec_kw=edges)[0],
        panels,
        strict=True,
    ):
        means = np.array([point.evaluation.mean for point in shown], float)  # not a number where all diverged
        bounds = np.array([point.evaluation.interval or (np.nan, np.nan) for point in shown])
        for place, point in zip(places, shown, strict=True):
            draws = point.evaluation.test_accuracies
            axes.plot([place] * len(draws), draws, "o", color=FAINT, markersize=2.5)
        axes.errorbar(places, means, np.abs(bounds.T - means), color=ACCENT, marker="o", markersize=4, capsize=3)
        axes.axhline(noiseless, color=FAINT, linewidth=1, linestyle="--")
        axes.annotate(
            f"exact values {noiseless:.1%}", (1, noiseless), xycoords=("axes fraction", "data"), size=SMALL,
            color=MUTED, ha="right", va="bottom",
        )  # fmt: skip
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        # The margins around the points may go beyond what an accuracy can be.
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.0), min(high, 1.0))
        if label.startswith("shots"):
            axes.set_xscale("log", base=4)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        dress(axes, "test accuracy", label)
    figure.text(left, 0.97, title, size=NORMAL, weight="bold", va="top")
    return save(figure, path)
