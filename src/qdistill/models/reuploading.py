"""Data re-uploading: layers of rotations whose angles are w x + t, so that the inputs come in again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models.checks import at_least_one, check_n_classes, count_inputs, not_zero
from qdistill.models.circuit import CircuitClassifier
from qdistill.models.initial import Distribution, check_spread, initial_angles
from qdistill.models.readout import MOST_CLASS_STATES, class_states
from qdistill.quantum import (
    Circuit,
    NoEmbedding,
    Observable,
    Operation,
    PauliZ,
    QuantumLayer,
    check_operations,
    check_wires,
    each_wire,
)
from qdistill.quantum.angle import constant, feature, weight

AXES = 3
"""Inputs of a rotation."""


@dataclass(frozen=True)
class DataReuploading:
    """The multi-qubit classifier of Perez-Salinas et al.: L uploads of the inputs, with CZ between them.

    The inputs are taken in groups of three, the last filled up with zeros, and an upload of a group (x0, x1, x2) to a
    wire is ``Rot(w0 x0 + t0, w1 x1 + t1, w2 x2 + t2)`` with six weights of its own. Between uploads CZ entangles the
    wires (0, 1), (2, 3), ... and (1, 2), (3, 4), ... by turns. The logit of class c is ``a_c F_c``: the fidelity of
    wire 0 with one of the states that lie furthest apart on the Bloch sphere, times a trained weight of the class.

    With ten inputs the defaults are four qubits and 98 parameters: w and t of four layers, four wires and three axes,
    of which the w of two places without an input have no effect, and two class weights.

    Args:
        n_layers: uploads L.
        n_qubits: number of wires n; by default one for each group of three inputs, or one where all take all, and for
            the readout ``"expectation"`` one a class at least.
        upload: ``"spread"`` gives wire i the i-th group, and begins again with the first where there are more wires;
            ``"repeated"`` gives every wire all groups, one after another, as the publication does.
        encoding: ``"joint"`` as above; ``"separate"`` is ``Rot(w x)``, then ``Rot(t)``, with CZ after each of the L
            layers and one joint upload more at the end, as XanaduAI/qml-benchmarks has it.
        entangler: ``"bricks"`` as above; ``"ring"`` is CZ(i, i + 1 mod n) on every wire i after each upload but the
            last.
        readout: ``"fidelity"`` as above; ``"expectation"`` is <Z> on wire c for class c, with the same trained weights.
        distribution: of the initial w and t: uniform in [0, spread), or normal with the standard deviation `spread`.
        spread: as the publication's code and qml-benchmarks have it by default.
        class_weight: the trained class weights a_c at the start.

    Reference:
        Perez-Salinas, Cervera-Lierta, Gil-Fuster and Latorre, Quantum 4, 226 (2020), arXiv 1907.02085; Bowles, Ahmed
        and Schuld, arXiv 2403.07059.
    """

    n_layers: int = 4
    n_qubits: int | None = None
    upload: Literal["spread", "repeated"] = "spread"
    encoding: Literal["joint", "separate"] = "joint"
    entangler: Literal["bricks", "ring"] = "bricks"
    readout: Literal["fidelity", "expectation"] = "fidelity"
    distribution: Distribution = "uniform"
    spread: float = 1.0
    class_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        at_least_one(n_layers=self.n_layers, n_qubits=self.n_qubits)
        check_wires(self.n_qubits or 1, "n_qubits")
        check_spread(self.spread)
        not_zero(class_weight=self.class_weight)

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> CircuitClassifier:
        """Draw a model.

        Args:
            input_shape: of one input, which is read in C order.
            n_classes: from 2 to 6, or to the number of wires for ``"expectation"``.
            key: random key, consumed.

        Raises:
            ArgumentError: inputs for more wires than there are, or more classes than the readout has.
        """
        most = AXES * self.n_qubits if self.n_qubits and self.upload == "spread" else None
        why = "that rotations read" if most is None else f"for {self.n_qubits} qubits, with three inputs on each"
        n_inputs = count_inputs(input_shape, 1, most, why)
        check_n_classes(n_classes)
        circuit = self.circuit(n_inputs, n_classes)
        angles = initial_angles(self.distribution, self.spread, (circuit.n_weights,), key=key)
        return CircuitClassifier(
            QuantumLayer(
                NoEmbedding(circuit.n_wires, n_inputs), circuit, angles, self._observable(circuit.n_wires, n_classes)
            ),
            input_shape,
            output_scale=jnp.full(n_classes, self.class_weight, jnp.float32),
        )

    def _observable(self, n_wires: int, n_classes: int) -> Observable:
        if self.readout == "fidelity":
            check_n_classes(n_classes, MOST_CLASS_STATES, "for the states of one qubit")
            return class_states(n_classes)
        if n_wires < 2:
            raise ArgumentError("Argument `n_qubits` must be at least 2 for the readout 'expectation', but was 1.")
        check_n_classes(n_classes, n_wires, f"for Z on each of {n_wires} wires")
        return PauliZ(each_wire(n_wires)[:n_classes])

    def circuit(self, n_inputs: int, n_classes: int = 2) -> Circuit:
        """The circuit for that many inputs and classes.

        Its weights are (uploads, groups that a wire takes in an upload, wires, 3, 2) in C order, w before t.
        """
        groups = -(-n_inputs // AXES)
        rounds = 1 if self.upload == "spread" else groups
        fewest = max(groups if self.upload == "spread" else 1, n_classes if self.readout == "expectation" else 1)
        n = self.n_qubits or fewest
        check_wires(n, "n_qubits")
        uploads = self.n_layers + (self.encoding == "separate")
        check_operations(uploads * n * (2 * rounds + 1), f"data re-uploading in {uploads:,} layers on {n:,} wires")
        places = np.arange(uploads * rounds * n * AXES * 2).reshape(uploads, rounds, n, AXES, 2)
        operations: list[Operation] = []
        for layer in range(uploads):
            joint = self.encoding == "joint" or layer == self.n_layers
            for turn in range(rounds):
                for wire in range(n):
                    group = (wire if self.upload == "spread" else turn) % groups
                    entries = [entry if entry < n_inputs else None for entry in range(AXES * group, AXES * (group + 1))]
                    operations += _upload(wire, entries, places[layer, turn, wire].tolist(), joint=joint)
            if layer < uploads - 1:
                operations += [Operation("CZ", pair) for pair in self._entangled(n, layer)]
        return Circuit(n, tuple(operations))

    def _entangled(self, n: int, layer: int) -> list[tuple[int, int]]:
        if self.entangler == "bricks":
            return [(wire, wire + 1) for wire in range(layer % 2, n - 1, 2)]
        # Between two wires a second CZ would undo the first.
        return [(wire, (wire + 1) % n) for wire in range(n if n > 2 else n - 1)]


def _upload(wire: int, entries: list[int | None], places: list[list[int]], *, joint: bool) -> list[Operation]:
    """The rotations by three inputs, where there are some, with the places of the weights w and t of each."""
    shifts = tuple(weight(t) for _, t in places)
    scaled = tuple(
        constant(0.0) if entry is None else weight(w) * feature(entry)
        for entry, (w, _) in zip(entries, places, strict=True)
    )
    if joint:
        return [Operation("Rot", (wire,), tuple(wx + t for wx, t in zip(scaled, shifts, strict=True)))]
    return [Operation("Rot", (wire,), scaled), Operation("Rot", (wire,), shifts)]
