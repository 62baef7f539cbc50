"""Sums of Pauli strings as text, such as ``"Z0"``, ``"X0 Y2"`` or ``"0.5 * Z0 Z1 - X2 + 0.1"``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from qdistill.errors import CircuitError, shown
from qdistill.quantum.paulis import PauliString

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LETTER = r"[XYZ]\s*(?:\d{1,9}|\(\s*\d{1,9}\s*\))(?!\d)|I\s*(?:\d+|\(\s*\d*\s*\))?"
_TERM = re.compile(
    rf"\s*(?P<sign>[+-])?\s*(?:(?P<number>{_NUMBER})\s*\*?\s*)?(?P<letters>(?:(?:{_LETTER})\s*[@*]?\s*)*)", re.ASCII
)


def pauli_sum(text: Any) -> dict[PauliString, float]:
    """Read a sum of Pauli strings.

    A letter stands before its wire, as in ``Z0`` or PennyLane's ``Z(0)``; letters are multiplied by standing together,
    with or without ``@`` or ``*`` between them. ``I``, or a number alone, is the identity.

    Args:
        text: the sum.

    Returns:
        The real coefficient of each string; equal strings are added up.

    Raises:
        CircuitError: it cannot be read, has two letters on one wire of a string, or a coefficient that is not finite.
    """
    if not isinstance(text, str) or not text.strip():
        raise _unreadable(text)
    sums: dict[PauliString, float] = {}
    place = 0
    while place < len(text):
        match = _TERM.match(text, place)
        if match is None or match.end() == place or not (match["number"] or match["letters"]):
            raise _unreadable(text)
        if (place and not match["sign"]) or match["letters"].rstrip().endswith(("@", "*")):
            raise _unreadable(text)
        string = _string(match["letters"], text)
        coefficient = float(match["number"] or 1) * (-1 if match["sign"] == "-" else 1)
        sums[string] = sums.get(string, 0.0) + coefficient
        place = match.end()
    if not all(map(math.isfinite, sums.values())):
        raise CircuitError(f"Argument `observables` must have finite coefficients, but was {shown(text)}.")
    return sums


def pauli_text(sums: Mapping[PauliString, float]) -> str:
    """Write what `pauli_sum` reads."""
    text = ""
    for string, coefficient in sums.items():
        product = str(string) if string.wires else ""
        size = [repr(abs(coefficient))] if abs(coefficient) != 1 or not product else []
        sign = "-" if coefficient < 0 else "+"
        before = ("-" if sign == "-" else "") if not text else f" {sign} "
        text += before + " * ".join([*size, *([product] if product else [])])
    return text or "0.0"


def _string(text: str, whole: str) -> PauliString:
    found = re.findall(r"([XYZ])\s*\(?\s*(\d+)", text)
    wires = tuple(int(wire) for _, wire in found)
    if len(set(wires)) < len(wires):
        raise CircuitError(
            f"Argument `observables` must have one letter a wire in each product, but was {shown(whole)}. The product "
            "of two Pauli matrices on one wire is another, or the identity: write that."
        )
    return PauliString("".join(letter for letter, _ in found), wires)


def _unreadable(text: Any) -> CircuitError:
    return CircuitError(
        "Argument `observables` must be sums of Pauli strings such as 'Z0', 'X0 Y2' or '0.5 * Z0 Z1 - X2', but one was "
        f"{shown(text)}."
    )
