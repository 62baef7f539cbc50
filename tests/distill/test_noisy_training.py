"""Trainings whose quantum layers take shots: each step and input has shots of its own, and meta-gradients see them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.losses import cross_entropy
from qdistill.errors import ArgumentError
from qdistill.models import QuantumLeNetArchitecture, predict
from qdistill.quantum import DeviceModel, Execution, on_device

from ..quantum.reference import quick_jit
from .samples import random_bundle

DEVICE = DeviceModel.uniform(2, two_qubit_error=0.05, readout=(0.02, 0.04))
INNER = InnerLoop(steps=2, step_sizes="shared")


@pytest.fixture(scope="module")
def bundle():
    return random_bundle(QuantumLeNetArchitecture(n_qubits=2, n_layers=1, skip="none"), INNER)


def test_every_image_has_shots_of_its_own(bundle):
    model = on_device(bundle.initial_model(), Execution(shots=10))
    inputs = jnp.repeat(bundle.data.inputs[:1], 8, axis=0)
    logits = quick_jit(lambda inputs, key: predict(model, inputs, key=key))(inputs, jax.random.key(0))
    assert len({row.tobytes() for row in np.asarray(logits)}) > 4


def test_a_key_decides_the_training(bundle):
    model = on_device(bundle.initial_model(), Execution(DEVICE, 10))
    first, again, other = (bundle.train(model, key=jax.random.key(seed)).f3.weight for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(ArgumentError, match="`key` must be given where there are shots"):
        bundle.train(model)


def test_a_key_changes_nothing_without_shots(bundle):
    plain, keyed = bundle.train(), bundle.train(key=jax.random.key(0))
    assert all(map(np.array_equal, *map(jax.tree.leaves, (plain, keyed))))


@pytest.mark.usefixtures("double_precision")
def test_the_meta_gradient_through_gaussian_shots_is_that_of_finite_differences():
    bundle = random_bundle(QuantumLeNetArchitecture(n_qubits=2, n_layers=1, skip="none"), INNER)
    double = jax.tree.map(lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, bundle.data)
    weights = {name: leaf.astype(float) for name, leaf in bundle.initial_weights.items()}
    bundle = eqx.tree_at(lambda b: (b.data, b.initial_weights), bundle, (double, weights))
    model = on_device(bundle.initial_model(), Execution(DEVICE, 100, "gaussian", "approximate"))
    inputs, labels = bundle.data.inputs + 0.3, bundle.data.labels
    direction = jax.random.normal(jax.random.key(1), inputs.shape)

    def loss(synthetic):
        data = eqx.tree_at(lambda d: d.inputs, bundle.data, synthetic)
        trained = train(model, data, INNER, key=jax.random.key(2))
        return cross_entropy(predict(trained, inputs, key=jax.random.key(3)), labels)

    value = quick_jit(loss)
    start, step = bundle.data.inputs, 1e-6
    expected = (value(start + step * direction) - value(start - step * direction)) / (2 * step)
    actual = jnp.sum(quick_jit(jax.grad(loss))(start) * direction)
    assert float(actual) == pytest.approx(float(expected), rel=1e-4)
