"""The course of a run in numbers: `metrics.jsonl`, a line for each look at the validation part."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from qdistill.errors import RunError
from qdistill.files import METRICS, parse_json, read_json_lines, write_text

_BLOCK = 4096
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Report:
    """One line of `metrics.jsonl`.

    Args:
        iteration: iterations done.
        loss: mean meta-objective over the accepted iterations since the last line.
        gradient_norm: mean norm of the meta-gradient over the same.
        validation_accuracy: of a network trained on the averaged inputs, a fraction; for unknown initial weights the
            mean over the networks that are drawn.
        validation_loss: its mean loss.
        coefficient_norm: the norm of the coefficients of all its Hermitians; None without Hermitians.
        best_validation_accuracy: the highest so far of a network that was finite; 0 without one.
        rejected: rejected iterations so far.
        step_sizes: of the averaged data, one row a step.
        validation_spread: the standard deviation of the accuracy over draws; None for known initial weights.
        validation_worst: the lowest accuracy of a draw; likewise.
    """

    iteration: int
    loss: float | None
    gradient_norm: float | None
    validation_accuracy: float
    validation_loss: float
    coefficient_norm: float | None
    best_validation_accuracy: float
    rejected: int
    step_sizes: list[list[float]]
    validation_spread: float | None = None
    validation_worst: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data, without what is for unknown initial weights where they are known."""
        plain = dataclasses.asdict(self)
        if self.validation_worst is None:
            del plain["validation_spread"], plain["validation_worst"]
        return plain


def append_metrics(folder: Path, report: Report) -> None:
    """Write another line.

    Raises:
        RunError: it cannot be written.
    """
    path = folder / METRICS
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(report.to_json()) + "\n")
            file.flush()
            # The checkpoint that is written next must not be there without its line, whatever fails.
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics so far; a last line that was cut short is left out.

    Raises:
        RunError: another line is damaged.
    """
    return read_json_lines(folder / METRICS)


def read_last_metrics(folder: Path) -> dict[str, Any] | None:
    """The last whole line of a run's metrics, without reading those before it; None where there is none.

    Raises:
        RunError: it is damaged, or cannot be read.
    """
    path = folder / METRICS
    try:
        with path.open("rb") as file:
            text = _last_line(file)
        line = None if text is None else parse_json(text.decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"Cannot read {path}: the last line: {error}.") from error
    if line is not None and not isinstance(line, dict):
        raise RunError(f"Cannot read {path}: the last line is damaged: it is no JSON object.")
    return line


def _last_line(file: BinaryIO) -> bytes | None:
    """The last line that has its end, found from the end of the file."""
    start, tail = file.seek(0, os.SEEK_END), b""
    while start and tail.count(b"\n") < 2:
        start, end = max(0, start - _BLOCK), start
        file.seek(start)
        tail = file.read(end - start) + tail
    *whole, _ = tail.split(b"\n")
    return whole[-1] if whole else None


def last_look(folder: Path) -> dict[str, Any]:
    """The last line of a run's metrics; empty where there is none, or where it is damaged, which the run says."""
    try:
        return read_last_metrics(folder) or {}
    except RunError:
        return {}


def cut_metrics(folder: Path, iteration: int) -> None:
    """Drop the lines that were written after the checkpoint, and a last one that a crash cut short.

    Args:
        folder: the run folder.
        iteration: of the checkpoint; 0 where there is none.

    Raises:
        RunError: a line is damaged, or that of the checkpoint is missing.
    """
    path = folder / METRICS
    lines = read_metrics(folder)
    places: list[Any] = [line.get("iteration") for line in lines]
    if not all(isinstance(place, int) for place in places):
        raise RunError(f"Cannot read {path}: each line must have the iteration that it was written at.")
    if iteration and iteration not in places:
        raise RunError(
            f"Cannot go on with {path}: it has no line of iteration {iteration}, where the checkpoint stands, so it is "
            "another run's or was changed. Put it back, or begin a new run in another folder."
        )
    kept = [json.dumps(line) + "\n" for line, place in zip(lines, places, strict=True) if place <= iteration]
    write_text(path, "".join(kept))
