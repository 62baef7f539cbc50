"""The parts of a dataset, with the transforms fitted on the training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qdistill.data.digest import are_bytes
from qdistill.data.fitted import FittedChain
from qdistill.data.raw import Inputs, Labels, RawDataset, Shape, check_layout
from qdistill.data.stratify import drawn
from qdistill.data.transforms import Standardise, Transform, fit_chain
from qdistill.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class Labelled:
    """Inputs and their labels.

    Args:
        inputs: raw, of shape (n, ...).
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
    """A dataset in its three parts, with the transforms that were fitted on the first.

    Args:
        train: what models and distilled examples are trained on.
        validation: what every choice is made on.
        test: what is read once, at the end.
        transform: raw inputs -> what a network reads; fitted on `train` only.
        class_names: what each label means.
        name: the dataset's name.
        digest: what the whole dataset holds, see `RawDataset.digest`.
        ordered_digest: the same, and in which order, see `RawDataset.ordered_digest`.
    """

    train: Labelled
    validation: Labelled
    test: Labelled
    transform: FittedChain
    class_names: tuple[str, ...]
    name: str
    digest: str
    ordered_digest: str

    @property
    def scale(self) -> float:
        """The raw value that stands for 1.0."""
        return self.transform.scale

    @property
    def input_shape(self) -> Shape:
        """The shape of one input as a network reads it, after the transforms."""
        return self.transform.shape_after(self.train.inputs.shape[1:])

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)


def split(
    raw: RawDataset, *, n_validation: int, seed: int = 0, transforms: Sequence[Transform] = (Standardise(),)
) -> Splits:
    """Set a validation part aside from the training set, and fit the transforms on what remains.

    The validation part takes from each class in proportion to its size, as evenly as whole inputs allow.
    Which inputs it takes is drawn by a generator with the given seed; the test set does not depend on it.
    Both parts keep the inputs in the order of the dataset.

    Args:
        raw: the dataset.
        n_validation: how many inputs to set aside, from 1 to one less than the training set has.
        seed: which of the possible divisions to take, 0 or above.
        transforms: what is done to the inputs, in this order.

    Returns:
        The three parts, with the transforms fitted on the remaining training part.

    Raises:
        ArgumentError: `n_validation` or `seed` is out of its range, or a transform is not for such inputs.
    """
    labels, n = raw.train_labels, len(raw.train_labels)
    if not 1 <= n_validation < n:
        raise ArgumentError(
            f"Argument `n_validation` must be from 1 to {n - 1}, because the training set of {raw.name} has "
            f"{n} inputs, but is {n_validation}."
        )
    if seed < 0:
        raise ArgumentError(f"Argument `seed` must be 0 or above, but is {seed}.")
    # Inputs that one digest stands for are divided alike. No generator gives bytes as the lots that are drawn by.
    purpose = "" if are_bytes(raw.train_inputs, raw.scale) else "validation"
    aside = drawn(labels, len(raw.class_names), n_validation, seed, purpose)
    train = Labelled(raw.train_inputs[~aside], labels[~aside])
    return Splits(
        train=train,
        validation=Labelled(raw.train_inputs[aside], labels[aside]),
        test=Labelled(raw.test_inputs, raw.test_labels),
        transform=fit_chain(transforms, train.inputs, raw.scale),
        class_names=raw.class_names,
        name=raw.name,
        digest=raw.digest,
        ordered_digest=raw.ordered_digest,
    )
