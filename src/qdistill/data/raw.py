"""What every dataset is once it is read: raw inputs, labels and what they mean, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped, UInt8

from qdistill.data.digest import digest, head_of, item_hashes
from qdistill.data.names import as_class_names, as_name
from qdistill.errors import ArgumentError

# The number of inputs has no name here: it is not the same in the parts of a dataset.
Inputs = UInt8[np.ndarray, "_ *shape"] | Float32[np.ndarray, "_ *shape"]
Labels = Int32[np.ndarray, "_"]
Shape = tuple[int, ...]

_SMALLEST, _LARGEST = 1e-30, 1e30  # pixels are divided and multiplied by the scale in float32
OTHER_UNITS = 100
"""Parts of a dataset whose brightest pixels differ by this factor are not in the same units: 255 against 1 is one."""


@dataclass(frozen=True, eq=False)
class RawDataset:
    """Inputs and labels as published, with the publisher's division into training and test set.

    The arrays are kept as they are, as read-only views.

    Args:
        name: the dataset's name.
        class_names: what each label means; label i is `class_names[i]`.
        train_inputs: uint8 or float32 numbers of shape (n, ...), of images (n, height, width, channels).
        train_labels: int32 labels of shape (n,).
        test_inputs: like `train_inputs`, with inputs of the same shape.
        test_labels: like `train_labels`.
        scale: the value that stands for 1.0: 255 for images of bytes, as a rule 1 for other inputs.

    Raises:
        ArgumentError: shapes, types, lengths, units or labels do not fit together, an array is empty or has its
            channels before its rows, a pixel is not finite, or a name cannot be shown or is there twice.
    """

    name: str
    class_names: tuple[str, ...]
    train_inputs: Inputs = field(repr=False)
    train_labels: Labels = field(repr=False)
    test_inputs: Inputs = field(repr=False)
    test_labels: Labels = field(repr=False)
    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", as_name("name", self.name))
        object.__setattr__(self, "class_names", as_class_names(self.class_names))
        object.__setattr__(self, "scale", as_scale(self.scale))
        for part in ("train", "test"):
            inputs, labels = getattr(self, f"{part}_inputs"), getattr(self, f"{part}_labels")
            check_inputs(f"{part}_inputs", inputs)
            check_labels(f"{part}_labels", labels, len(inputs), len(self.class_names))
            object.__setattr__(self, f"{part}_inputs", _read_only(inputs))
            object.__setattr__(self, f"{part}_labels", _read_only(labels))
        if self.test_inputs.shape[1:] != self.train_inputs.shape[1:]:
            raise ArgumentError(
                f"Argument `test_inputs` must have inputs of the shape {self.train_inputs.shape[1:]} of "
                f"`train_inputs`, but they have {self.test_inputs.shape[1:]}."
            )
        if self.test_inputs.dtype != self.train_inputs.dtype:
            raise ArgumentError(
                f"Argument `test_inputs` must have the type {self.train_inputs.dtype} of `train_inputs`, but "
                f"has {self.test_inputs.dtype}."
            )
        if self.train_inputs.ndim == 4:
            check_units({"train_inputs": self.train_inputs, "test_inputs": self.test_inputs})

    @cached_property
    def digest(self) -> str:
        """What the dataset holds: `sha256:` and 64 hexadecimal digits, see `qdistill.data.digest`; computed once.

        Name, scale and order of the inputs make no difference.
        """
        train, test = self._item_hashes
        return digest(self._digest_head, sorted(train), sorted(test))

    @cached_property
    def ordered_digest(self) -> str:
        """What the dataset holds and in which order, on which its division into training and validation depends."""
        return digest(self._digest_head, *self._item_hashes)

    @cached_property
    def _item_hashes(self) -> tuple[list[bytes], list[bytes]]:
        train = item_hashes(self.train_inputs, self.train_labels, self.scale)
        return train, item_hashes(self.test_inputs, self.test_labels, self.scale)

    @property
    def _digest_head(self) -> bytes:
        return head_of(self.class_names, self.train_inputs, self.test_inputs)

    def at_scale(self, scale: float) -> RawDataset:
        """The same inputs with another pixel value that stands for 1.0; as float32 where it is not the own one.

        Bytes up to 255 and the same inputs as numbers up to 1 become one another exactly.
        """
        if scale == self.scale:
            return self
        train, test = (
            inputs.astype(np.float32) / np.float32(self.scale) * np.float32(scale)
            for inputs in (self.train_inputs, self.test_inputs)
        )
        return replace(self, train_inputs=train, test_inputs=test, scale=scale)


def divided(dataset: Any, inputs: Inputs, labels: Labels, test: Bool[np.ndarray, "_"], scale: float) -> RawDataset:
    """A dataset of which some inputs are marked for test; both parts keep their order.

    Args:
        dataset: has the `name` and the `class_names`.
        inputs: all of them.
        labels: one for each.
        test: which of them are for test.
        scale: the raw value that stands for 1.0.
    """
    return RawDataset(
        name=dataset.name,
        class_names=dataset.class_names,
        train_inputs=inputs[~test],
        train_labels=labels[~test],
        test_inputs=inputs[test],
        test_labels=labels[test],
        scale=scale,
    )


def as_scale(scale: Any) -> float:
    """The scale as a float.

    Raises:
        ArgumentError: it is no number, not finite, not above 0, or too small or large for float32.
    """
    if isinstance(scale, (bool, np.bool_)) or not isinstance(scale, Real):
        raise ArgumentError(f"Argument `scale` must be a number, but was {scale!r}.")
    try:
        number = float(scale)
    except OverflowError:
        number = np.inf
    if not (np.isfinite(number) and number > 0):
        raise ArgumentError(f"Argument `scale` must be finite and above 0, but is {number}.")
    if not _SMALLEST <= number <= _LARGEST:
        raise ArgumentError(f"Argument `scale` must be from {_SMALLEST} to {_LARGEST}, but is {number}.")
    return number


def check_inputs(name: str, inputs: Shaped[np.ndarray, "..."]) -> None:
    """Raise an ArgumentError that names the argument unless it is a batch of inputs with finite numbers."""
    _check_array(name, inputs)
    if inputs.dtype not in (np.uint8, np.float32):
        raise ArgumentError(f"Argument `{name}` must be of type uint8 or float32, but is {inputs.dtype}.")
    check_layout(name, inputs)
    # One input at a time would be slow, all at once would take a quarter of the inputs' memory again.
    blocks = range(0, len(inputs), 4096) if inputs.dtype == np.float32 else ()
    if not all(np.isfinite(inputs[start : start + 4096]).all() for start in blocks):
        raise ArgumentError(f"Argument `{name}` must be finite, but holds NaN or infinity.")


def check_layout(name: str, inputs: Shaped[np.ndarray, "..."]) -> None:
    """Raise an ArgumentError that names the argument unless it has the axes of a batch of inputs.

    Of images, three rows or one, and another number of channels than three or one: that is a batch with its channels
    first.
    """
    if inputs.ndim < 2:
        raise ArgumentError(
            f"Argument `{name}` must have an axis for the inputs and one at least for the numbers of each, such as "
            f"(n, features) or (n, height, width, channels), but has the shape {inputs.shape}."
        )
    if inputs.size == 0:
        raise ArgumentError(f"Argument `{name}` must not be empty, but has the shape {inputs.shape}.")
    if inputs.ndim == 4 and inputs.shape[1] in (1, 3) and inputs.shape[3] not in (1, 3):
        raise ArgumentError(
            f"Argument `{name}` must have its channels last, in the shape (n, height, width, channels), but has the "
            f"shape {inputs.shape}, with {inputs.shape[1]} first. Give `inputs.transpose(0, 2, 3, 1)`."
        )


def check_mirror(input_shape: Shape) -> None:
    """Raise an ArgumentError where inputs of this shape have no left and right to be mirrored."""
    if len(input_shape) != 3:
        raise ArgumentError(
            f"Argument `mirror` must be false for inputs that are no images, but they have the shape {input_shape}."
        )


def check_labels(name: str, labels: Shaped[np.ndarray, "..."], n_inputs: int, n_classes: int) -> None:
    """Raise an ArgumentError that names the argument unless it holds one label for each input."""
    _check_array(name, labels)
    if labels.dtype != np.int32:
        raise ArgumentError(f"Argument `{name}` must be of type int32, but is {labels.dtype}.")
    if labels.shape != (n_inputs,):
        raise ArgumentError(
            f"Argument `{name}` must hold one label for each of the {n_inputs} inputs, in the shape "
            f"({n_inputs},), but has the shape {labels.shape}."
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= n_classes:
        raise ArgumentError(
            f"Argument `{name}` must hold labels from 0 to {n_classes - 1}, one for each class name, but "
            f"holds {lowest if lowest < 0 else highest}."
        )


def check_units(parts: Mapping[str, Shaped[np.ndarray, "..."]]) -> None:
    """Raise an ArgumentError that names them if one part of images reaches to 1 and the other far beyond."""
    highest = {name: float(part.max()) for name, part in parts.items()}
    low, high = min(highest.values()), max(highest.values())
    if 0 < low <= 1 and high >= OTHER_UNITS * low:
        raise ArgumentError(
            f"Arguments `{'` and `'.join(highest)}` must be in the same units, but reach to "
            f"{' and to '.join(f'{value:.4g}' for value in highest.values())}. Divide the one or multiply the other."
        )


def _check_array(name: str, value: Any) -> None:
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(f"Argument `{name}` must be a NumPy array, but is of type {type(value).__name__}.")


def _read_only(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    view = array.view()
    view.flags.writeable = False
    return view
