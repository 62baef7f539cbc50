"""Files in the published formats, written by hand, and the real ones where QDISTILL_DATA_DIR names them."""

import gzip
import io
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from qdistill.data import CIFAR10, MNIST, FashionMNIST, RawDataset

# Taken before any test changes the environment.
REAL_DATA = os.environ.get("QDISTILL_DATA_DIR")
IDX_FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    """Every test says itself where its files are, and reaches its own server without a proxy."""
    monkeypatch.delenv("QDISTILL_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session")
def real_data():
    if not REAL_DATA:
        pytest.skip("QDISTILL_DATA_DIR does not name a folder with the real datasets")
    return Path(REAL_DATA).resolve()


@pytest.fixture(scope="session")
def real_mnist(real_data):
    return MNIST().load(real_data)


@pytest.fixture(scope="session")
def real_cifar10(real_data):
    return CIFAR10().load(real_data)


def idx_bytes(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(scope="session")
def to_idx():
    return idx_bytes


@pytest.fixture(scope="session")
def idx_arrays():
    """Arrays of MNIST's shapes whose pixels tell image, row and column, and whose labels are i mod 10."""
    arrays = {}
    for name, shape in IDX_FILES.items():
        index = np.arange(shape[0], dtype=np.uint16)
        if len(shape) == 1:
            arrays[name] = (index % 10).astype(np.uint8)
        else:
            rows, columns = np.mgrid[:28, :28].astype(np.uint16)
            arrays[name] = (index[:, None, None] % 50 + 28 * (rows % 4) + columns).astype(np.uint8)
    return arrays


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory, idx_arrays):
    """A folder with a whole dataset in MNIST's format, images compressed and labels not."""
    folder = tmp_path_factory.mktemp("idx")
    for name, array in idx_arrays.items():
        if array.ndim == 1:
            (folder / name).write_bytes(idx_bytes(array))
        else:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array), 1))
    return folder


@pytest.fixture
def published(monkeypatch, idx_arrays):
    """Lets `idx_arrays` be what was published as MNIST and as Fashion-MNIST."""
    images, labels = list(idx_arrays.values())[::2], list(idx_arrays.values())[1::2]
    for dataset in (MNIST, FashionMNIST):
        raw = RawDataset(
            name="by hand",
            class_names=dataset.class_names,
            train_inputs=images[0][..., None],
            train_labels=labels[0].astype(np.int32),
            test_inputs=images[1][..., None],
            test_labels=labels[1].astype(np.int32),
            scale=255.0,
        )
        monkeypatch.setattr(dataset, "digest", raw.digest)


@pytest.fixture(scope="session")
def to_tar():
    def write(path, files):
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    return write
