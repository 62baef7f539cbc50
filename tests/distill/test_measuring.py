"""What a network says of real inputs, its accuracy and its loss, against NumPy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from qdistill.distill.measuring import classify, fraction, measure
from qdistill.errors import ArgumentError
from qdistill.models import predict

from ..quantum.reference import quick_jit
from .samples import CLASSES, SHAPE, Smooth


@pytest.mark.parametrize(("n", "slice_size"), [(7, 3), (6, 3), (7, 250), (1, 1), (5, 5)])
def test_accuracy_and_loss_are_numpys(n: int, slice_size: int) -> None:
    model = Smooth.draw()
    generator = np.random.default_rng(n)
    inputs = generator.integers(0, 256, (n, *SHAPE)).astype(np.uint8)
    normalised = inputs / 255 - 0.5
    hidden = np.tanh(normalised.reshape(n, -1) @ np.asarray(model.first).T + np.asarray(model.bias))
    logits = hidden @ np.asarray(model.last).T
    classes = logits.argmax(axis=1)
    labels = np.where(np.arange(n) % 3 == 0, (classes + 1) % CLASSES, classes).astype(np.int32)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(n), labels]

    def both(inputs: Array, labels: Array) -> tuple[Array, Array]:
        return measure(model, inputs, labels, lambda raw: raw / 255 - 0.5, slice_size=slice_size)

    share, loss = quick_jit(both)(jnp.asarray(inputs), jnp.asarray(labels))
    assert float(share) == pytest.approx((labels == classes).mean())
    assert float(loss) == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.parametrize("n", [1, 3, 100, 500, 10_000])
def test_a_fraction_loses_what_single_precision_added(n: int) -> None:
    for count in {0, 1, n // 3, n - 1, n}:
        assert fraction(jnp.asarray(count, jnp.int32) / n, n) == count / n


def test_inputs_that_are_measured_have_a_label_each() -> None:
    model, inputs = Smooth.draw(), np.zeros((6, *SHAPE), np.float32)
    for shape in ((1,), (6, 1), (1, 6)):
        with pytest.raises(ArgumentError, match="`labels` must be one class number for each input"):
            measure(model, inputs, np.zeros(shape, int), lambda raw: raw)
    with pytest.raises(ArgumentError, match="`inputs` must be one input at least"):
        measure(model, inputs[:0], np.zeros(0, int), lambda raw: raw)


def test_inputs_are_evaluated_at_once_as_far_as_their_states_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qdistill.distill.measuring.wires_needed", lambda _: 22)
    at_once: list[int] = []

    def seen(raw: Array) -> Array:
        at_once.append(len(raw))
        return raw

    model, inputs = Smooth.draw(), np.random.default_rng(0).normal(size=(9, *SHAPE)).astype(np.float32)
    classes, finite = classify(model, jnp.asarray(inputs), seen)
    share, _ = measure(model, inputs, np.asarray(classes), seen)
    assert set(at_once) == {4, 1}
    assert classes.tolist() == jnp.argmax(predict(model, inputs), axis=1).tolist()
    assert (bool(finite), float(share)) == (True, 1.0)
