"""The gates that a circuit may hold, with their matrices and angle conventions.

Conventions are PennyLane's (https://docs.pennylane.ai/en/stable/introduction/operations.html): angles in
radians, ``RX(t) = exp(-i t X / 2)`` and likewise for Y and Z, ``Rot(phi, theta, omega) = RZ(omega) RY(theta)
RZ(phi)``, and for two wires the first is the more significant bit of the matrix's index.

The matrices here are NumPy in double precision: they define what each gate means. The simulator does not
multiply them; it uses the Euler form of `euler_angles`, and the tests hold the two equal.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdistill.errors import CircuitError
from qdistill.numbers import complex_numpy

Matrix = NDArray[np.complex128]


@dataclass(frozen=True)
class Gate:
    """What is fixed about a kind of gate: how many wires and angles it takes, and its matrix."""

    name: str
    n_wires: int
    n_angles: int
    matrix: Callable[..., Matrix]


def _rx(t: float) -> Matrix:
    c, s = math.cos(t / 2), math.sin(t / 2)
    return np.array([[c, -1j * s], [-1j * s, c]])


def _ry(t: float) -> Matrix:
    c, s = math.cos(t / 2), math.sin(t / 2)
    return np.array([[c, -s], [s, c]], dtype=complex)


def _rz(t: float) -> Matrix:
    return np.diag([cmath.exp(-0.5j * t), cmath.exp(0.5j * t)])


def _rot(phi: float, theta: float, omega: float) -> Matrix:
    matrix: Matrix = _rz(omega) @ _ry(theta) @ _rz(phi)
    return matrix


def _constant(matrix: ArrayLike) -> Callable[[], Matrix]:
    return lambda: np.array(matrix, dtype=complex)


def _controlled(rotation: Callable[[float], Matrix]) -> Callable[[float], Matrix]:
    def matrix(t: float) -> Matrix:
        full = np.eye(4, dtype=complex)
        full[2:, 2:] = rotation(t)
        return full

    return matrix


_R = math.sqrt(0.5)
_CNOT: list[list[complex]] = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
_CZ: list[list[complex]] = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1]]
_SWAP: list[list[complex]] = [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]

GATES: dict[str, Gate] = {
    gate.name: gate
    for gate in (
        Gate("RX", 1, 1, _rx),
        Gate("RY", 1, 1, _ry),
        Gate("RZ", 1, 1, _rz),
        Gate("Rot", 1, 3, _rot),
        Gate("H", 1, 0, _constant([[_R, _R], [_R, -_R]])),
        Gate("X", 1, 0, _constant([[0, 1], [1, 0]])),
        Gate("Y", 1, 0, _constant([[0j, -1j], [1j, 0j]])),
        Gate("Z", 1, 0, _constant([[1, 0], [0, -1]])),
        Gate("S", 1, 0, _constant([[1, 0j], [0j, 1j]])),
        Gate("T", 1, 0, _constant([[1, 0j], [0j, cmath.exp(0.25j * math.pi)]])),
        Gate("CNOT", 2, 0, _constant(_CNOT)),
        Gate("CZ", 2, 0, _constant(_CZ)),
        Gate("SWAP", 2, 0, _constant(_SWAP)),
        Gate("CRX", 2, 1, _controlled(_rx)),
        Gate("CRY", 2, 1, _controlled(_ry)),
        Gate("CRZ", 2, 1, _controlled(_rz)),
    )
}

UNITARY = "Unitary"
"""The name of a one-wire gate that is given by its matrix instead of by a name of `GATES`."""


Gradient = Literal["parameter_shift", "spsa"]
"""How derivatives by angles come from evaluations: the rule of `shift_rule`, exact, or all angles at once along random
directions (Spall, IEEE Trans. Autom. Control 37, 1992)."""
GRADIENTS: tuple[Gradient, ...] = ("parameter_shift", "spsa")
SPSA_DIRECTIONS = 32
"""That SPSA averages over where nothing else is said."""

_NEAR, _FAR = ((math.sqrt(2) + sign) / (4 * math.sqrt(2)) for sign in (1, -1))


def shift_rule(gate: str) -> tuple[tuple[float, float], ...]:
    """The parameter-shift rule of a gate's angles: df/da is the sum of ``factor * (f(a + shift) - f(a - shift))``.

    It is exact for gates exp(-i a G / 2), and with noise that does not depend on the angle: with G^2 = 1, such as
    one-wire rotations,

        df/da = [f(a + pi/2) - f(a - pi/2)] / 2                            (Schuld et al., arXiv 1811.11184),

    and for controlled rotations, whose G has the eigenvalues -1, 0 and 1 and f so the frequencies 1/2 and 1,

        df/da = c1 [f(a + pi/2) - f(a - pi/2)] - c2 [f(a + 3 pi/2) - f(a - 3 pi/2)]

    with c1, c2 = (sqrt 2 +- 1) / (4 sqrt 2) (Anselmetti et al., arXiv 2104.05695).

    Args:
        gate: a name of `GATES` that takes angles.

    Returns:
        (shift, factor) of each term, the shift in radians.
    """
    if GATES[gate].n_wires == 1:
        return ((math.pi / 2, 0.5),)
    return ((math.pi / 2, _NEAR), (3 * math.pi / 2, -_FAR))


def euler_angles(matrix: ArrayLike) -> tuple[float, float, float, float]:
    """Write a one-wire unitary as a global phase times a Rot gate.

    Args:
        matrix: a unitary, (2, 2).

    Returns:
        ``(phase, phi, theta, omega)`` with ``matrix = exp(i phase) Rot(phi, theta, omega)``, in radians.

    Raises:
        CircuitError: the matrix is not a 2x2 unitary.

    Reference:
        Nielsen and Chuang, *Quantum Computation and Quantum Information*, theorem 4.1.
    """
    unitary: Matrix = complex_numpy("matrix", matrix)
    if unitary.shape != (2, 2) or not np.allclose(unitary @ unitary.conj().T, np.eye(2), atol=1e-6):
        raise CircuitError(
            f"Argument `matrix` must be a unitary of shape (2, 2), but was {unitary.tolist()} with shape "
            f"{unitary.shape}."
        )
    # In SU(2), m00 = cos(theta/2) exp(-i (phi+omega)/2) and m10 = sin(theta/2) exp(-i (phi-omega)/2).
    phase = cmath.phase(np.linalg.det(unitary)) / 2
    special = unitary * cmath.exp(-1j * phase)
    theta = 2 * math.atan2(abs(special[1, 0]), abs(special[0, 0]))
    plus = -2 * cmath.phase(special[0, 0]) if abs(special[0, 0]) > 1e-12 else 0.0
    minus = -2 * cmath.phase(special[1, 0]) if abs(special[1, 0]) > 1e-12 else 0.0
    return phase, (plus + minus) / 2, theta, (plus - minus) / 2
