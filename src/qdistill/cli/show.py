"""`qdistill show`: what is in a bundle."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from qdistill.cli.shared import BundlePath, accuracies, bundle_file, call, home_of
from qdistill.errors import ArgumentError
from qdistill.files import BUNDLE

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(show, arguments)


def show(bundle: BundlePath, *, out: Annotated[Path | None, arg(metavar="FILE.png")] = None) -> int:
    """Say what is in a bundle, and draw its images.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo.
        out: where to draw the images; by default images.png in the folder of a run, and NAME.png for a file
            NAME.safetensors, beside it, or for a NAME of the zoo, here.
    """
    path = bundle_file(bundle)
    if out is not None and out.suffix.lower() != ".png":
        raise ArgumentError(f"Argument `out` must end in .png, but was {str(out)!r}.")
    from rich.console import Console
    from rich.table import Table

    from qdistill.distill.bundle import DistilledDataset
    from qdistill.report.figures import IMAGES, draw_images

    loaded = DistilledDataset.load(path)
    table = Table(show_header=False, box=None, title=str(path), title_justify="left", pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _describe(loaded, path):
        table.add_row(name, value)
    Console(markup=False, highlight=False).print(table)
    default = home_of(bundle) / (IMAGES if path.name == BUNDLE else f"{path.stem}.png")
    print(f"Images drawn in {draw_images(loaded, default if out is None else out)}")
    return 0


def _short(value: Any) -> str:
    """A field of an architecture on part of a line."""
    from qdistill.quantum import Circuit

    if isinstance(value, Circuit):
        return f"of {len(value.operations)} operations with {value.n_weights} weights"
    return str(value)


def _describe(bundle: DistilledDataset, path: Path) -> list[tuple[str, str]]:
    """What a person wants to know of a bundle, in rows."""
    import numpy as np

    images, labels, sizes = (
        np.asarray(array) for array in (bundle.data.images, bundle.data.labels, bundle.data.step_sizes)
    )
    n, n_classes = labels.shape
    hard = np.array_equal(labels, np.eye(n_classes, dtype=labels.dtype)[labels.argmax(axis=1)])
    inner, weights = bundle.inner, bundle.initial_weights
    epochs = f" ({inner.epochs} epochs of {inner.steps})" if inner.epochs > 1 else ""
    seen = f"{bundle.data.schedule.shape[1]} images of its own" if inner.own_images else "all images"
    if bundle.architecture is None:
        network = "one that the file does not describe"
    else:
        architecture = typing.cast(Any, bundle.architecture)
        values = {field.name: getattr(architecture, field.name) for field in dataclasses.fields(architecture)}
        network = f"{type(architecture).__name__}: " + ", ".join(f"{k} {_short(v)}" for k, v in values.items())
    rows = [
        ("dataset", f"{bundle.dataset} (classes {', '.join(bundle.class_names)})"),
        ("network", network),
        ("initial weights", f"{sum(array.size for array in weights.values()):,} in {len(weights)} arrays"),
        ("images", f"{n}, {' x '.join(str(size) for size in images.shape[1:])}"),
        ("labels", "one-hot" if hard else f"learned, {labels.min():.2f} to {labels.max():.2f}"),
        ("training", f"{inner.total_steps} steps{epochs} of {inner.optimiser}, each on {seen}"),
        ("step sizes", f"{sizes.min():.3g} to {sizes.max():.3g}, mean {sizes.mean():.3g} ({inner.step_sizes})"),
        *accuracies(bundle.record),
        ("file", f"{path.stat().st_size / 1024:,.0f} KiB"),
    ]
    for name, value in bundle.provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        rows.append((name, str(value)))
    return rows
