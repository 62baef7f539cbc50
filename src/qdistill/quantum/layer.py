"""The quantum layer: embedding, trainable circuit and observable, from features to expectation values.

One layer, three exact forms of it. For n wires, a circuit of M moments (see `lowering`), a batch of B feature
vectors and K observables, the arithmetic of one evaluation is, in multiply-adds,

    states      B * G                          gates applied to each state, G = 4 M 2^n (sum of 2^|group|)
    unitary     2^n G + B 2 S 4^n              U built once, then one real matrix product a measurement setting
    heisenberg  2^n G + 4 K 8^n + B K 4^n      M_k = Re(U^dagger H_k U) built once, then x^T M_k x

with S the number of settings (1 for Pauli-Z; 3 for one-wire Hermitians: X, Y and Z). Matrix products run about
five times as many multiply-adds a second as gates on states do, on the machines measured, so the first term of
each line counts five times. `choose_form` takes the cheapest; the result is the same to rounding.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import CircuitError
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import AmplitudeEmbedding, AngleEmbedding, Embedding
from qdistill.quantum.lowering import lower
from qdistill.quantum.observable import Observable, PauliZ, pauli_compose
from qdistill.quantum.simulate import GROUP, apply, expectation_values, signs, unitary

Form = Literal["states", "unitary", "heisenberg"]
GATE_COST = 5.0
"""Time of a multiply-add in gates on states over that of one in a large real matrix product."""

Tree = TypeVar("Tree")


def choose_form(circuit: Circuit, embedding: Embedding, observable: Observable, batch: int) -> Form:
    """The cheapest form of a layer by the arithmetic above.

    Args:
        circuit: the trainable circuit; one that reads features itself can only be applied to states.
        embedding: one that gives complex states is applied to states too.
        observable: what is measured.
        batch: feature vectors evaluated at once with the same weights.
    """
    n, size = circuit.n_wires, 2**circuit.n_wires
    real = isinstance(embedding, AmplitudeEmbedding) or (
        isinstance(embedding, AngleEmbedding) and embedding.rotation == "Y"
    )
    if circuit.n_features or not real:
        return "states"
    groups = [min(GROUP, n - first) for first in range(0, n, GROUP)]
    gates = GATE_COST * 4 * lower(circuit).n_moments * size * sum(2**group for group in groups)
    many_wires = len(observable.wires[0]) > 1
    settings = 1 if isinstance(observable, PauliZ) or many_wires else 3
    costs: dict[Form, float] = {
        "states": batch * gates,
        "unitary": size * gates + batch * 2 * settings * size**2,
        "heisenberg": size * gates + observable.n_outputs * (4 * size**3 + batch * size**2),
    }
    return min(costs, key=lambda form: costs[form])


@lru_cache
def _to_z_basis(n_wires: int) -> np.ndarray:
    """(3, 2^n, 2^n): the rotations after which a Z measurement of every wire is one of X, of Y and of Z."""
    hadamard = np.array([[1, 1], [1, -1]]) * math.sqrt(0.5)
    rotations = []
    for single in (hadamard, hadamard @ np.diag([1, -1j]), np.eye(2)):
        matrix = np.eye(1, dtype=complex)
        for _ in range(n_wires):
            matrix = np.kron(matrix, single)
        rotations.append(matrix)
    return np.array(rotations)


class QuantumLayer(eqx.Module):
    """Features -> embedding -> circuit -> one expectation value for each group of the observable.

    Takes one feature vector; batches under `jax.vmap`. Use `for_batch` (as `qdistill.models.predict` does) to
    tell the layers inside a network how many vectors they will see, so that they choose their form.

    Args:
        embedding: how the features become a state.
        circuit: the trainable operations.
        weights: its weights, in any shape whose C order is the circuit's flat weight vector; radians.
        observable: what is measured.
        batch: the number of feature vectors that share the weights in one evaluation.
        trainable: whether gradients reach the weights and the observable.

    Raises:
        CircuitError: the parts are for different numbers of wires or weights, or the batch is empty.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from qdistill.quantum import AmplitudeEmbedding, PauliZ, QuantumLayer, StronglyEntangling
        >>> ansatz = StronglyEntangling(n_wires=2, n_layers=1)
        >>> layer = QuantumLayer(
        ...     AmplitudeEmbedding(2), ansatz.circuit(), jnp.zeros(ansatz.weight_shape), PauliZ(((0,), (1,)))
        ... )
        >>> layer(jnp.array([1.0, 0.0, 0.0, 0.0])).tolist()
        [1.0, 1.0]
    """

    embedding: Embedding = eqx.field(static=True)
    circuit: Circuit = eqx.field(static=True)
    weights: Float[Array, "..."]
    observable: Observable
    batch: int = eqx.field(static=True, default=1)
    trainable: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Check that the parts belong together."""
        n = self.circuit.n_wires
        if self.embedding.n_wires != n:
            raise CircuitError(
                f"Argument `embedding` must be for the circuit's {n} wires, but was for {self.embedding.n_wires}."
            )
        if math.prod(jnp.shape(self.weights)) != self.circuit.n_weights:
            raise CircuitError(
                f"Argument `weights` must have {self.circuit.n_weights} entries, but had shape "
                f"{jnp.shape(self.weights)}."
            )
        if any(not 0 <= wire < n for group in self.observable.wires for wire in group):
            raise CircuitError(
                f"Argument `observable` must be on wires 0 to {n - 1}, but was on {self.observable.wires}."
            )
        if self.batch < 1:
            raise CircuitError(f"Argument `batch` must be at least 1, but was {self.batch}.")

    @property
    def n_outputs(self) -> int:
        """Number of expectation values."""
        return self.observable.n_outputs

    @property
    def form(self) -> Form:
        """How this layer will evaluate itself."""
        return choose_form(self.circuit, self.embedding, self.observable, self.batch)

    def __call__(self, features: Float[Array, " features"]) -> Float[Array, " outputs"]:
        """The expectation values for one feature vector.

        Args:
            features: at most as many as the embedding takes.

        Returns:
            One real value for each group of the observable.

        Raises:
            CircuitError: more features than the embedding takes.
        """
        layer = self if self.trainable else jax.lax.stop_gradient(self)
        return evaluate_in_form(layer, features, self.form)


def evaluate_in_form(layer: QuantumLayer, features: Float[Array, " features"], form: Form) -> Float[Array, " outputs"]:
    """Evaluate a layer in one of its forms; all three give the same values, to rounding."""
    state = layer.embedding.state(features)
    weights = layer.weights.reshape(-1)
    if form == "states":
        return expectation_values(layer.observable, apply(layer.circuit, weights, state, features))
    whole = unitary(layer.circuit, weights)
    if form == "unitary":
        return _shared_unitary(whole, layer.observable, state)
    return _heisenberg(whole, layer.observable, state)


def _shared_unitary(
    whole: Array, observable: Observable, state: Float[Array, " amplitudes"]
) -> Float[Array, " outputs"]:
    """One real matrix product for each measurement setting, then probabilities and signs."""
    n = whole.shape[0].bit_length() - 1
    if len(observable.wires[0]) > 1:
        return expectation_values(observable, jax.lax.complex(whole.real @ state, whole.imag @ state))
    rotations = _to_z_basis(n)[2:] if isinstance(observable, PauliZ) else _to_z_basis(n)
    settings = jnp.concatenate([jnp.asarray(rotations[:-1], whole.dtype) @ whole, whole[None]])
    parts = jnp.stack([settings.real, settings.imag])
    probabilities = jnp.sum(jnp.einsum("psij,j->psi", parts, state) ** 2, axis=0)
    wires = [wire for (wire,) in observable.wires]
    values = probabilities @ jnp.asarray(signs(n)[wires].T, state.dtype)
    if isinstance(observable, PauliZ):
        return values[0]
    coefficients = observable.pauli_coefficients().astype(state.dtype)
    norm = jnp.sum(probabilities[-1])
    return coefficients[:, 0] * norm + jnp.sum(coefficients[:, 1:] * values.T, axis=1)


def _heisenberg(whole: Array, observable: Observable, state: Float[Array, " amplitudes"]) -> Float[Array, " outputs"]:
    """The quadratic forms ``x^T Re(U^dagger H_k U) x`` of a real state."""
    size, n, k = whole.shape[0], whole.shape[0].bit_length() - 1, len(observable.wires[0])
    hermitians = pauli_compose(observable.pauli_coefficients().astype(state.dtype))
    tensor = whole.reshape((2,) * n + (size,))
    split = jnp.stack([jnp.moveaxis(tensor, group, range(k)).reshape(2**k, -1, size) for group in observable.wires])
    image = jnp.einsum("gij,gjrs->girs", hermitians, split).reshape(-1, size, size)
    split = split.reshape(-1, size, size)
    # Re(A^dagger B) in two real products, where the complex one would take four.
    forms = jnp.einsum("gas,gat->gst", split.real, image.real)
    forms = forms + jnp.einsum("gas,gat->gst", split.imag, image.imag)
    return jnp.einsum("gst,t->gs", forms, state) @ state


def for_batch(tree: Tree, batch: int) -> Tree:
    """Tell every quantum layer inside a network how many inputs will share its weights.

    Args:
        tree: any module or container of modules.
        batch: the number of inputs evaluated at once, at least 1.

    Returns:
        The same tree, whose quantum layers choose their form for that batch.
    """

    def set_batch(node: Any) -> Any:
        return replace(node, batch=batch) if isinstance(node, QuantumLayer) else node

    result: Tree = jax.tree.map(set_batch, tree, is_leaf=lambda node: isinstance(node, QuantumLayer))
    return result
