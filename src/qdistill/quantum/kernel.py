"""Fidelity kernels: how alike the states of two feature vectors are, ``k(x, y) = |<phi(x)|phi(y)>|^2``.

On a quantum computer an entry is the probability of the outcome 0...0 after the circuit of x and the inverse of that of
y. A simulator computes each state once and takes their inner products: n + m states for n m entries.

Reference:
    Havlicek et al., arXiv 1804.11326; Schuld and Killoran, arXiv 1803.07128.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from qdistill.errors import ArgumentError, CircuitError
from qdistill.numbers import Numbers, real
from qdistill.quantum.bounds import check_matrices, check_states
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import NoEmbedding
from qdistill.quantum.layer import SCOPE, QuantumLayer
from qdistill.quantum.noisy_layer import NoisyLayer
from qdistill.quantum.observable import PauliZ, each_wire
from qdistill.quantum.outcomes import probabilities
from qdistill.quantum.shots import VARIANCE_FLOOR
from qdistill.quantum.simulate import apply


def overlap_circuit(circuit: Circuit) -> Circuit:
    """The circuit of one feature vector, and then the inverse of that of a second one.

    Args:
        circuit: reads d features; the second vector's are read as features d to 2 d - 1.
    """
    d = circuit.n_features
    second = [
        replace(operation, angles=tuple(angle.with_features_from(d) for angle in operation.angles))
        for operation in circuit.inverse().operations
    ]
    return circuit.then(second)


class FidelityKernel(eqx.Module):
    """The kernel of a feature map.

    Exact by itself. `quantum.on_device` makes one whose entries are estimated from shots, on a device or without noise;
    then the diagonal of `gram`, which is known to be 1, is not measured.

    Args:
        circuit: reads the features and any weights.
        weights: its weights, which stay as they are.

    Raises:
        CircuitError: the circuit reads no features, or another number of weights.

    Example:
        >>> import jax.numpy as jnp
        >>> from qdistill.quantum import FidelityKernel, iqp_feature_map
        >>> kernel = FidelityKernel(iqp_feature_map(2))
        >>> points = jnp.array([[0.1, 0.2], [1.0, -1.0]])
        >>> kernel(points, points).shape
        (2, 2)
    """

    circuit: Circuit = eqx.field(static=True)
    overlap: QuantumLayer | NoisyLayer

    def __init__(self, circuit: Circuit, weights: Numbers = ()) -> None:
        """Check the circuit, and write down how an entry is measured."""
        if not circuit.n_features:
            raise CircuitError("Argument `circuit` must read features, or all states are the same, but reads none.")
        self.circuit = circuit
        n = circuit.n_wires
        self.overlap = QuantumLayer(
            embedding=NoEmbedding(n, 2 * circuit.n_features),
            circuit=overlap_circuit(circuit),
            weights=real("weights", weights).reshape(-1),
            # Which letters are measured; what counts is the outcome 0...0.
            observable=PauliZ(each_wire(n)),
            trainable=False,
        )

    @property
    def n_features(self) -> int:
        """The length d of a feature vector."""
        return self.circuit.n_features

    @property
    def is_exact(self) -> bool:
        """Whether entries are neither noisy nor estimated."""
        return not isinstance(self.overlap, NoisyLayer)

    @property
    def entry_circuit(self) -> Circuit:
        """What a device runs for an entry: see `overlap_circuit`."""
        return self._layer.circuit

    @property
    def _layer(self) -> QuantumLayer:
        return self.overlap.layer if isinstance(self.overlap, NoisyLayer) else self.overlap

    def states(self, points: Numbers) -> Complex[Array, "n amplitudes"]:
        """The state of each feature vector, without noise.

        Args:
            points: real, (n, d); with n = 0 there are no states.

        Raises:
            ArgumentError: no real numbers, or more states than the memory holds.
            CircuitError: vectors of another length.
        """
        return self._states(self._points("points", points))

    def _points(self, name: str, points: Numbers) -> Float[Array, "n d"]:
        """Feature vectors as they are computed with."""
        points = real(name, points)
        if points.ndim != 2 or points.shape[1] != self.n_features:
            raise CircuitError(
                f"Argument `{name}` must be vectors of the {self.n_features} features that the circuit reads, in the "
                f"shape (n, {self.n_features}), but had shape {points.shape}."
            )
        return points

    def _states(self, points: Float[Array, "n d"]) -> Complex[Array, "n amplitudes"]:
        # Where the kernel of each of many inputs with the same points is taken, the inputs have a state each too.
        count = max(1, len(points)) + self._layer.batch - 1
        check_states(self.circuit.n_wires, count, precision=points.dtype.itemsize)
        weights = jax.lax.stop_gradient(self._layer.weights)
        zero = jnp.zeros(2**self.circuit.n_wires, points.dtype).at[0].set(1)
        return jax.vmap(lambda features: apply(self.circuit, weights, zero, features))(points)

    @jax.named_scope(SCOPE)
    def __call__(self, left: Numbers, right: Numbers) -> Float[Array, "n m"]:
        """The kernel of each vector of one set with each of another.

        Args:
            left: real, (n, d).
            right: real, (m, d).

        Raises:
            ArgumentError: no real numbers, more states than the memory holds, or there are shots, but no key.
            CircuitError: vectors of another length.
        """
        left, right = self._points("left", left), self._points("right", right)
        if self._device_overlap is None:
            return self._estimated(_fidelities(self._states(left), self._states(right)), 0)
        # Under `predict` the left vectors are one of each of many inputs.
        entry = self._noisy_entry(self._device_overlap, len(left) * len(right) * self._layer.batch)
        return self._estimated(jax.vmap(lambda one: jax.vmap(lambda two: entry(one, two))(right))(left), 0)

    @jax.named_scope(SCOPE)
    def gram(self, points: Numbers) -> Float[Array, "n n"]:
        """The kernel of each vector with each of the same set: symmetric, with 1 on the diagonal; as `__call__`."""
        points = self._points("points", points)
        if self._device_overlap is None:
            states = self._states(points)
            exact = _fidelities(states, states)
        else:
            rows, columns = np.triu_indices(len(points), 1)
            entry = self._noisy_entry(self._device_overlap, len(rows))
            entries = jax.vmap(entry)(points[rows], points[columns])
            exact = jnp.eye(len(points), dtype=entries.dtype)
            exact = exact.at[rows, columns].set(entries).at[columns, rows].set(entries)
        above = jnp.triu(self._estimated(exact, 1), 1)
        return above + above.T + jnp.eye(len(above), dtype=above.dtype)

    @property
    def _device_overlap(self) -> NoisyLayer | None:
        """How an entry is measured on a device; None without one."""
        own = self.overlap
        return own if isinstance(own, NoisyLayer) and own.execution.device is not None else None

    def _noisy_entry(self, overlap: NoisyLayer, count: int) -> Callable[[Array, Array], Float[Array, ""]]:
        """The probability of the outcome 0...0 for two vectors, with the device's noise, `count` of them at once."""
        # Expectation values of all Pauli strings, before and after a block of gates.
        check_matrices(self.circuit.n_wires, count=2, batch=max(1, count))
        layer = jax.lax.stop_gradient(overlap.layer)
        return lambda one, two: probabilities(layer, overlap.execution, jnp.concatenate([one, two]))[0, 0]

    def _estimated(self, exact: Float[Array, "n m"], use: int) -> Float[Array, "n m"]:
        """The probabilities as shots give them; the use tells apart what one key is for."""
        if not isinstance(self.overlap, NoisyLayer) or self.overlap.execution.shots is None:
            return exact
        key, execution = self.overlap.key, self.overlap.execution
        if key is None:
            raise ArgumentError("Argument `key` must be given where there are shots, but was None. Use `with_key`.")
        key, shots = jax.random.fold_in(key, use), self.overlap.execution.shots
        share = jnp.clip(exact, 0, 1)
        if execution.estimator == "gaussian":
            deviation = jnp.sqrt(share * (1 - share) + VARIANCE_FLOOR) / math.sqrt(shots)
            return exact + deviation * jax.random.normal(key, exact.shape, exact.dtype)
        return jax.random.binomial(key, shots, share, dtype=exact.dtype) / shots


def _fidelities(left: Complex[Array, "n amplitudes"], right: Complex[Array, "m amplitudes"]) -> Float[Array, "n m"]:
    """``|<left|right>|^2`` of each pair of states."""
    # In real products: two of them, where complex ones would be four.
    parts = jnp.concatenate([right.real, right.imag], axis=1)
    same = jnp.concatenate([left.real, left.imag], axis=1) @ parts.T
    turned = jnp.concatenate([left.imag, -left.real], axis=1) @ parts.T
    return same**2 + turned**2
