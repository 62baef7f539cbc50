"""Bundles: everything needed to replay a training, in one file that holds no code.

The file is safetensors with a JSON header. `docs/bundle-format.md` describes it and every computation of a
replay, so that nothing of this package is needed to use one. Reading trusts nothing: what is damaged, foreign
or inconsistent gives a `BundleError` that says what is wrong.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qdistill.data import Normalisation
from qdistill.distill.eight_bit import on_levels, quantised, restored
from qdistill.distill.inner import InnerLoop, TrainingSet, train
from qdistill.distill.zoo import named_or_path
from qdistill.errors import ArgumentError, BundleError, CircuitError, RunError
from qdistill.files import write_whole
from qdistill.models import (
    ARCHITECTURES,
    HOW_TO_ADD,
    Architecture,
    Model,
    fields_from_json,
    fields_to_json,
    has_added_fields,
    named_weights,
    with_weights,
)
from qdistill.quantum import ideal

FORMAT = "qdistill-bundle"
"""What the file's metadata says of its kind."""

FORMAT_VERSION = 4
"""Counts up whenever a reader of the version before would misread the file; the lowest that does is written."""

_WEIGHTS, _KERNEL = "weights/", "normalisation/kernel"
_LARGEST = float(np.finfo(np.float64).max)
_AXES = {
    "images": ("n", "height", "width", "channels"),
    "labels": ("n", "classes"),
    "step_sizes": ("steps", "groups"),
    "schedule": ("steps", "images a step"),
    "normalisation/mean": ("channels",),
    "normalisation/std": ("channels",),
    _KERNEL: ("side", "side", "channels", "channels"),
}
"""Of all tensors but the weights; the kernel is the only one that a file may lack."""
_HEADER_FIELDS = (
    "architecture", "class_names", "dataset", "inner", "normalisation", "provenance", "recipe", "record",
    "weight_names",
)  # fmt: skip

# Compiled once for each network and shape, however many bundles are replayed.
_train = eqx.filter_jit(train)

Fields = TypeVar("Fields")


@dataclass(frozen=True)
class Record:
    """What a replay was measured to give.

    Args:
        test_accuracy: share of the test images classified right, in [0, 1]; None where it was not measured.
        n_test: how many test images that were.
        validation_accuracy: the same on the validation images, by which the data was chosen.
        n_validation: how many validation images that were.
    """

    test_accuracy: float | None = None
    n_test: int | None = None
    validation_accuracy: float | None = None
    n_validation: int | None = None

    def __post_init__(self) -> None:
        """Check that every accuracy is a fraction and comes with its number of images."""
        for part in ("test", "validation"):
            accuracy, n = getattr(self, f"{part}_accuracy"), getattr(self, f"n_{part}")
            if accuracy is not None and not 0 <= accuracy <= 1:
                raise ArgumentError(f"Argument `{part}_accuracy` must be a fraction in [0, 1], but was {accuracy}.")
            if n is not None and n < 1:
                raise ArgumentError(f"Argument `n_{part}` must be at least 1, but was {n}.")
            if accuracy is not None and n is None:
                raise ArgumentError(f"Argument `n_{part}` must be given with `{part}_accuracy`, but was None.")


class DistilledDataset(eqx.Module):
    """Distilled data with all that its training depends on.

    Args:
        data: images (normalised), labels, step sizes and schedule.
        initial_weights: the initial network's arrays by name, as `named_weights` gives them.
        architecture: builds the network. One that is registered in `ARCHITECTURES` is written into the file.
            None stands for a network of the user's own: `initial_model` and `train` then need it as an argument.
        inner: how the network trains.
        normalisation: raw pixels -> what the network takes.
        class_names: what each label means.
        dataset: name of the dataset that was distilled.
        recipe: how the data came to be; plain JSON.
        provenance: versions, machine, seed and what else tells where it came from; plain JSON.
        record: the accuracy that the replay gives.
        eight_bit: images and initial weights are stored with a byte a number; see `in_eight_bits`.
        weight_names: the names of `initial_weights` in the order of the step sizes' columns; a dict loses its own on
            the way through JAX. By default that of the dict.

    Example:
        >>> bundle = DistilledDataset.load("runs/demo/bundle.safetensors")  # doctest: +SKIP
        >>> model = bundle.train()  # doctest: +SKIP
    """

    data: TrainingSet
    initial_weights: dict[str, Array]
    architecture: Architecture | None = eqx.field(static=True)
    inner: InnerLoop = eqx.field(static=True)
    normalisation: Normalisation
    class_names: tuple[str, ...] = eqx.field(static=True)
    dataset: str = eqx.field(static=True)
    # Not static: a dict has no hash. As subtrees of plain leaves they pass through `eqx.filter_jit`.
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    record: Record = eqx.field(static=True)
    eight_bit: bool = eqx.field(static=True, default=False)
    weight_names: tuple[str, ...] = eqx.field(static=True, default=())

    def __post_init__(self) -> None:
        """Keep the order of the weights; where others took their place, take theirs."""
        if set(self.weight_names) != set(self.initial_weights):
            self.weight_names = tuple(self.initial_weights)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and number of channels of an image."""
        _, height, width, channels = self.data.images.shape
        return height, width, channels

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.data.labels.shape[1])

    def check_fits(self, image_shape: tuple[int, ...], n_classes: int) -> None:
        """Make sure that the trained network can be used on a dataset.

        Args:
            image_shape: (height, width, channels) of that dataset's images.
            n_classes: its number of classes.

        Raises:
            BundleError: the bundle is for other images or classes.
        """
        if tuple(image_shape) != self.image_shape or n_classes != self.n_classes:
            raise BundleError(
                f"The bundle was distilled from {self.dataset!r} and is for images of shape "
                f"{self.image_shape} in {self.n_classes} classes, but was to be used on images of shape "
                f"{tuple(image_shape)} in {n_classes} classes."
            )

    def images_as_pixels(self) -> Float[np.ndarray, "n height width channels"]:
        """The images as one looks at them: 0 is black, 1 is white, and what lies outside is clipped."""
        pixels: Float[np.ndarray, "n height width channels"] = np.asarray(
            jnp.clip(self.normalisation.inverse(self.data.images), 0.0, 1.0)
        )
        return pixels

    def initial_model(self, structure: Model | None = None) -> Model:
        """The network before training.

        Args:
            structure: any network with weights of the same names and shapes; needed only where the bundle has
                no architecture.

        Raises:
            BundleError: there is neither an architecture nor a structure, or the weights do not fit it.
        """
        if structure is None:
            if self.architecture is None:
                raise BundleError(
                    "The bundle is for a network that its file does not describe: give the network as `structure`, to "
                    "`replay`, or to `initial_model` and what that returns to `train`."
                )
            structure = _structure(self, self.architecture)
        try:
            return with_weights(structure, self.initial_weights)
        except ArgumentError as error:
            raise BundleError(f"the bundle's weights do not fit the network: {error}") from error

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
        """
        if model is None:
            model = self.initial_model()
        elif self.inner.step_sizes == "tensor" and set(named_weights(ideal(model))) != set(self.initial_weights):
            raise BundleError(
                "The bundle has a step size for each weight of its own network, and the given one has others. "
                "Only bundles with shared step sizes train networks of another kind."
            )
        trained: Model = _train(model, self.data, self.inner, key=key)
        return trained

    def in_eight_bits(self, seed: int | None = None) -> DistilledDataset:
        """The bundle with 256 levels for the numbers of each image and of each initial weight tensor.

        Its file is a third of the size or less. It is another training, so its record is empty: measure it again.

        Args:
            seed: decides where the levels begin and end, within half of one: each seed is another rounding, as near.
                By default they go from the smallest to the largest value.

        Raises:
            BundleError: the numbers of an image or a tensor differ by less than float32 resolves.
        """
        rng = None if seed is None else np.random.default_rng(seed)

        def rounded(name: str, array: Array) -> Array:
            return jnp.asarray(on_levels(np.asarray(array), _shared_axes(name, array.ndim), rng))

        weights = {name: rounded(_WEIGHTS + name, weight) for name, weight in self.initial_weights.items()}
        data = eqx.tree_at(lambda d: d.images, self.data, rounded("images", self.data.images))
        return dataclasses.replace(self, data=data, initial_weights=weights, record=Record(), eight_bit=True)

    def check(self) -> None:
        """Make sure that the bundle could be written.

        Raises:
            BundleError: it is not one that `load` would take back.
        """
        _encode(self)

    def save(self, path: Path | str) -> None:
        """Write the bundle; the same bundle gives the same bytes.

        The file appears whole or not at all: a crash or a full disk leaves what was there before.

        Args:
            path: where to; an existing file is replaced.

        Raises:
            BundleError: the file cannot be written, or the bundle is not one that `load` would take back.
        """
        path = Path(path)
        if path.is_dir():
            raise BundleError(f"Cannot write the bundle {path}: it is a folder.")
        try:
            content = _encode(self)
        except BundleError as error:
            raise BundleError(f"Cannot write the bundle {path}: {error}") from error
        try:
            write_whole(path, content)
        except RunError as error:
            raise BundleError(str(error)) from error

    @classmethod
    def load(cls, path: Path | str) -> DistilledDataset:
        """Read a bundle and check everything in it.

        Args:
            path: what `save` wrote, or the name of one of the zoo's bundles.

        Raises:
            BundleError: the file is missing, damaged, foreign, of a newer format, or contradicts itself.
        """
        path = named_or_path(path)
        try:
            return _decode(path)
        except BundleError as error:
            raise BundleError(f"Cannot read the bundle {path}: {error}") from error


def _shared_axes(name: str, ndim: int) -> tuple[int, ...]:
    """The axes that share 256 levels: an image's own, or all of a weight tensor's."""
    return tuple(range(1 if name == "images" else 0, ndim))


def _structure(bundle: DistilledDataset, architecture: Architecture) -> Model:
    """A network of the architecture with zeros as weights, after the bundle's were found to fit it."""

    def build() -> tuple[Model, dict[str, Array]]:
        model = architecture.build(bundle.image_shape, bundle.n_classes, key=jax.random.key(0))
        return model, named_weights(model)

    try:
        # The shapes alone: to draw weights only to replace them would take seconds of compilation.
        shapes, own = eqx.filter_eval_shape(build)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise BundleError(
            f"the architecture cannot be built for images of shape {bundle.image_shape}: {error}"
        ) from error
    given = bundle.initial_weights
    if set(own) != set(given):
        missing, foreign = sorted(set(own) - set(given)), sorted(set(given) - set(own))
        raise BundleError(f"the weights are not the network's; missing: {missing}, foreign: {foreign}.")
    for name, leaf in own.items():
        if given[name].shape != leaf.shape:
            raise BundleError(f"`{_WEIGHTS}{name}` must have the shape {leaf.shape}, but has {given[name].shape}.")

    def zeros(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise BundleError("the network has arrays of integers, which are no weights and not in a bundle.")
        return jnp.zeros(leaf.shape, leaf.dtype)

    model: Model = jax.tree.map(zeros, shapes)
    return model


def _check(arrays: Mapping[str, np.ndarray], inner: InnerLoop, scale: float, class_names: Sequence[str]) -> None:
    """Raise an error for the first thing that is wrong with a bundle's tensors."""
    tensors = {name: arrays[name] for name in _AXES if name in arrays}
    sizes: dict[str, int] = {}
    for name, array in tensors.items():
        axes = _AXES[name]
        if array.ndim != len(axes) or not all(array.shape):
            raise BundleError(f"`{name}` must have the shape ({', '.join(axes)}), but has {array.shape}.")
        for axis, size in zip(axes, array.shape, strict=True):
            if sizes.setdefault(axis, size) != size:
                raise BundleError(
                    f"`{name}` has the shape {array.shape}, but its axis '{axis}' must be of size {sizes[axis]}, "
                    "as in the tensors before it."
                )
    for name, array in arrays.items():
        if name != "schedule" and array.dtype != np.float32:
            raise BundleError(f"`{name}` must be of the type float32, but is {array.dtype}.")
        if not np.isfinite(array).all():
            raise BundleError(f"`{name}` holds values that are not finite.")

    n_weights = len(arrays) - len(tensors)
    if not n_weights:
        raise BundleError("there are no initial weights.")
    expected = (inner.total_steps, 1 if inner.step_sizes == "shared" else n_weights)
    if (sizes["steps"], sizes["groups"]) != expected:
        raise BundleError(
            f"`step_sizes` must have the shape {expected}, as the inner loop says, but has "
            f"{tensors['step_sizes'].shape}."
        )
    n, schedule = sizes["n"], tensors["schedule"]
    if schedule.dtype.kind != "i" or schedule.min() < 0 or schedule.max() >= n:
        raise BundleError(f"`schedule` must be integers from 0 to {n - 1}, the numbers of the {n} images.")
    if not inner.own_images and not np.array_equal(schedule, inner.schedule(n)):
        raise BundleError("`schedule` must list all images in each step, for `own_images` is false.")
    if (tensors["step_sizes"] < 0).any():
        raise BundleError("`step_sizes` must not be negative.")
    if not (tensors["normalisation/std"] > 0).all():
        raise BundleError("`normalisation/std` must be above 0.")
    side = sizes.get("side", 1)
    if side % 2 == 0 or side // 2 >= min(sizes["height"], sizes["width"]):
        raise BundleError(
            f"`{_KERNEL}` must have an odd number of rows and a margin within the {sizes['height']}x{sizes['width']} "
            f"images, but has {side} rows."
        )
    if not (np.isfinite(scale) and scale > 0):
        raise BundleError(f"the normalisation's scale must be finite and above 0, but is {scale}.")
    if len(class_names) != sizes["classes"]:
        raise BundleError(
            f"`labels` must have one column a class, but has {sizes['classes']} and there are "
            f"{len(class_names)} class names."
        )


def _encode(bundle: DistilledDataset) -> bytes:
    """The file's content."""
    data, normalisation = bundle.data, bundle.normalisation
    arrays = {
        "images": np.asarray(data.images),
        "labels": np.asarray(data.labels),
        "step_sizes": np.asarray(data.step_sizes),
        "schedule": np.asarray(data.schedule),
        "normalisation/mean": np.asarray(normalisation.mean),
        "normalisation/std": np.asarray(normalisation.std),
    }
    if normalisation.kernel is not None:
        arrays[_KERNEL] = np.asarray(normalisation.kernel)
    arrays |= {_WEIGHTS + name: np.asarray(weight) for name, weight in bundle.initial_weights.items()}
    _check(arrays, bundle.inner, normalisation.scale, bundle.class_names)
    arrays["schedule"] = arrays["schedule"].astype(np.int32)
    architecture, names = None, list(bundle.weight_names)
    if bundle.architecture is not None:
        kind = type(bundle.architecture)
        if ARCHITECTURES.get(kind.__name__) is not kind:
            raise BundleError(
                f"the architecture {kind.__name__} is not one of {', '.join(sorted(ARCHITECTURES))}. Register it "
                "in `qdistill.models.ARCHITECTURES`, or write the bundle with `architecture=None`."
            )
        architecture = {"name": kind.__name__, "fields": fields_to_json(bundle.architecture)}
        # The network has an order of its own.
        names = list(named_weights(bundle.initial_model()))
    header = {
        "architecture": architecture,
        "class_names": bundle.class_names,
        "dataset": bundle.dataset,
        "inner": _plain(bundle.inner),
        "normalisation": {"scale": normalisation.scale},
        "provenance": bundle.provenance,
        "recipe": bundle.recipe,
        "record": _plain(bundle.record),
        "weight_names": names,
    }
    try:
        text = json.dumps(header, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BundleError(f"the recipe, provenance and other fields must be plain JSON: {error}.") from error
    if bundle.eight_bit:
        for name in ["images", *(_WEIGHTS + name for name in names)]:
            codes, low, step = quantised(arrays[name], _shared_axes(name, arrays[name].ndim))
            if not np.array_equal(restored(codes, low, step), arrays[name]):
                raise BundleError(f"`{name}` has other values than its 256 levels; `in_eight_bits` gives it those.")
            arrays |= {name: codes, f"{name}/low": low, f"{name}/step": step}
    metadata = {"format": FORMAT, "format_version": _lowest_version(bundle), "header": text}
    content = save({name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}, metadata=metadata)
    # The library writes the metadata in the order of a hash table, which differs from one call to the next.
    start = 8 + int.from_bytes(content[:8], "little")
    ordered = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    ordered += b" " * (-len(ordered) % 8)
    return len(ordered).to_bytes(8, "little") + ordered + content[start:]


def _decode(path: Path) -> DistilledDataset:
    header, arrays = _read(path)
    header = _only(header, _HEADER_FIELDS, "header")
    inner = _parse(InnerLoop, header["inner"], "inner")
    scale = _only(header["normalisation"], ("scale",), "normalisation")["scale"]
    if not _is(scale, float):
        raise BundleError(f"Field `scale` of `normalisation` must be a number, but is {scale!r}.")
    names = header["weight_names"]
    for field in ("class_names", "weight_names"):
        if not isinstance(header[field], list) or not all(isinstance(name, str) for name in header[field]):
            raise BundleError(f"Field `{field}` of the header must be a list of strings.")
    if not isinstance(header["dataset"], str):
        raise BundleError("Field `dataset` of the header must be a string.")
    for field in ("recipe", "provenance"):
        if not isinstance(header[field], dict):
            raise BundleError(f"Field `{field}` of the header must be an object.")
    expected = {*_AXES, *(_WEIGHTS + name for name in names)} - ({_KERNEL} - set(arrays))
    eight_bit = arrays["images"].dtype == np.uint8 if "images" in arrays else False
    if eight_bit:
        arrays = _restore(arrays, ["images", *(_WEIGHTS + name for name in names)])
    if set(arrays) != expected or len(set(names)) != len(names):
        missing, foreign = sorted(expected - set(arrays)), sorted(set(arrays) - expected)
        raise BundleError(f"it must hold the tensors that its header names; missing: {missing}, foreign: {foreign}.")
    for name, array in arrays.items():
        wanted = np.int32 if name == "schedule" else np.float32
        if array.dtype != wanted:
            raise BundleError(f"`{name}` must be of the type {wanted.__name__}, but is {array.dtype.name}.")
    _check(arrays, inner, float(scale), header["class_names"])
    tensors = {name: jnp.asarray(array) for name, array in arrays.items() if name != "schedule"}
    bundle = DistilledDataset(
        data=TrainingSet(tensors["images"], tensors["labels"], tensors["step_sizes"], arrays["schedule"]),
        initial_weights={name: tensors[_WEIGHTS + name] for name in names},
        architecture=_architecture(header["architecture"]),
        inner=inner,
        normalisation=Normalisation(
            float(scale), tensors["normalisation/mean"], tensors["normalisation/std"], tensors.get(_KERNEL)
        ),
        class_names=tuple(header["class_names"]),
        dataset=header["dataset"],
        recipe=header["recipe"],
        provenance=header["provenance"],
        record=_parse(Record, header["record"], "record"),
        eight_bit=eight_bit,
    )
    if bundle.architecture is not None and names != list(named_weights(bundle.initial_model())):
        raise BundleError("Field `weight_names` of the header must be in the network's order.")
    return bundle


def _restore(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays with values in place of codes and levels; what does not fit together is left to be found."""
    found = dict(arrays)
    for name in names:
        codes, low, step = (found.get(part) for part in (name, f"{name}/low", f"{name}/step"))
        if codes is None or low is None or step is None or codes.dtype != np.uint8:
            continue
        shared = _shared_axes(name, codes.ndim)
        shape = tuple(1 if axis in shared else size for axis, size in enumerate(codes.shape))
        for part, array in ((f"{name}/low", low), (f"{name}/step", step)):
            if array.dtype != np.float32 or array.shape != shape:
                raise BundleError(f"`{part}` must be of the type float32 and of the shape {shape}.")
            del found[part]
        found[name] = restored(codes, low, step)
    return found


def _read(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """The JSON header and all tensors, with nothing known of them but that they are a bundle's."""
    if path.is_dir():
        raise BundleError("it is a folder.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise BundleError("it is a safetensors file, but not a bundle of qdistill.")
            version = metadata.get("format_version", "")
            if not (version.isdecimal() and len(version) < 10 and int(version) >= 1):
                raise BundleError(f"its format version is {version!r}, which is none.")
            if int(version) > FORMAT_VERSION:
                raise BundleError(
                    f"it has the format version {version}, and this qdistill reads up to {FORMAT_VERSION}. "
                    "Install a newer one."
                )
            header = json.loads(metadata.get("header", ""), parse_constant=_reject)
            for name in file.keys():  # noqa: SIM118 - not a dict
                kind = file.get_slice(name).get_dtype()
                if kind not in ("F32", "I32", "U8"):
                    raise BundleError(f"`{name}` has the type {kind}; a bundle holds F32, I32 and U8 only.")
            arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise BundleError(f"it is damaged, cut short or no safetensors file ({error}).") from error
    except OSError as error:
        raise BundleError(f"{error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"its header is not JSON ({error}).") from error
    return header, arrays


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not in the JSON standard")


def _architecture(plain: Any) -> Architecture | None:
    if plain is None:
        return None
    plain = _only(plain, ("name", "fields"), "architecture")
    if not isinstance(plain["name"], str) or plain["name"] not in ARCHITECTURES:
        raise BundleError(
            f"its architecture is {plain['name']!r}, and known are {', '.join(sorted(ARCHITECTURES))}. {HOW_TO_ADD}"
        )
    kind, fields = ARCHITECTURES[plain["name"]], plain["fields"]
    if isinstance(fields, dict):
        try:
            fields = fields_from_json(kind, fields)
        except CircuitError as error:
            raise BundleError(f"`{plain['name']}`: {error}") from error
    return _parse(kind, fields, plain["name"])


def _lowest_version(bundle: DistilledDataset) -> str:
    if bundle.normalisation.kernel is not None:
        return "4"
    if bundle.architecture is not None and has_added_fields(bundle.architecture):
        return "3"
    return "2" if bundle.eight_bit else "1"


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _only(plain: Any, fields: tuple[str, ...], where: str) -> dict[str, Any]:
    """An object with exactly these fields."""
    if not isinstance(plain, dict):
        raise BundleError(f"`{where}` must be an object, but is {plain!r}.")
    if set(plain) != set(fields):
        missing, foreign = sorted(set(fields) - set(plain)), sorted(set(plain) - set(fields))
        raise BundleError(f"`{where}` must have its own fields and no others; missing: {missing}, foreign: {foreign}.")
    return plain


def _parse(kind: type[Fields], plain: Any, where: str) -> Fields:
    """A frozen dataclass from the values of its fields, which must be of the annotated types."""
    hints = typing.get_type_hints(kind)
    names = tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    values = _only(plain, names, where)
    for name, value in values.items():
        if not _is(value, hints[name]):
            raise BundleError(f"Field `{name}` of `{where}` must not be {value!r}.")
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise BundleError(f"`{where}`: {error}") from error


def _is(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of an annotated type; true for types that JSON cannot tell."""
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if typing.get_args(hint):
        return any(_is(value, part) for part in typing.get_args(hint))
    if hint is float:
        # The comparison turns away NaN, infinity and integers that no float can hold.
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True
