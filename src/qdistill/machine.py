"""What the machine has, and what does not fit on it: asked before anything large is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import jax

from qdistill.errors import ArgumentError

UNKNOWN_MEMORY = 8 * 2**30
"""What a machine is taken to have where the operating system does not tell (Windows)."""

_EVERYWHERE = 2**28
"""Bytes that every machine has: to ask the system about less would only take time."""


def check_memory(needed: int, what: str, advice: str) -> None:
    """Refuse what cannot fit into the machine's memory, before it is begun.

    Args:
        needed: bytes, the least that it takes.
        what: what takes them, for the error.
        advice: what to do about it.

    Raises:
        ArgumentError: it is more than this process can use.
    """
    if needed <= _EVERYWHERE:
        return
    available = machine_memory()
    if needed > available:
        raise ArgumentError(
            f"{what} takes at least {_in_words(needed)}, but this process can use {_in_words(available)}. {advice}"
        )


def _in_words(size: int) -> str:
    # Counts of amplitudes have no bound that a float could hold.
    return f"{size / 2**30:,.1f} GiB" if size < 2**60 else f"2^{size.bit_length() - 1} bytes"


def machine_memory() -> int:
    """The bytes that this process can use: the accelerator's where JAX runs on one, else the main memory's.

    Main memory is what the machine has, or what its control group (a container, a batch job) allows, if less.
    """
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return int(statistics["bytes_limit"])
    return min([_physical_memory(), *_control_group_limits(Path("/"))])


def usable_cores() -> int:
    """The cores that this process can use: those that it may run on, or as many as its control group pays for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(int(quota) for quota in _control_group_quotas(Path("/")))]))


def _control_group_quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time of this process's control group and of every group around it; none outside of Linux."""
    for group, version in _control_groups(root, "cpu"):
        try:
            if version == 2:
                quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
            else:
                quota, period = ((group / f"cpu.cfs_{what}_us").read_text(encoding="ascii") for what in _QUOTA)
            if int(quota) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue  # no such group here, or no limit: "max"


_QUOTA = ("quota", "period")


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY


def _control_group_limits(root: Path) -> Iterator[int]:
    """The memory limits of this process's control group and of every group around it; none outside of Linux."""
    for group, version in _control_groups(root, "memory"):
        try:
            yield int((group / ("memory.max" if version == 2 else "memory.limit_in_bytes")).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # no such group here, or no limit: "max"


def _control_groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of this process's control group and of every group around it, each with its version."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in groups:
        # See man 7 cgroups: "0::/path" in version 2, "4:memory:/path" in version 1.
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, version = root / "sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            top, version = root / "sys/fs/cgroup" / controller, 1
        else:
            continue
        # A container may show its own group as the top, under a path that only its host has.
        group = PurePosixPath(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield top / folder, version
