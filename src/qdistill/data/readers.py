"""Readers of the file formats that image datasets are published in: IDX and the CIFAR-10 binary version.

Both read compressed files in one pass without extracting them to the disk, keep every pixel as uint8, and
refuse a file that is shorter, longer or other than its format says. Whether a file is compressed is seen from its first
bytes: programs that unpack a file may leave it its name.
"""

from __future__ import annotations

import gzip
import math
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8

from qdistill.errors import DataError

CIFAR_BATCH_SIZE = 10_000
CIFAR_TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR_TEST_BATCH = "test_batch.bin"
CIFAR_NAMES = "batches.meta.txt"

_ADVICE = "Replace it with the official file."
_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_LONGEST_NAMES = 65_536
_DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError)


def read_idx(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """Read an IDX file of unsigned bytes, the format of MNIST and Fashion-MNIST.

    Args:
        path: the file, compressed by gzip or not.
        shape: the shape that the file must have.

    Returns:
        A read-only array of that shape.

    Raises:
        DataError: the file cannot be read or decompressed, has another type or shape, or holds fewer or more
            bytes than its header says.

    Reference:
        "The IDX file format", at the end of http://yann.lecun.com/exdb/mnist/.
    """
    size = math.prod(shape)
    try:
        with _open(path) as file:
            _check_idx_header(path, file.read(4 + 4 * len(shape)), shape)
            # One byte more than there must be: it tells a file that is too long, and takes gzip to the end of
            # its stream, where the checksum is compared.
            content = file.read(size + 1)
    except _DAMAGE as problem:
        raise DataError(f"{path}: cannot be read ({problem}). {_ADVICE}") from problem
    if len(content) != size:
        found = f"only {len(content):,}" if len(content) < size else "more"
        raise DataError(f"{path}: must hold {size:,} bytes after its header, but holds {found}. {_ADVICE}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_cifar(
    path: Path, class_names: tuple[str, ...]
) -> tuple[
    UInt8[np.ndarray, "train 32 32 3"],
    UInt8[np.ndarray, "train"],
    UInt8[np.ndarray, "test 32 32 3"],
    UInt8[np.ndarray, "test"],
]:
    """Read the binary version of CIFAR-10.

    A record is one label byte and 3,072 pixel bytes: the red, the green and the blue plane of a 32x32 image,
    row by row. There are 10,000 records in each of `data_batch_1.bin` to `data_batch_5.bin` and in
    `test_batch.bin`.

    Args:
        path: the archive `cifar-10-binary.tar.gz`, that archive without its compression, or the folder that was
            extracted from it.
        class_names: the names that `batches.meta.txt` must list, where it is there.

    Returns:
        Training images (50000, 32, 32, 3), training labels (50000,), test images (10000, 32, 32, 3) and test
        labels (10000,).

    Raises:
        DataError: the archive is damaged, a batch is missing or has another size, a label is out of range, or
            the class names are others.

    Reference:
        "Binary version" in https://www.cs.toronto.edu/~kriz/cifar.html.
    """
    n_train = CIFAR_BATCH_SIZE * len(CIFAR_TRAIN_BATCHES)
    images = np.empty((n_train + CIFAR_BATCH_SIZE, 32, 32, 3), np.uint8)
    labels = np.empty(n_train + CIFAR_BATCH_SIZE, np.uint8)
    missing = {name: number for number, name in enumerate((*CIFAR_TRAIN_BATCHES, CIFAR_TEST_BATCH))}
    try:
        for name, content in _cifar_files(path):
            if name == CIFAR_NAMES:
                _check_names(path, content, class_names)
                continue
            if name not in missing:
                raise DataError(f"{path}: holds {name} twice. {_ADVICE}")
            start = CIFAR_BATCH_SIZE * missing.pop(name)
            records = np.frombuffer(content, np.uint8).reshape(CIFAR_BATCH_SIZE, -1)
            part = slice(start, start + CIFAR_BATCH_SIZE)
            labels[part] = records[:, 0]
            images[part] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            check_labels(path / name, labels[part], len(class_names))
    except _DAMAGE as problem:
        raise DataError(f"{path}: cannot be read ({problem}). {_ADVICE}") from problem
    if missing:
        raise DataError(f"{path}: holds no {', '.join(missing)}. {_ADVICE}")
    return images[:n_train], labels[:n_train], images[n_train:], labels[n_train:]


def check_labels(path: Path, labels: UInt8[np.ndarray, "n"], n_classes: int) -> None:
    """Raise a DataError that names the file if a label is not one of 0 to `n_classes - 1`."""
    if labels.size and int(labels.max()) >= n_classes:
        raise DataError(f"{path}: labels must be 0 to {n_classes - 1}, but one is {int(labels.max())}. {_ADVICE}")


def _open(path: Path) -> gzip.GzipFile | BinaryIO:
    with open(path, "rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path, "rb") if compressed else open(path, "rb")


def _check_idx_header(path: Path, header: bytes, shape: tuple[int, ...]) -> None:
    magic = bytes([0, 0, _UNSIGNED_BYTE, len(shape)])
    if header[:4] != magic:
        raise DataError(
            f"{path}: an IDX file of unsigned bytes with {len(shape)} dimensions begins with the bytes "
            f"{magic.hex(' ')}, but this one with {header[:4].hex(' ') or 'nothing'}. {_ADVICE}"
        )
    if len(header) != 4 + 4 * len(shape):
        raise DataError(f"{path}: ends within its header. {_ADVICE}")
    found = struct.unpack(f">{len(shape)}I", header[4:])
    if found != shape:
        raise DataError(f"{path}: must hold an array of shape {shape}, but its header says {found}. {_ADVICE}")


def _cifar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the batches, and of the list of class names, in the order they lie there."""
    wanted = (*CIFAR_TRAIN_BATCHES, CIFAR_TEST_BATCH, CIFAR_NAMES)
    if path.is_dir():
        for name in wanted:
            if (path / name).is_file():
                with open(path / name, "rb") as batch:
                    yield name, _read_sized(path, name, batch.read, (path / name).stat().st_size)
        return
    with _open(path) as plain:
        # As a stream: seeking back in a gzip file would decompress it again from its beginning.
        with tarfile.open(fileobj=plain, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if name in wanted and member.isreg() else None
                if file is not None:
                    yield name, _read_sized(path, name, file.read, member.size)
        while plain.read(1 << 20):  # to the end of the stream, where gzip compares its checksum
            pass


def _read_sized(path: Path, name: str, read: Callable[[int], bytes], size: int) -> bytes:
    expected = CIFAR_BATCH_SIZE * (1 + 3 * 32 * 32)
    if name == CIFAR_NAMES:
        if size > _LONGEST_NAMES:
            raise DataError(f"{path}: {name} must be a short list of names, but has {size:,} bytes. {_ADVICE}")
    elif size != expected:
        raise DataError(f"{path}: {name} must have {expected:,} bytes, but has {size:,}. {_ADVICE}")
    content = read(size)
    if len(content) != size:
        raise DataError(f"{path}: {name} ends after {len(content):,} of {size:,} bytes. {_ADVICE}")
    return content


def _check_names(path: Path, content: bytes, class_names: tuple[str, ...]) -> None:
    found = tuple(content.decode("ascii", "replace").split())
    if found != class_names:
        raise DataError(
            f"{path}: {CIFAR_NAMES} must list {', '.join(class_names)}, but lists {', '.join(found)}. {_ADVICE}"
        )
