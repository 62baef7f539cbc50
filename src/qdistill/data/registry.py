"""The datasets that recipes and bundles can name, and what each must offer."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from qdistill.data.benchmarks import BarsAndStripes, HiddenManifold, Hyperplanes, LinearlySeparable, TwoCurves
from qdistill.data.digits import Digits
from qdistill.data.names import as_class_names, as_name
from qdistill.data.own import Images, Vectors
from qdistill.data.raw import RawDataset, Shape
from qdistill.data.scikit import BreastCancer, Circles, Iris, Moons, Wine
from qdistill.data.sources import CIFAR10, MNIST, FashionMNIST
from qdistill.data.subset import MNISTDigits
from qdistill.errors import ArgumentError

_BUILT_IN = (
    *(MNIST(), FashionMNIST(), CIFAR10(), MNISTDigits(), Digits()),
    *(Iris(), Wine(), BreastCancer(), Moons(), Circles()),
    *(LinearlySeparable(), HiddenManifold(), TwoCurves(), Hyperplanes(), BarsAndStripes()),
)
_OWN = (*map(type, _BUILT_IN), Vectors, Images)
_LONGEST = 100  # characters of what a message shows of an object


@runtime_checkable
class Source(Protocol):
    """What every dataset offers."""

    @property
    def name(self) -> str:
        """The name that `source` knows the dataset by."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What each label means."""

    @property
    def input_shape(self) -> Shape:
        """The shape of one input: (features,) of a vector, (height, width, channels) of an image."""

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the inputs and labels, from `data_dir` or as `qdistill.data.sources` says."""


@dataclass(frozen=True)
class Checked:
    """A dataset that must give what it says of itself.

    Args:
        dataset: what was entered.

    Raises:
        ArgumentError: it is no dataset.
    """

    dataset: Source

    def __post_init__(self) -> None:
        what = f"The dataset {_shown(self.dataset)} must"
        if isinstance(self.dataset, type):
            raise ArgumentError(f"{what} be an instance, but is a class. Write {self.dataset.__name__}().")
        missing = [name for name in ("name", "class_names", "input_shape", "load") if not hasattr(self.dataset, name)]
        if missing:
            raise ArgumentError(f"{what} have `{'`, `'.join(missing)}`, see `qdistill.data.Source`.")
        names, shape = _any(self.dataset.class_names), _any(self.dataset.input_shape)
        try:
            as_name("name", self.dataset.name)
            is_tuple = as_class_names(names) == names
        except ArgumentError as error:
            raise ArgumentError(f"{what} have names that can be used: {error}") from error
        if not is_tuple:
            raise ArgumentError(f"{what} have a tuple of strings as its `class_names`, but has {names!r}.")
        if not isinstance(shape, tuple) or not shape or not all(type(n) is int and n > 0 for n in shape):
            raise ArgumentError(
                f"{what} have the shape of one input as its `input_shape`, such as (features,) or (height, width, "
                f"channels), but has {shape!r}."
            )

    @property
    def name(self) -> str:
        """See `Source`."""
        return self.dataset.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """See `Source`."""
        return self.dataset.class_names

    @property
    def input_shape(self) -> Shape:
        """See `Source`."""
        return self.dataset.input_shape

    @property
    def n_train(self) -> int | None:
        """How many inputs are for training and validation; None where the dataset does not say."""
        return getattr(self.dataset, "n_train", None)

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """See `Source`.

        Raises:
            ArgumentError: what is loaded has another name, shape or classes than the dataset says.
            DataError: see the dataset.
        """
        raw: Any = self.dataset.load(data_dir)
        if not isinstance(raw, RawDataset):
            raise ArgumentError(f"`load` of the dataset {self.name!r} must give a RawDataset, but gives {type(raw)}.")
        found = {"name": raw.name, "class_names": raw.class_names, "input_shape": raw.train_inputs.shape[1:]}
        for field, value in found.items():
            if value != getattr(self, field):
                raise ArgumentError(
                    f"`load` of the dataset {self.name!r} must give its `{field}`, {getattr(self, field)!r}, but gives "
                    f"{value!r}."
                )
        return raw


class Datasets(UserDict[str, Source]):
    """Datasets under their names; each is checked when it is entered, and none takes another's place."""

    def __setitem__(self, name: str, dataset: Source) -> None:
        """Enter a dataset; entering the same once more, as a notebook does, changes nothing.

        Raises:
            ArgumentError: it is no dataset, has another name, or another has it.
        """
        own = Checked(dataset).name
        if own != name:
            raise ArgumentError(f"The dataset {own!r} must be entered under its own name, but was under {name!r}.")
        if name in self.data and not _same(self.data[name], dataset):
            raise ArgumentError(
                f"The name {name!r} must stand for one dataset, but {_shown(self.data[name])} has it and "
                f"{_shown(dataset)} was entered. Give it another, or take the first away: "
                f"`del qdistill.data.DATASETS[{name!r}]`."
            )
        self.data[name] = dataset


def _same(first: Source, second: Source) -> bool:
    """Whether two datasets are equal, or of one class that was defined again."""
    kinds = {(type(each).__module__, type(each).__qualname__) for each in (first, second)}
    if type(first) is not type(second):
        return len(kinds) == 1
    try:
        return first is second or bool(first == second)
    except ValueError:  # such as from a dataclass of arrays
        return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _any(value: Any) -> Any:
    """A value of which nothing is known yet, whatever the annotations say."""
    return value


DATASETS = Datasets({each.name: each for each in _BUILT_IN})
"""What a recipe or a bundle can name; add your own, such as `Vectors`, under its name."""


def source(name: str) -> Source:
    """Return the dataset that has this name; what a class of the user's own loads is checked against what it says.

    Raises:
        ArgumentError: no dataset has this name; the message lists those there are.
    """
    if name not in DATASETS:
        unknown = ArgumentError.unknown("dataset", name, DATASETS)
        raise ArgumentError(
            f"{unknown} A dataset of your own is named by its file or folder, or is put into `qdistill.data.DATASETS` "
            "first."
        )
    dataset = DATASETS[name]
    return dataset if type(dataset) in _OWN else Checked(dataset)
