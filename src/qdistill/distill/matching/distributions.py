"""Distribution matching: the synthetic examples of a class have the mean features of the real ones."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from qdistill.distill.inner import InnerLoop
from qdistill.distill.matching.along import check_exact, class_means
from qdistill.distill.training_set import TrainingSet
from qdistill.models import Model, last_features


@dataclass(frozen=True)
class DistributionMatching:
    """The squared distance between the mean features of real and of synthetic inputs, summed over the classes.

    The features are those that an untrained network's last linear map reads, see `models.last_features`. Nothing is
    trained, and step sizes have no gradient.

    Reference:
        Zhao and Bilen, WACV 2023, arXiv 2110.04181.
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
        """See `MetaObjective`."""
        check_exact(key)
        real = class_means(last_features(model, inputs), labels)

        def distance(learned: TrainingSet) -> Array:
            return jnp.sum((class_means(last_features(model, learned.inputs), learned.labels) - real) ** 2)

        found: tuple[Array, TrainingSet] = jax.value_and_grad(distance)(eqx.filter(data, eqx.is_inexact_array))
        return found
