"""What the datasets give, where they look for their files, and what a user's own arrays must be."""

import dataclasses
import gzip
import hashlib
import importlib.util
import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from qdistill.data import (
    CIFAR10,
    MNIST,
    Digits,
    FashionMNIST,
    Images,
    Labelled,
    RawDataset,
)
from qdistill.data.readers import read_idx
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.errors import ArgumentError, DataError, MissingExtraError

# The folder for data, and that of Debian's package dataset-fashion-mnist.
FASHION_FOLDERS = [
    Path(folder).resolve()
    for folder in (os.environ.get("QDISTILL_DATA_DIR"), "/usr/share/datasets")
    if folder and Path(folder, "fashion-mnist").is_dir()
]


# Files in a folder


def put(idx_folder, folder):
    shutil.copytree(idx_folder, folder)


@pytest.mark.parametrize(
    ("dataset", "layout"),
    [
        (MNIST(), "mnist"),
        (MNIST(), "MNIST/raw"),
        (FashionMNIST(), "fashion-mnist"),
        (FashionMNIST(), "FashionMNIST/raw"),
    ],
)
@pytest.mark.parametrize("by", ["argument", "variable"])
@pytest.mark.usefixtures("published")
def test_idx_datasets_are_read_from_the_named_folder(
    tmp_path, idx_folder, idx_arrays, monkeypatch, dataset, layout, by
):
    put(idx_folder, tmp_path / layout)
    if by == "variable":
        monkeypatch.setenv("QDISTILL_DATA_DIR", str(tmp_path))

    raw = dataset.load(tmp_path) if by == "argument" else dataset.load()

    assert raw.name == dataset.name
    assert raw.class_names == dataset.class_names
    assert raw.scale == 255.0
    assert raw.train_inputs.dtype == np.uint8
    assert raw.train_labels.dtype == np.int32
    assert raw.train_inputs.shape == (60_000, *dataset.input_shape)
    np.testing.assert_array_equal(raw.train_inputs[..., 0], idx_arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(raw.test_inputs[..., 0], idx_arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(raw.train_labels, idx_arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(raw.test_labels, idx_arrays["t10k-labels-idx1-ubyte"])


@pytest.mark.usefixtures("published")
def test_the_argument_goes_before_the_variable(tmp_path, idx_folder, monkeypatch):
    put(idx_folder, tmp_path / "mnist")
    monkeypatch.setenv("QDISTILL_DATA_DIR", str(tmp_path / "elsewhere"))

    assert len(MNIST().load(tmp_path).test_labels) == 10_000
    with pytest.raises(DataError, match=r"environment variable QDISTILL_DATA_DIR .* no such folder"):
        MNIST().load()


@pytest.mark.parametrize(
    ("dataset", "missing"),
    [
        (MNIST(), r"train-images-idx3-ubyte\.gz \(or train-images-idx3-ubyte or train-images\.idx3-ubyte or .*\)"),
        (
            FashionMNIST(),
            r"train-images-idx3-ubyte\.gz \(or train-images-idx3-ubyte or train-images\.idx3-ubyte or .*\)",
        ),
        (CIFAR10(), r"cifar-10-binary\.tar\.gz \(or cifar-10-binary\.tar or cifar-10-batches-bin\)"),
    ],
)
def test_a_named_folder_without_the_files_is_an_error_and_stays_as_it_is(tmp_path, dataset, missing):
    with pytest.raises(DataError, match=missing) as caught:
        dataset.load(tmp_path)

    message = str(caught.value)
    assert str(tmp_path) in message
    assert "`data_dir`" in message
    assert all(mirror in message for mirror in dataset.mirrors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("ending", ["-idx{}-ubyte", "-idx{}-ubyte.gz", ".idx{}-ubyte", ".idx{}-ubyte.gz"])
def test_idx_files_as_programs_unpack_them(tmp_path, idx_folder, ending, compressed):
    (tmp_path / "mnist").mkdir()
    for path in idx_folder.iterdir():
        stem, digit = re.match(r"(.*)-idx(\d)-ubyte", path.name).groups()
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        named = tmp_path / "mnist" / (stem + ending.format(digit))
        named.write_bytes(gzip.compress(content, 1) if compressed else content)

    assert len(MNIST().load(tmp_path).train_labels) == 60_000


def test_one_missing_file_is_named(tmp_path, idx_folder):
    put(idx_folder, tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()

    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz"):
        MNIST().load(tmp_path)


def test_a_label_out_of_range_is_a_data_error(tmp_path, idx_folder, to_idx):
    put(idx_folder, tmp_path / "mnist")
    labels = np.zeros(10_000, np.uint8)
    labels[5000] = 10
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(to_idx(labels))

    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: labels must be 0 to 9, but one is 10"):
        MNIST().load(tmp_path)


def test_a_part_of_a_dataset_is_not_that_dataset(tmp_path, idx_folder, to_idx):
    put(idx_folder, tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(to_idx(np.zeros(9_999, np.uint8)))

    with pytest.raises(DataError, match=r"must hold an array of shape \(10000,\)"):
        MNIST().load(tmp_path)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("part", ["images", "labels"])
def test_files_that_were_changed_are_not_what_was_published(tmp_path, idx_folder, idx_arrays, to_idx, part):
    name = {"images": "t10k-images-idx3-ubyte", "labels": "train-labels-idx1-ubyte"}[part]
    array = idx_arrays[name].copy()
    array.flat[-1] ^= 1
    put(idx_folder, tmp_path / "mnist")
    (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(to_idx(array), 1))
    (tmp_path / "mnist" / name).unlink(missing_ok=True)

    with pytest.raises(
        DataError, match=r"must hold mnist as published .* other images or labels .*`.*Images`"
    ) as caught:
        MNIST().load(tmp_path)
    assert str(tmp_path / "mnist") in str(caught.value)


@pytest.mark.usefixtures("published")
def test_the_files_of_another_dataset_are_named(tmp_path, idx_folder, monkeypatch):
    put(idx_folder, tmp_path / "fashion-mnist")
    monkeypatch.setattr(FashionMNIST, "digest", "sha256:" + 64 * "0")

    with pytest.raises(DataError, match=r"must hold fashion-mnist as published .*, but holds mnist \("):
        FashionMNIST().load(tmp_path)


def test_the_order_of_published_inputs_does_not_matter(tmp_path, idx_folder, idx_arrays, to_idx, published):
    put(idx_folder, tmp_path / "mnist")
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(to_idx(idx_arrays[name][::-1]), 1))

    assert MNIST().load(tmp_path).test_labels[0] == 9


# Real files


def test_real_mnist_is_byte_for_byte_the_official_one(real_mnist):
    def md5(array, magic, kind):
        header = b"".join(size.to_bytes(4, "big") for size in (magic, *array.shape))
        return hashlib.md5(header + array.astype(kind).tobytes()).hexdigest()

    raw = real_mnist
    assert md5(raw.train_inputs[..., 0], 2051, np.uint8) == "6bbc9ace898e44ae57da46a324031adb"
    assert md5(raw.train_labels, 2049, np.uint8) == "a25bea736e30d166cdddb491f175f624"
    assert md5(raw.test_inputs[..., 0], 2051, np.uint8) == "2646ac647ad5339dbf082846283269ea"
    assert md5(raw.test_labels, 2049, np.uint8) == "27ae3e4e09519cfbb04c329615203637"


def test_real_cifar10(real_cifar10):
    raw = real_cifar10
    assert raw.train_inputs.shape == (50_000, 32, 32, 3)
    assert raw.test_inputs.shape == (10_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(raw.train_labels), [5_000] * 10)
    np.testing.assert_array_equal(np.bincount(raw.test_labels), [1_000] * 10)
    # A photograph is smooth along rows and columns, and brighter above than below; planes or axes put
    # together wrongly are neither.
    sample = raw.train_inputs[:2000].astype(np.float64)
    assert np.abs(np.diff(sample, axis=1)).mean() < 20
    assert np.abs(np.diff(sample, axis=2)).mean() < 20
    assert sample[:, :8].mean() > sample[:, -8:].mean()


def test_real_mnist_in_the_folder_of_fashion_mnist(tmp_path, real_data):
    (tmp_path / "fashion-mnist").symlink_to(real_data / "mnist")

    with pytest.raises(DataError, match=r"must hold fashion-mnist as published .*, but holds mnist \("):
        FashionMNIST().load(tmp_path)


@pytest.mark.skipif(not FASHION_FOLDERS, reason="Fashion-MNIST is not on this machine")
def test_real_fashion_mnist():
    raw = FashionMNIST().load(FASHION_FOLDERS[0])

    np.testing.assert_array_equal(np.bincount(raw.train_labels), [6_000] * 10)
    assert raw.train_inputs.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert raw.train_inputs.std() / 255 == pytest.approx(0.3530, abs=5e-5)


# Digits


@pytest.fixture(scope="module")
def digits():
    return Digits().load()


def test_digits_are_split_evenly(digits):
    n_train, n_test = np.bincount(digits.train_labels), np.bincount(digits.test_labels)

    assert digits.train_inputs.shape == (1297, 28, 28, 1)
    assert digits.test_inputs.shape == (500, 28, 28, 1)
    assert digits.train_inputs.dtype == np.uint8
    assert np.abs(n_test - 500 * (n_train + n_test) / 1797).max() < 1
    np.testing.assert_array_equal(digits.test_inputs, Digits().load().test_inputs)


def test_digits_are_those_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)
    interpolated = jax.image.resize(levels.reshape(-1, 8, 8) * 255 / 16, (1797, 28, 28), "linear")
    ours = np.concatenate([digits.train_inputs, digits.test_inputs])[..., 0].astype(np.float64)
    ours_labels = np.concatenate([digits.train_labels, digits.test_labels])

    # In either order of the images: sorted by the (rounded) sum of their pixels and by label.
    np.testing.assert_array_equal(np.bincount(ours_labels), np.bincount(labels))
    squares = np.square(interpolated).sum((1, 2))[:, None] + np.square(ours).sum((1, 2))
    distance = squares - 2 * np.asarray(interpolated).reshape(1797, -1) @ ours.reshape(1797, -1).T
    nearest = np.asarray(distance.argmin(0))
    assert len(set(nearest.tolist())) == 1797
    np.testing.assert_array_equal(ours_labels, labels[nearest])
    assert np.abs(np.asarray(interpolated)[nearest] - ours).max() <= 0.5 + 1e-3


def test_digits_keep_the_range_of_grey_levels(digits):
    assert digits.train_inputs.min() == 0
    assert digits.train_inputs.max() == 255


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match="pip install scikit-learn"):
        Digits().load()


@pytest.mark.parametrize("content", [None, b"", b"1,2,3\n4,5,6\n", b"1,2\n3\n", (b"17," * 64 + b"1\n") * 1797])
def test_digits_from_a_broken_installation(monkeypatch, tmp_path, content):
    folder = tmp_path / "datasets" / "data"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "digits.csv.gz").write_bytes(gzip.compress(content))
    spec = importlib.util.spec_from_loader("sklearn", loader=None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    with pytest.raises(DataError, match=r"digits\.csv\.gz.*Install scikit-learn again"):
        Digits().load()


# RawDataset


def raw_dataset(**changes):
    parts = {
        "name": "two",
        "class_names": ("a", "b"),
        "train_inputs": np.zeros((4, 3, 2, 1), np.uint8),
        "train_labels": np.array([0, 1, 0, 1], np.int32),
        "test_inputs": np.zeros((2, 3, 2, 1), np.uint8),
        "test_labels": np.array([1, 0], np.int32),
        "scale": 255.0,
    }
    return RawDataset(**parts | changes)


ARRAYS = (np.zeros((2, 3, 2), np.uint8), np.array([0, 1])) * 2


def floats(value):
    images = np.zeros((4, 3, 2, 1), np.float32)
    images[-1, 0, 0, 0] = value
    return images


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ()}, "`class_names` must name at least one class"),
        ({"scale": 0.0}, "`scale` must be finite and above 0, but is 0.0"),
        ({"scale": float("nan")}, "`scale` must be finite and above 0, but is nan"),
        ({"scale": 10**400}, "`scale` must be finite and above 0, but is inf"),
        ({"scale": 1e-40}, "`scale` must be from 1e-30 to 1e.30, but is 1e-40"),
        ({"scale": True}, "`scale` must be a number, but was True"),
        ({"scale": "255"}, "`scale` must be a number, but was '255'"),
        ({"train_inputs": [[[[0]]]]}, "`train_inputs` must be a NumPy array, but is of type list"),
        ({"test_labels": np.ma.array([0, 1], np.int32)}, "`test_labels` must be a NumPy array, .* MaskedArray"),
        (
            {"train_inputs": floats(1.0), "test_inputs": floats(255.0)[2:]},
            "`train_inputs` and `test_inputs` must be in the same units, but reach to 1 and to 255",
        ),
        (
            {"train_inputs": np.zeros(4, np.uint8)},
            r"`train_inputs` must have an axis for the inputs and one .* has the shape \(4,\)",
        ),
        ({"train_inputs": np.zeros((4, 3, 2, 1))}, "`train_inputs` must be of type .* but is float64"),
        ({"train_inputs": floats(np.nan)}, "`train_inputs` must be finite"),
        ({"train_inputs": floats(np.inf)}, "`train_inputs` must be finite"),
        ({"train_inputs": floats(0.0)}, "`test_inputs` must have the type float32"),
        ({"train_inputs": np.zeros((0, 3, 2, 1), np.uint8)}, "`train_inputs` must not be empty"),
        ({"test_inputs": np.zeros((2, 0, 2, 1), np.uint8)}, "`test_inputs` must not be empty"),
        ({"test_inputs": np.zeros((2, 2, 3, 1), np.uint8)}, r"`test_inputs` must .* \(3, 2, 1\)"),
        (
            {"train_labels": np.array([0, 1], np.int32)},
            "`train_labels` must hold one label for each of the 4",
        ),
        ({"test_labels": np.zeros((2, 1), np.int32)}, r"`test_labels` must .* has the shape \(2, 1\)"),
        ({"test_labels": np.zeros(2)}, "`test_labels` must be of type int32, but is float64"),
        (
            {"test_labels": np.array([0, 2], np.int32)},
            "`test_labels` must hold labels from 0 to 1, .* holds 2",
        ),
        ({"test_labels": np.array([0, -1], np.int32)}, "`test_labels` must hold labels .* holds -1"),
    ],
)
def test_a_raw_dataset_that_does_not_fit_together(changes, message):
    with pytest.raises(ArgumentError, match=message):
        raw_dataset(**changes)


def test_a_raw_dataset_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        raw_dataset().scale = 1.0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(4, 3, 32, 32), (4, 1, 28, 28), (4, 3, 32, 30), (4, 1, 8, 4)])
def test_channels_first_are_refused_with_what_to_write(shape):
    images = np.zeros(shape, np.uint8)
    written = re.escape("Give `inputs.transpose(0, 2, 3, 1)`.") + "$"

    with pytest.raises(ArgumentError, match=r"`train_inputs` must have its channels last, .*" + written):
        raw_dataset(train_inputs=images)
    with pytest.raises(ArgumentError, match=r"`inputs` must have its channels last, .*" + written):
        Labelled(images, np.zeros(4, np.int32))
    with pytest.raises(ArgumentError, match=r"`inputs` must have its channels last, .*" + written):
        fit_chain((Standardise(),), images, 255.0)
    last = images.transpose(0, 2, 3, 1)
    assert raw_dataset(train_inputs=last, test_inputs=last[:2]).train_inputs.shape == last.shape


@pytest.mark.parametrize(
    "shape", [(4, 3, 5, 1), (4, 1, 1, 1), (4, 3, 3, 3), (4, 1, 7, 3), (4, 28, 28, 2), (4, 2, 9, 9)]
)
def test_inputs_of_few_rows_are_images(shape):
    images = np.zeros(shape, np.uint8)

    assert raw_dataset(train_inputs=images, test_inputs=images[:2]).train_inputs.shape == shape


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((1, 2), r"`class_names\[0\]` must be a string, but was 1 of type int"),
        (("a", None), r"`class_names\[1\]` must be a string, but was None"),
        (("a", b"b"), r"`class_names\[1\]` must be a string, but was b'b'"),
        (("a", "a"), "`class_names` must hold each name once, but holds 'a' twice"),
        (("a", ""), r"`class_names\[1\]` must not be blank"),
        (("a", " \t"), r"`class_names\[1\]` must not be blank"),
        (("a", "b\n"), r"`class_names\[1\]` must hold no control characters"),
        (("a", "\x1b[31mb"), r"`class_names\[1\]` must hold no control characters"),
        (("a", "\ud800"), r"`class_names\[1\]` must hold no .* lone surrogates"),
        ("ab", "`class_names` must be a tuple of names .* but was 'ab'"),
        ({"a", "b"}, "`class_names` must be a tuple of names in the order of the labels"),
        ({"a": 0, "b": 1}, "`class_names` must be a tuple of names in the order of the labels"),
        (np.array("ab"), "`class_names` must be a tuple of names"),
        (2, "`class_names` must be a tuple of names .* but was 2"),
    ],
)
def test_class_names_that_are_none(names, message):
    with pytest.raises(ArgumentError, match=message):
        raw_dataset(class_names=names)
    with pytest.raises(ArgumentError, match=message):
        Images(*ARRAYS, class_names=names)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "to", [list, np.array, lambda names: tuple(np.array(names)), lambda names: np.array(names, object)]
)
def test_class_names_become_plain_strings(to):
    names = ("T-shirt/top", "cœur \u200d$5")

    for found in (raw_dataset(class_names=to(names)).class_names, Images(*ARRAYS, class_names=to(names)).class_names):
        assert found == names
        assert [type(name) for name in found] == [str, str]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["", " ", "a\nb", 1, None, "\udc00"])
def test_a_dataset_has_a_name_that_can_be_shown(name):
    with pytest.raises(ArgumentError, match="`name` must"):
        raw_dataset(name=name)


def test_the_arrays_of_a_dataset_cannot_be_changed():
    raw = raw_dataset()

    for part in ("train_inputs", "train_labels", "test_inputs", "test_labels"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(raw, part)[0] = 0


def test_the_images_of_a_file_cannot_be_changed(tmp_path, to_idx):
    path = tmp_path / "images"
    path.write_bytes(to_idx(np.zeros((1, 2, 2), np.uint8)))

    with pytest.raises(ValueError, match="read-only"):
        read_idx(path, (1, 2, 2))[0] = 1
