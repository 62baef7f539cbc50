"""`qdistill data`: a dataset, fetched and checked."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from tyro.conf import Positional, arg

from qdistill.cli.output import tell
from qdistill.cli.own_data import find_dataset, plain, say_which_data, with_short_options
from qdistill.cli.shared import DataDir
from qdistill.data import (
    CIFAR10,
    DATASETS,
    MNIST,
    DataFile,
    Digits,
    FashionMNIST,
    HiddenManifold,
    Iris,
    MNISTDigits,
    RawDataset,
    Source,
    is_data_path,
    source,
)
from qdistill.data.locate import DATA_DIR_VARIABLE
from qdistill.data.registry import Checked


def run(arguments: list[str]) -> int:
    """Parse, read, print."""
    place = find_dataset(arguments, DATASETS)
    what = "" if place is None else arguments[place]
    if place is not None:
        # In front, or an option of several values would take it for one of them.
        arguments = [what, *arguments[:place], *arguments[place + 1 :]]
    is_file = bool(what) and what not in DATASETS and is_data_path(what)
    fields: list[Any] = [
        ("dataset", Annotated[str, Positional, arg(metavar="DATASET", help="its name, or its file or folder.")]),
        ("data_dir", Annotated[DataDir, arg(help="where its files lie; nothing is downloaded then.")], None),
    ]
    if is_file:
        kind, usual = with_short_options(DataFile(what))
        fields.append(("data", Annotated[kind, arg(help="how the file or folder is read.")], usual))
    doc = (
        "Fetch a dataset if it is not there yet, check its files, and say what is in it.\n\n"
        f"By name there are {', '.join(DATASETS)}; `qdistill data FILE --help` has the options of a file or folder."
    )
    options = dataclasses.make_dataclass("Options", fields, frozen=True, namespace={"__doc__": doc})
    given: Any = tyro.cli(options, args=arguments, prog="qdistill data")
    if is_file:
        return _say(plain(given.data).read(given.data_dir), given.data_dir)
    say_which_data(given.dataset)
    return _say(source(given.dataset), given.data_dir)


def _say(dataset: Source, data_dir: Path | None) -> int:
    """What is in a dataset."""
    raw = dataset.load(data_dir)
    rows = [_inputs(raw)]
    for part, labels in (("training", raw.train_labels), ("test", raw.test_labels)):
        counts = np.bincount(labels, minlength=len(raw.class_names))
        share = f"{counts.min():,} to {counts.max():,}" if counts.min() < counts.max() else f"{counts[0]:,}"
        rows.append((part, f"{len(labels):,}, {share} of each class"))
    rows += [("classes", ", ".join(raw.class_names)), ("from", _origin(dataset, data_dir))]
    published = raw.digest == getattr(dataset, "digest", None)
    rows.append(("digest", f"{raw.digest}{' (as published)' if published else ''}"))
    tell(dataset.name)
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


def _origin(dataset: Source, data_dir: Path | None) -> str:
    """Where a dataset's inputs were read from."""
    own = dataset.dataset if isinstance(dataset, Checked) else dataset
    module = type(own).__module__
    if isinstance(own, DataFile):
        return own.path if data_dir is None else f"{own.path} in {data_dir}"
    if module in (Digits.__module__, Iris.__module__):
        return "the installed scikit-learn"
    if module == HiddenManifold.__module__:
        return "its published definition"
    if not isinstance(own, (MNIST, FashionMNIST, CIFAR10, MNISTDigits)):
        return f"{type(own).__name__}, which a plugin entered"
    if data_dir is not None:
        return f"{data_dir}"
    if os.environ.get(DATA_DIR_VARIABLE):
        return f"{os.environ[DATA_DIR_VARIABLE]} ({DATA_DIR_VARIABLE})"
    from qdistill.data.download import cache_folder

    folder = MNIST.name if isinstance(own, MNISTDigits) else own.name
    return f"{cache_folder() / folder} (downloaded; checksums are right)"
