"""`qdistill diagnose BUNDLE`: how large the gradients of a bundle's or a recipe's own network are at the start."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qdistill.cli.diagnosis_folder import DIAGNOSIS, batch_of, check_free, folder_of, versions
from qdistill.cli.output import plain_console, tell, to_standard_output
from qdistill.cli.shared import bundle_file
from qdistill.errors import ArgumentError, BundleError
from qdistill.fields import check_seed
from qdistill.files import write_json

if TYPE_CHECKING:
    from qdistill.evaluate.gradients import Place
    from qdistill.experiments.recipe import Recipe


def diagnose_network(
    what: Path,
    *,
    draws: int,
    inputs: int,
    seed: int,
    out: Path | None,
    data_dir: Path | None,
) -> int:
    """Measure, write and print; arguments as of `diagnose`.

    Raises:
        ArgumentError: a bad number of draws or inputs.
        BundleError: the bundle does not say which recipe it is of.
    """
    import jax

    from qdistill.evaluate.initial_gradients import initial_gradients
    from qdistill.models import architecture_to_json, is_solved

    if out is not None:
        check_free(out)
    check_seed(seed)
    recipe = _recipe(what, data_dir)
    recipe.check_network()
    if is_solved(recipe.model):
        raise ArgumentError(
            "Argument `what` must be of a network that is trained step by step, but is of one that is solved at once, "
            f"{type(recipe.model).__name__}."
        )
    raw = recipe.origin.load(data_dir)
    batch = batch_of(raw, recipe.transforms, inputs, seed)
    with folder_of(out) as folder:
        started = time.monotonic()
        found = initial_gradients(
            recipe.model,
            *batch,
            len(raw.class_names),
            loss=recipe.inner.loss,
            draws=draws,
            key=jax.random.key(seed),
        )
        plain = {
            "settings": {
                "dataset": recipe.dataset,
                "transforms": list(recipe.transforms),
                "model": architecture_to_json(recipe.model),
                "loss": recipe.inner.loss,
                "draws": draws,
                "inputs": inputs,
                "seed": seed,
            },
            "weights": {name: dataclasses.asdict(place) for name, place in found.items()},
            "versions": versions(),
            "seconds": round(time.monotonic() - started, 1),
        }
        write_json(folder / DIAGNOSIS, plain)
        _print_table(found)
        tell(f"Written: {folder / DIAGNOSIS}")
    return 0


def _recipe(what: Path, data_dir: Path | None) -> Recipe:
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.experiments.recipe import Recipe
    from qdistill.experiments.recipe_file import read_recipe

    if what.suffix.lower() == ".toml":
        return read_recipe(what, data_dir)
    file = bundle_file(what)
    recipe = DistilledDataset.load(file).recipe
    try:
        return Recipe.from_json(recipe)
    except ArgumentError as error:
        raise BundleError(f"The bundle {file} does not say which recipe it is of: {error}") from error


def _print_table(found: Mapping[str, Place]) -> None:
    from rich.table import Table

    tell("Variances over the draws, of the gradient of the loss by each of the weights at the start of training.")
    table = Table(box=None, pad_edge=False)
    table.add_column("weights")
    for column in ("of one", "95 % interval", "of all"):
        table.add_column(column, justify="right")
    for name, place in found.items():
        low, high = place.interval
        table.add_row(name, f"{place.mean:.2e}", f"{low:.2e} to {high:.2e}", f"{place.total:.2e}")
    with to_standard_output():
        plain_console().print(table)
