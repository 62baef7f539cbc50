"""What the objectives here share: each is a function of a network on the way of a training, and not of the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.distill.descent import descend, initial_state, loss_gradient
from qdistill.distill.inner import InnerLoop
from qdistill.distill.losses import Loss
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Model


class Matching(ABC):
    """A `MetaObjective`: the mean of what `at` gives for the networks before each step of a training.

    The networks are given: the gradient does not go through the training, and so is zero for the step sizes.
    """

    only_untrained: ClassVar[bool] = False
    """Whether the network before the first step is the only one, and sees all examples."""

    @abstractmethod
    def at(
        self,
        network: Model,
        own: tuple[Float[Array, "n *shape"], Float[Array, "n classes"]],
        real: tuple[Float[Array, "batch *shape"], Float[Array, "batch classes"]],
        loss: Loss,
    ) -> Float[Array, ""]:
        """How far synthetic examples are from real ones for one network.

        Args:
            network: the network.
            own: the synthetic inputs that a step sees, and their labels.
            real: real inputs, normalised, and their one-hot labels.
            loss: of the training, its name.
        """

    def value_and_gradient(
        self,
        data: TrainingSet,
        model: Model,
        inner: InnerLoop,
        inputs: Float[Array, "batch *shape"],
        labels: Float[Array, "batch classes"],
        key: Array | None = None,
        *,
        optimiser_state: PyTree | None = None,
    ) -> tuple[Float[Array, ""], TrainingSet]:
        """See `MetaObjective`.

        Raises:
            ArgumentError: the network takes shots, for which there is a key.
        """
        if key is not None:
            raise ArgumentError(
                "Argument `model` must be of exact expectation values for every objective but performance matching, "
                "but takes shots."
            )
        learned, schedule = eqx.partition(data, eqx.is_inexact_array)
        real = inputs, labels
        found: tuple[Array, TrainingSet]
        if self.only_untrained:
            found = jax.value_and_grad(lambda own: self.at(model, (own.inputs, own.labels), real, inner.loss))(learned)
            return found
        weights, static = eqx.partition(model, eqx.is_inexact_array)
        gradient = loss_gradient(static, inner.loss)

        def examples(own: TrainingSet, picked: Array) -> tuple[Array, Array]:
            return (own.inputs[picked], own.labels[picked]) if inner.own_examples else (own.inputs, own.labels)

        def step(carry: tuple[PyTree, PyTree], now: tuple[Array, Array]) -> tuple[tuple[PyTree, PyTree], PyTree]:
            (weights, state), (picked, sizes) = carry, now
            network = eqx.combine(weights, static)
            found = jax.value_and_grad(lambda own: self.at(network, examples(own, picked), real, inner.loss))(learned)
            slopes = gradient(weights, *examples(learned, picked), None)
            return descend(inner.optimiser, weights, state, slopes, sizes), found

        state = initial_state(inner.optimiser, weights) if optimiser_state is None else optimiser_state
        _, each = jax.lax.scan(step, (weights, state), (jnp.asarray(schedule.schedule), data.step_sizes))
        found = jax.tree.map(lambda a: jnp.mean(a, axis=0), each)
        return found
