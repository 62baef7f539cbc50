"""A Circuit as arrays: alternating layers of one-wire unitaries and of basis permutations with phases.

Every gate of `gates.GATES` is either a one-wire unitary, which is a Rot up to a phase, or moves basis states
around with at most a sign (CNOT, CZ, SWAP), or is a short product of those two (CRX, CRY, CRZ). So every
circuit becomes M equal steps, called moments:

    state <- phases * signs * (R_0 (x) R_1 (x) ... (x) R_(n-1) state)[permutation]

with R_w a product of at most D Rot gates. The simulator then applies dense matrix products to a few wires at a time,
whatever the circuit was, and a strongly entangling layer is one moment with D = 1.

A diagonal gate among the entanglers, such as RZ between two CNOTs, turns the phase of each basis state by the parity of
some of its bits. So it needs no moment of its own: all diagonal gates of a moment are one sum of P signed angles. A
repetition of an IQP circuit on ten wires is one moment with P = 55, and 46 moments without phases. Where few diagonal
gates are spread over many moments, to keep them among the rotations is less work; `lower` takes the least of what
`multiply_adds` counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np

from qdistill.quantum.angle import Angle, Term, constant
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.gates import GATES, UNITARY, euler_angles

_ZERO, _RIGHT, _LEFT = constant(0.0), constant(math.pi / 2), constant(-math.pi / 2)
_CONTROLLED = {"CRX": "RX", "CRY": "RY", "CRZ": "RZ"}
_ENTANGLERS = ("CNOT", "CZ", "SWAP")

GROUP = 3
"""Wires whose rotations are fused into one matrix: 8x8 products measured fastest from 4 to 14 wires."""

PHASE_COST = 60
"""What turning the phases of the amplitudes costs beside the sum of the angles, in multiply-adds an amplitude."""

Diagonals = Literal["rotations", "entangled", "phases"]
"""Which diagonal gates are phases: none, those on wires that entanglers of their moment have met before, or all."""

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
class Phases:
    """The diagonal gates of all moments: amplitude i takes the factor ``exp(-i/2 sum_p angle_p sign_p(i))``.

    The sign is that of a parity of the bits of i, so it is the product of one by the first h = n // 2 wires and one by
    the others. The sum over p is then one product of two small matrices.

    Args:
        angles: tables of shape (M, P), in radians.
        first: (M, P, 2^h) bytes, 1 or -1, by the first half of the wires.
        second: (M, P, 2^(n - h)), by the second.
    """

    angles: AngleTable
    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True, eq=False)
class Moments:
    """The arrays of a lowered circuit; M moments of at most D Rot gates a wire on n wires.

    Args:
        n_wires: n.
        angles: tables of shape (M, D, n, 3), in radians.
        permutations: (M, 2^n) 32-bit integers, or None where no moment moves a basis state.
        signs: (M, 2^n) bytes, 1 or -1, or None where no moment changes a sign.
        phases: the diagonal gates, or None where they are among the angles.
        global_phase: a unit complex number.
    """

    n_wires: int
    angles: AngleTable
    permutations: np.ndarray | None
    signs: np.ndarray | None
    phases: Phases | None
    global_phase: complex

    @property
    def n_moments(self) -> int:
        """M."""
        return int(self.angles.offset.shape[0])


@dataclass
class _Moment:
    """One moment: the Rot gates of each wire, and the entanglers and diagonal gates after them.

    A diagonal gate is kept as ``("RZ", (wire,), angle)``, an entangler with the angle 0.
    """

    rotations: dict[int, list[tuple[Angle, Angle, Angle]]] = field(default_factory=dict)
    entanglers: list[tuple[str, tuple[int, ...], Angle]] = field(default_factory=list)
    entangled: set[int] = field(default_factory=set)

    def takes_rotation(self, wire: int) -> bool:
        """Whether one more rotation of this wire has room, before the entanglers."""
        return wire not in self.entangled and len(self.rotations.get(wire, ())) < LEVELS

    def takes_phase(self, wire: int, diagonals: Diagonals) -> bool:
        """Whether a diagonal gate on this wire is a phase."""
        return diagonals == "phases" or (diagonals == "entangled" and wire in self.entangled)

    def add(self, gate: str, wires: tuple[int, ...], angle: Angle = _ZERO) -> None:
        """One more gate after the rotations."""
        self.entanglers.append((gate, wires, angle))
        self.entangled.update(wires)

    def basis_map(self, n_wires: int) -> _BasisMap:
        """What the gates after the rotations do to basis states.

        A permutation by CNOT and SWAP is linear in the bits of a basis state, so the bits that the gates see are
        parities of the bits of the new one.
        """
        bits = [mask_of((wire,), n_wires) for wire in range(n_wires)]
        reads = list(bits)
        flips: list[tuple[int, int]] = []
        turns: dict[int, list[Term]] = {}
        # From the last to the first, as the old index follows from the new one.
        for name, wires, angle in reversed(self.entanglers):
            if name == "CNOT":
                reads[wires[1]] ^= reads[wires[0]]
            elif name == "SWAP":
                reads[wires[0]], reads[wires[1]] = reads[wires[1]], reads[wires[0]]
            elif name == "CZ":
                flips.append((reads[wires[0]], reads[wires[1]]))
            else:
                turns.setdefault(reads[wires[0]], []).extend(angle.terms)
        images = [sum(bit for bit, read in zip(bits, reads, strict=True) if read & one) for one in bits]
        return _BasisMap(images, flips, {mask: Angle(tuple(terms)) for mask, terms in turns.items()})


@dataclass(frozen=True)
class _BasisMap:
    """What a moment does to basis states: ``new[i] = phase(i) * old[permutation(i)]``, by the bits of i.

    Args:
        images: what the permutation makes of each bit, the most significant first.
        flips: pairs of masks; the sign changes where both have an odd number of the bits of i.
        turns: by mask, the angle of an RZ on the parity of the bits of i under it.
    """

    images: list[int]
    flips: list[tuple[int, int]]
    turns: dict[int, Angle]

    def tables(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The permutation and the signs of all 2^n basis states; no signs where all are 1."""
        n_wires, permutation = len(self.images), _linear(self.images)
        if not self.flips:
            return permutation, None
        flipped = np.zeros(2**n_wires, bool)
        for first, second in self.flips:
            flipped ^= parities(n_wires, first) & parities(n_wires, second)
        return permutation, np.where(flipped, -1, 1).astype(np.int8)


def _linear(images: Sequence[int]) -> np.ndarray:
    """The 2^n values of a map that is linear over bits, from the images of the bits, the most significant first."""
    values = np.zeros(1, np.int32)
    for image in reversed(images):
        values = np.concatenate([values, values ^ np.int32(image)])
    return values


def mask_of(wires: Iterable[int], n_wires: int) -> int:
    """Some wires as bits of a basis state, that of wire 0 the most significant."""
    return sum(1 << (n_wires - 1 - wire) for wire in wires)


def parities(n_wires: int, mask: int) -> np.ndarray:
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


@lru_cache(maxsize=768)
def _moments_with(circuit: Circuit, diagonals: Diagonals) -> tuple[tuple[_Moment, ...], float]:
    """The moments of a circuit, not yet as arrays, and its global phase in radians."""
    moments = [_Moment()]
    total_phase = 0.0
    for operation in (o for whole in circuit.operations for o in elementary(whole)):
        if operation.gate in _ENTANGLERS:
            moments[-1].add(operation.gate, operation.wires)
            continue
        (wire,) = operation.wires
        phase, angles = as_rot(operation)
        total_phase += phase
        if angles[1] == _ZERO and moments[-1].takes_phase(wire, diagonals):
            moments[-1].add("RZ", (wire,), angles[0] + angles[2])
            continue
        if not moments[-1].takes_rotation(wire):
            moments.append(_Moment())
        moments[-1].rotations.setdefault(wire, []).append(angles)
    _spread(moments)
    return tuple(moments) if circuit.operations else (), total_phase


def _spread(moments: Sequence[_Moment]) -> None:
    """Share out the rotations of a wire evenly among the moments from one of its entanglers to the next.

    All moments have as many levels as the deepest has rotations of a wire, so that two in one moment would double the
    work of all.
    """
    firsts: dict[int, int] = {}
    turned: dict[int, list[int]] = {}
    for place, moment in enumerate(moments):
        for wire in moment.rotations:
            turned.setdefault(wire, []).append(place)
        for wire in moment.entangled:
            _share(moments, wire, range(firsts.get(wire, 0), place + 1), turned.pop(wire, []))
            firsts[wire] = place + 1
    for wire, places in turned.items():
        _share(moments, wire, range(firsts.get(wire, 0), len(moments)), places)


def _share(moments: Sequence[_Moment], wire: int, among: range, places: Sequence[int]) -> None:
    """Share out one wire's rotations, which are in the moments `places` of those in `among`."""
    if all(len(moments[place].rotations[wire]) == 1 for place in places):
        return
    rotations = [angles for place in places for angles in moments[place].rotations.pop(wire)]
    size = -(-len(rotations) // len(among))
    for number, start in enumerate(range(0, len(rotations), size)):
        moments[among[number]].rotations[wire] = rotations[start : start + size]


@lru_cache(maxsize=256)
def _moments(circuit: Circuit) -> tuple[tuple[_Moment, ...], float]:
    """The moments that take the least work."""
    best = _moments_with(circuit, "rotations")
    if not any(_is_diagonal(o) for whole in circuit.operations for o in elementary(whole)):
        return best
    others: tuple[Diagonals, ...] = ("entangled", "phases")
    return min([best, *(_moments_with(circuit, each) for each in others)], key=lambda m: _work(circuit.n_wires, m[0]))


def _is_diagonal(operation: Operation) -> bool:
    return len(operation.wires) == 1 and as_rot(operation)[1][1] == _ZERO


def _work(n_wires: int, moments: Sequence[_Moment]) -> int:
    """Multiply-adds an amplitude; rotations that read features are other matrices for each state, and count twice."""
    rotations = 4 * sum(2 ** min(GROUP, n_wires - first) for first in range(0, n_wires, GROUP))
    gates = (angles for moment in moments for of_wire in moment.rotations.values() for angles in of_wire)
    rotations *= 2 if any(angle.features for angles in gates for angle in angles) else 1
    terms = max((len(moment.basis_map(n_wires).turns) for moment in moments), default=0)
    work: int = len(moments) * (rotations + (PHASE_COST + terms if terms else 0))
    return work


@lru_cache(maxsize=256)
def multiply_adds(circuit: Circuit) -> int:
    """What applying a circuit to one state takes, in multiply-adds of real numbers."""
    return _work(circuit.n_wires, _moments(circuit)[0]) << circuit.n_wires


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
    maps = [moment.basis_map(n) for moment in moments]
    permutations, signs = np.zeros((len(moments), 2**n), np.int32), np.ones((len(moments), 2**n), np.int8)
    for place, each in enumerate(maps):
        permutations[place], changed = each.tables()
        signs[place] = 1 if changed is None else changed
    return Moments(
        n_wires=n,
        angles=AngleTable.of(table, (len(moments), depth, n, 3)),
        permutations=permutations if (permutations != np.arange(2**n, dtype=np.int32)).any() else None,
        signs=signs if (signs != 1).any() else None,
        phases=_phases(n, [each.turns for each in maps]),
        global_phase=complex(np.exp(1j * total_phase)),
    )


def _phases(n_wires: int, turns: Sequence[dict[int, Angle]]) -> Phases | None:
    """The arrays of the diagonal gates of all moments, those with fewer filled up with angles of 0."""
    terms = max(map(len, turns), default=0)
    if not terms:
        return None
    rows = [[*sorted(each.items()), *[(0, _ZERO)] * terms][:terms] for each in turns]
    rest = n_wires - n_wires // 2
    signs = [
        np.array([[1 - 2 * parities(wires, mask >> skipped).astype(np.int8) for mask, _ in row] for row in rows])
        for wires, skipped in ((n_wires // 2, rest), (rest, 0))
    ]
    angles = AngleTable.of([angle for row in rows for _, angle in row], (len(rows), terms))
    return Phases(angles, first=signs[0], second=signs[1])
