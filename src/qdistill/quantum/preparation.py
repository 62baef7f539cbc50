"""The state of amplitude embedding as gates: a circuit for every number of wires, and its angles for every image.

A real vector is prepared by multiplexed RY gates: one on wire 0, then on each wire w one rotation for each of the 2^w
states of the wires before it. Each of those is 2^w RY and as many CNOT gates in the order of the Gray code (Möttönen,
Vartiainen, Bergholm and Salomaa, quant-ph/0407010). The angles depend on the image, the gates do not.
"""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.quantum.circuit import Circuit, Operation, feature


@lru_cache
def preparation_circuit(n_wires: int) -> Circuit:
    """The circuit that prepares a real vector of 2^n amplitudes from |0...0>; its features are `preparation_angles`."""
    operations, first = [Operation("RY", (0,), (feature(0),))], 1
    for wire in range(1, n_wires):
        for step in range(2**wire):
            operations.append(Operation("RY", (wire,), (feature(first + step),)))
            # The bit in which the Gray code changes next; the last step returns to the start.
            bit = min((step + 1 & -(step + 1)).bit_length(), wire) - 1
            operations.append(Operation("CNOT", (wire - 1 - bit, wire)))
        first += 2**wire
    return Circuit(n_wires, tuple(operations))


def preparation_angles(amplitudes: Float[Array, " amplitudes"]) -> Float[Array, " angles"]:
    """The 2^n - 1 angles of `preparation_circuit` for a real vector, in radians.

    Where a part of the vector is zero, so that its angle is free, the angle is zero and has no derivative.

    Args:
        amplitudes: 2^n of them, of any norm.
    """
    n = amplitudes.size.bit_length() - 1
    levels = []
    for wire in range(n):
        halves = amplitudes.reshape(2**wire, 2, -1)
        # The signs are those of the last wire's rotations; before it there are norms only.
        zero, one = halves[:, :, 0].T if wire == n - 1 else _norms(halves).T
        free = (zero == 0) & (one == 0)
        turn = 2 * jnp.arctan2(one, jnp.where(free, 1, zero))
        levels.append(jnp.asarray(_gray_transform(wire), amplitudes.dtype) @ turn)
    return jnp.concatenate(levels)


def _norms(parts: Float[Array, "*axes amplitudes"]) -> Float[Array, "*axes"]:
    squares = jnp.sum(parts**2, axis=-1)
    # The square root has no derivative at zero.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


@lru_cache
def _gray_transform(n_controls: int) -> np.ndarray:
    """From the rotations for each state of the controls to the angles between the CNOTs (eq. 3 of the paper)."""
    numbers = np.arange(2**n_controls)
    gray = numbers ^ (numbers >> 1)
    common = np.array([[int(state & code).bit_count() for state in numbers] for code in gray])
    transform: np.ndarray = (1.0 - 2.0 * (common % 2)) / 2**n_controls
    return transform
