"""A Circuit as arrays: alternating layers of one-wire unitaries and basis permutations.

Every gate of `gates.GATES` is either a one-wire unitary, which is a Rot up to a phase, or moves basis states
around with at most a sign (CNOT, CZ, SWAP), or is a short product of those two (CRX, CRY, CRZ). So every
circuit becomes M equal steps, called moments:

    state <- signs * (R_0 (x) R_1 (x) ... (x) R_(n-1) state)[permutation]

with R_w a product of at most D Rot gates. The simulator then applies dense matrix products to a few wires at a time,
whatever the circuit was, and a strongly entangling layer is one moment with D = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from qdistill.quantum.angle import Angle, Term, constant
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.gates import GATES, UNITARY, euler_angles

_ZERO, _RIGHT, _LEFT = constant(0.0), constant(math.pi / 2), constant(-math.pi / 2)
_CONTROLLED = {"CRX": "RX", "CRY": "RY", "CRZ": "RZ"}
_ENTANGLERS = ("CNOT", "CZ", "SWAP")

LEVELS = 8
"""The most Rot gates of one wire in a moment. All moments have as many levels as the deepest, so that without a bound
a circuit of which one wire has many rotations in a row would take their square in time and memory."""


@dataclass(frozen=True, eq=False)
class Products:
    """Terms that multiply entries, ``coefficient * weights[...] * ... * features[...] * ...``, to be added to angles.

    Args:
        place: (terms,), the number of the angle that each belongs to.
        coefficient: (terms,).
        weight_index: (terms, most weights in a term), 0 for a factor of 1 and 1 + i for weight i.
        feature_index: (terms, most features in a term), likewise.
    """

    place: np.ndarray
    coefficient: np.ndarray
    weight_index: np.ndarray
    feature_index: np.ndarray

    @classmethod
    def of(cls, terms: Sequence[tuple[int, Term]]) -> Products:
        """The arrays of some terms, each with the number of its angle."""

        def indices(rows: Sequence[tuple[int, ...]]) -> np.ndarray:
            width = max(map(len, rows))
            return np.array([[1 + i for i in row] + [0] * (width - len(row)) for row in rows], np.int32)

        return cls(
            place=np.array([place for place, _ in terms], np.int32),
            coefficient=np.array([term.coefficient for _, term in terms]),
            weight_index=indices([term.weights for _, term in terms]),
            feature_index=indices([term.features for _, term in terms]),
        )


@dataclass(frozen=True, eq=False)
class AngleTable:
    """Maps from weights and features to an array of angles.

    Each angle is ``offset + weight_scale * weights[weight_index] + feature_scale * features[feature_index]``, which is
    a gather an array and all that most circuits need, and what the products add where there are any. `n_weights` and
    `n_features` are how many entries have to be there.
    """

    offset: np.ndarray
    weight_scale: np.ndarray
    weight_index: np.ndarray
    feature_scale: np.ndarray
    feature_index: np.ndarray
    products: Products | None
    n_weights: int
    n_features: int

    @classmethod
    def of(cls, angles: Sequence[Angle], shape: tuple[int, ...]) -> AngleTable:
        """The maps of some angles, in C order."""
        offset, weight_scale, feature_scale = np.zeros((3, len(angles)))
        # 32-bit indices: with wider ones, JAX 0.10 cannot index first without and then with `jax_enable_x64`.
        weight_index, feature_index = np.zeros((2, len(angles)), np.int32)
        products = []
        for place, angle in enumerate(angles):
            for term in angle.terms:
                if not term.degree:
                    offset[place] = term.coefficient
                elif term.degree == 1 and term.weights and not weight_scale[place]:
                    weight_scale[place], weight_index[place] = term.coefficient, term.weights[0]
                elif term.degree == 1 and term.features and not feature_scale[place]:
                    feature_scale[place], feature_index[place] = term.coefficient, term.features[0]
                else:
                    products.append((place, term))
        return cls(
            offset=offset.reshape(shape),
            weight_scale=weight_scale.reshape(shape),
            weight_index=weight_index.reshape(shape),
            feature_scale=feature_scale.reshape(shape),
            feature_index=feature_index.reshape(shape),
            products=Products.of(products) if products else None,
            n_weights=max((angle.weights[-1] + 1 for angle in angles if angle.weights), default=0),
            n_features=max((angle.features[-1] + 1 for angle in angles if angle.features), default=0),
        )


@dataclass(frozen=True, eq=False)
class Moments:
    """The arrays of a lowered circuit; M moments of at most D Rot gates a wire on n wires.

    Args:
        n_wires: n.
        angles: tables of shape (M, D, n, 3), in radians.
        permutations: (M, 2^n) 32-bit integers, or None where no moment moves a basis state.
        signs: (M, 2^n) bytes, 1 or -1, or None where no moment changes a sign.
        global_phase: a unit complex number.
    """

    n_wires: int
    angles: AngleTable
    permutations: np.ndarray | None
    signs: np.ndarray | None
    global_phase: complex

    @property
    def n_moments(self) -> int:
        """M."""
        return int(self.angles.offset.shape[0])


@dataclass
class _Moment:
    """One moment: the Rot gates of each wire, and the entanglers after them."""

    rotations: dict[int, list[tuple[Angle, Angle, Angle]]] = field(default_factory=dict)
    entanglers: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    entangled: set[int] = field(default_factory=set)

    def takes_rotation(self, wire: int) -> bool:
        """Whether one more rotation of this wire has room, before the entanglers."""
        return wire not in self.entangled and len(self.rotations.get(wire, ())) < LEVELS

    def tables(self, n_wires: int) -> tuple[np.ndarray, np.ndarray | None]:
        """What the entanglers do to basis states: ``new[i] = sign[i] * old[permutation[i]]``; no signs where all are 1.

        A permutation by CNOT and SWAP is linear in the bits of i: so it is kept as the images of the n bits until all
        entanglers are in, and the work on 2^n numbers is done once.
        """
        bits = [1 << (n_wires - 1 - wire) for wire in range(n_wires)]
        # The bits of the old index: the parity of `i & reads[wire]` is that of this wire.
        reads = list(bits)
        flips: list[tuple[int, int]] = []
        # From the last to the first, as the old index follows from the new one.
        for name, (first, second) in reversed(self.entanglers):
            if name == "CNOT":
                reads[second] ^= reads[first]
            elif name == "SWAP":
                reads[first], reads[second] = reads[second], reads[first]
            else:
                flips.append((reads[first], reads[second]))
        images = [sum(bit for bit, read in zip(bits, reads, strict=True) if read & one) for one in bits]
        permutation = _linear(images)
        if not flips:
            return permutation, None
        flipped = np.zeros(2**n_wires, bool)
        for first, second in flips:
            flipped ^= _parities(n_wires, first) & _parities(n_wires, second)
        return permutation, np.where(flipped, -1, 1).astype(np.int8)


def _linear(images: Sequence[int]) -> np.ndarray:
    """The 2^n values of a map that is linear over bits, from the images of the bits, the most significant first."""
    values = np.zeros(1, np.int32)
    for image in reversed(images):
        values = np.concatenate([values, values ^ np.int32(image)])
    return values


def _parities(n_wires: int, mask: int) -> np.ndarray:
    """For every basis state whether an odd number of the mask's bits are 1 in it."""
    return _linear([mask >> place & 1 for place in reversed(range(n_wires))]).astype(bool)


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
        return 0.0, (_RIGHT, angles[0], _LEFT)
    return _constant_rot(operation)


@lru_cache(maxsize=1024)
def _constant_rot(operation: Operation) -> tuple[float, tuple[Angle, Angle, Angle]]:
    """`as_rot` of a gate without angles."""
    matrix = np.array(operation.matrix) if operation.gate == UNITARY else GATES[operation.gate].matrix()
    phase, *euler = euler_angles(matrix)
    return phase, (constant(euler[0]), constant(euler[1]), constant(euler[2]))


@lru_cache(maxsize=256)
def _moments(circuit: Circuit) -> tuple[tuple[_Moment, ...], float]:
    """The moments of a circuit, not yet as arrays, and its global phase in radians."""
    moments = [_Moment()]
    total_phase = 0.0
    for operation in (o for whole in circuit.operations for o in elementary(whole)):
        if operation.gate in _ENTANGLERS:
            moments[-1].entanglers.append((operation.gate, operation.wires))
            moments[-1].entangled.update(operation.wires)
        else:
            (wire,) = operation.wires
            phase, angles = as_rot(operation)
            total_phase += phase
            if not moments[-1].takes_rotation(wire):
                moments.append(_Moment())
            moments[-1].rotations.setdefault(wire, []).append(angles)
    return tuple(moments) if circuit.operations else (), total_phase


def n_moments(circuit: Circuit) -> int:
    """M, the moments that `lower` makes of a circuit; nothing of size 2^n is computed for it."""
    return len(_moments(circuit)[0])


@lru_cache(maxsize=256)
def lower(circuit: Circuit) -> Moments:
    """Turn a circuit into moments.

    Args:
        circuit: any circuit; the result is cached, for circuits are hashable.

    Returns:
        The moments; a circuit without operations has none.
    """
    n = circuit.n_wires
    moments, total_phase = _moments(circuit)
    # At least one level, so that a circuit without rotations has unitaries too.
    depth = max([1, *(len(r) for m in moments for r in m.rotations.values())])
    padding = [(_ZERO, _ZERO, _ZERO)] * depth
    levels = [[(m.rotations.get(wire, []) + padding)[:depth] for wire in range(n)] for m in moments]
    table = [angle for wires in levels for d in range(depth) for rots in wires for angle in rots[d]]
    permutations, signs = np.zeros((len(moments), 2**n), np.int32), np.ones((len(moments), 2**n), np.int8)
    for place, moment in enumerate(moments):
        permutations[place], changed = moment.tables(n)
        signs[place] = 1 if changed is None else changed
    return Moments(
        n_wires=n,
        angles=AngleTable.of(table, (len(moments), depth, n, 3)),
        permutations=permutations if (permutations != np.arange(2**n, dtype=np.int32)).any() else None,
        signs=signs if (signs != 1).any() else None,
        global_phase=complex(np.exp(1j * total_phase)),
    )
