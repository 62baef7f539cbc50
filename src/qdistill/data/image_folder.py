"""Reads a folder of images: PNG and JPEG files in one folder for each class, by Pillow.

Where the folder holds `train` and `test`, and class folders in these, that is the division into parts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qdistill.data.raw import Inputs
from qdistill.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")

_PARTS = ("train", "test")
_IGNORED = {"thumbs.db", "desktop.ini"}  # files of the system's, as those whose names begin with a point
_READ_AS = {"1": "1", "L": "L", "RGB": "RGB", "P": "RGB", "I;16": "I;16"}
"""The modes of Pillow that have one meaning as pixels without transparency, and as which they are read."""
_SCALES = {"1": 1.0, "L": 255.0, "RGB": 255.0, "I;16": 65535.0}
"""The pixel value that is white."""


@dataclass(frozen=True)
class FolderOfImages:
    """What a folder of images holds.

    Args:
        images: of each part, one or training and test: pixels of shape (n, height, width, channels).
        labels: of each part: the name of the folder that each image lies in.
        scale: the pixel value that is white.
    """

    images: tuple[Inputs, ...]
    labels: tuple[tuple[str, ...], ...]
    scale: float


def read_folder(folder: Path) -> FolderOfImages:
    """Read a folder of images, in the order of their names.

    Raises:
        DataError: the folder or a file cannot be read, a file is no image, or the images are of different sizes or
            modes.
    """
    classes = _folders(folder)
    parts = [folder / name for name in _PARTS] if {path.name for path in classes} == set(_PARTS) else [folder]
    listed = [[(path, own.name) for own in _folders(part) for path in _files(own)] for part in parts]
    first, _ = listed[0][0]
    mode, size = _mode_and_size(first)
    arrays = []
    for part in listed:
        pixels = [_read(path, mode, size, first) for path, _ in part]
        arrays.append(np.stack(pixels))
    return FolderOfImages(tuple(arrays), tuple(tuple(label for _, label in part) for part in listed), _SCALES[mode])


def _folders(folder: Path) -> list[Path]:
    """The class folders in a folder."""
    within = _visible(folder)
    files = [path for path in within if not path.is_dir()]
    if files:
        raise DataError(
            f"{files[0]}: must lie in a folder of its class, such as {folder / 'CLASS' / files[0].name}, but lies in "
            f"{folder} itself."
        )
    if not within:
        raise DataError(f"{folder}: must hold one folder of images for each class, but is empty.")
    return within


def _files(folder: Path) -> list[Path]:
    """The images in a class folder."""
    within = _visible(folder)
    for path in within:
        if path.is_dir() or path.suffix.lower() not in SUFFIXES:
            kind = "a folder" if path.is_dir() else "another file"
            raise DataError(f"{path}: must be a PNG or JPEG file ({', '.join(SUFFIXES)}), but is {kind}.")
    if not within:
        raise DataError(f"{folder}: must hold the images of its class, but is empty.")
    return within


def _visible(folder: Path) -> list[Path]:
    """What is in a folder but for files of the system's, in the order of the names on any machine."""
    try:
        paths = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}.") from error
    return [path for path in paths if not path.name.startswith(".") and path.name.lower() not in _IGNORED]


def _mode_and_size(path: Path) -> tuple[str, tuple[int, int]]:
    image, mode = _open(path)
    return mode, image.size


def _read(path: Path, mode: str, size: tuple[int, int], first: Path) -> Inputs:
    """The pixels of an image of the mode and size of the first one, (height, width, channels)."""
    image, own = _open(path)
    if own != mode:
        raise DataError(f"{path}: must have pixels of the mode {mode} as {first} has, but has {own}.")
    if image.size != size:
        width, height = image.size
        raise DataError(
            f"{path}: must be {size[0]} pixels wide and {size[1]} high as {first} is, but is {width} wide and {height} "
            "high. Bring all to one size."
        )
    pixels = np.asarray(image)
    pixels = pixels.astype(np.float32 if mode == "I;16" else np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _open(path: Path) -> tuple[Any, str]:
    """An image, upright and without a palette, and the mode of its pixels."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                image.verify()  # the checksums, which are not looked at when the pixels are read; it closes the image
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                n_frames, mode, see_through = getattr(image, "n_frames", 1), image.mode, "transparency" in image.info
                upright = ImageOps.exif_transpose(image)
                upright.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: must be a PNG or JPEG image, but is none that can be read: {error}.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an image: {error}. Replace it with a whole file.") from error
    if n_frames > 1:
        raise DataError(f"{path}: must be one picture, but has {n_frames} frames.")
    if mode not in _READ_AS or see_through:
        raise DataError(
            f"{path}: must be black and white, grey or colour without transparency, but has the mode {mode}"
            f"{' and transparent pixels' * see_through}. Save it as grey or RGB."
        )
    return upright.convert(_READ_AS[mode]) if _READ_AS[mode] != mode else upright, _READ_AS[mode]
