"""How a network calls its quantum layers: on many vectors at once, counted, or answered by something else."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array, Float

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, real
from qdistill.quantum.embedding import check_n_features, one_vector
from qdistill.quantum.layer import QuantumLayer, for_batch
from qdistill.quantum.noisy_layer import NoisyLayer

Tree = TypeVar("Tree")

_trace_state: Callable[[], Any] = get_opaque_trace_state
"""The same twice only where no transformation of JAX's has been entered or left between."""

Answer = Callable[[int, QuantumLayer, Float[Array, "vectors features"]], Float[Array, "vectors outputs"]]
"""The values of a call: takes the layer's number among the network's (`quantum_layers`), the layer and its input."""


def on_each(layer: QuantumLayer | NoisyLayer, vectors: Numbers) -> Float[Array, "vectors outputs"]:
    """A layer's values for several feature vectors of one input, such as the patches of a quanvolution.

    Under `jax.vmap` alone all of them would have the same shots, and the layer would choose its form for one of them.

    Args:
        layer: the layer; its `batch` is the number of inputs, as `for_batch` sets it.
        vectors: real numbers, a row for each vector; with shots, each has shots of its own.

    Raises:
        ArgumentError: no real numbers, or there are shots, but no key.
        CircuitError: no vectors, not a row for each, or more features than the embedding takes.
    """
    vectors = real("vectors", vectors)
    if vectors.ndim != 2 or not len(vectors):
        raise CircuitError(
            f"Argument `vectors` must have a row for each vector, one at least, but had shape {vectors.shape}."
        )
    if isinstance(layer, _AnsweredLayer):
        return layer.on_each(vectors)
    inner = layer.layer if isinstance(layer, NoisyLayer) else layer
    many = for_batch(layer, inner.batch * len(vectors))
    if not isinstance(many, NoisyLayer) or many.key is None:
        return jax.vmap(many)(vectors)
    keys = jax.random.split(many.key, len(vectors))
    return jax.vmap(lambda vector, key: replace(many, key=key)(vector))(vectors, keys)


def quantum_layers(network: Any) -> list[QuantumLayer]:
    """The quantum layers of a network, which may have shapes in the place of its arrays."""
    leaves = jax.tree.leaves(network, is_leaf=lambda node: isinstance(node, QuantumLayer))
    return [leaf for leaf in leaves if isinstance(leaf, QuantumLayer)]


def wires_needed(network: Any) -> int:
    """Qubits that a device needs for any of a network's circuits; 0 where it has no quantum layer."""
    return max((layer.circuit.n_wires for layer in quantum_layers(network)), default=0)


class _AnsweredLayer(QuantumLayer):
    """A quantum layer whose calls something else answers."""

    number: int = eqx.field(static=True, kw_only=True)
    answer: Answer = eqx.field(static=True, kw_only=True)

    def __call__(self, features: Numbers) -> Float[Array, " outputs"]:
        return self.on_each(one_vector("features", features)[None])[0]

    def on_each(self, vectors: Float[Array, "vectors features"]) -> Float[Array, "vectors outputs"]:
        return self.answer(self.number, QuantumLayer(**_fields(self)), vectors)


def answered(network: Tree, answer: Answer) -> Tree:
    """The network for one input, each call of its quantum layers answered by a function, in the order of the calls.

    A call by `on_each` is one call with all of its vectors. What the function is given may be kept, and returned by
    what calls the network.

    Raises:
        CircuitError: by the network, where it calls a layer within one of JAX's transformations.
    """
    outside = _trace_state()

    def checked(number: int, layer: QuantumLayer, vectors: Array) -> Array:
        if _trace_state() != outside:
            raise CircuitError(
                "The network calls a quantum layer within `jax.vmap`, `jax.jit` or a loop of JAX's, where its calls "
                "cannot be told apart. Call it by `quantum.on_each` for several vectors, and directly for one."
            )
        return answer(number, layer, vectors)

    return _answered(network, checked)


def _answered(network: Tree, answer: Answer) -> Tree:
    numbers = itertools.count()

    def replaced(node: Any) -> Any:
        if not isinstance(node, QuantumLayer):
            return node
        return _AnsweredLayer(**_fields(node), number=next(numbers), answer=answer)

    result: Tree = jax.tree.map(replaced, network, is_leaf=lambda node: isinstance(node, QuantumLayer))
    return result


def check_training_memory(network: Any, batch: int) -> None:
    """Make sure that the gradient of a network's exact quantum layers fits into the machine's memory.

    Args:
        network: any module or container of modules.
        batch: inputs evaluated at once.

    Raises:
        ArgumentError: it does not.
    """
    kinds = (QuantumLayer, NoisyLayer)
    for node in jax.tree.leaves(for_batch(network, batch), is_leaf=lambda node: isinstance(node, kinds)):
        if isinstance(node, QuantumLayer):
            node.check_memory(gradient=True)


@dataclass(frozen=True)
class LayerCall:
    """One call of a quantum layer by its network.

    Args:
        layer: the layer.
        vectors: feature vectors that it is given for one input.
        by_features: whether its derivative by them is needed, for something that is trained lies below.
    """

    layer: QuantumLayer
    vectors: int
    by_features: bool


def layer_calls(network: Any, input_shape: tuple[int, ...]) -> list[LayerCall]:
    """How a network calls its quantum layers for one input, found by tracing it.

    A call by `on_each` is one call with all of its vectors; one within `jax.vmap`, or in a loop that JAX traces once,
    counts as one with a single vector.

    Args:
        network: takes an input; it may have shapes in the place of its arrays.
        input_shape: the shape of one input.
    """
    noted: list[_Note] = []
    arrays, static = eqx.partition(network, lambda leaf: hasattr(leaf, "dtype"))

    def answer(number: int, layer: QuantumLayer, vectors: Array) -> Array:
        note = _Note(number, len(vectors))
        noted.append(note)
        return _in_place_of(layer, _noticing(note)(vectors))

    def differentiated(arrays: Any) -> Any:
        weights, others = eqx.partition(arrays, eqx.is_inexact_array)

        def logits(weights: Any) -> Array:
            values: Array = _answered(eqx.combine(weights, others, static), answer)(jnp.zeros(input_shape))
            return values

        return jax.jvp(logits, (weights,), (weights,))

    jax.eval_shape(differentiated, arrays)
    layers = quantum_layers(network)
    return [LayerCall(layers[note.number], note.vectors, note.by_features) for note in noted]


def _in_place_of(layer: QuantumLayer, vectors: Array) -> Array:
    """Values of the layer's shape that depend on all that its own do: to count calls, nothing need be simulated."""
    most = layer.embedding.n_features
    check_n_features(vectors.shape[1], most, f"{most} values for this embedding")
    trained = [layer.observable.term_coefficients()]
    trained.append(layer.weights if layer.trainable else jax.lax.stop_gradient(layer.weights))
    return jnp.broadcast_to(
        jnp.sum(vectors, axis=1, keepdims=True) + sum(map(jnp.sum, trained)), (len(vectors), layer.n_outputs)
    )


@dataclass
class _Note:
    """What is noticed of one call."""

    number: int
    vectors: int
    by_features: bool = False


def _noticing(note: _Note) -> Callable[[Array], Array]:
    """The identity; it notes whether what passes depends on a weight."""

    @jax.custom_jvp
    def unchanged(vectors: Array) -> Array:
        return vectors

    def noticed(primals: tuple[Array], tangents: tuple[Any]) -> tuple[Array, Array]:
        # JAX comes here only where the vectors are differentiated.
        (vectors,), (tangent,) = primals, tangents
        if isinstance(tangent, SymbolicZero):
            return vectors, jnp.zeros_like(vectors)
        note.by_features = True
        return vectors, tangent

    unchanged.defjvp(noticed, symbolic_zeros=True)
    return unchanged


def _fields(layer: QuantumLayer) -> dict[str, Any]:
    return {field.name: getattr(layer, field.name) for field in dataclasses.fields(QuantumLayer)}
