"""Where a run was made: its sessions, one for each time that it was begun or gone on with, and what was changed."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from qdistill.errors import RunError
from qdistill.files import PROVENANCE, read_json, write_json
from qdistill.version import __version__

_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy")
_ENVIRONMENT = ("versions", "python", "machine", "device", "backend", "n_devices")
"""What of a session decides about the last bits of its numbers."""


@dataclass(frozen=True)
class Change:
    """What of a recipe was changed on the way.

    Args:
        iteration: from which on.
        name: of the recipe's field, such as ``outer.iterations``.
        before: its value until then.
        after: its value from then on.
    """

    iteration: int
    name: str
    before: int
    after: int


def environment() -> dict[str, Any]:
    """Versions and machine."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "versions": {"qdistill": __version__, **versions},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
    }


def session(iteration: int = 0, n_devices: int = 1) -> dict[str, Any]:
    """This process's part in a run, which begins at an iteration, on so many devices of JAX."""
    return {
        "iteration": iteration,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "host": socket.gethostname(),
        # Where the program lies is a matter of the machine's owner, and `python -m` names a file of the package.
        "command": [Path(sys.argv[0]).name.replace("__main__.py", "qdistill"), *sys.argv[1:]],
        **environment(),
        "n_devices": n_devices,
    }


def write_sessions(folder: Path, seed: int, sessions: Sequence[Any], changes: Sequence[Change] = ()) -> None:
    """Write a run folder's `provenance.json`."""
    content = {"seed": seed, "sessions": list(sessions), "changes": [dataclasses.asdict(change) for change in changes]}
    write_json(folder / PROVENANCE, content)


def read_sessions(folder: Path) -> list[dict[str, Any]]:
    """The sessions of a run folder so far.

    Raises:
        RunError: its `provenance.json` is damaged.
    """
    path = folder / PROVENANCE
    if not path.exists():
        return []
    content = read_json(path)
    found = content.get("sessions") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) and one.keys() >= {*_ENVIRONMENT} for one in found):
        raise RunError(f"Cannot read {path}: it must hold a list of sessions, each with {', '.join(_ENVIRONMENT)}.")
    return found


def of_bundle(seed: int, sessions: Sequence[Mapping[str, Any]], changes: Sequence[Change]) -> dict[str, Any]:
    """What a bundle says of where it was made: without names of hosts and paths, since bundles are given away.

    Only a run that was gone on with elsewhere or by other versions has `sessions`, and one that was changed `changes`.
    """
    last = sessions[-1]
    plain: dict[str, Any] = {**{name: last[name] for name in _ENVIRONMENT}, "seed": seed, "date": last["date"]}
    if any(one[name] != last[name] for one in sessions for name in _ENVIRONMENT):
        names = ("iteration", "date", *_ENVIRONMENT)
        plain["sessions"] = [{name: one.get(name) for name in names} for one in sessions]
    if changes:
        plain["changes"] = [dataclasses.asdict(change) for change in changes]
    return plain


def in_a_line(made: Mapping[str, Any]) -> str:
    """A session's machine and versions."""
    versions = [f"{name} {version}" for name, version in made["versions"].items()]
    return ", ".join([made["machine"], f"Python {made['python']}", *versions])


def made_with(folders: Sequence[Path]) -> list[str]:
    """The machines and versions of some runs, each combination once."""
    return sorted({in_a_line(one) for folder in folders for one in read_sessions(folder)})


def _processor() -> str:
    """What the processor calls itself: two machines of as many cores may differ in speed."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "processor unknown"
