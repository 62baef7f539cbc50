"""The gates that other frameworks have and a `Circuit` has not, written in its own.

Every rule is exact; some leave out a global phase, which no expectation value sees. Qiskit's names are the keys,
because OpenQASM shares them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qdistill.errors import CircuitError
from qdistill.quantum.angle import Angle, constant
from qdistill.quantum.circuit import Operation
from qdistill.quantum.gates import UNITARY

Wires = tuple[int, ...]
Angles = tuple[Angle, ...]
Rule = Callable[[Wires, Angles], list[Operation]]


@dataclass(frozen=True)
class StandardGate:
    """How many wires and angles a gate takes, and the operations that it stands for."""

    n_wires: int
    n_angles: int
    rule: Rule


def _own(name: str) -> Rule:
    return lambda wires, angles: [Operation(name, wires, angles)]


def _fixed(*rows: tuple[complex, complex]) -> Rule:
    first, second = rows
    return lambda wires, angles: [Operation(UNITARY, wires, matrix=(first, second))]


def _named(name: str, *wires: int) -> list[Operation]:
    return standard_gate(name, wires, ())


def _u(wires: Wires, angles: Angles) -> list[Operation]:
    """U(theta, phi, lambda) = exp(i (phi + lambda) / 2) RZ(phi) RY(theta) RZ(lambda)."""
    theta, phi, lam = angles
    return [Operation("Rot", wires, (lam, theta, phi))]


def _u2(wires: Wires, angles: Angles) -> list[Operation]:
    return _u(wires, (constant(math.pi / 2), *angles))


def _phase(wires: Wires, angles: Angles) -> list[Operation]:
    """P(lambda) = exp(i lambda / 2) RZ(lambda)."""
    return [Operation("RZ", wires, angles)]


def _controlled_phase(wires: Wires, angles: Angles) -> list[Operation]:
    """CP(lambda): the phase lambda / 2 of CRZ(lambda) given back to the control."""
    (angle,) = angles
    return [Operation("RZ", wires[:1], (angle.scaled(0.5),)), Operation("CRZ", wires, angles)]


def _between(before: list[Operation], core: list[Operation], after: list[Operation]) -> list[Operation]:
    return [*before, *core, *after]


def _rzz(wires: Wires, angles: Angles) -> list[Operation]:
    """exp(-i theta / 2 Z...Z): the parity of the wires is gathered on the last, turned and taken back."""
    chain = [Operation("CNOT", pair) for pair in itertools.pairwise(wires)]
    return _between(chain, [Operation("RZ", wires[-1:], angles)], chain[::-1])


def _rxx(wires: Wires, angles: Angles) -> list[Operation]:
    """H turns Z into X."""
    basis = [Operation("H", (wire,)) for wire in wires]
    return _between(basis, _rzz(wires, angles), basis)


def _ryy(wires: Wires, angles: Angles) -> list[Operation]:
    """RX(pi / 2) turns Y into Z."""
    quarter = [Operation("RX", (wire,), (constant(math.pi / 2),)) for wire in wires]
    back = [Operation("RX", (wire,), (constant(-math.pi / 2),)) for wire in wires]
    return _between(quarter, _rzz(wires, angles), back)


def _rzx(wires: Wires, angles: Angles) -> list[Operation]:
    basis = [Operation("H", wires[1:])]
    return _between(basis, _rzz(wires, angles), basis)


def _cy(wires: Wires, angles: Angles) -> list[Operation]:
    target = wires[1]
    return _between(_named("sdg", target), _named("cx", *wires), _named("s", target))


def _ch(wires: Wires, angles: Angles) -> list[Operation]:
    """H = RY(pi / 4) Z RY(-pi / 4)."""
    turns = [[Operation("RY", wires[1:], (constant(sign * math.pi / 4),))] for sign in (-1, 1)]
    return _between(turns[0], _named("cz", *wires), turns[1])


def _iswap(wires: Wires, angles: Angles) -> list[Operation]:
    phases = [operation for wire in wires for operation in _named("s", wire)]
    return [*phases, *_named("cz", *wires), *_named("swap", *wires)]


def _ccz(wires: Wires, angles: Angles) -> list[Operation]:
    """Nielsen and Chuang, figure 4.9, without the target's Hadamards."""
    a, b, c = wires
    order = [("cx", b, c), ("tdg", c), ("cx", a, c), ("t", c), ("cx", b, c), ("tdg", c), ("cx", a, c), ("t", b),
             ("t", c), ("cx", a, b), ("t", a), ("tdg", b), ("cx", a, b)]  # fmt: skip
    return [operation for name, *on in order for operation in _named(str(name), *(int(w) for w in on))]


def _ccx(wires: Wires, angles: Angles) -> list[Operation]:
    basis = _named("h", wires[2])
    return _between(basis, _ccz(wires, angles), basis)


def _cswap(wires: Wires, angles: Angles) -> list[Operation]:
    control, first, second = wires
    swap = _named("cx", second, first)
    return _between(swap, _ccx((control, first, second), angles), swap)


def _nothing(wires: Wires, angles: Angles) -> list[Operation]:
    return []


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
    "cy": StandardGate(2, 0, _cy),
    "ch": StandardGate(2, 0, _ch),
    "rxx": StandardGate(2, 1, _rxx),
    "ryy": StandardGate(2, 1, _ryy),
    "rzz": StandardGate(2, 1, _rzz),
    "rzx": StandardGate(2, 1, _rzx),
    "iswap": StandardGate(2, 0, _iswap),
    "ccx": StandardGate(3, 0, _ccx),
    "ccz": StandardGate(3, 0, _ccz),
    "cswap": StandardGate(3, 0, _cswap),
}


def standard_gate(name: str, wires: Iterable[int], angles: Iterable[Angle]) -> list[Operation]:
    """The operations that a gate stands for, up to a global phase.

    Args:
        name: a key of `STANDARD_GATES`.
        wires: in the gate's own order, controls first.
        angles: in the gate's own order.
    """
    return STANDARD_GATES[name].rule(tuple(wires), tuple(angles))


def unsupported(gate: str, place: int, wires: object, known: Iterable[str], why: str = "") -> CircuitError:
    """The error for a gate that cannot be imported.

    Args:
        gate: what the framework calls it.
        place: which operation of the circuit it is, counted from 0.
        wires: what it acts on.
        known: the names that would have been accepted.
        why: what the framework said against taking it apart, if anything.
    """
    return CircuitError(
        f"Operation {place}, {gate} on {wires}, cannot be imported{why and f' ({why})'}. The gates that can are "
        f"{', '.join(sorted(known))}, and what the framework itself takes apart into them."
    )
