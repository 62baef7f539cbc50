"""The circuits of Sim et al. (arXiv 1905.10876) in PennyLane: figure 2 on four wires, and circuit 14 on any number."""

from __future__ import annotations

import math
from typing import Any

import pennylane as qml

_ROTATIONS = "RX 0 1 2 3; RZ 0 1 2 3"
_BRICKS = "{0} 10 32; {1}{0} 21"
_RINGS = "RY 0 1 2 3; {0} 30 23 12 01; RY 0 1 2 3; {0} 32 03 10 21"
_PAIRS = "32 31 30 23 21 20 13 12 10 03 02 01"
_INNER = "RY 1 2; RZ 1 2; "

FIGURE = {
    1: _ROTATIONS,
    2: f"{_ROTATIONS}; CNOT 32 21 10",
    3: f"{_ROTATIONS}; CRZ 32 21 10",
    4: f"{_ROTATIONS}; CRX 32 21 10",
    5: f"{_ROTATIONS}; CRZ {_PAIRS}; {_ROTATIONS}",
    6: f"{_ROTATIONS}; CRX {_PAIRS}; {_ROTATIONS}",
    7: f"{_ROTATIONS}; {_BRICKS.format('CRZ', _ROTATIONS + '; ')}",
    8: f"{_ROTATIONS}; {_BRICKS.format('CRX', _ROTATIONS + '; ')}",
    9: "Hadamard 0 1 2 3; CZ 32 21 10; RX 0 1 2 3",
    10: "CZ 32 21 10 03; RY 0 1 2 3",
    11: f"RY 0 1 2 3; RZ 0 1 2 3; {_BRICKS.format('CNOT', _INNER)}",
    12: f"RY 0 1 2 3; RZ 0 1 2 3; {_BRICKS.format('CZ', _INNER)}",
    13: _RINGS.format("CRZ"),
    14: _RINGS.format("CRX"),
    15: _RINGS.format("CNOT"),
    16: f"{_ROTATIONS}; {_BRICKS.format('CRZ', '')}",
    17: f"{_ROTATIONS}; {_BRICKS.format('CRX', '')}",
    18: f"{_ROTATIONS}; CRZ 30 23 12 01",
    19: f"{_ROTATIONS}; CRX 30 23 12 01",
}
"""A layer on four wires: the gates from left to right, each with its wires, of which a control comes first."""

PARAMETERISED = ("RX", "RY", "RZ", "CRX", "CRZ")


def figure(number: int, weights: Any, n_layers: int) -> None:
    """Queue the layers of a circuit on four wires, with a flat sequence of angles."""
    angles = iter(weights)
    first = "RY 0 1 2 3; " if number == 10 else ""
    for step in filter(None, (first + "; ".join([FIGURE[number]] * n_layers)).split("; ")):
        gate, *places = step.split()
        for place in places:
            wires = [int(digit) for digit in place]
            getattr(qml, gate)(*([next(angles)] if gate in PARAMETERISED else []), wires=wires)


def sim_14(weights: Any, n: int) -> None:
    """Queue circuit 14 on any number of wires, for weights (layers, angles of a layer)."""
    for row in weights:
        angles = iter(row)
        for distance in (1, 3) if n > 3 else (1, n - 1):
            for wire in range(n):
                qml.RY(next(angles), wires=wire)
            if n == 1:
                continue
            for step in range(n // math.gcd(n, distance)):
                control = (n - 1 - step * distance) % n
                qml.CRX(next(angles), wires=[control, (control + distance) % n])
