r"""The digests of a dataset: SHA-256 sums by which two datasets are known to be the same, on any machine.

Each image is hashed with its label: the pixels in row-major order, then the label as a 32-bit integer, the lowest byte
of every number first, 0.0 for -0.0. A dataset's digest is that of a line of JSON, then of the 32-byte hashes of the
training images in ascending order, then of those of the test images:

    {"class_names": ["0", "1"], "pixels": "|u1", "scale": 255.0, "test": [100, 28, 28, 1], "train": [600, 28, 28, 1]}

The line has its keys in this order, `, ` and `: ` between its items, every character beyond ASCII as `\uXXXX`, and
ends in a line feed; `pixels` is `|u1` for bytes and `<f4` for 32-bit floating-point numbers. So the order of the images
makes no difference, as it makes none to an accuracy. What depends on it, such as which images are set aside for
validation, is told by the ordered digest: the same with the hashes in the order of the images. A dataset's name is in
neither: it says nothing about what is in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int32, Shaped

_BLOCK = 1 << 24  # bytes brought to one layout at a time


def head_of(
    scale: float, class_names: Sequence[str], train: Shaped[np.ndarray, "..."], test: Shaped[np.ndarray, "..."]
) -> bytes:
    """The line of JSON that a digest begins with, given the images of both parts."""
    head = {
        "class_names": list(class_names),
        "pixels": train.dtype.newbyteorder("<").str,
        "scale": float(scale),
        "test": list(test.shape),
        "train": list(train.shape),
    }
    return json.dumps(head).encode("ascii") + b"\n"


def item_hashes(images: Shaped[np.ndarray, "n ..."], labels: Int32[np.ndarray, "n"]) -> list[bytes]:
    """The hash of each image with its label, in their order; the arrays may have any layout in memory."""
    hashes = []
    for pixels, label in zip(_items(images), _items(labels), strict=True):
        sha = hashlib.sha256(pixels)
        sha.update(label)
        hashes.append(sha.digest())
    return hashes


def digest(head: bytes, train: Sequence[bytes], test: Sequence[bytes]) -> str:
    """`sha256:` and 64 hexadecimal digits, given the head and the hashes of both parts."""
    return "sha256:" + hashlib.sha256(head + b"".join(train) + b"".join(test)).hexdigest()


def _items(array: Shaped[np.ndarray, "n ..."]) -> Iterator[memoryview]:
    """The bytes of each item along the first axis, as they are hashed."""
    step = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        block = array[start : start + step]
        if block.dtype.kind == "f":
            block = block + 0.0  # makes 0.0 of -0.0
        content = np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data.cast("B")
        size = len(content) // len(block)
        yield from (content[place : place + size] for place in range(0, len(content), size))
