"""What is done to raw inputs before a network reads them: a chain of transforms, fitted on the training part.

A recipe names them in their order, each by a short text such as ``"pca:10"`` (`transform_of`, `text_of`). Fitted, they
are arrays, which a bundle keeps, and can be undone. Statistics are taken in float64, a block of inputs at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from qdistill.data.fitted import Fitted, FittedChain, Projected, Rescaled, Standardised, Whitened
from qdistill.data.raw import Shape, as_scale, check_layout
from qdistill.data.whitening import SIDE, fit_filter
from qdistill.errors import ArgumentError, did_you_mean, shown
from qdistill.fields import check_fields
from qdistill.numbers import Numbers, real_as_given

Axes: TypeAlias = Literal["channel", "feature"]

_BLOCK = 256
"""Inputs at a time in float64: 2 MB for 28x28x1, 6 MB for 32x32x3."""
_CONSTANT_PIXELS_BELOW = 1e-4
"""A channel of images whose standard deviation is below this, in units where white is 1, counts as constant: it is a
fiftieth of one grey level of 255."""
_ROUNDING = float(np.finfo(np.float32).eps)
"""Relative to the numbers themselves, what float32 rounds away."""
_ROUNDING_OF_MANY = 1e-6
"""The same of what many of them add up to."""
_MOST_AT_ONCE = 2**20
"""Numbers of inputs that are decomposed together: a few seconds at most."""


@dataclass(frozen=True)
class Sample:
    """The training part as a transform is fitted on it: what those before it make of the raw inputs.

    Args:
        raw: (n, ...).
        before: what is done first.
    """

    raw: Shaped[np.ndarray, "_ *shape"]
    before: FittedChain

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def shape(self) -> Shape:
        """The shape of an input."""
        return next(iter(self)).shape[1:]

    def __iter__(self) -> Iterator[Float[np.ndarray, "_ *shape"]]:
        """Blocks of them, from the first on."""
        for start in range(0, len(self.raw), _BLOCK):
            block = self.raw[start : start + _BLOCK]
            if self.before.steps:
                yield np.asarray(self.before(block))
            else:
                yield block.astype(np.float64) / self.before.scale

    def mean(self) -> Float[np.ndarray, "*shape"]:
        """The mean of every number of an input."""
        total: Float[np.ndarray, "*shape"] = sum(block.sum(axis=0, dtype=np.float64) for block in self)
        return total / len(self)


@runtime_checkable
class Transform(Protocol):
    """One of a chain's transforms, not yet fitted: a frozen dataclass."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of what it makes of inputs of a shape.

        Raises:
            ArgumentError: it is not for inputs of that shape.
        """

    def fit(self, sample: Sample) -> Fitted:
        """Measure on inputs what it takes to transform any.

        Raises:
            ArgumentError: the inputs have not what it needs.
        """


@dataclass(frozen=True)
class Standardise:
    """Shift and stretch to mean 0 and standard deviation 1; ``standardise`` or ``standardise:feature``.

    What is constant has no standard deviation to divide by, and is shifted only.

    Args:
        by: ``"channel"``: along the last axis, over all else: the channels of images, the features of vectors.
            ``"feature"``: every number of an input by itself.
    """

    by: Axes = "channel"

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def output_shape(self, input_shape: Shape) -> Shape:
        """See `Transform`."""
        return input_shape

    def fit(self, sample: Sample) -> Standardised:
        """See `Transform`."""
        # Over the inputs before the pixels: along the short channel axis NumPy is ten times slower.
        mean = _merged(sample.mean(), self.by)
        # In a second pass: the difference of two large sums would lose the digits of a small deviation.
        squares = sum(np.einsum("i...,i...->...", d, d) for d in (block - mean for block in sample))
        std = np.sqrt(_merged(squares / len(sample), self.by))
        constant = std < _CONSTANT_PIXELS_BELOW if len(sample.shape) == 3 else std <= _ROUNDING * np.abs(mean)
        return Standardised(_narrow(mean), _narrow(np.where(constant, 1.0, std)))


@dataclass(frozen=True)
class PCA:
    """The leading principal components of the inputs, as vectors; ``pca:10``.

    They are computed in float64. Of each component the first of its largest entries is positive.

    Args:
        n_components: how many; at most the features of an input and the training inputs, and no more than directions in
            which these vary.
    """

    n_components: int

    def __post_init__(self) -> None:
        """Check the field."""
        check_fields(self)
        if self.n_components < 1:
            raise ArgumentError(f"Argument `n_components` must be at least 1, but was {self.n_components}.")

    def output_shape(self, input_shape: Shape) -> Shape:
        """See `Transform`."""
        self._check_at_most(math.prod(input_shape), "the number of features")
        return (self.n_components,)

    def fit(self, sample: Sample) -> Projected:
        """See `Transform`."""
        self.output_shape(sample.shape)
        self._check_at_most(len(sample), "the number of training inputs")
        mean = sample.mean()
        singular_values, components = _principal(sample, mean)
        n_varying = int((singular_values > _ROUNDING_OF_MANY * singular_values.max(initial=0.0)).sum())
        self._check_at_most(n_varying, "the number of directions in which the training inputs vary")
        picked = components[: self.n_components]
        large = np.abs(picked) > (1 - 1e-3) * np.abs(picked).max(axis=1, keepdims=True)
        signs = np.sign(picked[np.arange(len(picked)), large.argmax(axis=1)])
        return Projected(_narrow(mean), _narrow((signs[:, None] * picked).reshape(-1, *mean.shape)))

    def _check_at_most(self, most: int, what: str) -> None:
        if self.n_components > most:
            raise ArgumentError(f"Argument `n_components` must be at most {most}, {what}, but was {self.n_components}.")


@dataclass(frozen=True)
class Rescale:
    """Shift and stretch so that the training part reaches from `low` to `high`; ``rescale:0:pi``.

    Other inputs may lie beyond.

    Args:
        low: what the smallest value of each feature becomes.
        high: what the largest becomes.
        by: as for `Standardise`: each number of an input by itself, or what lies along the last axis.
    """

    low: float
    high: float
    by: Axes = "channel"

    def __post_init__(self) -> None:
        """Check the fields, and that they are a range."""
        check_fields(self)
        if not self.low < self.high:
            raise ArgumentError(f"Argument `high` must be above `low`, {self.low:g}, but was {self.high:g}.")

    def output_shape(self, input_shape: Shape) -> Shape:
        """See `Transform`."""
        return input_shape

    def fit(self, sample: Sample) -> Rescaled:
        """See `Transform`."""
        minimum = reduce(np.minimum, (block.min(axis=0) for block in sample))
        maximum = reduce(np.maximum, (block.max(axis=0) for block in sample))
        if self.by == "channel":
            others = tuple(range(minimum.ndim - 1))
            minimum, maximum = minimum.min(axis=others), maximum.max(axis=others)
        constant = maximum - minimum <= _ROUNDING * np.maximum(np.abs(minimum), np.abs(maximum))
        if constant.any():
            place = tuple(map(int, np.argwhere(constant)[0]))
            raise ArgumentError(
                f"Argument `transforms` must not rescale what is constant, but feature "
                f"{', '.join(map(str, place))} is {minimum[place]:g} in all training inputs."
            )
        return Rescaled(_narrow(minimum), _narrow(maximum), self.low, self.high)


@dataclass(frozen=True)
class Whiten:
    """Filter images so that pixels are hardly correlated, see `whitening`; ``whiten``, right after ``standardise``."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """See `Transform`."""
        if len(input_shape) != 3:
            raise ArgumentError(
                f"Argument `transforms` must not whiten inputs that are no images, (height, width, channels), but they "
                f"have the shape {input_shape}."
            )
        if min(input_shape[:2]) < SIDE:
            raise ArgumentError(
                f"Argument `transforms` must not whiten images of fewer than {SIDE} rows or columns, but they are "
                f"{input_shape[0]}x{input_shape[1]}."
            )
        return input_shape

    def fit(self, sample: Sample) -> Whitened:
        """See `Transform`."""
        self.output_shape(sample.shape)
        return Whitened(_narrow(fit_filter(sample)))


# --- as texts

_KINDS: dict[str, Callable[[list[str]], Transform]] = {
    "standardise": lambda words: Standardise(*_at_most(words, 0, 1)),  # type: ignore[arg-type]
    "pca": lambda words: PCA(_whole(*_at_most(words, 1, 1))),
    "rescale": lambda words: _rescale(_at_most(words, 2, 3)),
    "whiten": lambda words: Whiten(*_at_most(words, 0, 0)),
}
HOW = "standardise, standardise:feature, pca:COMPONENTS, rescale:LOW:HIGH, rescale:LOW:HIGH:feature, whiten or none"
"""How transforms are written."""


def transform_of(text: str) -> Transform:
    """The transform that a text such as ``"pca:10"`` names; numbers may be written as multiples of pi, such as ``2pi``.

    Raises:
        ArgumentError: it names none.
    """
    kind, *words = text.split(":")
    if kind not in _KINDS:
        raise ArgumentError(
            f"Argument `transforms` must be of {HOW}, but was {shown(text)}.{did_you_mean(kind, _KINDS)}"
        )
    try:
        return _KINDS[kind](words)
    except ArgumentError as error:
        raise ArgumentError(f"Argument `transforms` must be of {HOW}, but was {shown(text)}: {error}") from error


def text_of(transform: Transform) -> str:
    """The text that names a transform, the same for the same."""
    by = getattr(transform, "by", "channel")
    end = "" if by == "channel" else f":{by}"
    match transform:
        case PCA():
            return f"pca:{transform.n_components}"
        case Rescale():
            return f"rescale:{_written(transform.low)}:{_written(transform.high)}{end}"
        case Standardise():
            return f"standardise{end}"
        case _:
            return "whiten"


def chain_of(texts: Sequence[str]) -> tuple[Transform, ...]:
    """The transforms that texts name; ``none`` alone stands for none.

    Raises:
        ArgumentError: a text names none, or they cannot follow each other.
    """
    if list(texts) == ["none"]:
        return ()
    return _in_order(tuple(map(transform_of, texts)))


def _in_order(transforms: tuple[Transform, ...]) -> tuple[Transform, ...]:
    """Transforms that can follow each other."""
    for before, transform in zip((None, *transforms), transforms, strict=False):
        if isinstance(transform, Whiten) and before != Standardise():
            raise ArgumentError("Argument `transforms` must have standardise right before whiten, but has it not.")
    return transforms


def shape_after(transforms: Iterable[Transform], input_shape: Shape) -> Shape:
    """The shape of what a chain makes of raw inputs of a shape.

    Raises:
        ArgumentError: one of the transforms is not for what it is given.
    """
    for transform in transforms:
        input_shape = transform.output_shape(input_shape)
    return input_shape


_NUMBER = re.compile(r"([+-]?)(\d*\.?\d*)\*?pi(?:/(\d+))?")


def _number(word: str) -> float:
    written = _NUMBER.fullmatch(word.strip())
    try:
        if written is None:
            return float(word)
        sign, factor, divisor = written.groups()
        return float(f"{sign}{factor or 1}") * math.pi / int(divisor or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ArgumentError(f"{word!r} is no number.") from error


def _written(number: float) -> str:
    """A number that `_number` reads back exactly."""
    texts = (f"{sign}{many}pi{part}" for sign in ("", "-") for many in ("", "2") for part in ("", "/2", "/4"))
    return next((text for text in texts if _number(text) == number), repr(number).removesuffix(".0"))


def _at_most(words: list[str], fewest: int, most: int) -> list[str]:
    if not fewest <= len(words) <= most:
        raise ArgumentError(f"there are {len(words)} words after the name.")
    return words


def _whole(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise ArgumentError(f"{word!r} is no whole number.")
    return int(word)


def _rescale(words: list[str]) -> Rescale:
    low, high, *by = words
    return Rescale(_number(low), _number(high), *cast("list[Any]", by))


# --- fitting


def fit_chain(transforms: Iterable[Transform], inputs: Numbers, scale: float) -> FittedChain:
    """Fit a chain, each of its transforms on what those before it make of the training part.

    Args:
        transforms: in their order.
        inputs: of the training part, raw, (n, ...).
        scale: the raw value that stands for 1.0.

    Raises:
        ArgumentError: the inputs are no real numbers, are empty, or have their channels first; the scale is not finite
            and above 0; or a transform is not for such inputs, or not for what is before it.
    """
    raw = np.asarray(real_as_given("inputs", inputs))
    check_layout("inputs", raw)
    chain = FittedChain(as_scale(scale))
    for transform in _in_order(tuple(transforms)):
        chain = FittedChain(chain.scale, (*chain.steps, transform.fit(Sample(raw, chain))))
    return chain


def _narrow(statistics: np.ndarray) -> Array:
    return jnp.asarray(statistics, jnp.float32)


def _merged(by_feature: Any, by: Axes) -> Float[np.ndarray, "..."]:
    """Means of every number of an input, or of all of a channel."""
    means = np.asarray(by_feature)
    return means if by == "feature" else means.reshape(-1, means.shape[-1]).mean(axis=0)


def _principal(sample: Sample, mean: np.ndarray) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k d"]]:
    """The singular values of the centred inputs, largest first, and the directions that they are of.

    Of more inputs than fit, the eigenvectors of their covariance are as exact in float32, for directions that count.
    """
    centred = (np.reshape(block - mean, (len(block), -1)) for block in sample)
    if len(sample) * mean.size <= _MOST_AT_ONCE:
        _, singular_values, directions = np.linalg.svd(np.concatenate(list(centred)), full_matrices=False)
        return singular_values, directions
    eigenvalues, columns = np.linalg.eigh(sum(block.T @ block for block in centred))
    return np.sqrt(eigenvalues[::-1].clip(0)), columns[:, ::-1].T
