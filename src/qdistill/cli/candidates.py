"""The circuits that `qdistill rank` is given, by words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qdistill.cli.transfer import fields_of, networks_of
from qdistill.errors import ArgumentError
from qdistill.fields import convert, from_table

if TYPE_CHECKING:
    from qdistill.models import Architecture

LAYERS = (1, 2, 3)
"""Of a circuit of Sim et al., where nobody says how many."""

_SIM = re.compile(r"sim(?:-(\d+))?(?::(.*))?")


def candidates_of(words: Sequence[str], own: Architecture | None, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Architectures by the words that name them.

    Args:
        words: as `networks_of` takes them; or ``sim`` for the circuits of Sim et al., ``sim-NUMBER`` for one of them,
            each with fields of the architecture ``circuit`` and with ``n_layers``, which is 1, 2 and 3 by default.
            What is not given is as the bundle's own network has it, where that is a circuit too; elsewhere it reads its
            inputs by an angle embedding, one a wire.
        own: the bundle's architecture.
        input_shape: of one input.

    Raises:
        ArgumentError: an unknown name or field, a bad value, or a circuit twice.
    """
    found: dict[str, Any] = {}
    for word in words:
        match = _SIM.fullmatch(word)
        try:
            more = networks_of([word], own) if match is None else _sim(word, match[1], match[2], own, input_shape)
        except ArgumentError as error:
            raise ArgumentError(str(error).replace("`on`", "`circuits`")) from error
        for name, architecture in more.items():
            # On few wires some of the nineteen circuits are the same.
            same = name if name in found else None
            if same is None and match is None:
                same = next((known for known, other in found.items() if other == architecture), None)
            if same is not None:
                raise ArgumentError(
                    f"Argument `circuits` must be different circuits, but {name!r} is "
                    + ("there twice." if same == name else f"the same as {same!r}.")
                )
            found[name] = architecture
    return found


def _sim(
    word: str, number: str | None, rest: str | None, own: Architecture | None, input_shape: tuple[int, ...]
) -> dict[str, Any]:
    from qdistill.models import CircuitArchitecture
    from qdistill.quantum import SIM_NUMBERS, SimCircuit

    fields = {} if rest is None else fields_of(rest, word)
    layers = fields.pop("n_layers", None)
    if layers is not None:
        layers = convert(layers, int, "n_layers")
    like = own if isinstance(own, CircuitArchitecture) else None
    n_wires = math.prod(input_shape) if like is None else like.circuit.n_wires
    found = {}
    for depth in LAYERS if layers is None else (layers,):
        for each in SIM_NUMBERS if number is None else (int(number),):
            circuit = SimCircuit(each, n_wires, depth).circuit()
            default = CircuitArchitecture(circuit, "angle") if like is None else replace(like, circuit=circuit)
            others = "".join(f",{name}={value}" for name, value in fields.items())
            name = f"sim-{each}:n_layers={depth}{others}"
            found[name] = from_table(CircuitArchitecture, fields, "circuits", default=default)
    return found
