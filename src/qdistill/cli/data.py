"""`qdistill data`: a dataset, fetched and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from qdistill.cli.output import tell
from qdistill.cli.shared import DataDir, call
from qdistill.data import RawDataset


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(data, arguments)


def data(dataset: Annotated[str, Positional, arg(metavar="DATASET")], *, data_dir: DataDir = None) -> int:
    """Fetch a dataset if it is not there yet, check its files, and say what is in it.

    Args:
        dataset: mnist, fashion-mnist, cifar10 or digits.
        data_dir: where the dataset's files lie; nothing is downloaded then.
    """
    import numpy as np

    from qdistill.data import DATASETS, source

    raw = source(dataset).load(data_dir)
    rows = [_inputs(raw)]
    for part, labels in (("training", raw.train_labels), ("test", raw.test_labels)):
        counts = np.bincount(labels, minlength=len(raw.class_names))
        share = f"{counts.min():,} to {counts.max():,}" if counts.min() < counts.max() else f"{counts[0]:,}"
        rows.append((part, f"{len(labels):,}, {share} of each class"))
    rows += [("classes", ", ".join(raw.class_names)), ("from", _origin(dataset, data_dir))]
    published = raw.digest == getattr(DATASETS[dataset], "digest", None)
    rows.append(("digest", f"{raw.digest}{' (as published)' if published else ''}"))
    tell(dataset)
    for name, value in rows:
        tell(f"  {name:<10} {value}")
    return 0


def _inputs(raw: RawDataset) -> tuple[str, str]:
    """What the inputs are called, and of which size and type they are."""
    shape, dtype = raw.train_inputs.shape[1:], raw.train_inputs.dtype
    if len(shape) == 1:
        return "vectors", f"{shape[0]} feature{'s' * (shape[0] != 1)}, {dtype}"
    if len(shape) != 3:
        return "inputs", f"{' x '.join(map(str, shape))}, {dtype}"
    height, width, channels = shape
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return "images", f"{height} x {width}, {colours}, {dtype}"


def _origin(dataset: str, data_dir: Path | None) -> str:
    """Where a dataset's files were read from."""
    from qdistill.data import CIFAR10, DATASETS, MNIST, Digits, FashionMNIST
    from qdistill.data.locate import DATA_DIR_VARIABLE

    known = DATASETS[dataset]
    if isinstance(known, Digits):
        return "the installed scikit-learn"
    if not isinstance(known, (MNIST, FashionMNIST, CIFAR10)):
        return f"{type(known).__name__}, which a plugin entered"
    if data_dir is not None:
        return f"{data_dir}"
    if os.environ.get(DATA_DIR_VARIABLE):
        return f"{os.environ[DATA_DIR_VARIABLE]} ({DATA_DIR_VARIABLE})"
    from qdistill.data.download import cache_folder

    return f"{cache_folder() / dataset} (downloaded; checksums are right)"
