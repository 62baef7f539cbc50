"""The networks that a recipe or a bundle can name, and what it says of them."""

from __future__ import annotations

import dataclasses
from collections import UserDict
from typing import Any

from qdistill.errors import ArgumentError, shown
from qdistill.fields import as_table, convert, from_table, under, unsupported
from qdistill.models.circuit import CircuitArchitecture
from qdistill.models.circuit_centric import CircuitCentric
from qdistill.models.dressed import DressedCircuit
from qdistill.models.iqp import IQPVariational
from qdistill.models.kernel import KernelArchitecture
from qdistill.models.lenet import LeNetArchitecture
from qdistill.models.model import Architecture, fields_from_json, fields_to_json
from qdistill.models.qcnn import QCNN
from qdistill.models.quantum_lenet import QuantumLeNetArchitecture
from qdistill.models.reuploading import DataReuploading
from qdistill.models.tree_tensor import TreeTensor
from qdistill.quantum import Circuit


class Register(UserDict[str, type]):
    """Architectures by the names of their classes; one whose fields cannot be kept is refused where it is added."""

    def __setitem__(self, name: str, kind: Any) -> None:
        """Add an architecture.

        Raises:
            ArgumentError: it is no dataclass with a `build` method, has another name, or a field that cannot be checked
                or written as JSON.
        """
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and callable(getattr(kind, "build", None))):
            raise ArgumentError(
                f"The architecture {name!r} must be a frozen dataclass with a `build` method, but was {shown(kind)}."
            )
        if name != kind.__name__:
            raise ArgumentError(
                f"The architecture {kind.__name__} must be registered under its class name, which recipes and bundles "
                f"hold, but was under {name!r}."
            )
        why = unsupported(kind, own=(Circuit,))
        if why is not None:
            raise ArgumentError(f"The architecture {name} cannot be registered: {why}.")
        super().__setitem__(name, kind)


_OWN: dict[str, type[Any]] = {
    "quantum-lenet": QuantumLeNetArchitecture,
    "lenet": LeNetArchitecture,
    "circuit": CircuitArchitecture,
    "data-reuploading": DataReuploading,
    "circuit-centric": CircuitCentric,
    "iqp": IQPVariational,
    "dressed": DressedCircuit,
    "qcnn": QCNN,
    "tree-tensor": TreeTensor,
    "kernel": KernelArchitecture,
}
"""The package's own by what options and recipe files call them."""

ARCHITECTURES = Register({kind.__name__: kind for kind in _OWN.values()})
"""What a recipe or a bundle can name; add your own, a frozen dataclass that is an `Architecture`, under its name."""

HOW_TO_ADD = (
    "One of your own has to be registered in `qdistill.models.ARCHITECTURES` first; the command line does so with "
    "--plugin FILE.py, a file that registers it."
)


def architecture_options() -> dict[str, type[Any]]:
    """How the command line and recipe files call the architectures; one that was added has its own name."""
    return _OWN | {name: kind for name, kind in ARCHITECTURES.items() if kind not in _OWN.values()}


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """A network's name and fields as plain data."""
    return {"name": type(architecture).__name__, "fields": fields_to_json(architecture)}


def architecture_from_json(plain: Any) -> Architecture:
    """Read what `architecture_to_json` wrote.

    Raises:
        ArgumentError: the network is not registered, or a field is unknown, missing or has a bad value.
    """
    table = as_table(plain, "model")
    for field in ("name", "fields"):
        if field not in table:
            raise ArgumentError(f"Argument `model.{field}` must be given, but is missing.")
    name = convert(table["name"], str, "model.name")
    if name not in ARCHITECTURES:
        raise ArgumentError(f"{ArgumentError.unknown('model.name', name, ARCHITECTURES)} {HOW_TO_ADD}")
    kind = ARCHITECTURES[name]
    with under("model"):
        fields = fields_from_json(kind, as_table(table["fields"], "fields"))
    architecture: Architecture = from_table(kind, fields, "model", whole=True)
    return architecture
