"""Kernel ridge regression beside scikit-learn's, and the classifier that is made of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge

from qdistill.errors import ArgumentError
from qdistill.models import (
    ARCHITECTURES,
    KernelArchitecture,
    architecture_from_json,
    architecture_to_json,
    named_weights,
    predict,
)
from qdistill.models.kernel import check_positive, ridge_coefficients
from qdistill.quantum import Circuit, Execution, Operation, feature, on_device, weight

KEY = jax.random.key(0)
OWN = Circuit(2, (*(Operation("RX", (w,), (weight(w) * feature(w),)) for w in (0, 1)), Operation("CZ", (0, 1))))


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2, 2, (n, d))


@given(m=st.integers(1, 6), rank=st.integers(1, 6), regularisation=st.floats(1e-3, 10), seed=st.integers(0, 99))
def test_coefficients_are_scikit_learns(m: int, rank: int, regularisation: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root, targets = rng.normal(size=(m, rank)), rng.normal(size=(m, 3))
    matrix = root @ root.T
    expected = KernelRidge(alpha=regularisation, kernel="precomputed").fit(matrix, targets).dual_coef_
    with jax.enable_x64(True):
        for repaired in (False, True):
            found = ridge_coefficients(matrix, targets, regularisation, repaired=repaired)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 / regularisation)


def test_what_shots_make_negative_is_repaired() -> None:
    turn, _ = np.linalg.qr(points(3, 3))
    values = np.array([2.0, 0.5, -0.3])
    with jax.enable_x64(True):
        found = ridge_coefficients(turn * values @ turn.T, np.eye(3), 0.1, repaired=True)
    np.testing.assert_allclose(found, turn / (np.maximum(values, 0) + 0.1) @ turn.T, atol=1e-10)


def test_a_matrix_that_is_not_positive_is_refused_by_name() -> None:
    indefinite = np.array([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ArgumentError, match=r"2 support points positive definite.* smallest eigenvalue is -0\.9"):
        check_positive(indefinite, 0.1)
    assert np.isnan(ridge_coefficients(indefinite, np.eye(2), 0.1)).any()
    with pytest.raises(ArgumentError, match="Points that are alike need more"):
        check_positive(np.ones((3, 3), np.float32), 1e-9)
    check_positive(np.ones((3, 3), np.float32), 1e-3)


def test_logits_are_the_regression_of_centred_labels() -> None:
    inputs, labels, tests = points(5, 2), np.eye(3)[[0, 1, 2, 0, 1]], points(4, 2, seed=1)
    with jax.enable_x64(True):
        model = KernelArchitecture("angle", regularisation=0.01).build((2,), 3, key=KEY)
        trained = model.fit(inputs, labels)
        found = predict(trained, tests)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        matrix: np.ndarray = np.cos((x[:, None] - y[None]) / 2).prod(axis=-1) ** 2
        return matrix

    coefficients = np.linalg.solve(kernel(inputs, inputs) + 0.01 * np.eye(5), labels - 1 / 3)
    np.testing.assert_allclose(found, 1 / 3 + kernel(tests, inputs) @ coefficients, atol=1e-8)


def test_before_the_training_it_says_nothing() -> None:
    model = KernelArchitecture().build((2,), 4, key=KEY)
    np.testing.assert_array_equal(predict(model, points(3, 2)), np.full((3, 4), 0.25))
    assert {name: w.shape for name, w in named_weights(model).items()} == {
        "kernel.overlap.weights": (0,),
        "support": (0, 2),
        "coefficients": (0, 4),
    }


def test_inputs_of_any_shape_are_read_in_order() -> None:
    inputs, labels = points(4, 4), np.eye(2)[[0, 1, 0, 1]]
    flat = KernelArchitecture().build((4,), 2, key=KEY).fit(inputs, labels)
    images = KernelArchitecture().build((2, 2, 1), 2, key=KEY).fit(inputs.reshape(4, 2, 2, 1), labels)
    np.testing.assert_array_equal(predict(flat, inputs), predict(images, inputs.reshape(4, 2, 2, 1)))


def test_the_states_of_all_inputs_count_as_memory() -> None:
    model = KernelArchitecture().build((20,), 2, key=KEY)
    with pytest.raises(ArgumentError, match="simulation of 20 wires for 100,000 vectors at once"):
        jax.eval_shape(lambda inputs: predict(model, inputs), jax.ShapeDtypeStruct((100_000, 20), jnp.float32))


@pytest.mark.parametrize("labels", [np.eye(2), np.arange(4), np.eye(4), np.zeros((4, 3, 1)), np.zeros((4, 0))])
def test_labels_are_one_vector_of_the_classes_a_point(labels: np.ndarray) -> None:
    model = KernelArchitecture("angle").build((2,), 3, key=KEY)
    with pytest.raises(ArgumentError, match=r"`labels` must have shape \(4, 3\), .* but had shape \("):
        model.fit(points(4, 2), labels)


def test_from_shots_training_and_prediction_are_estimates() -> None:
    inputs, labels = points(4, 2), np.eye(2)[[0, 1, 0, 1]]
    exact = KernelArchitecture(regularisation=0.1).build((2,), 2, key=KEY)
    from_shots = on_device(exact, Execution(shots=100_000))
    trained = from_shots.fit(inputs, labels, key=jax.random.key(1))
    expected = predict(exact.fit(inputs, labels), inputs)
    found = [predict(trained, inputs, key=jax.random.key(seed)) for seed in (2, 3)]
    np.testing.assert_allclose(found[0], expected, atol=0.1)
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize(
    "architecture", [KernelArchitecture("zz", 1, 0.5), KernelArchitecture("angle"), KernelArchitecture(OWN)]
)
def test_it_is_kept_as_plain_data(architecture: KernelArchitecture) -> None:
    assert "KernelArchitecture" in ARCHITECTURES
    assert architecture_from_json(architecture_to_json(architecture)) == architecture


def test_weights_of_a_feature_map_are_drawn_and_kept() -> None:
    model = KernelArchitecture(OWN).build((2,), 2, key=KEY)
    other = KernelArchitecture(OWN).build((2,), 2, key=jax.random.key(1))
    weights = named_weights(model)["kernel.overlap.weights"]
    assert weights.shape == (2,)
    assert (weights != named_weights(other)["kernel.overlap.weights"]).all()
    slope = jax.grad(lambda w: model.kernel.gram(w).sum())(jnp.asarray(points(3, 2)))
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"regularisation": 0.0}, "`regularisation` must be above 0, but was 0.0"),
        ({"feature_map": "angle", "repeats": 2}, "`repeats` must be left out but for"),
        ({"feature_map": OWN, "repeats": 2}, "`repeats` must be left out but for"),
        ({"repeats": 0}, "`repeats` must be at least 1, but was 0"),
        ({"feature_map": Circuit(1, (Operation("H", (0,)),))}, "`feature_map` must read features"),
        ({"feature_map": "ipq"}, "`feature_map` must be one of angle, iqp, zz"),
    ],
)
def test_fields_without_meaning_are_refused(fields: dict[str, object], message: str, unchecked: None) -> None:
    with pytest.raises(ArgumentError, match=message):
        KernelArchitecture(**fields)


def test_inputs_of_another_length_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"of the 2 numbers that the feature map reads, but was \(3,\), which is 3"):
        KernelArchitecture(OWN).build((3,), 2, key=KEY)
    for feature_map in ("iqp", "zz", "angle"):
        with pytest.raises(ArgumentError, match=r"`input_shape` must be of at least 1 numbers .* was \(3, 0\)"):
            KernelArchitecture(feature_map).build((3, 0), 2, key=KEY)
    for n_classes in (1, 0, -1):
        with pytest.raises(ArgumentError, match=f"`n_classes` must be at least 2, but was {n_classes}"):
            KernelArchitecture(OWN).build((2,), n_classes, key=KEY)
    model = KernelArchitecture().build((2,), 2, key=KEY)
    with pytest.raises(ArgumentError, match=r"must be one input of shape \(2,\), but had shape \(3,\)"):
        model(jnp.zeros(3))
