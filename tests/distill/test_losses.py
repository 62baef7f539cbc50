"""The losses against NumPy in double precision, their margins, and the meta-gradient through each of them."""

from __future__ import annotations

import dataclasses
import runpy
import shutil
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qdistill.backends
from qdistill.distill.inner import InnerLoop
from qdistill.distill.losses import LOSSES
from qdistill.distill.measuring import measure
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.experiments.recipe import Recipe
from qdistill.models import CircuitArchitecture, Dense
from qdistill.quantum import Circuit, Operation, feature, weight

from ..quantum.reference import quick_jit
from .numpy_replay import slopes_of


def one_example(loss, logits, labels):
    """A loss of one example in NumPy, written from its definition, a class at a time."""
    total = 0.0
    for c, (logit, label) in enumerate(zip(logits, labels, strict=True)):
        if loss == "cross_entropy":
            total -= label * np.log(np.exp(logit - logits.max()) / np.exp(logits - logits.max()).sum())
        elif loss == "square":
            total += (logit - label) ** 2
        elif loss == "hinge":
            total += label * max(0.0, 1 - (logit - np.delete(logits, c).max()))
        else:
            total += 1 / len(logits) - label * logit
    return total


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 80.0]), n_classes=st.integers(2, 4))
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_numpys(loss, seed, scale, n_classes):
    generator = np.random.default_rng(seed)
    logits = (scale * generator.normal(size=(5, n_classes))).astype(np.float32)
    labels = generator.normal(size=(5, n_classes)).astype(np.float32)
    expected = np.mean([one_example(loss, *map(np.float64, pair)) for pair in zip(logits, labels, strict=True)])
    assert float(LOSSES[loss](logits, labels)) == pytest.approx(expected, rel=1e-5, abs=1e-5 * max(1, scale**2))


@given(st.floats(-3, 3), st.sampled_from([0, 1]))
def test_a_loss_of_a_margin_is_the_usual_one(margin, label):
    sign, logits, labels = 2 * label - 1, [[-margin / 2, margin / 2]], np.eye(2)[[label]]
    usual = {
        "cross_entropy": np.log1p(np.exp(-sign * margin)),
        "square": (margin - sign) ** 2 / 2 + 0.5,
        "hinge": max(0.0, 1 - sign * margin),
    }
    for loss, expected in usual.items():
        assert float(LOSSES[loss](logits, labels)) == pytest.approx(expected, abs=1e-5)


class Network(eqx.Module):
    """Two dense layers."""

    first: Dense
    last: Dense

    @classmethod
    def draw(cls):
        keys = jax.random.split(jax.random.key(0), 2)
        return cls(Dense(4, 5, "xavier_normal", key=keys[0]), Dense(5, 3, "xavier_normal", key=keys[1]))

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("loss", LOSSES)
def test_the_meta_gradient_is_that_of_finite_differences(loss):
    generator = np.random.default_rng(3)
    inner = InnerLoop(steps=3, loss=loss, step_sizes="shared", optimiser="momentum")
    model = jax.tree.map(lambda a: a.astype(jnp.float64), Network.draw())
    data = TrainingSet(
        jnp.asarray(generator.normal(size=(4, 4))),
        jnp.asarray(generator.normal(size=(4, 3))),
        jnp.asarray(0.05 + 0.1 * generator.random((3, 1))),
        inner.schedule(4),
    )
    real, labels = generator.normal(size=(6, 4)), np.eye(3)[generator.integers(0, 3, 6)]

    @quick_jit
    def value_and_gradient(data):
        return PerformanceMatching().value_and_gradient(data, model, inner, jnp.asarray(real), jnp.asarray(labels))

    loss_now, gradient = value_and_gradient(data)
    assert np.isfinite(loss_now)
    for name in ("inputs", "labels", "step_sizes"):
        way = jnp.asarray(generator.normal(size=getattr(data, name).shape))

        def at(step, name=name, way=way):
            moved = dataclasses.replace(data, **{name: getattr(data, name) + step * way})
            return float(value_and_gradient(moved)[0])

        expected = (at(1e-6) - at(-1e-6)) / 2e-6
        assert float(jnp.sum(getattr(gradient, name) * way)) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_programs_that_are_exported_descend_the_same_loss(loss, tmp_path):
    generator = np.random.default_rng(0)
    logits, labels = (generator.normal(size=(5, 3)) for _ in range(2))
    np.savez(tmp_path / "bundle.npz", settings=np.array(f'{{"loss": "{loss}"}}'))
    slopes = 5 * np.asarray(jax.grad(LOSSES[loss])(logits, labels))
    scripts = Path(qdistill.backends.__file__).parent / "scripts"
    for name in ("numpy_train.py", "torch_train.py"):
        shutil.copy(scripts / name, tmp_path)
    in_numpy = runpy.run_path(str(tmp_path / "numpy_train.py"))["loss_slopes"]
    np.testing.assert_allclose(in_numpy(logits, labels), slopes, atol=1e-6)
    np.testing.assert_allclose(slopes_of(loss, logits, labels), slopes, atol=1e-6)
    import torch

    in_torch = runpy.run_path(str(tmp_path / "torch_train.py"))["loss_of"]
    value = in_torch(torch.tensor(logits), torch.tensor(labels))
    assert float(value) == pytest.approx(float(LOSSES[loss](logits, labels)), abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_measured_beside_the_accuracy_is_the_loss(loss):
    model, inputs, labels = Network.draw(), np.random.default_rng(0).normal(size=(7, 4)), np.arange(7) % 3
    _, measured = measure(model, inputs, labels, jnp.asarray, loss=loss, slice_size=3)
    expected = LOSSES[loss](jax.vmap(model)(jnp.asarray(inputs)), np.eye(3)[labels])
    assert float(measured) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_logits_and_labels_that_do_not_fit_are_refused(loss, unchecked):
    with pytest.raises(ArgumentError, match=r"`labels` must have the shape \(4, 4\) of the logits, but was \(4,\)"):
        LOSSES[loss](np.eye(4), np.arange(4))
    with pytest.raises(ArgumentError, match="`logits` must be real numbers"):
        LOSSES[loss](1j * np.eye(4), np.eye(4))
    with pytest.raises(ArgumentError, match="`loss` must be one of cross_entropy, fidelity, hinge, square"):
        InnerLoop(loss="mse")


def test_a_hinge_takes_two_classes():
    with pytest.raises(ArgumentError, match="must be of two classes at least for the hinge, but was of 1"):
        LOSSES["hinge"](np.ones((2, 1)), np.ones((2, 1)))


def test_a_fidelity_is_for_networks_that_give_fidelities():
    reads = Circuit(4, tuple(Operation("RX", (w,), (weight(w) * feature(w),)) for w in range(4)))
    inner = InnerLoop(loss="fidelity")
    with pytest.raises(ArgumentError, match=r"`inner.loss` must not be 'fidelity' for a network whose logits are no"):
        Recipe("digits", inner=inner)
    with pytest.raises(ArgumentError, match=r"`inner.loss` must not be 'fidelity'"):
        Recipe("digits", CircuitArchitecture(reads, readout="probabilities"), inner=inner)
    model = CircuitArchitecture(reads, "amplitude", "probabilities", output_scaling="none")
    assert Recipe("digits", model, inner=inner).inner.loss == "fidelity"
