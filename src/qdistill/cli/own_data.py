"""The options of a dataset that is a file or folder of the user's own."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Suppress, arg

from qdistill.cli.output import say
from qdistill.errors import ArgumentError
from qdistill.files import RECIPE, shipped

if TYPE_CHECKING:
    from qdistill.data import DataFile

FOUND = ("class_names", "input_shape", "n_train")
"""The fields of a `DataFile` that no one sets, because they are read from the file."""

FILES = ("DATA.csv", "DATA.npz", "FOLDER", "RECIPE.toml", "TABLE/ROW")
"""What may stand in a dataset's place."""
_BEFORE_PATHS = ("--out", "--data-dir", "--device", "--device.name")
_BEFORE_NAMES = tuple(f"--{of}{name}" for name in ("name", "label-column", "drop", "classes") for of in ("", "data."))
"""Options whose value may have the name of a dataset."""

_HELP = ("-h", "-H", "--help", "--help-verbose")


def with_short_options(file: DataFile) -> tuple[type[Any], DataFile]:
    """A subclass of `DataFile` whose fields have short options beside their own, and its default.

    Args:
        file: has the values of the options that are not given.
    """
    from qdistill.data import DataFile

    hints = typing.get_type_hints(DataFile)
    fields: list[Any] = []
    for field in dataclasses.fields(DataFile):
        short = arg(aliases=(f"--{field.name.replace('_', '-')}",))
        note = Suppress if field.name in ("path", *FOUND) else short
        fields.append((field.name, Annotated[hints[field.name], note], getattr(file, field.name)))
    kind = dataclasses.make_dataclass(
        "DataFile", fields, bases=(DataFile,), frozen=True, namespace={"__doc__": DataFile.__doc__}
    )
    return kind, kind()


def plain(file: DataFile) -> DataFile:
    """What the options of `with_short_options` say, as a recipe has it."""
    from qdistill.data import DataFile

    return DataFile(**{field.name: getattr(file, field.name) for field in dataclasses.fields(DataFile)})


def read_own_data(arguments: Sequence[str], file: DataFile, data_dir: Path | None) -> DataFile:
    """Read a file as the options among some arguments say; others are left to whoever reads those.

    Raises:
        DataError, ArgumentError: see `DataFile.read`.
    """
    kind, default = with_short_options(file)
    only = dataclasses.make_dataclass("Only", [("data", kind, dataclasses.field(default=default))], frozen=True)
    words = [word for word in arguments if word not in _HELP]
    given: Any
    given, _ = tyro.cli(only, args=words, return_unknown_args=True)
    return plain(given.data).read(data_dir)


def find_dataset(arguments: list[str], known: Iterable[str]) -> int | None:
    """The place of the dataset, recipe file or row of a table among the arguments, wherever it stands."""
    from qdistill.data.data_file import SUFFIXES

    before = option = ""
    for place, argument in enumerate(arguments):
        is_path = argument.lower().endswith((".toml", *SUFFIXES)) or row_of_table(argument) is not None
        # A folder by its bare name could be the value of any option.
        is_path = is_path or ("/" in argument and Path(argument).is_dir())
        # Of several columns or classes each may have such a name, and what ends them is a path.
        is_name = argument in known and option not in _BEFORE_NAMES
        if (is_path or is_name) and before not in (*_BEFORE_PATHS, *_BEFORE_NAMES):
            return place
        before = argument.replace("_", "-")
        option = before if before.startswith("--") else option
    # What stands first can be nothing but a dataset, if a misspelled one.
    return 0 if arguments and not arguments[0].startswith("-") else None


def row_of_table(what: str) -> tuple[str, str] | None:
    """The table and the row that ``TABLE/ROW`` names; None where there is no such table."""
    table, _, row = what.partition("/")
    return (table, row) if row and (shipped("recipes") / f"{table}.toml").is_file() else None


def check_no_run(path: str) -> None:
    """Make sure that a folder which should be a dataset is no run's.

    Raises:
        ArgumentError: it is one.
    """
    if (Path(path) / RECIPE).exists():
        raise ArgumentError(
            f"Argument `dataset` must be a dataset, but {path} is a run, which `--resume {path}` goes on with."
        )


def say_which_data(name: str) -> None:
    """Tell the user where a file or folder here has the name of a dataset that is taken instead."""
    if Path(name).exists():
        say(f"Note: {name} is the dataset of that name, not the file or folder here. That one: ./{name} --name OTHER")
