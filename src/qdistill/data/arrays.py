"""A user's own arrays as a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from qdistill.data.raw import Images, Labels, RawDataset, Shape
from qdistill.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class Arrays:
    """A dataset of the user's own arrays.

    Args:
        train_images: unsigned bytes or floating-point numbers of shape (n, height, width, channels), or
            (n, height, width) for one channel.
        train_labels: integers of shape (n,), from 0.
        test_images: like `train_images`.
        test_labels: like `train_labels`.
        class_names: what each label means; the labels' own digits if left out.
        name: the dataset's name.
        scale: the pixel value that stands for 1.0; if left out, 255 for bytes, and 1 for floating-point
            images that lie within [0, 1].

    Raises:
        ArgumentError: `class_names` was left out and the labels do not say it; when loading, the arrays do
            not fit together, see `RawDataset`.
    """

    train_images: Shaped[np.ndarray, "..."] = field(repr=False)
    train_labels: Shaped[np.ndarray, "..."] = field(repr=False)
    test_images: Shaped[np.ndarray, "..."] = field(repr=False)
    test_labels: Shaped[np.ndarray, "..."] = field(repr=False)
    class_names: tuple[str, ...] = ()
    name: str = "arrays"
    scale: float | None = None

    def __post_init__(self) -> None:
        if not self.class_names:
            object.__setattr__(self, "class_names", _names_of(self.train_labels, self.test_labels))

    @property
    def image_shape(self) -> Shape:
        """Height, width and number of channels of an image."""
        height, width, channels = _as_images("train_images", self.train_images).shape[1:]
        return height, width, channels

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Give the arrays as a dataset; `data_dir` makes no difference to it."""
        train_images = _as_images("train_images", self.train_images)
        return RawDataset(
            name=self.name,
            class_names=self.class_names,
            train_images=train_images,
            train_labels=_as_labels("train_labels", self.train_labels),
            test_images=_as_images("test_images", self.test_images),
            test_labels=_as_labels("test_labels", self.test_labels),
            scale=_usual_scale(train_images) if self.scale is None else self.scale,
        )


def _names_of(*labels: Shaped[np.ndarray, "..."]) -> tuple[str, ...]:
    """Name the classes 0, 1, ... by their numbers, given the labels of all parts."""
    present = np.unique(np.concatenate([np.asarray(part).ravel() for part in labels]))
    if not present.size or present.dtype.kind not in "iu" or not np.array_equal(present, np.arange(len(present))):
        shown = ", ".join(str(label) for label in present[:5]) + (", ..." if len(present) > 5 else "")
        raise ArgumentError(
            f"Argument `class_names` must be given unless the labels are the integers from 0 without gaps, "
            f"but the labels are {shown or 'none'}."
        )
    return tuple(str(label) for label in present)


def _as_images(name: str, images: Shaped[np.ndarray, "..."]) -> Images:
    """Bring images to float32 if they are floating-point numbers, and to four axes if they have three."""
    images = np.asarray(images)
    if images.ndim not in (3, 4):
        raise ArgumentError(
            f"Argument `{name}` must have the shape (n, height, width, channels) or (n, height, width), but "
            f"has {images.shape}."
        )
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise ArgumentError(
            f"Argument `{name}` must hold unsigned bytes (uint8) or floating-point numbers, but is {images.dtype}."
        )
    if images.dtype.kind == "f":
        images = images.astype(np.float32, copy=False)
    return images[..., None] if images.ndim == 3 else images


def _as_labels(name: str, labels: Shaped[np.ndarray, "..."]) -> Labels:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise ArgumentError(f"Argument `{name}` must hold integers, but is {labels.dtype}.")
    bounds = np.iinfo(np.int32)
    if labels.size and (labels.min() < bounds.min or labels.max() > bounds.max):
        raise ArgumentError(f"Argument `{name}` must fit into 32 bits, but reaches {labels.max()}.")
    return labels.astype(np.int32, copy=False)


def _usual_scale(images: Images) -> float:
    if images.dtype == np.uint8:
        return 255.0
    if images.size and (images.min() < 0 or images.max() > 1):
        raise ArgumentError(
            f"Argument `scale` must be given for floating-point images outside [0, 1], but was left out, and "
            f"the training images reach from {images.min():.4g} to {images.max():.4g}. It is the pixel value "
            f"that stands for 1.0, such as 255."
        )
    return 1.0
