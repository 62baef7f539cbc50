"""A dataset in a file or folder of the user's own: arrays in NPZ, a table in CSV, or images by class.

How it is read is part of a recipe, so that a run that goes on, a replay or a report finds it again. Whether it still
holds what it held is told by the digests in a checkpoint and in a bundle.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.data.image_folder import read_folder
from qdistill.data.labels import as_labels
from qdistill.data.names import as_class_names, as_name
from qdistill.data.npz_file import read_npz
from qdistill.data.own import Images, Vectors
from qdistill.data.raw import RawDataset
from qdistill.data.registry import DATASETS
from qdistill.data.table_file import Header, OddColumns, TableOptions, read_table
from qdistill.errors import ArgumentError, DataError, did_you_mean, shown
from qdistill.fields import check_fields, check_seed

SUFFIXES = (".csv", ".tsv", ".npz")
"""How the names of files end that are datasets; a folder may have any name."""


@dataclass(frozen=True)
class DataFile:
    """A dataset in a file or folder of the user's own.

    `read` looks into it, and records what is found: a recipe can be read, and a report written, where the file is not.

    Args:
        path: a .csv or .tsv file, which has a column of labels; a .npz file of arrays `x` and `y`, or `x_train`,
            `y_train`, `x_test` and `y_test`; or a folder that has a folder of PNG or JPEG files for each class, or two
            folders `train` and `test` of such.
        name: the dataset's name; by default that of the file without its ending.
        label_column: of a table: the column of the labels, by its name or its place from 0; by default the last.
        drop: of a table: columns to be left out, by name or place.
        odd_columns: of a table: what is done with a column that has no name, has one value only or counts the rows.
        header: of a table: whether the first line has the columns' names; `auto` where it can be seen.
        delimiter: of a table: what stands between two columns; by default the one of comma, semicolon and tab in the
            first line.
        scale: of images in a .npz file: the pixel value that stands for 1.0, see `Images`.
        classes: which of the classes are taken, in the order of their numbers; by default all, in alphabetical or
            ascending order.
        test_size: how much is for test, a share below 1 or a number of inputs, where the file does not say itself; 0.2
            by default.
        split_seed: of the draw of the part for test; 0 by default.
        class_names: what `read` has found.
        input_shape: what `read` has found.
        n_train: what `read` has found: how many inputs are not for test.

    Raises:
        ArgumentError: the path is none of these, or a field has a bad value or no effect on such a file.

    Example:
        >>> DataFile("flowers.csv", label_column="species").read()  # doctest: +SKIP
    """

    path: str
    name: str = ""
    label_column: str | None = None
    drop: tuple[str, ...] = ()
    odd_columns: OddColumns = "refuse"
    header: Header = "auto"
    delimiter: str | None = None
    scale: float | None = None
    classes: tuple[str, ...] = ()
    test_size: float | None = None
    split_seed: int | None = None
    class_names: tuple[str, ...] = ()
    input_shape: tuple[int, ...] = ()
    n_train: int = 0

    def __post_init__(self) -> None:
        """Check the fields, and find the name."""
        check_fields(self)
        object.__setattr__(self, "path", as_name("path", self.path))
        plain = Path(self.path)
        kind = plain.suffix.lower()
        object.__setattr__(
            self, "name", as_name("name", self.name or (plain.stem if kind in SUFFIXES else plain.resolve().name))
        )
        if self.classes:
            as_class_names(self.classes)
        if self.split_seed is not None:
            check_seed(self.split_seed, "split_seed")
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        ignored = () if kind in (".csv", ".tsv") else ("label_column", "drop", "odd_columns", "header", "delimiter")
        for field in (*ignored, *(() if kind == ".npz" else ("scale",))):
            if getattr(self, field) != usual[field]:
                whose = "a table in CSV" if field in ignored else "images in NPZ"
                raise ArgumentError(f"Argument `{field}` must be left out but for {whose}, but {self.path} is none.")

    def read(self, data_dir: Path | None = None) -> DataFile:
        """The same, with what is in the file.

        Raises:
            DataError: the file is not there, or is not what its name says.
            ArgumentError: a field does not fit to what is in it, or another dataset of `DATASETS` has the name.
        """
        taken = DATASETS.get(self.name)
        if taken is not None and not (isinstance(taken, DataFile) and taken.path == self.path):
            raise ArgumentError(
                f"Argument `name` must stand for one dataset, but {self.name!r} is the name of another, "
                f"{type(taken).__name__}. Give {self.path} another name."
            )
        own = _read(self, _found(self.path, data_dir))
        return dataclasses.replace(self, class_names=own.class_names, input_shape=own.input_shape, n_train=own.n_train)

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset.

        Args:
            data_dir: the folder that the file or folder lies in; by default the path is as it was given, from the
                current folder.

        Raises:
            DataError: the file is not there or is not what its name says, or it has other classes or inputs of another
                shape than `read` had found.
            ArgumentError: a field does not fit to what is in it.
        """
        path = _found(self.path, data_dir)
        raw = _read(self, path).load()
        now = {"class_names": raw.class_names, "input_shape": raw.train_inputs.shape[1:]}
        for field, value in now.items():
            before = getattr(self, field)
            if before and before != value:
                raise DataError(
                    f"{path}: must have the `{field}` {shown(before)} as when the run began, but has {shown(value)}. "
                    "Take the file as it was, or begin a new run."
                )
        return raw


def is_data_path(text: str) -> bool:
    """Whether a text names a file or folder that may be a dataset, and can be no name of one."""
    path = Path(text).expanduser()
    return path.suffix.lower() in SUFFIXES or path.is_dir()


def _found(given: str, data_dir: Path | None) -> Path:
    """Where a file or folder is."""
    path = Path(given).expanduser()
    candidates = [path]
    if data_dir is not None:
        candidates = [Path(data_dir) / each for each in (path, path.name) if not Path(each).is_absolute()]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    sought = " or ".join(str(candidate.absolute()) for candidate in candidates)
    raise DataError(f"{given}: is not there; it was sought at {sought}. Name the folder that it lies in as `data_dir`.")


def _read(file: DataFile, path: Path) -> Vectors | Images:
    """Read a file, unless it was just read and is still as it was."""
    bare = dataclasses.replace(file, class_names=(), input_shape=(), n_train=0)
    return _read_once(bare, path.absolute(), _stamp(path))


def _stamp(path: Path) -> tuple[Any, ...]:
    """What is another after a file, or one in a folder, was written to."""
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        return tuple((str(each), each.stat().st_mtime_ns, each.stat().st_size) for each in files)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


@functools.lru_cache(maxsize=1)
def _read_once(file: DataFile, path: Path, stamp: tuple[Any, ...]) -> Vectors | Images:
    reader = _read_images if path.is_dir() else _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: must be a folder of images or a file whose name ends in {', '.join(SUFFIXES)}, but is another."
        )
    content = reader(file, path)
    try:
        return _dataset(file, content)
    except ArgumentError as error:
        raise DataError(f"In {path}: {error}") from error


@dataclass(frozen=True)
class _Content:
    """What a file holds.

    Args:
        inputs: of each part, one or training and test.
        labels: of each part.
        class_names: where the file has them.
        scale: of images, where it is known.
    """

    inputs: Sequence[Any]
    labels: Sequence[Any]
    class_names: tuple[str, ...] = ()
    scale: float | None = None


def _read_npz(file: DataFile, path: Path) -> _Content:
    found = read_npz(path)
    return _Content(found.inputs, found.labels, found.class_names, file.scale)


def _read_table_file(file: DataFile, path: Path) -> _Content:
    options = {field.name: getattr(file, field.name) for field in dataclasses.fields(TableOptions)}
    table = read_table(path, TableOptions(**options))
    return _Content([table.inputs], [np.array(table.labels)])


def _read_images(file: DataFile, path: Path) -> _Content:
    found = read_folder(path)
    return _Content(found.images, [np.array(labels) for labels in found.labels], scale=found.scale)


_READERS: dict[str, Callable[[DataFile, Path], _Content]] = {
    ".csv": _read_table_file,
    ".tsv": _read_table_file,
    ".npz": _read_npz,
}
"""By the ending of a file's name."""


def _dataset(file: DataFile, content: _Content) -> Vectors | Images:
    """The inputs of the classes that are asked for, divided as it is asked for."""
    ends = ("", "_test")[: len(content.labels)]
    if len(ends) == 2:
        for field in ("test_size", "split_seed"):
            if getattr(file, field) is not None:
                raise ArgumentError(
                    f"Argument `{field}` must be left out, because what is for test is given, but was "
                    f"{getattr(file, field)}."
                )
    numbers, names = as_labels(
        {f"y{end}": part for end, part in zip(ends, content.labels, strict=True)}, content.class_names
    )
    labels = [np.array(names)[part] for part in numbers]
    inputs = [np.asarray(part) for part in content.inputs]
    if file.classes:
        _check_classes(file.classes, names)
        taken = [np.isin(part, file.classes) for part in labels]
        # Where there is not one label for each input, that is said below.
        inputs = [part[kept] if len(part) == len(kept) else part for part, kept in zip(inputs, taken, strict=True)]
        labels = [part[kept] for part, kept in zip(labels, taken, strict=True)]
    parts = {
        f"{kind}{end}": part
        for kind, given in (("x", inputs), ("y", labels))
        for end, part in zip(ends, given, strict=True)
    }
    options: dict[str, Any] = {
        **parts,
        "class_names": file.classes or names,
        "name": file.name,
        "test_size": file.test_size,
        "seed": file.split_seed,
    }
    if inputs[0].ndim != 2:
        return Images(**options, scale=content.scale)
    if file.scale is not None:
        raise ArgumentError(f"Argument `scale` must be left out for vectors, but was {file.scale}.")
    return Vectors(**options)


def _check_classes(wanted: Sequence[str], names: Sequence[str]) -> None:
    unknown = next((name for name in wanted if name not in names), None)
    if unknown is not None:
        raise ArgumentError(
            f"Argument `classes` must be among {shown(', '.join(names))}, but one was {shown(unknown)}."
            f"{did_you_mean(unknown, names)}"
        )
