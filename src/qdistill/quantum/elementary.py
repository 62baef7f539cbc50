"""Every gate as a rotation of one wire up to a phase, an entangler, or a short product of those."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from qdistill.quantum.angle import ZERO, Angle, constant
from qdistill.quantum.circuit import Operation
from qdistill.quantum.gates import GATES, UNITARY, euler_angles

ENTANGLERS = ("CNOT", "CZ", "SWAP")
"""The gates that move basis states around with at most a sign."""

_CONTROLLED = ("CRX", "CRY", "CRZ")
_RIGHT, _LEFT = constant(math.pi / 2), constant(-math.pi / 2)


def elementary(operation: Operation) -> list[Operation]:
    """Write controlled rotations with CNOTs; leave everything else as it is.

    CRZ(t) = RZ(t/2) CNOT RZ(-t/2) CNOT on the target, likewise for RY, and CRX = H CRZ H
    (Barenco et al., Phys. Rev. A 52, 3457, lemma 5.1).
    """
    if operation.gate not in _CONTROLLED:
        return [operation]
    control, target = operation.wires
    (angle,) = operation.angles
    rotation = "RY" if operation.gate == "CRY" else "RZ"
    cnot = Operation("CNOT", (control, target))
    core = [
        cnot,
        Operation(rotation, (target,), (angle.scaled(-0.5),)),
        cnot,
        Operation(rotation, (target,), (angle.scaled(0.5),)),
    ]
    hadamard = [Operation("H", (target,))] if operation.gate == "CRX" else []
    return [*hadamard, *core, *hadamard]


def as_rot(operation: Operation) -> tuple[float, tuple[Angle, Angle, Angle]]:
    """A one-wire operation as ``exp(i phase) Rot(angles)``."""
    angles = operation.angles
    if operation.gate == "Rot":
        return 0.0, (angles[0], angles[1], angles[2])
    if operation.gate == "RZ":
        return 0.0, (angles[0], ZERO, ZERO)
    if operation.gate == "RY":
        return 0.0, (ZERO, angles[0], ZERO)
    if operation.gate == "RX":
        return 0.0, (_RIGHT, angles[0], _LEFT)
    return _constant_rot(operation)


@lru_cache(maxsize=1024)
def _constant_rot(operation: Operation) -> tuple[float, tuple[Angle, Angle, Angle]]:
    """`as_rot` of a gate without angles."""
    matrix = np.array(operation.matrix) if operation.gate == UNITARY else GATES[operation.gate].matrix()
    phase, *euler = euler_angles(matrix)
    return phase, (constant(euler[0]), constant(euler[1]), constant(euler[2]))
