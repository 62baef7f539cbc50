"""The small datasets that scikit-learn carries or draws: iris, wine, breast cancer, two moons and circles.

Scikit-learn divides none of them. Here a stratified draw with a seed decides which are for test, see
`qdistill.data.stratify.drawn`, and it is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Integer

from qdistill.data.names import name_in_family
from qdistill.data.raw import RawDataset, divided
from qdistill.data.stratify import drawn
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields, check_seed

_SEED = 0
"""Of the draw of the test parts."""


@dataclass(frozen=True)
class Iris:
    """Four lengths of the flowers of three kinds of iris, 105 plants for training and 45 for test.

    Reference:
        Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 179 (1936).
    """

    name: ClassVar[str] = "iris"
    class_names: ClassVar[tuple[str, ...]] = ("setosa", "versicolor", "virginica")
    input_shape: ClassVar[tuple[int]] = (4,)
    n_train: ClassVar[int] = 105
    n_test: ClassVar[int] = 45

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset from the installed scikit-learn; `data_dir` makes no difference to it."""
        from sklearn.datasets import load_iris  # here, because it takes a second to import

        return _divided(self, *load_iris(return_X_y=True))


@dataclass(frozen=True)
class Wine:
    """Thirteen chemical measurements of wines from three cultivars, 125 for training and 53 for test.

    The features are in units of their own, up to 1,680, so they have to be standardised.

    Reference:
        Aeberhard and Forina, "Wine", UCI Machine Learning Repository, 1992.
    """

    name: ClassVar[str] = "wine"
    class_names: ClassVar[tuple[str, ...]] = ("class_0", "class_1", "class_2")
    input_shape: ClassVar[tuple[int]] = (13,)
    n_train: ClassVar[int] = 125
    n_test: ClassVar[int] = 53

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset from the installed scikit-learn; `data_dir` makes no difference to it."""
        from sklearn.datasets import load_wine

        return _divided(self, *load_wine(return_X_y=True))


@dataclass(frozen=True)
class BreastCancer:
    """Thirty measurements of the cell nuclei of breast tumours, 398 for training and 171 for test.

    The features are in units of their own, up to 4,254, so they have to be standardised.

    Reference:
        Wolberg, Mangasarian, Street and Street, "Breast Cancer Wisconsin (Diagnostic)", UCI Machine Learning
        Repository, 1993.
    """

    name: ClassVar[str] = "breast-cancer"
    class_names: ClassVar[tuple[str, ...]] = ("malignant", "benign")
    input_shape: ClassVar[tuple[int]] = (30,)
    n_train: ClassVar[int] = 398
    n_test: ClassVar[int] = 171

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset from the installed scikit-learn; `data_dir` makes no difference to it."""
        from sklearn.datasets import load_breast_cancer

        return _divided(self, *load_breast_cancer(return_X_y=True))


@dataclass(frozen=True)
class Moons:
    """Points near two interleaved half circles, as `sklearn.datasets.make_moons` draws them.

    Args:
        noise: standard deviation of the points from the half circles, whose radius is 1.
        n_train: points for training, from 2.
        n_test: points for test, from 2.
        seed: decides the points and which of them are for test.
    """

    noise: float = 0.2
    n_train: int = 1000
    n_test: int = 1000
    seed: int = 0
    class_names: ClassVar[tuple[str, ...]] = ("upper", "lower")
    input_shape: ClassVar[tuple[int]] = (2,)

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_points(self)

    @property
    def name(self) -> str:
        """`moons`, and what is not the default."""
        return name_in_family("moons", self)

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Draw the dataset; `data_dir` makes no difference to it."""
        from sklearn.datasets import make_moons

        n = self.n_train + self.n_test
        return _divided(self, *make_moons(n, noise=self.noise, random_state=self.seed), seed=self.seed)


@dataclass(frozen=True)
class Circles:
    """Points near a circle and near another of half its radius, as `sklearn.datasets.make_circles` draws them.

    Args:
        noise: standard deviation of the points from the circles, the larger of which has a radius of 1.
        n_train: points for training, from 2.
        n_test: points for test, from 2.
        seed: decides the points and which of them are for test.
    """

    noise: float = 0.1
    n_train: int = 1000
    n_test: int = 1000
    seed: int = 0
    class_names: ClassVar[tuple[str, ...]] = ("outer", "inner")
    input_shape: ClassVar[tuple[int]] = (2,)
    factor: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_points(self)

    @property
    def name(self) -> str:
        """`circles`, and what is not the default."""
        return name_in_family("circles", self)

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Draw the dataset; `data_dir` makes no difference to it."""
        from sklearn.datasets import make_circles

        n = self.n_train + self.n_test
        points = make_circles(n, noise=self.noise, random_state=self.seed, factor=self.factor)
        return _divided(self, *points, seed=self.seed)


def _check_points(dataset: Moons | Circles) -> None:
    check_fields(dataset)
    check_seed(dataset.seed)
    if dataset.noise < 0:
        raise ArgumentError(f"Argument `noise` must be 0 or above, but was {dataset.noise}.")
    for name in ("n_train", "n_test"):
        if getattr(dataset, name) < 2:
            raise ArgumentError(f"Argument `{name}` must be at least 2, but was {getattr(dataset, name)}.")


def _divided(
    dataset: Any, inputs: Float64[np.ndarray, "n features"], labels: Integer[np.ndarray, "n"], *, seed: int = _SEED
) -> RawDataset:
    numbers, labels = inputs.astype(np.float32), labels.astype(np.int32)
    test = drawn(labels, len(dataset.class_names), dataset.n_test, seed, "test")
    return divided(dataset, numbers, labels, test, 1.0)
