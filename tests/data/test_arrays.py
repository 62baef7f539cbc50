"""A user's own arrays: what has one meaning is read, whatever it is made of, and the rest is refused by name."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qdistill.data import Arrays, Normalisation, Source
from qdistill.errors import ArgumentError

IMAGES = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
LABELS = np.array([0, 1, 1, 0])
pytestmark = pytest.mark.usefixtures("unchecked")


def of_images(inputs, **more):
    return Arrays(inputs, LABELS, inputs, LABELS, **more).load()


def of_labels(labels, **more):
    return Arrays(IMAGES, labels, IMAGES, labels, **more).load()


def test_arrays_of_bytes_without_a_channel_axis():
    mine = Arrays(IMAGES, [0, 1, 2, 0], IMAGES[:2], np.array([2, 2]), name="mine")

    raw = mine.load()

    assert isinstance(mine, Source)
    assert mine.input_shape == (3, 2, 1)
    assert (raw.name, raw.class_names, raw.scale) == ("mine", ("0", "1", "2"), 255.0)
    np.testing.assert_array_equal(raw.train_inputs[..., 0], IMAGES)
    assert raw.test_labels.dtype == np.int32


def test_the_arrays_are_copied():
    inputs, labels = IMAGES.copy(), LABELS.astype(np.int32)
    raw = Arrays(inputs, labels, inputs, labels).load()
    before = raw.digest

    inputs[:], labels[:] = 7, 1

    np.testing.assert_array_equal(raw.train_inputs[..., 0], IMAGES)
    np.testing.assert_array_equal(raw.test_labels, LABELS)
    assert dataclasses.replace(raw).digest == before


def test_arrays_are_equal_where_name_and_contents_are():
    mine, same = Arrays(IMAGES, LABELS, IMAGES, LABELS), Arrays(IMAGES.tolist(), LABELS, IMAGES, LABELS, scale=255)
    others = [
        Arrays(IMAGES, LABELS, IMAGES, LABELS, name="other"),
        Arrays(IMAGES[::-1], LABELS[::-1], IMAGES, LABELS),
        Arrays(IMAGES, LABELS, IMAGES, 1 - LABELS),
    ]

    assert mine == same
    assert hash(mine) == hash(same)
    assert all(mine != other for other in others)
    assert mine != "arrays"
    assert repr(mine) == "Arrays(name='arrays', 4 + 4 images of 3x2x1, 2 classes)"


# Inputs

NUMBERS = st.sampled_from(
    [np.dtype(order + kind) for kind in ("u1", "i2", "u2", "i4", "u8", "f2", "f4", "f8") for order in "<>"]
)
LAYOUTS = st.sampled_from(
    [
        np.ascontiguousarray,
        np.asfortranarray,
        lambda inputs: np.repeat(inputs, 2, axis=1)[:, ::2],
        lambda inputs: np.ascontiguousarray(inputs[:, ::-1])[:, ::-1],
        lambda inputs: np.broadcast_to(inputs, inputs.shape),  # read-only
        np.ma.array,
        lambda inputs: list(inputs),
    ]
)


@given(
    inputs=npst.arrays(np.uint8, npst.array_shapes(min_dims=3, max_dims=4, min_side=4, max_side=5)),
    dtype=NUMBERS,
    layout=LAYOUTS,
)
def test_the_same_images_in_any_type_and_layout(inputs, dtype, layout):
    labels = np.arange(len(inputs)) % 2
    expected = Arrays(inputs, labels, inputs, labels).load()
    given_inputs = layout(inputs.astype(dtype))

    raw = Arrays(given_inputs, labels, given_inputs, labels, scale=255).load()

    assert raw.digest == expected.digest
    assert raw.train_inputs.dtype == (np.float32 if dtype.kind == "f" else np.uint8)
    np.testing.assert_array_equal(raw.train_inputs.squeeze(), inputs.squeeze())
    assert raw.train_inputs.flags.c_contiguous


@pytest.mark.parametrize("to", [torch.tensor, jnp.asarray, lambda inputs: inputs.tolist(), lambda inputs: inputs[:]])
def test_inputs_of_other_libraries(to, tmp_path):
    mapped = np.memmap(tmp_path / "inputs", np.uint8, "w+", shape=(4, 3, 2))
    mapped[:] = IMAGES

    for inputs in (to(IMAGES), to(mapped)):
        scale = 255 if isinstance(inputs, list) else None
        np.testing.assert_array_equal(of_images(inputs, scale=scale).train_inputs[..., 0], IMAGES)


def test_half_precision_and_objects_are_images_too():
    expected = (IMAGES / 32)[..., None]

    for inputs in (jnp.asarray(expected, jnp.bfloat16), torch.tensor(expected).half(), expected.astype(object)):
        np.testing.assert_array_equal(of_images(inputs).train_inputs, expected)
    pictures = np.empty(4, object)  # as in a column of pandas
    pictures[:] = list(IMAGES)
    np.testing.assert_array_equal(of_images(pictures).train_inputs[..., 0], IMAGES)


def test_booleans_are_black_and_white():
    raw = of_images(IMAGES % 2 == 1)

    assert raw.scale == 1.0
    np.testing.assert_array_equal(raw.train_inputs[..., 0], IMAGES % 2)
    with pytest.raises(ArgumentError, match="`scale` must be 1 or left out for booleans, but was 255"):
        of_images(IMAGES % 2 == 1, scale=255)


def test_integers_beyond_bytes_are_kept_exactly():
    inputs = IMAGES.astype(np.uint16) * 2849

    raw = of_images(inputs, scale=65_535)

    assert raw.train_inputs.dtype == np.float32
    np.testing.assert_array_equal(raw.train_inputs[..., 0], inputs)
    # One part of bytes and one of other integers, where both hold bytes.
    assert Arrays(IMAGES, LABELS, IMAGES.astype(int), LABELS, scale=255).load().digest == of_images(IMAGES).digest


@given(st.sampled_from((np.float16, np.float32, np.float64)), st.sampled_from((None, 1.0)))
def test_floating_point_images_within_0_and_1_need_no_scale(dtype, scale):
    inputs = np.linspace(0, 1, 4 * 3 * 2 * 3).reshape(4, 3, 2, 3).astype(dtype)

    raw = Arrays(inputs, LABELS, inputs, LABELS, class_names=("cat", "dog"), scale=scale).load()

    assert raw.train_inputs.dtype == np.float32
    assert (raw.scale, raw.class_names) == (1.0, ("cat", "dog"))


def test_a_network_sees_the_same_of_bytes_and_of_floats():
    as_bytes, as_floats = of_images(IMAGES), of_images(IMAGES / 255)
    of_bytes, of_floats = (Normalisation.fit(raw.train_inputs, raw.scale) for raw in (as_bytes, as_floats))

    np.testing.assert_allclose(of_bytes.mean, of_floats.mean, rtol=1e-6)
    np.testing.assert_allclose(of_bytes.std, of_floats.std, rtol=1e-6)
    for normalisation in (of_bytes, of_floats):
        seen = [normalisation(raw.at_scale(normalisation.scale).test_inputs) for raw in (as_bytes, as_floats)]
        np.testing.assert_array_equal(*seen)


FLOATS = IMAGES / 32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of_images(IMAGES[0, 0]), r"`train_inputs` must have the shape .* but has \(2,\)"),
        (lambda: of_images(0), r"`train_inputs` must have the shape .* but has \(\)"),
        (lambda: of_images(IMAGES[:0]), "`train_inputs` must not be empty"),
        (lambda: of_images(None), "`train_inputs` must hold real numbers, but holds .*NoneType"),
        (lambda: of_images({"a": IMAGES}), "`train_inputs` must hold real numbers, but holds .*dict"),
        (lambda: of_images(IMAGES.astype(complex)), "`train_inputs` must hold real numbers, but holds complex128"),
        (lambda: of_images(IMAGES.astype("M8[s]")), "`train_inputs` must hold real numbers, but holds datetime64"),
        (lambda: of_images(IMAGES.astype(str)), "`train_inputs` must hold real numbers, but holds strings"),
        (lambda: of_images(IMAGES.astype("S")), r"`train_inputs` must hold real numbers, but holds \|S"),
        (lambda: of_images([[[1, 2]], [[1]]]), "`train_inputs` must be an array, but NumPy makes none of this list"),
        (lambda: of_images(torch.ones(4, 3, 2, requires_grad=True)), "`train_inputs` must be an array, .* Tensor"),
        (lambda: of_images(np.ma.masked_equal(IMAGES, 3)), "`train_inputs` must have no masked entries"),
        (lambda: of_images(list(np.ma.masked_equal(IMAGES, 3))), "`train_inputs` must have no masked entries"),
        (lambda: of_images(IMAGES.astype(int)), "`scale` must be given .* left out, and `train_inputs` is int64"),
        (lambda: of_images(IMAGES.astype(">u2")), "`scale` must be given .* `train_inputs` is >u2"),
        (lambda: of_images(IMAGES.astype(int) << 25, scale=1), "`train_inputs` must hold integers .* exactly"),
        (lambda: Arrays(IMAGES, LABELS, IMAGES.astype(int), LABELS), "`scale` must be given .* `test_inputs` is int64"),
        (lambda: Arrays(IMAGES, LABELS, FLOATS, LABELS), "`test_inputs` must hold integers .* holds floating-point"),
        (lambda: Arrays(IMAGES, LABELS, FLOATS, LABELS, scale=255), "`test_inputs` must hold integers"),
        (lambda: Arrays(IMAGES > 1, LABELS, IMAGES, LABELS), "`test_inputs` must hold booleans .* holds integers"),
        (lambda: of_images(FLOATS - 1), "`scale` must be given .* the training inputs reach from -1 to -0.28"),
        (lambda: of_images(FLOATS * 255), "`scale` must be given .* the training inputs reach from 0 to 183"),
        (lambda: Arrays(FLOATS, LABELS, FLOATS * 2, LABELS), "`scale` must be given .* the test inputs .* to 1.438"),
        (lambda: Arrays(FLOATS, LABELS, FLOATS * 255, LABELS), "`train_inputs` and `test_inputs` .* same units"),
        (lambda: Arrays(FLOATS * 255, LABELS, FLOATS, LABELS), "`train_inputs` and `test_inputs` .* same units"),
        (lambda: Arrays(FLOATS, LABELS, FLOATS * 255, LABELS, scale=255), "must be in the same units"),
        (lambda: Arrays(IMAGES * 10, LABELS, IMAGES // 20, LABELS), "must be in the same units, .* 230 and to 1"),
        (lambda: of_images(np.where(FLOATS > 0.5, np.nan, FLOATS)), "`train_inputs` must be finite, but holds NaN"),
        (lambda: of_images(np.where(FLOATS > 0.5, -np.inf, FLOATS)), "`train_inputs` must be finite"),
        (lambda: of_images(FLOATS * 2e40, scale=1e20), r"`train_inputs` must fit into 32-bit .* holds 6\.25e\+38"),
        (lambda: of_images(np.zeros((4, 3, 32, 32))), r"`train_inputs` must have its channels last, .*transpose"),
        (lambda: of_images(torch.zeros(4, 1, 28, 28)), r"`train_inputs` must have its channels last, .*transpose"),
        (lambda: Arrays(IMAGES, LABELS, IMAGES[:, :2], LABELS), r"`test_inputs` must have inputs of the shape \(3, 2"),
        (lambda: of_images(FLOATS, scale="1"), "`scale` must be a number, but was '1'"),
        (lambda: of_images(FLOATS, scale=True), "`scale` must be a number, but was True"),
        (lambda: of_images(FLOATS, scale=0), "`scale` must be finite and above 0"),
        (lambda: of_images(IMAGES, name=""), "`name` must not be blank"),
    ],
)
def test_inputs_that_cannot_be_read(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


# Labels


@given(
    labels=st.permutations([0, 1, 2, 2]),
    dtype=st.sampled_from(["i1", "u1", "<i4", ">i4", "<u8", ">u8", "f2", "<f4", ">f8", "O", "U1", "longdouble"]),
    column=st.booleans(),
)
def test_labels_of_any_type(labels, dtype, column):
    given_labels = np.array(labels).astype(dtype)

    raw = of_labels(given_labels[:, None] if column else given_labels)

    assert raw.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(raw.train_labels, labels)
    assert raw.train_labels.dtype == np.int32
    assert raw.digest == of_labels(labels).digest


@given(
    labels=st.permutations([0, 3, 2, 3]),
    dtype=st.sampled_from([bool, np.uint8, np.float32, np.int64, object]),
    to=st.sampled_from([np.asarray, np.asfortranarray, lambda each: each.tolist()]),
)
def test_one_hot_vectors_are_labels(labels, dtype, to):
    raw = of_labels(to(np.eye(5)[labels].astype(dtype)))

    assert raw.class_names == ("0", "1", "2", "3", "4")
    np.testing.assert_array_equal(raw.train_labels, labels)


def test_labels_of_other_libraries():
    for labels in (
        torch.tensor(LABELS),
        torch.tensor(LABELS).float(),
        jnp.asarray(LABELS),
        LABELS.tolist(),
        LABELS == 1,
    ):
        np.testing.assert_array_equal(of_labels(labels).train_labels, LABELS)


def test_names_in_place_of_numbers():
    words = np.array(["dog", "cat"])[LABELS]

    for labels in (words, words.tolist(), words.astype(object)):
        raw = of_labels(labels, class_names=("cat", "dog"))
        np.testing.assert_array_equal(raw.train_labels, 1 - LABELS)
    # Class names that are numbers: a label is a name, not a place.
    np.testing.assert_array_equal(of_labels(["1", "2", "2", "1"], class_names=("2", "1")).train_labels, 1 - LABELS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Arrays(IMAGES, [0, 2, 0, 2], IMAGES, LABELS * 0),
            "`class_names` must be given .* the labels are 0, 2",
        ),
        (lambda: of_labels(LABELS * 2 - 3, class_names=()), "`class_names` must be given .* labels are -3, -1"),
        (lambda: of_labels(LABELS * 10**9), "labels are 0, 1000000000"),
        (lambda: of_labels(LABELS[:0]), "the labels are none"),
        (lambda: of_labels(LABELS * 2 - 1), r"`train_labels` .* holds -1 and 1. Give \(labels \+ 1\) // 2"),
        (lambda: of_labels(LABELS * 2.0 - 1, class_names=("a", "b")), "`train_labels` .* holds -1 and 1"),
        (lambda: of_labels(LABELS * 3, class_names=("a", "b")), "`train_labels` must hold labels from 0 to 1, .* 3"),
        (lambda: of_labels(LABELS + 0.5), "`train_labels` must hold integers, but holds 0.5"),
        (lambda: Arrays(IMAGES, LABELS, IMAGES, LABELS * np.nan), "`test_labels` must hold integers, but holds nan"),
        (lambda: of_labels(LABELS * 2.0**60), "`train_labels` must hold integers, but holds 1.15"),
        (
            lambda: of_labels(LABELS * 2**40, class_names=("a",)),
            "`train_labels` must fit into 32 bits, .* 1099511627776",
        ),
        (lambda: of_labels(LABELS.astype(np.uint64) << 63), "`train_labels` must fit into 32 bits"),
        (lambda: of_labels(LABELS[:1], class_names=("a", "b")), "`train_labels` must hold one label for each of the 4"),
        (lambda: of_labels(LABELS[:, None, None], class_names=("a", "b")), r"`train_labels` .* shape \(4, 1, 1\)"),
        (lambda: of_labels(0, class_names=("a", "b")), r"`train_labels` must hold one label .* shape \(\)"),
        (lambda: of_labels(np.eye(4) / 2 + 0.1), "`train_labels` must hold integers, but holds 0.6"),
        (lambda: of_labels(np.ones((4, 3))), "`train_labels` must hold one label for each input, .* one-hot"),
        (lambda: of_labels(np.eye(4) * 2), "`train_labels` must hold one label for each input, .* one-hot"),
        (lambda: of_labels(np.zeros((4, 0))), "`train_labels` must hold one label for each input, .* one-hot"),
        (lambda: of_labels(np.eye(4), class_names=("a", "b")), "one-hot vectors .* each of the 2 classes, but hold 4"),
        (lambda: Arrays(IMAGES, np.eye(4), IMAGES, np.eye(5)[:4]), "each of the 5 classes, but hold 4 and 5"),
        (lambda: of_labels(["a", "b", "b", "a"]), "`train_labels` must be integers where .* left out, but holds 'a'"),
        (lambda: of_labels(["00", "01", "01", "00"]), "`train_labels` must be integers where .* but holds '00'"),
        (lambda: of_labels(["a", "b", "c", "a"], class_names=("a", "b")), "be among the class names a, b, .* 'c'"),
        (lambda: of_labels([b"a"] * 4, class_names=("a",)), r"`train_labels` must hold real numbers, but holds \|S1"),
        (lambda: of_labels(LABELS * 1j), "`train_labels` must hold real numbers, but holds complex128"),
        (lambda: of_labels([0, 1, None, 0]), "`train_labels` must hold real numbers, but holds objects .* NoneType"),
        (lambda: of_labels(np.ma.masked_equal(LABELS, 1)), "`train_labels` must have no masked entries"),
    ],
)
def test_labels_that_cannot_be_read(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
