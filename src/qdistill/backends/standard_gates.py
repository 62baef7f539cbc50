"""The gates that other frameworks have and a `Circuit` has not, written in its own.

Every rule is exact, global phase included. Qiskit's names are the keys, because OpenQASM shares them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qdistill.backends.blocks import Block, block, joined, toffoli
from qdistill.quantum.angle import Angle, constant
from qdistill.quantum.circuit import Operation
from qdistill.quantum.gates import UNITARY

Wires = tuple[int, ...]
Angles = tuple[Angle, ...]
Rule = Callable[[Wires, Angles], Block]


@dataclass(frozen=True)
class StandardGate:
    """How many wires and angles a gate takes, and the operations that it stands for."""

    n_wires: int
    n_angles: int
    rule: Rule


def _own(name: str) -> Rule:
    return lambda wires, angles: block(Operation(name, wires, angles))


def _fixed(*rows: tuple[complex, complex]) -> Rule:
    first, second = rows
    return lambda wires, angles: block(Operation(UNITARY, wires, matrix=(first, second)))


def _named(name: str, *wires: int) -> Block:
    return standard_gate(name, wires, ())


def _u(wires: Wires, angles: Angles) -> Block:
    """U(theta, phi, lambda) = exp(i (phi + lambda) / 2) RZ(phi) RY(theta) RZ(lambda)."""
    theta, phi, lam = angles
    return Block((Operation("Rot", wires, (lam, theta, phi)),), (phi + lam) / 2)


def _u2(wires: Wires, angles: Angles) -> Block:
    return _u(wires, (constant(math.pi / 2), *angles))


def _phase(wires: Wires, angles: Angles) -> Block:
    """P(lambda) = exp(i lambda / 2) RZ(lambda)."""
    return Block((Operation("RZ", wires, angles),), angles[0] / 2)


def _controlled_phase(wires: Wires, angles: Angles) -> Block:
    """CP(lambda): the phase lambda / 2 of CRZ(lambda) given back to the control."""
    return _phase(wires[:1], (angles[0] / 2,)).then(block(Operation("CRZ", wires, angles)))


def _controlled(rule: Rule) -> Rule:
    return lambda wires, angles: rule(wires[1:], angles).controlled(wires[:1])


def _cu(wires: Wires, angles: Angles) -> Block:
    """U(theta, phi, lambda) with a phase gamma of its own, under a control."""
    *turns, gamma = angles
    return Block((), gamma).then(_u(wires[1:], tuple(turns))).controlled(wires[:1])


def _rzz(wires: Wires, angles: Angles) -> Block:
    """exp(-i theta / 2 Z...Z): the parity of the wires is gathered on the last, turned and taken back."""
    chain = [Operation("CNOT", pair) for pair in itertools.pairwise(wires)]
    return block(*chain, Operation("RZ", wires[-1:], angles), *reversed(chain))


def _rxx(wires: Wires, angles: Angles) -> Block:
    """H turns Z into X."""
    basis = block(*(Operation("H", (wire,)) for wire in wires))
    return basis.then(_rzz(wires, angles), basis)


def _ryy(wires: Wires, angles: Angles) -> Block:
    """RX(pi / 2) turns Y into Z."""
    basis = block(*(Operation("RX", (wire,), (constant(math.pi / 2),)) for wire in wires))
    return basis.then(_rzz(wires, angles), basis.inverse())


def _rzx(wires: Wires, angles: Angles) -> Block:
    basis = block(Operation("H", wires[1:]))
    return basis.then(_rzz(wires, angles), basis)


def _iswap(wires: Wires, angles: Angles) -> Block:
    return joined([*(_named("s", wire) for wire in wires), _named("cz", *wires), _named("swap", *wires)])


def _nothing(wires: Wires, angles: Angles) -> Block:
    return Block()


_T = complex(math.sqrt(0.5), -math.sqrt(0.5))

STANDARD_GATES: dict[str, StandardGate] = {
    "rx": StandardGate(1, 1, _own("RX")),
    "ry": StandardGate(1, 1, _own("RY")),
    "rz": StandardGate(1, 1, _own("RZ")),
    "rot": StandardGate(1, 3, _own("Rot")),
    "h": StandardGate(1, 0, _own("H")),
    "x": StandardGate(1, 0, _own("X")),
    "y": StandardGate(1, 0, _own("Y")),
    "z": StandardGate(1, 0, _own("Z")),
    "s": StandardGate(1, 0, _own("S")),
    "t": StandardGate(1, 0, _own("T")),
    "cx": StandardGate(2, 0, _own("CNOT")),
    "cz": StandardGate(2, 0, _own("CZ")),
    "swap": StandardGate(2, 0, _own("SWAP")),
    "crx": StandardGate(2, 1, _own("CRX")),
    "cry": StandardGate(2, 1, _own("CRY")),
    "crz": StandardGate(2, 1, _own("CRZ")),
    "id": StandardGate(1, 0, _nothing),
    "sdg": StandardGate(1, 0, _fixed((1 + 0j, 0j), (0j, -1j))),
    "tdg": StandardGate(1, 0, _fixed((1 + 0j, 0j), (0j, _T))),
    "sx": StandardGate(1, 0, _fixed((0.5 + 0.5j, 0.5 - 0.5j), (0.5 - 0.5j, 0.5 + 0.5j))),
    "sxdg": StandardGate(1, 0, _fixed((0.5 - 0.5j, 0.5 + 0.5j), (0.5 + 0.5j, 0.5 - 0.5j))),
    "p": StandardGate(1, 1, _phase),
    "u1": StandardGate(1, 1, _phase),
    "u2": StandardGate(1, 2, _u2),
    "u3": StandardGate(1, 3, _u),
    "u": StandardGate(1, 3, _u),
    "cp": StandardGate(2, 1, _controlled_phase),
    "cu1": StandardGate(2, 1, _controlled_phase),
    "cy": StandardGate(2, 0, _controlled(_own("Y"))),
    "ch": StandardGate(2, 0, _controlled(_own("H"))),
    "rxx": StandardGate(2, 1, _rxx),
    "ryy": StandardGate(2, 1, _ryy),
    "rzz": StandardGate(2, 1, _rzz),
    "rzx": StandardGate(2, 1, _rzx),
    "iswap": StandardGate(2, 0, _iswap),
    "ccx": StandardGate(3, 0, lambda wires, angles: block(*toffoli(*wires))),
    "ccz": StandardGate(3, 0, _controlled(_own("CZ"))),
    "cswap": StandardGate(3, 0, _controlled(_own("SWAP"))),
    "cu3": StandardGate(2, 3, _controlled(_u)),
    "cu": StandardGate(2, 4, _cu),
}


def standard_gate(name: str, wires: Iterable[int], angles: Iterable[Angle]) -> Block:
    """The operations that a gate stands for.

    Args:
        name: a key of `STANDARD_GATES`.
        wires: in the gate's own order, controls first.
        angles: in the gate's own order.
    """
    return STANDARD_GATES[name].rule(tuple(wires), tuple(angles))
