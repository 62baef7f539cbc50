"""Reads arrays from an NPZ file, as NumPy's `savez` writes it: inputs and labels, with or without a part for test."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.data.names import as_class_names
from qdistill.errors import ArgumentError, DataError, shown

_WHOLE, _DIVIDED = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")
_CLASS_NAMES = "class_names"


@dataclass(frozen=True)
class ArraysOfFile:
    """What an NPZ file holds.

    Args:
        inputs: of each part, one or training and test.
        labels: of each part.
        class_names: of the classes, in the order of their numbers; none where the file does not say.
    """

    inputs: Sequence[Any]
    labels: Sequence[Any]
    class_names: tuple[str, ...]


def read_npz(path: Path) -> ArraysOfFile:
    """Read `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`, and `class_names` where it is there.

    Raises:
        DataError: the file cannot be read, or holds other arrays, or objects of Python's.
    """
    arrays = _arrays(path)
    wanted = next((names for names in (_WHOLE, _DIVIDED) if set(arrays) - {_CLASS_NAMES} == set(names)), None)
    if wanted is None:
        raise DataError(
            f"{path}: must hold the arrays {', '.join(_WHOLE)} or {', '.join(_DIVIDED)}, and may hold {_CLASS_NAMES}, "
            f"but holds {', '.join(map(shown, sorted(arrays))) or 'none'}."
        )
    try:
        class_names = as_class_names(arrays[_CLASS_NAMES]) if _CLASS_NAMES in arrays else ()
    except ArgumentError as error:
        raise DataError(f"In {path}: {error}") from error
    inputs, labels = ([arrays[name] for name in wanted[start::2]] for start in (0, 1))
    return ArraysOfFile(inputs, labels, class_names)


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{path}: must hold several arrays by name, but holds one. Write it by `numpy.savez`.")
            return {name: archive[name] for name in archive.files}
    # Damage may be anything, down to a header that is no Python.
    except (OSError, ValueError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        if str(error).startswith("Object arrays"):
            raise DataError(
                f"{path}: must hold arrays of numbers and text, but holds objects of Python's, which could be "
                "programs. Write text as `numpy.array(labels, dtype=str)`."
            ) from error
        raise DataError(f"{path}: cannot be read as arrays of NumPy: {error}.") from error
