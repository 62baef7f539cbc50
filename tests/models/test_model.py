"""What can be done with any network: predictions for many inputs, and weights by name."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.errors import ArgumentError
from qdistill.models import (
    LeNetArchitecture,
    Model,
    QuantumLeNetArchitecture,
    fields_from_json,
    fields_to_json,
    named_weights,
    predict,
    with_weights,
)
from qdistill.quantum import Circuit, StronglyEntangling, for_batch

from ..quantum.reference import quick_jit

SHAPE = (12, 12, 1)
value = quick_jit(lambda network, x: network(x))


@pytest.fixture(scope="module")
def network() -> Model:
    return QuantumLeNetArchitecture(n_qubits=4, n_layers=1).build(SHAPE, 5, key=jax.random.key(0))


def test_networks_are_models(network: Model) -> None:
    assert isinstance(network, Model)


def test_predictions_do_not_depend_on_the_number_of_images(network: Model) -> None:
    inputs = jax.random.normal(jax.random.key(1), (60, *SHAPE))
    expected = np.array([value(network, x) for x in inputs[:4]])
    forms = set()
    for n in (1, 4, 60):
        np.testing.assert_allclose(quick_jit(predict)(network, inputs[:n])[:4], expected[:n], atol=1e-5)
        forms.add(for_batch(network, n).branch.form)
    assert len(forms) > 1, "all batches took the same form of the quantum layer, so nothing was compared"


def test_no_inputs_have_no_logits(network: Model) -> None:
    logits = jax.eval_shape(lambda inputs: predict(network, inputs), jax.ShapeDtypeStruct((0, *SHAPE), jnp.float32))
    assert logits.shape == (0, 5)
    with pytest.raises(ArgumentError, match=r"`inputs` must be a sequence of inputs, but had shape \(\)"):
        predict(network, 1.0)


def test_weights_have_names_in_a_fixed_order(network: Model) -> None:
    assert list(named_weights(network)) == [
        "features.c1.kernel",
        "features.c1.bias",
        "features.c2.kernel",
        "features.c2.bias",
        "features.f1.weight",
        "features.f1.bias",
        "features.f2.weight",
        "features.f2.bias",
        "branch.weights",
        "branch.observable.coefficients",
        "f3.weight",
        "f3.bias",
    ]


def test_fields_of_an_architecture_of_ones_own_come_back_from_json() -> None:
    @dataclasses.dataclass(frozen=True)
    class Own:
        hidden: tuple[int, ...]
        names: list[str]
        circuit: Circuit | None = None

    own = Own((8, 4), ["a"], StronglyEntangling(2, 1).circuit())
    plain = json.loads(json.dumps(fields_to_json(own)))
    assert Own(**fields_from_json(Own, plain)) == own


def test_weights_go_from_one_network_to_another(network: Model) -> None:
    other = QuantumLeNetArchitecture(n_qubits=4, n_layers=1).build(SHAPE, 5, key=jax.random.key(7))
    x = jax.random.normal(jax.random.key(1), SHAPE)
    assert not np.array_equal(value(other, x), value(network, x))
    # In any order.
    copy = with_weights(other, dict(reversed(named_weights(network).items())))
    assert np.array_equal(value(copy, x), value(network, x))
    assert all(map(np.array_equal, named_weights(copy).values(), named_weights(network).values()))


def test_weights_of_another_network_are_refused(network: Model) -> None:
    classical = LeNetArchitecture().build(SHAPE, 5, key=jax.random.key(0))
    with pytest.raises(ArgumentError, match=r"\['branch.observable.coefficients', 'branch.weights'\] were missing"):
        with_weights(network, named_weights(classical))
    with pytest.raises(ArgumentError, match=r"\['g'\] were not of this network"):
        with_weights(network, named_weights(network) | {"g": jnp.zeros(1)})
    with pytest.raises(ArgumentError, match=r"must have shape \(5,\) for 'f3.bias', but was \(6,\)"):
        with_weights(network, named_weights(network) | {"f3.bias": jnp.zeros(6)})
