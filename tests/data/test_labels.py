"""Labels of any kind: what has one meaning is read, whatever it is made of, and the rest is refused by name."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qdistill.data import Images
from qdistill.errors import ArgumentError

IMAGES = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
LABELS = np.array([0, 1, 1, 0])
pytestmark = pytest.mark.usefixtures("unchecked")


def of_labels(labels, **more):
    return Images(IMAGES, labels, IMAGES, labels, **more).load()


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


@given(
    values=st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=4, unique=True),
    to=st.sampled_from([list, np.array, lambda each: np.array(each, float), torch.tensor]),
)
def test_any_integers_are_classes_in_ascending_order(values, to):
    labels = [values[place] for place in (0, 1, -1, 0)]

    raw = Images(IMAGES, to(labels), IMAGES[:2], to(labels[:2])).load()

    assert raw.class_names == tuple(str(label) for label in sorted(set(labels)))
    assert [raw.class_names[label] for label in raw.train_labels] == list(map(str, labels))
    assert [raw.class_names[label] for label in raw.test_labels] == list(map(str, labels[:2]))


@given(words=st.lists(st.text("abé ", min_size=1).filter(str.strip), min_size=2, max_size=4, unique=True))
def test_any_words_are_classes_in_alphabetical_order(words):
    labels = [words[place] for place in (0, 1, -1, 0)]

    raw = of_labels(labels)

    assert raw.class_names == tuple(sorted(set(labels)))
    assert [raw.class_names[label] for label in raw.train_labels] == labels


def test_digits_that_are_text_are_in_ascending_order():
    assert of_labels(["10", "-1", "9", "10"]).class_names == ("-1", "9", "10")
    assert of_labels(["07", "7", "7", "07"]).class_names == ("07", "7")


@pytest.mark.parametrize(
    ("labels", "numbers"), [(LABELS * 2 - 1, LABELS), (LABELS * 2.0 - 1, LABELS), (LABELS + 1, LABELS)]
)
def test_integers_that_are_no_places_are_named_in_ascending_order(labels, numbers):
    np.testing.assert_array_equal(of_labels(labels, class_names=("no", "yes")).train_labels, numbers)


def test_a_class_that_is_named_may_have_no_images():
    raw = of_labels(LABELS + 1, class_names=("a", "b", "c"))

    assert raw.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(raw.train_labels, LABELS + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Images(IMAGES, LABELS, IMAGES, LABELS + 1), "`y_test` must hold the classes of `y`, but holds '2'"),
        (lambda: Images(IMAGES, list("abba"), IMAGES, list("abbc")), "the classes of `y`, but holds 'c'"),
        (
            lambda: Images(IMAGES, list("abba"), IMAGES, LABELS),
            "`y_test` must hold text as `y` does, but holds numbers",
        ),
        (lambda: of_labels(LABELS * 0 - 1), "`y` must hold two classes at least, but holds '-1' only"),
        (lambda: of_labels(["a"] * 4), "`y` must hold two classes at least, but holds 'a' only"),
        (lambda: of_labels(LABELS[:0]), r"`y` must hold one label for each input, .* shape \(0,\)"),
        (lambda: of_labels([-1, 0, 1, 2], class_names=("a", "b")), "`class_names` must name each .* '-1, 0, 1, 2'"),
        (lambda: of_labels(LABELS + 0.5), "`y` must hold classes, as text or integers, but holds 0.5"),
        (lambda: Images(IMAGES, LABELS, IMAGES, LABELS * np.nan), "`y_test` must hold classes, .* but holds nan"),
        (lambda: of_labels(LABELS * 2.0**60), "`y` must hold classes, .* but holds 1.15"),
        (lambda: of_labels(LABELS.astype(np.uint64) << 63), r"`y` must be below 2\^63"),
        (lambda: of_labels(LABELS[:2]), "`y` must hold one label for each of the 4 inputs of `x`, but holds 2"),
        (lambda: of_labels(LABELS[:, None, None]), r"`y` .* shape \(4, 1, 1\)"),
        (lambda: of_labels(0), r"`y` must hold one label .* shape \(\)"),
        (lambda: of_labels(np.eye(4) / 2 + 0.1), "`y` must hold classes, .* but holds 0.6"),
        (lambda: of_labels(np.ones((4, 3))), "`y` must hold one label for each input, .* one-hot"),
        (lambda: of_labels(np.eye(4) * 2), "`y` must hold one label for each input, .* one-hot"),
        (lambda: of_labels(np.zeros((4, 0))), "`y` must hold one label for each input"),
        (lambda: of_labels(np.array([["a", "b"]] * 4)), r"`y` must hold one label .* shape \(4, 2\)"),
        (lambda: of_labels(np.eye(4), class_names=("a", "b")), "one-hot vectors .* each of the 2 classes, but hold 4"),
        (lambda: Images(IMAGES, np.eye(4), IMAGES, np.eye(5)[:4]), "each of the 5 classes, but hold 4 and 5"),
        (lambda: of_labels(["a", "b", "c", "a"], class_names=("a", "b")), "be among the class names 'a, b', .* 'c'"),
        (lambda: of_labels(["a", "", "", "a"]), "must not be blank"),
        (lambda: of_labels([b"a", b"b"] * 2), r"`y` must hold real numbers, but holds \|S1"),
        (lambda: of_labels(LABELS * 1j), "`y` must hold real numbers, but holds complex128"),
        (lambda: of_labels([0, 1, None, 0]), "`y` must hold real numbers, but holds objects .* NoneType"),
        (lambda: of_labels(["a", "b", None, "b"]), "`y` must hold real numbers, but holds objects .* NoneType, str"),
        (lambda: of_labels(np.ma.masked_equal(LABELS, 1)), "`y` must have no masked entries"),
    ],
)
def test_labels_that_cannot_be_read(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
