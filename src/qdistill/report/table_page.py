"""What the page of a table of results shows, from a folder that holds `table.json` (see `report.table`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qdistill.errors import RunError
from qdistill.report.style import png_address
from qdistill.report.table import FIGURES, TABLE_FIGURE, minutes_of, of_bundles, paired, seeds_of
from qdistill.run_files import read_results


def gather(folder: Path) -> dict[str, Any]:
    """Everything that the template `table.html.jinja` names.

    Raises:
        RunError: `table.json` is missing, damaged or not of a table, or a figure cannot be read.
    """
    table = read_results(folder)
    replayed = of_bundles(table)
    captions = FIGURES | ({TABLE_FIGURE: "Test accuracy of every bundle, and what is published."} if replayed else {})
    groups = [
        {
            "title": title,
            "rows": [
                row | {"n_seeds": seeds_of(row), "minutes": minutes_of(row)}
                for row in table["rows"]
                if row["group"] == group
            ],
        }
        for group, title in table["groups"].items()
    ]
    return {
        "title": table["title"],
        "lead": "Every choice was made on a validation part of the training set"
        + ("." if replayed else "; the test set was read once a run."),
        "command": table["command"],
        "note": table["note"],
        "made_with": table["made_with"],
        "of_bundles": replayed,
        "groups": [group for group in groups if group["rows"]],
        "differences": table["differences"],
        "paired": paired(len(table["differences"])),
        "figures": [_figure(folder / name, text) for name, text in captions.items() if (folder / name).exists()],
    }


def _figure(path: Path, caption: str) -> dict[str, str]:
    """A figure as an address that holds it, with its caption."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"Cannot read the figure {path}: {error.strerror or error}.") from error
    return {"uri": png_address(content), "caption": caption}
