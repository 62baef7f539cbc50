"""Expectation values of an observable in one state.

Every kind of observable is computed as is fastest for it: Pauli-Z from the probabilities, one-wire Hermitians from
three settings of all wires, those on more wires from the reduced density matrix, and sums of Pauli strings as in
`pauli_sums`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, real_or_complex
from qdistill.quantum.basis_states import mask_of
from qdistill.quantum.observable import Observable, PauliSum, PauliZ
from qdistill.quantum.pauli_sums import sign_matrix, signed_sums, sum_values
from qdistill.quantum.paulis import pauli_compose
from qdistill.quantum.simulate import apply_local, fuse

TO_Z_BASIS = np.array([[[1, 1], [1, -1]], [[1, -1j], [1, 1j]]]) * math.sqrt(0.5)
"""The one-wire rotations after which measuring Z is measuring X, and Y."""


def signs(n_wires: int) -> np.ndarray:
    """(n, 2^n): the eigenvalue of Pauli-Z on each wire in each basis state."""
    return sign_matrix(tuple(mask_of((wire,), n_wires) for wire in range(n_wires)), n_wires)


def _z_values(wires: Sequence[int], probabilities: Float[Array, "*settings outcomes"]) -> Float[Array, "*settings _"]:
    """The expectation value of Pauli-Z on each of some wires."""
    n = probabilities.shape[-1].bit_length() - 1
    return signed_sums(probabilities, [mask_of((wire,), n) for wire in wires])


def _group_first(state: Array, wires: tuple[int, ...], n_wires: int) -> Array:
    """Reshape (2^n, ...) to (2^k, 2^(n-k), ...) with the k given wires in front."""
    tail = state.shape[1:]
    tensor = jnp.moveaxis(state.reshape((2,) * n_wires + tail), wires, range(len(wires)))
    return tensor.reshape((2 ** len(wires), -1, *tail))


def expectation_values(observable: Observable, state: Numbers) -> Float[Array, " outputs"]:
    """The expectation value of each output of an observable in one state.

    Args:
        observable: on wires that the state has.
        state: 2^n amplitudes.

    Returns:
        One real value an output.

    Raises:
        ArgumentError: a state of no numbers.
        CircuitError: not one state of 2^n amplitudes, or the observable is on wires that it does not have.
    """
    state = real_or_complex("state", state)
    if state.ndim != 1 or state.size.bit_count() != 1:
        raise CircuitError(
            f"Argument `state` must be one vector of 2**n amplitudes, but had shape {state.shape}. For a batch use "
            "`jax.vmap`."
        )
    n = state.size.bit_length() - 1
    if any(not 0 <= wire < n for group in observable.wires for wire in group):
        raise CircuitError(
            f"Argument `observable` must be on the state's wires 0 to {n - 1}, but was on {observable.wires}."
        )
    if isinstance(observable, PauliSum):
        return sum_values(observable.terms, observable.term_coefficients(), state)
    probabilities = state.real**2 + state.imag**2
    if isinstance(observable, PauliZ):
        return _z_values([wire for (wire,) in observable.wires], probabilities)
    coefficients = observable.pauli_coefficients().astype(state.real.dtype)
    if len(observable.wires[0]) > 1:
        hermitians = pauli_compose(coefficients)
        values = []
        for hermitian, group in zip(hermitians, observable.wires, strict=True):
            split = _group_first(state, group, n)
            density = split @ jnp.conj(split).T
            values.append(jnp.sum(hermitian.T * density).real)
        return jnp.stack(values)
    dtype = jnp.result_type(state, jnp.complex64)  # the state may be real, the rotations are not
    settings = [
        apply_local(fuse(jnp.asarray(np.broadcast_to(rotation, (n, 2, 2)), dtype)), state) for rotation in TO_Z_BASIS
    ]
    measured = jnp.stack([rotated.real**2 + rotated.imag**2 for rotated in settings] + [probabilities])
    xyz = _z_values([wire for (wire,) in observable.wires], measured)
    return coefficients[:, 0] * jnp.sum(probabilities) + jnp.sum(coefficients[:, 1:] * xyz.T, axis=1)
