"""What a training runs on a quantum computer, counted from the layer's own data.

One gradient on one image takes an evaluation of the layer as it is, and shifted ones for the parameter-shift rule
(Schuld et al., arXiv 1811.11184): two for every angle of a one-wire rotation, four for that of a controlled one
(Anselmetti et al., arXiv 2104.05695). The angles are those of the trainable circuit, where it is trained, and those of
the state preparation, because what lies below the layer needs the gradient with respect to its features: 2^n - 1
uniformly controlled rotations for 2^n real amplitudes (Möttönen et al., quant-ph/0407010), or one a wire. By
simultaneous perturbation (Spall, IEEE Trans. Autom. Control 37, 1992) it takes two evaluations a direction beside the
value, 64 for the default of 32 directions, however many angles there are, and is noisier the fewer they are. The
derivatives by the observable's coefficients come from the same measurements. Every evaluation is one circuit for each
setting that is measured. `qdistill.backends.execution` runs exactly these circuits.

How often a network uses a layer for one image, and whether anything that is trained lies below it, is found by tracing
the network on one image (`layer_uses`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from qdistill.errors import ArgumentError
from qdistill.models import Model
from qdistill.quantum import QuantumLayer, for_batch
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


@dataclass(frozen=True)
class LayerUse:
    """One call of a quantum layer by its network.

    Args:
        layer: the layer.
        vectors: feature vectors that it is given for one image.
        by_features: whether its derivative by them is needed, for something that is trained lies below.
    """

    layer: QuantumLayer
    vectors: int
    by_features: bool


def layer_uses(model: Model, image_shape: tuple[int, ...]) -> list[LayerUse]:
    """How a network uses its quantum layers for one image.

    A layer that is mapped over the parts of an image counts as often as `quantum.on_each` tells it; under `jax.vmap`
    alone, or in a loop that JAX traces once, it counts as one.

    Args:
        model: the network, or the shapes of its arrays.
        image_shape: (height, width, channels).
    """
    calls = _Calls()
    # The weights may be shapes alone.
    arrays, static = eqx.partition(model, lambda leaf: hasattr(leaf, "dtype"))

    def differentiated(arrays: Any) -> Any:
        weights, others = eqx.partition(arrays, eqx.is_inexact_array)

        def logits(weights: Any) -> Array:
            network = _watched(eqx.combine(weights, others, static), calls)
            return network(jnp.zeros(image_shape))

        return jax.jvp(logits, (weights,), (weights,))

    jax.eval_shape(differentiated, arrays)
    layers = quantum_layers(model)
    return [LayerUse(layers[call.number], call.vectors, call.by_features) for call in calls]


def _watched(model: Model, calls: _Calls) -> Model:
    """The network with layers that note their calls, for one image."""
    numbers = itertools.count()

    def watch(node: Any) -> Any:
        if not isinstance(node, QuantumLayer):
            return node
        fields = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
        return _Watched(**fields, number=next(numbers), calls=calls)

    network: Model = jax.tree.map(watch, for_batch(model, 1), is_leaf=lambda node: isinstance(node, QuantumLayer))
    return network


@dataclass
class _Call:
    """What is noticed of one call of a layer, by its number among a network's layers."""

    number: int
    vectors: int
    by_features: bool = False


class _Calls(list[_Call]):
    """A list that may be part of what JAX compiles a function for."""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


class _Watched(QuantumLayer):
    """A quantum layer that notes each of its calls while a network is traced."""

    number: int = eqx.field(static=True, default=0)
    calls: _Calls = eqx.field(static=True, default_factory=_Calls)

    def __call__(self, features: Array) -> Array:
        call = _Call(self.number, self.batch)
        self.calls.append(call)

        @jax.custom_jvp
        def unchanged(vector: Array) -> Array:
            return vector

        def noticed(primals: tuple[Array], tangents: tuple[Any]) -> tuple[Array, Array]:
            # JAX comes here only where the features depend on a weight.
            (vector,), (tangent,) = primals, tangents
            if isinstance(tangent, SymbolicZero):
                return vector, jnp.zeros_like(vector)
            call.by_features = True
            return vector, tangent

        unchanged.defjvp(noticed, symbolic_zeros=True)
        return super().__call__(unchanged(features))


def evaluations_per_gradient(
    layer: QuantumLayer, method: Method = "parameter_shift", directions: int = 32, *, by_features: bool = True
) -> dict[str, int]:
    """Evaluations of the layer for its value and all derivatives on one feature vector, by what they are for.

    Args:
        layer: the layer.
        method: how gradients are taken.
        directions: that SPSA averages over.
        by_features: whether the gradient of the features is needed.
    """
    if method == "spsa":
        return {"values": 1, "perturbed values": 2 * directions}
    weights = sum(_shifts(layer.circuit, "weight")) if layer.trainable else 0
    whole = embedded(layer.embedding, layer.circuit)
    features = sum(_shifts(whole, "feature")) if by_features else 0
    return {"values": 1, "gradient of the weights": weights, "gradient of the features": features}


def circuits_per_gradient(
    layer: QuantumLayer, method: Method = "parameter_shift", directions: int = 32, *, by_features: bool = True
) -> int:
    """Circuits for the layer's value and all its derivatives on one feature vector; see `evaluations_per_gradient`."""
    evaluations = evaluations_per_gradient(layer, method, directions, by_features=by_features)
    return settings(layer.observable) * sum(evaluations.values())


def training_work(
    model: Model,
    image_shape: tuple[int, ...],
    images_seen: int,
    *,
    shots: int,
    method: Method = "parameter_shift",
    directions: int = 32,
) -> Work:
    """What one training runs; see `work_of`, which takes what `layer_uses` finds instead of the network.

    Args:
        model: the network; one without a quantum layer runs nothing.
        image_shape: (height, width, channels).
        images_seen: gradient steps times images a step.
        shots: of each circuit, at least 1.
        method: how gradients are taken.
        directions: that SPSA averages over, at least 1.

    Raises:
        ArgumentError: no shots or directions, or an unknown method.
    """
    uses = layer_uses(model, image_shape)
    return work_of(uses, images_seen, shots=shots, method=method, directions=directions)


def work_of(
    uses: Sequence[LayerUse],
    images_seen: int,
    *,
    shots: int,
    method: Method = "parameter_shift",
    directions: int = 32,
) -> Work:
    """What one training runs, for several trainings of one network: it is traced once. As `training_work`."""
    for name, value in (("shots", shots), ("directions", directions)):
        if value < 1:
            raise ArgumentError(f"Argument `{name}` must be at least 1, but was {value}.")
    if method not in get_args(Method):
        raise ArgumentError.unknown("method", method, get_args(Method))
    work = Work(0, 0, 0, 0, 0)
    for use in uses:
        layer = use.layer
        per_vector = circuits_per_gradient(layer, method, directions, by_features=use.by_features)
        circuits = images_seen * use.vectors * per_vector
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


def training_circuits(
    model: Model,
    image_shape: tuple[int, ...],
    images_seen: int,
    method: Method = "parameter_shift",
    *,
    directions: int = 32,
) -> int:
    """Circuits of one training; see `training_work`."""
    return training_work(model, image_shape, images_seen, shots=1, method=method, directions=directions).circuits


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
