"""The floating-point operations that the mathematics of an outer iteration needs, and XLA's count beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from problem import SLICE, Problem, normal
from straightforward import straightforward_circuit, straightforward_network

from qdistill.distill.losses import cross_entropy
from qdistill.models import named_weights
from qdistill.models.lenet import SIDE
from qdistill.models.quantum_lenet import QuantumLeNet

PASSES: dict[str, tuple[int, int]] = {
    "forward": (1, 1),
    "gradient": (2, 3),
    "product": (4, 6),
    "first product": (3, 4),
    "recomputed": (1, 2),
}
"""How often each pass does a layer's forward operations: in C1, and in any later layer.

Every layer is linear in its weights W, be they a kernel, a matrix or gates, and in its input x: y = W x. (A density
matrix is quadratic in the state and takes the same multiples.) A derivative by y is written y', the tangent of y along
the change V of the weights is written ty.

gradient  y = W x; by the weights, y' x^T; by the input, x' = W^T y'. C1 needs no x': an inner step differentiates by
          the weights, and the real inputs are not learned.
product   of a step's gradient with V, differentiated; this is the derivative of <loss gradient, V>, where y" is the
          derivative of that by y, and y' the one by ty. ty = V x + W tx is two; by the weights, y" x^T + y' tx^T is
          two; by the input, x" = W^T y" + V^T y' is two. Activations and y' are those of the gradient, stored. In C1
          tx is zero, so that the first two are one each; x" is needed, for the synthetic examples are learned.
first product
          that of the first step: the initial weights are not learned, so nothing is differentiated by them.
recomputed
          y and x', where the product computes them again instead of storing them; in C1, y alone. The mathematics does
          not need it, so it counts as no operation of ours.
"""


def forward_operations(model: QuantumLeNet, input_shape: tuple[int, ...]) -> dict[str, float]:
    """Floating-point operations of one input's forward pass, part by part: twice the multiply-adds.

    C1, C2     (taps inside the image of all positions, rows times columns) x channels in x channels out. The zeros
               around a padded image are not multiplied, nor any zeros of another form of the convolution.
    F1, F2, F3 inputs x outputs.
    quantum    every Rot, a complex 2x2 matrix, on 2^n complex amplitudes: 2 x 2^n complex multiply-adds, each of four
               real ones; CNOTs only move amplitudes. A Hermitian on a wire needs the wire's density matrix: two
               populations of 2^n real multiply-adds each, in all, and a coherence of 2^n / 2 complex ones, 4 x 2^n.

    Biases, ReLU, pooling, softmax, the norm of the embedding, the entries of a gate, and the update of the weights are
    left out.
    """
    convolutions = {}
    padding = (SIDE - input_shape[0]) // 2
    side = input_shape[0]
    for name, layer in (("C1", model.features.c1), ("C2", model.features.c2)):
        size, _, n_in, n_out = layer.kernel.shape
        positions = range(-padding, side + padding - size + 1)
        taps = sum(min(first + size, side) - max(first, 0) for first in positions)
        convolutions[name] = 2.0 * taps**2 * n_in * n_out
        side, padding = len(positions) // 2, 0
    dense = {"F1": model.features.f1, "F2": model.features.f2, "F3": model.f3}
    circuit = model.branch.circuit
    n_rots = sum(operation.gate == "Rot" for operation in circuit.operations)
    quantum = (8 * n_rots + 4 * model.branch.n_outputs) * 2**circuit.n_wires
    return convolutions | {name: 2.0 * layer.weight.size for name, layer in dense.items()} | {"quantum": 2.0 * quantum}


def times_forward(forward: Mapping[str, float], counts: Mapping[str, float]) -> dict[str, float]:
    """Operations by part, of so many inputs in each of some passes."""
    return {
        part: one * sum(n * PASSES[name][part != "C1"] for name, n in counts.items()) for part, one in forward.items()
    }


def meta_operations(
    forward: Mapping[str, float], n_step: int, steps: int, n_real: int, *, recomputed: bool = False
) -> dict[str, float]:
    """Operations by part of one meta-gradient."""
    counts = {
        "gradient": n_real + steps * n_step,
        "product": (steps - 1) * n_step,
        "first product": n_step,
        "recomputed": steps * n_step if recomputed else 0,
    }
    return times_forward(forward, counts)


def check_against_xla(
    problem: Problem, forward: Mapping[str, float], straightforward_flops: float
) -> dict[str, dict[str, float]]:
    """The formulas over XLA's own count, on programs that do just what the formulas say.

    XLA counts a complex operation as one, the body of a loop once, and elementwise operations too. Its count is that of
    the compiled program, but for the quantum layer gate by gate, which takes long to compile.
    """
    model = problem.distiller.model
    weights, inputs, labels = named_weights(model), problem.real[:SLICE], problem.labels[:SLICE]
    few = problem.n_step
    network, circuit = straightforward_network(model, with_quantum=False), straightforward_circuit(model)
    classical = {part: one for part, one in forward.items() if part != "quantum"}
    features = normal(SLICE, model.branch.embedding.n_features)

    def loss(w: dict[str, Array], inputs: Array, labels: Array) -> Array:
        return cross_entropy(network(w, inputs), labels)

    def product(w: dict[str, Array], inputs: Array, labels: Array) -> Any:
        def along(w: dict[str, Array], inputs: Array) -> Array:
            return jax.jvp(lambda w: loss(w, inputs, labels), (w,), (weights,))[1]

        return jax.grad(along, (0, 1))(w, inputs)

    def quantum(w: dict[str, Array], features: Array) -> Array:
        return jnp.sum(jax.vmap(lambda x: circuit(w, x))(features) ** 2)

    def counted(function: Callable[..., Any], *arguments: Any, compiled: bool = True) -> float:
        program = jax.jit(function).lower(*arguments)
        return (program.compile() if compiled else program).cost_analysis()["flops"]

    # As it is written there, a CNOT is a complex 4x4 matrix, and a Hermitian is applied and then contracted.
    n, operations = model.branch.circuit.n_wires, model.branch.circuit.operations
    rots, cnots, outputs = (
        2.0 * number * 2**n
        for number in (
            2 * sum(operation.gate == "Rot" for operation in operations),
            4 * sum(operation.gate == "CNOT" for operation in operations),
            3 * model.branch.n_outputs,
        )
    )
    by_gates = {"forward": rots + cnots + outputs, "gradient": 3 * rots + 2 * cnots + 3 * outputs}
    by_gates["product"] = 6 * rots + 2 * cnots + 6 * outputs
    body = times_forward(classical, {"gradient": problem.n_step, "product": problem.n_step})
    whole = sum(body.values()) + problem.n_step * (by_gates["gradient"] + by_gates["product"])
    whole += (
        sum(times_forward(classical, {"gradient": problem.n_real}).values()) + problem.n_real * by_gates["gradient"]
    )

    def classically(**counts: int) -> float:
        return sum(times_forward(classical, counts).values())

    pairs = {
        f"classical layers, forward, {SLICE} inputs": (
            classically(forward=SLICE),
            counted(loss, weights, inputs, labels),
        ),
        f"classical layers, gradient, {SLICE} inputs": (
            classically(gradient=SLICE),
            counted(jax.grad(loss), weights, inputs, labels),
        ),
        f"classical layers, product, {few} inputs": (
            classically(product=few, recomputed=few),
            counted(product, weights, problem.real[:few], problem.labels[:few]),
        ),
        f"quantum layer, forward, {SLICE} inputs": (
            SLICE * by_gates["forward"],
            counted(quantum, weights, features, compiled=False),
        ),
        f"quantum layer, gradient, {SLICE} inputs": (
            SLICE * by_gates["gradient"],
            counted(jax.grad(quantum, (0, 1)), weights, features, compiled=False),
        ),
        "straightforward meta-gradient, one step": (whole, straightforward_flops),
    }
    print("\noperations, in millions                      formulas       XLA   ratio")
    checks = {}
    for name, (formula, xla) in pairs.items():
        checks[name] = {"formula": formula, "xla": xla, "ratio": formula / xla}
        print(f"{name:42s} {formula / 1e6:10.2f} {xla / 1e6:10.2f} {formula / xla:7.3f}")
    return checks
