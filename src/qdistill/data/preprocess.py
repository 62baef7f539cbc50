"""What is done to inputs before training: the split, and the normalisation fitted on its training part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.data.raw import Inputs, Labels, RawDataset, Shape, check_layout
from qdistill.data.stratify import drawn
from qdistill.data.whitening import apply_filter, fit_filter, undo_filter
from qdistill.errors import ArgumentError
from qdistill.numbers import Numbers, real, real_as_given

# A channel whose standard deviation is below this, in units where white is 1, counts as constant: it is a
# fiftieth of one grey level of 255.
CONSTANT_BELOW = 1e-4
_BLOCK = 256  # inputs at a time in float64: 2 MB for 28x28x1, 6 MB for 32x32x3


class Normalisation(eqx.Module):
    """Shift and stretch of each channel to mean 0 and standard deviation 1; where there is a filter, that too.

    A raw pixel p of channel c becomes (p / scale - mean[c]) / std[c], and inputs of these go through the filter.

    Args:
        scale: the raw pixel value that stands for 1.0.
        mean: the mean of each channel, in units where `scale` is 1.
        std: the standard deviation of each channel, in the same units, above 0.
        kernel: the filter that whitens, see `whitening`; None for none.
    """

    scale: float = eqx.field(static=True)
    mean: Float[Array, "channels"]
    std: Float[Array, "channels"]
    kernel: Float[Array, "side side channels channels"] | None = None

    @classmethod
    def fit(cls, inputs: Numbers, scale: float, *, whiten: bool = False) -> Normalisation:
        """Measure mean and standard deviation of each channel over all pixels of all inputs.

        The sums are taken in float64, a block of inputs at a time. A constant channel has no standard
        deviation to divide by: below `CONSTANT_BELOW` it is taken as 1, which only shifts that channel.

        Args:
            inputs: raw pixels, real numbers of shape (n, *shape).
            scale: the raw pixel value that stands for 1.0.
            whiten: measure the filter too after which neighbouring pixels and channels are hardly correlated.

        Raises:
            ArgumentError: the inputs are no real numbers, are empty, have another number of axes or their channels
                first, or are too small or too plain to be whitened; or the scale is not finite and above 0.
        """
        inputs = np.asarray(real_as_given("inputs", inputs))
        check_layout("inputs", inputs)
        if not (np.isfinite(scale) and scale > 0):
            raise ArgumentError(f"Argument `scale` must be finite and above 0, but is {scale}.")
        n, channels = len(inputs), inputs.shape[-1]
        rows = inputs.reshape(n, -1)
        blocks = [rows[start : start + _BLOCK] for start in range(0, n, _BLOCK)]
        # Summed over the inputs before the pixels: along the short channel axis NumPy is ten times slower.
        sums = sum(block.sum(axis=0, dtype=np.float64) for block in blocks)
        mean = np.reshape(sums, (-1, channels)).mean(axis=0) / n
        # In a second pass: the difference of two large sums would lose the digits of a small deviation.
        deviations = (block - np.tile(mean, rows.shape[1] // channels) for block in blocks)
        squares = sum(np.einsum("ij,ij->j", block, block) for block in deviations)
        std = np.sqrt(np.reshape(squares, (-1, channels)).mean(axis=0) / n) / scale
        std = np.where(std < CONSTANT_BELOW, 1.0, std)
        plain = cls(float(scale), jnp.asarray(mean / scale, jnp.float32), jnp.asarray(std, jnp.float32))
        if not whiten:
            return plain
        kernel = fit_filter(np.asarray(plain(inputs[start : start + _BLOCK])) for start in range(0, n, _BLOCK))
        return replace(plain, kernel=jnp.asarray(kernel))

    def __call__(self, inputs: Numbers) -> Float[Array, "..."]:
        """Normalise raw pixels; works inside jit.

        Args:
            inputs: one input or any batch of them, real, (..., height, width, channels).

        Returns:
            The same shape, in float32, or in float64 where that is switched on (see `qdistill.numbers`).

        Raises:
            ArgumentError: the inputs are no real numbers or have another number of channels.
        """
        standard = (self._checked(inputs) / self.scale - self.mean) / self.std
        return standard if self.kernel is None else apply_filter(self.kernel, standard)

    def inverse(self, inputs: Numbers) -> Float[Array, "..."]:
        """Bring normalised inputs back to pixels for which 0 is black and 1 is white.

        Inputs that were learned may leave [0, 1]; nothing is clipped here.

        Args:
            inputs: one input or any batch of them, (..., height, width, channels), floating-point: integers are raw
                pixels, which were never normalised.

        Returns:
            The same shape, in the precision of `__call__`.

        Raises:
            ArgumentError: the inputs are no floating-point numbers or have another number of channels.
        """
        given = real_as_given("inputs", inputs)
        if not jnp.issubdtype(given.dtype, jnp.floating):
            raise ArgumentError(f"Argument `inputs` must be floating-point, but is {given.dtype}.")
        standard = self._checked(given)
        if self.kernel is not None:
            standard = undo_filter(self.kernel, standard)
        return standard * self.std + self.mean

    def _checked(self, inputs: Numbers) -> Float[Array, "..."]:
        numbers = real("inputs", inputs)
        if not numbers.ndim or numbers.shape[-1] != self.mean.shape[0]:
            raise ArgumentError(
                f"Argument `inputs` must have {self.mean.shape[0]} numbers along its last axis, but has the shape "
                f"{numbers.shape}."
            )
        return numbers


@dataclass(frozen=True, eq=False)
class Labelled:
    """Inputs and their labels.

    Args:
        inputs: raw pixels of shape (n, *shape).
        labels: int32 labels of shape (n,).

    Raises:
        ArgumentError: the inputs are empty, have another number of axes or their channels first, or there is not one
            label for each.
    """

    inputs: Inputs
    labels: Labels

    def __post_init__(self) -> None:
        check_layout("inputs", self.inputs)
        if self.labels.shape != self.inputs.shape[:1]:
            raise ArgumentError(
                f"Argument `labels` must hold one label for each input, in the shape "
                f"{self.inputs.shape[:1]}, but has the shape {self.labels.shape}."
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Splits:
    """A dataset in its three parts, with the normalisation that was fitted on the first.

    Args:
        train: what models and distilled examples are trained on.
        validation: what every choice is made on.
        test: what is read once, at the end.
        normalisation: fitted on `train` only.
        class_names: what each label means.
        name: the dataset's name.
        digest: what the whole dataset holds, see `RawDataset.digest`.
        ordered_digest: the same, and in which order, see `RawDataset.ordered_digest`.
    """

    train: Labelled
    validation: Labelled
    test: Labelled
    normalisation: Normalisation
    class_names: tuple[str, ...]
    name: str
    digest: str
    ordered_digest: str

    @property
    def scale(self) -> float:
        """The pixel value that stands for 1.0."""
        return self.normalisation.scale

    @property
    def input_shape(self) -> Shape:
        """The shape of one input: (features,) of a vector, (height, width, channels) of an image."""
        return self.train.inputs.shape[1:]

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)


def split(raw: RawDataset, *, n_validation: int, seed: int = 0, whiten: bool = False) -> Splits:
    """Set a validation part aside from the training set, and fit the normalisation on what remains.

    The validation part takes from each class in proportion to its size, as evenly as whole inputs allow.
    Which inputs it takes is drawn by a generator with the given seed; the test set does not depend on it.
    Both parts keep the inputs in the order of the dataset.

    Args:
        raw: the dataset.
        n_validation: how many inputs to set aside, from 1 to one less than the training set has.
        seed: which of the possible divisions to take, 0 or above.
        whiten: whether the normalisation whitens, see `Normalisation.fit`.

    Returns:
        The three parts, with the normalisation fitted on the remaining training part.

    Raises:
        ArgumentError: `n_validation` or `seed` is out of its range, or the inputs cannot be whitened.
    """
    labels, n = raw.train_labels, len(raw.train_labels)
    if not 1 <= n_validation < n:
        raise ArgumentError(
            f"Argument `n_validation` must be from 1 to {n - 1}, because the training set of {raw.name} has "
            f"{n} inputs, but is {n_validation}."
        )
    if seed < 0:
        raise ArgumentError(f"Argument `seed` must be 0 or above, but is {seed}.")
    # Bytes are no numbers that a generator gives one an item.
    purpose = "" if raw.train_inputs.dtype == np.uint8 else "validation"
    aside = drawn(labels, len(raw.class_names), n_validation, seed, purpose)
    train = Labelled(raw.train_inputs[~aside], labels[~aside])
    return Splits(
        train=train,
        validation=Labelled(raw.train_inputs[aside], labels[aside]),
        test=Labelled(raw.test_inputs, raw.test_labels),
        normalisation=Normalisation.fit(train.inputs, raw.scale, whiten=whiten),
        class_names=raw.class_names,
        name=raw.name,
        digest=raw.digest,
        ordered_digest=raw.ordered_digest,
    )
