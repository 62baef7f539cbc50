"""Files of the user's that register networks and datasets, run by ``--plugin FILE.py``.

A plugin may import the modules beside it, as a script may: while it is loaded, and later, in a function. They come
after the modules of Python itself and those that are imported already, and before packages that are installed. No
module of one plugin is taken for one of another: where two have one of the same name beside them, importing it is an
error.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import sys
import traceback
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from qdistill.errors import ArgumentError, QDistillError

PLUGINS: list[Path] = []
"""The files that were run, as they were named."""


class _Siblings(importlib.abc.MetaPathFinder):
    """Finds the modules beside the plugins, and remembers in which folder."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.home: dict[str, Path] = {}

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a module that lies beside a plugin.

        Raises:
            ImportError: two plugins have one of that name.
        """
        if path is not None or fullname in sys.stdlib_module_names:
            return None
        found = {folder: spec for folder in self.folders if (spec := _beside(folder, fullname)) is not None}
        if len(found) > 1:
            places = " and ".join(str(folder) for folder in found)
            raise ImportError(f"there is a module {fullname!r} in {places}, beside two plugins; rename one of them")
        for folder, spec in found.items():
            installed = PathFinder.find_spec(fullname)
            # A folder without an __init__.py may as well be one of data, so a module of its name comes first.
            if installed is None or (spec.loader is not None and spec.origin != installed.origin):
                self.home[fullname] = folder
                return spec
        return None


_SIBLINGS = _Siblings()


def load_plugin(path: Path) -> None:
    """Run a file of the user's, which registers networks and datasets of their own.

    Raises:
        ArgumentError: the file cannot be read, fails, or has a module beside it that is named as one which another
            plugin has imported.
    """
    run_file(path, "plugin")
    PLUGINS.append(path)


def run_file(path: Path, kind: str) -> ModuleType:
    """Run a Python file of the user's.

    Args:
        path: the file.
        kind: what it is, for errors: ``"plugin"`` or ``"circuit"``.

    Returns:
        The module that it makes.

    Raises:
        ArgumentError: see `load_plugin`.
    """
    if not path.is_file():
        raise ArgumentError(f"Argument `{kind}` must be a Python file, but there is none at {str(path)!r}.")
    # Two files in different folders may have the same name.
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"qdistill_{kind}_{path.stem}_{place}", path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"Argument `{kind}` must be a Python file whose name ends in .py, but was {str(path)!r}.")
    _check_names(path, kind)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[spec.name] = module
    folder = path.resolve().parent
    if folder not in _SIBLINGS.folders:
        _SIBLINGS.folders.append(folder)
    if _SIBLINGS not in sys.meta_path:
        sys.meta_path.insert(0, _SIBLINGS)
    importlib.invalidate_caches()
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        own = isinstance(error, QDistillError)
        what = str(error) if own else " ".join(f"{type(error).__name__}: {error}".split())
        raise ArgumentError(f"The {kind} {path} failed{_where(error, path)}: {what}") from error
    return module


def forget_plugins() -> None:
    """Make the modules of all plugins, and those beside them, unknown again; what they registered stays."""
    for name in list(sys.modules):
        if name.startswith(("qdistill_plugin_", "qdistill_circuit_")) or name.partition(".")[0] in _SIBLINGS.home:
            del sys.modules[name]
    PLUGINS.clear()
    _SIBLINGS.folders.clear()
    _SIBLINGS.home.clear()
    if _SIBLINGS in sys.meta_path:
        sys.meta_path.remove(_SIBLINGS)


def _beside(folder: Path, name: str) -> ModuleSpec | None:
    return PathFinder.find_spec(name, [str(folder)])


def _check_names(path: Path, kind: str) -> None:
    """Make sure that no module which another plugin has imported stands for one beside this file."""
    own = path.resolve().parent
    for name, folder in _SIBLINGS.home.items():
        if folder != own and name in sys.modules and _beside(own, name) is not None:
            raise ArgumentError(
                f"The {kind} {path} has a module {name!r} beside it, and another of that name in {folder} is imported "
                "for the plugin there. Rename one of them."
            )


def _where(error: BaseException, path: Path) -> str:
    """The last line of the user's that an error came from."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f" in {Path(error.filename).name}, line {error.lineno}"
    folder = path.resolve().parent
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if Path(frame.filename).resolve().parent == folder]
    return f" in {Path(lines[-1].filename).name}, line {lines[-1].lineno}" if lines else ""
