"""The synthetic benchmarks of "Better than classical?", drawn again from their definitions.

Each class is one family of the publication: a definition, in which one number is varied. The publication's scripts draw
all members of a family one after another from one seeded generator, and so do these classes, up to the member that is
asked for, with the same calls in the same order. NumPy keeps the stream of `RandomState` as it is for ever, so what
comes out are the published points: those that the published accuracies are about, and not only others like them. Of
300 points 240 are for training and 60 for test; of bars and stripes 1,000 and 200.

Reference:
    Bowles, Ahmed and Schuld, "Better than classical? The subtle art of benchmarking quantum machine learning models",
    2024, arXiv 2403.07059; definitions in `src/qml_benchmarks/data` and sizes, seeds and order of the draws in
    `paper/benchmarks` of https://github.com/XanaduAI/qml-benchmarks.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from qdistill.data.names import name_in_family
from qdistill.data.raw import RawDataset
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields, check_seed

_N, _N_TEST = 300, 60
_VARIED = range(2, 21)
"""What the publication gives to the one number of a family."""

_Points = tuple[Float64[np.ndarray, "n features"], Int64[np.ndarray, "n"]]
"""Points, and the class of each: 0 for the publication's label -1, 1 for its +1."""


class _Family(abc.ABC):
    """A family of datasets that differ by one number, drawn one after another up to the one that is asked for."""

    family: ClassVar[str]
    varied: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]] = ("-1", "1")
    n_train: ClassVar[int] = _N - _N_TEST
    seed: int

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        check_seed(self.seed)
        value = getattr(self, self.varied)
        if value not in _VARIED:
            raise ArgumentError(
                f"Argument `{self.varied}` must be from {_VARIED[0]} to {_VARIED[-1]}, but was {value}."
            )

    @property
    def name(self) -> str:
        """That of the family, and what is not the default."""
        return name_in_family(self.family, self)

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Draw the dataset; `data_dir` makes no difference to it."""
        rng = np.random.RandomState(self.seed)
        for drawn in self._members(rng, range(_VARIED.start, getattr(self, self.varied) + 1)):
            parts = _divided(drawn, rng)
        return _raw(self, *parts)

    @abc.abstractmethod
    def _members(self, rng: np.random.RandomState, values: range) -> Iterator[_Points]:
        """The points of the datasets of these values, after what the publication's script draws first."""


@dataclass(frozen=True)
class LinearlySeparable(_Family):
    """Points of a cube, on one or the other side of a plane through its middle, and not near it.

    They are uniform in [-1, 1]^d, without those whose coordinates have a sum within 0.02 d of 0. Where the sum is above
    0 the label is -1.

    Args:
        n_features: d, from 2 to 20.
        seed: of the generator; 42 in the publication.
    """

    n_features: int = 10
    seed: int = 42
    family: ClassVar[str] = "linearly-separable"
    varied: ClassVar[str] = "n_features"

    @property
    def input_shape(self) -> tuple[int]:
        """The number of features."""
        return (self.n_features,)

    def _members(self, rng: np.random.RandomState, values: range) -> Iterator[_Points]:
        return (self._draw(rng, value) for value in values)

    @staticmethod
    def _draw(rng: np.random.RandomState, n_features: int) -> _Points:
        cube = 2 * rng.random_sample((2 * _N, n_features)) - 1
        points = cube[np.abs(cube.sum(axis=1)) > 0.02 * n_features][:_N]
        return points, (points.sum(axis=1) <= 0).astype(np.int64)


@dataclass(frozen=True)
class HiddenManifold(_Family):
    """Points on a curved surface of six dimensions, whose labels depend on where on that surface they are.

    A point is tanh(C F / sqrt(6) - b) for C from N(0, 1)^6, with one matrix F from N(0, 1) and one vector b from
    [-1, 1] for all. Its label is the sign of v tanh(W C) / sqrt(6) minus its median, with W and v from N(0, 1). The
    model is that of Goldt et al., "Modeling the influence of data structure on learning in neural networks: the hidden
    manifold model", Physical Review X 10, 041044 (2020).

    Args:
        n_features: from 2 to 20.
        seed: of the generator; 3 in the publication.
    """

    n_features: int = 10
    seed: int = 3
    family: ClassVar[str] = "hidden-manifold"
    varied: ClassVar[str] = "n_features"
    dimension: ClassVar[int] = 6

    @property
    def input_shape(self) -> tuple[int]:
        """The number of features."""
        return (self.n_features,)

    def _members(self, rng: np.random.RandomState, values: range) -> Iterator[_Points]:
        return (self._draw(rng, value) for value in values)

    def _draw(self, rng: np.random.RandomState, n_features: int) -> _Points:
        embedding = rng.normal(size=(self.dimension, n_features))
        places = rng.normal(size=(_N, self.dimension))
        biases = 2 * rng.uniform(size=n_features) - 1
        weights, readout = rng.normal(size=(self.dimension, self.dimension)), rng.normal(size=self.dimension)
        points = np.tanh(places @ embedding / np.sqrt(self.dimension) - biases)
        heights = np.tanh(places @ weights.T) @ readout
        return points, (heights >= np.median(heights)).astype(np.int64)


@dataclass(frozen=True)
class TwoCurves(_Family):
    """Points near one of two parallel curves in ten dimensions, the more winding the higher their degree.

    Coordinate i of a curve is a Fourier series of degree g in t from [0, 1], in multiples of half a turn, whose
    coefficients are uniform in [0, 1] and have the norm 1 in all. Each coordinate has noise of 0.01, the second curve
    lies 1 / (2 g) further in each, and all points together are standardised.

    Args:
        degree: g, from 2 to 20.
        seed: of the generator; 3 in the publication.
    """

    degree: int = 10
    seed: int = 3
    family: ClassVar[str] = "two-curves"
    varied: ClassVar[str] = "degree"
    input_shape: ClassVar[tuple[int]] = (10,)
    noise: ClassVar[float] = 0.01

    def _members(self, rng: np.random.RandomState, values: range) -> Iterator[_Points]:
        # Another family of the same script, of degree 5, comes first.
        for n_features in _VARIED:
            _divided(self._draw(rng, n_features, 5, 0.1), rng)
        for degree in values:
            yield self._draw(rng, self.input_shape[0], degree, 1 / (2 * degree))

    def _draw(self, rng: np.random.RandomState, n_features: int, degree: int, offset: float) -> _Points:
        coefficients = rng.uniform(size=(n_features, degree + 1, 2))
        cosines, sines = np.moveaxis(coefficients / np.linalg.norm(coefficients), 2, 0)
        draws = [(rng.random_sample(), rng.normal(0, self.noise, size=n_features)) for _ in range(_N)]
        angles = np.pi * np.outer([t for t, _ in draws], np.arange(degree + 1))
        points = np.cos(angles) @ cosines.T + np.sin(angles) @ sines.T + np.stack([noise for _, noise in draws])
        points += sines[:, 0]  # the publication counts both coefficients of frequency 0
        labels = np.repeat(np.arange(2), _N // 2)
        return _standardised(points + offset * labels[:, None]), labels


@dataclass(frozen=True)
class Hyperplanes(_Family):
    """Points whose label says whether they lie above an even or an odd number of planes in a space of three dimensions.

    Weights and offsets of the planes are uniform in [0, 1]. The points are from N(0, 1)^3, as many above an even number
    of planes, which is label -1, as above an odd one. They are embedded in ten dimensions by a matrix with entries
    uniform in [0, 1], and standardised all together.

    Args:
        n_hyperplanes: from 2 to 20.
        seed: of the generator; 1 in the publication.
    """

    n_hyperplanes: int = 10
    seed: int = 1
    family: ClassVar[str] = "hyperplanes"
    varied: ClassVar[str] = "n_hyperplanes"
    input_shape: ClassVar[tuple[int]] = (10,)
    dimension: ClassVar[int] = 3

    def _members(self, rng: np.random.RandomState, values: range) -> Iterator[_Points]:
        return (self._draw(rng, value) for value in values)

    def _draw(self, rng: np.random.RandomState, n_hyperplanes: int) -> _Points:
        weights = rng.uniform(size=(n_hyperplanes, self.dimension))
        offsets = rng.uniform(size=n_hyperplanes)
        points = rng.normal(size=(4 * _N, self.dimension))
        odd = (points @ weights.T + offsets > 0).sum(axis=1) % 2 == 1
        if min(odd.sum(), (~odd).sum()) < _N // 2:
            raise ArgumentError(f"Argument `seed` must give {_N // 2} points of each class, but {self.seed} does not.")
        balanced = np.concatenate([points[~odd][: _N // 2], points[odd][: _N // 2]])
        embedding = rng.uniform(size=(self.dimension, self.input_shape[0]))
        return _standardised(balanced @ embedding), np.repeat(np.arange(2), _N // 2)


@dataclass(frozen=True)
class BarsAndStripes:
    """Noisy pictures of vertical bars or of horizontal stripes: 1,000 for training and 200 for test.

    Each column, or each row, is 1 or -1 with equal probability, and each pixel has normal noise of 0.5.

    Args:
        size: rows and columns of a picture, from 2; 4, 8, 16 and 32 in the publication.
        seed: of the generator; 42 in the publication, for each size.
    """

    size: int = 4
    seed: int = 42
    class_names: ClassVar[tuple[str, ...]] = ("bars", "stripes")
    n_train: ClassVar[int] = 1000
    n_test: ClassVar[int] = 200
    noise: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        check_seed(self.seed)
        if self.size < 2:
            raise ArgumentError(f"Argument `size` must be at least 2, but was {self.size}.")

    @property
    def name(self) -> str:
        """`bars-and-stripes`, and what is not the default."""
        return name_in_family("bars-and-stripes", self)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and the one channel of a picture."""
        return self.size, self.size, 1

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Draw the dataset; `data_dir` makes no difference to it."""
        rng = np.random.RandomState(self.seed)
        parts = [
            np.stack(column) for n in (self.n_train, self.n_test) for column in zip(*self._draw(rng, n), strict=True)
        ]
        return _raw(self, *parts)

    def _draw(self, rng: np.random.RandomState, n: int) -> Iterator[tuple[Float64[np.ndarray, "size size 1"], int]]:
        for _ in range(n):
            stripes = rng.random_sample() > 0.5
            lines = np.where(rng.random_sample(self.size) > 0.5, 1.0, -1.0)
            picture = np.tile(lines[:, None] if stripes else lines, (1, self.size) if stripes else (self.size, 1))
            yield (picture + rng.normal(0, self.noise, size=picture.shape))[..., None], int(stripes)


def _standardised(points: Float64[np.ndarray, "n features"]) -> Float64[np.ndarray, "n features"]:
    result: np.ndarray = (points - points.mean(axis=0)) / points.std(axis=0)
    return result


def _divided(drawn: _Points, rng: np.random.RandomState) -> tuple[Any, Any, Any, Any]:
    """Points and labels for training, then for test: the first of a permutation, as `train_test_split` does it."""
    (points, labels), order = drawn, rng.permutation(_N)
    test, train = order[:_N_TEST], order[_N_TEST:]
    return points[train], labels[train], points[test], labels[test]


def _raw(member: Any, train: Any, train_labels: Any, test: Any, test_labels: Any) -> RawDataset:
    return RawDataset(
        name=member.name,
        class_names=member.class_names,
        train_inputs=np.asarray(train, np.float32),
        train_labels=np.asarray(train_labels, np.int32),
        test_inputs=np.asarray(test, np.float32),
        test_labels=np.asarray(test_labels, np.int32),
        scale=1.0,
    )
