"""The finished bundles that come with the package, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qdistill.errors import ArgumentError
from qdistill.files import shipped

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset

SUFFIX = ".safetensors"


def zoo_names() -> list[str]:
    """The names of all bundles."""
    return sorted(path.stem for path in shipped("zoo").glob(f"*{SUFFIX}"))


def zoo_path(name: str) -> Path:
    """The file of a bundle.

    Raises:
        ArgumentError: there is none of that name.
    """
    if name not in zoo_names():
        raise ArgumentError.unknown("name", name, zoo_names())
    return shipped("zoo") / f"{name}{SUFFIX}"


def named_or_path(path: Path | str) -> Path:
    """The file of the zoo that a name stands for; anything else is a path already. A file of that name goes first."""
    path = Path(path)
    return zoo_path(str(path)) if not path.exists() and str(path) in zoo_names() else path


def network_of(bundle: DistilledDataset) -> str:
    """The network that one of the zoo's bundles is for, in words."""
    model = bundle.recipe["model"]
    if model["name"] == "LeNetArchitecture":
        return "classical LeNet"
    fields = model["fields"]
    branch = {
        "quantum": "",
        "frozen": ", quantum branch frozen",
        "removed": ", quantum branch removed",
        "dense": ", dense",
    }
    skip = "no residual" if fields["skip"] == "none" else "residual"
    observable = {"pauli_z": "Pauli-Z", "hermitian": "trainable Hermitian", "fixed_hermitian": "fixed Hermitian"}
    device, place = bundle.recipe.get("device", {}), ""
    if device.get("name") or device.get("shots"):
        shots = "" if device["shots"] is None else f", {device['shots']:,} shots"
        place = f", trained {'on ' + device['name'] if device['name'] else 'without noise'}{shots}"
    wires = "" if fields.get("observable_wires", 1) == 1 else f" on {fields['observable_wires']} qubits"
    first = ", quanvolution" if fields.get("quanvolution_layers") else ""
    angles = ", angle embedding" if fields.get("embedding") == "angle" else ""
    what = f"{observable[fields['observable']]}{wires}{angles}{first}{branch[fields['branch']]}"
    each = len(bundle.data.schedule[0])
    own = f", {each} image{'' if each == 1 else 's'} a step" if bundle.inner.own_images else ""
    white = ", whitened images" if bundle.recipe.get("whiten") else ""
    return f"quantum LeNet, {skip}, {what}{white}{own}{place}"
