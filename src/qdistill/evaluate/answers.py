"""What a network says of real inputs: which class each of them is."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from qdistill.data import FittedChain
from qdistill.distill.inner import classify
from qdistill.errors import DivergenceError
from qdistill.models import Model

_classify = eqx.filter_jit(classify)


def answers(model: Model, transform: FittedChain, inputs: np.ndarray) -> Int[np.ndarray, " n"]:
    """The class that a network gives each input.

    Args:
        model: the network.
        transform: raw pixels -> what the network takes.
        inputs: raw pixels, (n, ...).

    Raises:
        DivergenceError: a logit is not finite, so that the largest says nothing.
    """
    classes, finite = _classify(model, jnp.asarray(inputs), transform)
    if not finite:
        raise DivergenceError("The network gives real inputs logits that are not finite, so they are not scored.")
    return np.asarray(classes)


def fraction_right(answers: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"]) -> float:
    """The share of answers that are the label."""
    return int(np.sum(answers == labels)) / len(labels)
