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
from qdistill.fields import hints_of, under


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

    A circuit of the user's own is the file that `qdistill.report.run_page.circuit_file` names. Where the recipe has a
    value that is no option, as a plugin's network may, it is a program of Python's.

    Args:
        plain: the recipe as plain data.
        seeds: of several runs side by side; the recipe's own where there are none.

    Raises:
        ArgumentError: not a recipe of this version.
    """
    from qdistill.cli.model_options import is_option, usual_values
    from qdistill.cli.own_data import FOUND
    from qdistill.data import DataFile
    from qdistill.experiments.defaults import default_recipe, with_model
    from qdistill.experiments.recipe import Recipe
    from qdistill.models import architecture_options

    with under("recipe"):
        recipe = Recipe.from_json(plain)
    default = default_recipe(recipe.dataset, recipe.data)
    if seeds:
        recipe = dataclasses.replace(recipe, seed=default.seed)
    words = ["distill", recipe.dataset if recipe.data is None else recipe.data.path]
    usual = dict(_options(default))
    if type(recipe.model) is not type(default.model):
        others = _options(with_model(default, recipe.model))
        usual = {name: value for name, value in others if not name.startswith("model.")}
        usual |= {f"model.{name.replace('_', '-')}": value for name, value in usual_values(type(recipe.model)).items()}
        options = architecture_options()
        words += ["--architecture", next(name for name, kind in options.items() if kind is type(recipe.model))]
    if recipe.data is not None:
        # Where the file lies, and what was found in it, is no option.
        usual |= {name: value for name, value, _ in _typed_options(DataFile(recipe.data.path), "data.")}
        usual |= {f"data.{name.replace('_', '-')}": getattr(recipe.data, name) for name in FOUND}
    for name, value, hint in _typed_options(recipe):
        if name in usual and value == usual[name]:
            continue
        given = _as_words(name, value, is_flag=hint is bool and name in usual) if is_option(hint) else None
        if given is None:
            return _program(seeds)
        words += given
    return again(*words, *(("--seeds", ",".join(str(seed) for seed in seeds)) if seeds else ()))


def _as_words(name: str, value: Any, *, is_flag: bool) -> list[str] | None:
    """An option as the words of a command line, or None for a value that none can say."""
    from qdistill.quantum import Circuit
    from qdistill.report.repeat import circuit_file

    *parents, own = name.split(".")
    if is_flag:
        return ["--" + ".".join([*parents, own if value else f"no-{own}"])]
    if isinstance(value, Circuit):
        return [f"--{name}", circuit_file(own.replace("-", "_"))]
    if name == "transforms" and not value:
        return ["--transforms", "none"]
    if isinstance(value, tuple | list):
        # Where it is not the first, a text that begins with a hyphen would be taken for an option; a number is not.
        if any(isinstance(part, str) and part.startswith("-") for part in value[1:]):
            return None
        words = [str(part) for part in value]
        return [*_with_value(name, words[0]), *words[1:]] if words else [f"--{name}"]
    return _with_value(name, str(value))


def _with_value(name: str, value: str) -> list[str]:
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]


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


def _options(settings: Any) -> Iterator[tuple[str, Any]]:
    """Every field of nested settings, by the name of its option."""
    return ((name, value) for name, value, _ in _typed_options(settings))


def _typed_options(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The same with the types of the fields; a circuit is one value."""
    from qdistill.quantum import Circuit

    kind: Any = type(settings)
    hints = hints_of(kind)
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value) and not isinstance(value, Circuit):
            yield from _typed_options(value, f"{name}.")
        else:
            yield name, value, hints[field.name]
