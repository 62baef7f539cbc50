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
        "train_inputs": generator.integers(0, 256, (6, 3, 2, 1), np.uint8),
        "train_labels": np.array([0, 1, 0, 1, 1, 0], np.int32),
        "test_inputs": generator.integers(0, 256, (4, 3, 2, 1), np.uint8),
        "test_labels": np.array([1, 0, 0, 1], np.int32),
        "scale": 255.0,
    }
    return RawDataset(**parts | changes)


def as_floats(raw):
    parts = {f"{part}_inputs": getattr(raw, f"{part}_inputs") / np.float32(raw.scale) for part in ("train", "test")}
    return dataclasses.replace(raw, scale=1.0, **parts)


def by_hand(raw, pixels_of):
    """The digests as their module describes them, given how an input is hashed."""
    sums = []
    for part in ("train", "test"):
        items = zip(getattr(raw, f"{part}_inputs"), getattr(raw, f"{part}_labels"), strict=True)
        sums.append([hashlib.sha256(pixels_of(x) + struct.pack("<i", label)).digest() for x, label in items])
    head = b'{"class_names": ["a", "\\u00e9"], "test": [4, 3, 2, 1], "train": [6, 3, 2, 1]}\n'
    ordered = hashlib.sha256(head + b"".join(sums[0] + sums[1])).hexdigest()
    content = hashlib.sha256(head + b"".join(sorted(sums[0]) + sorted(sums[1]))).hexdigest()
    return f"sha256:{content}", f"sha256:{ordered}"


def test_the_digests_are_what_their_description_says():
    raw = dataset(class_names=("a", "é"))
    irregular = dataclasses.replace(as_floats(raw), train_inputs=np.float32([0.1, 0.3])[raw.train_inputs % 2])

    assert (raw.digest, raw.ordered_digest) == by_hand(raw, lambda x: bytes(x.ravel().tolist()))
    assert (irregular.digest, irregular.ordered_digest) == by_hand(
        irregular,
        lambda x: b"".join(
            struct.pack("<f", p) if np.isin(x, np.float32([0.1, 0.3])).all() else bytes([round(255 * p)])
            for p in x.ravel().tolist()
        ),
    )


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
        lambda raw: {"train_inputs": changed(raw.train_inputs, (5, 2, 1, 0), 1)},
        lambda raw: {"test_inputs": changed(raw.test_inputs, (0, 0, 0, 0), 1)},
        lambda raw: {"train_labels": changed(raw.train_labels, 0, 1)},
        lambda raw: {"test_labels": changed(raw.test_labels, 3, 0)},
        lambda raw: {"test_inputs": raw.test_inputs[:-1], "test_labels": raw.test_labels[:-1]},
        lambda raw: {f"{part}_inputs": getattr(raw, f"{part}_inputs").swapaxes(1, 2) for part in ("train", "test")},
        lambda raw: {"train_inputs": raw.train_inputs[::-1]},
        lambda raw: {
            "train_inputs": raw.test_inputs,
            "train_labels": raw.test_labels,
            "test_inputs": raw.train_inputs,
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
    shuffled = dataclasses.replace(raw, train_inputs=raw.train_inputs[::-1], train_labels=raw.train_labels[::-1])

    assert (renamed.digest, renamed.ordered_digest) == (raw.digest, raw.ordered_digest)
    assert shuffled.digest == raw.digest
    assert shuffled.ordered_digest != raw.ordered_digest


SHAPES = st.tuples(st.just(3), st.sampled_from((2, 4)), st.integers(1, 4), st.integers(1, 4))
BYTES = npst.arrays(np.uint8, SHAPES)
FLOATS = npst.arrays(np.float32, SHAPES, elements=st.floats(-4, 4, width=32))
THREE = np.array([0, 1, 1], np.int32)


def digests_of(inputs, scale, labels=THREE):
    raw = dataset(train_inputs=inputs, train_labels=labels, test_inputs=inputs, test_labels=labels, scale=scale)
    return raw.digest, raw.ordered_digest


@given(inputs=BYTES | FLOATS)
def test_the_layout_in_memory_makes_no_difference(inputs):
    expected = digests_of(inputs, 1.0)
    spread = np.repeat(inputs, 2, axis=2)[:, :, ::2]
    backwards = np.ascontiguousarray(inputs[::-1, :, ::-1])[::-1, :, ::-1]
    positive = np.where(inputs == 0, np.zeros((), inputs.dtype), inputs)
    for same in (np.asfortranarray(inputs), spread, backwards, positive):
        assert digests_of(same, 1.0, np.repeat(THREE, 2)[::2]) == expected


@given(inputs=BYTES, to=st.sampled_from((1.0, 2.0, 100.0, 65_535.0)))
def test_bytes_and_the_same_images_as_numbers_have_one_digest(inputs, to):
    expected = digests_of(inputs, 255.0)

    assert digests_of((inputs / 255 * to).astype(np.float32), to) == expected
    assert digests_of(inputs.astype(np.float32) / np.float32(255) * np.float32(to), to) == expected
    assert digests_of(inputs.astype(np.float32) * np.float32(1 / 255) * np.float32(to), to) == expected
    assert digests_of(inputs, 254.0) != expected or not inputs.any()


@given(inputs=FLOATS, to=st.sampled_from((1.0, 255.0)))
def test_numbers_that_are_no_bytes_have_a_digest_of_their_own(inputs, to):
    inputs[0, 0, 0, 0] = np.float32(0.5)  # 127.5 of 255
    changed = inputs.copy()
    changed[0, 0, 0, 0] = np.float32(0.501)

    assert digests_of(changed * np.float32(to), to) != digests_of(inputs * np.float32(to), to)


def test_another_scale_for_the_same_images():
    raw = dataset()
    floats = as_floats(raw)

    assert raw.at_scale(255.0) is raw
    np.testing.assert_array_equal(raw.at_scale(1.0).train_inputs, floats.train_inputs)
    np.testing.assert_array_equal(floats.at_scale(255.0).test_inputs, raw.test_inputs)
    assert floats.at_scale(255.0).digest == raw.digest == raw.at_scale(1.0).digest


def test_a_division_hands_the_digests_and_the_scale_on():
    raw = dataset()

    splits = split(raw, n_validation=2)

    assert (splits.digest, splits.ordered_digest, splits.scale) == (raw.digest, raw.ordered_digest, 255.0)
