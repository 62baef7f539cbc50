"""A quantum layer as a device would give it: with noisy gates and readout, from a finite number of shots.

What is exact: the noise of the ansatz, the readout and the measurement's own rotations, always; the noise of the state
preparation where `Execution.preparation` is ``"exact"``. What is a choice: how shots enter a gradient.

- ``"samples"``: every value is an average over S shots of each setting, and every derivative is what a device would
  estimate, by shift rules: from S shots of each setting of every shifted circuit, all independent. Derivatives by the
  weights take two circuits for each angle that reads one, four where the gate is controlled (`gates.shift_rule`);
  those by features that are angles likewise; those by amplitude-embedded features take two states a feature
  (`_amplitude_slopes`); those by the observable's coefficients need no further circuit.
  These gradients have no derivatives of their own.
- ``"gaussian"``: the exact value plus Gaussian noise of the exact covariance of S shots, smooth to any order: for
  optimising through a training. Its derivatives are those of that sum; they underestimate the noise of shift rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial, reduce
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError, CircuitError
from qdistill.fields import check_fields
from qdistill.numbers import Numbers
from qdistill.quantum.angle import Angle
from qdistill.quantum.bounds import check_matrices
from qdistill.quantum.channels import readings
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.device import DeviceModel
from qdistill.quantum.embedding import NORM_FLOOR, AmplitudeEmbedding, AngleEmbedding, NoEmbedding, one_vector
from qdistill.quantum.expectation import TO_Z_BASIS
from qdistill.quantum.gates import shift_rule
from qdistill.quantum.heisenberg import quadratic_values
from qdistill.quantum.layer import SCOPE, QuantumLayer
from qdistill.quantum.noisy_preparation import averaged_preparation, noisy_state
from qdistill.quantum.observable import Observable, of_each_output
from qdistill.quantum.paulis import PAULIS, PauliString
from qdistill.quantum.shots import (
    basis_letters,
    constants,
    measurement_settings,
    outcome_values,
    reparametrised_noise,
    sample_frequencies,
    values_of,
)
from qdistill.quantum.simulate import apply, apply_local, fuse, unitary, values_of_angles
from qdistill.quantum.transfer import (
    LocalObservables,
    NoisyCircuit,
    compile_noisy,
    evolve_observables,
    evolve_states,
    quadratic_forms,
)

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Execution:
    """How circuits are executed.

    Args:
        device: whose noise they have; None for none.
        shots: S, for each measurement setting; None for exact expectation values.
        estimator: how shots enter values and gradients (see the module's text); without effect on exact ones.
        preparation: the noise of the state preparation on a device: ``"exact"``, the cheaper ``"approximate"`` (see
            `noisy_preparation.noisy_state`), or ``"ideal"``, which is none.

    Raises:
        ArgumentError: neither a device nor shots, or a bad value.
    """

    device: DeviceModel | None = None
    shots: int | None = None
    estimator: Literal["samples", "gaussian"] = "samples"
    preparation: Literal["exact", "approximate", "ideal"] = "exact"

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.device is None and self.shots is None:
            raise ArgumentError("Argument `device` or `shots` must be given: without both an execution is exact.")
        if self.shots is not None and self.shots < 1:
            raise ArgumentError(f"Argument `shots` must be at least 1, but was {self.shots}.")


class NoisyLayer(eqx.Module):
    """A quantum layer on a device, or from shots: the values that `layer` would give there.

    Args:
        layer: the layer.
        execution: how its circuits are executed.
        key: random key for the shots of one evaluation, consumed; `with_key` sets it, and `on_each` splits it.

    Raises:
        CircuitError: the layer has more wires than the device, or takes samples with an embedding of a user's own.
    """

    layer: QuantumLayer
    execution: Execution = eqx.field(static=True)
    key: Array | None = None

    def __check_init__(self) -> None:
        """Check that the layer fits the device, and that its features have a shift rule where one is needed."""
        embedding, execution = self.layer.embedding, self.execution
        if execution.device is not None:
            compile_noisy(self.layer.circuit, execution.device)
        known = isinstance(embedding, AmplitudeEmbedding | AngleEmbedding | NoEmbedding)
        if execution.shots is not None and execution.estimator == "samples" and not known:
            raise CircuitError(
                "Argument `layer` must have an AmplitudeEmbedding, AngleEmbedding or NoEmbedding for the estimator "
                f"'samples', which needs a shift rule for the features, but had {embedding!r}. Use the estimator "
                "'gaussian', or a NoEmbedding and a circuit that reads the features."
            )

    @property
    def n_outputs(self) -> int:
        """Number of expectation values."""
        return self.layer.n_outputs

    def __call__(self, features: Numbers) -> Float[Array, " outputs"]:
        """The estimates of the expectation values for one feature vector.

        Raises:
            ArgumentError: no real numbers, or there are shots, but no key.
            CircuitError: not one vector, or more features than the embedding takes.
        """
        features = one_vector("features", features)
        if self.execution.device is not None:
            # Expectation values of all Pauli strings, before and after a block of gates.
            check_matrices(self.layer.circuit.n_wires, count=2)
        layer = self.layer if self.layer.trainable else jax.lax.stop_gradient(self.layer)
        with jax.named_scope(SCOPE):
            return self._values(layer, features)

    def _values(self, layer: QuantumLayer, features: Float[Array, " features"]) -> Float[Array, " outputs"]:
        if self.execution.shots is None:
            return _exact_values(layer, self.execution, features)
        if self.key is None:
            raise ArgumentError("Argument `key` must be given where there are shots, but was None. Use `with_key`.")
        if self.execution.estimator == "gaussian":
            shares = probabilities(layer, self.execution, features)
            outcomes = outcome_values(layer.observable, layer.circuit.n_wires).astype(shares.dtype)
            noise = reparametrised_noise(outcomes, shares, self.execution.shots, key=self.key)
            return _mean(layer.observable, shares) + noise
        return _sampled_values(layer, self.execution, features, self.key)


def on_device(tree: Tree, execution: Execution) -> Tree:
    """Execute every quantum layer inside a network in this way; one that had another execution has this one now."""

    def wrap(node: Any) -> Any:
        if isinstance(node, NoisyLayer):
            return NoisyLayer(node.layer, execution)
        return NoisyLayer(node, execution) if isinstance(node, QuantumLayer) else node

    result: Tree = jax.tree.map(wrap, tree, is_leaf=lambda node: isinstance(node, NoisyLayer | QuantumLayer))
    return result


def ideal(tree: Tree) -> Tree:
    """The network with its quantum layers exact again; the inverse of `on_device`."""

    def unwrap(node: Any) -> Any:
        return node.layer if isinstance(node, NoisyLayer) else node

    result: Tree = jax.tree.map(unwrap, tree, is_leaf=lambda node: isinstance(node, NoisyLayer))
    return result


def takes_shots(tree: Any, estimator: Literal["samples", "gaussian"] | None = None) -> bool:
    """Whether a layer inside a network is executed from shots, by this estimator or by any, so that it needs a key."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, NoisyLayer))
    executions = [node.execution for node in nodes if isinstance(node, NoisyLayer) and node.execution.shots is not None]
    return any(estimator in (None, execution.estimator) for execution in executions)


def with_key(tree: Tree, key: Array) -> Tree:
    """Give every noisy layer inside a network a random key of its own.

    Args:
        tree: any module or container of modules.
        key: random key, consumed.
    """
    count = 0

    def keyed(node: Any) -> Any:
        nonlocal count
        if not isinstance(node, NoisyLayer):
            return node
        count += 1
        return replace(node, key=jax.random.fold_in(key, count))

    result: Tree = jax.tree.map(keyed, tree, is_leaf=lambda node: isinstance(node, NoisyLayer))
    return result


# --- exact values under noise


def _exact_values(layer: QuantumLayer, execution: Execution, features: Array) -> Float[Array, " outputs"]:
    assert execution.device is not None
    noisy = compile_noisy(layer.circuit, execution.device)
    observables = _read_observables(layer.observable, execution.device)
    return _noisy_values(layer, execution, noisy, observables, features)


def _noisy_values(
    layer: QuantumLayer,
    execution: Execution,
    noisy: NoisyCircuit,
    observables: Sequence[LocalObservables],
    features: Float[Array, " features"],
) -> Float[Array, " outputs"]:
    """The values of observables after the circuit with its noise.

    The observables go backwards where that is less arithmetic than to take each state of the batch forwards.
    """
    weights = layer.weights.reshape(-1)
    count = sum(part.coefficients.shape[1] for part in observables)
    gates = sum(4 ** len(block.wires) for block in noisy.blocks)
    if layer.circuit.n_features or layer.batch * gates < count * (gates + layer.batch):
        start = noisy_state(layer.embedding, execution.device, features, execution.preparation)
        everywhere = [part.on(range(noisy.n_wires)).coefficients for part in observables]
        return evolve_states(noisy, weights, start, features) @ jnp.concatenate(everywhere, axis=1)
    before = evolve_observables(noisy, weights, observables)
    if isinstance(layer.embedding, AmplitudeEmbedding) and execution.preparation != "exact":
        if execution.preparation == "approximate":
            assert execution.device is not None
            factors, added = averaged_preparation(layer.circuit.n_wires, execution.device)
            constant = jnp.asarray(added, before.dtype) @ before
            before = (jnp.asarray(factors, before.dtype)[:, None] * before).at[0].add(constant)
        return quadratic_values(quadratic_forms(before), layer.embedding.state(features))
    return noisy_state(layer.embedding, execution.device, features, execution.preparation) @ before


def _read_observables(observable: Observable, device: DeviceModel) -> list[LocalObservables]:
    """Each output on its wires, after what the readout makes of every letter."""
    parts = []
    coefficients = of_each_output(observable.terms, observable.term_coefficients())
    for wires, strings, own in zip(observable.wires, observable.terms, coefficients, strict=True):
        flat = jnp.zeros(4 ** len(wires), own.dtype).at[_places(strings, wires)].add(own)
        tensor = flat.reshape((4,) * len(wires))
        for axis, wire in enumerate(wires):
            reading, letters = np.eye(4), readings(device, wire)
            for place, letter in enumerate(PAULIS[1:], start=1):
                reading[place, place], reading[0, place] = letters[letter]
            tensor = jnp.moveaxis(jnp.tensordot(jnp.asarray(reading, own.dtype), tensor, (1, axis)), 0, axis)
        parts.append(LocalObservables(wires, tensor.reshape(-1, 1)))
    return parts


@lru_cache
def _places(strings: tuple[PauliString, ...], wires: tuple[int, ...]) -> np.ndarray:
    """The place of each string among the 4^k on some wires, in the order of `pauli_strings`; 0 on no wires."""
    places = [reduce(lambda place, letter: 4 * place + PAULIS.index(letter), s.on(wires), 0) for s in strings]
    return np.array(places, np.int32)


# --- probabilities of the outcomes


def probabilities(layer: QuantumLayer, execution: Execution, features: Numbers) -> Float[Array, "settings outcomes"]:
    """The probability of every joint outcome of all wires, in every setting of `measurement_settings`.

    Args:
        layer: the layer.
        execution: gives the device; its shots do not matter here.
        features: one vector of real numbers.
    """
    features = one_vector("features", features)
    n = layer.circuit.n_wires
    bases = tuple(basis_letters(setting, n) for setting in measurement_settings(layer.observable))
    if execution.device is None:
        return _ideal_probabilities(layer, bases, features)
    noisy = compile_noisy(layer.circuit, execution.device)
    strings, places, readout = _outcome_tables(bases, execution.device, n)
    dtype = jnp.result_type(layer.weights, features)
    observables = jnp.zeros((4**n, len(strings)), dtype).at[strings, np.arange(len(strings), dtype=np.int32)].set(1)
    needed = [LocalObservables(tuple(range(n)), observables)]
    values = _noisy_values(layer, execution, noisy, needed, features)
    return jnp.einsum("sbm,sm->sb", jnp.asarray(readout, dtype), values[places])


def _ideal_probabilities(layer: QuantumLayer, bases: tuple[str, ...], features: Array) -> Array:
    state, weights = layer.embedding.state(features), layer.weights.reshape(-1)
    if layer.form == "states":
        final = apply(layer.circuit, weights, state, features)
    else:
        whole = unitary(layer.circuit, weights)
        final = jax.lax.complex(whole.real @ state, whole.imag @ state)
    turns = {"X": TO_Z_BASIS[0], "Y": TO_Z_BASIS[1], "Z": np.eye(2)}
    measured = []
    for basis in bases:
        rotations = jnp.asarray(np.array([turns[letter] for letter in basis]), final.dtype)
        rotated = final if set(basis) == {"Z"} else apply_local(fuse(rotations), final)
        measured.append(rotated.real**2 + rotated.imag**2)
    return jnp.stack(measured)


@lru_cache
def _outcome_tables(
    bases: tuple[str, ...], device: DeviceModel, n_wires: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the probabilities of outcomes follow from Pauli expectation values.

    Returns:
        The numbers of the Pauli strings that are needed; the place among them of each part of each setting's letters,
        (settings, 2^n); and for each setting the matrix from the values of those parts to probabilities.
    """
    parts = np.indices((2,) * n_wires).reshape(n_wires, -1)
    powers = 4 ** np.arange(n_wires - 1, -1, -1)
    indices, readout = [], []
    for basis in bases:
        letters = np.array([PAULIS.index(letter) for letter in basis])
        indices.append((powers * letters) @ parts)
        matrix: np.ndarray = np.eye(1)
        for wire, letter in enumerate(basis):
            contrast, offset = readings(device, wire)[letter]
            read = np.array([[1.0, 0.0], [offset, contrast]])
            matrix = np.kron(matrix, 0.5 * np.array([[1, 1], [1, -1]]) @ read)
        readout.append(matrix)
    strings, places = np.unique(np.array(indices), return_inverse=True)
    # 32-bit indices, as in `lowering`.
    return strings.astype(np.int32), places.reshape(len(bases), -1).astype(np.int32), np.array(readout)


def _mean(observable: Observable, shares: Float[Array, "settings outcomes"]) -> Float[Array, " outputs"]:
    """The values of probabilities or frequencies; those of a vector that is no state, all zero, are zero."""
    n = shares.shape[1].bit_length() - 1
    measured = values_of(outcome_values(observable, n).astype(shares.dtype), shares)
    return constants(observable) * jnp.sum(shares[0]) + measured


# --- samples and their shift rules


def _sampled_values(layer: QuantumLayer, execution: Execution, features: Array, key: Array) -> Array:
    """The values from S shots of each setting, with the gradient that a device would estimate."""
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
        estimate = _mean(whole.observable, frequencies)
        return estimate, (arrays, features, frequencies, estimate, key_slopes)

    def backward(kept: tuple[Any, ...], cotangent: Array) -> tuple[QuantumLayer, Array, None]:
        arrays, features, frequencies, estimate, key = kept
        whole: QuantumLayer = eqx.combine(arrays, static)

        def by_observable(observable: Observable) -> Array:
            return _mean(eqx.combine(observable, static.observable), frequencies)

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
        sampled = jax.vmap(lambda frequencies: _mean(whole.observable, frequencies))(counted)
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
