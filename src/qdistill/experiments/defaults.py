"""The recipes that are followed where no one says otherwise, and what goes with another kind of network."""

from __future__ import annotations

import dataclasses
from typing import Any

from qdistill.data import DataFile, source
from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.experiments.recipe import PARTS, Recipe
from qdistill.experiments.usual import MNIST_LIKE, of_circuit, usual_fields, usual_n_validation
from qdistill.models import Architecture, is_solved

_SOLVED: dict[str, Any] = {
    "compression": Compression(per_class=10, start="real", step_size=1.0),
    "inner": InnerLoop(steps=1, optimiser="newton", step_sizes="shared", loss="square"),
    "outer": OuterLoop(iterations=1000, validate_every=50),
}
"""What goes with a network that is solved in closed form, whatever the dataset."""

_DEFAULTS: dict[str, Recipe] = {
    recipe.dataset: recipe
    for recipe in (
        Recipe("mnist", **MNIST_LIKE),
        Recipe("fashion-mnist", **MNIST_LIKE),
        # As `recipes/classifiers/mnist-3v5-reuploading-10.toml`.
        Recipe(
            "mnist-3v5",
            **of_circuit(28 * 28, 2)
            | {"compression": Compression(per_class=5, start="real"), "inner": InnerLoop(optimiser="momentum")},
            n_validation=1000,
        ),
        Recipe(
            "cifar10",
            compression=Compression(per_class=10, start="real"),
            inner=InnerLoop(own_examples=True, epochs=2),
            outer=OuterLoop(
                iterations=10_000, batch=128, learning_rate=0.03, warm_up=0.1, mirror=True, validate_every=250
            ),
            transforms=("standardise", "whiten"),
        ),
        Recipe("digits", outer=OuterLoop(iterations=1000), n_validation=200),
    )
}


def default_recipe(dataset: str, data: DataFile | None = None) -> Recipe:
    """The recipe that ``qdistill distill DATASET`` follows without options.

    Where the package has none for a dataset, its inputs' shape decides, see `experiments.usual`, and a fifth of the
    training part is set aside for validation, at most 5,000.

    Args:
        dataset: a name of `qdistill.data.DATASETS`, or that of `data`.
        data: the file or folder of the user's own that the dataset is.

    Raises:
        ArgumentError: unknown dataset.
        DataError: a file that was not read yet cannot be.
    """
    if data is None and dataset in _DEFAULTS:
        return _DEFAULTS[dataset]
    if data is not None and not data.class_names:
        data = data.read()
    origin = source(dataset) if data is None else data
    usual = usual_fields(origin.input_shape, len(origin.class_names))
    # A dataset of a class of the user's own need not say how large it is.
    n_validation = usual_n_validation(getattr(origin, "n_train", None))
    return Recipe(dataset, **usual, n_validation=n_validation, data=data)


def usual_parts(recipe: Recipe, kind: Any) -> dict[str, Any]:
    """Compression and loops for a network of another kind.

    Args:
        recipe: has them, but where only one of the two kinds is solved in closed form.
        kind: an architecture, or a class of them.
    """
    if is_solved(kind) == is_solved(recipe.model):
        return {name: getattr(recipe, name) for name in _SOLVED}
    return _SOLVED if is_solved(kind) else {name: PARTS[name]() for name in _SOLVED}


def with_model(recipe: Recipe, model: Architecture) -> Recipe:
    """A recipe with another network, and the compression and the loops that are usual for it."""
    return dataclasses.replace(recipe, model=model, **usual_parts(recipe, model))
