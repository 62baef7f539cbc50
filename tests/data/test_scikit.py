"""The datasets of scikit-learn are its own, every item once, in a division that never changes."""

import numpy as np
import pytest
import sklearn.datasets

from qdistill.data import BreastCancer, Circles, Iris, MNISTDigits, Moons, Source, Wine, source
from qdistill.errors import ArgumentError

pytestmark = pytest.mark.usefixtures("unchecked")

SCIKIT = {
    Iris(): sklearn.datasets.load_iris,
    Wine(): sklearn.datasets.load_wine,
    BreastCancer(): sklearn.datasets.load_breast_cancer,
}
SIZES = {
    "iris": (105, 45),
    "wine": (125, 53),
    "breast-cancer": (398, 171),
    "moons": (1000, 1000),
    "circles": (1000,) * 2,
}
DRAWN = {
    Moons(): sklearn.datasets.make_moons(2000, noise=0.2, random_state=0),
    Circles(): sklearn.datasets.make_circles(2000, noise=0.1, random_state=0, factor=0.5),
    Moons(0.0, 8, 4, 3): sklearn.datasets.make_moons(12, noise=0.0, random_state=3),
}
DIGESTS = {
    "iris": "sha256:382d4728995e7920412dd2c13ad629eb49714d45a18027a3c30c021b3a4753ba",
    "wine": "sha256:658d235b506a2d9898ca03b62a0f2f77408bac9b28fa472708dfd08471ed2ce5",
    "breast-cancer": "sha256:5e79545f0cf2190775b0f20b5e460576e4037e9def575dd403fd276db0ed321d",
}


def rows(inputs, labels):
    """Inputs with their labels, in an order of their own."""
    table = np.column_stack([inputs.astype(np.float32), labels])
    return table[np.lexsort(table.T)]


def assert_holds(dataset, inputs, labels):
    raw = dataset.load()
    together = np.concatenate([raw.train_inputs, raw.test_inputs]), np.concatenate([raw.train_labels, raw.test_labels])
    np.testing.assert_array_equal(rows(*together), rows(inputs, labels))
    shares = [np.bincount(part) / len(part) for part in (raw.train_labels, raw.test_labels)]
    np.testing.assert_allclose(*shares, atol=0.02)
    assert isinstance(dataset, Source)
    assert raw.train_inputs.shape[1:] == dataset.input_shape


@pytest.mark.parametrize(("dataset", "load"), SCIKIT.items(), ids=lambda each: getattr(each, "name", ""))
def test_the_tables_are_those_of_scikit_learn(dataset, load):
    bunch = load()

    assert_holds(dataset, bunch.data, bunch.target)
    assert dataset.class_names == tuple(bunch.target_names)


@pytest.mark.parametrize(("dataset", "points"), DRAWN.items(), ids=lambda each: getattr(each, "name", ""))
def test_the_points_are_those_of_scikit_learn(dataset, points):
    assert_holds(dataset, *points)


@pytest.mark.parametrize(("name", "sizes"), SIZES.items())
def test_the_division_is_always_the_same(name, sizes):
    raw = source(name).load()

    assert (len(raw.train_labels), len(raw.test_labels)) == sizes
    assert (source(name).n_train, source(name).n_test) == sizes
    assert raw.ordered_digest == source(name).load().ordered_digest
    assert raw.digest == DIGESTS.get(name, raw.digest)


def test_other_points_have_another_name():
    assert Moons(noise=0.3).name == "moons-noise-0.3"
    assert Circles(seed=2, n_test=50).name == "circles-n-test-50-seed-2"
    assert Moons(noise=0.3).load().name == "moons-noise-0.3"


@pytest.mark.parametrize("kind", [Moons, Circles])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise": -1.0}, "`noise` must be 0 or above, but was -1"),
        ({"noise": float("inf")}, "`noise` must be finite"),
        ({"n_train": 1}, "`n_train` must be at least 2, but was 1"),
        ({"seed": -1}, "`seed` must be from 0"),
    ],
)
def test_points_that_cannot_be_drawn(kind, fields, message):
    with pytest.raises(ArgumentError, match=message):
        kind(**fields)


def test_some_digits_of_mnist(real_data, real_mnist):
    raw = source("mnist-3v5").load(real_data)

    assert (raw.name, raw.class_names, raw.scale) == ("mnist-3v5", ("3", "5"), 255.0)
    assert (len(raw.train_labels), len(raw.test_labels)) == (11_552, 1_902)
    of_threes = real_mnist.train_inputs[real_mnist.train_labels == 3]
    np.testing.assert_array_equal(raw.train_inputs[raw.train_labels == 0], of_threes)
    other = MNISTDigits((5, 3)).load(real_data)
    np.testing.assert_array_equal(other.test_labels, 1 - raw.test_labels)
    np.testing.assert_array_equal(other.test_inputs, raw.test_inputs)


@pytest.mark.parametrize("digits", [(3,), (3, 3), (3, 10), (-1, 2), "35"])
def test_digits_that_are_none(digits):
    with pytest.raises(ArgumentError, match="`digits` must be"):
        MNISTDigits(digits)
