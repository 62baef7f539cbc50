"""What a training runs on a quantum computer, counted from the layer's own data.

One gradient on one image takes an evaluation of the layer as it is, and shifted ones for the parameter-shift rule
(Schuld et al., arXiv 1811.11184): two for every angle of a one-wire rotation, four for that of a controlled one
(Anselmetti et al., arXiv 2104.05695). The angles are those of the trainable circuit, where it is trained, and those of
the state preparation, because what lies below the layer needs the gradient with respect to its features: 2^n - 1
uniformly controlled rotations for 2^n real amplitudes (Möttönen et al., quant-ph/0407010), or one a wire. By
simultaneous perturbation (Spall, IEEE Trans. Autom. Control 37, 1992) it takes two evaluations beside the value,
however many angles there are, and is as much noisier. The derivatives by the observable's coefficients come from the
same measurements. Every evaluation is one circuit for each setting that is measured. `qdistill.backends.execution` runs
exactly these circuits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import jax

from qdistill.errors import ArgumentError
from qdistill.models import Model
from qdistill.quantum import QuantumLayer
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.gates import shift_rule
from qdistill.quantum.observable import Observable, PauliZ
from qdistill.quantum.preparation import embedded
from qdistill.quantum.shots import measurement_settings

Method = Literal["parameter_shift", "spsa"]


@dataclass(frozen=True)
class Work:
    """What a training runs.

    Args:
        circuits: executed circuits, each of which is measured in one setting.
        shots: measurements of all of them.
        settings: measurement settings of an evaluation.
        depth: of one circuit as it is written, state preparation included; on a device it is several times that.
        two_qubit_gates: in one circuit as it is written.
    """

    circuits: int
    shots: int
    settings: int
    depth: int
    two_qubit_gates: int


def settings(observable: Observable) -> int:
    """Measurement settings: Z alone for Pauli-Z; X, Y and Z on every wire at once, or for groups all their products."""
    return len(measurement_settings(observable))


def evaluations_per_gradient(
    layer: QuantumLayer, method: Method = "parameter_shift", directions: int = 32
) -> dict[str, int]:
    """Evaluations of the layer for its value and all derivatives on one image, by what they are for."""
    if method == "spsa":
        return {"values": 1, "perturbed values": 2 * directions}
    weights = sum(_shifts(layer.circuit, "weight")) if layer.trainable else 0
    whole = embedded(layer.embedding, layer.circuit)
    return {"values": 1, "gradient of the weights": weights, "gradient of the features": sum(_shifts(whole, "feature"))}


def circuits_per_gradient(layer: QuantumLayer, method: Method = "parameter_shift", directions: int = 32) -> int:
    """Circuits for the layer's value and all its derivatives on one image."""
    return settings(layer.observable) * sum(evaluations_per_gradient(layer, method, directions).values())


def training_work(
    model: Model, images_seen: int, *, shots: int, method: Method = "parameter_shift", directions: int = 32
) -> Work:
    """What one training runs, where the network uses each of its quantum layers once an image.

    A layer that is used on p vectors of every image, such as the patches of a quanvolution, runs p times as many
    circuits as are counted for it here: how often a network calls a layer cannot be seen from its parts.

    Args:
        model: the network; one without a quantum layer runs nothing.
        images_seen: gradient steps times images a step.
        shots: of each circuit, at least 1.
        method: how gradients are taken.
        directions: that SPSA averages over, at least 1.

    Raises:
        ArgumentError: no shots or directions, or an unknown method.
    """
    for name, value in (("shots", shots), ("directions", directions)):
        if value < 1:
            raise ArgumentError(f"Argument `{name}` must be at least 1, but was {value}.")
    if method not in get_args(Method):
        raise ArgumentError.unknown("method", method, get_args(Method))
    work = Work(0, 0, 0, 0, 0)
    for layer in quantum_layers(model):
        circuits = images_seen * circuits_per_gradient(layer, method, directions)
        whole = embedded(layer.embedding, layer.circuit)
        # What turns X and Y to Z is one more layer of gates.
        turned = 0 if isinstance(layer.observable, PauliZ) else 1
        work = Work(
            work.circuits + circuits,
            work.shots + circuits * shots,
            max(work.settings, settings(layer.observable)),
            max(work.depth, depth(whole) + turned),
            max(work.two_qubit_gates, sum(len(operation.wires) == 2 for operation in whole.operations)),
        )
    return work


def training_circuits(model: Model, images_seen: int, method: Method = "parameter_shift") -> int:
    """Circuits of one training; see `training_work`."""
    return training_work(model, images_seen, shots=1, method=method).circuits


def quantum_layers(model: Model) -> list[QuantumLayer]:
    """The quantum layers of a network."""
    leaves = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, QuantumLayer))
    return [leaf for leaf in leaves if isinstance(leaf, QuantumLayer)]


def depth(circuit: Circuit) -> int:
    """Layers of gates, each gate as early as its wires are free."""
    busy = [0] * circuit.n_wires
    for operation in circuit.operations:
        until = 1 + max(busy[wire] for wire in operation.wires)
        for wire in operation.wires:
            busy[wire] = until
    return max(busy, default=0)


def _shifts(circuit: Circuit, source: Literal["weight", "feature"]) -> list[int]:
    """Shifted evaluations for each angle that is read from a source."""
    return [
        2 * len(shift_rule(operation.gate))
        for operation in circuit.operations
        for angle in operation.angles
        if angle.source == source
    ]
