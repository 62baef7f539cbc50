"""A Circuit as arrays: alternating layers of one-wire unitaries and basis permutations.

Every gate of `gates.GATES` is either a one-wire unitary, which is a Rot up to a phase, or moves basis states
around with at most a sign (CNOT, CZ, SWAP), or is a short product of those two (CRX, CRY, CRZ). So every
circuit becomes M equal steps, called moments:

    state <- phases * (R_0 (x) R_1 (x) ... (x) R_(n-1) state)[permutation]

with R_w a product of D Rot gates. The simulator then applies dense matrix products to a few wires at a time,
whatever the circuit was, and a strongly entangling layer is one moment with D = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from qdistill.quantum.circuit import Angle, Circuit, Operation, constant
from qdistill.quantum.gates import GATES, UNITARY, euler_angles

_ZERO = constant(0.0)
_CONTROLLED = {"CRX": "RX", "CRY": "RY", "CRZ": "RZ"}
_ENTANGLERS = ("CNOT", "CZ", "SWAP")


@dataclass(frozen=True, eq=False)
class AngleTable:
    """Affine maps from a source vector to an array of angles: ``offset + scale * source[index]``."""

    offset: np.ndarray
    weight_scale: np.ndarray
    weight_index: np.ndarray
    feature_scale: np.ndarray
    feature_index: np.ndarray

    @classmethod
    def of(cls, angles: Sequence[Angle], shape: tuple[int, ...]) -> AngleTable:
        """The maps of some angles, in C order."""

        def table(value: str, source: str | None = None) -> np.ndarray:
            entries = [getattr(angle, value) if source in (None, angle.source) else 0 for angle in angles]
            return np.array(entries, float).reshape(shape)

        # 32-bit indices: with wider ones, JAX 0.10 cannot index first without and then with `jax_enable_x64`.
        return cls(
            offset=table("offset"),
            weight_scale=table("scale", "weight"),
            weight_index=table("index", "weight").astype(np.int32),
            feature_scale=table("scale", "feature"),
            feature_index=table("index", "feature").astype(np.int32),
        )


@dataclass(frozen=True, eq=False)
class Moments:
    """The arrays of a lowered circuit; M moments of at most D Rot gates a wire on n wires.

    Args:
        n_wires: n.
        angles: tables of shape (M, D, n, 3), in radians.
        permutations: (M, 2^n) integers, or None where no moment moves a basis state.
        phases: (M, 2^n) complex, or None where no moment changes a sign.
        global_phase: a unit complex number.
    """

    n_wires: int
    angles: AngleTable
    permutations: np.ndarray | None
    phases: np.ndarray | None
    global_phase: complex

    @property
    def n_moments(self) -> int:
        """M."""
        return int(self.angles.offset.shape[0])


@dataclass
class _Moment:
    """One moment while it is being filled."""

    n_wires: int
    rotations: list[list[tuple[Angle, Angle, Angle]]] = field(init=False)
    permutation: np.ndarray = field(init=False)
    phases: np.ndarray = field(init=False)
    entangled: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rotations = [[] for _ in range(self.n_wires)]
        self.permutation = np.arange(2**self.n_wires)
        self.phases = np.ones(2**self.n_wires, dtype=complex)

    def entangle(self, name: str, wires: Sequence[int]) -> None:
        """Append a CNOT, CZ or SWAP: ``new[i] = sign[i] * old[source[i]]``."""
        index = np.arange(2**self.n_wires)
        first, second = (1 << (self.n_wires - 1 - wire) for wire in wires)
        both = (index & first != 0) & (index & second != 0)
        source = {
            "CNOT": np.where(index & first != 0, index ^ second, index),
            "CZ": index,
            "SWAP": np.where((index & first != 0) != (index & second != 0), index ^ (first | second), index),
        }[name]
        self.permutation = self.permutation[source]
        self.phases = self.phases[source] * (np.where(both, -1.0, 1.0) if name == "CZ" else 1.0)
        self.entangled.update(wires)


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
        return 0.0, (angles[0], _ZERO, _ZERO)
    if operation.gate == "RY":
        return 0.0, (_ZERO, angles[0], _ZERO)
    if operation.gate == "RX":
        return 0.0, (constant(math.pi / 2), angles[0], constant(-math.pi / 2))
    matrix = np.array(operation.matrix) if operation.gate == UNITARY else GATES[operation.gate].matrix()
    phase, *euler = euler_angles(matrix)
    return phase, (constant(euler[0]), constant(euler[1]), constant(euler[2]))


@lru_cache(maxsize=256)
def lower(circuit: Circuit) -> Moments:
    """Turn a circuit into moments.

    Args:
        circuit: any circuit; the result is cached, for circuits are hashable.

    Returns:
        The moments; a circuit without operations has none.
    """
    n = circuit.n_wires
    moments = [_Moment(n)]
    total_phase = 0.0
    for operation in (o for whole in circuit.operations for o in elementary(whole)):
        if operation.gate in _ENTANGLERS:
            moments[-1].entangle(operation.gate, operation.wires)
        else:
            (wire,) = operation.wires
            phase, angles = as_rot(operation)
            total_phase += phase
            if wire in moments[-1].entangled:
                moments.append(_Moment(n))
            moments[-1].rotations[wire].append(angles)
    moments = moments if circuit.operations else []

    # At least one level, so that a circuit without rotations has unitaries too.
    depth = max([1, *(len(r) for m in moments for r in m.rotations)])
    padding = [(_ZERO, _ZERO, _ZERO)] * depth
    table = [a for m in moments for d in range(depth) for r in m.rotations for a in (r + padding)[d]]

    permutations = np.array([m.permutation for m in moments]).reshape(len(moments), 2**n)
    phases = np.array([m.phases for m in moments]).reshape(len(moments), 2**n)
    return Moments(
        n_wires=n,
        angles=AngleTable.of(table, (len(moments), depth, n, 3)),
        permutations=permutations if (permutations != np.arange(2**n)).any() else None,
        phases=phases if (phases != 1).any() else None,
        global_phase=complex(np.exp(1j * total_phase)),
    )
