"""The split and the transform: their properties for any dataset, and known values for real ones."""

import tracemalloc
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qdistill.data import Digits, FittedChain, Labelled, RawDataset, Vectors, split
from qdistill.data.fitted import Standardised
from qdistill.data.stratify import quotas
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.errors import ArgumentError


def numbered(labels, n_classes):
    """A dataset in which the pixel of an input is its place in the training set, and -1 in the test set."""
    labels = np.array(labels, np.int32)
    return RawDataset(
        name="numbered",
        class_names=tuple(str(label) for label in range(n_classes)),
        train_inputs=np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1),
        train_labels=labels,
        test_inputs=np.full((1, 1, 1, 1), -1, np.float32),
        test_labels=np.zeros(1, np.int32),
        scale=1.0,
    )


def places(part):
    return part.inputs.ravel().astype(int).tolist()


labels_and_size = st.integers(1, 6).flatmap(
    lambda n_classes: st.lists(st.integers(0, n_classes - 1), min_size=2, max_size=60).flatmap(
        lambda labels: st.tuples(st.just(labels), st.just(n_classes), st.integers(1, len(labels) - 1))
    )
)


@given(labels_and_size, st.integers(0, 2**32))
@settings(max_examples=100)
def test_a_split_is_a_fair_division(example, seed):
    labels, n_classes, n_validation = example
    raw = numbered(labels, n_classes)

    parts = split(raw, n_validation=n_validation, seed=seed)
    again = split(raw, n_validation=n_validation, seed=seed)

    assert len(parts.validation) == n_validation
    assert sorted(places(parts.train) + places(parts.validation)) == list(range(len(labels)))
    for part in (parts.train, parts.validation):
        assert places(part) == sorted(places(part))
        assert part.labels.tolist() == [labels[place] for place in places(part)]
    taken = np.bincount(parts.validation.labels, minlength=n_classes)
    for label, count in enumerate(np.bincount(labels, minlength=n_classes).tolist()):
        assert abs(taken[label] - Fraction(n_validation * count, len(labels))) < 1
    assert places(parts.test) == [-1]
    assert places(again.validation) == places(parts.validation)
    np.testing.assert_allclose(parts.transform.steps[0].mean, parts.train.inputs.mean((0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("draw", [lambda rng, n: rng.random(n), lambda rng, n: rng.uniform(-np.pi, np.pi, n)])
def test_data_of_a_generator_with_the_seed_of_the_split_are_not_drawn_by_their_size(seed, draw):
    numbers, labels = draw(np.random.default_rng(seed), 600), np.arange(600) % 2
    inputs = np.stack([numbers, numbers**2], axis=1)
    test = Vectors(inputs, labels, seed=seed).load().test_inputs
    validation = split(Vectors(inputs, labels, inputs, labels).load(), n_validation=120, seed=seed).validation.inputs
    whole, error = numbers.mean(), numbers.std() / np.sqrt(120)
    # The lowest fifth, which would be drawn otherwise, lies seven standard errors and more from the mean.
    assert abs(validation[:, 0].mean() - whole) < 4 * error
    assert abs(test[:, 0].mean() - whole) < 4 * error


@given(hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 10**6)), st.data())
def test_quotas_are_within_one_of_the_exact_share(counts, data):
    n = int(counts.sum())
    if n == 0:
        return
    total = data.draw(st.integers(0, n))

    taken = quotas(counts, total)

    assert int(taken.sum()) == total
    assert (taken >= 0).all()
    assert (taken <= counts).all()
    for each, count in zip(taken.tolist(), counts.tolist(), strict=True):
        assert abs(each - Fraction(total * count, n)) < 1


def test_equal_remainders_go_to_the_first_classes():
    assert quotas(np.array([4, 4, 4, 4]), 6).tolist() == [2, 2, 1, 1]


def test_the_seed_decides():
    raw = numbered([0, 1] * 50, 2)

    splits = {tuple(places(split(raw, n_validation=10, seed=seed).validation)) for seed in range(20)}

    assert len(splits) == 20
    assert places(split(raw, n_validation=10).validation) == places(split(raw, n_validation=10, seed=0).validation)
    # Taken once from this code: what a seed means must not change from version to version.
    assert places(split(raw, n_validation=4, seed=0).validation) == [21, 46, 51, 60]


@pytest.mark.parametrize("n_validation", [-1, 0, 4, 5])
def test_the_validation_part_must_leave_something(n_validation):
    with pytest.raises(ArgumentError, match=f"`n_validation` must be from 1 to 3, .* but is {n_validation}"):
        split(numbered([0, 1, 0, 1], 2), n_validation=n_validation)


def test_a_seed_below_zero():
    with pytest.raises(ArgumentError, match="`seed` must be 0 or above, but is -1"):
        split(numbered([0, 1, 0, 1], 2), n_validation=1, seed=-1)


def test_what_a_split_says_of_itself():
    raw = Digits().load()
    parts = split(raw, n_validation=100)

    assert (parts.name, parts.n_classes, parts.input_shape) == ("digits", 10, (28, 28, 1))
    assert parts.class_names == raw.class_names
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [1197, 100, 500]
    assert parts.train.inputs.dtype == np.uint8
    assert parts.transform.scale == 255.0
    normalised = np.asarray(parts.transform(parts.train.inputs), np.float64)
    assert normalised.mean() == pytest.approx(0, abs=1e-5)
    assert normalised.std() == pytest.approx(1, abs=1e-5)


def test_labelled_needs_a_label_for_each_image():
    with pytest.raises(ArgumentError, match=r"`labels` must hold one label .* has the shape \(2,\)"):
        Labelled(np.zeros((3, 1, 1, 1), np.uint8), np.zeros(2, np.int32))


# Normalisation


@given(
    hnp.arrays(
        np.uint8,
        st.sampled_from([(1, 3, 2, 1), (4, 3, 2, 3)]),
        elements=st.integers(0, 255),
    )
)
@settings(max_examples=40)
def test_inverse_undoes_the_normalisation_of_bytes(inputs):
    transform = fit_chain((Standardise(),), inputs, 255.0)

    normalised = transform(inputs)

    assert normalised.dtype == jnp.float32
    assert normalised.shape == inputs.shape
    np.testing.assert_allclose(transform.inverse(normalised), inputs / 255.0, atol=1e-6)


@given(
    hnp.arrays(np.float32, (4, 2, 2, 2), elements=st.floats(-50, 50, width=32, allow_subnormal=False)),
    st.sampled_from([1.0, 2.5, 255.0]),
)
@settings(max_examples=40)
def test_inverse_undoes_the_normalisation_of_floats(inputs, scale):
    transform = fit_chain((Standardise(),), inputs, scale)

    np.testing.assert_allclose(transform.inverse(transform(inputs)), inputs.astype(np.float64) / scale, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_fit_measures_what_exact_arithmetic_does(dtype):
    inputs = np.random.default_rng(1).integers(0, 256, (700, 3, 2, 3)).astype(dtype)
    n = 700 * 3 * 2

    fitted = fit_chain((Standardise(),), inputs, 255.0)

    for channel in range(3):
        pixels = [Fraction(int(pixel), 255) for pixel in inputs[..., channel].ravel()]
        mean = sum(pixels) / n
        variance = sum((pixel - mean) ** 2 for pixel in pixels) / n
        assert fitted.steps[0].mean[channel] == pytest.approx(float(mean), rel=1e-6)
        assert fitted.steps[0].std[channel] == pytest.approx(float(variance) ** 0.5, rel=1e-6)


def test_a_small_deviation_on_a_large_mean_keeps_its_digits():
    inputs = np.full((1000, 1, 1, 1), 1e4, np.float32)
    inputs[::2] += 1

    assert fit_chain((Standardise(),), inputs, 1.0).steps[0].std[0] == pytest.approx(0.5, rel=1e-6)


def test_a_constant_channel_is_only_shifted():
    inputs = np.zeros((5, 2, 2, 2), np.uint8)
    inputs[..., 0] = 51
    inputs[..., 1] = np.arange(20).reshape(5, 2, 2)

    transform = fit_chain((Standardise(),), inputs, 255.0)
    normalised = transform(inputs)

    assert transform.steps[0].std[0] == 1.0
    np.testing.assert_allclose(normalised[..., 0], 0.0, atol=1e-7)
    assert np.std(normalised[..., 1]) == pytest.approx(1.0, rel=1e-5)
    brighter = transform(np.full((2, 2, 2), 102, np.uint8))
    np.testing.assert_allclose(brighter[..., 0], 0.2, rtol=1e-6)


def test_normalisation_works_under_every_transformation_and_batch_shape():
    inputs = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    transform = fit_chain((Standardise(),), inputs, 255.0)
    expected = (inputs / 255.0 - inputs.mean((0, 1, 2)) / 255) / (inputs.std((0, 1, 2)) / 255)

    for actual in (
        transform(inputs),
        jax.jit(lambda x: transform(x))(inputs),
        jax.jit(lambda normalise, x: normalise(x))(transform, jnp.asarray(inputs)),
        jax.vmap(transform)(inputs),
        transform(inputs.reshape(2, 3, 4, 4, 3)).reshape(inputs.shape),
        jnp.stack([transform(x) for x in inputs]),
        transform(inputs.astype(np.float64)),
        transform(jnp.asarray(inputs, jnp.bfloat16)),
    ):
        assert actual.dtype == jnp.float32
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
    gradient = jax.grad(lambda x: transform.inverse(x).sum())(jnp.zeros((4, 4, 3)))
    np.testing.assert_allclose(gradient, np.broadcast_to(transform.steps[0].std, (4, 4, 3)))


def test_inverse_does_not_clip():
    transform = FittedChain(255.0, (Standardised(jnp.array([0.5]), jnp.array([0.25])),))

    assert transform.inverse(jnp.array([[[-4.0]], [[4.0]]])).ravel().tolist() == [-0.5, 1.5]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda n: n(np.zeros((4, 4, 3), complex)), "must be real numbers, but was complex128"),
        (lambda n: n.inverse(np.zeros((4, 4, 3), np.uint8)), "must be floating-point, but is uint8"),
        (lambda n: n(np.zeros((4, 4, 1), np.uint8)), r"must have the shape \(\.\.\., 3\), .* but has \(4, 4, 1\)"),
        (lambda n: fit_chain((Standardise(),), np.zeros(4, np.uint8), 255.0), r"but has the shape \(4,\)"),
        (lambda n: fit_chain((Standardise(),), np.zeros((0, 4, 4, 3), np.uint8), 255.0), "not be empty"),
        (lambda n: fit_chain((Standardise(),), np.zeros((1, 4, 4, 3), np.uint8), 0.0), "`scale` must be finite"),
    ],
)
def test_inputs_that_cannot_be_normalised(use, message):
    transform = FittedChain(255.0, (Standardised(jnp.zeros(3), jnp.ones(3)),))

    with pytest.raises(ArgumentError, match=message):
        use(transform)


def test_fit_needs_little_memory():
    inputs = np.zeros((20_000, 28, 28, 1), np.uint8)
    tracemalloc.start()
    fit_chain((Standardise(),), inputs, 255.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < inputs.nbytes


def test_real_mnist_has_the_known_statistics(real_mnist):
    transform = fit_chain((Standardise(),), real_mnist.train_inputs, real_mnist.scale)

    assert transform.steps[0].mean[0] == pytest.approx(0.1307, abs=5e-5)
    assert transform.steps[0].std[0] == pytest.approx(0.3081, abs=5e-5)


def test_real_cifar10_has_the_known_statistics(real_cifar10):
    transform = fit_chain((Standardise(),), real_cifar10.train_inputs, real_cifar10.scale)

    np.testing.assert_allclose(transform.steps[0].mean, [0.4914, 0.4822, 0.4465], atol=6e-5)
    np.testing.assert_allclose(transform.steps[0].std, [0.2470, 0.2435, 0.2616], atol=6e-5)
