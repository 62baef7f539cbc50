"""`qdistill show`: what is in a bundle."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from qdistill.cli.output import say, tell, tell_rows
from qdistill.cli.shared import BundlePath, accuracies, bundle_file, call, home_of, rerun, with_noise
from qdistill.errors import ArgumentError, RunError
from qdistill.files import BUNDLE
from qdistill.text import listed, printable

_MOST_ROWS = 30
"""Of what the file says of itself; a bundle of this package's has seven."""

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(show, arguments)


def show(bundle: BundlePath, *, out: Annotated[Path | None, arg(metavar="FILE.png")] = None) -> int:
    """Say what is in a bundle, and draw its examples.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo.
        out: where to draw the examples; by default images.png, or examples.png for vectors, in the folder of a run, and
            NAME.png for a file NAME.safetensors, beside it, or for a NAME of the zoo, here.
    """
    path = bundle_file(bundle)
    if out is not None and out.suffix.lower() != ".png":
        raise ArgumentError(f"Argument `out` must end in .png, but was {str(out)!r}.")
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.report.figures import draw_examples, examples_picture

    loaded = DistilledDataset.load(path)
    tell(path)
    tell_rows(_describe(loaded, path))
    default = home_of(bundle) / (examples_picture(loaded) if path.name == BUNDLE else f"{path.stem}.png")
    try:
        tell(f"Examples drawn in {draw_examples(loaded, default if out is None else out)}")
    except RunError as error:
        if out is not None:
            raise
        # The place was none of the user's choice.
        say(f"The examples were not drawn: {error} Name another place with --out.")
    return 0


def _short(value: Any) -> str:
    """A field of an architecture on part of a line."""
    from qdistill.quantum import Circuit

    if isinstance(value, Circuit):
        return f"of {len(value.operations)} operations with {value.n_weights} weights"
    return printable(value, 80)


def _describe(bundle: DistilledDataset, path: Path) -> list[tuple[str, str]]:
    """What a person wants to know of a bundle, in rows."""
    import numpy as np

    inputs, labels, sizes = (
        np.asarray(array) for array in (bundle.data.inputs, bundle.data.labels, bundle.data.step_sizes)
    )
    inner = bundle.inner
    epochs = f" ({inner.epochs} epochs of {inner.steps})" if inner.epochs > 1 else ""
    seen = f"{bundle.data.schedule.shape[1]} examples of its own" if inner.own_examples else "all examples"
    if bundle.architecture is None:
        network = "one that the file does not describe"
    else:
        architecture = typing.cast(Any, bundle.architecture)
        values = {field.name: getattr(architecture, field.name) for field in dataclasses.fields(architecture)}
        network = f"{type(architecture).__name__}: " + ", ".join(f"{k} {_short(v)}" for k, v in values.items())
    rows = [
        ("dataset", f"{printable(bundle.dataset, 80)} (classes {listed(bundle.class_names, 100)})"),
        ("data digest", bundle.data_digest or "not known"),
        ("network", network),
        ("initial weights", _initial_weights(bundle)),
        ("examples", f"{len(inputs)}, {' x '.join(str(size) for size in inputs.shape[1:])}"),
        ("transforms", _transforms(bundle)),
        ("labels", "one-hot" if bundle.hard_labels else f"learned, {labels.min():.2f} to {labels.max():.2f}"),
        ("training", f"{inner.total_steps} steps{epochs} of {inner.optimiser}, each on {seen}"),
        ("step sizes", f"{sizes.min():.3g} to {sizes.max():.3g}, mean {sizes.mean():.3g} ({inner.step_sizes})"),
        *accuracies(bundle.record),
        *_rounding(bundle),
        ("file", f"{path.stat().st_size / 1024:,.0f} KiB"),
    ]
    return [*rows, ("provenance", ""), *_provenance(bundle.provenance)]


def _initial_weights(bundle: DistilledDataset) -> str:
    """How many there are, and which of them are not in the file."""
    held = f"{sum(array.size for array in bundle.initial_weights.values()):,} in {len(bundle.initial_weights)} arrays"
    if bundle.drawn_anew is None:
        return held
    anew = f"unknown: drawn anew for each network ({listed(bundle.drawn_anew.weights, 100)})"
    order = "; the order of the examples too" if bundle.drawn_anew.order == "random" else ""
    return f"{anew}{f'; known: {held}' if bundle.initial_weights else ''}{order}"


def _transforms(bundle: DistilledDataset) -> str:
    """What is done to real inputs, as the recipe writes it where there is one."""
    written = bundle.recipe.get("transforms", [step.name for step in bundle.transform.steps])
    return printable(", ".join(map(str, written)), 100) or "none"


def _rounding(bundle: DistilledDataset) -> list[tuple[str, str]]:
    """How much of the record hangs on rounding, in rows."""
    test = None if bundle.rounding is None else bundle.rounding.test
    if test is None:
        return [("rounding", "not checked")]
    return [("in float64", rerun(test.float64, test.n)), ("with rounding noise", with_noise(test))]


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where a bundle was made, in rows that cannot be taken for those of this command."""
    rows = []
    for name, value in itertools.islice(provenance.items(), _MOST_ROWS):
        shown = listed([f"{key} {part}" for key, part in value.items()]) if isinstance(value, dict) else value
        rows.append((f"  {printable(name, 40)}", printable(shown, 2000)))
    more = len(provenance) - len(rows)
    return [*rows, ("  ...", f"and {more:,} more")] if more else rows
