"""Bundles: everything needed to replay a training, in one file that holds no code.

The file is safetensors with a JSON header. `docs/bundle-format.md` describes it and every computation of a
replay, so that nothing of this package is needed to use one. Reading trusts nothing: what is damaged, foreign
or inconsistent gives a `BundleError` that says what is wrong.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.data import DataFile, FittedChain, RawDataset, Source, source
from qdistill.distill.bundle_check import WEIGHTS, structure_of
from qdistill.distill.bundle_content import Content
from qdistill.distill.bundle_header import DataOrigin, Header
from qdistill.distill.eight_bit import on_levels, shared_axes
from qdistill.distill.initialisation import DrawnAnew, drawn_schedule
from qdistill.distill.inner import InnerLoop, checked_train
from qdistill.distill.record import Record, RoundingCheck
from qdistill.distill.training_set import TrainingSet
from qdistill.distill.zoo import named_or_path
from qdistill.errors import ArgumentError, BundleError
from qdistill.fields import from_table
from qdistill.models import Architecture, KernelClassifier, Model, named_weights, with_weights
from qdistill.quantum import ideal


class DistilledDataset(eqx.Module):
    """Distilled data with all that its training depends on.

    Args:
        data: inputs (transformed), labels, step sizes and schedule.
        initial_weights: the initial network's arrays by name, as `named_weights` gives them; without those that are
            drawn anew.
        architecture: builds the network. One that is registered in `ARCHITECTURES` is written into the file.
            None stands for a network of the user's own: `initial_model` and `train` then need it as an argument.
        inner: how the network trains.
        transform: raw inputs -> what the network reads.
        class_names: what each label means: label i is `class_names[i]`.
        dataset: name of the dataset that was distilled.
        recipe: how the data came to be; plain JSON.
        provenance: versions, machine, seed and what else tells where it came from; plain JSON.
        record: the accuracy that the replay gives.
        rounding: how much of that hangs on rounding; None where it was not checked, see `evaluate.rounding`.
        data_digest: of the dataset that was distilled, `RawDataset.digest`; None where it is not known.
        eight_bit: inputs and initial weights are stored with a byte a number; see `in_eight_bits`.
        weight_names: the names of `initial_weights` in the order of the step sizes' columns; a dict loses its own on
            the way through JAX. By default that of the dict. With `drawn_anew` they are those of all weights.
        drawn_anew: what a training draws anew where the data is for unknown initial weights; None where it is for
            those in `initial_weights`.

    Raises:
        ArgumentError: a field that no file could hold or that has no meaning, such as class names that are no strings.

    Example:
        >>> bundle = DistilledDataset.load("runs/demo/bundle.safetensors")  # doctest: +SKIP
        >>> model = bundle.train()  # doctest: +SKIP
    """

    data: TrainingSet
    initial_weights: dict[str, Array]
    architecture: Architecture | None = eqx.field(static=True)
    inner: InnerLoop = eqx.field(static=True)
    transform: FittedChain
    class_names: tuple[str, ...] = eqx.field(static=True)
    dataset: str = eqx.field(static=True)
    # Not static: a dict has no hash. As subtrees of plain leaves they pass through `eqx.filter_jit`.
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    record: Record = eqx.field(static=True)
    rounding: RoundingCheck | None = eqx.field(static=True, default=None)
    data_digest: str | None = eqx.field(static=True, default=None)
    eight_bit: bool = eqx.field(static=True, default=False)
    weight_names: tuple[str, ...] = eqx.field(static=True, default=())
    drawn_anew: DrawnAnew | None = eqx.field(static=True, default=None)

    def __post_init__(self) -> None:
        """Keep the order of the weights, or take that of others in their place; check all that is no array."""
        drawn = self._drawn_names
        both = sorted(set(drawn) & set(self.initial_weights))
        if both:
            raise ArgumentError(f"Argument `initial_weights` must not hold what is drawn anew, but has {both}.")
        if set(self.weight_names) != {*self.initial_weights, *drawn}:
            self.weight_names = (*self.initial_weights, *drawn)
        self._header()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input as the network reads it: (features,) or (height, width, channels)."""
        return self.data.inputs.shape[1:]

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape of one raw input, before the transforms."""
        return self.transform.shape_before(self.input_shape)

    @property
    def is_for_known_weights(self) -> bool:
        """Whether the examples are for the initial weights in the file alone, not for any draw; no kernel has some."""
        return self.drawn_anew is None and any(weight.size for weight in self.initial_weights.values())

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.data.labels.shape[1])

    @property
    def origin(self) -> Source:
        """The dataset that was distilled: the file that the recipe names, or else the one of `DATASETS` by its name.

        Raises:
            ArgumentError: there is none of that name.
            BundleError: the recipe names a file in fields that are none.
        """
        if "data" not in self.recipe:
            return source(self.dataset)
        try:
            file: DataFile = from_table(DataFile, self.recipe["data"], "data", whole=True)
        except ArgumentError as error:
            raise BundleError(f"The recipe of the bundle names no file that could be read: {error}") from error
        return file

    def fitted(self, raw: RawDataset) -> RawDataset:
        """A dataset as the trained network takes it: its inputs at the bundle's scale.

        Raises:
            BundleError: the bundle is for other inputs or classes, or for the classes in another order.
        """
        shape, names = tuple(raw.test_inputs.shape[1:]), tuple(raw.class_names)
        if shape != self.raw_shape or len(names) != self.n_classes:
            raise BundleError(
                f"The bundle was distilled from {self.dataset!r} and is for inputs of shape "
                f"{self.raw_shape} in {self.n_classes} classes, but was to be used on inputs of shape "
                f"{shape} in {len(names)} classes."
            )
        if names != self.class_names:
            what = "in another order" if set(names) == set(self.class_names) else "of other names"
            raise BundleError(
                f"The bundle is for the classes {', '.join(self.class_names)}, but was to be used on {raw.name!r} with "
                f"classes {what}: {', '.join(names)}."
            )
        return raw.at_scale(self.transform.scale)

    @property
    def kernel(self) -> KernelClassifier | None:
        """The network before its training where that is a kernel; None where it is another, or not known.

        A kernel is solved on its examples, and runs circuits for pairs of points.
        """
        known = self.architecture is not None and self.drawn_anew is None  # no kernel is for unknown weights
        model = self.initial_model() if known else None
        return model if isinstance(model, KernelClassifier) else None

    @property
    def hard_labels(self) -> bool:
        """Whether each label speaks for one class alone: 1 for that and 0 for all others."""
        return np.array_equal(self.data.labels, self.data.one_hot_labels)

    def made_from(self, raw: RawDataset) -> bool | None:
        """Whether the bundle was made from exactly this dataset; None where it does not say what from."""
        return None if self.data_digest is None else self.data_digest == raw.digest

    def recorded_on(self, raw: RawDataset) -> float | None:
        """The recorded test accuracy; None where there is none, or the dataset is another, of which it says nothing."""
        return None if self.made_from(raw) is False else self.record.test_accuracy

    def raw_inputs(self) -> Float[np.ndarray, "n *shape"]:
        """The distilled inputs as they would be before the transforms, where 1.0 stands for the scale."""
        return np.asarray(self.transform.inverse(self.data.inputs))

    def images_as_pixels(self) -> Float[np.ndarray, "n height width channels"]:
        """Distilled images as one looks at them: 0 is black, 1 is white, and what lies outside is clipped."""
        return self.raw_inputs().clip(0.0, 1.0)

    def initial_model(self, structure: Model | None = None) -> Model:
        """The network before training.

        Args:
            structure: any network with weights of the same names and shapes; needed only where the bundle has
                no architecture.

        Raises:
            BundleError: there is neither an architecture nor a structure, the weights do not fit it, or they are to be
                drawn anew.
        """
        if self.drawn_anew is not None:
            raise BundleError(
                "The bundle is for unknown initial weights and holds none to start from. Draw some: `qdistill export "
                "BUNDLE --to bundle --seed N`, or in Python `bundle.drawn(key=...)`, makes a bundle for known weights "
                "of it."
            )
        if structure is None:
            structure = self.structure()
        try:
            return with_weights(structure, self.initial_weights)
        except ArgumentError as error:
            raise BundleError(f"the bundle's weights do not fit the network: {error}") from error

    def structure(self) -> Model:
        """The network with zeros as weights, for what depends on its shapes alone.

        Raises:
            BundleError: the bundle has no architecture, or weights that do not fit it.
        """
        if self.architecture is None:
            raise BundleError(
                "The bundle is for a network that its file does not describe: give the network as `structure`, to "
                "`replay`, or to `initial_model` and what that returns to `train`."
            )
        shape, n_classes = self.input_shape, self.n_classes
        return structure_of(self.architecture, self.initial_weights, shape, n_classes, self._drawn_names)

    def drawn(self, *, key: Array) -> DistilledDataset:
        """A bundle for known weights: one draw of those that are unknown, and of the order of the examples.

        Its record has no accuracies, for that of one network is another than the mean over many. Its provenance has
        the key's numbers under `drawn_by_key`: 0 and the seed for `jax.random.key(seed)`.

        Args:
            key: random key, consumed.

        Raises:
            BundleError: the bundle is for known weights already, or what was drawn is not finite.
        """
        if self.drawn_anew is None or self.architecture is None:
            raise BundleError("The bundle is for known initial weights, which it holds: there are none to be drawn.")
        key_weights, key_order = jax.random.split(key)
        self.structure()  # what is held fits the architecture
        draw = named_weights(self.architecture.build(self.input_shape, self.n_classes, key=key_weights))
        lost = [name for name in self.drawn_anew.weights if not np.isfinite(draw[name]).all()]
        if lost:
            raise BundleError(f"The initial weights that the architecture draws are not finite: {', '.join(lost)}.")
        data = self.data
        if self.drawn_anew.order == "random":
            schedule = drawn_schedule(self.inner, len(data.inputs), key=key_order)
            data = data.with_schedule(np.asarray(schedule))
        return dataclasses.replace(
            self,
            data=data,
            initial_weights=draw | self.initial_weights,
            drawn_anew=None,
            provenance=self.provenance | {"drawn_by_key": np.asarray(jax.random.key_data(key)).tolist()},
            record=Record(n_validation=self.record.n_validation),
            rounding=None,
            eight_bit=False,
        )

    def one_draw(self) -> DistilledDataset:
        """A bundle for known weights, to look at one training: itself, or always the same draw of unknown ones.

        Raises:
            BundleError: see `drawn`.
        """
        return self if self.drawn_anew is None else self.drawn(key=jax.random.key(0))

    def train(self, model: Model | None = None, *, key: Array | None = None) -> Model:
        """Train on the distilled data. The same arguments on the same platform give the same bits.

        Args:
            model: the network to start from, as it is; by default `initial_model()`.
            key: random key, consumed, for a network whose quantum layers take shots.

        Returns:
            The trained network.

        Raises:
            BundleError: the bundle has no architecture and no model is given, or it has one step size for each
                weight of another network.
            DivergenceError: a weight is not finite after one of the steps.
            ArgumentError: the equations of a network with a closed form have no one solution, or the data is for
                another loop.
        """
        if model is None:
            model = self.initial_model()
        elif self.inner.step_sizes == "tensor" and set(named_weights(ideal(model))) != set(self.weight_names):
            raise BundleError(
                "The bundle has a step size for each weight of its own network, and the given one has others. "
                "Only bundles with shared step sizes train networks of another kind."
            )
        return checked_train(model, self.data, self.inner, key=key)

    def in_eight_bits(self, seed: int | None = None) -> DistilledDataset:
        """The bundle with 256 levels for the numbers of each input and of each initial weight tensor.

        Its file is a third of the size or less. It is another training, so nothing is known of it: measure it again.

        Args:
            seed: decides where the levels begin and end, within half of one: each seed is another rounding, as near.
                By default they go from the smallest to the largest value.

        Raises:
            BundleError: the numbers of an input or a tensor differ by less than float32 resolves.
        """
        rng = None if seed is None else np.random.default_rng(seed)

        def rounded(name: str, array: Array) -> Array:
            return jnp.asarray(on_levels(np.asarray(array), shared_axes(name, array.ndim), rng))

        weights = {name: rounded(WEIGHTS + name, weight) for name, weight in self.initial_weights.items()}
        data = eqx.tree_at(lambda d: d.inputs, self.data, rounded("inputs", self.data.inputs))
        return dataclasses.replace(
            self, data=data, initial_weights=weights, record=Record(), rounding=None, eight_bit=True
        )

    def check(self) -> None:
        """Make sure that the bundle could be written.

        Raises:
            BundleError: it is not one that `load` would take back.
        """
        self._content().to_bytes()

    def save(self, path: Path | str) -> None:
        """Write the bundle; the same bundle gives the same bytes.

        The file appears whole or not at all: a crash or a full disk leaves what was there before.

        Args:
            path: where to; an existing file is replaced.

        Raises:
            BundleError: the file cannot be written, or the bundle is not one that `load` would take back.
        """
        self._content().to_file(Path(path))

    @classmethod
    def load(cls, path: Path | str) -> DistilledDataset:
        """Read a bundle and check everything in it.

        Args:
            path: what `save` wrote, or the name of one of the zoo's bundles.

        Raises:
            BundleError: the file is missing, damaged, foreign, of a newer format, or contradicts itself.
        """
        return cls._of(Content.from_file(named_or_path(path)))

    @property
    def _drawn_names(self) -> tuple[str, ...]:
        return () if self.drawn_anew is None else self.drawn_anew.weights

    def _header(self) -> Header:
        """All but the arrays."""
        return Header(
            architecture=self.architecture,
            data=DataOrigin(self.dataset, self.class_names, self.transform.scale, self.data_digest),
            transforms=tuple(self.transform.to_json()),
            inner=self.inner,
            record=self.record,
            rounding=self.rounding,
            recipe=self.recipe,
            provenance=self.provenance,
            weight_names=self.weight_names,
            drawn_anew=self.drawn_anew,
        )

    def _content(self) -> Content:
        """The bundle as a file holds it; `_of` is the inverse."""
        data = self.data
        arrays = {
            "inputs": data.inputs,
            "labels": data.labels,
            "step_sizes": data.step_sizes,
            "schedule": data.schedule,
            **self.transform.arrays(),
            **{WEIGHTS + name: weight for name, weight in self.initial_weights.items()},
        }
        known = {name: np.asarray(array) for name, array in arrays.items()}
        return Content(self._header(), known, self.transform, self.eight_bit)

    @classmethod
    def _of(cls, content: Content) -> DistilledDataset:
        header, arrays = content.header, content.arrays
        tensors = {name: jnp.asarray(array) for name, array in arrays.items() if name != "schedule"}
        return cls(
            data=TrainingSet(tensors["inputs"], tensors["labels"], tensors["step_sizes"], arrays["schedule"]),
            initial_weights={name: tensors[WEIGHTS + name] for name in header.held_names},
            architecture=header.architecture,
            inner=header.inner,
            transform=content.transform,
            class_names=header.data.class_names,
            dataset=header.data.name,
            recipe=header.recipe,
            provenance=header.provenance,
            record=header.record,
            rounding=header.rounding,
            data_digest=header.data.digest,
            eight_bit=content.eight_bit,
            weight_names=header.weight_names,
            drawn_anew=header.drawn_anew,
        )
