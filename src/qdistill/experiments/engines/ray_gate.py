"""What a Ray task does first on a node: find out whether the node has the same package, before anything of it is used.

This module is sent to the nodes by value, so that it runs on one that has another version or none. It imports nothing
of the package by name at its top.
"""

import hashlib
import importlib.metadata
import platform
import socket
import sys
from pathlib import Path
from typing import Any

_PACKAGES = ("jax", "jaxlib", "numpy")


def versions() -> dict[str, str]:
    """What decides about a run's numbers on this node; empty where the package is not installed."""
    try:
        from qdistill.version import __version__
    except ImportError:
        return {}
    root = Path(str(sys.modules["qdistill.version"].__file__)).parent
    code = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        code.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    packages = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "Python": platform.python_version(),
        "qdistill": __version__,
        "the code of qdistill": code.hexdigest()[:8],
        **packages,
    }


def enter(expected: dict[str, str], *work: Any) -> tuple[str, Any, str]:
    """Work on a unit, if this node has what the driver has.

    Args:
        expected: the driver's `versions`.
        work: for `ray_worker.work`.

    Returns:
        ``"refused"`` with why this node is, or what `ray_worker.work` returns; and the node's id.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    found = versions()
    if found != expected:
        return "refused", f"the node {socket.gethostname()} {_difference(found, expected)}", node
    from qdistill.experiments.engines.ray_worker import work as begin

    return *begin(*work), node


def _difference(found: dict[str, str], expected: dict[str, str]) -> str:
    if not found:
        return "has no qdistill"
    texts = [f"{name} {found.get(name)} ({value} here)" for name, value in expected.items() if found.get(name) != value]
    return f"has {', '.join(texts)}"
