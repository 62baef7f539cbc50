"""Gradients of any network at the start of training, against a plain loop over draws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.distill.losses import LOSSES
from qdistill.errors import ArgumentError
from qdistill.evaluate.initial_gradients import initial_gradients
from qdistill.models import CircuitArchitecture, named_weights, predict
from qdistill.quantum import Circuit, Operation, feature, weight

ARCHITECTURE = CircuitArchitecture(
    Circuit(
        2,
        (
            *(Operation("RY", (w,), (weight(w) * feature(w),)) for w in range(2)),
            Operation("CNOT", (0, 1)),
            Operation("RX", (1,), (weight(2),)),
        ),
    ),
    input_scaling="feature",
)


def test_variances_are_those_of_a_plain_loop():
    generator = np.random.default_rng(0)
    inputs, labels = generator.normal(size=(4, 2)).astype(np.float32), np.array([0, 1, 1, 0])
    options = {"loss": "square", "draws": 5, "key": jax.random.key(3)}
    found = initial_gradients(ARCHITECTURE, jnp.asarray(inputs), jnp.asarray(labels), 2, **options)
    slopes = []
    for key in jax.random.split(jax.random.key(3), 5):
        model = ARCHITECTURE.build((2,), 2, key=key)
        loss = lambda model: LOSSES["square"](predict(model, inputs), np.eye(2)[labels])  # noqa: E731
        slopes.append(named_weights(jax.grad(loss)(model)))
    assert list(found) == ["layer.weights", "input_scale", "output_scale"]
    for name, place in found.items():
        values = np.array([slope[name] for slope in slopes], float).reshape(5, -1)
        assert place.mean == pytest.approx(values.var(axis=0, ddof=1).mean(), rel=1e-4)
        assert place.total == pytest.approx(values.var(axis=0, ddof=1).sum(), rel=1e-4)


def test_two_draws_have_no_interval():
    inputs, labels = jnp.zeros((1, 2)), jnp.zeros(1, int)
    with pytest.raises(ArgumentError, match="`draws` must be at least 3, but was 2"):
        initial_gradients(ARCHITECTURE, inputs, labels, 2, loss="square", draws=2, key=jax.random.key(0))
