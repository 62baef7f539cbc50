"""Networks to report on: those of the package, and plugin ones whose fields are of every kind."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from qdistill.models import (
    QCNN,
    CircuitArchitecture,
    CircuitCentric,
    DataReuploading,
    DressedCircuit,
    IQPVariational,
    KernelArchitecture,
    LeNetArchitecture,
    QuantumLeNetArchitecture,
    TreeTensor,
)
from qdistill.quantum import AmplitudeEmbedding, Circuit, Operation, PauliZ, QuantumLayer, weight

CIRCUIT = Circuit(
    2, (Operation("RY", (0,), (weight(0),)), Operation("CNOT", (0, 1)), Operation("RZ", (1,), (weight(1),)))
)


class Small(eqx.Module):
    """A quantum layer alone, with a classical bias."""

    layer: QuantumLayer
    bias: jax.Array

    def __call__(self, image: jax.Array) -> jax.Array:
        values = self.layer(image[:2, :2].ravel() + 0.1)
        return jnp.zeros_like(self.bias).at[: len(values)].set(values) + self.bias


def _small(circuit: Circuit, n_classes: int, key: jax.Array) -> Small:
    weights = jax.random.uniform(key, (circuit.n_weights,))
    return Small(QuantumLayer(AmplitudeEmbedding(2), circuit, weights, PauliZ(((0,), (1,)))), jnp.zeros(n_classes))


@dataclasses.dataclass(frozen=True)
class PluginArchitecture:
    """Fields of every type that an option may have, and a circuit that may be missing."""

    circuit: Circuit | None = None
    sizes: tuple[int, ...] = (2, 3)
    flag: bool = False
    label: str | None = None
    rate: float = 0.5
    texts: tuple[str, ...] = ()
    table: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    maybe: bool | None = None

    def build(self, input_shape: tuple[int, int, int], n_classes: int, *, key: jax.Array) -> Any:
        return _small(self.circuit or CIRCUIT, n_classes, key)


@dataclasses.dataclass(frozen=True)
class NeedsCircuitArchitecture:
    """A circuit that has no default."""

    circuit: Circuit

    def build(self, input_shape: tuple[int, int, int], n_classes: int, *, key: jax.Array) -> Any:
        return _small(self.circuit, n_classes, key)


@dataclasses.dataclass(frozen=True)
class MayLackCircuitArchitecture(PluginArchitecture):
    """A circuit by default, which may be left out."""

    circuit: Circuit | None = CIRCUIT


Q = QuantumLeNetArchitecture
ARCHITECTURES: dict[str, Any] = {
    "the package's network": Q(n_qubits=2, n_layers=1),
    "a circuit of the user's own": Q(n_qubits=2, n_layers=1, ansatz=CIRCUIT),
    "a circuit, and other options": Q(n_qubits=2, n_layers=1, ansatz=CIRCUIT, skip="none", angle_range=0.5),
    "pairs, a quanvolution": Q(n_qubits=2, n_layers=1, observable_wires=2, quanvolution_layers=1, f2_activation="tanh"),
    "frozen": Q(n_qubits=2, n_layers=1, branch="frozen"),
    "removed": Q(n_qubits=2, n_layers=1, branch="removed"),
    "dense": Q(n_qubits=2, n_layers=1, branch="dense"),
    "classical": LeNetArchitecture(),
    "classical, wider": LeNetArchitecture(width=12),
    "a circuit alone": CircuitArchitecture(
        Circuit(10, (Operation("RY", (0,), (weight(0),)), Operation("CNOT", (0, 1)))), "amplitude", "probabilities"
    ),
    "data re-uploading": DataReuploading(n_layers=2, upload="repeated"),
    "circuit-centric": CircuitCentric(n_copies=1),
    "IQP": IQPVariational(n_layers=2),
    "dressed": DressedCircuit(n_layers=2),
    "QCNN": QCNN(),
    "tree tensor": TreeTensor(),
    "a kernel": KernelArchitecture(),
    "plugin": PluginArchitecture(),
    "plugin, other values": PluginArchitecture(sizes=(4, 5, 6), flag=True, label="-x y", rate=-1e-3),
    "plugin, texts with a hyphen": PluginArchitecture(texts=("-x", "y"), maybe=False),
    "plugin, a text that no option can say": PluginArchitecture(texts=("x", "-y")),
    "plugin, a table": PluginArchitecture(table={"a": [1, 2]}),
    "plugin, an empty tuple": PluginArchitecture(sizes=()),
    "plugin, a circuit": PluginArchitecture(circuit=CIRCUIT),
    "plugin, a default circuit": MayLackCircuitArchitecture(),
    "plugin, no circuit": MayLackCircuitArchitecture(circuit=None),
    "plugin, no default": NeedsCircuitArchitecture(CIRCUIT),
}
"""Every registered architecture with the values that its fields may have: the report's conformance table."""

PLUGINS = (PluginArchitecture, MayLackCircuitArchitecture, NeedsCircuitArchitecture)
