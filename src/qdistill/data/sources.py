"""Published datasets: one class each, giving raw inputs and labels with `load`.

A dataset's files are sought in the folder `data_dir`; without one, in the folder that the environment
variable QDISTILL_DATA_DIR names; without that, in the user's cache folder, into which they are downloaded if their
checksums are right. A folder that the user names is only ever read. Wherever the files come from, they must hold what
was published under the dataset's name, in whatever order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from qdistill.data.locate import locate
from qdistill.data.raw import RawDataset, Shape
from qdistill.data.readers import check_labels, read_cifar, read_idx
from qdistill.errors import DataError


@dataclass(frozen=True)
class MNIST:
    """Handwritten digits, 60,000 for training and 10,000 for test, 28x28 grey.

    Files: `mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte`, also with `.gz` and with `.idx` for `-idx`;
    torchvision's folder `MNIST/raw` is read as well.

    Reference:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
    """

    name: ClassVar[str] = "mnist"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    input_shape: ClassVar[Shape] = (28, 28, 1)
    folders: ClassVar[tuple[str, ...]] = ("mnist", "MNIST/raw")
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    digest: ClassVar[str] = "sha256:d62e151d4034b19a6216e8a4f0f226543f5a4d07313fe49802942f2fa167a805"

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset; see `registry.Source.load`.

        Raises:
            DataError: a file is missing from the named folder or is damaged, or the files are not the published ones.
            DownloadError: a file could not be downloaded.
        """
        return _load_idx(self, data_dir)


@dataclass(frozen=True)
class FashionMNIST:
    """Articles of clothing in the format and the numbers of MNIST.

    Files: `fashion-mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte`, also with `.gz` and with `.idx` for `-idx`;
    torchvision's folder `FashionMNIST/raw` is read as well. Debian's package `dataset-fashion-mnist` puts them under
    `/usr/share/datasets`, which can be named as `data_dir`.

    Reference:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
        algorithms", 2017, arXiv 1708.07747.
    """

    name: ClassVar[str] = "fashion-mnist"
    class_names: ClassVar[tuple[str, ...]] = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    input_shape: ClassVar[Shape] = (28, 28, 1)
    folders: ClassVar[tuple[str, ...]] = ("fashion-mnist", "FashionMNIST/raw")
    mirrors: ClassVar[tuple[str, ...]] = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    digest: ClassVar[str] = "sha256:9d8cb4c3f55ae23dcad228276c774cb920bc17b1b3cbf742861aa57adb9375dd"

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset; see `registry.Source.load`, and `MNIST.load` for the errors."""
        return _load_idx(self, data_dir)


@dataclass(frozen=True)
class CIFAR10:
    """Small photographs of ten kinds of things, 50,000 for training and 10,000 for test, 32x32 colour.

    Files: `cifar-10-binary.tar.gz`, also without `.gz`, or the folder `cifar-10-batches-bin` extracted from it.

    Reference:
        Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    name: ClassVar[str] = "cifar10"
    class_names: ClassVar[tuple[str, ...]] = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    input_shape: ClassVar[Shape] = (32, 32, 3)
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
    )
    md5: ClassVar[dict[str, str]] = {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}
    digest: ClassVar[str] = "sha256:fb1500161c38dbea97c3378a02d2f62ac75379e4c959ce0986d7b6bc4fe6db5d"

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the dataset; see `registry.Source.load`, and `MNIST.load` for the errors."""
        [archive] = self.md5
        path = locate(
            archive,
            dataset=self.name,
            folders=("", self.name),
            alternatives=(archive.removesuffix(".gz"), "cifar-10-batches-bin"),
            md5=self.md5[archive],
            mirrors=self.mirrors,
            data_dir=data_dir,
        )
        train_inputs, train_labels, test_inputs, test_labels = read_cifar(path, self.class_names)
        raw = RawDataset(
            name=self.name,
            class_names=self.class_names,
            train_inputs=train_inputs,
            train_labels=train_labels.astype(np.int32),
            test_inputs=test_inputs,
            test_labels=test_labels.astype(np.int32),
            scale=255.0,
        )
        return _as_published(self, raw, path)


def _load_idx(dataset: MNIST | FashionMNIST, data_dir: Path | None) -> RawDataset:
    """Read a dataset of four IDX files: 60,000 training and 10,000 test images with their labels."""
    paths = [
        locate(
            name,
            dataset=dataset.name,
            folders=dataset.folders,
            alternatives=_idx_names(name),
            md5=md5,
            mirrors=dataset.mirrors,
            data_dir=data_dir,
        )
        for name, md5 in dataset.md5.items()
    ]
    height, width, channels = dataset.input_shape
    images, labels = [], []
    for (images_path, labels_path), n in zip((paths[:2], paths[2:]), (60_000, 10_000), strict=True):
        images.append(read_idx(images_path, (n, height, width)).reshape(n, height, width, channels))
        labels.append(read_idx(labels_path, (n,)))
        check_labels(labels_path, labels[-1], len(dataset.class_names))
    raw = RawDataset(
        name=dataset.name,
        class_names=dataset.class_names,
        train_inputs=images[0],
        train_labels=labels[0].astype(np.int32),
        test_inputs=images[1],
        test_labels=labels[1].astype(np.int32),
        scale=255.0,
    )
    return _as_published(dataset, raw, paths[0].parent)


def _idx_names(name: str) -> tuple[str, ...]:
    """Under which other names a file is found: without `.gz`, and as 7-Zip names what it unpacks, with a second dot."""
    plain = name.removesuffix(".gz")
    dotted = plain.replace("-idx", ".idx")
    return plain, dotted, f"{dotted}.gz"


def _as_published(dataset: MNIST | FashionMNIST | CIFAR10, raw: RawDataset, where: Path) -> RawDataset:
    """Return a dataset unless it is another than the one published under its name."""
    if raw.digest == dataset.digest:
        return raw
    others = (each for each in (MNIST(), FashionMNIST(), CIFAR10()) if each != dataset)
    same = (each.name for each in others if replace(raw, class_names=each.class_names).digest == each.digest)
    raise DataError(
        f"{where}: must hold {dataset.name} as published ({dataset.digest}), but holds "
        f"{next(same, 'other images or labels')} ({raw.digest}). Put the official files there, from "
        f"{' or '.join(dataset.mirrors)}; or bring what is there as a dataset of your own, under a name of its own, by "
        f"`qdistill.data.Images`."
    )
