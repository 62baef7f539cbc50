"""What the noise of a device makes of the state preparation, whose angles differ from input to input.

The noise of the trainable circuit is shared by all inputs; this is not. Exactly, it takes a density matrix an input
through every gate of the preparation; on average over inputs it is one map, which costs nothing an input.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.device import DeviceModel
from qdistill.quantum.embedding import AmplitudeEmbedding, AngleEmbedding, Embedding, NoEmbedding, one_vector
from qdistill.quantum.preparation import preparation_angles, preparation_circuit
from qdistill.quantum.transfer import compile_noisy, evolve_states, pauli_values

N_REFERENCES = 255
"""Vectors that the averaged preparation is fitted to."""


def noisy_state(
    embedding: Embedding,
    device: DeviceModel | None,
    features: Numbers,
    kind: Literal["exact", "approximate", "ideal"],
) -> Float[Array, " paulis"]:
    """The Pauli expectation values of the state that a device prepares for one feature vector.

    Args:
        embedding: what is prepared.
        device: with whose noise.
        features: one vector of real numbers.
        kind: ``"exact"`` takes the density matrix through every gate of the preparation and its noise.
            ``"approximate"`` multiplies each expectation value of the pure state by a factor and adds a constant
            (`averaged_preparation`). ``"ideal"`` leaves the noise out.

    Raises:
        CircuitError: there is no preparation circuit for the embedding.
    """
    features = one_vector("features", features)
    state = embedding.state(features)
    if kind == "ideal" or isinstance(embedding, NoEmbedding):  # without gates there is no noise
        return pauli_values(state)
    assert device is not None
    n = embedding.n_wires
    norm = jnp.sum(state.real**2 + state.imag**2)
    if isinstance(embedding, AngleEmbedding):
        # One rotation a wire: there is nothing to save.
        circuit, turns = embedding.circuit(features.size), features
    elif not isinstance(embedding, AmplitudeEmbedding):
        raise CircuitError(f"Argument `embedding` has no preparation circuit: {type(embedding).__name__}.")
    elif kind == "approximate":
        factors, added = (jnp.asarray(part, features.dtype) for part in averaged_preparation(n, device))
        return factors * pauli_values(state) + norm * added
    else:
        circuit, turns = preparation_circuit(n), preparation_angles(state)
    return norm * _prepared(circuit, device, turns)


def _prepared(circuit: Circuit, device: DeviceModel, turns: Float[Array, " angles"]) -> Float[Array, " paulis"]:
    # All Z strings have the value 1 in |0...0>.
    letters = np.indices((4,) * circuit.n_wires).reshape(circuit.n_wires, -1)
    start = jnp.asarray(np.isin(letters, (0, 3)).all(axis=0), turns.dtype)
    return evolve_states(compile_noisy(circuit, device), jnp.zeros(0, turns.dtype), start, turns)


@lru_cache(maxsize=16)
def averaged_preparation(n_wires: int, device: DeviceModel) -> tuple[np.ndarray, np.ndarray]:
    """The noise of the preparation of amplitudes, averaged over vectors: r' = factors * r + added.

    The two numbers of each Pauli string are the least-squares fit to the exact noisy preparations of `N_REFERENCES`
    vectors, which are non-negative as after a ReLU: the positive parts of standard normal values at Sobol points, so
    that nothing is drawn. Depolarising and dephasing are in the factors, the decay to |0> in what is added. In
    the Heisenberg picture both act on the observable, so that this noise costs nothing an input.

    Args:
        n_wires: n; the vectors have 2^n entries.
        device: with whose noise.

    Returns:
        Factors and added constants, (4^n,) each.
    """
    from scipy.stats import norm, qmc

    points = qmc.Sobol(2**n_wires, scramble=False).random(N_REFERENCES + 1)[1:]
    vectors = np.maximum(norm.ppf(points), 0).astype(np.float32)
    vectors = vectors[vectors.any(axis=1)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    circuit = preparation_circuit(n_wires)
    with jax.ensure_compile_time_eval():
        noisy = jax.jit(jax.vmap(lambda vector: _prepared(circuit, device, preparation_angles(vector))))(vectors)
        pure = jax.jit(jax.vmap(pauli_values))(vectors)
    noisy, pure = np.asarray(noisy, float), np.asarray(pure, float)
    spread = pure.var(axis=0)
    shared = ((pure - pure.mean(axis=0)) * (noisy - noisy.mean(axis=0))).mean(axis=0)
    seen = spread > 1e-9
    factors = np.where(seen, shared / np.where(seen, spread, 1), 0.0)
    added = noisy.mean(axis=0) - factors * pure.mean(axis=0)
    factors[0], added[0] = 1.0, 0.0
    return factors, added
