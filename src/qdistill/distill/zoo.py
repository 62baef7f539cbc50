"""The finished bundles that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from qdistill.errors import ArgumentError
from qdistill.files import shipped

SUFFIX = ".safetensors"


def zoo_names() -> list[str]:
    """The names of all bundles."""
    return sorted(path.stem for path in shipped("zoo").glob(f"*{SUFFIX}"))


def zoo_path(name: str) -> Path:
    """The file of a bundle.

    Raises:
        ArgumentError: there is none of that name.
    """
    if name not in zoo_names():
        raise ArgumentError.unknown("name", name, zoo_names())
    return shipped("zoo") / f"{name}{SUFFIX}"


def named_or_path(path: Path | str) -> Path:
    """The file of the zoo that a name stands for; anything else is a path already. A file of that name goes first."""
    path = Path(path)
    return zoo_path(str(path)) if not path.exists() and str(path) in zoo_names() else path
