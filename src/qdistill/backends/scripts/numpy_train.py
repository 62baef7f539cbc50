"""Train a network on distilled examples in NumPy, with derivatives by hand, and measure it on the test inputs.

Needs numpy and the file bundle.npz beside this one.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

with np.load(Path(__file__).with_name("bundle.npz")) as file:
    ARRAYS = {name: array.astype(float) if array.dtype == np.float32 else array for name, array in file.items()}
SETTINGS = json.loads(str(ARRAYS["settings"]))
PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
Weights = dict[str, np.ndarray]
Layer = dict[str, Any]


def forward(w: Weights, inputs: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """The logits of normalised inputs, (batch, height, width, channels), and what `backward` needs."""
    left, right, top, bottom = SETTINGS["padding"]
    x = np.pad(inputs, ((0, 0), (top, bottom), (left, right), (0, 0)))
    c1: Any
    if SETTINGS["quanvolution"]:
        x, c1 = quanvolution(w, x)
    else:
        x, c1 = conv_pool(w["features.c1.kernel"], w["features.c1.bias"], x)
    x, c2 = conv_pool(w["features.c2.kernel"], w["features.c2.bias"], x)
    flat = x.reshape(len(x), -1)
    f1 = np.maximum(0, flat @ w["features.f1.weight"].T + w["features.f1.bias"])
    f2 = f1 @ w["features.f2.weight"].T + w["features.f2.bias"]
    f2 = np.pi / 2 * np.tanh(f2) if SETTINGS["f2_activation"] == "tanh" else np.maximum(0, f2)
    hidden, branch = middle(w, f2)
    return hidden @ w["f3.weight"].T + w["f3.bias"], [c1, c2, x.shape, flat, f1, f2, hidden, branch]


def backward(w: Weights, d: np.ndarray, kept: list[Any]) -> Weights:
    """The derivatives by the weights from those by the logits."""
    c1, c2, shape, flat, f1, f2, hidden, branch = kept
    g = {"f3.weight": d.T @ hidden, "f3.bias": d.sum(0)}
    d = middle_backward(w, d @ w["f3.weight"], f2, branch, g)
    for name, before, after in (("features.f2", f1, f2), ("features.f1", flat, f1)):
        tanh = name == "features.f2" and SETTINGS["f2_activation"] == "tanh"
        d = d * (np.pi / 2 - 2 / np.pi * after**2 if tanh else after > 0)
        g[f"{name}.weight"], g[f"{name}.bias"] = d.T @ before, d.sum(0)
        d = d @ w[f"{name}.weight"]
    d = d.reshape(shape)
    for name, cache in (("features.c2", c2), ("features.c1", c1)):
        if name == "features.c1" and SETTINGS["quanvolution"]:
            patches, states = cache
            quantum_backward(SETTINGS["quanvolution"], w, d.reshape(-1, 4), patches, states, g)
        else:
            g[f"{name}.kernel"], g[f"{name}.bias"], d = conv_pool_backward(w[f"{name}.kernel"], d, cache)
    return g


def quanvolution(w: Weights, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """The quantum layer on every 2x2 patch of every channel."""
    b, height, width, channels = x.shape
    patches = x.reshape(b, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 4)
    values, kept = quantum(SETTINGS["quanvolution"], w, patches)
    return values.reshape(b, height // 2, width // 2, 4 * channels), (patches, kept)


def conv_pool(kernel: np.ndarray, bias: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Cross-correlation with a 5x5 kernel, maximum over 2x2 windows, bias and ReLU."""
    patches = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    y = np.tensordot(patches, kernel, axes=3)
    b, height, width, n_out = y.shape
    windows = y.reshape(b, height // 2, 2, width // 2, 2, n_out)
    peaks = windows.max(axis=(2, 4), keepdims=True)
    out = np.maximum(0, peaks[:, :, 0, :, 0] + bias)
    return out, (x.shape, patches, windows == peaks, out)


def conv_pool_backward(kernel: np.ndarray, d: np.ndarray, kept: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The derivatives by the kernel, the bias and the input."""
    shape, patches, at, out = kept
    d = d * (out > 0)
    share = at / at.sum(axis=(2, 4), keepdims=True) * d[:, :, None, :, None]
    by_y = share.reshape(*patches.shape[:3], -1)
    by_x = np.zeros(shape)
    for i in range(5):
        for j in range(5):
            by_x[:, i : i + by_y.shape[1], j : j + by_y.shape[2]] += by_y @ kernel[i, j].T
    return np.tensordot(patches, by_y, axes=((0, 1, 2), (0, 1, 2))), d.sum((0, 1, 2)), by_x


def middle(w: Weights, f: np.ndarray) -> tuple[np.ndarray, Any]:
    """What the last layer takes: the features, the branch's values, or both."""
    hidden = f @ w["projection.weight"].T + w["projection.bias"] if SETTINGS["skip"] == "projection" else f
    branch: Any = SETTINGS["branch"]
    if branch == "removed":
        return hidden, None
    if branch == "dense":
        groups = np.array_split(np.eye(f.shape[1]), w["branch.dense.weight"].shape[1])
        kept: Any = np.stack([group.mean(0) for group in groups])
        values = f @ kept.T @ w["branch.dense.weight"].T + w["branch.dense.bias"]
    else:
        values, kept = quantum(branch, w, f)
    if SETTINGS["skip"] == "none":
        return values, kept
    return hidden + np.pad(values, ((0, 0), (0, hidden.shape[1] - values.shape[1]))), kept


def middle_backward(w: Weights, d: np.ndarray, f: np.ndarray, kept: Any, g: Weights) -> np.ndarray:
    """The derivatives by the features; those by the weights go into g."""
    by_f: np.ndarray = np.zeros_like(f) if SETTINGS["skip"] == "none" else d
    if SETTINGS["skip"] == "projection":
        g["projection.weight"], g["projection.bias"] = d.T @ f, d.sum(0)
        by_f = d @ w["projection.weight"]
    branch: Any = SETTINGS["branch"]
    if branch == "removed":
        return by_f
    if branch == "dense":
        by_values = d[:, : len(w["branch.dense.bias"])]
        g["branch.dense.weight"], g["branch.dense.bias"] = by_values.T @ (f @ kept.T), by_values.sum(0)
        by_f = by_f + by_values @ w["branch.dense.weight"] @ kept
    else:
        by_f = by_f + quantum_backward(branch, w, d[:, : len(branch["observables"])], f, kept, g)
    return by_f


def apply(matrix: np.ndarray, wires: list[int], states: np.ndarray) -> np.ndarray:
    """A matrix on some wires of states, (batch, 2^n); wire 0 is the most significant bit."""
    k, axes = len(wires), [wire + 1 for wire in wires]
    split = states.reshape(-1, *[2] * (states.shape[1].bit_length() - 1))
    image = np.tensordot(matrix.reshape([2] * (2 * k)), split, axes=(range(k, 2 * k), axes))
    return np.moveaxis(image, range(k), axes).reshape(states.shape)


def turn(gate: dict[str, Any], states: np.ndarray, angles: np.ndarray, f: np.ndarray, sign: float) -> np.ndarray:
    """A gate (sign 1) or its inverse (sign -1) on states."""
    if "real" in gate:
        matrix = np.array(gate["real"]) + 1j * np.array(gate["imaginary"])
        return apply(matrix if sign > 0 else matrix.conj().T, gate["wires"], states)
    angle = np.zeros((1, 1))
    for term in gate["terms"]:
        angle = angle + term["coefficient"] * math.prod(factors(term, angles, f))
    turned: np.ndarray = np.cos(angle / 2) * states - 1j * sign * np.sin(angle / 2) * pauli_of(gate, states)
    return turned


def factors(term: dict[str, Any], angles: np.ndarray, f: np.ndarray) -> list[np.ndarray]:
    """What a term of an angle multiplies: weights, (1, 1), and features, (batch, 1)."""
    weights = [angles.reshape(1, -1)[:, i, None] for i in term["weights"]]
    return weights + [f[:, i, None] for i in term["features"]]


def angle_backward(term: dict[str, Any], angles: np.ndarray, f: np.ndarray, d: np.ndarray) -> tuple[Any, Any]:
    """The derivatives by the weights and the features of a term, each with its place, from those by the angle."""
    values = factors(term, angles, f)
    others = [math.prod(values[:place] + values[place + 1 :]) for place in range(len(values))]
    slopes = [term["coefficient"] * d * np.ravel(other) for other in others]
    count = len(term["weights"])
    return zip(term["weights"], slopes[:count], strict=True), zip(term["features"], slopes[count:], strict=True)


def pauli_of(gate: dict[str, Any], states: np.ndarray) -> np.ndarray:
    """The Pauli matrix of a rotation on states."""
    return paulis(gate["axis"], gate["wires"], states)


def paulis(string: str, wires: list[int], states: np.ndarray) -> np.ndarray:
    """A product of Pauli matrices, a letter a wire, on states."""
    for letter, wire in zip(string, wires, strict=True):
        states = apply(PAULIS["IXYZ".index(letter)], [wire], states)
    return states


def coefficients(layer: Layer, w: Weights) -> np.ndarray:
    """Each observable as multiples of products of Pauli matrices."""
    pauli_z = np.tile([0.0, 0.0, 0.0, 1.0], (len(layer["observables"]), 1))
    return w.get(f"{layer['name']}.observable.coefficients", pauli_z)


def quantum(layer: Layer, w: Weights, f: np.ndarray) -> tuple[np.ndarray, Any]:
    """The expectation values of every observable of a layer, (batch, observables)."""
    states = np.zeros((len(f), 2 ** layer["n_wires"]), complex)
    if layer["amplitude"]:
        states[:] = f / np.sqrt((f**2).sum(1, keepdims=True) + 1e-12)
    else:
        states[:, 0] = 1
    for gate in layer["gates"]:
        states = turn(gate, states, w[f"{layer['name']}.weights"], f, 1)
    values = np.array(
        [
            [(states.conj() * paulis(string, wires, states)).sum(1).real for string in layer["strings"]]
            for wires in layer["observables"]
        ]
    )
    return np.einsum("opb,op->bo", values, coefficients(layer, w)), (states, values)


def quantum_backward(layer: Layer, w: Weights, d: np.ndarray, f: np.ndarray, kept: Any, g: Weights) -> np.ndarray:
    """The adjoint method: states and their derivatives are taken back through the gates together."""
    states, values = kept
    name = layer["name"]
    angles = w[f"{name}.weights"]
    adjoint = np.zeros_like(states)
    for wires, row, by_value in zip(layer["observables"], coefficients(layer, w), d.T, strict=True):
        for string, factor in zip(layer["strings"], row, strict=True):
            adjoint += by_value[:, None] * factor * paulis(string, wires, states)
    by_angles, by_f = np.zeros(angles.size), np.zeros_like(f)
    for gate in reversed(layer["gates"]):
        if any(term["weights"] or term["features"] for term in gate.get("terms", [])):
            by_angle = (adjoint.conj() * pauli_of(gate, states)).sum(1).imag
            for term in gate["terms"]:
                by_weights, by_features = angle_backward(term, angles, f, by_angle)
                for index, slope in by_weights:
                    by_angles[index] += slope.sum()
                for index, slope in by_features:
                    by_f[:, index] += slope
        states, adjoint = (turn(gate, s, angles, f, -1) for s in (states, adjoint))
    g[f"{name}.weights"] = by_angles.reshape(angles.shape)
    g[f"{name}.observable.coefficients"] = np.einsum("bo,opb->op", d, values)
    if layer["amplitude"]:
        norm, by_state = np.sqrt((f**2).sum(1, keepdims=True) + 1e-12), 2 * adjoint.real
        by_f += by_state / norm - f * (f * by_state).sum(1, keepdims=True) / norm**3
    return by_f


def loss_slopes(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The derivatives of each example's loss by its logits."""
    slopes: np.ndarray = -labels  # of the fidelity
    if SETTINGS["loss"] == "cross_entropy":
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        slopes = exp / exp.sum(1, keepdims=True) * labels.sum(1, keepdims=True) - labels
    elif SETTINGS["loss"] == "square":
        slopes = 2 * (logits - labels)
    elif SETTINGS["loss"] == "hinge":
        others = np.where(np.eye(logits.shape[1], dtype=bool), -np.inf, logits[:, None])
        active = labels * (logits - others.max(axis=2) < 1)
        slopes = (active[:, :, None] * np.eye(logits.shape[1])[others.argmax(axis=2)]).sum(1) - active
    return slopes


def train() -> Weights:
    """The trained weights, by name."""
    inputs, labels, names = ARRAYS["inputs"], ARRAYS["labels"], SETTINGS["weight_names"]
    w = {name: ARRAYS[f"weights/{name}"] for name in names}
    first, second = ({name: np.zeros_like(w[name]) for name in names} for _ in range(2))
    for t, (sizes, picked) in enumerate(zip(ARRAYS["step_sizes"], ARRAYS["schedule"], strict=True), start=1):
        logits, kept = forward(w, inputs[picked])
        g = backward(w, loss_slopes(logits, labels[picked]) / len(picked), kept)
        for name, size in zip(names, np.broadcast_to(sizes, len(names)), strict=True):
            if name in SETTINGS["fixed"]:
                continue
            update = g[name]
            if SETTINGS["optimiser"] == "momentum":
                update = first[name] = update + 0.9 * first[name]
            elif SETTINGS["optimiser"] == "adam":
                first[name] = 0.9 * first[name] + 0.1 * update
                second[name] = 0.999 * second[name] + 0.001 * update**2
                update = first[name] / (1 - 0.9**t) / (np.sqrt(second[name] / (1 - 0.999**t) + 1e-12) + 1e-8)
            w[name] = w[name] - size * update
    return w


def transformed(raw: np.ndarray) -> np.ndarray:
    """Raw inputs as the network reads them."""
    x: np.ndarray = raw / SETTINGS["scale"]
    for place, step in enumerate(SETTINGS["transforms"]):
        own = {name.split("/")[-1]: a for name, a in ARRAYS.items() if name.startswith(f"transforms/{place}/")}
        if step["name"] == "standardise":
            x = (x - own["mean"]) / own["std"]
        elif step["name"] == "rescale":
            unit = (x - own["minimum"]) / (own["maximum"] - own["minimum"])
            x = step["low"] + (step["high"] - step["low"]) * unit
        else:
            x = whitened(x, own["kernel"])
    return x


def whitened(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Images, (batch, height, width, channels), after a filter."""
    margin = len(kernel) // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.tensordot(windows, kernel, ((4, 5, 3), (0, 1, 2)))


def accuracy(w: Weights) -> float:
    """The share of test inputs that are classified right."""
    inputs, labels = ARRAYS["test_inputs"], ARRAYS["test_labels"]
    right = 0
    for start in range(0, len(labels), 250):
        x = transformed(inputs[start : start + 250])
        right += int((forward(w, x)[0].argmax(1) == labels[start : start + 250]).sum())
    return right / len(labels)


if __name__ == "__main__":
    weights = train()
    print(f"test accuracy {accuracy(weights):.4f} (n = {len(ARRAYS['test_labels'])})")
