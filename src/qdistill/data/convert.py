"""Arrays of any library and type as the inputs and labels of a dataset, where there is one way to read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int32, Integer, Shaped

from qdistill.data.names import as_class_names
from qdistill.data.raw import Inputs, Labels, as_scale, check_inputs, check_units
from qdistill.errors import ArgumentError

_EXACT = 2**24  # float32 holds every integer up to here
Several = Shaped[np.ndarray, "..."]


def as_inputs(train: Any, test: Any, scale: Any = None) -> tuple[Inputs, Inputs, float]:
    """Bring the inputs of both parts to one type, the axes of vectors or images, and a scale of their own.

    Args:
        train: booleans, integers or floating-point numbers of shape (n, features), (n, height, width, channels), or
            (n, height, width) for one channel, in anything that NumPy makes an array of.
        test: like `train`.
        scale: the value that stands for 1.0. If left out, it is 1 for vectors; for images it is 255 for bytes, 1 for
            booleans, and 1 for floating-point numbers if both parts lie within [0, 1].

    Returns:
        Copies of training and test inputs, uint8 or float32, and the scale.

    Raises:
        ArgumentError: an argument is no batch of inputs, the parts are of different kinds or in different units, or
            the scale has to be given.
    """
    named = {"train_inputs": train, "test_inputs": test}
    arrays = {name: _vectors_or_images(name, as_array(name, value)) for name, value in named.items()}
    kinds = {name: _kind(name, array) for name, array in arrays.items()}
    if kinds["test_inputs"] != kinds["train_inputs"]:
        raise ArgumentError(
            f"Argument `test_inputs` must hold {kinds['train_inputs']} as `train_inputs` does, but holds "
            f"{kinds['test_inputs']}."
        )
    if scale is None and arrays["train_inputs"].ndim == 2:
        scale = 1.0  # the features of a vector have units of their own, of which none is white
    given = None if scale is None else as_scale(scale)
    return _READ[kinds["train_inputs"]](arrays, given)


def as_labels(train: Any, test: Any, class_names: Any = ()) -> tuple[Labels, Labels, tuple[str, ...]]:
    """Bring the labels of both parts to class numbers.

    Args:
        train: whole numbers from 0 or booleans of shape (n,) or (n, 1), in any type; or their one-hot vectors, of shape
            (n, classes); or names, all of them among `class_names`, or the digits of whole numbers.
        test: like `train`.
        class_names: what each label means; if left out, the labels' own digits.

    Returns:
        Training and test labels, and the class names.

    Raises:
        ArgumentError: an argument can be read in no way or in several, or the class names have to be given.
    """
    left_out = class_names is None or (isinstance(class_names, (tuple, list)) and not class_names)
    names = None if left_out else as_class_names(class_names)
    columns = set()
    parts = []
    for argument, value in (("train_labels", train), ("test_labels", test)):
        labels = as_array(argument, value)
        if labels.dtype.kind in "UT":
            labels = _numbers_of_names(argument, labels, names)
        labels = _whole(argument, labels)
        if labels.ndim == 2:
            columns.add(labels.shape[1])
            labels = _from_one_hot(argument, labels)
        parts.append(_narrow(argument, labels))
    wide = columns - {1}
    if names is None:
        names = _names_of(*parts, n_classes=max(wide, default=0))
    if any(width != len(names) for width in wide):
        raise ArgumentError(
            f"Arguments `train_labels` and `test_labels` must hold one-hot vectors with one number for each of the "
            f"{len(names)} classes, but hold {' and '.join(map(str, sorted(wide)))}."
        )
    return parts[0], parts[1], names


def as_array(name: str, value: Any) -> Several:
    """What NumPy makes of a value, with Python's objects as the numbers or strings that they are.

    Raises:
        ArgumentError: NumPy makes no array of numbers or strings of it, or an entry is masked.
    """
    items = value if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(item, np.ma.MaskedArray) and np.ma.is_masked(item) for item in items):
        raise ArgumentError(f"Argument `{name}` must have no masked entries, but has some. Fill them in first.")
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = np.array(array.tolist())
    # Whatever library the value is of raises errors of its own, such as for a tensor on another device.
    except Exception as error:
        raise ArgumentError(
            f"Argument `{name}` must be an array, but NumPy makes none of this {type(value).__name__}: {error}."
        ) from error
    if array.dtype.kind not in "biufUT" and not jnp.issubdtype(array.dtype, jnp.floating):
        objects = sorted({type(each).__name__ for each in array.ravel()[:1000]}) if array.dtype == object else ()
        found = f"objects of type {', '.join(objects)}" if objects else str(array.dtype)
        raise ArgumentError(f"Argument `{name}` must hold real numbers, but holds {found}.")
    return array


def _vectors_or_images(name: str, array: Several) -> Several:
    if array.ndim not in (2, 3, 4):
        raise ArgumentError(
            f"Argument `{name}` must have the shape (n, features), (n, height, width, channels) or (n, height, width), "
            f"but has {array.shape}."
        )
    if array.size == 0:
        raise ArgumentError(f"Argument `{name}` must not be empty, but has the shape {array.shape}.")
    return array[..., None] if array.ndim == 3 else array


def _kind(name: str, array: Several) -> str:
    if array.dtype.kind in "UT":
        raise ArgumentError(f"Argument `{name}` must hold real numbers, but holds strings.")
    kinds = {"b": "booleans", "i": "integers", "u": "integers"}
    return kinds.get(array.dtype.kind, "floating-point numbers")


def _read_booleans(arrays: dict[str, Several], scale: float | None) -> tuple[Inputs, Inputs, float]:
    if scale not in (None, 1.0):
        raise ArgumentError(f"Argument `scale` must be 1 or left out for booleans, but was {scale:g}.")
    return *_typed(arrays, np.uint8), 1.0


def _read_integers(arrays: dict[str, Several], scale: float | None) -> tuple[Inputs, Inputs, float]:
    if scale is None:
        other = next((f"`{name}` is {array.dtype}" for name, array in arrays.items() if array.dtype != np.uint8), None)
        if other is not None:
            raise ArgumentError(
                f"Argument `scale` must be given for images of other integers than bytes, but was left out, and "
                f"{other}. It is the pixel value that stands for 1.0, such as 255 or 65535."
            )
        scale = 255.0
    limits = {name: (int(array.min()), int(array.max())) for name, array in arrays.items()}
    if all(low >= 0 and high <= 255 for low, high in limits.values()):
        return *_typed(arrays, np.uint8), scale
    for name, (low, high) in limits.items():
        if max(-low, high) > _EXACT:
            raise ArgumentError(
                f"Argument `{name}` must hold integers that 32-bit floating-point numbers hold exactly, up to "
                f"{_EXACT:,}, but reaches from {low:,} to {high:,}."
            )
    return *_typed(arrays, np.float32), scale


def _read_floats(arrays: dict[str, Several], scale: float | None) -> tuple[Inputs, Inputs, float]:
    with np.errstate(over="ignore"):
        train, test = _typed(arrays, np.float32)
    for (name, given), converted in zip(arrays.items(), (train, test), strict=True):
        if given.dtype.itemsize > converted.dtype.itemsize:
            _check_range(name, given)
        check_inputs(name, converted)
    if train.ndim == 4:
        check_units(train, test)
    if scale is not None:
        return train, test, scale
    for part, inputs in (("training", train), ("test", test)):
        if inputs.min() < 0 or inputs.max() > 1:
            raise ArgumentError(
                f"Argument `scale` must be given for floating-point images outside [0, 1], but was left out, and "
                f"the {part} inputs reach from {inputs.min():.4g} to {inputs.max():.4g}. It is the pixel value "
                f"that stands for 1.0, such as 255."
            )
    return train, test, 1.0


_READ: dict[str, Callable[[dict[str, Several], float | None], tuple[Inputs, Inputs, float]]] = {
    "booleans": _read_booleans,
    "integers": _read_integers,
    "floating-point numbers": _read_floats,
}


def _check_range(name: str, inputs: Several) -> None:
    beyond = inputs[np.isfinite(inputs) & (np.abs(inputs) > np.finfo(np.float32).max)]
    if beyond.size:
        raise ArgumentError(
            f"Argument `{name}` must fit into 32-bit floating-point numbers, but holds {beyond[0]:.4g}."
        )


def _typed(arrays: dict[str, Several], dtype: type[np.generic]) -> list[Any]:
    """Copies in this type, in row-major order."""
    return [array.astype(dtype, order="C") for array in arrays.values()]


def _numbers_of_names(argument: str, labels: Several, names: tuple[str, ...] | None) -> Integer[np.ndarray, "..."]:
    """Labels that are strings, as the places of these names, or as the whole numbers that they are the digits of."""
    present = np.unique(labels).tolist()
    if names is not None:
        numbers = {name: place for place, name in enumerate(names)}
        wrong = [label for label in present if label not in numbers]
        must = f"be among the class names {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    else:
        numbers = {label: int(label) for label in present if label.isascii() and label.isdigit() and len(label) < 10}
        wrong = [label for label in present if str(numbers.get(label)) != label]
        must = "be integers where `class_names` is left out"
    if wrong:
        raise ArgumentError(f"Argument `{argument}` must {must}, but holds {wrong[0]!r}.")
    flat = np.array([numbers[label] for label in labels.ravel().tolist()], np.int64)
    return flat.reshape(labels.shape)


def _whole(argument: str, labels: Several) -> Integer[np.ndarray, "..."]:
    """Labels of any type of numbers as integers."""
    if labels.dtype.kind in "iu":
        return labels
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    numbers = labels.astype(np.float64)
    wrong = numbers[~(np.isfinite(numbers) & (numbers == np.rint(numbers)) & (np.abs(numbers) < 2**53))]
    if wrong.size:
        raise ArgumentError(f"Argument `{argument}` must hold integers, but holds {wrong[0]:g}.")
    return numbers.astype(np.int64)


def _from_one_hot(argument: str, labels: Integer[np.ndarray, "n classes"]) -> Integer[np.ndarray, "n"]:
    """Class numbers from one column of them, or from one vector an input that is 1 at its class and 0 elsewhere."""
    if labels.shape[1] == 1:
        return labels[:, 0]
    one_hot: Bool[np.ndarray, "n"] = (labels != 0).sum(axis=1) == 1
    if not (labels.shape[1] and one_hot.all() and (labels.max(axis=1) == 1).all()):
        raise ArgumentError(
            f"Argument `{argument}` must hold one label for each input, in the shape (n,), or one-hot vectors of one 1 "
            f"and else 0, but has the shape {labels.shape} and holds others."
        )
    numbers: Integer[np.ndarray, "n"] = labels.argmax(axis=1)
    return numbers


def _narrow(argument: str, labels: Integer[np.ndarray, "..."]) -> Int32[np.ndarray, "..."]:
    if labels.size and set(np.unique(labels).tolist()) == {-1, 1}:
        raise ArgumentError(
            f"Argument `{argument}` must hold integers from 0, but holds -1 and 1. Give (labels + 1) // 2."
        )
    bounds = np.iinfo(np.int32)
    beyond = labels[(labels < bounds.min) | (labels > bounds.max)]
    if beyond.size:
        raise ArgumentError(f"Argument `{argument}` must fit into 32 bits, but reaches {beyond[0]}.")
    return labels.astype(np.int32)


def _names_of(*parts: Int32[np.ndarray, "..."], n_classes: int) -> tuple[str, ...]:
    """The numbers of the classes as their names: those of one-hot vectors, or else 0 to the highest label."""
    present = np.unique(np.concatenate([part.ravel() for part in parts]))
    expected = np.arange(n_classes or len(present))
    if not present.size or not (n_classes or np.array_equal(present, expected)):
        shown = ", ".join(str(label) for label in present[:5]) + (", ..." if len(present) > 5 else "")
        raise ArgumentError(
            f"Argument `class_names` must be given unless the labels are the integers from 0 without gaps, "
            f"but the labels are {shown or 'none'}."
        )
    return tuple(str(label) for label in expected)
