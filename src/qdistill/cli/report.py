"""`qdistill report`: one HTML page for a run, for several seeds, or for a table."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from qdistill.cli.output import tell
from qdistill.cli.shared import Cache, DataDir, call, use_compilation_cache
from qdistill.errors import ArgumentError


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(report, arguments)


def report(
    run: Annotated[Path, Positional, arg(metavar="RUN")],
    *,
    out: Annotated[Path | None, arg(metavar="FILE.html", help_behavior_hint="(default: RUN/report.html)")] = None,
    data_dir: DataDir = None,
    compilation_cache: Cache = True,
) -> int:
    """Write one HTML page that holds everything there is to see of a run.

    Args:
        run: the folder of a run, of several seeds or of a table, a bundle file, or a name of the zoo.
        out: where to write the page.
        data_dir: where the dataset's files lie, for the confusion matrix.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    if out is not None and out.suffix.lower() != ".html":
        raise ArgumentError(f"Argument `out` must end in .html, but was {str(out)!r}.")
    if data_dir is not None and not data_dir.is_dir():
        raise ArgumentError(f"Argument `data_dir` must be a folder, but there is none at {str(data_dir)!r}.")
    if compilation_cache:
        use_compilation_cache()
    from qdistill.report.page import write_report

    tell(f"Report written to {write_report(run, out, command_of=command_of, data_dir=data_dir)}")
    return 0


def command_of(plain: Mapping[str, Any]) -> str:
    """The command line that follows a recipe: what differs from the defaults of its dataset, as options.

    Args:
        plain: the recipe as plain data.

    Raises:
        ArgumentError: not a recipe of this version.
    """
    from qdistill.experiments.recipe import Recipe, architecture_options, default_recipe

    recipe = Recipe.from_json(plain)
    default = default_recipe(recipe.dataset)
    words = ["qdistill", "distill", recipe.dataset]
    if type(recipe.model) is not type(default.model):
        default = dataclasses.replace(default, model=type(recipe.model)())
        options = architecture_options()
        words += ["--architecture", next(name for name, kind in options.items() if kind is type(recipe.model))]
    usual = dict(_options(default))
    for name, value in _options(recipe):
        if value == usual[name]:
            continue
        if isinstance(value, bool):
            *parents, own = name.split(".")
            words.append("--" + ".".join([*parents, own if value else f"no-{own}"]))
        else:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _options(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of nested settings, by the name of its option."""
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from _options(value, f"{name}.")
        else:
            yield name, value
