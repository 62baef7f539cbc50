"""Several draws of one network, trained and scored side by side in programs that other circuits share."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qdistill.compiling import compiled
from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Architecture, CircuitClassifier, Model, predict
from qdistill.quantum import QuantumLayer
from qdistill.quantum.tabled import can_be_tabled, tabled

_ROOM = 32
"""Tables have a multiple of so many rows, so that circuits of about the same length share a program."""

_AT_ONCE = 64
"""Networks that are drawn at once."""

_BLOCK = 500
"""Inputs that are scored at once."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """What each run trains on, step by step.

    Args:
        inputs: as a network reads them, (runs, steps, batch, ...).
        labels: (runs, steps, batch, classes).
        step_sizes: (runs, steps).
    """

    inputs: Float[np.ndarray, "runs steps batch *shape"]
    labels: Float[np.ndarray, "runs steps batch classes"]
    step_sizes: Float[np.ndarray, "runs steps"]

    @property
    def seen(self) -> int:
        """Example gradients of one run."""
        return int(np.prod(self.inputs.shape[1:3]))


class Networks(eqx.Module):
    """Draws of one network.

    Args:
        weights: the network's floating-point arrays, with an axis of draws in front.
        gates: of its circuit as a table; None for a network that is no circuit which can be tabled.
        rest: the network without its arrays.
    """

    weights: Any
    gates: Int[Array, "operations 4"] | None
    rest: Any

    def one(self, weights: Any) -> Model:
        """The network with these weights, of one draw."""
        model: Model = eqx.combine(weights, self.rest)
        if self.gates is None:
            return model
        with_gates: Model = eqx.tree_at(_gates, model, self.gates, is_leaf=lambda leaf: leaf is None)
        return with_gates

    def picked(self, places: Int[np.ndarray, " runs"]) -> Networks:
        """The draws at these places, which may come again."""
        return dataclasses.replace(self, weights=jax.tree.map(lambda a: a[places], self.weights))


def _gates(model: Any) -> Any:
    return model.layer.gates


def draw_networks(
    name: str, architecture: Architecture, input_shape: tuple[int, ...], n_classes: int, keys: Array
) -> Networks:
    """One network for each key.

    Args:
        name: what errors call it.
        architecture: draws it.
        input_shape: of one input.
        n_classes: how many there are.
        keys: random keys, consumed.

    Raises:
        ArgumentError: a weight is not finite.
    """
    # So many at a time, whatever their number is: JAX compiles what draws them for each number of weights and draws.
    padded = jnp.concatenate([keys, keys[jnp.zeros(-len(keys) % _AT_ONCE, int)]])
    build = eqx.filter_vmap(lambda key: architecture.build(input_shape, n_classes, key=key))
    parts = [build(padded[first : first + _AT_ONCE]) for first in range(0, len(keys), _AT_ONCE)]
    models: Any = jax.tree.map(lambda *part: _joined(part, len(keys)), *parts)
    leaves = jax.tree.leaves(eqx.filter(models, eqx.is_inexact_array))
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in leaves):
        raise ArgumentError(f"Argument `circuits` must draw finite initial weights, but {name} draws others.")
    gates = None
    layer = models.layer if isinstance(models, CircuitClassifier) else None
    if isinstance(layer, QuantumLayer) and layer.trainable and can_be_tabled(layer.circuit):
        room = -(-len(layer.circuit.operations) // _ROOM) * _ROOM
        table = tabled(layer, room, room)
        gates = table.gates
        # A circuit classifier asks of its layer no more than a table gives.
        models = eqx.tree_at(lambda m: m.layer, models, eqx.tree_at(lambda t: t.gates, table, None))
    weights, rest = eqx.partition(models, eqx.is_inexact_array)
    # What is an array and no weight is the same in every draw.
    return Networks(weights, gates, jax.tree.map(lambda leaf: leaf[0] if eqx.is_array(leaf) else leaf, rest))


def _joined(parts: tuple[Array, ...], n: int) -> Array:
    return jnp.asarray(np.concatenate([np.asarray(part) for part in parts])[:n])


def trained(networks: Networks, examples: Examples, inner: InnerLoop) -> Networks:
    """The networks after training, each on its own run of the examples.

    Args:
        networks: as many draws as there are runs.
        examples: of every step.
        inner: the optimiser and the loss.
    """
    steps = examples.inputs.shape[1]
    inner = dataclasses.replace(inner, steps=steps, epochs=1, own_examples=True, step_sizes="shared")
    flat = [jnp.asarray(a.reshape(a.shape[0], -1, *a.shape[3:])) for a in (examples.inputs, examples.labels)]
    weights = _trained(networks, *flat, jnp.asarray(examples.step_sizes), inner)
    return dataclasses.replace(networks, weights=weights)


@compiled
def _trained(networks: Networks, inputs: Array, labels: Array, sizes: Array, inner: InnerLoop) -> Any:
    schedule = jnp.arange(inputs.shape[1]).reshape(sizes.shape[1], -1)

    def one(weights: Any, inputs: Array, labels: Array, sizes: Array) -> Any:
        model = train(networks.one(weights), TrainingSet(inputs, labels, sizes[:, None], schedule), inner)
        return eqx.filter(model, eqx.is_inexact_array)

    return jax.vmap(one)(networks.weights, inputs, labels, sizes)


def accuracies(
    networks: Networks, inputs: Float[np.ndarray, "n *shape"], labels: Int[np.ndarray, " n"]
) -> tuple[float, ...]:
    """The accuracy of each draw; 0 for one whose logits are not finite, never right.

    Args:
        networks: trained.
        inputs: as a network reads them, one at least.
        labels: their classes.
    """
    right, finite = np.zeros(0), True
    found, all_finite = [], []
    for first in range(0, len(inputs), _BLOCK):
        block = inputs[first : first + _BLOCK]
        # The last one is filled up, so that parts of any size share the program.
        classes, finite = _classes(networks, jnp.asarray(np.resize(block, (_BLOCK, *block.shape[1:]))))
        found.append(np.asarray(classes)[:, : len(block)])
        all_finite.append(np.asarray(finite)[:, : len(block)])
    right = (np.concatenate(found, axis=1) == labels[None]).sum(axis=1) * np.concatenate(all_finite, axis=1).all(axis=1)
    return tuple(int(count) / len(labels) for count in right)


@compiled
def _classes(networks: Networks, inputs: Array) -> tuple[Array, Array]:
    def one(weights: Any) -> tuple[Array, Array]:
        logits = predict(networks.one(weights), inputs)
        return jnp.argmax(logits, axis=-1), jnp.isfinite(logits).all(axis=-1)

    found: tuple[Array, Array] = jax.lax.map(one, networks.weights)
    return found


def count_weights(model: Model) -> int:
    """The trained numbers of a network, which may have shapes in the place of its arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(model) if jnp.issubdtype(leaf.dtype, jnp.inexact))
