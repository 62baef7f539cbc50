"""`qdistill report`: one HTML page for a run, for several seeds, or for a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from qdistill.cli.output import tell
from qdistill.cli.plugins import PLUGINS
from qdistill.cli.shared import Cache, DataDir, again, call, say_which, use_compilation_cache
from qdistill.errors import ArgumentError

_CIRCUIT_OPTION = "model.ansatz"
"""The only option that takes a circuit."""


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
    say_which(run)
    if compilation_cache:
        use_compilation_cache()
    from qdistill.report.page import write_report

    tell(f"Report written to {write_report(run, out, command_of=command_of, data_dir=data_dir)}")
    return 0


def command_of(plain: Mapping[str, Any], seeds: Sequence[int] = ()) -> str:
    """What follows a recipe: a command line of what differs from the defaults of its dataset.

    A circuit of the user's own is the file that `qdistill.report.run_page.CIRCUIT_FILE` names. Where the recipe has a
    value that is no option, as a plugin's network may, it is a program of Python's.

    Args:
        plain: the recipe as plain data.
        seeds: of several runs side by side; the recipe's own where there are none.

    Raises:
        ArgumentError: not a recipe of this version.
    """
    from qdistill.experiments.recipe import Recipe, architecture_options, default_recipe
    from qdistill.fields import under
    from qdistill.quantum import Circuit

    with under("recipe"):
        recipe = Recipe.from_json(plain)
    if seeds:
        recipe = dataclasses.replace(recipe, seed=default_recipe(recipe.dataset).seed)
    default = default_recipe(recipe.dataset)
    words = ["distill", recipe.dataset]
    if type(recipe.model) is not type(default.model):
        try:
            default = dataclasses.replace(default, model=type(recipe.model)())
        except TypeError:  # a field without a default
            return _program(seeds)
        options = architecture_options()
        words += ["--architecture", next(name for name, kind in options.items() if kind is type(recipe.model))]
    usual = dict(_options(default))
    for name, value in _options(recipe):
        if name in usual and value == usual[name]:
            continue
        is_option = name == _CIRCUIT_OPTION or (name in usual and not isinstance(usual[name], Circuit))
        given = _as_words(name, value) if is_option else None
        if given is None:
            return _program(seeds)
        words += given
    return again(*words, *(("--seeds", ",".join(str(seed) for seed in seeds)) if seeds else ()))


def _as_words(name: str, value: Any) -> list[str] | None:
    """An option as the words of a command line, or None for a value that none can say."""
    from qdistill.quantum import Circuit
    from qdistill.report.run_page import CIRCUIT_FILE

    if isinstance(value, bool):
        *parents, own = name.split(".")
        return ["--" + ".".join([*parents, own if value else f"no-{own}"])]
    if isinstance(value, Circuit):
        return [f"--{name}", CIRCUIT_FILE] if name == _CIRCUIT_OPTION else None
    if isinstance(value, tuple):
        return [f"--{name}", *map(str, value)] if all(isinstance(part, str | int | float) for part in value) else None
    if not isinstance(value, str | int | float | None):
        return None
    # What begins with a hyphen would be taken for an option.
    return [f"--{name}={value}"] if str(value).startswith("-") else [f"--{name}", str(value)]


def _program(seeds: Sequence[int]) -> str:
    """What repeats a recipe that no command line can say, in Python, beside the file of the recipe."""
    plugins = [f"runpy.run_path({str(path)!r})" for path in PLUGINS]
    run = f'qdistill.run_seeds(recipe, {list(seeds)}, "again")' if seeds else 'qdistill.run(recipe, "again")'
    lines = [
        "# In Python, for the recipe has a value that no option can say:",
        f"import {'runpy, ' * bool(plugins)}qdistill",
        *plugins,
        'recipe = qdistill.Recipe.from_json(qdistill.DistilledDataset.load("bundle.safetensors").recipe)',
        run,
    ]
    return "\n".join(lines)


def _options(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of nested settings, by the name of its option; a circuit is one value."""
    from qdistill.quantum import Circuit

    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value) and not isinstance(value, Circuit):
            yield from _options(value, f"{name}.")
        else:
            yield name, value
