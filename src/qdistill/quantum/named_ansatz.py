"""The trainable circuits that a recipe can name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from qdistill.errors import CircuitError
from qdistill.quantum.ansatz import Ansatz, BasicEntangling, StronglyEntangling
from qdistill.quantum.sim_circuits import SIM_NUMBERS, SimCircuit

AnsatzName = Literal[
    "strongly_entangling",
    "basic_entangling",
    "sim-1",
    "sim-2",
    "sim-3",
    "sim-4",
    "sim-5",
    "sim-6",
    "sim-7",
    "sim-8",
    "sim-9",
    "sim-10",
    "sim-11",
    "sim-12",
    "sim-13",
    "sim-14",
    "sim-15",
    "sim-16",
    "sim-17",
    "sim-18",
    "sim-19",
]
"""``"sim-14"`` is `SimCircuit` number 14."""

_ANSATZE: dict[str, Callable[[int, int], Ansatz]] = {
    "strongly_entangling": StronglyEntangling,
    "basic_entangling": BasicEntangling,
    **{f"sim-{number}": partial(SimCircuit, number) for number in SIM_NUMBERS},
}

ANSATZ_NAMES: tuple[str, ...] = get_args(AnsatzName)
"""All of them."""


def named_ansatz(name: AnsatzName, n_wires: int, n_layers: int) -> Ansatz:
    """The ansatz of a name.

    Args:
        name: one of `ANSATZ_NAMES`.
        n_wires: number of qubits.
        n_layers: number of layers.

    Raises:
        CircuitError: unknown name, or sizes that the ansatz refuses.
    """
    if name not in _ANSATZE:
        raise CircuitError.unknown("name", name, ANSATZ_NAMES)
    return _ANSATZE[name](n_wires, n_layers)
