"""The pictures of a bundle whose inputs are vectors: its numbers in colour, and the plane that its model cuts up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qdistill.data import RawDataset
from qdistill.distill.bundle import DistilledDataset
from qdistill.models import Model, predict
from qdistill.report.panels import draw_step_sizes
from qdistill.report.style import LARGE, MUTED, SMALL, new_figure, save
from qdistill.report.vectors import draw_components, draw_numbers, draw_regions
from qdistill.text import printable

_MOST_ROWS = 100
"""Examples that a picture has a row for."""

_MOST_REAL = 2000
"""Real inputs that a plane is fitted to and drawn from, evenly through the dataset."""


def is_of_vectors(bundle: DistilledDataset) -> bool:
    """Whether the bundle's inputs are vectors, which are shown as numbers instead of as pictures."""
    return len(bundle.input_shape) == 1


def row_names(bundle: DistilledDataset) -> list[str]:
    """A name for each example: its number, and the class that its label speaks for most."""
    tops = np.asarray(bundle.data.labels).argmax(axis=1)
    return [f"{n}: {printable(bundle.class_names[top], 16)}" for n, top in enumerate(tops, 1)]


def draw_vectors(bundle: DistilledDataset, path: Path | str, title: str, caption: str) -> Path:
    """Draw the vectors of a bundle and their labels as coloured tables, and below them the step sizes.

    Args:
        bundle: what to draw; of its examples the first hundred.
        path: where to; a PNG.
        title: of the whole.
        caption: below it.

    Raises:
        RunError: the picture cannot be written.
    """
    width, table, strip, head = 9.0, table_height(bundle) + 0.7, 1.35, 0.75
    total = head + table + strip
    figure = new_figure(width, total)
    figure.text(0.12 / width, 1 - 0.12 / total, title, size=LARGE, weight="bold", va="top")
    figure.text(0.12 / width, 1 - 0.4 / total, caption, size=SMALL, color=MUTED, va="top")
    draw_tables(figure, bundle, bottom=(strip + 0.35) / total, top=1 - (head + 0.2) / total)
    axes = figure.add_axes((0.85 / width, 0.45 / total, 1 - 1.05 / width, (strip - 0.75) / total))
    draw_step_sizes(axes, np.asarray(bundle.data.step_sizes))
    return save(figure, path)


def table_height(bundle: DistilledDataset) -> float:
    """The inches that the rows of `draw_tables` take."""
    return max(0.6, 0.24 * min(len(bundle.data.inputs), _MOST_ROWS))


def draw_tables(figure: Figure, bundle: DistilledDataset, *, bottom: float, top: float) -> None:
    """The inputs and the labels side by side, between two heights of a figure: of the first hundred examples."""
    inputs, labels = (np.asarray(a)[:_MOST_ROWS] for a in (bundle.data.inputs, bundle.data.labels))
    # A column of labels is as wide as one of the inputs, but neither table is a sliver.
    share = min(max(labels.shape[1] / (labels.shape[1] + inputs.shape[1]), 0.18), 0.4)
    left, right, gap = 0.13, 0.985, 0.02
    middle = right - share * (right - left)
    wide = figure.add_axes((left, bottom, middle - gap - left, top - bottom))
    narrow = figure.add_axes((middle, bottom, right - middle, top - bottom))
    columns = [f"x{k}" for k in range(inputs.shape[1])]
    n = len(bundle.data.inputs)
    cut = f" (the first {len(inputs)} of {n:,} examples)" if n > len(inputs) else ""
    title = f"inputs, as the model reads them{cut}"
    draw_numbers(wide, inputs, row_names(bundle)[:_MOST_ROWS], columns, title=title)
    draw_numbers(narrow, labels, [""] * len(labels), list(bundle.class_names), title="labels")
    narrow.set_yticks([])


@dataclass(frozen=True)
class Plane:
    """Two coordinates in which the inputs of a bundle are drawn.

    Args:
        real: coordinates (n, 2) of real inputs, with more columns where the two are yet to be found; and their classes.
        distilled: the same of the examples.
        to_inputs: what the model reads at a place of the plane; None where a place does not decide that.
        names: of both coordinates.
    """

    real: tuple[Float[np.ndarray, "_ features"], Int[np.ndarray, "_"]]
    distilled: tuple[Float[np.ndarray, "_ features"], Int[np.ndarray, "_"]]
    to_inputs: Callable[[Float[np.ndarray, "k 2"]], jax.Array | np.ndarray] | None
    names: tuple[str, str]


def plane_of(bundle: DistilledDataset, raw: RawDataset) -> Plane:
    """The plane for a bundle of vectors: the data's two features, else the model's two, else two components.

    Args:
        bundle: of vectors.
        raw: the dataset, as `DistilledDataset.fitted` gives it; its training part is drawn.
    """
    some = np.linspace(0, len(raw.train_labels) - 1, min(len(raw.train_labels), _MOST_REAL)).astype(int)
    inputs, labels = raw.train_inputs[some], raw.train_labels[some].astype(int)
    examples, tops = np.asarray(bundle.data.inputs), np.asarray(bundle.data.labels).argmax(axis=1)
    if inputs.shape[1:] == (2,):
        own = np.asarray(bundle.transform.inverse(bundle.data.inputs))
        return Plane((inputs, labels), (own, tops), bundle.transform, ("feature 0", "feature 1"))
    read = np.asarray(bundle.transform(inputs))
    on_inputs = (lambda grid: grid) if examples.shape[1:] == (2,) else None
    return Plane((read, labels), (examples, tops), on_inputs, ("input 0", "input 1"))


def draw_plane(axes: Axes, plane: Plane, model: Model, bundle: DistilledDataset, title: str) -> None:
    """The regions of a model's classes; real and distilled points alone where the plane does not decide them."""
    names = bundle.class_names
    to_inputs = plane.to_inputs
    if to_inputs is None:
        draw_components(axes, plane.real, plane.distilled, names, title=title)
        return

    def classes(grid: Float[np.ndarray, "k 2"]) -> Int[np.ndarray, " k"]:
        best: Int[np.ndarray, "_"] = np.asarray(predict(model, to_inputs(grid))).argmax(axis=1)
        return best

    draw_regions(axes, classes, plane.real, plane.distilled, names, title=title, feature_names=plane.names)


def draw_planes(bundle: DistilledDataset, raw: RawDataset, before: Model, after: Model) -> Figure:
    """Before and after training side by side; one panel where only points are drawn.

    Args:
        bundle: of vectors of at least two numbers.
        raw: see `plane_of`.
        before: the initial network.
        after: the trained one.
    """
    plane = plane_of(bundle, raw)
    if plane.to_inputs is None:
        figure = new_figure(5.4, 4.1)
        axes = figure.add_axes((0.13, 0.24, 0.85, 0.68))
        draw_plane(axes, plane, after, bundle, "two leading components of the real inputs")
        return figure
    figure = new_figure(9.6, 4.1)
    for number, (model, title) in enumerate(((before, "before training"), (after, "after training"))):
        axes = figure.add_axes((0.075 + 0.49 * number, 0.24, 0.425, 0.68))
        draw_plane(axes, plane, model, bundle, title)
    return figure
