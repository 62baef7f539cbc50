"""Recipes: everything that decides a distillation, as frozen data.

A recipe is the command line's options, the provenance record and the identity of a run at once, so there is
one place where an option has a name, a default and a meaning.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from qdistill.backends.circuit_files import read_circuit
from qdistill.backends.devices import device
from qdistill.data import DataFile, Source, Splits, source, split
from qdistill.data.raw import check_mirror
from qdistill.data.transforms import chain_of, shape_after, text_of
from qdistill.distill.compression import Compression
from qdistill.distill.initialisation import Initialisation
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError
from qdistill.experiments.usual import MNIST_LIKE, of_circuit, usual_fields, usual_n_validation
from qdistill.fields import as_table, check_fields, check_seed, convert, from_table, under
from qdistill.files import RECIPE, read_json, read_toml
from qdistill.models import (
    Architecture,
    GivesFidelities,
    QuantumLeNetArchitecture,
    architecture_from_json,
    architecture_options,
    architecture_to_json,
    fields_from_json,
    is_solved,
    names_a_file,
    structure,
)
from qdistill.quantum import Execution, wires_needed


@dataclass(frozen=True)
class Device:
    """Where the training runs that the inputs are optimised for: exact simulation, a noisy device, or shots.

    Shots are the Gaussian noise of `quantum.Execution`, through which the meta-gradient is exact. The recorded test
    accuracy stays that of an exact replay; `qdistill evaluate --device` gives that of one with noise.

    Args:
        name: of a fake backend such as fake_sherbrooke, or a TOML file; none by default.
        shots: shots for each measurement setting; exact expectation values by default.
        preparation: noise of the state preparation on the device; ``"exact"`` is several times slower.
    """

    name: str | None = None
    shots: int | None = None
    preparation: Literal["approximate", "exact", "ideal"] = "approximate"

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.name is None and self.preparation != "approximate":
            raise ArgumentError("Argument `preparation` must be given together with a device's `name` only.")
        if self.shots is not None and self.shots < 1:
            raise ArgumentError(f"Argument `shots` must be at least 1, but was {self.shots}.")

    @property
    def is_exact(self) -> bool:
        """Whether there is neither a device nor shots."""
        return self.name is None and self.shots is None

    def execution(self, n_wires: int) -> Execution:
        """How circuits on that many wires are executed there.

        Raises:
            ArgumentError: unknown device, one with too few wires or a bad file, or neither device nor shots.
            MissingExtraError: the device's package is not installed.
        """
        model = None if self.name is None else device(self.name, n_wires)
        return Execution(model, self.shots, "gaussian", self.preparation)


@dataclass(frozen=True)
class Recipe:
    """One distillation.

    Args:
        dataset: name of the dataset to distil.
        model: the network whose training the inputs are distilled for.
        compression: what is learned.
        inner: how the network trains on it.
        outer: how it is optimised.
        initialisation: which initial weights it is for.
        device: where the training runs.
        n_validation: training inputs set aside for every choice that is made; the test set decides nothing.
        transforms: what is done to real inputs, in this order, fitted on the training part: standardise,
            standardise:feature, pca:COMPONENTS, rescale:LOW:HIGH (numbers, or multiples of pi such as pi/2) or whiten;
            none for nothing.
        seed: decides the initial weights, the initial inputs and the batches.
        data: the file or folder of the user's own that the dataset is, and how it is read; None for a dataset of
            `qdistill.data.DATASETS`.
    """

    dataset: str
    model: Architecture = field(default_factory=QuantumLeNetArchitecture)
    compression: Compression = field(default_factory=Compression)
    inner: InnerLoop = field(default_factory=InnerLoop)
    outer: OuterLoop = field(default_factory=OuterLoop)
    initialisation: Initialisation = field(default_factory=Initialisation)
    device: Device = field(default_factory=Device)
    n_validation: int = 5000
    transforms: tuple[str, ...] = ("standardise",)
    seed: int = 0
    data: DataFile | None = None

    def __post_init__(self) -> None:
        """Check the fields, those of the network too, and what their types do not say."""
        check_fields(self)
        if self.data is not None:
            if not self.data.class_names:
                object.__setattr__(self, "data", self.data.read())
            if self.dataset != self.data.name:
                raise ArgumentError(
                    f"Argument `dataset` must be {self.data.name!r}, the name of `data`, but was {self.dataset!r}."
                )
        if isinstance(self.model, type):
            raise ArgumentError(f"Argument `model` must be a {self.model.__name__}, but was the class itself.")
        with under("model"):
            check_fields(self.model)
        check_seed(self.seed)
        transforms = chain_of(self.transforms)
        object.__setattr__(self, "transforms", tuple(map(text_of, transforms)))
        data = self.origin
        shape_after(transforms, data.input_shape)
        if self.outer.mirror:
            check_mirror(data.input_shape)
        n_classes = len(data.class_names)
        if self.n_validation < 1:
            raise ArgumentError(f"Argument `n_validation` must be at least 1, but was {self.n_validation}.")
        if not self.device.is_exact and not self.n_wires:
            raise ArgumentError(
                "Argument `device` must be left out for a network without a quantum layer, but was "
                f"{self.device.name or f'{self.device.shots} shots'}."
            )
        fidelities = isinstance(self.model, GivesFidelities) and self.model.gives_fidelities
        if self.inner.loss == "fidelity" and not fidelities:
            raise ArgumentError(
                "Argument `inner.loss` must not be 'fidelity' for a network whose logits are no fidelities with a "
                "state for each class, from 0 to 1. Those of the architecture 'circuit' are, with the readout "
                "'probabilities', output_scaling 'none' and output_scale 1."
            )
        if is_solved(self.model) != (self.inner.optimiser == "newton"):
            raise ArgumentError(
                "Argument `inner.optimiser` must be 'newton' for a network with a closed form, such as a kernel, and "
                f"for no other, but was {self.inner.optimiser!r} for a {type(self.model).__name__}."
            )
        # Known before any data is loaded: whether the inputs can be shared out among the steps.
        with under("compression"):
            n_examples = self.compression.n_examples(n_classes)
        self.inner.schedule(n_examples)
        with under("initialisation"):
            self.initialisation.check(self.inner)
            self._check_unknown()

    def _check_unknown(self) -> None:
        """Make sure that the network has what is to be drawn, and that its training can be averaged over draws."""
        if self.initialisation.is_known:
            return
        if not self.device.is_exact:
            raise ArgumentError(
                "Argument `weights` must be 'known' where the training runs on a `device` or from `shots`, but was "
                "'unknown'."
            )
        if self.initialisation.drawn == "quantum" and not self.n_wires:
            raise ArgumentError(
                "Argument `drawn` must be 'all' for a network without a quantum layer, but was 'quantum'."
            )

    @property
    def origin(self) -> Source:
        """The dataset that is distilled."""
        return source(self.dataset) if self.data is None else self.data

    @cached_property
    def n_wires(self) -> int:
        """Qubits that a device needs for any of the network's circuits; 0 where there are none."""
        return wires_needed(structure(self.model, self.input_shape, len(self.origin.class_names)))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input as the network reads it, after the transforms."""
        return shape_after(chain_of(self.transforms), self.origin.input_shape)

    def check_network(self) -> None:
        """Make sure that the network can be built for the dataset's inputs and classes.

        Raises:
            ArgumentError: it cannot.
        """
        _ = self.n_wires

    def splits(self, data_dir: Path | None = None) -> Splits:
        """The dataset in its parts, with the transforms fitted on the training part.

        Args:
            data_dir: where the dataset's files lie; by default as `qdistill.data` finds them.

        Raises:
            DataError: the files are damaged, or are neither there nor to be had.
            ArgumentError: there are too few inputs for the validation part, or for a transform.
        """
        raw = self.origin.load(data_dir)
        return split(raw, n_validation=self.n_validation, transforms=chain_of(self.transforms))

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain data; `from_json` reads it back."""
        plain = dataclasses.asdict(self)
        plain["model"] = architecture_to_json(self.model)
        if self.data is None:  # the name says all
            del plain["data"]
        if self.compression.examples is None:  # so many of each class say all
            del plain["compression"]["examples"]
        if self.initialisation.is_known:
            del plain["initialisation"]
        result: dict[str, Any] = json.loads(json.dumps(plain))
        return result

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Recipe:
        """Read a recipe that `to_json` wrote.

        Raises:
            ArgumentError: a field is unknown, missing or has a bad value.
        """
        values = as_table(plain, "recipe")
        for name in ("model", *_PARTS):
            if name not in values and name != "initialisation":
                raise ArgumentError(f"Argument `{name}` must be given, but is missing.")
        values["model"] = architecture_from_json(values["model"])
        values["compression"] = {"examples": None, **as_table(values["compression"], "compression")}
        values.setdefault("initialisation", dataclasses.asdict(Initialisation()))
        for name, part in _PARTS.items():
            values[name] = from_table(part, values[name], name, whole=True)
        values["data"] = from_table(DataFile, values["data"], "data", whole=True) if "data" in values else None
        recipe: Recipe = from_table(cls, values, "", whole=True)
        return recipe


_PARTS: dict[str, Any] = {
    "compression": Compression,
    "inner": InnerLoop,
    "outer": OuterLoop,
    "initialisation": Initialisation,
    "device": Device,
}

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
    return _SOLVED if is_solved(kind) else {name: _PARTS[name]() for name in _SOLVED}


def with_model(recipe: Recipe, model: Architecture) -> Recipe:
    """A recipe with another network, and the compression and the loops that are usual for it."""
    return dataclasses.replace(recipe, model=model, **usual_parts(recipe, model))


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
        for name, part in _PARTS.items():
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
