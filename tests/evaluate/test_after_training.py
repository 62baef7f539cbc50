"""What is told of a trained network: its confusions, what changed, and what its training costs in circuits."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.distill.inner import InnerLoop
from qdistill.evaluate.change import Change, changes
from qdistill.evaluate.confusion import confusion
from qdistill.evaluate.executions import count_executions
from qdistill.evaluate.protocol import measure
from qdistill.models import LeNetArchitecture, QuantumLeNet, QuantumLeNetArchitecture

from ..distill.samples import random_bundle

QUANTUM = QuantumLeNetArchitecture(n_qubits=3, n_layers=2)


def test_a_confusion_matrix_counts_each_image_once():
    bundle = random_bundle(LeNetArchitecture(width=4), input_shape=(8, 8, 1))
    random = np.random.default_rng(0)
    # More than one slice, and a last one that is not full.
    inputs, labels = random.integers(0, 256, (270, 8, 8, 1)).astype(np.uint8), random.integers(0, 3, 270)
    model = bundle.initial_model()
    alone = jax.jit(lambda x: jnp.argmax(model(bundle.transform(x))))
    counts = confusion(model, bundle, inputs, labels)
    expected = np.zeros((3, 3), int)
    for x, label in zip(inputs, labels, strict=True):
        expected[label, int(alone(x))] += 1
    np.testing.assert_array_equal(counts, expected)
    assert np.trace(counts) / 270 == measure(model, bundle, inputs, labels.astype(np.int32))


def test_changes_are_norms():
    before = {"a": jnp.array([3.0, 4.0]), "b": jnp.zeros(2)}
    after = {"b": jnp.array([0.0, 2.0]), "a": jnp.array([3.0, 1.0])}
    second, first = changes(before, after)
    assert dataclasses.astuple(first) == ("a", (2,), 5.0, pytest.approx(10**0.5), 3.0)
    assert first.relative == 0.6
    assert second == Change("b", (2,), 0.0, 2.0, 2.0)
    assert second.relative is None


@pytest.mark.parametrize(
    ("architecture", "per_image"),
    [
        # 18 angles; 3 qubits are prepared by 7 rotations, or 3 with angle embedding.
        (QUANTUM, 3 * (1 + 2 * 18 + 2 * 7)),
        (dataclasses.replace(QUANTUM, observable="fixed_hermitian"), 3 * (1 + 2 * 18 + 2 * 7)),
        (dataclasses.replace(QUANTUM, observable="pauli_z"), 1 + 2 * 18 + 2 * 7),
        (dataclasses.replace(QUANTUM, embedding="angle"), 3 * (1 + 2 * 18 + 2 * 3)),
        (dataclasses.replace(QUANTUM, branch="frozen"), 3 * (1 + 2 * 7)),
        (dataclasses.replace(QUANTUM, branch="removed"), 0),
        (dataclasses.replace(QUANTUM, branch="dense"), 0),
        (LeNetArchitecture(width=4), 0),
    ],
)
def test_circuits_are_counted(architecture, per_image):
    inner = InnerLoop(steps=3, epochs=2, own_examples=True, step_sizes="shared")
    counted = count_executions(random_bundle(architecture, inner, per_class=2))
    # 6 inputs in 3 steps: 2 in each of 6 steps.
    assert counted["training"] == 6 * 2 * per_image
    by_name = {row["name"]: row["circuits"] for row in counted["rows"]}
    if per_image:
        assert sum(n for name, n in by_name.items() if name.startswith("one step: ")) == 2 * per_image
        assert counted["trainings"][0]["circuits"] == counted["training"]
    else:
        assert not by_name
        assert "no quantum layer" in counted["notes"][0]


class Pair(eqx.Module):
    """Two networks, whose logits are added."""

    first: QuantumLeNet
    second: QuantumLeNet

    def __call__(self, x):
        return self.first(x) + self.second(x)


@dataclasses.dataclass(frozen=True)
class PairArchitecture:
    """One with three settings, and one with a single setting."""

    def build(self, input_shape, n_classes, *, key):
        pauli_z = dataclasses.replace(QUANTUM, observable="pauli_z")
        return Pair(*(kind.build(input_shape, n_classes, key=key) for kind in (QUANTUM, pauli_z)))


def test_circuits_of_several_quantum_layers_are_added():
    counted = count_executions(random_bundle(PairArchitecture(), InnerLoop(steps=3, step_sizes="shared")))
    evaluations = 1 + 2 * 18 + 2 * 7
    # Three steps on three inputs.
    assert counted["training"] == 3 * 3 * (3 * evaluations + evaluations)
    steps = {row["name"]: row["circuits"] for row in counted["rows"] if row["name"].startswith("one step: ")}
    assert steps["one step: values of quantum layer 1"] == 3 * steps["one step: values of quantum layer 2"]
    assert len(steps) == 6
    assert 3 * sum(steps.values()) == counted["training"]
