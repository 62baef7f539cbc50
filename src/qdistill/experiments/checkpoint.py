"""The checkpoints of a run: the outer loop's whole state, and what it belongs to, in a file that is written whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qdistill.distill.outer_state import OuterState
from qdistill.errors import RunError
from qdistill.experiments.provenance import Change
from qdistill.files import parse_json, write_whole

_FORMAT = "qdistill-checkpoint"


@dataclass(frozen=True)
class Belonging:
    """What a state is a state of: with any other of these, going on would give the numbers of no recipe.

    Args:
        recipe: as plain data.
        data: the ordered digest of the dataset.
        device: a digest of the device that its training is executed on; None without one.
        changes: what of the recipe was changed on the way.
    """

    recipe: dict[str, Any]
    data: str
    device: str | None = None
    changes: tuple[Change, ...] = ()

    def differences(self, before: Belonging) -> dict[str, tuple[Any, Any]]:
        """What is another than before, by name: its value now and then."""
        now, then = ({"data": one.data, "device": one.device, **dict(_flat(one.recipe))} for one in (self, before))
        return {name: (now.get(name), then.get(name)) for name in now | then if now.get(name) != then.get(name)}


def save_checkpoint(path: Path, state: OuterState, belonging: Belonging) -> None:
    """Write an outer loop's state: safetensors, one array for each leaf, named by its path in the state."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    arrays = {_name(key): np.asarray(leaf, order="C") for key, leaf in leaves}
    belongs = json.dumps(dataclasses.asdict(belonging), sort_keys=True)
    write_whole(path, save(arrays, {"format": _FORMAT, "belongs_to": belongs, "digest": _digest(arrays, belongs)}))


def load_checkpoint(path: Path, like: OuterState) -> OuterState:
    """Read a state back.

    Args:
        path: what `save_checkpoint` wrote.
        like: a state of the same run, for its structure.

    Raises:
        RunError: missing, damaged, or of another recipe.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    arrays, metadata = _read(path)
    for key, leaf in leaves:
        array = arrays.get(_name(key))
        if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise RunError(f"The checkpoint {path} is of another recipe: {_name(key)} does not fit.")
    if metadata.get("digest") != _digest(arrays, metadata.get("belongs_to", "")):
        raise RunError(f"Cannot read the checkpoint {path}: its numbers are not those that were written.")
    restored: OuterState = jax.tree.unflatten(treedef, [jnp.asarray(arrays[_name(key)]) for key, _ in leaves])
    return restored


def read_belonging(path: Path) -> Belonging:
    """What the state in a checkpoint belongs to.

    Raises:
        RunError: missing or damaged.
    """
    _, metadata = _read(path)
    try:
        plain = parse_json(metadata["belongs_to"])
        changes = tuple(Change(**change) for change in plain.pop("changes"))
        return Belonging(**plain, changes=changes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"Cannot read the checkpoint {path}: it does not say what it belongs to.") from error


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(f"Cannot read the checkpoint {path}: {error}.") from error
    if metadata.get("format") != _FORMAT:
        raise RunError(f"Cannot read the checkpoint {path}: it is another kind of file.")
    return arrays, metadata


def _digest(arrays: Mapping[str, np.ndarray], belongs: str) -> str:
    """A sum of all that a checkpoint holds, so that no bit of it can be lost unnoticed."""
    sum_of_all = hashlib.sha256(belongs.encode())
    for name, array in sorted(arrays.items()):
        sum_of_all.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return sum_of_all.hexdigest()


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested plain data by dotted names, as the options are called."""
    for name, value in plain.items():
        if isinstance(value, dict):
            yield from _flat(value, prefix if name == "fields" else f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _name(key: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(key, simple=True, separator=".")
