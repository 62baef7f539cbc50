"""The examples of a bundle as a page shows them: pictures with their labels, or numbers; and the step sizes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.image import imsave

from qdistill.distill.bundle import DistilledDataset
from qdistill.report.examples import draw_tables, is_of_vectors, row_names, table_height
from qdistill.report.figures import as_pictures, columns_of, is_clipped, is_of_components, scale_note
from qdistill.report.panels import draw_step_sizes
from qdistill.report.style import as_png, as_svg, new_figure, panel, png_address
from qdistill.text import printable


def examples_of(bundle: DistilledDataset) -> dict[str, Any]:
    """The examples as `vectors`, as `images`, or as both where vectors come back as images; the other is None."""
    of_vectors = is_of_vectors(bundle)
    return {
        "vectors": vectors_of(bundle) if of_vectors else None,
        "images": picture_groups(bundle) if not of_vectors or is_of_components(bundle) else None,
    }


def picture_groups(bundle: DistilledDataset) -> dict[str, Any]:
    """The images in the groups that are trained on together, each with its label as bars."""
    pictures, scale = as_pictures(bundle)
    labels = np.asarray(bundle.data.labels)
    n, n_classes = labels.shape
    columns = columns_of(bundle, n)
    lowest, highest = min(float(labels.min()), 0.0), max(float(labels.max()), 0.0)
    soft = not bundle.hard_labels
    names, shown = class_names(bundle), []
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        top = int(label.argmax())
        name = names[top]
        shown.append(
            {
                "png": _png(picture, scale),
                "class": name,
                "alt": f"Distilled example {index + 1}, of class {name}",
                "label": "Label: " + ", ".join(f"{c} {v:.2f}" for c, v in zip(names, label, strict=True)),
                "bars": _bars(label, lowest, highest) if soft else [],
            }
        )
    groups = []
    size = n // bundle.inner.steps if bundle.inner.own_examples else n
    for first in range(0, n, size):
        title = f"Step {first // size + 1}" if bundle.inner.own_examples else ""
        groups.append({"title": title, "images": shown[first : first + size]})
    height, width = pictures.shape[1:3]
    scaling = scale_note(bundle).capitalize()
    if not is_clipped(bundle):
        scaling += ", for learned pixels leave the range of real ones on both sides"
    return {
        "groups": groups,
        "columns": columns,
        "shape": f"{width} / {height}",
        "n_classes": n_classes,
        "note": f"{height} x {width} pixels{', of the vectors above' * is_of_components(bundle)}. {scaling}.",
    }


def vectors_of(bundle: DistilledDataset) -> dict[str, Any]:
    """The vectors as the model reads them: as coloured tables, and as numbers."""
    inputs = np.asarray(bundle.data.inputs)
    height = table_height(bundle) + 0.75
    figure = new_figure(9.0, height)
    draw_tables(figure, bundle, bottom=0.35 / height, top=1 - 0.3 / height)
    return {
        "figure": as_png(figure),
        "names": row_names(bundle),
        "columns": inputs.shape[1],
        "rows": inputs.tolist(),
    }


def class_names(bundle: DistilledDataset) -> list[str]:
    """The names of a bundle's classes, no longer than a table has room for."""
    return [printable(name, 60) for name in bundle.class_names]


def _bars(label: Float[np.ndarray, " classes"], lowest: float, highest: float) -> list[dict[str, Any]]:
    """One bar a class, in a box of height 1 that spans all labels of the bundle."""
    top, span = int(label.argmax()), max(highest - lowest, 1e-12)
    return [
        {"x": k + 0.1, "y": (highest - max(v, 0.0)) / span, "height": abs(v) / span, "top": k == top}
        for k, v in enumerate(label.tolist())
    ]


def _png(picture: np.ndarray, scale: Mapping[str, Any]) -> str:
    """A picture as a data URI."""
    content = io.BytesIO()
    imsave(content, picture, format="png", metadata={"Software": "qdistill"}, **scale)
    return png_address(content.getvalue())


def labels_of(bundle: DistilledDataset) -> dict[str, Any]:
    """The labels as numbers."""
    labels = np.asarray(bundle.data.labels)
    return {"classes": class_names(bundle), "rows": labels.tolist()}


def step_sizes_of(bundle: DistilledDataset) -> dict[str, Any]:
    """The step sizes as a figure, and as numbers."""
    sizes = np.asarray(bundle.data.step_sizes)
    figure, axes = panel(4.8, 2.0, right=0.98)
    draw_step_sizes(axes, sizes)
    names = ["all weights"] if sizes.shape[1] == 1 else list(bundle.weight_names)
    return {
        "figure": as_svg(figure, "steps", "The size of every training step, on a logarithmic scale"),
        "names": names,
        "rows": sizes.tolist(),
    }
