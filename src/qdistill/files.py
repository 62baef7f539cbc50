"""Files that are written whole or not at all, and the names of those in a run folder."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from qdistill.errors import ArgumentError, RunError
from qdistill.fields import parse
from qdistill.processes import is_gone, machine

BUNDLE, CHECKPOINT, METRICS = "bundle.safetensors", "checkpoints/latest.safetensors", "metrics.jsonl"
"""Where a run folder keeps its result, the state to go on from, and its course."""

RECIPE, PROVENANCE, SCORES, SEEDS = "recipe.json", "provenance.json", "scores.json", "seeds.json"
"""What a run follows, where it ran, what came out, and, in a folder of several, the seeds that ran side by side."""

FULL_TRAINING = "full_training.json"
"""How a network of a table trained on all inputs."""

LANDMARKS = "landmarks.json"
TRANSFER = "transfer.json"
"""What points that were chosen give beside a kernel's distilled ones, where that was measured."""

TIME = "time.json"
"""The processor time that a run has taken so far."""

LOG = "log.txt"
"""What a run that another process works on has said, and why it failed."""

TABLE = "table.json"
"""In a folder of a table: what its rows gave."""

RUNS = "runs.jsonl"
"""In a folder of a table: its runs in one file, see `experiments.archive`."""

SEARCH, TRIALS, BEST = "search.json", "trials.jsonl", "best.toml"
"""In a folder of a search: what is searched and what came out, a line a trial, and the best recipe."""

DEVICE = "device.toml"
"""What the device was like that a run's training is executed on, where there is one."""

PROFILE, TRACE = "profile.json", "profile.trace.json.gz"
"""Where the time of a run's iterations goes: the summary, and the trace for Perfetto."""


def shipped(name: Literal["recipes", "zoo"]) -> Path:
    """A folder of the repository that comes with the package: in an installation inside of it, else beside `src`."""
    inside = Path(__file__).parent / name
    return inside if inside.exists() else Path(__file__).parents[2] / name


def read_text(path: Path) -> str:
    """The text of a file: UTF-8 in every locale, with or without the byte order mark that some editors put first.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text (byte {error.start} is none of it); save it as UTF-8") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no UTF-8 text, or no TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("its arrays or tables are nested too deeply") from error


def toml(value: Any) -> str:
    """A value as TOML has it, on one line; a field that is None is left out of a table."""
    if isinstance(value, str):
        # TOML escapes as JSON does, but for the control character 127, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(key)} = {toml(part)}" for key, part in value.items() if part is not None) + " }"
    return repr(value)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by another, so that a reader or a crash sees either of them and nothing between.

    Raises:
        RunError: the file cannot be written; what was there before is untouched.
    """
    # Beside the file, so that both are on one file system, and opened in the usual way, so that it has the
    # usual permissions: those of the `tempfile` module would keep a result from everyone else.
    temporary = temporary_beside(path)
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


def temporary_beside(path: Path) -> Path:
    """A name beside a file or folder that no other write has, and that says whose it is."""
    return path.with_name(f".qdistill-{machine()}-{os.getpid()}-{next(_numbers)}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether a file is one that `write_whole` has not finished."""
    return _TEMPORARY.fullmatch(path.name) is not None


_numbers = itertools.count()
_TEMPORARY = re.compile(r"\.qdistill-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\d+\.tmp")


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that were killed had not finished, in a folder and the folders in it."""
    for path in itertools.chain(folder.glob(".qdistill-*.tmp"), folder.glob("*/.qdistill-*.tmp")):
        found = _TEMPORARY.fullmatch(path.name)
        if found and found["machine"] == machine() and is_gone(int(found["process"])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Make sure, before anything is computed, that a file can be written.

    Args:
        path: of the file, which need not be there; nothing is left in its place.

    Raises:
        RunError: there is a folder of its name, or its own folder is not there or takes no files.
    """
    if path.is_dir():
        raise RunError(f"Cannot write {path}: Is a directory.")
    trial = temporary_beside(path)
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole: UTF-8 with Unix line ends, in every locale and on every system."""
    write_whole(path, text.encode())


def to_toml(table: Mapping[str, Any]) -> str:
    """The text of a TOML file: a table of texts, numbers, truth values and lists of them, and of tables of such."""
    parts = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    # Of these JSON is TOML too.
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if name not in parts]
    for name, part in parts.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in part.items())]
    return "\n".join(lines) + "\n"


def write_all(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files by name into a folder, which is made if it is not there; each of them whole.

    Raises:
        RunError: the folder cannot be made, or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot create the folder {folder}: {error.strerror or error}.") from error
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def parse_json(text: str) -> Any:
    """The value that a JSON text stands for.

    Raises:
        ValueError: it is no JSON, nested too deeply, or has a key twice in one object, of which readers differ in which
            counts.
    """
    try:
        value = json.loads(text, object_pairs_hook=with_unique_keys)
    except RecursionError:
        value = None
    else:
        if _depth_is_at_most(_DEEPEST, value):
            return value
    raise ValueError("its arrays or objects are nested too deeply")


_DEEPEST = 100
"""Levels of arrays and objects in a JSON file: more than any has, few enough for functions that call themselves."""


def _depth_is_at_most(levels: int, value: Any) -> bool:
    if not isinstance(value, list | dict):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_depth_is_at_most(levels - 1, part) for part in parts)


def with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object from its pairs, for `json.loads`; a ValueError where a key is there twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it has the key {key!r} twice in one object")
        found[key] = value
    return found


def read_json(path: Path, shape: Any = Any, *, finite: bool = False) -> Any:
    """Read a JSON file of a run folder.

    Args:
        path: of the file.
        shape: the type of what it must hold, such as ``list[int]`` or a `TypedDict`; fields that this does not name are
            left out.
        finite: whether numbers must be.

    Raises:
        RunError: missing, damaged, or of another shape.
    """
    try:
        plain = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise RunError(f"Cannot read {path}: {error}. Is {path.parent} a run folder?") from error
    return plain if shape is Any else check_shape(plain, shape, f"{path}", finite=finite)


def check_shape(plain: Any, shape: Any, place: str, *, finite: bool = False) -> Any:
    """Make sure that what a file holds is of a type; see `read_json`.

    Raises:
        RunError: it is not; the error says what is wrong at which place.
    """
    try:
        return parse(plain, shape, "", finite=finite)
    except ArgumentError as error:
        what = str(error).removeprefix("Argument ").replace("``", "it")
        raise RunError(f"Cannot read {place}: {what}") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in the lines of a file that is still being written; a last line that is cut short is left out.

    A file that is not there yet has no lines.

    Raises:
        RunError: the file cannot be read, or another line holds no object.
    """
    if not path.exists():
        return []
    try:
        *whole, last = read_text(path).split("\n")
    except (OSError, ValueError) as error:
        raise RunError(f"Cannot read {path}: {error}.") from error
    lines = []
    for number, text in enumerate([*whole, last], 1):
        try:
            line = parse_json(text)
        except ValueError as error:
            if number > len(whole):
                break
            raise RunError(f"Cannot read {path}: line {number} is damaged: {error}.") from error
        if not isinstance(line, dict):
            raise RunError(f"Cannot read {path}: line {number} is damaged: it is no JSON object.")
        lines.append(line)
    return lines
