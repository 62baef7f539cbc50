"""Train a network on distilled examples in PyTorch, and measure it on the test inputs.

Needs torch, numpy and the file bundle.npz beside this one. It computes in double precision, in which it agrees with a
replay in NumPy to rounding; in single precision, 6 of 10,000 test inputs of MNIST were classified otherwise.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everyone writes it
from torch import Tensor

with np.load(Path(__file__).with_name("bundle.npz")) as file:
    ARRAYS = {name: array.astype(float) if array.dtype == np.float32 else array for name, array in file.items()}
torch.set_default_dtype(torch.float64)
SETTINGS = json.loads(str(ARRAYS["settings"]))
PAULIS = [torch.tensor(p, dtype=torch.complex128) for p in
          ([[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])]  # fmt: skip


def network(w: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """The logits of normalised inputs, (batch, channels, height, width)."""
    x = F.pad(inputs, SETTINGS["padding"])
    if SETTINGS["quanvolution"]:
        x = quanvolution(w, x)
    for name in ("features.c2",) if SETTINGS["quanvolution"] else ("features.c1", "features.c2"):
        kernel = w[f"{name}.kernel"].permute(3, 2, 0, 1)
        x = F.relu(F.max_pool2d(F.conv2d(x, kernel, w[f"{name}.bias"]), 2))
    x = x.permute(0, 2, 3, 1).flatten(1)
    for name in ("features.f1", "features.f2"):
        x = F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])
        tanh = name == "features.f2" and SETTINGS["f2_activation"] == "tanh"
        x = torch.pi / 2 * torch.tanh(x) if tanh else F.relu(x)
    return F.linear(middle(w, x), w["f3.weight"], w["f3.bias"])


def quanvolution(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The quantum layer on every 2x2 patch of every channel."""
    b, channels, height, width = x.shape
    patches = x.reshape(b, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, 4)
    maps = quantum(SETTINGS["quanvolution"], w, patches).reshape(b, height // 2, width // 2, 4 * channels)
    return maps.permute(0, 3, 1, 2)


def middle(w: dict[str, Tensor], f: Tensor) -> Tensor:
    """What the last layer takes: the features, the branch's values, or both."""
    hidden = F.linear(f, w["projection.weight"], w["projection.bias"]) if SETTINGS["skip"] == "projection" else f
    if SETTINGS["branch"] == "removed":
        return hidden
    if SETTINGS["branch"] == "dense":
        groups = torch.tensor_split(f, w["branch.dense.weight"].shape[1], dim=1)
        means = torch.stack([group.mean(1) for group in groups], dim=1)
        values = F.linear(means, w["branch.dense.weight"], w["branch.dense.bias"])
    else:
        values = quantum(SETTINGS["branch"], w, f)
    return values if SETTINGS["skip"] == "none" else hidden + F.pad(values, (0, hidden.shape[1] - values.shape[1]))


def quantum(layer: dict[str, Any], w: dict[str, Tensor], f: Tensor) -> Tensor:
    """The expectation values of every observable of a layer, (batch, observables)."""
    if layer["amplitude"]:
        states = (f * torch.rsqrt((f * f).sum(1, keepdim=True) + 1e-12)).to(torch.complex128)
    else:
        states = torch.zeros(len(f), 2 ** layer["n_wires"], dtype=torch.complex128)
        states[:, 0] = 1
    for gate in layer["gates"]:
        if "real" in gate:
            matrix = torch.complex(torch.tensor(gate["real"]), torch.tensor(gate["imaginary"]))
            states = apply(matrix, gate["wires"], states)
        else:
            half = 0.5 * angle(gate, w[f"{layer['name']}.weights"], f)[:, None]
            turned = paulis(gate["axis"], gate["wires"], states)
            states = torch.cos(half) * states - 1j * torch.sin(half) * turned
    rows = [
        [(states.conj() * paulis(string, wires, states)).sum(1).real for string in layer["strings"]]
        for wires in layer["observables"]
    ]
    values = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    name = f"{layer['name']}.observable.coefficients"
    return (values * w[name]).sum(2) if name in w else values[:, :, 3]


def paulis(string: str, wires: list[int], states: Tensor) -> Tensor:
    """A product of Pauli matrices, a letter a wire, on states."""
    for letter, wire in zip(string, wires, strict=True):
        states = apply(PAULIS["IXYZ".index(letter)], [wire], states)
    return states


def angle(gate: dict[str, Any], angles: Tensor, f: Tensor) -> Tensor:
    """The angle of a rotation, one for all states or one for each."""
    value = torch.zeros(1)
    for term in gate["terms"]:
        factors = [angles.reshape(-1)[i] for i in term["weights"]] + [f[:, i] for i in term["features"]]
        value = value + term["coefficient"] * math.prod(factors)
    return value


def apply(matrix: Tensor, wires: list[int], states: Tensor) -> Tensor:
    """A matrix on some wires of states, (batch, 2^n); wire 0 is the most significant bit."""
    k, n = len(wires), states.shape[1].bit_length() - 1
    axes = [wire + 1 for wire in wires]
    split = states.reshape(-1, *[2] * n)
    image = torch.tensordot(matrix.reshape([2] * (2 * k)), split, dims=(list(range(k, 2 * k)), axes))
    return image.movedim(list(range(k)), axes).reshape(states.shape)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss that the training descends: the mean over the examples."""
    if SETTINGS["loss"] == "cross_entropy":
        losses = -labels * F.log_softmax(logits, dim=1)
    elif SETTINGS["loss"] == "square":
        losses = (logits - labels) ** 2
    elif SETTINGS["loss"] == "hinge":
        others = logits[:, None].masked_fill(torch.eye(logits.shape[1], dtype=torch.bool), -torch.inf)
        losses = labels * F.relu(1 - (logits - others.amax(2)))
    else:
        losses = 1 / logits.shape[1] - labels * logits
    return losses.sum(1).mean()


def train() -> dict[str, Tensor]:
    """The trained weights, by name."""
    inputs = torch.tensor(ARRAYS["inputs"]).permute(0, 3, 1, 2)
    labels = torch.tensor(ARRAYS["labels"])
    names = SETTINGS["weight_names"]
    w = {name: torch.tensor(ARRAYS[f"weights/{name}"]) for name in names}
    first, second = ({name: torch.zeros_like(w[name]) for name in names} for _ in range(2))
    for t, (sizes, picked) in enumerate(zip(ARRAYS["step_sizes"], ARRAYS["schedule"], strict=True), start=1):
        w = {name: value.detach().requires_grad_(name not in SETTINGS["fixed"]) for name, value in w.items()}
        loss_of(network(w, inputs[picked]), labels[picked]).backward()
        with torch.no_grad():
            for name, size in zip(names, np.broadcast_to(sizes, len(names)), strict=True):
                if name in SETTINGS["fixed"]:
                    continue
                update = w[name].grad
                if SETTINGS["optimiser"] == "momentum":
                    update = first[name] = update + 0.9 * first[name]
                elif SETTINGS["optimiser"] == "adam":
                    first[name] = 0.9 * first[name] + 0.1 * update
                    second[name] = 0.999 * second[name] + 0.001 * update**2
                    root = torch.sqrt(second[name] / (1 - 0.999**t) + 1e-12)
                    update = first[name] / (1 - 0.9**t) / (root + 1e-8)
                w[name] -= float(size) * update
    return {name: value.detach() for name, value in w.items()}


def transformed(raw: np.ndarray) -> Tensor:
    """Raw images as the network reads them, with the channels first."""
    x = torch.tensor(raw / SETTINGS["scale"])
    for place, step in enumerate(SETTINGS["transforms"]):
        own = {
            name.split("/")[-1]: torch.tensor(array)
            for name, array in ARRAYS.items()
            if name.startswith(f"transforms/{place}/")
        }
        if step["name"] == "standardise":
            x = (x - own["mean"]) / own["std"]
        elif step["name"] == "rescale":
            unit = (x - own["minimum"]) / (own["maximum"] - own["minimum"])
            x = step["low"] + (step["high"] - step["low"]) * unit
        else:
            padded = F.pad(x.permute(0, 3, 1, 2), [len(own["kernel"]) // 2] * 4, mode="reflect")
            x = F.conv2d(padded, own["kernel"].permute(3, 2, 0, 1)).permute(0, 2, 3, 1)
    return x.permute(0, 3, 1, 2)


def accuracy(w: dict[str, Tensor]) -> float:
    """The share of test inputs that are classified right."""
    inputs, labels = ARRAYS["test_inputs"], ARRAYS["test_labels"]
    right = 0
    with torch.no_grad():
        for start in range(0, len(labels), 500):
            logits = network(w, transformed(inputs[start : start + 500]))
            right += int((logits.argmax(1).numpy() == labels[start : start + 500]).sum())
    return right / len(labels)


if __name__ == "__main__":
    weights = train()
    print(f"test accuracy {accuracy(weights):.4f} (n = {len(ARRAYS['test_labels'])})")
