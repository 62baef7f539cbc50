"""The devices that a run takes: a processor's cores, each a device of JAX, or accelerators."""

from __future__ import annotations

import contextlib
import os
from numbers import Integral

import jax

from qdistill.errors import ArgumentError
from qdistill.machine import usable_cores


def make_cores_devices(cores: int | None = None) -> None:
    """Make each core a device of JAX; without effect where JAX was used in this process before.

    Args:
        cores: how many; None for all that this process may use.

    Raises:
        ArgumentError: there are not so many.
    """
    check_cores(cores)
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", cores or usable_cores())  # type: ignore[no-untyped-call]
        if cores is not None:
            # XLA sizes its pool of threads by this, else by the machine.
            os.environ["NPROC"] = str(cores)


def check_cores(cores: int | None) -> None:
    """Refuse more cores than this process may use.

    Raises:
        ArgumentError: there are not so many, or it is no number of cores.
    """
    most = usable_cores()
    given: object = cores
    whole = isinstance(given, Integral) and not isinstance(given, bool)
    if cores is not None and not (whole and 1 <= cores <= most):
        raise ArgumentError(
            f"Argument `cores` must be a whole number from 1 to {most}, which is what this process may use (see the "
            f"machine, `taskset` and the container's or job's limit), but was {cores!r}."
        )


def devices_for(cores: int | None) -> list[jax.Device]:
    """The devices that a run may take.

    Args:
        cores: how many; None for all that JAX has. On a machine with accelerators these are the devices.

    Raises:
        ArgumentError: there are not so many, or JAX was used before with fewer.
    """
    if cores is not None:
        make_cores_devices(cores)
    devices = jax.devices()
    if cores is None or jax.default_backend() != "cpu":
        return list(devices)
    if len(devices) < cores:
        raise ArgumentError(
            f"Argument `cores` must be at most {len(devices)}, with which JAX has been used in this process already, "
            f'but was {cores}. Call `jax.config.update("jax_num_cpu_devices", {cores})` before anything is computed, '
            f"or use `qdistill distill --cores {cores}`."
        )
    return list(devices[:cores])
