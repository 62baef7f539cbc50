"""What the forms of `qdistill diagnose` share: their folder, their real inputs, and what they were made with."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qdistill.errors import ArgumentError, RunError
from qdistill.folders import holding, new_folder

if TYPE_CHECKING:
    from jax import Array

    from qdistill.data import RawDataset

DIAGNOSIS = "diagnosis.json"
"""The file that `qdistill diagnose` writes, beside its figure."""


def check_free(folder: Path, file: str = DIAGNOSIS) -> None:
    """Raise a RunError where a folder holds a diagnosis."""
    if (folder / file).exists():
        raise RunError(f"The folder {folder} holds a diagnosis already, {file}. Choose another with --out.")


@contextlib.contextmanager
def folder_of(out: Path | None, file: str = DIAGNOSIS) -> Iterator[Path]:
    """The folder of a diagnosis, held: a new one where none is named. A RunError where it holds one already."""
    with new_folder("diagnosis") if out is None else contextlib.nullcontext(out) as folder, holding(folder):
        check_free(folder, file)
        yield folder


def batch_of(raw: RawDataset, transforms: Sequence[str], size: int, seed: int) -> tuple[Array, Array]:
    """Training inputs that a seed picks, as a network reads them, and their classes.

    Raises:
        ArgumentError: there are not so many.
    """
    import jax.numpy as jnp
    import numpy as np

    from qdistill.data.transforms import chain_of, fit_chain

    if not 1 <= size <= len(raw.train_inputs):
        raise ArgumentError(f"Argument `inputs` must be from 1 to {len(raw.train_inputs):,}, but was {size}.")
    picked = np.random.default_rng(seed).choice(len(raw.train_inputs), size, replace=False)
    fitted = fit_chain(chain_of(transforms), raw.train_inputs, raw.scale)
    return fitted(raw.train_inputs[picked]), jnp.asarray(raw.train_labels[picked])


def versions() -> dict[str, str]:
    """Of what a diagnosis depends on."""
    import importlib.metadata

    import jax

    packages = {name: importlib.metadata.version(name) for name in ("qdistill", "jax", "jaxlib", "equinox", "numpy")}
    backend = f"{jax.default_backend()}, {jax.devices()[0].device_kind}"
    return {**packages, "python": platform.python_version(), "backend": backend}
