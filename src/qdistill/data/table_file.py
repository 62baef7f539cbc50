"""Reads a table of numbers with a column of labels: CSV, by Python's own reader of it.

Python's `csv` knows quotes and line ends as RFC 4180 has them, is there already, and gives a row at a time, so that a
table takes 8 bytes a number.

Nothing is guessed that could be wrong: what could be a header or data, or a column that says nothing of the classes of
new rows, is refused by name, with the option that decides it.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

from qdistill.errors import ArgumentError, DataError, shown
from qdistill.fields import check_fields

Header = Literal["auto", "yes", "no"]
OddColumns = Literal["refuse", "drop", "keep"]

_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}
_NO_LABEL = {"", "na", "n/a", "nan", "null", "?"}  # "none" may be a class
_FEWEST_COUNTED = 10
"""In a shorter table, a column that counts the rows may do so by chance."""
_LAST = "-1"
_DELIMITERS = (",", ";", "\t")


_Row = tuple[int, list[str]]
"""The number of the line that a row ends in, and its cells."""


@dataclass(frozen=True)
class TableOptions:
    """How a table is read.

    Args:
        label_column: the column of the labels, by its name or its place from 0; negative places count from the end. By
            default it is the last.
        drop: columns to be left out, by name or place.
        odd_columns: what is done with a column that has no name, has one value only or counts the rows.
        header: whether the first line has the columns' names; `auto` where it can be seen.
        delimiter: what stands between two columns; by default the one of comma, semicolon and tab in the first line.
    """

    label_column: str | None = None
    drop: tuple[str, ...] = ()
    odd_columns: OddColumns = "refuse"
    header: Header = "auto"
    delimiter: str | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ArgumentError(f"Argument `delimiter` must be one character, but was {self.delimiter!r}.")


@dataclass(frozen=True)
class Table:
    """What a table holds.

    Args:
        features: the names of the columns that are numbers.
        inputs: their numbers, one row an input.
        labels: the label of each row.
    """

    features: tuple[str, ...]
    inputs: Float64[np.ndarray, "n features"]
    labels: tuple[str, ...]


def read_table(path: Path, options: TableOptions) -> Table:
    """Read a table from a CSV file.

    Raises:
        DataError: the file cannot be read, or is no table of numbers with one column of labels: a value is missing or
            no number, a line has another number of columns, two columns have one name, a column has one value only.
        ArgumentError: the options name no column, or something that is seen in two ways has to be named.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _read(path, file, options)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: must be text in UTF-8, but byte {error.start} is none of it. Save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise DataError(f"{path}: is no table in CSV: {error}.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _read(path: Path, file: Iterator[str], options: TableOptions) -> Table:
    blank, first = next(((blank, line) for blank, line in enumerate(file) if line.strip()), (0, ""))
    if not first:
        raise DataError(f"{path}: must hold a table, but is empty.")
    delimiter = _delimiter_of(path, first) if options.delimiter is None else options.delimiter
    reader = csv.reader(_after(first, file), delimiter=delimiter, skipinitialspace=True, strict=True)
    top = [cell.strip() for cell in next(reader)]
    if len(top) < 2:
        raise DataError(
            f"{path}: must have a column of numbers and one of labels at least, but its first line has one only, with "
            f"{delimiter!r} between columns. Name another by `delimiter`."
        )
    named = _has_names(path, top, options)
    names = tuple(top if named else map(str, range(len(top))))
    column = _LAST if options.label_column is None else options.label_column
    label = _place(names, column, "label_column", named)
    dropped = {_place(names, column, "drop", named) for column in options.drop}
    if label in dropped:
        raise ArgumentError(f"Argument `drop` must not hold the column of the labels, {shown(names[label])}, but does.")
    _check_names(path, [name for place, name in enumerate(names) if place not in dropped])
    kept = [place for place in range(len(names)) if place not in dropped | {label}]
    rows = ((blank + reader.line_num, row) for row in reader)
    inputs, labels = _numbers(path, rows if named else _with_first((blank + 1, top), rows), names, kept, label)
    return _without_odd(path, Table(tuple(names[place] for place in kept), inputs, _classes(path, labels)), options)


def _after(first: str, file: Iterator[str]) -> Iterator[str]:
    yield first
    yield from file


def _with_first(top: _Row, rows: Iterator[_Row]) -> Iterator[_Row]:
    yield top
    yield from rows


def _delimiter_of(path: Path, line: str) -> str:
    """The one delimiter in a line, outside of quotes."""
    plain = "".join(line.split('"')[::2])
    found = [delimiter for delimiter in _DELIMITERS if delimiter in plain]
    if len(found) > 1:
        raise ArgumentError(
            f"Argument `delimiter` must be given, because the first line of {path} has "
            f"{' and '.join(map(repr, found))}, but was left out."
        )
    return found[0] if found else ","


def _has_names(path: Path, top: Sequence[str], options: TableOptions) -> bool:
    """Whether the first line names the columns, and is not one of data."""
    if options.header != "auto":
        return options.header == "yes"
    if not any(map(_is_number, top)):
        return True
    column = _LAST if options.label_column is None else options.label_column
    if not _is_place(column, len(top)):
        return True
    label = int(column) % len(top)
    features = [cell for place, cell in enumerate(top) if place != label]
    # pandas numbers the columns of an array, from 0.
    if all(map(_is_number, features)) and features != [str(place) for place in range(len(features))]:
        return False
    raise ArgumentError(
        f"Argument `header` must be given, because the first line of {path}, {shown(', '.join(top))}, could be names "
        "or data, but was left out. It is 'yes' or 'no'."
    )


def _number(cell: str) -> float:
    """The number in a cell; Python's digits grouped by underscores are an identifier here.

    Raises:
        ValueError: it holds none.
    """
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _is_place(column: str, n: int) -> bool:
    try:
        return -n <= int(column) < n
    except ValueError:
        return False


def _place(names: Sequence[str], column: str, argument: str, named: bool) -> int:
    """The place of a column, given its name or its place."""
    if named and column in names:
        return names.index(column)
    if _is_place(column, len(names)):
        return int(column) % len(names)
    places = f"a place from 0 to {len(names) - 1}"
    if not named:
        raise ArgumentError(
            f"Argument `{argument}` must be {places}, as the columns have no names, but was {column!r}."
        )
    unknown = ArgumentError.unknown(argument, column, [name for name in names if name])
    raise ArgumentError(f"{unknown} It may also be {places}.")


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = next((name for place, name in enumerate(names) if name and name in names[:place]), None)
    if twice is not None:
        raise DataError(f"{path}: must have columns of different names, but {shown(twice)} is there twice.")


def _numbers(
    path: Path,
    rows: Iterator[_Row],
    names: Sequence[str],
    kept: Sequence[int],
    label: int,
) -> tuple[Float64[np.ndarray, "n features"], list[str]]:
    """The numbers of the columns that are kept, and the labels."""
    numbers, labels = array("d"), []
    for line, row in rows:
        if not row or (len(row) == 1 and not row[0].strip()):
            continue
        where = f"{path}, line {line}"
        if len(row) != len(names):
            raise DataError(f"{where}: must have {len(names)} columns as the first line, but has {len(row)}.")
        try:
            numbers.extend([_number(row[place]) for place in kept])
        except ValueError:
            raise _no_number(where, row, names, kept) from None
        labels.append(row[label].strip())
        if labels[-1].lower() in _NO_LABEL:
            raise DataError(f"{where}: must have a label in column {shown(names[label])}, but it is missing.")
    if not labels:
        raise DataError(f"{path}: must hold rows, but holds names only.")
    inputs = np.frombuffer(numbers, np.float64).reshape(len(labels), len(kept))
    wrong = np.argwhere(~np.isfinite(inputs))
    if wrong.size:
        row_number, column = wrong[0]
        value = inputs[row_number, column]
        what = "it is missing (nan)" if np.isnan(value) else f"it is {value}"
        raise DataError(
            f"{path}, row {row_number + 1} of the data: must have a number in column {shown(names[kept[column]])}, but "
            f"{what}. Fill it in, or leave out the row or, by `drop`, the column."
        )
    return inputs, labels


def _no_number(where: str, row: Sequence[str], names: Sequence[str], kept: Sequence[int]) -> DataError:
    """The error for a row with a cell that is no number."""
    column = next(place for place in kept if not _is_number(row[place]))
    cell = row[column].strip()
    must = f"{where}: must have a number in column {shown(names[column])}, but"
    if cell.lower() in _MISSING:
        return DataError(
            f"{must} it is missing{f' ({cell})' if cell else ''}. Fill it in, or leave out the row or, by "
            "`drop`, the column."
        )
    comma = " Write decimals with a point." if cell.count(",") == 1 and _is_number(cell.replace(",", ".")) else ""
    return DataError(
        f"{must} it is {shown(cell)}.{comma} Put numbers in its place, or leave out the column by `drop`; if it is the "
        "label, name it by `label_column`."
    )


def _classes(path: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, integers without a fraction where all are numbers."""
    if not all(map(_is_number, labels)):
        return tuple(labels)
    numbers = [float(label) for label in labels]
    broken = next((label for label, number in zip(labels, numbers, strict=True) if not number.is_integer()), None)
    if broken is not None:
        raise DataError(
            f"{path}: must have classes as labels, text or integers, but one is {broken}. What is to be predicted must "
            "be a class, not a number."
        )
    return tuple(map(_integer, labels))


def _integer(label: str) -> str:
    """A whole number as its digits, all of which count where it is written as an integer."""
    try:
        return str(int(label))
    except ValueError:
        return str(int(float(label)))


def _without_odd(path: Path, table: Table, options: TableOptions) -> Table:
    """The table without columns that say nothing of the class of a new row, or an error where no one asked for that."""
    odd = {} if options.odd_columns == "keep" else dict(_odd(table))
    if odd and options.odd_columns == "refuse":
        place, why = next(iter(odd.items()))
        name = table.features[place]
        others = f" There are {len(odd)} such columns." if len(odd) > 1 else ""
        raise DataError(
            f"{path}: column {shown(name) if name else f'{place} without a name'} {why}, which says nothing of the "
            f"class of a new row.{others} Leave columns out by `drop`, or all such ones by `odd_columns` 'drop'; "
            "'keep' takes them as they are."
        )
    kept = [place for place in range(len(table.features)) if place not in odd]
    if not kept:
        raise DataError(f"{path}: must have a column of numbers that differ, but has none.")
    return Table(tuple(table.features[place] for place in kept), table.inputs[:, kept], table.labels)


def _odd(table: Table) -> Iterator[tuple[int, str]]:
    """The places of columns that say nothing of the class of a new row, and why they do not."""
    n = len(table.inputs)
    for place, (name, column) in enumerate(zip(table.features, table.inputs.T, strict=True)):
        if (column == column[0]).all():
            yield place, f"has the one value {column[0]:g}"
        elif n >= _FEWEST_COUNTED and (column == column[0] + np.arange(n)).all():
            yield place, "counts the rows"
        elif not name:
            yield place, "has no name, as the index of a table has none"
