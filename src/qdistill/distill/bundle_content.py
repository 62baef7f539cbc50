"""What a bundle's file holds: a header and arrays, found to fit each other before writing and after reading."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.data import FittedChain
from qdistill.data.fitted import array_names
from qdistill.distill.bundle_check import AXES, WEIGHTS, check_arrays, structure_of
from qdistill.distill.bundle_file import pack, unpack
from qdistill.distill.bundle_header import Header
from qdistill.distill.eight_bit import packed, unpacked
from qdistill.errors import BundleError, RunError
from qdistill.files import write_whole
from qdistill.models import named_weights


@dataclass(frozen=True)
class Content:
    """A bundle as its file has it.

    Args:
        header: everything but arrays.
        arrays: by their names in the file, of float32, and of integers the schedule.
        transform: of the real inputs, which the header and some of the arrays say.
        eight_bit: whether the inputs and the weights are stored with a byte a number.
    """

    header: Header
    arrays: Mapping[str, np.ndarray]
    transform: FittedChain
    eight_bit: bool

    @classmethod
    def from_file(cls, path: Path) -> Content:
        """What a file holds, after everything in it was checked.

        Raises:
            BundleError: the file is missing, damaged, foreign, of a newer format, or contradicts itself.
        """
        try:
            return cls._read(*unpack(path))
        except BundleError as error:
            raise BundleError(f"Cannot read the bundle {path}: {error}") from error

    def to_file(self, path: Path) -> None:
        """Write a file, whole or not at all: a crash or a full disk leaves what was there before.

        Raises:
            BundleError: it cannot be written, or `from_file` would not take it back.
        """
        if path.is_dir():
            raise BundleError(f"Cannot write the bundle {path}: it is a folder.")
        try:
            content = self.to_bytes()
        except BundleError as error:
            raise BundleError(f"Cannot write the bundle {path}: {error}") from error
        try:
            write_whole(path, content)
        except RunError as error:
            raise BundleError(str(error)) from error

    def to_bytes(self) -> bytes:
        """The file's content, after it was checked as a reader checks it; the same bundle gives the same bytes.

        Raises:
            BundleError: it is not one that `from_file` would take back.
        """
        self._check_arrays()
        arrays = {**self.arrays, "schedule": self.arrays["schedule"].astype(np.int32)}
        # The network has an order of its own.
        header = dataclasses.replace(self.header, weight_names=self._names_in_order()).to_json()
        if self.eight_bit:
            arrays = packed(arrays, _rounded(self.header.held_names))
        return pack(header, arrays)

    @classmethod
    def _read(cls, plain: Any, arrays: dict[str, np.ndarray]) -> Content:
        header = Header.from_json(plain)
        rounded = _rounded(header.held_names)
        eight_bit = "inputs" in arrays and arrays["inputs"].dtype == np.uint8
        if eight_bit:
            arrays = unpacked(arrays, rounded)
        _check_names(header, arrays)
        for name, array in arrays.items():
            wanted = np.int32 if name == "schedule" else np.float32
            if array.dtype != wanted:
                raise BundleError(f"`{name}` must be of the type {wanted.__name__}, but is {array.dtype.name}.")
        transform = FittedChain.of(float(header.data.scale), header.transforms, arrays)
        content = cls(header, arrays, transform, eight_bit)
        content._check_arrays()
        if header.weight_names != content._names_in_order():
            raise BundleError("Field `weight_names` of the header must be in the network's order.")
        return content

    def _check_arrays(self) -> None:
        header = self.header
        n_classes, n_weights = len(header.data.class_names), len(header.weight_names)
        check_arrays(self.arrays, header.inner, n_classes, self.transform, n_weights)

    def _names_in_order(self) -> tuple[str, ...]:
        """The names of all weights in the network's order; as they are where the network is not described."""
        header, inputs = self.header, self.arrays["inputs"]
        if header.architecture is None:
            return header.weight_names
        weights = {name: self.arrays[WEIGHTS + name] for name in header.held_names}
        n_classes = self.arrays["labels"].shape[1]
        model = structure_of(header.architecture, weights, inputs.shape[1:], n_classes, header.drawn_names)
        return tuple(named_weights(model))


def _rounded(held_names: tuple[str, ...]) -> list[str]:
    """The arrays that are stored with a byte a number."""
    return ["inputs", *(WEIGHTS + name for name in held_names)]


def _check_names(header: Header, arrays: Mapping[str, Any]) -> None:
    names = header.weight_names
    expected = {*AXES, *array_names(header.transforms), *(WEIGHTS + name for name in header.held_names)}
    if set(arrays) != expected or len(set(names)) != len(names):
        missing, foreign = sorted(expected - set(arrays)), sorted(set(arrays) - expected)
        raise BundleError(f"it must hold the tensors that its header names; missing: {missing}, foreign: {foreign}.")
