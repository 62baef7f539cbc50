"""A search as Markdown, CSV and a figure: reads `search.json` and `trials.jsonl` of its folder, and nothing else."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qdistill.files import write_text
from qdistill.report.search_figure import best_of, draw_search
from qdistill.run_files import read_search, read_trials

MARKDOWN, CSV, FIGURE = "trials.md", "trials.csv", "search.png"

Trial = Mapping[str, Any]

_RUNGS = ("after 1/9", "after 1/3", "at the end")


def write_search(folder: Path) -> list[Path]:
    """Write out what a search has tried so far.

    Args:
        folder: of the search.

    Returns:
        The paths of the Markdown, the CSV and the figure; none before the first trial has come to a rung.

    Raises:
        RunError: a file is damaged, or cannot be written.
    """
    search = read_search(folder)
    trials = read_trials(folder, search["space"])
    if best_of(trials) is None:
        return []
    write_text(folder / MARKDOWN, _markdown(search, trials))
    write_text(folder / CSV, _csv(search, trials))
    return [folder / MARKDOWN, folder / CSV, draw_search(search, trials, folder / FIGURE)]


def _markdown(search: Mapping[str, Any], trials: Sequence[Trial]) -> str:
    names = list(search["space"])
    best, own = best_of(trials), trials[0]
    assert best is not None
    minutes = sum(trial["core_seconds"] for trial in trials) / 60
    columns = ["trial", *names, *_RUNGS, "core-minutes", ""]
    seeds = search["seeds"]
    scores = "Best validation accuracy until then" + (f", mean over {len(seeds)} seeds" if len(seeds) > 1 else "")
    lines = [
        f"# Search of a recipe for {search['recipe']['dataset']}",
        "",
        f"{len(trials)} trials in {minutes:.1f} core-minutes. Best: trial {best['number']}, with {_score(best)} on "
        f"validation; the recipe as it stood, which is trial 0, has {_score(own)}.{_test(search, best)}",
        "",
        _line(columns),
        _line(["---"] * len(columns)),
        *(_line(_cells(trial, names)) for trial in _ranked(trials)),
        "",
        f"{scores}. A trial went on where it was in the best third.",
    ]
    if search["importances"]:
        shares = ", ".join(f"`{name}` {share:.0%}" for name, share in search["importances"].items())
        lines += [
            "",
            f"What mattered, as shares of the variance of the accuracy at the first rung (fANOVA, "
            f"{sum(bool(trial['looks']) for trial in trials)} trials): {shares}.",
        ]
    if search["made_with"]:
        lines += ["", f"Made with {'; '.join(search['made_with'])}."]
    return "\n".join(lines) + "\n"


def _test(search: Mapping[str, Any], best: Trial) -> str:
    """The test accuracy, if the best trial was measured by now."""
    found = search["best"]
    if found is None or found["trial"] != best["number"] or found["test_accuracy"] is None:
        return ""
    return f" On test, which no other trial read, it has {found['test_accuracy']:.2%} (n = {found['n_test']:,})."


def _score(trial: Trial) -> str:
    return f"{trial['looks'][-1]['validation_accuracy']:.2%}" if trial["looks"] else "not measured"


def _ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The best first, and those without a result last."""

    def place(trial: Trial) -> tuple[bool, float, int]:
        looks = trial["looks"]
        return not looks, -looks[-1]["validation_accuracy"] if looks else 0.0, trial["number"]

    return sorted(trials, key=place)


def _cells(trial: Trial, names: Sequence[str]) -> list[str]:
    looks = [f"{look['validation_accuracy']:.2%}" for look in trial["looks"]]
    looks += ["-"] * (len(_RUNGS) - len(looks))
    state = trial["state"] if trial["state"] in ("diverged", "failed", "refused", "running") else ""
    values = [_value(trial["values"][name]) for name in names]
    return [f"{trial['number']}", *values, *looks, f"{trial['core_seconds'] / 60:.1f}", state]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _csv(search: Mapping[str, Any], trials: Sequence[Trial]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(search["space"])
    writer.writerow(["trial", *names, "state", "iterations", "validation_accuracy", "core_seconds"])
    for trial in trials:
        last = trial["looks"][-1] if trial["looks"] else {"iteration": 0, "validation_accuracy": ""}
        values = [_value(trial["values"][name]) for name in names]
        done = [last["iteration"], last["validation_accuracy"], trial["core_seconds"]]
        writer.writerow([trial["number"], *values, trial["state"], *done])
    return text.getvalue()
