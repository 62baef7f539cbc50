"""The panels that figures are made of: each draws one thing onto axes that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from qdistill.report.style import ACCENT, FAINT, MUTED, SECOND, SMALL, PowersOfTen, dress, in_powers_of_ten, shades


def draw_loss(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    """The meta-objective of a run, from the lines of its `metrics.jsonl`."""
    known = [(line["iteration"], line["loss"]) for line in lines if line["loss"] is not None]
    if known:
        axes.plot(*zip(*known, strict=True), color=ACCENT, **_line(len(lines)))
    _over_iterations(axes, lines)
    dress(axes, "loss on real training inputs", "iteration")


def draw_validation(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    """The validation accuracy of a run, with its best point."""
    iterations = [line["iteration"] for line in lines]
    accuracies = [line["validation_accuracy"] for line in lines]
    best = int(np.argmax(accuracies))
    spreads = [line.get("validation_spread") for line in lines]
    if None not in spreads:  # of unknown initial weights: one standard deviation over the draws to either side
        middle, half = np.array(accuracies), np.array(spreads)
        axes.fill_between(
            iterations, middle - half, np.minimum(middle + half, 1.0), color=ACCENT, alpha=0.15, linewidth=0
        )
    axes.plot(iterations, accuracies, color=ACCENT, **_line(len(lines)))
    axes.plot(iterations[best], accuracies[best], "o", color=SECOND, markersize=6)
    axes.set_title(f"best {accuracies[best]:.1%} at {iterations[best]:,}", size=SMALL, loc="right", color=SECOND)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _over_iterations(axes, lines)
    dress(axes, "validation accuracy", "iteration")


def draw_learned_step_sizes(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    """The step sizes of a run on their way: one line a step, with a key beside the axes."""
    iterations = [line["iteration"] for line in lines]
    # One row a step; where a step has a size for each weight array, their median.
    by_step = np.maximum([np.median(line["step_sizes"], axis=1) for line in lines], 1e-6)
    n_steps = by_step.shape[1]
    style = _line(len(lines)) | {"linewidth": 1.2 if n_steps <= 30 else 0.6}
    for step, colour in enumerate(shades(n_steps)):
        axes.plot(iterations, by_step[:, step], color=colour, **style)
    in_powers_of_ten(axes, by_step)
    _over_iterations(axes, lines)
    dress(axes, "learned step sizes", "iteration")
    if n_steps > 1:
        key = axes.inset_axes((1.03, 0.0, 0.03, 1.0))
        key.imshow(shades(256)[:, None], aspect="auto", origin="lower", extent=(0, 1, 1, n_steps))
        key.set_xticks([])
        key.yaxis.tick_right()
        key.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        key.tick_params(labelsize=SMALL, color=FAINT)
        key.set_title("step", size=SMALL, loc="left", pad=8)
        for spine in key.spines.values():
            spine.set_visible(False)


def draw_step_sizes(axes: Axes, step_sizes: Float[np.ndarray, "steps groups"]) -> None:
    """The size of each step, or its median and range over the weight arrays where each has its own."""
    steps: Int[np.ndarray, " steps"] = np.arange(1, len(step_sizes) + 1)
    # They go over several powers of ten; a size that is zero stands at the bottom.
    sizes = np.maximum(step_sizes, 1e-6)
    middle = np.median(sizes, axis=1)
    if sizes.shape[1] > 1:
        axes.vlines(steps, sizes.min(axis=1), sizes.max(axis=1), color=FAINT, linewidth=2)
    if len(steps) <= 60:
        axes.plot(steps, middle, "o", color=ACCENT, markersize=5)
    else:
        axes.plot(steps, middle, color=ACCENT, linewidth=1.2)
    in_powers_of_ten(axes, sizes)
    axes.set_xlim(0.4, len(steps) + 0.6)
    if len(steps) <= 30:
        axes.set_xticks(steps)
    dress(axes, "", "training step" if sizes.shape[1] == 1 else "training step; median and range over the weights")
    axes.set_ylabel("step size", size=SMALL)


def draw_seed_curves(axes: Axes, lines_of: Mapping[int, Sequence[dict[str, Any]]]) -> None:
    """The validation accuracy of several seeds, each with its best point and in the legend beside the axes."""
    for (seed, lines), colour in zip(lines_of.items(), shades(len(lines_of)), strict=True):
        iterations = [line["iteration"] for line in lines]
        accuracies = [line["validation_accuracy"] for line in lines]
        best = int(np.argmax(accuracies))
        axes.plot(iterations, accuracies, color=colour, linewidth=1.2, label=f"{seed}: {accuracies[best]:.1%}")
        axes.plot(iterations[best], accuracies[best], "o", color=colour, markersize=4)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlim(left=0)
    dress(axes, "validation accuracy", "iteration")
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    axes.legend(title="seed: best", fontsize=SMALL, title_fontsize=SMALL, frameon=False, **place)


def draw_angles(axes: Axes, before: Float[np.ndarray, " angles"], after: Float[np.ndarray, " angles"]) -> None:
    """How far training turned each angle of the circuit, in the order of the gates."""
    moved = after - before
    axes.axhline(0.0, color=FAINT, linewidth=0.8)
    axes.vlines(range(len(moved)), np.minimum(moved, 0), np.maximum(moved, 0), color=ACCENT, linewidth=1.6)
    axes.plot(moved, "o", color=ACCENT, markersize=2.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    dress(axes, "change of each angle, radians", "angle, in the order of the gates")


def draw_executions(axes: Axes, cost: Mapping[str, Any]) -> None:
    """Test accuracy against the circuits of one training: on the bundle, on all real inputs, and on few of them.

    Args:
        axes: where to.
        cost: what `evaluate.executions.count_executions` gives, with a record of trainings on real inputs.
    """
    axes.plot(*zip(*cost["points"], strict=True), "o-", color=FAINT, markersize=3, linewidth=1.2)
    distilled, _, *subsets = cost["trainings"]
    for training in subsets:
        axes.plot(training["circuits"], training["accuracy"], "s", color=MUTED, markersize=4)
    axes.plot(distilled["circuits"], distilled["accuracy"], "o", color=SECOND, markersize=7)
    for training in (distilled, *subsets):
        point = (training["circuits"], training["accuracy"])
        axes.annotate(training["name"], point, (7, -3), textcoords="offset points", size=SMALL)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(PowersOfTen())
    axes.xaxis.set_minor_formatter(PowersOfTen(minor_thresholds=(1, 0.4)))
    # Room for the names, which stand to the right of their points.
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.35)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    dress(axes, "test accuracy; line: all real inputs", "circuits of one training")


def _line(n_points: int) -> dict[str, Any]:
    return {"marker": "o" if n_points <= 25 else "", "markersize": 3, "linewidth": 1.4}


def _over_iterations(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    axes.set_xlim(0, 1.03 * lines[-1]["iteration"])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
