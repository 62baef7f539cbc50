"""The chain of transforms: each against NumPy or scikit-learn, its inverse and text, and what cannot be transformed."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import decomposition
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from qdistill.data import FittedChain, transforms
from qdistill.data.transforms import (
    PCA,
    Rescale,
    Standardise,
    Transform,
    Whiten,
    chain_of,
    fit_chain,
    shape_after,
    text_of,
    transform_of,
)
from qdistill.errors import ArgumentError


def table(n: int = 60, d: int = 4, seed: int = 0) -> np.ndarray:
    """Correlated features in units of their own."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    result: np.ndarray = (mixed * 10.0 ** np.arange(d) + 3.0).astype(np.float32)
    return result


def close(actual: Any, expected: Any, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(actual, float), expected, rtol=1e-5, atol=atol)


CHAINS: dict[str, tuple[Transform, ...]] = {
    "none": (),
    "standardise": (Standardise(),),
    "rescale": (Rescale(0.0, math.pi),),
    "all components": (PCA(4),),
    "components to angles": (Standardise(), PCA(4), Rescale(-math.pi, math.pi)),
    "by feature": (Standardise("feature"), Rescale(-1.0, 2.0, "feature")),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_inverse_undoes_a_chain(chain: str) -> None:
    inputs = table()
    fitted = fit_chain(CHAINS[chain], inputs, 1.0)
    outputs = fitted(inputs)
    assert outputs.dtype == jnp.float32
    assert fitted.shape_after((4,)) == outputs.shape[1:] == (4,)
    assert fitted.shape_before((4,)) == (4,)
    np.testing.assert_allclose(fitted.inverse(outputs), inputs, rtol=1e-4, atol=1e-5 * np.abs(inputs).max())


@given(
    hnp.arrays(np.float32, (6, 3), elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False)),
    st.sampled_from([(Standardise(),), (Rescale(-2.0, 5.0),), (Standardise(), Rescale(0.0, 1.0))]),
    st.sampled_from([1.0, 255.0]),
)
@settings(max_examples=60)
def test_inverse_undoes_what_any_table_is_transformed_to(inputs: np.ndarray, chain: Any, scale: float) -> None:
    assume((np.ptp(inputs, axis=0) > 1e-5 * np.abs(inputs).max(axis=0)).all() or chain == (Standardise(),))
    fitted = fit_chain(chain, inputs, scale)
    tolerance = 1e-5 * np.abs(inputs).max() / scale
    np.testing.assert_allclose(fitted.inverse(fitted(inputs)), inputs / scale, rtol=1e-5, atol=tolerance)


def test_standardise_is_scikit_learns() -> None:
    inputs, others = table(), table(seed=1)
    fitted = fit_chain((Standardise(),), inputs, 1.0)
    close(fitted(others), StandardScaler().fit(inputs.astype(float)).transform(others.astype(float)))


def test_a_feature_in_small_units_is_standardised_and_a_constant_one_is_shifted() -> None:
    inputs = np.stack([np.linspace(0, 1e-6, 50), np.full(50, 0.3), np.linspace(1e6, 1e6 + 50, 50)], axis=1)
    outputs = np.asarray(fit_chain((Standardise(),), inputs.astype(np.float32), 1.0)(inputs), float)
    np.testing.assert_allclose(outputs.std(axis=0), [1, 0, 1], atol=1e-3)
    np.testing.assert_allclose(outputs.mean(axis=0), 0, atol=1e-2)


def test_images_by_channel_and_by_feature_are_numpys() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 5, 3)).astype(np.uint8)
    exact = images / 255.0
    by_channel, by_feature = (fit_chain((Standardise(by),), images, 255.0) for by in ("channel", "feature"))
    close(by_channel(images), (exact - exact.mean((0, 1, 2))) / exact.std((0, 1, 2)))
    close(by_feature(images), (exact - exact.mean(0)) / exact.std(0))
    low, high = exact.min((0, 1, 2)), exact.max((0, 1, 2))
    close(fit_chain((Rescale(-1.0, 1.0),), images, 255.0)(images), 2 * (exact - low) / (high - low) - 1)


def test_rescale_is_scikit_learns_and_does_not_clip() -> None:
    inputs, others = table(), 2 * table(seed=1)
    fitted = fit_chain((Rescale(0.0, math.pi),), inputs, 1.0)
    close(fitted(others), MinMaxScaler((0, math.pi)).fit(inputs.astype(float)).transform(others.astype(float)))
    assert np.asarray(fitted(inputs)).min(axis=0).tolist() == [0.0] * 4
    close(np.asarray(fitted(inputs)).max(axis=0), math.pi)
    assert np.asarray(fitted(others)).max() > math.pi


@pytest.mark.parametrize("at_once", [2**20, 1])
def test_components_are_scikit_learns(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "_MOST_AT_ONCE", at_once)
    inputs, others = table(300, 5), table(300, 5, seed=1)
    theirs = decomposition.PCA(3, svd_solver="full").fit(inputs.astype(float))
    fitted = fit_chain((PCA(3),), inputs, 1.0)
    components = np.asarray(fitted.arrays()["transforms/0/components"], float)
    signs = np.sign((components * theirs.components_).sum(axis=1))
    close(components, signs[:, None] * theirs.components_)
    np.testing.assert_allclose(
        fitted(others), signs * theirs.transform(others.astype(float)), rtol=1e-4, atol=1e-6 * np.abs(others).max()
    )
    assert (components[np.arange(3), np.abs(components).argmax(axis=1)] > 0).all()


def test_the_signs_of_components_do_not_depend_on_rounding() -> None:
    # Both entries of the leading component are as large, whichever rounding makes the larger.
    inputs = np.array([[1, 1], [-1, -1], [2, 2.0], [-2, -2], [0.1, -0.1], [-0.1, 0.1]], np.float32)
    for change in (0.0, 1e-6, -1e-6):
        moved = inputs * np.array([1 + change, 1 - change], np.float32)
        found = np.asarray(fit_chain((PCA(2),), moved, 1.0).arrays()["transforms/0/components"])
        np.testing.assert_allclose(found, np.array([[1, 1], [1, -1]]) / math.sqrt(2), atol=1e-5)


def test_components_of_images_come_back_as_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 3, 2)).astype(np.uint8)
    fitted = fit_chain((PCA(5), Rescale(0.0, math.pi)), images, 255.0)
    outputs = fitted(images)
    assert (outputs.shape, fitted.shape_before((5,))) == ((40, 5), (4, 3, 2))
    exact = images.reshape(40, -1) / 255.0
    theirs = decomposition.PCA(5, svd_solver="full").fit(exact)
    close(fitted.inverse(outputs), theirs.inverse_transform(theirs.transform(exact)).reshape(40, 4, 3, 2), atol=1e-4)


def test_each_transform_is_fitted_on_what_those_before_make() -> None:
    inputs = table()
    fitted = fit_chain((Standardise(), PCA(2), Standardise(), Rescale(0.0, 1.0)), inputs, 1.0)
    exact = StandardScaler().fit_transform(inputs.astype(float))
    scores = decomposition.PCA(2, svd_solver="full").fit_transform(exact)
    standard = StandardScaler().fit_transform(scores)
    expected = MinMaxScaler().fit_transform(standard)
    actual = np.asarray(fitted(inputs), float)
    for column in range(2):  # scikit-learn has signs of its own
        one, other = expected[:, column], 1 - expected[:, column]
        assert min(np.abs(actual[:, column] - one).max(), np.abs(actual[:, column] - other).max()) < 1e-4


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_works_under_every_transformation_and_batch_shape(chain: str) -> None:
    inputs = table(6)
    fitted = fit_chain(CHAINS[chain], table(), 1.0)
    expected = np.asarray(fitted(inputs))
    for actual in (
        jax.jit(lambda chain, x: chain(x))(fitted, inputs),
        jax.vmap(fitted)(inputs),
        fitted(inputs.reshape(2, 3, 4)).reshape(6, -1),
        jnp.stack([fitted(x) for x in inputs]),
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_many_inputs_are_transformed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, fitted = table(7), fit_chain(CHAINS["components to angles"], table(), 1.0)
    monkeypatch.setattr("qdistill.data.fitted._BLOCK", 3)
    close(fitted.of_many(inputs), fitted(inputs))
    assert fitted.of_many(inputs[:0]).shape == (0, 4)


@pytest.mark.parametrize("chain", CHAINS)
def test_arrays_and_plain_data_make_the_chain_again(chain: str) -> None:
    fitted = fit_chain(CHAINS[chain], table(), 2.0)
    again = FittedChain.of(2.0, fitted.to_json(), fitted.arrays())
    assert jax.tree.structure(again) == jax.tree.structure(fitted)
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (again, fitted)), strict=True))


# Texts


@pytest.mark.parametrize(
    ("text", "transform", "written"),
    [
        ("standardise", Standardise(), "standardise"),
        ("standardise:feature", Standardise("feature"), "standardise:feature"),
        ("standardise:channel", Standardise(), "standardise"),
        ("pca:10", PCA(10), "pca:10"),
        ("rescale:0:3.14159", Rescale(0.0, 3.14159), "rescale:0:3.14159"),
        ("rescale:0:pi", Rescale(0.0, math.pi), "rescale:0:pi"),
        ("rescale:-pi/2:2pi:feature", Rescale(-math.pi / 2, 2 * math.pi, "feature"), "rescale:-pi/2:2pi:feature"),
        ("rescale:0:0.5*pi", Rescale(0.0, math.pi / 2), "rescale:0:pi/2"),
        ("rescale:-1e-3:+1", Rescale(-0.001, 1.0), "rescale:-0.001:1"),
        ("whiten", Whiten(), "whiten"),
    ],
)
def test_a_text_names_a_transform(text: str, transform: Transform, written: str) -> None:
    assert transform_of(text) == transform
    assert text_of(transform) == written
    assert transform_of(written) == transform


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@settings(max_examples=50)
def test_a_range_comes_back_from_its_text(low: float, width: float) -> None:
    if low + width > low:
        assert transform_of(text_of(Rescale(low, low + width))) == Rescale(low, low + width)


def test_none_stands_alone() -> None:
    assert chain_of(["none"]) == chain_of([]) == ()
    with pytest.raises(ArgumentError, match=r"must be of standardise, .* but was 'none'"):
        chain_of(["none", "standardise"])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["standardize"], "`transforms` must be of standardise, .* was 'standardize'. Did you mean 'standardise'"),
        (["pca"], "but was 'pca': there are 0 words"),
        (["pca:2:3"], "but was 'pca:2:3': there are 2 words"),
        (["pca:two"], "'two' is no whole number"),
        (["pca:-1"], "'-1' is no whole number"),
        (["pca:0"], "`n_components` must be at least 1, but was 0"),
        (["rescale:0"], "there are 1 words"),
        (["rescale:0:x"], "'x' is no number"),
        (["rescale:pi/0:1"], "'pi/0' is no number"),
        (["rescale:1:1"], "`high` must be above `low`, 1, but was 1"),
        (["rescale:2:-1"], "`high` must be above `low`, 2, but was -1"),
        (["rescale:0:inf"], "`high` must be finite"),
        (["rescale:nan:1"], "`low` must be finite"),
        (["rescale:0:1:row"], "`by` must be one of channel, feature"),
        (["standardise:pixel"], "`by` must be one of channel, feature"),
        (["whiten:2"], "there are 1 words"),
        (["whiten"], "must have standardise right before whiten"),
        (["standardise:feature", "whiten"], "must have standardise right before whiten"),
    ],
)
def test_texts_that_name_none(texts: list[str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        chain_of(texts)


# What cannot be transformed


@pytest.mark.parametrize(
    ("chain", "shape", "message"),
    [
        ((PCA(5),), (4,), "`n_components` must be at most 4, the number of features, but was 5"),
        ((PCA(2), PCA(3)), (4,), "must be at most 2, the number of features, but was 3"),
        ((Standardise(), Whiten()), (4,), r"must not whiten inputs that are no images, .* have the shape \(4,\)"),
        ((PCA(2), Standardise(), Whiten()), (9, 9, 1), r"no images, .* have the shape \(2,\)"),
        ((Standardise(), Whiten()), (9, 6, 1), "images of fewer than 7 rows or columns, but they are 9x6"),
    ],
)
def test_shapes_that_cannot_be_transformed_are_known_before_data(
    chain: tuple[Transform, ...], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        shape_after(chain, shape)
    with pytest.raises(ArgumentError, match=message):
        fit_chain(chain, np.random.default_rng(0).random((20, *shape)).astype(np.float32), 1.0)


def test_more_components_than_training_inputs_or_directions() -> None:
    with pytest.raises(ArgumentError, match="at most 3, the number of training inputs, but was 4"):
        fit_chain((PCA(4),), table(3), 1.0)
    flat = table(50, 2) @ np.array([[1, 2, 3], [0, 1, 1]], np.float32)
    with pytest.raises(ArgumentError, match=r"at most 2, the number of directions in which .* vary, but was 3"):
        fit_chain((PCA(3),), flat, 1.0)
    with pytest.raises(ArgumentError, match="at most 0, the number of directions"):
        fit_chain((PCA(1),), np.ones((5, 2), np.float32), 1.0)


def test_what_is_constant_cannot_be_rescaled() -> None:
    inputs = table()
    inputs[:, 2] = 0.1
    with pytest.raises(ArgumentError, match=r"must not rescale what is constant, but feature 2 is 0\.1 in all"):
        fit_chain((Rescale(0.0, 1.0),), inputs, 1.0)
    images = np.zeros((4, 2, 2, 1), np.uint8)
    images[:, 0, 0] = np.arange(4)[:, None]
    with pytest.raises(ArgumentError, match="but feature 0, 1, 0 is 0 in all"):
        fit_chain((Rescale(0.0, 1.0, "feature"),), images, 255.0)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda chain: chain(np.zeros((5, 3))), r"must have the shape \(\.\.\., 4\), .* but has \(5, 3\)"),
        (lambda chain: chain(np.zeros(())), r"but has \(\)"),
        (lambda chain: chain.inverse(np.zeros((5, 3))), r"the shape that the transforms make, but has \(5, 3\)"),
        (lambda chain: chain.inverse(np.zeros((5, 2), int)), "must be floating-point, but is int64"),
    ],
)
def test_other_shapes_than_were_fitted(use: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        use(fit_chain((Standardise(), PCA(2)), table(), 1.0))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (5, 1), (3, 5), (4, 4, 1)])
def test_what_the_chain_does_not_make_is_not_undone(shape):
    fitted = fit_chain((Standardise(),), np.random.default_rng(0).normal(size=(20, 4)), 1.0)
    with pytest.raises(ArgumentError, match="`outputs` must have the shape that the transforms make"):
        fitted.inverse(np.ones(shape, np.float32))


def test_inputs_of_fewer_axes_are_no_inputs_of_a_later_transform():
    images = np.random.default_rng(0).normal(size=(20, 4, 4, 3))
    with pytest.raises(ArgumentError, match=r"`inputs` must have the shape \(\.\.\., 4, 4, 3\)"):
        fit_chain((Standardise(), PCA(2)), images, 1.0)(np.ones((4, 3), np.float32))


def test_a_chain_in_python_is_checked_as_one_in_words():
    with pytest.raises(ArgumentError, match="must have standardise right before whiten"):
        fit_chain((Whiten(),), np.random.default_rng(0).normal(size=(20, 8, 8, 1)), 1.0)
