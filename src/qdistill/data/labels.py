"""Labels of any library and type as class numbers and class names, where there is one way to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64, Integer, Shaped

from qdistill.data.convert import Several, as_array
from qdistill.data.names import as_class_names
from qdistill.data.raw import Labels
from qdistill.errors import ArgumentError, shown

_Numbers = Integer[np.ndarray, "n"]


def as_labels(parts: Mapping[str, Any], class_names: Any = ()) -> tuple[list[Labels], tuple[str, ...]]:
    """Bring the labels of all parts of a dataset to numbers of one list of classes.

    Args:
        parts: under the name of its argument, the labels of each part, in anything that NumPy makes an array of: text;
            or integers, of any type, such as -1 and 1; of shape (n,) or (n, 1); or one-hot vectors, of shape
            (n, classes).
        class_names: the classes in the order of their numbers. Labels that are text are among them. Labels that are
            integers are their numbers, or are as many different ones, in ascending order. If left out, the classes are
            the labels that there are, in alphabetical order, or in ascending order where all are integers.

    Returns:
        The class numbers of each part, and the class names.

    Raises:
        ArgumentError: labels can be read in no way or in several, or there are none of some class in the first part
            or of two classes.
    """
    arrays = {name: _one_axis(name, as_array(name, value)) for name, value in parts.items()}
    kinds = {name: "text" if array.dtype.kind in "UT" else "numbers" for name, array in arrays.items()}
    first = next(iter(parts))
    for name, kind in kinds.items():
        if kind != kinds[first]:
            raise ArgumentError(f"Argument `{name}` must hold {kinds[first]} as `{first}` does, but holds {kind}.")
    left_out = class_names is None or (isinstance(class_names, (tuple, list)) and not class_names)
    names = None if left_out else as_class_names(class_names)
    if kinds[first] == "text":
        numbers, names = _of_text(arrays, names)
    else:
        numbers, names = _of_integers({name: _whole(name, array) for name, array in arrays.items()}, names)
    _check_classes(dict(zip(parts, numbers, strict=True)), names, derived=left_out)
    return [part.astype(np.int32) for part in numbers], names


def _one_axis(argument: str, labels: Several) -> Several:
    """Labels of shape (n,), from one column of them, too, and those that were one-hot vectors as (n, classes)."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim not in (1, 2) or labels.size == 0:
        raise ArgumentError(
            f"Argument `{argument}` must hold one label for each input, in the shape (n,), but has the shape "
            f"{labels.shape}."
        )
    return labels


def _of_text(arrays: Mapping[str, Several], names: tuple[str, ...] | None) -> tuple[list[_Numbers], tuple[str, ...]]:
    texts = {argument: _flat(argument, part) for argument, part in arrays.items()}
    if names is None:
        names = as_class_names(in_order({label for part in texts.values() for label in part}))
    places = {name: place for place, name in enumerate(names)}
    for argument, part in texts.items():
        wrong = next((label for label in part if label not in places), None)
        if wrong is not None:
            raise ArgumentError(
                f"Argument `{argument}` must be among the class names {shown(', '.join(names))}, but holds "
                f"{shown(wrong)}."
            )
    return [np.array([places[label] for label in part], np.int64) for part in texts.values()], names


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Different labels in alphabetical order, or in ascending order where all are integers."""
    try:
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def _flat(argument: str, labels: Several) -> list[str]:
    if labels.ndim != 1:
        raise ArgumentError(
            f"Argument `{argument}` must hold one label for each input, in the shape (n,), but has the shape "
            f"{labels.shape}."
        )
    flat: list[str] = labels.tolist()
    return flat


def _whole(argument: str, labels: Several) -> Integer[np.ndarray, "..."]:
    """Labels of any type of numbers as integers of 64 bits."""
    if labels.dtype == np.uint64 and labels.max() > np.iinfo(np.int64).max:
        raise ArgumentError(f"Argument `{argument}` must be below 2^63, but reaches {labels.max()}.")
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    numbers = labels.astype(np.float64)
    wrong = numbers[~(np.isfinite(numbers) & (numbers == np.rint(numbers)) & (np.abs(numbers) < 2**53))]
    if wrong.size:
        raise ArgumentError(
            f"Argument `{argument}` must hold classes, as text or integers, but holds {wrong[0]:g}. What is to be "
            "predicted must be a class, not a number."
        )
    return numbers.astype(np.int64)


def _of_integers(
    arrays: Mapping[str, Integer[np.ndarray, "..."]], names: tuple[str, ...] | None
) -> tuple[list[_Numbers], tuple[str, ...]]:
    widths = {array.shape[1] for array in arrays.values() if array.ndim == 2}
    parts = {name: _from_one_hot(name, array) for name, array in arrays.items()}
    if widths:
        if names is None:
            names = tuple(map(str, range(max(widths))))
        if widths != {len(names)}:
            raise ArgumentError(
                f"Arguments `{'`, `'.join(arrays)}` must hold one-hot vectors with one number for each of the "
                f"{len(names)} classes, but hold {' and '.join(map(str, sorted(widths)))}."
            )
    present = np.unique(np.concatenate([np.unique(part) for part in parts.values()]))
    if names is None:
        names = tuple(map(str, present.tolist()))
    elif present[0] >= 0 and present[-1] < len(names):
        return [part.astype(np.int64) for part in parts.values()], names
    elif len(present) != len(names):
        raise ArgumentError(
            f"Argument `class_names` must name each of the labels {shown(', '.join(map(str, present.tolist())))}, but "
            f"has {len(names)} names."
        )
    return [np.searchsorted(present, part) for part in parts.values()], names


def _from_one_hot(argument: str, labels: Integer[np.ndarray, "..."]) -> _Numbers:
    """Class numbers as they are, or from one vector an input that is 1 at its class and 0 elsewhere."""
    if labels.ndim == 1:
        return labels
    if not (((labels != 0).sum(axis=1) == 1).all() and (labels.max(axis=1) == 1).all()):
        raise ArgumentError(
            f"Argument `{argument}` must hold one label for each input, in the shape (n,), or one-hot vectors of one 1 "
            f"and else 0, but has the shape {labels.shape} and holds others."
        )
    numbers: _Numbers = labels.argmax(axis=1)
    return numbers


def _check_classes(parts: Mapping[str, Int64[np.ndarray, "_"]], names: tuple[str, ...], derived: bool) -> None:
    """Make sure that there are two classes, and that those which no one named are all to be learned."""
    (first, learned), *others = parts.items()
    if len(names) < 2:
        raise ArgumentError(f"Argument `{first}` must hold two classes at least, but holds {shown(names[0])} only.")
    for name, part in others:
        alone = np.setdiff1d(part, learned)
        if derived and alone.size:
            raise ArgumentError(
                f"Argument `{name}` must hold the classes of `{first}`, but holds {shown(names[int(alone[0])])}, which "
                f"`{first}` does not."
            )


def counts_of(labels: Shaped[np.ndarray, "n"], names: tuple[str, ...]) -> dict[str, int]:
    """How many labels there are of each class."""
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))
