"""A user's own arrays as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qdistill.data.convert import as_inputs, as_labels
from qdistill.data.raw import RawDataset, Shape


class Arrays:
    """A dataset of the user's own arrays, of NumPy, JAX, PyTorch, pandas or whatever else NumPy makes arrays of.

    What has one meaning is converted, and the rest refused, when the dataset is made. The arrays are copied.

    Args:
        train_inputs: vectors of shape (n, features); or images of shape (n, height, width, channels), or (n, height,
            width) for one channel. They are bytes, other integers, booleans (0 is black) or floating-point numbers.
        train_labels: whole numbers from 0, of shape (n,) or (n, 1); or their one-hot vectors, of shape (n, classes); or
            names that are all among `class_names`.
        test_inputs: like `train_inputs`, in the same units.
        test_labels: like `train_labels`.
        class_names: what each label means; the labels' own digits if left out.
        name: the dataset's name.
        scale: the value that stands for 1.0. If left out, it is 1 for vectors; for images it is 255 for bytes, 1 for
            booleans, and 1 for floating-point numbers that lie within [0, 1], and must be given for others.

    Raises:
        ArgumentError: an argument cannot be read, can be read in several ways, or does not fit to the others.
    """

    def __init__(
        self,
        train_inputs: Any,
        train_labels: Any,
        test_inputs: Any,
        test_labels: Any,
        class_names: Sequence[str] = (),
        name: str = "arrays",
        scale: float | None = None,
    ) -> None:
        train, test, unit = as_inputs(train_inputs, test_inputs, scale)
        numbers, test_numbers, names = as_labels(train_labels, test_labels, class_names)
        self._raw = RawDataset(
            name=name,
            class_names=names,
            train_inputs=train,
            train_labels=numbers,
            test_inputs=test,
            test_labels=test_numbers,
            scale=unit,
        )

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
        """The shape of one input: (features,) of a vector, (height, width, channels) of an image."""
        return self._raw.train_inputs.shape[1:]

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Give the arrays as a dataset; `data_dir` makes no difference to it."""
        return self._raw

    def __eq__(self, other: object) -> bool:
        """Whether name, contents and their order are the same."""
        return isinstance(other, Arrays) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        n_train, n_test = len(self._raw.train_labels), len(self._raw.test_labels)
        shape = "x".join(map(str, self.input_shape))
        what = f"vectors of {shape} features" if len(self.input_shape) == 1 else f"images of {shape}"
        return f"Arrays(name={self.name!r}, {n_train} + {n_test} {what}, {len(self.class_names)} classes)"

    @property
    def _key(self) -> tuple[str, str]:
        return self.name, self._raw.ordered_digest
