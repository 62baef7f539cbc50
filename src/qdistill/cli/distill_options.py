"""The options of `qdistill distill`: a recipe, or a run to go on with, and how it is followed."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import AvoidSubcommands, FlagCreatePairsOff, Positional, Suppress, arg

from qdistill.cli.places import Runs
from qdistill.errors import ArgumentError, shown
from qdistill.fields import check_seed
from qdistill.files import SEEDS
from qdistill.run_files import read_seeds

if TYPE_CHECKING:
    from qdistill.experiments.recipe import Recipe

_Seeds = Annotated[
    str | None,
    arg(
        metavar="FIRST:END",
        help="run these seeds side by side in one program, such as 0:8, each into a run folder of its own.",
        help_behavior_hint="(default: the one of --seed)",
    ),
]
_MemoryBudget = Annotated[
    int | None,
    arg(
        metavar="MIB",
        help="memory for what a long unroll keeps for its meta-gradient; what does not fit is computed again.",
        help_behavior_hint="(default: a quarter of the machine's)",
    ),
]
_Iterations = Annotated[
    int | None,
    arg(
        metavar="N",
        help="with --resume: go on to so many iterations, with the learning rates of a run of so many.",
        help_behavior_hint="(default: the recipe's)",
    ),
]
_MOST_AT_ONCE = 1000
"""Seeds in one program; each is a network, its examples and a run folder."""
_PROFILE_HELP = "first trace some iterations: a file that opens in Perfetto, and a summary of where the time goes."


@dataclass(frozen=True, kw_only=True)
class _Followed(Runs):
    """How a run is followed, new or gone on with: what is no part of its recipe."""

    memory_budget: _MemoryBudget = None


@dataclass(frozen=True, kw_only=True)
class Asked(_Followed):
    """What the command line asks for; the memory budget is in bytes."""

    recipe: Recipe
    folder: Path | None
    resume: bool
    seeds: tuple[int, ...] | None
    profile: bool = False
    iterations: int | None = None

    @classmethod
    def of(cls, given: Any, recipe: Recipe, folder: Path | None, **own: Any) -> Asked:
        """A run by what was parsed, which has the fields of `_Followed`, and by what is its own."""
        options = {field.name: getattr(given, field.name) for field in dataclasses.fields(_Followed)}
        options["memory_budget"] = _in_bytes(given.memory_budget)
        return cls(**options, recipe=recipe, folder=folder, **own)

    def __post_init__(self) -> None:
        """Refuse what only a run in this process can do."""
        if self.is_here:
            return
        for name in ("profile", "iterations", "memory_budget"):
            if getattr(self, name) not in (None, False):
                raise ArgumentError(f"Argument `{name}` must be left out with --on {self.on}: it is for runs here.")


def parse(arguments: list[str]) -> Asked:
    """Read the options of a new run, or of one that goes on."""
    helping = not {"-h", "-H", "--help", "--help-verbose"}.isdisjoint(arguments)
    resuming = any(argument.partition("=")[0] == "--resume" for argument in arguments)
    return _parse_resume(arguments) if resuming and not helping else parse_new(arguments)


def parse_new(arguments: list[str]) -> Asked:
    """Read the options of a new run, which are the fields of its recipe.

    Their defaults depend on the dataset or the recipe file, and which of them the network has on the architecture:
    these two are looked up first.
    """
    from qdistill.cli.model_options import ModelOptions
    from qdistill.cli.own_data import FILES, find_dataset, plain, with_short_options
    from qdistill.data import DATASETS, DataFile
    from qdistill.distill.initialisation import Initialisation
    from qdistill.experiments.defaults import usual_parts
    from qdistill.experiments.recipe import Device, Recipe
    from qdistill.models import architecture_options

    place = find_dataset(arguments, DATASETS)
    what = "mnist" if place is None else arguments[place]
    others = arguments if place is None else [*arguments[:place], *arguments[place + 1 :]]
    default = _default_for(what, others)
    if place is not None:
        # In front, or an option of several values would take it for one of them.
        arguments = [default.dataset, *others]
    kinds = architecture_options()
    own_kind = next(name for name, kind in kinds.items() if isinstance(default.model, kind))
    architecture = _find_value(arguments, "--architecture", own_kind)
    if architecture not in kinds:
        raise ArgumentError.unknown("architecture", architecture, kinds)
    model = ModelOptions.of(kinds[architecture], default.model, arguments)
    hints = typing.get_type_hints(Recipe)
    hints["device"], device = _with_short_options(default.device, _SHORT_DEVICE)
    hints["initialisation"], initialisation = _with_short_options(default.initialisation, _SHORT_INITIALISATION)
    usual = vars(default) | usual_parts(default, kinds[architecture])
    usual |= {"device": device, "initialisation": initialisation}
    hints["data"] = Annotated[DataFile | None, Suppress]
    if default.data is not None:
        hints["data"], usual["data"] = with_short_options(default.data)
    own: list[Any] = [
        (field.name, hints[field.name], dataclasses.field(default=usual[field.name]))
        for field in dataclasses.fields(Recipe)
        if field.name not in ("dataset", "model")
    ]
    how = typing.get_type_hints(_Followed, include_extras=True)
    more: list[Any] = [
        (
            "architecture",
            Annotated[str, arg(metavar=_choice(kinds), help="kind of network.")],
            architecture,
        ),
        ("out", _option("FOLDER", "run folder to make.", "(default: runs/DATASET-1, -2, ...)"), None),
        ("resume", _option("RUN", "go on with this run, by its own recipe and no other option of it.", ""), None),
        ("iterations", _Iterations, None),
        ("seeds", _Seeds, None),
        ("profile", Annotated[bool, FlagCreatePairsOff, arg(help=_PROFILE_HELP)], False),
        *((field.name, how[field.name], field.default) for field in dataclasses.fields(_Followed)),
    ]
    # A subclass, so that the options are described by the recipe's docstring and pass its checks.
    options = dataclasses.make_dataclass(
        "Options",
        [
            ("dataset", Annotated[str, Positional, arg(metavar=_choice([*DATASETS, *FILES]))]),
            model.field(),
            *own,
            *more,
        ],
        bases=(Recipe,),
        frozen=True,
        namespace={
            "__doc__": "Distill a dataset into a run folder: the bundle, its scores and pictures.\n\n"
            f"The defaults are those {'for' if what in DATASETS else 'of'} {what}; -H explains the options."
        },
    )
    given: Any = tyro.cli(
        options, args=arguments, prog="qdistill distill", compact_help=True, config=(AvoidSubcommands,)
    )
    chosen = {field.name: getattr(given, field.name) for field in dataclasses.fields(Recipe)}
    chosen["model"] = model.chosen(given.model, arguments)
    for name, kind in {"device": Device, "initialisation": Initialisation}.items():
        chosen[name] = kind(**vars(chosen[name]))
    chosen["data"] = None if given.data is None else plain(given.data)
    recipe = Recipe(**chosen)
    if given.iterations is not None:
        raise ArgumentError(
            "Argument `iterations` must be given together with --resume only: a new run has --outer.iterations."
        )
    seeds = None if given.seeds is None else parse_seeds(given.seeds)
    if seeds is not None and any(argument.partition("=")[0] == "--seed" for argument in arguments):
        raise ArgumentError("Argument `seed` must not be given together with `seeds`.")
    if seeds is not None and given.profile:
        raise ArgumentError("Argument `profile` must not be given together with `seeds`: profile one seed alone.")
    return Asked.of(given, recipe, given.out, resume=False, seeds=seeds, profile=given.profile)


def _default_for(what: str, arguments: list[str]) -> Recipe:
    """The recipe whose values the options have where they are not given.

    Args:
        what: the name of a dataset, its file or folder, a recipe file, or a row of a table.
        arguments: the command line's, among which are the options that say how a file is read.
    """
    from qdistill.cli.own_data import check_no_run, read_own_data, row_of_table, say_which_data
    from qdistill.data import DATASETS, DataFile, is_data_path
    from qdistill.experiments.defaults import default_recipe
    from qdistill.experiments.recipe_file import read_recipe

    data_dir = _find_value(arguments, "--data-dir", "")
    folder = Path(data_dir) if data_dir else None
    named = row_of_table(what)
    if named is not None:
        return _recipe_of_row(*named)
    if what.endswith(".toml"):
        default = read_recipe(Path(what), folder)
        if default.data is None:
            return default
        file = read_own_data(arguments, default.data, folder)
        return dataclasses.replace(default, dataset=file.name, data=file)
    if what in DATASETS or not is_data_path(what):
        say_which_data(what)
        return default_recipe(what)
    check_no_run(what)
    file = read_own_data(arguments, DataFile(what), folder)
    return default_recipe(file.name, file)


def _recipe_of_row(table: str, name: str) -> Recipe:
    """The recipe of a table's row.

    Raises:
        ArgumentError: there is no such row, or it distils nothing.
    """
    from qdistill.experiments.tables.read import read_table

    row = read_table(table).row(name)
    if row.full is not None:
        raise ArgumentError(
            f"Argument `dataset` must be a row that distils, but {table}/{name} trains on all inputs. To run it: "
            f"qdistill table {table} --rows {name}"
        )
    return row.recipe


_SHORT_DEVICE = {"name": "--device", "shots": "--shots", "preparation": "--preparation"}
_SHORT_INITIALISATION = {"weights": "--initialisation"}
"""Fields that have a short option too; those of a device as `qdistill evaluate` has them."""


def _with_short_options(part: Any, short: Mapping[str, str]) -> tuple[type, Any]:
    """A subclass of a part of a recipe in which some fields have a short option beside their own, and its default."""
    kind = type(part)
    hints = typing.get_type_hints(kind)
    subclass = dataclasses.make_dataclass(
        kind.__name__,
        [
            (name, Annotated[hints[name], arg(aliases=(option,))], dataclasses.field(default=getattr(part, name)))
            for name, option in short.items()
        ],
        bases=(kind,),
        frozen=True,
        namespace={"__doc__": kind.__doc__},
    )
    return subclass, subclass(**vars(part))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``"0:8"``, which are 0 to 7, or ``"0,2,5"``."""
    try:
        first, colon, end = text.partition(":")
        if colon:
            start = int(first or 0)
            # One too many is enough to be refused.
            seeds = tuple(range(start, min(int(end), start + _MOST_AT_ONCE + 1)))
        else:
            seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not 1 <= len(seeds) <= _MOST_AT_ONCE or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ArgumentError(
            f"Argument `seeds` must be a range such as 0:8, or different numbers such as 0,2,5, of at most "
            f"{_MOST_AT_ONCE} seeds, but was {shown(text)}."
        )
    return tuple(check_seed(seed, "seeds") for seed in seeds)


def _in_bytes(mebibytes: int | None) -> int | None:
    if mebibytes is not None and mebibytes < 1:
        raise ArgumentError(f"Argument `memory_budget` must be at least 1 (MiB), but was {mebibytes}.")
    return None if mebibytes is None else mebibytes * 2**20


def _parse_resume(arguments: list[str]) -> Asked:
    """Read the options of a run that goes on."""
    from qdistill.experiments.recipe_file import recipe_of_run

    given, others = tyro.cli(_ResumeOptions, args=arguments, prog="qdistill distill", return_unknown_args=True)
    if others:
        raise ArgumentError(
            f"Argument `{others[0]}` must not be given with --resume: a run goes on by its own recipe, of which only "
            "the number of iterations can be changed, by --iterations. Leave it out, or start a new run."
        )
    seeds = tuple(read_seeds(given.resume)) if (given.resume / SEEDS).exists() else None
    recipe = recipe_of_run(given.resume)
    if given.dataset not in (None, recipe.dataset, recipe.data and recipe.data.path):
        raise ArgumentError(
            f"Argument `dataset` must be {recipe.dataset!r}, which the run {given.resume} distils, or be left out "
            f"with --resume, but was {given.dataset!r}."
        )
    return Asked.of(given, recipe, given.resume, resume=True, seeds=seeds, iterations=given.iterations)


@dataclass(frozen=True, kw_only=True)
class _ResumeOptions(_Followed):
    """Go on with a run."""

    resume: Path
    iterations: int | None = None
    dataset: Annotated[str | None, Positional] = None


def _find_value(arguments: list[str], option: str, default: str) -> str:
    """The last value that an option is given, by ``--option value`` or ``--option=value``."""
    for index, argument in reversed(list(enumerate(arguments))):
        name, equals, value = argument.partition("=")
        if name == option and (equals or index + 1 < len(arguments)):
            return value if equals else arguments[index + 1]
    return default


def _choice(names: Iterable[str]) -> str:
    return "{" + ",".join(names) + "}"


def _option(metavar: str, text: str, default: str) -> Any:
    return Annotated[Path | None, arg(metavar=metavar, help=text, help_behavior_hint=default)]
