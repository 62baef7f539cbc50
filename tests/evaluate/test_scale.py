"""The dataset's own scale says what 1.0 is: a replay on bytes and on the same inputs as floats is the same."""

import dataclasses

import jax
import numpy as np
import pytest

from qdistill.data import Digits, Images, split
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.distill.inner import InnerLoop
from qdistill.evaluate.noisy import replay_noisy
from qdistill.evaluate.protocol import measure, replay, replay_unknown
from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import Execution

from ..distill.samples import random_bundle


def as_arrays(raw, factor, **more):
    return Images(
        raw.train_inputs * factor,
        raw.train_labels,
        raw.test_inputs * factor,
        raw.test_labels,
        class_names=raw.class_names,
        name="digits",
        **more,
    )


@pytest.fixture(scope="module")
def raw():
    return Digits().load()


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_a_replay_does_not_depend_on_how_the_images_are_written(raw, scale):
    bundle = random_bundle(LeNetArchitecture(width=4), None, (28, 28, 1), 10, dataset="digits")
    bundle = dataclasses.replace(bundle, transform=fit_chain((Standardise(),), raw.at_scale(scale).train_inputs, scale))
    datasets = [Digits(), as_arrays(raw, 1), as_arrays(raw, 1 / 255), as_arrays(raw, 257.0, scale=65_535.0)]

    found = {replay(bundle, dataset=dataset).test_accuracy for dataset in datasets}

    assert len(found) == 1
    other = raw.at_scale(256.0 - scale)
    wrong = measure(bundle.train(), bundle, other.test_inputs, other.test_labels)
    assert found != {wrong}, "the test would pass without the scale"


def test_every_other_measurement_knows_the_scale_too(raw, monkeypatch):
    architecture = QuantumLeNetArchitecture(n_qubits=2, n_layers=1)
    bundle = random_bundle(architecture, InnerLoop(steps=1), (28, 28, 1), 10, dataset="digits")
    key, execution = jax.random.key(0), Execution(shots=4)

    def measured():
        noisy = replay_noisy(bundle, execution, draws=1, key=key)
        return noisy.test_accuracies, replay_unknown(bundle, initialisations=1, key=key).test_accuracies

    of_bytes = measured()
    monkeypatch.setattr(Digits, "load", lambda self, data_dir: as_arrays(raw, 1 / 255).load())
    assert measured() == of_bytes


def test_a_division_of_the_same_images_is_the_same(raw):
    splits = [split(each.load(), n_validation=100) for each in (Digits(), as_arrays(raw, 1 / 255))]

    assert splits[0].ordered_digest == splits[1].ordered_digest
    np.testing.assert_array_equal(*(each.validation.labels for each in splits))
    assert [each.scale for each in splits] == [255.0, 1.0]
