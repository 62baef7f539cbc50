"""The small handwritten digits that scikit-learn carries with it: real images without a download."""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int, Int32, UInt8

from qdistill.data.raw import RawDataset, Shape, divided
from qdistill.data.stratify import quotas
from qdistill.errors import DataError, MissingExtraError

_N_IMAGES = 1797
_HIGHEST_LEVEL = 16


@dataclass(frozen=True)
class Digits:
    """Handwritten digits that scikit-learn carries with it: 1,297 for training and 500 for test, no download.

    The 8x8 images with grey levels 0 to 16 are brought to 28x28 and 0 to 255 by bilinear interpolation
    (centres of pixels aligned, border pixels continued outwards), so that they pass where MNIST passes. They
    are the 1,797 images of the test set of the UCI collection. The test part takes images at even distances
    from the sequence of each class, in proportion to the class sizes; nothing about it is random. Both parts
    hold images by the same 13 writers, which makes this set easier than its size suggests: it is for trials,
    not for results.

    Reference:
        Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository,
        1998.
    """

    name: ClassVar[str] = "digits"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    input_shape: ClassVar[Shape] = (28, 28, 1)
    n_test: ClassVar[int] = 500

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset from the installed scikit-learn; `data_dir` makes no difference to it.

        Raises:
            MissingExtraError: scikit-learn is not installed.
            DataError: scikit-learn's file is not there or not as it should be.
        """
        grey_levels, labels = _read_digits()
        images = _enlarge(grey_levels, self.input_shape[0])[..., None]
        test = np.zeros(len(labels), dtype=bool)
        counts = np.bincount(labels, minlength=len(self.class_names))
        for label, quota in enumerate(quotas(counts, self.n_test)):
            members = np.flatnonzero(labels == label)
            test[members[(2 * np.arange(quota) + 1) * len(members) // (2 * quota)]] = True
        return divided(self, images, labels, test, 255.0)


def _read_digits() -> tuple[Int[np.ndarray, "n 8 8"], Int32[np.ndarray, "n"]]:
    """Read the grey levels (0 to 16) and labels from the file in the installed scikit-learn.

    The file is read by its path because `sklearn.datasets.load_digits` needs several seconds for its imports.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("The dataset `digits` is part of scikit-learn: `pip install scikit-learn`.")
    path = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.array([line.split(",") for line in file], dtype=np.int64)
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        raise DataError(f"{path}: cannot be read ({problem}). Install scikit-learn again.") from problem
    if table.shape != (_N_IMAGES, 65):
        raise DataError(f"{path}: is not the table of {_N_IMAGES} digits. Install scikit-learn again.")
    levels, labels = table[:, :-1], table[:, -1]
    valid = ((levels >= 0) & (levels <= _HIGHEST_LEVEL)).all() and ((labels >= 0) & (labels <= 9)).all()
    if not valid:
        raise DataError(f"{path}: holds a grey level or a label out of range. Install scikit-learn again.")
    return levels.reshape(-1, 8, 8), labels.astype(np.int32)


def _enlarge(levels: Int[np.ndarray, "n small small"], size: int) -> UInt8[np.ndarray, "n size size"]:
    """Interpolate grey levels bilinearly to `size` x `size` pixels from 0 to 255.

    The centre of output pixel i lies at (i + 1/2) small / size - 1/2 in input pixels. In units of
    1 / (2 size) this is a whole number, so the weights, and with them the rounding of the result, are exact.
    """
    small, unit = levels.shape[-1], 2 * size
    position = np.clip((2 * np.arange(size) + 1) * small - size, 0, (small - 1) * unit)
    left, fraction = position // unit, position % unit
    weights = np.zeros((size, small), dtype=np.int64)
    weights[np.arange(size), left] = unit - fraction
    weights[np.arange(size), np.minimum(left + 1, small - 1)] += fraction
    whole = unit * unit * _HIGHEST_LEVEL
    pixels: Int[np.ndarray, "n size size"] = weights @ levels @ weights.T * 255
    rounded: UInt8[np.ndarray, "n size size"] = ((2 * pixels + whole) // (2 * whole)).astype(np.uint8)
    return rounded
