"""The synthetic benchmarks are the points that were published, and what their definitions say."""

from dataclasses import dataclass

import numpy as np
import pytest

from qdistill.data import BarsAndStripes, HiddenManifold, Hyperplanes, LinearlySeparable, Source, TwoCurves, source
from qdistill.errors import ArgumentError

pytestmark = pytest.mark.usefixtures("unchecked")


@dataclass(frozen=True)
class Published:
    """What stands in a file of the publication, or what its own generator writes.

    The first numbers of the first training point and its label, the last ones of the last test point and its label, and
    the sums of all numbers and of all labels of both parts.
    """

    first: tuple[float, ...]
    first_label: int
    last: tuple[float, ...]
    last_label: int
    sums: tuple[float, int, float, int]


# The files of `paper/plots/datasets-for-plots` in XanaduAI/qml-benchmarks at 0bbf848; what `paper/benchmarks` of the
# same commit writes for hyperplanes and for bars and stripes.
PUBLISHED = {
    LinearlySeparable(2): Published(
        (-0.28306854, -0.76826188), 1, (0.59659036, 0.29992786), -1, (0.293536766, 10, -1.285964714, 0)
    ),
    LinearlySeparable(): Published(
        (-0.16815612, 0.35724771, 0.09789902), 1, (0.49879759, 0.28055789), -1, (-33.03460690, 16, -8.392516538, 2)
    ),
    HiddenManifold(): Published(
        (0.53495177, 0.75199055, 0.90342417), 1, (0.52710373, -0.50009911), 1, (193.9363412, 10, 48.19613478, -10)
    ),
    TwoCurves(2): Published(
        (0.029168941, -0.31521168, 0.69448653), 1, (1.716901, 1.8398539), 1, (-33.08384730, -4, 33.08384730, 4)
    ),
    TwoCurves(): Published(
        (-1.0418612, -0.20555954, -0.15403202), -1, (0.2941613, 1.2309758), 1, (-97.89289993, -6, 97.89289993, 6)
    ),
    Hyperplanes(2): Published(
        (-1.83055886, -0.49145654, -1.72648754), -1, (0.10240994, 0.62764802), 1, (111.1410767, 2, -111.1410767, -2)
    ),
    Hyperplanes(): Published(
        (0.76039759, 0.8322629, 0.71905716), 1, (0.21001617, -0.14309467), 1, (16.48143169, 2, -16.48143169, -2)
    ),
    BarsAndStripes(): Published(
        (1.13952065, 1.50525764, 0.70956093), -1, (1.3080222, 0.64810164), -1, (422.0111242, 28, -13.60310465, 22)
    ),
    BarsAndStripes(8): Published(
        (0.70956093, 0.7374151, 0.71430992), -1, (-0.61971881, -1.00410386), -1, (103.6893589, -40, 314.9611396, 6)
    ),
}


@pytest.mark.parametrize(("dataset", "published"), PUBLISHED.items(), ids=lambda each: getattr(each, "name", ""))
def test_the_points_are_those_that_were_published(dataset, published):
    raw = dataset.load()
    train, test = (inputs.reshape(len(inputs), -1).astype(float) for inputs in (raw.train_inputs, raw.test_inputs))
    train_labels, test_labels = 2 * raw.train_labels - 1, 2 * raw.test_labels - 1

    np.testing.assert_allclose(train[0, : len(published.first)], published.first, rtol=1e-6)
    np.testing.assert_allclose(test[-1, -len(published.last) :], published.last, rtol=1e-6)
    assert (train_labels[0], test_labels[-1]) == (published.first_label, published.last_label)
    sums = train.sum(), train_labels.sum(), test.sum(), test_labels.sum()
    np.testing.assert_allclose(sums, published.sums, atol=1e-4)


@pytest.mark.parametrize("dataset", PUBLISHED, ids=lambda each: each.name)
def test_a_benchmark_is_a_dataset_of_its_published_size(dataset):
    raw = dataset.load()

    assert isinstance(dataset, Source)
    assert raw.train_inputs.shape[1:] == dataset.input_shape
    assert (raw.name, raw.class_names) == (dataset.name, dataset.class_names)
    expected = (1000, 200) if isinstance(dataset, BarsAndStripes) else (240, 60)
    assert (len(raw.train_labels), len(raw.test_labels)) == expected
    assert dataset.n_train == expected[0]
    assert raw.train_inputs.dtype == np.float32
    assert dataset.load().ordered_digest == raw.ordered_digest


DEFAULTS = {
    "linearly-separable": (10,),
    "hidden-manifold": (10,),
    "two-curves": (10,),
    "hyperplanes": (10,),
    "bars-and-stripes": (4, 4, 1),
}


@pytest.mark.parametrize(("name", "shape"), DEFAULTS.items())
def test_the_default_of_each_family_has_its_name(name, shape):
    assert source(name).input_shape == shape
    assert type(source(name))().name == name
    assert type(source(name))(seed=7).name == f"{name}-seed-7"
    assert type(source(name))(seed=7).load().digest != source(name).load().digest


def test_linearly_separable_points_are_separated_by_a_margin():
    raw = LinearlySeparable(5).load()
    sums = raw.train_inputs.sum(axis=1)

    assert (np.abs(sums) > 0.1 - 1e-6).all()
    np.testing.assert_array_equal(raw.train_labels, (sums < 0).astype(int))
    assert np.abs(raw.train_inputs).max() <= 1


def test_points_of_the_hidden_manifold_lie_on_a_surface_of_six_dimensions():
    raw = HiddenManifold(10).load()
    flat = np.arctanh(np.concatenate([raw.train_inputs, raw.test_inputs]).astype(float))
    singular = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False)

    assert np.bincount(np.concatenate([raw.train_labels, raw.test_labels])).tolist() == [150, 150]
    assert singular[5] > 1e3 * singular[6]


def test_bars_and_stripes_are_lines_with_noise():
    raw = BarsAndStripes(8).load()
    pictures = raw.train_inputs[..., 0]
    along = {0: pictures.mean(axis=1), 1: pictures.mean(axis=2)}  # over the rows of a bar, the columns of a stripe

    for label, means in along.items():
        own = means[raw.train_labels == label]
        assert np.abs(np.abs(own) - 1).mean() < 0.2
        lines = np.sign(own)[:, None, :] if label == 0 else np.sign(own)[:, :, None]
        noise = pictures[raw.train_labels == label] - lines
        assert noise.std() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearlySeparable(1), "`n_features` must be from 2 to 20, but was 1"),
        (lambda: HiddenManifold(21), "`n_features` must be from 2 to 20, but was 21"),
        (lambda: TwoCurves(0), "`degree` must be from 2 to 20, but was 0"),
        (lambda: Hyperplanes("3"), "`n_hyperplanes` must be an integer, but was '3'"),
        (lambda: BarsAndStripes(1), "`size` must be at least 2, but was 1"),
        (lambda: TwoCurves(seed=-1), "`seed` must be from 0"),
    ],
)
def test_what_is_no_member_of_a_family(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
