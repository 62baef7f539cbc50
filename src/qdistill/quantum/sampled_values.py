"""Values from samples of a layer's circuits, with the gradient that a device would estimate by shift rules.

A value and its derivatives come from S shots of each setting, of the circuit itself and of every shifted one, all
independent. Derivatives by the weights take two circuits for each angle that reads one, four where the gate is
controlled (`gates.shift_rule`); those by features that are angles likewise; those by amplitude-embedded features take
two states a feature (`_amplitude_slopes`); those by the observable's coefficients need no further circuit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.quantum.angle import Angle
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import NORM_FLOOR, AmplitudeEmbedding, NoEmbedding
from qdistill.quantum.execution import Execution
from qdistill.quantum.gates import shift_rule
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.observable import Observable
from qdistill.quantum.outcomes import probabilities
from qdistill.quantum.shots import estimates, sample_frequencies
from qdistill.quantum.simulate import values_of_angles


def sampled_values(layer: QuantumLayer, execution: Execution, features: Array, key: Array) -> Array:
    """The values from S shots of each setting, with the gradient that a device would estimate.

    Args:
        layer: the layer, with an embedding whose features have a shift rule.
        execution: gives the device, or none, and the shots, which there must be.
        features: one vector of real numbers.
        key: random key, consumed.

    Returns:
        (outputs,), differentiable once in reverse mode with respect to `layer` and `features`.
    """
    arrays, static = eqx.partition(layer, eqx.is_inexact_array)
    assert execution.shots is not None
    shots = execution.shots

    @jax.custom_vjp
    def values(arrays: QuantumLayer, features: Array, key: Array) -> Array:
        return forward(arrays, features, key)[0]

    def forward(arrays: QuantumLayer, features: Array, key: Array) -> tuple[Array, tuple[Any, ...]]:
        key_value, key_slopes = jax.random.split(key)
        whole: QuantumLayer = eqx.combine(arrays, static)
        frequencies = sample_frequencies(probabilities(whole, execution, features), shots, key=key_value)
        estimate = estimates(whole.observable, frequencies)
        return estimate, (arrays, features, frequencies, estimate, key_slopes)

    def backward(kept: tuple[Any, ...], cotangent: Array) -> tuple[QuantumLayer, Array, None]:
        arrays, features, frequencies, estimate, key = kept
        whole: QuantumLayer = eqx.combine(arrays, static)

        def by_observable(observable: Observable) -> Array:
            return estimates(eqx.combine(observable, static.observable), frequencies)

        (d_observable,) = jax.vjp(by_observable, arrays.observable)[1](cotangent)
        rule = _shift_rule_of(whole.circuit)
        angles, to_sources = jax.vjp(partial(values_of_angles, rule.angles), whole.weights.reshape(-1), features)
        # A circuit that reads features has other angles for every vector.
        batch = 1 if whole.circuit.n_features else whole.batch
        free = replace(whole, circuit=rule.circuit, weights=angles, batch=batch)
        shares = _shifted_angles(rule, free, execution, features)
        if not isinstance(whole.embedding, NoEmbedding):
            shares = jnp.concatenate([shares, _shifted_features(free, execution, features)])
        counted = jax.vmap(lambda shares, key: sample_frequencies(shares, shots, key=key))(
            shares, jax.random.split(key, len(shares))
        )
        sampled = jax.vmap(lambda frequencies: estimates(whole.observable, frequencies))(counted)
        by_angle, by_feature = jnp.split(sampled, [len(rule.offsets)])
        d_angles = jnp.asarray(rule.slopes, sampled.dtype).T @ (by_angle @ cotangent)
        d_weights, d_features = to_sources(d_angles)
        if isinstance(whole.embedding, AmplitudeEmbedding):
            d_features += _amplitude_slopes(features, estimate, by_feature) @ cotangent
        elif not isinstance(whole.embedding, NoEmbedding):
            d_features += _half_difference(by_feature) @ cotangent
        slopes = eqx.tree_at(
            lambda own: (own.weights, own.observable), arrays, (d_weights.reshape(whole.weights.shape), d_observable)
        )
        return slopes, d_features, None

    values.defvjp(forward, backward)
    result: Array = values(arrays, features, key)
    return result


def _up_and_down(step: float, count: int, dtype: Any) -> Float[Array, "shifts entries"]:
    """A step up for each entry, then one down."""
    steps = step * jnp.eye(count, dtype=dtype)
    return jnp.concatenate([steps, -steps])


def _half_difference(values: Float[Array, "shifts outputs"]) -> Float[Array, "entries outputs"]:
    up, down = jnp.split(values, 2)
    return (up - down) / 2


@dataclass(frozen=True, eq=False)
class _ShiftRule:
    """Where to evaluate a circuit around its angles, and how the derivatives follow.

    Args:
        circuit: with every angle a weight of its own.
        angles: where each of these comes from.
        offsets: radians, a row for each evaluation.
        slopes: factors of each evaluation in the derivative by each angle.
    """

    circuit: Circuit
    angles: tuple[Angle, ...]
    offsets: Float[np.ndarray, "evaluations angles"]
    slopes: Float[np.ndarray, "evaluations angles"]


@lru_cache
def _shift_rule_of(circuit: Circuit) -> _ShiftRule:
    apart, angles, gates = circuit.angles_apart()
    rules = [shift_rule(gate) for gate in gates]
    rows = [
        (place, sign * rule[term][0], sign * rule[term][1])
        for term in range(max(map(len, rules), default=0))
        for sign in (1, -1)
        for place, rule in enumerate(rules)
        if term < len(rule)
    ]
    offsets, slopes = np.zeros((len(rows), len(angles))), np.zeros((len(rows), len(angles)))
    for row, (place, shift, factor) in enumerate(rows):
        offsets[row, place], slopes[row, place] = shift, factor
    return _ShiftRule(apart, angles, offsets, slopes)


def _shifted_angles(
    rule: _ShiftRule, free: QuantumLayer, execution: Execution, features: Array
) -> Float[Array, "shifts settings outcomes"]:
    """The probabilities at the shifted angles of the circuit."""

    def shifted(offsets: Array) -> Array:
        moved = eqx.tree_at(lambda own: own.weights, free, free.weights + offsets)
        return probabilities(moved, execution, features)

    return jax.vmap(shifted)(jnp.asarray(rule.offsets, free.weights.dtype))


def _shifted_features(
    free: QuantumLayer, execution: Execution, features: Array
) -> Float[Array, "shifts settings outcomes"]:
    """The probabilities that the derivatives by embedded features are made of, up for each feature, then down."""
    many = replace(free, batch=2 * features.size * free.batch)
    start, step = features, math.pi / 2
    if isinstance(free.embedding, AmplitudeEmbedding):
        start, step = features / _norm(features), 1.0
    shifts = _up_and_down(step, features.size, features.dtype)
    return jax.vmap(lambda shift: probabilities(many, execution, start + shift))(shifts)


def _norm(features: Float[Array, " features"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(features**2) + NORM_FLOOR)


def _amplitude_slopes(
    features: Float[Array, " features"], estimate: Float[Array, " outputs"], values: Float[Array, "shifts outputs"]
) -> Float[Array, "features outputs"]:
    """The derivatives by amplitude-embedded features x, from the states ``u + e_i`` and ``u - e_i``, u = x / |x|.

    The value is v = u^T M u. Evaluated on a vector y, the layer gives ``y^T M y / |y|^2``, so that

        4 (M u)_i = |u + e_i|^2 v(u + e_i) - |u - e_i|^2 v(u - e_i),    dv/dx_i = 2 ((M u)_i - v u_i) / |x|.

    Unlike parameter shifts of the angles of the preparation, this divides by no norm of a part of x, so that its
    variance stays bounded where many features are zero, as after a ReLU. With a noisy preparation it is exact up to
    what that noise depends on the state.
    """
    norm = _norm(features)
    unit = (features / norm)[:, None]
    up, down = jnp.split(values, 2)
    image = ((2 + 2 * unit) * up - (2 - 2 * unit) * down) / 4
    slopes = 2 * (image - unit * estimate) / norm
    # A zero vector is no state; the layer's own derivative there is zero.
    return jnp.where(norm > 2 * math.sqrt(NORM_FLOOR), slopes, 0)


def n_gradient_circuits(layer: QuantumLayer, n_features: int) -> int:
    """How many circuits one value and its gradient by samples take for one image, each in every setting.

    Args:
        layer: the layer.
        n_features: how many features it is given.
    """
    embedded = 0 if isinstance(layer.embedding, NoEmbedding) else 2 * n_features
    return 1 + len(_shift_rule_of(layer.circuit).offsets) + embedded
