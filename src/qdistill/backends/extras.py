"""Optional dependencies, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from qdistill.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an optional dependency.

    Args:
        module: its name.
        extra: the extra of this package that installs it.

    Raises:
        MissingExtraError: it is not installed, or cannot be imported as it is.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} cannot be imported ({error}). Install it with: pip install 'qdistill[{extra}]'"
        ) from error
    except AttributeError as error:
        # PennyLane 0.45 asks jax 0.11 for a name that it no longer has.
        raise MissingExtraError(
            f"{module} does not fit the packages that are installed ({error}). Install versions that fit with: "
            f"pip install 'qdistill[{extra}]'"
        ) from error
