"""What a bundle is for, in words."""

from __future__ import annotations

from qdistill.distill.bundle import DistilledDataset


def network_of(bundle: DistilledDataset) -> str:
    """The network that one of the zoo's bundles is for, in words."""
    model = bundle.recipe["model"]
    if model["name"] == "LeNetArchitecture":
        return "classical LeNet"
    fields = model["fields"]
    if model["name"] == "DataReuploading":
        size = sum(weight.size for weight in bundle.initial_weights.values())
        return f"data re-uploading, {fields['n_layers']} layers, {size} parameters"
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
    own = f", {each} example{'' if each == 1 else 's'} a step" if bundle.inner.own_examples else ""
    white = ", whitened inputs" if any(step.name == "whiten" for step in bundle.transform.steps) else ""
    return f"quantum LeNet, {skip}, {what}{white}{own}{place}"
