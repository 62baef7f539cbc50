"""The quantum LeNet once more, in NumPy and double precision, from its definition and nothing of the package's code.

Convolutions are sums over windows, gates are Kronecker products, observables are matrices. The functions read the
weights of a network by their names.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import reduce
from typing import Literal

import numpy as np

I2 = np.eye(2, dtype=complex)
X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1]).astype(complex)

Weights = dict[str, np.ndarray]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def convolution(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The cross-correlation without padding that deep learning calls convolution."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape[:2], axis=(0, 1))
    return np.einsum("ijcyx,yxco->ijo", windows, kernel)


def pooling(image: np.ndarray) -> np.ndarray:
    """The maximum of every 2x2 pixels."""
    return np.max([image[y::2, x::2] for y in (0, 1) for x in (0, 1)], axis=0)


def dense(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def features(weights: Weights, image: np.ndarray, activation: Callable[[np.ndarray], np.ndarray] = relu) -> np.ndarray:
    """C1, C2, F1 and F2 on the image in the middle of at least 32x32 pixels."""
    height, width, _ = image.shape
    canvas = np.zeros((max(height, 32), max(width, 32), image.shape[2]))
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    canvas[top : top + height, left : left + width] = image
    hidden = canvas
    for name in ("features.c1", "features.c2"):
        hidden = pooling(relu(convolution(hidden, weights[f"{name}.kernel"]) + weights[f"{name}.bias"]))
    return activation(dense(weights, "features.f2", relu(dense(weights, "features.f1", hidden.reshape(-1)))))


def on_wire(gate: np.ndarray, wire: int, n: int) -> np.ndarray:
    """A gate on one wire as a matrix on all of them; wire 0 is the most significant."""
    return reduce(np.kron, [gate if w == wire else I2 for w in range(n)])


def cnot(control: int, target: int, n: int) -> np.ndarray:
    off, on = np.diag([1, 0]).astype(complex), np.diag([0, 1]).astype(complex)
    return on_wire(off, control, n) + on_wire(on, control, n) @ on_wire(X, target, n)


def rotation(pauli: np.ndarray, angle: float) -> np.ndarray:
    return math.cos(angle / 2) * I2 - 1j * math.sin(angle / 2) * pauli


def strongly_entangling(angles: np.ndarray) -> np.ndarray:
    """Rot on every wire and a ring of CNOTs whose reach grows with the layer; angles (layers, wires, 3)."""
    n = angles.shape[1]
    whole = np.eye(2**n, dtype=complex)
    for layer, row in enumerate(angles):
        for wire, (phi, theta, omega) in enumerate(row):
            whole = on_wire(rotation(Z, omega) @ rotation(Y, theta) @ rotation(Z, phi), wire, n) @ whole
        if n > 1:
            for wire in range(n):
                whole = cnot(wire, (wire + layer % (n - 1) + 1) % n, n) @ whole
    return whole


def basic_entangling(angles: np.ndarray) -> np.ndarray:
    """RX on every wire and a ring of CNOTs between neighbours; angles (layers, wires)."""
    n = angles.shape[1]
    whole = np.eye(2**n, dtype=complex)
    for row in angles:
        for wire, angle in enumerate(row):
            whole = on_wire(rotation(X, angle), wire, n) @ whole
        for wire in range(n if n > 2 else n - 1):
            whole = cnot(wire, (wire + 1) % n, n) @ whole
    return whole


def embedded(kind: str, x: np.ndarray) -> np.ndarray:
    """The state of a feature vector: its direction, or one RY a wire on |0...0>."""
    if kind == "amplitude":
        return x / math.sqrt(x @ x + 1e-12)
    return reduce(np.kron, [np.array([math.cos(angle / 2), math.sin(angle / 2)]) for angle in x])


def quantum_branch(weights: Weights, embedding: str, ansatz: str, x: np.ndarray) -> np.ndarray:
    """One expectation value a wire: of the Hermitian with the given Pauli coefficients, or of Z without any.

    A row of 4^k coefficients is of a Hermitian on k wires, that wire and those after it.
    """
    angles = weights["branch.weights"]
    n = angles.shape[1]
    circuit = {"strongly_entangling": strongly_entangling, "basic_entangling": basic_entangling}[ansatz]
    state = circuit(angles) @ embedded(embedding, x)
    coefficients = weights.get("branch.observable.coefficients", np.tile([0.0, 0, 0, 1], (n, 1)))
    strings = list(itertools.product((I2, X, Y, Z), repeat=round(math.log(coefficients.shape[1], 4))))
    values = []
    for wire, row in enumerate(coefficients):
        factors = [[on_wire(pauli, (wire + k) % n, n) for k, pauli in enumerate(string)] for string in strings]
        hermitian = sum(c * reduce(np.matmul, matrices) for c, matrices in zip(row, factors, strict=True))
        values.append((state.conj() @ hermitian @ state).real)
    return np.array(values)


def dense_branch(weights: Weights, x: np.ndarray) -> np.ndarray:
    """Means over equal groups of features (the first ones larger by one where it does not divide), then affine."""
    matrix = weights["branch.dense.weight"]
    size, larger = divmod(len(x), matrix.shape[1])
    ends = np.cumsum([size + (group < larger) for group in range(matrix.shape[1])])
    means = [part.mean() for part in np.split(x, ends[:-1])]
    return matrix @ means + weights["branch.dense.bias"]


def logits(
    weights: Weights,
    image: np.ndarray,
    *,
    skip: Literal["pad", "projection", "none"],
    branch: Literal["quantum", "frozen", "removed", "dense"],
    embedding: str = "amplitude",
    ansatz: str = "strongly_entangling",
) -> np.ndarray:
    """The network's output for one image."""
    x = features(weights, image)
    if branch == "removed":
        outputs = np.zeros(0)
    elif branch == "dense":
        outputs = dense_branch(weights, x)
    else:
        outputs = quantum_branch(weights, embedding, ansatz, x)
    if skip == "pad":
        hidden = x.copy()
        hidden[: len(outputs)] += outputs
    elif skip == "projection":
        hidden = dense(weights, "projection", x) + (outputs if len(outputs) else 0)
    else:
        hidden = outputs
    return dense(weights, "f3", hidden)
