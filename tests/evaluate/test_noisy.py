"""Replays on a device, from shots and from other weights: a small bundle on the digits against what the parts give."""

import dataclasses

import jax
import numpy as np
import pytest

from qdistill.data import Digits
from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate.noisy import noisy_curve, replay_noisy
from qdistill.evaluate.protocol import accuracy_interval, interval, measure, replay, replay_unknown, summary
from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import DeviceModel, Execution, on_device

from ..distill.samples import random_bundle

DEVICE = DeviceModel.uniform(2, two_qubit_error=0.2, readout=(0.1, 0.2))


@pytest.fixture(scope="module")
def bundle():
    architecture = QuantumLeNetArchitecture(n_qubits=2, n_layers=1)
    inner = InnerLoop(steps=2, step_sizes="tensor")
    return random_bundle(architecture, inner, (28, 28, 1), 10, dataset="digits")


def test_the_training_and_the_test_are_on_the_device(bundle):
    execution = Execution(DEVICE, preparation="ideal")
    found = replay_noisy(bundle, execution, draws=1, key=jax.random.key(0))
    raw = Digits().load(None)
    trained = bundle.train(on_device(bundle.initial_model(), execution))
    assert found.mean == measure(trained, bundle, raw.test_inputs, raw.test_labels)
    assert found.interval is None
    assert not np.array_equal(trained.f3.weight, bundle.train().f3.weight)


def test_draws_have_shots_of_their_own_and_a_key_repeats_them(bundle):
    first, again, other = (
        replay_noisy(bundle, Execution(shots=4), draws=3, key=jax.random.key(seed)) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert len(set(first.test_accuracies)) > 1
    assert first.interval[0] < first.mean < first.interval[1]


def test_unknown_initial_weights_are_drawn_as_a_network_is_built(bundle):
    found = replay_unknown(bundle, initialisations=3, key=jax.random.key(0))
    raw = Digits().load(None)
    expected = [
        measure(
            bundle.train(bundle.architecture.build((28, 28, 1), 10, key=key)), bundle, raw.test_inputs, raw.test_labels
        )
        for key in jax.random.split(jax.random.key(0), 3)
    ]
    assert found.test_accuracies == tuple(expected)
    assert len(set(expected)) > 1
    assert (found.mean, found.interval) == (pytest.approx(np.mean(expected)), accuracy_interval(expected))
    with pytest.raises(ArgumentError, match="`initialisations` must be at least 1, but was 0"):
        replay_unknown(bundle, initialisations=0, key=jax.random.key(0))
    with pytest.raises(BundleError, match="its file does not describe, so no other can be drawn"):
        replay_unknown(dataclasses.replace(bundle, architecture=None), initialisations=1, key=jax.random.key(0))


def test_the_interval_of_an_accuracy_stays_among_accuracies():
    low, high = interval([0.7149, 0.8162, 0.8951])
    assert high > 1
    assert accuracy_interval([0.7149, 0.8162, 0.8951]) == (low, 1.0)
    assert accuracy_interval([0.0, 0.01, 0.2])[0] == 0.0
    assert accuracy_interval([0.5, 0.51, 0.52]) == interval([0.5, 0.51, 0.52])
    assert accuracy_interval([0.5, 0.6]) is None
    assert summary([0.7149, 0.8162, 0.8951])["interval"] == (low, 1.0)


def test_a_curve_has_the_shots_and_the_factors(bundle):
    seen = []
    options = {"draws": 2, "key": jax.random.key(0), "shots": (4,), "factors": (0.0,), "observer": seen.append}
    points = noisy_curve(bundle, Execution(DEVICE, preparation="ideal"), **options)
    assert [(point.shots, point.factor) for point in points] == [(4, 1.0), (None, 0.0)]
    assert seen == points
    assert [len(point.evaluation.test_accuracies) for point in points] == [2, 1]
    # Without errors it is the exact replay, up to inputs on the edge between two classes.
    assert abs(points[1].evaluation.mean - replay(bundle).test_accuracy) <= 2 / 500


def test_what_cannot_be_replayed_is_refused(bundle):
    key = jax.random.key(0)
    for execution, draws in ((Execution(shots=4), 0), (Execution(DEVICE), 2)):
        with pytest.raises(ArgumentError, match="`draws` must be at least 1, and 1 where there are no shots"):
            replay_noisy(bundle, execution, draws=draws, key=key)
    classical = random_bundle(LeNetArchitecture(width=4), input_shape=(28, 28, 1), n_classes=10, dataset="digits")
    with pytest.raises(ArgumentError, match="a network with a quantum layer"):
        replay_noisy(classical, Execution(shots=4), draws=1, key=key)
    with pytest.raises(BundleError, match="is for inputs of shape"):
        replay_noisy(random_bundle(dataset="digits"), Execution(shots=4), draws=1, key=key)
