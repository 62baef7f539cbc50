"""The figures of a run: its images with their labels and step sizes, and the curves of its course.

Nothing here touches matplotlib's global state: figures are made and drawn as objects, so that a notebook or a
program that imports this keeps its backend and its settings.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from qdistill.data.fitted import Rescaled
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError, DataError, DivergenceError
from qdistill.files import BUNDLE, PROFILE, SEEDS
from qdistill.report.examples import draw_planes, draw_vectors, is_of_vectors
from qdistill.report.panels import (
    draw_learned_step_sizes,
    draw_loss,
    draw_seed_curves,
    draw_step_sizes,
    draw_validation,
)
from qdistill.report.style import ACCENT, FAINT, INK, LARGE, MUTED, NORMAL, RULE, SECOND, SMALL, dress, new_figure, save
from qdistill.run_files import read_course, read_profile, read_seeds
from qdistill.text import printable

IMAGES, EXAMPLES, PLANE = "images.png", "examples.png", "regions.png"
CURVES, SEEDS_PICTURE, PROFILE_PICTURE = "curves.png", "seeds.png", "profile.png"
"""The names of the pictures in a run folder; the examples are images, or else vectors."""


def draw_run(folder: Path | str, data_dir: Path | None = None) -> list[Path]:
    """Draw every picture that a run folder has the data for, into the same folder.

    Args:
        folder: a run folder, of a run that has ended or was stopped; or one of several seeds.
        data_dir: where the dataset's files lie.

    Returns:
        The paths of the pictures: where there is a bundle `images.png`, or of vectors `examples.png` and, where the
        dataset is at hand, `regions.png`; `curves.png` where the validation part was looked at once at least,
        `profile.png` where the run was profiled; of several seeds, `seeds.png`, and each seed's own.

    Raises:
        BundleError: the bundle is damaged.
        RunError: a file of the folder is damaged, or a picture cannot be written.
    """
    folder = Path(folder)
    if (folder / SEEDS).exists():
        seeds = read_seeds(folder)
        folders = [folder / f"seed-{seed}" for seed in seeds]
        own = [path for each in folders for path in draw_run(each, data_dir)]
        lines_of = {seed: read_course(each) for seed, each in zip(seeds, folders, strict=True)}
        return [draw_seeds(lines_of, folder / SEEDS_PICTURE), *own] if all(lines_of.values()) else own
    drawn = []
    if (folder / PROFILE).exists():
        drawn.append(draw_profile(read_profile(folder), folder / PROFILE_PICTURE))
    if (folder / BUNDLE).exists():
        bundle = DistilledDataset.load(folder / BUNDLE)
        drawn.append(draw_examples(bundle, folder / examples_picture(bundle)))
        drawn += draw_regions_of(bundle, folder / PLANE, data_dir)
    lines = read_course(folder)
    if lines:
        drawn.append(draw_curves(lines, folder / CURVES))
    return drawn


def examples_picture(bundle: DistilledDataset) -> str:
    """The name of the picture of a bundle's examples."""
    return EXAMPLES if is_of_vectors(bundle) else IMAGES


def draw_examples(bundle: DistilledDataset, path: Path | str) -> Path:
    """Draw the examples of a bundle: images as such, vectors as coloured tables of their numbers.

    Args:
        bundle: what to draw.
        path: where to; a PNG.

    Raises:
        RunError: the picture cannot be written.
    """
    if is_of_vectors(bundle):
        return draw_vectors(bundle, path, _title(bundle), " · ".join(_facts(bundle)))
    return draw_images(bundle, path)


def draw_regions_of(bundle: DistilledDataset, path: Path, data_dir: Path | None = None) -> list[Path]:
    """Draw the plane of a bundle of vectors, where its network is known and its dataset at hand; else nothing.

    Returns:
        The path, or none.
    """
    if not is_of_vectors(bundle) or bundle.input_shape[0] < 2:
        return []
    try:
        raw = bundle.fitted(bundle.origin.load(data_dir))
        bundle = bundle.one_draw()
        before, after = bundle.initial_model(), bundle.train()
    except (ArgumentError, DataError, BundleError, DivergenceError):
        return []
    return [save(draw_planes(bundle, raw, before, after), path)]


def draw_images(bundle: DistilledDataset, path: Path | str) -> Path:
    """Draw the images of a bundle with their labels, and below them the step sizes.

    A column is a class and a row a step, or the first, second, ... image of each class, wherever the images
    are in that order; otherwise each image has its class above it. On which scale they are drawn is said by
    `as_pictures`.

    Args:
        bundle: what to draw.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    labels = np.asarray(bundle.data.labels)
    classes = labels.argmax(axis=1)
    n_columns = columns_of(bundle, len(classes))
    n_rows = math.ceil(len(classes) / n_columns)
    in_columns = bool((classes == np.arange(len(classes)) % n_columns).all())
    soft = not bundle.hard_labels
    with_bars = soft and n_rows <= 3

    cell = 1.0 if n_rows <= 3 else 0.8
    width = max(6.5, cell * n_columns + 0.9)
    cell_height = cell + 0.3 * with_bars + (0.0 if in_columns else 0.22)
    grid_height, strip_height = cell_height * n_rows + 0.3, 1.35
    caption = textwrap.wrap(_caption(bundle, soft=soft, with_bars=with_bars), int(15 * width))
    head = 0.45 + 0.15 * len(caption)
    figure = new_figure(width, head + grid_height + strip_height)
    total = head + grid_height + strip_height
    figure.text(0.12 / width, 1 - 0.12 / total, _title(bundle), size=LARGE, weight="bold", va="top")
    for number, line in enumerate(caption):
        figure.text(0.12 / width, 1 - (0.38 + 0.15 * number) / total, line, size=SMALL, color=MUTED, va="top")

    pictures, scale = as_pictures(bundle)
    letters = int(15 * width / n_columns)  # of the size above an image, side by side
    left, right = (0.6 if bundle.inner.own_examples else 0.12) / width, 1 - 0.12 / width
    cells = figure.add_gridspec(
        n_rows,
        n_columns,
        left=left,
        right=right,
        top=1 - (head + 0.2) / total,
        bottom=(strip_height + 0.1) / total,
        wspace=0.06,
        hspace=0.06 if in_columns and not with_bars else 0.28,
    )
    for index, picture in enumerate(pictures):
        row, column = divmod(index, n_columns)
        place = cells[row, column]
        if with_bars:
            halves = place.subgridspec(2, 1, height_ratios=[1, 0.26], hspace=0.06)
            _draw_label(figure.add_subplot(halves[1]), labels[index], float(labels.min()), float(labels.max()))
            place = halves[0]
        axes = figure.add_subplot(place)
        axes.imshow(picture, interpolation="nearest", **scale)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        if row == 0 or not in_columns:
            axes.set_title(printable(bundle.class_names[classes[index]], letters), size=SMALL, pad=3)
        if column == 0 and bundle.inner.own_examples:
            axes.set_ylabel(f"step {row + 1}", size=SMALL, rotation=0, ha="right", va="center")

    strip = figure.add_axes((0.75 / width, 0.45 / total, 1 - 0.95 / width, (strip_height - 0.75) / total))
    draw_step_sizes(strip, np.asarray(bundle.data.step_sizes))
    return save(figure, path)


def draw_curves(lines: Sequence[dict[str, Any]], path: Path | str) -> Path:
    """Draw how a run went: loss, validation accuracy with its best point, and step sizes.

    Args:
        lines: of a run's `metrics.jsonl`, one at least.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    figure = new_figure(11.0, 3.2)
    loss, accuracy, sizes = figure.subplots(
        1, 3, gridspec_kw={"left": 0.06, "right": 0.945, "bottom": 0.16, "top": 0.87, "wspace": 0.28}
    )
    draw_loss(loss, lines)
    draw_validation(accuracy, lines)
    draw_learned_step_sizes(sizes, lines)
    return save(figure, path)


def draw_seeds(lines_of: Mapping[int, Sequence[dict[str, Any]]], path: Path | str) -> Path:
    """Draw the validation accuracy of several seeds in one panel, each with its best point.

    Args:
        lines_of: the lines of `metrics.jsonl` of each seed, one at least.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    figure = new_figure(6.5, 3.6)
    axes = figure.add_axes((0.09, 0.14, 0.76, 0.74))
    draw_seed_curves(axes, lines_of)
    return save(figure, path)


def draw_profile(measured: Mapping[str, Any], path: Path | str) -> Path:
    """Draw where the time of an outer iteration goes: one bar a part of the network, split by phase.

    Args:
        measured: what `profile.json` holds.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    by_part: dict[str, dict[str, float]] = {}
    for row in measured["rows"]:
        by_part.setdefault(printable(row["part"], 30), {})[row["phase"]] = row["ms"]
    parts = sorted(by_part, key=lambda part: sum(by_part[part].values()))
    phases = sorted({row["phase"] for row in measured["rows"]}, reverse=True)
    height = 0.95 + 0.32 * len(parts)
    figure = new_figure(7.5, height)
    axes = figure.add_axes((0.27, 0.42 / height, 0.7, 1 - 0.85 / height))
    left = np.zeros(len(parts))
    for phase, colour in zip(phases, (ACCENT, SECOND, FAINT), strict=False):
        widths = np.array([by_part[part].get(phase, 0.0) for part in parts])
        axes.barh(parts, widths, left=left, color=colour, height=0.7, label=phase or "neither")
        left += widths
    title = f"One outer iteration: {measured['iteration_ms']:.1f} ms. Milliseconds in operations, summed over cores"
    dress(axes, "", "")
    figure.text(0.02, 1 - 0.12 / height, title, size=NORMAL, va="top", color=INK)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.legend(fontsize=SMALL, loc="lower right", frameon=False)
    return save(figure, path)


def columns_of(bundle: DistilledDataset, n_inputs: int) -> int:
    """As many columns as a step has examples of its own, or as there are classes."""
    if bundle.inner.own_examples:
        columns = n_inputs // bundle.inner.steps
        if columns <= 2 * len(bundle.class_names):
            return columns
    return min(len(bundle.class_names), n_inputs)


def is_of_components(bundle: DistilledDataset) -> bool:
    """Whether the bundle's inputs are vectors, such as principal components, that come back as images."""
    return len(bundle.input_shape) == 1 and len(bundle.raw_shape) == 3


def as_pictures(bundle: DistilledDataset) -> tuple[np.ndarray, dict[str, Any]]:
    """What `imshow` takes: the pictures and the scale they are drawn on.

    Grey images of which zero is the mean are drawn about it, because learned pixels leave the range of real ones on
    both sides. Where the transforms put the mean elsewhere, and of colours, images are drawn as pixels, and clipped.
    """
    if is_clipped(bundle):
        pixels = np.asarray(bundle.images_as_pixels())
        return (
            (pixels, {})
            if pixels.shape[-1] == 3
            else (pixels.mean(axis=-1), {"cmap": "gray", "vmin": 0.0, "vmax": 1.0})
        )
    images = np.asarray(bundle.data.inputs)
    if images.ndim != 4:
        # A vector is a row of pixels; what has more axes is drawn row below row.
        images = images.reshape(len(images), -1, images.shape[-1], 1)
    # The last percent of the pixels may be beyond black and white, or a single one would wash out the rest.
    reach = max(float(np.percentile(np.abs(images), 99)), 1e-6)
    return images.mean(axis=-1), {"cmap": "gray", "vmin": -reach, "vmax": reach}


def scale_note(bundle: DistilledDataset) -> str:
    """What there is to say of the scale on which a bundle's pictures are drawn."""
    if is_clipped(bundle):
        return "pixels beyond black and white are clipped"
    return f"mid-grey is {'the mean of the real inputs' if _is_centred(bundle) else 'zero'}"


def is_clipped(bundle: DistilledDataset) -> bool:
    """Whether a bundle's pictures are images as pixels, instead of numbers about zero."""
    is_of_images = len(bundle.raw_shape) == 3
    return is_of_images and (bundle.raw_shape[-1] == 3 or is_of_components(bundle) or not _is_centred(bundle))


def _is_centred(bundle: DistilledDataset) -> bool:
    """Whether zero is the mean of the real inputs, as the network reads them."""
    steps = bundle.transform.steps
    return bool(steps) and not any(isinstance(step, Rescaled) for step in steps)


def _title(bundle: DistilledDataset) -> str:
    n, steps, dataset = len(bundle.data.inputs), bundle.inner.total_steps, printable(bundle.dataset, 30)
    return f"{dataset}: {n} distilled example{'s' * (n != 1)}, {steps} training step{'s' * (steps != 1)}"


def _facts(bundle: DistilledDataset) -> list[str]:
    """What the training on the examples is worth, and from which weights."""
    record = bundle.record
    if record.test_accuracy is not None:
        measured = [f"test accuracy {record.test_accuracy:.1%} (n = {record.n_test:,})"]
    elif record.validation_accuracy is not None:
        measured = [f"validation accuracy {record.validation_accuracy:.1%} (n = {record.n_validation:,})"]
    else:
        measured = []
    known = ["for the initial weights in the file, and no others"] * bundle.is_for_known_weights
    if bundle.drawn_anew is not None:
        draws = record.test_draws or record.validation_draws
        over = f"mean of {len(draws)} draws of the initial weights" if draws else "for any draw of the initial weights"
        known = [f"{over}, the lowest {min(draws):.1%}" if draws else over]
    return [*measured, *known]


def _caption(bundle: DistilledDataset, *, soft: bool, with_bars: bool) -> str:
    parts = [*_facts(bundle), scale_note(bundle)]
    if soft:
        parts.append("bars: learned label, a weight for each class" if with_bars else "learned labels")
    return " · ".join(parts)


def _draw_label(axes: Axes, label: Float[np.ndarray, " classes"], lowest: float, highest: float) -> None:
    """One bar a class, the largest in colour; the limits are those of all labels, which makes them comparable."""
    top = int(np.argmax(label))
    axes.bar(range(len(label)), label, color=[SECOND if i == top else FAINT for i in range(len(label))])
    axes.axhline(0.0, color=INK, linewidth=0.5)
    axes.set_ylim(min(lowest, 0.0), highest)
    axes.axis("off")
