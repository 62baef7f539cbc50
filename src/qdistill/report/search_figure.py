"""The figure of a search: what it had found when, how its trials went, and what mattered."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter

from qdistill.report.style import ACCENT, FAINT, INK, MUTED, SECOND, SMALL, PowersOfTen, dress, new_figure, save

Trial = Mapping[str, Any]

_SHARES = (1 / 9, 1 / 3, 1.0)
_COLOURS = (FAINT, MUTED, ACCENT)
"""Of a trial by the last rung that it came to."""

_ACROSS, _WIDTH, _HEIGHT = 3, 3.3, 2.5
"""Panels in a row, and inches that each takes."""


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the best validation accuracy of those that nothing went wrong with; None for none."""
    looked = [trial for trial in trials if trial["looks"] and trial["state"] in ("running", "waiting", "ended")]
    if not looked:
        return None
    return min(looked, key=lambda trial: (-_score(trial), -len(trial["looks"]), trial["number"]))


def draw_search(search: Mapping[str, Any], trials: Sequence[Trial], path: Path) -> Path:
    """Draw the best so far against core time, each trial against its rungs, what mattered, and each field by itself.

    Args:
        search: what `search.json` holds.
        trials: the lines of `trials.jsonl`.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    looked = [trial for trial in trials if trial["looks"]]
    best = best_of(trials)
    fields: Mapping[str, Any] = search["space"]
    rows = 1 + math.ceil(len(fields) / _ACROSS)
    width, height = _ACROSS * _WIDTH, rows * _HEIGHT
    figure = new_figure(width, height)

    def place(number: int) -> Axes:
        row, column = divmod(number, _ACROSS)
        left, bottom = (column * _WIDTH + 0.6) / width, 1 - ((row + 1) * _HEIGHT - 0.5) / height
        return figure.add_axes((left, bottom, (_WIDTH - 0.8) / width, (_HEIGHT - 0.85) / height))

    _draw_best(place(0), looked)
    _draw_rungs(place(1), looked, best)
    _draw_importances(place(2), search["importances"], fields)
    for number, (name, field) in enumerate(fields.items()):
        _draw_field(place(_ACROSS + number), name, field, looked, best)
    return save(figure, path)


def _draw_best(axes: Axes, trials: Sequence[Trial]) -> None:
    """Every look as a dot, and the best so far as steps."""
    looks = sorted(
        (look["spent"] / 60, look["validation_accuracy"], place)
        for trial in trials
        for place, look in enumerate(trial["looks"])
    )
    times, scores = np.array([time for time, _, _ in looks]), np.array([score for _, score, _ in looks])
    axes.step(times, np.maximum.accumulate(scores), where="post", color=INK, linewidth=1.2)
    axes.scatter(times, scores, s=9, color=[_COLOURS[place] for _, _, place in looks], zorder=3)
    dress(axes, "validation accuracy, and the best so far", "core-minutes of all trials")
    _in_percent(axes)


def _draw_rungs(axes: Axes, trials: Sequence[Trial], best: Trial | None) -> None:
    """A line a trial over its rungs; the best, and the recipe as it stood, in colours."""
    for trial in trials:
        shares = _SHARES[: len(trial["looks"])]
        scores = [look["validation_accuracy"] for look in trial["looks"]]
        is_best, is_own = trial is best, trial["number"] == 0
        colour = ACCENT if is_best else SECOND if is_own else FAINT
        label = "the best" if is_best else "the recipe as it stood" if is_own else None
        axes.plot(
            shares, scores, "o-", color=colour, markersize=3, linewidth=1, label=label, zorder=2 + is_best + is_own
        )
    axes.set_xscale("log")
    axes.set_xticks(_SHARES, ["1/9", "1/3", "all"])
    axes.xaxis.set_minor_locator(NullLocator())
    dress(axes, "how far trials went", "share of a trial's iterations")
    axes.legend(fontsize=SMALL, frameon=False, loc="lower right")
    _in_percent(axes)


def _draw_importances(axes: Axes, shares: Mapping[str, float], fields: Mapping[str, Any]) -> None:
    """A bar a field."""
    dress(axes, "what mattered at the first rung", "share of the variance (fANOVA)")
    axes.grid(axis="y", visible=False)
    if not shares:
        axes.text(0.5, 0.5, "too few trials to say", ha="center", va="center", size=SMALL, transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return
    names = sorted(fields, key=lambda name: shares.get(name, 0.0))
    axes.barh(range(len(names)), [shares.get(name, 0.0) for name in names], color=ACCENT, height=0.3)
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.5, len(names) - 0.1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    for place, name in enumerate(names):
        axes.text(0.01, place + 0.2, f"{name}  {shares.get(name, 0.0):.0%}", va="bottom", size=SMALL, color=INK)


def _draw_field(axes: Axes, name: str, field: Any, trials: Sequence[Trial], best: Trial | None) -> None:
    """A dot a trial over the values of a field; what came further is darker."""
    is_range = isinstance(field, Mapping)
    for trial in sorted(trials, key=lambda trial: len(trial["looks"])):
        value = trial["values"][name]
        if is_range:
            x = float(value)
        elif value in field:
            # Beside each other, so that all are seen.
            x = field.index(value) + 0.3 * math.sin(2.4 * trial["number"])
        else:
            continue  # the recipe as it stood, which need not be in the space
        colour = _COLOURS[len(trial["looks"]) - 1]
        axes.plot([x], [_score(trial)], "o", color=colour, markersize=3.5)
        if trial is best:
            axes.plot([x], [_score(trial)], "o", color=SECOND, markersize=8, fillstyle="none")
    dress(axes, "", name)
    if not is_range:
        axes.set_xticks(
            range(len(field)), [choice if isinstance(choice, str) else json.dumps(choice) for choice in field]
        )
        axes.set_xlim(-0.6, len(field) - 0.4)
    elif field["log"]:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(PowersOfTen())
        axes.xaxis.set_minor_formatter(PowersOfTen(minor_thresholds=(1.0, 0.4)))
        axes.tick_params(axis="x", which="minor", labelsize=SMALL)
    _in_percent(axes)


def _in_percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _score(trial: Trial) -> float:
    score: float = trial["looks"][-1]["validation_accuracy"]
    return score
