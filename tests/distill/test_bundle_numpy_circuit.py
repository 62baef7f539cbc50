"""Bundles of circuit classifiers, replayed in NumPy from docs/bundle-format.md alone."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.models import CircuitArchitecture, named_weights, predict
from qdistill.quantum import Circuit, Operation, constant, feature, weight

from .numpy_replay import Replay, slopes_of
from .samples import random_bundle

PAULIS = {
    "I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])
}  # fmt: skip


class CircuitReplay(Replay):
    """The training, with derivatives by differences: there are few weights, and float64 is exact enough."""

    def forward(self, inputs):
        return np.array([self.logits_of(x.reshape(-1)) for x in inputs]), None

    def gradients(self, inputs, labels):
        return {name: self.slope(name, inputs, labels) for name in self.weights}

    def slope(self, name, inputs, labels):
        own, slope = self.weights[name].copy(), np.zeros_like(self.weights[name])
        logits, _ = self.forward(inputs)
        by_logits = slopes_of(self.header["inner"]["loss"], logits, labels) / len(inputs)
        for place in np.ndindex(own.shape):
            ends = []
            for step in (1e-5, -1e-5):
                self.weights[name] = own.copy()
                self.weights[name][place] += step
                ends.append(self.forward(inputs)[0])
            slope[place] = np.sum(by_logits * (ends[0] - ends[1])) / 2e-5
        self.weights[name] = own
        return slope

    def logits_of(self, x):
        f = x * self.weights.get("input_scale", 1.0)
        state = self.state(f)
        values = np.array(list(self.values(state, len(self.header["data"]["class_names"]))))
        values = values * self.weights.get("output_scale", self.fields["output_scale"])
        return np.concatenate([-values / 2, values / 2]) if self.fields["readout"] == "margin" else values

    def state(self, f):
        q = self.fields["circuit"]["n_wires"]
        state = np.zeros(2**q, complex)
        state[0] = 1
        if self.fields["embedding"] == "amplitude":
            state[:] = 0
            state[: len(f)] = f / np.sqrt(np.sum(f**2) + 1e-12)
        elif self.fields["embedding"] == "angle":
            for wire, angle in enumerate(f):
                state = on(state, {wire: turn("Y", angle)}, q)
        for operation in self.fields["circuit"]["operations"]:
            state = self.applied(operation, f, state, q)
        return state

    def applied(self, operation, f, state, q):
        gate, wires = operation["gate"], operation["wires"]
        angles = [self.angle(angle, f) for angle in operation["angles"]]
        if gate == "CNOT":
            kept = on(state, {wires[0]: np.diag([1, 0])}, q)
            return kept + on(state, {wires[0]: np.diag([0, 1]), wires[1]: PAULIS["X"]}, q)
        if gate == "Rot":
            for axis, angle in zip("ZYZ", angles, strict=True):
                state = on(state, {wires[0]: turn(axis, angle)}, q)
            return state
        return on(state, {wires[0]: turn(gate[1], angles[0])}, q)

    def angle(self, angle, f):
        w = self.weights["layer.weights"]
        return sum(
            term["coefficient"] * np.prod(w[term["weights"]]) * np.prod(f[term["features"]]) for term in angle["terms"]
        )

    def values(self, state, k):
        fields, q = self.fields, self.fields["circuit"]["n_wires"]
        if fields["readout"] == "probabilities":
            wires = fields["readout_wires"] or list(range(max(1, int(np.ceil(np.log2(k))))))
            bits = itertools.product((0, 1), repeat=len(wires))
            for outcome in itertools.islice(bits, k):
                seen = {wire: np.diag([1 - bit, bit]) for wire, bit in zip(wires, outcome, strict=True)}
                yield np.vdot(state, on(state, seen, q)).real
            return
        trained = iter(self.weights.get("layer.observable.coefficients", ()))
        count = 1 if fields["readout"] == "margin" else k
        for text in fields["observables"] or [f"Z{wire}" for wire in range(count)]:
            value = 0.0
            for sign, term in re.findall(r"(^|[+-]) ?([^+-]+)", text):
                numbers = re.findall(r"(?<![XYZ\d.])\d+\.?\d*", term)
                matrices = {int(wire): PAULIS[letter] for letter, wire in re.findall(r"([XYZ])(\d+)", term)}
                coefficient = (float(numbers[0]) if numbers else 1.0) * (-1 if sign == "-" else 1)
                value += next(trained, coefficient) * np.vdot(state, on(state, matrices, q)).real
            yield value


def turn(axis, angle):
    return np.cos(angle / 2) * PAULIS["I"] - 1j * np.sin(angle / 2) * PAULIS[axis]


def on(state, matrices, q):
    """Matrices on some wires of a state; wire 0 is the most significant bit."""
    whole = np.eye(1)
    for wire in range(q):
        whole = np.kron(whole, matrices.get(wire, PAULIS["I"]))
    return whole @ state


READS = Circuit(
    3,
    (
        Operation("Rot", (0,), (weight(0) * feature(0) + 0.5, feature(1), weight(1))),
        Operation("RX", (1,), (weight(2) * weight(3) - 2 * feature(1),)),
        Operation("CNOT", (0, 1)),
        Operation("RY", (2,), (feature(2),)),
        Operation("CNOT", (1, 2)),
        Operation("RY", (0,), (weight(4),)),
    ),
)
ANSATZ = Circuit(
    2,
    (
        *(Operation("Rot", (w,), (weight(2 * w), weight(2 * w + 1), constant(0.3))) for w in range(2)),
        Operation("CNOT", (1, 0)),
    ),
)
OWN = ("Z0", "0.5 * X0 Z1 - Y2 + 0.25")

CASES = {
    "expectation": (CircuitArchitecture(READS, input_scaling="feature", output_scaling="class"), (3,), 3, "square"),
    "observables": (CircuitArchitecture(READS, observables=OWN, input_scaling="shared"), (3,), 2, "hinge"),
    "trained": (CircuitArchitecture(READS, observables=OWN, trained_observables=True), (3, 1), 2, "cross_entropy"),
    "margin": (CircuitArchitecture(READS, "none", "margin", ("Z0 Z1",), output_scaling="none"), (3,), 2, "square"),
    "probabilities": (
        CircuitArchitecture(READS, "none", "probabilities", (), (2, 0), output_scaling="none"), (3,), 3, "fidelity"
    ),
    "amplitudes": (CircuitArchitecture(ANSATZ, "amplitude", "probabilities"), (3,), 2, "cross_entropy"),
    "angles": (CircuitArchitecture(ANSATZ, "angle", output_scaling="none", output_scale=3.0), (2,), 2, "square"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_numpy_replays_the_file(case, tmp_path):
    architecture, shape, n_classes, loss = CASES[case]
    inner = InnerLoop(steps=2, loss=loss, optimiser="momentum")
    random_bundle(architecture, inner, shape, n_classes).save(tmp_path / "bundle.safetensors")
    bundle, replay = (
        DistilledDataset.load(tmp_path / "bundle.safetensors"),
        CircuitReplay(tmp_path / "bundle.safetensors"),
    )
    inputs = np.random.default_rng(1).normal(size=(4, *shape)).astype(np.float32)
    np.testing.assert_allclose(replay.forward(inputs)[0], predict(bundle.initial_model(), inputs), atol=2e-5)
    replay.train()
    trained = named_weights(bundle.train())
    assert list(trained) == list(replay.weights)
    for name, value in trained.items():
        np.testing.assert_allclose(replay.weights[name], value, atol=5e-5, err_msg=name)
        assert not np.array_equal(bundle.initial_weights[name], value), name
