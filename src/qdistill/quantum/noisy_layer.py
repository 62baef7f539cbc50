"""A quantum layer as a device would give it, with noise or from shots, and networks whose layers are such."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError, CircuitError
from qdistill.numbers import Numbers
from qdistill.quantum.bounds import check_matrices
from qdistill.quantum.embedding import AmplitudeEmbedding, AngleEmbedding, NoEmbedding, one_vector
from qdistill.quantum.execution import Execution
from qdistill.quantum.layer import SCOPE, QuantumLayer
from qdistill.quantum.noisy_values import noisy_values
from qdistill.quantum.outcomes import probabilities
from qdistill.quantum.sampled_values import sampled_values
from qdistill.quantum.shots import estimates, outcome_values, reparametrised_noise
from qdistill.quantum.transfer import compile_noisy

Tree = TypeVar("Tree")


class NoisyLayer(eqx.Module):
    """A quantum layer on a device, or from shots: the values that `layer` would give there.

    Args:
        layer: the layer.
        execution: how its circuits are executed.
        key: random key for the shots of one evaluation, consumed; `with_key` sets it, and `on_each` splits it.

    Raises:
        CircuitError: the layer has more wires than the device, or takes samples with an embedding of a user's own.
    """

    layer: QuantumLayer
    execution: Execution = eqx.field(static=True)
    key: Array | None = None

    def __check_init__(self) -> None:
        """Check that the layer fits the device, and that its features have a shift rule where one is needed."""
        embedding, execution = self.layer.embedding, self.execution
        if execution.device is not None:
            compile_noisy(self.layer.circuit, execution.device)
        known = isinstance(embedding, AmplitudeEmbedding | AngleEmbedding | NoEmbedding)
        if execution.shots is not None and execution.estimator == "samples" and not known:
            raise CircuitError(
                "Argument `layer` must have an AmplitudeEmbedding, AngleEmbedding or NoEmbedding for the estimator "
                f"'samples', which needs a shift rule for the features, but had {embedding!r}. Use the estimator "
                "'gaussian', or a NoEmbedding and a circuit that reads the features."
            )

    @property
    def n_outputs(self) -> int:
        """Number of expectation values."""
        return self.layer.n_outputs

    def __call__(self, features: Numbers) -> Float[Array, " outputs"]:
        """The estimates of the expectation values for one feature vector.

        Raises:
            ArgumentError: no real numbers, or there are shots, but no key.
            CircuitError: not one vector, or more features than the embedding takes.
        """
        features = one_vector("features", features)
        if self.execution.device is not None:
            # Expectation values of all Pauli strings, before and after a block of gates.
            check_matrices(self.layer.circuit.n_wires, count=2)
        layer = self.layer if self.layer.trainable else jax.lax.stop_gradient(self.layer)
        with jax.named_scope(SCOPE):
            return self._values(layer, features)

    def _values(self, layer: QuantumLayer, features: Float[Array, " features"]) -> Float[Array, " outputs"]:
        if self.execution.shots is None:
            return noisy_values(layer, self.execution, features)
        if self.key is None:
            raise ArgumentError("Argument `key` must be given where there are shots, but was None. Use `with_key`.")
        if self.execution.estimator == "gaussian":
            shares = probabilities(layer, self.execution, features)
            outcomes = outcome_values(layer.observable, layer.circuit.n_wires).astype(shares.dtype)
            noise = reparametrised_noise(outcomes, shares, self.execution.shots, key=self.key)
            return estimates(layer.observable, shares) + noise
        return sampled_values(layer, self.execution, features, self.key)


def on_device(tree: Tree, execution: Execution) -> Tree:
    """Execute every quantum layer inside a network in this way; one that had another execution has this one now."""

    def wrap(node: Any) -> Any:
        if isinstance(node, NoisyLayer):
            return NoisyLayer(node.layer, execution)
        return NoisyLayer(node, execution) if isinstance(node, QuantumLayer) else node

    result: Tree = jax.tree.map(wrap, tree, is_leaf=lambda node: isinstance(node, NoisyLayer | QuantumLayer))
    return result


def ideal(tree: Tree) -> Tree:
    """The network with its quantum layers exact again; the inverse of `on_device`."""

    def unwrap(node: Any) -> Any:
        return node.layer if isinstance(node, NoisyLayer) else node

    result: Tree = jax.tree.map(unwrap, tree, is_leaf=lambda node: isinstance(node, NoisyLayer))
    return result


def takes_shots(tree: Any, estimator: Literal["samples", "gaussian"] | None = None) -> bool:
    """Whether a layer inside a network is executed from shots, by this estimator or by any, so that it needs a key."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, NoisyLayer))
    executions = [node.execution for node in nodes if isinstance(node, NoisyLayer) and node.execution.shots is not None]
    return any(estimator in (None, execution.estimator) for execution in executions)


def with_key(tree: Tree, key: Array) -> Tree:
    """Give every noisy layer inside a network a random key of its own.

    Args:
        tree: any module or container of modules.
        key: random key, consumed.
    """
    count = 0

    def keyed(node: Any) -> Any:
        nonlocal count
        if not isinstance(node, NoisyLayer):
            return node
        count += 1
        return replace(node, key=jax.random.fold_in(key, count))

    result: Tree = jax.tree.map(keyed, tree, is_leaf=lambda node: isinstance(node, NoisyLayer))
    return result
