"""Which moment of a circuit each of its gates is in, so that all of them are the least work.

A moment has rotations of every wire, at most `LEVELS` of them, then entanglers and diagonal gates. `lowering` makes
arrays of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np

from qdistill.quantum.angle import ZERO, Angle, Term
from qdistill.quantum.basis_states import linear_map, mask_of, parities
from qdistill.quantum.circuit import Circuit, Operation
from qdistill.quantum.elementary import ENTANGLERS, as_rot, elementary

GROUP = 3
"""Wires whose rotations are fused into one matrix: 8x8 products measured fastest from 4 to 14 wires."""

PHASE_COST = 60
"""What turning the phases of the amplitudes costs beside the sum of the angles, in multiply-adds an amplitude."""

Diagonals = Literal["rotations", "entangled", "phases"]
"""Which diagonal gates are phases: none, those on wires that entanglers of their moment have met before, or all."""

LEVELS = 8
"""The most Rot gates of one wire in a moment. All moments have as many levels as the deepest, so that without a bound
a circuit of which one wire has many rotations in a row would take their square in time and memory."""


@dataclass
class Moment:
    """One moment of a circuit while its gates are being placed.

    Args:
        rotations: the Rot gates of each wire, which come first.
        gates: the entanglers and diagonal gates after them, a diagonal one as ``("RZ", (wire,), angle)`` and an
            entangler with the angle 0.
        entangled: the wires of those gates, which take no rotation any more.
    """

    rotations: dict[int, list[tuple[Angle, Angle, Angle]]] = field(default_factory=dict)
    gates: list[tuple[str, tuple[int, ...], Angle]] = field(default_factory=list)
    entangled: set[int] = field(default_factory=set)

    def takes_rotation(self, wire: int) -> bool:
        """Whether one more rotation of this wire has room, before the entanglers."""
        return wire not in self.entangled and len(self.rotations.get(wire, ())) < LEVELS

    def takes_phase(self, wire: int, diagonals: Diagonals) -> bool:
        """Whether a diagonal gate on this wire is a phase."""
        return diagonals == "phases" or (diagonals == "entangled" and wire in self.entangled)

    def add(self, gate: str, wires: tuple[int, ...], angle: Angle = ZERO) -> None:
        """One more gate after the rotations."""
        self.gates.append((gate, wires, angle))
        self.entangled.update(wires)

    def basis_map(self, n_wires: int) -> BasisMap:
        """What the gates after the rotations do to basis states.

        A permutation by CNOT and SWAP is linear in the bits of a basis state, so the bits that the gates see are
        parities of the bits of the new one.
        """
        bits = [mask_of((wire,), n_wires) for wire in range(n_wires)]
        reads = list(bits)
        flips: list[tuple[int, int]] = []
        turns: dict[int, list[Term]] = {}
        # From the last to the first, as the old index follows from the new one.
        for name, wires, angle in reversed(self.gates):
            if name == "CNOT":
                reads[wires[1]] ^= reads[wires[0]]
            elif name == "SWAP":
                reads[wires[0]], reads[wires[1]] = reads[wires[1]], reads[wires[0]]
            elif name == "CZ":
                flips.append((reads[wires[0]], reads[wires[1]]))
            else:
                turns.setdefault(reads[wires[0]], []).extend(angle.terms)
        images = [sum(bit for bit, read in zip(bits, reads, strict=True) if read & one) for one in bits]
        return BasisMap(images, flips, {mask: Angle(tuple(terms)) for mask, terms in turns.items()})


@dataclass(frozen=True)
class BasisMap:
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
        n_wires, permutation = len(self.images), linear_map(self.images)
        if not self.flips:
            return permutation, None
        flipped = np.zeros(2**n_wires, bool)
        for first, second in self.flips:
            flipped ^= parities(n_wires, first) & parities(n_wires, second)
        return permutation, np.where(flipped, -1, 1).astype(np.int8)


@lru_cache(maxsize=768)
def moments_with(circuit: Circuit, diagonals: Diagonals) -> tuple[tuple[Moment, ...], float]:
    """The moments of a circuit, not yet as arrays, and its global phase in radians."""
    moments = [Moment()]
    total_phase = 0.0
    for operation in (o for whole in circuit.operations for o in elementary(whole)):
        if operation.gate in ENTANGLERS:
            moments[-1].add(operation.gate, operation.wires)
            continue
        (wire,) = operation.wires
        phase, angles = as_rot(operation)
        total_phase += phase
        if angles[1] == ZERO and moments[-1].takes_phase(wire, diagonals):
            moments[-1].add("RZ", (wire,), angles[0] + angles[2])
            continue
        if not moments[-1].takes_rotation(wire):
            moments.append(Moment())
        moments[-1].rotations.setdefault(wire, []).append(angles)
    _spread(moments)
    return tuple(moments) if circuit.operations else (), total_phase


def _spread(moments: Sequence[Moment]) -> None:
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


def _share(moments: Sequence[Moment], wire: int, among: range, places: Sequence[int]) -> None:
    """Share out one wire's rotations, which are in the moments `places` of those in `among`."""
    if all(len(moments[place].rotations[wire]) == 1 for place in places):
        return
    rotations = [angles for place in places for angles in moments[place].rotations.pop(wire)]
    size = -(-len(rotations) // len(among))
    for number, start in enumerate(range(0, len(rotations), size)):
        moments[among[number]].rotations[wire] = rotations[start : start + size]


@lru_cache(maxsize=256)
def moments_of(circuit: Circuit) -> tuple[tuple[Moment, ...], float]:
    """The moments that take the least work."""
    best = moments_with(circuit, "rotations")
    if not any(_is_diagonal(o) for whole in circuit.operations for o in elementary(whole)):
        return best
    others: tuple[Diagonals, ...] = ("entangled", "phases")
    return min([best, *(moments_with(circuit, each) for each in others)], key=lambda m: _work(circuit.n_wires, m[0]))


def _is_diagonal(operation: Operation) -> bool:
    return len(operation.wires) == 1 and as_rot(operation)[1][1] == ZERO


def _work(n_wires: int, moments: Sequence[Moment]) -> int:
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
    return _work(circuit.n_wires, moments_of(circuit)[0]) << circuit.n_wires


def n_moments(circuit: Circuit) -> int:
    """M, the moments that `lower` makes of a circuit; nothing of size 2^n is computed for it."""
    return len(moments_of(circuit)[0])
