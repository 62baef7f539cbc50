"""What the page of a table of results shows, from a folder that holds `table.json`.

The file is one object; every accuracy and difference in it is a fraction:

    title        text
    lead         text: what is compared, in a sentence or two
    columns      list of texts, such as "MNIST, 10 images": one group of columns each
    rows         list of {name, cells}; `cells` holds one cell a column, or null where there is no result
    differences  list of {name, mean, interval, sentence}: pairs of rows, by seed
    figures      list of {path, caption}; a PNG or SVG file in the folder, by its name
    command      text: what makes the table again

A cell is {mean, interval, n_seeds, n_test, paper, executions, core_minutes}: the mean test accuracy, its 95 %
interval as [low, high] or null for one seed, how many seeds and test images that rests on, the paper's accuracy, the
circuit executions of one training and the processor time of one distillation; the last three may be null.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qdistill.errors import RunError
from qdistill.files import read_json

TABLE = "table.json"
"""The file that makes a folder one of a table."""

_FIELDS = {
    "table": ("title", "lead", "columns", "rows", "differences", "figures", "command"),
    "row": ("name", "cells"),
    "cell": ("mean", "interval", "n_seeds", "n_test", "paper", "executions", "core_minutes"),
    "difference": ("name", "mean", "interval", "sentence"),
    "figure": ("path", "caption"),
}
_NUMBERS = {"mean": False, "n_seeds": False, "n_test": False, "paper": True, "executions": True, "core_minutes": True}
"""The fields that are numbers, and whether they may be null."""

_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


def gather(folder: Path) -> dict[str, Any]:
    """Everything that the template `table.html.jinja` names.

    Raises:
        RunError: `table.json` or a figure is missing, damaged or not in the form above.
    """
    plain = read_json(folder / TABLE)
    try:
        table = _only(plain, "table")
        columns = table["columns"]
        for row in table["rows"]:
            _only(row, "row")
            if len(row["cells"]) != len(columns):
                raise RunError(f"the row {row['name']!r} must have a cell for each of the {len(columns)} columns.")
            for cell in row["cells"]:
                if cell is not None:
                    _check_numbers(_only(cell, "cell"))
        for difference in table["differences"]:
            _check_numbers(_only(difference, "difference"))
        figures = [_figure(folder, _only(figure, "figure")) for figure in table["figures"]]
    except RunError as error:
        raise RunError(f"Cannot read {folder / TABLE}: {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RunError(f"Cannot read {folder / TABLE}: it is not in the form of a table ({error}).") from error
    return {**table, "figures": figures}


def _only(plain: Any, kind: str) -> dict[str, Any]:
    """An object with exactly the fields of its kind."""
    fields = _FIELDS[kind]
    if not isinstance(plain, Mapping) or set(plain) != set(fields):
        raise RunError(f"a {kind} must be an object of {', '.join(fields)}, but is {plain!r:.200}.")
    return dict(plain)


def _check_numbers(plain: Mapping[str, Any]) -> None:
    for name, value in plain.items():
        if name == "interval":
            fine = value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)))
        else:
            fine = name not in _NUMBERS or _is_number(value) or (value is None and _NUMBERS[name])
        if not fine:
            raise RunError(f"Field `{name}` must not be {value!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _figure(folder: Path, plain: Mapping[str, Any]) -> dict[str, str]:
    """A figure as a data URI with its caption."""
    path = folder / plain["path"]
    if path.suffix not in _KINDS or path.parent != folder:
        raise RunError(f"a figure must be the name of a PNG or SVG file in the folder, but is {plain['path']!r}.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"Cannot read the figure {path}: {error.strerror or error}.") from error
    encoded = base64.b64encode(content).decode()
    return {"uri": f"data:{_KINDS[path.suffix]};base64,{encoded}", "caption": plain["caption"]}
