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

from qdistill.backends.devices import device
from qdistill.data import DataFile, Source, Splits, source, split
from qdistill.data.raw import check_mirror
from qdistill.data.transforms import chain_of, shape_after, text_of
from qdistill.distill.compression import Compression
from qdistill.distill.initialisation import Initialisation
from qdistill.distill.inner import InnerLoop
from qdistill.distill.matching import Objective, check_objective
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError
from qdistill.fields import as_table, check_fields, check_seed, from_table, under
from qdistill.models import (
    Architecture,
    GivesFidelities,
    QuantumLeNetArchitecture,
    architecture_from_json,
    architecture_to_json,
    is_solved,
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
        objective: what for: the ``"performance"`` on real inputs of the network that it trained (Wang et al., arXiv
            1811.10959); the ``"gradients"`` of real inputs (Zhao et al., arXiv 2006.05929), or the
            ``"distributions"`` of their features (Zhao and Bilen, arXiv 2110.04181), class by class; or the
            ``"last_layer"`` in closed form (Zhou et al., arXiv 2206.00719). The last three leave step sizes as they
            are.
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
    objective: Objective = "performance"
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
        check_objective(self.objective, self.inner, self.compression)
        if self.objective != "performance" and not self.device.is_exact:
            raise ArgumentError(
                "Argument `objective` must be 'performance' where the training runs on a `device` or from `shots`, but "
                f"was {self.objective!r}."
            )
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
        if self.objective == "performance":
            del plain["objective"]
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
        for name in ("model", *PARTS):
            if name not in values and name != "initialisation":
                raise ArgumentError(f"Argument `{name}` must be given, but is missing.")
        values["model"] = architecture_from_json(values["model"])
        values["compression"] = {"examples": None, **as_table(values["compression"], "compression")}
        values.setdefault("objective", "performance")
        values.setdefault("initialisation", dataclasses.asdict(Initialisation()))
        for name, part in PARTS.items():
            values[name] = from_table(part, values[name], name, whole=True)
        values["data"] = from_table(DataFile, values["data"], "data", whole=True) if "data" in values else None
        recipe: Recipe = from_table(cls, values, "", whole=True)
        return recipe


PARTS: dict[str, Any] = {
    "compression": Compression,
    "inner": InnerLoop,
    "outer": OuterLoop,
    "initialisation": Initialisation,
    "device": Device,
}
"""The parts of a recipe that are groups of options, by their names."""
