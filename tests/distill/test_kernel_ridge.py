"""Distilled support points of a kernel: KIP's objective and its exact gradient, and bundles that replay."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.models import KernelArchitecture, LeNetArchitecture, predict
from qdistill.quantum import Execution, on_device

from .numpy_replay import read_bundle
from .samples import random_bundle

NEWTON = InnerLoop(steps=1, optimiser="newton", step_sizes="shared", loss="square")
KEY = jax.random.key(0)
ANGLE = KernelArchitecture("angle", regularisation=0.05)


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of an RY a wire: what a reader of Schuld's textbook writes down."""
    matrix: np.ndarray = np.cos((x[:, None] - y[None]) / 2).prod(axis=-1) ** 2
    return matrix


def kip(arrays: dict[str, np.ndarray], real: np.ndarray, targets: np.ndarray) -> float:
    """The loss of KIP, arXiv 2011.00050, eq. 3, with centred labels and a share of the way to the solution."""
    points, labels = arrays["inputs"], arrays["labels"] - 1 / arrays["labels"].shape[1]
    alpha = np.linalg.solve(kernel(points, points) + 0.05 * np.eye(len(points)), labels)
    error = targets - 1 / targets.shape[1] - arrays["step_sizes"][0, 0] * kernel(real, points) @ alpha
    return float((error**2).sum(axis=1).mean())


def test_the_objective_and_its_gradient_are_kips() -> None:
    rng = np.random.default_rng(0)
    arrays = {"inputs": rng.normal(size=(4, 2)), "labels": rng.normal(size=(4, 3)), "step_sizes": np.array([[0.9]])}
    real, targets = rng.normal(size=(7, 2)), np.eye(3)[rng.integers(0, 3, 7)]
    with jax.enable_x64(True):
        model = ANGLE.build((2,), 3, key=KEY)
        data = TrainingSet(**arrays, schedule=NEWTON.schedule(4))
        value, slope = PerformanceMatching(slice_size=3).value_and_gradient(data, model, NEWTON, real, targets)
    assert float(value) == pytest.approx(kip(arrays, real, targets), rel=1e-10)
    for name, array in arrays.items():
        for place in np.ndindex(array.shape):

            def moved(step: float, name: str = name, place: tuple[int, ...] = place) -> float:
                changed = arrays[name].copy()
                changed[place] += step
                return kip({**arrays, name: changed}, real, targets)

            expected = (moved(1e-6) - moved(-1e-6)) / 2e-6
            assert float(getattr(slope, name)[place]) == pytest.approx(expected, rel=1e-5, abs=1e-7), (name, place)


def some_points(n: int = 4) -> TrainingSet:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(n, 2)).astype(np.float32)
    return TrainingSet(inputs, np.eye(2, dtype=np.float32)[np.arange(n) % 2], jnp.ones((1, 1)), NEWTON.schedule(n))


def test_training_is_the_fit() -> None:
    model, data = ANGLE.build((2,), 2, key=KEY), some_points()
    trained, fitted = train(model, data, NEWTON), model.fit(data.inputs, data.labels)
    np.testing.assert_allclose(predict(trained, data.inputs), predict(fitted, data.inputs), rtol=1e-6)
    from_shots = on_device(model, Execution(shots=50))
    one, other = (train(from_shots, data, NEWTON, key=jax.random.key(seed)).coefficients for seed in (0, 1))
    assert (one != other).any()


def test_a_kernel_and_newtons_method_go_together() -> None:
    data, loop = some_points(), InnerLoop(steps=1, step_sizes="shared")
    with pytest.raises(ArgumentError, match="`optimiser` must be 'newton' for a model with a closed form"):
        train(ANGLE.build((2,), 2, key=KEY), data, loop)
    images = dataclasses.replace(data, inputs=jnp.zeros((4, 16, 16, 1)))
    with pytest.raises(ArgumentError, match="and for no other, but was 'newton' for a LeNet"):
        train(LeNetArchitecture(width=4).build((16, 16, 1), 2, key=KEY), images, NEWTON)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 2, "step_sizes": "shared"}, "`steps` must be 1 for the optimiser 'newton'.* but was 2"),
        ({"steps": 1, "epochs": 3, "step_sizes": "shared"}, "`epochs` must be 1"),
        ({"steps": 1, "own_examples": True, "step_sizes": "shared"}, "`own_examples` must be False"),
        ({"steps": 1}, "`step_sizes` must be 'shared'.* but was 'tensor'"),
        ({"steps": 1, "step_sizes": "shared"}, "`loss` must be 'square'.* but was 'cross_entropy'"),
    ],
)
def test_newtons_step_is_one_on_all_examples(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        InnerLoop(optimiser="newton", **fields)


def test_a_bundle_of_support_points_replays_to_the_bit(tmp_path: Path) -> None:
    bundle = random_bundle(ANGLE, NEWTON, (1, 2, 1), 3, per_class=2)
    bundle.save(tmp_path / "kernel.safetensors")
    loaded = DistilledDataset.load(tmp_path / "kernel.safetensors")
    assert loaded.architecture == ANGLE
    real = np.random.default_rng(1).normal(size=(5, 1, 2, 1))
    logits = predict(loaded.train(), real)
    np.testing.assert_array_equal(logits, predict(bundle.train(), real))
    points, labels = (np.asarray(array, np.float64) for array in (bundle.data.inputs.reshape(6, 2), bundle.data.labels))
    alpha = np.linalg.solve(kernel(points, points) + 0.05 * np.eye(6), labels - 1 / 3)
    expected = 1 / 3 + bundle.data.step_sizes[0, 0] * (kernel(real.reshape(5, 2), points) @ alpha)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_fit_that_is_not_finite_is_said_to_be_so() -> None:
    bundle = random_bundle(ANGLE, NEWTON, (1, 2, 1), 3, per_class=2)
    large = dataclasses.replace(bundle.data, labels=1e30 * bundle.data.labels, step_sizes=jnp.full((1, 1), 1e30))
    with pytest.raises(DivergenceError, match="no longer finite after step 1 of 1"):
        dataclasses.replace(bundle, data=large).train()


def iqp_state(x: np.ndarray) -> np.ndarray:
    """As docs/bundle-format.md has it, gate by gate, with two repetitions."""
    d = len(x)
    bits = np.array(list(np.ndindex(*[2] * d)))
    signs = 1 - 2 * bits
    state = np.zeros(2**d, complex)
    state[0] = 1
    for _ in range(2):
        for wire in range(d):
            split = np.moveaxis(state.reshape([2] * d), wire, 0)
            split = np.stack([split[0] + split[1], split[0] - split[1]]) / np.sqrt(2)
            state = np.moveaxis(split, 0, wire).reshape(-1)
        angles = sum(x[i] * signs[:, i] for i in range(d))
        angles = angles + sum(x[i] * x[j] * signs[:, i] * signs[:, j] for j in range(d) for i in range(j))
        state = np.exp(-0.5j * angles) * state
    return state


def test_a_stranger_replays_the_file_from_its_description(tmp_path: Path) -> None:
    path = tmp_path / "kernel.safetensors"
    random_bundle(KernelArchitecture(), NEWTON, (1, 3, 1), 3, per_class=2).save(path)
    header, tensors = read_bundle(path)
    assert header["inner"]["optimiser"] == "newton"
    fields = header["architecture"]["fields"]
    assert (fields["feature_map"], fields["repeats"]) == ("iqp", None)
    assert header["weight_names"] == ["kernel.overlap.weights", "support", "coefficients"]
    real = np.random.default_rng(1).normal(size=(5, 1, 3, 1))
    states, support = (
        np.array([iqp_state(x) for x in inputs.reshape(len(inputs), 3)]) for inputs in (real, tensors["inputs"])
    )
    matrix = abs(support.conj() @ support.T) ** 2 + fields["regularisation"] * np.eye(6)
    coefficients = tensors["step_sizes"][0, 0] * np.linalg.solve(matrix, tensors["labels"] - 1 / 3)
    expected = 1 / 3 + abs(states.conj() @ support.T) ** 2 @ coefficients
    np.testing.assert_allclose(predict(DistilledDataset.load(path).train(), real), expected, atol=1e-5)


def test_a_bundle_whose_kernel_matrix_is_not_positive_is_refused_by_name() -> None:
    bundle = random_bundle(KernelArchitecture("angle", regularisation=1e-9), NEWTON, (1, 2, 1), 3, per_class=2)
    same = dataclasses.replace(bundle.data, inputs=jnp.zeros_like(bundle.data.inputs))
    with pytest.raises(ArgumentError, match="`regularisation` must make the kernel matrix of the 6 support points"):
        dataclasses.replace(bundle, data=same).train()
