"""An architecture that draws its circuit as it draws its weights: one of those of Sim et al. in one or two layers.

`qdistill --plugin results/ranking/mixture.py distill results/ranking/mnist-3v5-mixture.toml` distils for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.models import ARCHITECTURES, CircuitClassifier
from qdistill.quantum import SIM_NUMBERS, AngleEmbedding, PauliZ, SimCircuit, each_wire
from qdistill.quantum.tabled import TabledLayer, gate_table

ROOM = 64


class DrawnCircuit(eqx.Module):
    """A layer whose gates are among what is drawn anew: as numbers that no gradient reaches, so that they stay.

    Args:
        weights: in radians.
        gates: the table of `quantum.tabled`, as floating-point numbers.
        n_wires: number of qubits.
        n_classes: wires that are measured.
    """

    weights: Float[Array, " weights"]
    gates: Float[Array, "operations 4"]
    n_wires: int = eqx.field(static=True)
    n_classes: int = eqx.field(static=True)

    def __call__(self, features: Float[Array, " features"]) -> Float[Array, " classes"]:
        """The values of Z."""
        measured = PauliZ(each_wire(self.n_wires)[: self.n_classes])
        layer = TabledLayer(AngleEmbedding(self.n_wires), measured, self.weights, self.gates.astype(jnp.int32))
        return layer(features)


@dataclass(frozen=True)
class SimMixture:
    """One of the circuits of Sim et al. in one or two layers, each as likely as the others.

    Args:
        n_wires: number of qubits, one for each input.
        most_layers: of a circuit.
    """

    n_wires: int = 4
    most_layers: int = 2

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> CircuitClassifier:
        """Draw a circuit and its weights."""
        key_circuit, key_weights = jax.random.split(key)
        circuits = [
            SimCircuit(number, self.n_wires, depth).circuit()
            for depth in range(1, self.most_layers + 1)
            for number in SIM_NUMBERS
        ]
        tables = jnp.asarray(np.stack([gate_table(circuit, ROOM) for circuit in circuits]))
        gates = tables[jax.random.randint(key_circuit, (), 0, len(circuits))]
        weights = jax.random.uniform(key_weights, (ROOM,), maxval=2 * jnp.pi)
        layer: Any = DrawnCircuit(weights, gates.astype(jnp.float32), self.n_wires, n_classes)
        return CircuitClassifier(layer, input_shape, output_scale=jnp.ones(1, jnp.float32))


ARCHITECTURES["SimMixture"] = SimMixture
