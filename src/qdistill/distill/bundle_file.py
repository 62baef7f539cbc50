"""The file of a bundle: a text of JSON and arrays in one safetensors file, with a digest over both.

`docs/bundle-format.md` describes it. Reading trusts nothing and runs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from qdistill import strict_json
from qdistill.errors import BundleError

FORMAT = "qdistill-bundle"
"""What the file's metadata says of its kind."""

FORMAT_VERSION = "5"
"""Another whenever a reader of this one would misread the file."""

MOST_HEADER_BYTES = 1 << 24
"""Of all JSON in a file: that of the largest circuits that can be simulated is a few megabytes."""

_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "U8": np.dtype("u1")}
_METADATA = {"format", "format_version", "header", "digest"}

Arrays = dict[str, np.ndarray]


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file's content; the same header and arrays give the same bytes.

    Args:
        header: plain JSON.
        arrays: of the types float32, int32 and uint8.

    Raises:
        BundleError: the header is larger than a reader takes.
    """
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    metadata = {"format": FORMAT, "format_version": FORMAT_VERSION, "header": text, "digest": digest(text, ordered)}
    content = save(ordered, metadata=metadata)
    # The library writes the metadata in the order of a hash table, which differs from one call to the next.
    start = 8 + int.from_bytes(content[:8], "little")
    front = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    front += b" " * (-len(front) % 8)
    if len(front) > MOST_HEADER_BYTES:
        raise BundleError(_too_large(len(front)))
    return len(front).to_bytes(8, "little") + front + content[start:]


def unpack(path: Path) -> tuple[Any, Arrays]:
    """The header and all arrays, with nothing known of them but that they are a bundle's and undamaged.

    Raises:
        BundleError: the file cannot be read, is damaged or foreign, or of another version.
    """
    content = _content(path)
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        entries = strict_json.loads(content[8:start].decode())
        tensors: list[tuple[str, Any]] = deserialize(content)  # type: ignore[no-untyped-call]
    except (ValueError, SafetensorError) as error:
        raise BundleError(f"it is damaged, cut short or no safetensors file ({error}).") from error
    metadata = entries.pop("__metadata__", None) or {}
    if metadata.get("format") != FORMAT:
        raise BundleError("it is a safetensors file, but not a bundle of qdistill.")
    _check_version(metadata.get("format_version", ""))
    if set(metadata) != _METADATA:
        raise BundleError(f"its metadata must be {', '.join(sorted(_METADATA))}, but is {', '.join(sorted(metadata))}.")
    for name, tensor in tensors:
        if tensor["dtype"] not in _TYPES:
            raise BundleError(f"`{name}` has the type {tensor['dtype']}; a bundle holds F32, I32 and U8 only.")
    arrays = {name: _array(tensor) for name, tensor in tensors}
    found = digest(metadata["header"], arrays)
    if found != metadata["digest"]:
        raise BundleError(f"it is damaged, or was changed: its digest is {found}, and it says {metadata['digest']}.")
    try:
        return strict_json.loads(metadata["header"]), arrays
    except ValueError as error:
        raise BundleError(f"its header is not JSON ({error}).") from error


def digest(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    """`sha256:` and the hexadecimal digits of a hash over the header's text, the arrays' names and types, and them."""
    names = sorted(arrays)
    types = {dtype: name for name, dtype in _TYPES.items()}
    listed = [[name, types[arrays[name].dtype.newbyteorder("<")], list(arrays[name].shape)] for name in names]
    sha = hashlib.sha256(f"{header}\n{json.dumps(listed)}\n".encode())
    for name in names:
        sha.update(np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<")).tobytes())
    return f"sha256:{sha.hexdigest()}"


def _array(tensor: Any) -> np.ndarray:
    """One tensor as the library gives it; not to be written to."""
    flat: np.ndarray = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]])
    return flat.reshape(tensor["shape"])


def _content(path: Path) -> bytes:
    """All bytes, after the first eight said that so many can be a bundle's."""
    if path.is_dir():
        raise BundleError("it is a folder.")
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = int.from_bytes(start, "little")
            if size > MOST_HEADER_BYTES:
                raise BundleError(f"it is damaged, cut short or no safetensors file, or {_too_large(size)}")
            return start + file.read()
    except OSError as error:
        raise BundleError(f"{error.strerror or error}.") from error


def _too_large(size: int) -> str:
    return f"its header is of {size:,} bytes, and one of at most {MOST_HEADER_BYTES:,} is read."


def _check_version(version: str) -> None:
    if version == FORMAT_VERSION:
        return
    if not (version.isdecimal() and version.isascii() and len(version) < 10 and int(version) >= 1):
        raise BundleError(f"its format version is {version[:40]!r}, which is none.")
    newer = " Install a newer one." if int(version) > int(FORMAT_VERSION) else ""
    raise BundleError(f"it has the format version {version}, and this qdistill reads {FORMAT_VERSION} only.{newer}")
