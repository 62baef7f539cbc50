"""Circuits as tables of numbers, so that one compiled program evaluates any of them.

A program that has a circuit's gates written into it is compiled anew for every other circuit, which takes longer than
a short training. Here the gates are an argument: row by row (kind, control, target, weight), applied one after another
to the 2^n basis states, which makes the circuit's unitary. Each gate is

    y = d x + o X_t x

with X_t the flip of the target wire, where d and o depend on a basis state's bit of the target alone, and are 1 and 0
where its control is 0.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers
from qdistill.quantum.angle import weight
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import Embedding, one_vector
from qdistill.quantum.expectation import expectation_values
from qdistill.quantum.layer import QuantumLayer
from qdistill.quantum.observable import Observable

_ROOT = 0.5**0.5

_KINDS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((1, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0)),
    "X": ((0, 0, 0, 1, 0, 0), (0, 0, 0, 1, 0, 0)),
    "Z": ((1, 0, 0, 0, 0, 0), (-1, 0, 0, 0, 0, 0)),
    "H": ((_ROOT, 0, 0, _ROOT, 0, 0), (-_ROOT, 0, 0, _ROOT, 0, 0)),
    "RX": ((0, 1, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)),
    "RY": ((0, 1, 0, 0, -1, 0), (0, 1, 0, 0, 1, 0)),
    "RZ": ((0, 1, -1, 0, 0, 0), (0, 1, 1, 0, 0, 0)),
}
"""Of each kind, for the target's bit 0 and 1, the factors a to f of d = a + b cos + i c sin and o = d + e sin + i f sin
in half the angle."""

_NAMES = tuple(_KINDS)
_FACTORS = np.array(list(_KINDS.values()), np.float32)
_BASE = {"CNOT": "X", "CZ": "Z", "CRX": "RX", "CRY": "RY", "CRZ": "RZ"}
"""What controlled gates do to their target."""


def can_be_tabled(circuit: Circuit) -> bool:
    """Whether each gate is one of the kinds above, or one with a control, and each angle is a weight by itself."""
    return all(
        _BASE.get(operation.gate, operation.gate) in _NAMES
        and all(len(angle.weights) == 1 and angle == weight(angle.weights[0]) for angle in operation.angles)
        for operation in circuit.operations
    )


def gate_table(circuit: Circuit, n_operations: int) -> Int[np.ndarray, "operations 4"]:
    """The gates, and as many that do nothing as are missing.

    Args:
        circuit: one that can be tabled.
        n_operations: rows of the table, at least as many as there are gates.

    Raises:
        CircuitError: there are more gates, or other ones.
    """
    if not can_be_tabled(circuit) or len(circuit.operations) > n_operations:
        raise CircuitError(
            f"Argument `circuit` must be at most {n_operations} gates of {', '.join([*_NAMES[1:], *_BASE])} "
            f"whose angles are weights, but has {len(circuit.operations)} or others."
        )
    rows = np.tile(np.array([0, -1, 0, 0], np.int32), (n_operations, 1))
    for row, operation in zip(rows, circuit.operations, strict=False):
        *control, target = operation.wires
        place = operation.angles[0].weights[0] if operation.angles else 0
        row[:] = _NAMES.index(_BASE.get(operation.gate, operation.gate)), *(control or [-1]), target, place
    return rows


class TabledLayer(eqx.Module):
    """A quantum layer whose circuit is a table; takes one feature vector and gives the values of a `QuantumLayer`.

    Args:
        embedding: how the features become a state.
        observable: what is measured.
        weights: at least as many as the gates read, in radians.
        gates: see `gate_table`; on the wires of the embedding.
    """

    embedding: Embedding = eqx.field(static=True)
    observable: Observable
    weights: Float[Array, "*draws weights"]
    gates: Int[Array, "operations 4"] | None

    def apply(self, columns: Float[Array, "dim columns"]) -> tuple[Float[Array, "dim columns"], ...]:
        """The real and the imaginary part of what the circuit makes of real states, which are columns."""
        n, precision = self.embedding.n_wires, self.weights.dtype
        bits = jnp.asarray((np.arange(2**n)[:, None] >> (n - 1 - np.arange(n))) & 1)
        factors = jnp.asarray(_FACTORS, precision)
        weights = self.weights if self.weights.size else jnp.zeros(1, precision)
        shape = (2, *(2,) * n, columns.shape[1])
        # One flip a wire; a gather by number would have a scatter as its derivative.
        flips = [lambda x, axis=wire + 1: jnp.flip(x.reshape(shape), axis).reshape(x.shape) for wire in range(n)]

        def gate(x: Array, row: Array) -> tuple[Array, None]:
            kind, control, target, place = row
            half = 0.5 * weights[place]
            cos, sin = jnp.cos(half), jnp.sin(half)
            of_bit = factors[kind]
            d_real = of_bit[:, 0] + of_bit[:, 1] * cos
            o_real = of_bit[:, 3] + of_bit[:, 4] * sin
            four = jnp.stack([d_real, of_bit[:, 2] * sin, o_real, of_bit[:, 5] * sin])
            acts = (control < 0) | (bits[:, control] == 1)
            rest = jnp.array([1, 0, 0, 0], precision)[:, None]
            dr, di, pr, pi = jnp.where(acts, jnp.where(bits[:, target] == 1, four[:, 1:], four[:, :1]), rest)[..., None]
            flipped = jax.lax.switch(target, flips, x)
            real = dr * x[0] - di * x[1] + pr * flipped[0] - pi * flipped[1]
            imaginary = dr * x[1] + di * x[0] + pr * flipped[1] + pi * flipped[0]
            return jnp.stack([real, imaginary]), None

        start = jnp.stack([columns, jnp.zeros_like(columns)]).astype(precision)
        (real, imaginary), _ = jax.lax.scan(gate, start, self.gates)
        return real, imaginary

    def unitary(self) -> Complex[Array, "dim dim"]:
        """The circuit's matrix."""
        return jax.lax.complex(*self.apply(jnp.eye(2**self.embedding.n_wires)))

    def __call__(self, features: Numbers) -> Float[Array, " outputs"]:
        """The expectation values for one feature vector."""
        state = self.embedding.state(one_vector("features", features))
        return expectation_values(self.observable, self.unitary() @ state)


def tabled(layer: QuantumLayer, n_operations: int, n_weights: int) -> TabledLayer:
    """A layer with its gates as a table.

    Args:
        layer: one whose circuit can be tabled; its weights may have axes in front, of several draws.
        n_operations: rows of the table.
        n_weights: how many weights there are room for, at least as many as the layer has.

    Raises:
        CircuitError: the circuit cannot be tabled, or has more gates.
    """
    # What no gate reads has no gradient, and stays.
    padding = [(0, 0)] * (layer.weights.ndim - 1) + [(0, n_weights - layer.circuit.n_weights)]
    gates = jnp.asarray(gate_table(layer.circuit, n_operations))
    return TabledLayer(layer.embedding, layer.observable, jnp.pad(layer.weights, padding), gates)
