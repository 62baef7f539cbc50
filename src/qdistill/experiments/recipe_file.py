"""Recipes in files: the TOML that a user writes, and what a run folder has kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qdistill.backends.circuit_files import read_circuit
from qdistill.data import DataFile
from qdistill.errors import ArgumentError
from qdistill.experiments.defaults import default_recipe, with_model
from qdistill.experiments.recipe import PARTS, Recipe
from qdistill.fields import as_table, convert, from_table, under
from qdistill.files import RECIPE, read_json, read_toml, toml, write_text
from qdistill.models import Architecture, architecture_options, fields_from_json, names_a_file


def recipe_of_run(folder: Path) -> Recipe:
    """The recipe that a run folder follows.

    Raises:
        RunError: the folder has none, or it is damaged.
        ArgumentError: a field of it is unknown, missing or has a bad value.
    """
    plain = read_json(folder / RECIPE)
    try:
        return Recipe.from_json(plain)
    except ArgumentError as error:
        raise ArgumentError(f"In the recipe {folder / RECIPE}: {error}") from error


def read_recipe(path: Path, data_dir: Path | None = None) -> Recipe:
    """Read a recipe file: TOML that names a dataset and what differs from its default recipe.

    The tables are the groups of the command line's options: ``[model]`` (where ``architecture`` is one of
    `models.architecture_options`, such as ``"quantum-lenet"`` or the class name of one that was added, and a circuit is
    a table, as `Circuit.to_json` has it, or the name of a file, JSON or OpenQASM, as seen from the recipe),
    ``[compression]``, ``[inner]``, ``[outer]``, ``[initialisation]`` and ``[device]``; ``seed``, ``n_validation`` and
    ``transforms`` stand before them. In place of a dataset's name there may be ``[data]``, whose ``path`` is seen from
    the recipe too.

    Args:
        path: of the recipe file.
        data_dir: where the file of ``[data]`` lies; by default where its path says.

    Raises:
        ArgumentError: the file is missing or no TOML, or a field is unknown or has a bad value.
        DataError: the file of the dataset cannot be read.
    """
    try:
        fields = read_toml(path)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"Argument `recipe` must be a TOML file, but {path}: {error}.") from error
    return recipe_of(fields, path, data_dir)


def recipe_of(fields: Mapping[str, Any], path: Path, data_dir: Path | None = None) -> Recipe:
    """The recipe of a file's fields; `path` is for what an error says. See `read_recipe`."""
    changes = dict(fields)
    try:
        if "data" in changes:
            changes["data"] = _data(as_table(changes["data"], "data"), path.parent, data_dir)
            changes.setdefault("dataset", changes["data"].name)
        if "dataset" not in changes:
            raise ArgumentError("Argument `dataset` must be given, or `data`, but both are missing.")
        default = default_recipe(convert(changes["dataset"], str, "dataset"), changes.get("data"))
        if "model" in changes:
            changes["model"] = _model(as_table(changes["model"], "model"), default.model, path.parent)
            default = with_model(default, changes["model"])
        for name, part in PARTS.items():
            if name in changes:
                changes[name] = from_table(part, changes[name], name, default=getattr(default, name))
        recipe: Recipe = from_table(Recipe, changes, "", default=default)
        return recipe
    except ArgumentError as error:
        raise ArgumentError(f"In the recipe {path}: {error}") from error


def _data(fields: dict[str, Any], folder: Path, data_dir: Path | None) -> DataFile:
    """The dataset of a recipe file's table; its path is named from a folder."""
    if isinstance(fields.get("path"), str):
        fields["path"] = str(folder / fields["path"])
    data: DataFile = from_table(DataFile, fields, "data")
    return data.read(data_dir)


def _model(fields: dict[str, Any], usual: Architecture, folder: Path) -> Architecture:
    """The network of a recipe file's table.

    Args:
        fields: the table; a circuit is a table too, as `Circuit.to_json` has it, or the name of a file.
        usual: of the default recipe, whose values are the defaults where it is of the same kind.
        folder: that files are named from.
    """
    kinds, kind = architecture_options(), type(usual)
    if "architecture" in fields:
        name = convert(fields.pop("architecture"), str, "model.architecture")
        if name not in kinds:
            raise ArgumentError.unknown("model.architecture", name, kinds)
        kind = kinds[name]
    for name, value in fields.items():
        if names_a_file(kind, name, value):
            if value.lower().endswith(".py"):
                raise ArgumentError(
                    f"Argument `model.{name}` must be a file of data where a recipe names it, but was {value!r}. Name "
                    "a Python file on the command line."
                )
            fields[name] = read_circuit(folder / value, f"model.{name}")
    with under("model"):
        values = fields_from_json(kind, fields)
    model: Architecture = from_table(kind, values, "model", default=usual if type(usual) is kind else None)
    return model


def write_recipe(recipe: Recipe, path: Path, notes: Sequence[str] = ()) -> None:
    """Write a recipe as a file that says everything, so that it means the same under other defaults.

    Args:
        recipe: what to write.
        path: of the file. A dataset of the user's own is named by the whole path of its file.
        notes: lines that go before it.

    Raises:
        RunError: it cannot be written.
    """
    plain = recipe.to_json()
    name = next(name for name, kind in architecture_options().items() if kind is type(recipe.model))
    plain["model"] = {"architecture": name, **plain["model"]["fields"]}
    if recipe.data is not None:
        plain["data"]["path"] = str(Path(recipe.data.path).resolve())
    lines = [f"# {note}" for note in notes]
    lines += _lines({key: value for key, value in plain.items() if not isinstance(value, dict)})
    for group, fields in plain.items():
        if isinstance(fields, dict) and (own := _lines(fields)):
            lines += ["", f"[{group}]", *own]
    write_text(path, "\n".join(lines) + "\n")


def _lines(plain: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {toml(value)}" for name, value in plain.items() if value is not None]
