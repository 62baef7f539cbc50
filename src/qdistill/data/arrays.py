"""A user's own arrays as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qdistill.data.convert import as_images, as_labels
from qdistill.data.raw import RawDataset, Shape


class Arrays:
    """A dataset of the user's own arrays, of NumPy, JAX, PyTorch, pandas or whatever else NumPy makes arrays of.

    What has one meaning is converted, and the rest refused, when the dataset is made. The arrays are copied.

    Args:
        train_images: pixels of shape (n, height, width, channels), or (n, height, width) for one channel: bytes, other
            integers, booleans (0 is black) or floating-point numbers.
        train_labels: whole numbers from 0, of shape (n,) or (n, 1); or their one-hot vectors, of shape (n, classes); or
            names that are all among `class_names`.
        test_images: like `train_images`, in the same units.
        test_labels: like `train_labels`.
        class_names: what each label means; the labels' own digits if left out.
        name: the dataset's name.
        scale: the pixel value that stands for 1.0; if left out, 255 for bytes, 1 for booleans, and 1 for floating-point
            images that lie within [0, 1]. It must be given for others.

    Raises:
        ArgumentError: an argument cannot be read, can be read in several ways, or does not fit to the others.
    """

    def __init__(
        self,
        train_images: Any,
        train_labels: Any,
        test_images: Any,
        test_labels: Any,
        class_names: Sequence[str] = (),
        name: str = "arrays",
        scale: float | None = None,
    ) -> None:
        train, test, unit = as_images(train_images, test_images, scale)
        numbers, test_numbers, names = as_labels(train_labels, test_labels, class_names)
        self._raw = RawDataset(
            name=name,
            class_names=names,
            train_images=train,
            train_labels=numbers,
            test_images=test,
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
    def image_shape(self) -> Shape:
        """Height, width and number of channels of an image."""
        height, width, channels = self._raw.train_images.shape[1:]
        return height, width, channels

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
        shape = "x".join(map(str, self.image_shape))
        return f"Arrays(name={self.name!r}, {n_train} + {n_test} images of {shape}, {len(self.class_names)} classes)"

    @property
    def _key(self) -> tuple[str, str]:
        return self.name, self._raw.ordered_digest
