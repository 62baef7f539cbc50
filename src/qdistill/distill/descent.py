"""One step of a training: the gradient of its loss, with a cheap derivative of its own, and the optimiser's update.

The meta-gradient is exact and needs little memory. Reverse mode through a gradient step needs, for a cotangent
v of the step's gradient g(w, x, y) = dL/dw, the products of v with the derivatives of g: these are the gradients of
the scalar <g(w, x, y), v>, which is the derivative of L along v and comes from one forward-mode pass. So each
step keeps its weights and its update and recomputes the rest, at the arithmetic of the usual reverse-over-reverse
(forward-over-reverse products: Pearlmutter, Neural Computation 6, 1994; for meta-gradients: arXiv 2505.00793).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, PyTree

from qdistill.distill.cores import Part, shared, total
from qdistill.distill.losses import LOSSES, Loss, total_loss
from qdistill.models import predict

Kept = Literal["update", "gradient"]


class Optimiser(NamedTuple):
    """How a gradient becomes an update, before the step size.

    Args:
        rule: as Optax writes it.
        kept: what a step keeps for its reverse pass besides the weights. Where the update is linear in the gradient,
            that is the update, for the derivative by the step size. Otherwise it is the gradient, with the optimiser's
            state, from which everything between it and the update is cheap to compute again.
    """

    rule: optax.GradientTransformation
    kept: Kept


OPTIMISERS = {
    "gradient_descent": Optimiser(optax.identity(), "update"),
    "momentum": Optimiser(optax.trace(decay=0.9), "update"),
    # eps_root keeps the derivative of the square root finite where a gradient is exactly zero.
    "adam": Optimiser(optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8, eps_root=1e-12), "gradient"),
}
"""What the names of `InnerLoop.optimiser` stand for, but for Newton's method, which takes no gradient."""


def loss_gradient(
    static: PyTree, loss: Loss, part: Part | None = None
) -> Callable[[PyTree, Float[Array, "n *shape"], Float[Array, "n classes"], Array | None], PyTree]:
    """The gradient of the training loss with respect to the weights, with a cheap reverse-mode derivative.

    Args:
        static: the network without its weights, as `eqx.partition` gives it.
        loss: its name.
        part: which of a step's examples this device takes, see `distill.cores`; None where it takes all.

    Returns:
        ``gradient(weights, inputs, labels, key)``, the key for the shots of this step, or None where there are none.
        The inputs and labels are this device's part, and the gradient is that of all of them. It can be differentiated
        once in reverse mode; the derivative keeps only the arguments and is computed by forward-over-reverse, as the
        module's text says.
    """
    # Arrays that are no weights, such as indices, are arguments too: a custom derivative may not close over them.
    constants, structure = eqx.partition(static, eqx.is_array)

    def value(
        weights: PyTree, constants: PyTree, inputs: Array, labels: Array, key: Array | None, counts: Array | None
    ) -> Array:
        logits = predict(eqx.combine(weights, constants, structure), inputs, key=key)
        if part is None or part.is_all:
            return LOSSES[loss](logits, labels)
        return total_loss(loss, logits, labels, counts) / part.n

    @jax.custom_vjp
    def gradient(weights: PyTree, *rest: Any) -> PyTree:
        return jax.grad(value)(weights, *rest)

    def forward(*arguments: Any) -> tuple[PyTree, tuple[Any, ...]]:
        return gradient(*arguments), arguments

    def backward(kept: tuple[Any, ...], cotangent: PyTree) -> tuple[PyTree, None, Array, Array, None, None]:
        def along_cotangent(weights: PyTree, constants: PyTree, *rest: Any) -> Array:
            derivative: Array = jax.jvp(lambda w: value(w, constants, *rest), (weights,), (cotangent,))[1]
            return derivative

        d_weights, d_inputs, d_labels = jax.grad(along_cotangent, argnums=(0, 2, 3))(*kept)
        return d_weights, None, d_inputs, d_labels, None, None

    gradient.defvjp(forward, backward)

    def of_all(weights: PyTree, inputs: Array, labels: Array, key: Array | None) -> PyTree:
        if part is None or part.is_all:
            return gradient(weights, constants, inputs, labels, key, None)
        keys = None if key is None else part.of(jax.random.split(key, part.n))
        own = gradient(shared(weights, part.axes), constants, inputs, labels, keys, part.counts)
        return total(own, part.axes)

    return of_all


def initial_state(optimiser: str, weights: PyTree) -> PyTree:
    """The optimiser's state before the first step."""
    return OPTIMISERS[optimiser].rule.init(weights)


def descend(
    optimiser: str, weights: PyTree, state: PyTree, slopes: PyTree, sizes: Float[Array, " groups"]
) -> tuple[PyTree, PyTree]:
    """One step of the optimiser, wherever the gradient came from.

    Args:
        optimiser: its name.
        weights: the network's arrays.
        state: the optimiser's, as `initial_state` or the step before gave it.
        slopes: the gradient, of the weights' structure.
        sizes: the step's row of `TrainingSet.step_sizes`.

    Returns:
        The weights and the state after the step.
    """
    updates, state = OPTIMISERS[optimiser].rule.update(slopes, state, weights)
    updates = kept_as(updates, "update")
    leaves, treedef = jax.tree.flatten(weights)
    by_tensor = jax.tree.unflatten(treedef, jnp.broadcast_to(sizes, (len(leaves),)))
    # Weights keep their precision, whatever that of the step sizes.
    return jax.tree.map(lambda w, u, size: (w - size * u).astype(w.dtype), weights, updates, by_tensor), state


def kept_as(tree: PyTree, name: Kept) -> PyTree:
    """The same numbers, under the name by which `jax.checkpoint` may keep them."""
    return checkpoint_name(tree, name)  # type: ignore[no-untyped-call]
