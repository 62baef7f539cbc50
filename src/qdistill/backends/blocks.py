"""Operations together with their global phase, so that they can be inverted and controlled exactly.

No expectation value sees the phase of a circuit, but under a control it is a rotation of the control. The gate sets of
other frameworks are written as blocks; only when all controls are in place is the phase that is left dropped.
"""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qdistill.quantum.angle import Angle, constant
from qdistill.quantum.bounds import check_operations
from qdistill.quantum.circuit import Operation
from qdistill.quantum.gates import GATES, UNITARY, euler_angles

Wires = tuple[int, ...]
Operations = tuple[Operation, ...]


NO_ANGLE = Angle()


@dataclass(frozen=True)
class Block:
    """``exp(i phase)`` times operations, which are applied from first to last.

    Args:
        operations: on any wires.
        phase: radians.
    """

    operations: Operations = ()
    phase: Angle = NO_ANGLE

    def then(self, *others: Block) -> Block:
        """This block followed by others."""
        return joined((self, *others))

    def inverse(self) -> Block:
        """The block that undoes this one."""
        return Block(tuple(_inverse(operation) for operation in reversed(self.operations)), -self.phase)

    def repeated(self, times: int) -> Block:
        """This block so many times, or its inverse where the number is negative.

        Raises:
            CircuitError: these are more operations than a circuit may have.
        """
        check_operations(len(self.operations) * abs(times), f"a power of {times}")
        once = self if times >= 0 else self.inverse()
        return Block(once.operations * abs(times), once.phase * abs(times))

    def controlled(self, controls: Sequence[int], values: Iterable[bool] | None = None) -> Block:
        """This block where every control has its value, and nothing elsewhere.

        Args:
            controls: wires that the block is not on.
            values: what each control must be; by default 1.
        """
        on = tuple(controls)
        chosen = (True,) * len(on) if values is None else tuple(values)
        if not on:
            return self
        flips = tuple(Operation("X", (wire,)) for wire, value in zip(on, chosen, strict=True) if not value)
        inside = [_controlled(operation, on) for operation in self.operations]
        return joined([Block(flips), *inside, _controlled_phase(self.phase, on), Block(flips)])


def joined(blocks: Iterable[Block]) -> Block:
    """Blocks one after another."""
    kept = list(blocks)
    operations = tuple(operation for block in kept for operation in block.operations)
    return Block(operations, sum((block.phase for block in kept), NO_ANGLE))


def block(*operations: Operation) -> Block:
    """Operations without a phase."""
    return Block(operations)


def toffoli(first: int, second: int, target: int) -> Operations:
    """X on the target where both controls are 1 (Nielsen and Chuang, figure 4.9)."""
    tdg = _inverse(Operation("T", (target,))).matrix
    order = [("CNOT", second, target), ("", target), ("CNOT", first, target), ("T", target), ("CNOT", second, target),
             ("", target), ("CNOT", first, target), ("T", second), ("T", target), ("CNOT", first, second), ("T", first),
             ("", second), ("CNOT", first, second)]  # fmt: skip
    core = tuple(
        Operation(str(name), wires) if name else Operation(UNITARY, wires, matrix=tdg)
        for name, *on in order
        if (wires := tuple(map(int, on)))
    )
    turn = Operation("H", (target,))
    return (turn, *core, turn)


# --- inverses


def _inverse(operation: Operation) -> Operation:
    if operation.gate in ("S", "T", UNITARY):
        matrix = np.array(operation.matrix) if operation.gate == UNITARY else GATES[operation.gate].matrix()
        rows = matrix.conj().T.tolist()
        return Operation(UNITARY, operation.wires, matrix=(tuple(rows[0]), tuple(rows[1])))
    return replace(operation, angles=tuple(-angle for angle in reversed(operation.angles)))


# --- controls: what an operation becomes under further controls


def _controlled(operation: Operation, controls: Wires) -> Block:
    """An operation under at least one control."""
    wires, (*inner, target) = operation.wires, operation.wires
    match operation.gate:
        case "X":
            return Block(_x(controls, target))
        case "CNOT":
            return Block(_x((*controls, *inner), target))
        case "Z" | "CZ":
            return Block(_z((*controls, *inner), target))
        case "Y":
            quarter = Operation("S", (target,))
            return Block((_inverse(quarter), *_x(controls, target), quarter))
        case "H":  # RY(pi / 4) Z RY(-pi / 4)
            back, forth = (Operation("RY", (target,), (constant(sign * math.pi / 4),)) for sign in (-1, 1))
            return Block((back, *_z(controls, target), forth))
        case "SWAP":
            around = Operation("CNOT", wires[::-1])
            return Block((around, *_x((*controls, wires[0]), target), around))
        case "S" | "T":
            return _phase_gate(constant(math.pi / (2 if operation.gate == "S" else 4)), controls, target)
        case "Rot":
            return Block(_rot(operation.angles, controls, target))
        case "Unitary":
            phase, *angles = euler_angles(np.array(operation.matrix))
            turns = _rot(tuple(map(constant, angles)), controls, target)
            return Block(turns).then(_controlled_phase(constant(phase), controls))
        case "RX" | "RY" | "RZ" | "CRX" | "CRY" | "CRZ":
            return Block(_rotation(operation.gate[-1], operation.angles[0], (*controls, *inner), target))
    raise AssertionError(f"no rule for the gate {operation.gate}")


def _x(controls: Wires, target: int) -> Operations:
    if len(controls) < 3:
        return _x_with_two_at_most(controls, target)
    turn = Operation("H", (target,))
    return (turn, *_phase_gate(constant(math.pi), controls, target).operations, turn)


def _x_with_two_at_most(controls: Wires, target: int) -> Operations:
    if len(controls) == 2:
        return toffoli(*controls, target)
    return (Operation("CNOT" if controls else "X", (*controls, target)),)


def _z(controls: Wires, target: int) -> Operations:
    if len(controls) < 2:
        return (Operation("CZ" if controls else "Z", (*controls, target)),)
    turn = Operation("H", (target,))
    return (turn, *_x(controls, target), turn)


def _rotation(axis: str, angle: Angle, controls: Wires, target: int) -> Operations:
    """A controlled rotation, whose angle X (for an X rotation Z) on the target turns round."""
    if len(controls) == 1:
        return (Operation(f"CR{axis}", (*controls, target), (angle,)),)
    if axis == "X":
        turn = Operation("H", (target,))
        return (turn, *_rotation("Z", angle, controls, target), turn)
    half = Operation(f"R{axis}", (target,), (angle / 2,))
    if len(controls) == 2:
        flip = toffoli(*controls, target)
        return (half, *flip, _inverse(half), *flip)
    # Vale et al., arXiv 2302.06377, theorem 1: each half of the controls flips, with the other to borrow wires from.
    quarter = Operation(f"R{axis}", (target,), (angle / 4,))
    middle = (len(controls) + 1) // 2
    first = _x_with_borrowed(controls[:middle], target, controls[middle:])
    second = _x_with_borrowed(controls[middle:], target, controls[:middle])
    return (*first, _inverse(quarter), *second, quarter, *first, _inverse(quarter), *second, quarter)


def _x_with_borrowed(controls: Wires, target: int, borrowed: Wires) -> Operations:
    """X under k controls, with k - 2 other wires, which keep any state (Barenco et al., PRA 52, 3457, lemma 7.2)."""
    if len(controls) < 3:
        return _x_with_two_at_most(controls, target)
    chain = (*borrowed[: len(controls) - 2], target)
    steps = [
        toffoli(control, below, above)
        for control, (below, above) in zip(controls[2:], itertools.pairwise(chain), strict=True)
    ]
    down = [toffoli(controls[0], controls[1], chain[0])]
    inner = [*reversed(steps[:-1]), *down, *steps[:-1]]
    return tuple(itertools.chain.from_iterable([steps[-1], *inner, steps[-1], *inner]))


def _rot(angles: Sequence[Angle], controls: Wires, target: int) -> Operations:
    """RZ(omega) RY(theta) RZ(phi) as A X B X C with A B C = 1 (Nielsen and Chuang, section 4.3)."""
    phi, theta, omega = angles
    flip = _x(controls, target)

    def turn(gate: str, angle: Angle) -> Operation:
        return Operation(gate, (target,), (angle,))

    between = (turn("RZ", -(phi + omega) / 2), turn("RY", -theta / 2))
    return (turn("RZ", (phi - omega) / 2), *flip, *between, *flip, turn("RY", theta / 2), turn("RZ", omega))


def _phase_gate(angle: Angle, controls: Wires, target: int) -> Block:
    """P(angle) = exp(i angle / 2) RZ(angle) under controls."""
    return Block(_rotation("Z", angle, controls, target)).then(_controlled_phase(angle / 2, controls))


def _controlled_phase(angle: Angle, controls: Wires) -> Block:
    """exp(i angle) where all controls are 1: a phase gate on the last one, under the others."""
    *others, last = controls
    turns = angle.offset / math.pi
    if angle.is_constant and abs(turns - round(turns)) < 1e-12:
        return Block(_z(tuple(others), last) if round(turns) % 2 else ())
    if others:
        return _phase_gate(angle, tuple(others), last)
    if angle.is_constant:  # a matrix leaves no phase behind
        return block(Operation(UNITARY, (last,), matrix=((1 + 0j, 0j), (0j, cmath.exp(1j * angle.offset)))))
    return Block((Operation("RZ", (last,), (angle,)),), angle / 2)
