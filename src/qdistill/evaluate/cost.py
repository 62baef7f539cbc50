"""What a training costs on a quantum computer: circuits, counted from the layer's own data.

One gradient on one image takes an evaluation of the layer as it is, and shifted ones for the parameter-shift rule
(Schuld et al., arXiv 1811.11184): two for every angle of a one-wire rotation, four for that of a controlled one
(Anselmetti et al., arXiv 2104.05695). The angles are those of the trainable circuit, where it is trained, and those of
the state preparation, because what lies below the layer needs the gradient with respect to its features: 2^n - 1
uniformly controlled rotations for 2^n real amplitudes (Möttönen et al., quant-ph/0407010), or one a wire. The
derivatives by the observable's coefficients come from the same measurements. Every evaluation is one circuit for each
setting that is measured. `qdistill.backends.execution` runs exactly these circuits.
"""

from __future__ import annotations

import jax

from qdistill.models import Model
from qdistill.quantum import AmplitudeEmbedding, NoEmbedding, QuantumLayer
from qdistill.quantum.observable import Observable, measurement_settings

_ONE_WIRE = ("RX", "RY", "RZ", "Rot", "PhaseShift")


def settings(observable: Observable) -> int:
    """Measurement settings: Z alone for Pauli-Z; X, Y and Z on every wire at once, or for groups all their products."""
    return len(measurement_settings(observable))


def circuits_per_gradient(layer: QuantumLayer) -> int:
    """Circuits for the layer's value and all its derivatives on one image, by parameter shift."""
    evaluations = 1
    for operation in layer.circuit.operations:
        shifts = 2 if operation.gate in _ONE_WIRE else 4
        sources = ("weight", "feature") if layer.trainable else ("feature",)
        evaluations += sum(shifts for angle in operation.angles if angle.source in sources)
    n = layer.embedding.n_wires
    if isinstance(layer.embedding, AmplitudeEmbedding):
        evaluations += 2 * (2**n - 1)
    elif not isinstance(layer.embedding, NoEmbedding):
        evaluations += 2 * n
    return evaluations * settings(layer.observable)


def training_circuits(model: Model, images_seen: int) -> int:
    """Circuits of one training.

    Args:
        model: the network; one without a quantum layer needs none.
        images_seen: gradient steps times images a step.
    """
    layers = [
        leaf
        for leaf in jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, QuantumLayer))
        if isinstance(leaf, QuantumLayer)
    ]
    return images_seen * sum(circuits_per_gradient(layer) for layer in layers)
