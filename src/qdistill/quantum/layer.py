"""The quantum layer: embedding, trainable circuit and observable, from features to expectation values.

One layer, three exact forms of it. For n wires, a circuit of M moments (see `lowering`), a batch of B feature
vectors and K observables, the arithmetic is

    states      B G + B P 2^n        gates applied to each state, G = 4 M 2^n (sum of 2^|group|) multiply-adds, and
                                     what phases take (`moments.multiply_adds`)
    unitary     2^n G + B S 4^n + B P 2^n    U built once, then a real matrix product for each of S settings
    heisenberg  2^n G + K 8^n + B K 4^n    M_k = Re(U^dagger H_k U) built once, then x^T M_k x

with S = 3 for one-wire Hermitians, which are measured in X, Y and Z, and S = 1 for everything else. P is what sums of
Pauli strings take for each amplitude (`pauli_sums.sums_cost`); for other observables it is small. `choose_form` weighs
the terms by what one costs in a gradient, and takes the cheapest form; the result is the same to rounding.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qdistill.errors import CircuitError
from qdistill.numbers import Numbers, real, real_field
from qdistill.quantum.bounds import check_matrices, check_states
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.embedding import AmplitudeEmbedding, AngleEmbedding, Embedding, one_vector
from qdistill.quantum.expectation import TO_Z_BASIS, expectation_values, signs
from qdistill.quantum.heisenberg import heisenberg_values
from qdistill.quantum.moments import multiply_adds, n_moments
from qdistill.quantum.observable import Hermitian, Observable, PauliSum, PauliZ
from qdistill.quantum.pauli_sums import n_products, sums_cost
from qdistill.quantum.simulate import apply, apply_local, fuse, unitary

Form = Literal["states", "unitary", "heisenberg"]
SETTING_COST, BUILD_COST, FORM_COST = 0.5, 0.4, 0.15
"""What a unit of B S 4^n, K 8^n and B K 4^n costs in a gradient, in units of a gate's multiply-add (0.4 ns on one core
of an AMD EPYC, from 4 to 9 wires; `docs/decisions/0003-forms-of-the-quantum-layer.md`)."""

CACHE, SPILL = 2**17, 1.6
"""Amplitudes of a batch from which on gates on states leave the cache (1 MiB), and how much more they cost then."""

SCOPE = "branch"
"""What a profile knows the operations of quantum layers and kernels by (`experiments.profile`)."""

Tree = TypeVar("Tree")


def choose_form(circuit: Circuit, embedding: Embedding, observable: Observable, batch: int) -> Form:
    """The cheapest form of a layer by the arithmetic above.

    Args:
        circuit: the trainable circuit; one that reads features itself can only be applied to states.
        embedding: one that gives complex states is applied to states too.
        observable: what is measured.
        batch: feature vectors evaluated at once with the same weights.
    """
    costs = form_costs(circuit, embedding, observable, batch)
    return min(costs, key=lambda form: costs[form])


def form_costs(circuit: Circuit, embedding: Embedding, observable: Observable, batch: int) -> dict[Form, float]:
    """What each form that a layer can take costs in a gradient, in multiply-adds of a gate; see `choose_form`."""
    size = 2**circuit.n_wires
    gates = multiply_adds(circuit)
    sums = batch * size * sums_cost(observable) if isinstance(observable, PauliSum) else 0
    costs: dict[Form, float] = {"states": batch * gates * (SPILL if batch * size > CACHE else 1.0) + sums}
    real = isinstance(embedding, AmplitudeEmbedding) or (
        isinstance(embedding, AngleEmbedding) and embedding.rotation == "Y"
    )
    if circuit.n_features or not real:
        return costs
    settings = 3 if isinstance(observable, Hermitian) and len(observable.wires[0]) == 1 else 1
    costs["unitary"] = size * gates + SETTING_COST * batch * settings * size**2 + sums
    costs["heisenberg"] = size * gates + observable.n_outputs * (BUILD_COST * size**3 + FORM_COST * batch * size**2)
    return costs


class QuantumLayer(eqx.Module):
    """Features -> embedding -> circuit -> one expectation value for each output of the observable.

    Takes one feature vector; batches under `jax.vmap`. Use `for_batch` (as `qdistill.models.predict` does) to
    tell the layers inside a network how many vectors they will see, so that they choose their form. A network that
    uses a layer on several vectors of one image, such as patches, does so with `on_each`.

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
    weights: Float[Array, "..."] = eqx.field(converter=real_field("weights"))
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

    def check_memory(self, *, gradient: bool = False) -> None:
        """Make sure that the batch can be simulated in the machine's memory.

        Args:
            gradient: whether derivatives are taken, which keep much more.

        Raises:
            ArgumentError: it cannot; the error says what it takes.
        """
        moments, precision = n_moments(self.circuit), self.weights.dtype.itemsize
        # First the least that any form takes, whose costs then are numbers that can be computed with.
        check_states(self.circuit.n_wires, moments=moments, precision=precision)
        if self.form == "states":
            check_states(
                self.circuit.n_wires,
                self.batch,
                moments=moments,
                measured=n_products(self.observable) if isinstance(self.observable, PauliSum) else 0,
                precision=precision,
                gradient=gradient,
            )
        else:
            check_matrices(self.circuit.n_wires, count=4, precision=precision)

    def __call__(self, features: Numbers) -> Float[Array, " outputs"]:
        """The expectation values for one feature vector.

        Args:
            features: one vector of at most as many real numbers as the embedding takes.

        Returns:
            One real value for each output of the observable.

        Raises:
            ArgumentError: no real numbers, or the batch takes more memory than there is.
            CircuitError: not one vector, or more features than the embedding takes.
        """
        self.check_memory()
        layer = self if self.trainable else jax.lax.stop_gradient(self)
        with jax.named_scope(SCOPE):
            return evaluate_in_form(layer, features, self.form)


def evaluate_in_form(layer: QuantumLayer, features: Numbers, form: Form) -> Float[Array, " outputs"]:
    """Evaluate a layer in one of its forms; all three give the same values, to rounding."""
    features, weights = one_vector("features", features), real("weights", layer.weights).reshape(-1)
    precision = jnp.result_type(features, weights)
    features, weights = features.astype(precision), weights.astype(precision)
    state = layer.embedding.state(features)
    if form == "states":
        return expectation_values(layer.observable, apply(layer.circuit, weights, state, features))
    whole = unitary(layer.circuit, weights)
    if form == "unitary":
        return _shared_unitary(whole, layer.observable, state)
    return heisenberg_values(whole, layer.observable, state)


def _shared_unitary(
    whole: Array, observable: Observable, state: Float[Array, " amplitudes"]
) -> Float[Array, " outputs"]:
    """One real matrix product for each measurement setting, then probabilities and signs.

    The states are the left factor of both products, as in `heisenberg.quadratic_values`.
    """
    n = whole.shape[0].bit_length() - 1
    if isinstance(observable, PauliSum) or len(observable.wires[0]) > 1:
        return expectation_values(observable, jax.lax.complex(whole.real @ state, whole.imag @ state))
    wires = [wire for (wire,) in observable.wires]
    wire_signs = jnp.asarray(signs(n)[wires].T, state.dtype)
    if isinstance(observable, PauliZ):
        settings, weighted = whole[None], wire_signs[None]
    else:
        rotations = jnp.asarray(np.broadcast_to(TO_Z_BASIS[:, None], (2, n, 2, 2)), whole.dtype)
        settings = jnp.stack([*(apply_local(fuse(rotation), whole) for rotation in rotations), whole])
        coefficients = observable.pauli_coefficients().astype(state.dtype)
        weighted = wire_signs * coefficients[:, 1:].T[:, None, :]
    parts = jnp.concatenate([settings.real, settings.imag]).reshape(-1, state.size)
    values = (state @ parts.T) ** 2 @ jnp.concatenate([weighted, weighted]).reshape(parts.shape[0], -1)
    return values if isinstance(observable, PauliZ) else values + coefficients[:, 0] * (state @ state)


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
