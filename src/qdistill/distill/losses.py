"""The losses of a training: of the inner loop, and so of the objective on real data.

Each takes logits and labels, (n, classes), and gives the mean over the examples. Labels are one-hot, or learned, of any
sign and scale: every loss is differentiable in them. For one-hot labels of the class y, with l the logits,

    cross-entropy   -log softmax(l)_y
    square          sum_c (l_c - label_c)^2
    hinge           max(0, 1 - (l_y - max_{c != y} l_c))
    fidelity        1 - l_y, where l_c is the fidelity with the state of class c

In terms of a margin m of two classes, whose logits are (-m/2, m/2), and t = -1 or 1 for the first or second class, the
cross-entropy is log(1 + exp(-t m)), the square error (m - t)^2 / 2 + 1/2, and the hinge max(0, 1 - t m).

References:
    Crammer and Singer, J. Mach. Learn. Res. 2, 265 (2001), for the hinge of several classes; Perez-Salinas et al.,
    Quantum 4, 226 (2020), for the fidelity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError
from qdistill.numbers import Numbers, real

Loss = Literal["cross_entropy", "square", "hinge", "fidelity"]
"""The losses by name."""


def cross_entropy(logits: Numbers, labels: Numbers) -> Float[Array, ""]:
    """The mean over examples of ``-sum_c labels_c log softmax(logits)_c``.

    Args:
        logits: real, (n, classes).
        labels: real, (n, classes).

    Raises:
        ArgumentError: no real numbers, or the two have different shapes.
    """
    logits, labels = _checked(logits, labels)
    return jnp.mean(-jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1))


def square(logits: Numbers, labels: Numbers) -> Float[Array, ""]:
    """The mean over examples of ``sum_c (logits_c - labels_c)^2``; arguments as for `cross_entropy`."""
    logits, labels = _checked(logits, labels)
    return jnp.mean(jnp.sum((logits - labels) ** 2, axis=-1))


def hinge(logits: Numbers, labels: Numbers) -> Float[Array, ""]:
    """The mean over examples of ``sum_c labels_c max(0, 1 - (logits_c - max_{d != c} logits_d))``.

    Arguments as for `cross_entropy`, with two classes at least.

    Raises:
        ArgumentError: as there, or there is one class alone.
    """
    logits, labels = _checked(logits, labels)
    n_classes = logits.shape[-1]
    if n_classes < 2:
        raise ArgumentError(f"Argument `logits` must be of two classes at least for the hinge, but was of {n_classes}.")
    others = jnp.where(jnp.eye(n_classes, dtype=bool), -jnp.inf, logits[..., None, :])
    margins = logits - jnp.max(others, axis=-1)
    return jnp.mean(jnp.sum(labels * jnp.maximum(0, 1 - margins), axis=-1))


def fidelity(logits: Numbers, labels: Numbers) -> Float[Array, ""]:
    """The mean over examples of ``1 - sum_c labels_c logits_c``; arguments as for `cross_entropy`.

    The logits are meant to be fidelities, from 0 to 1: without a bound on them the loss has none either.
    """
    logits, labels = _checked(logits, labels)
    return 1 - jnp.mean(jnp.sum(labels * logits, axis=-1))


LOSSES: dict[Loss, Callable[[Numbers, Numbers], Float[Array, ""]]] = {
    "cross_entropy": cross_entropy,
    "square": square,
    "hinge": hinge,
    "fidelity": fidelity,
}
"""What each name of `Loss` stands for."""


def total_loss(
    loss: Loss, logits: Float[Array, "n classes"], labels: Float[Array, "n classes"], counts: Float[Array, " n"] | None
) -> Float[Array, ""]:
    """The sum of a loss over examples, of which some may not count.

    Args:
        loss: its name.
        logits: of the network.
        labels: of the examples.
        counts: 1 for each example that counts, else 0; None where all do.
    """
    if counts is None:
        return len(logits) * LOSSES[loss](logits, labels)
    each = jax.vmap(lambda logits, labels: LOSSES[loss](logits[None], labels[None]))(logits, labels)
    return jnp.sum(counts * each)


def _checked(logits: Numbers, labels: Numbers) -> tuple[Array, Array]:
    logits, labels = real("logits", logits), real("labels", labels)
    if labels.shape != logits.shape:
        raise ArgumentError(
            f"Argument `labels` must have the shape {logits.shape} of the logits, but was {labels.shape}."
        )
    return logits, labels
