"""The checkpoints of a run: the outer loop's whole state, in a file that is written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qdistill.distill.outer import OuterState
from qdistill.errors import RunError
from qdistill.files import write_whole


def save_checkpoint(path: Path, state: OuterState) -> None:
    """Write an outer loop's state: safetensors, one array for each leaf, named by its path in the state."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    arrays = {_name(key): np.asarray(leaf, order="C") for key, leaf in leaves}
    write_whole(path, save(arrays, metadata={"format": "qdistill-checkpoint"}))


def load_checkpoint(path: Path, like: OuterState) -> OuterState:
    """Read a state back.

    Args:
        path: what `save_checkpoint` wrote.
        like: a state of the same run, for its structure.

    Raises:
        RunError: missing, damaged, or of another recipe.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            arrays = [file.get_tensor(_name(key)) if _name(key) in names else None for key, _ in leaves]
    except (OSError, SafetensorError) as error:
        raise RunError(f"Cannot read the checkpoint {path}: {error}.") from error
    for (key, leaf), array in zip(leaves, arrays, strict=True):
        if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise RunError(f"The checkpoint {path} is of another recipe: {_name(key)} does not fit.")
    restored: OuterState = jax.tree.unflatten(treedef, [jnp.asarray(array) for array in arrays])
    return restored


def _name(key: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(key, simple=True, separator=".")
