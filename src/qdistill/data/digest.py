r"""The digests of a dataset: SHA-256 sums by which two datasets are known to be the same, on any machine.

An input is hashed with its label: the pixels in row-major order, then the label as a 32-bit integer, the lowest byte of
every number first. Pixels are divided by the dataset's scale. If all of an input are then whole 255ths from 0 to 1, to
within a thousandth of one, each is hashed as the byte that says how many, and otherwise as a 32-bit floating-point
number, 0.0 for -0.0. So bytes up to 255 and the same inputs as numbers up to 1 have one digest. A dataset's digest is
that of a line of JSON, then of the 32-byte hashes of the training inputs in ascending order, then of those of the test
inputs:

    {"class_names": ["0", "1"], "test": [100, 28, 28, 1], "train": [600, 28, 28, 1]}

The line has its keys in this order, `, ` and `: ` between its items, every character beyond ASCII as `\uXXXX`, and ends
in a line feed. So the order of the inputs makes no difference, as it makes none to an accuracy. What depends on it,
such as which inputs are set aside for validation, is told by the ordered digest: the same with the hashes in the order
of the inputs. A dataset's name is in neither: it says nothing about what is in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped, UInt8

LEVELS = 255
_WHOLE = 1e-3  # how far from a whole level a pixel may be, which is far more than rounding does
_BLOCK = 1024  # inputs converted at a time


def head_of(class_names: Sequence[str], train: Shaped[np.ndarray, "_ ..."], test: Shaped[np.ndarray, "_ ..."]) -> bytes:
    """The line of JSON that a digest begins with, given the inputs of both parts."""
    head = {"class_names": list(class_names), "test": list(test.shape), "train": list(train.shape)}
    return json.dumps(head).encode("ascii") + b"\n"


def item_hashes(inputs: Shaped[np.ndarray, "n *shape"], labels: Int32[np.ndarray, "n"], scale: float) -> list[bytes]:
    """The hash of each input with its label, in their order; the arrays may have any layout in memory."""
    hashes, numbers = [], labels.astype("<i4").tobytes()
    for place, pixels in enumerate(_pixels(inputs, scale)):
        sha = hashlib.sha256(pixels)
        sha.update(numbers[4 * place : 4 * place + 4])
        hashes.append(sha.digest())
    return hashes


def digest(head: bytes, train: Sequence[bytes], test: Sequence[bytes]) -> str:
    """`sha256:` and 64 hexadecimal digits, given the head and the hashes of both parts."""
    return "sha256:" + hashlib.sha256(head + b"".join(train) + b"".join(test)).hexdigest()


def are_bytes(inputs: Shaped[np.ndarray, "n *shape"], scale: float) -> bool:
    """Whether every input is hashed as bytes, however it is written."""
    if inputs.dtype == np.uint8 and scale == LEVELS:
        return True
    blocks = (inputs[start : start + _BLOCK] for start in range(0, len(inputs), _BLOCK))
    return all(_levels(block.astype(np.float32) / np.float32(scale))[1].all() for block in blocks)


def _pixels(inputs: Shaped[np.ndarray, "n *shape"], scale: float) -> Iterator[memoryview]:
    """The bytes of each input as they are hashed."""
    for start in range(0, len(inputs), _BLOCK):
        block = inputs[start : start + _BLOCK]
        if block.dtype == np.uint8 and scale == LEVELS:
            yield from _rows(block)
            continue
        numbers = block.astype(np.float32) / np.float32(scale) + np.float32(0)  # makes 0.0 of -0.0
        levels, whole = _levels(numbers)
        for as_bytes, as_numbers, is_whole in zip(_rows(levels), _rows(numbers.astype("<f4")), whole, strict=True):
            yield as_bytes if is_whole else as_numbers


def _levels(
    numbers: Float32[np.ndarray, "n *shape"],
) -> tuple[UInt8[np.ndarray, "n *shape"], Bool[np.ndarray, "n"]]:
    """The levels from 0 to 255 nearest to the pixels, and which inputs consist of them."""
    scaled = numbers * np.float32(LEVELS)
    levels = np.clip(np.rint(scaled), 0, LEVELS)
    return levels.astype(np.uint8), (np.abs(scaled - levels) <= _WHOLE).reshape(len(levels), -1).all(axis=1)


def _rows(array: Shaped[np.ndarray, "n *shape"]) -> Iterator[memoryview]:
    """The memory of each input."""
    content = np.ascontiguousarray(array).data.cast("B")
    size = len(content) // len(array)
    return (content[place : place + size] for place in range(0, len(content), size))
