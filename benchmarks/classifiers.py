"""The gradient of classifiers whose circuits read the inputs, beside other simulators: the same numbers, in turn.

    python benchmarks/classifiers.py [--threads 1] [--json FILE] [--batches 32] [--layers 4] [--quick]

measures the gradient of a sum over 32 inputs, with respect to weights and inputs, of data re-uploading on 4 qubits in 4
layers and of an IQP classifier on 10 qubits, each as this package builds it and as PennyLane and TensorCircuit-NG have
it: PennyLane by parameter broadcasting, TensorCircuit-NG by vmap and one general gate for a Rot. All are compiled by
`jax.jit`; outcomes are first held equal to ours, to 2e-4 of the largest entry. Prints run times, compile times (tracing
included) and the ratio to ours.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import timing
from peers import Prepared, compile_program, ring
from timing import Statistic

if TYPE_CHECKING:
    import jax

OURS = "qdistill"
PAIRS = 15
FEATURES = 10
Margin = Callable[["jax.Array", "jax.Array"], "jax.Array"]
"""(weights, inputs (n, features)) -> (n,), the values whose sum of sines is differentiated."""


@dataclass(frozen=True)
class Row:
    """One implementation of one classifier."""

    classifier: str
    implementation: str
    inputs: int
    milliseconds: Statistic
    compile_seconds: float | None
    ratio_to_ours: Statistic | None = None


def ours(architecture: Any) -> tuple[Margin, np.ndarray]:
    """The difference of the two logits of one of this package's models, and its weights."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from qdistill.models import predict
    from qdistill.quantum import quantum_layers

    model = architecture.build((FEATURES,), 2, key=jax.random.key(0))

    def margin(weights: jax.Array, inputs: jax.Array) -> jax.Array:
        moved = eqx.tree_at(lambda m: m.layer.weights, model, weights)
        return jnp.diff(predict(moved, inputs))[:, 0]

    (layer,) = quantum_layers(model)
    return margin, np.asarray(layer.weights)


def reuploading(layers: int) -> dict[str, tuple[Margin, np.ndarray]]:
    """F_1 - F_0 = -<Z> on wire 0, by everyone."""
    import jax
    import jax.numpy as jnp
    import pennylane as qml
    import tensorcircuit as tc
    from peers import _rots

    from qdistill.models import DataReuploading

    n = -(-FEATURES // 3)

    def angles(weights: jax.Array, inputs: jax.Array) -> jax.Array:
        own = weights.reshape(layers, n, 3, 2)
        padded = jnp.pad(inputs, [(0, 0)] * (inputs.ndim - 1) + [(0, 3 * n - FEATURES)])
        return own[..., 0] * padded.reshape(*inputs.shape[:-1], 1, n, 3) + own[..., 1]

    def pairs(layer: int) -> list[tuple[int, int]]:
        return [(wire, wire + 1) for wire in range(layer % 2, n - 1, 2)] if layer < layers - 1 else []

    @qml.qnode(qml.device("default.qubit", wires=n), interface="jax", diff_method="backprop")
    def broadcast(weights: jax.Array, inputs: jax.Array) -> Any:
        turns = angles(weights, inputs)
        for layer in range(layers):
            for wire in range(n):
                qml.Rot(*(turns[:, layer, wire, axis] for axis in range(3)), wires=wire)
            for pair in pairs(layer):
                qml.CZ(wires=pair)
        return qml.expval(qml.Z(0))

    def one(weights: jax.Array, x: jax.Array) -> jax.Array:
        matrices = _rots(angles(weights, x))
        circuit = tc.Circuit(n)
        for layer in range(layers):
            for wire in range(n):
                circuit.any(wire, unitary=matrices[layer, wire])
            for pair in pairs(layer):
                circuit.cz(*pair)
        return jnp.real(circuit.expectation_ps(z=[0]))

    own, weights = ours(DataReuploading(layers))
    return {
        OURS: (own, weights),
        "PennyLane default.qubit": (lambda w, x: -broadcast(w, x), weights),
        "TensorCircuit-NG": (lambda w, x: -jax.vmap(one, (None, 0))(w, x), weights),
    }


def iqp(layers: int) -> dict[str, tuple[Margin, np.ndarray]]:
    """<Z Z> on wires 0 and 1, by everyone."""
    import jax
    import jax.numpy as jnp
    import pennylane as qml
    import tensorcircuit as tc
    from peers import _rots

    from qdistill.models import IQPVariational

    n = FEATURES
    both = list(itertools.combinations(range(n), 2))

    @qml.qnode(qml.device("default.qubit", wires=n), interface="jax", diff_method="backprop")
    def broadcast(weights: jax.Array, inputs: jax.Array) -> Any:
        for wire in range(n):
            qml.Hadamard(wires=wire)
            qml.RZ(inputs[:, wire], wires=wire)
        for first, second in both:
            qml.IsingZZ(inputs[:, first] * inputs[:, second], wires=[first, second])
        qml.StronglyEntanglingLayers(weights, wires=range(n), imprimitive=qml.CZ)
        return qml.expval(qml.Z(0) @ qml.Z(1))

    def one(weights: jax.Array, x: jax.Array) -> jax.Array:
        circuit = tc.Circuit(n)
        for wire in range(n):
            circuit.h(wire)
            circuit.rz(wire, theta=x[wire])
        for first, second in both:
            circuit.rzz(first, second, theta=x[first] * x[second])
        matrices = _rots(weights)
        for layer in range(layers):
            for wire in range(n):
                circuit.any(wire, unitary=matrices[layer, wire])
            for pair in ring(n, layer):
                circuit.cz(*pair)
        return jnp.real(circuit.expectation_ps(z=[0, 1]))

    own, weights = ours(IQPVariational(n_layers=layers))
    return {
        OURS: (own, weights),
        "PennyLane default.qubit": (broadcast, weights),
        "TensorCircuit-NG": (lambda w, x: jax.vmap(one, (None, 0))(w, x), weights),
    }


def prepare(margin: Margin, weights: np.ndarray, inputs: np.ndarray) -> Prepared:
    """The gradient with respect to weights and inputs, compiled."""
    import jax
    import jax.numpy as jnp

    def total(weights: jax.Array, inputs: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(margin(weights, inputs)))

    def gradient(weights: jax.Array, inputs: jax.Array) -> dict[str, jax.Array]:
        return dict(zip(("weights", "inputs"), jax.grad(total, (0, 1))(weights, inputs), strict=True))

    return compile_program(gradient, weights, inputs)


def compare(
    classifier: str, implementations: dict[str, tuple[Margin, np.ndarray]], n_inputs: int, pairs: int
) -> list[Row]:
    """Ours and each other one in turn."""
    inputs = np.random.default_rng(0).uniform(-np.pi / 2, np.pi / 2, (n_inputs, FEATURES)).astype(np.float32)
    prepared = {name: prepare(*each, inputs) for name, each in implementations.items()}
    expected = prepared[OURS].run()
    rows, own = [], []
    for name, each in prepared.items():
        if name == OURS:
            continue
        for array, value in each.run().items():
            error = float(np.max(np.abs(value - expected[array])) / np.max(np.abs(expected[array])))
            if not error <= 2e-4:
                raise SystemExit(f"{name} differs from {OURS} by {error:.2g} in {array} of {classifier}.")
        samples = timing.interleaved({OURS: prepared[OURS].run, name: each.run}, pairs)
        own += samples[OURS]
        ratio = timing.ratio(samples[name], samples[OURS])
        rows.append(Row(classifier, name, n_inputs, Statistic.of(samples[name], 1e3), each.compile_seconds, ratio))
    return [*rows, Row(classifier, OURS, n_inputs, Statistic.of(own, 1e3), prepared[OURS].compile_seconds)]


def table(rows: list[Row]) -> str:
    """All rows, a line each."""
    lines = [f"{'classifier':28s} {'inputs':>6s} {'implementation':25s} {'ms':>9s} {'times ours':>22s} {'comp s':>7s}"]
    for row in rows:
        ratio, name = row.ratio_to_ours, f"{row.classifier:28s} {row.inputs:6d} {row.implementation:25s}"
        spread = "" if ratio is None else f"{ratio.median:.2f} ({ratio.min:.2f} to {ratio.max:.2f})"
        lines.append(f"{name} {row.milliseconds.median:9.3f} {spread:>22s} {row.compile_seconds or 0:7.1f}")
    return "\n".join(lines)


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result there too")
    parser.add_argument("--batches", type=int, nargs="+", default=[32], help="inputs at once")
    parser.add_argument("--layers", type=int, default=4, help="of both classifiers")
    parser.add_argument("--quick", action="store_true", help="a smoke test: few samples, whose figures mean nothing")
    options = parser.parse_args()
    timing.prepare(options.threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import tensorcircuit as tc

    tc.set_backend("jax")
    tc.set_dtype("complex64")
    classifiers = {"data re-uploading, 4 qubits": reuploading, "IQP, 10 qubits": iqp}
    rows: list[Row] = []
    for batch in options.batches:
        for name, make in classifiers.items():
            rows += compare(name, make(options.layers), batch, 3 if options.quick else PAIRS)
    print(table(rows))
    if options.json:
        timing.write_json(options.json, {"machine": timing.machine(), "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
