"""Files that are written whole or not at all, and the names of those in a run folder."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Literal

from qdistill.errors import RunError

BUNDLE, CHECKPOINT, METRICS = "bundle.safetensors", "checkpoints/latest.safetensors", "metrics.jsonl"
"""Where a run folder keeps its result, the state to go on from, and its course."""

RECIPE, PROVENANCE, SCORES, SEEDS = "recipe.json", "provenance.json", "scores.json", "seeds.json"
"""What a run follows, where it ran, what came out, and, in a folder of several, the seeds that ran side by side."""

FULL_TRAINING = "full_training.json"
"""How a network of a table trained on all images."""

TIME = "time.json"
"""The processor time that a run has taken so far."""

TABLE = "table.json"
"""In a folder of a table: what its rows gave."""

DEVICE = "device.toml"
"""What the device was like that a run's training is executed on, where there is one."""

PROFILE, TRACE = "profile.json", "profile.trace.json.gz"
"""Where the time of a run's iterations goes: the summary, and the trace for Perfetto."""


def shipped(name: Literal["recipes", "zoo"]) -> Path:
    """A folder of the repository that comes with the package: in an installation inside of it, else beside `src`."""
    inside = Path(__file__).parent / name
    return inside if inside.exists() else Path(__file__).parents[2] / name


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by another, so that a reader or a crash sees either of them and nothing between.

    Raises:
        RunError: the file cannot be written; what was there before is untouched.
    """
    # Beside the file, so that both are on one file system, and opened in the usual way, so that it has the
    # usual permissions: those of the `tempfile` module would keep a result from everyone else.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole."""
    write_whole(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder.

    Raises:
        RunError: missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"Cannot read {path}: {error}. Is {path.parent} a run folder?") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that is still being written: those up to the first that is cut short.

    A file that is not there yet has no lines.
    """
    lines: list[dict[str, Any]] = []
    if path.exists():
        for text in path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines
