"""The readers against files written byte by byte, and against every way a file can be wrong."""

import gzip
import struct

import numpy as np
import pytest

from qdistill.data import CIFAR10, readers
from qdistill.data.readers import read_cifar, read_idx
from qdistill.errors import DataError

PIXELS = bytes(range(2 * 3 * 4))
IMAGES = b"\x00\x00\x08\x03" + b"\x00\x00\x00\x02" + b"\x00\x00\x00\x03" + b"\x00\x00\x00\x04" + PIXELS


@pytest.mark.parametrize("name", ["images", "images.gz", "images.idx3-ubyte"])
@pytest.mark.parametrize("compressed", [True, False])
def test_idx_pixels_lie_in_row_major_order(tmp_path, name, compressed):
    path = tmp_path / name
    path.write_bytes(gzip.compress(IMAGES) if compressed else IMAGES)

    images = read_idx(path, (2, 3, 4))

    assert images.dtype == np.uint8
    assert images.shape == (2, 3, 4)
    assert [images[1, 0, 0], images[0, 1, 0], images[0, 0, 1]] == [12, 4, 1]


def test_idx_labels(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(struct.pack(">I", 2049) + struct.pack(">I", 3) + bytes([7, 0, 9]))

    np.testing.assert_array_equal(read_idx(path, (3,)), [7, 0, 9])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with the bytes 00 00 08 03, but this one with nothing"),
        (b"<html>", "but this one with 3c 68 74 6d"),
        (b"\x00\x00\x0d\x03" + IMAGES[4:], "but this one with 00 00 0d 03"),
        (b"\x00\x00\x08\x01" + IMAGES[4:], "but this one with 00 00 08 01"),
        (IMAGES[:9], "ends within its header"),
        (IMAGES[:4] + struct.pack(">3I", 2, 4, 3) + PIXELS, r"of shape \(2, 3, 4\), .* says \(2, 4, 3\)"),
        (IMAGES[:4] + struct.pack(">3I", 2**32 - 1, 3, 4) + PIXELS, "says \\(4294967295, 3, 4\\)"),
        (IMAGES[:-1], "must hold 24 bytes after its header, but holds only 23"),
        (IMAGES + b"\x00", "must hold 24 bytes after its header, but holds more"),
    ],
)
@pytest.mark.parametrize("name", ["broken-idx", "broken-idx.gz"])
def test_a_wrong_idx_file_is_refused_by_name(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, (2, 3, 4))
    assert str(path) in str(caught.value)


def test_every_damage_to_the_gzip_stream_is_noticed(tmp_path):
    path, content = tmp_path / "images.gz", gzip.compress(IMAGES, mtime=0)
    damaged = [content[:length] for length in range(len(content))]
    # The first ten bytes hold a time stamp and names of systems, which nobody needs to be right.
    damaged += [content[:i] + bytes([content[i] ^ 0x10]) + content[i + 1 :] for i in range(10, len(content))]
    harmless = 0
    for each in damaged:
        path.write_bytes(each)
        try:
            images = read_idx(path, (2, 3, 4))
        except DataError:
            continue
        # Harmless, such as a bit that only fills up the last byte of the compressed stream.
        assert images.tobytes() == PIXELS
        harmless += 1
    assert harmless <= 1


def test_a_folder_in_place_of_a_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, (2, 3, 4))


RECORDS = 4
NAMES = "".join(f"{name}\n" for name in CIFAR10.class_names).encode()


def batch(number):
    """Four records; every pixel of record i in plane c is 40 c + i, but the one in row 1, column 2."""
    content = b""
    for i in range(RECORDS):
        planes = [bytearray([40 * c + i] * 1024) for c in range(3)]
        for c, plane in enumerate(planes):
            plane[1 * 32 + 2] = 200 + c
        content += bytes([(number + i) % 10]) + b"".join(planes)
    return content


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(readers, "CIFAR_BATCH_SIZE", RECORDS)


@pytest.fixture
def files():
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    content = {name: batch(number) for number, name in enumerate(names)}
    return {"batches.meta.txt": NAMES, "readme.html": b"<html>"} | content


def members(files, folder="cifar-10-batches-bin/"):
    return {folder + name: content for name, content in files.items()}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("order", ["published", "reversed", "no names", "no folder", "extracted", "not compressed"])
def test_cifar_planes_become_channels(tmp_path, to_tar, files, order):
    path = tmp_path / "archive"
    if order == "extracted":
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    elif order == "reversed":
        to_tar(path, dict(reversed(members(files).items())))
    else:
        if order == "no names":
            del files["batches.meta.txt"]
        to_tar(path, members(files, "" if order == "no folder" else "./cifar-10-batches-bin/"))
    if order == "not compressed":
        path.write_bytes(gzip.decompress(path.read_bytes()))

    train_inputs, train_labels, test_inputs, test_labels = read_cifar(path, CIFAR10.class_names)

    assert train_inputs.shape == (20, 32, 32, 3)
    assert test_inputs.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(train_labels, [(n + i) % 10 for n in range(5) for i in range(4)])
    np.testing.assert_array_equal(test_labels, [5, 6, 7, 8])
    for i in range(4):
        for images in (train_inputs[8 + i], test_inputs[i]):
            np.testing.assert_array_equal(images[1, 2], [200, 201, 202])
            np.testing.assert_array_equal(images[2, 1], [i, 40 + i, 80 + i])
            assert (images == 200).sum() == 1


def without(files, name):
    return {key: content for key, content in files.items() if key != name}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: without(f, "data_batch_3.bin"), r"holds no data_batch_3\.bin\."),
        (lambda f: {"readme.html": b""}, r"holds no data_batch_1\.bin, .*, test_batch\.bin"),
        (lambda f: f | {"test_batch.bin": batch(0)[:-1]}, "must have 12,292 bytes, but has 12,291"),
        (lambda f: f | {"test_batch.bin": batch(0) + b"\x00"}, "must have 12,292 bytes, but has 12,293"),
        (lambda f: f | {"test_batch.bin": b"\x0a" + batch(0)[1:]}, r"test_batch\.bin: labels must be 0 to 9"),
        (lambda f: f | {"batches.meta.txt": b"apple\nfish\n"}, "but lists apple, fish"),
        (lambda f: f | {"batches.meta.txt": b"x" * 100_000}, "must be a short list of names"),
        (lambda f: f | {"again/test_batch.bin": batch(0)}, r"holds test_batch\.bin twice"),
    ],
)
def test_a_wrong_cifar_archive_is_refused_by_name(tmp_path, to_tar, files, change, message):
    path = to_tar(tmp_path / "cifar.tar.gz", members(change(files)))

    with pytest.raises(DataError, match=message) as caught:
        read_cifar(path, CIFAR10.class_names)
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("small_batches")
def test_a_damaged_cifar_archive_is_refused(tmp_path, to_tar, files):
    whole = to_tar(tmp_path / "whole", members(files)).read_bytes()
    path = tmp_path / "cifar.tar.gz"
    half = len(whole) // 2
    for damaged in (
        b"",
        b"<html>not found</html>",
        gzip.compress(b"not a tar file" * 100),
        whole[:half],
        whole[:-1],
        whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :],
        whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:],
        gzip.compress(gzip.decompress(whole)[:20_000]),
        gzip.decompress(whole)[:20_000],
        gzip.compress(whole),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"cifar\.tar\.gz"):
            read_cifar(path, CIFAR10.class_names)


def test_the_official_batches_have_30_730_000_bytes(tmp_path, to_tar, files):
    path = to_tar(tmp_path / "cifar.tar.gz", members(files))

    with pytest.raises(DataError, match=r"data_batch_1\.bin must have 30,730,000 bytes, but has 12,292"):
        read_cifar(path, CIFAR10.class_names)
