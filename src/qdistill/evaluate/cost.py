"""What a training runs on a quantum computer, counted from the layer's own data.

One gradient on one input takes an evaluation of the layer as it is, and shifted ones for the parameter-shift rule
(Schuld et al., arXiv 1811.11184): two for every angle of a one-wire rotation, four for that of a controlled one
(Anselmetti et al., arXiv 2104.05695). The angles are those of the trainable circuit, where it is trained, and those of
the state preparation, because what lies below the layer needs the gradient with respect to its features: 2^n - 1
uniformly controlled rotations for 2^n real amplitudes (Möttönen et al., quant-ph/0407010), or one a wire. By
simultaneous perturbation (Spall, IEEE Trans. Autom. Control 37, 1992) it takes two evaluations a direction beside the
value, 64 for the default of 32 directions, however many angles there are, and is noisier the fewer they are. The
derivatives by the observable's coefficients come from the same measurements. Every evaluation is one circuit for each
setting that is measured. `qdistill.backends.execution` runs exactly these circuits.

How often a network calls a layer for one input, and whether anything that is trained lies below it, is found by tracing
the network on one input (`quantum.layer_calls`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qdistill.errors import ArgumentError
from qdistill.fields import convert
from qdistill.models import Model
from qdistill.quantum import AmplitudeEmbedding, LayerCall, QuantumLayer, layer_calls
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.gates import GRADIENTS, SPSA_DIRECTIONS, Gradient, shift_rule
from qdistill.quantum.observable import Observable
from qdistill.quantum.preparation import embedded, preparation_depths, preparation_gates
from qdistill.quantum.shots import measurement_settings


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
    """Measurement settings: Z alone for products of Z; X, Y and Z on every wire at once for one-wire Hermitians."""
    return len(measurement_settings(observable))


def evaluations_per_gradient(
    layer: QuantumLayer,
    gradient: Gradient = "parameter_shift",
    directions: int = SPSA_DIRECTIONS,
    *,
    by_features: bool = True,
) -> dict[str, int]:
    """Evaluations of the layer for its value and all derivatives on one feature vector, by what they are for.

    Args:
        layer: the layer.
        gradient: how gradients are taken.
        directions: that SPSA averages over.
        by_features: whether the gradient of the features is needed.

    Returns:
        Under "gradient of the features" what those take beyond the gradient of the weights: an angle that reads both is
        shifted once.
    """
    if gradient == "spsa":
        return {"values": 1, "perturbed values": 2 * directions}
    gates, amplitudes = _gates(layer)
    weights = _shifts(gates, weights=layer.trainable, features=False)
    # What is shifted for the weights of an angle serves its features too.
    features = _shifts(gates, weights=layer.trainable, features=by_features) - weights
    if by_features and amplitudes:
        features += 2 * len(shift_rule("RY")) * preparation_gates(amplitudes)[0]
    return {"values": 1, "gradient of the weights": weights, "gradient of the features": features}


def circuits_per_gradient(
    layer: QuantumLayer,
    gradient: Gradient = "parameter_shift",
    directions: int = SPSA_DIRECTIONS,
    *,
    by_features: bool = True,
) -> int:
    """Circuits for the layer's value and all its derivatives on one feature vector; see `evaluations_per_gradient`."""
    evaluations = evaluations_per_gradient(layer, gradient, directions, by_features=by_features)
    return settings(layer.observable) * sum(evaluations.values())


def training_work(
    model: Model,
    input_shape: tuple[int, ...],
    inputs_seen: int,
    *,
    shots: int,
    gradient: Gradient = "parameter_shift",
    directions: int = SPSA_DIRECTIONS,
) -> Work:
    """What one training runs; see `work_of`, which takes what `layer_calls` finds instead of the network.

    Args:
        model: the network; one without a quantum layer runs nothing.
        input_shape: the shape of one input.
        inputs_seen: gradient steps times examples a step.
        shots: of each circuit, at least 1.
        gradient: how gradients are taken.
        directions: that SPSA averages over, at least 1.

    Raises:
        ArgumentError: no shots or directions, or an unknown rule for gradients.
    """
    calls = layer_calls(model, input_shape)
    return work_of(calls, inputs_seen, shots=shots, gradient=gradient, directions=directions)


def work_of(
    calls: Sequence[LayerCall],
    inputs_seen: int,
    *,
    shots: int,
    gradient: Gradient = "parameter_shift",
    directions: int = SPSA_DIRECTIONS,
) -> Work:
    """What one training runs, for several trainings of one network: it is traced once. As `training_work`."""
    shots, directions = convert(shots, int, "shots"), convert(directions, int, "directions")
    for name, value in (("shots", shots), ("directions", directions)):
        if value < 1:
            raise ArgumentError(f"Argument `{name}` must be at least 1, but was {value}.")
    if gradient not in GRADIENTS:
        raise ArgumentError.unknown("gradient", gradient, GRADIENTS)
    work = Work(0, 0, 0, 0, 0)
    for call in calls:
        layer = call.layer
        per_vector = circuits_per_gradient(layer, gradient, directions, by_features=call.by_features)
        circuits = inputs_seen * call.vectors * per_vector
        gates, amplitudes = _gates(layer)
        entanglers = preparation_gates(amplitudes)[1] if amplitudes else 0
        busy = preparation_depths(amplitudes) if amplitudes else None
        # What turns X and Y to Z is one more layer of gates.
        turned = any(string.wires_of("XY") for strings in layer.observable.terms for string in strings)
        work = Work(
            work.circuits + circuits,
            work.shots + circuits * shots,
            max(work.settings, settings(layer.observable)),
            max(work.depth, depth(gates, busy) + turned),
            max(work.two_qubit_gates, entanglers + sum(len(operation.wires) == 2 for operation in gates.operations)),
        )
    return work


def training_circuits(
    model: Model,
    input_shape: tuple[int, ...],
    inputs_seen: int,
    gradient: Gradient = "parameter_shift",
    *,
    directions: int = SPSA_DIRECTIONS,
) -> int:
    """Circuits of one training; see `training_work`."""
    return training_work(model, input_shape, inputs_seen, shots=1, gradient=gradient, directions=directions).circuits


def depth(circuit: Circuit, busy: Sequence[int] | None = None) -> int:
    """Layers of gates, each gate as early as its wires are free.

    Args:
        circuit: the gates.
        busy: the layer on which each wire was used last before them; None for a circuit that comes first.
    """
    busy = [0] * circuit.n_wires if busy is None else list(busy)
    for operation in circuit.operations:
        until = 1 + max(busy[wire] for wire in operation.wires)
        for wire in operation.wires:
            busy[wire] = until
    return max(busy, default=0)


def _gates(layer: QuantumLayer) -> tuple[Circuit, int]:
    """A layer's gates, and on how many wires amplitudes are prepared before them.

    The preparation has 2^n gates, which are counted by `preparation_gates` and not made.
    """
    if isinstance(layer.embedding, AmplitudeEmbedding):
        return layer.circuit, layer.embedding.n_wires
    return embedded(layer.embedding, layer.circuit), 0


def _shifts(circuit: Circuit, *, weights: bool, features: bool) -> int:
    """Shifted evaluations for all angles that read weights or features, where those count."""
    return sum(
        2 * len(shift_rule(operation.gate))
        for operation in circuit.operations
        for angle in operation.angles
        if angle.reads(weights=weights, features=features)
    )
