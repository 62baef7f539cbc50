"""The names of datasets: what may be entered, and that a dataset gives what it says of itself."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from qdistill.data import DATASETS, Images, Source, source
from qdistill.data.registry import Checked, Datasets
from qdistill.errors import ArgumentError

IMAGES, LABELS = np.zeros((2, 4, 4), np.uint8), np.array([0, 1])
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def own(monkeypatch):
    """Names of the test's own in place of the package's."""
    datasets = Datasets(DATASETS)
    monkeypatch.setattr("qdistill.data.registry.DATASETS", datasets)
    return datasets


def mine(name="mine", labels=LABELS):
    return Images(IMAGES, labels, IMAGES, labels, name=name)


@dataclasses.dataclass
class Plugin:
    """A dataset of a plugin's, right or wrong."""

    name: object = "plugin"
    class_names: object = ("0", "1")
    input_shape: object = (4, 4, 1)
    gives: object = dataclasses.field(default_factory=lambda: mine("plugin").load())

    def load(self, data_dir=None):
        return self.gives


BUILT_IN = {
    "mnist": ((28, 28, 1), 10),
    "fashion-mnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    "mnist-3v5": ((28, 28, 1), 2),
    "digits": ((28, 28, 1), 10),
    "iris": ((4,), 3),
    "wine": ((13,), 3),
    "breast-cancer": ((30,), 2),
    "moons": ((2,), 2),
    "circles": ((2,), 2),
    "linearly-separable": ((10,), 2),
    "hidden-manifold": ((10,), 2),
    "two-curves": ((10,), 2),
    "hyperplanes": ((10,), 2),
    "bars-and-stripes": ((4, 4, 1), 2),
}


@pytest.mark.parametrize(("name", "known"), BUILT_IN.items())
def test_every_dataset_says_what_it_is(name, known):
    dataset, kind = source(name), type(DATASETS[name])

    assert isinstance(dataset, Source)
    assert dataset.name == name
    assert (dataset.input_shape, len(set(dataset.class_names))) == known
    assert DATASETS[name] == kind()
    assert hash(DATASETS[name]) == hash(kind())


def test_names():
    assert list(DATASETS) == list(BUILT_IN)
    with pytest.raises(ArgumentError, match=r"`dataset` must be a known name, .* Did you mean 'mnist'\?"):
        source("mnits")


@pytest.mark.parametrize("dataset", [mine("plugin"), Plugin()])
def test_a_dataset_of_ones_own_is_entered_and_loaded(own, dataset):
    own["plugin"] = dataset

    assert source("plugin").load().digest == mine().load().digest
    assert (source("plugin").class_names, source("plugin").input_shape) == (("0", "1"), (4, 4, 1))


class NoShape:
    name: ClassVar[str] = "plugin"
    class_names: ClassVar[tuple[str, ...]] = ("0", "1")

    def load(self, data_dir=None):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (mine(), "'mine' must be entered under its own name, but was under 'plugin'"),
        (Plugin, r"must be an instance, but is a class. Write Plugin\(\)"),
        (NoShape(), "must have `input_shape`, see"),
        (None, "must have `name`, `class_names`, `input_shape`, `load`, see"),
        ((IMAGES, LABELS), "must have `name`, `class_names`, `input_shape`, `load`, see"),
        (Plugin(name=3), "must have names that can be used: Argument `name` must be a string, but was 3"),
        (Plugin(class_names=("a", 1)), r"must have names that can be used: Argument `class_names\[1\]` must be"),
        (Plugin(class_names=("a", "a")), "must have names that can be used: .* holds 'a' twice"),
        (Plugin(class_names=()), "must have names that can be used: .* is empty"),
        (Plugin(class_names=None), "must have names that can be used: .* but was None"),
        (Plugin(class_names=["0", "1"]), "must have a tuple of strings as its `class_names`, but has"),
        (Plugin(input_shape=()), r"must have the shape of one input as its `input_shape`, such as .* but has \(\)"),
        (Plugin(input_shape=(4.0, 4, 1)), r"as its `input_shape`, .* but has \(4\.0, 4, 1\)"),
        (Plugin(input_shape=(4, 0, 1)), r"as its `input_shape`, .* but has \(4, 0, 1\)"),
        (Plugin(input_shape=None), "as its `input_shape`, .* but has None"),
    ],
)
def test_what_is_no_dataset_is_not_entered(own, dataset, message):
    with pytest.raises(ArgumentError, match=message):
        own["plugin"] = dataset
    with pytest.raises(ArgumentError, match=message):
        own.update({"plugin": dataset})
    assert "plugin" not in own


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Plugin(gives=None), "`load` of the dataset 'plugin' must give a RawDataset, but gives .*NoneType"),
        (Plugin(gives=(IMAGES, LABELS)), "must give a RawDataset, but gives .*tuple"),
        (Plugin(gives=mine("other").load()), "must give its `name`, 'plugin', but gives 'other'"),
        (Plugin(class_names=("1", "0")), r"must give its `class_names`, \('1', '0'\), but gives \('0', '1'\)"),
        (Plugin(input_shape=(4, 4, 3)), r"must give its `input_shape`, \(4, 4, 3\), but gives \(4, 4, 1\)"),
    ],
)
def test_a_dataset_gives_what_it_says_of_itself(own, dataset, message):
    own["plugin"] = dataset

    with pytest.raises(ArgumentError, match=message):
        source("plugin").load()


@pytest.mark.parametrize("other", [mine("mnist"), mine("digits"), Plugin(name="cifar10")])
def test_no_dataset_takes_the_place_of_another(own, other):
    with pytest.raises(ArgumentError, match=f"name '{other.name}' must stand for one dataset, .*`del .*DATASETS"):
        own[other.name] = other
    del own[other.name]
    own[other.name] = other


def test_what_is_entered_twice_must_be_the_same(own):
    own["mine"] = mine()
    own["mine"] = mine()
    with pytest.raises(ArgumentError, match="name 'mine' must stand for one dataset"):
        own["mine"] = mine(labels=1 - LABELS)
    # A cell of a notebook that defines a class and enters it, run twice.
    for _ in range(2):
        own["plugin"] = dataclasses.make_dataclass("Defined", [], bases=(Plugin,))()
    with pytest.raises(ArgumentError, match="name 'plugin' must stand for one dataset"):
        own["plugin"] = Plugin()


def test_a_dataset_says_how_large_it_is_where_it_knows():
    assert Checked(Plugin()).n_train is None
    assert Checked(mine()).n_train == 2
