"""What the page of several seeds side by side shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.evaluate.protocol import summary
from qdistill.files import BUNDLE, RECIPE
from qdistill.report.gallery import examples_of
from qdistill.report.panels import draw_seed_curves
from qdistill.report.repeat import circuits_of, flat, naming
from qdistill.report.style import as_svg, panel
from qdistill.run_files import read_course, read_recipe_and_provenance, read_scores, read_seeds
from qdistill.text import printable


def gather(folder: Path, command_of: Callable[..., str]) -> dict[str, Any]:
    """Everything that the template `seeds.html.jinja` names.

    Args:
        folder: holds `seeds.json` and a run folder for each seed.
        command_of: gives the command that repeats a recipe with these seeds.

    Raises:
        RunError: a file of the folder is missing or damaged.
        BundleError: a bundle is damaged.
    """
    seeds = read_seeds(folder)
    own = [folder / f"seed-{seed}" for seed in seeds]
    recipe, provenance = read_recipe_and_provenance(own[0])
    rows = [_row(seed, each) for seed, each in zip(seeds, own, strict=True)]
    scores = summary([row["test_accuracy"] for row in rows if row["test_accuracy"] is not None])
    dataset = printable(recipe.get("dataset", "unknown dataset"), 60)
    command = naming(command_of, own[0] / RECIPE)(recipe, seeds)
    return {
        "title": f"{dataset}, {folder.resolve().name}",
        "lead": f"{len(seeds)} runs of one recipe on {dataset}, which differ in their seed only: in the "
        "initial weights, the initial inputs and the batches.",
        "facts": _facts(scores, rows),
        "rows": rows,
        "curves": _curves(seeds, own),
        "examples": _examples(rows, own),
        "recipe": flat({name: value for name, value in recipe.items() if name != "seed"}),
        "provenance": flat(provenance),
        "command": command,
        "circuits": circuits_of(recipe, command),
        "missing": {
            "curves": "Not every seed has looked at its validation part yet.",
            "images": f"No seed has left a {BUNDLE} yet: they have neither ended nor been stopped.",
        },
    }


def _row(seed: int, folder: Path) -> dict[str, Any]:
    """What a seed's own folder tells in numbers; None where the seed is not that far."""
    scores = read_scores(folder) or {}
    names = ("test_accuracy", "n_test", "validation_accuracy", "n_validation", "best_iteration", "rejected")
    return {"seed": seed, **{name: scores.get(name) for name in names}}


def _facts(scores: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    n = len(scores["test_accuracies"])
    if not n:
        return [("test accuracy", "not measured", "no seed has ended")]
    mean = f"{scores['mean']:.2%}".replace("%", "\u202f%")
    spread = "an interval takes three seeds"
    if scores["interval"] is not None:
        low, high = scores["interval"]
        spread = f"95 % interval {low:.2%} to {high:.2%}, n = {n} seeds".replace("%", "\u202f%")
    lowest, highest = (f"{pick(scores['test_accuracies']):.2%}".replace("%", "\u202f%") for pick in (min, max))
    return [
        ("test accuracy, mean", mean, spread),
        ("lowest and highest", f"{lowest} to {highest}", f"{n} of {len(rows)} seeds ended"),
    ]


def _curves(seeds: list[int], folders: list[Path]) -> str | None:
    lines_of = {seed: read_course(folder) for seed, folder in zip(seeds, folders, strict=True)}
    if not all(lines_of.values()):
        return None
    figure, axes = panel(4.8, 2.8, right=0.74)
    draw_seed_curves(axes, lines_of)
    return as_svg(figure, "seeds", f"Validation accuracy against the iteration, for {len(seeds)} seeds")


def _examples(rows: list[dict[str, Any]], folders: list[Path]) -> list[dict[str, Any]] | None:
    shown = [
        {"seed": row["seed"], **examples_of(DistilledDataset.load(folder / BUNDLE))}
        for row, folder in zip(rows, folders, strict=True)
        if (folder / BUNDLE).exists()
    ]
    return shown or None
