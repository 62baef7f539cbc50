"""Fidelity kernels: how alike the states of two feature vectors are, ``k(x, y) = |<phi(x)|phi(y)>|^2``.

On a quantum computer an entry is the probability of the outcome 0...0 after the circuit of x and the inverse of that of
y. A simulator computes each state once and takes their inner products: n + m states for n m entries.

Reference:
    Havlicek et al., arXiv 1804.11326; Schuld and Killoran, arXiv 1803.07128.
"""

from __future__ import annotations

import math
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from qdistill.errors import ArgumentError, CircuitError
from qdistill.numbers import Numbers, real
from qdistill.quantum.bounds import check_states
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import NoEmbedding
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.noise import NoisyLayer, probabilities
from qdistill.quantum.observable import PauliZ, each_wire
from qdistill.quantum.simulate import apply

VARIANCE_FLOOR = 1e-6
"""Added to the variance of one shot for the estimator ``"gaussian"``, as in `shots`."""


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
        points = real("points", points)
        if points.ndim != 2 or points.shape[1] != self.n_features:
            raise CircuitError(
                f"Argument `points` must be vectors of the {self.n_features} features that the circuit reads, in the "
                f"shape (n, {self.n_features}), but had shape {points.shape}."
            )
        check_states(self.circuit.n_wires, max(1, len(points)), precision=points.dtype.itemsize)
        weights = jax.lax.stop_gradient(self._layer.weights)
        zero = jnp.zeros(2**self.circuit.n_wires, points.dtype).at[0].set(1)
        return jax.vmap(lambda features: apply(self.circuit, weights, zero, features))(points)

    def __call__(self, left: Numbers, right: Numbers) -> Float[Array, "n m"]:
        """The kernel of each vector of one set with each of another.

        Args:
            left: real, (n, d).
            right: real, (m, d).

        Raises:
            ArgumentError: no real numbers, more states than the memory holds, or there are shots, but no key.
            CircuitError: vectors of another length.
        """
        return self._estimated(self._probabilities(left, right), 0)

    def gram(self, points: Numbers) -> Float[Array, "n n"]:
        """The kernel of each vector with each of the same set: symmetric, with 1 on the diagonal; as `__call__`."""
        estimates = self._estimated(self._probabilities(points, points), 1)
        above = jnp.triu(estimates, 1)
        return above + above.T + jnp.eye(len(estimates), dtype=estimates.dtype)

    def _probabilities(self, left: Numbers, right: Numbers) -> Float[Array, "n m"]:
        """Of the outcome 0...0, with a device's noise where there is one."""
        if isinstance(self.overlap, NoisyLayer) and self.overlap.execution.device is not None:
            return self._noisy_probabilities(self.overlap, real("left", left), real("right", right))
        one, two = self.states(left), self.states(right)
        # In real products: two of them, where complex ones would be four.
        parts = jnp.concatenate([two.real, two.imag], axis=1)
        same = jnp.concatenate([one.real, one.imag], axis=1) @ parts.T
        turned = jnp.concatenate([one.imag, -one.real], axis=1) @ parts.T
        return same**2 + turned**2

    def _noisy_probabilities(self, overlap: NoisyLayer, left: Array, right: Array) -> Float[Array, "n m"]:
        def entry(one: Array, two: Array) -> Array:
            return probabilities(overlap.layer, overlap.execution, jnp.concatenate([one, two]))[0, 0]

        return jax.vmap(lambda one: jax.vmap(lambda two: entry(one, two))(right))(left)

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
