"""A user's own vectors, and how arrays are divided into a part for training and one for test."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qdistill.data import Images, Source, Vectors
from qdistill.errors import ArgumentError

X, Y = np.arange(24.0).reshape(12, 2) ** 2, np.arange(12) % 3
pytestmark = pytest.mark.usefixtures("unchecked")


def of_vectors(x, **more):
    return Vectors(x, Y, x, Y, **more).load()


@pytest.mark.parametrize("to", [np.asarray, torch.tensor, jnp.asarray, lambda x: x.tolist(), lambda x: x.astype("O")])
def test_vectors_of_any_library(to):
    mine = Vectors(to(X), to(Y), to(X[:3]), to(Y[:3]), name="mine")

    raw = mine.load()

    assert isinstance(mine, Source)
    assert (mine.name, mine.input_shape, mine.class_names, mine.n_train) == ("mine", (2,), ("0", "1", "2"), 12)
    assert (raw.train_inputs.dtype, raw.scale) == (np.float32, 1.0)
    np.testing.assert_array_equal(raw.train_inputs, X)
    np.testing.assert_array_equal(raw.test_labels, Y[:3])


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">i4", np.float16, np.float64, np.longdouble])
def test_features_of_any_type_are_numbers_as_they_are(dtype):
    x = (np.arange(24).reshape(12, 2) % 7).astype(dtype)

    raw = of_vectors(x)

    assert (raw.train_inputs.dtype, raw.scale) == (np.float32, 1.0)
    np.testing.assert_array_equal(raw.train_inputs, x.astype(np.float32))


def test_angles_and_negative_numbers_need_no_scale():
    raw = of_vectors(np.linspace(-np.pi, 300, 24).reshape(12, 2))

    assert raw.scale == 1.0
    assert raw.train_inputs.min() == np.float32(-np.pi)


def test_the_vectors_are_copied():
    x, y = X.copy(), Y.copy()
    raw = Vectors(x, y, x, y).load()

    x[:], y[:] = 7, 1

    np.testing.assert_array_equal(raw.train_inputs, X)
    np.testing.assert_array_equal(raw.train_labels, Y)


def test_vectors_are_equal_where_name_and_contents_are():
    def own(x, **more):
        return Vectors(x, Y, test_size=6, **more)

    mine, same = own(X), own(X.tolist())

    assert mine == same
    assert hash(mine) == hash(same)
    assert mine not in [own(X, seed=2), own(X, name="other"), own(X + 1)]
    assert repr(mine) == "Vectors(name='vectors', 6 + 6 vectors of 2, 3 classes)"


# The division


@given(
    counts=st.lists(st.integers(5, 12), min_size=2, max_size=3),
    share=st.floats(0.2, 0.8),
    seed=st.integers(0, 2**32 - 1),
    as_number=st.booleans(),
)
def test_each_class_is_in_both_parts_in_proportion(counts, share, seed, as_number):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    x = np.arange(2 * len(labels)).reshape(-1, 2)
    size = round(share * len(labels))

    raw = Vectors(x, labels, test_size=size if as_number else share, seed=seed).load()

    assert len(raw.test_labels) == size
    for label, count in enumerate(counts):
        assert abs((raw.test_labels == label).sum() - size * count / len(labels)) < 1
    # Every vector once, with its own label, and in each part in the order that it was given in.
    for inputs, own in ((raw.train_inputs, raw.train_labels), (raw.test_inputs, raw.test_labels)):
        rows = inputs[:, 0].astype(int) // 2
        assert (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(labels[rows], own)
    assert len(raw.train_labels) + size == len(labels)


def test_the_division_is_that_of_its_seed():
    first, again, other = (Vectors(X, Y, test_size=6, seed=seed).load() for seed in (0, 0, 1))

    assert first.ordered_digest == again.ordered_digest == Vectors(X, Y, test_size=0.5).load().ordered_digest
    assert first.digest != other.digest
    # What was divided once with this seed is divided so for ever: bundles and checkpoints hold digests of it.
    np.testing.assert_array_equal(first.test_inputs[:, 0] ** 0.5 // 2, [0, 2, 6, 7, 8, 10])


def test_images_are_divided_like_vectors():
    images = X.reshape(12, 1, 2) / 600

    raw = Images(images, Y, test_size=6).load()

    np.testing.assert_array_equal(raw.test_labels, Vectors(X, Y, test_size=6).load().test_labels)
    assert raw.test_inputs.shape == (6, 1, 2, 1)


WITH_GAP = np.where(np.arange(24).reshape(12, 2) == 7, np.nan, X)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of_vectors(X[0]), r"`x` must have the shape \(n, features\), but has \(2,\)"),
        (lambda: of_vectors(X[..., None, None]), r"`x` must have the shape \(n, features\), but has \(12, 2, 1, 1\)"),
        (lambda: of_vectors(X[:, :0]), "`x` must not be empty"),
        (lambda: of_vectors(X.astype(str)), "`x` must hold real numbers, but holds strings"),
        (lambda: of_vectors(X.astype(complex)), "`x` must hold real numbers, but holds complex128"),
        (lambda: of_vectors([[1, "a"]] * 12), "`x` must hold real numbers, but holds strings"),
        (lambda: of_vectors([[1, None]] * 12), "`x` must hold real numbers, but holds objects .* NoneType"),
        (lambda: of_vectors([[1, 2], [1]]), "`x` must be an array, but NumPy makes none of this list"),
        (lambda: of_vectors(np.ma.masked_equal(X, 0)), "`x` must have no masked entries"),
        (lambda: of_vectors(WITH_GAP), "`x` must be finite, but feature 1 of input 3 is nan"),
        (lambda: Vectors(X, Y, WITH_GAP, Y), "`x_test` must be finite, but feature 1 of input 3 is nan"),
        (lambda: of_vectors(X * 1e300), r"`x` must fit into 32-bit .* holds 1e\+300"),
        (
            lambda: of_vectors(X / 1e3 + 1.7e9),
            r"`x` must differ by more than 32-bit numbers resolve, but feature 0 .*1\.7",
        ),
        (lambda: Vectors(X, Y, X[:, :1], Y), "`x_test` must have the 2 features of `x`, but has 1"),
        (lambda: Vectors(X, Y[:5]), "`y` must hold one label for each of the 12 inputs of `x`, but holds 5"),
        (lambda: Vectors(X, Y, X, Y[:5]), "`y_test` must hold one label for each of the 12 inputs of `x_test`"),
        (lambda: Vectors(X, Y, X), "`y_test` must be given together with `x_test`"),
        (lambda: Vectors(X, Y, None, Y), "`x_test` must be given together with `y_test`"),
        (lambda: of_vectors(X, test_size=0.2), "`test_size` must be left out where `x_test` is given, but was 0.2"),
        (lambda: of_vectors(X, seed=0), "`seed` must be left out where `x_test` is given, but was 0"),
        (lambda: Vectors(X, Y, test_size=0), "`test_size` must be a share above 0 and below 1, .* but was 0"),
        (lambda: Vectors(X, Y, test_size=2.5), "`test_size` must be a share above 0 and below 1, .* but was 2.5"),
        (lambda: Vectors(X, Y, test_size=12), "`test_size` must be .* but was 12"),
        (lambda: Vectors(X, Y, test_size=0.01), "`test_size` must be .* of the 12 to either part, but was 0.01"),
        (lambda: Vectors(X, Y, test_size="0.2"), "`test_size` must be a number, but was '0.2'"),
        (lambda: Vectors(X, Y, test_size=True), "`test_size` must be a number, but was True"),
        (lambda: Vectors(X, Y, test_size=2), "`test_size` must leave some of each class .* 2 .* none of the 4"),
        (lambda: Vectors(X, Y, test_size=11), "`test_size` must leave some of each class .* 11 .* all of the 4"),
        (lambda: Vectors(X, Y, seed=-1), "`seed` must be from 0"),
        (lambda: Vectors(X, [0, *[1] * 11]), "`y` must hold each class twice .* holds '0' once"),
        (lambda: Vectors(X, Y % 2, class_names=("a", "b", "c")), "`y` must hold each class, but holds no 'c'"),
        (lambda: Vectors(X, Y, X, Y, name=""), "`name` must not be blank"),
    ],
)
def test_vectors_that_cannot_be_read(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("missing", [float("nan"), np.nan])
@pytest.mark.parametrize("as_array", [list, lambda labels: np.array(labels, dtype=object)])
def test_a_missing_label_among_text_is_no_class(missing, as_array):
    with pytest.raises(ArgumentError, match="`y` must have no missing entries, but has NaN among its text"):
        Vectors(X, as_array(["a", missing] * 6))


def test_masked_entries_are_found_in_nested_lists():
    row = np.ma.masked_array([1.0, 2.0], mask=[True, False])
    with pytest.raises(ArgumentError, match="`x` must have no masked entries"):
        Vectors([row] * 12, Y)


def test_a_column_of_one_value_that_no_sum_gives_again_is_no_fault():
    inputs = np.stack([np.arange(12.0), np.full(12, 0.1)], axis=1)
    assert Vectors(inputs, Y, test_size=6).input_shape == (2,)
