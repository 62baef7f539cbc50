"""What architecture search reads from a circuit before any training: proxies for how good it will be.

All but the number of paths are estimated from draws of the initial weights, in exact simulation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from qdistill.compiling import compiled
from qdistill.data import Splits
from qdistill.evaluate.side_by_side import Networks, count_weights, draw_networks
from qdistill.models import Architecture, CircuitClassifier, Model, structure
from qdistill.quantum import Circuit, QuantumLayer
from qdistill.quantum.tabled import TabledLayer

BINS = 75
"""Of the histogram of fidelities, as in Sim et al."""

STATES, INPUTS, DRAWS = 4000, 16, 32
"""Draws of the weights, half of which are paired with the others; inputs of each class, and draws with them, of the
capacity, as in Anagolum et al."""


@dataclass(frozen=True)
class Proxies:
    """Numbers of a candidate, each the higher, the better the circuit is held to be.

    Args:
        expressibility: the negative of Sim et al.'s, so that 0 is a circuit whose states are as spread as Haar's.
        entangling: Sim et al.'s entangling capability, from 0 to 1.
        capacity: the representational capacity of Anagolum et al.
        paths: the logarithm of the number of paths of He et al.
        weights: the number of trained numbers.
    """

    expressibility: float
    entangling: float
    capacity: float
    paths: float
    weights: int


def expressibility(fidelities: Float[np.ndarray, " pairs"], n_wires: int, bins: int = BINS) -> float:
    """How far the fidelities of pairs of a circuit's states are from those of Haar-random states.

    The Kullback-Leibler divergence of their histogram from Haar's, whose density is (N - 1) (1 - F)^(N - 2), N = 2^n.

    Args:
        fidelities: of pairs of independent draws, from 0 to 1.
        n_wires: number of qubits n.
        bins: of the histogram, of equal width.

    Returns:
        0 for Haar's, and (N - 1) ln(bins) for a circuit that makes one state alone.

    Reference:
        Sim, Johnson and Aspuru-Guzik, arXiv 1905.10876, equations 7 to 9.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    # Rounding may lead a fidelity beyond its range.
    share = np.histogram(np.clip(fidelities, 0.0, 1.0), edges)[0] / len(fidelities)
    # Logarithms, for on many wires the last bins of Haar's are far below the smallest number.
    dimension = 2**n_wires
    left, right = np.log1p(-edges[:-1]), np.log1p(-edges[1:-1])
    right = np.append(right, -np.inf)
    haar = (dimension - 1) * left + np.log1p(-np.exp((dimension - 1) * (right - left)))
    seen = share > 0
    return float(np.sum(share[seen] * (np.log(share[seen]) - haar[seen])))


def entangling_capability(states: Complex[np.ndarray, "draws amplitudes"]) -> float:
    """The mean Meyer-Wallach measure of states: 0 for products, 1 for GHZ states.

    Reference:
        Meyer and Wallach, J. Math. Phys. 43, 4273 (2002); the form with purities is Brennen's, quant-ph/0305094. Its
        mean over draws is the entangling capability of Sim et al.
    """
    n = states.shape[1].bit_length() - 1
    purities = []
    for wire in range(n):
        split = np.moveaxis(states.reshape(-1, *(2,) * n), wire + 1, 1).reshape(len(states), 2, -1)
        reduced = split @ split.conj().transpose(0, 2, 1)
        purities.append(np.sum(np.abs(reduced) ** 2, axis=(1, 2)))
    return float(np.mean(2 * (1 - np.mean(purities, axis=0))))


def representational_capacity(
    states: Complex[np.ndarray, "draws n amplitudes"], classes: Int[np.ndarray, " n"], wires: tuple[int, ...]
) -> float:
    """How far the measured wires' states tell the classes apart while the weights are random.

    Two inputs count as similar under a draw where the similarity of their reduced states, Tr(rho sigma)^2 over both
    traces, is above the mean of all pairs. RepCap is one minus the mean square of what the share of draws, R, misses of
    the ideal matrix: 1 where the classes are the same, 0 elsewhere, the latter divided by the number of other classes.

    Args:
        states: of each input under each draw of the weights.
        classes: of the inputs, as many of each.
        wires: those that are measured.

    Reference:
        Anagolum et al., arXiv 2401.09393; the details as in their code, `compute_rep_cap.py` of
        https://github.com/SashwatAnagolum/Elivagar.
    """
    draws, n = states.shape[:2]
    n_wires = states.shape[2].bit_length() - 1
    others = tuple(wire for wire in range(n_wires) if wire not in wires)
    order = (0, 1, *(2 + wire for wire in (*wires, *others)))
    split = states.reshape(draws, n, *(2,) * n_wires).transpose(order).reshape(draws, n, 2 ** len(wires), -1)
    reduced = split @ split.conj().swapaxes(-1, -2)
    overlaps = np.einsum("aijk,alkj->ail", reduced, reduced).real ** 2
    away = ~np.eye(n, dtype=bool)
    means = overlaps[:, away].mean(axis=1)
    # An input is similar to itself.
    similar = np.where(away, overlaps > means[:, None, None], True).mean(axis=0)
    same = classes[:, None] == classes[None, :]
    weight = np.where(same, 1.0, 1.0 / max(1, len(np.unique(classes)) - 1))
    return float(1 - np.mean((weight * (same - similar)) ** 2))


def count_paths(circuit: Circuit) -> int:
    """Paths from the first to the last node of a circuit's graph, whose nodes are gates and whose edges are wires.

    Reference:
        He et al., Training-Free Quantum Architecture Search, AAAI 2024.
    """
    paths = [1] * circuit.n_wires
    for operation in circuit.operations:
        together = sum(paths[wire] for wire in operation.wires)
        for wire in operation.wires:
            paths[wire] = together
    return sum(paths)


def measure_proxies(
    candidates: Mapping[str, Architecture], splits: Splits, *, seed: int = 0
) -> dict[str, dict[str, float] | None]:
    """The proxies of each candidate as plain data, by its name; None for a network that is not a circuit alone.

    Args:
        candidates: by name.
        splits: real inputs, of whose training part the capacity reads `INPUTS` of each class.
        seed: decides the draws and the inputs.
    """
    key_weights, key_inputs = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2**32 - 4))
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key_inputs)))
    labels = np.asarray(splits.train.labels)
    members = [np.flatnonzero(labels == label) for label in range(splits.n_classes)]
    few = min(INPUTS, *map(len, members))
    picked = np.concatenate([generator.choice(own, few, replace=False) for own in members])
    inputs = np.asarray(splits.transform(splits.train.inputs[picked]), np.float32)
    keys = jax.random.split(key_weights, STATES)
    found: dict[str, dict[str, float] | None] = {}
    for name, architecture in candidates.items():
        model = structure(architecture, splits.input_shape, splits.n_classes)
        networks = draw_networks(name, architecture, splits.input_shape, splits.n_classes, keys)
        own = proxies(model, networks, count_weights(model), inputs, labels[picked])
        found[name] = None if own is None else asdict(own)
    return found


def proxies(
    model: Model,
    networks: Networks,
    n_weights: int,
    inputs: Float[np.ndarray, "n *shape"],
    classes: Int[np.ndarray, " n"],
) -> Proxies | None:
    """The proxies of a candidate; None for a network that is not a circuit alone.

    Args:
        model: its structure.
        networks: draws of it, an even number.
        n_weights: its trained numbers.
        inputs: real ones, as a network reads them, as many of each class.
        classes: theirs.
    """
    if not isinstance(model, CircuitClassifier) or not isinstance(model.layer, QuantumLayer) or networks.gates is None:
        return None
    circuit = model.layer.circuit
    alone = np.asarray(_states_from_zero(networks))
    half = len(alone) // 2
    fidelities = np.abs(np.sum(alone[:half].conj() * alone[half:], axis=1)) ** 2
    few = networks.picked(np.arange(min(len(alone), DRAWS)))
    states = np.asarray(_states_of(few, jnp.asarray(inputs.reshape(len(inputs), -1))))
    wires = tuple(sorted({wire for group in model.layer.observable.wires for wire in group}))
    return Proxies(
        -expressibility(fidelities, circuit.n_wires),
        entangling_capability(alone),
        representational_capacity(states, classes, wires),
        float(np.log(count_paths(circuit))),
        n_weights,
    )


@compiled
def _states_from_zero(networks: Networks) -> Array:
    def one(weights: Any) -> Array:
        layer = _layer(networks, weights)
        first = jnp.zeros((2**layer.embedding.n_wires, 1)).at[0].set(1.0)
        return jax.lax.complex(*layer.apply(first))[:, 0]

    return jax.vmap(one)(networks.weights)


@compiled
def _states_of(networks: Networks, inputs: Array) -> Array:
    def one(weights: Any) -> Array:
        model: Any = networks.one(weights)
        features = inputs if model.input_scale is None else inputs * model.input_scale
        layer = _layer(networks, weights)
        return jax.vmap(layer.embedding.state)(features) @ layer.unitary().T

    found: Array = jax.lax.map(one, networks.weights)
    return found


def _layer(networks: Networks, weights: Any) -> TabledLayer:
    model: Any = networks.one(weights)
    assert isinstance(model.layer, TabledLayer)
    return model.layer
