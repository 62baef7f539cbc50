"""The conformance table: one row for every embedding, ansatz and observable, which runs all shared checks on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml

from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Ansatz,
    BasicEntangling,
    Embedding,
    Hermitian,
    NoEmbedding,
    Observable,
    PauliSum,
    PauliZ,
    QuantumLayer,
    SimCircuit,
    StronglyEntangling,
    each_wire,
    make_observable,
)

from .sim_reference import sim_14

N_WIRES = 3
"""What the observables in the table, and the layers made of it, are for."""


@dataclass(frozen=True)
class EmbeddingRow:
    """How to build an embedding on n wires, and the same in PennyLane, for features and n."""

    make: Callable[[int], Embedding]
    pennylane: Callable[[Any, int], Any]


@dataclass(frozen=True)
class AnsatzRow:
    """How to build an ansatz on n wires with some layers, and the same in PennyLane, for weights and n."""

    make: Callable[[int, int], Ansatz]
    pennylane: Callable[[Any, int], Any]


@dataclass(frozen=True)
class ObservableRow:
    """How to draw an observable with a random key."""

    make: Callable[[jax.Array], Observable]


EMBEDDINGS = {
    "amplitude": EmbeddingRow(
        AmplitudeEmbedding, lambda x, n: qml.AmplitudeEmbedding(x, range(n), pad_with=0.0, normalize=True)
    ),
    "angle_x": EmbeddingRow(
        lambda n: AngleEmbedding(n, "X"), lambda x, n: qml.AngleEmbedding(x, range(n), rotation="X")
    ),
    "angle_y": EmbeddingRow(
        lambda n: AngleEmbedding(n, "Y"), lambda x, n: qml.AngleEmbedding(x, range(n), rotation="Y")
    ),
    "angle_z": EmbeddingRow(
        lambda n: AngleEmbedding(n, "Z"), lambda x, n: qml.AngleEmbedding(x, range(n), rotation="Z")
    ),
    "none": EmbeddingRow(lambda n: NoEmbedding(n, 2 * n), lambda x, n: qml.Identity(range(n))),
}

ANSATZE = {
    "strongly_entangling": AnsatzRow(StronglyEntangling, lambda w, n: qml.StronglyEntanglingLayers(w, range(n))),
    "basic_entangling_z": AnsatzRow(
        lambda n, layers: BasicEntangling(n, layers, "RZ"),
        lambda w, n: qml.BasicEntanglerLayers(w, range(n), rotation=qml.RZ),
    ),
    "basic_entangling_x": AnsatzRow(
        lambda n, layers: BasicEntangling(n, layers),
        lambda w, n: qml.BasicEntanglerLayers(w, range(n)),
    ),
    "basic_entangling_y": AnsatzRow(
        lambda n, layers: BasicEntangling(n, layers, "RY"),
        lambda w, n: qml.BasicEntanglerLayers(w, range(n), rotation=qml.RY),
    ),
    "sim_14": AnsatzRow(partial(SimCircuit, 14), sim_14),
}

OBSERVABLES = {
    "hermitian": ObservableRow(lambda key: make_observable("hermitian", each_wire(N_WIRES), key=key)),
    "fixed_hermitian": ObservableRow(
        lambda key: make_observable("fixed_hermitian", each_wire(N_WIRES), scale=0.5, key=key)
    ),
    "pauli_z": ObservableRow(lambda key: make_observable("pauli_z", each_wire(N_WIRES), key=key)),
    "hermitian_on_pairs": ObservableRow(lambda key: make_observable("hermitian", [(2, 0), (0, 1)], key=key)),
    "pauli_z_on_some": ObservableRow(lambda key: PauliZ(((2,), (0,)))),
    "fixed_hermitian_on_triple": ObservableRow(lambda key: make_observable("fixed_hermitian", [(1, 2, 0)], key=key)),
    "pauli_sum": ObservableRow(
        lambda key: PauliSum(
            [["X0 Y2", "Z1", "I"], ["Z0 Z1 Z2"], ["Y1 Y2", "X0 X1"]], jax.random.normal(key, (6,)), trainable=True
        )
    ),
    "fixed_pauli_sum": ObservableRow(lambda key: PauliSum([["Z2 Z0", "I"], "Z1", ["Z1", "Z0"]], [0.5, -1, 2, 1, 0.25])),
}

COMPONENTS = {"embedding": EMBEDDINGS, "ansatz": ANSATZE, "observable": OBSERVABLES}


@dataclass(frozen=True)
class Combination:
    """One embedding, one ansatz and one observable of the table, by name."""

    embedding: str
    ansatz: str
    observable: str
    fewer_features: int

    def layer(self, n_layers: int = 2) -> QuantumLayer:
        """A layer with random weights, exact in single precision whatever the precision in force."""
        ansatz = ANSATZE[self.ansatz].make(N_WIRES, n_layers)
        generator = np.random.default_rng(1)
        weights = generator.normal(size=ansatz.weight_shape).astype(np.float32)
        return QuantumLayer(
            EMBEDDINGS[self.embedding].make(N_WIRES),
            ansatz.circuit(),
            jnp.asarray(weights),
            OBSERVABLES[self.observable].make(jax.random.key(2)),
        )

    def features(self, batch: int) -> np.ndarray:
        """Random feature vectors, (batch, features), exact in single precision."""
        n_features = EMBEDDINGS[self.embedding].make(N_WIRES).n_features - self.fewer_features
        return np.random.default_rng(3).normal(size=(batch, n_features)).astype(np.float32)


def _combinations() -> dict[str, Combination]:
    """Every row at least once, some with fewer features than the embedding takes."""
    table = {}
    for i in range(max(map(len, COMPONENTS.values()))):
        names = [list(rows)[i % len(rows)] for rows in COMPONENTS.values()]
        table["-".join(names)] = Combination(*names, fewer_features=int(i % 3 == 0))
    return table


COMBINATIONS = _combinations()


def _pairs() -> dict[str, Combination]:
    """Every two rows of different components in one combination at least: those of the shortest table go round."""
    shortest = min(COMPONENTS, key=lambda kind: len(COMPONENTS[kind]))
    first, second = (kind for kind in COMPONENTS if kind != shortest)
    table = {}
    for i, one in enumerate(COMPONENTS[first]):
        for j, other in enumerate(COMPONENTS[second]):
            third = list(COMPONENTS[shortest])[(i + j) % len(COMPONENTS[shortest])]
            names = {first: one, second: other, shortest: third}
            table["-".join(names[kind] for kind in COMPONENTS)] = Combination(**names, fewer_features=j % 2)
    return table


PAIRS = _pairs()


def coefficients_of(observable: Observable) -> np.ndarray:
    """The coefficients of the terms in double precision."""
    return np.asarray(observable.term_coefficients(), dtype=float)


def is_trained(observable: Observable) -> bool:
    """Whether gradients reach the observable's coefficients."""
    return isinstance(observable, Hermitian | PauliSum) and observable.trainable
