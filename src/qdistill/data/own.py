"""A user's own arrays as a dataset: vectors of features, or images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from qdistill.data.convert import as_images, as_vectors
from qdistill.data.labels import as_labels, counts_of
from qdistill.data.raw import Inputs, Labels, RawDataset, Shape, divided
from qdistill.data.stratify import drawn
from qdistill.errors import ArgumentError, shown
from qdistill.fields import check_seed, convert

TEST_SIZE = 0.2
"""The share of the inputs that is for test where no one says otherwise."""


class _Own:
    """A dataset that holds its arrays.

    Args:
        raw: the arrays, checked.
        kind: what its inputs are called.
    """

    def __init__(self, raw: RawDataset, kind: str) -> None:
        self._raw, self._kind = raw, kind

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self._raw.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """What each label means."""
        return self._raw.class_names

    @property
    def input_shape(self) -> Shape:
        """The shape of one input: (features,) or (height, width, channels)."""
        return self._raw.train_inputs.shape[1:]

    @property
    def n_train(self) -> int:
        """How many inputs are not for test."""
        return len(self._raw.train_labels)

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Give the arrays as a dataset; `data_dir` makes no difference to it."""
        return self._raw

    def __eq__(self, other: object) -> bool:
        """Whether name, contents and their order are the same."""
        return isinstance(other, _Own) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        sizes = f"{self.n_train} + {len(self._raw.test_labels)} {self._kind} of {'x'.join(map(str, self.input_shape))}"
        return f"{type(self).__name__}(name={self.name!r}, {sizes}, {len(self.class_names)} classes)"

    @property
    def _key(self) -> tuple[str, str]:
        return self.name, self._raw.ordered_digest


class Vectors(_Own):
    """The user's own vectors of features, in NumPy, JAX, PyTorch, pandas or whatever NumPy makes arrays of.

    What has one meaning is converted, and the rest refused, when the dataset is made. The arrays are copied.

    Args:
        x: real numbers of shape (n, features).
        y: the label of each: text, or integers such as -1 and 1, of shape (n,) or (n, 1); or one-hot vectors, of
            shape (n, classes).
        x_test: like `x`, for test; if left out, a part of `x` is drawn for test, of each class in proportion.
        y_test: like `y`; together with `x_test`.
        test_size: how much of `x` is for test: a share below 1, or a number of inputs; 0.2 if left out.
        seed: of the draw; 0 if left out.
        class_names: the classes in the order of their numbers, see `qdistill.data.labels.as_labels`; if left out, they
            are the labels that there are, in alphabetical or ascending order.
        name: the dataset's name.

    Raises:
        ArgumentError: an argument cannot be read, can be read in several ways, does not fit to the others, or has no
            effect beside them.

    Example:
        >>> x, y = [[0.1, 2.0], [0.2, 3.0], [0.9, 1.0], [0.7, 0.5]], ["no", "no", "yes", "yes"]
        >>> Vectors(x, y, test_size=0.5)
        Vectors(name='vectors', 2 + 2 vectors of 2, 2 classes)
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        x_test: Any = None,
        y_test: Any = None,
        *,
        test_size: float | None = None,
        seed: int | None = None,
        class_names: Sequence[str] = (),
        name: str = "vectors",
    ) -> None:
        arrays = _given(x=x, x_test=x_test)
        whole = _Whole(name, as_vectors(arrays), 1.0, *as_labels(_given(y=y, y_test=y_test), class_names))
        super().__init__(_divided(whole, test_size, seed), "vectors")


class Images(_Own):
    """The user's own images, in NumPy, JAX, PyTorch, pandas or whatever NumPy makes arrays of.

    What has one meaning is converted, and the rest refused, when the dataset is made. The arrays are copied.

    Args:
        x: pixels of shape (n, height, width, channels), or (n, height, width) for one channel: bytes, other integers,
            booleans (0 is black) or floating-point numbers.
        y: the label of each, see `Vectors`.
        x_test: like `x`, in the same units, for test; if left out, a part of `x` is drawn, see `Vectors`.
        y_test: like `y`; together with `x_test`.
        scale: the pixel value that stands for 1.0; if left out, 255 for bytes, 1 for booleans, and 1 for floating-point
            images that lie within [0, 1]. It must be given for others.
        test_size: see `Vectors`.
        seed: see `Vectors`.
        class_names: see `Vectors`.
        name: the dataset's name.

    Raises:
        ArgumentError: see `Vectors`.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        x_test: Any = None,
        y_test: Any = None,
        *,
        scale: float | None = None,
        test_size: float | None = None,
        seed: int | None = None,
        class_names: Sequence[str] = (),
        name: str = "images",
    ) -> None:
        inputs, unit = as_images(_given(x=x, x_test=x_test), scale)
        whole = _Whole(name, inputs, unit, *as_labels(_given(y=y, y_test=y_test), class_names))
        super().__init__(_divided(whole, test_size, seed), "images")


@dataclass(frozen=True)
class _Whole:
    """What was given for training and for test, or for both in one."""

    name: str
    inputs: Sequence[Inputs]
    scale: float
    labels: Sequence[Labels]
    class_names: tuple[str, ...]


def _given(**parts: Any) -> dict[str, Any]:
    """The parts of an argument that are there; the first must be."""
    (first, given), (_, value) = parts.items()
    return {first: given} if value is None else parts


def _divided(whole: _Whole, test_size: float | None, seed: int | None) -> RawDataset:
    if len(whole.inputs) != len(whole.labels):
        given, missing = ("x_test", "y_test") if len(whole.inputs) == 2 else ("y_test", "x_test")
        raise ArgumentError(f"Argument `{missing}` must be given together with `{given}`, but was left out.")
    for suffix, inputs, labels in zip(("", "_test"), whole.inputs, whole.labels, strict=False):
        if len(inputs) != len(labels):
            raise ArgumentError(
                f"Argument `y{suffix}` must hold one label for each of the {len(inputs)} inputs of `x{suffix}`, but "
                f"holds {len(labels)}."
            )
    if len(whole.inputs) == 2:
        for name, value in {"test_size": test_size, "seed": seed}.items():
            if value is not None:
                raise ArgumentError(f"Argument `{name}` must be left out where `x_test` is given, but was {value}.")
        (train, test), (train_labels, test_labels) = whole.inputs, whole.labels
        return RawDataset(
            name=whole.name,
            class_names=whole.class_names,
            train_inputs=train,
            train_labels=train_labels,
            test_inputs=test,
            test_labels=test_labels,
            scale=whole.scale,
        )
    (inputs,), (labels,) = whole.inputs, whole.labels
    aside = _test_part(labels, whole.class_names, test_size, 0 if seed is None else check_seed(seed))
    return divided(whole, inputs, labels, aside, whole.scale)


def _test_part(
    labels: Labels, class_names: tuple[str, ...], test_size: float | None, seed: int
) -> Bool[np.ndarray, "n"]:
    """Which inputs are for test: some of each class, and not all of any."""
    n_test = _count(TEST_SIZE if test_size is None else test_size, len(labels))
    test = drawn(labels, len(class_names), n_test, seed, "test")
    whole, aside = counts_of(labels, class_names), counts_of(labels[test], class_names)
    for name, count in whole.items():
        if count == 0:
            raise ArgumentError(f"Argument `y` must hold each class, but holds no {shown(name)}.")
        if count == 1:
            raise ArgumentError(
                f"Argument `y` must hold each class twice at least, for training and for test, but holds "
                f"{shown(name)} once."
            )
        if not 0 < aside[name] < count:
            raise ArgumentError(
                f"Argument `test_size` must leave some of each class for training and for test, but {n_test} of "
                f"{len(labels)} take {'all' if aside[name] else 'none'} of the {count} of class {shown(name)}."
            )
    return test


def _count(test_size: Any, n: int) -> int:
    """The number of inputs for test, of `n`."""
    size: float = convert(test_size, float, "test_size")
    n_test = round(size * n) if 0 < size < 1 else size
    if not 1 <= n_test < n or n_test != int(n_test):
        raise ArgumentError(
            f"Argument `test_size` must be a share above 0 and below 1, or a number of inputs, and leave some of the "
            f"{n} to either part, but was {test_size}."
        )
    return int(n_test)
