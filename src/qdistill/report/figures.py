"""The figures of a run: its images with their labels and step sizes, and the curves of its course.

Nothing here touches matplotlib's global state: figures are made and drawn as objects, so that a notebook or a
program that imports this keeps its backend and its settings.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

from qdistill.distill.bundle import DistilledDataset
from qdistill.evaluate.noisy import NoisyPoint
from qdistill.files import BUNDLE, METRICS, PROFILE, SEEDS, read_json_lines, write_whole

IMAGES, CURVES, SEEDS_PICTURE, PROFILE_PICTURE = "images.png", "curves.png", "seeds.png", "profile.png"
"""The names of the pictures in a run folder."""

_DPI = 150
_INK, _MUTED, _FAINT, _ACCENT, _SECOND = "#222222", "#666666", "#9a9a9a", "#0b6e99", "#c8324a"
_SMALL, _NORMAL, _LARGE = 8, 9, 11  # points


def draw_run(folder: Path | str) -> list[Path]:
    """Draw every picture that a run folder has the data for, into the same folder.

    Args:
        folder: a run folder, of a run that has ended or was stopped; or one of several seeds.

    Returns:
        The paths of the pictures: `images.png` where there is a bundle, `curves.png` where the validation part
        was looked at once at least, `profile.png` where the run was profiled; of several seeds, `seeds.png`, and
        each seed's own.

    Raises:
        BundleError: the bundle is damaged.
        RunError: a picture cannot be written.
    """
    folder = Path(folder)
    if (folder / SEEDS).exists():
        seeds = json.loads((folder / SEEDS).read_text())
        folders = [folder / f"seed-{seed}" for seed in seeds]
        own = [path for each in folders for path in draw_run(each)]
        lines_of = {seed: read_json_lines(each / METRICS) for seed, each in zip(seeds, folders, strict=True)}
        return [draw_seeds(lines_of, folder / SEEDS_PICTURE), *own] if all(lines_of.values()) else own
    drawn = []
    if (folder / PROFILE).exists():
        drawn.append(draw_profile(json.loads((folder / PROFILE).read_text()), folder / PROFILE_PICTURE))
    if (folder / BUNDLE).exists():
        drawn.append(draw_images(DistilledDataset.load(folder / BUNDLE), folder / IMAGES))
    lines = read_json_lines(folder / METRICS)
    if lines:
        drawn.append(draw_curves(lines, folder / CURVES))
    return drawn


def draw_images(bundle: DistilledDataset, path: Path | str) -> Path:
    """Draw the images of a bundle with their labels, and below them the step sizes.

    A column is a class and a row a step, or the first, second, ... image of each class, wherever the images
    are in that order; otherwise each image has its class above it. Grey images are drawn about the mean of the
    real ones, which is mid-grey, because learned pixels leave the range of real ones on both sides; colour images
    with the range of real pixels, beyond which they are clipped.

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
    n_columns = _n_columns(bundle, len(classes))
    n_rows = math.ceil(len(classes) / n_columns)
    in_columns = bool((classes == np.arange(len(classes)) % n_columns).all())
    soft = not np.array_equal(labels, np.eye(labels.shape[1], dtype=labels.dtype)[classes])
    with_bars = soft and n_rows <= 3

    cell = 1.0 if n_rows <= 3 else 0.8
    width = max(6.5, cell * n_columns + 0.9)
    cell_height = cell + 0.3 * with_bars + (0.0 if in_columns else 0.22)
    grid_height, strip_height = cell_height * n_rows + 0.3, 1.35
    caption = _caption(bundle, soft=soft, with_bars=with_bars)
    head = 0.6
    figure = _figure(width, head + grid_height + strip_height)
    total = head + grid_height + strip_height
    figure.text(0.12 / width, 1 - 0.12 / total, _title(bundle), size=_LARGE, weight="bold", va="top")
    figure.text(0.12 / width, 1 - 0.38 / total, caption, size=_SMALL, color=_MUTED, va="top")

    pictures, scale = _pictures(bundle)
    left, right = (0.6 if bundle.inner.own_images else 0.12) / width, 1 - 0.12 / width
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
            axes.set_title(bundle.class_names[classes[index]], size=_SMALL, pad=3)
        if column == 0 and bundle.inner.own_images:
            axes.set_ylabel(f"step {row + 1}", size=_SMALL, rotation=0, ha="right", va="center")

    strip = figure.add_axes((0.75 / width, 0.45 / total, 1 - 0.95 / width, (strip_height - 0.75) / total))
    _draw_step_sizes(strip, np.asarray(bundle.data.step_sizes))
    return _save(figure, path)


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
    iterations = [line["iteration"] for line in lines]
    figure = _figure(11.0, 3.2)
    loss, accuracy, sizes = figure.subplots(
        1, 3, gridspec_kw={"left": 0.06, "right": 0.945, "bottom": 0.16, "top": 0.87, "wspace": 0.28}
    )
    known = [(line["iteration"], line["loss"]) for line in lines if line["loss"] is not None]
    marker = "o" if len(lines) <= 25 else ""
    style: dict[str, Any] = {"marker": marker, "markersize": 3, "linewidth": 1.4}

    if known:
        loss.plot(*zip(*known, strict=True), color=_ACCENT, **style)
    _dress(loss, "loss on real training images", "iteration")
    for panel in (loss, accuracy, sizes):
        panel.set_xlim(0, 1.03 * iterations[-1])
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    accuracies = [line["validation_accuracy"] for line in lines]
    best = int(np.argmax(accuracies))
    accuracy.plot(iterations, accuracies, color=_ACCENT, **style)
    accuracy.plot(iterations[best], accuracies[best], "o", color=_SECOND, markersize=6)
    accuracy.set_title(f"best {accuracies[best]:.1%} at {iterations[best]:,}", size=_SMALL, loc="right", color=_SECOND)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    _dress(accuracy, "validation accuracy", "iteration")

    # One row a step; where a step has a size for each weight array, their median.
    by_step = np.maximum([np.median(line["step_sizes"], axis=1) for line in lines], 1e-6)
    n_steps = by_step.shape[1]
    # The last, yellow part of the map is hard to see on white.
    colours = colormaps["viridis"].resampled(256)(np.linspace(0.0, 0.88, 256))
    for step in range(n_steps):
        style["linewidth"] = 1.2 if n_steps <= 30 else 0.6
        sizes.plot(iterations, by_step[:, step], color=colours[255 * step // max(n_steps - 1, 1)], **style)
    _in_powers_of_ten(sizes, by_step)
    _dress(sizes, "learned step sizes", "iteration")
    if n_steps > 1:
        key = sizes.inset_axes((1.03, 0.0, 0.03, 1.0))
        key.imshow(colours[:, None], aspect="auto", origin="lower", extent=(0, 1, 1, n_steps))
        key.set_xticks([])
        key.yaxis.tick_right()
        key.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        key.tick_params(labelsize=_SMALL, color=_FAINT)
        key.set_title("step", size=_SMALL, loc="left", pad=8)
        for spine in key.spines.values():
            spine.set_visible(False)
    return _save(figure, path)


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
    figure = _figure(6.5, 3.6)
    axes = figure.add_axes((0.09, 0.14, 0.76, 0.74))
    colours = colormaps["viridis"].resampled(256)(np.linspace(0.0, 0.88, len(lines_of)))
    for (seed, lines), colour in zip(lines_of.items(), colours, strict=True):
        iterations = [line["iteration"] for line in lines]
        accuracies = [line["validation_accuracy"] for line in lines]
        best = int(np.argmax(accuracies))
        axes.plot(iterations, accuracies, color=colour, linewidth=1.2, label=f"{seed}: {accuracies[best]:.1%}")
        axes.plot(iterations[best], accuracies[best], "o", color=colour, markersize=4)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlim(left=0)
    _dress(axes, "validation accuracy", "iteration")
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    axes.legend(title="seed: best", fontsize=_SMALL, title_fontsize=_SMALL, frameon=False, **place)
    return _save(figure, path)


def draw_noise(points: Sequence[NoisyPoint], noiseless: float, title: str, path: Path | str) -> Path:
    """Draw test accuracy against the number of shots and, where there is a device, against the strength of its noise.

    Args:
        points: as `evaluate.noisy.noisy_curve` gives them; each is drawn with its 95 % interval.
        noiseless: the accuracy without noise and shots, a fraction.
        title: says what was replayed, and where.
        path: where to; a PNG.

    Returns:
        The path.

    Raises:
        RunError: the picture cannot be written.
    """
    by_shots = [point for point in points if point.shots is not None and point.factor in (None, 1.0)]
    at = [point.shots for point in points if point.factor not in (None, 1.0)]
    by_factor = [point for point in points if at and point.factor is not None and point.shots == at[0]]
    panels: list[tuple[str, list[NoisyPoint], list[float]]] = []
    if by_shots:
        counts = sorted((float(point.shots or 0), place) for place, point in enumerate(by_shots))
        panels.append(("shots a setting", [by_shots[place] for _, place in counts], [count for count, _ in counts]))
    if by_factor:
        by_factor.sort(key=lambda point: point.factor or 0.0)
        how = "exact expectation values" if at[0] is None else f"{at[0]:,} shots"
        panels.append((f"factor on the error rates ({how})", by_factor, [point.factor or 0.0 for point in by_factor]))
    figure = _figure(1.2 + 4.6 * len(panels), 3.4)
    left = 0.8 / (1.2 + 4.6 * len(panels))
    edges = {"left": left, "right": 0.98, "bottom": 0.15, "wspace": 0.2}
    for axes, (label, shown, places) in zip(
        figure.subplots(1, len(panels), squeeze=False, gridspec_kw=edges)[0],
        panels,
        strict=True,
    ):
        means = np.array([point.evaluation.mean for point in shown])
        bounds = np.array([point.evaluation.interval or (point.evaluation.mean,) * 2 for point in shown])
        axes.errorbar(places, means, np.abs(bounds.T - means), color=_ACCENT, marker="o", markersize=4, capsize=3)
        axes.axhline(noiseless, color=_FAINT, linewidth=1, linestyle="--")
        axes.annotate(
            f"without noise {noiseless:.1%}", (1, noiseless), xycoords=("axes fraction", "data"), size=_SMALL,
            color=_MUTED, ha="right", va="bottom",
        )  # fmt: skip
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        # The interval of a few scattered draws may go beyond what an accuracy can be.
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.0), min(high, 1.0))
        if label.startswith("shots"):
            axes.set_xscale("log", base=4)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        _dress(axes, "test accuracy", label)
    figure.text(left, 0.97, title, size=_NORMAL, weight="bold", va="top")
    return _save(figure, path)


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
        by_part.setdefault(row["part"], {})[row["phase"]] = row["ms"]
    parts = sorted(by_part, key=lambda part: sum(by_part[part].values()))
    phases = sorted({row["phase"] for row in measured["rows"]}, reverse=True)
    height = 0.95 + 0.32 * len(parts)
    figure = _figure(7.5, height)
    axes = figure.add_axes((0.27, 0.42 / height, 0.7, 1 - 0.85 / height))
    left = np.zeros(len(parts))
    for phase, colour in zip(phases, (_ACCENT, _SECOND, _FAINT), strict=False):
        widths = np.array([by_part[part].get(phase, 0.0) for part in parts])
        axes.barh(parts, widths, left=left, color=colour, height=0.7, label=phase or "neither")
        left += widths
    title = f"One outer iteration: {measured['iteration_ms']:.1f} ms. Milliseconds in operations, summed over cores"
    _dress(axes, "", "")
    figure.text(0.02, 1 - 0.12 / height, title, size=_NORMAL, va="top", color=_INK)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.legend(fontsize=_SMALL, loc="lower right", frameon=False)
    return _save(figure, path)


def _n_columns(bundle: DistilledDataset, n_images: int) -> int:
    """As many columns as a step has images of its own, or as there are classes."""
    if bundle.inner.own_images:
        columns = n_images // bundle.inner.steps
        if columns <= 2 * len(bundle.class_names):
            return columns
    return min(len(bundle.class_names), n_images)


def _pictures(bundle: DistilledDataset) -> tuple[np.ndarray, dict[str, Any]]:
    """What `imshow` takes: the pictures and the scale they are drawn on."""
    images = np.asarray(bundle.data.images)
    if images.shape[-1] == 3:
        return np.clip(np.asarray(bundle.images_as_pixels()), 0.0, 1.0), {}
    # The last percent of the pixels may be beyond black and white, or a single one would wash out the rest.
    reach = max(float(np.percentile(np.abs(images), 99)), 1e-6)
    return images.mean(axis=-1), {"cmap": "gray", "vmin": -reach, "vmax": reach}


def _title(bundle: DistilledDataset) -> str:
    n, steps = len(bundle.data.images), bundle.inner.total_steps
    return f"{bundle.dataset}: {n} distilled image{'s' * (n != 1)}, {steps} training step{'s' * (steps != 1)}"


def _caption(bundle: DistilledDataset, *, soft: bool, with_bars: bool) -> str:
    record, colour = bundle.record, bundle.data.images.shape[-1] == 3
    parts = []
    if record.test_accuracy is not None:
        parts.append(f"test accuracy {record.test_accuracy:.1%} (n = {record.n_test:,})")
    elif record.validation_accuracy is not None:
        parts.append(f"validation accuracy {record.validation_accuracy:.1%} (n = {record.n_validation:,})")
    parts.append("pixels beyond black and white are clipped" if colour else "mid-grey is the mean of the real images")
    if soft:
        parts.append("bars: learned label, a weight for each class" if with_bars else "learned labels")
    return "  ·  ".join(parts)


def _draw_label(axes: Axes, label: Float[np.ndarray, " classes"], lowest: float, highest: float) -> None:
    """One bar a class, the largest in colour; the limits are those of all labels, which makes them comparable."""
    top = int(np.argmax(label))
    axes.bar(range(len(label)), label, color=[_SECOND if i == top else _FAINT for i in range(len(label))])
    axes.axhline(0.0, color=_INK, linewidth=0.5)
    axes.set_ylim(min(lowest, 0.0), highest)
    axes.axis("off")


def _draw_step_sizes(axes: Axes, step_sizes: Float[np.ndarray, "steps groups"]) -> None:
    """The size of each step, or its median and range over the weight arrays where each has its own."""
    steps: Int[np.ndarray, " steps"] = np.arange(1, len(step_sizes) + 1)
    # They go over several powers of ten; a size that is zero stands at the bottom.
    sizes = np.maximum(step_sizes, 1e-6)
    middle = np.median(sizes, axis=1)
    if sizes.shape[1] > 1:
        axes.vlines(steps, sizes.min(axis=1), sizes.max(axis=1), color=_FAINT, linewidth=2)
    if len(steps) <= 60:
        axes.plot(steps, middle, "o", color=_ACCENT, markersize=5)
    else:
        axes.plot(steps, middle, color=_ACCENT, linewidth=1.2)
    _in_powers_of_ten(axes, sizes)
    axes.set_xlim(0.4, len(steps) + 0.6)
    if len(steps) <= 30:
        axes.set_xticks(steps)
    _dress(axes, "", "training step" if sizes.shape[1] == 1 else "training step; median and range over the weights")
    axes.set_ylabel("step size", size=_SMALL)


def _in_powers_of_ten(axes: Axes, values: Float[np.ndarray, "..."]) -> None:
    """A logarithmic axis from one power of ten to another, with plain numbers at those in it."""
    lowest, highest = math.floor(np.log10(values.min())), math.ceil(np.log10(values.max()))
    axes.set_yscale("log")
    axes.set_ylim(10.0**lowest, 10.0 ** max(highest, lowest + 1))
    axes.yaxis.set_major_locator(LogLocator(numticks=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _dress(axes: Axes, title: str, x_label: str) -> None:
    if title:
        axes.set_title(title, size=_NORMAL, loc="left", color=_INK)
    axes.set_xlabel(x_label, size=_SMALL)
    axes.tick_params(labelsize=_SMALL, color=_FAINT)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path | str) -> Path:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(Path(path), content.getvalue())
    return Path(path)
