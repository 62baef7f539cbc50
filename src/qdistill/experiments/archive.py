"""The runs of a table in one file, `runs.jsonl`: what their folders say, without bundles, checkpoints and pictures.

A line is a run that has ended: its name, such as ``pad-hermitian/seed-0``, and its JSON files by their names. A table
is worked on in run folders, which `unpack` lays out and `pack` takes in again; what is given away is the one file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypedDict

from qdistill.errors import RunError
from qdistill.files import (
    FULL_TRAINING,
    METRICS,
    PROVENANCE,
    RECIPE,
    RUNS,
    SCORES,
    TIME,
    check_shape,
    read_json,
    read_json_lines,
    write_json,
    write_text,
)
from qdistill.folders import whole_folder

_NAME = re.compile(r"[\w-]+/seed-\d+")
"""Of a run: no path that leads out of the table's folder."""

_FILES = (RECIPE, FULL_TRAINING, PROVENANCE, TIME, METRICS, SCORES)
"""Those that are kept where they are there."""


class ArchivedRun(TypedDict):
    """A line of `runs.jsonl`."""

    run: str
    files: dict[str, Any]


def pack(folder: Path) -> None:
    """Write the runs of a table's folder that have ended into its `runs.jsonl`; those in it already stay.

    Without any there is no such file.

    Raises:
        RunError: a file is damaged, or cannot be written.
    """
    runs = {run["run"]: run for run in read_archive(folder)}
    for scores in folder.glob(f"*/seed-*/{SCORES}"):
        name = scores.parent.relative_to(folder).as_posix()
        runs[name] = {"run": name, "files": {file: _read(scores.parent / file) for file in _present(scores.parent)}}
    if runs:
        lines = [json.dumps(runs[name], sort_keys=True) + "\n" for name in sorted(runs, key=_place)]
        write_text(folder / RUNS, "".join(lines))


def unpack(folder: Path) -> None:
    """Lay out the folder of every run in a table's `runs.jsonl`; one that is there already is left alone.

    Each is laid out whole or not at all.

    Raises:
        RunError: the file is damaged, or a folder cannot be written.
    """
    for run in read_archive(folder):
        own = folder / run["run"]
        if own.exists():
            continue
        with whole_folder(own) as laid_out:
            for file, content in run["files"].items():
                if file == METRICS:
                    write_text(laid_out / file, "".join(json.dumps(line) + "\n" for line in content))
                else:
                    write_json(laid_out / file, content)


def read_archive(folder: Path) -> list[ArchivedRun]:
    """The runs in a table's `runs.jsonl`; none where there is no such file, or an empty one.

    Raises:
        RunError: a line is damaged, or two are of one run.
    """
    path = folder / RUNS
    runs: list[ArchivedRun] = [
        check_shape(line, ArchivedRun, f"line {number} of {path}")
        for number, line in enumerate(read_json_lines(path), start=1)
    ]
    if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        raise RunError(f"Cannot read {path}: its last line is cut short.")
    for number, run in enumerate(runs, start=1):
        foreign = sorted(set(run["files"]) - set(_FILES))
        if not _NAME.fullmatch(run["run"]) or foreign or SCORES not in run["files"]:
            raise RunError(
                f"Cannot read line {number} of {path}: it must name a run such as row/seed-0 and hold its {SCORES} and "
                f"no other files than {', '.join(_FILES)}, but names {run['run']!r} and holds "
                f"{', '.join(map(repr, sorted(run['files'])))}."
            )
    names = [run["run"] for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RunError(f"Cannot read {path}: it must hold every run once, but holds {twice[0]} twice.")
    return runs


def _present(run: Path) -> list[str]:
    return [file for file in _FILES if (run / file).exists()]


def _read(path: Path) -> Any:
    return read_json_lines(path) if path.name == METRICS else read_json(path)


def _place(name: str) -> tuple[str, int]:
    row, seed = name.split("/seed-")
    return row, int(seed)
