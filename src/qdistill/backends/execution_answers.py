"""A network whose calls of quantum layers are answered by what a backend has measured.

What was measured, ``terms`` and their derivatives ``slopes`` by the circuit's angles at a0, takes the layer's place as
``terms + slopes (a - a0)``: its value and first derivatives are the measured ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.backends.measured import MeasuredCircuit
from qdistill.distill.losses import LOSSES, Loss
from qdistill.models import Model
from qdistill.quantum import QuantumLayer, answered

Result = tuple[Float[Array, "..."], Float[Array, "..."]]
"""What a call measures: the terms' values, ([inputs,] vectors, terms), and their derivatives, (..., terms, angles)."""


@dataclass(frozen=True)
class Call:
    """One call of a quantum layer by the network, for one input.

    Args:
        measured: what the backend runs and measures for a feature vector.
        vectors: feature vectors that the layer is given at once.
    """

    measured: MeasuredCircuit
    vectors: int


class Answers:
    """Answers a network's calls, in their order, by what was measured and how it moves to first order.

    Args:
        calls: the network's first ones.
        results: for one input, what the first of them measured. The angles of the call after these are kept in
            `angles`, and its values, like those of all later ones, are zero.
    """

    def __init__(self, calls: Sequence[Call], results: Sequence[Result]) -> None:
        self.calls, self.results = calls, results
        self.n_answered = 0
        self.angles: Array | None = None

    def __call__(self, number: int, layer: QuantumLayer, vectors: Float[Array, "vectors features"]) -> Array:
        """What `quantum.answered` puts in a layer's place."""
        place, self.n_answered = self.n_answered, self.n_answered + 1
        if place >= len(self.calls):
            return jnp.zeros((len(vectors), layer.n_outputs))
        measured = self.calls[place].measured
        layer = layer if layer.trainable else jax.lax.stop_gradient(layer)
        angles = jax.vmap(partial(measured.layer_angles, layer))(vectors)
        if place == len(self.results):
            self.angles = angles
            return jnp.zeros((len(vectors), layer.n_outputs))
        terms, slopes = self.results[place]
        moved = terms + jnp.einsum("vta,va->vt", slopes, angles - jax.lax.stop_gradient(angles))
        return jax.vmap(partial(measured.values, layer))(vectors, moved)


def input_angles(
    weights: PyTree, static: PyTree, calls: tuple[Call, ...], results: tuple[Result, ...], x: Array
) -> Float[Array, "vectors angles"]:
    """The parameters of the circuits of the last of the calls, for one input, given what those before it measured."""
    answers = Answers(calls, results)
    network: Model = answered(eqx.combine(weights, static), answers)
    network(x)
    assert answers.angles is not None
    return answers.angles


@eqx.filter_jit
def angles_of(
    weights: PyTree, static: PyTree, calls: tuple[Call, ...], results: tuple[Result, ...], inputs: Array
) -> Float[Array, "inputs vectors angles"]:
    """The same for several inputs."""
    one = partial(input_angles, weights, static, calls)
    angles: Array = jax.vmap(one)(results, inputs)
    return angles


@eqx.filter_jit
def gradient_of(
    weights: PyTree,
    static: PyTree,
    calls: tuple[Call, ...],
    results: tuple[Result, ...],
    inputs: Array,
    labels: Array,
    loss: Loss,
) -> PyTree:
    """The gradient of the training loss by the network's weights, given what was measured."""

    def value(weights: PyTree) -> Array:
        def logits(results: tuple[Result, ...], x: Array) -> Array:
            executed: Model = answered(eqx.combine(weights, static), Answers(calls, results))
            return executed(x)

        return LOSSES[loss](jax.vmap(logits)(results, inputs), labels)

    return jax.grad(value)(weights)
