"""The dressed quantum circuit: a dense layer, a circuit on its outputs as angles, a dense layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.fields import check_fields
from qdistill.models.checks import at_least_one, check_n_classes, count_inputs, one_input
from qdistill.models.initial import Distribution, check_spread, initial_angles
from qdistill.models.layers import Dense, Initialiser
from qdistill.numbers import Numbers
from qdistill.quantum import (
    AngleEmbedding,
    Circuit,
    NoisyLayer,
    Operation,
    PauliZ,
    QuantumLayer,
    check_operations,
    check_wires,
    each_wire,
    weight,
)

Entangler = Literal["line", "ring"]


class DressedClassifier(eqx.Module):
    """Inputs -> dense -> angles (pi/2) tanh -> circuit -> Z on each wire -> dense -> logits.

    The publication turns each wire by H and then by RY(angle), which from |0> is RY(angle + pi/2).

    Args:
        before: the first dense layer.
        layer: the circuit on the angles, as it is or on a device.
        after: the last dense layer.
        input_shape: of one input.
    """

    before: Dense
    layer: QuantumLayer | NoisyLayer
    after: Dense
    input_shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Numbers) -> Float[Array, " classes"]:
        """The logits of one input.

        Raises:
            ArgumentError: no real numbers, or of another shape than the model was built for.
        """
        return self.after(self.last_features(x))

    def last_features(self, x: Numbers) -> Float[Array, " wires"]:
        """What the last dense layer reads of one input: Z on each wire."""
        values = self.before(one_input(x, self.input_shape).reshape(-1))
        return self.layer(math.pi / 2 * (jnp.tanh(values) + 1))


@dataclass(frozen=True)
class DressedCircuit:
    """The dressed quantum circuit of Mari et al., of which transfer learning is the best known use.

    With 512 inputs and two classes the defaults have 512 x 4 + 4 weights before the circuit, 24 in it and 4 x 2 + 2
    after.

    Args:
        n_qubits: number of wires n; None for one an input, as in XanaduAI/qml-benchmarks.
        n_layers: of the circuit, each n angles.
        entangler: ``"line"`` has CNOT on the wires (0, 1), (2, 3), ..., then on (1, 2), (3, 4), ..., before the RY of
            each layer, as in the publication's code; ``"ring"`` has CNOT(i, i + 1 mod n) after them, as in
            qml-benchmarks.
        distribution: of the initial angles: uniform in [0, spread), or normal with the standard deviation `spread`.
        spread: in radians.
        initialiser: how the dense layers are drawn; the default is PyTorch's, which the publication used. Biases start
            at zero; qml-benchmarks has none.

    Reference:
        Mari, Bromley, Izaac, Schuld and Killoran, Quantum 4, 340 (2020), arXiv 1912.08278; Bowles, Ahmed and Schuld,
        arXiv 2403.07059.
    """

    n_qubits: int | None = 4
    n_layers: int = 6
    entangler: Entangler = "line"
    distribution: Distribution = "normal"
    spread: float = 0.01
    initialiser: Initialiser = "kaiming_uniform"

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        at_least_one(n_layers=self.n_layers, n_qubits=self.n_qubits)
        check_wires(self.n_qubits or 1, "n_qubits")
        check_spread(self.spread)

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> DressedClassifier:
        """Draw a model.

        Args:
            input_shape: of one input, which is read in C order.
            n_classes: at least 2.
            key: random key, consumed.

        Raises:
            ArgumentError: no inputs, or fewer than two classes.
            CircuitError: too many wires or layers.
        """
        n_inputs = count_inputs(input_shape, 1, None, "for the first dense layer")
        check_n_classes(n_classes)
        n = self.n_qubits or n_inputs
        circuit = dressed_layers(n, self.n_layers, self.entangler)
        key_before, key_angles, key_after = jax.random.split(key, 3)
        angles = initial_angles(self.distribution, self.spread, (self.n_layers, n), key=key_angles)
        return DressedClassifier(
            before=Dense(n_inputs, n, self.initialiser, key=key_before),
            layer=QuantumLayer(AngleEmbedding(n), circuit, angles, PauliZ(each_wire(n))),
            after=Dense(n, n_classes, self.initialiser, key=key_after),
            input_shape=tuple(input_shape),
        )


def dressed_layers(n_wires: int, n_layers: int, entangler: Entangler) -> Circuit:
    """The trainable layers on that many wires; see `DressedCircuit`."""
    check_wires(n_wires, "n_qubits")
    check_operations(2 * n_wires * n_layers, f"a dressed circuit of {n_layers:,} layers on {n_wires:,} wires")
    ring = [(wire, (wire + 1) % n_wires) for wire in range(n_wires)]
    line = [(wire, wire + 1) for first in (0, 1) for wire in range(first, n_wires - 1, 2)]
    operations = []
    for layer in range(n_layers):
        turns = [Operation("RY", (wire,), (weight(layer * n_wires + wire),)) for wire in range(n_wires)]
        if entangler == "line":
            operations += [*(Operation("CNOT", pair) for pair in line), *turns]
        else:
            # One wire has no other; two have one pair, as PennyLane's ring has.
            closed = ring if n_wires > 2 else ring[: n_wires - 1]
            operations += [*turns, *(Operation("CNOT", pair) for pair in closed)]
    return Circuit(n_wires, tuple(operations))
