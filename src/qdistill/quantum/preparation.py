"""Embeddings as gates: what a quantum computer runs in place of writing amplitudes into a vector.

Real amplitudes are prepared from |0...0> by one uniformly controlled RY a wire (Möttönen, Vartiainen, Bergholm and
Salomaa, quant-ph/0407010, section III): with wires 0 to k - 1 in the basis state j, wire k is turned by

    alpha_j = 2 atan2(|x_j1|, |x_j0|),

where x_jb are the amplitudes whose first wires read j, b. On the last wire the amplitudes themselves, with their
signs, take the place of the norms. A uniformly controlled RY is 2^k plain RY and as many CNOT, in the order of the
Gray code; the angles theta of the plain ones are a linear map of the alphas. On n wires that makes 2^n - 1 RY and
2^n - 2 CNOT.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers
from qdistill.quantum.angle import feature
from qdistill.quantum.bounds import check_operations, check_wires
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.embedding import AmplitudeEmbedding, AngleEmbedding, Embedding, NoEmbedding, one_vector


def preparation_circuit(n_wires: int) -> Circuit:
    """The gates that turn |0...0> into a state with real amplitudes.

    Args:
        n_wires: number of qubits n.

    Returns:
        A circuit whose features are the 2^n - 1 angles of `preparation_angles`.

    Raises:
        CircuitError: no wires, or so many that the circuit would be too long.
    """
    check_wires(n_wires)
    check_operations(sum(preparation_gates(n_wires)), f"the preparation of the amplitudes of {n_wires:,} wires")
    operations = []
    first = 0
    for target in range(n_wires):
        for step in range(2**target):
            operations.append(Operation("RY", (target,), (feature(first + step),)))
            if target:
                # The bit in which the Gray codes of this step and the next differ; after the last, the highest.
                bit = min(_trailing_zeros(step + 1), target - 1)
                operations.append(Operation("CNOT", (target - 1 - bit, target)))
        first += 2**target
    return Circuit(n_wires, tuple(operations))


def preparation_gates(n_wires: int) -> tuple[int, int]:
    """How many RY and CNOT `preparation_circuit` has, without making it."""
    return 2**n_wires - 1, max(0, 2**n_wires - 2)


def preparation_depths(n_wires: int) -> list[int]:
    """On which layer of gates each wire is used last by `preparation_circuit`, counted without making it.

    The gates on wire k follow each other, RY and CNOT by turns, once the wire before it is done: its first CNOT is
    controlled by that. After that the last CNOT of each control wire says when it is free.
    """
    last = [1]
    for wire in range(1, n_wires):
        first = last[wire - 1] + 1
        # Step s of 2^k ends on layer first + 2 s. Bit b of the Gray code flips last before step 2^k - 2^b, the highest
        # after all of them.
        done = first + 2 * (2**wire - 1)
        last = [done, *(first + 2 * (2**wire - 2 ** (wire - 1 - control) - 1) for control in range(1, wire)), done]
    return last


def preparation_angles(amplitudes: Numbers) -> Float[Array, " angles"]:
    """The angles with which `preparation_circuit` prepares a state.

    They do not depend on the norm. Where all amplitudes below a branch of the tree are zero, its angle has no
    derivative: there the angle is 0 and so is its derivative, to any order. Features that a ReLU set to zero send
    nothing back in any case.

    Args:
        amplitudes: one vector of 2^n real numbers, not normalised.

    Returns:
        2^n - 1 angles in radians; all zero, which prepares |0...0>, for a zero vector.

    Raises:
        ArgumentError: no real numbers.
        CircuitError: not one vector, or one of another length.
    """
    amplitudes = one_vector("amplitudes", amplitudes)
    if amplitudes.size.bit_count() != 1:
        raise CircuitError(f"Argument `amplitudes` must be 2**n numbers, but was {amplitudes.size} of them.")
    angles: list[Array] = []
    values = amplitudes
    while values.size > 1:
        zero, one = values[0::2], values[1::2]
        # A place without amplitudes would give atan2(0, 0), whose derivative is NaN even where it is not used.
        squared = zero**2 + one**2
        there = squared > 0
        alphas = 2 * jnp.arctan2(jnp.where(there, one, 0), jnp.where(there, zero, 1))
        angles.insert(0, jnp.asarray(_gray_transform(alphas.size), alphas.dtype) @ alphas)
        values = jnp.where(there, jnp.sqrt(jnp.where(there, squared, 1)), 0)
    return jnp.concatenate([jnp.zeros(0, amplitudes.dtype), *angles])


def embedded(embedding: Embedding, circuit: Circuit) -> Circuit:
    """A layer's embedding and circuit as one circuit that starts from |0...0>.

    Args:
        embedding: one of this package's.
        circuit: on the same wires.

    Returns:
        A circuit with the weights of `circuit`. What it takes as features is what `embedded_features` returns.

    Raises:
        CircuitError: there are no gates for this embedding.
    """
    if isinstance(embedding, AmplitudeEmbedding):
        preparation = preparation_circuit(embedding.n_wires)
        return preparation.then(_shifted(operation, preparation.n_features) for operation in circuit.operations)
    if isinstance(embedding, AngleEmbedding | NoEmbedding):
        return embedding.circuit().then(circuit.operations)
    raise CircuitError(
        f"Argument `embedding` must be an AmplitudeEmbedding, AngleEmbedding or NoEmbedding to be written as gates, "
        f"but was {embedding!r}."
    )


def embedded_features(embedding: Embedding, circuit: Circuit, features: Numbers) -> Float[Array, " angles"]:
    """What `embedded` takes as features, from a layer's features.

    With amplitude embedding these are the preparation angles, followed by the features that the circuit itself
    reads; otherwise they are the features, with zeros for those that are missing. A zero vector prepares |0...0>,
    where `AmplitudeEmbedding` gives a state without amplitudes.

    Args:
        embedding: as given to `embedded`.
        circuit: as given to `embedded`.
        features: one vector of at most as many as the embedding takes, and at least as many as the circuit reads.

    Raises:
        ArgumentError: no real numbers.
        CircuitError: more features than the embedding takes, fewer than the circuit reads, or not one vector.
    """
    features = one_vector("features", features)
    check_n_features(embedding, circuit, features.size)
    padded = jnp.pad(features, (0, embedding.n_features - features.size))
    if isinstance(embedding, AmplitudeEmbedding):
        return jnp.concatenate([preparation_angles(padded), padded[: circuit.n_features]])
    return padded


def check_n_features(embedding: Embedding, circuit: Circuit, n_features: int) -> None:
    """Raise a CircuitError for more features than an embedding takes, or fewer than its circuit reads."""
    if n_features > embedding.n_features:
        raise CircuitError(
            f"Argument `features` must be at most {embedding.n_features} values for this embedding, but was "
            f"{n_features} values."
        )
    if n_features < circuit.n_features:
        raise CircuitError(
            f"Argument `features` must have at least {circuit.n_features} entries, but had {n_features}."
        )


@lru_cache
def _gray_transform(size: int) -> np.ndarray:
    """theta_i = 2^-k sum_j (-1)^(b_j . g_i) alpha_j, with b the binary and g the Gray code (equation 3 there)."""
    index = np.arange(size)
    gray = index ^ (index >> 1)
    parity = np.bitwise_count(gray[:, None] & index[None, :]) & 1
    transform: np.ndarray = (1.0 - 2.0 * parity) / size
    return transform


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _shifted(operation: Operation, by: int) -> Operation:
    """The same operation, reading features further back in the vector."""
    return replace(operation, angles=tuple(angle.with_features_from(by) for angle in operation.angles))
