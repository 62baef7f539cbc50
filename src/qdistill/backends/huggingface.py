"""Bundles as folders of the Hugging Face hub: the examples in Parquet, the bundle itself, and a card."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from qdistill.backends.circuit_program import TEMPLATES
from qdistill.backends.extras import require
from qdistill.distill.bundle import DistilledDataset
from qdistill.files import BUNDLE, write_all
from qdistill.version import __version__

EXAMPLES, CARD = "train.parquet", "README.md"
"""The names that the card gives the hub, and that of the card itself."""

_EXTRA = "huggingface"

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
"""What the hub calls numbers of examples below these."""


def export_huggingface(bundle: DistilledDataset, folder: Path) -> list[Path]:
    """Write a folder that `datasets.load_dataset` reads and that the hub shows as a dataset.

    The columns of ``train.parquet``, a row for each example, are

    - ``image``: where raw inputs are grey or colour images, the example as one: its transforms undone, what lies
      outside of black and white clipped, in eight bits. Otherwise ``raw_input``: the numbers before the transforms,
      float32;
    - ``input``: what the network reads, float32 of its shape, which is nothing lost of;
    - ``label``: the class of the label's largest weight, by name;
    - ``soft_label``: the label as it is trained on, float32, (classes,).

    ``bundle.safetensors`` is the bundle, and ``README.md`` the card, which says how to train on it. It states no
    licence: that of the examples hangs on the data that they were made from.

    Args:
        bundle: what to write.
        folder: made if it is not there; files of the same names are replaced.

    Returns:
        The files.

    Raises:
        MissingExtraError: Hugging Face's ``datasets`` is not installed.
        RunError, BundleError: a file cannot be written.
    """
    datasets = require("datasets", _EXTRA)
    inputs, labels = (np.asarray(array) for array in (bundle.data.inputs, bundle.data.labels))
    raw = bundle.raw_inputs()
    pictures = raw.ndim == 4 and raw.shape[-1] in (1, 3)
    columns: dict[str, list[Any]] = {
        "input": inputs.tolist(),
        "label": labels.argmax(axis=1).tolist(),
        "soft_label": labels.tolist(),
    }
    features = {
        "input": _numbers(datasets, inputs.shape[1:]),
        "label": datasets.ClassLabel(names=list(bundle.class_names)),
        "soft_label": _numbers(datasets, labels.shape[1:]),
    }
    if pictures:
        pngs = [{"bytes": _png(picture), "path": None} for picture in bundle.images_as_pixels()]
        columns, features = {"image": pngs, **columns}, {"image": datasets.Image(), **features}
    else:
        values = (raw * np.float32(bundle.transform.scale)).tolist()
        columns = {"raw_input": values, **columns}
        features = {"raw_input": _numbers(datasets, raw.shape[1:]), **features}
    info = datasets.DatasetInfo(features=datasets.Features(features))
    table = require("pyarrow", _EXTRA).Table.from_pydict(columns, schema=info.features.arrow_schema)
    content = io.BytesIO()
    require("pyarrow.parquet", _EXTRA).write_table(table, content)
    card = _card(bundle, info, raw if pictures else None)
    written = write_all(folder, {EXAMPLES: content.getvalue(), CARD: card.encode()})
    bundle.save(folder / BUNDLE)
    return [*written, folder / BUNDLE]


def _numbers(datasets: Any, shape: tuple[int, ...]) -> Any:
    """The type of a column whose every entry is a float32 array of a shape."""
    kind = datasets.Value("float32")
    for length in reversed(shape):
        kind = datasets.List(kind, length=length)
    return kind


def _png(pixels: Float[np.ndarray, "height width channels"]) -> bytes:
    """An image with one or three channels in [0, 1] as a file."""
    content = io.BytesIO()
    levels = np.rint(255 * pixels).astype(np.uint8)
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(content, "png")
    return content.getvalue()


def _card(bundle: DistilledDataset, info: Any, raw: Float[np.ndarray, "n height width channels"] | None) -> str:
    """The card: metadata that the hub reads, and text for people.

    Args:
        bundle: what it is of.
        info: the columns.
        raw: the examples where they are shown as images; 0 is black and 1 is white.
    """
    n = len(bundle.data.inputs)
    sizes, steps = np.asarray(bundle.data.step_sizes), bundle.inner.total_steps
    data = require("huggingface_hub", _EXTRA).DatasetCardData(
        pretty_name=f"{bundle.dataset} in {n:,} distilled example{'s' * (n != 1)}",
        task_categories=["tabular-classification" if raw is None else "image-classification"],
        size_categories=next((name for most, name in _SIZES if n < most), "100K<n<1M"),
        tags=["dataset-distillation", "quantum-machine-learning", "safetensors"],
    )
    files = {"default": {"data_files": [{"split": "train", "path": EXAMPLES}]}}
    require("datasets.utils.metadata", _EXTRA).MetadataConfigs(files).to_dataset_card_data(data)
    require("datasets.info", _EXTRA).DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    record = bundle.record
    return TEMPLATES.get_template("huggingface_card.md.jinja").render(
        metadata=data.to_yaml(),
        title=data.pretty_name,
        version=__version__,
        bundle=BUNDLE,
        n=n,
        dataset=bundle.dataset,
        shape=bundle.input_shape,
        clipped=None if raw is None else float(np.mean((raw < 0) | (raw > 1))),
        network=type(bundle.architecture).__name__ if bundle.architecture is not None else None,
        weights="none" if bundle.kernel is not None else "known" if bundle.drawn_anew is None else "unknown",
        draws=record.test_draws,
        accuracy=record.test_accuracy,
        n_test=record.n_test,
        steps=steps,
        optimiser=bundle.inner.optimiser.replace("_", " "),
        loss=bundle.inner.loss.replace("_", "-" if bundle.inner.loss == "cross_entropy" else " "),
        own_examples=bundle.inner.own_examples,
        each=len(bundle.data.schedule[0]),
        groups=sizes.shape[1],
        smallest=float(sizes.min()),
        largest=float(sizes.max()),
        scale=bundle.transform.scale,
        transforms=[step.name for step in bundle.transform.steps],
    )
