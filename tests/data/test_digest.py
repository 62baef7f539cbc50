"""A dataset's digests against a computation of their own, and against every way to hold the same numbers."""

import dataclasses
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qdistill.data import RawDataset, split


def dataset(**changes):
    generator = np.random.default_rng(0)
    parts = {
        "name": "made up",
        "class_names": ("a", "b"),
        "train_images": generator.integers(0, 256, (6, 3, 2, 1), np.uint8),
        "train_labels": np.array([0, 1, 0, 1, 1, 0], np.int32),
        "test_images": generator.integers(0, 256, (4, 3, 2, 1), np.uint8),
        "test_labels": np.array([1, 0, 0, 1], np.int32),
        "scale": 255.0,
    }
    return RawDataset(**parts | changes)


def as_floats(raw):
    parts = {f"{part}_images": getattr(raw, f"{part}_images") / np.float32(raw.scale) for part in ("train", "test")}
    return dataclasses.replace(raw, scale=1.0, **parts)


def by_hand(raw, head, pixel):
    """The digest as its module describes it, number by number."""
    sums = []
    for part in ("train", "test"):
        items = zip(getattr(raw, f"{part}_images"), getattr(raw, f"{part}_labels"), strict=True)
        sums.append(
            [
                hashlib.sha256(
                    b"".join(struct.pack(pixel, number) for number in image.ravel().tolist()) + struct.pack("<i", label)
                ).digest()
                for image, label in items
            ]
        )
    ordered = hashlib.sha256(head + b"".join(sums[0] + sums[1])).hexdigest()
    content = hashlib.sha256(head + b"".join(sorted(sums[0]) + sorted(sums[1]))).hexdigest()
    return f"sha256:{content}", f"sha256:{ordered}"


def test_the_digests_are_what_their_description_says():
    raw = dataset(class_names=("a", "é"))
    head = (
        b'{"class_names": ["a", "\\u00e9"], "pixels": "%s", "scale": %s, "test": [4, 3, 2, 1], "train": [6, 3, 2, 1]}\n'
    )

    assert (raw.digest, raw.ordered_digest) == by_hand(raw, head % (b"|u1", b"255.0"), "<B")
    floats = as_floats(raw)
    assert (floats.digest, floats.ordered_digest) == by_hand(floats, head % (b"<f4", b"1.0"), "<f")


def changed(array, place, to):
    array = array.copy()
    array[place] = to
    return array


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: {"scale": 254.0},
        lambda raw: {"class_names": ("b", "a")},
        lambda raw: {"class_names": ("a", "b", "c")},
        lambda raw: {"train_images": changed(raw.train_images, (5, 2, 1, 0), 1)},
        lambda raw: {"test_images": changed(raw.test_images, (0, 0, 0, 0), 1)},
        lambda raw: {"train_labels": changed(raw.train_labels, 0, 1)},
        lambda raw: {"test_labels": changed(raw.test_labels, 3, 0)},
        lambda raw: {"test_images": raw.test_images[:-1], "test_labels": raw.test_labels[:-1]},
        lambda raw: {f"{part}_images": getattr(raw, f"{part}_images").swapaxes(1, 2) for part in ("train", "test")},
        lambda raw: {f"{part}_images": getattr(raw, f"{part}_images").astype(np.float32) for part in ("train", "test")},
        lambda raw: {"train_images": raw.train_images[::-1]},
        lambda raw: {
            "train_images": raw.test_images,
            "train_labels": raw.test_labels,
            "test_images": raw.train_images,
            "test_labels": raw.train_labels,
        },
    ],
)
def test_whatever_differs_has_another_digest(change):
    raw = dataset()
    other = dataclasses.replace(raw, **change(raw))

    assert other.digest != raw.digest
    assert other.ordered_digest != raw.ordered_digest


def test_the_name_makes_no_difference_and_the_order_only_to_the_ordered_digest():
    raw = dataset()
    renamed = dataclasses.replace(raw, name="otherwise")
    shuffled = dataclasses.replace(raw, train_images=raw.train_images[::-1], train_labels=raw.train_labels[::-1])

    assert (renamed.digest, renamed.ordered_digest) == (raw.digest, raw.ordered_digest)
    assert shuffled.digest == raw.digest
    assert shuffled.ordered_digest != raw.ordered_digest


@given(
    images=st.sampled_from((np.uint8, np.float32)).flatmap(
        lambda dtype: npst.arrays(
            dtype,
            st.tuples(st.just(3), *[st.integers(1, 4)] * 3),
            elements=None if dtype == np.uint8 else st.floats(-4, 4, width=32),
        )
    )
)
def test_the_layout_in_memory_makes_no_difference(images):
    labels = np.array([0, 1, 1], np.int32)

    def digests(images, labels):
        raw = dataset(train_images=images, train_labels=labels, test_images=images, test_labels=labels)
        return raw.digest, raw.ordered_digest

    expected = digests(images, labels)
    spread = np.repeat(images, 2, axis=2)[:, :, ::2]
    backwards = np.ascontiguousarray(images[::-1, :, ::-1])[::-1, :, ::-1]
    positive = np.where(images == 0, np.zeros((), images.dtype), images)
    for same in (np.asfortranarray(images), spread, backwards, positive):
        assert digests(same, np.repeat(labels, 2)[::2]) == expected


def test_a_division_hands_the_digests_and_the_scale_on():
    raw = dataset()

    splits = split(raw, n_validation=2)

    assert (splits.digest, splits.ordered_digest, splits.scale) == (raw.digest, raw.ordered_digest, 255.0)
