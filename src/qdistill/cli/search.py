"""`qdistill search RECIPE`: a search for a better recipe, by validation accuracy alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from qdistill.cli.output import say, tell
from qdistill.cli.places import Runs
from qdistill.cli.shared import INTERRUPTED, again
from qdistill.errors import FailedRunsError
from qdistill.files import BEST, TRIALS

if TYPE_CHECKING:
    from qdistill.experiments.recipe import Recipe
    from qdistill.experiments.search.search import Found


@dataclass(frozen=True, kw_only=True)
class _Options(Runs):
    """Search for a better recipe by validation accuracy; go on where it was stopped, or with a larger budget.

    Args:
        recipe: the recipe to begin with: a TOML file, or a dataset for its default.
        over: the fields of the recipe that are searched, each with a range or a list of choices.
        budget: core-hours of all trials together, or hours of an accelerator.
        out: the search's folder, with a run folder for each trial in it.
        seeds: run every trial with these, such as 0:3; its accuracy is their mean.
        trials: at most so many.
    """

    recipe: Annotated[str, Positional, arg(metavar="RECIPE")]
    over: Annotated[Path, arg(metavar="SPACE.toml")]
    budget: Annotated[float, arg(metavar="HOURS")]
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: runs/search-RECIPE)")] = None
    seeds: Annotated[str | None, arg(metavar="FIRST:END", help_behavior_hint="(default: the recipe's)")] = None
    trials: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: as many as there is time for)")] = None


def run(arguments: list[str]) -> int:
    """Parse, search, print; where Ctrl-C stopped it, the same command goes on."""
    given = tyro.cli(_Options, args=arguments, prog="qdistill search")
    given.make_ready()
    from qdistill.cli.distill_options import parse_seeds
    from qdistill.experiments.search.search import search

    recipe, folder = _recipe(given), given.out or Path("runs", f"search-{Path(given.recipe).stem}")
    seeds = None if given.seeds is None else parse_seeds(given.seeds)
    try:
        found = search(
            recipe, given.over, folder, budget=given.budget, seeds=seeds, trials=given.trials, engine=given.engine()
        )
    except KeyboardInterrupt:
        _write(folder)
        say(f"Stopped. To go on: {again('search', *arguments)}")
        return INTERRUPTED
    except FailedRunsError:
        _write(folder)
        raise
    _print(found, folder)
    return 0


def _recipe(given: _Options) -> Recipe:
    from qdistill.experiments.defaults import default_recipe
    from qdistill.experiments.recipe_file import read_recipe

    if given.recipe.endswith(".toml"):
        return read_recipe(Path(given.recipe), given.data_dir)
    return default_recipe(given.recipe)


def _write(folder: Path) -> list[Path]:
    """Write out what there is by now."""
    from qdistill.report.search import write_search

    return write_search(folder) if (folder / TRIALS).exists() else []


def _print(found: Found | None, folder: Path) -> None:
    paths = _write(folder)
    if found is None:
        say(f"No trial has come to its first rung: {folder / TRIALS} says why.")
        return
    tell(f"Best: trial {found.trial}, {found.validation_accuracy:.2%} on validation, the best of all that was tried.")
    if found.test_accuracy is None:
        say("The budget did not take it to its end. A larger one goes on from here.")
    else:
        tell(f"  {'test accuracy':<20} {found.test_accuracy:.2%}")
    for name, value in {"recipe": folder / BEST, "run": found.folder}.items():
        tell(f"  {name:<20} {value}")
    tell(f"  {'all trials':<20} {', '.join(map(str, paths))}")
    tell(f"Next: {again('distill', folder / BEST)}")
