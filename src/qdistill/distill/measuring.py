"""How a network does on real inputs: what it says of each, its accuracy and its mean loss."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from qdistill.distill.losses import LOSSES, Loss
from qdistill.errors import ArgumentError
from qdistill.models import Model, predict
from qdistill.numbers import Numbers, integers, real_as_given
from qdistill.quantum import wires_needed


def measure(
    model: Model,
    inputs: Numbers,
    labels: Numbers,
    transform: Callable[[Array], Array],
    *,
    loss: Loss = "cross_entropy",
    key: Array | None = None,
    slice_size: int = 250,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How a network does on real inputs; works inside jit.

    Args:
        model: the network.
        inputs: raw, real, (n, ...), one at least.
        labels: class numbers, integers, (n,).
        transform: raw inputs -> what the network takes.
        loss: the name of what is averaged beside.
        key: random key, consumed, for layers that take shots.
        slice_size: inputs evaluated at once, at most.

    Returns:
        The share of inputs whose largest logit is the one of their label, and their mean loss.

    Raises:
        ArgumentError: inputs that are no real numbers or none at all, or labels that are not one integer for each of
            them.
    """
    # Slices of bytes are a quarter of what they become, so that each is made real by its transform.
    inputs, labels = jnp.asarray(real_as_given("inputs", inputs)), jnp.asarray(integers("labels", labels))
    check_labels(inputs, labels)

    def sums(inputs: Array, labels: Array, key: Array | None) -> tuple[Array, Array]:
        logits = predict(model, transform(inputs), key=key)
        one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        return jnp.sum(jnp.argmax(logits, axis=-1) == labels), len(logits) * LOSSES[loss](logits, one_hot)

    counts, losses = _in_slices(model, sums, (inputs, labels), slice_size, key)
    return jnp.sum(counts) / len(inputs), jnp.sum(losses) / len(inputs)


def classify(
    model: Model,
    inputs: Shaped[Array, "n *shape"],
    transform: Callable[[Array], Array],
    *,
    slice_size: int = 250,
) -> tuple[Int[Array, " n"], Bool[Array, ""]]:
    """Which class a network gives each real input; works inside jit.

    Args:
        model: the network.
        inputs: raw, (n, ...), one at least.
        transform: raw inputs -> what the network takes.
        slice_size: inputs evaluated at once, at most.

    Returns:
        The number of the largest logit of each input, and whether all logits are finite.
    """

    def answers(inputs: Array, key: Array | None) -> tuple[Array, Array]:
        logits = predict(model, transform(inputs), key=key)
        return jnp.argmax(logits, axis=-1), jnp.isfinite(logits).all()

    classes, finite = _in_slices(model, answers, (inputs,), slice_size)
    return classes, finite.all()


def check_labels(inputs: Shaped[Array | np.ndarray, "..."], labels: Shaped[Array | np.ndarray, "..."]) -> None:
    """Make sure that there is one class number for each input, and an input at least.

    Raises:
        ArgumentError: there is not.
    """
    if not inputs.ndim or labels.shape != inputs.shape[:1]:
        raise ArgumentError(
            f"Argument `labels` must be one class number for each input, but had shape {labels.shape} for inputs of "
            f"shape {inputs.shape}."
        )
    if not len(inputs):
        raise ArgumentError("Argument `inputs` must be one input at least, but was none.")


def fraction(share: Float[Array, ""] | float, n: int) -> float:
    """The fraction of n that a float32 stands for, without float32's rounding: 0.576 and not 0.57600003."""
    return round(float(share) * n) / n


def _in_slices(
    model: Model,
    evaluate: Callable[..., tuple[Array, ...]],
    columns: tuple[Array, ...],
    slice_size: int,
    key: Array | None = None,
) -> list[Array]:
    """What a function gives of real inputs that may be too many to be evaluated at once.

    Args:
        model: what evaluates them: its wires decide how many that can be.
        evaluate: takes a slice of each column and a key, and gives arrays.
        columns: arrays with an entry for each input, one at least.
        slice_size: inputs evaluated at once, at most.
        key: random key, consumed; each slice has one of its own, or None where there is none.

    Returns:
        Each of the function's arrays, flattened, from all slices one after another.
    """
    n = len(columns[0])
    # States of more than 16 wires are what takes the memory: a slice has at most 256 MiB of them.
    slice_size = min(slice_size, max(1, 2**24 >> wires_needed(model)))
    whole = n - n % slice_size
    keys = None if key is None else jax.random.split(key, n // slice_size + 1)
    parts = []
    if whole:
        cut = tuple(column[:whole].reshape(-1, slice_size, *column.shape[1:]) for column in columns)
        parts.append(jax.lax.map(lambda now: evaluate(*now), (*cut, None if keys is None else keys[:-1])))
    if whole < n:
        parts.append(evaluate(*(column[whole:] for column in columns), None if keys is None else keys[-1]))
    return [jnp.concatenate([jnp.ravel(part) for part in column]) for column in zip(*parts, strict=True)]
