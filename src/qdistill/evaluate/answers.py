"""What a network says of real inputs: which class each of them is."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from qdistill.data import FittedChain
from qdistill.distill.inner import check_labels, classify
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.models import Model
from qdistill.numbers import Numbers, integers, real_as_given

_classify = eqx.filter_jit(classify)


def answers(model: Model, transform: FittedChain, inputs: np.ndarray) -> Int[np.ndarray, " n"]:
    """The class that a network gives each input.

    Args:
        model: the network.
        transform: raw inputs -> what the network takes.
        inputs: raw, (n, ...), one at least.

    Raises:
        DivergenceError: a logit is not finite, so that the largest says nothing.
    """
    classes, finite = _classify(model, jnp.asarray(inputs), transform)
    if not finite:
        raise DivergenceError("The network gives real inputs logits that are not finite, so they are not scored.")
    return np.asarray(classes)


def fraction_right(answers: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"]) -> float:
    """The share of answers that are the label.

    Raises:
        ArgumentError: there is not one label for each answer, or none at all.
    """
    check_labels(answers, labels)
    return int(np.sum(answers == labels)) / len(labels)


def labelled(inputs: Numbers, labels: Numbers, n_classes: int) -> tuple[np.ndarray, Int[np.ndarray, " n"]]:
    """Raw inputs and their class numbers, after they were found to fit each other.

    Args:
        inputs: real, (n, ...), one at least.
        labels: integers, (n,).
        n_classes: how many there are.

    Raises:
        ArgumentError: inputs that are no real numbers or none at all, or labels that are not one class number for each
            of them.
    """
    inputs, labels = np.asarray(real_as_given("inputs", inputs)), np.asarray(integers("labels", labels))
    check_labels(inputs, labels)
    if not 0 <= labels.min() <= labels.max() < n_classes:
        raise ArgumentError(
            f"Argument `labels` must be class numbers from 0 to {n_classes - 1}, but reached from "
            f"{labels.min()} to {labels.max()}."
        )
    return inputs, labels
