"""How large gradients are at the start of training, against depth and number of qubits: the barren-plateau diagnostic.

Over random initial weights the mean of a deep random circuit's gradient is zero, and its variance falls
exponentially with the number of qubits (McClean, Boixo, Smelyanskiy, Babbush and Neven, Nature Communications 9, 4812,
2018); how fast depends on the circuit's expressibility (Holmes, Sharma, Cerezo and Coles, PRX Quantum 3, 010313, 2022)
and on how local the observable is (Cerezo, Sone, Volkoff, Cincio and Coles, Nature Communications 12, 1791, 2021).

Here the gradient is that of the whole network's training loss on real inputs, at two places: the weights of the ansatz,
and F2's features, whose gradient is all that the convolutions ever learn from. Each draw is a new network: its
convolutions and dense layers, its angles and its Hermitians. A trainable and a fixed Hermitian differ in what moves
later: at the start their gradients are the same, and are computed once.

All numbers fall with the number of qubits for one more reason than the circuit: F2 and, with the residual connection,
F3 have 2^n values, and their initial weights are the smaller the more there are. `Place.total` sums over what is there
2^n times, `Place.mean` divides by how many there are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qdistill.distill.losses import cross_entropy
from qdistill.errors import ArgumentError
from qdistill.evaluate.protocol import interval
from qdistill.models import QuantumLeNetArchitecture
from qdistill.quantum import AmplitudeEmbedding, Hermitian, QuantumLayer, StronglyEntangling, each_wire

OBSERVABLES: dict[str, Literal["pauli_z", "hermitian"]] = {
    "pauli_z": "pauli_z",
    "hermitian": "hermitian",
    "fixed_hermitian": "hermitian",
}
"""Each observable with the one whose gradients at the start are the same."""

SKIPS: dict[str, Literal["pad", "none"]] = {"residual": "pad", "no residual": "none"}
"""What a result says of the residual connection, and the architecture's field."""

_QUICK = {"xla_backend_optimization_level": 0}

_AT_ONCE = 4
"""Draws that share one pass over the gates: more fall out of the cache, fewer leave its cores idle."""


@dataclass(frozen=True)
class Place:
    """The variance of a gradient over draws, at one place of the network.

    Args:
        mean: variance of one component, the mean over the components.
        total: the sum over the components of an input, or of the weights.
        interval: 95 % of `mean`, by Student's t over the draws; each draw gives one squared deviation.
    """

    mean: float
    total: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Point:
    """What one size of the network, with one observable, gives.

    Args:
        n_qubits: of the quantum layer.
        n_layers: of the ansatz.
        observable: `"pauli_z"` or `"hermitian"`; the latter stands for a fixed one too.
        skip: `"residual"` or `"no residual"`.
        weights: of the gradient of the mean loss over the batch, with respect to the ansatz's weights.
        features: of the gradient of one input's loss, with respect to its features after F2.
    """

    n_qubits: int
    n_layers: int
    observable: str
    skip: str
    weights: Place
    features: Place


def variance_over_draws(gradients: Float[np.ndarray, "draws ..."], n_sharing: int = 1) -> Place:
    """The variance over draws of each component, put together.

    The two passes of the unbiased variance are in float64: a mean of squares less a squared mean would lose what
    float32 gradients have to tell.

    Args:
        gradients: one a draw, the first axis; every other axis counts components.
        n_sharing: how many inputs have components of their own; `Place.total` is that of one.

    Raises:
        ArgumentError: fewer than three draws, or a value is not finite.
    """
    n = len(gradients)
    if n < 3:
        raise ArgumentError(f"Argument `draws` must be at least 3, but was {n}.")
    if not np.isfinite(gradients).all():
        raise ArgumentError("Argument `gradients` must be finite, but holds NaN or infinity.")
    flat = gradients.reshape(n, -1).astype(np.float64)
    squared = np.mean((flat - flat.mean(axis=0)) ** 2, axis=1) * n / (n - 1)
    mean, bounds = float(squared.mean()), interval(squared.tolist())
    assert bounds is not None, "three draws give an interval"
    return Place(mean, mean * flat.shape[1] / n_sharing, bounds)


class Start(eqx.Module):
    """One draw of all initial weights, and what they make of the batch up to the quantum layer.

    The logits are ``carry @ features + read @ outputs`` with or without the residual connection, for F3's bias is zero
    at the start: with it `carry` is F3 and `read` its first columns, without it `carry` is zero.

    Args:
        features: of each input after F2.
        angles: of the deepest circuit; a shallower one takes the first layers.
        coefficients: of the observables: Pauli-Z, then the Hermitian.
        carry: what F3 makes of the features, for each of `SKIPS`.
        read: what F3 makes of the quantum layer's outputs, for each of `SKIPS`.
    """

    features: Float[Array, "n features"]
    angles: Float[Array, "layers wires 3"]
    coefficients: Float[Array, "observables wires 4"]
    carry: Float[Array, "skips classes features"]
    read: Float[Array, "skips classes wires"]


def start(
    architecture: QuantumLeNetArchitecture,
    inputs: Float[Array, "n *shape"],
    n_classes: int,
    *,
    key: Array,
) -> Start:
    """Draw the initial weights as the network itself does.

    Args:
        architecture: with the layers of the deepest circuit; one of each of `SKIPS` is drawn.
        inputs: normalised.
        n_classes: number of classes.
        key: random key, consumed.
    """
    models = [
        dataclasses.replace(architecture, skip=skip).build(inputs.shape[1:], n_classes, key=key)
        for skip in SKIPS.values()
    ]
    residual, plain = models
    assert isinstance(residual.branch, QuantumLayer), "the architecture's default is a quantum layer"
    assert isinstance(residual.branch.observable, Hermitian), "the architecture's default is a Hermitian"
    hermitian = residual.branch.observable.pauli_coefficients()
    pauli_z = jnp.tile(jnp.array([0.0, 0.0, 0.0, 1.0]), (architecture.n_qubits, 1))
    whole = residual.f3.weight
    return Start(
        features=jax.vmap(residual.features)(inputs),
        angles=residual.branch.weights,
        coefficients=jnp.stack([pauli_z, hermitian]),
        carry=jnp.stack([whole, jnp.zeros_like(whole)]),
        read=jnp.stack([whole[:, : architecture.n_qubits], plain.f3.weight]),
    )


def gradients_at_start(
    drawn: Start, labels: Int[Array, " n"], n_layers: int
) -> tuple[Float[Array, "observables skips layers wires 3"], Float[Array, "observables skips n features"]]:
    """The gradients of one draw, for every observable and skip.

    Args:
        drawn: the weights and features.
        labels: class numbers.
        n_layers: of the circuit, at most as many as were drawn.

    Returns:
        The gradient of the mean loss with respect to the circuit's angles; and that of each input's own loss with
        respect to its features.
    """
    _, n_qubits, _ = drawn.angles.shape
    circuit, wires = StronglyEntangling(n_qubits, n_layers).circuit(), each_wire(n_qubits)
    targets = jax.nn.one_hot(labels, drawn.read.shape[1])

    def gradient(coefficients: Array, carry: Array, read: Array) -> tuple[Array, Array]:
        def loss(angles: Array, features: Array) -> Array:
            observable = Hermitian(coefficients, wires)
            layer = QuantumLayer(AmplitudeEmbedding(n_qubits), circuit, angles, observable, batch=len(labels))
            return cross_entropy(features @ carry.T + jax.vmap(layer)(features) @ read.T, targets)

        slopes: tuple[Array, Array] = jax.grad(loss, argnums=(0, 1))(drawn.angles[:n_layers], drawn.features)
        return slopes

    # All cases are one program, which compiles once: they differ in numbers only.
    of_skips = jax.vmap(gradient, in_axes=(None, 0, 0))
    of_all = jax.vmap(of_skips, in_axes=(0, None, None))
    by_angles, by_features = of_all(drawn.coefficients, drawn.carry, drawn.read)
    # The loss is a mean over the inputs, and each input's features enter its own term only.
    return by_angles, by_features * len(labels)


def diagnose(
    inputs: Float[Array, "n *shape"],
    labels: Int[Array, " n"],
    n_classes: int,
    *,
    architecture: QuantumLeNetArchitecture | None = None,
    qubits: Sequence[int] = (4, 6, 8, 10),
    layers: Sequence[int] = (1, 2, 4, 8, 16),
    draws: int = 50,
    key: Array,
) -> Iterator[list[Point]]:
    """Measure the gradients' variance for every size.

    Args:
        inputs: a batch of real inputs, normalised.
        labels: class numbers.
        n_classes: number of classes.
        architecture: whose initial weights are drawn, but for its numbers of qubits and layers; by default the default.
        qubits: numbers of qubits.
        layers: numbers of ansatz layers.
        draws: random initialisations for each size; the same keys for all observables and skips.
        key: random key, consumed.

    Yields:
        The points of one size: each observable, with and without the residual connection.

    Raises:
        ArgumentError: too few draws, qubits or layers.
    """
    for name, values, least in (("qubits", qubits, 1), ("layers", layers, 1), ("draws", (draws,), 3)):
        if not values or min(values) < least:
            raise ArgumentError(f"Argument `{name}` must be at least {least}, but was {_listed(values)}.")
    keys = jax.random.split(key, draws)
    return _diagnose(inputs, labels, n_classes, architecture or QuantumLeNetArchitecture(), qubits, layers, keys)


def _diagnose(
    inputs: Array,
    labels: Array,
    n_classes: int,
    architecture: QuantumLeNetArchitecture,
    qubits: Sequence[int],
    layers: Sequence[int],
    keys: Array,
) -> Iterator[list[Point]]:
    for n_qubits in qubits:
        deepest = dataclasses.replace(architecture, n_qubits=n_qubits, n_layers=max(layers))

        def draw(key: Array, deepest: QuantumLeNetArchitecture = deepest) -> Start:
            return start(deepest, inputs, n_classes, key=key)

        # Runs once, so that it is worth little to optimise it: that would take ten times as long as to run it.
        drawn = jax.jit(lambda keys, draw=draw: jax.lax.map(draw, keys), compiler_options=_QUICK)(keys)
        for n_layers in layers:
            yield _measure(drawn, labels, n_qubits, n_layers)


@partial(jax.jit, static_argnums=2)
def _all_gradients(drawn: Start, labels: Array, n_layers: int) -> tuple[Array, Array]:
    gradients: tuple[Array, Array] = jax.lax.map(
        lambda one: gradients_at_start(one, labels, n_layers), drawn, batch_size=_AT_ONCE
    )
    return gradients


def _measure(drawn: Start, labels: Array, n_qubits: int, n_layers: int) -> list[Point]:
    by_angles, by_features = (np.asarray(array) for array in _all_gradients(drawn, labels, n_layers))
    return [
        Point(
            *(n_qubits, n_layers, observable, skip),
            weights=variance_over_draws(by_angles[:, i, j]),
            features=variance_over_draws(by_features[:, i, j], n_sharing=len(labels)),
        )
        for i, observable in enumerate(dict.fromkeys(OBSERVABLES.values()))
        for j, skip in enumerate(SKIPS)
    ]


def decay(points: Sequence[Point], value: Callable[[Point], float]) -> float | None:
    """The factor by which a variance changes with one more qubit, by least squares on its logarithm.

    Args:
        points: of several numbers of qubits, otherwise alike.
        value: the variance of a point.

    Returns:
        The factor, below 1 where gradients vanish; None for fewer than two numbers of qubits, or for a variance of
        zero, which has no logarithm.
    """
    sizes, values = [point.n_qubits for point in points], [value(point) for point in points]
    if len(set(sizes)) < 2 or min(values) <= 0:
        return None
    slope, _ = np.polyfit(sizes, np.log(values), 1)
    return math.exp(slope)


def decays(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The decay per qubit of every depth, observable and skip, as plain data."""
    rows = []
    for observable, skip, n_layers in dict.fromkeys((p.observable, p.skip, p.n_layers) for p in points):
        alike = [p for p in points if (p.observable, p.skip, p.n_layers) == (observable, skip, n_layers)]
        rows.append(
            {
                "observable": observable,
                "skip": skip,
                "n_layers": n_layers,
                "weights": decay(alike, lambda point: point.weights.mean),
                "features": decay(alike, lambda point: point.features.mean),
                "features_total": decay(alike, lambda point: point.features.total),
            }
        )
    return rows


def as_plain(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The points as plain data."""
    return [dataclasses.asdict(point) for point in points]


def _listed(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values) or "empty"
