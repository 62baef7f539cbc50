"""A user's own images: what has one meaning is read, whatever it is made of, and the rest is refused by name."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qdistill.data import Images, Source
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.errors import ArgumentError

IMAGES = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
LABELS = np.array([0, 1, 1, 0])
pytestmark = pytest.mark.usefixtures("unchecked")


def of_images(images, **more):
    return Images(images, LABELS, images, LABELS, **more).load()


def test_images_of_bytes_without_a_channel_axis():
    mine = Images(IMAGES, [0, 1, 2, 0], IMAGES[:2], np.array([2, 2]), name="mine")

    raw = mine.load()

    assert isinstance(mine, Source)
    assert mine.input_shape == (3, 2, 1)
    assert (raw.name, raw.class_names, raw.scale) == ("mine", ("0", "1", "2"), 255.0)
    np.testing.assert_array_equal(raw.train_inputs[..., 0], IMAGES)
    assert raw.test_labels.dtype == np.int32


def test_the_images_are_copied():
    images, labels = IMAGES.copy(), LABELS.astype(np.int32)
    raw = Images(images, labels, images, labels).load()
    before = raw.digest

    images[:], labels[:] = 7, 1

    np.testing.assert_array_equal(raw.train_inputs[..., 0], IMAGES)
    np.testing.assert_array_equal(raw.test_labels, LABELS)
    assert dataclasses.replace(raw).digest == before


def test_images_are_equal_where_name_and_contents_are():
    mine, same = Images(IMAGES, LABELS, IMAGES, LABELS), Images(IMAGES.tolist(), LABELS, IMAGES, LABELS, scale=255)
    others = [
        Images(IMAGES, LABELS, IMAGES, LABELS, name="other"),
        Images(IMAGES[::-1], LABELS[::-1], IMAGES, LABELS),
        Images(IMAGES, LABELS, IMAGES, 1 - LABELS),
    ]

    assert mine == same
    assert hash(mine) == hash(same)
    assert all(mine != other for other in others)
    assert mine != "images"
    assert repr(mine) == "Images(name='images', 4 + 4 images of 3x2x1, 2 classes)"


# Images

NUMBERS = st.sampled_from(
    [np.dtype(order + kind) for kind in ("u1", "i2", "u2", "i4", "u8", "f2", "f4", "f8") for order in "<>"]
)
LAYOUTS = st.sampled_from(
    [
        np.ascontiguousarray,
        np.asfortranarray,
        lambda images: np.repeat(images, 2, axis=1)[:, ::2],
        lambda images: np.ascontiguousarray(images[:, ::-1])[:, ::-1],
        lambda images: np.broadcast_to(images, images.shape),  # read-only
        np.ma.array,
        lambda images: list(images),
    ]
)


@given(
    images=npst.arrays(np.uint8, npst.array_shapes(min_dims=3, max_dims=4, min_side=4, max_side=5)),
    dtype=NUMBERS,
    layout=LAYOUTS,
)
def test_the_same_images_in_any_type_and_layout(images, dtype, layout):
    labels = np.arange(len(images)) % 2
    expected = Images(images, labels, images, labels).load()
    given_images = layout(images.astype(dtype))

    raw = Images(given_images, labels, given_images, labels, scale=255).load()

    assert raw.digest == expected.digest
    assert raw.train_inputs.dtype == (np.float32 if dtype.kind == "f" else np.uint8)
    np.testing.assert_array_equal(raw.train_inputs.squeeze(), images.squeeze())
    assert raw.train_inputs.flags.c_contiguous


@pytest.mark.parametrize("to", [torch.tensor, jnp.asarray, lambda images: images.tolist(), lambda images: images[:]])
def test_images_of_other_libraries(to, tmp_path):
    mapped = np.memmap(tmp_path / "images", np.uint8, "w+", shape=(4, 3, 2))
    mapped[:] = IMAGES

    for images in (to(IMAGES), to(mapped)):
        scale = 255 if isinstance(images, list) else None
        np.testing.assert_array_equal(of_images(images, scale=scale).train_inputs[..., 0], IMAGES)


def test_half_precision_and_objects_are_images_too():
    expected = (IMAGES / 32)[..., None]

    for images in (jnp.asarray(expected, jnp.bfloat16), torch.tensor(expected).half(), expected.astype(object)):
        np.testing.assert_array_equal(of_images(images).train_inputs, expected)
    pictures = np.empty(4, object)  # as in a column of pandas
    pictures[:] = list(IMAGES)
    np.testing.assert_array_equal(of_images(pictures).train_inputs[..., 0], IMAGES)


def test_booleans_are_black_and_white():
    raw = of_images(IMAGES % 2 == 1)

    assert raw.scale == 1.0
    np.testing.assert_array_equal(raw.train_inputs[..., 0], IMAGES % 2)
    with pytest.raises(ArgumentError, match="`scale` must be 1 or left out for images of booleans, but was 255"):
        of_images(IMAGES % 2 == 1, scale=255)


def test_integers_beyond_bytes_are_kept_exactly():
    images = IMAGES.astype(np.uint16) * 2849

    raw = of_images(images, scale=65_535)

    assert raw.train_inputs.dtype == np.float32
    np.testing.assert_array_equal(raw.train_inputs[..., 0], images)
    # One part of bytes and one of other integers, where both hold bytes.
    assert Images(IMAGES, LABELS, IMAGES.astype(int), LABELS, scale=255).load().digest == of_images(IMAGES).digest


@given(st.sampled_from((np.float16, np.float32, np.float64)), st.sampled_from((None, 1.0)))
def test_floating_point_images_within_0_and_1_need_no_scale(dtype, scale):
    images = np.linspace(0, 1, 4 * 3 * 2 * 3).reshape(4, 3, 2, 3).astype(dtype)

    raw = Images(images, LABELS, images, LABELS, class_names=("cat", "dog"), scale=scale).load()

    assert raw.train_inputs.dtype == np.float32
    assert (raw.scale, raw.class_names) == (1.0, ("cat", "dog"))


def test_a_network_sees_the_same_of_bytes_and_of_floats():
    as_bytes, as_floats = of_images(IMAGES), of_images(IMAGES / 255)
    of_bytes, of_floats = (fit_chain((Standardise(),), raw.train_inputs, raw.scale) for raw in (as_bytes, as_floats))

    np.testing.assert_allclose(of_bytes.steps[0].mean, of_floats.steps[0].mean, rtol=1e-6)
    np.testing.assert_allclose(of_bytes.steps[0].std, of_floats.steps[0].std, rtol=1e-6)
    for transform in (of_bytes, of_floats):
        seen = [transform(raw.at_scale(transform.scale).test_inputs) for raw in (as_bytes, as_floats)]
        np.testing.assert_array_equal(*seen)


FLOATS = IMAGES / 32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of_images(IMAGES[0]), r"`x` must have the shape .* but has \(3, 2\)"),
        (lambda: of_images(0), r"`x` must have the shape .* but has \(\)"),
        (lambda: of_images(IMAGES[:0]), "`x` must not be empty"),
        (lambda: of_images(None), "`x` must hold real numbers, but holds .*NoneType"),
        (lambda: of_images({"a": IMAGES}), "`x` must hold real numbers, but holds .*dict"),
        (lambda: of_images(IMAGES.astype(complex)), "`x` must hold real numbers, but holds complex128"),
        (lambda: of_images(IMAGES.astype("M8[s]")), "`x` must hold real numbers, but holds datetime64"),
        (lambda: of_images(IMAGES.astype(str)), "`x` must hold real numbers, but holds strings"),
        (lambda: of_images(IMAGES.astype("S")), r"`x` must hold real numbers, but holds \|S"),
        (lambda: of_images([[[1, 2]], [[1]]]), "`x` must be an array, but NumPy makes none of this list"),
        (lambda: of_images(torch.ones(4, 3, 2, requires_grad=True)), "`x` must be an array, .* Tensor"),
        (lambda: of_images(np.ma.masked_equal(IMAGES, 3)), "`x` must have no masked entries"),
        (lambda: of_images(list(np.ma.masked_equal(IMAGES, 3))), "`x` must have no masked entries"),
        (lambda: of_images(IMAGES.astype(int)), "`scale` must be given .* left out, and `x` is int64"),
        (lambda: of_images(IMAGES.astype(">u2")), "`scale` must be given .* `x` is >u2"),
        (lambda: of_images(IMAGES.astype(int) << 25, scale=1), "`x` must hold integers .* exactly"),
        (lambda: Images(IMAGES, LABELS, IMAGES.astype(int), LABELS), "`scale` must be given .* `x_test` is int64"),
        (lambda: Images(IMAGES, LABELS, FLOATS, LABELS), "`x_test` must hold integers .* holds floating-point"),
        (lambda: Images(IMAGES, LABELS, FLOATS, LABELS, scale=255), "`x_test` must hold integers"),
        (lambda: Images(IMAGES > 1, LABELS, IMAGES, LABELS), "`x_test` must hold booleans .* holds integers"),
        (lambda: of_images(FLOATS - 1), "`scale` must be given .* `x` reaches from -1 to -0.28"),
        (lambda: of_images(FLOATS * 255), "`scale` must be given .* `x` reaches from 0 to 183"),
        (lambda: Images(FLOATS, LABELS, FLOATS * 2, LABELS), "`scale` must be given .* `x_test` reaches .* to 1.438"),
        (lambda: Images(FLOATS, LABELS, FLOATS * 255, LABELS), "`x` and `x_test` .* same units"),
        (lambda: Images(FLOATS * 255, LABELS, FLOATS, LABELS), "`x` and `x_test` .* same units"),
        (lambda: Images(FLOATS, LABELS, FLOATS * 255, LABELS, scale=255), "must be in the same units"),
        (lambda: Images(IMAGES * 10, LABELS, IMAGES // 20, LABELS), "must be in the same units, .* 230 and to 1"),
        (lambda: of_images(np.where(FLOATS > 0.5, np.nan, FLOATS)), "`x` must be finite, but holds NaN"),
        (lambda: of_images(np.where(FLOATS > 0.5, -np.inf, FLOATS)), "`x` must be finite"),
        (lambda: of_images(FLOATS * 2e40, scale=1e20), r"`x` must fit into 32-bit .* holds 6\.25e\+38"),
        (lambda: of_images(np.zeros((4, 3, 32, 32))), r"`x` must have its channels last, .*transpose"),
        (lambda: of_images(torch.zeros(4, 1, 28, 28)), r"`x` must have its channels last, .*transpose"),
        (lambda: Images(IMAGES, LABELS, IMAGES[:, :2], LABELS), r"`x_test` must have images of the shape \(3, 2"),
        (lambda: of_images(FLOATS, scale="1"), "`scale` must be a number, but was '1'"),
        (lambda: of_images(FLOATS, scale=True), "`scale` must be a number, but was True"),
        (lambda: of_images(FLOATS, scale=0), "`scale` must be finite and above 0"),
        (lambda: of_images(IMAGES, name=""), "`name` must not be blank"),
    ],
)
def test_images_that_cannot_be_read(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
