"""The probabilities of all joint outcomes of a layer's wires, exact or as a noisy device has them."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.numbers import Numbers
from qdistill.quantum.channels import readings
from qdistill.quantum.device import DeviceModel
from qdistill.quantum.embedding import one_vector
from qdistill.quantum.execution import Execution
from qdistill.quantum.expectation import TO_Z_BASIS
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.noisy_values import noisy_values_of
from qdistill.quantum.paulis import PAULIS
from qdistill.quantum.shots import basis_letters, measurement_settings
from qdistill.quantum.simulate import apply, apply_local, fuse, unitary
from qdistill.quantum.transfer import LocalObservables


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
    strings, places, readout = _outcome_tables(bases, execution.device, n)
    dtype = jnp.result_type(layer.weights, features)
    observables = jnp.zeros((4**n, len(strings)), dtype).at[strings, np.arange(len(strings), dtype=np.int32)].set(1)
    needed = [LocalObservables(tuple(range(n)), observables)]
    values = noisy_values_of(needed, layer, execution, features)
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
    # 32-bit indices, as in `angle_table`.
    return strings.astype(np.int32), places.reshape(len(bases), -1).astype(np.int32), np.array(readout)
