"""The field's classifiers in PennyLane, written from their publications, and the sizes that these give.

Each function takes the network's weights by name and one input, and returns the logits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml

from qdistill.models import QCNN, CircuitCentric, DataReuploading, DressedCircuit, IQPVariational, TreeTensor

Weights = dict[str, np.ndarray]


def measured(n_wires: int, circuit: Callable[[], None], observables: list[Any]) -> np.ndarray:
    @qml.qnode(qml.device("default.qubit", wires=n_wires))
    def node() -> Any:
        circuit()
        return [qml.expval(each) for each in observables]

    return np.array(node())


def margin(value: float) -> np.ndarray:
    return np.array([-value / 2, value / 2])


def qubit_state(bloch_theta: float, bloch_phi: float) -> np.ndarray:
    return np.array([math.cos(bloch_theta / 2), np.exp(1j * bloch_phi) * math.sin(bloch_theta / 2)])


TETRAHEDRON = math.acos(-1 / 3)
CLASS_STATES = {
    2: [(0, 0), (math.pi, 0)],
    3: [(0, 0), (2 * math.pi / 3, 0), (4 * math.pi / 3, 0)],
    4: [(0, 0), *((TETRAHEDRON, 2 * math.pi * k / 3) for k in range(3))],
    6: [(0, 0), (math.pi, 0), *((math.pi / 2, phi) for phi in (0, math.pi, math.pi / 2, -math.pi / 2))],
}
"""The polar and azimuthal angles of figure 3 of arXiv 1907.02085."""


def reuploading(
    n: int, layers: int, classes: int, *, separate: bool = False, repeated: bool = False, ring: bool = False
) -> Any:
    # With `ring`, Z on each wire is measured.
    def logits(weights: Weights, x: np.ndarray) -> np.ndarray:
        padded = np.append(x, np.zeros(-len(x) % 3))
        groups = padded.reshape(-1, 3)
        own = weights["layer.weights"].reshape(layers + separate, len(groups) if repeated else 1, n, 3, 2)

        def circuit() -> None:
            for layer in range(layers + separate):
                for turn, wire in itertools.product(range(own.shape[1]), range(n)):
                    group = groups[turn if repeated else wire % len(groups)]
                    w, t = own[layer, turn, wire].T
                    if separate and layer < layers:
                        qml.Rot(*(w * group), wires=wire)
                        qml.Rot(*t, wires=wire)
                    else:
                        qml.Rot(*(w * group + t), wires=wire)
                if layer + 1 < layers + separate:
                    for wire in range(n) if ring else range(0 if layer % 2 == 0 else 1, n - 1, 2):
                        qml.CZ(wires=[wire, (wire + 1) % n])

        if ring:
            return weights["output_scale"] * measured(n, circuit, [qml.Z(wire) for wire in range(classes)])
        states = [qubit_state(*angles) for angles in CLASS_STATES[classes]]
        projectors = [qml.Hermitian(np.outer(state, state.conj()), wires=0) for state in states]
        return weights["output_scale"] * measured(n, circuit, projectors)

    return logits


def circuit_centric(n: int, copies: int, layers: int) -> Any:
    def logits(weights: Weights, x: np.ndarray) -> np.ndarray:
        size = 2 ** (n // copies)
        copy = np.append(x, np.full(size - len(x), 1 / size))
        copy /= np.linalg.norm(copy)
        amplitudes = copy
        for _ in range(copies - 1):
            amplitudes = np.kron(amplitudes, copy)

        def circuit() -> None:
            qml.AmplitudeEmbedding(amplitudes, wires=range(n))
            qml.StronglyEntanglingLayers(weights["classifier.layer.weights"].reshape(layers, n, 3), wires=range(n))

        return margin(float(measured(n, circuit, [qml.Z(0)])[0] + weights["classifier.bias"][0]))

    return logits


def iqp(n: int, layers: int, repeats: int) -> Any:
    def logits(weights: Weights, x: np.ndarray) -> np.ndarray:
        def circuit() -> None:
            qml.IQPEmbedding(x, wires=range(n), n_repeats=repeats)
            angles = weights["layer.weights"].reshape(layers, n, 3)
            qml.StronglyEntanglingLayers(angles, wires=range(n), imprimitive=qml.CZ)

        value = measured(n, circuit, [qml.Z(0) @ qml.Z(1)])[0]
        return margin(float(weights.get("output_scale", np.ones(1))[0] * value))

    return logits


def dressed(n: int, layers: int, *, ring: bool = False) -> Any:
    def logits(weights: Weights, x: np.ndarray) -> np.ndarray:
        angles = np.pi / 2 * np.tanh(weights["before.weight"] @ x + weights["before.bias"])

        def circuit() -> None:
            for wire in range(n):
                qml.Hadamard(wires=wire)
                qml.RY(angles[wire], wires=wire)
            for row in weights["layer.weights"].reshape(layers, n):
                if not ring:
                    for wire in [*range(0, n - 1, 2), *range(1, n - 1, 2)]:
                        qml.CNOT(wires=[wire, wire + 1])
                for wire in range(n):
                    qml.RY(row[wire], wires=wire)
                if ring:
                    for wire in range(n):
                        qml.CNOT(wires=[wire, (wire + 1) % n])

        values = measured(n, circuit, [qml.Z(wire) for wire in range(n)])
        return weights["after.weight"] @ values + weights["after.bias"]

    return logits


def _su4(weights: np.ndarray, wires: tuple[int, int]) -> None:
    for wire, angles in zip(wires, weights[:6].reshape(2, 3), strict=True):
        qml.Rot(*angles, wires=wire)
    for gate, angle in zip((qml.IsingXX, qml.IsingYY, qml.IsingZZ), weights[6:9], strict=True):
        gate(angle, wires=wires)
    for wire, angles in zip(wires, weights[9:].reshape(2, 3), strict=True):
        qml.Rot(*angles, wires=wire)


def qcnn(n: int, left: int, classes: int, *, angle: bool = False) -> Any:
    """Pooling by a measurement and a gate that depends on its outcome, as in figure 1b of arXiv 1810.03787."""

    def logits(weights: Weights, x: np.ndarray) -> np.ndarray:
        rest = iter(weights["layer.weights"])

        def take(number: int) -> np.ndarray:
            return np.array([next(rest) for _ in range(number)])

        def circuit() -> None:
            if angle:
                qml.AngleEmbedding(x, wires=range(n), rotation="Y")
            else:
                qml.AmplitudeEmbedding(x, wires=range(n), normalize=True, pad_with=0.0)
            wires = list(range(n))
            while len(wires) > left:
                convolution, pooling = take(15), take(6)
                for start in (0, 1) if len(wires) > 2 else (0,):
                    for place in range(start, len(wires), 2):
                        _su4(convolution, (wires[place], wires[(place + 1) % len(wires)]))
                for kept, other in zip(wires[0::2], wires[1::2], strict=True):
                    qml.Rot(*pooling[3:], wires=other)
                    outcome = qml.measure(other)
                    qml.Rot(*pooling[:3], wires=kept)
                    qml.cond(outcome, qml.X)(wires=kept)
                    qml.adjoint(qml.Rot)(*pooling[:3], wires=kept)
                wires = wires[::2]
            if left == 1:
                qml.Rot(*take(3), wires=0)
            for first, second in itertools.pairwise(wires):
                _su4(take(15), (first, second))

        wires = list(range(0, n, n // left))
        if classes == 2:
            return margin(float(measured(n, circuit, [qml.Z(0)])[0]))
        states = [[int(bit) for bit in f"{number:0{left}b}"] for number in range(classes)]
        return measured(n, circuit, [qml.Projector(state, wires=wires) for state in states])

    return logits


def tree(n: int, *, n_angles: int = 1, amplitude: bool = False) -> Any:
    def logits(weights: Weights, x: np.ndarray) -> np.ndarray:
        rest = iter(weights["layer.weights"].reshape(-1, n_angles))

        def turn(wire: int) -> None:
            (qml.RY if n_angles == 1 else qml.Rot)(*next(rest), wires=wire)

        def circuit() -> None:
            if amplitude:
                qml.AmplitudeEmbedding(x, wires=range(n), normalize=True, pad_with=0.0)
            else:
                for wire, value in enumerate(x):
                    qml.RY(value, wires=wire)
            for layer in range(int(math.log2(n))):
                for wire in range(0, n, 2**layer):
                    turn(wire)
                for wire in range(0, n, 2 ** (layer + 1)):
                    qml.CNOT(wires=[wire + 2**layer, wire])
            turn(0)

        return margin(float(measured(n, circuit, [qml.Z(0)])[0]))

    return logits


@dataclass(frozen=True)
class Row:
    """An architecture, what it is built for, its logits in PennyLane, and how many numbers are trained."""

    architecture: Any
    n_inputs: int
    n_classes: int
    logits: Callable[[Weights, np.ndarray], np.ndarray]
    n_trained: int


CLASSIFIERS = {
    "re-uploading": Row(DataReuploading(), 10, 2, reuploading(4, 4, 2), 98),
    "re-uploading, as in qml-benchmarks": Row(
        DataReuploading(encoding="separate"), 10, 2, reuploading(4, 4, 2, separate=True), 122
    ),
    "re-uploading, as in the publication": Row(
        DataReuploading(3, 2, "repeated"), 5, 3, reuploading(2, 3, 3, repeated=True), 3 * 2 * 2 * 6 + 3
    ),
    "re-uploading, more wires": Row(DataReuploading(2, 4), 2, 4, reuploading(4, 2, 4), 2 * 4 * 6 + 4),
    "re-uploading, a ring and Z on each wire": Row(
        DataReuploading(entangler="ring", readout="expectation"), 10, 3, reuploading(4, 4, 3, ring=True), 99
    ),
    "re-uploading, a wire a class": Row(
        DataReuploading(2, entangler="ring", readout="expectation"), 4, 4, reuploading(4, 2, 4, ring=True), 52
    ),
    "re-uploading, many wires": Row(DataReuploading(2), 24, 2, reuploading(8, 2, 2), 2 * 8 * 6 + 2),
    "re-uploading, one wire": Row(DataReuploading(2), 2, 6, reuploading(1, 2, 6), 2 * 6 + 6),
    "circuit-centric": Row(CircuitCentric(), 10, 2, circuit_centric(8, 2, 4), 97),
    "circuit-centric, three copies": Row(CircuitCentric(3, 2), 4, 2, circuit_centric(6, 3, 2), 37),
    "IQP": Row(IQPVariational(n_layers=2), 10, 2, iqp(10, 2, 1), 60),
    "IQP, repeated": Row(IQPVariational(2, 3, output_scale=2.0), 3, 2, iqp(3, 3, 2), 28),
    "dressed": Row(DressedCircuit(), 7, 3, dressed(4, 6), 7 * 4 + 4 + 24 + 4 * 3 + 3),
    "dressed, as in qml-benchmarks": Row(
        DressedCircuit(None, 3, "ring", "uniform", 6.3), 5, 2, dressed(5, 3, ring=True), 5 * 5 + 5 + 15 + 5 * 2 + 2
    ),
    "QCNN": Row(QCNN(), 200, 2, qcnn(8, 1, 2), 66),
    "QCNN, three classes": Row(QCNN(4, "angle"), 4, 3, qcnn(4, 2, 3, angle=True), 21 + 15),
    "tree tensor": Row(TreeTensor(), 7, 2, tree(8), 15),
    "tree tensor, any rotation": Row(TreeTensor(4, "amplitude", "Rot"), 16, 2, tree(4, n_angles=3, amplitude=True), 21),
}
