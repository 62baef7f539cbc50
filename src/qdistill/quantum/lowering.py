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
gates are spread over many moments, to keep them among the rotations is less work; `moments` decides it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qdistill.quantum.angle import ZERO, Angle
from qdistill.quantum.angle_table import AngleTable
from qdistill.quantum.basis_states import parities
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.moments import moments_of


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


@lru_cache(maxsize=256)
def lower(circuit: Circuit) -> Moments:
    """Turn a circuit into moments.

    Args:
        circuit: any circuit; the result is cached, for circuits are hashable.

    Returns:
        The moments; a circuit without operations has none.
    """
    n = circuit.n_wires
    moments, total_phase = moments_of(circuit)
    # At least one level, so that a circuit without rotations has unitaries too.
    depth = max([1, *(len(r) for m in moments for r in m.rotations.values())])
    padding = [(ZERO, ZERO, ZERO)] * depth
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
    rows = [[*sorted(each.items()), *[(0, ZERO)] * terms][:terms] for each in turns]
    rest = n_wires - n_wires // 2
    signs = [
        np.array([[1 - 2 * parities(wires, mask >> skipped).astype(np.int8) for mask, _ in row] for row in rows])
        for wires, skipped in ((n_wires // 2, rest), (rest, 0))
    ]
    angles = AngleTable.of([angle for row in rows for _, angle in row], (len(rows), terms))
    return Phases(angles, first=signs[0], second=signs[1])
