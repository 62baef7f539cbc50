"""Distribution matching: the synthetic examples of a class have the mean features of the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from qdistill.distill.losses import Loss
from qdistill.distill.matching.matching import Matching
from qdistill.models import Model, last_features


@dataclass(frozen=True)
class DistributionMatching(Matching):
    """The squared distance between the mean features of real and of synthetic inputs, summed over the classes.

    The features are those that an untrained network's last linear map reads, see `models.last_features`. Nothing is
    trained, and step sizes have no gradient.

    Reference:
        Zhao and Bilen, WACV 2023, arXiv 2110.04181.
    """

    only_untrained: ClassVar[bool] = True

    def at(self, network: Model, own: tuple[Array, Array], real: tuple[Array, Array], loss: Loss) -> Float[Array, ""]:
        """See `Matching`."""
        return jnp.sum((_class_means(network, *own) - _class_means(network, *real)) ** 2)


def _class_means(
    network: Model, inputs: Float[Array, "n *shape"], labels: Float[Array, "n classes"]
) -> Float[Array, "classes features"]:
    """The mean features of each class, by one-hot labels; zero for a class without any."""
    counts = jnp.sum(labels, axis=0)
    return labels.T @ last_features(network, inputs) / jnp.maximum(counts, 1)[:, None]
